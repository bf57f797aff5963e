//! The native environment YAML: Azure ML's v2 environment, with `base`, `dockerfile`, `system_packages`, `python`, `pip`,
//! `spark`, `r`, `user_managed`, `interpreter_path` and `platforms` besides.

mod base;
mod conda;
mod routes;

use std::path::PathBuf;

use crate::document::{Fields, Kind, Node};
use crate::pip::{PipReader, Role};
use crate::read::{Format, Origins, ReadEnvironment, Reading};
use crate::secrets::{shown, template_start};
use crate::sections::{RKeys, Sections, r_packages, spark_packages};
use crate::{
    Diagnostic, Environment, Place, Platform, PythonRequest, Remarks, Source, SystemPackage, VirtualPackage,
    codes,
};

pub(crate) use base::is_reference;

/// Keys of Azure ML's that the service adds when it answers; they say nothing about what is asked for.
const DUMP_ONLY: &[&str] = &[
    "id",
    "creation_context",
    "latest_version",
    "intellectual_property",
    "auto_delete_setting",
    "resource_id",
];

const R_KEYS: &RKeys = &RKeys {
    version: "version",
    user_managed: "user_managed",
    rscript_path: "rscript_path",
    snapshot_date: "snapshot_date",
    cran: "cran",
    github: "github",
    urls: "urls",
    bioconductor: "bioconductor",
};

/// Reads the mapping `node` of `source`; gives back all there is to say about it.
pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    let mut reader =
        Reader { source, diagnostics: Remarks::default(), origins: Origins::default(), files: Vec::new() };
    let mut environment = Environment::default();
    let mut pip = PipReader::default();
    let mut conda = None;
    if let Some(mut fields) = Fields::new(source, node, "an environment", &mut reader.diagnostics) {
        conda = reader.conda_file(&mut fields, &mut pip);
        reader.fields(&mut fields, &mut environment, &mut pip);
        fields.finish(&mut reader.diagnostics);
    }
    pip.finish();
    let mut read = ReadEnvironment::new(Format::Native, source);
    read.environment = environment;
    read.origins = reader.origins;
    read.files.extend(reader.files);
    let mut diagnostics = reader.diagnostics;
    if let Some(conda) = conda {
        diagnostics.extend(conda.put_into(&mut read));
    }
    diagnostics.extend(read.take_pip(pip));
    (read, diagnostics)
}

struct Reader<'s> {
    source: &'s Source,
    diagnostics: Remarks,
    origins: Origins,
    /// Files that were read besides.
    files: Vec<PathBuf>,
}

impl<'s> Reader<'s> {
    fn fields(&mut self, fields: &mut Fields<'s>, environment: &mut Environment, pip: &mut PipReader) {
        let _schema = fields.entry("$schema");
        for key in DUMP_ONLY {
            let _answer = fields.entry(key);
        }
        (environment.name, self.origins.name) = self.text(fields, "name");
        (environment.version, self.origins.version) = self.text(fields, "version");
        environment.description =
            fields.text("description", &mut self.diagnostics).map(|(text, _)| text.to_owned());
        let tags = fields.texts("tags", &mut self.diagnostics);
        environment.tags = tags.into_iter().map(|(name, (value, _))| (name, value)).collect();
        self.variables(fields, environment);
        environment.inference_config = self.inference_config(fields);
        (environment.interpreter_path, self.origins.interpreter_path) = self.text(fields, "interpreter_path");

        let definition = &mut environment.definition;
        definition.base = self.base(fields);
        self.origins.user_managed = fields.peek("user_managed").map(|node| self.place(node));
        definition.user_managed = fields.flag("user_managed", &mut self.diagnostics) == Some(true);
        if let Some(node) = fields.node("spark") {
            definition.spark = spark_packages(&mut self.sections(), node, "precache_packages");
        }
        if let Some(node) = fields.node("r") {
            definition.r = r_packages(&mut self.sections(), node, R_KEYS);
        }
        definition.python = self.python(fields);
        definition.system_packages = self.system_packages(fields);
        definition.platforms = self.platforms(fields);
        definition.conda.virtual_packages = self.virtual_packages(fields);
        self.pip(fields, pip);

        self.os_type(fields);
        for (key, reason) in [
            ("properties", "only the service's own SDK sets it"),
            ("datastore", "it says where a build context is uploaded, and there is none"),
        ] {
            if let Some((name, _)) = fields.entry(key).filter(|(_, value)| !value.is_null()) {
                self.report(codes::NOT_HONOURED, name, format!("`{key}` is not kept: {reason}"), None);
            }
        }
    }

    fn sections(&mut self) -> Sections<'s, '_> {
        Sections { source: self.source, diagnostics: &mut self.diagnostics, lenient: false }
    }

    fn place(&self, node: &Node) -> Place {
        self.source.place(node.span)
    }

    fn report(&mut self, code: &'static codes::Code, node: &Node, message: String, hint: Option<&str>) {
        let diagnostic = Diagnostic::new(code, message).at(self.place(node));
        self.diagnostics.push(Diagnostic { hint: hint.map(str::to_owned), ..diagnostic });
    }

    /// A text that holds no template.
    fn text(&mut self, fields: &mut Fields<'s>, key: &'static str) -> (Option<String>, Option<Place>) {
        let Some((text, span)) = fields.text(key, &mut self.diagnostics) else { return (None, None) };
        let place = self.source.place(span);
        if template_start(text).is_some() {
            let message = format!("`{key}` holds a template that was not filled in");
            self.diagnostics.push(
                Diagnostic::new(codes::TEMPLATE, message).with_hint("fill the template in first").at(place),
            );
            return (None, None);
        }
        (Some(text.to_owned()), Some(place))
    }

