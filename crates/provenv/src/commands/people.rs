//! `provenv token`, `provenv member` and `provenv workspace`: who may use a server.

use std::process::ExitCode;

use provenv_workspace::{Error, NewRemoteToken, Remote, RemoteToken};

use super::{Context, Result};
use crate::cli::{MemberCommand, TokenCommand, TokenCreateArgs, WorkspaceCommand};
use crate::output::{self, Table};

pub async fn token(context: &Context, command: TokenCommand) -> Result {
    let server = server(context, "tokens")?;
    match command {
        TokenCommand::Create(TokenCreateArgs { user, note, expires_in_days, only, role }) => {
            let role = role.map(|role| role.as_str().to_owned());
            let new = NewRemoteToken { user, note, expires_in_days, workspace: only, role };
            let made = server.make_token(&new).await?;
            context.show_brief(
                &made,
                |made| made.secret.clone(),
                |made| {
                    let token = &made.token;
                    let until = token.expires_at.map_or("revoked".to_owned(), output::time);
                    format!(
                        "{}\n  of        {}\n  id        {}\n  holds     until {until}\n  \
                         keep it: it is not shown again\n",
                        made.secret, token.user, token.id
                    )
                },
            )
        }
        TokenCommand::List => {
            let tokens = server.tokens().await?;
            context.show(&tokens, |tokens| {
                let mut table = Table::new(["TOKEN", "USER", "BEGINS", "FOR", "MADE", "STATE", "NOTE"]);
                for token in tokens {
                    table.row([
                        token.id.clone(),
                        output::one_line(&token.user),
                        token.prefix.clone(),
                        scope(token),
                        output::time(token.created_at),
                        state(token),
                        output::one_line(&token.note),
                    ]);
                }
                table.to_string()
            })
        }
        TokenCommand::Revoke { id } => {
            server.revoke_token(&id).await?;
            context.say(&format!("{id} holds no longer"));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What a token is for.
fn scope(token: &RemoteToken) -> String {
    let place = token.workspace.as_deref().unwrap_or("all");
    token.role.as_ref().map_or_else(|| place.to_owned(), |role| format!("{place}, {role}"))
}

/// Whether a token holds.
fn state(token: &RemoteToken) -> String {
    match (token.revoked_at, token.expires_at) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(at)) if at <= jiff::Timestamp::now() => "expired".to_owned(),
        (None, Some(at)) => format!("until {}", output::time(at)),
        (None, None) => "holds".to_owned(),
    }
}

pub async fn member(context: &Context, command: MemberCommand) -> Result {
    let server = server(context, "members")?;
    match command {
        MemberCommand::List => {
            let members = server.members().await?;
            context.show(&members, |members| {
                if members.is_empty() {
                    return "nobody but the owners of the server: `provenv member set USER ROLE` lets people in\n"
                        .to_owned();
                }
                let mut table = Table::new(["USER", "ROLE"]);
                for member in members {
                    table.row([output::one_line(&member.user), member.role.clone()]);
                }
                table.to_string()
            })
        }
        MemberCommand::Set { user, role } => {
            let member = server.set_member(&user, role.as_str()).await?;
            context
                .show(&member, |member| format!("{} is {} of {}\n", member.user, member.role, server.url()))
        }
        MemberCommand::Remove { user } => {
            server.remove_member(&user).await?;
            context.say(&format!("{user} has no role in {}", server.url()));
            Ok(ExitCode::SUCCESS)
        }
    }
}

pub async fn workspace(context: &Context, command: WorkspaceCommand) -> Result {
    let server = server(context, "several workspaces")?;
    match command {
        WorkspaceCommand::List => {
            let workspaces = server.workspaces().await?;
            context.show(&workspaces, |workspaces| {
                let mut table = Table::new(["WORKSPACE", "YOUR ROLE"]);
                for workspace in workspaces {
                    table.row([workspace.name.clone(), workspace.role.clone()]);
                }
                table.to_string()
            })
        }
        WorkspaceCommand::Create { name } => {
            let made = server.make_workspace(&name).await?;
            context.show(&made, |made| format!("{} is there\n", made.name))
        }
    }
}

fn server(context: &Context, what: &str) -> Result<Remote> {
    let no_server = || Error::Arguments {
        message: format!("servers have {what}, and the workspace is in a folder"),
        hint: "name a server with --workspace https://HOST/NAME".to_owned(),
    };
    Ok(context.remote()?.ok_or_else(no_server)?)
}
