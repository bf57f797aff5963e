//! Who we are to a server: where user names and passwords come from. They are kept in memory only.
//!
//! In this order, the first that has an answer wins:
//! 1. the URL's own `user:password@`, in which `${VARIABLE}` stands for the environment variable's value;
//! 2. what an earlier URL of the same origin brought along (an index's credentials serve for its files);
//! 3. `PROVENV_INDEX_<NAME>_USERNAME` and `…_PASSWORD`, or the same with `UV_INDEX_`, where `<NAME>` is the host in
//!    upper case with `_` for whatever is no letter or digit; a port that is not the scheme's own is added
//!    (`pypi.example:8443` is `PYPI_EXAMPLE_8443`), and the name without it works too. Several hosts have one such name, so
//!    this is for hosts that the user named, and not for those that an index or a redirect leads to;
//! 4. what pixi and rattler keep by host: the file that `RATTLER_AUTH_FILE` names, and `~/.rattler/credentials.json`;
//! 5. netrc: the file that `NETRC` names, or `~/.netrc`;
//! 6. `keyring get <URL or host> <user>`, where the user is known and the program is there.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use percent_encoding::percent_decode_str;
use provenv_definition::SafeUrl;
use rattler_networking::authentication_storage::backends::file::FileStorage;
use rattler_networking::{Authentication as Stored, AuthenticationStorage};
use serde::Deserialize;
use url::Url;

use crate::netrc::{self, Entry};
use crate::{Error, Result};

/// How a URL's reader writes the `${` of a variable.
const VARIABLE: &str = "$%7B";

/// A user name and a password for one server.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name; tokens are often given here, with an empty password.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    /// Both are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(****)")
    }
}

/// How we say who we are.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// A user and a password, or a token in place of either.
    Basic(Credentials),
    /// A token in the `Authorization` header.
    Bearer(String),
    /// A token before the path, as conda's servers take it.
    PathToken(String),
}

impl fmt::Debug for Authentication {
    /// All are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authentication(****)")
    }
}

/// Credentials that are kept for an origin and cannot be had: why, in words for whoever asks for them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// What [`HostCredentials`] has for an origin.
pub type Kept = Option<std::result::Result<Credentials, Unusable>>;

/// Credentials by the exact origin: scheme, host and port. Whoever gives these gives no others: no variables, files or programs
/// are asked.
///
/// An origin is written `HOST` or `HOST:PORT`, which is meant with TLS, or `http://HOST:PORT`, without: nobody's password is sent
/// in clear unless that was said.
#[derive(Clone)]
pub struct HostCredentials(Arc<dyn Fn(&str) -> Kept + Send + Sync>);

impl HostCredentials {
    /// The variable in which a server hands them to the processes of its builds: an object in JSON, by origin.
    pub const VARIABLE: &str = "PROVENV_CREDENTIALS";

    /// Those that `find` has for an origin, as [`HostCredentials::origin`] writes it.
    pub fn new(find: impl Fn(&str) -> Kept + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// Those of the variable, if it is set. What cannot be read names none.
    pub fn of_environment() -> Option<Self> {
        #[derive(Deserialize)]
        struct Pair {
            #[serde(default)]
            username: String,
            #[serde(default)]
            password: String,
            /// In place of both: why they cannot be had.
            #[serde(default)]
            error: Option<String>,
        }
        let text = std::env::var_os(Self::VARIABLE)?;
        // Not the error's own text: it may quote a secret.
        let parsed: HashMap<String, Pair> =
            serde_json::from_str(&text.to_string_lossy()).unwrap_or_else(|_| {
                tracing::warn!("{} is not an object of hosts in JSON, and counts as empty", Self::VARIABLE);
                HashMap::new()
            });
        let parsed: HashMap<String, Pair> = parsed
            .into_iter()
            .map(|(origin, pair)| (Self::origin(&origin).unwrap_or(origin), pair))
            .collect();
        Some(Self::new(move |origin| {
            let Pair { username, password, error } = parsed.get(origin)?;
            if let Some(why) = error {
                return Some(Err(Unusable(why.clone())));
            }
            Some(Ok(Credentials { username: username.clone(), password: password.clone() }))
        }))
    }

    /// An origin as it is compared, of what a user wrote: `HOST`, `HOST:PORT`, the same after `https://`, or after `http://`. In
    /// lower case, without the port that the scheme has anyway; `None` where it is none.
    pub fn origin(text: &str) -> Option<String> {
        let text = text.trim().to_ascii_lowercase();
        let (scheme, rest, usual) = match text.strip_prefix("http://") {
            Some(rest) => ("http://", rest, "80"),
            None => ("", text.strip_prefix("https://").unwrap_or(&text), "443"),
        };
        let (name, port) = match rest.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (rest, None),
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_port = port.is_none_or(|port| {
            port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port)
        });
        if name.is_empty() || name.len() > 253 || !name.chars().all(is_word) || !is_port {
            return None;
        }
        let port = port.filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{scheme}{name}{port}"))
    }