    fn variables(&mut self, fields: &mut Fields<'s>, environment: &mut Environment) {
        for (name, (value, span)) in fields.texts("environment_variables", &mut self.diagnostics) {
            let place = self.source.place(span);
            if name.is_empty() || name.contains(['=', '\0']) {
                let message = format!("`{}` cannot be the name of a variable", shown(&name));
                self.diagnostics.push(Diagnostic::new(codes::INVALID_VALUE, message).at(place));
                continue;
            }
            // Only remarks on secrets point here.
            self.origins.variables.insert(name.clone(), self.source.place_hidden(span));
            environment.environment_variables.insert(name, value);
        }
    }

    fn python(&mut self, fields: &mut Fields<'s>) -> Option<PythonRequest> {
        let (text, span) = fields.text("python", &mut self.diagnostics)?;
        let place = self.source.place(span);
        match text.parse::<PythonRequest>() {
            Ok(python) if python.major == 3 => {
                self.origins.python = Some(place);
                Some(python)
            }
            result => {
                let message = match result {
                    Ok(_) => format!("Python {} is not supported, only Python 3", shown(text)),
                    Err(message) => message,
                };
                // What stands in quotes already is told nothing of them.
                let column = place.span.column - 1;
                let written = place.line_text.as_deref().and_then(|line| line.chars().nth(column));
                let hint = if matches!(written, Some('"' | '\'')) {
                    "write one version of Python 3, e.g. `python: \"3.11\"`"
                } else {
                    "write it in quotes, e.g. `python: \"3.11\"`"
                };
                self.diagnostics
                    .push(Diagnostic::new(codes::INVALID_PYTHON, message).with_hint(hint).at(place));
                None
            }
        }
    }

    fn system_packages(&mut self, fields: &mut Fields<'s>) -> Vec<SystemPackage> {
        let mut packages: Vec<(SystemPackage, Place)> = Vec::new();
        for item in fields.list("system_packages", &mut self.diagnostics).unwrap_or_default() {
            let place = self.place(item);
            let Some(text) = item.text() else {
                let message = format!("a system package must be a text, not {}", item.kind_name());
                self.report(codes::WRONG_TYPE, item, message, None);
                continue;
            };
            match text.parse() {
                Ok(package) => packages.push((package, place)),
                Err(message) => {
                    let hint = "write `name` or `name=version`, as for apt-get";
                    self.report(codes::INVALID_SYSTEM_PACKAGE, item, message, Some(hint));
                }
            }
        }
        packages.sort_by(|(left, _), (right, _)| left.cmp(right));
        let (packages, places) = packages.into_iter().unzip();
        self.origins.system_packages = places;
        packages
    }

    fn platforms(&mut self, fields: &mut Fields<'s>) -> Vec<Platform> {
        let mut platforms = Vec::new();
        for item in fields.list("platforms", &mut self.diagnostics).unwrap_or_default() {
            match item.text().unwrap_or_default().parse::<Platform>() {
                Ok(platform) => platforms.push(platform),
                Err(error) => self.report(codes::INVALID_VALUE, item, error.to_string(), None),
            }
        }
        platforms.sort_unstable();
        platforms.dedup();
        platforms
    }

    fn virtual_packages(&mut self, fields: &mut Fields<'s>) -> Vec<VirtualPackage> {
        let mut packages: Vec<VirtualPackage> = Vec::new();
        for item in fields.list("virtual_packages", &mut self.diagnostics).unwrap_or_default() {
            let hint = Some("write name and version, e.g. `__cuda=12.4`");
            match item.text().unwrap_or_default().parse::<VirtualPackage>() {
                Ok(package) if packages.iter().any(|known| known.name == package.name) => {
                    let message = format!("`{}` is given twice", package.name);
                    self.report(codes::INVALID_VALUE, item, message, Some("keep one of them"));
                }
                Ok(package) => packages.push(package),
                Err(message) => self.report(codes::INVALID_VALUE, item, message, hint),
            }
        }
        packages.sort_unstable();
        packages
    }

    /// A list of lines of a requirements file, the path of one, or a mapping of both kinds of lines.
    fn pip(&mut self, fields: &mut Fields<'s>, pip: &mut PipReader) {
        let Some(node) = fields.node("pip") else { return };
        match &node.kind {
            Kind::Sequence(items) => self.pip_lines(items, pip, Role::Requirement),
            Kind::Mapping(_) => {
                let Some(mut lists) = Fields::new(self.source, node, "`pip`", &mut self.diagnostics) else {
                    return;
                };
                for (key, role) in [("requirements", Role::Requirement), ("constraints", Role::Constraint)] {
                    let items = lists.list(key, &mut self.diagnostics).unwrap_or_default();
                    self.pip_lines(items, pip, role);
                }
                lists.finish(&mut self.diagnostics);
            }
            Kind::Scalar(scalar) if scalar.text.contains('\n') => {
                let hint = "write one requirement per list item, or the path of a requirements file";
                self.report(codes::WRONG_TYPE, node, "`pip` must be a list or a path".to_owned(), Some(hint));
            }
            Kind::Scalar(scalar) => {
                pip.include(self.source, &scalar.text, self.place(node), Role::Requirement);
            }
        }
    }

    fn pip_lines(&mut self, items: &[Node], pip: &mut PipReader, role: Role) {
        for item in items {
            match item.text() {
                Some(text) if !text.trim().contains('\n') => {
                    pip.read_entry(self.source, text, item.span, role);
                }
                _ => {
                    let message =
                        format!("a requirement must be a text of one line, not {}", item.kind_name());
                    self.report(codes::WRONG_TYPE, item, message, None);
                }
            }
        }
    }
}
