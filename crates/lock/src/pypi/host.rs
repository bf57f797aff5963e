//! What this machine says about package indexes, certificates and proxies: variables of the environment, and the
//! configuration files of uv and pip.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::{Error, Result};

/// Variables and files of a machine.
#[derive(Clone)]
pub struct Host {
    variables: BTreeMap<String, String>,
    root: PathBuf,
}

/// Handed on to uv in the sandbox: how to get out of the building, and how patient to be.
const PASSED_ON: &[&str] = &[
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_HTTP_CONNECT_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_HTTP_TIMEOUT",
    "UV_INSECURE_HOST",
];

/// Where distributions keep all the certificates they trust in one file.
const CA_BUNDLES: &[&str] = &[
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
];

impl Default for Host {
    fn default() -> Self {
        Self::this_machine()
    }
}

impl fmt::Debug for Host {
    /// Values of variables may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Host {
    /// This process's environment and this machine's files.
    pub fn this_machine() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            // A name or value that is no text is none of those we ask for.
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self { variables: variables.collect(), root: "/".into() }
    }

    /// A machine with these variables, whose files are below `root`.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>, root: impl Into<PathBuf>) -> Self {
        Self { variables: variables.into_iter().collect(), root: root.into() }
    }

    /// The value of a variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Variables that uv in the sandbox gets as they are.
    pub(super) fn passed_on(&self) -> impl Iterator<Item = (String, String)> {
        let pair = |name: &&str| Some(((*name).to_owned(), self.variable(name)?.to_owned()));
        PASSED_ON.iter().filter_map(pair)
    }

    /// The default index: of variables, then of the user's files, then of the system's, uv's before pip's. It may hold
    /// credentials.
    ///
    /// One that cannot be used is an error: to go on with another one would bring a stranger's packages.
    pub(super) fn index(&self) -> Result<Option<Url>> {
        for name in ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"] {
            if let Some(url) = self.index_of(name)? {
                return Ok(Some(url));
            }
        }
        let uv = |files| self.uv_files(files);
        Ok(uv(self.user_folders("uv/uv.toml"))?
            .or(pip_index(self.pip_user_files())?)
            .or(uv(vec![self.root.join("etc/uv/uv.toml")])?)
            .or(pip_index(self.pip_system_files())?))
    }

    /// The places that it names; what cannot be used names none.
    pub fn places(&self) -> Vec<Url> {
        [self.index_of("PROVENV_PYPI_INDEX"), self.index()]
            .into_iter()
            .filter_map(|index| index.ok().flatten())
            .collect()
    }

    /// The index that a variable names, if it is set.
    pub(super) fn index_of(&self, variable: &str) -> Result<Option<Url>> {
        self.variable(variable).map(|text| index_url(text, variable)).transpose()
    }

    /// The file with the certificates that this machine trusts.
    pub(super) fn ca_bundle(&self) -> Option<PathBuf> {
        let usual = || CA_BUNDLES.iter().map(|file| self.root.join(file)).find(|file| file.is_file());
        self.named_ca_bundle().or_else(usual)
    }

    /// The file with certificates that the user names, in a variable or for pip.
    pub fn named_ca_bundle(&self) -> Option<PathBuf> {
        let named = ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]
            .into_iter()
            .filter_map(|name| self.variable(name))
            .map(PathBuf::from)
            .find(|file| file.is_file());
        let files = self.pip_user_files().into_iter().chain(self.pip_system_files());
        let pip = || {
            let values = files.filter_map(|file| ini_value(&file, "cert"));
            values.map(|(_, value)| PathBuf::from(value)).find(|file| file.is_file())
        };
        named.or_else(pip)
    }

    fn user_folders(&self, file: &str) -> Vec<PathBuf> {
        let xdg = self.variable("XDG_CONFIG_HOME").map(PathBuf::from);
        let home = || self.variable("HOME").map(|home| Path::new(home).join(".config"));
        xdg.or_else(home).map(|folder| folder.join(file)).into_iter().collect()
    }

    fn pip_user_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            self.variable("PIP_CONFIG_FILE").map(PathBuf::from).into_iter().collect();
        files.extend(self.user_folders("pip/pip.conf"));
        files.extend(self.variable("HOME").map(|home| Path::new(home).join(".pip/pip.conf")));
        files
    }

    fn pip_system_files(&self) -> Vec<PathBuf> {
        vec![self.root.join("etc/xdg/pip/pip.conf"), self.root.join("etc/pip.conf")]
    }

    fn uv_files(&self, files: Vec<PathBuf>) -> Result<Option<Url>> {
        let named = self.variable("UV_CONFIG_FILE").map(PathBuf::from);
        named.into_iter().chain(files).find_map(|file| uv_index(&file).transpose()).transpose()
    }
}

