//! `provenv image`.

use std::fmt::Write as _;
use std::process::ExitCode;

use console::style;
use provenv_workspace::ImageDetails;

use super::{Context, Result, here};
use crate::cli::ImageCommand;
use crate::output::{self, Table};

pub async fn image(context: &Context, command: ImageCommand) -> Result {
    match command {
        ImageCommand::List => list(context).await,
        ImageCommand::Show { image, dockerfile, log } => show(context, &image, dockerfile, log).await,
    }
}

async fn list(context: &Context) -> Result {
    let workspace = context.workspace().await?;
    let images = workspace.images().await?;
    workspace.close().await;
    context.show(&images, |images| {
        if images.is_empty() {
            return "no images yet: `provenv build FILE` makes one\n".to_owned();
        }
        let mut table =
            Table::new(["IMAGE", "PLATFORM", "SIZE", "LAYERS", "PACKAGES", "MADE", "ENVIRONMENTS"]);
        for image in images {
            table.row([
                image.digest.short(),
                image.platform.to_string(),
                output::bytes(image.size),
                image.layers.to_string(),
                image.packages.to_string(),
                output::time(image.created_at),
                image.environments.join(" "),
            ]);
        }
        table.to_string()
    })
}

async fn show(context: &Context, reference: &str, dockerfile: bool, log: bool) -> Result {
    let workspace = context.workspace().await?;
    let details = workspace.image_details(reference, &here()?).await?;
    workspace.close().await;
    if dockerfile || log {
        context.settle();
        let text = if dockerfile { Some(details.dockerfile) } else { details.log };
        output::write(text.unwrap_or_default().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    context.show(&details, details_text)
}

fn details_text(details: &ImageDetails) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{} {value}", style(format!("{name:<12}")).bold());
    };
    line("image", &details.digest.to_string());
    line("config", &details.config.to_string());
    line("platform", &details.platform.to_string());
    line("size", &output::bytes(details.size));
    line("base", &details.base);
    if let Some(python) = &details.python {
        line("python", python);
    }
    line("lock", &details.lock.to_string());
    line("definition", &details.definition.to_string());
    if !details.environments.is_empty() {
        line("used by", &details.environments.join(" "));
    }
    let mut layers = Table::new(["LAYER", "SIZE", "WHAT"]);
    for layer in &details.layers {
        layers.row([layer.digest.short(), output::bytes(layer.size), layer.what.clone()]);
    }
    let mut packages = Table::new(["PACKAGE", "VERSION", "FROM", "SIZE"]);
    for package in &details.packages {
        packages.row([
            package.name.clone(),
            package.version.clone(),
            package.ecosystem.to_owned(),
            output::bytes(package.size),
        ]);
    }
    let _ = write!(
        text,
        "\n{layers}\n{packages}\n{}\n{}",
        style("equivalent Dockerfile").bold(),
        details.dockerfile
    );
    if details.log.is_some() {
        let _ = writeln!(text, "\nthe log of the build: provenv image show {} --log", details.digest.short());
    }
    text
}
