//! `provenv store`.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::{Context, Result};
use crate::cli::StoreCommand;
use crate::output::{self, Table};

pub async fn store(context: &Context, command: StoreCommand) -> Result {
    let workspace = context.workspace().await?;
    match command {
        StoreCommand::Stats => {
            let stats = workspace.store_stats().await?;
            context.show(&stats, |stats| {
                let mut table = Table::new(["WHAT", "COUNT", "SIZE"]);
                for line in &stats.lines {
                    table.row([line.what.clone(), line.count.to_string(), output::bytes(line.bytes)]);
                }
                format!("{}\n{table}", stats.root.display())
            })
        }
        StoreCommand::Gc { dry_run, all } => {
            let summary = workspace.collect_garbage(dry_run, all).await?;
            context.show(&summary, |summary| {
                let mut text = String::new();
                let listed = if context.global.verbose > 0 { summary.removed.as_slice() } else { &[] };
                for (what, bytes) in listed {
                    let _ = writeln!(text, "{what} ({})", output::bytes(*bytes));
                }
                let verb = if summary.dry_run { "would be removed" } else { "removed" };
                let _ = writeln!(
                    text,
                    "{} in {} objects {verb}",
                    output::bytes(summary.bytes),
                    summary.removed.len()
                );
                text
            })
        }
        StoreCommand::Scrub => {
            let summary = workspace.scrub().await?;
            context.show(&summary, |summary| {
                let mut text = String::new();
                for digest in &summary.corrupt {
                    let _ = writeln!(
                        text,
                        "{digest} had changed: moved aside, it is fetched or made again when needed"
                    );
                }
                let _ = writeln!(
                    text,
                    "{} blobs read ({}), {} corrupt",
                    summary.checked,
                    output::bytes(summary.bytes),
                    summary.corrupt.len()
                );
                text
            })?;
            Ok(if summary.corrupt.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}
