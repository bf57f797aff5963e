//! `provenv lock`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use provenv_definition::Digest;
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
    let workspace = context.workspace().await?;
    let resolving = arguments.resolving.clone().into();
    let scripts = arguments.post_link.map(Into::into);
    let locked =
        workspace.lock_of(&arguments.environment, &here()?, arguments.upgrade, &resolving, scripts).await;
    let (locked, warnings) = locked?;
    workspace.close().await;
    context.remark(&warnings);
    let bytes = locked.lock.to_bytes();
    let file = match &arguments.file {
        Some(file) if file == Path::new("-") => {
            context.settle();
            output::write(&bytes)?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(file) => file.clone(),
        None => beside(&arguments.environment),
    };
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
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    fs_err::write(&partial, bytes)?;
    fs_err::rename(&partial, path).inspect_err(|_| {
        let _ = fs_err::remove_file(&partial);
    })
}
