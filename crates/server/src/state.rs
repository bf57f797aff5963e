//! What requests and workers share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use provenv_workspace::{Moment, Mounted, OfServer, OpenOptions, ServerSettings, Silent, Workspace};
use tokio::sync::{Notify, RwLock, Semaphore, watch};

use crate::access::Decisions;
use crate::again::MOST;
use crate::audit::Ledger;
use crate::database::{Database, Deed};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::problem::{Problem, Result};
use crate::remembered::Remembered;
use crate::secrets::{Held, Secrets};
use crate::sharing::Sources;
use crate::sign_in::{Admission, Provider};

/// How many definitions are resolved at once: each may run a package manager.
const RESOLVING: usize = 2;

/// What requests and workers share.
pub(crate) struct Server {
    /// Its folder.
    pub root: PathBuf,
    /// What is set for it.
    settings: ServerSettings,
    /// Who may do what, and what is to be done.
    pub database: Database,
    /// What is signed of the audit log.
    pub ledger: Ledger,
    /// The keys of the secrets.
    pub secrets: Secrets,
    /// The workspaces that were opened.
    opened: RwLock<HashMap<String, Arc<Opened>>>,
    /// Rung when a job is queued.
    pub queued: Notify,
    /// How long is waited for what.
    pub times: Times,
    /// Told when the server is to stop.
    pub stopping: watch::Receiver<bool>,
    /// Held by whoever resolves a definition.
    pub resolving: Semaphore,
    /// The workspaces that share something.
    pub sources: Sources,
    /// What is counted.
    pub metrics: Metrics,
    /// What was answered.
    pub remembered: Remembered,
    /// Who may call what.
    pub decisions: Decisions,
    /// The description of the API, as it is served.
    pub description: String,
    /// Whom it lets in, and how much it takes.
    pub admission: Admission,
    /// The provider that users sign in by, if one is set.
    pub provider: Option<Provider>,
    /// How much was asked of it just now, and by whom.
    pub limits: Limits,
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// How long a pull waits for the build of what it wants.
    pub pull: Duration,
    /// How long builds have to end by themselves after the server was told to stop.
    pub patience: Duration,
}

/// A workspace that requests use.
pub(crate) struct Opened {
    pub workspace: Workspace,
    pub registry: Mounted,
    /// What definitions are fetched with, as it was read last.
    held: Held,
}

/// A name that can be a folder, a part of a path, and the first component of a repository.
pub(crate) fn is_workspace_name(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !name.is_empty()
        // It ends the name of a schema, too, which PostgreSQL cuts at 63.
        && name.len() <= 40
        && name.starts_with(is_word)
        && name.ends_with(is_word)
        && name.chars().all(|c| is_word(c) || c == '-')
}

impl Server {
    pub fn new(
        root: PathBuf,
        settings: ServerSettings,
        database: Database,
        ledger: Ledger,
        times: Times,
        stopping: watch::Receiver<bool>,
        (admission, provider): (Admission, Option<Provider>),
    ) -> Self {
        let limits = Limits::new(&admission.limits);
        let description = crate::description();
        let decisions = Decisions::of(&serde_json::from_str(&description).unwrap_or_default());
        Self {
            secrets: Secrets::of(&root),
            root,
            settings,
            database,
            ledger,
            opened: RwLock::default(),
            queued: Notify::new(),
            times,
            stopping,
            resolving: Semaphore::new(RESOLVING),
            sources: Sources::default(),
            metrics: Metrics::default(),
            remembered: Remembered::default(),
            decisions,
            description,
            admission,
            provider,
            limits,
        }
    }

    /// Writes down what was done elsewhere than in the database: after it was done, before it is answered.
    pub async fn record(&self, deed: &Deed) -> Result<()> {
        Ok(self.database.record(deed).await?)
    }

    /// The most bytes of a body, but for layers.
    pub fn body(&self) -> usize {
        self.admission.limits.body.and_then(|most| usize::try_from(most).ok()).unwrap_or(MOST)
    }

    /// What the provider is called, if there is one.
    pub fn provider_label(&self) -> Option<String> {
        let host = |issuer: &str| url::Url::parse(issuer).ok()?.host_str().map(str::to_owned);
        let provider = self.provider.as_ref()?;
        let label = self.admission.oidc.label.clone().or_else(|| host(provider.issuer()));
        Some(label.unwrap_or_else(|| provider.issuer().to_owned()))
    }