/// `[name=]url`, as `UV_DEFAULT_INDEX` has it, or an absolute path; `place` says where it stands.
fn index_url(text: &str, place: &str) -> Result<Url> {
    let text = text.trim();
    let url = match text.split_once('=') {
        Some((name, url)) if !name.contains([':', '/']) => url,
        _ => text,
    };
    let parsed = if url.starts_with('/') { Url::from_file_path(url).ok() } else { Url::parse(url).ok() };
    match parsed {
        Some(parsed) => fetchable(parsed, place),
        None => Err(no_index(url, place)),
    }
}

/// `url`, if an index can be asked there. `host:8080/simple` is a URL, with the scheme `host`.
pub(super) fn fetchable(url: Url, place: &str) -> Result<Url> {
    let can = matches!(url.scheme(), "http" | "https" | "file");
    if can { Ok(url) } else { Err(no_index(url.as_str(), place)) }
}

fn no_index(url: &str, place: &str) -> Error {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    // What stands before `@` may be a password, whatever the rest is.
    let rest = rest.rsplit('@').next().unwrap_or(rest);
    let url = if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") };
    Error::Index { place: place.to_owned(), url: provenv_definition::mask_secrets(&url) }
}

/// The default index of the first `pip.conf` that has one.
fn pip_index(files: Vec<PathBuf>) -> Result<Option<Url>> {
    let found = files.into_iter().find_map(|file| {
        let (line, value) = ini_value(&file, "index-url").filter(|(_, value)| !value.is_empty())?;
        Some((value, format!("line {line} of {}", file.display())))
    });
    found.map(|(value, place)| index_url(&value, &place)).transpose()
}

/// The default index of a `uv.toml`.
fn uv_index(file: &Path) -> Result<Option<Url>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Settings {
        index_url: Option<String>,
        #[serde(default)]
        index: Vec<Index>,
        pip: Option<Pip>,
    }
    #[derive(Deserialize)]
    struct Index {
        url: String,
        #[serde(default)]
        default: bool,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Pip {
        index_url: Option<String>,
    }

    let Ok(text) = fs_err::read_to_string(file) else { return Ok(None) };
    let settings: Settings = toml::from_str(&text).map_err(|error| Error::UvSettings {
        path: file.to_owned(),
        message: provenv_definition::mask_secrets(error.to_string().trim_end()),
    })?;
    let default = settings.index.into_iter().find(|index| index.default).map(|index| index.url);
    let url = settings.pip.and_then(|pip| pip.index_url).or(default).or(settings.index_url);
    url.map(|url| index_url(&url, &file.display().to_string())).transpose()
}

