//! `provenv env update|label|archive|restore|delete|history`.

use std::fmt::Write as _;

use provenv_workspace::{
    Archived, Change, ChangeKind, DeleteOptions, Deleted, HistoryOptions, Label, VersionUpdate,
};

use super::{Context, Result};
use crate::cli::{ArchiveArgs, DeleteArgs, HistoryArgs, LabelArgs, UpdateArgs};
use crate::output::{self, Table};

pub async fn update(context: &Context, arguments: UpdateArgs) -> Result {
    let UpdateArgs { environment, description, tags, remove_tags } = arguments;
    let record = context.record().await?;
    let update = VersionUpdate { description, tags, remove_tags };
    let updated = record.update(&environment, &update).await?;
    record.close().await;
    context.show(&updated, |updated| {
        let (name, version) = (&updated.environment.name, &updated.environment.version);
        let named =
            format!("{}:{}", name.as_deref().unwrap_or_default(), version.as_deref().unwrap_or_default());
        match updated.changes {
            0 => format!("{named} was so already\n"),
            1 => format!("{named} updated: 1 change\n"),
            changes => format!("{named} updated: {changes} changes\n"),
        }
    })
}

pub async fn label(context: &Context, arguments: LabelArgs) -> Result {
    let LabelArgs { environment, label, list: _, remove } = arguments;
    let record = context.record().await?;
    let Some(label) = label else {
        let labels = record.labels(&environment).await?;
        record.close().await;
        return context.show(&labels, |labels| labels_table(labels).to_string());
    };
    let moved = if remove {
        record.take_label(&environment, &label).await?
    } else {
        record.put_label(&environment, &label).await?
    };
    record.close().await;
    context.show(&moved, |moved| {
        let Label { label, name, .. } = moved;
        match (&moved.version, &moved.previous) {
            (Some(version), Some(previous)) => {
                format!("{name}@{label} is {name}:{version}, and was {name}:{previous}\n")
            }
            (Some(version), None) => format!("{name}@{label} is {name}:{version}\n"),
            (None, Some(previous)) => format!("{name}@{label} is gone; it was {name}:{previous}\n"),
            (None, None) => format!("{name}@{label} is gone\n"),
        }
    })
}

fn labels_table(labels: &[Label]) -> Table {
    let mut table = Table::new(["LABEL", "VERSION", "MOVED", "BY"]);
    for label in labels {
        table.row([
            label.label.clone(),
            label.version.clone().unwrap_or_default(),
            label.moved_at.map(output::time).unwrap_or_default(),
            label.moved_by.clone().unwrap_or_default(),
        ]);
    }
    table
}

pub async fn archive(context: &Context, arguments: ArchiveArgs) -> Result {
    let record = context.record().await?;
    let archived = record.set_archived(&arguments.environment, true).await?;
    record.close().await;
    context.show(&archived, archived_text)
}

pub async fn restore(context: &Context, arguments: ArchiveArgs) -> Result {
    let record = context.record().await?;
    let restored = record.set_archived(&arguments.environment, false).await?;
    record.close().await;
    context.show(&restored, archived_text)
}

fn archived_text(archived: &Archived) -> String {
    let what = match &archived.version {
        Some(version) => format!("{}:{version}", archived.name),
        None => format!("{} with all its versions", archived.name),
    };
    match (archived.archived, archived.changed) {
        (true, true) => format!("{what} archived\n"),
        (true, false) => format!("{what} was archived already\n"),
        (false, true) => format!("{what} restored\n"),
        (false, false) => format!("{what} was not archived\n"),
    }
}

pub async fn delete(context: &Context, arguments: DeleteArgs) -> Result {
    let DeleteArgs { environment, dry_run, yes } = arguments;
    let record = context.record().await?;
    let options = DeleteOptions { dry_run, yes };
    let deleted = record.delete(&environment, options).await?;
    record.close().await;
    context.show(&deleted, deleted_text)
}

fn deleted_text(deleted: &Deleted) -> String {
    let mut text = String::new();
    for one in &deleted.versions {
        let reasons = one.reasons();
        let _ = match (deleted.dry_run, reasons.is_empty()) {
            (_, false) => writeln!(text, "{}:{} stays: {}", one.name, one.version, reasons.join("; ")),
            (true, true) if deleted.possible => {
                writeln!(text, "{}:{} would be deleted", one.name, one.version)
            }
            (true, true) => writeln!(text, "{}:{} has nothing that refers to it", one.name, one.version),
            (false, true) => writeln!(text, "{}:{} deleted", one.name, one.version),
        };
    }
    if !deleted.possible {
        text.push_str("nothing would be deleted: all versions go, or none\n");
    }
    text
}

pub async fn history(context: &Context, arguments: HistoryArgs) -> Result {
    let HistoryArgs { environment, limit, before } = arguments;
    let record = context.record().await?;
    let changes = record.history(&environment, HistoryOptions { limit, before }).await?;
    record.close().await;
    context.show(&changes, |changes| {
        let mut table = Table::new(["NUMBER", "WHEN", "BY", "VERSION", "CHANGE"]);
        for change in changes {
            table.row([
                change.number.to_string(),
                output::time(change.at),
                change.by.clone(),
                change.version.clone().unwrap_or_else(|| "all".to_owned()),
                words(change),
            ]);
        }
        table.to_string()
    })
}

fn words(change: &Change) -> String {
    let shown =
        |text: &Option<String>| text.as_deref().map_or_else(|| "nothing".to_owned(), output::one_line);
    let (from, to) = (shown(&change.from), shown(&change.to));
    let subject = change.subject.as_deref().map(output::one_line).unwrap_or_default();
    match change.change {
        ChangeKind::Registered => "registered".to_owned(),
        ChangeKind::Description => format!("description: {from} -> {to}"),
        ChangeKind::Tag => format!("tag {subject}: {from} -> {to}"),
        ChangeKind::Label => format!("label {subject}: {from} -> {to}"),
        ChangeKind::Archived => "archived".to_owned(),
        ChangeKind::Restored => "restored".to_owned(),
        ChangeKind::Copied if change.to.is_some() => format!("copied to {to}"),
        ChangeKind::Copied => format!("copied from {from}"),
        ChangeKind::Shared => match (&change.from, &change.to, &change.version) {
            (None, _, Some(_)) => format!("shared from {to}"),
            (None, _, None) => format!("shared with {to}"),
            (Some(_), ..) => format!("shared no more: {from}"),
        },
        ChangeKind::Deleted => "deleted".to_owned(),
    }
}
