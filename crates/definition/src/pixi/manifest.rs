//! `pixi.toml`, or `tool.pixi` of `pyproject.toml`: the environment `default`.
//!
//! A dependency under a `target` replaces the one of the same name beside it; features of the environment add theirs.

use std::collections::HashMap;

use super::dependencies::{self, Kept};
use crate::conda;
use crate::document::{Fields, Kind, Node};
use crate::lock_reader::listed;
use crate::pip::{PipReader, absolute_folder};
use crate::python::uv_sources::{add_index, add_links};
use crate::read::{Format, ReadEnvironment, Reading};
use crate::recognise::value_of;
use crate::secrets::shown;
use crate::{CondaChannel, Diagnostic, Place, Platform, Remarks, Source, Span, VirtualPackage, codes};

pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    let mut read = ReadEnvironment::new(Format::PixiManifest, source);
    let mut reader = Reader {
        source,
        folder: absolute_folder(source),
        diagnostics: Remarks::default(),
        pip: PipReader::default(),
        platforms: Vec::new(),
    };
    let embedded = value_of(node, "tool").and_then(|tool| value_of(tool, "pixi"));
    reader.manifest(embedded.unwrap_or(node), embedded.and_then(|_| value_of(node, "project")), &mut read);
    reader.pip.finish();
    let mut diagnostics = reader.diagnostics;
    diagnostics.extend(read.take_pip(reader.pip));
    (read, diagnostics)
}

pub(super) struct Reader<'s> {
    pub source: &'s Source,
    pub folder: std::path::PathBuf,
    pub diagnostics: Remarks,
    pub pip: PipReader,
    /// Those that images can be made for.
    pub platforms: Vec<Platform>,
}

/// Tables of a manifest.
const TABLES: &[&str] = &[
    "$schema",
    "activation",
    "build-dependencies",
    "constraints",
    "dependencies",
    "dev",
    "environments",
    "feature",
    "host-dependencies",
    "package",
    "project",
    "pypi-dependencies",
    "pypi-options",
    "system-requirements",
    "target",
    "tasks",
    "tool",
    "workspace",
];

/// The parts of a manifest that make the environment, the default feature last.
type Features<'n> = Vec<&'n Node>;

impl<'s> Reader<'s> {
    pub fn report(&mut self, code: &'static codes::Code, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(code, message).at(self.source.place(span)));
    }

    fn manifest(&mut self, node: &'s Node, project: Option<&'s Node>, read: &mut ReadEnvironment) {
        let Some(workspace) = value_of(node, "workspace").or_else(|| value_of(node, "project")) else {
            let message = "there is no `[workspace]` in this manifest";
            return self.report(codes::UNSUPPORTED_FORMAT, node.span, message);
        };
        let name =
            value_of(workspace, "name").or_else(|| project.and_then(|project| value_of(project, "name")));
        if let Some((text, span)) = name.and_then(|name| Some((name.text()?, name.span))) {
            read.environment.name = Some(text.to_owned());
            read.origins.name = Some(self.source.place(span));
        }
        read.environment.description =
            value_of(workspace, "description").and_then(Node::text).map(str::to_owned);
        if let Some(mut fields) = Fields::new(self.source, node, "the manifest", &mut self.diagnostics) {
            for key in TABLES {
                let _ = fields.entry(key);
            }
            fields.finish_leniently("pixi knows no such table", &mut self.diagnostics);
        }
        let features = self.features(node);
        self.read_platforms(workspace);
        (read.environment.definition.conda.channels, read.origins.channels) =
            self.channels(&features, workspace).into_iter().unzip();
        let mut conda = Vec::new();
        for feature in &features {
            conda.extend(dependencies::of(self, feature, dependencies::CONDA));
        }
        for kept in &conda {
            if let Some(package) = dependencies::conda(self, kept) {
                read.environment.definition.conda.packages.push(package);
                read.origins.conda.push(self.source.place(kept.node.span));
            }
        }
        if let Some(project) = project {
            self.project(project, &conda, read);
        }
        for feature in &features {
            for kept in dependencies::of(self, feature, &["pypi-dependencies"]) {
                dependencies::pypi(self, &kept);
            }
            self.pypi_options(feature);
            self.activation(feature, read);
            self.system_requirements(feature, read);
        }
        self.pypi_options(workspace);
        self.without_effect(&features, node);
        read.environment.definition.platforms.clone_from(&self.platforms);
    }

