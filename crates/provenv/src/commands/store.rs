//! `provenv store`.

use std::fmt::Write as _;
use std::process::ExitCode;

use provenv_workspace::{
    CorruptBlob, CorruptState, GcItem, GcOptions, GcSummary, KeepPolicy, ScrubSummary, StatsSummary,
};

use super::{Context, Result};
use crate::cli::{GcArgs, StoreCommand};
use crate::output::{self, Table};

pub async fn store(context: &Context, command: StoreCommand) -> Result {
    let workspace = context.workspace().await?;
    match command {
        StoreCommand::Stats => context.show(&workspace.store_stats().await?, stats),
        StoreCommand::Gc(arguments) => {
            let summary = workspace.collect_garbage(&options(&arguments)).await?;
            let lists = summary.dry_run || context.global.verbose > 0;
            context.show(&summary, |summary| collected(summary, lists))
        }
        StoreCommand::Scrub { repair } => {
            let summary = workspace.scrub(repair).await?;
            context.show(&summary, scrubbed)?;
            Ok(if summary.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn options(arguments: &GcArgs) -> GcOptions {
    GcOptions {
        dry_run: arguments.dry_run,
        all: arguments.all,
        keep: KeepPolicy {
            last: arguments.keep_last,
            used_within: arguments.keep_used_within,
            include_registered: arguments.include_registered,
        },
    }
}

fn stats(stats: &StatsSummary) -> String {
    let mut table = Table::new(["WHAT", "COUNT", "SIZE"]);
    for line in &stats.lines {
        table.row([line.what.clone(), line.count.to_string(), output::bytes(line.bytes)]);
    }
    format!("{}\n{table}", stats.root.display())
}

fn collected(summary: &GcSummary, lists: bool) -> String {
    let mut text = String::new();
    if lists {
        for item in &summary.removed {
            let _ = writeln!(text, "{} ({})", named(item), output::bytes(item.bytes));
        }
    }
    let verb = if summary.dry_run { "would be removed" } else { "removed" };
    for image in &summary.images {
        let whose = if image.environments.is_empty() {
            "never registered".to_owned()
        } else {
            image.environments.join(", ")
        };
        let used = image.used_at.map(|at| format!(", used {}", output::time(at))).unwrap_or_default();
        let _ = writeln!(text, "image {} ({whose}{used}) {verb}", image.digest);
    }
    let _ = writeln!(
        text,
        "{} in {} objects {verb}, {} in {} stay",
        output::bytes(summary.bytes),
        summary.removed.len(),
        output::bytes(summary.kept_bytes),
        summary.kept
    );
    text
}

fn named(item: &GcItem) -> String {
    let GcItem { kind, id, what, .. } = item;
    match (*kind, what) {
        ("corrupt", _) => format!("corrupt blob {id}"),
        ("cache", _) => format!("cache of {id}"),
        (_, Some(what)) => format!("{kind} {id}: {what}"),
        (_, None) => format!("{kind} {id}"),
    }
}

fn scrubbed(summary: &ScrubSummary) -> String {
    let mut text = String::new();
    for blob in &summary.corrupt {
        let _ = writeln!(text, "{}", told(blob, summary.repair));
    }
    for record in &summary.records {
        let _ = writeln!(text, "record {record} had changed: removed, what it said is found out again");
    }
    let _ = write!(
        text,
        "{} blobs read ({}), {} corrupt",
        summary.checked,
        output::bytes(summary.bytes),
        summary.corrupt.len()
    );
    if summary.repair {
        let count = |state| summary.corrupt.iter().filter(|blob| blob.state == state).count();
        let (repaired, lost) = (count(CorruptState::Repaired), count(CorruptState::Lost));
        let _ = write!(text, ", {repaired} repaired, {lost} lost");
        let waiting = count(CorruptState::MovedAside);
        if waiting > 0 {
            let _ = write!(text, ", {waiting} to be fetched");
        }
    }
    text.push('\n');
    text
}

fn told(blob: &CorruptBlob, repair: bool) -> String {
    let name = match &blob.what {
        Some(what) => format!("{} ({what})", blob.digest),
        None => blob.digest.to_string(),
    };
    let needed = match &blob.needed_by[..] {
        [] => String::new(),
        names => format!("; needed by {}", names.join(", ")),
    };
    let reason = blob.reason.as_deref().unwrap_or("nothing says where it came from");
    match blob.state {
        CorruptState::MovedAside => {
            // Why it was not repaired, where it was to be.
            let why = if repair { " (not now, without the network)" } else { "" };
            format!("{name} had changed: moved aside, it is fetched or made again when needed{why}{needed}")
        }
        CorruptState::Repaired => format!("{name} had changed: repaired, {reason}"),
        CorruptState::NotNeeded => format!("{name} had changed: moved aside, nobody needs it"),
        CorruptState::Lost => format!("{name} had changed and is lost: {reason}{needed}"),
    }
}
