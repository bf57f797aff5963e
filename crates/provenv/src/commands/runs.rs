//! `provenv runs`.

use std::fmt::Write as _;
use std::process::ExitCode;

use console::style;
use provenv_workspace::{RunDetails, RunStatus};

use super::{Context, Result};
use crate::cli::RunsCommand;
use crate::output::{self, Table};

pub async fn runs(context: &Context, command: RunsCommand) -> Result {
    let workspace = context.workspace().await?;
    match command {
        RunsCommand::List { limit } => {
            let runs = workspace.runs(limit).await?;
            context.show(&runs, |runs| {
                if runs.is_empty() {
                    return "no runs yet: `provenv submit JOB` makes one\n".to_owned();
                }
                let mut table = Table::new(["RUN", "STATUS", "EXIT", "ENVIRONMENT", "STARTED", "TOOK"]);
                for run in runs {
                    table.row([
                        run.id.clone(),
                        status(run),
                        run.exit_code.map(|code| code.to_string()).unwrap_or_default(),
                        run.environment.clone(),
                        output::time(run.started_at),
                        took(run),
                    ]);
                }
                table.to_string()
            })
        }
        RunsCommand::Show { run } => {
            let run = workspace.run_details(&run).await?;
            context.show(&run, details_text)
        }
        RunsCommand::Logs { run } => {
            workspace.run_log(&run, &mut std::io::stdout().lock()).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn details_text(run: &RunDetails) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{} {value}", style(format!("{name:<12}")).bold());
    };
    line("run", &run.id);
    line("status", &status(run));
    if let Some(code) = run.exit_code {
        line("exit code", &code.to_string());
    }
    if let Some(error) = &run.error {
        line("error", error);
    }
    line("environment", &run.environment);
    line("receipt", &run.receipt.to_string());
    line("image", &run.image.to_string());
    line("started", &output::time(run.started_at));
    line("took", &took(run));
    if let Some(words) = run.job["command"].as_array() {
        let words: Vec<&str> = words.iter().filter_map(serde_json::Value::as_str).collect();
        line("command", &words.join(" "));
    }
    if let Some(code) = run.job["code"].as_str() {
        line("code", code);
    }
    line("folder", &run.folder.display().to_string());
    for (path, size) in &run.outputs {
        line("output", &format!("{path} ({})", output::bytes(*size)));
    }
    text
}

fn status(run: &RunDetails) -> String {
    let styled = match run.status {
        RunStatus::Running => style("running").cyan(),
        RunStatus::Completed => style("completed").green(),
        RunStatus::Failed => style("failed").red(),
        RunStatus::Canceled => style("canceled").yellow(),
        RunStatus::Lost => style("lost").red(),
    };
    styled.to_string()
}

fn took(run: &RunDetails) -> String {
    // Nobody knows when a lost one ended.
    if run.status == RunStatus::Lost { String::new() } else { output::took(run.started_at, run.ended_at) }
}
