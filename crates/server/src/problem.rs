//! Answers that say no: problems as RFC 9457 has them, with a code that programs can go by and a hint for people.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nix::errno::Errno;
use provenv_definition::{Diagnostic, Place};
use provenv_workspace::{CatalogueError, Error, Part, causes, is_no_space};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::database::DatabaseError;

/// The media type of problems.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// When those are to ask again who came while the database was away, in seconds.
const AGAIN_IN: u64 = 2;

/// Why a request was not done (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is; always `about:blank`, as `code` says it.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    pub kind: &'static str,
    /// The status in words.
    #[schema(example = "Not Found")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What kind of problem it is, for programs; codes never change their meaning.
    #[schema(example = "environment-not-found")]
    pub code: &'static str,
    /// What is wrong.
    #[schema(example = "there is no environment `digits` in this workspace")]
    pub detail: String,
    /// Why, the nearest cause first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What is wrong with a definition, and where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub remarks: Vec<Diagnostic>,
    /// The parts of the definition that it is about, such as `{"requirement": 2}`: positions from 0 in `pip.requirements`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<serde_json::Value>)]
    pub concerns: Vec<Part>,
    /// Where these stand in the text that was sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<TextPlace>,
    /// The name that may have been meant, where nothing has the one that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// After how many seconds to ask again.
    #[serde(skip)]
    retry_after: Option<u64>,
    /// What whoever has the server is told, and clients are not.
    #[serde(skip)]
    fault: Option<String>,
}

/// A place in a text that was sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TextPlace {
    /// The name that the text was sent with.
    #[schema(example = "requirements.txt")]
    pub file: String,
    /// The line, from 1.
    #[schema(example = 2)]
    pub line: usize,
    /// The column in characters, from 1.
    #[schema(example = 1)]
    pub column: usize,
    /// The line's text, secrets masked.
    #[schema(example = "scikit-learn==99")]
    pub text: Option<String>,
}

impl From<&Place> for TextPlace {
    fn from(place: &Place) -> Self {
        // The folder that it was read in was made for it.
        let file = place.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { file, line: place.span.line, column: place.span.column, text: place.line_text.clone() }
    }
}

pub(crate) type Result<T, E = Box<Problem>> = std::result::Result<T, E>;

impl Problem {
    /// A problem.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            causes: Vec::new(),
            hint: None,
            remarks: Vec::new(),
            concerns: Vec::new(),
            places: Vec::new(),
            nearest: None,
            retry_after: None,
            fault: None,
        })
    }

    /// A request that is wrong.
    pub fn bad(code: &'static str, detail: impl Into<String>) -> Box<Self> {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Something that is not there.
    pub fn missing(code: &'static str, detail: impl Into<String>) -> Box<Self> {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// With what to do next.
    pub fn hint(mut self: Box<Self>, hint: impl Into<String>) -> Box<Self> {
        self.hint = Some(hint.into());
        self
    }

    /// With after how many seconds to ask again.
    pub fn retry_after(mut self: Box<Self>, seconds: u64) -> Box<Self> {
        self.retry_after = Some(seconds);
        self
    }

    /// After how many seconds to ask again.
    pub fn wait(&self) -> Option<u64> {
        self.retry_after
    }

    /// Tells whoever has the server what clients are not told.
    pub fn log(&self) {
        if let Some(fault) = &self.fault {
            tracing::error!(fault, "a request failed");
        }
    }

    /// What is no client's doing: it may name files, so that clients are told nothing but that it happened.
    pub fn fault(error: &(dyn std::error::Error + 'static)) -> Box<Self> {
        let mut problem = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server failed, and says why in its own log",
        );
        let causes = causes(error);
        if is_of_database(error) {
            problem = Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "database-away",
                "the server's database does not answer for a moment",
            )
            .hint("ask again; with the same Idempotency-Key nothing is done twice");
            problem.retry_after = Some(AGAIN_IN);
        } else if is_no_space(error) {
            problem = Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "disk-full",
                "the server has no space left on its disk",
            )
            .hint(
                "tell whoever has the server: `provenv store gc` in its workspaces frees space; ask again then, with the same \
                 Idempotency-Key nothing is done twice",
            );
        } else if is_of_machine(error) {
            problem = Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "machine-busy",
                "the server's machine has no more threads, memory or open files for a moment",
            )
            .hint("ask again; with the same Idempotency-Key nothing is done twice");
            problem.retry_after = Some(AGAIN_IN);
        }
        problem.fault = Some(std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": "));
        problem
    }
}

/// Whether it is nothing but a database that is away.
fn is_of_database(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(|error| error.downcast_ref().is_some_and(provenv_workspace::is_away))
}

/// Whether it is nothing but a machine that has too much to do.
fn is_of_machine(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_busy = |error: &std::io::Error| {
        let errno = error.raw_os_error().map(Errno::from_raw);
        matches!(errno, Some(Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE))
    };
    std::iter::successors(Some(error), |error| error.source())
        .any(|error| error.downcast_ref().is_some_and(is_busy))
}

impl IntoResponse for Box<Problem> {
    fn into_response(self) -> Response {
        self.log();
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&*self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"provenv\""));
        }
        response
    }
}

