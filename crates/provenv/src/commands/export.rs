//! `provenv env export`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use console::style;
use provenv_definition::{NotCarried, WriteFormat, Written, WrittenFile};
use provenv_workspace::{Error, ExportOptions};
use serde::Serialize;

use super::{Context, Result, here};
use crate::cli::ExportArgs;
use crate::output;

/// What exporting came to.
#[derive(Serialize)]
struct Exported {
    format: WriteFormat,
    locked: bool,
    files: Vec<ExportedFile>,
    not_carried: Vec<NotCarried>,
}

/// Where a file is, or what is in it if it was written nowhere.
#[derive(Serialize)]
struct ExportedFile {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// What each format's reader takes from the folder besides: of another export there, it would make another environment.
const BESIDE: [(WriteFormat, &[&str]); 2] = [
    (WriteFormat::AzuremlV1, &["conda_dependencies.yml", "BaseDockerfile"]),
    (WriteFormat::AzuremlV2, &["context/Dockerfile"]),
];

pub async fn export(context: &Context, arguments: ExportArgs) -> Result {
    let format = arguments.format.0;
    let options = ExportOptions { format, locked: arguments.locked, platform: arguments.platform };
    let workspace = context.workspace().await?;
    let (written, warnings) = workspace.export(&arguments.environment, &here()?, &options).await?;
    workspace.close().await;
    context.remark(&warnings);
    let paths = match &arguments.to {
        Some(to) => Some(targets(&written, to, format)?),
        None if written.files.len() > 1 && context.is_for_people() => {
            return Err(several(&written, format).into());
        }
        None => None,
    };
    for not_carried in &written.not_carried {
        tell(context, not_carried);
    }
    let Some(paths) = paths else {
        if context.is_for_people() {
            context.settle();
            output::write(written.files[0].text.as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        let files = written.files.into_iter().map(|file| ExportedFile {
            name: file.name,
            path: None,
            text: Some(file.text),
        });
        let files = files.collect();
        return show(
            context,
            &Exported { format, locked: options.locked, files, not_carried: written.not_carried },
        );
    };
    let mut files = Vec::new();
    for (file, path) in written.files.into_iter().zip(paths) {
        if path.is_file() && fs_err::read(&path).ok().as_deref() != Some(file.text.as_bytes()) {
            context.say(&format!(
                "{} {} was there and is replaced",
                style("note:").blue().bold(),
                path.display()
            ));
        }
        write(&file, &path)?;
        files.push(ExportedFile { name: file.name, path: Some(path), text: None });
    }
    show(context, &Exported { format, locked: options.locked, files, not_carried: written.not_carried })
}

fn show(context: &Context, exported: &Exported) -> Result {
    context.show(exported, |exported| {
        let path = |file: &ExportedFile| file.path.as_deref().unwrap_or(Path::new("-")).display().to_string();
        exported.files.iter().map(|file| path(file) + "\n").collect()
    })
}

/// Where each file goes.
fn targets(written: &Written, to: &Path, format: WriteFormat) -> std::result::Result<Vec<PathBuf>, Error> {
    let ends_in_slash = to.as_os_str().as_encoded_bytes().ends_with(b"/");
    let is_folder = to.is_dir() || ends_in_slash;
    if written.files.len() == 1 && format != WriteFormat::AzuremlV1 && !is_folder {
        return Ok(vec![to.to_owned()]);
    }
    if to.exists() && !to.is_dir() {
        return Err(Error::Arguments {
            message: format!("`{}` is a file, and `{format}` writes {}", to.display(), names(written)),
            hint: "give a folder with --to".to_owned(),
        });
    }
    let beside = BESIDE.iter().filter(|(known, _)| *known == format).flat_map(|(_, names)| *names);
    let stale =
        |name: &&&str| !written.files.iter().any(|file| file.name == ***name) && to.join(name).exists();
    if let Some(name) = beside.copied().collect::<Vec<_>>().iter().find(stale) {
        return Err(Error::Arguments {
            message: format!(
                "`{}` is of another environment, and would be read with this one",
                to.join(name).display()
            ),
            hint: "give an empty folder, or remove that file".to_owned(),
        });
    }
    Ok(written.files.iter().map(|file| to.join(&file.name)).collect())
}

fn several(written: &Written, format: WriteFormat) -> Error {
    Error::Arguments {
        message: format!("`{format}` writes {}, and standard output takes one file", names(written)),
        hint: "give a folder with --to, or take all in JSON with `-o json`".to_owned(),
    }
}

fn names(written: &Written) -> String {
    written.files.iter().map(|file| format!("`{}`", file.name)).collect::<Vec<_>>().join(", ")
}

/// Never leaves half a file under the name.
fn write(file: &WrittenFile, path: &Path) -> std::result::Result<(), Error> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs_err::create_dir_all(folder)
            .map_err(|source| Error::Io { what: format!("could not write `{}`", path.display()), source })?;
    }
    super::lock::write_whole(path, file.text.as_bytes())
}

fn tell(context: &Context, not_carried: &NotCarried) {
    let NotCarried { what, why, counts } = not_carried;
    let label = if *counts { style("warning:").yellow().bold() } else { style("note:").blue().bold() };
    context.say(&format!("{label} not carried: {what}: {why}"));
}
