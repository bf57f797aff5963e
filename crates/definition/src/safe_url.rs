//! URLs that cannot give a secret away.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

/// A URL that never holds credentials: user, password and query are taken off by the type, so that a
/// definition, lock, log or message cannot leak them whatever code writes it.
///
/// Templates such as `https://${TOKEN}@host/simple` keep their variable: it names a secret, it is none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafeUrl(Url);

impl SafeUrl {
    /// `url` without its credentials and query.
    pub fn new(mut url: Url) -> Self {
        // Both fail only for URLs that cannot have credentials, such as `file:`.
        let _ = url.set_password(None);
        if !is_template(url.username()) {
            let _ = url.set_username("");
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

/// `url` writes `${TOKEN}` as `$%7BTOKEN%7D`.
fn is_template(text: &str) -> bool {
    (text.starts_with("${") && text.ends_with('}')) || (text.starts_with("$%7B") && text.ends_with("%7D"))
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
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
        serializer.serialize_str(self.0.as_str())
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
        let url: SafeUrl = "https://user:hunter2@host.invalid/simple/?token=hunter2".parse().unwrap();
        assert_eq!(url.to_string(), "https://host.invalid/simple/");
        assert!(!format!("{url:?}{}", serde_json::to_string(&url).unwrap()).contains("hunter2"));
    }

    #[test]
    fn a_variable_in_place_of_a_secret_stays() {
        let url: SafeUrl = "https://${TOKEN}@host.invalid/simple".parse().unwrap();
        assert!(url.to_string().contains("TOKEN"));
    }
}