impl From<DatabaseError> for Box<Problem> {
    fn from(error: DatabaseError) -> Self {
        Problem::fault(&error)
    }
}

impl From<QueryRejection> for Box<Problem> {
    fn from(rejection: QueryRejection) -> Self {
        Problem::bad("parameter-invalid", rejection.body_text())
    }
}

impl From<PathRejection> for Box<Problem> {
    fn from(rejection: PathRejection) -> Self {
        Problem::bad("path-invalid", rejection.body_text())
    }
}

impl From<Error> for Box<Problem> {
    fn from(error: Error) -> Self {
        let hint = error.hint();
        if is_no_space(&error) {
            return Problem::fault(&error);
        }
        let Some((status, code)) = kind(&error) else { return Problem::fault(&error) };
        let mut problem = Problem::new(status, code, error.to_string());
        problem.causes = causes(&error);
        problem.hint = hint;
        match error {
            Error::Definition(remarks) => problem.remarks = remarks,
            Error::Located { parts, places, .. } => {
                problem.concerns = parts;
                problem.places = places.iter().map(TextPlace::from).collect();
            }
            Error::NoEnvironment(_, nearest) => problem.nearest = nearest,
            _ => {}
        }
        problem
    }
}

/// The status and the code of what a client can do something about.
fn kind(error: &Error) -> Option<(StatusCode, &'static str)> {
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    Some(match error {
        Error::Located { error, .. } | Error::OnPlatform { error, .. } => return kind(error),
        Error::Definition(_) => (unprocessable, "definition-invalid"),
        Error::Arguments { .. } | Error::NoName => (unprocessable, "definition-not-for-a-server"),
        Error::Debian(_)
        | Error::Pypi(_)
        | Error::Conda(_)
        | Error::Base { .. }
        | Error::Registry(_)
        | Error::Dockerfile(_)
        | Error::InvalidChosen(_) => (unprocessable, "cannot-be-resolved"),
        Error::Fetch(_) => (StatusCode::BAD_GATEWAY, "cannot-be-fetched"),
        Error::Unsupported(_) => (unprocessable, "not-supported"),
        Error::Catalogue(CatalogueError::VersionTaken { .. }) => (StatusCode::CONFLICT, "version-taken"),
        Error::Catalogue(CatalogueError::Nul { .. } | CatalogueError::LongTag { .. }) => {
            (unprocessable, "definition-invalid")
        }
        Error::Catalogue(CatalogueError::VersionDeleted { .. }) => (StatusCode::CONFLICT, "version-deleted"),
        Error::Catalogue(CatalogueError::SharedHere { .. }) => (StatusCode::CONFLICT, "shared-here"),
        Error::Catalogue(CatalogueError::NameTaken { .. }) => (StatusCode::CONFLICT, "name-taken"),
        Error::NoLabel { .. } => (StatusCode::NOT_FOUND, "label-not-found"),
        Error::AllArchived(_) => (StatusCode::NOT_FOUND, "all-archived"),
        Error::NoEnvironment(..) | Error::NoCurated { .. } => {
            (StatusCode::NOT_FOUND, "environment-not-found")
        }
        Error::NoVersion { .. } => (StatusCode::NOT_FOUND, "version-not-found"),
        Error::StillNeeded { .. } => (StatusCode::CONFLICT, "still-needed"),
        Error::NoRun(_) => (StatusCode::NOT_FOUND, "run-not-found"),
        Error::RunEnded(_) => (StatusCode::CONFLICT, "run-ended"),
        Error::NoLineage(_) => (StatusCode::NOT_FOUND, "nothing-found"),
        Error::NotALock { .. }
        | Error::InvalidLock { .. }
        | Error::NewerLock { .. }
        | Error::OtherDefinition { .. }
        | Error::BuiltElsewhere { .. }
        | Error::ScriptsElsewhere { .. } => (unprocessable, "lock-not-usable"),
        Error::NoImage(_) => (StatusCode::NOT_FOUND, "image-not-built"),
        Error::NoPlatform(_) => (StatusCode::NOT_FOUND, "platform-not-locked"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use nix::errno::Errno;

    use super::Problem;

    #[test]
    fn what_passes_by_itself_is_asked_for_again() {
        let told = |error: &(dyn std::error::Error + 'static)| {
            let problem = Problem::fault(error);
            (problem.status, problem.code, problem.wait().is_some())
        };
        let no_threads = Error::from_raw_os_error(Errno::EAGAIN as i32);
        assert_eq!(told(&no_threads), (503, "machine-busy", true));
        let hidden = provenv_workspace::Error::Io { what: "could not begin".to_owned(), source: no_threads };
        assert_eq!(told(&hidden), (503, "machine-busy", true));
        assert_eq!(told(&Error::from_raw_os_error(Errno::EACCES as i32)), (500, "internal", false));
        assert_eq!(told(&Error::from_raw_os_error(Errno::ENOSPC as i32)), (507, "disk-full", false));
        assert_eq!(told(&sqlx::Error::PoolTimedOut), (503, "database-away", true));
    }
}
