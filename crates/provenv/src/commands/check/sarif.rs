//! Remarks as a SARIF 2.1.0 log, which code scanning services read.

use std::path::Path;

use provenv_definition::codes::{self, Code};
use provenv_definition::{Diagnostic, Fix, Severity, Span, pages};
use serde_json::{Value, json};

use super::Checked;
use crate::errors;

/// The log of one run.
pub fn log(checked: &[Checked]) -> Value {
    let used: Vec<&Code> = codes::ALL
        .iter()
        .copied()
        .filter(|code| checked.iter().flat_map(|file| &file.remarks).any(|remark| remark.code == code.id))
        .collect();
    let results: Vec<Value> = checked
        .iter()
        .flat_map(|file| {
            errors::sorted(&file.remarks).into_iter().map(|remark| result(&file.file, remark, &used))
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "provenv",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": used.iter().map(|code| rule(code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn rule(code: &Code) -> Value {
    json!({
        "id": code.id,
        "name": code.name,
        "shortDescription": { "text": code.title },
        "fullDescription": { "text": code.explanation },
        "help": { "text": code.explanation, "markdown": pages::page(code) },
        "defaultConfiguration": { "level": level(code.severity) },
    })
}

fn result(file: &Path, remark: &Diagnostic, used: &[&Code]) -> Value {
    let text = match &remark.hint {
        Some(hint) => format!("{} ({hint})", remark.message),
        None => remark.message.clone(),
    };
    let mut location = json!({ "artifactLocation": artifact(remark.file.as_deref().unwrap_or(file)) });
    if let Some(span) = remark.span {
        location["region"] = region(span, remark.line_text.as_deref());
    }
    let mut result = json!({
        "ruleId": remark.code,
        "ruleIndex": used.iter().position(|code| code.id == remark.code),
        "level": level(remark.severity),
        "message": { "text": text },
        "locations": [{ "physicalLocation": location }],
    });
    if let Some(fix) = &remark.fix {
        result["fixes"] = json!([mending(fix)]);
    }
    result
}

fn region(span: Span, line: Option<&str>) -> Value {
    let mut region = json!({
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.line,
        "endColumn": span.column + span.length,
    });
    if let Some(line) = line {
        let part: String = line.chars().skip(span.column - 1).take(span.length).collect();
        region["snippet"] = json!({ "text": part });
    }
    region
}

fn mending(fix: &Fix) -> Value {
    let replacements: Vec<Value> = fix
        .edits
        .iter()
        .map(|edit| {
            json!({
                "deletedRegion": {
                    "startLine": edit.start.line,
                    "startColumn": edit.start.column,
                    "endLine": edit.end.line,
                    "endColumn": edit.end.column,
                },
                "insertedContent": { "text": edit.replacement },
            })
        })
        .collect();
    json!({
        "description": { "text": fix.title },
        "artifactChanges": [{ "artifactLocation": artifact(&fix.file), "replacements": replacements }],
    })
}

/// A path as a URI, relative where the path is.
fn artifact(path: &Path) -> Value {
    if let Some(url) = path.is_absolute().then(|| url::Url::from_file_path(path).ok()).flatten() {
        return json!({ "uri": url.as_str() });
    }
    // A relative reference is what is left of a URL below a root.
    let text = path.strip_prefix(".").unwrap_or(path);
    let url = url::Url::from_file_path(Path::new("/").join(text)).ok();
    let relative = url.map_or_else(String::new, |url| url.path().trim_start_matches('/').to_owned());
    // `url` would have taken `..` away.
    let up = text.components().take_while(|part| matches!(part, std::path::Component::ParentDir)).count();
    json!({ "uri": "../".repeat(up) + &relative })
}