    /// What packages may count on, as virtual packages: of two features the later one wins.
    fn system_requirements(&mut self, feature: &'s Node, read: &mut ReadEnvironment) {
        let Some(Node { kind: Kind::Mapping(pairs), .. }) = value_of(feature, "system-requirements") else {
            return;
        };
        for (key, value) in pairs {
            let version = value_of(value, "version").unwrap_or(value);
            let family = value_of(value, "family").and_then(Node::text).unwrap_or("glibc");
            let declared = match (key.text().unwrap_or_default(), version.text()) {
                ("cuda", Some(version)) => format!("__cuda={version}"),
                ("linux", Some(version)) => format!("__linux={version}"),
                ("libc", Some(version)) => format!("__{family}={version}"),
                ("archspec", Some(name)) => format!("__archspec=1={name}"),
                ("macos", _) => continue,
                (name, _) => {
                    let message = format!("`{}` in `system-requirements` has no effect", shown(name));
                    self.report(codes::NOT_HONOURED, key.span, message);
                    continue;
                }
            };
            match declared.parse::<VirtualPackage>() {
                Ok(package) => {
                    let packages = &mut read.environment.definition.conda.virtual_packages;
                    packages.retain(|known| known.name != package.name);
                    packages.push(package);
                    packages.sort_unstable();
                }
                Err(message) => self.report(codes::INVALID_VALUE, value.span, message),
            }
        }
    }

    /// The features of the environment `default`.
    fn features(&mut self, node: &'s Node) -> Features<'s> {
        let mut features = Vec::new();
        let mut with_default = true;
        let mut others = Vec::new();
        if let Some(Node { kind: Kind::Mapping(pairs), span, .. }) = value_of(node, "environments") {
            for (name, environment) in pairs {
                if name.text() != Some("default") {
                    others.push(name.text().unwrap_or_default().to_owned());
                    continue;
                }
                let list = value_of(environment, "features").unwrap_or(environment);
                with_default =
                    value_of(environment, "no-default-feature").and_then(Node::as_bool) != Some(true);
                let Kind::Sequence(items) = &list.kind else { continue };
                for item in items {
                    let name = item.text().unwrap_or_default();
                    let feature = value_of(node, "feature").and_then(|all| value_of(all, name));
                    if feature.is_none() {
                        let message = format!("there is no feature `{}`", shown(name));
                        self.report(codes::INVALID_VALUE, item.span, message);
                    }
                    features.extend(feature);
                }
            }
            if !others.is_empty() {
                let message = format!("environments not installed: {}", listed(&others));
                self.report(codes::LEFT_OUT, *span, message);
            }
        }
        if with_default {
            features.push(node);
        }
        features
    }

    fn read_platforms(&mut self, workspace: &Node) {
        let mut others = Vec::new();
        let list = value_of(workspace, "platforms");
        if let Some(Node { kind: Kind::Sequence(items), .. }) = list {
            for item in items {
                // A platform may have a name of its own.
                let named = value_of(item, "platform").or_else(|| value_of(item, "name")).unwrap_or(item);
                let text = named.text().unwrap_or_default();
                match text.parse() {
                    Ok(platform) => self.platforms.push(platform),
                    Err(_) => others.push(text.to_owned()),
                }
            }
        }
        self.platforms.sort_unstable();
        self.platforms.dedup();
        let span = list.map_or(workspace.span, |list| list.span);
        if self.platforms.is_empty() && !others.is_empty() {
            let message = format!("this is for {} only, and images are for Linux", listed(&others));
            let problem = Diagnostic::new(codes::NOT_SUPPORTED, message).with_hint("add `linux-64`");
            self.diagnostics.push(problem.at(self.source.place(span)));
        } else if !others.is_empty() {
            self.report(codes::LEFT_OUT, span, format!("platforms left out: {}", listed(&others)));
        }
        if self.platforms.is_empty() {
            self.platforms.push(Platform::default());
        }
    }

    /// Channels of all features, those of higher priority first.
    fn channels(&mut self, features: &Features<'s>, workspace: &'s Node) -> Vec<(CondaChannel, Place)> {
        let mut found: Vec<(i64, CondaChannel, Place)> = Vec::new();
        for part in features.iter().copied().chain([workspace]) {
            let Some(Node { kind: Kind::Sequence(items), .. }) = value_of(part, "channels") else { continue };
            for item in items {
                let named = value_of(item, "channel").unwrap_or(item);
                let Some(text) = named.text() else {
                    self.report(codes::INVALID_CHANNEL, item.span, "a channel is a text");
                    continue;
                };
                let priority = value_of(item, "priority").and_then(Node::text);
                let priority = priority.and_then(|text| text.parse().ok()).unwrap_or(0);
                match conda::channel_of(text, &self.folder) {
                    Ok(Some(channel)) if found.iter().all(|(_, known, _)| *known != channel) => {
                        found.push((priority, channel, self.source.place(named.span)));
                    }
                    Ok(_) => {}
                    Err(error) => self.refuse(named.span, error),
                }
            }
        }
        found.sort_by_key(|(priority, ..)| std::cmp::Reverse(*priority));
        found.into_iter().map(|(_, channel, place)| (channel, place)).collect()
    }

    pub fn refuse(&mut self, span: Span, error: crate::RequirementError) {
        let problem = Diagnostic::new(error.code, error.message).at(self.source.place(span));
        self.diagnostics.push(Diagnostic { hint: error.hint, ..problem });
    }

    /// `[project]` of `pyproject.toml`: pixi takes its dependencies, and Python within its bounds.
    fn project(&mut self, project: &'s Node, conda: &[Kept<'_>], read: &mut ReadEnvironment) {
        if let Some(Node { kind: Kind::Sequence(items), .. }) = value_of(project, "dependencies") {
            for item in items {
                match item.text() {
                    Some(text) => self.pip.read_requirement(self.source, text, item.span, false),
                    None => self.report(codes::WRONG_TYPE, item.span, "a dependency must be a text"),
                }
            }
        }
        let python = value_of(project, "requires-python").and_then(|node| Some((node.text()?, node.span)));
        if let Some((text, span)) = python.filter(|_| conda.iter().all(|kept| kept.name != "python")) {
            match conda::spec_of(&format!("python {text}"), &self.folder) {
                Ok(spec) => {
                    let package = crate::CondaRequirement { spec: spec.to_string(), platforms: Vec::new() };
                    read.environment.definition.conda.packages.push(package);
                    read.origins.conda.push(self.source.place(span));
                }
                Err(error) => self.refuse(span, error),
            }
        }
    }

