//! `provenv secret`.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use provenv_workspace::{Error, NewRemoteSecret, Remote};

use super::{Context, Result};
use crate::cli::{SecretCommand, SecretSetArgs};
use crate::output::{self, Table};

/// The longest password: whoever gives a file by mistake is told so.
const LONGEST: u64 = 20_001;

pub async fn secret(context: &Context, command: SecretCommand) -> Result {
    let server = server(context)?;
    match command {
        SecretCommand::Set(SecretSetArgs { name, host, username }) => {
            let password = password(context)?;
            server.set_secret(&name, &NewRemoteSecret { host: host.clone(), username, password }).await?;
            context.say(&format!("{name} is kept, for {host}"));
            Ok(ExitCode::SUCCESS)
        }
        SecretCommand::List => {
            let secrets = server.secrets().await?;
            context.show(&secrets, |secrets| {
                if secrets.is_empty() {
                    return "no secrets yet: `provenv secret set` keeps one\n".to_owned();
                }
                let mut table = Table::new(["SECRET", "HOST", "SET", "BY"]);
                for secret in secrets {
                    let (at, by) = (output::time(secret.created_at), secret.created_by.clone());
                    table.row([secret.name.clone(), secret.host.clone(), at, by]);
                }
                table.to_string()
            })
        }
        SecretCommand::Remove { name } => {
            server.remove_secret(&name).await?;
            context.say(&format!("{name} is removed"));
            Ok(ExitCode::SUCCESS)
        }
        SecretCommand::Rekey => {
            let done = server.rekey_secrets().await?;
            context.show(&done, |done| {
                let mut text = format!("{} secrets have a new key\n", done.secrets);
                for name in &done.unopened {
                    // Fails for no text.
                    let _ = writeln!(text, "{name} cannot be opened, and is to be set anew");
                }
                text
            })
        }
    }
}

fn server(context: &Context) -> Result<Remote> {
    let no_server = || Error::Arguments {
        message: "secrets are kept by servers, and the workspace is in a folder".to_owned(),
        hint: "name a server with --workspace; for a folder credentials come from variables and files: \
               docs/how-to/private-indexes.md"
            .to_owned(),
    };
    Ok(context.remote()?.ok_or_else(no_server)?)
}

/// Asked for on a terminal, else read; never an argument, which others could see.
fn password(context: &Context) -> Result<String> {
    let text = if std::io::stdin().is_terminal() {
        context.settle();
        let term = console::Term::stderr();
        term.write_str("password or token: ")?;
        term.read_secure_line()?
    } else {
        let mut text = String::new();
        std::io::stdin().take(LONGEST).read_to_string(&mut text)?;
        text
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
