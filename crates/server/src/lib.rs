//! Workspaces over HTTP, for a team: an API, the registry, builds as jobs.
//!
//! A server is a folder: `workspaces/NAME/`, each a workspace as the command line has them, and `server.db` with users, roles,
//! tokens and the queue of builds. What a workspace can do is in `provenv-workspace`; here is who may ask for it, and how.

// A request holds the whole way of a resolution, each step inside of the one before.
#![recursion_limit = "256"]

mod access;
mod again;
mod apart;
mod api;
mod audit;
mod backup;
mod build_variables;
mod database;
mod dump;
mod limits;
mod metrics;
mod page;
mod patience;
mod plain;
mod problem;
mod pulls;
mod registry;
mod remembered;
mod secrets;
mod sharing;
mod sign_in;
mod state;
mod telling;
mod trace;
mod unbroken;
mod whole;
mod worker;
mod working;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use provenv_workspace::{Config, Door, HostingError, ServerSettings, StopSignal};
use serde::Serialize;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tracing::Instrument as _;

pub use api::description;
pub use audit::LedgerError;
pub use backup::{Backup, BackupError, BackupOptions, backup, restore};
pub use database::DatabaseError;
pub use dump::{Dump, DumpError};
pub use sign_in::SettingsError;
pub use working::{WorkOptions, Working, work};

use crate::audit::Ledger;
use crate::database::{Database, Role, Scope};
use crate::patience::{Beginning, patiently};
use crate::problem::Problem;
use crate::sign_in::{Admission, Provider};
use crate::state::{Server, Times, told_to_stop};

/// How long requests may take to end after the server was told to stop.
const GRACE: Duration = Duration::from_secs(30);
/// The workspace that is there from the beginning.
const DEFAULT: &str = "default";
/// The first owner.
const OWNER: &str = "owner";
/// Whoever starts the server, in the audit log.
const SELF: &str = "(server)";

/// How a server is run.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Its folder; made where it is missing.
    pub root: PathBuf,
    /// Where it listens: `ADDRESS:PORT`; a port of 0 takes a free one.
    pub listen: String,
    /// Files with a certificate and its key, in PEM.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// How many builds run here at once; none, where others build.
    pub workers: usize,
    /// How long a pull waits for the build of what it wants.
    pub pull_wait: Duration,
    /// Make another token for the owner, where the first is lost.
    pub owner_token: bool,
}

