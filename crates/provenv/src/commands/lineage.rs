//! `provenv env uses` and `provenv env lineage`.

use std::fmt::Write as _;

use console::style;
use provenv_workspace::{Lineage, LineageArtifact, Uses};

use super::{Context, Result};
use crate::cli::{LineageArgs, UsesArgs};
use crate::output;

pub async fn uses(context: &Context, arguments: UsesArgs) -> Result {
    let record = context.record().await?;
    let uses = record.uses(&arguments.environment).await?;
    record.close().await;
    context.show(&uses, uses_text)
}

pub async fn lineage(context: &Context, arguments: LineageArgs) -> Result {
    let record = context.record().await?;
    let lineage = record.lineage(&arguments.subject).await?;
    record.close().await;
    context.show(&lineage, |lineage| lineage_text(lineage, arguments.artifacts))
}

/// A heading and what stands under it, or that there is nothing.
fn section(text: &mut String, name: &str, lines: &[String]) {
    let nothing = if lines.is_empty() { " none" } else { "" };
    let _ = writeln!(text, "{}{nothing}", style(name).bold());
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

fn uses_text(uses: &Uses) -> String {
    let mut text = String::new();
    section(&mut text, "environment", std::slice::from_ref(&uses.environment));
    section(&mut text, "labels", &uses.labels);
    let runs: Vec<String> =
        uses.runs.iter().map(|run| format!("{}  {}", run.id, output::time(run.started_at))).collect();
    section(&mut text, "runs", &runs);
    let images: Vec<String> = uses
        .images
        .iter()
        .map(|image| format!("{}  {}{}", image.digest, image.platform, attached(image.proofs)))
        .collect();
    section(&mut text, "images", &images);
    section(&mut text, "made from it", &uses.derived);
    section(&mut text, "with the same lock", &uses.same_lock);
    text
}

fn attached(proofs: usize) -> String {
    if proofs == 0 { String::new() } else { format!("  {proofs} attached") }
}

fn lineage_text(lineage: &Lineage, artifacts: bool) -> String {
    let mut text = String::new();
    let runs: Vec<String> = lineage
        .runs
        .iter()
        .map(|run| format!("{}  in {}  {}", run.id, run.environment, output::time(run.started_at)))
        .collect();
    section(&mut text, "runs", &runs);
    let environments: Vec<String> = lineage
        .environments
        .iter()
        .map(|one| {
            let from = one.from.as_ref().map(|from| format!(", made from {from}")).unwrap_or_default();
            format!("{}  receipt {}{from}", one.environment, one.receipt.short())
        })
        .collect();
    section(&mut text, "environments", &environments);
    let receipts: Vec<String> = lineage
        .receipts
        .iter()
        .map(|one| {
            let previous =
                one.previous.map(|digest| format!(", after {}", digest.short())).unwrap_or_default();
            let (digest, lock) = (one.digest, one.lock.short());
            format!("{digest}  {}  lock {lock}{previous}", output::time(one.resolved_at))
        })
        .collect();
    section(&mut text, "receipts", &receipts);
    let locks: Vec<String> = lineage.locks.iter().map(|lock| lock.digest.to_string()).collect();
    section(&mut text, "locks", &locks);
    let images: Vec<String> = lineage
        .locks
        .iter()
        .flat_map(|lock| {
            let from = lock.digest.short();
            lock.images.iter().map(move |image| {
                format!("{}  {}  of lock {from}{}", image.digest, image.platform, attached(image.proofs))
            })
        })
        .collect();
    section(&mut text, "images", &images);
    if artifacts || lineage.artifacts.len() <= 3 {
        let lines: Vec<String> = lineage.artifacts.iter().map(artifact).collect();
        section(&mut text, "artifacts", &lines);
    } else {
        let count = lineage.artifacts.len();
        section(&mut text, "artifacts", &[format!("{count}, which --artifacts lists")]);
    }
    text
}

fn artifact(one: &LineageArtifact) -> String {
    let LineageArtifact { ecosystem, name, version, digest } = one;
    format!("{ecosystem}  {name} {version}  {}", digest.as_deref().unwrap_or_default()).trim_end().to_owned()
}
