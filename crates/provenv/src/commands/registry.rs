//! `provenv registry`.

use std::fmt::Write as _;
use std::process::ExitCode;

use provenv_workspace::{Anonymous, RegistryOptions, RegistryServed};

use super::{Context, Result};
use crate::cli::{RegistryCommand, RegistryServeArgs};
use crate::output;

pub async fn registry(context: &Context, command: RegistryCommand) -> Result {
    match command {
        RegistryCommand::Serve(arguments) => serve(context, arguments).await,
    }
}

async fn serve(context: &Context, arguments: RegistryServeArgs) -> Result {
    let anonymous = if arguments.anonymous_push {
        Anonymous::Push
    } else if arguments.anonymous_pull {
        Anonymous::Pull
    } else {
        Anonymous::Nothing
    };
    let options = RegistryOptions {
        listen: arguments.listen,
        htpasswd: arguments.htpasswd,
        readers: arguments.readers,
        anonymous,
        tls: arguments.tls_cert.zip(arguments.tls_key),
    };
    let workspace = context.workspace().await?;
    workspace
        .serve_registry(&options, |served| {
            context.settle();
            output::print(context.global.output, served, served_text)
        })
        .await?;
    workspace.close().await;
    Ok(ExitCode::SUCCESS)
}

fn served_text(served: &RegistryServed) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "serving {} at {}", served.workspace.display(), served.url);
    let _ = writeln!(text, "  pull  {}", served.pull);
    let _ = writeln!(text, "  push  {}", served.push);
    text
}
