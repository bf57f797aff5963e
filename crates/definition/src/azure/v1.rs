//! Azure ML v1: `azureml_environment.json` with the files beside it, what the service answers, and the `environment` of
//! a run configuration.

mod conda;
mod docker;

use super::keys::lower_first;
use crate::document::{Fields, Node};
use crate::pip::PipReader;
use crate::read::{Format, ReadEnvironment, Reading};
use crate::recognise::value_of;
use crate::secrets::shown;
use crate::sections::{RKeys, Sections, r_packages, spark_packages};
use crate::{Diagnostic, Remarks, Source, Span, codes};

const R_KEYS: &RKeys = &RKeys {
    version: "rVersion",
    user_managed: "userManaged",
    rscript_path: "rscriptPath",
    snapshot_date: "snapshotDate",
    cran: "cranPackages",
    github: "githubPackages",
    urls: "customUrlPackages",
    bioconductor: "bioconductorPackages",
};

/// The file that the SDK writes, beside which there may be others.
const FILE_NAME: &str = "azureml_environment.json";

pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    // In a run configuration the environment is one of many things.
    let node = value_of(node, "environment").unwrap_or(node);
    let node = lower_first(node);
    let mut diagnostics = Remarks::default();
    let mut reader = Reader {
        read: ReadEnvironment::new(Format::AzureV1, source),
        pip: PipReader::default(),
        sections: Sections { source, diagnostics: &mut diagnostics, lenient: true },
    };
    if let Some(fields) = reader.sections.fields(&node, "an environment") {
        reader.fields(fields);
    }
    let Reader { mut read, mut pip, .. } = reader;
    pip.finish();
    diagnostics.extend(read.take_pip(pip));
    (read, diagnostics)
}

struct Reader<'s, 'd> {
    read: ReadEnvironment,
    pip: PipReader,
    sections: Sections<'s, 'd>,
}

impl<'s> Reader<'s, '_> {
    fn fields(&mut self, mut fields: Fields<'s>) {
        if let Some((name, node)) = self.sections.text(&mut fields, "name") {
            self.read.environment.name = Some(name);
            self.read.origins.name = Some(self.sections.source.place(node.span));
        }
        if let Some((version, node)) = self.sections.text(&mut fields, "version") {
            self.read.environment.version = Some(version);
            self.read.origins.version = Some(self.sections.source.place(node.span));
        }
        let description = self.sections.text(&mut fields, "description");
        self.read.environment.description = description.map(|(text, _)| text);
        let tags = fields.texts("tags", self.sections.diagnostics);
        self.read.environment.tags = tags.into_iter().map(|(name, (value, _))| (name, value)).collect();
        self.variables(&mut fields);
        // The service's own name for it.
        let _asset = fields.entry("assetId");
        let context = fields
            .peek("docker")
            .is_some_and(|docker| value_of(docker, "buildContext").is_some_and(|node| !node.is_null()));
        if let Some(node) = fields.node("python") {
            self.python(node);
            self.wanted_there(context, fields.span());
        } else {
            self.conda(None, None);
            let message = "Azure ML wants a `python` section";
            let hint =
                "add `\"python\": {\"userManagedDependencies\": true}` where the image has all packages";
            self.refused_there(message, hint, fields.span());
        }
        let docker = fields.node("docker");
        self.docker(docker);
        if let Some(node) = fields.node("spark") {
            self.read.environment.definition.spark =
                spark_packages(&mut self.sections, node, "precachePackages");
        }
        if let Some(node) = fields.node("r") {
            self.read.environment.definition.r = r_packages(&mut self.sections, node, R_KEYS);
        }
        if let Some(node) = fields.node("databricks") {
            self.databricks(node);
        }
        self.other_than(
            &mut fields,
            "inferencingStackVersion",
            &[],
            "no serving software is added to the image",
        );
        self.other_than(
            &mut fields,
            "autoRebuild",
            &["Disabled"],
            "nothing is rebuilt unasked: `provenv upgrade` does it",
        );
        self.sections.finish(fields);
    }

    fn variables(&mut self, fields: &mut Fields<'s>) {
        for (name, (value, span)) in fields.texts("environmentVariables", self.sections.diagnostics) {
            if name.is_empty() || name.contains(['=', '\0']) {
                let message = format!("`{}` cannot be the name of a variable", shown(&name));
                let place = self.sections.source.place(span);
                self.sections.diagnostics.push(Diagnostic::new(codes::INVALID_VALUE, message).at(place));
                continue;
            }
            // Only remarks on secrets point here.
            let place = self.sections.source.place_hidden(span);
            self.read.origins.variables.insert(name.clone(), place);
            self.read.environment.environment_variables.insert(name, value);
        }
    }

    /// What Azure ML misses of conda packages, unless they are there already or a build context brings them.
    fn wanted_there(&mut self, context: bool, span: Span) {
        let definition = &self.read.environment.definition;
        if definition.user_managed || context {
            return;
        }
        let packages = &definition.conda.packages;
        let is_python = |package: &crate::CondaRequirement| {
            package.spec.parse::<crate::CondaSpec>().is_ok_and(|spec| spec.name == "python")
        };
        if packages.is_empty() && self.pip.pip.requirements.is_empty() {
            let message = "Azure ML wants conda packages: `userManagedDependencies` is not set";
            let hint = "set it where the image has all packages, or name at least Python";
            self.refused_there(message, hint, span);
        } else if !packages.iter().any(is_python) && self.pip.pip.requirements.is_empty() {
            // With packages of pip, the check of every conda file says it.
            let remark =
                Diagnostic::new(codes::PYTHON_MISSING, "nothing says which Python the packages are for")
                    .with_hint("add e.g. `python=3.11` to `dependencies`");
            let place = self.read.origins.conda.first().cloned();
            let place = place.unwrap_or_else(|| self.sections.source.place(span));
            self.read.origins.noticed.push(remark.at(place));
        }
    }

    fn refused_there(&mut self, message: impl Into<String>, hint: &str, span: Span) {
        let remark = Diagnostic::new(codes::AZURE_REFUSES, message).with_hint(hint);
        self.read.origins.noticed.push(remark.at(self.sections.source.place(span)));
    }

    fn databricks(&mut self, node: &'s Node) {
        let Some(mut fields) = self.sections.fields(node, "`databricks`") else { return };
        for key in ["mavenLibraries", "pypiLibraries", "rcranLibraries", "jarLibraries", "eggLibraries"] {
            self.other_than(
                &mut fields,
                key,
                &[],
                "libraries of Databricks are installed by Databricks alone",
            );
        }
        self.sections.finish(fields);
    }

    /// Warns of the value of `key` unless it is null, empty or one of `defaults`.
    fn other_than(&mut self, fields: &mut Fields<'s>, key: &'static str, defaults: &[&str], why: &str) {
        let Some((name, value)) = fields.entry(key) else { return };
        if is_empty(value) || value.text().is_some_and(|text| defaults.contains(&text)) {
            return;
        }
        self.sections.report(codes::NOT_HONOURED, name, format!("`{key}` is not kept: {why}"), None);
    }
}

/// Nothing, or a collection of nothing.
fn is_empty(node: &Node) -> bool {
    use crate::document::Kind;
    match &node.kind {
        Kind::Scalar(scalar) => node.is_null() || scalar.text.is_empty(),
        Kind::Sequence(items) => items.iter().all(is_empty),
        Kind::Mapping(entries) => entries.iter().all(|(_, value)| is_empty(value)),
    }
}
