//! What a package says of itself, in its folder `info`.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::super::error::{Fault, Problem};
use super::prefix::Mode;

/// Scripts that conda would run, and this does not.
const SCRIPTS: [&str; 3] = ["pre-link", "post-link", "pre-unlink"];

/// One path of a package as it lies in the image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CondaPath {
    /// `hardlink`, `softlink`, `directory` or `unix_python_entry_point`, as `conda-meta` says it.
    pub kind: String,
    /// sha256 of the file as it is in the package; of a link, that of the file it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// sha256 of the file as it lies in the image, where the prefix was replaced; of a link, that of its target's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256_in_prefix: Option<String>,
    /// Bytes of the file in the image; of a link, of the file it leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The prefix that was replaced, and whether as `text` or in a `binary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<(String, String)>,
}

/// What a package says of one of its paths.
#[derive(Debug)]
pub(super) struct Listed {
    pub placeholder: Option<(String, Mode)>,
    pub sha256: Option<String>,
    /// Of a link, as its sha256, that of what it leads to.
    pub size: Option<u64>,
    pub is_file: bool,
    pub is_folder: bool,
}

/// What a package says of itself.
#[derive(Debug)]
pub(super) struct Info {
    /// `index.json` as it stands.
    pub index_text: String,
    name: String,
    version: String,
    build: String,
    pub is_noarch_python: bool,
    /// `name = module:function`.
    pub entry_points: Vec<String>,
    paths: Option<BTreeMap<String, Listed>>,
    /// Of packages without `paths.json`.
    prefixes: HashMap<String, (String, Mode)>,
}

#[derive(Deserialize)]
struct Index {
    name: String,
    version: String,
    build: String,
    #[serde(default)]
    noarch: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Paths {
    paths: Vec<PathEntry>,
}

#[derive(Deserialize)]
struct PathEntry {
    #[serde(rename = "_path")]
    path: String,
    path_type: String,
    #[serde(default)]
    prefix_placeholder: Option<String>,
    #[serde(default)]
    file_mode: Option<String>,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    size_in_bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    noarch: Option<LinkNoarch>,
}

#[derive(Deserialize)]
struct LinkNoarch {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    entry_points: Vec<String>,
}

impl Info {
    /// Reads the files of `info`, by their names in it.
    pub fn read(files: &HashMap<String, Vec<u8>>) -> Result<Self, Fault> {
        let text = |name: &str| {
            let bytes = files.get(name)?;
            Some(
                String::from_utf8(bytes.clone())
                    .map_err(|_| Fault::member(format!("info/{name}"), Problem::NotUtf8)),
            )
        };
        let index_text = text("index.json").ok_or_else(|| Fault::malformed("has no info/index.json"))??;
        let index: Index = json("index.json", &index_text)?;
        let link: Option<Link> =
            text("link.json").transpose()?.map(|text| json("link.json", &text)).transpose()?;
        let noarch = index.noarch.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
        let link = link.and_then(|link| link.noarch);
        let is_noarch_python = noarch == "python"
            || link.as_ref().is_some_and(|noarch| noarch.kind.eq_ignore_ascii_case("python"));
        let paths: Option<Paths> =
            text("paths.json").transpose()?.map(|text| json("paths.json", &text)).transpose()?;
        Ok(Self {
            name: index.name,
            version: index.version,
            build: index.build,
            is_noarch_python,
            entry_points: link.map(|link| link.entry_points).unwrap_or_default(),
            paths: paths.map(listed).transpose()?,
            prefixes: text("has_prefix").transpose()?.map(|text| has_prefix(&text)).unwrap_or_default(),
            index_text,
        })
    }

    /// Refuses an archive whose name is another package's.
    pub fn is_called(&self, file: &str) -> Result<(), Fault> {
        let stem = file.strip_suffix(".conda").or_else(|| file.strip_suffix(".tar.bz2")).unwrap_or(file);
        let own = format!("{}-{}-{}", self.name, self.version, self.build);
        if stem == own {
            return Ok(());
        }
        Err(Fault::malformed(format!("holds {}, which is another package", own.escape_debug())))
    }

    /// What it says of each path; `None` where it lists none.
    pub fn listed(&self) -> Option<HashMap<&str, &Listed>> {
        let paths = self.paths.as_ref()?;
        Some(paths.iter().map(|(path, listed)| (path.as_str(), listed)).collect())
    }

    /// The prefix in a file of a package without `paths.json`.
    pub fn placeholder_of(&self, path: &str) -> Option<(String, Mode)> {
        self.prefixes.get(path).cloned()
    }
}

/// Whether conda would run what lies at `path` under the prefix.
pub(super) fn is_script(path: &str) -> bool {
    let script = path.strip_prefix("bin/.").and_then(|name| name.strip_suffix(".sh"));
    let is_of = |script: &str, kind: &str| script.strip_suffix(kind).is_some_and(|name| name.ends_with('-'));
    script.is_some_and(|script| SCRIPTS.iter().any(|kind| is_of(script, kind)))
}

fn json<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| {
        Fault::member(format!("info/{name}"), Problem::Malformed(format!("cannot be read: {error}")))
    })
}

fn listed(paths: Paths) -> Result<BTreeMap<String, Listed>, Fault> {
    let mut all = BTreeMap::new();
    for entry in paths.paths {
        let mode = match entry.file_mode.as_deref() {
            Some("binary") => Mode::Binary,
            _ => Mode::Text,
        };
        let listed = Listed {
            placeholder: entry
                .prefix_placeholder
                .filter(|placeholder| !placeholder.is_empty())
                .map(|placeholder| (placeholder, mode)),
            sha256: entry.sha256,
            size: entry.size_in_bytes,
            is_file: entry.path_type == "hardlink",
            is_folder: entry.path_type == "directory",
        };
        if all.insert(entry.path.clone(), listed).is_some() {
            return Err(Fault::member(entry.path, Problem::Duplicate));
        }
    }
    Ok(all)
}

/// `info/has_prefix`: `path`, or `placeholder mode path`, where quotes may stand around.
fn has_prefix(text: &str) -> HashMap<String, (String, Mode)> {
    const OLD: &str = "/opt/anaconda1anaconda2anaconda3";
    let word = |word: &str| word.trim_matches('"').to_owned();
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut parts = line.splitn(3, char::is_whitespace);
            match (parts.next(), parts.next(), parts.next()) {
                (Some(placeholder), Some(mode @ ("text" | "binary")), Some(path)) => {
                    let mode = if mode == "binary" { Mode::Binary } else { Mode::Text };
                    (word(path), (word(placeholder), mode))
                }
                _ => (word(line), (OLD.to_owned(), Mode::Text)),
            }
        })
        .collect()
}