    /// Those for an origin.
    pub fn find(&self, origin: &str) -> std::result::Result<Option<Credentials>, Unusable> {
        (self.0)(origin).transpose()
    }

    fn find_for(&self, url: &Url) -> Result<Option<Credentials>> {
        let scheme = match url.scheme() {
            "https" => "",
            "http" => "http://",
            _ => return Ok(None),
        };
        let Some(host) = url.host_str() else { return Ok(None) };
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        self.find(&format!("{scheme}{host}{port}"))
            .map_err(|why| Error::Credentials { host: host.to_owned(), why })
    }
}

impl fmt::Debug for HostCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostCredentials(****)")
    }
}

type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where credentials are looked for.
#[derive(Clone)]
pub struct CredentialSources {
    variables: Variables,
    netrc: Option<PathBuf>,
    keyring: Option<PathBuf>,
    rattler: Vec<PathBuf>,
    hosts: Option<HostCredentials>,
}

impl CredentialSources {
    /// The environment of this process, its user's netrc file, and the `keyring` program.
    pub fn of_process() -> Self {
        Self {
            variables: Arc::new(|name| std::env::var(name).ok()),
            netrc: std::env::var_os("NETRC")
                .map(PathBuf::from)
                .or_else(|| Some(std::env::home_dir()?.join(".netrc"))),
            keyring: Some("keyring".into()),
            rattler: std::env::var_os("RATTLER_AUTH_FILE")
                .filter(|file| !file.is_empty())
                .map(PathBuf::from)
                .into_iter()
                .chain(std::env::home_dir().map(|home| home.join(".rattler/credentials.json")))
                .collect(),
            hosts: None,
        }
    }

    /// These and nothing else.
    pub fn new(
        variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
        netrc: Option<PathBuf>,
        keyring: Option<PathBuf>,
    ) -> Self {
        Self { variables: Arc::new(variables), netrc, keyring, rattler: Vec::new(), hosts: None }
    }

    /// Those of hosts, and nothing else.
    pub fn of_hosts(hosts: HostCredentials) -> Self {
        Self { hosts: Some(hosts), ..Self::new(|_| None, None, None) }
    }

    /// These, and files that pixi or rattler wrote.
    #[must_use]
    pub fn with_rattler_files(mut self, files: Vec<PathBuf>) -> Self {
        self.rattler = files;
        self
    }
}

impl Default for CredentialSources {
    fn default() -> Self {
        Self::of_process()
    }
}

impl fmt::Debug for CredentialSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialSources")
            .field("netrc", &self.netrc)
            .field("keyring", &self.keyring)
            .field("rattler", &self.rattler)
            .finish_non_exhaustive()
    }
}

/// The `<NAME>` of a URL's variables: host and, if it is not the scheme's own, port.
pub(crate) fn index_name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let text = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}_{port}"));
    letters(&text)
}

