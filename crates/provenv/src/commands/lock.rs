//! `provenv lock`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use provenv_definition::Digest;
use provenv_workspace::Error;
use serde::Serialize;

use super::{Context, Result, here};
use crate::cli::LockArgs;
use crate::output;

/// What locking came to.
#[derive(Serialize)]
struct Locked {
    definition: Digest,
    receipt: Digest,
    lock: Digest,
    packages: usize,
    resolved: bool,
    file: Option<PathBuf>,
}

pub async fn lock(context: &Context, arguments: LockArgs) -> Result {
    if arguments.check {
        return check(context, &arguments).await;
    }
    let file = arguments.file.clone().unwrap_or_else(|| beside(&arguments.environment));
    let is_output = file == Path::new("-");
    if !is_output {
        is_no_other_file(&file)?;
    }
    let workspace = context.workspace().await?;
    let resolving = arguments.resolving.clone().into();
    let scripts = arguments.post_link.map(Into::into);
    let locked =
        workspace.lock_of(&arguments.environment, &here()?, arguments.upgrade, &resolving, scripts).await;
    let (locked, warnings) = locked?;
    workspace.close().await;
    context.remark(&warnings);
    let bytes = locked.lock.to_bytes();
    if is_output {
        context.settle();
        output::write(&bytes)?;
        return Ok(ExitCode::SUCCESS);
    }
    write_whole(&file, &bytes)?;
    let packages = locked.packages();
    let result = Locked {
        definition: locked.definition,
        receipt: locked.receipt_digest,
        lock: locked.receipt.lock,
        packages,
        resolved: locked.fresh,
        file: Some(file),
    };
    context.show_brief(
        &result,
        |result| result.lock.to_string(),
        |result| {
            let how = if result.resolved { "resolved now" } else { "from the definition's receipt" };
            let file = result.file.as_deref().unwrap_or(Path::new("-")).display();
            format!("{} packages, {how}\n  lock  {}\n  file  {file}\n", result.packages, result.lock)
        },
    )
}

async fn check(context: &Context, arguments: &LockArgs) -> Result {
    let file = arguments.file.clone().unwrap_or_else(|| beside(&arguments.environment));
    let workspace = context.workspace().await?;
    let (checked, warnings) = workspace.check_lock(&arguments.environment, &here()?, &file).await?;
    workspace.close().await;
    context.remark(&warnings);
    context.show(&checked, |checked| {
        format!(
            "{} packages, of this definition\n  lock  {}\n  file  {}\n",
            checked.packages,
            checked.lock,
            checked.file.display()
        )
    })
}

/// `environment.yaml` → `environment.lock.json`, also where its folder was given; `digits:2` → `digits-2.lock.json` here,
/// as for an environment that is on disk.
fn beside(reference: &str) -> PathBuf {
    let path = Path::new(reference);
    if path.is_file() {
        return path.with_extension("lock.json");
    }
    if path.is_dir() {
        match provenv_definition::file_in_folder(path) {
            Ok(file) if file.is_file() => return file.with_extension("lock.json"),
            _ => {
                let whole = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                let name = whole.file_name().map_or("environment".into(), |name| name.to_string_lossy());
                return PathBuf::from(format!("{}.lock.json", name.trim_start_matches('.')));
            }
        }
    }
    PathBuf::from(format!("{}.lock.json", reference.replace([':', '@', '/'], "-")))
}

/// Never leaves half a file under the name.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> std::result::Result<(), Error> {
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let written = fs_err::write(&partial, bytes).and_then(|()| fs_err::rename(&partial, path));
    written.map_err(|error| {
        let _ = fs_err::remove_file(&partial);
        // Without the name that the file has while it is made, which says nothing to anybody.
        let source = error.kind().into();
        Error::Io { what: format!("could not write `{}`", path.display()), source }
    })
}

/// Refuses to write a lock over a file that is none: a definition, most likely.
fn is_no_other_file(file: &Path) -> std::result::Result<(), Error> {
    let is_lock = |bytes: &[u8]| {
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
        ["format", "definition", "platforms"].iter().all(|key| value.get(key).is_some())
    };
    if !file.is_file() {
        return Ok(());
    }
    // What cannot be read fails when it is written.
    match fs_err::read(file) {
        Ok(bytes) if !bytes.is_empty() && !is_lock(&bytes) => Err(Error::Arguments {
            message: format!("`{}` is there and no lock", file.display()),
            hint: "give another file with --file, or take that one away".to_owned(),
        }),
        _ => Ok(()),
    }
}