/// The value of `key` in a `pip.conf` and the number of its line: of `[install]`, else of `[global]`.
fn ini_value(file: &Path, key: &str) -> Option<(usize, String)> {
    let text = fs_err::read_to_string(file).ok()?;
    let mut section = "";
    let mut found = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.trim();
        } else if let Some((name, value)) = line.split_once(['=', ':'])
            && name.trim().replace('_', "-") == key
        {
            found.insert(section, (number, value.trim().to_owned()));
        }
    }
    found.remove("install").or_else(|| found.remove("global"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(root: &Path, variables: &[(&str, &str)]) -> Host {
        Host::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), root)
    }

    fn index(root: &Path, variables: &[(&str, &str)]) -> Option<String> {
        host(root, variables).index().unwrap().map(Into::into)
    }

    fn write(root: &Path, file: &str, text: &str) {
        let file = root.join(file);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, text).unwrap();
    }

    #[test]
    fn the_nearest_index_counts() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let home = root.join("home");
        let home = home.to_str().unwrap();
        assert_eq!(index(root, &[("HOME", home)]), None);

        write(root, "etc/pip.conf", "[global]\nindex_url: https://pip-system.test/simple\n");
        assert_eq!(index(root, &[("HOME", home)]).unwrap(), "https://pip-system.test/simple");
        write(root, "etc/uv/uv.toml", "index-url = 'https://uv-system.test/simple'\n");
        assert_eq!(index(root, &[]).unwrap(), "https://uv-system.test/simple");
        write(
            root,
            "home/.pip/pip.conf",
            "[global]\nindex-url = https://g.test/\n[install]\nindex-url=https://i.test/\n",
        );
        assert_eq!(index(root, &[("HOME", home)]).unwrap(), "https://i.test/");
        let uv = "[[index]]\nurl = 'https://extra.test/'\n[[index]]\nurl = 'https://uv-user.test/'\ndefault = true\n";
        write(root, "home/.config/uv/uv.toml", uv);
        assert_eq!(index(root, &[("HOME", home)]).unwrap(), "https://uv-user.test/");

        let mut variables = vec![("HOME", home), ("PIP_INDEX_URL", "https://me:secret@pip.test/")];
        assert_eq!(index(root, &variables).unwrap(), "https://me:secret@pip.test/");
        variables.push(("UV_DEFAULT_INDEX", "corp=https://uv.test/simple?a=b"));
        assert_eq!(index(root, &variables).unwrap(), "https://uv.test/simple?a=b");
        variables.push(("UV_DEFAULT_INDEX", ""));
        assert_eq!(index(root, &variables).unwrap(), "https://me:secret@pip.test/");
    }

    #[test]
    fn an_index_that_is_none_is_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let error = |variables: &[(&str, &str)]| host(root, variables).index().unwrap_err().to_string();
        let without = "packages.test/simple";
        for name in ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"] {
            for url in [without, "packages.test:8080/simple", "ftp://packages.test/simple", "./simple"] {
                let text = error(&[(name, url)]);
                assert!(text.contains(name) && text.contains(url), "{text}");
            }
        }
        let text = error(&[("PIP_INDEX_URL", "me:hunter2@packages.test/simple")]);
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(index(root, &[("PIP_INDEX_URL", "/srv/simple")]).unwrap(), "file:///srv/simple");

        write(root, "etc/pip.conf", &format!("[global]\nindex-url = {without}\n"));
        let text = error(&[]);
        assert!(text.contains("line 2") && text.contains("etc/pip.conf") && text.contains(without), "{text}");
        write(root, "etc/uv/uv.toml", &format!("index-url = '{without}'"));
        let text = error(&[]);
        assert!(text.contains("uv.toml") && text.contains(without), "{text}");
        write(root, "etc/uv/uv.toml", "index-url = [");
        let text = error(&[]);
        assert!(text.contains("uv.toml") && text.contains("line 1"), "{text}");
    }

    #[test]
    fn certificates_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(host(root, &[]).ca_bundle(), None);
        write(root, "etc/ssl/certs/ca-certificates.crt", "usual");
        assert!(host(root, &[]).ca_bundle().unwrap().ends_with("ca-certificates.crt"));
        write(root, "corp.pem", "corp");
        let corp = root.join("corp.pem");
        let corp = corp.to_str().unwrap();
        write(root, "etc/pip.conf", &format!("[global]\ncert = {corp}\n"));
        assert!(host(root, &[]).ca_bundle().unwrap().ends_with("corp.pem"));
        assert!(
            host(root, &[("SSL_CERT_FILE", "/nowhere"), ("PIP_CERT", corp)])
                .ca_bundle()
                .unwrap()
                .ends_with("corp.pem")
        );
    }

    #[test]
    fn nothing_secret_is_shown() {
        let host = host(Path::new("/"), &[("UV_INDEX_URL", "https://me:hunter2@host.test/")]);
        assert!(!format!("{host:?}").contains("hunter2"));
    }
}
