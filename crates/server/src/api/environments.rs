//! Environments: registered, listed, shown with their locks, receipts and images.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use provenv_definition::{Digest, Environment, Platform};
use provenv_workspace::{
    EnvironmentDetails, EnvironmentPage, Error, Find, Include, Kind, Registered, SentEnvironment, Term,
    read_text,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::sent::{Asked, At, Many, Repeated, Sent, limit, tagged, tagged_json};
use crate::access::Caller;
use crate::apart::apart;
use crate::database::{Action, Deed};
use crate::problem::{Problem, Result};
use crate::state::{Opened, Server};

/// A registered version.
#[derive(Serialize, ToSchema)]
#[schema(as = Version)]
pub struct VersionBody {
    /// Its name.
    #[schema(example = "digits")]
    name: Option<String>,
    /// Its version.
    #[schema(example = "2")]
    version: Option<String>,
    /// Digest of its definition.
    #[schema(value_type = String)]
    definition_digest: Digest,
    /// The receipt it points to.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Digest>,
    /// The lock of that receipt.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<Digest>,
    /// When it was registered.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<jiff::Timestamp>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    /// The version that it was made from, `name:version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// The labels on it, `latest` included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    /// Where it is shared from, `WORKSPACE/NAME`: it is read-only here.
    #[schema(example = "platform/digits")]
    #[serde(skip_serializing_if = "Option::is_none")]
    shared_from: Option<String>,
    /// Whether it is archived, itself or with its name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    archived: bool,
    /// All it says, in the form that `register` takes.
    #[schema(value_type = Object)]
    environment: Environment,
}

impl From<EnvironmentDetails> for VersionBody {
    fn from(details: EnvironmentDetails) -> Self {
        Self {
            name: details.name,
            version: details.version,
            definition_digest: details.definition_digest,
            receipt: details.receipt,
            lock: details.lock,
            created_at: details.created_at,
            created_by: details.created_by,
            from: details.from,
            labels: details.labels,
            shared_from: details.shared_from,
            archived: details.archived,
            environment: details.environment,
        }
    }
}

/// A part of a list of versions.
#[derive(Serialize, ToSchema)]
#[schema(as = Versions)]
pub struct VersionsBody {
    /// The versions.
    environments: Vec<VersionBody>,
    /// What to give as `after` for the next part, if there is one.
    next: Option<String>,
}

impl From<EnvironmentPage> for VersionsBody {
    fn from(page: EnvironmentPage) -> Self {
        Self { environments: page.environments.into_iter().map(Into::into).collect(), next: page.next }
    }
}

/// Whether archived versions are listed.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Archived {
    /// They are not.
    #[default]
    No,
    /// They are, as all others.
    Too,
    /// They alone are.
    Only,
}

/// Which environments are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only the versions of the environment that is called so.
    environment: Option<String>,
    /// Only names that fit: `*` stands for anything.
    #[param(example = "dig*")]
    name: Option<String>,
    /// Only those with this tag, `NAME` or `NAME=VALUE`; several times: with all of them.
    #[serde(default)]
    tag: Vec<String>,
    /// Only those for which this is so: `package:NAME[RANGE]`, `artifact:DIGEST`, `base:BASE`, `vulnerability:ID`, or text that the
    /// name holds; several times: all of it.
    #[param(example = json!(["package:numpy<1.26"]))]
    #[serde(default)]
    term: Vec<String>,
    /// Only those whose packages come about so.
    #[param(value_type = Option<String>, example = "system-managed")]
    kind: Option<Kind>,
    /// Only those that this user registered.
    creator: Option<String>,
    /// Only those registered at this time or later.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<jiff::Timestamp>,
    /// Only those registered before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<jiff::Timestamp>,
    /// Whether archived ones are listed.
    #[param(inline)]
    #[serde(default)]
    archived: Archived,
    /// Every version, and not only the newest of each name.
    #[serde(default)]
    all: bool,
    /// The `next` of the part before.
    after: Option<String>,
    /// At most so many, 1 to 500; 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

