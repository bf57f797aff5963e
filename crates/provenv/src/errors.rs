//! What went wrong, on standard error, in rustc's manner.

use std::fmt::Write as _;
use std::path::Path;

use console::style;
use provenv_definition::{Diagnostic, Place, Severity, Span};
use provenv_workspace::causes;
use serde::Serialize;

use crate::cli::OutputFormat;

/// An error as a user reads it: what was being done, where in the user's file that comes from, why it failed, what to do
/// next.
pub fn render(error: &(dyn std::error::Error + 'static), places: &[Place], hint: Option<&str>) -> String {
    let said = error.to_string();
    let (headline, more) = said.split_once('\n').unwrap_or((&said, ""));
    let mut text = format!("{} {headline}\n", style("error:").red().bold());
    for place in places {
        text += &quote(&place.file, Some(place.span), place.line_text.as_deref());
    }
    if !more.is_empty() {
        text.extend([more, "\n"]);
    }
    for cause in causes(error) {
        let _ = writeln!(text, "  {} {}", style("because:").dim(), cause.replace('\n', "\n    "));
    }
    if let Some(hint) = hint {
        let _ = writeln!(text, "{} {}", style("hint:").cyan().bold(), hint.replace('\n', "\n      "));
    }
    text
}

/// An error as a program reads it: one line of JSON, or a YAML document.
pub fn record(
    format: OutputFormat,
    error: &(dyn std::error::Error + 'static),
    places: &[Place],
    hint: Option<&str>,
    remarks: &[Diagnostic],
) -> String {
    let places = places.iter().map(|place| RecordPlace {
        file: shown(&place.file),
        span: place.span,
        line_text: place.line_text.as_deref(),
    });
    let message = error.to_string();
    written(
        format,
        &ErrorRecord {
            message: &message,
            causes: causes(error),
            hint,
            places: places.collect(),
            remarks: shortened(remarks),
        },
    )
}

/// What is wrong with a user's file, in the order of its lines.
pub fn of_file(format: OutputFormat, remarks: &[Diagnostic]) -> String {
    if format == OutputFormat::Table {
        return sorted(remarks).into_iter().map(render_diagnostic).collect();
    }
    let remarks = shortened(remarks);
    let message = "the definition cannot be used";
    written(format, &ErrorRecord { message, causes: Vec::new(), hint: None, places: Vec::new(), remarks })
}

fn written(format: OutputFormat, error: &ErrorRecord<'_>) -> String {
    let record = std::collections::BTreeMap::from([("error", error)]);
    let text = if format == OutputFormat::Yaml {
        serde_yaml_ng::to_string(&record).map_err(|error| error.to_string())
    } else {
        serde_json::to_string(&record).map(|text| text + "\n").map_err(|error| error.to_string())
    };
    text.unwrap_or_else(|problem| format!("error: {} ({problem})\n", error.message))
}

#[derive(Serialize)]
struct ErrorRecord<'a> {
    message: &'a str,
    causes: Vec<String>,
    hint: Option<&'a str>,
    /// Where in the user's file it comes from, if that is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    places: Vec<RecordPlace<'a>>,
    /// On the user's file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<Diagnostic>,
}

#[derive(Serialize)]
struct RecordPlace<'a> {
    file: &'a Path,
    span: Span,
    line_text: Option<&'a str>,
}

/// Remarks in the order of the lines they are about; those on a file as a whole come first.
pub fn sorted(remarks: &[Diagnostic]) -> Vec<&Diagnostic> {
    let mut sorted: Vec<&Diagnostic> = remarks.iter().collect();
    sorted.sort_by_key(|remark| (&remark.file, remark.span.map(|span| (span.line, span.column))));
    sorted
}

/// The same, their files as users would write them.
fn shortened(remarks: &[Diagnostic]) -> Vec<Diagnostic> {
    let short = |remark: &Diagnostic| {
        let file = remark.file.as_deref().map(|file| shown(file).to_owned());
        Diagnostic { file, ..remark.clone() }
    };
    sorted(remarks).into_iter().map(short).collect()
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

/// A path as its user would write it.
fn shown(file: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    let below = file.strip_prefix(here).unwrap_or(file);
    if below.as_os_str().is_empty() { file } else { below }
}

/// A place in a user's file, and what stands there.
fn quote(file: &Path, span: Option<Span>, line: Option<&str>) -> String {
    let file = shown(file).display();
    let place = match span {
        Some(span) => format!("{file}:{}:{}", span.line, span.column),
        None => file.to_string(),
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
