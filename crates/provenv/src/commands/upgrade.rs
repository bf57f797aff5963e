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

/// A size, unless the index did not give it.
fn known(size: u64) -> Option<String> {
    (size > 0).then(|| output::bytes(size))
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
                let size = known(package.size).map(|size| format!(" ({size})")).unwrap_or_default();
                let _ = writeln!(text, "{sign} {ecosystem} {} {}{size}", package.name, package.version);
            }
            for change in &changes.changed {
                let versions = if change.old_version == change.new_version {
                    format!("{}: other content", change.new_version)
                } else {
                    format!("{} → {}", change.old_version, change.new_version)
                };
                let sizes = match (known(change.old_size), known(change.new_size)) {
                    (Some(old), Some(new)) if old != new => format!(" ({old} → {new})"),
                    _ => String::new(),
                };
                let _ =
                    writeln!(text, "{} {ecosystem} {} {versions}{sizes}", style("~").yellow(), change.name);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use provenv_workspace::{EcosystemDiff, PackageChange, PackageVersion};

    use super::*;

    #[test]
    fn only_what_differs_and_is_known_is_shown() {
        let change = |name: &str, new_version: &str, old_size, new_size| PackageChange {
            name: name.into(),
            old_version: "1.0".into(),
            new_version: new_version.into(),
            old_size,
            new_size,
        };
        let diff = EcosystemDiff {
            added: vec![PackageVersion { name: "new".into(), version: "1.0".into(), size: 0 }],
            removed: Vec::new(),
            changed: vec![
                change("rebuilt", "1.0", 2048, 1024),
                change("same-size", "1.0", 2048, 2048),
                change("unsized", "2.0", 0, 0),
                change("sized", "2.0", 1024, 2048),
            ],
        };
        let diff = LockDiff { ecosystems: BTreeMap::from([("pypi", diff)]) };
        let text = changes_text(&BTreeMap::from([(Platform::LinuxAmd64, diff)]));
        let lines: Vec<&str> = text.lines().map(|line| line.split_once("pypi ").unwrap().1).collect();
        assert_eq!(
            lines,
            [
                "new 1.0",
                "rebuilt 1.0: other content (2.00 KiB → 1.00 KiB)",
                "same-size 1.0: other content",
                "unsized 1.0 → 2.0",
                "sized 1.0 → 2.0 (1.00 KiB → 2.00 KiB)"
            ]
        );
    }
}
