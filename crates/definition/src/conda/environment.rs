//! `environment.yml`.

use std::collections::HashMap;
use std::path::PathBuf;

use indexmap::IndexMap;

use super::channel;
use super::dependencies::Selected;
use crate::document::{Fields, Kind, Node};
use crate::pip::{LogicalLine, PipReader, absolute_folder};
use crate::read::{Format, ReadEnvironment, Reading};
use crate::secrets::{shown, template_start};
use crate::{CondaRequirements, Diagnostic, Place, Platform, Remarks, Source, codes};

/// What a conda environment file says, alone or as a part of another file. What stands in its `pip:` sections went to
/// the [`PipReader`] that the reader was given.
#[derive(Debug, Default)]
pub(crate) struct CondaFile {
    /// Channels and packages.
    pub conda: CondaRequirements,
    /// Where each channel stands.
    pub channel_places: Vec<Place>,
    /// Where each package stands.
    pub package_places: Vec<Place>,
    /// `name`, with its place.
    pub name: Option<(String, Place)>,
    /// `variables`.
    pub variables: IndexMap<String, String>,
    /// Where the values of `variables` stand; for remarks on secrets only, their lines are hidden from there on.
    pub variable_places: HashMap<String, Place>,
    /// `platforms`, those that images can be made for.
    pub platforms: Vec<Platform>,
    /// All there is to say about it, `pip:` sections apart.
    pub diagnostics: Remarks,
    said_full: bool,
}

/// Reads the conda environment that the mapping `node` of `source` holds; lines of its `pip:` sections go to `pip`, whose
/// `finish` is left to the caller. Relative paths start from the folder of `source`.
pub(crate) fn read_conda_file(source: &Source, node: &Node, pip: &mut PipReader) -> CondaFile {
    let mut reader = Reader {
        source,
        folder: absolute_folder(source),
        pip,
        file: CondaFile::default(),
        pip_section: None,
    };
    let mut diagnostics = Remarks::default();
    if let Some(mut fields) = Fields::new(source, node, "a conda environment", &mut diagnostics) {
        reader.file.diagnostics = diagnostics;
        reader.name(&mut fields);
        reader.channels(&mut fields);
        reader.platforms(&mut fields);
        reader.variables(&mut fields);
        reader.dependencies(&mut fields);
        reader.idle_channels();
        // Where the file's writer had it; conda reads over it too.
        let _prefix = fields.entry("prefix");
        let misplaced = fields.entry("pip").filter(|(_, value)| !value.is_null());
        if let Some((key, _)) = misplaced {
            let hint = "put it among the dependencies: `- pip:` with its list below";
            reader.report(codes::NOT_HONOURED, key, "`pip` has no effect here, as for conda", Some(hint));
        }
        fields.finish_leniently("conda reads over it too", &mut reader.file.diagnostics);
    } else {
        reader.file.diagnostics = diagnostics;
    }
    reader.file
}

/// More packages than any environment has.
const MAX_PACKAGES: usize = 20_000;

impl CondaFile {
    /// Whether one more package is too many, or so much is wrong that none need be read; says so the first time.
    pub(super) fn is_full(&mut self, place: impl FnOnce() -> Place) -> bool {
        let hopeless = self.diagnostics.is_hopeless();
        let full = hopeless || self.conda.packages.len() >= MAX_PACKAGES;
        if full && !self.said_full {
            self.said_full = true;
            let message = if hopeless {
                "so much is wrong that nothing from here on was read".to_owned()
            } else {
                format!("more than {MAX_PACKAGES} packages")
            };
            self.diagnostics.push(Diagnostic::new(codes::TOO_LARGE, message).at(place()));
        }
        full
    }

    /// Puts all of it into `read`, whose own name, variables and platforms win; gives back the diagnostics.
    pub fn put_into(self, read: &mut ReadEnvironment) -> Remarks {
        let environment = &mut read.environment;
        if let (None, Some((name, place))) = (&environment.name, self.name) {
            environment.name = Some(name);
            read.origins.name = Some(place);
        }
        for (name, value) in self.variables {
            environment.environment_variables.entry(name).or_insert(value);
        }
        for (name, place) in self.variable_places {
            read.origins.variables.entry(name).or_insert(place);
        }
        if environment.definition.platforms.is_empty() {
            environment.definition.platforms = self.platforms;
        }
        let virtual_packages = std::mem::take(&mut environment.definition.conda.virtual_packages);
        environment.definition.conda = CondaRequirements { virtual_packages, ..self.conda };
        read.origins.channels = self.channel_places;
        read.origins.conda = self.package_places;
        self.diagnostics
    }
}

pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    let mut read = ReadEnvironment::new(Format::CondaEnvironment, source);
    let mut pip = PipReader::default();
    let mut diagnostics = read_conda_file(source, node, &mut pip).put_into(&mut read);
    pip.finish();
    diagnostics.extend(read.take_pip(pip));
    (read, diagnostics)
}

