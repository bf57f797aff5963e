//! What is on record: one set of use cases with two implementations, a workspace in a folder and one on a server. Front ends ask
//! for it and know nothing of where it is; what they show is the same.
//!
//! Who acts is the user of this machine in a folder, and the one whose token it is on a server.

use std::io::Write;

use async_trait::async_trait;

use crate::{
    Archived, BuildDetails, BuildStatus, Change, DeleteOptions, Deleted, EnvironmentPage, Error, Find,
    HistoryOptions, ImageSummary, Label, Lineage, Result, RunDetails, Updated, Uses, VersionUpdate,
    Workspace, user_name,
};

/// Environments, images, builds and runs as they are on record.
#[async_trait]
pub trait Record: Send + Sync {
    /// A page of the environments that are looked for.
    async fn find(&self, find: &Find) -> Result<EnvironmentPage>;
    /// Changes description and tags.
    async fn update(&self, reference: &str, update: &VersionUpdate) -> Result<Updated>;
    /// Puts a label on a version.
    async fn put_label(&self, reference: &str, label: &str) -> Result<Label>;
    /// Takes a label away.
    async fn take_label(&self, name: &str, label: &str) -> Result<Label>;
    /// The labels of an environment.
    async fn labels(&self, name: &str) -> Result<Vec<Label>>;
    /// Archives a version or a name, or brings it back.
    async fn set_archived(&self, reference: &str, archived: bool) -> Result<Archived>;
    /// Deletes a version, or all of a name.
    async fn delete(&self, reference: &str, options: DeleteOptions) -> Result<Deleted>;
    /// What was changed, the newest first.
    async fn history(&self, reference: &str, options: HistoryOptions) -> Result<Vec<Change>>;
    /// Where a version is used.
    async fn uses(&self, reference: &str) -> Result<Uses>;
    /// Where something comes from, and what came of it.
    async fn lineage(&self, subject: &str) -> Result<Lineage>;
    /// The images, newest first.
    async fn images(&self) -> Result<Vec<ImageSummary>>;
    /// Builds, newest first.
    async fn builds(&self, limit: u32) -> Result<Vec<BuildDetails>>;
    /// A build, or the newest for `latest`.
    async fn build_details(&self, id: &str) -> Result<BuildDetails>;
    /// Writes the log of a build; `follow` waits for its end.
    async fn build_log(&self, id: &str, follow: bool, to: &mut (dyn Write + Send)) -> Result<()>;
    /// Stops a build.
    async fn cancel_build(&self, id: &str) -> Result<BuildDetails>;
    /// Asks for a build that ended once more.
    async fn retry_build(&self, id: &str) -> Result<BuildDetails>;
    /// Runs, newest first.
    async fn runs(&self, limit: u32) -> Result<Vec<RunDetails>>;
    /// A run, or the newest for `latest`.
    async fn run_details(&self, id: &str) -> Result<RunDetails>;
    /// Writes the log of a run.
    async fn run_log(&self, id: &str, to: &mut (dyn Write + Send)) -> Result<()>;
    /// Ends what is pending.
    async fn close(self: Box<Self>);
}

#[async_trait]
impl Record for Workspace {
    async fn find(&self, find: &Find) -> Result<EnvironmentPage> {
        self.find(find).await
    }

    async fn update(&self, reference: &str, update: &VersionUpdate) -> Result<Updated> {
        self.update_environment(reference, update, &user_name()).await
    }

    async fn put_label(&self, reference: &str, label: &str) -> Result<Label> {
        self.label(reference, label, &user_name()).await
    }

    async fn take_label(&self, name: &str, label: &str) -> Result<Label> {
        self.unlabel(name, label, &user_name()).await
    }

    async fn labels(&self, name: &str) -> Result<Vec<Label>> {
        self.labels(name).await
    }

    async fn set_archived(&self, reference: &str, archived: bool) -> Result<Archived> {
        if archived {
            self.archive_environment(reference, &user_name()).await
        } else {
            self.restore_environment(reference, &user_name()).await
        }
    }

    async fn delete(&self, reference: &str, options: DeleteOptions) -> Result<Deleted> {
        self.delete_environment(reference, options, &user_name()).await
    }

    async fn history(&self, reference: &str, options: HistoryOptions) -> Result<Vec<Change>> {
        self.history(reference, options).await
    }

    async fn uses(&self, reference: &str) -> Result<Uses> {
        self.uses(reference).await
    }

    async fn lineage(&self, subject: &str) -> Result<Lineage> {
        self.lineage(subject).await
    }

    async fn images(&self) -> Result<Vec<ImageSummary>> {
        self.images().await
    }

    async fn builds(&self, limit: u32) -> Result<Vec<BuildDetails>> {
        self.builds(limit).await
    }

    async fn build_details(&self, id: &str) -> Result<BuildDetails> {
        self.build_details(id).await
    }

    async fn build_log(&self, id: &str, follow: bool, to: &mut (dyn Write + Send)) -> Result<()> {
        if follow { self.follow_build(id, to).await } else { self.build_log(id, to).await }
    }

    async fn cancel_build(&self, id: &str) -> Result<BuildDetails> {
        let build = self.build_details(id).await?;
        if build.status != BuildStatus::Running {
            return Err(Error::BuildEnded { id: build.id, status: build.status });
        }
        Err(crate::builds::is_a_process(id, "stopped", "stop that process with ctrl-c or SIGTERM"))
    }

    async fn retry_build(&self, id: &str) -> Result<BuildDetails> {
        self.build_details(id).await?;
        Err(crate::builds::is_a_process(
            id,
            "asked for again",
            "`provenv build` of what it was for tries again",
        ))
    }

    async fn runs(&self, limit: u32) -> Result<Vec<RunDetails>> {
        self.runs(limit).await
    }

    async fn run_details(&self, id: &str) -> Result<RunDetails> {
        self.run_details(id).await
    }

    async fn run_log(&self, id: &str, to: &mut (dyn Write + Send)) -> Result<()> {
        self.run_log(id, to).await
    }

    async fn close(self: Box<Self>) {
        Self::close(*self).await;
    }
}
