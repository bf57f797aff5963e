//! `provenv env copy` and `provenv env import`: versions of other workspaces.

use std::io::Read;
use std::path::Path;

use provenv_workspace::{
    Copied, CopyOptions, Error, Imported, OpenOptions, Remote, Silent, Workspace, user_name,
};

use super::{Context, Result};
use crate::cli::{CopyArgs, ImportArgs};

/// How much of a file is read at once.
const PART: usize = 1 << 20;

pub async fn copy(context: &Context, arguments: CopyArgs) -> Result {
    let CopyArgs { environment, to, name, version } = arguments;
    let mut options = CopyOptions { name, version, ..CopyOptions::default() };
    let remote = context.remote()?;
    if let Some(remote) = &remote
        && let Some(to) = remote.on_same_server(&to)
    {
        return show(context, &remote.copy(&environment, &to, &options).await?, &to);
    }
    let workspace = context.workspace().await?;
    let copied = if Remote::is_one(&to) {
        workspace.send_to(&Remote::open(&to)?, &environment, &options).await?
    } else {
        let root = std::path::absolute(&to).map_err(super::no_working_folder)?;
        let from = remote.map_or_else(|| workspace.root().display().to_string(), |remote| remote.url());
        options.places = (from, root.display().to_string());
        let other = Workspace::open(OpenOptions {
            root,
            reporter: std::sync::Arc::new(Silent),
            offline: true,
            no_cache_registry: true,
            builder: None,
            secrets: Vec::new(),
            of_server: None,
        })
        .await?;
        let copied = workspace.copy_to(&other, &environment, &options, &user_name()).await;
        other.close().await;
        copied?
    };
    workspace.close().await;
    show(context, &copied, &to)
}

fn show(context: &Context, copied: &Copied, to: &str) -> Result {
    context.show_brief(
        copied,
        |copied| format!("{}:{}", copied.name, copied.version),
        |copied| {
            let state = if copied.created { "copied" } else { "was there already" };
            let images = match copied.images.len() {
                0 => "no image, which is built there".to_owned(),
                1 => "1 image".to_owned(),
                count => format!("{count} images"),
            };
            format!(
                "{} {state}: {}:{} in {to}\n  lock      {}\n  with it   {images}\n",
                copied.from, copied.name, copied.version, copied.lock
            )
        },
    )
}

pub async fn import(context: &Context, arguments: ImportArgs) -> Result {
    let file = arguments.file;
    let reading = |source| Error::Io { what: format!("could not read `{}`", file.display()), source };
    let mut lines: Box<dyn Read + Send> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(fs_err::File::open(&file).map_err(reading)?)
    };
    let imported: Imported = if let Some(remote) = context.remote()? {
        remote.import(lines).await?
    } else {
        let workspace = context.workspace().await?;
        let mut importer = workspace.importer(&user_name());
        let mut part = vec![0; PART];
        loop {
            let count = lines.read(&mut part).map_err(reading)?;
            if count == 0 {
                break;
            }
            importer.take(&part[..count]).await?;
        }
        importer.finish().await?;
        let imported = importer.imported().clone();
        workspace.close().await;
        imported
    };
    context.show_brief(
        &imported,
        |imported| imported.created.to_string(),
        |imported| {
            let Imported { versions, created, locks, .. } = imported;
            format!("{versions} versions, {created} of them new, and {locks} locks\n")
        },
    )
}
