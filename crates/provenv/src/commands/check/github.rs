//! Remarks as GitHub's workflow commands, which it shows beside the lines.

use std::fmt::Write as _;

use provenv_definition::Severity;

use super::Checked;
use crate::errors;

/// One line a remark.
pub fn annotations(checked: &[Checked]) -> String {
    let mut text = String::new();
    for file in checked {
        for remark in errors::sorted(&file.remarks) {
            let level = match remark.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "notice",
            };
            let path = remark.file.as_deref().unwrap_or(&file.file).display().to_string();
            let _ = write!(text, "::{level} file={}", property(&path));
            if let Some(span) = remark.span {
                let end = span.column + span.length;
                let _ = write!(text, ",line={},col={},endColumn={end}", span.line, span.column);
            }
            let hint = remark.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            let _ = writeln!(text, ",title={}::{}", remark.code, data(&format!("{}{hint}", remark.message)));
        }
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
