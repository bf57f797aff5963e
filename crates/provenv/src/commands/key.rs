//! `provenv key`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use provenv_workspace::{KeyDetails, NewKey};

use super::{Context, Result, here};
use crate::cli::KeyCommand;
use crate::output::{self, Table};

pub async fn key(context: &Context, command: KeyCommand) -> Result {
    let workspace = context.workspace().await?;
    match command {
        KeyCommand::New(arguments) => {
            let to = arguments.to.map(|to| Ok::<_, super::Failure>(here()?.join(to))).transpose()?;
            let new = NewKey { name: arguments.name, to, kind: arguments.kind.into() };
            let key = workspace.new_key(&new)?;
            workspace.close().await;
            context.show(&key, details)
        }
        KeyCommand::List => {
            let keys = workspace.keys()?;
            workspace.close().await;
            context.show(&keys, |keys| {
                if keys.is_empty() {
                    return "no keys yet: `provenv key new` makes one\n".to_owned();
                }
                let mut table = Table::new(["KEY", "TYPE", "ID", "PRIVATE"]);
                for key in keys {
                    let private = if key.private.is_some() { "yes" } else { "no" };
                    table.row([key.name.clone(), key.kind.to_string(), key.id.short(), private.to_owned()]);
                }
                table.to_string()
            })
        }
        KeyCommand::Show { key, pem } => {
            let key = workspace.key_details(&key, &here()?)?;
            workspace.close().await;
            if pem {
                context.settle();
                output::write(key.pem.as_bytes())?;
                return Ok(ExitCode::SUCCESS);
            }
            context.show(&key, details)
        }
    }
}

fn details(key: &KeyDetails) -> String {
    let mut text = format!("{} ({})\n  id       {}\n", key.name, key.kind, key.id);
    let shown = |file: &Option<PathBuf>| file.as_deref().map(Path::display).map(|file| file.to_string());
    for (what, file) in [("public", shown(&key.public)), ("private", shown(&key.private))] {
        if let Some(file) = file {
            let _ = writeln!(text, "  {what:<8} {file}");
        }
    }
    text + &key.pem
}