impl Repeated for Filter {
    const NAMES: &'static [&'static str] = &["tag", "term"];

    fn take(&mut self, name: &str, value: String) {
        if name == "tag" { &mut self.tag } else { &mut self.term }.push(value);
    }
}

/// Which part of a list is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The `next` of the part before.
    after: Option<String>,
    /// Whether archived ones are listed.
    #[param(inline)]
    #[serde(default)]
    archived: Archived,
    /// At most so many, 1 to 500; 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

impl From<Archived> for Include {
    fn from(archived: Archived) -> Self {
        match archived {
            Archived::No => Self::Active,
            Archived::Too => Self::All,
            Archived::Only => Self::Archived,
        }
    }
}

/// What is to be registered: an environment in JSON, or the text of a file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// The environment, as `version` shows it.
    #[schema(value_type = Option<Object>)]
    environment: Option<Environment>,
    /// A file of any format that Provenv reads and that names no other file.
    file: Option<SentFile>,
    /// Its name, over the one that the definition gives.
    #[schema(example = "digits")]
    name: Option<String>,
    /// Its version, over the one that the definition gives; the next number, if none does.
    #[schema(example = "2")]
    version: Option<String>,
    /// The text of the lock that it is to have, as `lock` shows it. Nothing is resolved then.
    lock: Option<String>,
    /// The version that it is made from, `name:version`.
    #[schema(example = "digits:1")]
    from: Option<String>,
}

/// The text of a file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SentFile {
    /// The file's name, which says its format where the text does not.
    #[schema(example = "requirements.txt")]
    name: String,
    /// Its text.
    #[schema(example = "numpy<2\nscikit-learn\n")]
    text: String,
}

/// What registering came to.
#[derive(Serialize, ToSchema)]
#[schema(as = Registered)]
pub struct RegisteredBody {
    /// The environment's name.
    #[schema(example = "digits")]
    name: String,
    /// Its version.
    #[schema(example = "2")]
    version: String,
    /// Whether the version is new.
    created: bool,
    /// Digest of its definition.
    #[schema(value_type = String)]
    definition: Digest,
    /// The receipt it points to.
    #[schema(value_type = String)]
    receipt: Digest,
    /// The lock of that receipt.
    #[schema(value_type = String)]
    lock: Digest,
}

/// Lists environments: the newest version of each, by name, or all.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/environments", tag = "environments",
    params(("workspace" = String, Path), Filter),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = VersionsBody),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(
    State(server): State<Arc<Server>>,
    At(workspace): At<String>,
    Many(filter): Many<Filter>,
) -> Result<Json<VersionsBody>> {
    let opened = server.workspace(&workspace).await?;
    let tags = filter.tag.into_iter().map(|tag| match tag.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (tag, None),
    });
    let term = |text: String| {
        text.parse::<Term>().map_err(|why| {
            Problem::bad("parameter-invalid", format!("`{text}` is nothing to look for: {why}"))
        })
    };
    let find = Find {
        pattern: filter.name,
        name: filter.environment,
        tags: tags.collect(),
        terms: filter.term.into_iter().map(term).collect::<Result<_>>()?,
        kind: filter.kind,
        creator: filter.creator,
        since: filter.since,
        until: filter.until,
        include: filter.archived.into(),
        all_versions: filter.all,
        limit: Some(limit(filter.limit)?),
        after: filter.after,
        ..Find::default()
    };
    Ok(Json(found(&opened, &find).await?.into()))
}

/// A page; what is wrong with what was asked for is a parameter's fault.
async fn found(opened: &Opened, find: &Find) -> Result<EnvironmentPage> {
    opened.workspace.find(find).await.map_err(|error| match error {
        Error::Arguments { message, hint } => Problem::bad("parameter-invalid", message).hint(hint),
        error => error.into(),
    })
}

