//! `provenv upgrade`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use console::style;
use provenv_definition::Platform;
use provenv_workspace::LockDiff;

use super::{Context, Result};
use crate::cli::UpgradeArgs;
use crate::output;

pub async fn upgrade(context: &Context, arguments: UpgradeArgs) -> Result {
    let workspace = context.workspace().await?;
    let upgraded = workspace.upgrade(&arguments.environment, &arguments.packages, arguments.dry_run).await?;
    workspace.close().await;
    context.show(&upgraded, |upgraded| {
        let mut text = changes_text(&upgraded.changes);
        let from = format!("{}:{}", upgraded.name, upgraded.from);
        let _ = match &upgraded.to {
            Some(to) => writeln!(text, "{}:{to} registered; {from} stays as it is", upgraded.name),
            None if text.is_empty() => writeln!(text, "nothing to upgrade: {from} holds the newest packages"),
            None => writeln!(text, "nothing was changed (dry run)"),
        };
        text
    })
}

/// What a list of changes looks like, empty where there are none.
pub fn changes_text(changes: &BTreeMap<Platform, LockDiff>) -> String {
    let mut text = String::new();
    for (platform, diff) in changes {
        if diff.is_empty() {
            continue;
        }
        if changes.len() > 1 {
            let _ = writeln!(text, "{}", style(platform).bold());
        }
        for (ecosystem, changes) in &diff.ecosystems {
            let gone = changes.removed.iter().map(|package| (style("-").red(), package));
            let new = changes.added.iter().map(|package| (style("+").green(), package));
            for (sign, package) in gone.chain(new) {
                let size = output::bytes(package.size);
                let _ = writeln!(text, "{sign} {ecosystem} {} {} ({size})", package.name, package.version);
            }
            for change in &changes.changed {
                let _ = writeln!(
                    text,
                    "{} {ecosystem} {} {} → {} ({} → {})",
                    style("~").yellow(),
                    change.name,
                    change.old_version,
                    change.new_version,
                    output::bytes(change.old_size),
                    output::bytes(change.new_size)
                );
            }
        }
    }
    text
}
