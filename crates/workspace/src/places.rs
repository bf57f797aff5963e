//! Errors of a resolution, with the places in the user's file that they are about.

use provenv_definition::{Definition, Format, Origins, Place, Platform};

use crate::Error;
use crate::environments::Given;

/// More would hide the message.
const MOST_PLACES: usize = 4;

impl Error {
    /// Adds where the parts of `definition` stand that this is about, if it is about any, and in a file of what format.
    #[must_use]
    pub fn located(self, definition: &Definition, origins: &Origins, format: Option<Format>) -> Self {
        // Remarks have places of their own.
        if matches!(self, Self::Definition(_)) {
            return self;
        }
        let mut places = self.places(definition, origins);
        places.truncate(MOST_PLACES);
        Self::Located { places, warnings: Vec::new(), format, error: Box::new(self) }
    }

    /// The same of an environment that was given, with what else there is to say of its file.
    pub(crate) fn of(self, given: &Given) -> Self {
        match self.located(&given.environment.definition, &given.origins, given.format) {
            Self::Located { places, format, error, .. } => {
                Self::Located { places, warnings: given.warnings.clone(), format, error }
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

    fn places(&self, definition: &Definition, origins: &Origins) -> Vec<Place> {
        let pick = |at: Vec<usize>, places: &[Place]| -> Vec<Place> {
            at.into_iter().filter_map(|at| places.get(at).cloned()).collect()
        };
        match self {
            Self::OnPlatform { error, .. } => error.places(definition, origins),
            Self::Pypi(error) => {
                let places = pick(error.concerns(&definition.pip.requirements), &origins.requirements);
                if places.is_empty() {
                    pick(error.concerns(&definition.pip.constraints), &origins.constraints)
                } else {
                    places
                }
            }
            Self::Conda(error) => {
                let places = pick(error.concerns_channels(&definition.conda), &origins.channels);
                if places.is_empty() {
                    pick(error.concerns(&definition.conda), &origins.conda)
                } else {
                    places
                }
            }
            Self::Debian(provenv_lock::debian::Error::NoPython { .. }) => {
                origins.python.iter().cloned().collect()
            }
            Self::Debian(error) => {
                let asked = |name| definition.system_packages.iter().position(|package| package.name == name);
                pick(error.system_package().and_then(asked).into_iter().collect(), &origins.system_packages)
            }
            Self::Dockerfile(error) => {
                let step = error.line().and_then(|line| origins.step(line));
                step.or(origins.base.as_ref()).into_iter().cloned().collect()
            }
            Self::Registry(_)
            | Self::Reference(_)
            | Self::Image(provenv_image::Error::Base(_))
            | Self::Base { .. } => origins.base.iter().cloned().collect(),
            _ => Vec::new(),
        }
    }
}
