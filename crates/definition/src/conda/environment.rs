//! `environment.yml`.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::document::Node;
use crate::pip::PipReader;
use crate::read::{Format, ReadEnvironment, Reading};
use crate::{CondaRequirements, Diagnostic, Place, Platform, Source, codes};

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
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the conda environment that the mapping `node` of `source` holds; lines of its `pip:` sections go to `pip`, whose
/// `finish` is left to the caller. Relative paths start from the folder of `source`.
pub(crate) fn read_conda_file(source: &Source, node: &Node, pip: &mut PipReader) -> CondaFile {
    let (_, _) = (node, pip);
    let problem = Diagnostic::new(codes::UNSUPPORTED_FORMAT, "not read yet").in_file(source.path());
    CondaFile { diagnostics: vec![problem], ..CondaFile::default() }
}

impl CondaFile {
    /// Puts all of it into `read`, whose own name, variables and platforms win; gives back the diagnostics.
    pub fn put_into(self, read: &mut ReadEnvironment) -> Vec<Diagnostic> {
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
        environment.definition.conda = self.conda;
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
