//! What a wheel and an sdist have in common.

use std::fmt::Write as _;

/// A version of a project and what it says of itself.
#[derive(Clone, Debug)]
pub(super) struct Project {
    pub name: String,
    pub version: String,
    pub requires: Vec<String>,
    pub requires_python: Option<String>,
    pub fields: Vec<(String, String)>,
    /// When its file was uploaded, in RFC 3339.
    pub uploaded: String,
}

impl Project {
    pub(super) fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            requires: Vec::new(),
            requires_python: None,
            fields: Vec::new(),
            uploaded: "2024-01-01T00:00:00Z".to_owned(),
        }
    }

    /// The name as modules and file names have it.
    pub(super) fn module(&self) -> String {
        self.name.to_ascii_lowercase().replace(['-', '.'], "_")
    }

    /// What its file names begin with.
    pub(super) fn stem(&self) -> String {
        format!("{}-{}", self.module(), self.version)
    }

    /// The text of `METADATA` or `PKG-INFO`, in the version `format` of core metadata.
    pub(super) fn metadata(&self, format: &str, extras: &[String]) -> String {
        let mut text =
            format!("Metadata-Version: {format}\nName: {}\nVersion: {}\n", self.name, self.version);
        if let Some(python) = &self.requires_python {
            let _ = writeln!(text, "Requires-Python: {python}");
        }
        for (field, value) in &self.fields {
            let _ = writeln!(text, "{field}: {value}");
        }
        for extra in extras {
            let _ = writeln!(text, "Provides-Extra: {extra}");
        }
        for requirement in &self.requires {
            let _ = writeln!(text, "Requires-Dist: {requirement}");
        }
        text
    }
}
