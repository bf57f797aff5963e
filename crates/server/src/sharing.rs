//! What is shared is followed: after each change, and again every few seconds, so that neither a crash nor another server's change
//! leaves a workspace behind.

use std::collections::HashSet;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use provenv_definition::Digest;
use provenv_workspace::SharedFrom;

use crate::database::Share;
use crate::problem::Result;
use crate::state::{Opened, Server, told_to_stop};

/// How often everything is looked at.
const PACE: Duration = Duration::from_secs(2);

/// The workspaces that share something, as far as this process knows: the others' changes need no look at the database.
#[derive(Default)]
pub(crate) struct Sources(RwLock<Known>);

#[derive(Default)]
struct Known {
    all: HashSet<String>,
    /// Those added since all were read the last time: what was read then may be older.
    added: HashSet<String>,
}

impl Sources {
    fn replace(&self, shares: &[Share]) {
        // Whoever panicked while writing left sets all the same.
        let mut known = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.all = shares.iter().map(|share| share.source.clone()).collect();
        let added = std::mem::take(&mut known.added);
        known.all.extend(added);
    }

    /// A workspace shares something since now.
    pub fn add(&self, workspace: &str) {
        let mut known = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.all.insert(workspace.to_owned());
        known.added.insert(workspace.to_owned());
    }

    fn has(&self, workspace: &str) -> bool {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).all.contains(workspace)
    }
}

impl Server {
    /// Brings a change in `workspace` to where it is shared. What fails here is tried again by [`sweep`].
    pub async fn follow_changes(&self, workspace: &str) {
        if !self.sources.has(workspace) {
            return;
        }
        let shares = match self.database.shares_of(workspace).await {
            Ok(shares) => shares,
            Err(error) => return tracing::warn!(workspace, %error, "what is shared could not be read"),
        };
        for share in shares.iter().filter(|share| share.source == workspace) {
            self.settle_or_say(share).await;
        }
    }

    async fn settle_or_say(&self, share: &Share) {
        if let Err(problem) = self.settle(share).await {
            problem.log();
            let Share { source, name, target, there, .. } = share;
            let why = &problem.detail;
            tracing::warn!(source, name, target, there, why, "what is shared could not be followed");
        }
    }

    /// Makes it so: the name there is what it is here, or is gone where somebody ended it.
    pub async fn settle(&self, share: &Share) -> Result<()> {
        let target = self.workspace(&share.target).await?;
        let _turn = target.workspace.sharing_turn(&share.there).await?;
        // It may have been ended, and begun anew, while this one waited.
        let Some(share) = self.database.share_into(&share.target, &share.there).await? else { return Ok(()) };
        if let Some(by) = &share.ended_by {
            target.workspace.unfollow(&share.there, by).await?;
            return Ok(self.database.forget_share(&share).await?);
        }
        let source = self.workspace(&share.source).await?;
        let from =
            SharedFrom { name: &share.name, workspace: &share.source, here: &share.there, who: &share.by };
        let new = target.workspace.follow(&source.workspace, &from).await?;
        if !new.is_empty() {
            let (source, target) = (&share.source, &share.target);
            tracing::info!(source, target, name = share.there, versions = new.len(), "versions are shared");
        }
        Ok(())
    }

    /// An image was built: it is in the workspaces that have the environment too. One that this fails for builds it itself, or finds
    /// it when it is asked to.
    pub async fn lend_image(&self, workspace: &str, name: &str, lock: &Digest) -> Result<()> {
        let shares = self.database.shares_of(workspace).await?;
        for share in shares.iter().filter(|share| share.source == workspace && share.name == name) {
            let (source, target) =
                (self.workspace(&share.source).await?, self.workspace(&share.target).await?);
            target.workspace.take_images(&source.workspace, lock).await?;
        }
        Ok(())
    }

    /// Takes the images that the workspace has which shares this name, before anything is built here.
    pub async fn borrow_image(
        &self,
        opened: &Opened,
        workspace: &str,
        name: &str,
        lock: &Digest,
    ) -> Result<()> {
        if let Some(share) = self.database.share_into(workspace, name).await? {
            let source = self.workspace(&share.source).await?;
            opened.workspace.take_images(&source.workspace, lock).await?;
        }
        Ok(())
    }
}

/// Follows everything that is shared until the server stops.
pub(crate) async fn sweep(server: Arc<Server>) {
    let mut stopping = server.stopping.clone();
    while !*stopping.borrow() {
        match server.database.shares().await {
            Ok(shares) => {
                server.sources.replace(&shares);
                for share in &shares {
                    server.settle_or_say(share).await;
                }
            }
            Err(error) => tracing::warn!(%error, "what is shared could not be read"),
        }
        tokio::select! {
            () = tokio::time::sleep(PACE) => {}
            () = told_to_stop(&mut stopping) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sources;

    #[test]
    fn what_was_added_outlives_what_was_read_before() {
        let sources = Sources::default();
        sources.add("default");
        // Read before it was added, and told after.
        sources.replace(&[]);
        assert!(sources.has("default"));
        // What is read from then on says whether it still is so.
        sources.replace(&[]);
        assert!(!sources.has("default"));
    }
}
