//! `python_env.yaml` of an MLflow model or project: a Python, what pip installs first, and what it installs then.

use crate::document::{Node, Scalar};
use crate::pip::{PipReader, Role};
use crate::read::{Format, ReadEnvironment, Reading};
use crate::sections::Sections;
use crate::{PythonRequest, Remarks, Source, codes};

pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    let mut read = ReadEnvironment::new(Format::MlflowPythonEnv, source);
    let mut pip = PipReader::default();
    let mut diagnostics = Remarks::default();
    let mut sections = Sections { source, diagnostics: &mut diagnostics, lenient: false };
    if let Some(mut fields) = sections.fields(node, "an environment of MLflow") {
        if let Some((text, node)) = sections.text(&mut fields, "python") {
            match text.parse::<PythonRequest>() {
                Ok(python) if python.major == 3 => {
                    read.environment.definition.python = Some(python);
                    read.origins.python = Some(source.place(node.span));
                }
                Ok(_) => {
                    let message = "only Python 3 is supported".to_owned();
                    sections.report(
                        codes::INVALID_PYTHON,
                        node,
                        message,
                        Some("write e.g. `python: \"3.11\"`"),
                    );
                }
                Err(message) => {
                    sections.report(
                        codes::INVALID_PYTHON,
                        node,
                        message,
                        Some("write e.g. `python: \"3.11\"`"),
                    );
                }
            }
        }
        for key in ["build_dependencies", "dependencies"] {
            let items = fields.list(key, sections.diagnostics).unwrap_or_default();
            for item in items {
                match item.scalar() {
                    Some(Scalar { text, .. }) if !item.is_null() && !text.trim().contains('\n') => {
                        pip.read_entry(source, text, item.span, Role::Requirement);
                    }
                    _ => {
                        let message =
                            format!("a requirement must be a text of one line, not {}", item.kind_name());
                        sections.report(codes::WRONG_TYPE, item, message, None);
                    }
                }
            }
        }
        sections.finish(fields);
    }
    pip.finish();
    diagnostics.extend(read.take_pip(pip));
    (read, diagnostics)
}
