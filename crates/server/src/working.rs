//! Workers of a server in a process of their own, beside others, here or on another machine with the same folder and database.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use provenv_workspace::{Config, StopSignal};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::sign_in::Admission;
use crate::state::{Server, Times};
use crate::{ServeError, prepare, worker};

/// How workers are run.
#[derive(Clone, Debug)]
pub struct WorkOptions {
    /// The server's folder.
    pub root: PathBuf,
    /// The server's database, over the one that the settings name.
    pub database: Option<String>,
    /// How many builds run at once.
    pub workers: usize,
    /// How long builds have to end by themselves after this process was told to stop.
    pub patience: Duration,
}

/// Workers that run.
#[derive(Clone, Debug, Serialize)]
pub struct Working {
    /// The server's folder.
    pub root: PathBuf,
    /// How many builds run at once.
    pub workers: usize,
    /// What their names begin with.
    pub name: String,
}

/// Works until this process is told to stop. `ready` is called once work may be taken.
pub async fn work(
    options: WorkOptions,
    ready: impl FnOnce(&Working) -> io::Result<()>,
) -> Result<(), ServeError> {
    let mut signal = StopSignal::listen()?;
    let mut settings = Config::load().map_err(provenv_workspace::Error::from)?.server;
    settings.database = options.database.or(settings.database);
    let (tell, stopping) = watch::channel(false);
    let times = Times { pull: Duration::ZERO, patience: options.patience };
    let server = tokio::select! {
        prepared = prepare(&options.root, settings, times, stopping, (Admission::nobody(), None)) => prepared?,
        // It waits for its database, and need not.
        () = signal.next() => return Ok(()),
    };
    let about = Working { root: server.root.clone(), workers: options.workers, name: name() };
    ready(&about).map_err(ServeError::Say)?;
    let working = begin(&server, options.workers);
    signal.next().await;
    tracing::info!("the workers stop");
    let _ = tell.send(true);
    for one in working {
        // One that panicked leaves its job to its lease.
        let _ = one.await;
    }
    server.close().await;
    Ok(())
}

/// Begins so many workers.
pub(crate) fn begin(server: &Arc<Server>, workers: usize) -> Vec<JoinHandle<()>> {
    let name = name();
    let one = |number| tokio::spawn(worker::work(Arc::clone(server), format!("{name}/{number}")));
    (1..=workers).map(one).collect()
}

/// The machine and this process.
fn name() -> String {
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{host}/{}", std::process::id())
}
