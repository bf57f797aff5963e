//! `provenv image provenance`.

use std::process::ExitCode;

use super::{Context, Result, here};
use crate::cli::ProvenanceArgs;
use crate::output;

pub async fn provenance(context: &Context, arguments: ProvenanceArgs) -> Result {
    let workspace = context.workspace().await?;
    let statement = workspace.provenance(&arguments.image, &here()?).await?;
    workspace.close().await;
    context.settle();
    // Whatever --output says: these bytes are what is signed.
    output::write(&statement)?;
    Ok(ExitCode::SUCCESS)
}
