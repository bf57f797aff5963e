//! One package as an archive's index describes it.

use debversion::Version;
use provenv_definition::Digest;

use super::relation::{Alternatives, Relation, parse_field, parse_list};

/// What resolving needs of a paragraph in `Packages`.
#[derive(Clone, Debug)]
pub(super) struct Package {
    pub name: String,
    pub version: Version,
    /// The version as the archive writes it.
    pub version_text: String,
    pub architecture: String,
    /// `required` is 0, `extra` or none is 4: decides between packages that provide the same name.
    pub priority: u8,
    /// Whether relations may say `:any` (`Multi-Arch: allowed`).
    pub any: bool,
    /// `Pre-Depends`, then `Depends`.
    pub depends: Vec<Alternatives>,
    /// `Conflicts`, then `Breaks`: side by side they cannot be, whichever it is.
    pub conflicts: Vec<Relation>,
    pub provides: Vec<(String, Option<Version>)>,
    pub filename: String,
    pub size: u64,
    pub sha256: Digest,
    /// Which of the universe's indexes it is from.
    pub index: usize,
}

impl Package {
    /// Reads a paragraph; the error names the field at fault.
    pub fn parse(paragraph: &str, index: usize) -> Result<Self, String> {
        let parsed = deb822_fast::borrowed::parse_borrowed(paragraph).map_err(|error| error.to_string())?;
        let paragraph = parsed.first().ok_or("it is empty")?;
        let optional = |name: &str| paragraph.get_field(name).map(deb822_fast::borrowed::BorrowedField::join);
        let required = |name: &str| optional(name).ok_or_else(|| format!("`{name}` is missing"));
        let relations = |name: &str| match optional(name) {
            Some(text) => parse_field(&text).map_err(|part| format!("`{name}` holds `{part}`")),
            None => Ok(Vec::new()),
        };
        let list = |name: &str| match optional(name) {
            Some(text) => parse_list(&text).map_err(|part| format!("`{name}` holds `{part}`")),
            None => Ok(Vec::new()),
        };
        let version_text = required("Version")?;
        let mut depends = relations("Pre-Depends")?;
        depends.extend(relations("Depends")?);
        let mut conflicts = list("Conflicts")?;
        conflicts.extend(list("Breaks")?);
        let provides = list("Provides")?
            .into_iter()
            .map(|relation| (relation.name, relation.constraint.map(|(_, version)| version)))
            .collect();
        Ok(Self {
            name: required("Package")?,
            version: version_text.parse().map_err(|_| "`Version` is none".to_owned())?,
            version_text,
            architecture: required("Architecture")?,
            priority: match optional("Priority").as_deref() {
                Some("required") => 0,
                Some("important") => 1,
                Some("standard") => 2,
                Some("optional") => 3,
                _ => 4,
            },
            any: optional("Multi-Arch").as_deref() == Some("allowed"),
            depends,
            conflicts,
            provides,
            filename: required("Filename")?,
            size: required("Size")?.parse().map_err(|_| "`Size` is no number".to_owned())?,
            sha256: Digest::from_hex(&required("SHA256")?).map_err(|error| error.to_string())?,
            index,
        })
    }

    /// Whether this package, by its own name or one that it provides, is what `relation` names.
    pub fn answers(&self, relation: &Relation) -> bool {
        (self.name == relation.name && relation.accepts(&self.version)) || self.provides_for(relation)
    }

    /// Whether one of the names that this package provides is what `relation` names.
    pub fn provides_for(&self, relation: &Relation) -> bool {
        self.provides
            .iter()
            .any(|(name, version)| *name == relation.name && relation.accepts_provided(version.as_ref()))
    }

    /// Whether the architecture that `relation` asks for, where there is but `architecture`, is this package's.
    pub fn fits(&self, relation: &Relation, architecture: &str) -> bool {
        match relation.qualifier.as_deref() {
            None | Some("native") => true,
            Some("any") => self.any,
            Some(other) => other == architecture,
        }
    }

    /// `name=version`, as messages show it.
    pub fn id(&self) -> String {
        format!("{}={}", self.name, self.version_text)
    }

    /// The upstream part of the version with its marks of repacking and pre-release made plain: `3.11.2` of
    /// `3.11.2-6+deb12u9`, `3.14.0rc2` of `3.14.0~rc2-1`.
    pub fn upstream_version(&self) -> String {
        let upstream = &self.version.upstream_version;
        upstream.split('+').next().unwrap_or(upstream).replace('~', "")
    }
}
