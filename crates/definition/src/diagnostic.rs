//! What is wrong with a user's file, and where.

use std::path::PathBuf;

use serde::Serialize;

use crate::codes::Code;
use crate::fix::Fix;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Works, and may not do what was meant.
    Warning,
    /// The file cannot be used as it is.
    Error,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Length in characters, at least 1.
    pub length: usize,
}

/// A place together with what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The user's file.
    pub file: PathBuf,
    /// Where in it.
    pub span: Span,
    /// The line quoted, secrets masked.
    pub line_text: Option<String>,
}

/// One remark about a user's file: what, where, why, and what to do next.
///
/// `message` and `hint` are lower case without a full stop and never hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Stable code, e.g. `PV001`; each has a page in the documentation.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The user's file.
    pub file: Option<PathBuf>,
    /// Where in it.
    pub span: Option<Span>,
    /// The line quoted, secrets masked: every character of a secret is shown as `*`, so columns still fit.
    pub line_text: Option<String>,
    /// How the user's file is mended, where that is surely right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

impl Diagnostic {
    /// A remark without a place. `message` must hold no secret.
    pub fn new(code: &'static Code, message: impl Into<String>) -> Self {
        Self {
            code: code.id,
            severity: code.severity,
            message: message.into(),
            hint: None,
            file: None,
            span: None,
            line_text: None,
            fix: None,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says how the file is mended.
    #[must_use]
    pub fn with_fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.file = Some(place.file);
        self.span = Some(place.span);
        self.line_text = place.line_text;
        self
    }

    /// Says in which file, where no line can be named.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Whether the file cannot be used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl std::fmt::Display for Diagnostic {
    /// `file:line:column: message`, as compilers write it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some(span) = self.span {
                write!(f, "{}:{}:", span.line, span.column)?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.message)
    }
}
