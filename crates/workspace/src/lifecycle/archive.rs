//! Archived versions: out of lists and of `@latest`, still there for what names them.

use super::target::{Archived, Target};
use crate::{Error, Result, Workspace};

impl Workspace {
    /// Archives a version, or a name with all its versions, those to come included.
    pub async fn archive_environment(&self, reference: &str, who: &str) -> Result<Archived> {
        let target = self.target(reference).await?;
        self.put(target, true, who).await
    }

    /// Brings it back.
    pub async fn restore_environment(&self, reference: &str, who: &str) -> Result<Archived> {
        let target = self.target(reference).await?;
        if target.version.is_some()
            && self.catalogue.name(&target.name).await?.is_some_and(|row| row.archived)
        {
            return Err(Error::Arguments {
                message: format!("`{}` is archived with all its versions", target.name),
                hint: format!("restore the name first: `provenv env restore {}`", target.name),
            });
        }
        self.put(target, false, who).await
    }

    async fn put(&self, target: Target, archived: bool, who: &str) -> Result<Archived> {
        let Target { name, version } = target;
        let changed = self.catalogue.set_archived(&name, version.as_deref(), archived, who).await?;
        Ok(Archived { name, version, archived, changed })
    }
}
