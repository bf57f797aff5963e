//! `provenv env`.

use std::fmt::Write as _;
use std::path::PathBuf;

use console::style;
use provenv_workspace::EnvironmentDetails;

use super::check::check;
use super::{Context, Failure, Result, here};
use crate::cli::EnvCommand;
use crate::output::{self, Table};

pub async fn env(context: &Context, command: EnvCommand) -> Result {
    match command {
        EnvCommand::Register { file, name, version, lock } => {
            register(context, file, name, version, lock).await
        }
        EnvCommand::List { name, all } => list(context, name.as_deref(), all).await,
        EnvCommand::Show { environment, receipt: true } => receipt(context, &environment).await,
        EnvCommand::Show { environment, receipt: false } => show(context, &environment).await,
        EnvCommand::Diff(arguments) => super::diff::diff(context, &arguments).await,
        EnvCommand::Digest { environment } => digest(context, &environment).await,
        EnvCommand::Export(arguments) => super::export::export(context, arguments).await,
        EnvCommand::Check(arguments) => check(context, &arguments).await,
        EnvCommand::Capture(arguments) => super::capture::capture(context, &arguments),
    }
}

async fn register(
    context: &Context,
    file: PathBuf,
    name: Option<String>,
    version: Option<String>,
    lock: Option<PathBuf>,
) -> Result {
    let read = provenv_definition::read(&file).map_err(|error| Failure::Definition(error.0))?;
    context.remark(&read.warnings);
    let mut environment = read.environment;
    environment.name = name.or(environment.name);
    environment.version = version.or(environment.version);
    let workspace = context.workspace().await?;
    let registered = workspace
        .register(&environment, read.locked.as_ref(), lock.as_deref())
        .await
        .map_err(|error| error.located(&environment.definition, &read.origins))?;
    workspace.close().await;
    context.show_brief(
        &registered,
        |registered| format!("{}:{}", registered.name, registered.version),
        |registered| {
            let state = if registered.created {
                "registered"
            } else {
                "was registered already, with the same content"
            };
            format!(
                "{}:{} {state}\n  definition  {}\n  lock        {}\n",
                registered.name, registered.version, registered.definition, registered.lock
            )
        },
    )
}

async fn list(context: &Context, name: Option<&str>, all: bool) -> Result {
    let workspace = context.workspace().await?;
    let environments = workspace.list(name, all).await?;
    workspace.close().await;
    context.show(&environments, |environments| {
        if environments.is_empty() {
            return "no environments yet: `provenv env register FILE` makes one\n".to_owned();
        }
        let mut table = Table::new(["NAME", "VERSION", "DEFINITION", "REGISTERED", "BY", "DESCRIPTION"]);
        for details in environments {
            table.row([
                details.name.clone().unwrap_or_default(),
                details.version.clone().unwrap_or_default(),
                details.definition_digest.short(),
                details.created_at.map(output::time).unwrap_or_default(),
                details.created_by.clone().unwrap_or_default(),
                summary(details.environment.description.as_deref().unwrap_or_default()),
            ]);
        }
        table.to_string()
    })
}

/// The first line of a description.
fn summary(description: &str) -> String {
    output::one_line(description.trim().lines().next().unwrap_or_default())
}

async fn show(context: &Context, reference: &str) -> Result {
    let workspace = context.workspace().await?;
    let (details, warnings) = workspace.show(reference, &here()?).await?;
    workspace.close().await;
    context.remark(&warnings);
    context.show(&details, details_text)
}

async fn receipt(context: &Context, reference: &str) -> Result {
    let workspace = context.workspace().await?;
    let (receipt, warnings) = workspace.receipt_of(reference, &here()?).await?;
    workspace.close().await;
    context.remark(&warnings);
    let json = serde_json::to_string_pretty(&receipt).map_err(std::io::Error::other)?;
    context.show(&receipt, |_| json + "\n")
}

fn details_text(details: &EnvironmentDetails) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{} {value}", style(format!("{name:<12}")).bold());
    };
    if let (Some(name), Some(version)) = (&details.name, &details.version) {
        line("environment", &format!("{name}:{version}"));
    }
    line("definition", &details.definition_digest.to_string());
    if let (Some(receipt), Some(lock)) = (&details.receipt, &details.lock) {
        line("receipt", &receipt.to_string());
        line("lock", &lock.to_string());
    }
    if let (Some(at), Some(by)) = (details.created_at, &details.created_by) {
        line("registered", &format!("{} by {by}", output::time(at)));
    }
    text.push('\n');
    text.push_str(&provenv_definition::write_native(&details.environment));
    text
}

async fn digest(context: &Context, reference: &str) -> Result {
    let workspace = context.workspace().await?;
    let (details, warnings) = workspace.show(reference, &here()?).await?;
    workspace.close().await;
    context.remark(&warnings);
    context.show(&details.definition_digest, |digest| format!("{digest}\n"))
}
