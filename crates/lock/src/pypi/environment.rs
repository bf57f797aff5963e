//! Indexes, proxies and credentials for what asks in the sandbox, and which values must not be seen.
//!
//! All of it goes there in files. uv fills in `${NAME}` in any URL that it reads, those of a stranger's metadata
//! included, and sends it where the stranger wants it: so no variable of its environment may hold a secret.

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use provenv_definition::SafeUrl;
use provenv_fetch::Credentials;
use serde::Serialize;
use url::Url;

use super::pylock::percent_encode;
use super::source::variables;
use super::{Error, Host, Result};

/// Shorter values are no secrets worth the damage that hiding them does to messages.
const SHORTEST_SECRET: usize = 4;

/// What a program that asks indexes and repositories is told, credentials included.
#[derive(Default)]
pub(super) struct Environment {
    settings: Settings,
    git_settings: Vec<(String, String)>,
    /// Secret values with what is shown in their stead.
    secrets: Vec<(String, String)>,
}

/// The part of uv's settings that is about where to ask. Tables come last, as TOML wants it.
#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    http_proxy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    https_proxy: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    no_proxy: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub find_links: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub index: Vec<Index>,
}

/// An index as uv knows it, its credentials in its URL.
#[derive(Serialize)]
pub(super) struct Index {
    pub url: String,
    pub default: bool,
}

impl Environment {
    fn hide(&mut self, value: &str, shown: &str) {
        if value.len() >= SHORTEST_SECRET {
            self.secrets.push((value.to_owned(), shown.to_owned()));
        }
    }

    /// Remembers what must not be seen.
    pub(super) fn hide_credentials(&mut self, credentials: &Credentials) {
        for value in [&credentials.username, &credentials.password] {
            self.hide(value, "****");
            self.hide(&encode(value), "****");
        }
    }

    /// `location` with `credentials` before its host. Both its own variables are still as they were written.
    pub(super) fn with_credentials(&mut self, location: &str, credentials: Option<&Credentials>) -> String {
        let Some((credentials, (scheme, rest))) = credentials.zip(location.split_once("://")) else {
            return location.to_owned();
        };
        self.hide_credentials(credentials);
        format!("{scheme}://{}:{}@{rest}", encode(&credentials.username), encode(&credentials.password))
    }

    /// Where to ask.
    pub(super) fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Credentials of repositories at the origin of `url`. Not in the URL: git hands that to a helper as an argument.
    pub(super) fn set_git(&mut self, url: &Url, credentials: &Credentials) {
        self.hide_credentials(credentials);
        let pair = format!("{}:{}", credentials.username, credentials.password);
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        self.hide(&pair, "****");
        let origin = url.origin().ascii_serialization();
        self.git_settings
            .push((format!("[http \"{origin}/\"]\n\textraHeader"), format!("Authorization: Basic {pair}")));
    }

    /// `text` with its `${NAME}`s replaced. `shown` is the URL for messages.
    pub(super) fn expand(&mut self, text: &str, host: &Host, shown: &SafeUrl) -> Result<String> {
        let mut expanded = text.to_owned();
        for name in variables(text) {
            let value = host.variable(name).ok_or_else(|| Error::variable(shown, name))?;
            expanded = expanded.replace(&format!("${{{name}}}"), value);
            self.hide(value, &format!("${{{name}}}"));
        }
        Ok(expanded)
    }

    /// Takes the proxies that want a password. uv and git read them from files; which of the host's variables are
    /// left for them comes back.
    pub(super) fn take_proxies(&mut self, host: &Host) -> Vec<(String, String)> {
        let named = |wanted: &str| {
            let is = |name: &str| name.eq_ignore_ascii_case(wanted);
            host.passed_on().find(|(name, _)| is(name)).map(|(_, value)| value)
        };
        let is_proxy = |name: &str| {
            ["http_proxy", "https_proxy", "all_proxy"].iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
        };
        let secret = |value: &str| value.contains('@');
        let passed: Vec<(String, String)> = host.passed_on().collect();
        if !passed.iter().any(|(name, value)| is_proxy(name) && secret(value)) {
            return passed;
        }
        for (_, value) in passed.iter().filter(|(name, _)| is_proxy(name)) {
            if let Ok(url) = Url::parse(value)
                && let Some(password) = url.password()
            {
                self.hide(password, "****");
                self.hide(&percent_encoding::percent_decode_str(password).decode_utf8_lossy(), "****");
            }
        }
        let proxy = |name: &str| named(name).or_else(|| named("all_proxy"));
        self.settings.http_proxy = proxy("http_proxy");
        self.settings.https_proxy = proxy("https_proxy");
        self.settings.no_proxy = named("no_proxy")
            .map(|hosts| hosts.split(',').map(|host| host.trim().to_owned()).collect())
            .unwrap_or_default();
        if let Some(proxy) = self.settings.https_proxy.as_ref().or(self.settings.http_proxy.as_ref()) {
            self.git_settings.push(("[http]\n\tproxy".to_owned(), proxy.clone()));
        }
        passed.into_iter().filter(|(name, _)| !is_proxy(name)).collect()
    }

    /// uv's settings.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// git's settings, as a file has them; `None` where there are none.
    pub(super) fn git(&self) -> Option<String> {
        let line = |(key, value): &(String, String)| {
            format!("{key} = \"{}\"\n", value.replace('\\', "\\\\").replace('"', "\\\""))
        };
        (!self.git_settings.is_empty()).then(|| self.git_settings.iter().map(line).collect())
    }

    /// `text` with every secret replaced by its variable, or by asterisks.
    pub(super) fn conceal(&self, text: &str) -> String {
        let hidden =
            self.secrets.iter().fold(text.to_owned(), |text, (value, shown)| text.replace(value, shown));
        // Of one text only the beginning is shown, and of a log the end counts.
        hidden.split_inclusive('\n').map(provenv_definition::mask_secrets).collect()
    }

    /// A URL for the lock: without credentials, and with variables where the definition has them.
    pub(super) fn lock_url(&self, url: &Url) -> Result<SafeUrl> {
        let mut url = url.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        let mut text = url.to_string();
        // In a lock it would stand for a value of the user's environment, sent to whoever named it.
        let plain = text.to_ascii_lowercase().replace("%24", "$").replace("%7b", "{");
        if plain.contains("${") {
            return Err(Error::VariableFromIndex { url: text });
        }
        for (value, shown) in self.secrets.iter().filter(|(_, shown)| shown.starts_with("${")) {
            text = text.replace(value, shown);
        }
        text.parse().map_err(|error| Error::url(&text, error))
    }
}

/// Writes what nobody else on this machine may read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())?;
    Ok(())
}

/// For a URL's user information.
fn encode(text: &str) -> String {
    percent_encode(text, b"-._~")
}
