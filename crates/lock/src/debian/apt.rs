//! Where this machine gets Debian packages from: apt's source lists (sources.list(5)), in both their formats.

use std::path::{Path, PathBuf};

/// Archives as apt is told of them: each suite at each URI. They are not multiplied out, as a paragraph can name thousands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub uris: Vec<String>,
    pub suites: Vec<String>,
    pub components: Vec<String>,
    pub signed_by: SignedBy,
}

/// Which keys apt is told to trust for a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SignedBy {
    /// Keyring files.
    pub files: Vec<PathBuf>,
    /// Keys among those that are trusted anyway.
    pub fingerprints: Vec<String>,
    /// A key in armour, in the source itself.
    pub inline: Option<String>,
}

impl SignedBy {
    /// A comma- or space-separated list of absolute paths and fingerprints.
    fn parse(value: &str) -> Self {
        let mut signed_by = Self::default();
        for word in value.split([',', ' ']).filter(|word| !word.is_empty()) {
            if word.starts_with('/') {
                signed_by.files.push(word.into());
            } else {
                // A final `!` says "not its subkeys": narrower than is asked for here.
                signed_by.fingerprints.push(word.trim_end_matches('!').to_owned());
            }
        }
        signed_by
    }
}

/// Reads all source lists under `root` (`/` on a real machine), in apt's order. What cannot be read or understood is
/// left out, as it is not ours to mend.
pub(super) fn sources(root: &Path) -> Vec<Source> {
    let apt = root.join("etc/apt");
    let mut files = vec![apt.join("sources.list")];
    if let Ok(folder) = fs_err::read_dir(apt.join("sources.list.d")) {
        let mut found: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
        found.sort();
        files.extend(found);
    }
    let mut sources = Vec::new();
    for file in files {
        let extension = file.extension().and_then(|extension| extension.to_str());
        let parse = match extension {
            Some("list") => parse_list,
            Some("sources") => parse_deb822,
            _ => continue,
        };
        if let Ok(text) = fs_err::read_to_string(&file) {
            sources.extend(parse(&text));
        }
    }
    sources
}

/// One line a source: `deb [signed-by=/key.gpg arch=amd64] URI suite component…`.
pub(super) fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?;
    if !rest.starts_with(char::is_whitespace) {
        return None;
    }
    rest = rest.trim_start();
    let mut signed_by = SignedBy::default();
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']')?;
        for option in options.split_whitespace() {
            if let Some(("signed-by", value)) = option.split_once('=') {
                signed_by = SignedBy::parse(value);
            }
        }
        rest = after;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by,
    })
}

/// One paragraph a source, with all its URIs and suites.
pub(super) fn parse_deb822(text: &str) -> Vec<Source> {
    // Comments may stand inside a field, which general deb822 does not know.
    let text: String = text.split_inclusive('\n').filter(|line| !line.starts_with('#')).collect();
    let Ok(paragraphs) = deb822_fast::borrowed::parse_borrowed(&text) else { return Vec::new() };
    let mut sources = Vec::new();
    for paragraph in paragraphs {
        let words = |name: &str| -> Vec<String> {
            let lines = paragraph.get(name).unwrap_or_default();
            lines.iter().flat_map(|line| line.split_whitespace()).map(str::to_owned).collect()
        };
        let disabled = paragraph
            .get_single("Enabled")
            .is_some_and(|value| ["no", "false", "off", "without", "disable"].contains(&value.trim()));
        if disabled || !words("Types").iter().any(|kind| kind == "deb") {
            continue;
        }
        sources.push(Source {
            uris: words("URIs"),
            suites: words("Suites"),
            components: words("Components"),
            signed_by: signed_by(paragraph.get("Signed-By").unwrap_or_default()),
        });
    }
    sources
}

/// Paths and fingerprints, or a key in armour whose empty lines are written as a dot.
fn signed_by(lines: &[&str]) -> SignedBy {
    if !lines.iter().any(|line| line.contains("BEGIN PGP PUBLIC KEY BLOCK")) {
        return SignedBy::parse(&lines.join(" "));
    }
    let mut key = String::new();
    for line in lines.iter().skip_while(|line| line.is_empty()) {
        if *line != "." {
            key.push_str(line);
        }
        key.push('\n');
    }
    SignedBy { inline: Some(key), ..SignedBy::default() }
}

