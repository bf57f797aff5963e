//! What a registry asks for who comes without a token (distribution's "Token Authentication Specification").

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use serde::Deserialize;
use url::Url;

/// How to get in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// By a user and a password with each request.
    Basic,
    /// By a token that is to be had here.
    Bearer(Url),
}

/// What a token server answers.
#[derive(Deserialize)]
pub(crate) struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Token {
    /// The token by either of its names; many servers send both.
    pub fn token(self) -> Option<String> {
        self.token.or(self.access_token)
    }
}

impl Challenge {
    /// The first that can be answered, for `scopes`; `None` where there is none. A token server that is spoken to without
    /// protection is none, except on this machine and where the registry itself is spoken to so (`plain`).
    pub(crate) fn of(headers: &HeaderMap, scopes: &[String], plain: bool) -> Option<Self> {
        let asked = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        asked.into_iter().find_map(|text| {
            let (scheme, fields) = text.split_once(' ').unwrap_or((text, ""));
            if scheme.eq_ignore_ascii_case("basic") {
                return Some(Self::Basic);
            }
            if !scheme.eq_ignore_ascii_case("bearer") {
                return None;
            }
            let mut url = Url::parse(&field(fields, "realm")?).ok()?;
            let here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
            if url.scheme() != "https" && !(url.scheme() == "http" && (plain || here)) {
                return None;
            }
            if let Some(service) = field(fields, "service") {
                url.query_pairs_mut().append_pair("service", &service);
            }
            for scope in scopes {
                url.query_pairs_mut().append_pair("scope", scope);
            }
            Some(Self::Bearer(url))
        })
    }
}

/// `name="value"` among the fields of a challenge.
fn field(fields: &str, name: &str) -> Option<String> {
    let mut rest = fields;
    loop {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim_start_matches([',', ' ']).trim_end();
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(value.to_owned());
        }
        rest = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(challenges: &[&str], plain: bool) -> Option<Challenge> {
        let headers = challenges.iter().map(|text| (WWW_AUTHENTICATE, text.parse().unwrap()));
        Challenge::of(&headers.collect(), &["repository:a/b:pull".to_owned()], plain)
    }

    #[test]
    fn a_token_is_asked_where_the_registry_says() {
        let bearer = "Bearer realm=\"https://auth.test/token\",service=\"reg,istry\",scope=\"other\"";
        let url = "https://auth.test/token?service=reg%2Cistry&scope=repository%3Aa%2Fb%3Apull";
        assert_eq!(of(&[bearer], false), Some(Challenge::Bearer(url.parse().unwrap())));
        assert_eq!(of(&["Negotiate", "Basic realm=\"x\""], false), Some(Challenge::Basic));
        assert_eq!(of(&["Bearer service=\"x\"", "nonsense"], false), None);
    }

    #[test]
    fn a_password_goes_to_no_unprotected_place() {
        let bearer = "Bearer realm=\"http://auth.test/token\"";
        assert_eq!(of(&[bearer], false), None);
        assert!(of(&[bearer], true).is_some());
        assert!(of(&["Bearer realm=\"http://127.0.0.1:5001/token\""], false).is_some());
    }
}
