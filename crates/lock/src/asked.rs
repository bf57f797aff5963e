//! Whether a lock has what its definition asks for: a digest that agrees is no more than what the lock says of itself.
//!
//! What only its archives could tell is believed: which Python distributions conda's packages or a base bring, and which
//! package of Debian stands for a name that is none's own.

use pep440_rs::{Version, VersionSpecifiers};
use provenv_definition::{Definition, MarkerEnvironment, Platform, Requirement};

use crate::conda::{self, CondaConfig};
use crate::validate::invalid;
use crate::{InvalidLock, Lock, PlatformLock};

impl Lock {
    /// Whether each package that `definition` asks for by name is there, in a version that it admits.
    pub fn check_asked(&self, definition: &Definition, config: &CondaConfig) -> Result<(), InvalidLock> {
        for (&platform, lock) in &self.platforms {
            lock.check_system_packages(definition)?;
            if !definition.user_managed {
                let python = definition.python.as_ref();
                conda::check_asked(&definition.conda, python, platform, config, &lock.conda)?;
                lock.check_requirements(definition, platform)?;
            }
        }
        Ok(())
    }
}

impl PlatformLock {
    fn check_system_packages(&self, definition: &Definition) -> Result<(), InvalidLock> {
        for asked in &definition.system_packages {
            let found = self.debian.iter().find(|package| package.name == asked.name);
            if let (Some(found), Some(version)) = (found, &asked.version)
                && *version != found.version
            {
                return Err(differs(asked, &found.version));
            }
        }
        Ok(())
    }

    fn check_requirements(&self, definition: &Definition, platform: Platform) -> Result<(), InvalidLock> {
        let Some(python) = &self.python else { return Ok(()) };
        let environment = MarkerEnvironment::new(&python.version, platform);
        let may_be_elsewhere = !self.conda.is_empty() || self.base.image().is_some();
        for asked in &definition.pip.requirements {
            let Ok(requirement) = asked.requirement.parse::<Requirement>() else { continue };
            let Some(name) = &requirement.name else { continue };
            if requirement.marker.as_ref().is_some_and(|marker| !marker.holds(&environment)) {
                continue;
            }
            let Some(found) = self.pypi.iter().find(|package| package.name == *name) else {
                if may_be_elsewhere {
                    continue;
                }
                return Err(missing(&asked.requirement));
            };
            let specifiers: VersionSpecifiers = requirement.specifiers.iter().cloned().collect();
            // Of a version that is none there is nothing to say.
            if found.version.parse::<Version>().is_ok_and(|version| !specifiers.contains(&version)) {
                return Err(differs(&asked.requirement, &found.version));
            }
        }
        Ok(())
    }
}

/// The error for a package that is not there.
pub(crate) fn missing(asked: &impl ToString) -> InvalidLock {
    invalid(format!("`{}`", asked.to_string()), "is asked for, and the lock has no such package")
}

/// The error for a package that is there in another version or build.
pub(crate) fn differs(asked: &impl ToString, found: &str) -> InvalidLock {
    invalid(format!("`{}`", asked.to_string()), format!("is asked for, and the lock has {found}"))
}
