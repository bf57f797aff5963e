//! What readers of lock files share: keys with their places, hashes, URLs, and the definition that exact pins make.

mod build;
mod places;

use std::collections::HashMap;
use std::path::PathBuf;

use indexmap::IndexMap;
use pep440_rs::Version;

use crate::document::{Kind, Node};
use crate::locked::LockedArtifacts;
use crate::python::bounds::PythonBounds;
use crate::python::folder_of;
use crate::recognise::value_of;
use crate::requirement::{Requirement, RequirementError, artifact_url, is_name, normalise_name};
use crate::secrets::shown;
use crate::{
    CondaChannel, Diagnostic, Digest, Marker, PipRequirement, Place, Platform, PythonRequest, Remarks,
    SafeUrl, Source, Span, codes,
};
pub(crate) use places::{file_at, index, is_commit, is_conda_package, is_wheel, listed, split_git};

/// What a lock says of a conda package besides its place.
#[derive(Debug, Default)]
pub(crate) struct GivenConda {
    pub name: Option<String>,
    pub version: Option<String>,
    pub build: Option<String>,
    pub size: Option<u64>,
    pub sha256: Option<Digest>,
    pub md5: Option<String>,
    pub depends: Option<Vec<String>>,
    pub constrains: Vec<String>,
}

/// Reads one lock file.
pub(crate) struct LockReader<'s> {
    pub source: &'s Source,
    pub diagnostics: Remarks,
    pub locked: LockedArtifacts,
    /// The Python that the lock is for, where it is one only.
    pub python: Option<PythonRequest>,
    python_place: Option<Place>,
    requirements: Vec<(PipRequirement, Place)>,
    /// Where a requirement with this text stands in `requirements`.
    known: HashMap<String, usize>,
    /// Indexes in use, in order of appearance; `None` is PyPI.
    indexes: Vec<Option<SafeUrl>>,
    pub channels: Vec<(CondaChannel, Place)>,
    /// Specs of conda packages with the platforms they are for and the first place.
    conda: IndexMap<String, (Vec<Platform>, Place)>,
    /// The platforms that the lock is for.
    pub platforms: Vec<Platform>,
    pub folder: PathBuf,
    /// Packages without a hash, and where the first one is.
    unhashed: Option<(usize, String, Span)>,
}

impl<'s> LockReader<'s> {
    pub fn new(source: &'s Source) -> Self {
        Self {
            source,
            diagnostics: Remarks::default(),
            locked: LockedArtifacts::default(),
            python: None,
            python_place: None,
            requirements: Vec::new(),
            known: HashMap::new(),
            indexes: Vec::new(),
            channels: Vec::new(),
            conda: IndexMap::new(),
            platforms: Vec::new(),
            folder: folder_of(source),
            unhashed: None,
        }
    }

    /// The lock cannot be used.
    pub fn invalid(&mut self, span: Span, message: impl Into<String>) {
        self.report(codes::INVALID_LOCK, span, message);
    }

    pub fn report(&mut self, code: &'static codes::Code, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::new(code, message).at(self.source.place(span)));
    }

    fn bad_hash(&mut self, span: Span, message: &str) {
        let remark = Diagnostic::new(codes::INVALID_HASH, message)
            .with_hint("have the tool that wrote the lock write it again");
        self.diagnostics.push(remark.at(self.source.place(span)));
    }

    /// Parts of the file that are not installed.
    pub fn left_out(&mut self, span: Span, what: &str, names: &[String]) {
        if !names.is_empty() {
            let message = format!("{what} not installed: {}", listed(names));
            self.report(codes::LEFT_OUT, span, message);
        }
    }

    fn refuse(&mut self, span: Span, error: RequirementError) {
        let diagnostic = Diagnostic::new(error.code, error.message).at(self.source.place(span));
        self.diagnostics.push(Diagnostic { hint: error.hint, ..diagnostic });
    }

