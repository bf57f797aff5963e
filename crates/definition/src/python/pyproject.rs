//! `pyproject.toml`: what a project needs, by PEP 621 or in poetry's words, with what uv says of sources besides.
//!
//! The environment is what the project needs in order to run; the project itself is not installed. Extras and
//! dependency groups (PEP 735) are not asked for, so they are checked, named and left out.

use super::bounds::PythonBounds;
use super::{groups, poetry, uv_sources};
use crate::document::{Fields, Kind, Node};
use crate::lock_reader::listed;
use crate::pip::PipReader;
use crate::read::{Format, ReadEnvironment, Reading};
use crate::recognise::value_of;
use crate::{Diagnostic, Remarks, Source, Span, codes};

/// Keys of PEP 621 and its successors that say nothing about what is installed.
const METADATA: &[&str] = &[
    "version",
    "description",
    "readme",
    "license",
    "license-files",
    "authors",
    "maintainers",
    "keywords",
    "classifiers",
    "urls",
    "scripts",
    "gui-scripts",
    "entry-points",
    "import-names",
    "import-namespaces",
];

pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    let mut read = ReadEnvironment::new(Format::Pyproject, source);
    let mut reader =
        Reader { source, diagnostics: Remarks::default(), pip: PipReader::default(), python: None };
    let tool = value_of(node, "tool");
    let poetry = tool.and_then(|tool| value_of(tool, "poetry"));
    match (value_of(node, "project"), poetry) {
        (None, None) => reader.nothing(node),
        (project, poetry) => reader.projects(project, poetry, &mut read),
    }
    groups::note(source, node, &mut reader.diagnostics);
    if let Some(uv) = tool.and_then(|tool| value_of(tool, "uv")) {
        uv_sources::apply(source, uv, &mut reader.pip, &mut reader.diagnostics);
    }
    if let Some((text, span)) = reader.python.take() {
        match PythonBounds::parse(&text) {
            Ok(bounds) => {
                read.environment.definition.python = bounds.pinned();
                read.origins.python = read.environment.definition.python.as_ref().map(|_| source.place(span));
                reader.diagnostics.extend(bounds.remark(source.place(span)));
            }
            Err(message) => {
                reader
                    .diagnostics
                    .push(Diagnostic::new(codes::INVALID_PYTHON, message).at(source.place(span)));
            }
        }
    }
    reader.pip.finish();
    let mut diagnostics = reader.diagnostics;
    diagnostics.extend(read.take_pip(reader.pip));
    (read, diagnostics)
}

struct Reader<'s> {
    source: &'s Source,
    diagnostics: Remarks,
    pip: PipReader,
    /// The bounds on Python.
    python: Option<(String, Span)>,
}

impl<'s> Reader<'s> {
    fn report(&mut self, code: &'static codes::Code, span: Span, message: String, hint: &str) {
        let problem = Diagnostic::new(code, message).at(self.source.place(span));
        self.diagnostics.push(if hint.is_empty() { problem } else { problem.with_hint(hint) });
    }

    fn nothing(&mut self, node: &Node) {
        let message = "there is neither `[project]` nor `[tool.poetry]` in this file".to_owned();
        let hint = if value_of(node, "dependency-groups").is_some() {
            "dependency groups alone are not an environment: list packages under `dependencies` of `[project]`"
        } else {
            "it configures tools only: name the file that lists the packages"
        };
        self.report(codes::UNSUPPORTED_FORMAT, node.span, message, hint);
    }

