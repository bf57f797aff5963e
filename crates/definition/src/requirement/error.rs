//! What is wrong with a requirement, and where in its text.

use crate::codes::{self, Code};
use crate::secrets::shown;

/// Why a text is no requirement. The message never quotes a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequirementError {
    /// The kind of remark.
    pub code: &'static Code,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Where in the text, in bytes.
    pub offset: usize,
    /// How long, in bytes.
    pub length: usize,
}

impl RequirementError {
    pub(crate) fn new(code: &'static Code, message: impl Into<String>, offset: usize, length: usize) -> Self {
        Self { code, message: message.into(), hint: None, offset, length }
    }

    pub(super) fn invalid(message: impl Into<String>, offset: usize, length: usize) -> Self {
        Self::new(codes::INVALID_REQUIREMENT, message, offset, length)
    }

    pub(crate) fn not_a_url(text: &str) -> Self {
        Self::new(codes::INVALID_URL, format!("`{}` is not a URL", shown(text)), 0, text.len())
    }

    pub(crate) fn template(text: &str, offset: usize) -> Self {
        Self::new(codes::TEMPLATE, "a template that was not filled in", offset, text.len() - offset)
            .with_hint("fill the template in first")
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error in a text in which this one begins at `by`.
    pub(crate) fn shift(mut self, by: usize) -> Self {
        self.offset += by;
        self
    }
}