/// Registers an environment: locks it, and gives it a version unless this name has this content already. Locking may take
/// minutes where nobody did it before.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/environments", tag = "environments",
    params(("workspace" = String, Path), ("Idempotency-Key" = Option<String>, Header,
        description = "Whoever asks again with the same key within a day gets the same answer, and nothing is done twice")),
    request_body = Registration,
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 201, body = RegisteredBody, description = "The version is new"),
        (status = 200, body = RegisteredBody, description = "A version of this name has this content already"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn register(
    State(server): State<Arc<Server>>,
    caller: Caller,
    At(workspace): At<String>,
    Sent(registration): Sent<Registration>,
) -> Result<Response> {
    let opened = server.workspace(&workspace).await?;
    let mut sent = given(registration.environment, registration.file)?;
    sent.environment.name = registration.name.or(sent.environment.name);
    sent.environment.version = registration.version.or(sent.environment.version);
    (sent.lock, sent.from) = (registration.lock, registration.from);
    let registered = match opened.workspace.register_known(&sent, &caller.user).await? {
        Some(registered) => {
            record(&server, &caller.user, (&workspace, &opened), &registered).await?;
            registered
        }
        None => {
            let _turn = server.resolving.acquire().await.map_err(|error| Problem::fault(&error))?;
            server.hold_secrets(&workspace, &opened).await?;
            let (by, place, on) = (caller.user.clone(), workspace.clone(), Arc::clone(&server));
            let work = move || async move {
                let registered = opened.workspace.register_sent_with(&sent, &by).await?;
                record(&on, &by, (&place, &opened), &registered).await?;
                Ok::<_, Box<Problem>>(registered)
            };
            apart(work).await??
        }
    };
    tracing::info!(
        by = caller.user,
        workspace,
        name = registered.name,
        version = registered.version,
        created = registered.created,
        "registered an environment"
    );
    let status = if registered.created { StatusCode::CREATED } else { StatusCode::OK };
    let place = format!(
        "/api/v1/workspaces/{workspace}/environments/{}/versions/{}",
        registered.name, registered.version
    );
    let body = RegisteredBody {
        name: registered.name,
        version: registered.version,
        created: registered.created,
        definition: registered.definition,
        receipt: registered.receipt,
        lock: registered.lock,
    };
    let mut response = (status, Json(body)).into_response();
    if let Ok(place) = HeaderValue::try_from(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// The environment that was sent, in either form.
pub fn given(environment: Option<Environment>, file: Option<SentFile>) -> Result<SentEnvironment> {
    match (environment, file) {
        (Some(environment), None) => Ok(SentEnvironment { environment, ..SentEnvironment::default() }),
        (None, Some(file)) => {
            let read = read_text(&file.name, &file.text)?;
            if read.locked.is_some() {
                return Err(Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "definition-not-for-a-server",
                    format!("`{}` is the lock of another tool", file.name),
                )
                .hint("send the definition that it was made of"));
            }
            let (environment, origins, format) = (read.environment, read.origins, Some(read.format));
            Ok(SentEnvironment { environment, origins, format, ..SentEnvironment::default() })
        }
        _ => Err(Problem::bad("body-invalid", "give either `environment` or `file`")),
    }
}

/// Lets a registration be written down, once however many ask for it at once. What is new is on record with what has yet to be
/// written down; what was there and is in no log, as it was made by other means, is written down by whoever finds it, as what the
/// one did who made it.
pub async fn record(
    server: &Server,
    user: &str,
    (workspace, opened): (&str, &Arc<Opened>),
    registered: &Registered,
) -> Result<()> {
    if registered.created {
        server.tell_new(workspace, opened, registered.untold.as_ref()).await;
        return Ok(());
    }
    let subject = format!("{}:{}", registered.name, registered.version);
    // Most often it is there, and nobody has to wait for a turn to see it.
    if server.database.is_recorded(workspace, &subject).await? {
        return Ok(());
    }
    // Whoever made it may be about to, here or on another server.
    server.tell_rest(workspace, opened).await?;
    let by = opened.workspace.version_details(&registered.name, &registered.version).await?.created_by;
    let mut deed = Deed::new(by.as_deref().unwrap_or(user), Action::Register, subject)
        .within(workspace)
        .with("definition", registered.definition)
        .with("receipt", registered.receipt)
        .with("lock", registered.lock);
    if by.as_deref() != Some(user) {
        deed = deed.with("found_by", user);
    }
    Ok(server.database.record_once(vec![deed]).await?)
}

/// Lists the versions of an environment, newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/environments/{name}", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), Part),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = VersionsBody),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn versions(
    State(server): State<Arc<Server>>,
    At((workspace, name)): At<(String, String)>,
    Asked(part): Asked<Part>,
) -> Result<Json<VersionsBody>> {
    let opened = server.workspace(&workspace).await?;
    let find = Find {
        name: Some(name),
        all_versions: true,
        include: part.archived.into(),
        limit: Some(limit(part.limit)?),
        after: part.after,
        ..Find::default()
    };
    Ok(Json(found(&opened, &find).await?.into()))
}

/// Shows a version, by its number or as `@LABEL`; `@latest` is the newest that is not archived.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = VersionBody), (status = 304, description = "The client has it"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn version(
    State(server): State<Arc<Server>>,
    At((workspace, name, version)): At<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let opened = server.workspace(&workspace).await?;
    let found = opened.workspace.version_details(&name, &version).await?;
    tagged_json(&headers, &VersionBody::from(found))
}

