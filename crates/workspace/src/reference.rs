//! How people name an environment on the command line and in a job.

use std::path::{Path, PathBuf};

use crate::curated::{PREFIX, is_curated};

/// The label of the newest version.
pub(crate) const LATEST: &str = "latest";

/// What an argument stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A registered environment; neither version nor label means the newest that is not archived.
    Registered {
        /// Its name.
        name: String,
        /// Its version.
        version: Option<String>,
        /// The label that names its version.
        label: Option<String>,
    },
    /// One that is shipped; no version means the newest.
    Curated {
        /// Its name, the prefix included.
        name: String,
        /// Its version.
        version: Option<String>,
    },
    /// A file with a definition, or a folder.
    File(PathBuf),
}

impl Reference {
    /// Reads `NAME`, `NAME:VERSION`, `NAME@LABEL` (an `azureml:` before it is dropped), the same with `curated/` before it,
    /// or a path. What exists as a file, or looks like a path, is a file; relative paths count from `folder`. A folder of this name that does not look
    /// like a path is one only where nothing of the name is registered: [`Reference::folder`].
    pub fn parse(text: &str, folder: &Path) -> Self {
        let text = text.strip_prefix("azureml:").unwrap_or(text);
        let path = folder.join(text);
        let has_file_ending = matches!(
            Path::new(text).extension().and_then(|ending| ending.to_str()),
            Some("yaml" | "yml" | "txt" | "toml" | "json" | "in")
        );
        let is_file = has_file_ending || path.is_file();
        if is_curated(text) && !is_file && text != PREFIX {
            let (name, version) = split(text.strip_suffix("@latest").unwrap_or(text));
            return Self::Curated { name, version };
        }
        if text.contains('/') || matches!(text, "." | "..") || is_file {
            return Self::File(path);
        }
        let (name, version) = split(text);
        match name.split_once('@') {
            Some((bare, label)) if version.is_none() && !bare.is_empty() && !label.is_empty() => {
                let label = (label != LATEST).then(|| label.to_owned());
                Self::Registered { name: bare.to_owned(), version: None, label }
            }
            _ => Self::Registered { name, version, label: None },
        }
    }

    /// The folder that `text` names, which a registered environment of that name comes before.
    pub fn folder(text: &str, folder: &Path) -> Option<PathBuf> {
        let path = folder.join(text);
        (!text.is_empty() && path.is_dir()).then_some(path)
    }
}

/// Name and version.
fn split(text: &str) -> (String, Option<String>) {
    match text.rsplit_once(':') {
        Some((name, version)) => (name.to_owned(), Some(version.to_owned())),
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::Reference;
    use std::path::Path;

    fn registered(name: &str, version: Option<&str>) -> Reference {
        Reference::Registered { name: name.into(), version: version.map(Into::into), label: None }
    }

    #[test]
    fn names_versions_and_files_are_told_apart() {
        let here = Path::new("/nowhere");
        assert_eq!(Reference::parse("digits", here), registered("digits", None));
        assert_eq!(Reference::parse("digits:2", here), registered("digits", Some("2")));
        assert_eq!(Reference::parse("azureml:digits@latest", here), registered("digits", None));
        let labelled = Reference::Registered {
            name: "digits".to_owned(),
            version: None,
            label: Some("prod".to_owned()),
        };
        assert_eq!(Reference::parse("azureml:digits@prod", here), labelled);
        assert_eq!(Reference::parse("digits@", here), registered("digits@", None));
        assert_eq!(
            Reference::parse("requirements.txt", here),
            Reference::File(here.join("requirements.txt"))
        );
        assert_eq!(Reference::parse("./digits", here), Reference::File(here.join("./digits")));
        let curated = |name: &str, version: Option<&str>| Reference::Curated {
            name: name.into(),
            version: version.map(Into::into),
        };
        assert_eq!(Reference::parse("curated/minimal", here), curated("curated/minimal", None));
        assert_eq!(
            Reference::parse("azureml:curated/minimal:1", here),
            curated("curated/minimal", Some("1"))
        );
        assert_eq!(Reference::parse("curated/a.yaml", here), Reference::File(here.join("curated/a.yaml")));
        assert_eq!(
            Reference::parse("./curated/minimal", here),
            Reference::File(here.join("./curated/minimal"))
        );
        for folder in [".", "..", "./", "digits/", "curated/"] {
            assert_eq!(Reference::parse(folder, here), Reference::File(here.join(folder)));
        }
    }
}
