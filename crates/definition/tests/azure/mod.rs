//! Azure ML's environments through the front door: v1, v2, and those inside jobs and deployments.

use std::path::Path;

use provenv_definition::{Diagnostic, ReadEnvironment, read_str};

mod corpus;
mod refused_there;
mod v1;
mod v2;

fn render(diagnostic: &Diagnostic) -> String {
    let place = diagnostic
        .span
        .map_or(String::new(), |span| format!(" {}:{}+{}", span.line, span.column, span.length));
    let hint = diagnostic.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
    format!("{}{place} {}{hint}", diagnostic.code, diagnostic.message)
}

fn found(text: &str, name: &str) -> ReadEnvironment {
    let path = Path::new("/project").join(name);
    read_str(text, &path).unwrap_or_else(|error| panic!("{text}\n{:?}", error.0))
}

fn remarks(text: &str, name: &str) -> Vec<String> {
    let diagnostics = match read_str(text, &Path::new("/project").join(name)) {
        Ok(found) => found.warnings,
        Err(error) => error.0,
    };
    diagnostics.iter().map(render).collect()
}
