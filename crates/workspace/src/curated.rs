//! The environments that are shipped: read-only, under names that nobody else may take.
//!
//! They are plain files in `curated/NAME/VERSION/` beside this crate's sources, embedded when it is built. A version
//! never changes: a golden file holds the digests.

use std::path::Path;

use provenv_definition::{ReadEnvironment, nearest, read_str};
use provenv_lock::Lock;

use crate::environments::Given;
use crate::{Error, Result};

/// What the names of curated environments begin with.
pub(crate) const PREFIX: &str = "curated/";

/// A version of a curated environment.
#[derive(Debug)]
pub(crate) struct Curated {
    /// Its name, the prefix included.
    pub name: &'static str,
    /// Its version, a number.
    pub version: &'static str,
    /// Its definition, as native YAML without name and version.
    pub text: &'static str,
    /// Its lock, where one is shipped.
    pub lock: Option<&'static str>,
}

/// All versions of all, by name.
pub(crate) const ALL: &[Curated] = include!(concat!(env!("OUT_DIR"), "/curated.rs"));

/// Whether a name is that of a shipped environment, which nobody may register, archive or remove.
pub fn is_curated(name: &str) -> bool {
    name.starts_with(PREFIX)
}

impl Curated {
    /// The version of that name, the newest where none is asked for.
    pub fn find(name: &str, version: Option<&str>) -> Result<&'static Self> {
        let mut versions: Vec<&Self> = ALL.iter().filter(|curated| curated.name == name).collect();
        versions.sort_by_key(|curated| curated.number());
        let found = match version {
            Some(version) => versions.iter().find(|curated| curated.version == version).copied(),
            None => versions.last().copied(),
        };
        found.ok_or_else(|| match version {
            Some(version) if !versions.is_empty() => Error::NoVersion {
                name: name.to_owned(),
                version: version.to_owned(),
                known: versions.iter().map(|curated| curated.version.to_owned()).collect(),
            },
            _ => Error::NoCurated {
                name: name.to_owned(),
                nearest: nearest(name, ALL.iter().map(|curated| curated.name)).map(str::to_owned),
            },
        })
    }

    /// The newest version of each, or all, the newest first.
    pub fn list(name: Option<&str>, all: bool) -> Vec<&'static Self> {
        let mut list: Vec<&Self> =
            ALL.iter().filter(|curated| name.is_none_or(|name| curated.name == name)).collect();
        list.sort_by_key(|curated| (curated.name, std::cmp::Reverse(curated.number())));
        if !all && name.is_none() {
            list.dedup_by_key(|curated| curated.name);
        }
        list
    }

    /// Its definition, with its name and version.
    pub fn read(&self) -> Result<ReadEnvironment> {
        let file = format!("{}/{}/environment.yaml", self.name, self.version);
        let mut read = read_str(self.text, Path::new(&file)).map_err(|error| Error::Definition(error.0))?;
        read.environment.name = Some(self.name.to_owned());
        read.environment.version = Some(self.version.to_owned());
        Ok(read)
    }

    /// It, to be used.
    pub fn given(&'static self) -> Result<Given> {
        Ok(Given { file: None, format: None, curated: Some(self), ..Given::from(self.read()?) })
    }

    /// The lock that is shipped with it.
    pub fn lock(&self) -> Result<Option<Lock>> {
        let invalid = |source| Error::NotALock { file: self.name.into(), source };
        self.lock.map(|text| Lock::from_bytes(text.as_bytes())).transpose().map_err(invalid)
    }

    /// Its version as a number.
    pub fn number(&self) -> u64 {
        self.version.parse().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::PathBuf;

    use provenv_definition::{definition_digest, lint_str};

    use super::*;
    use crate::environments::content_digest;

    /// `PROVENV_BLESS=1` adds the versions that are new; it changes none that is there.
    #[test]
    fn a_version_never_changes() {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("curated/digests.txt");
        let mut golden = fs_err::read_to_string(&file).unwrap_or_default();
        for curated in ALL {
            let name = format!("{}:{}", curated.name, curated.version);
            let digest = content_digest(&curated.read().unwrap().environment);
            let known = golden.lines().find_map(|line| line.strip_prefix(&name)?.strip_prefix(' '));
            match known {
                Some(known) => assert_eq!(
                    known,
                    digest.to_string(),
                    "{name} is not what was shipped: versions never change, make the next one"
                ),
                None if std::env::var_os("PROVENV_BLESS").is_some() => {
                    writeln!(golden, "{name} {digest}").unwrap();
                }
                None => panic!("{name} is new: PROVENV_BLESS=1 adds it to {}", file.display()),
            }
        }
        for line in golden.lines() {
            let there =
                |curated: &Curated| line.starts_with(&format!("{}:{} ", curated.name, curated.version));
            assert!(ALL.iter().any(there), "{line} was shipped and is gone");
        }
        if std::env::var_os("PROVENV_BLESS").is_some() {
            fs_err::write(file, golden).unwrap();
        }
    }

    #[test]
    fn each_says_what_it_is_and_nothing_is_wrong_with_it() {
        for curated in ALL {
            let read = curated.read().unwrap();
            let environment = &read.environment;
            assert!(
                environment.description.is_some() && environment.tags.contains_key("kind"),
                "{curated:?}"
            );
            assert!(curated.number() > 0, "{curated:?}");
            let linted = lint_str(curated.text, Path::new("environment.yaml"));
            let wrong: Vec<_> = linted
                .remarks
                .iter()
                .filter(|remark| remark.severity > provenv_definition::Severity::Info)
                .collect();
            assert!(wrong.is_empty(), "{}: {wrong:?}", curated.name);
            if let Some(lock) = curated.lock().unwrap() {
                lock.validate().unwrap();
                assert_eq!(lock.definition, definition_digest(&environment.definition), "{}", curated.name);
            }
        }
        for name in [
            "minimal",
            "sklearn",
            "data-science",
            "pytorch-cpu",
            "pytorch-cuda",
            "tensorflow",
            "inference",
            "spark",
        ] {
            Curated::find(&format!("{PREFIX}{name}"), None).unwrap();
        }
    }

    #[test]
    fn names_and_versions_that_are_not_there_are_said_with_those_that_are() {
        let error = Curated::find("curated/sklaern", None).unwrap_err();
        assert_eq!(
            error.hint().unwrap(),
            "did you mean `curated/sklearn`? `provenv env list --curated` shows them"
        );
        let error = Curated::find("curated/minimal", Some("99")).unwrap_err();
        assert_eq!(error.to_string(), "`curated/minimal` has no version 99: there is 1");
    }
}
