//! Which mirror and which keys: the caller's settings first, then apt's.

use std::fmt;
use std::path::{Path, PathBuf};

use provenv_definition::{Digest, Hasher, Platform, SafeUrl};
use url::Url;

use super::apt::{self, OsRelease, SignedBy, Source};
use super::error::{Error, Result};
use super::openpgp::Keyring;
use super::suite::MAIN;

/// Where Debian packages come from. All of it may be left out: the machine's apt configuration is asked then.
#[derive(Clone)]
pub struct DebianConfig {
    /// The archive: the folder that holds `dists` and `pool`. Credentials do not belong here.
    pub mirror: Option<Url>,
    /// The archive of security updates.
    pub security_mirror: Option<Url>,
    /// The file with the archive's keys, binary or in armour.
    pub keyring: Option<PathBuf>,
    /// Take releases whose time is over, as those of archived suites are.
    pub ignore_valid_until: bool,
    /// The components whose packages are looked at.
    pub components: Vec<String>,
    /// The folder that holds `etc/apt` and `etc/os-release`: `/`, except in tests.
    pub root: PathBuf,
}

impl Default for DebianConfig {
    fn default() -> Self {
        Self {
            mirror: None,
            security_mirror: None,
            keyring: None,
            ignore_valid_until: false,
            components: vec![MAIN.to_owned()],
            root: PathBuf::from("/"),
        }
    }
}

/// Where Ubuntu's archive is, unless a mirror is named.
const UBUNTU: &str = "http://archive.ubuntu.com/ubuntu";
/// The same for other processors than Intel's.
const UBUNTU_PORTS: &str = "http://ports.ubuntu.com/ubuntu-ports";
/// Where the package `ubuntu-keyring`, which Debian has too, puts the keys.
const UBUNTU_KEYRING: &str = "usr/share/keyrings/ubuntu-archive-keyring.gpg";

impl DebianConfig {
    /// The places that it names, and that apt's sources on this machine do; what makes no sense names none.
    pub fn places(&self) -> Vec<Url> {
        let sources = apt::sources(&self.root).into_iter().flat_map(|source| source.uris);
        let sources = sources.filter_map(|uri| Url::parse(&uri).ok());
        [&self.mirror, &self.security_mirror].into_iter().flatten().cloned().chain(sources).collect()
    }

    /// Ubuntu's archive for `platform`: at `mirror`, checked with the keys in `keyring`, where these are given; variables
    /// (`PROVENV_UBUNTU_MIRROR`, `PROVENV_UBUNTU_KEYRING`) go before.
    pub fn ubuntu(mirror: Option<Url>, keyring: Option<PathBuf>, platform: Platform) -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let usual = if platform == Platform::LinuxAmd64 { UBUNTU } else { UBUNTU_PORTS };
        let mirror = match (variable("PROVENV_UBUNTU_MIRROR"), mirror) {
            (Some(text), _) => Url::parse(&text)
                .map_err(|error| Error::NoMirror(format!("PROVENV_UBUNTU_MIRROR is not a URL: {error}")))?,
            (None, Some(mirror)) => mirror,
            (None, None) => Url::parse(usual).expect("the constant is a URL"),
        };
        let keyring = variable("PROVENV_UBUNTU_KEYRING").map(PathBuf::from).or(keyring);
        let keyring = keyring.unwrap_or_else(|| Path::new("/").join(UBUNTU_KEYRING));
        if !keyring.exists() {
            return Err(Error::NoUbuntuKeys(keyring));
        }
        let components = [MAIN, "universe"].map(str::to_owned).into();
        Ok(Self { mirror: Some(mirror), keyring: Some(keyring), components, ..Self::default() })
    }

    /// These settings with those of the environment over them: `PROVENV_DEBIAN_MIRROR`,
    /// `PROVENV_DEBIAN_SECURITY_MIRROR`, `PROVENV_DEBIAN_KEYRING` and `PROVENV_DEBIAN_IGNORE_VALID_UNTIL`.
    pub fn with_environment(self) -> Result<Self> {
        self.with_variables(|name| std::env::var(name).ok())
    }

    fn with_variables(mut self, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let text = |name: &str| variable(name).filter(|value| !value.is_empty());
        let url = |name: &str| match text(name) {
            Some(value) => Url::parse(&value)
                .map(Some)
                // The value may hold a password: it is not shown.
                .map_err(|error| Error::NoMirror(format!("{name} is not a URL: {error}"))),
            None => Ok(None),
        };
        if let Some(mirror) = url("PROVENV_DEBIAN_MIRROR")? {
            // A security mirror from the settings belongs to the mirror it stands beside.
            self.mirror = Some(mirror);
            self.security_mirror = None;
        }
        if let Some(mirror) = url("PROVENV_DEBIAN_SECURITY_MIRROR")? {
            self.security_mirror = Some(mirror);
        }
        if let Some(path) = text("PROVENV_DEBIAN_KEYRING") {
            self.keyring = Some(path.into());
        }
        if let Some(value) = text("PROVENV_DEBIAN_IGNORE_VALID_UNTIL") {
            self.ignore_valid_until = value != "0";
        }
        Ok(self)
    }
}

