//! `provenv bundle`.

use std::fmt::Write as _;

use provenv_workspace::Bundled;

use super::{Context, Result, here};
use crate::cli::BundleCommand;

pub async fn bundle(context: &Context, command: BundleCommand) -> Result {
    let workspace = context.workspace().await?;
    let bundled = match command {
        BundleCommand::Export { images, to } => workspace.export_bundle(&images, &here()?, &to).await?,
        BundleCommand::Import { file } => workspace.import_bundle(&here()?.join(file)).await?,
    };
    workspace.close().await;
    context.show(&bundled, text)
}

fn text(bundled: &Bundled) -> String {
    let mut text = format!("{}\n", bundled.file.display());
    for image in &bundled.images {
        let _ = writeln!(
            text,
            "  {} {} ({} files, {} proofs)",
            image.image,
            image.environment.as_deref().unwrap_or(image.platform.as_str()),
            image.artifacts,
            image.proofs
        );
    }
    text
}
