//! `provenv build`.

use std::fmt::Write as _;

use provenv_workspace::BuildOptions;

use super::{Context, Result, here, plan, remote};
use crate::cli::{BuildArgs, Platforms};
use crate::output;

pub async fn build(context: &Context, arguments: BuildArgs) -> Result {
    if arguments.dry_run {
        return plan::plan(context, &arguments.environment, arguments.platform).await;
    }
    // What a server makes is the usual form of what is registered: all else is made here.
    let is_usual = arguments.lock.is_none()
        && !arguments.force
        && arguments.compression.is_none()
        && arguments.layers.is_none()
        && arguments.epoch.is_none()
        && arguments.post_link.is_none();
    let mut was_there = None;
    if let Some(remote) = context.remote()?
        && is_usual
        && !matches!(arguments.platform, Some(Platforms::All))
    {
        let platform = match arguments.platform {
            Some(Platforms::One(platform)) => Some(platform),
            _ => None,
        };
        was_there = remote::build(context, &remote, &arguments.environment, platform).await?;
    }
    let options = BuildOptions {
        to: arguments.to,
        lock: arguments.lock,
        force: arguments.force,
        platform: match arguments.platform {
            Some(Platforms::One(platform)) => Some(platform),
            Some(Platforms::All) | None => None,
        },
        insecure: arguments.insecure,
        compression: arguments.compression.map(Into::into),
        layers: arguments.layers,
        epoch: arguments.epoch,
        post_link: arguments.post_link.map(Into::into),
        sign: arguments.sign,
        share: arguments.push,
    };
    if matches!(arguments.platform, Some(Platforms::All)) {
        return build_all(context, &arguments.environment, &options).await;
    }
    let workspace = context.workspace().await?;
    let mut built = workspace.build(&arguments.environment, &here()?, &options).await?;
    built.cached = was_there.unwrap_or(built.cached);
    workspace.close().await;
    context.remark(&built.warnings);
    context.show_brief(
        &built,
        |built| built.image.to_string(),
        |built| {
            let state = match (built.cached, built.reproduced, &built.found) {
                (_, true, _) => "assembled again: the same, bit for bit".to_owned(),
                (true, _, Some(place)) => format!("found in {place}"),
                (true, ..) => "was there already".to_owned(),
                _ => "assembled".to_owned(),
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
                let _ = writeln!(text, "  signed by {}", signed.signer);
            }
            if let Some(reference) = &built.shared {
                let _ = writeln!(text, "  shared    {reference}");
            }
            for destination in &built.exported {
                let _ = writeln!(text, "  to        {destination}");
            }
            text
        },
    )
}

async fn build_all(context: &Context, reference: &str, options: &BuildOptions) -> Result {
    let workspace = context.workspace().await?;
    let built = workspace.build_all(reference, &here()?, options).await?;
    workspace.close().await;
    if let Some(first) = built.images.first() {
        context.remark(&first.warnings);
    }
    context.show_brief(
        &built,
        |built| built.index.to_string(),
        |built| {
            let mut text = format!("{} (an index of {} images)\n", built.index, built.images.len());
            for one in &built.images {
                let (image, size) = (one.image, output::bytes(one.size));
                let _ = writeln!(text, "  {:<11} {image}, {size} in {} layers", one.platform, one.layers);
            }
            for destination in &built.exported {
                let _ = writeln!(text, "  to          {destination}");
            }
            text
        },
    )
}
