//! What must hold of any input, whichever parser it is given to.

#![allow(dead_code, reason = "each user of it uses a part")]

use std::path::Path;

use provenv_definition::{
    CondaSpec, Diagnostic, Requirement, Source, apply, check, definition_digest, document, lint_str,
    mask_secrets, read_str, write_native, write_requirements,
};

/// Where inputs are said to stand: nowhere, so that what they include is not there.
const FOLDER: &str = "/nowhere/project";

/// `data` as the file `name` is read or refused; its remarks stand inside it; what was read is written, and reads back
/// as the same.
pub fn definition(data: &[u8], name: &str) {
    let path = Path::new(FOLDER).join(name);
    let Ok(decoded) = Source::decode(&path, data) else { return };
    // What is read is text, of which one more byte order mark is taken off.
    let source = Source::new(&path, decoded.text());
    if reaches_out(source.text()) {
        return;
    }
    let found = match read_str(decoded.text(), &path) {
        Ok(found) => found,
        Err(error) => {
            assert!(error.0.iter().any(Diagnostic::is_error), "refused without a reason");
            let _ = error.to_string();
            return diagnostics(&error.0, &source);
        }
    };
    assert!(!found.warnings.iter().any(Diagnostic::is_error), "an error is no warning");
    diagnostics(&found.warnings, &source);
    diagnostics(&check(&found.environment), &source);
    diagnostics(&found.check(), &source);
    let digest = definition_digest(&found.environment.definition);
    let _ = write_requirements(&found.environment.definition);
    let written = write_native(&found.environment);
    let again = match read_str(&written, Path::new("/elsewhere/written.yaml")) {
        Ok(again) => again.environment,
        Err(error) => panic!("what was written is refused: {error}\n{written}"),
    };
    assert_eq!(again, found.environment, "{written}");
    assert_eq!(definition_digest(&again.definition), digest);
}

/// Files named by an input are read from the disk that this runs on, which no target is about.
fn reaches_out(text: &str) -> bool {
    ["-r", "-c", "--req", "--const"].iter().any(|option| text.contains(option)) && text.contains('/')
}

/// Each remark has a place inside `source`, or in no file.
pub fn diagnostics(diagnostics: &[Diagnostic], source: &Source) {
    for diagnostic in diagnostics {
        assert!(!diagnostic.message.is_empty() && !diagnostic.message.contains('\n'), "{diagnostic:?}");
        assert!(!diagnostic.message.ends_with('.'), "{diagnostic:?}");
        let (Some(file), Some(span)) = (&diagnostic.file, diagnostic.span) else { continue };
        if file != source.path() {
            continue;
        }
        let line = source.line(span.line).unwrap_or_else(|| panic!("no such line: {diagnostic:?}"));
        let columns = line.chars().count();
        assert!(span.column >= 1 && span.column <= columns + 1, "no such column: {diagnostic:?}");
        assert!(span.length >= 1, "nothing is marked: {diagnostic:?}");
        assert!(span.column + span.length <= columns.max(span.column) + 2, "beyond the line: {diagnostic:?}");
        if let Some(quoted) = &diagnostic.line_text {
            assert_eq!(quoted.chars().count(), columns, "quoted otherwise: {diagnostic:?}");
        }
    }
}

/// One requirement: its normal form reads as itself.
pub fn requirement(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = mask_secrets(text);
    if let Ok(requirement) = Requirement::parse(text, Path::new("/project")) {
        let normal = requirement.to_string();
        let again: Requirement = normal.parse().unwrap_or_else(|error| panic!("{normal}: {error}"));
        assert_eq!(again, requirement, "{normal}");
        assert_eq!(again.to_string(), normal);
    }
}

/// YAML, JSON and TOML as trees.
pub fn document(data: &[u8]) {
    let Ok(source) = Source::decode(Path::new("/project/file"), data) else { return };
    let errors = [document::parse_yaml(&source).err(), document::parse_toml(&source).err()];
    for error in errors.into_iter().flatten() {
        diagnostics(&error.0, &source);
    }
}

/// One conda spec: its normal form reads as itself, and so does the text that counts.
pub fn conda_spec(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(spec) = text.parse::<CondaSpec>() else { return };
    let normal = spec.to_string();
    let again: CondaSpec = normal.parse().unwrap_or_else(|error| panic!("{normal}: {error}"));
    assert_eq!(again, spec, "{normal}");
    let canonical = spec.canonical();
    let again: CondaSpec = canonical.parse().unwrap_or_else(|error| panic!("{canonical}: {error}"));
    assert_eq!(again.canonical(), canonical, "{normal}");
}

/// The linter's fixes: a file that can be read can be read when they are done.
pub fn fixes(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for name in ["requirements.txt", "environment.yaml", "conda.yml", "Dockerfile"] {
        let path = Path::new(FOLDER).join(name);
        if reaches_out(text) {
            return;
        }
        let linted = lint_str(text, &path);
        let Some(source) = &linted.source else { continue };
        diagnostics(&linted.remarks, source);
        let (mended, done) = apply(source, linted.remarks.iter().filter_map(|remark| remark.fix.as_ref()));
        if done > 0 && linted.format.is_some() {
            let again = lint_str(&mended, &path);
            assert!(again.format.is_some(), "{name}: mended, and refused: {:?}\n{mended}", again.remarks);
        }
    }
}
