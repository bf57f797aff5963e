//! What went wrong, on standard error, in rustc's manner.

use std::fmt::Write as _;
use std::path::Path;

use console::style;
use provenv_definition::{Diagnostic, Place, Severity, Span};

/// An error as a user reads it: what was being done, where in the user's file that comes from, why it failed, what to do
/// next.
pub fn render(error: &dyn std::error::Error, places: &[Place], hint: Option<&str>) -> String {
    let mut said = error.to_string();
    let (headline, more) = said.split_once('\n').unwrap_or((&said, ""));
    let mut text = format!("{} {headline}\n", style("error:").red().bold());
    for place in places {
        text += &quote(&place.file, Some(place.span), place.line_text.as_deref());
    }
    if !more.is_empty() {
        text.extend([more, "\n"]);
    }
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        // Many errors repeat their cause in their own message.
        if !said.contains(message.trim_end()) {
            let _ = writeln!(text, "  {} {}", style("because:").dim(), message.replace('\n', "\n    "));
        }
        said = message;
        source = cause.source();
    }
    if let Some(hint) = hint {
        let _ = writeln!(text, "{} {}", style("hint:").cyan().bold(), hint.replace('\n', "\n      "));
    }
    text
}

/// A remark on a user's file, its line quoted.
pub fn render_diagnostic(diagnostic: &Diagnostic) -> String {
    let label = match diagnostic.severity {
        Severity::Error => style(format!("error[{}]:", diagnostic.code)).red().bold(),
        Severity::Warning => style(format!("warning[{}]:", diagnostic.code)).yellow().bold(),
        Severity::Info => style(format!("info[{}]:", diagnostic.code)).blue().bold(),
    };
    let mut text = format!("{label} {}\n", diagnostic.message);
    if let Some(file) = &diagnostic.file {
        text += &quote(file, diagnostic.span, diagnostic.line_text.as_deref());
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = writeln!(text, "  {} {hint}", style("= hint:").cyan().bold());
    }
    text
}

/// A place in a user's file, and what stands there.
fn quote(file: &Path, span: Option<Span>, line: Option<&str>) -> String {
    let place = match span {
        Some(span) => format!("{}:{}:{}", file.display(), span.line, span.column),
        None => file.display().to_string(),
    };
    let mut text = format!("  {} {place}\n", style("-->").blue().bold());
    if let (Some(span), Some(line)) = (span, line) {
        let number = span.line.to_string();
        let margin = " ".repeat(number.len());
        let bar = style("|").blue().bold();
        let before: String = line
            .chars()
            .take(span.column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let room = line.chars().count().saturating_sub(span.column.saturating_sub(1)).max(1);
        let carets = "^".repeat(span.length.clamp(1, room));
        let _ = writeln!(text, "{margin} {bar}");
        let _ = writeln!(text, "{} {bar} {line}", style(&number).blue().bold());
        let _ = writeln!(text, "{margin} {bar} {before}{}", style(carets).red().bold());
    }
    text
}