impl fmt::Debug for DebianConfig {
    /// URLs without their credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let safe = |url: &Option<Url>| url.clone().map(SafeUrl::new);
        f.debug_struct("DebianConfig")
            .field("mirror", &safe(&self.mirror))
            .field("security_mirror", &safe(&self.security_mirror))
            .field("keyring", &self.keyring)
            .field("ignore_valid_until", &self.ignore_valid_until)
            .field("components", &self.components)
            .field("root", &self.root)
            .finish()
    }
}

/// Names that stand for one suite today and for another tomorrow.
pub(super) const CLASSES: [&str; 5] = ["stable", "oldstable", "oldoldstable", "testing", "unstable"];

/// What can be fetched from.
const SCHEMES: [&str; 3] = ["http", "https", "file"];

/// One archive to try.
#[derive(Clone, Debug)]
pub(super) struct Mirror {
    /// Without credentials.
    pub url: Url,
    signed_by: SignedBy,
    /// Whether it was found in apt's configuration, where other archives than Debian's stand too.
    pub found: bool,
}

/// The archives to try, in this order.
#[derive(Clone, Debug)]
pub(super) struct Mirrors {
    pub main: Vec<Mirror>,
    /// Where security updates are; `main` is tried where this is empty.
    pub security: Vec<Mirror>,
}

impl Mirrors {
    /// Finds them.
    pub fn find(config: &DebianConfig) -> Result<Self> {
        let given = |url: &Option<Url>| -> Result<Vec<Mirror>> {
            let Some(url) = url else { return Ok(Vec::new()) };
            if !SCHEMES.contains(&url.scheme()) {
                return Err(Error::NoMirror(
                    "the URL of the mirror is none of http, https or file".to_owned(),
                ));
            }
            Ok(vec![Mirror { url: plain(url.clone()), signed_by: SignedBy::default(), found: false }])
        };
        let mut mirrors = Self { main: given(&config.mirror)?, security: given(&config.security_mirror)? };
        if !mirrors.main.is_empty() {
            return Ok(mirrors);
        }
        let host = OsRelease::read(&config.root);
        if host.id != "debian" {
            let name = if host.name.is_empty() { "not Debian" } else { host.name.as_str() };
            return Err(Error::NoMirror(format!(
                "this machine is {name}, so apt's sources are not Debian's"
            )));
        }
        let sources = apt::sources(&config.root);
        mirrors.main = of_suites(&sources, |suite| is_main(suite, &host));
        if mirrors.main.is_empty() {
            return Err(Error::NoMirror("apt's sources on this machine name none".to_owned()));
        }
        if mirrors.security.is_empty() {
            mirrors.security = of_suites(&sources, |suite| {
                let suite = suite.strip_suffix("/updates").or_else(|| suite.strip_suffix("-security"));
                suite.is_some_and(|suite| is_main(suite, &host))
            });
        }
        Ok(mirrors)
    }

