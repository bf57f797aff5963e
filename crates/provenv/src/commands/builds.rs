//! `provenv builds`.

use std::fmt::Write as _;
use std::process::ExitCode;

use console::style;
use provenv_workspace::{BuildDetails, BuildStatus, BuildStep};

use super::{Context, Result};
use crate::cli::BuildsCommand;
use crate::output::{self, Table};

pub async fn builds(context: &Context, command: BuildsCommand) -> Result {
    let record = context.record().await?;
    match command {
        BuildsCommand::List { limit } => {
            let builds = record.builds(limit).await?;
            context.show(&builds, |builds| {
                if builds.is_empty() {
                    return "no builds yet: `provenv build FILE` makes one\n".to_owned();
                }
                let mut table =
                    Table::new(["BUILD", "STATUS", "PLATFORM", "IMAGE", "STARTED", "TOOK", "ENVIRONMENTS"]);
                for build in builds {
                    table.row([
                        build.id.clone(),
                        status(build),
                        build.platform.to_string(),
                        build.image.map(|image| image.short()).unwrap_or_default(),
                        output::time(build.started_at),
                        took(build),
                        build.environments.join(" "),
                    ]);
                }
                table.to_string()
            })
        }
        BuildsCommand::Show { build } => {
            let build = record.build_details(&build).await?;
            context.show(&build, details_text)
        }
        BuildsCommand::Logs { build, follow } => {
            record.build_log(&build, follow, &mut std::io::stdout()).await?;
            Ok(ExitCode::SUCCESS)
        }
        BuildsCommand::Cancel { build } => {
            let build = record.cancel_build(&build).await?;
            context.show(&build, details_text)
        }
        BuildsCommand::Retry { build } => {
            let build = record.retry_build(&build).await?;
            context.show(&build, details_text)
        }
    }
}

fn details_text(build: &BuildDetails) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{} {value}", style(format!("{name:<12}")).bold());
    };
    line("build", &build.id);
    line("status", &status(build));
    if let Some(error) = &build.error {
        line("error", error);
    }
    line("platform", build.platform.as_str());
    if build.step == BuildStep::Dockerfile {
        line("step", "Dockerfile");
    }
    if let Some(lock) = &build.lock {
        line("lock", &lock.to_string());
    }
    if let Some(definition) = &build.definition {
        line("definition", &definition.to_string());
    }
    if let Some(image) = &build.image {
        line("image", &image.to_string());
    }
    if !build.environments.is_empty() {
        line("used by", &build.environments.join(" "));
    }
    if let Some(by) = &build.created_by {
        line("asked by", by);
    }
    if let Some(attempts) = build.attempts.filter(|attempts| *attempts > 1) {
        line("attempts", &attempts.to_string());
    }
    line("started", &output::time(build.started_at));
    line("took", &took(build));
    line("log", &build.log.display().to_string());
    text
}

fn status(build: &BuildDetails) -> String {
    let styled = match build.status {
        BuildStatus::Queued => style("queued").yellow(),
        BuildStatus::Running => style("running").cyan(),
        BuildStatus::Succeeded => style("succeeded").green(),
        BuildStatus::Failed => style("failed").red(),
        BuildStatus::Canceled => style("canceled").yellow(),
        BuildStatus::Lost => style("lost").red(),
    };
    styled.to_string()
}

fn took(build: &BuildDetails) -> String {
    // Nobody knows when a lost one ended.
    if build.status == BuildStatus::Lost {
        return String::new();
    }
    output::took(build.started_at, build.ended_at)
}
