//! `provenv env capture`.

use std::env;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use provenv_definition::capture::{CondaPlaces, Extent, PythonInstallation, capture as read, capture_python};
use provenv_definition::{Diagnostic, Environment, Format, ReadEnvironment, ReadError, write_native};
use serde::{Deserialize, Serialize};

use super::lock::write_whole;
use super::{Context, Failure, Result};
use crate::cli::CaptureArgs;

/// What an environment on disk came to.
#[derive(Serialize)]
struct Captured<'a> {
    format: Format,
    environment: &'a Environment,
    remarks: &'a [Diagnostic],
    file: Option<&'a Path>,
}

pub fn capture(context: &Context, arguments: &CaptureArgs) -> Result {
    let extent = if arguments.exact { Extent::Exact } else { Extent::History };
    let mut captured = found(arguments, extent)?;
    if let Some(name) = &arguments.environment_name {
        captured.environment.name = Some(name.clone());
    }
    context.remark(&captured.warnings);
    let yaml = write_native(&captured.environment);
    let result = Captured {
        format: captured.format,
        environment: &captured.environment,
        remarks: &captured.warnings,
        file: arguments.to.as_deref(),
    };
    let Some(file) = &arguments.to else { return context.show(&result, |_| yaml) };
    if file.exists() {
        context.say(&format!("note: `{}` is replaced", file.display()));
    }
    write_whole(file, yaml.as_bytes())?;
    context.show_brief(
        &result,
        |_| file.display().to_string(),
        |result| {
            let definition = &result.environment.definition;
            let mut text = String::new();
            for (count, kind) in
                [(definition.conda.packages.len(), "conda"), (definition.pip.requirements.len(), "Python")]
            {
                if count > 0 {
                    let _ = writeln!(text, "{count} {kind} package{}", if count == 1 { "" } else { "s" });
                }
            }
            text + &format!("  file  {}\n", file.display())
        },
    )
}

fn found(arguments: &CaptureArgs, extent: Extent) -> Result<ReadEnvironment> {
    let refused = |error: ReadError| Failure::Definition(error.0);
    if let Some(prefix) = &arguments.prefix {
        return read(prefix, extent).map_err(refused);
    }
    if let Some(name) = &arguments.name {
        let prefix =
            CondaPlaces::from_variables(|name| env::var_os(name)).prefix_of(name).map_err(refused)?;
        return read(&prefix, extent).map_err(refused);
    }
    if let Some(python) = &arguments.python {
        return capture_python(&ask(python)?, extent).map_err(refused);
    }
    for variable in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        if let Some(prefix) = env::var_os(variable).filter(|prefix| !prefix.is_empty()) {
            return read(Path::new(&prefix), extent).map_err(refused);
        }
    }
    capture_python(&ask(Path::new("python3"))?, extent).map_err(refused)
}

/// Isolated: neither the working folder nor variables of Python's decide what it answers.
const QUESTION: &str = "
import json, site, sys, sysconfig
sites = [sysconfig.get_path('purelib'), sysconfig.get_path('platlib')] + site.getsitepackages()
version = '.'.join(str(part) for part in sys.version_info[:3])
if sys.version_info.releaselevel != 'final':
    version += sys.version_info.releaselevel
print(json.dumps({'prefix': sys.prefix, 'version': version, 'site_packages': list(dict.fromkeys(sites))}))
";

/// Asks a Python where it stands and where its packages are.
fn ask(python: &Path) -> Result<PythonInstallation> {
    #[derive(Deserialize)]
    struct Answer {
        prefix: PathBuf,
        version: String,
        site_packages: Vec<PathBuf>,
    }
    let failure = |reason: String, hint: &str| {
        let message =
            format!("cannot ask the Python `{}` where its packages are: {reason}", python.display());
        Failure::Other(message.into(), Some(hint.to_owned()))
    };
    let answer = Command::new(python).args(["-I", "-c", QUESTION]).output().map_err(|error| {
        failure(error.to_string(), "give a Python with `--python EXE`, or the folder of an environment")
    })?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        let last: String = provenv_definition::mask_secrets(last).chars().take(200).collect();
        return Err(failure(last, "give a Python 3 with `--python EXE`, or the folder of an environment"));
    }
    let Answer { prefix, version, site_packages } = serde_json::from_slice(&answer.stdout)
        .map_err(|error| failure(error.to_string(), "give the folder of an environment"))?;
    Ok(PythonInstallation { prefix, version, site_packages })
}
