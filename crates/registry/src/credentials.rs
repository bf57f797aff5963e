//! Credentials for registries, from where `docker login` and `podman login` leave them (containers-auth.json(5)).

use std::collections::HashMap;
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use provenv_fetch::HostCredentials;
use serde::Deserialize;

use crate::{Error, Reference};

/// The files that may hold credentials, in the order they are asked.
#[derive(Clone, Debug)]
pub struct Keychain {
    files: Vec<PathBuf>,
    /// Those that were given, which come before files: by `HOST[:PORT]`.
    given: Vec<(String, Login)>,
    /// Those of hosts, in place of the files.
    hosts: Option<HostCredentials>,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What is read of such a file.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AuthFile {
    auths: HashMap<String, AuthEntry>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AuthEntry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// What a credential helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    username: String,
    secret: String,
}

impl Keychain {
    /// The files of this user: `REGISTRY_AUTH_FILE`, podman's in the runtime and configuration folders, docker's.
    pub fn of_user() -> Self {
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = variable("HOME");
        let in_home = |path: &str| home.as_ref().map(|home| home.join(path));
        let files = [
            variable("REGISTRY_AUTH_FILE"),
            variable("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
            // Where podman keeps it for who has no such folder, as root in a container or a unit of systemd. Others may not
            // even look into it.
            Some(PathBuf::from(format!("/run/containers/{}/auth.json", nix::unistd::getuid())))
                .filter(|file| file.exists()),
            variable("XDG_CONFIG_HOME")
                .or_else(|| in_home(".config"))
                .map(|folder| folder.join("containers/auth.json")),
            variable("DOCKER_CONFIG").or_else(|| in_home(".docker")).map(|folder| folder.join("config.json")),
        ];
        Self { files: files.into_iter().flatten().collect(), given: Vec::new(), hosts: None }
    }

    /// These files and no others.
    pub fn of_files(files: Vec<PathBuf>) -> Self {
        Self { files, given: Vec::new(), hosts: None }
    }

    /// Those of hosts, and no files.
    pub fn of_hosts(hosts: HostCredentials) -> Self {
        Self { hosts: Some(hosts), ..Self::of_files(Vec::new()) }
    }

    /// With a login for the registry at `HOST[:PORT]`, which comes before those in files.
    #[must_use]
    pub fn with_login(mut self, registry: &str, username: &str, password: &str) -> Self {
        let login = Login { username: username.to_owned(), password: password.to_owned() };
        self.given.push((registry.to_owned(), login));
        self
    }

    /// The login for `reference`, if there is one: that of the longest name that contains it. `plain`: it is to be spoken to
    /// without TLS, which credentials of hosts are only for where that was said.
    pub(crate) fn login(&self, reference: &Reference, plain: bool) -> Result<Option<Login>, Error> {
        if let Some((_, login)) = self.given.iter().find(|(registry, _)| registry == reference.registry()) {
            return Ok(Some(login.clone()));
        }
        if let Some(hosts) = &self.hosts {
            let scheme = if plain { "http://" } else { "https://" };
            let written = format!("{scheme}{}", reference.registry());
            let Some(origin) = HostCredentials::origin(&written) else { return Ok(None) };
            let found = hosts.find(&origin).map_err(|why| Error::Unusable {
                registry: reference.registry().to_owned(),
                why: why.to_string(),
            })?;
            return Ok(found.map(|found| Login { username: found.username, password: found.password }));
        }
        for path in &self.files {
            let wrong = |reason: String| Error::AuthFile { path: path.display().to_string(), reason };
            let bytes = match fs_err::read(path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(wrong(error.kind().to_string())),
            };
            // Not the error's own text: it may quote what is in the file.
            let file: AuthFile = serde_json::from_slice(&bytes)
                .map_err(|error| wrong(format!("line {} is not as expected", error.line())))?;
            if let Some(login) = file.login(reference)? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}

impl AuthFile {
    fn login(&self, reference: &Reference) -> Result<Option<Login>, Error> {
        let registry = reference.registry();
        if let Some(name) = self.cred_helpers.get(registry) {
            return ask(&format!("docker-credential-{name}"), registry);
        }
        for name in names(reference) {
            let entry = self.auths.iter().find(|(key, _)| host_and_path(key) == name).map(|(_, entry)| entry);
            if let Some(login) = entry.and_then(AuthEntry::login) {
                return Ok(Some(login));
            }
        }
        match &self.creds_store {
            Some(name) => ask(&format!("docker-credential-{name}"), registry),
            None => Ok(None),
        }
    }
}

impl AuthEntry {
    fn login(&self) -> Option<Login> {
        let auth = self.auth.as_deref().filter(|auth| !auth.is_empty());
        if let Some(auth) = auth {
            let text = String::from_utf8(BASE64_STANDARD.decode(auth.trim()).ok()?).ok()?;
            let (username, password) = text.split_once(':')?;
            // Docker pads the text with zero bytes.
            let password = password.trim_end_matches('\0');
            return Some(Login { username: username.to_owned(), password: password.to_owned() });
        }
        Some(Login { username: self.username.clone()?, password: self.password.clone()? })
    }
}

/// The names under which credentials for `reference` may be kept, the longest first.
fn names(reference: &Reference) -> Vec<String> {
    let mut name = format!("{}/{}", reference.registry(), reference.repository());
    let mut names = vec![name.clone()];
    // Under which docker keeps the login of its own registry.
    if reference.registry() == "docker.io" {
        names.push("index.docker.io".to_owned());
    }
    while let Some((shorter, _)) = name.rsplit_once('/') {
        name = shorter.to_owned();
        names.push(name.clone());
    }
    names
}

/// A key without its scheme and API version: `https://host/v1/` → `host`.
fn host_and_path(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

/// Asks a credential helper (docker-credential-helpers, "protocol").
fn ask(helper: &str, registry: &str) -> Result<Option<Login>, Error> {
    let wrong =
        |reason: String| Error::Helper { helper: helper.to_owned(), registry: registry.to_owned(), reason };
    let mut child = Command::new(helper)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| wrong(error.kind().to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input has answered already.
        let _ = stdin.write_all(registry.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| wrong(error.kind().to_string()))?;
    if !output.status.success() {
        // The words that the protocol prescribes for "none".
        if String::from_utf8_lossy(&output.stdout).contains("credentials not found") {
            return Ok(None);
        }
        return Err(wrong(format!("it ended with {}", output.status)));
    }
    let answer: Helped = serde_json::from_slice(&output.stdout)
        .map_err(|_| wrong("its answer is not as expected".to_owned()))?;
    Ok(Some(Login { username: answer.username, password: answer.secret }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(json: &str, reference: &str) -> Option<Login> {
        let file: AuthFile = serde_json::from_str(json).unwrap();
        file.login(&reference.parse().unwrap()).unwrap()
    }

    fn login_of(username: &str, password: &str) -> Login {
        Login { username: username.into(), password: password.into() }
    }

    #[test]
    fn the_longest_name_wins() {
        // "me:secret", "team:pa:ss"
        let json = r#"{"auths": {
            "registry.invalid": {"auth": "bWU6c2VjcmV0"},
            "https://other.invalid/v1/": {"auth": "bWU6c2VjcmV0"},
            "registry.invalid/team": {"auth": "dGVhbTpwYTpzcw=="}
        }}"#;
        assert_eq!(login(json, "registry.invalid/digits:1"), Some(login_of("me", "secret")));
        assert_eq!(login(json, "registry.invalid/team/digits:1"), Some(login_of("team", "pa:ss")));
        assert_eq!(login(json, "registry.invalid/teammate/digits:1"), Some(login_of("me", "secret")));
        assert_eq!(login(json, "other.invalid/digits:1"), Some(login_of("me", "secret")));
        assert_eq!(login(json, "registry.invalid:5000/digits:1"), None);
    }

    #[test]
    fn broken_entries_are_no_credentials() {
        assert_eq!(login(r#"{"auths": {"a.invalid": {"auth": "%%%"}}}"#, "a.invalid/x"), None);
        assert_eq!(login(r#"{"auths": {"a.invalid": {}}}"#, "a.invalid/x"), None);
        assert_eq!(login("{}", "a.invalid/x"), None);
    }

    #[test]
    fn neither_debug_nor_errors_show_a_password() {
        let login = login_of("me", "hunter2");
        assert!(!format!("{login:?}").contains("hunter2"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs_err::write(&path, r#"{"auths": {"a.invalid": {"auth": ["hunter2"]}}}"#).unwrap();
        let error = Keychain::of_files(vec![path]).login(&"a.invalid/x".parse().unwrap(), false).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn helpers_are_asked() {
        let folder = tempfile::tempdir().unwrap();
        let helper = folder.path().join("docker-credential-provenv-test");
        fs_err::write(
            &helper,
            "#!/bin/sh\nread host\ncase \"$host\" in\n\
             known.invalid) echo '{\"ServerURL\":\"x\",\"Username\":\"me\",\"Secret\":\"hunter2\"}' ;;\n\
             *) echo 'credentials not found in native keychain'; exit 1 ;;\nesac\n",
        )
        .unwrap();
        fs_err::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let helper = helper.to_str().unwrap();
        assert_eq!(ask(helper, "known.invalid").unwrap(), Some(login_of("me", "hunter2")));
        assert_eq!(ask(helper, "unknown.invalid").unwrap(), None);
        let error = ask("docker-credential-that-is-not-there", "known.invalid").unwrap_err();
        assert!(error.to_string().contains("that-is-not-there"), "{error}");
    }
}