    fn projects(&mut self, project: Option<&'s Node>, poetry: Option<&'s Node>, read: &mut ReadEnvironment) {
        let mut dependencies = false;
        if let Some(project) = project {
            dependencies = self.project(project, poetry, read);
        }
        let Some(poetry) = poetry else { return };
        let groups = poetry::groups(poetry);
        if !groups.is_empty() {
            let message = format!("groups not installed: {}", listed(&groups));
            self.report(codes::LEFT_OUT, poetry.span, message, "");
        }
        self.extras(value_of(poetry, "extras").filter(|extras| matches!(extras.kind, Kind::Mapping(_))));
        if read.environment.name.is_none() {
            let name = value_of(poetry, "name").and_then(|name| Some((name.text()?, name.span)));
            read.origins.name = name.map(|(_, span)| self.source.place(span));
            read.environment.name = name.map(|(name, _)| name.to_owned());
        }
        let Some(list) = value_of(poetry, "dependencies") else { return };
        if dependencies {
            let message =
                "`tool.poetry.dependencies` is not read, because `project.dependencies` is there".to_owned();
            return self.report(codes::NOT_HONOURED, list.span, message, "");
        }
        let python = poetry::dependencies(self.source, list, &mut self.pip, &mut self.diagnostics);
        if let Some((text, span)) = python.filter(|_| self.python.is_none()) {
            self.python = poetry::python_specifiers(text).map(|specifiers| (specifiers, span));
            if self.python.is_none() {
                let message = "several ranges of Python are allowed".to_owned();
                self.report(codes::PYTHON_RANGE, span, message, "");
            }
        }
        self.poetry_indexes(poetry);
    }

    /// `[project]`; gives back whether it says the dependencies itself.
    fn project(&mut self, node: &'s Node, poetry: Option<&'s Node>, read: &mut ReadEnvironment) -> bool {
        let Some(mut fields) = Fields::new(self.source, node, "`project`", &mut self.diagnostics) else {
            return false;
        };
        if let Some((text, span)) = fields.text("name", &mut self.diagnostics) {
            read.environment.name = Some(text.to_owned());
            read.origins.name = Some(self.source.place(span));
        }
        for key in METADATA {
            let _ = fields.entry(key);
        }
        self.python =
            fields.text("requires-python", &mut self.diagnostics).map(|(text, span)| (text.to_owned(), span));
        let given = fields.list("dependencies", &mut self.diagnostics);
        for item in given.unwrap_or_default() {
            if let Some(text) = item.text() {
                self.pip.read_requirement(self.source, text, item.span, false);
            } else {
                let message = format!("a dependency must be a text, not {}", item.kind_name());
                self.report(codes::WRONG_TYPE, item.span, message, "");
            }
        }
        self.extras(fields.node("optional-dependencies"));
        let poetry_says = poetry.is_some_and(|poetry| value_of(poetry, "dependencies").is_some());
        for item in fields.list("dynamic", &mut self.diagnostics).unwrap_or_default() {
            if item.text() == Some("dependencies") && !poetry_says {
                let message = "the dependencies are dynamic: only building the project tells them".to_owned();
                let hint =
                    "list them under `dependencies`, or use a lock or the requirements file they come from";
                self.report(codes::NOT_SUPPORTED, item.span, message, hint);
            }
        }
        // Standards that come later may add keys.
        fields.finish_leniently("it is no key of `project`", &mut self.diagnostics);
        given.is_some() || !poetry_says
    }

    fn extras(&mut self, node: Option<&Node>) {
        let Some(node) = node else { return };
        let Kind::Mapping(pairs) = &node.kind else {
            let message = format!("`optional-dependencies` must be a mapping, not {}", node.kind_name());
            return self.report(codes::WRONG_TYPE, node.span, message, "");
        };
        let names: Vec<String> =
            pairs.iter().filter_map(|(name, _)| name.text().map(str::to_owned)).collect();
        if !names.is_empty() {
            let message = format!("extras not installed: {}", listed(&names));
            self.report(codes::LEFT_OUT, node.span, message, "");
        }
    }

    /// `[[tool.poetry.source]]`: an index that replaces PyPI (`default`, `primary`) or is asked besides.
    fn poetry_indexes(&mut self, poetry: &Node) {
        let Some(Node { kind: Kind::Sequence(items), .. }) = value_of(poetry, "source") else { return };
        for item in items {
            let priority = value_of(item, "priority").and_then(Node::text).unwrap_or("primary");
            let default = value_of(item, "default").and_then(Node::as_bool) == Some(true);
            let Some(url) = value_of(item, "url").filter(|_| priority != "explicit") else { continue };
            let replaces = default || (priority == "default" || priority == "primary");
            let Some(text) = url.text() else { continue };
            uv_sources::add_index(
                self.source,
                (text, url.span),
                replaces,
                &mut self.pip,
                &mut self.diagnostics,
            );
        }
    }
}
