//! An environment of one workspace in another, on one machine: every version, those to come included, under links to the same
//! bytes; what changes there changes here, and here nothing changes. See docs/design/sharing.md.

use std::collections::{BTreeMap, HashSet};

use provenv_definition::Digest;
use provenv_store::Lease;

use crate::catalogue::{EnvironmentRow, Following, MirroredVersion};
use crate::environments::content_digest;
use crate::{Error, Result, Workspace, is_curated};

/// What is to be followed.
#[derive(Clone, Copy, Debug)]
pub struct SharedFrom<'a> {
    /// Its name in the workspace that shares it.
    pub name: &'a str,
    /// What that workspace is called.
    pub workspace: &'a str,
    /// Its name here.
    pub here: &'a str,
    /// Who shares it.
    pub who: &'a str,
}

impl SharedFrom<'_> {
    /// Where it is from, as histories and lists say it.
    fn place(&self) -> String {
        format!("{}/{}", self.workspace, self.name)
    }
}

/// The turn of whoever makes a name follow another, or ends that. It lasts as long as this is kept.
#[must_use]
pub struct SharingTurn(#[expect(dead_code, reason = "it is kept, and not looked at")] Lease);

impl Workspace {
    /// Waits until nobody else, of whatever process, makes `name` follow another or ends that.
    pub async fn sharing_turn(&self, name: &str) -> Result<SharingTurn> {
        Ok(SharingTurn(self.store.lock_async("share", &Digest::of(name.as_bytes()).hex()).await?))
    }

    /// Fails unless an environment can be shared: it is registered here, and is not another workspace's itself.
    pub async fn must_be_shareable(&self, name: &str) -> Result<()> {
        if is_curated(name) {
            return Err(Error::Arguments {
                message: format!("`{name}` is shipped, and in every workspace already"),
                hint: "share an environment of your own".to_owned(),
            });
        }
        if let Some(shared) = self.catalogue.shared_name(name).await? {
            return Err(Error::Arguments {
                message: format!("`{name}` is shared by {}, and shared from there alone", shared.place),
                hint: format!("an owner of {} can share it with others", shared.place),
            });
        }
        let known = self.catalogue.name(name).await?.is_some_and(|row| row.versions > 0);
        if known { Ok(()) } else { Err(self.no_environment(name, name).await?) }
    }

    /// Makes a name here what it is in the workspace that shares it, as far as it is not. Gives the versions that are new here.
    pub async fn follow(&self, source: &Self, from: &SharedFrom<'_>) -> Result<Vec<String>> {
        // Before what it counts is read: a change that comes meanwhile is seen the next time.
        let seen = source.catalogue.last_change(from.name).await?;
        if seen == 0 {
            return Err(Error::NoEnvironment(from.name.to_owned(), None));
        }
        let place = from.place();
        let known = self.catalogue.shared_name(from.here).await?;
        if known.is_some_and(|known| known.place == place && known.seen == seen) {
            return Ok(Vec::new());
        }
        let mut rows = source.catalogue.environments(Some(from.name)).await?;
        rows.reverse();
        let here: HashSet<String> = self.catalogue.versions(from.here, u32::MAX).await?.into_iter().collect();
        let pins = (source.store.pin_async().await?, self.store.pin_async().await?);
        for row in rows.iter().filter(|row| !here.contains(&row.version)) {
            self.take_resolution(source, row).await?;
            self.take_images(source, &row.lock).await?;
        }
        let labels: BTreeMap<String, (String, String)> = source
            .catalogue
            .labels(from.name)
            .await?
            .into_iter()
            .map(|label| (label.label, (label.version, label.moved_by)))
            .collect();
        let archived = source.catalogue.name(from.name).await?.is_some_and(|name| name.archived);
        let versions: Vec<MirroredVersion> = rows.into_iter().map(|row| as_here(row, from)).collect();
        let following = Following {
            name: from.here,
            place: &place,
            versions: &versions,
            labels: &labels,
            archived,
            seen,
            who: from.who,
        };
        let new = self.catalogue.follow(&following).await?;
        drop(pins);
        Ok(new)
    }

    /// Ends what [`Workspace::follow`] began: versions that something here refers to stay, archived, and the others go.
    pub async fn unfollow(&self, name: &str, who: &str) -> Result<()> {
        Ok(self.catalogue.unfollow(name, who).await?)
    }

    /// Puts into the history of a name that another workspace has it too, as `WORKSPACE/NAME`, or has it no more.
    pub async fn note_share(&self, name: &str, place: &str, is_end: bool, who: &str) -> Result<()> {
        Ok(self.catalogue.note_share(name, place, is_end, who).await?)
    }

    /// Where a name is shared from, as `WORKSPACE/NAME`; `None` of one that is this workspace's own.
    pub async fn shared_from(&self, name: &str) -> Result<Option<String>> {
        Ok(self.catalogue.shared_name(name).await?.map(|shared| shared.place))
    }

    /// All names that are shared with this workspace.
    pub async fn shared_names(&self) -> Result<Vec<String>> {
        Ok(self.catalogue.shared_names().await?.into_iter().map(|shared| shared.name).collect())
    }
}

/// A version, as it is called here.
fn as_here(mut row: EnvironmentRow, from: &SharedFrom<'_>) -> MirroredVersion {
    row.environment.name = Some(from.here.to_owned());
    row.environment.version = Some(row.version.clone());
    // What it was made from may not be here, or be something else of that name.
    row.from = row.from.and_then(|(name, version)| {
        let name = if name == from.name { from.here.to_owned() } else { name };
        (name == from.here || is_curated(&name)).then_some((name, version))
    });
    row.name = from.here.to_owned();
    MirroredVersion { content: content_digest(&row.environment), row }
}
