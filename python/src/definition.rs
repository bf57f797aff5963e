//! An environment, as Python holds it: read by the same readers as the command line's.

use std::path::PathBuf;

use provenv_definition::capture::{CondaPlaces, Extent, PythonInstallation, capture, capture_python};
use provenv_definition::{
    Diagnostic, Environment, ReadEnvironment, WriteFormat, check_at, codes, definition_digest, differences,
    read, read_str, write, write_native,
};
use pyo3::prelude::*;

use crate::document::Document;
use crate::errors::{Problem, Result};
use crate::workspace::{folder, json};

/// An environment with where it comes from.
#[pyclass(frozen, module = "provenv._native", name = "Environment")]
pub struct NativeEnvironment {
    pub read: ReadEnvironment,
}

#[pymethods]
impl NativeEnvironment {
    /// Reads a file of any format, or a folder.
    #[staticmethod]
    fn of_file(path: PathBuf) -> PyResult<Self> {
        let path = std::path::absolute(path)
            .map_err(|error| Problem::io("the working folder cannot be used", &error))?;
        Ok(Self { read: read(&path).map_err(|error| Problem::definition(error.0))? })
    }

    /// Reads a text as if it stood in the file `name` of the working folder.
    #[staticmethod]
    fn of_text(text: &str, name: &str) -> PyResult<Self> {
        let read = read_str(text, &folder()?.join(name)).map_err(|error| Problem::definition(error.0))?;
        Ok(Self { read })
    }

    /// What is registered: the JSON of `Workspace.show` has it.
    #[staticmethod]
    fn of_model(text: &str) -> PyResult<Self> {
        let environment: Environment = serde_json::from_str(text).map_err(|error| Problem::defect(&error))?;
        // The way to all else that a file has.
        let mut read = empty()?;
        read.environment = environment;
        Ok(Self { read })
    }

    /// A conda environment on disk, by its name or folder.
    #[staticmethod]
    fn of_conda(name: &str, exact: bool) -> PyResult<Self> {
        let places = CondaPlaces::from_variables(|name| std::env::var_os(name));
        let prefix = if name.contains('/') { Ok(PathBuf::from(name)) } else { places.prefix_of(name) };
        let read = prefix.and_then(|prefix| capture(&prefix, extent(exact)));
        Ok(Self { read: read.map_err(|error| Problem::definition(error.0))? })
    }

    /// A Python, by its own account.
    #[staticmethod]
    fn of_python(
        prefix: PathBuf,
        version: String,
        site_packages: Vec<PathBuf>,
        exact: bool,
    ) -> PyResult<Self> {
        let python = PythonInstallation { prefix, version, site_packages };
        let read = capture_python(&python, extent(exact));
        Ok(Self { read: read.map_err(|error| Problem::definition(error.0))? })
    }

    /// The same under another name.
    fn named(&self, name: String) -> Self {
        let mut read = self.read.clone();
        read.environment.name = Some(name);
        read.origins.name = None;
        Self { read }
    }

    /// What a Python object says, as JSON.
    #[staticmethod]
    fn of_document(text: &str) -> PyResult<Self> {
        let document: Document = serde_json::from_str(text).map_err(|error| {
            Problem::argument(
                format!("the environment cannot be read: {error}"),
                "a section holds a value of another type than it should",
            )
        })?;
        Ok(Self { read: document.read()? })
    }

    /// What a Python object is to say, as JSON.
    fn document(&self) -> PyResult<String> {
        Ok(json(&Document::of(&self.read.environment)?)?)
    }

    /// Its definition digest.
    fn digest(&self) -> String {
        definition_digest(&self.read.environment.definition).to_string()
    }

    /// The format that it was read as.
    #[getter]
    fn format(&self) -> String {
        self.read.format.to_string()
    }

    /// What is to be said of it, as JSON: what reading came to and what the checks say.
    fn check(&self) -> PyResult<String> {
        let mut remarks = self.read.warnings.clone();
        remarks.extend(check_at(&self.read.environment, &self.read.origins));
        Ok(json(&remarks)?)
    }

    /// As Provenv's own YAML.
    fn yaml(&self) -> String {
        write_native(&self.read.environment)
    }

    /// The files of it in a format, as JSON.
    fn write(&self, format: &str) -> PyResult<String> {
        let format = parse_format(format)?;
        let written = write(&self.read.environment, format).map_err(provenv_workspace::Error::from);
        Ok(json(&written.map_err(Problem::from)?)?)
    }

    /// What it asks for otherwise than `other`, as JSON.
    fn differences(&self, other: &Self) -> PyResult<String> {
        Ok(json(&differences(&self.read.environment, &other.read.environment))?)
    }
}

fn extent(exact: bool) -> Extent {
    if exact { Extent::Exact } else { Extent::History }
}

/// A format by its name.
pub fn parse_format(name: &str) -> Result<WriteFormat> {
    let found = WriteFormat::ALL.iter().find(|format| format.as_str() == name).copied();
    found.ok_or_else(|| {
        let known: Vec<&str> = WriteFormat::ALL.iter().map(|format| format.as_str()).collect();
        Problem::argument(format!("there is no format `{name}`"), format!("one of {}", known.join(", ")))
    })
}

/// JSON as YAML, keys in their order.
#[pyfunction]
pub fn yaml_of_json(text: &str) -> PyResult<String> {
    let value: serde_yaml_ng::Value = serde_json::from_str(text).map_err(|error| Problem::defect(&error))?;
    Ok(serde_yaml_ng::to_string(&value).map_err(|error| Problem::defect(&error))?)
}

/// YAML of the file `name` as JSON.
#[pyfunction]
pub fn json_of_yaml(text: &str, name: &str) -> PyResult<String> {
    let value: serde_yaml_ng::Value = serde_yaml_ng::from_str(text).map_err(|error| {
        Problem::argument(format!("`{name}` is no YAML: {error}"), "a conda environment file is a mapping")
    })?;
    Ok(json(&value)?)
}

/// What has no file.
pub fn empty() -> Result<ReadEnvironment> {
    let text = "name: environment\nversion: null\n";
    read_str(text, &folder()?.join("environment.yaml")).map_err(|error| Problem::definition(error.0))
}

/// Remarks on an object, which has no lines, and is no file of Azure ML's.
pub fn on_object(remarks: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let unplaced =
        |remark: Diagnostic| Diagnostic { file: None, span: None, line_text: None, fix: None, ..remark };
    let counts = |remark: &Diagnostic| remark.code != codes::NO_AZURE_BASE.id;
    remarks.into_iter().filter(counts).map(unplaced).collect()
}
