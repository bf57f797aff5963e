//! What goes wrong, as the exceptions of `provenv.errors`.

use provenv_definition::Diagnostic;
use provenv_workspace::{CatalogueError, Error, ProofError, RemoteError, causes};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::Serialize;

/// A problem on its way to Python.
pub struct Problem {
    /// The name of the class in `provenv.errors`.
    class: &'static str,
    /// What kind of problem it is, for programs: the codes of the HTTP API.
    code: String,
    message: String,
    hint: Option<String>,
    causes: Vec<String>,
    /// Remarks on the user's file.
    remarks: Vec<Diagnostic>,
    places: Vec<Place>,
}

#[derive(Serialize)]
struct Place {
    file: std::path::PathBuf,
    line: usize,
    column: usize,
    line_text: Option<String>,
}

pub type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    /// Arguments that make no sense.
    pub fn argument(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..Self::new("ArgumentError", "argument-invalid", message) }
    }

    /// A file or folder of the user.
    pub fn io(act: &str, error: &std::io::Error) -> Self {
        Self::new("WorkspaceError", "io", format!("{act}: {error}"))
    }

    /// A defect of ours.
    pub fn defect(error: &dyn std::fmt::Display) -> Self {
        let hint = "this is a defect of provenv: please report it with what you called";
        Self { hint: Some(hint.to_owned()), ..Self::new("ProvenvError", "internal", error.to_string()) }
    }

    /// What is wrong with a definition.
    pub fn definition(remarks: Vec<Diagnostic>) -> Self {
        Error::Definition(remarks).into()
    }

    fn new(class: &'static str, code: impl Into<String>, message: impl Into<String>) -> Self {
        let (code, message) = (code.into(), message.into());
        Self { class, code, message, hint: None, causes: Vec::new(), remarks: Vec::new(), places: Vec::new() }
    }

    fn raise(self, python: Python<'_>) -> PyResult<PyErr> {
        let class = python.import("provenv.errors")?.getattr(self.class)?;
        let details = PyDict::new(python);
        details.set_item("code", self.code)?;
        details.set_item("hint", self.hint)?;
        details.set_item("causes", self.causes)?;
        let json = |value: Result<String, serde_json::Error>| value.unwrap_or_else(|_| "[]".to_owned());
        details.set_item("remarks", json(serde_json::to_string(&self.remarks)))?;
        details.set_item("places", json(serde_json::to_string(&self.places)))?;
        let raised = class.getattr("_of_native")?.call((self.message,), Some(&details))?;
        Ok(PyErr::from_value(raised))
    }
}

impl From<Problem> for PyErr {
    fn from(problem: Problem) -> Self {
        Python::attach(|python| problem.raise(python).unwrap_or_else(|error| error))
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (class, code) = kind(&error);
        let mut problem = Self { hint: error.hint(), ..Self::new(class, code, error.to_string()) };
        problem.causes = causes(&error);
        match error {
            Error::Definition(remarks) => problem.remarks = remarks,
            Error::Located { places, warnings, .. } => {
                let place = |place: provenv_definition::Place| Place {
                    file: place.file,
                    line: place.span.line,
                    column: place.span.column,
                    line_text: place.line_text,
                };
                problem.places = places.into_iter().map(place).collect();
                problem.remarks = warnings;
            }
            _ => {}
        }
        problem
    }
}

