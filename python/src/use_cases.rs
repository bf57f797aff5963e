//! What is done with environments: the use cases of the command line, each by a reference as it takes it.

use provenv_definition::Platform;
use provenv_workspace::{
    BuildOptions, DiffOptions, ExportOptions, Resolving, SbomFormat, UpgradeOptions, VerifyOptions,
};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::definition::parse_format;
use crate::errors::{Problem, Result};
use crate::waiting::wait;
use crate::workspace::{NativeWorkspace, folder, json};

/// Builds the image, here.
#[pyfunction]
pub fn build(
    python: Python<'_>,
    workspace: &NativeWorkspace,
    reference: &str,
    to: Vec<String>,
    force: bool,
    platform: Option<&str>,
) -> PyResult<String> {
    let options = BuildOptions { to, force, platform: parse_platform(platform)?, ..BuildOptions::default() };
    let workspace = workspace.workspace(python)?;
    wait(python, async || json(&workspace.build(reference, &folder()?, &options).await?))
}

/// All about the image.
#[pyfunction]
pub fn image_details(python: Python<'_>, workspace: &NativeWorkspace, reference: &str) -> PyResult<String> {
    let workspace = workspace.workspace(python)?;
    wait(python, async || json(&workspace.image_details(reference, &folder()?).await?))
}

/// The lock, as its file has it.
#[pyfunction]
pub fn lock(python: Python<'_>, workspace: &NativeWorkspace, reference: &str) -> PyResult<String> {
    let workspace = workspace.workspace(python)?;
    let bytes = wait(python, async || {
        let resolving = Resolving::default();
        let (locked, _) = workspace.lock_of(reference, &folder()?, false, &resolving, None).await?;
        Ok(locked.lock.to_bytes())
    })?;
    Ok(String::from_utf8(bytes).map_err(|error| Problem::defect(&error))?)
}

/// The receipt of the lock.
#[pyfunction]
pub fn receipt(python: Python<'_>, workspace: &NativeWorkspace, reference: &str) -> PyResult<String> {
    let workspace = workspace.workspace(python)?;
    wait(python, async || json(&workspace.receipt_of(reference, &folder()?).await?.0))
}

/// How two environments differ: what they ask for, and what was chosen.
#[pyfunction]
pub fn diff(
    python: Python<'_>,
    workspace: &NativeWorkspace,
    old: &str,
    new: &str,
    asked: bool,
) -> PyResult<String> {
    let workspace = workspace.workspace(python)?;
    let options = DiffOptions { platform: None, asked };
    wait(python, async || json(&workspace.diff(old, new, &folder()?, &options).await?))
}

/// The files of an environment, or of its lock, in a format.
#[pyfunction]
pub fn export(
    python: Python<'_>,
    workspace: &NativeWorkspace,
    reference: &str,
    format: &str,
    locked: bool,
) -> PyResult<String> {
    let workspace = workspace.workspace(python)?;
    let options = ExportOptions { format: parse_format(format)?, locked, platform: None };
    wait(python, async || json(&workspace.export(reference, &folder()?, &options).await?.0))
}

/// The bill of materials of the image.
#[pyfunction]
pub fn sbom<'py>(
    python: Python<'py>,
    workspace: &NativeWorkspace,
    reference: &str,
    format: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let workspace = workspace.workspace(python)?;
    let format = match format {
        "spdx" => SbomFormat::Spdx,
        "cyclonedx" => SbomFormat::CycloneDx,
        other => {
            let message = format!("there is no format `{other}` of bills of materials");
            return Err(Problem::argument(message, "it is `spdx` or `cyclonedx`").into());
        }
    };
    let sbom = wait(python, async || Ok(workspace.sbom(reference, &folder()?, format).await?))?;
    Ok(PyBytes::new(python, &sbom.document))
}

/// Checks the image: signatures, provenance, a policy, and whether it comes out the same when it is made again.
#[pyfunction]
pub fn verify(
    python: Python<'_>,
    workspace: &NativeWorkspace,
    image: &str,
    keys: Vec<String>,
    policy: Option<std::path::PathBuf>,
    rebuild: bool,
) -> PyResult<String> {
    let workspace = workspace.workspace(python)?;
    let options = VerifyOptions { keys, policy, rebuild, insecure: false };
    wait(python, async || json(&workspace.verify(image, &folder()?, &options).await?))
}

/// Moves an environment to newer packages, or says what would change.
#[pyfunction]
pub fn upgrade(
    python: Python<'_>,
    workspace: &NativeWorkspace,
    name: &str,
    packages: Vec<String>,
    dry_run: bool,
) -> PyResult<String> {
    let workspace = workspace.workspace(python)?;
    let options = UpgradeOptions { packages, dry_run, ..UpgradeOptions::default() };
    wait(python, async || json(&workspace.upgrade(name, &options).await?))
}

/// Puts a label on a version.
#[pyfunction]
pub fn label(
    python: Python<'_>,
    workspace: &NativeWorkspace,
    reference: &str,
    label: &str,
) -> PyResult<String> {
    let record = workspace.record(python)?;
    wait(python, async || json(&record.put_label(reference, label).await?))
}

fn parse_platform(text: Option<&str>) -> Result<Option<Platform>> {
    let parse = |text: &str| {
        text.parse().map_err(|_| {
            Problem::argument(format!("there is no platform `{text}`"), "e.g. `linux/amd64` or `linux/arm64`")
        })
    };
    text.map(parse).transpose()
}