/// The lock of a version: every artifact with URL, size and sha256.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}/lock",
    tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Object, description = "The bytes whose sha256 is the lock's digest"),
        (status = 304, description = "The client has it"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn lock(
    State(server): State<Arc<Server>>,
    At((workspace, name, version)): At<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let opened = server.workspace(&workspace).await?;
    let found = opened.workspace.version_details(&name, &version).await?;
    let text = match found.lock {
        Some(lock) => opened.workspace.lock_text(&lock).await?,
        None => None,
    };
    let text = text.ok_or_else(|| not_locked(&name))?;
    Ok(tagged(&headers, text.into_bytes(), "application/json", !version.starts_with('@')))
}

/// The receipt of a version: when it was resolved, from which indexes, by what.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}/receipt",
    tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Object, description = "The bytes whose sha256 is the receipt's digest"),
        (status = 304, description = "The client has it"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn receipt(
    State(server): State<Arc<Server>>,
    At((workspace, name, version)): At<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let opened = server.workspace(&workspace).await?;
    let found = opened.workspace.version_details(&name, &version).await?;
    let text = match found.receipt {
        Some(receipt) => opened.workspace.receipt_text(&receipt).await?,
        None => None,
    };
    let text = text.ok_or_else(|| not_locked(&name))?;
    Ok(tagged(&headers, text.into_bytes(), "application/json", !version.starts_with('@')))
}

/// Which image is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// What it is to run on; any, if not said.
    #[param(value_type = Option<String>, example = "linux/amd64")]
    platform: Option<Platform>,
}

/// All about the image of a version: digests, layers, packages.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/environments/{name}/versions/{version}/image",
    tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), ("version" = String, Path), Which),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Object), (status = 304, description = "The client has it"),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn image(
    State(server): State<Arc<Server>>,
    At((workspace, name, version)): At<(String, String, String)>,
    Asked(which): Asked<Which>,
    headers: HeaderMap,
) -> Result<Response> {
    let opened = server.workspace(&workspace).await?;
    let found = opened.workspace.version_details(&name, &version).await?;
    let lock = found.lock.ok_or_else(|| not_locked(&name))?;
    let image = opened.workspace.image_of_lock(&lock, which.platform, &format!("{name}:{version}")).await;
    let image = image.map_err(|error| {
        let mut problem: Box<Problem> = error.into();
        if problem.code == "image-not-built" {
            problem.hint = Some("POST to …/build builds it".to_owned());
        }
        problem
    })?;
    tagged_json(&headers, &image)
}

/// Said of what has no lock here.
pub fn not_locked(name: &str) -> Box<Problem> {
    Problem::new(
        StatusCode::CONFLICT,
        "not-locked",
        format!("`{name}` is shipped, and was not used in this workspace: it has no lock here"),
    )
    .hint("register it under a name of your own")
}
