//! `provenv image sbom`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use provenv_definition::Digest;
use serde::Serialize;

use super::{Context, Result, here};
use crate::cli::SbomArgs;
use crate::output;

/// What came of it, where the document went to a file.
#[derive(Serialize)]
struct Written {
    image: Digest,
    lock: Digest,
    components: usize,
    file: PathBuf,
}

pub async fn sbom(context: &Context, arguments: SbomArgs) -> Result {
    let workspace = context.workspace().await?;
    let sbom = workspace.sbom(&arguments.image, &here()?, arguments.format.into()).await?;
    workspace.close().await;
    let Some(file) = arguments.to.filter(|file| file != Path::new("-")) else {
        context.settle();
        output::write(&sbom.document)?;
        return Ok(ExitCode::SUCCESS);
    };
    super::lock::write_whole(&file, &sbom.document)?;
    let written = Written { image: sbom.image, lock: sbom.lock, components: sbom.components, file };
    context.show(&written, |written| {
        format!("{}: {} components of {}\n", written.file.display(), written.components, written.image)
    })
}
