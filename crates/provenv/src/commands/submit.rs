//! `provenv submit`.

use std::fmt::Write as _;

use console::style;
use provenv_workspace::{OutputFile, RunOptions, SubmitOptions};

use super::{Context, Result, exit_code};
use crate::cli::{SandboxArgs, SubmitArgs};
use crate::output;

pub async fn submit(context: &Context, arguments: SubmitArgs) -> Result {
    let workspace = context.workspace().await?;
    let options = SubmitOptions {
        run: RunOptions { variables: arguments.set_env, ..confined(&arguments.sandbox) },
        arguments: arguments.arguments,
        // Where the result is for a program, the script's own output must not mix with it.
        show_log: context.is_for_people(),
    };
    let finished = workspace
        .submit(&arguments.job, &options, |id, registered, cached| {
            let state = match (registered.created, cached) {
                (true, _) => "registered now",
                (false, true) => "known, nothing to build",
                (false, false) => "known",
            };
            context.say(&format!(
                "{} {id} in {}:{} ({state})",
                style("run").green().bold().for_stderr(),
                registered.name,
                registered.version
            ));
        })
        .await?;
    workspace.close().await;
    context.remark(&finished.warnings);
    let code = exit_code(i32::try_from(finished.run.exit_code.unwrap_or(1)).unwrap_or(1));
    if context.is_for_people() {
        let run = &finished.run;
        let mut text = String::new();
        let _ = writeln!(text, "{} {} with exit code {}", run.id, word(run), run.exit_code.unwrap_or(1));
        if let Some(error) = &run.error {
            let _ = writeln!(text, "  because      {error}");
        }
        let _ = writeln!(text, "  environment  {}", run.environment);
        let _ = writeln!(text, "  receipt      {}", run.receipt);
        let _ = writeln!(text, "  image        {}", run.image);
        let _ = writeln!(text, "  folder       {}", run.folder.display());
        for OutputFile { path, bytes } in &run.outputs {
            let _ = writeln!(text, "  output       {} ({})", output::one_line(path), output::bytes(*bytes));
        }
        context.say(text.trim_end());
    } else {
        context.show(&finished, |_| String::new())?;
    }
    Ok(code)
}

fn word(run: &provenv_workspace::RunDetails) -> &'static str {
    use provenv_workspace::RunStatus;
    match run.status {
        RunStatus::Completed => "completed",
        RunStatus::Canceled => "was stopped",
        _ => "failed",
    }
}

/// The options that submit and run share.
pub fn confined(arguments: &SandboxArgs) -> RunOptions {
    RunOptions {
        no_network: arguments.no_network,
        cpus: arguments.cpus,
        memory: arguments.memory,
        ..RunOptions::default()
    }
}