/// A server that runs.
#[derive(Clone, Serialize)]
pub struct Served {
    /// Its URL.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its folder.
    pub root: PathBuf,
    /// How many builds run here at once.
    pub workers: usize,
    /// The owner's token, where it was made just now: it is not shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_token: Option<String>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its folder cannot be used.
    #[error("the server's folder cannot be used")]
    Folder(#[source] io::Error),
    /// Its database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Its audit log.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A workspace.
    #[error("the workspace `{DEFAULT}` cannot be made: {0}")]
    Workspace(String),
    /// Its address, its certificate.
    #[error(transparent)]
    Hosting(#[from] HostingError),
    /// Sign-in by a provider.
    #[error(transparent)]
    SignIn(#[from] SettingsError),
    /// Signals, and the like.
    #[error(transparent)]
    Other(#[from] provenv_workspace::Error),
    /// It could not say where it is.
    #[error("could not say where the server is")]
    Say(#[source] io::Error),
}

impl ServeError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Folder(_) => Some("name a folder that is yours with --root".to_owned()),
            Self::Database(error) => error.hint(),
            Self::Ledger(error) => Some(error.hint()),
            Self::Hosting(error) => error.hint(),
            Self::SignIn(error) => Some(error.hint()),
            Self::Other(error) => error.hint(),
            _ => None,
        }
    }
}

/// Serves until this process is told to stop. `ready` is called once clients may connect.
pub async fn serve(
    options: ServeOptions,
    ready: impl FnOnce(&Served) -> io::Result<()>,
) -> Result<(), ServeError> {
    let mut signal = StopSignal::listen()?;
    fs_err::create_dir_all(&options.root).map_err(ServeError::Folder)?;
    private(&options.root).map_err(ServeError::Folder)?;
    let settings = Config::load().map_err(provenv_workspace::Error::from)?.server;
    let (tell, stopping) = watch::channel(false);
    let times = Times { pull: options.pull_wait, patience: Duration::ZERO };
    let people = sign_in::configure(options.tls.is_some())?;
    let beginning = async {
        let server = prepare(&options.root, settings, times, stopping.clone(), people).await?;
        let owner_token = begin(&server, options.owner_token).await?;
        Ok::<_, ServeError>((server, owner_token))
    };
    let (server, owner_token) = tokio::select! {
        begun = beginning => begun?,
        // It waits for its database, and need not.
        () = signal.next() => return Ok(()),
    };
    let root = server.root.clone();
    let door = Door::open(&options.listen, options.tls.as_ref()).await?;
    let door_is_secure = door.is_secure();
    let scheme = if door_is_secure { "https" } else { "http" };
    let (address, workers) = (door.address(), options.workers);
    let about = Served { url: format!("{scheme}://{address}"), address, root, workers, owner_token };
    ready(&about).map_err(ServeError::Say)?;
    let working = working::begin(&server, workers);
    let following = tokio::spawn(sharing::sweep(Arc::clone(&server)));
    let telling = tokio::spawn(telling::sweep(Arc::clone(&server)));
    let mut told = stopping.clone();
    let stop = async move { told_to_stop(&mut told).await };
    let stopped = async {
        signal.next().await;
        tracing::info!("the server stops");
        let _ = tell.send(true);
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = door.serve(app(&server, door_is_secure), GRACE, stop) => result,
        () = stopped => Ok(()),
    };
    let _ = tell.send(true);
    for one in working {
        // One that panicked leaves its job to its lease.
        let _ = one.await;
    }
    let _ = following.await;
    let _ = telling.await;
    server.close().await;
    Ok(result?)
}

/// What requests and workers share, of a server in a folder that is there.
async fn prepare(
    root: &Path,
    settings: ServerSettings,
    times: Times,
    stopping: watch::Receiver<bool>,
    people: (Admission, Option<Provider>),
) -> Result<Arc<Server>, ServeError> {
    let root = fs_err::canonicalize(root).map_err(ServeError::Folder)?;
    let (database, origin) = patiently(|| async {
        let database = Database::open(&root, &settings).await?;
        let origin = database.begin_audit_log().await?;
        Ok((database, origin))
    })
    .await?;
    let ledger = Ledger::open(&root, &origin)?;
    Ok(Arc::new(Server::new(root, settings, database, ledger, times, stopping, people)))
}

/// Whoever may read the folder could read what every workspace has.
fn private(root: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(root, std::fs::Permissions::from_mode(0o700))
}

/// What a server begins with: a workspace, and an owner. Gives the owner's token, if one was made.
async fn begin(server: &Server, owner_token: bool) -> Result<Option<String>, ServeError> {
    let made = |problem: Box<Problem>| Beginning::of(&problem, ServeError::Workspace);
    let is_new = patiently(|| async {
        server.make_workspace(DEFAULT, SELF).await.map_err(made)?;
        Ok(server.database.tokens(None).await?.is_empty())
    })
    .await?;
    if !is_new && !owner_token {
        return Ok(None);
    }
    // One that was made, and of which the database could not say so, is nobody's.
    let token = patiently(|| async {
        server.database.set_role(OWNER, None, Some(Role::Owner), SELF).await?;
        let note = "made when the server began";
        Ok(server.database.make_token(OWNER, note, &Scope::default(), None, SELF).await?)
    })
    .await?;
    Ok(Some(token.secret))
}

/// Everything that is answered.
fn app(server: &Arc<Server>, is_secure: bool) -> Router {
    let (routes, _) = api::routes();
    let api = routes
        .route_layer(from_fn_with_state(Arc::clone(server), again::once))
        .route_layer(from_fn_with_state(Arc::clone(server), remembered::again))
        .route_layer(from_fn_with_state(Arc::clone(server), access::admit))
        .route_layer(from_fn(unbroken::to_the_end))
        // For the page, too, which asks the API itself.
        .route_layer(from_fn(plain::only))
        .layer(DefaultBodyLimit::max(server.body()))
        .layer(CompressionLayer::new())
        .method_not_allowed_fallback(not_allowed);
    // Not compressed: layers are, and their digests are of the bytes as they stand.
    let registry = Router::new()
        .route("/v2", any(registry::answer))
        .route("/v2/", any(registry::answer))
        .route("/v2/{*rest}", any(registry::answer))
        .layer(DefaultBodyLimit::disable());
    let asked = api.clone().fallback(page::nothing).with_state(Arc::clone(server));
    let page = page::routes(server, asked, is_secure);
    api.merge(registry)
        .with_state::<()>(Arc::clone(server))
        .merge(page)
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server has a defect")
                .into_response()
        }))
        .layer(from_fn(plain::only))
        .layer(from_fn_with_state(Arc::clone(server), limits::around))
        .layer(from_fn_with_state(Arc::clone(server), observe))
}

async fn not_allowed(method: Method, uri: Uri) -> Box<Problem> {
    let detail = format!("{method} is not for {}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}

/// Counts a request, and says what came of it.
async fn observe(State(server): State<Arc<Server>>, request: Request<Body>, next: Next) -> Response {
    let begun = Instant::now();
    let _counted = server.metrics.asked();
    let method = request.method().clone();
    let pattern = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let path = request.uri().path().to_owned();
    let id = trace::request_id(request.headers());
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default());
    let traced = trace::span(request.headers(), &id, &method, pattern.as_deref());
    let mut response = {
        let named = trace::named_in(request.headers());
        let answer = trace::within(named, next.run(request)).instrument(traced.clone());
        answer.instrument(span.clone()).await
    };
    response.headers_mut().insert(trace::REQUEST_ID, id);
    trace::answered(&traced, response.status());
    let _entered = span.entered();
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    server.metrics.answered(method.as_str(), pattern.as_deref().unwrap_or("none"), status, took);
    tracing::info!(%method, path, status, ?took, "answered");
    response
}
