//! `provenv upgrade`.

use std::fmt::Write as _;

use provenv_workspace::UpgradeOptions;

use super::changes::changes_text;
use super::{Context, Result};
use crate::cli::UpgradeArgs;

pub async fn upgrade(context: &Context, arguments: UpgradeArgs) -> Result {
    let workspace = context.workspace().await?;
    let UpgradeArgs { environment, packages, dry_run, resolving } = arguments;
    let options = UpgradeOptions { packages, dry_run, resolving: resolving.into(), who: None };
    let upgraded = workspace.upgrade(&environment, &options).await?;
    workspace.close().await;
    let packages = options.packages;
    context.show(&upgraded, |upgraded| {
        let mut text = changes_text(&upgraded.changes);
        let from = format!("{}:{}", upgraded.name, upgraded.from);
        let _ = match &upgraded.to {
            Some(to) => writeln!(text, "{}:{to} registered; {from} stays as it is", upgraded.name),
            None if text.is_empty() && packages.is_empty() => {
                writeln!(text, "nothing to upgrade: {from} holds the newest packages")
            }
            None if text.is_empty() => {
                writeln!(text, "nothing to upgrade: {from} holds the newest {}", packages.join(", "))
            }
            None => writeln!(text, "nothing was changed (dry run)"),
        };
        text
    })
}
