//! `provenv runs`.

use std::fmt::Write as _;
use std::process::ExitCode;

use console::style;
use provenv_workspace::{OutputFile, RunDetails, RunStatus};

use super::{Context, Result};
use crate::cli::RunsCommand;
use crate::output::{self, Table};

pub async fn runs(context: &Context, command: RunsCommand) -> Result {
    let record = context.record().await?;
    match command {
        RunsCommand::List { limit } => {
            let runs = record.runs(limit).await?;
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
            let run = record.run_details(&run).await?;
            context.show(&run, details_text)
        }
        RunsCommand::Logs { run } => {
            record.run_log(&run, &mut std::io::stdout()).await?;
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
    if let Some(command) = command(&run.job) {
        line("command", &command);
    }
    if let Some(code) = run.job["code"].as_str() {
        line("code", code);
    }
    line("folder", &run.folder.display().to_string());
    for OutputFile { path, bytes } in &run.outputs {
        line("output", &format!("{} ({})", output::one_line(path), output::bytes(*bytes)));
    }
    text
}

/// What was run, as its user wrote it, fit for a shell.
fn command(job: &serde_json::Value) -> Option<String> {
    let words: Vec<&str> = job["command"].as_array()?.iter().filter_map(serde_json::Value::as_str).collect();
    let (written, arguments) = match words.as_slice() {
        // The words that a shell line was put between; `"$@"` stands for the arguments.
        ["/bin/sh", "-c", line, rest @ ..] if job["job"]["command"].is_string() => {
            (Some(line.trim_end_matches(" \"$@\"").to_owned()), rest.get(1..).unwrap_or_default())
        }
        words => (None, words),
    };
    let quoted = arguments.iter().map(|word| quoted(word));
    Some(written.into_iter().chain(quoted).collect::<Vec<_>>().join(" "))
}

/// One word to a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
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
