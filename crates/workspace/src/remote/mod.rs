//! A workspace on a server: the use cases over HTTP.
//!
//! Files are read here, and what they say is sent; what is shown is what the server answers.

mod audit_log;
mod device;
mod events;
mod login;
mod people;
mod record;
mod secrets;
mod sharing;
mod upgrading;

use std::time::Duration;

use provenv_definition::{Digest, Platform};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::causes;
use crate::{
    Copied, CopyOptions, EnvironmentDetails, EnvironmentPage, Error, Find, Imported, Include, Part,
    Registered, Result,
};

pub use audit_log::AuditLogFilter;
pub use device::DeviceLogin;
pub use login::{Login, forget_token, keep_token};
pub use people::{MadeToken, NewRemoteToken, RemoteMember, RemoteToken, RemoteWorkspace};
pub use record::RemoteRun;
pub use secrets::{NewRemoteSecret, RekeyedSecrets, RemoteSecret};
pub use sharing::RemoteShare;

/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many bytes of a file are sent at once.
const LINES: usize = 1 << 20;
/// How many versions are asked for at once.
const PART: u32 = 500;

/// What goes wrong between here and a server.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No URL of a workspace.
    #[error("`{0}` is no URL of a workspace")]
    Url(String),
    /// A token would be there for everybody to read.
    #[error("`{0}` is not on this machine, and http would show your token to whoever listens")]
    Plain(String),
    /// Nobody logged in.
    #[error("nobody has logged in to {0} here")]
    NoToken(String),
    /// It does not answer.
    #[error("could not reach the server at {url}")]
    Connect {
        /// The server.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It says no.
    #[error("{detail}{}", listed(causes))]
    Problem {
        /// The HTTP status.
        status: u16,
        /// What kind of problem it is.
        code: String,
        /// What is wrong.
        detail: String,
        /// Why.
        causes: Vec<String>,
        /// What to do next.
        hint: Option<String>,
        /// The parts of the definition that was sent that it is about.
        concerns: Vec<Part>,
        /// The name that may have been meant.
        nearest: Option<String>,
    },
    /// It answers something else than a server of ours.
    #[error("{url} does not answer as a server of provenv's does ({what})")]
    Answer {
        /// What was asked for.
        url: String,
        /// What came.
        what: String,
    },
    /// The file with the tokens.
    #[error("the tokens in {} cannot be used", file.display())]
    Tokens {
        /// The file.
        file: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Whether the server's certificate is not taken.
fn is_of_certificate(error: &reqwest::Error) -> bool {
    causes(error).iter().any(|cause| cause.contains("certificate"))
}

/// Why a server says no, for the end of a message.
fn listed(causes: &[String]) -> String {
    causes.iter().fold(String::new(), |text, cause| text + "\n  because: " + cause)
}

impl RemoteError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Url(_) => Some("write https://HOST[:PORT]/WORKSPACE".to_owned()),
            Self::Plain(_) => {
                Some("give the server a certificate (`provenv serve --tls-cert`) and write https".to_owned())
            }
            Self::NoToken(server) => {
                Some(format!("`provenv login {server}` keeps a token, or give it in PROVENV_TOKEN"))
            }
            Self::Connect { source, .. } if is_of_certificate(source) => Some(
                "SSL_CERT_FILE names a file with the authority that signed the server's certificate, and the address is one \
                 that the certificate is for; docs/how-to/private-authority.md says more"
                    .to_owned(),
            ),
            Self::Connect { .. } => Some("does it run, and is the address right?".to_owned()),
            Self::Problem { code, .. } if code == "token-needed" => {
                let taken = std::env::var_os("PROVENV_TOKEN").is_some_and(|token| !token.is_empty());
                Some(if taken {
                    "the token in PROVENV_TOKEN is unknown, revoked or out of time; without that variable the one of `provenv login` is \
                     taken"
                        .to_owned()
                } else {
                    "the token is unknown, revoked or out of time: `provenv login` takes another".to_owned()
                })
            }
            Self::Problem { hint, .. } => hint.clone(),
            Self::Answer { .. } | Self::Tokens { .. } => None,
        }
    }
}

