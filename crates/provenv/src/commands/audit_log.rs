//! `provenv audit-log`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use provenv_workspace::{
    AuditLog, AuditLogCheck, AuditLogEntry, AuditLogFilter, AuditLogVerdict, Error, Remote,
};

use super::{Context, Failure, Result};
use crate::cli::{AuditLogCommand, AuditLogListArgs, AuditLogVerifyArgs};
use crate::output::{self, Table};

pub async fn audit_log(context: &Context, command: AuditLogCommand) -> Result {
    match command {
        AuditLogCommand::List(arguments) => list(context, arguments).await,
        AuditLogCommand::Checkpoint => {
            let note = server(context)?.audit_checkpoint().await?;
            context.settle();
            output::write(note.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        AuditLogCommand::Key => {
            let key = server(context)?.audit_key().await?;
            context.settle();
            output::write(format!("{key}\n").as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        AuditLogCommand::Save { file } => {
            let log = server(context)?.audit_log().await?;
            log.write(&file)?;
            let size = log.size();
            let saved = serde_json::json!({ "file": file, "size": size });
            context.show(&saved, |_| format!("{} entries in {}\n", size, file.display()))
        }
        AuditLogCommand::Verify(arguments) => verify(context, arguments).await,
    }
}

/// The server that the workspace is on.
fn server(context: &Context) -> Result<Remote> {
    let no_server = || Error::Arguments {
        message: "a workspace in a folder has no audit log: its users could write it as they like".to_owned(),
        hint: "name a server: --workspace https://HOST/NAME".to_owned(),
    };
    Ok(context.remote()?.ok_or_else(no_server)?)
}

async fn list(context: &Context, arguments: AuditLogListArgs) -> Result {
    let AuditLogListArgs { by, action, all, limit } = arguments;
    let entries = server(context)?.audit_entries(&AuditLogFilter { by, action, all, limit }).await?;
    context.show(&entries, |entries| {
        let mut table = Table::new(["ENTRY", "WHEN", "BY", "ACTION", "WORKSPACE", "SUBJECT", "DETAILS"]);
        for entry in entries {
            row(&mut table, entry);
        }
        table.to_string()
    })
}

fn row(table: &mut Table, logged: &AuditLogEntry) {
    let number = logged.number.to_string();
    let Some(entry) = &logged.entry else {
        let unread = "(cannot be read: `provenv audit-log verify`)".to_owned();
        let empty = String::new;
        return table.row([number, empty(), empty(), empty(), empty(), unread, empty()]);
    };
    let details: Vec<String> = entry
        .details
        .iter()
        .map(|(name, value)| format!("{}={}", output::one_line(name), output::one_line(value)))
        .collect();
    table.row([
        number,
        output::time(entry.at),
        output::one_line(&entry.by),
        output::one_line(&entry.action),
        entry.workspace.as_deref().map(output::one_line).unwrap_or_default(),
        output::one_line(&entry.subject),
        details.join(" "),
    ]);
}

async fn verify(context: &Context, arguments: AuditLogVerifyArgs) -> Result {
    let mut keys = Vec::new();
    for key in arguments.keys {
        // A key has a `+` in it, and nobody's file has the form of one.
        let is_key = key.contains('+') && !Path::new(&key).is_file();
        let text = if is_key {
            key
        } else {
            kept(Path::new(&key), "key", "`provenv audit-log key > FILE` keeps the key")?
        };
        keys.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
    }
    let earlier = arguments.earlier.as_deref();
    let earlier =
        earlier.map(|file| kept(file, "checkpoint", "`provenv audit-log checkpoint > FILE` keeps one"));
    let earlier = earlier.transpose()?;
    let log = match &arguments.file {
        Some(file) => AuditLog::read(file)?,
        None => server(context)?.audit_log().await?,
    };
    let verdict = log.check(&AuditLogCheck { keys, earlier })?;
    context.show(&verdict, text)?;
    if !verdict.key_given {
        context.say(
            "note: the key came with the log; whoever gives --key learns of a log that another key signed",
        );
    }
    Ok(if verdict.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was kept in a file to be compared with.
fn kept(file: &Path, what: &str, how: &str) -> Result<String> {
    fs_err::read_to_string(file).map_err(|error| {
        let hint = (error.kind() == std::io::ErrorKind::NotFound).then(|| how.to_owned());
        let said = format!("could not read the {what}: {error}");
        Failure::Other(said.into(), hint)
    })
}

fn text(verdict: &AuditLogVerdict) -> String {
    let mut text = String::new();
    let AuditLogVerdict { log, size, read, .. } = verdict;
    if verdict.ok {
        let _ = writeln!(text, "the log is whole: {size} entries of {log}, of which {read} were read");
        if let Some(earlier) = verdict.earlier {
            let _ = writeln!(text, "its first {earlier} entries are those of the earlier checkpoint");
        }
        return text;
    }
    let _ = writeln!(text, "the log is not what it was: {size} entries of {log}");
    for finding in &verdict.findings {
        let _ = writeln!(text, "  {}", output::one_line(&finding.message));
    }
    if verdict.more > 0 {
        let _ = writeln!(text, "  and {} more", verdict.more);
    }
    text
}