    /// The keys that `mirror` is to be checked with.
    pub fn keys(config: &DebianConfig, mirror: &Mirror) -> Result<Keys> {
        let read = |paths: &[PathBuf]| -> Result<Vec<(String, Vec<u8>)>> {
            let read = |path: &PathBuf| Ok((path.display().to_string(), fs_err::read(path)?));
            paths
                .iter()
                .map(read)
                .collect::<std::io::Result<_>>()
                .map_err(|source| Error::Io { what: "the keyring of the Debian archive".to_owned(), source })
        };
        let mut keys = Keys::default();
        let signed_by = &mirror.signed_by;
        if let Some(path) = &config.keyring {
            keys.files = read(std::slice::from_ref(path))?;
        } else if let Some(key) = &signed_by.inline {
            keys.files.push(("the key in apt's sources".to_owned(), key.clone().into_bytes()));
        } else if !signed_by.files.is_empty() {
            keys.files = read(&signed_by.files)?;
        } else {
            keys.files = read(&trusted(&config.root))?;
            keys.fingerprints.clone_from(&signed_by.fingerprints);
        }
        if keys.files.is_empty() {
            return Err(Error::NoKeyring("this machine has no keyring of Debian".to_owned()));
        }
        Ok(keys)
    }
}

/// Keyring files as they are on disk.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Name and content.
    files: Vec<(String, Vec<u8>)>,
    /// If any: only these keys of them.
    fingerprints: Vec<String>,
}

impl Keys {
    /// A name for exactly these keys.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for (_, content) in &self.files {
            hasher.update(Digest::of(content).as_bytes());
        }
        for fingerprint in &self.fingerprints {
            hasher.update(Digest::of(fingerprint.as_bytes()).as_bytes());
        }
        hasher.finish()
    }

    /// The keys themselves.
    pub fn keyring(&self) -> Result<Keyring> {
        let mut keyring = Keyring::default();
        for (name, content) in &self.files {
            let keys = Keyring::parse(content)
                .map_err(|reason| Error::NoKeyring(format!("{name} cannot be read: {reason}")))?;
            keyring.extend(keys);
        }
        if !self.fingerprints.is_empty() {
            keyring.retain_fingerprints(&self.fingerprints);
        }
        Ok(keyring)
    }
}

/// The keyrings that Debian's own packages put on a machine.
fn trusted(root: &Path) -> Vec<PathBuf> {
    let mut paths = vec![
        root.join("usr/share/keyrings/debian-archive-keyring.gpg"),
        root.join("usr/share/keyrings/debian-archive-keyring.pgp"),
    ];
    paths.retain(|path| path.exists());
    if let Ok(folder) = fs_err::read_dir(root.join("etc/apt/trusted.gpg.d")) {
        let mut found: Vec<PathBuf> = folder
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "gpg" || extension == "asc"))
            .collect();
        found.sort();
        paths.extend(found);
    }
    paths
}

/// The suite that the machine itself is made from, by its code name or a class that Debian uses. Others on the same
/// machine (backports, vendors' own) have names of their own.
fn is_main(suite: &str, host: &OsRelease) -> bool {
    match &host.codename {
        Some(codename) if suite == codename => true,
        _ => CLASSES.contains(&suite) || suite == "sid",
    }
}

fn of_suites(sources: &[Source], wanted: impl Fn(&str) -> bool) -> Vec<Mirror> {
    let mut mirrors: Vec<Mirror> = Vec::new();
    for source in sources {
        let wanted = source.suites.iter().any(|suite| wanted(suite));
        if !wanted || !source.components.iter().any(|component| component.ends_with("main")) {
            continue;
        }
        // `mirror+`, `cdrom:`, `tor+` and the like are apt's own.
        let urls = source.uris.iter().filter_map(|uri| Url::parse(uri).ok());
        for url in urls.filter(|url| SCHEMES.contains(&url.scheme())).map(plain) {
            if mirrors.iter().all(|known| known.url != url) {
                mirrors.push(Mirror { url, signed_by: source.signed_by.clone(), found: true });
            }
        }
    }
    mirrors
}

