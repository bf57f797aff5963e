//! `provenv __worker`: what a server's worker runs. Its result, good or bad, is one line of JSON on standard output;
//! what people want to read is on standard error, as for `build`.

use provenv_workspace::{BuildOptions, causes};

use super::{Context, Result};
use crate::cli::BuildVersionArgs;
use crate::output;

pub async fn build_version(context: &Context, arguments: BuildVersionArgs) -> Result {
    let workspace = context.workspace().await?;
    let options = BuildOptions { platform: Some(arguments.platform), ..BuildOptions::default() };
    let built = workspace.build_version(&arguments.name, &arguments.version, &options).await;
    workspace.close().await;
    let said = match &built {
        Ok(built) => serde_json::json!({ "image": built.image }),
        Err(error) => serde_json::json!({ "error": {
            "message": error.to_string(),
            "causes": causes(error),
            "hint": error.hint(),
            "transient": error.is_transient(),
        } }),
    };
    output::write(format!("{said}\n").as_bytes())?;
    built?;
    Ok(std::process::ExitCode::SUCCESS)
}
