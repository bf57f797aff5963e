//! `provenv env`.

use std::fmt::Write as _;

use console::style;
use provenv_definition::{Environment, Origins};
use provenv_workspace::{EnvironmentDetails, RegisterOptions, Registered};

use super::check::check;
use super::{Context, Failure, Result, here, lifecycle};
use crate::cli::{EnvCommand, RegisterArgs};
use crate::output;

pub async fn env(context: &Context, command: EnvCommand) -> Result {
    match command {
        EnvCommand::Register(arguments) => register(context, arguments).await,
        EnvCommand::List(arguments) => super::list::list(context, arguments).await,
        EnvCommand::Search(arguments) => super::list::search(context, arguments).await,
        EnvCommand::Show { environment, receipt: true } => receipt(context, &environment).await,
        EnvCommand::Show { environment, receipt: false } => show(context, &environment).await,
        EnvCommand::Diff(arguments) => super::diff::diff(context, &arguments).await,
        EnvCommand::Digest { environment } => digest(context, &environment).await,
        EnvCommand::Export(arguments) => super::export::export(context, arguments).await,
        EnvCommand::Update(arguments) => lifecycle::update(context, arguments).await,
        EnvCommand::Label(arguments) => lifecycle::label(context, arguments).await,
        EnvCommand::Archive(arguments) => lifecycle::archive(context, arguments).await,
        EnvCommand::Restore(arguments) => lifecycle::restore(context, arguments).await,
        EnvCommand::Delete(arguments) => lifecycle::delete(context, arguments).await,
        EnvCommand::Copy(arguments) => super::copy::copy(context, arguments).await,
        EnvCommand::Share(arguments) => super::share::share(context, arguments).await,
        EnvCommand::Unshare(arguments) => super::share::unshare(context, arguments).await,
        EnvCommand::Shares => super::share::shares(context).await,
        EnvCommand::Import(arguments) => super::copy::import(context, arguments).await,
        EnvCommand::History(arguments) => lifecycle::history(context, arguments).await,
        EnvCommand::Uses(arguments) => super::lineage::uses(context, arguments).await,
        EnvCommand::Lineage(arguments) => super::lineage::lineage(context, arguments).await,
        EnvCommand::Check(arguments) => check(context, &arguments).await,
        EnvCommand::Capture(arguments) => super::capture::capture(context, &arguments),
    }
}

async fn register(context: &Context, arguments: RegisterArgs) -> Result {
    let RegisterArgs { file, from, name, version, lock } = arguments;
    let read = file.map(|file| provenv_definition::read(&file)).transpose();
    let read = read.map_err(|error| Failure::Definition(error.0))?;
    let (mut environment, artifacts, mut origins, format) = match read {
        Some(read) => {
            context.remark(&read.warnings);
            (read.environment, read.locked, read.origins, Some(read.format))
        }
        None => (Environment::default(), None, Origins::default(), None),
    };
    // What is said here has no place in the file.
    origins.name.take_if(|_| name.is_some());
    origins.version.take_if(|_| version.is_some());
    environment.name = name.or(environment.name);
    environment.version = version.or(environment.version);
    let workspace = context.workspace().await?;
    // Of what a file and another environment ask for together, the file's own choice is not one.
    let artifacts = artifacts.filter(|_| from.is_none());
    let mut options = RegisterOptions { lock: lock.as_deref(), ..RegisterOptions::default() };
    if let Some(from) = from {
        (environment, options.from) = workspace.extended(&from, &here()?, environment).await?;
        origins = origins.of_single_values();
    }
    let registered = workspace
        .register_with(&environment, &origins, artifacts.as_ref(), &options)
        .await
        .map_err(|error| error.located(&environment.definition, &origins, format))?;
    workspace.close().await;
    show_registered(context, &registered)
}

fn show_registered(context: &Context, registered: &Registered) -> Result {
    context.show_brief(
        registered,
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
    if let Some(from) = &details.from {
        line("made from", from);
    }
    if let Some(place) = &details.shared_from {
        line("shared from", &format!("{place} (read-only here)"));
    }
    if !details.labels.is_empty() {
        line("labels", &details.labels.join(", "));
    }
    if details.archived {
        line("archived", "yes");
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