/// The class and the code of an error.
fn kind(error: &Error) -> (&'static str, String) {
    let (class, code) = match error {
        Error::Located { error, .. } | Error::OnPlatform { error, .. } => return kind(error),
        Error::Remote(error) => return remote_kind(error),
        Error::Definition(_) | Error::NoName => ("DefinitionError", "definition-invalid"),
        Error::Unsupported(_) => ("DefinitionError", "not-supported"),
        Error::Arguments { .. } | Error::Destination(_) | Error::Reference(_) => {
            ("ArgumentError", "argument-invalid")
        }
        Error::NoEnvironment(..) | Error::NoCurated { .. } => ("NotFoundError", "environment-not-found"),
        Error::NoVersion { .. } => ("NotFoundError", "version-not-found"),
        Error::NoLabel { .. } => ("NotFoundError", "label-not-found"),
        Error::AllArchived(_) => ("NotFoundError", "all-archived"),
        Error::NoRun(_) => ("NotFoundError", "run-not-found"),
        Error::NoBuild(_) => ("NotFoundError", "build-not-found"),
        Error::NoImage(_) => ("NotFoundError", "image-not-built"),
        Error::NoLineage(_) => ("NotFoundError", "nothing-found"),
        Error::NoLock { .. } | Error::NoReceipt(_) => ("NotFoundError", "lock-not-found"),
        Error::NoAudit(_) => ("NotFoundError", "audit-not-found"),
        Error::NoPlatform(_) => ("NotFoundError", "platform-not-locked"),
        Error::Catalogue(CatalogueError::VersionTaken { .. }) => ("ConflictError", "version-taken"),
        Error::Catalogue(CatalogueError::VersionDeleted { .. }) => ("ConflictError", "version-deleted"),
        Error::Catalogue(CatalogueError::SharedHere { .. }) => ("ConflictError", "shared-here"),
        Error::Catalogue(CatalogueError::NameTaken { .. }) => ("ConflictError", "name-taken"),
        Error::Catalogue(CatalogueError::Nul { .. } | CatalogueError::LongTag { .. }) => {
            ("DefinitionError", "definition-invalid")
        }
        Error::StillNeeded { .. } => ("ConflictError", "still-needed"),
        Error::RunEnded(_) => ("ConflictError", "run-ended"),
        Error::Debian(_)
        | Error::Pypi(_)
        | Error::Conda(_)
        | Error::Base { .. }
        | Error::Registry(_)
        | Error::InvalidChosen(_) => ("ResolutionError", "cannot-be-resolved"),
        Error::Fetch(_) => ("ResolutionError", "cannot-be-fetched"),
        Error::NotALock { .. }
        | Error::InvalidLock { .. }
        | Error::InvalidTaken(_)
        | Error::NewerLock { .. }
        | Error::OtherDefinition { .. }
        | Error::OtherLock { .. }
        | Error::BuiltElsewhere { .. }
        | Error::ScriptsElsewhere { .. } => ("LockError", "lock-not-usable"),
        Error::Dockerfile(_) => ("BuildError", "dockerfile-failed"),
        Error::Script { .. } | Error::PostLink(_) => ("BuildError", "script-failed"),
        Error::NotReproducible { .. } => ("BuildError", "not-reproducible"),
        Error::Image(_) | Error::Unpack(_) | Error::Export(_) => ("BuildError", "image-not-made"),
        Error::Write(_) | Error::WriteLock(_) => ("ExportError", "cannot-be-written"),
        Error::Compute(_) | Error::Unconfined(_) => ("RunError", "cannot-be-run"),
        Error::Proof(error) => return ("ProofError", proof_code(error).to_owned()),
        Error::Policy(_) => ("ProofError", "policy-not-usable"),
        _ => ("WorkspaceError", "workspace"),
    };
    (class, code.to_owned())
}

fn proof_code(_: &ProofError) -> &'static str {
    "proof"
}

fn remote_kind(error: &RemoteError) -> (&'static str, String) {
    let (class, code) = match error {
        RemoteError::Url(_) | RemoteError::Plain(_) => ("ArgumentError", "url-invalid"),
        RemoteError::NoToken(_) => ("AccessError", "token-missing"),
        RemoteError::Connect { .. } => ("ServerError", "unreachable"),
        RemoteError::Problem { status, code, .. } => {
            let class = match (&**code, *status) {
                ("cannot-be-resolved" | "cannot-be-fetched", _) => "ResolutionError",
                ("lock-not-usable", _) => "LockError",
                ("definition-invalid" | "definition-not-for-a-server" | "not-supported", _) => {
                    "DefinitionError"
                }
                (_, 401 | 403) => "AccessError",
                (_, 404) => "NotFoundError",
                (_, 409 | 412) => "ConflictError",
                (_, 400 | 422) => "ArgumentError",
                _ => "ServerError",
            };
            return (class, code.clone());
        }
        RemoteError::Answer { .. } => ("ServerError", "answer-invalid"),
        RemoteError::Tokens { .. } => ("AccessError", "tokens-not-usable"),
    };
    (class, code.to_owned())
}
