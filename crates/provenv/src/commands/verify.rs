//! `provenv image verify`.

use std::fmt::Write as _;
use std::process::ExitCode;

use console::style;
use provenv_workspace::{Outcome, Verified, VerifyOptions};

use super::{Context, Result, here};
use crate::cli::VerifyArgs;

pub async fn verify(context: &Context, arguments: VerifyArgs) -> Result {
    let workspace = context.workspace().await?;
    let VerifyArgs { image, keys, policy, rebuild, insecure } = arguments;
    let options = VerifyOptions { keys, policy, rebuild, insecure };
    let verified = workspace.verify(&image, &here()?, &options).await?;
    workspace.close().await;
    context.show_brief(
        &verified,
        |verified| if verified.verified { verified.image.to_string() } else { "refused".to_owned() },
        text,
    )?;
    Ok(if verified.verified { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(verified: &Verified) -> String {
    let mut text = format!("{} ({})\n", verified.image, verified.platform);
    for check in &verified.checks {
        let mark = match check.outcome {
            Outcome::Passed => style("passed ").green(),
            Outcome::Failed => style("failed ").red().bold(),
            Outcome::Skipped => style("skipped").dim(),
        };
        let _ = writeln!(text, "  {mark}  {:<10} {}", check.name, check.detail);
    }
    let _ = writeln!(
        text,
        "{}",
        if verified.verified { style("verified").green() } else { style("refused").red().bold() }
    );
    text
}