/// A build on a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteJob {
    /// Its identifier.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// Its version.
    pub version: String,
    /// The lock that it assembles.
    pub lock: Digest,
    /// What the image is for.
    pub platform: Platform,
    /// `queued`, `running`, `succeeded`, `failed` or `canceled`.
    pub status: String,
    /// How often it was begun.
    pub attempts: i64,
    /// The image.
    pub image: Option<Digest>,
    /// Why it failed.
    pub error: Option<RemoteJobError>,
    /// Who asked for it.
    pub created_by: String,
    /// When.
    pub created_at: jiff::Timestamp,
    /// When it began.
    pub started_at: Option<jiff::Timestamp>,
    /// When it ended.
    pub ended_at: Option<jiff::Timestamp>,
}

/// Why a build on a server failed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RemoteJobError {
    /// What went wrong.
    pub message: String,
    /// Why, the nearest cause first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
}

/// A problem, as servers say it.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
    #[serde(default)]
    causes: Vec<String>,
    hint: Option<String>,
    #[serde(default)]
    remarks: Vec<Remark>,
    #[serde(default)]
    concerns: Vec<Part>,
    nearest: Option<String>,
}

#[derive(Deserialize)]
struct Remark {
    message: String,
    hint: Option<String>,
}

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<RemoteJob>,
}

/// A workspace on a server.
#[derive(Clone)]
pub struct Remote {
    client: reqwest::Client,
    /// The server.
    server: Url,
    /// The workspace there.
    name: String,
    token: String,
}

impl Remote {
    /// Whether a text names a workspace on a server, and not a folder.
    pub fn is_one(text: &str) -> bool {
        text.starts_with("https://") || text.starts_with("http://")
    }

    /// The workspace at `https://HOST/NAME`, as whoever logged in here.
    pub fn open(text: &str) -> Result<Self> {
        let (server, name) = split(text)?;
        let token = login::token(&server)?;
        Ok(Self { client: client()?, server, name, token })
    }

    /// The same with this token.
    pub fn open_with(text: &str, token: &str) -> Result<Self> {
        let (server, name) = split(text)?;
        Ok(Self { client: client()?, server, name, token: token.to_owned() })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("{}{}", self.server, self.name)
    }

    /// The server.
    pub(crate) fn server(&self) -> &Url {
        &self.server
    }

    /// The workspace's name there.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Registers an environment; the server locks it, unless a lock is sent along.
    pub(crate) async fn register_as(&self, body: &serde_json::Value) -> Result<Registered> {
        self.json(self.request(Method::POST, &["environments"]).json(body)).await
    }