/// What is being read.
pub(super) struct Reader<'s, 'p> {
    pub source: &'s Source,
    pub folder: PathBuf,
    pub pip: &'p mut PipReader,
    pub file: CondaFile,
    /// The key of the first `pip:` section.
    pub pip_section: Option<&'s Node>,
}

impl<'s> Reader<'s, '_> {
    pub fn report(
        &mut self,
        code: &'static codes::Code,
        node: &Node,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        let diagnostic = Diagnostic::new(code, message).at(self.source.place(node.span));
        self.file.diagnostics.push(Diagnostic { hint: hint.map(str::to_owned), ..diagnostic });
    }

    fn name(&mut self, fields: &mut Fields<'s>) {
        let Some((text, span)) = fields.text("name", &mut self.file.diagnostics) else { return };
        let place = self.source.place(span);
        if template_start(text).is_some() {
            let diagnostic =
                Diagnostic::new(codes::TEMPLATE, "`name` holds a template that was not filled in");
            self.file.diagnostics.push(diagnostic.with_hint("fill the template in first").at(place));
        } else if !text.is_empty() {
            self.file.name = Some((text.to_owned(), place));
        }
    }

    /// With a misspelt `dependencies` nothing would be installed, and nobody would know before a script fails.
    fn idle_channels(&mut self) {
        let file = &mut self.file;
        let asked = !file.conda.packages.is_empty() || self.pip_section.is_some();
        if let Some(place) = file.channel_places.first().filter(|_| !asked) {
            let message = "the channels have no effect: no package is asked for";
            let hint = "list the packages under `dependencies`";
            let place = place.clone();
            file.diagnostics.push(Diagnostic::new(codes::NOT_HONOURED, message).with_hint(hint).at(place));
        }
    }

    fn channels(&mut self, fields: &mut Fields<'s>) {
        let Some(node) = fields.node("channels") else { return };
        let Kind::Sequence(items) = &node.kind else {
            let diagnostic = fields.wrong_type("channels", "a list", node);
            self.file.diagnostics.push(diagnostic.with_hint("begin each channel with `- `"));
            return;
        };
        for item in items {
            let Some(text) = item.text() else {
                let message = format!("a channel must be a text, not {}", item.kind_name());
                self.report(codes::WRONG_TYPE, item, message, None);
                continue;
            };
            let line = LogicalLine::at(self.source, text, item.span);
            match channel::parse(&line.text, &self.folder) {
                Ok(given) => {
                    if given.subdir.is_some() {
                        let message =
                            "the folder of a channel is left out: each platform takes its own and `noarch`";
                        self.report(codes::READ_OTHERWISE, item, message, None);
                    }
                    if let Some(channel) = given.channel {
                        self.file.conda.channels.push(channel);
                        self.file.channel_places.push(line.place(0, line.text.len()));
                    }
                }
                Err(error) => self.file.diagnostics.push(super::refused(&line, error)),
            }
        }
    }

    fn platforms(&mut self, fields: &mut Fields<'s>) {
        for item in fields.list("platforms", &mut self.file.diagnostics).unwrap_or_default() {
            let text = item.text().unwrap_or_default();
            match text.parse::<Platform>() {
                Ok(platform) => self.file.platforms.push(platform),
                Err(_) if channel::is_subdir(text) => {
                    let message =
                        format!("`{}` is left out: images are for Linux on x86-64 and ARM", shown(text));
                    self.report(codes::OTHER_SYSTEM, item, message, None);
                }
                Err(error) => self.report(codes::INVALID_VALUE, item, shown(&error.to_string()), None),
            }
        }
        self.file.platforms.sort_unstable();
        self.file.platforms.dedup();
    }

    fn variables(&mut self, fields: &mut Fields<'s>) {
        for (name, (value, span)) in fields.texts("variables", &mut self.file.diagnostics) {
            if name.is_empty() || name.contains(['=', '\0']) {
                let message = format!("`{}` cannot be the name of a variable", shown(&name));
                let place = self.source.place(span);
                self.file.diagnostics.push(Diagnostic::new(codes::INVALID_VALUE, message).at(place));
                continue;
            }
            // Only remarks on secrets point here.
            self.file.variable_places.insert(name.clone(), self.source.place_hidden(span));
            self.file.variables.insert(name, value);
        }
    }

    fn dependencies(&mut self, fields: &mut Fields<'s>) {
        let Some(node) = fields.node("dependencies") else { return };
        let Kind::Sequence(items) = &node.kind else {
            let diagnostic = fields.wrong_type("dependencies", "a list", node);
            self.file.diagnostics.push(diagnostic.with_hint("begin each package with `- `"));
            return;
        };
        for item in items {
            self.dependency(item, &Selected::everywhere());
        }
    }
}