/// What `os-release` says of the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct OsRelease {
    pub id: String,
    pub name: String,
    pub codename: Option<String>,
}

impl OsRelease {
    /// Reads it under `root`; a machine without one is nobody.
    pub fn read(root: &Path) -> Self {
        let text = ["etc/os-release", "usr/lib/os-release"]
            .iter()
            .find_map(|path| fs_err::read_to_string(root.join(path)).ok())
            .unwrap_or_default();
        let value = |name: &str| {
            let mut pairs = text.lines().filter_map(|line| line.split_once('='));
            let (_, value) = pairs.find(|(key, _)| *key == name)?;
            Some(value.trim_matches(['"', '\'']).to_owned())
        };
        Self {
            id: value("ID").unwrap_or_default(),
            name: value("PRETTY_NAME").or_else(|| value("NAME")).unwrap_or_default(),
            codename: value("VERSION_CODENAME"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_their_options() {
        let text = "\
# deb http://commented.invalid/ bookworm main
deb-src http://mirror.invalid/debian bookworm main
deb [arch=amd64 signed-by=/a.gpg,/b.gpg] http://mirror.invalid/debian bookworm main contrib # remark
deb\thttp://mirror.invalid/security bookworm-security main
deb http://broken.invalid/
debian http://x.invalid/ y z
";
        let sources = parse_list(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].uris, ["http://mirror.invalid/debian"]);
        assert_eq!(sources[0].components, ["main", "contrib"]);
        assert_eq!(sources[0].signed_by.files, [PathBuf::from("/a.gpg"), PathBuf::from("/b.gpg")]);
        assert_eq!(sources[1].suites, ["bookworm-security"]);
        assert_eq!(sources[1].signed_by, SignedBy::default());
    }

    #[test]
    fn paragraphs_are_read_with_every_uri_and_suite() {
        let text = "\
Types: deb deb-src
URIs: http://one.invalid/debian
 http://two.invalid/debian
# a remark inside a paragraph
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/archive.gpg

Enabled: no
Types: deb
URIs: http://off.invalid/
Suites: trixie
Components: main

Types: deb
URIs: http://inline.invalid/
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEZ
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://finger.invalid/
Suites: trixie
Components: main
Signed-By: ABCDEF0123456789ABCDEF0123456789ABCDEF01!
";
        let sources = parse_deb822(text);
        let [plain, inline, finger] = &sources[..] else { panic!("{sources:?}") };
        assert_eq!(plain.uris, ["http://one.invalid/debian", "http://two.invalid/debian"]);
        assert_eq!(plain.suites, ["trixie", "trixie-updates"]);
        let key = inline.signed_by.inline.as_deref().unwrap();
        assert_eq!(
            key,
            "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEZ\n-----END PGP PUBLIC KEY BLOCK-----\n"
        );
        assert_eq!(finger.signed_by.fingerprints, ["ABCDEF0123456789ABCDEF0123456789ABCDEF01"]);
    }

    #[test]
    fn a_paragraph_of_many_words_is_read_at_once() {
        let words = "w ".repeat(20_000);
        let sources =
            parse_deb822(&format!("Types: deb\nURIs: {words}\nSuites: {words}\nComponents: {words}\n"));
        assert_eq!((sources.len(), sources[0].uris.len(), sources[0].suites.len()), (1, 20_000, 20_000));
    }

    #[test]
    fn files_are_read_in_order_and_others_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/apt/sources.list.d");
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join("b.list"), "deb http://b.invalid/ s main\n").unwrap();
        fs_err::write(folder.join("a.sources"), "Types: deb\nURIs: http://a.invalid/\nSuites: s\n").unwrap();
        fs_err::write(folder.join("c.list.disabled"), "deb http://c.invalid/ s main\n").unwrap();
        fs_err::write(root.path().join("etc/apt/sources.list"), "deb http://first.invalid/ s main\n")
            .unwrap();
        let uris: Vec<String> = sources(root.path()).into_iter().flat_map(|source| source.uris).collect();
        assert_eq!(uris, ["http://first.invalid/", "http://a.invalid/", "http://b.invalid/"]);
    }
}
