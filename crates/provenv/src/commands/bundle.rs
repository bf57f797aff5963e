//! `provenv bundle`.

use std::fmt::Write as _;

use provenv_workspace::{Bundled, ImportOptions, Outcome};

use super::{Context, Result, here};
use crate::cli::{BundleCommand, BundleImportArgs};

pub async fn bundle(context: &Context, command: BundleCommand) -> Result {
    let workspace = context.workspace().await?;
    let bundled = match command {
        BundleCommand::Export { images, to } => workspace.export_bundle(&images, &here()?, &to).await?,
        BundleCommand::Import(BundleImportArgs { file, keys, policy, rebuild, no_register }) => {
            let options = ImportOptions { keys, policy, rebuild, unregistered: no_register };
            let folder = here()?;
            workspace.import_bundle(&folder.join(file), &folder, &options).await?
        }
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
        for check in image.checks.iter().filter(|check| check.outcome == Outcome::Passed) {
            let _ = writeln!(text, "    {:<10} {}", check.name, check.detail);
        }
    }
    text
}
