//! What a definition asks of conda, as rattler's solver takes it.

use std::collections::BTreeSet;

use provenv_definition::{CondaRequirements, CondaSpec, Platform, PythonRequest};
use rattler_conda_types::{MatchSpec, ParseMatchSpecOptions};

use super::channels::{self, Channels};
use super::{CondaConfig, Error, Result};

/// Specs and channels of one platform.
pub(super) struct Request {
    pub channels: Channels,
    /// Specs that channels answer.
    pub specs: Vec<MatchSpec>,
    /// Conditions of the definition's specs that the solver does not know of.
    pub places: Vec<CondaSpec>,
    /// Specs that name the one archive that is meant, with what they ask besides.
    pub archives: Vec<CondaSpec>,
    /// The names that are asked for.
    pub names: BTreeSet<String>,
}

impl Request {
    /// What `asked` says for `platform`, and the Python that the definition asks for besides. `with_python` has one in any
    /// case.
    pub fn new(
        asked: &CondaRequirements,
        python: Option<&PythonRequest>,
        with_python: bool,
        platform: Platform,
        config: &CondaConfig,
    ) -> Result<Self> {
        let mut specs = Vec::new();
        for package in &asked.packages {
            if package.is_for(platform) {
                let invalid = |_| Error::Spec { spec: package.spec.clone() };
                specs.push(package.spec.parse::<CondaSpec>().map_err(invalid)?);
            }
        }
        let python_spec = match python {
            Some(python) if python.patch.is_some() => Some(format!("python=={python}")),
            Some(python) => Some(format!("python={python}")),
            None if with_python && !specs.iter().any(|spec| spec.name == "python") => {
                Some("python".to_owned())
            }
            None => None,
        };
        let channels = Channels::new(&asked.channels, &specs, config)?;
        let homeless = specs.iter().find(|spec| spec.channel.is_none() && spec.url.is_none());
        if let Some(homeless) = homeless.filter(|_| asked.channels.is_empty()) {
            return Err(Error::NoChannels { spec: homeless.to_string() });
        }
        let names = specs.iter().map(|spec| spec.name.clone()).collect();
        if let Some(text) = python_spec.filter(|_| !specs.is_empty()) {
            specs.extend(text.parse::<CondaSpec>());
        }
        let (archives, others): (Vec<_>, Vec<_>) = specs.into_iter().partition(|spec| spec.url.is_some());
        let places = others.iter().filter(|spec| spec.subdir.is_some() || spec.file_name.is_some());
        Ok(Self {
            channels,
            places: places.cloned().collect(),
            specs: others.iter().map(|spec| match_spec(spec, config)).collect::<Result<_>>()?,
            archives,
            names,
        })
    }
}

/// The same spec in rattler's form.
pub(super) fn match_spec(spec: &CondaSpec, config: &CondaConfig) -> Result<MatchSpec> {
    let channel = spec.channel.as_ref().map(|channel| channels::of_spec(channel, config)).transpose()?;
    // What names a place is told apart: the parser would complete a channel's name by an alias of its own.
    let mut bare = spec.clone();
    (bare.channel, bare.subdir, bare.file_name) = (None, None, None);
    let parsed = MatchSpec::from_str(&bare.to_string(), ParseMatchSpecOptions::lenient());
    let parsed = parsed.map_err(|_| Error::Spec { spec: spec.to_string() })?;
    Ok(MatchSpec { channel, ..parsed })
}

#[cfg(test)]
mod tests {
    use provenv_definition::{CondaChannel, CondaRequirement};

    use super::*;

    fn asked(channels: &[&str], specs: &[&str]) -> CondaRequirements {
        CondaRequirements {
            channels: channels.iter().map(|name| CondaChannel::Name((*name).to_owned())).collect(),
            packages: specs
                .iter()
                .map(|spec| CondaRequirement { spec: (*spec).to_owned(), platforms: Vec::new() })
                .collect(),
            ..CondaRequirements::default()
        }
    }

    fn specs(asked: &CondaRequirements, python: Option<&str>, with_python: bool) -> Vec<String> {
        let python = python.map(|python| python.parse().unwrap());
        let config = CondaConfig::default();
        let request =
            Request::new(asked, python.as_ref(), with_python, Platform::LinuxAmd64, &config).unwrap();
        request.specs.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn python_is_asked_for_where_it_is_needed() {
        let numpy = asked(&["conda-forge"], &["numpy"]);
        assert_eq!(specs(&numpy, None, false), ["numpy"]);
        assert_eq!(specs(&numpy, None, true), ["numpy", "python"]);
        assert_eq!(specs(&numpy, Some("3.11"), true), ["numpy", "python 3.11.*"]);
        assert_eq!(specs(&numpy, Some("3.11.4"), false), ["numpy", "python ==3.11.4"]);
        let python = asked(&["conda-forge"], &["python>=3.10"]);
        assert_eq!(specs(&python, None, true), ["python >=3.10"]);
    }

    #[test]
    fn packages_of_another_platform_do_not_count() {
        let mut both = asked(&["conda-forge"], &["a", "b"]);
        both.packages[1].platforms = vec![Platform::LinuxArm64];
        assert_eq!(specs(&both, None, false), ["a"]);
    }

    #[test]
    fn a_spec_without_a_channel_needs_one() {
        let config = CondaConfig::default();
        let request = |asked| Request::new(&asked, None, false, Platform::LinuxAmd64, &config);
        assert!(matches!(request(asked(&[], &["numpy"])), Err(Error::NoChannels { .. })));
        assert!(request(asked(&[], &["conda-forge::numpy"])).is_ok());
    }
}
