//! `provenv env diff`.

use std::fmt::Write as _;
use std::process::ExitCode;

use console::style;
use provenv_definition::Difference;
use provenv_workspace::{DiffOptions, EnvironmentDiff};

use super::changes::changes_text;
use super::{Context, Failure, Result, here};
use crate::cli::DiffArgs;
use crate::output;

/// The exit code of a failure where 1 says that there is a difference, as `diff` has it.
const TROUBLE: u8 = 2;

pub async fn diff(context: &Context, arguments: &DiffArgs) -> Result {
    let compared = compare(context, arguments).await;
    if !arguments.exit_code {
        return compared.map(|_| ExitCode::SUCCESS);
    }
    match compared {
        Ok(is_empty) => Ok(ExitCode::from(u8::from(!is_empty))),
        Err(Failure::Other(error, hint)) => Err(Failure::NotStarted(error, hint, TROUBLE)),
        Err(failure) => Err(failure),
    }
}

/// Whether there is no difference, after the showing of it.
async fn compare(context: &Context, arguments: &DiffArgs) -> Result<bool> {
    let options = DiffOptions { platform: arguments.platform, asked: arguments.asked };
    let workspace = context.workspace().await?;
    let diff = workspace.diff(&arguments.old, &arguments.new, &here()?, &options).await?;
    workspace.close().await;
    context.remark(&diff.warnings);
    for note in &diff.notes {
        context.say(&format!("{} {note}", style("note:").bold()));
    }
    context.show(&diff, diff_text)?;
    Ok(diff.is_empty())
}

fn diff_text(diff: &EnvironmentDiff) -> String {
    if diff.is_empty() {
        return "no difference\n".to_owned();
    }
    let mut text = String::new();
    let asked = diff.asked.iter().flatten();
    let mut asked = asked.peekable();
    if asked.peek().is_some() {
        let _ = writeln!(text, "{}", style("asked for").bold());
    }
    for difference in asked {
        let _ = writeln!(text, "{}", difference_line(difference));
    }
    let packages = diff.packages.as_ref().map(changes_text).unwrap_or_default();
    let only = [(&diff.only_old, style("-").red()), (&diff.only_new, style("+").green())];
    if !packages.is_empty() || only.iter().any(|(platforms, _)| !platforms.is_empty()) {
        let _ = writeln!(text, "{}", style("packages").bold());
    }
    for (platforms, sign) in only {
        for platform in platforms {
            let _ = writeln!(text, "{sign} all for {platform}");
        }
    }
    text + &packages
}

/// `+ pip requests>=2`, `~ python 3.10 → 3.11`.
fn difference_line(difference: &Difference) -> String {
    let Difference { part, name, old, new, counts: _ } = difference;
    // Requirements name their package themselves.
    let entry = |value: &str| match name {
        Some(name) if ["environment_variables", "tags"].contains(part) => format!("{part} {name}: {value}"),
        _ => format!("{part} {value}"),
    };
    let (sign, line) = match (old, new) {
        (Some(old), Some(new)) => (style("~").yellow(), format!("{} → {new}", entry(old))),
        (Some(old), None) => (style("-").red(), entry(old)),
        (None, new) => (style("+").green(), entry(new.as_deref().unwrap_or_default())),
    };
    format!("{sign} {}", output::one_line(&line))
}