    /// Reads the secrets of a workspace, for what is about to be resolved there.
    pub async fn hold_secrets(&self, name: &str, opened: &Opened) -> Result<()> {
        opened.held.replace(self.secrets.open(&self.database, name).await?);
        Ok(())
    }

    /// The folder of a workspace.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join("workspaces").join(name)
    }

    /// Makes a workspace; says whether it is new.
    pub async fn make_workspace(&self, name: &str, by: &str) -> Result<bool> {
        if !is_workspace_name(name) {
            return Err(Problem::bad(
                "workspace-name-invalid",
                format!("`{name}` is no name of a workspace"),
            )
            .hint("take lower-case letters, digits and `-`, at most 40"));
        }
        // The folder first: what is on record is there.
        self.open(name).await?;
        Ok(self.database.add_workspace(name, by).await?)
    }

    /// A workspace that is on record.
    pub async fn workspace(&self, name: &str) -> Result<Arc<Opened>> {
        if let Some(opened) = self.opened.read().await.get(name) {
            return Ok(Arc::clone(opened));
        }
        if !self.database.workspaces().await?.iter().any(|known| known == name) {
            return Err(no_workspace(name));
        }
        self.open(name).await
    }

    /// The workspaces that are on record, by name; of all servers.
    pub async fn workspaces(&self) -> Result<Vec<(String, Arc<Opened>)>> {
        let mut all = Vec::new();
        for name in self.database.workspaces().await? {
            let opened = self.open(&name).await?;
            all.push((name, opened));
        }
        Ok(all)
    }

    async fn open(&self, name: &str) -> Result<Arc<Opened>> {
        let mut all = self.opened.write().await;
        if let Some(opened) = all.get(name) {
            return Ok(Arc::clone(opened));
        }
        let root = self.folder(name);
        fs_err::create_dir_all(&root).map_err(|error| Problem::fault(&error))?;
        let held = Held::default();
        let workspace = Workspace::open(OpenOptions {
            root,
            reporter: Arc::new(Silent),
            offline: false,
            no_cache_registry: false,
            builder: None,
            secrets: Vec::new(),
            of_server: Some(OfServer {
                schema_ending: name.replace('-', "_"),
                credentials: Some(held.by_origin()),
                database: self.settings.database.clone(),
            }),
        })
        .await
        .map_err(|error| Problem::fault(&error))?;
        let registry = workspace.mounted(name);
        let sweeping = registry.clone();
        let mut stopping = self.stopping.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = sweeping.sweep() => {}
                () = told_to_stop(&mut stopping) => {}
            }
        });
        let opened = Arc::new(Opened { workspace, registry, held });
        all.insert(name.to_owned(), Arc::clone(&opened));
        Ok(opened)
    }

    /// Which moment of the catalogue of a workspace it is. In PostgreSQL it is one for all that is in there: `known` is the one
    /// that was asked for when the request was let in.
    pub async fn moment(&self, workspace: &str, known: Option<Moment>) -> Option<Moment> {
        if self.database.is_shared() {
            return match known {
                Some(known) => Some(known),
                None => self.database.moment().await,
            };
        }
        self.workspace(workspace).await.ok()?.workspace.moment().await
    }

    /// Of the catalogue of each workspace that is open: connections, those of them that nobody uses, how many there may be.
    pub async fn catalogue_connections(&self) -> Vec<(u32, u32, u32)> {
        self.opened.read().await.values().map(|opened| opened.workspace.connections()).collect()
    }

    /// Keeps what is on its way, and closes all.
    pub async fn close(&self) {
        // What could not be written down is on record, for whoever begins next.
        if let Err(error) = self.database.settle().await {
            tracing::warn!(%error, "the audit log has yet to be told of changes");
        }
        for (_, opened) in self.opened.write().await.drain() {
            opened.registry.keep().await;
            if let Err(error) = opened.workspace.forget_told().await {
                tracing::debug!(%error, "what the audit log has was left on record");
            }
        }
        self.database.close().await;
    }
}

/// Waits until the server is to stop.
pub(crate) async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    // One whose sender is gone has stopped too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Said of a workspace that is not there, and of one that is not for whoever asks.
pub(crate) fn no_workspace(name: &str) -> Box<Problem> {
    Problem::new(
        StatusCode::NOT_FOUND,
        "workspace-not-found",
        format!("there is no workspace `{name}` for you here"),
    )
    .hint(
        "`provenv workspace list` (GET /api/v1/workspaces) lists yours; an owner gives you a role in another",
    )
}