    /// The text of `key`; another type is reported.
    pub fn text<'n>(&mut self, node: &'n Node, key: &str) -> Option<(&'n str, Span)> {
        let value = value_of(node, key).filter(|value| !value.is_null())?;
        if let Some(text) = value.text() {
            return Some((text, value.span));
        }
        self.invalid(value.span, format!("`{key}` must be a text, not {}", value.kind_name()));
        None
    }

    /// The text of `key`; its absence is reported.
    pub fn needed<'n>(&mut self, node: &'n Node, key: &str) -> Option<(&'n str, Span)> {
        if value_of(node, key).is_none_or(Node::is_null) {
            self.invalid(node.span, format!("`{key}` is missing here"));
            return None;
        }
        self.text(node, key)
    }

    /// The items of `key`, none where it is absent; another type is reported.
    pub fn items<'n>(&mut self, node: &'n Node, key: &str) -> &'n [Node] {
        match value_of(node, key) {
            Some(Node { kind: Kind::Sequence(items), .. }) => items,
            Some(value) if !value.is_null() => {
                self.invalid(value.span, format!("`{key}` must be a list, not {}", value.kind_name()));
                &[]
            }
            _ => &[],
        }
    }

    /// The keys and values of `key`, none where it is absent; another type is reported.
    pub fn pairs<'n>(&mut self, node: &'n Node, key: &str) -> &'n [(Node, Node)] {
        match value_of(node, key) {
            Some(Node { kind: Kind::Mapping(pairs), .. }) => pairs,
            Some(value) if !value.is_null() => {
                self.invalid(value.span, format!("`{key}` must be a mapping, not {}", value.kind_name()));
                &[]
            }
            _ => &[],
        }
    }

    /// The version of the lock's format in `key`, which must not be newer than `newest`.
    pub fn format_version(&mut self, node: &Node, key: &str, newest: u64, tool: &str) -> Option<u64> {
        let (text, span) = self.needed(node, key)?;
        let Ok(major) = text.split('.').next().unwrap_or_default().parse::<u64>() else {
            self.invalid(span, format!("`{}` is not the version of a lock file", shown(text)));
            return None;
        };
        if major > newest {
            let message = format!("{tool} version {major} is newer than {newest}, the newest that is known");
            let hint = "write it with an older version of the tool, or update Provenv";
            let problem = Diagnostic::new(codes::INVALID_LOCK, message).with_hint(hint);
            self.diagnostics.push(problem.at(self.source.place(span)));
            return None;
        }
        Some(major)
    }

    /// Notes the bounds on Python that the whole lock has.
    pub fn requires_python(&mut self, text: &str, span: Span) {
        self.locked.requires_python = Some(text.to_owned());
        match PythonBounds::parse(text) {
            Ok(bounds) => {
                self.python = bounds.pinned();
                self.python_place = self.python.is_some().then(|| self.source.place(span));
                self.diagnostics.extend(bounds.remark(self.source.place(span)));
            }
            Err(message) => self.report(codes::INVALID_PYTHON, span, message),
        }
    }

    pub fn name(&mut self, text: &str, span: Span) -> Option<String> {
        if is_name(text) && !text.is_empty() {
            return Some(normalise_name(text));
        }
        self.invalid(span, format!("`{}` is not the name of a package", shown(text)));
        None
    }

    pub fn version(&mut self, text: &str, span: Span) -> Option<String> {
        let version = text.parse::<Version>().ok().map(|version| version.to_string());
        if version.is_none() {
            self.invalid(span, format!("`{}` is not a version", shown(text)));
        }
        version
    }

    pub fn marker(&mut self, text: &str, span: Span) -> Option<Marker> {
        match text.parse() {
            Ok(marker) => Some(marker),
            Err(error) => {
                self.refuse(span, error);
                None
            }
        }
    }

    /// The absolute URL of an artifact or folder that the lock names.
    pub fn url(&mut self, text: &str, span: Span) -> Option<SafeUrl> {
        match artifact_url(text, &self.folder) {
            Ok(url) => Some(url),
            Err(error) => {
                self.refuse(span, error);
                None
            }
        }
    }

    /// The absolute URL of a git repository, without `git+`.
    pub fn repository(&mut self, text: &str, span: Span) -> Option<SafeUrl> {
        let plain = text.strip_prefix("git+").unwrap_or(text);
        let text = if plain.contains("://") { format!("git+{plain}") } else { plain.to_owned() };
        let url = Requirement::parse(&format!("repository @ {text}"), &self.folder).and_then(|requirement| {
            let url = requirement.url.unwrap_or_default();
            let url = url.strip_prefix("git+").unwrap_or(&url);
            url.parse().map_err(|_| RequirementError::not_a_url(&text))
        });
        url.map_err(|error| self.refuse(span, error)).ok()
    }

    /// `sha256:…` or, where the key says so already, the digits alone. Other algorithms give `None`.
    pub fn sha256(&mut self, text: &str, span: Span) -> Option<Digest> {
        let digits = match text.split_once(':') {
            Some(("sha256", digits)) => digits,
            Some(_) => return None,
            None => text,
        };
        let digest = Digest::from_hex(digits).ok();
        if digest.is_none() {
            self.bad_hash(span, "a sha256 hash has 64 hexadecimal digits");
        }
        digest
    }

    /// 32 digits.
    pub fn md5(&mut self, text: &str, span: Span) -> Option<String> {
        if text.len() == 32 && text.chars().all(|c| c.is_ascii_hexdigit()) {
            return Some(text.to_ascii_lowercase());
        }
        self.bad_hash(span, "an md5 hash has 32 hexadecimal digits");
        None
    }

    pub fn size(&mut self, node: &Node, key: &str) -> Option<u64> {
        let (text, span) = self.text(node, key)?;
        let size = text.replace('_', "").parse().ok();
        if size.is_none() {
            self.invalid(span, format!("`{}` is not a number of bytes", shown(text)));
        }
        size
    }
}
