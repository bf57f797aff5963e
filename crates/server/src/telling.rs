//! The audit log is told of what came to be in workspaces. That it has to be is on record in the workspace, written with the change
//! itself; so it may be told after the change was answered, many at once, and by whoever comes after a crash. Whoever reads the log
//! waits until it has all.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use provenv_workspace::{ImportSoFar, NewVersion, News, Untold};

use crate::database::{Action, CAME_FROM, Deed, Deeds, Once};
use crate::problem::Result;
use crate::state::{Opened, Server, told_to_stop};

/// How often what others left is looked for.
const PACE: Duration = Duration::from_secs(5);
/// How long an import may rest before it is taken for one whose server died.
const RESTS: SignedDuration = SignedDuration::from_secs(20);

impl Server {
    /// Tells the log what was registered just now, with what was registered together with it: the first who asks does it for all, and
    /// waits only where the log is behind.
    pub async fn tell_new(&self, workspace: &str, opened: &Arc<Opened>, untold: Option<&Arc<Untold>>) {
        let Some(untold) = untold else {
            // It was registered on the way, and what there is to tell is on record.
            if let Err(problem) = self.tell_rest(workspace, opened).await {
                problem.log();
            }
            return;
        };
        if untold.take() {
            let outcome = self.database.tell(deeds(workspace, &untold.what));
            let (opened, untold) = (Arc::clone(opened), Arc::clone(untold));
            tokio::spawn(async move {
                match outcome.await {
                    Ok(()) => opened.workspace.is_told(&untold.id),
                    Err(error) => tracing::warn!(%error, "the audit log could not be told, and will be"),
                }
            });
        }
        if self.database.is_behind() {
            // What went wrong is said above.
            let _ = self.database.settle().await;
        }
    }

    /// Tells the log what is on record and nobody told it.
    pub async fn tell_rest(&self, workspace: &str, opened: &Opened) -> Result<()> {
        for untold in opened.workspace.untold(RESTS).await? {
            self.database.tell(deeds(workspace, &untold.what)).await?;
            opened.workspace.is_told(&untold.id);
        }
        Ok(())
    }

    /// Waits until the log says all that was answered, by whichever server.
    pub async fn settle_log(&self) -> Result<()> {
        self.database.settle().await?;
        for (name, opened) in self.workspaces().await? {
            self.tell_rest(&name, &opened).await?;
        }
        Ok(())
    }
}

/// The entries about it.
fn deeds(workspace: &str, news: &News) -> Vec<Deeds> {
    match news {
        News::Versions(versions) => versions.iter().map(|version| of_version(workspace, version)).collect(),
        News::Import(import) => vec![of_import(workspace, import)],
    }
}

fn of_version(workspace: &str, version: &NewVersion) -> Deeds {
    let subject = format!("{}:{}", version.name, version.version);
    let Some(from) = &version.copied_from else {
        let deed = Deed::new(&version.by, Action::Register, subject)
            .within(workspace)
            .with("definition", version.definition)
            .with("receipt", version.receipt)
            .with("lock", version.lock);
        return Deeds { all: vec![deed], once: Once::Version };
    };
    let come = Deed::new(&version.by, Action::Copy, &subject)
        .within(workspace)
        .with(CAME_FROM, from)
        .with("lock", version.lock);
    let gone = from.split_once('/').map(|(source, there)| {
        Deed::new(&version.by, Action::Copy, there)
            .within(source)
            .with("to", format!("{workspace}/{subject}"))
            .with("lock", version.lock)
    });
    Deeds { all: std::iter::once(come).chain(gone).collect(), once: Once::Version }
}

/// The entry about the end of an import, or how far it came.
pub fn of_import(workspace: &str, import: &ImportSoFar) -> Deeds {
    let deed = Deed::new(&import.by, Action::Import, workspace)
        .within(workspace)
        .with("import", &import.id)
        .with("versions", import.versions)
        .with("created", import.created);
    Deeds { all: vec![deed], once: Once::Same }
}

/// Tells what a crash kept from the log, here or on another server: at once, and again until the server stops.
pub(crate) async fn sweep(server: Arc<Server>) {
    let mut stopping = server.stopping.clone();
    while !*stopping.borrow() {
        if let Err(problem) = pass(&server).await {
            problem.log();
            tracing::warn!(
                why = problem.detail,
                "the audit log could not be told what was left, and will be"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(PACE) => {}
            () = told_to_stop(&mut stopping) => {}
        }
    }
}

async fn pass(server: &Server) -> Result<()> {
    for (name, opened) in server.workspaces().await? {
        server.tell_rest(&name, &opened).await?;
        opened.workspace.forget_told().await?;
    }
    Ok(())
}
