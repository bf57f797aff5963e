//! Environments: registered, listed, shown with their locks, receipts and images.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use provenv_definition::{Digest, Environment, Platform};
use provenv_workspace::{EnvironmentDetails, Registered, VersionsQuery, acting_as, read_text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::sent::{Asked, At, Sent, limit, tagged, tagged_json};
use crate::access::Caller;
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
    /// All it says, in the form that `register` takes.
    #[schema(value_type = Object)]
    environment: Environment,
}

impl From<EnvironmentDetails> for VersionBody {
    fn from(details: EnvironmentDetails) -> Self {
        let EnvironmentDetails {
            name,
            version,
            definition_digest,
            receipt,
            lock,
            created_at,
            created_by,
            environment,
            ..
        } = details;
        Self { name, version, definition_digest, receipt, lock, created_at, created_by, environment }
    }
}

/// A part of a list of versions.
#[derive(Serialize, ToSchema)]
pub struct Versions {
    /// The versions.
    versions: Vec<VersionBody>,
    /// What to give as `after` for the next part, if there may be one.
    next: Option<String>,
}

/// Which environments are listed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only names that contain this.
    name: Option<String>,
    /// Only those with this tag, `NAME` or `NAME=VALUE`.
    tag: Option<String>,
    /// Only those that this user registered.
    created_by: Option<String>,
    /// The `next` of the part before.
    after: Option<String>,
    /// At most so many, 1 to 500; 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Which part of a list is wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The `next` of the part before.
    after: Option<String>,
    /// At most so many, 1 to 500; 50 if not said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
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

/// Lists the newest version of each environment, by name.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/environments", tag = "environments",
    params(("workspace" = String, Path), Filter),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Versions),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(
    State(server): State<Arc<Server>>,
    At(workspace): At<String>,
    Asked(filter): Asked<Filter>,
) -> Result<Json<Versions>> {
    let opened = server.workspace(&workspace).await?;
    let tag = filter.tag.map(|tag| match tag.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (tag, None),
    });
    let page = opened
        .workspace
        .newest_versions(&VersionsQuery {
            name: filter.name.unwrap_or_default(),
            tag,
            created_by: filter.created_by,
            after: filter.after,
            limit: limit(filter.limit)?,
        })
        .await?;
    Ok(Json(Versions { versions: page.versions.into_iter().map(Into::into).collect(), next: page.next }))
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
    let mut environment = match (registration.environment, registration.file) {
        (Some(environment), None) => environment,
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
            read.environment
        }
        _ => {
            return Err(Problem::bad("body-invalid", "give either `environment` or `file`"));
        }
    };
    environment.name = registration.name.or(environment.name);
    environment.version = registration.version.or(environment.version);
    let _turn = server.resolving.acquire().await.map_err(|error| Problem::fault(&error))?;
    let registered = apart(caller.user.clone(), opened, environment).await?;
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

/// How large the stack of a thread that resolves may become: what it does is one deep future.
const STACK: usize = 32 * 1024 * 1024;

/// Registers on a thread of its own: resolving is work, and goes on to its end where the client goes away.
async fn apart(user: String, opened: Arc<Opened>, environment: Environment) -> Result<Registered> {
    let runtime = tokio::runtime::Handle::current();
    let (tell, hear) = tokio::sync::oneshot::channel();
    let work = move || {
        let work = acting_as(user, opened.workspace.register_sent(&environment));
        // A client that went away hears nothing of it.
        let _ = tell.send(runtime.block_on(work));
    };
    let thread = std::thread::Builder::new().name("resolving".to_owned()).stack_size(STACK);
    thread.spawn(work).map_err(|error| Problem::fault(&error))?;
    Ok(hear.await.map_err(|error| Problem::fault(&error))??)
}

/// Lists the versions of an environment, newest first.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/environments/{name}", tag = "environments",
    params(("workspace" = String, Path), ("name" = String, Path), Part),
    extensions(("x-provenv-role" = json!("reader"))),
    responses((status = 200, body = Versions),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn versions(
    State(server): State<Arc<Server>>,
    At((workspace, name)): At<(String, String)>,
    Asked(part): Asked<Part>,
) -> Result<Json<Versions>> {
    let opened = server.workspace(&workspace).await?;
    let page = opened.workspace.versions_of(&name, part.after.as_deref(), limit(part.limit)?).await?;
    if page.versions.is_empty() && part.after.is_none() {
        return Err(no_environment(&name));
    }
    Ok(Json(Versions { versions: page.versions.into_iter().map(Into::into).collect(), next: page.next }))
}

/// Shows a version; `@latest` is the newest.
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
    let found = find(&opened, &name, &version).await?;
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
    let found = find(&opened, &name, &version).await?;
    let text = match found.lock {
        Some(lock) => opened.workspace.lock_text(&lock).await?,
        None => None,
    };
    let text = text.ok_or_else(|| not_locked(&name))?;
    Ok(tagged(&headers, text.into_bytes(), "application/json", version != LATEST))
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
    let found = find(&opened, &name, &version).await?;
    let text = match found.receipt {
        Some(receipt) => opened.workspace.receipt_text(&receipt).await?,
        None => None,
    };
    let text = text.ok_or_else(|| not_locked(&name))?;
    Ok(tagged(&headers, text.into_bytes(), "application/json", version != LATEST))
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
    let found = find(&opened, &name, &version).await?;
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

/// What stands for the newest version.
const LATEST: &str = "@latest";

/// A version that is there.
pub async fn find(opened: &Opened, name: &str, version: &str) -> Result<EnvironmentDetails> {
    let wanted = match version {
        LATEST => None,
        label if label.starts_with('@') => {
            return Err(Problem::missing("label-not-found", format!("`{name}` has no label `{label}`"))
                .hint("`@latest` is the newest version"));
        }
        version => Some(version),
    };
    if let Some(found) = opened.workspace.version(name, wanted).await? {
        return Ok(found);
    }
    if wanted.is_some() && opened.workspace.version(name, None).await?.is_some() {
        return Err(Problem::missing("version-not-found", format!("`{name}` has no version `{version}`")));
    }
    Err(no_environment(name))
}

fn no_environment(name: &str) -> Box<Problem> {
    Problem::missing("environment-not-found", format!("there is no environment `{name}` in this workspace"))
        .hint("GET …/environments lists them")
}

pub fn not_locked(name: &str) -> Box<Problem> {
    Problem::new(
        StatusCode::CONFLICT,
        "not-locked",
        format!("`{name}` is shipped, and was not used in this workspace: it has no lock here"),
    )
    .hint("register it under a name of your own")
}
