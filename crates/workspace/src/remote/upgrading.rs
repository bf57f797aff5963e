//! Moving an environment of a server to newer packages: the server resolves, with its secrets and its view of the indexes.

use reqwest::Method;
use serde_json::json;

use super::Remote;
use crate::{Result, UpgradeOptions, Upgraded};

impl Remote {
    /// Resolves the newest version of an environment again there.
    pub(crate) async fn upgrade(&self, name: &str, options: &UpgradeOptions) -> Result<Upgraded> {
        let UpgradeOptions { packages, dry_run, resolving, .. } = options;
        let body = json!({
            "packages": packages,
            "dry_run": dry_run,
            "as_of": resolving.as_of,
            "virtual_packages": resolving.virtual_packages,
        });
        let request = self.request(Method::POST, &["environments", name, "upgrade"]).json(&body);
        self.json(request).await.map_err(|error| Self::no_environment(error, name))
    }
}
