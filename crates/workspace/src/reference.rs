//! How people name an environment on the command line and in a job.

use std::path::{Path, PathBuf};

use crate::curated::{PREFIX, is_curated};

/// What an argument stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A registered environment; no version means the newest.
    Registered {
        /// Its name.
        name: String,
        /// Its version.
        version: Option<String>,
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
    /// Reads `NAME`, `NAME:VERSION`, `NAME@latest` (an `azureml:` before it is dropped), the same with `curated/` before it,
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
            let (name, version) = split(text);
            return Self::Curated { name, version };
        }
        if text.contains('/') || matches!(text, "." | "..") || is_file {
            return Self::File(path);
        }
        let (name, version) = split(text);
        Self::Registered { name, version }
    }

    /// The folder that `text` names, which a registered environment of that name comes before.
    pub fn folder(text: &str, folder: &Path) -> Option<PathBuf> {
        let path = folder.join(text);
        (!text.is_empty() && path.is_dir()).then_some(path)
    }
}

/// Name and version.
fn split(text: &str) -> (String, Option<String>) {
    let (name, version) = match text.rsplit_once(':') {
        Some((name, version)) => (name, Some(version.to_owned())),
        None => (text.strip_suffix("@latest").unwrap_or(text), None),
    };
    (name.to_owned(), version)
}

#[cfg(test)]
mod tests {
    use super::Reference;
    use std::path::Path;

    fn registered(name: &str, version: Option<&str>) -> Reference {
        Reference::Registered { name: name.into(), version: version.map(Into::into) }
    }

    #[test]
    fn names_versions_and_files_are_told_apart() {
        let here = Path::new("/nowhere");
        assert_eq!(Reference::parse("digits", here), registered("digits", None));
        assert_eq!(Reference::parse("digits:2", here), registered("digits", Some("2")));
        assert_eq!(Reference::parse("azureml:digits@latest", here), registered("digits", None));
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
