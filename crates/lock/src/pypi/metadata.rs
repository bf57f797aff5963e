//! What a package needs, learnt by asking its build backend, and told to uv.

use provenv_definition::{Requirement, normalise_name};
use serde::Serialize;

use super::environment::Settings;
use super::{Error, Result};

/// The core metadata that choosing versions needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Metadata {
    pub name: String,
    pub version: String,
    requires_dist: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requires_python: Option<String>,
    provides_extra: Vec<String>,
}

impl Metadata {
    /// A package that needs nothing.
    pub(super) fn nothing(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            requires_dist: Vec::new(),
            requires_python: None,
            provides_extra: Vec::new(),
        }
    }

    /// Reads a `METADATA` file. `package` is for messages.
    pub(super) fn parse(package: &str, text: &str) -> Result<Self> {
        let bad = |reason: String| Error::BadSource { package: package.to_owned(), reason };
        let mut metadata = Self::nothing("", "");
        for line in text.lines().take_while(|line| !line.is_empty()) {
            // Lines that go on are of fields we do not read.
            let Some((field, value)) = line.split_once(": ").filter(|_| !line.starts_with([' ', '\t']))
            else {
                continue;
            };
            let value = value.trim().to_owned();
            match field.to_ascii_lowercase().as_str() {
                "name" => metadata.name = normalise_name(&value),
                "version" => metadata.version = value,
                "requires-dist" => {
                    foreign(&value).map_err(bad)?;
                    metadata.requires_dist.push(value);
                }
                "requires-python" => metadata.requires_python = Some(value),
                "provides-extra" => metadata.provides_extra.push(value),
                _ => {}
            }
        }
        if metadata.version.parse::<pep440_rs::Version>().is_err() {
            return Err(bad(format!("its version is `{}`", metadata.version)));
        }
        if let Some(python) = &metadata.requires_python
            && let Err(error) = python.parse::<pep440_rs::VersionSpecifiers>()
        {
            return Err(bad(format!("it requires Python `{python}`: {error}")));
        }
        Ok(metadata)
    }
}

/// uv's settings: where to ask, and this metadata, for which it asks no backend then.
pub(super) fn settings<'a>(places: &Settings, known: impl Iterator<Item = &'a Metadata>) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Known<'a> {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        dependency_metadata: Vec<&'a Metadata>,
    }
    let text = toml::to_string(places).expect("it is plain data");
    text + &toml::to_string(&Known { dependency_metadata: known.collect() }).expect("it is plain data")
}

/// A requirement that a package has. It may name nothing on this machine: no path, and no variable. uv reads what
/// packages write down by itself, so that this is not what keeps secrets from it.
pub(super) fn foreign(text: &str) -> Result<Requirement, String> {
    let requirement: Requirement = text.parse().map_err(|error| format!("it requires `{text}`: {error}"))?;
    match &requirement.url {
        Some(url) if url.contains("${") => Err(format!("it requires `{text}`, which names a variable")),
        Some(url) if url.contains("file:") => Err(format!("it requires `{text}`, which is a local path")),
        _ => Ok(requirement),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_uv_needs_is_read() {
        let text = "Metadata-Version: 2.1\nName: A.b\nVersion: 1.0\nSummary: x\n  Requires-Dist: not-one\nRequires-Dist: \
                    c (>=1) ; extra == 'd'\nProvides-Extra: d\nRequires-Python: >=3.8\n\nRequires-Dist: nor-this\n";
        let metadata = Metadata::parse("a", text).unwrap();
        assert_eq!(
            settings(&Settings::default(), std::iter::once(&metadata)),
            "[[dependency-metadata]]\nname = \"a-b\"\nversion = \"1.0\"\nrequires-dist = [\"c (>=1) ; extra == 'd'\"]\n\
             requires-python = \">=3.8\"\nprovides-extra = [\"d\"]\n"
        );
        assert_eq!(settings(&Settings::default(), std::iter::empty()), "");
    }

    #[test]
    fn what_reaches_for_this_machine_is_refused() {
        for requirement in
            ["a @ https://${TOKEN}@h.test/a.whl", "a @ file:///etc", "a @ git+file:///x", "./a", "-r x"]
        {
            assert!(foreign(requirement).is_err(), "{requirement}");
            let text = format!("Name: a\nVersion: 1\nRequires-Dist: {requirement}\n");
            assert!(Metadata::parse("a", &text).is_err(), "{requirement}");
        }
        assert!(Metadata::parse("a", "Name: a\nVersion: one\n").is_err());
        assert!(Metadata::parse("a", "Name: a\nVersion: 1\nRequires-Python: snake\n").is_err());
    }
}
