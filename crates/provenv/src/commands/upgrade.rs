//! `provenv upgrade`.

use std::fmt::Write as _;

use super::changes::changes_text;
use super::{Context, Result};
use crate::cli::UpgradeArgs;

pub async fn upgrade(context: &Context, arguments: UpgradeArgs) -> Result {
    let workspace = context.workspace().await?;
    let resolving = arguments.resolving.clone().into();
    let upgraded =
        workspace.upgrade(&arguments.environment, &arguments.packages, arguments.dry_run, &resolving).await?;
    workspace.close().await;
    context.show(&upgraded, |upgraded| {
        let mut text = changes_text(&upgraded.changes);
        let from = format!("{}:{}", upgraded.name, upgraded.from);
        let _ = match &upgraded.to {
            Some(to) => writeln!(text, "{}:{to} registered; {from} stays as it is", upgraded.name),
            None if text.is_empty() && arguments.packages.is_empty() => {
                writeln!(text, "nothing to upgrade: {from} holds the newest packages")
            }
            None if text.is_empty() => {
                writeln!(
                    text,
                    "nothing to upgrade: {from} holds the newest {}",
                    arguments.packages.join(", ")
                )
            }
            None => writeln!(text, "nothing was changed (dry run)"),
        };
        text
    })
}
