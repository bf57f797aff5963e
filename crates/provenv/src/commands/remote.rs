//! The image of a version on a server: the server builds it, and its log is shown here.

use std::fmt::Write as _;

use provenv_definition::Platform;
use provenv_workspace::{Reference, Remote, RemoteJob};

use super::{Context, Failure, Result, here};

/// Name of a registered environment, and its version or `@LABEL`; `None` for what is no version on the server.
fn registered(reference: &str) -> Result<Option<(String, String)>> {
    let latest = || "@latest".to_owned();
    Ok(match Reference::parse(reference, &here()?) {
        Reference::Registered { name, version: Some(version), .. } => Some((name, version)),
        Reference::Registered { name, label: Some(label), .. } => Some((name, format!("@{label}"))),
        Reference::Registered { name, .. } => Some((name, latest())),
        Reference::Curated { .. } | Reference::File(_) => None,
    })
}

/// Asks for the image of a version, and follows the log until it is there. Says whether it was there; `None` for what is no
/// version on the server.
pub async fn build(
    context: &Context,
    remote: &Remote,
    reference: &str,
    platform: Option<Platform>,
) -> Result<Option<bool>> {
    let Some((name, version)) = registered(reference)? else { return Ok(None) };
    let asked = match remote.ask_build(&name, &version, platform).await {
        // A folder of that name may be meant.
        Err(error) if is_missing(&error) && Reference::folder(reference, &here()?).is_some() => {
            return Ok(None);
        }
        asked => asked?,
    };
    let job = if asked.ended_at.is_some() {
        asked
    } else {
        context.say(&format!("build {} of {}:{}", asked.id, asked.environment, asked.version));
        remote.follow(&asked, |line| context.say(line)).await?
    };
    if job.status != "succeeded" {
        return Err(failed(&job));
    }
    Ok(Some(job.attempts == 0))
}

fn is_missing(error: &provenv_workspace::Error) -> bool {
    Remote::code(error) == Some("environment-not-found")
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
