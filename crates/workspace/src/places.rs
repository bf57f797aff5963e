//! Errors of a resolution, with the places in the user's file that they are about.

use provenv_definition::{Definition, Origins, Place};

use crate::Error;

/// More would hide the message.
const MOST_PLACES: usize = 4;

impl Error {
    /// Adds where the parts of `definition` stand that this is about, if it is about any.
    #[must_use]
    pub fn located(self, definition: &Definition, origins: &Origins) -> Self {
        let pick = |at: Vec<usize>, places: &[Place]| -> Vec<Place> {
            at.into_iter().filter_map(|at| places.get(at).cloned()).collect()
        };
        let mut places = match &self {
            Self::Pypi(error) => {
                let places = pick(error.concerns(&definition.pip.requirements), &origins.requirements);
                if places.is_empty() {
                    pick(error.concerns(&definition.pip.constraints), &origins.constraints)
                } else {
                    places
                }
            }
            Self::Conda(error) => pick(error.concerns(&definition.conda), &origins.conda),
            Self::Debian(provenv_lock::debian::Error::NoPython { .. }) => {
                origins.python.iter().cloned().collect()
            }
            Self::Debian(error) => {
                let asked = |name| definition.system_packages.iter().position(|package| package.name == name);
                pick(error.system_package().and_then(asked).into_iter().collect(), &origins.system_packages)
            }
            Self::Registry(_)
            | Self::Reference(_)
            | Self::Image(provenv_image::Error::Base(_))
            | Self::Base { .. } => origins.base.iter().cloned().collect(),
            _ => Vec::new(),
        };
        places.truncate(MOST_PLACES);
        if places.is_empty() { self } else { Self::Located { places, error: Box::new(self) } }
    }
}