/// As variables can be called.
fn letters(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// Looks credentials up and remembers them by origin.
pub(crate) struct Keychain {
    sources: CredentialSources,
    netrc: OnceLock<Vec<Entry>>,
    rattler: OnceLock<AuthenticationStorage>,
    /// `None` where none were found.
    known: Mutex<HashMap<Asked, Option<Authentication>>>,
    /// Origins that a stranger named.
    strange: Mutex<HashSet<String>>,
    /// Hosts that the user named.
    named: Mutex<HashSet<String>>,
}

/// An origin and, where one is asked for, a user.
type Asked = (String, Option<String>);

impl Keychain {
    pub(crate) fn new(sources: CredentialSources) -> Self {
        Self {
            sources,
            netrc: OnceLock::new(),
            rattler: OnceLock::new(),
            known: Mutex::default(),
            strange: Mutex::default(),
            named: Mutex::default(),
        }
    }

    /// Notes that the user named the host of `url`, unless a stranger did.
    pub(crate) fn trust(&self, url: &Url) {
        if self.is_strange(url) {
            return;
        }
        let Some(host) = url.host_str() else { return };
        if self.named.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned()) {
            // What was not to be had before may be now.
            self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, found| found.is_some());
        }
    }

    fn is_named(&self, url: &Url) -> bool {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        url.host_str().is_some_and(|host| named.contains(host))
    }

    /// Whether another host that the user named has variables of the same name: nobody can tell whose they are then.
    fn is_shared(&self, url: &Url) -> bool {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let own = url.host_str().unwrap_or_default();
        let shared = named.iter().any(|host| host != own && letters(host) == letters(own));
        if shared {
            tracing::warn!(host = own, "another host has variables of the same name: they are for neither");
        }
        shared
    }

    /// Notes that a stranger named the origin of `url`.
    pub(crate) fn distrust(&self, url: &Url) {
        let mut strange = self.strange.lock().unwrap_or_else(PoisonError::into_inner);
        strange.insert(url.origin().ascii_serialization());
    }

    fn is_strange(&self, url: &Url) -> bool {
        let strange = self.strange.lock().unwrap_or_else(PoisonError::into_inner);
        strange.contains(&url.origin().ascii_serialization())
    }

    /// The credentials for `url`. May read a file and run `keyring`, the first time. `redirected`: a server sent us
    /// there, so that only what names the host counts.
    pub(crate) fn find(&self, url: &Url, redirected: bool) -> Result<Option<Authentication>> {
        let origin = url.origin().ascii_serialization();
        let redirected = redirected || self.is_strange(url);
        // Variables are for those who wrote the definition to name. In a server's answer they would hand it any secret.
        let value = |text: &str| if redirected { Ok(None) } else { self.expand(url, text) };
        let username = value(url.username())?.filter(|username| !username.is_empty());
        let password = value(url.password().unwrap_or_default())?;
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let basic = |username, password| Authentication::Basic(Credentials { username, password });
        let found = match (username, password) {
            (username, Some(password)) => Some(basic(username.unwrap_or_default(), password)),
            // A variable alone names a token; a plain name is a user whose password is elsewhere.
            (Some(token), None) if url.username().contains(VARIABLE) => Some(basic(token, String::new())),
            (username, None) if self.sources.hosts.is_some() => {
                // Asked for each time: a secret may be set anew. It is for the very host that is asked, whoever led there.
                let found = match &self.sources.hosts {
                    Some(hosts) => hosts.find_for(url)?,
                    None => None,
                };
                let found =
                    found.filter(|found| username.as_ref().is_none_or(|name| *name == found.username));
                let alone = || username.clone().map(|username| basic(username, String::new()));
                return Ok(found.map(Authentication::Basic).or_else(alone));
            }
            (username, None) => {
                let key = (origin, username);
                if let Some(known) = known().get(&key) {
                    return Ok(known.clone());
                }
                let found = self.look_up(url, key.1.as_deref(), redirected);
                // Where only the user is known, the server may still be content with the name.
                let found = found.or_else(|| key.1.clone().map(|username| basic(username, String::new())));
                // What a redirect may not have, the URL itself may.
                if found.is_some() || !redirected {
                    known().insert(key, found.clone());
                }
                return Ok(found);
            }
        };
        // The origin's other URLs, such as an index's files, go with the same.
        known().insert((origin, None), found.clone());
        Ok(found)
    }

    fn look_up(&self, url: &Url, username: Option<&str>, redirected: bool) -> Option<Authentication> {
        // `a-b.example` and `a.b.example` have the same variables: whoever may choose the host could choose the other one.
        let (env_username, env_password) =
            if self.is_named(url) && !self.is_shared(url) { self.variables_for(url) } else { (None, None) };
        let username = username.map(str::to_owned).or(env_username);
        let basic = |username, password| Some(Authentication::Basic(Credentials { username, password }));
        if let Some(password) = env_password {
            return basic(username.unwrap_or_default(), password);
        }
        if let Some(found) = self.of_rattler(url, username.as_deref()) {
            return Some(found);
        }
        let host = url.host_str()?;
        let entries = self.netrc.get_or_init(|| self.read_netrc());
        if let Some(entry) = netrc::find(entries, host, username.as_deref(), !redirected) {
            return basic(entry.login.clone(), entry.password.clone());
        }
        let username = username?;
        let mut bare = url.clone();
        // Fail only for URLs without a host.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        bare.set_query(None);
        bare.set_fragment(None);
        let password = [bare.as_str(), host].iter().find_map(|service| self.ask_keyring(service, &username));
        basic(username, password.unwrap_or_default())
    }

    /// What pixi or rattler keeps for the host of `url`, or for a pattern that it fits.
    fn of_rattler(&self, url: &Url, username: Option<&str>) -> Option<Authentication> {
        let storage = self.rattler.get_or_init(|| {
            let mut storage = AuthenticationStorage::empty();
            for file in self.sources.rattler.iter().filter(|file| file.exists()) {
                match FileStorage::from_path(file.clone()) {
                    Ok(file) => storage.add_backend(Arc::new(file)),
                    Err(error) => {
                        tracing::warn!(file = %file.display(), %error, "failed to read credentials");
                    }
                }
            }
            storage
        });
        if storage.backends.is_empty() {
            return None;
        }
        let (_, found) = storage.get_by_url(url.clone()).ok()?;
        match found? {
            Stored::BearerToken(token) | Stored::OAuth { access_token: token, .. } => {
                Some(Authentication::Bearer(token))
            }
            Stored::CondaToken(token) => Some(Authentication::PathToken(token)),
            Stored::BasicHTTP { username: theirs, password } => username
                .is_none_or(|username| username == theirs)
                .then_some(Authentication::Basic(Credentials { username: theirs, password })),
            Stored::S3Credentials { .. } => None,
        }
    }

    fn variables_for(&self, url: &Url) -> (Option<String>, Option<String>) {
        let mut with_port = url.clone();
        let name = index_name(&with_port);
        let _ = with_port.set_port(None);
        let host = index_name(&with_port);
        for name in [name, host] {
            for prefix in ["PROVENV_INDEX", "UV_INDEX"] {
                let read = |what: &str| (self.sources.variables)(&format!("{prefix}_{name}_{what}"));
                let pair = (read("USERNAME"), read("PASSWORD"));
                if pair.0.is_some() || pair.1.is_some() {
                    return pair;
                }
            }
        }
        (None, None)
    }

    fn read_netrc(&self) -> Vec<Entry> {
        let Some(path) = &self.sources.netrc else { return Vec::new() };
        match fs_err::read_to_string(path) {
            Ok(text) => netrc::parse(&text),
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    tracing::warn!(%error, "failed to read the netrc file");
                }
                Vec::new()
            }
        }
    }

    fn ask_keyring(&self, service: &str, username: &str) -> Option<String> {
        let output = Command::new(self.sources.keyring.as_ref()?)
            .args(["get", service, username])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let password = String::from_utf8(output.stdout).ok()?;
        let password = password.trim_end_matches(['\n', '\r']);
        (output.status.success() && !password.is_empty()).then(|| password.to_owned())
    }

    /// `url` with the values of the variables in the first `own` segments of its path, which some index services use for
    /// tokens: those are the user's, what follows a server may have named. User and password stay as they are.
    pub(crate) fn with_variables(&self, url: &Url, own: usize) -> Result<Url> {
        let mut expanded = url.clone();
        if url.path().contains(VARIABLE) && !self.is_strange(url) {
            let segment = |(position, segment): (usize, &str)| {
                if position >= own || !segment.contains(VARIABLE) {
                    return Ok(percent_decode_str(segment).decode_utf8_lossy().into_owned());
                }
                Ok(self.expand(url, segment)?.unwrap_or_default())
            };
            let segments = url.path_segments().into_iter().flatten().enumerate();
            let segments = segments.map(segment).collect::<Result<Vec<_>>>()?;
            if let Ok(mut path) = expanded.path_segments_mut() {
                path.clear().extend(segments);
            }
        }
        Ok(expanded)
    }

    /// A user name, a password or a part of a path, as the URL writes it, with its variables' values put in; `None` where it
    /// is empty. A `${` that is escaped in any other way than a URL's reader does it is no variable.
    fn expand(&self, url: &Url, text: &str) -> Result<Option<String>> {
        if text.is_empty() {
            return Ok(None);
        }
        let plain = |text| percent_decode_str(text).decode_utf8_lossy();
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(VARIABLE) {
            let Some((variable, after)) = after.split_once("%7D") else { break };
            let variable = plain(variable);
            let value = (self.sources.variables)(&variable).ok_or_else(|| Error::Variable {
                url: SafeUrl::new(url.clone()).into(),
                variable: variable.clone().into_owned(),
            })?;
            expanded.push_str(&plain(before));
            expanded.push_str(&value);
            rest = after;
        }
        expanded.push_str(&plain(rest));
        Ok(Some(expanded))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn keychain(
        variables: &'static [(&str, &str)],
        netrc: &str,
        keyring: Option<&str>,
    ) -> (tempfile::TempDir, Keychain) {
        let folder = tempfile::tempdir().unwrap();
        let netrc_path = folder.path().join("netrc");
        fs_err::write(&netrc_path, netrc).unwrap();
        let keyring = keyring.map(|script| {
            let path = folder.path().join("keyring");
            fs_err::write(&path, format!("#!/bin/sh\necho \"$@\" >> \"$(dirname \"$0\")/calls\"\n{script}"))
                .unwrap();
            fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        });
        let read = |name: &str| variables.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned());
        (folder, Keychain::new(CredentialSources::new(read, Some(netrc_path), keyring)))
    }

    fn find(keychain: &Keychain, url: &str) -> Option<(String, String)> {
        let url = Url::parse(url).unwrap();
        keychain.trust(&url);
        match keychain.find(&url, false).unwrap()? {
            Authentication::Basic(found) => Some((found.username, found.password)),
            other => panic!("{other:?} is no user and password"),
        }
    }

    fn pair(username: &str, password: &str) -> (String, String) {
        (username.to_owned(), password.to_owned())
    }

    #[test]
    fn variables_in_the_url_serve_for_its_origin() {
        let (_folder, keychain) =
            keychain(&[("TOKEN", "s3c/ret"), ("USER", "anna"), ("PASS", "p@ss")], "", None);
        assert_eq!(find(&keychain, "https://a.invalid/simple/"), None);
        assert_eq!(find(&keychain, "https://${TOKEN}@a.invalid/simple/"), Some(pair("s3c/ret", "")));
        assert_eq!(find(&keychain, "https://a.invalid/files/x.whl"), Some(pair("s3c/ret", "")));
        assert_eq!(find(&keychain, "https://${USER}:${PASS}@b.invalid/"), Some(pair("anna", "p@ss")));
        assert_eq!(find(&keychain, "https://pre-${USER}:x%40y@c.invalid/"), Some(pair("pre-anna", "x@y")));
        assert_eq!(find(&keychain, "https://d.invalid/"), None);
        assert_eq!(find(&keychain, "https://a.invalid:8443/"), None);
    }

    #[test]
    fn variables_in_the_path_are_put_in_and_the_rest_stays() {
        let (_folder, keychain) = keychain(&[("TOKEN", "s3c/ret")], "", None);
        let url = |text: &str| keychain.with_variables(&Url::parse(text).unwrap(), 2).map(String::from);
        assert_eq!(url("https://a.invalid/${TOKEN}/x%2B1/").unwrap(), "https://a.invalid/s3c%2Fret/x+1/");
        assert_eq!(url("https://a.invalid/x%2B1?q=${TOKEN}").unwrap(), "https://a.invalid/x%2B1?q=${TOKEN}");
        assert!(url("https://a.invalid/${NO_SUCH}/").unwrap_err().to_string().contains("NO_SUCH"));
        for others in ["%24%7BTOKEN%7D/x", "$%7bTOKEN%7d/x", "%24{TOKEN}/x", "x/${TOKEN}"] {
            let found = url(&format!("https://a.invalid/${{TOKEN}}/{others}")).unwrap();
            assert_eq!(found.matches("s3c").count(), 1, "{found}");
        }
    }

    #[test]
    fn an_unset_variable_is_named_and_nothing_is_given_away() {
        let (_folder, keychain) = keychain(&[("USER", "anna")], "", None);
        let url = Url::parse("https://${USER}:${NO_SUCH}@a.invalid/").unwrap();
        let error = keychain.find(&url, false).unwrap_err();
        assert!(error.to_string().contains("NO_SUCH"), "{error}");
        assert!(error.hint().unwrap().contains("NO_SUCH"));
        assert!(!format!("{error} {error:?}").contains("anna"));
    }

    #[test]
    fn variables_named_after_the_host() {
        let (_folder, keychain) = keychain(
            &[
                ("UV_INDEX_A_B_INVALID_USERNAME", "anna"),
                ("UV_INDEX_A_B_INVALID_PASSWORD", "one"),
                ("PROVENV_INDEX_A_B_INVALID_8443_PASSWORD", "two"),
            ],
            "default login d password d",
            None,
        );
        assert_eq!(find(&keychain, "https://a-b.invalid/x"), Some(pair("anna", "one")));
        assert_eq!(find(&keychain, "https://a-b.invalid:8443/x"), Some(pair("", "two")));
        assert_eq!(find(&keychain, "https://a-b.invalid:9443/x"), Some(pair("anna", "one")));
        assert_eq!(find(&keychain, "https://c.invalid/"), Some(pair("d", "d")));
        let redirected = keychain.find(&Url::parse("https://e.invalid/").unwrap(), true).unwrap();
        assert!(redirected.is_none(), "a redirect never gets the default");
    }

    #[test]
    fn variables_are_for_hosts_that_the_user_named() {
        let variables = &[
            ("PROVENV_INDEX_PYPI_CORP_INVALID_USERNAME", "anna"),
            ("PROVENV_INDEX_PYPI_CORP_INVALID_PASSWORD", "one"),
        ];
        let (_folder, keychain) = keychain(variables, "machine pypi-corp.invalid login b password two", None);
        let stranger = Url::parse("https://pypi-corp.invalid/x").unwrap();
        let basic = |username: &str, password: &str| {
            let (username, password) = pair(username, password);
            Some(Authentication::Basic(Credentials { username, password }))
        };
        assert_eq!(find(&keychain, "https://pypi.corp.invalid/simple/"), Some(pair("anna", "one")));
        for redirected in [true, false] {
            let found = keychain.find(&stranger, redirected).unwrap();
            assert_eq!(found, basic("b", "two"), "netrc names the host itself");
            let found = keychain.find(&Url::parse("https://pypi.corp-invalid/").unwrap(), redirected);
            assert_eq!(found.unwrap(), None);
        }
        let again = Url::parse("https://pypi.corp.invalid:8443/x").unwrap();
        assert_eq!(keychain.find(&again, true).unwrap(), basic("anna", "one"));
        // Not even by being asked for as if it were the user's own.
        let other = Url::parse("https://pypi.corp-invalid/").unwrap();
        keychain.distrust(&other);
        keychain.trust(&other);
        assert_eq!(keychain.find(&other, false).unwrap(), None);
        // Two hosts that the user names, and one variable: it is neither's.
        keychain.trust(&Url::parse("https://pypi.corp-invalid:1/").unwrap());
        assert_eq!(keychain.find(&other, false).unwrap(), None);
    }

    #[test]
    fn hosts_with_the_same_variables_get_none_of_them() {
        let variables = &[("PROVENV_INDEX_A_B_INVALID_PASSWORD", "one")];
        let (_folder, keychain) = keychain(variables, "", None);
        let [dash, dot] =
            ["https://a-b.invalid/", "https://a.b.invalid/"].map(|url| Url::parse(url).unwrap());
        keychain.trust(&dash);
        assert!(keychain.find(&dash, false).unwrap().is_some());
        keychain.trust(&dot);
        assert_eq!(keychain.find(&dot, false).unwrap(), None);
    }

    #[test]
    fn credentials_of_hosts_are_for_these_and_nothing_else_is_asked() {
        let hosts = HostCredentials::new(|origin| {
            let (username, password) = pair("anna", "one");
            let kept = ["a-b.invalid", "a-b.invalid:8443", "http://plain.invalid:8080"].contains(&origin);
            match origin {
                "broken.invalid" => Some(Err(Unusable("its key is gone".to_owned()))),
                _ => kept.then_some(Ok(Credentials { username, password })),
            }
        });
        let keychain = Keychain::new(CredentialSources::of_hosts(hosts));
        assert_eq!(find(&keychain, "https://a-b.invalid/x"), Some(pair("anna", "one")));
        assert_eq!(find(&keychain, "https://a-b.invalid:443/x"), Some(pair("anna", "one")));
        assert_eq!(find(&keychain, "https://a-b.invalid:8443/x"), Some(pair("anna", "one")));
        assert_eq!(find(&keychain, "https://anna@a-b.invalid/x"), Some(pair("anna", "one")));
        assert_eq!(find(&keychain, "http://plain.invalid:8080/x"), Some(pair("anna", "one")));
        for url in [
            "https://a.b.invalid/",
            "https://a-b.invalid:9443/",
            "https://x.a-b.invalid/",
            // Nothing goes in clear that was not said to.
            "http://a-b.invalid/",
            "http://a-b.invalid:443/",
            "http://a-b.invalid:8443/",
            "https://plain.invalid:8080/",
        ] {
            assert_eq!(find(&keychain, url), None, "{url}");
        }
        assert_eq!(find(&keychain, "https://ben@a-b.invalid/x"), Some(pair("ben", "")), "another user");
        let error = keychain.find(&Url::parse("https://broken.invalid/x").unwrap(), false).unwrap_err();
        assert!(error.to_string().contains("its key is gone"), "{error}");
    }

    #[test]
    fn origins_are_compared_as_they_are_written() {
        for (written, origin) in [
            ("Packages.example", Some("packages.example")),
            ("packages.example:443", Some("packages.example")),
            ("packages.example:80", Some("packages.example:80")),
            ("https://packages.example", Some("packages.example")),
            ("http://packages.example:80", Some("http://packages.example")),
            ("http://packages.example:443", Some("http://packages.example:443")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("ftp://packages.example", None),
            ("packages.example/simple", None),
            ("https://", None),
            ("packages.example:0", None),
            ("packages.example:08", None),
            ("ann@packages.example", None),
        ] {
            assert_eq!(HostCredentials::origin(written).as_deref(), origin, "{written}");
        }
    }

    #[test]
    fn a_redirect_cannot_ask_for_a_variable() {
        let (_folder, keychain) = keychain(&[("SECRET", "hunter2")], "", None);
        let url = Url::parse("http://${SECRET}@evil.invalid/").unwrap();
        assert!(keychain.find(&url, true).unwrap().is_none());
        assert_eq!(find(&keychain, "http://${SECRET}@evil.invalid/"), Some(pair("hunter2", "")));
        let url = Url::parse("http://u:${SECRET}@other.invalid/").unwrap();
        assert!(keychain.find(&url, true).unwrap().is_none());
    }

    #[test]
    fn an_origin_that_a_stranger_named_gets_only_what_names_its_host() {
        let text = "machine named.invalid login anna password one\ndefault login d password d";
        let (_folder, keychain) = keychain(&[("SECRET", "hunter2")], text, None);
        for host in ["named", "other", "path"] {
            keychain.distrust(&Url::parse(&format!("http://{host}.invalid/")).unwrap());
        }
        assert_eq!(find(&keychain, "http://named.invalid/x"), Some(pair("anna", "one")));
        assert_eq!(find(&keychain, "http://other.invalid/x"), None);
        assert_eq!(find(&keychain, "http://${SECRET}@other.invalid/x"), None);
        let path = Url::parse("http://path.invalid/${SECRET}/x").unwrap();
        assert_eq!(keychain.with_variables(&path, 9).unwrap(), path);
        assert_eq!(find(&keychain, "http://own.invalid/x"), Some(pair("d", "d")));
    }

    #[test]
    fn the_keyring_is_asked_once_and_only_for_a_known_user() {
        let script = "[ \"$2\" = a.invalid ] && [ \"$3\" = anna ] && echo 'from keyring'";
        let (folder, keychain) = keychain(&[], "machine b.invalid login bea password one", Some(script));
        assert_eq!(find(&keychain, "https://a.invalid/"), None);
        assert_eq!(find(&keychain, "https://anna@a.invalid/simple/"), Some(pair("anna", "from keyring")));
        assert_eq!(find(&keychain, "https://anna@a.invalid/simple/"), Some(pair("anna", "from keyring")));
        assert_eq!(find(&keychain, "https://bea@b.invalid/"), Some(pair("bea", "one")));
        let calls = fs_err::read_to_string(folder.path().join("calls")).unwrap();
        assert_eq!(calls, "get https://a.invalid/simple/ anna\nget a.invalid anna\n");
    }

    #[test]
    fn nothing_prints_a_secret() {
        let credentials = Credentials { username: "anna".into(), password: "hunter2".into() };
        assert_eq!(format!("{credentials:?}"), "Credentials(****)");
    }
}