    fn pypi_options(&mut self, part: &Node) {
        let Some(options) = value_of(part, "pypi-options") else { return };
        let items = |key| match value_of(options, key) {
            Some(Node { kind: Kind::Sequence(items), .. }) => items.iter().collect(),
            Some(node) => vec![node],
            None => Vec::new(),
        };
        for (key, replaces) in [("index-url", true), ("extra-index-urls", false)] {
            for item in items(key) {
                if let Some(text) = item.text() {
                    add_index(self.source, (text, item.span), replaces, &mut self.pip, &mut self.diagnostics);
                }
            }
        }
        if let Kind::Mapping(pairs) = &options.kind {
            for (key, _) in pairs {
                let name = key.text().unwrap_or_default();
                if !matches!(name, "index-url" | "extra-index-urls" | "find-links") {
                    let message = format!("`{}` of `pypi-options` has no effect", shown(name));
                    self.report(codes::NOT_HONOURED, key.span, message);
                }
            }
        }
        for item in items("find-links") {
            let place = value_of(item, "url").or_else(|| value_of(item, "path")).unwrap_or(item);
            if let Some(text) = place.text() {
                add_links(self.source, (text, place.span), &mut self.pip, &mut self.diagnostics);
            }
        }
    }

    /// Variables that are set when the environment is activated.
    fn activation(&mut self, part: &Node, read: &mut ReadEnvironment) {
        let mut tables: Vec<&Node> = value_of(part, "activation").into_iter().collect();
        for target in dependencies::targets(part, &self.platforms) {
            tables.extend(value_of(target, "activation"));
        }
        let mut variables: HashMap<&str, &Node> = HashMap::new();
        for table in tables {
            if let Some(scripts) = value_of(table, "scripts") {
                let message = "activation scripts have no effect: only variables are set";
                self.report(codes::NOT_HONOURED, scripts.span, message);
            }
            let Some(Node { kind: Kind::Mapping(pairs), .. }) = value_of(table, "env") else { continue };
            for (name, value) in pairs {
                let name = name.text().unwrap_or_default();
                if name.is_empty() || name.contains(['=', '\0']) {
                    let message = format!("`{}` cannot be the name of a variable", shown(name));
                    self.report(codes::INVALID_VALUE, value.span, message);
                } else if let Some(text) = value.text() {
                    if text.contains('$') {
                        let message =
                            format!("`{}` is kept as it is written: nothing is filled in", shown(name));
                        self.diagnostics.push(
                            Diagnostic::new(codes::NOT_HONOURED, message)
                                .at(self.source.place_hidden(value.span)),
                        );
                    }
                    variables.insert(name, value);
                }
            }
        }
        let mut variables: Vec<_> = variables.into_iter().collect();
        variables.sort_by_key(|(_, value)| (value.span.line, value.span.column));
        for (name, value) in variables {
            read.origins.variables.insert(name.to_owned(), self.source.place_hidden(value.span));
            let text = value.text().unwrap_or_default().to_owned();
            read.environment.environment_variables.entry(name.to_owned()).or_insert(text);
        }
    }

    fn without_effect(&mut self, features: &Features<'s>, node: &Node) {
        for feature in features {
            for (key, reason) in [
                ("constraints", "packages that only come along are not bounded"),
                ("dev", "packages of the workspace are not built"),
            ] {
                if let Some(part) = value_of(feature, key) {
                    let message = format!("`{key}` has no effect: {reason}");
                    self.report(codes::NOT_HONOURED, part.span, message);
                }
            }
        }
        if let Some(package) = value_of(node, "package") {
            let message = "`package` has no effect: the project itself is not built";
            self.report(codes::NOT_HONOURED, package.span, message);
        }
        if let Some(Node { kind: Kind::Mapping(pairs), span, .. }) = value_of(node, "tasks") {
            let names: Vec<String> =
                pairs.iter().filter_map(|(name, _)| name.text().map(str::to_owned)).collect();
            if !names.is_empty() {
                self.report(codes::LEFT_OUT, *span, format!("tasks left out: {}", listed(&names)));
            }
        }
    }
}
