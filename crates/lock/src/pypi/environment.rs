//! Variables for the sandbox, and which of their values must not be seen.

use base64::Engine as _;
use provenv_definition::SafeUrl;
use provenv_fetch::Credentials;
use url::Url;

use super::pylock::percent_encode;
use super::source::variables;
use super::{Error, Host, Result};

/// Shorter values are no secrets worth the damage that hiding them does to messages.
const SHORTEST_SECRET: usize = 4;

/// What a program that asks indexes and repositories is told, credentials included.
#[derive(Default)]
pub(super) struct Environment {
    variables: Vec<(String, String)>,
    git_settings: Vec<(String, String)>,
    /// Secret values with what is shown in their stead.
    secrets: Vec<(String, String)>,
}

impl Environment {
    /// Sets a variable, unless it is.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        if !self.variables.iter().any(|(known, _)| known == name) {
            self.variables.push((name.to_owned(), value.to_owned()));
        }
    }

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

    /// Credentials of an index that has this name for uv.
    pub(super) fn set_index(&mut self, name: &str, credentials: &Credentials) {
        self.hide_credentials(credentials);
        let variable = format!("UV_INDEX_PROVENV_{}", name.to_ascii_uppercase());
        self.set(&format!("{variable}_USERNAME"), &credentials.username);
        self.set(&format!("{variable}_PASSWORD"), &credentials.password);
    }

    /// Credentials of a URL in a requirement: what is to stand in it before the host.
    pub(super) fn set_url(&mut self, credentials: &Credentials) -> String {
        self.hide_credentials(credentials);
        let number = self.variables.len();
        let (user, password) = (format!("PROVENV_USER_{number}"), format!("PROVENV_PASSWORD_{number}"));
        self.set(&user, &encode(&credentials.username));
        self.set(&password, &encode(&credentials.password));
        format!("${{{user}}}:${{{password}}}@")
    }

    /// Credentials of repositories at the origin of `url`. Not in the URL: git hands that to a helper as an argument.
    pub(super) fn set_git(&mut self, url: &Url, credentials: &Credentials) {
        self.hide_credentials(credentials);
        let pair = format!("{}:{}", credentials.username, credentials.password);
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        self.hide(&pair, "****");
        let origin = url.origin().ascii_serialization();
        self.git_settings
            .push((format!("http.{origin}/.extraHeader"), format!("Authorization: Basic {pair}")));
    }

    /// `text` with its `${NAME}`s replaced. `shown` is the URL for messages.
    pub(super) fn expand(&mut self, text: &str, host: &Host, shown: &SafeUrl) -> Result<String> {
        let mut expanded = text.to_owned();
        for name in variables(text) {
            let value = host.variable(name).ok_or_else(|| Error::variable(shown, name))?;
            expanded = expanded.replace(&format!("${{{name}}}"), value);
            self.hide(value, &format!("${{{name}}}"));
            self.set(name, value);
        }
        Ok(expanded)
    }

    /// The variables.
    pub(super) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// git's settings, as variables.
    pub(super) fn git(&self) -> Vec<(String, String)> {
        git_variables(&self.git_settings)
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

/// git's settings as the variables that it reads them from.
pub(super) fn git_variables(settings: &[(String, String)]) -> Vec<(String, String)> {
    // A repository may belong to another user than the one inside.
    let owner = ("safe.directory".to_owned(), "*".to_owned());
    let settings: Vec<_> = std::iter::once(&owner).chain(settings).collect();
    let mut variables = vec![("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string())];
    for (number, (key, value)) in settings.into_iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{number}"), key.clone()));
        variables.push((format!("GIT_CONFIG_VALUE_{number}"), value.clone()));
    }
    variables
}

/// For a URL's user information.
fn encode(text: &str) -> String {
    percent_encode(text, b"-._~")
}
