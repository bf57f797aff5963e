//! `provenv run`.

use std::path::PathBuf;

use provenv_workspace::RunOptions;

use super::submit::confined;
use super::{Context, Failure, Result, exit_code, here};
use crate::cli::RunArgs;

pub async fn run(context: &Context, arguments: RunArgs) -> Result {
    let mounts = arguments.mount.iter().map(|text| parse_mount(text)).collect::<Result<_>>()?;
    let options = RunOptions { variables: arguments.set_env, mounts, ..confined(&arguments.sandbox) };
    let workspace = context.workspace().await?;
    let code = workspace
        .run(&arguments.environment, &here()?, arguments.command, &options, |warnings| {
            context.remark(warnings);
            context.settle();
        })
        .await?;
    workspace.close().await;
    Ok(exit_code(code))
}

/// `HOST:INSIDE` or `HOST:INSIDE:ro`.
fn parse_mount(text: &str) -> Result<(PathBuf, PathBuf, bool)> {
    let (rest, read_only) = match text.strip_suffix(":ro") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let parts = rest.rsplit_once(':').filter(|(host, guest)| !host.is_empty() && guest.starts_with('/'));
    let Some((host, guest)) = parts else {
        return Err(Failure::Other(
            format!("`{text}` is no mount").into(),
            Some("write HOST:INSIDE or HOST:INSIDE:ro, with an absolute path inside".to_owned()),
        ));
    };
    Ok((std::path::absolute(host)?, guest.into(), read_only))
}
