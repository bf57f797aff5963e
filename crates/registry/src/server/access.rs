//! Who may do what.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use provenv_definition::Digest;

use super::answer::json;
use super::failure::{Code, Failure};
use super::htpasswd::Htpasswd;
use super::route::Route;
use super::token::{HOLDS, Tokens};

/// What those may who give no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anonymous {
    /// Nothing.
    Nothing,
    /// Pull.
    Pull,
    /// Pull, push and delete.
    Push,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    /// To read.
    Pull,
    /// To change something.
    Push,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Anybody,
    /// May pull.
    Reader(String),
    /// May do everything.
    User(String),
}

impl Who {
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anybody => None,
            Self::Reader(name) | Self::User(name) => Some(name),
        }
    }
}

/// Who may do what. Users may do everything, readers may pull.
pub(super) struct Access {
    users: Option<Htpasswd>,
    readers: Option<Htpasswd>,
    anonymous: Anonymous,
    /// Whether clients speak TLS with this server itself.
    secure: bool,
    tokens: Tokens,
}

impl Access {
    pub fn new(
        users: Option<Htpasswd>,
        readers: Option<Htpasswd>,
        anonymous: Anonymous,
        secure: bool,
    ) -> Self {
        Self { users, readers, anonymous, secure, tokens: Tokens::default() }
    }

    /// Lets a request in, and says whose it is.
    pub async fn admit(&self, headers: &HeaderMap, route: &Route, right: Right) -> Result<Who, Failure> {
        let who = self.who(headers).await;
        match &who {
            Some(Who::User(_)) => return Ok(who.unwrap_or(Who::Anybody)),
            Some(Who::Reader(_)) if right == Right::Pull => return Ok(who.unwrap_or(Who::Anybody)),
            Some(Who::Reader(name)) => {
                let message = format!("`{name}` may pull and not push");
                return Err(Failure::new(403, Code::Denied, message));
            }
            // Docker's clients take from here whether to give a name later: who pulls gets a token without one.
            Some(Who::Anybody) if *route == Route::Base && self.wants_tokens() => {}
            Some(Who::Anybody) if self.allows_anybody(right) => return Ok(Who::Anybody),
            Some(Who::Anybody) if self.users.is_none() && right == Right::Push => {
                let reason = "start it with --htpasswd FILE and log in, or with --anonymous-push";
                return Err(Failure::new(403, Code::Denied, "this registry takes no pushes").because(reason));
            }
            _ => {}
        }
        let message = match who {
            Some(_) => "log in first",
            None => "no such user, or another password",
        };
        Err(Failure::new(401, Code::Unauthorized, message)
            .header(header::WWW_AUTHENTICATE, self.challenge(headers, route, right)))
    }

    /// Answers who asks for a token.
    pub async fn token(&self, headers: &HeaderMap) -> Result<Response, Failure> {
        if !self.knows_names() {
            return Err(Failure::new(404, Code::Unsupported, "no tokens are needed here"));
        }
        let who = match self.who(headers).await {
            Some(Who::Anybody) if self.anonymous == Anonymous::Nothing => None,
            who => who,
        };
        let Some(who) = who else {
            return Err(Failure::new(401, Code::Unauthorized, "no such user, or another password")
                .header(header::WWW_AUTHENTICATE, BASIC));
        };
        let token = self.tokens.give(&who, self.seal(&who)).map_err(|error| Failure::fault(&error))?;
        let answer =
            serde_json::json!({ "token": token, "access_token": token, "expires_in": HOLDS.as_secs() });
        let mut response = json(&answer);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// Who asks; `None` where the credentials are wrong.
    async fn who(&self, headers: &HeaderMap) -> Option<Who> {
        if !self.knows_names() {
            return Some(Who::Anybody);
        }
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Some(Who::Anybody) };
        let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("basic") {
            let text = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
            let (user, password) = text.split_once(':')?;
            if let Some(users) = &self.users
                && users.verify(user, password).await
            {
                return Some(Who::User(user.to_owned()));
            }
            let readers = self.readers.as_ref()?;
            return readers.verify(user, password).await.then(|| Who::Reader(user.to_owned()));
        }
        if scheme.eq_ignore_ascii_case("bearer") {
            let (whose, seal) = self.tokens.whose(rest.trim())?;
            // Not of a user who is gone, or has another password now.
            let holds = whose == Who::Anybody || (seal.is_some() && seal == self.seal(&whose));
            return holds.then_some(whose);
        }
        None
    }

    /// Of the password that a user has now.
    fn seal(&self, who: &Who) -> Option<Digest> {
        match who {
            Who::Anybody => None,
            Who::Reader(name) => self.readers.as_ref()?.seal(name),
            Who::User(name) => self.users.as_ref()?.seal(name),
        }
    }

    /// Whether there are names that may be given.
    fn knows_names(&self) -> bool {
        self.users.is_some() || self.readers.is_some()
    }

    fn allows_anybody(&self, right: Right) -> bool {
        match right {
            Right::Pull => self.anonymous >= Anonymous::Pull,
            Right::Push => self.anonymous >= Anonymous::Push,
        }
    }

    /// Whether some may do with a name what others may not do without: then clients must be told to give it, and those who
    /// have none must not be asked for it, which only tokens can express.
    fn wants_tokens(&self) -> bool {
        self.users.is_some() && self.anonymous == Anonymous::Pull
    }

    fn challenge(&self, headers: &HeaderMap, route: &Route, right: Right) -> HeaderValue {
        let basic = HeaderValue::from_static(BASIC);
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let Some(host) = host.filter(|host| self.wants_tokens() && is_host(host)) else { return basic };
        // Of a proxy that speaks TLS for us. It changes nothing but where this very client is sent.
        let forwarded = headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
        let scheme = if self.secure || forwarded { "https" } else { "http" };
        let scope = route.repository().map(|name| {
            let actions = if right == Right::Push { "pull,push" } else { "pull" };
            format!(",scope=\"repository:{name}:{actions}\"")
        });
        let scope = scope.unwrap_or_default();
        HeaderValue::try_from(format!("Bearer realm=\"{scheme}://{host}/token\",service=\"{host}\"{scope}"))
            .unwrap_or(basic)
    }
}

const BASIC: &str = "Basic realm=\"provenv\"";

/// Whether a text is nothing but a host and a port.
fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
}
