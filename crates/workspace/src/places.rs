//! Errors of a resolution, with the places in the user's file that they are about.

use provenv_definition::{Definition, Format, Origins, Place, Platform};
use serde::{Deserialize, Serialize};

use crate::environments::Given;
use crate::{Error, RemoteError};

/// More would hide the message.
const MOST_PLACES: usize = 4;

/// A part of a definition that an error is about, by its position from 0 where it is one of several. What a server says of a
/// definition that came without its file, and whoever has the file finds in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// One of `pip.requirements`.
    Requirement(usize),
    /// One of `pip.constraints`.
    Constraint(usize),
    /// One of `conda.channels`.
    Channel(usize),
    /// One of `conda.packages`.
    CondaPackage(usize),
    /// One of `system_packages`.
    SystemPackage(usize),
    /// The instruction of the Dockerfile that begins at this line, from 1.
    Step(usize),
    /// `python`.
    Python,
    /// What it stands on.
    Base,
}

impl Part {
    fn place(self, origins: &Origins) -> Option<&Place> {
        match self {
            Self::Requirement(at) => origins.requirements.get(at),
            Self::Constraint(at) => origins.constraints.get(at),
            Self::Channel(at) => origins.channels.get(at),
            Self::CondaPackage(at) => origins.conda.get(at),
            Self::SystemPackage(at) => origins.system_packages.get(at),
            Self::Step(line) => origins.step(line).or(origins.base.as_ref()),
            Self::Python => origins.python.as_ref(),
            Self::Base => origins.base.as_ref(),
        }
    }
}

impl Error {
    /// Adds where the parts of `definition` stand that this is about, if it is about any, and in a file of what format.
    #[must_use]
    pub fn located(self, definition: &Definition, origins: &Origins, format: Option<Format>) -> Self {
        // Remarks have places of their own.
        if matches!(self, Self::Definition(_)) {
            return self;
        }
        let mut parts = self.concerns(definition);
        parts.truncate(MOST_PLACES);
        let places = parts.iter().filter_map(|part| part.place(origins)).cloned().collect();
        Self::Located { parts, places, warnings: Vec::new(), format, error: Box::new(self) }
    }

    /// The same of an environment that was given, with what else there is to say of its file.
    pub(crate) fn of(self, given: &Given) -> Self {
        match self.located(&given.environment.definition, &given.origins, given.format) {
            Self::Located { parts, places, format, error, .. } => {
                Self::Located { parts, places, warnings: given.warnings.clone(), format, error }
            }
            error => error,
        }
    }

    /// Says which of several platforms it is about. `elsewhere` tells whether another one has a conda package.
    pub(crate) fn on(self, platform: Platform, elsewhere: impl FnOnce(&str) -> Option<Platform>) -> Self {
        let elsewhere = match &self {
            Self::Conda(provenv_lock::conda::Error::NoPackage { name, .. }) => elsewhere(name),
            _ => None,
        };
        Self::OnPlatform { platform, elsewhere, error: Box::new(self) }
    }

    /// The parts of a definition that it is about, if it is about any.
    fn concerns(&self, definition: &Definition) -> Vec<Part> {
        let all = |at: Vec<usize>, part: fn(usize) -> Part| at.into_iter().map(part).collect::<Vec<_>>();
        match self {
            Self::OnPlatform { error, .. } => error.concerns(definition),
            Self::Pypi(error) => {
                let parts = all(error.concerns(&definition.pip.requirements), Part::Requirement);
                if parts.is_empty() {
                    all(error.concerns(&definition.pip.constraints), Part::Constraint)
                } else {
                    parts
                }
            }
            Self::Conda(error) => {
                let parts = all(error.concerns_channels(&definition.conda), Part::Channel);
                if parts.is_empty() {
                    all(error.concerns(&definition.conda), Part::CondaPackage)
                } else {
                    parts
                }
            }
            Self::Debian(provenv_lock::debian::Error::NoPython { .. }) => vec![Part::Python],
            Self::Debian(error) => {
                let asked = |name| definition.system_packages.iter().position(|package| package.name == name);
                error.system_package().and_then(asked).map(Part::SystemPackage).into_iter().collect()
            }
            Self::Dockerfile(error) => vec![error.line().map_or(Part::Base, Part::Step)],
            Self::Registry(_)
            | Self::Reference(_)
            | Self::Image(provenv_image::Error::Base(_))
            | Self::Base { .. } => vec![Part::Base],
            Self::Remote(error) => match &**error {
                RemoteError::Problem { concerns, .. } => concerns.clone(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}