/// Without credentials, which the fetcher finds where secrets belong.
fn plain(url: Url) -> Url {
    SafeUrl::new(url).as_url().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(os_release: &str, list: &str) -> (tempfile::TempDir, DebianConfig) {
        let root = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(root.path().join("etc/apt")).unwrap();
        fs_err::write(root.path().join("etc/os-release"), os_release).unwrap();
        fs_err::write(root.path().join("etc/apt/sources.list"), list).unwrap();
        let config = DebianConfig { root: root.path().to_owned(), ..DebianConfig::default() };
        (root, config)
    }

    fn urls(mirrors: &[Mirror]) -> Vec<&str> {
        mirrors.iter().map(|mirror| mirror.url.as_str()).collect()
    }

    const BOOKWORM: &str =
        "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\n";

    #[test]
    fn the_archive_of_the_machines_own_suite_is_taken() {
        let list = "\
deb http://vendor.invalid/ cloud-sdk-bookworm main
deb http://vendor.invalid/engine bookworm stable
deb cdrom:[Debian]/ bookworm main
deb http://user:secret@mirror.invalid/debian bookworm main contrib
deb http://mirror.invalid/debian bookworm-updates main
deb http://mirror.invalid/debian bookworm-backports main
deb http://mirror.invalid/security bookworm-security main
";
        let (_root, config) = machine(BOOKWORM, list);
        let mirrors = Mirrors::find(&config).unwrap();
        assert_eq!(urls(&mirrors.main), ["http://mirror.invalid/debian"]);
        assert_eq!(urls(&mirrors.security), ["http://mirror.invalid/security"]);
    }

    #[test]
    fn settings_come_before_apt_and_do_not_mix_with_it() {
        let (_root, mut config) =
            machine(BOOKWORM, "deb http://apt.invalid/security bookworm-security main\n");
        config.mirror = Some("http://mine.invalid/debian".parse().unwrap());
        let mirrors = Mirrors::find(&config).unwrap();
        assert_eq!(urls(&mirrors.main), ["http://mine.invalid/debian"]);
        assert!(mirrors.security.is_empty());
    }

    #[test]
    fn variables_come_before_settings_and_nothing_shows_a_password() {
        let settings = DebianConfig {
            mirror: Some("http://user:hunter2@settings.invalid/debian".parse().unwrap()),
            security_mirror: Some("http://settings.invalid/security".parse().unwrap()),
            ..DebianConfig::default()
        };
        assert!(!format!("{settings:?}").contains("hunter2"));
        let set = |pairs: &'static [(&str, &str)]| {
            settings.clone().with_variables(|name| {
                pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(set(&[("PROVENV_DEBIAN_MIRROR", "")]).unwrap().mirror, settings.mirror);
        let config =
            set(&[("PROVENV_DEBIAN_MIRROR", "file:///mirror"), ("PROVENV_DEBIAN_KEYRING", "/k.gpg")])
                .unwrap();
        assert_eq!(urls(&Mirrors::find(&config).unwrap().main), ["file:///mirror"]);
        assert!(config.security_mirror.is_none() && config.keyring == Some("/k.gpg".into()));
        assert!(set(&[("PROVENV_DEBIAN_IGNORE_VALID_UNTIL", "1")]).unwrap().ignore_valid_until);
        let error =
            set(&[("PROVENV_DEBIAN_MIRROR", "user:hunter2@host")]).map(|config| Mirrors::find(&config));
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn a_machine_that_is_not_debian_is_told_so() {
        let list = "deb http://mirror.invalid/ubuntu noble main\n";
        let (_root, config) = machine("ID=ubuntu\nID_LIKE=debian\nPRETTY_NAME=\"Ubuntu 24.04\"\n", list);
        let error = Mirrors::find(&config).unwrap_err();
        assert!(error.to_string().contains("Ubuntu 24.04"), "{error}");
        assert!(error.hint().unwrap().contains("PROVENV_DEBIAN_MIRROR"));
    }

    #[test]
    fn a_machine_without_keys_is_told_so() {
        let (_root, config) = machine(BOOKWORM, "deb http://mirror.invalid/debian bookworm main\n");
        let mirrors = Mirrors::find(&config).unwrap();
        let error = Mirrors::keys(&config, &mirrors.main[0]).unwrap_err();
        assert!(matches!(error, Error::NoKeyring(_)), "{error}");
    }
}