    /// The environments that are looked for: all of them, or a page where a limit says so.
    pub async fn find(&self, find: &Find) -> Result<EnvironmentPage> {
        let mut query: Vec<(&str, String)> = vec![(
            "archived",
            match find.include {
                Include::Active => "no",
                Include::All => "too",
                Include::Archived => "only",
            }
            .to_owned(),
        )];
        let filters = [
            ("environment", find.name.clone()),
            ("name", find.pattern.clone()),
            ("kind", find.kind.map(|kind| kind.as_str().to_owned())),
            ("creator", find.creator.clone()),
            ("since", find.since.map(|time| time.to_string())),
            ("until", find.until.map(|time| time.to_string())),
            ("all", find.all_versions.then(|| "true".to_owned())),
        ];
        query.extend(filters.into_iter().filter_map(|(name, value)| Some((name, value?))));
        query.extend(find.tags.iter().map(|(name, value)| match value {
            Some(value) => ("tag", format!("{name}={value}")),
            None => ("tag", name.clone()),
        }));
        query.extend(find.terms.iter().map(|term| ("term", term.to_string())));
        let mut environments = Vec::new();
        let mut after = find.after.clone();
        loop {
            let left = find.limit.map_or(PART, |limit| {
                limit.saturating_sub(u32::try_from(environments.len()).unwrap_or(u32::MAX)).min(PART)
            });
            let limit = left.to_string();
            let mut all: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, &**value)).collect();
            all.push(("limit", &limit));
            all.extend(after.as_deref().map(|after| ("after", after)));
            let page: EnvironmentPage = self.json(self.asking(&["environments"], &all)).await?;
            environments.extend(page.environments);
            let is_enough = find.limit.is_some_and(|limit| environments.len() >= limit as usize);
            if page.next.is_none() || is_enough {
                return Ok(EnvironmentPage { environments, next: page.next });
            }
            after = page.next;
        }
    }

    /// A version, by its number or as `@LABEL`.
    pub async fn version(&self, name: &str, version: &str) -> Result<EnvironmentDetails> {
        let path = ["environments", name, "versions", version];
        self.json(self.request(Method::GET, &path)).await
    }

    /// The bytes of a version's `lock` or `receipt`, checked against the digest that the version has.
    pub(crate) async fn part(&self, found: &EnvironmentDetails, part: &str) -> Result<Vec<u8>> {
        let name = found.name.as_deref().unwrap_or_default();
        let version = found.version.as_deref().unwrap_or("@latest");
        let digest = if part == "lock" { found.lock } else { found.receipt };
        let request = self.request(Method::GET, &["environments", name, "versions", version, part]);
        let response = self.send(request).await?;
        let url = response.url().to_string();
        let bytes = response.bytes().await.map_err(|error| self.broken(error))?.to_vec();
        if digest.is_some_and(|digest| digest != Digest::of(&bytes)) {
            let what = format!("the {part} is not the one that the version has");
            return Err(RemoteError::Answer { url, what }.into());
        }
        Ok(bytes)
    }

    /// Copies a version into another workspace of the server.
    pub async fn copy(&self, reference: &str, to: &str, options: &CopyOptions) -> Result<Copied> {
        let crate::lifecycle::Subject { name, version } = crate::lifecycle::Subject::parse(reference)?;
        let version = version.as_deref().unwrap_or("@latest");
        let body = serde_json::json!({ "to": to, "name": options.name, "version": options.version });
        let path = ["environments", &name, "versions", version, "copy"];
        self.json(self.request(Method::POST, &path).json(&body)).await
    }

    /// Sends lines to be taken in, as they are read.
    pub async fn import(&self, mut lines: impl std::io::Read + Send + 'static) -> Result<Imported> {
        let (tell, hear) = tokio::sync::mpsc::channel::<std::io::Result<Vec<u8>>>(2);
        let reading = std::thread::spawn(move || {
            loop {
                let mut part = vec![0; LINES];
                let read = lines.read(&mut part);
                let is_end = !matches!(read, Ok(1..));
                let read = read.map(|count| part[..count].to_vec());
                // A server that says no before the end hears no more.
                if matches!(&read, Ok(part) if part.is_empty()) || tell.blocking_send(read).is_err() || is_end
                {
                    return;
                }
            }
        });
        let parts = futures::stream::unfold(hear, async |mut hear| Some((hear.recv().await?, hear)));
        let request = self.request(Method::POST, &["import"]).header("Content-Type", "application/x-ndjson");
        let imported = self.json(request.body(reqwest::Body::wrap_stream(parts))).await;
        // It has ended, or ends with the pipe that it waits for.
        drop(reading);
        imported
    }

    /// The name of the workspace that `text` is on this server: a name, or a URL of it.
    pub fn on_same_server(&self, text: &str) -> Option<String> {
        if Self::is_one(text) {
            let (server, name) = split(text).ok()?;
            return (server == self.server).then_some(name);
        }
        let is_name = !text.is_empty()
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        is_name.then(|| text.to_owned())
    }

    /// Asks for the image of a version.
    pub async fn ask_build(
        &self,
        name: &str,
        version: &str,
        platform: Option<Platform>,
    ) -> Result<RemoteJob> {
        let path = ["environments", name, "versions", version, "build"];
        let body = serde_json::json!({ "platform": platform });
        self.json(self.request(Method::POST, &path).json(&body)).await
    }

    /// Builds there, newest first.
    pub async fn jobs(&self, limit: u32) -> Result<Vec<RemoteJob>> {
        let request = self.asking(&["jobs"], &[("limit", &limit.clamp(1, PART).to_string())]);
        Ok(self.json::<Jobs>(request).await?.jobs)
    }

    /// A build there, or the newest for `latest`.
    pub async fn job(&self, id: &str) -> Result<RemoteJob> {
        if id == "latest" {
            let newest = self.jobs(1).await?.pop();
            return newest.ok_or_else(|| Error::NoBuild(id.to_owned()));
        }
        self.json(self.request(Method::GET, &["jobs", id])).await
    }

    /// A request of the workspace.
    pub(crate) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        traced(self.client.request(method, self.place(path)).bearer_auth(&self.token))
    }

    /// One that asks for something.
    pub(crate) fn asking(&self, path: &[&str], query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.place(path);
        url.query_pairs_mut().extend_pairs(query);
        traced(self.client.get(url).bearer_auth(&self.token))
    }

    fn place(&self, path: &[&str]) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1", "workspaces", &self.name]).extend(path);
        }
        url
    }

    pub(crate) async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let response = self.send(request).await?;
        let url = response.url().to_string();
        let bytes = response.bytes().await.map_err(|error| self.broken(error))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| RemoteError::Answer { url, what: error.to_string() }.into())
    }

    /// An answer that is no problem.
    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|error| self.broken(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(match problem(status, response).await {
            // What was asked for is wrong, and not how the server is.
            RemoteError::Problem { code, detail: message, hint: Some(hint), .. }
                if matches!(&*code, "change-invalid" | "parameter-invalid") =>
            {
                Error::Arguments { message, hint }
            }
            problem => problem.into(),
        })
    }

    fn broken(&self, error: reqwest::Error) -> Error {
        RemoteError::Connect { url: self.server.to_string(), source: error.without_url() }.into()
    }
}

