//! What commands do in a workspace on a server, where it is not as in a folder.

use std::fmt::Write as _;
use std::process::ExitCode;

use provenv_definition::Platform;
use provenv_workspace::{EnvironmentDetails, Error, Reference, Remote, RemoteJob};

use super::{Context, Failure, Result, here, not_remote};
use crate::cli::{BuildArgs, BuildsCommand, Platforms};
use crate::output::{self, Table};

/// What a reference stands for: a version on the server, or a file here.
pub async fn show(remote: &Remote, reference: &str) -> Result<EnvironmentDetails> {
    let (name, version) = registered(reference)?;
    Ok(remote.version(&name, &version).await?)
}

/// Name of a registered environment, and its version or `@LABEL`.
pub fn registered(reference: &str) -> Result<(String, String)> {
    let latest = || "@latest".to_owned();
    match Reference::parse(reference, &here()?) {
        Reference::Registered { name, version: Some(version), .. } => Ok((name, version)),
        Reference::Registered { name, label: Some(label), .. } => Ok((name, format!("@{label}"))),
        Reference::Registered { name, .. } => Ok((name, latest())),
        Reference::Curated { name, version } => Ok((name, version.unwrap_or_else(latest))),
        Reference::File(path) => Err(Error::Arguments {
            message: format!("`{}` is a file, and the workspace is on a server", path.display()),
            hint: "register it: `provenv env register FILE`".to_owned(),
        }
        .into()),
    }
}

/// Asks for an image, and follows the log until it is there.
pub async fn build(context: &Context, remote: &Remote, arguments: BuildArgs) -> Result {
    let platform: Option<Platform> = match &arguments.platform {
        Some(Platforms::One(platform)) => Some(*platform),
        Some(Platforms::All) => return Err(not_remote("`build --platform all`").into()),
        None => None,
    };
    let own = [
        (!arguments.to.is_empty(), "--to"),
        (arguments.lock.is_some(), "--lock"),
        (arguments.force, "--force"),
        (arguments.compression.is_some(), "--compression"),
        (arguments.layers.is_some(), "--layers"),
        (arguments.epoch.is_some(), "--epoch"),
        (arguments.post_link.is_some(), "--post-link"),
        (arguments.sign.is_some(), "--sign"),
        (arguments.push, "--push"),
    ];
    if let Some((_, option)) = own.iter().find(|(given, _)| *given) {
        return Err(not_remote(&format!("`build {option}`")).into());
    }
    let (name, version) = registered(&arguments.environment)?;
    let asked = remote.ask_build(&name, &version, platform).await?;
    let job = if asked.ended_at.is_some() {
        asked
    } else {
        context.say(&format!("build {} of {}:{}", asked.id, asked.environment, asked.version));
        remote.follow(&asked, |line| context.say(line)).await?
    };
    if job.status != "succeeded" {
        return Err(failed(&job));
    }
    context.show_brief(
        &job,
        |job| job.image.map(|image| image.to_string()).unwrap_or_default(),
        |job| {
            let image = job.image.map(|image| image.to_string()).unwrap_or_default();
            let state = if job.attempts == 0 { "was there already" } else { "assembled" };
            format!("{image} ({state})\n  platform  {}\n  lock      {}\n", job.platform, job.lock)
        },
    )
}

fn failed(job: &RemoteJob) -> Failure {
    let error = job.error.clone().unwrap_or_default();
    let mut text = format!("build {} {}", job.id, job.status);
    if !error.message.is_empty() {
        let _ = write!(text, ": {}", error.message);
    }
    for cause in error.causes {
        let _ = write!(text, "\n  because: {cause}");
    }
    Failure::Other(text.into(), error.hint)
}

/// `provenv builds`.
pub async fn builds(context: &Context, remote: &Remote, command: BuildsCommand) -> Result {
    match command {
        BuildsCommand::List { limit } => {
            let jobs = remote.jobs(limit).await?;
            context.show(&jobs, |jobs| {
                let mut table =
                    Table::new(["BUILD", "STATUS", "PLATFORM", "IMAGE", "ASKED", "BY", "ENVIRONMENT"]);
                for job in jobs {
                    table.row([
                        job.id.clone(),
                        job.status.clone(),
                        job.platform.to_string(),
                        job.image.map(|image| image.short()).unwrap_or_default(),
                        output::time(job.created_at),
                        job.created_by.clone(),
                        format!("{}:{}", job.environment, job.version),
                    ]);
                }
                table.to_string()
            })
        }
        BuildsCommand::Show { build } => {
            let job = remote.job(&build).await?;
            context.show(&job, |job| {
                let mut text = String::new();
                let mut line = |name: &str, value: &str| {
                    let _ = writeln!(text, "{name:<12} {value}");
                };
                line("build", &job.id);
                line("status", &job.status);
                if let Some(error) = &job.error {
                    line("error", &error.message);
                }
                line("environment", &format!("{}:{}", job.environment, job.version));
                line("platform", job.platform.as_str());
                line("lock", &job.lock.to_string());
                if let Some(image) = &job.image {
                    line("image", &image.to_string());
                }
                line("asked", &format!("{} by {}", output::time(job.created_at), job.created_by));
                text
            })
        }
        BuildsCommand::Logs { build } => {
            let log = remote.job_log(&build).await?;
            context.settle();
            output::write(&log)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
