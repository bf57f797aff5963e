//! `provenv server`.

use provenv_server::{Backup, BackupError, BackupOptions};

use super::{Context, Failure, Result, here};
use crate::cli::{BackupArgs, ServerCommand};

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let hint = error.hint();
        Self::Other(Box::new(error), hint)
    }
}

pub async fn server(context: &Context, command: ServerCommand) -> Result {
    match command {
        ServerCommand::Backup(BackupArgs { to, root, link, files_only }) => {
            let here = here()?;
            let options = BackupOptions { root: here.join(root), to: here.join(&to), link, files_only };
            let backup = provenv_server::backup(&options).await?;
            context.show(&backup, |backup| format!("{}\n{}", to.display(), text(backup)))
        }
        ServerCommand::Restore { from, root } => {
            let here = here()?;
            let restored = provenv_server::restore(&here.join(from), &here.join(&root)).await?;
            context.show(&restored, |restored| {
                let root = root.display();
                format!("{root}\n{}  next      provenv serve --root {root}\n", text(restored))
            })
        }
    }
}

fn text(backup: &Backup) -> String {
    let Backup { begun_at, files, linked, databases, .. } = backup;
    let size = crate::output::bytes(backup.bytes);
    let elsewhere = match &backup.postgres {
        Some(dump) => format!(" and {} schemas of PostgreSQL", dump.schemas.len()),
        None if backup.databases_elsewhere => " (PostgreSQL's are not in it)".to_owned(),
        None => String::new(),
    };
    format!(
        "  as of     {begun_at}\n  files     {files}, {size}, of which {linked} are links\n  databases {}{elsewhere}\n",
        databases.len()
    )
}