async fn problem(status: StatusCode, response: Response) -> RemoteError {
    let url = response.url().to_string();
    let bytes = response.bytes().await.unwrap_or_default();
    match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => {
            let mut causes = problem.causes;
            for remark in problem.remarks {
                let hint = remark.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
                let said = format!("{}{hint}", remark.message);
                if !problem.detail.contains(&remark.message) {
                    causes.push(said);
                }
            }
            RemoteError::Problem {
                status: status.as_u16(),
                code: problem.code,
                detail: problem.detail,
                causes,
                hint: problem.hint,
                concerns: problem.concerns,
                nearest: problem.nearest,
            }
        }
        Err(_) => RemoteError::Answer { url, what: status.to_string() },
    }
}

/// Says what a request is part of.
fn traced(request: RequestBuilder) -> RequestBuilder {
    match provenv_telemetry::handed_on(&tracing::Span::current()) {
        Some(parent) => request.header("traceparent", parent),
        None => request,
    }
}

fn client() -> Result<reqwest::Client> {
    let built = reqwest::Client::builder()
        .connect_timeout(PATIENCE)
        .user_agent(concat!("provenv/", env!("CARGO_PKG_VERSION")))
        // A token goes to the server that it is of, and nowhere else.
        .redirect(reqwest::redirect::Policy::none())
        .build();
    built.map_err(|source| RemoteError::Connect { url: String::new(), source }.into())
}

/// The server and the workspace that a URL names.
fn split(text: &str) -> Result<(Url, String)> {
    let wrong = || RemoteError::Url(text.to_owned());
    let url = Url::parse(text).map_err(|_| wrong())?;
    let mut segments = url.path_segments().ok_or_else(wrong)?.filter(|segment| !segment.is_empty());
    let name = segments.next().unwrap_or("default").to_owned();
    if segments.next().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong().into());
    }
    Ok((server(text)?, name))
}

/// The server that a URL is of: its scheme, host and port.
fn server(text: &str) -> Result<Url> {
    let wrong = || RemoteError::Url(text.to_owned());
    let mut url = Url::parse(text).map_err(|_| wrong())?;
    let is_here = match url.host() {
        Some(url::Host::Domain(domain)) => domain == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(wrong().into()),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_here => {}
        "http" => return Err(RemoteError::Plain(text.to_owned()).into()),
        _ => return Err(wrong().into()),
    }
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn urls_name_a_server_and_a_workspace() {
        let parts = |text: &str| {
            let (server, name) = split(text).unwrap();
            (server.to_string(), name)
        };
        let at = |server: &str, name: &str| (server.to_owned(), name.to_owned());
        assert_eq!(parts("https://envs.example/vision"), at("https://envs.example/", "vision"));
        assert_eq!(parts("https://envs.example:8443"), at("https://envs.example:8443/", "default"));
        assert_eq!(parts("http://127.0.0.1:8080/a/"), at("http://127.0.0.1:8080/", "a"));
        for text in [
            "http://envs.example/vision",
            "https://envs.example/a/b",
            "https://me:pw@envs.example/a",
            "ftp://x/y",
        ] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
