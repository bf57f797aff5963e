//! URLs that cannot give a secret away.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use crate::secrets::is_template;

/// A URL that never holds credentials: user, password and query are taken off by the type, so that a
/// definition, lock, log or message cannot leak them whatever code writes it. Only the account of a secure shell, which is
/// no secret, stays.
///
/// Templates such as `https://${TOKEN}@host/simple` and `https://${USER}:${PASS}@host/simple` keep their
/// variables: they name a secret, they are none. They are written as pip reads them; [`SafeUrl::as_url`] holds
/// them percent-encoded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafeUrl(Url);

impl SafeUrl {
    /// `url` without its credentials and query.
    pub fn new(mut url: Url) -> Self {
        let password = url.password().unwrap_or_default();
        let variables = if password.is_empty() { is_template(url.username()) } else { is_template(password) };
        // The account of a secure shell is no secret: `git@host` would not be reached without it.
        let account = password.is_empty() && matches!(url.scheme(), "ssh" | "git+ssh");
        if !variables && !account {
            // Both fail only for URLs that cannot have credentials, such as `file:`.
            let _ = url.set_password(None);
            if !is_template(url.username()) {
                let _ = url.set_username("");
            }
        }
        url.set_query(None);
        Self(url)
    }

    /// The URL, which holds no credentials.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// The last segment of the path, percent-decoding left to the caller.
    pub fn file_name(&self) -> Option<&str> {
        self.0.path_segments()?.next_back().filter(|name| !name.is_empty())
    }
}

/// `${TOKEN}` where `url` writes `$%7BTOKEN%7D`.
pub(crate) fn restore_templates(text: &str) -> String {
    let mut restored = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("$%7B") {
        let inner = &rest[at + "$%7B".len()..];
        restored.push_str(&rest[..at]);
        let end =
            inner.find("%7D").filter(|end| is_template(&rest[at..at + "$%7B".len() + end + "%7D".len()]));
        if let Some(end) = end {
            restored.push_str("${");
            restored.push_str(&inner[..end]);
            restored.push('}');
            rest = &inner[end + "%7D".len()..];
        } else {
            restored.push_str("$%7B");
            rest = inner;
        }
    }
    restored.push_str(rest);
    restored
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&restore_templates(self.0.as_str()))
    }
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SafeUrl {
    type Err = url::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Url::parse(text).map(Self::new)
    }
}

impl Serialize for SafeUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SafeUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::SafeUrl;

    #[test]
    fn credentials_and_query_never_survive() {
        for secret in [
            "https://user:hunter2@host.test/simple/?token=hunter2",
            "https://hunter2@host.test/simple/",
            "https://${USER}:hunter2@host.test/simple/",
            "https://${USER}hunter2@host.test/simple/",
            "https://user:${PASS}hunter2@host.test/simple/",
            "https://user:$%7Bhunter2@host.test/simple/",
            "ssh://git:hunter2@host.test/a.git",
            "git+https://hunter2@host.test/a.git",
        ] {
            let url: SafeUrl = secret.parse().unwrap();
            let shown = format!("{url}{url:?}{}{}", url.as_url(), serde_json::to_string(&url).unwrap());
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn variables_in_place_of_secrets_stay_as_pip_reads_them() {
        for text in [
            "https://${TOKEN}@host.test/simple",
            "https://${USER}:${PASS}@host.test/simple",
            "https://someone:${PASS}@host.test/simple",
            "https://host.test/${TEAM}/simple",
            "ssh://git@host.test/a.git",
        ] {
            let url: SafeUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), text);
            assert_eq!(url.to_string().parse::<SafeUrl>().unwrap(), url);
        }
    }
}
