//! `provenv image`.

use std::fmt::Write as _;
use std::process::ExitCode;

use console::style;
use provenv_workspace::ImageDetails;

use super::{Context, Result, here, provenance, push, referrers, sign, verify};
use crate::cli::{ImageCommand, ImagePart};
use crate::output::{self, Table};

pub async fn image(context: &Context, command: ImageCommand) -> Result {
    match command {
        ImageCommand::List => list(context).await,
        ImageCommand::Show { image, part } => show(context, &image, &part).await,
        ImageCommand::Provenance(arguments) => provenance::provenance(context, arguments).await,
        ImageCommand::Sign(arguments) => sign::sign(context, arguments).await,
        ImageCommand::Verify(arguments) => verify::verify(context, arguments).await,
        ImageCommand::Push(arguments) => push::push(context, arguments).await,
        ImageCommand::Referrers(arguments) => referrers::referrers(context, arguments).await,
        ImageCommand::Sbom(arguments) => super::sbom::sbom(context, arguments).await,
        ImageCommand::Audit(arguments) => super::audit::audit(context, arguments).await,
    }
}

async fn list(context: &Context) -> Result {
    let record = context.record().await?;
    let images = record.images().await?;
    record.close().await;
    context.show(&images, |images| {
        if images.is_empty() {
            return "no images yet: `provenv build FILE` makes one\n".to_owned();
        }
        let mut table =
            Table::new(["IMAGE", "PLATFORM", "SIZE", "LAYERS", "IS", "PACKAGES", "MADE", "ENVIRONMENTS"]);
        for image in images {
            table.row([
                image.digest.short(),
                image.platform.to_string(),
                output::bytes(image.size),
                image.layers.to_string(),
                image.compression.to_string(),
                image.packages.to_string(),
                output::time(image.created_at),
                image.environments.join(" "),
            ]);
        }
        table.to_string()
    })
}

async fn show(context: &Context, reference: &str, part: &ImagePart) -> Result {
    let workspace = context.workspace().await?;
    let details = workspace.image_details(reference, &here()?).await?;
    workspace.close().await;
    if part.dockerfile || part.log {
        context.settle();
        let text = if part.dockerfile { Some(details.dockerfile) } else { details.log };
        output::write(text.unwrap_or_default().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    if part.layers {
        return context.show(&details.layers, |layers| {
            let mut table = Table::new(["LAYER", "SIZE", "WHAT"]);
            for layer in layers {
                table.row([layer.digest.short(), output::bytes(layer.size), layer.what.clone()]);
            }
            table.to_string()
        });
    }
    if part.packages {
        return context.show(&details.packages, |packages| {
            let mut table = Table::new(["PACKAGE", "VERSION", "FROM", "SIZE"]);
            for package in packages {
                table.row([
                    package.name.clone(),
                    package.version.clone(),
                    package.ecosystem.clone().into_owned(),
                    output::bytes(package.size),
                ]);
            }
            table.to_string()
        });
    }
    context.show(&details, details_text)
}

/// How many of the largest layers a summary names.
const LARGEST: usize = 5;

fn details_text(details: &ImageDetails) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{} {value}", style(format!("{name:<12}")).bold());
    };
    line("image", &details.digest.to_string());
    line("config", &details.config.to_string());
    line("platform", &details.platform.to_string());
    let most = details.most_layers.map(|most| format!(" (at most {most})")).unwrap_or_default();
    let size = output::bytes(details.size);
    line("size", &format!("{size} in {} layers{most}, {}", details.layers.len(), details.compression));
    line("epoch", &details.epoch.to_string());
    line("base", &details.base);
    if let Some(python) = &details.python {
        line("python", python);
    }
    let from = |ecosystem| details.packages.iter().filter(|package| package.ecosystem == ecosystem).count();
    let conda = match from("conda") {
        0 => String::new(),
        conda => format!("{conda} of conda, "),
    };
    line("packages", &format!("{} of Debian, {conda}{} of Python", from("deb"), from("pypi")));
    line("lock", &details.lock.to_string());
    line("definition", &details.definition.to_string());
    if !details.environments.is_empty() {
        line("used by", &details.environments.join(" "));
    }
    let mut layers: Vec<_> = details.layers.iter().collect();
    layers.sort_by_key(|layer| std::cmp::Reverse(layer.size));
    for (n, layer) in layers.iter().take(LARGEST).enumerate() {
        let name = if n == 0 { "largest" } else { "" };
        line(name, &format!("{:>10}  {}", output::bytes(layer.size), layer.what));
    }
    for note in &details.notes {
        line("note", note);
    }
    let _ = writeln!(text, "\nmore: --packages, --layers, --dockerfile, --log");
    text
}
