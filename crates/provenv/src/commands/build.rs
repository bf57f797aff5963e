//! `provenv build`.

use std::fmt::Write as _;

use provenv_workspace::BuildOptions;

use super::{Context, Result, here};
use crate::cli::BuildArgs;
use crate::output;

pub async fn build(context: &Context, arguments: BuildArgs) -> Result {
    let options = BuildOptions {
        to: arguments.to,
        lock: arguments.lock,
        force: arguments.force,
        platform: arguments.platform,
        insecure: arguments.insecure,
        compression: arguments.compression.map(Into::into),
        layers: arguments.layers,
        epoch: arguments.epoch,
        post_link: arguments.post_link.map(Into::into),
        sign: arguments.sign,
    };
    let workspace = context.workspace().await?;
    let built = workspace.build(&arguments.environment, &here()?, &options).await?;
    workspace.close().await;
    context.remark(&built.warnings);
    context.show_brief(
        &built,
        |built| built.image.to_string(),
        |built| {
            let state = match (built.cached, built.reproduced) {
                (_, true) => "assembled again: the same, bit for bit",
                (true, _) => "was there already",
                _ => "assembled",
            };
            let mut text = format!(
                "{} ({state})\n  platform  {}\n  size      {} in {} layers, {}\n  lock      {}\n",
                built.image,
                built.platform,
                output::bytes(built.size),
                built.layers,
                built.compression,
                built.lock
            );
            if let Some(signed) = &built.signed {
                let _ = writeln!(text, "  signed by {}", signed.key);
            }
            for destination in &built.exported {
                let _ = writeln!(text, "  to        {destination}");
            }
            text
        },
    )
}
