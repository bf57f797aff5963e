//! Registering on a server what was read here.

use provenv_definition::{Environment, LockedArtifacts};
use serde_json::json;

use crate::error::IoContext as _;
use crate::{Error, RegisterOptions, Registered, Remote, Result, Workspace, refuse_local};

impl Workspace {
    /// Registers on the server. A lock goes along where there is one to be had: what another tool chose is locked here, since only
    /// its file says it.
    pub(crate) async fn enter_upstream(
        &self,
        remote: &Remote,
        environment: &Environment,
        artifacts: Option<&LockedArtifacts>,
        options: &RegisterOptions<'_>,
    ) -> Result<Registered> {
        if environment.name.as_deref().is_some_and(crate::is_curated) {
            let name = environment.name.as_deref().unwrap_or_default();
            return Err(Error::Arguments {
                message: format!(
                    "`{name}` is shipped, and a workspace on a server takes it under a name of its own"
                ),
                hint: format!("`provenv env register --from {name} --name NAME`"),
            });
        }
        refuse_local(environment)?;
        let lock = match (options.lock, artifacts) {
            (Some(file), _) => {
                // What is wrong with it is said of the file, as it is called here.
                self.read_for(&environment.definition, file)?;
                Some(fs_err::read_to_string(file).doing(|| "could not read the lock".to_owned())?)
            }
            (None, Some(artifacts)) => {
                let locked = self.lock(&environment.definition, Some(artifacts), false).await?;
                Some(String::from_utf8_lossy(&locked.lock.to_bytes()).into_owned())
            }
            (None, None) => None,
        };
        let from = options.from.as_ref().map(|(name, version)| format!("{name}:{version}"));
        remote.register_as(&json!({ "environment": environment, "lock": lock, "from": from })).await
    }
}
