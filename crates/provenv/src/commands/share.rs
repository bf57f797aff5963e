//! `provenv env share`, `env unshare` and `env shares`: environments that are in several workspaces of a server.

use std::process::ExitCode;

use provenv_workspace::{Error, Remote, RemoteShare};

use super::{Context, Result};
use crate::cli::{ShareArgs, UnshareArgs};
use crate::output::{self, Table};

pub async fn share(context: &Context, arguments: ShareArgs) -> Result {
    let ShareArgs { environment, with, name } = arguments;
    let shared = server(context)?.share(&environment, &with, name.as_deref()).await?;
    context.show_brief(
        &shared,
        |shared| format!("{}/{}", shared.to, shared.name_there),
        |shared| {
            let RemoteShare { name, from, to, name_there, .. } = shared;
            format!("{from}/{name} is {to}/{name_there} too, with all its versions: read-only there\n")
        },
    )
}

pub async fn unshare(context: &Context, arguments: UnshareArgs) -> Result {
    let UnshareArgs { environment, with } = arguments;
    match with {
        Some(with) => {
            server(context)?.unshare(&environment, &with).await?;
            context.say(&format!("{environment} is not shared with {with} any more"));
        }
        None => {
            server(context)?.decline_share(&environment).await?;
            context.say(&format!("{environment} is not shared with this workspace any more"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn shares(context: &Context) -> Result {
    let shares = server(context)?.shares().await?;
    context.show(&shares, |shares| {
        if shares.is_empty() {
            return "nothing is shared: `provenv env share NAME --with WORKSPACE` shares an environment\n"
                .to_owned();
        }
        let mut table = Table::new(["ENVIRONMENT", "SHARED WITH", "BY", "SINCE"]);
        for share in shares {
            table.row([
                format!("{}/{}", share.from, share.name),
                format!("{}/{}", share.to, share.name_there),
                share.shared_by.clone(),
                output::time(share.shared_at),
            ]);
        }
        table.to_string()
    })
}

fn server(context: &Context) -> Result<Remote> {
    let no_server = || {
        Error::Arguments {
        message: "environments are shared between workspaces of a server, and this workspace is a folder".to_owned(),
        hint: "name one of a server with --workspace; `provenv env copy ENV --to FOLDER` copies between folders, and no byte twice"
            .to_owned(),
    }
    };
    Ok(context.remote()?.ok_or_else(no_server)?)
}
