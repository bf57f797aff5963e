//! What readers of lock files share: keys with their places, hashes, URLs, and the definition that exact pins make.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use pep440_rs::Version;
use rattler_conda_types::package::CondaArchiveIdentifier;

use crate::document::{Kind, Node};
use crate::locked::{LockedArtifacts, LockedConda, LockedFile, LockedPypi, LockedSource};
use crate::python::bounds::PythonBounds;
use crate::python::folder_of;
use crate::read::{Format, ReadEnvironment, Reading};
use crate::recognise::value_of;
use crate::requirement::{Requirement, RequirementError, artifact_url, is_name, normalise_name};
use crate::secrets::shown;
use crate::{
    CondaChannel, CondaRequirement, Diagnostic, Digest, Marker, PipRequirement, Place, Platform,
    PythonRequest, SafeUrl, Source, Span, codes, conda,
};

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
    pub diagnostics: Vec<Diagnostic>,
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
            diagnostics: Vec::new(),
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
        match text.parse::<Version>() {
            Ok(version) => Some(version.to_string()),
            Err(_) => {
                self.invalid(span, format!("`{}` is not a version", shown(text)));
                None
            }
        }
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
            self.report(codes::INVALID_HASH, span, "a sha256 hash has 64 hexadecimal digits");
        }
        digest
    }

    /// 32 digits.
    pub fn md5(&mut self, text: &str, span: Span) -> Option<String> {
        if text.len() == 32 && text.chars().all(|c| c.is_ascii_hexdigit()) {
            return Some(text.to_ascii_lowercase());
        }
        self.report(codes::INVALID_HASH, span, "an md5 hash has 32 hexadecimal digits");
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

    /// The package `package`, with its pin as a requirement of the definition.
    pub fn add(&mut self, package: LockedPypi, span: Span) {
        let requirement = match requirement_of(&package) {
            Ok(requirement) => requirement,
            Err(error) => return self.refuse(span, error),
        };
        let text = requirement.to_string();
        let archive = match &package.source {
            Some(LockedSource::Archive { file, .. }) => Some(file),
            _ => None,
        };
        let mut hashes: Vec<Digest> = package
            .wheels
            .iter()
            .chain(&package.sdist)
            .chain(archive)
            .filter_map(|file| file.sha256)
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        let is_file = package.source.is_none() || archive.is_some();
        if is_file && hashes.is_empty() {
            let (count, ..) = self.unhashed.get_or_insert_with(|| (0, package.name.clone(), span));
            *count += 1;
        }
        if package.source.is_none() && !self.indexes.contains(&package.index) {
            self.indexes.push(package.index.clone());
        }
        let editable = matches!(&package.source, Some(LockedSource::Folder { editable: true, .. }));
        match self.known.get(&text) {
            // The same pin for two platforms, each with its own files.
            Some(at) => {
                let known = &mut self.requirements[*at].0;
                known.hashes.extend(hashes);
                known.hashes.sort_unstable();
                known.hashes.dedup();
            }
            None => {
                self.known.insert(text.clone(), self.requirements.len());
                let entry = PipRequirement { requirement: text, hashes, editable };
                self.requirements.push((entry, self.source.place(span)));
            }
        }
        self.locked.pypi.push(package);
    }

    /// Says which platforms of the lock images cannot be made for; it is an error where that is all of them.
    pub fn settle_platforms(&mut self, span: Span, others: &[String]) {
        self.platforms.sort_unstable();
        self.platforms.dedup();
        for platform in &self.platforms {
            self.locked.conda.entry(*platform).or_default();
        }
        if self.platforms.is_empty() {
            let message = match others {
                [] => "the lock names no platform".to_owned(),
                others => format!("the lock is for {} only, and images are for Linux", listed(others)),
            };
            let hint = "add `linux-64` to its platforms and lock again";
            let problem = Diagnostic::new(codes::NOT_SUPPORTED, message).with_hint(hint);
            self.diagnostics.push(problem.at(self.source.place(span)));
        } else if !others.is_empty() {
            self.report(codes::LEFT_OUT, span, format!("platforms left out: {}", listed(others)));
        }
    }

    /// The channel in `text`.
    pub fn channel(&mut self, text: &str, span: Span) {
        match conda::channel_of(text, &self.folder) {
            Ok(Some(channel)) if self.channels.iter().all(|(known, _)| *known != channel) => {
                self.channels.push((channel, self.source.place(span)));
            }
            Ok(_) => {}
            Err(error) => self.refuse(span, error),
        }
    }

    /// The package of `platform` at `text`, a URL or path; what `locked` does not say is taken from the file name.
    pub fn add_conda(&mut self, text: &str, span: Span, platform: Platform, given: GivenConda) {
        let mut spec = match conda::spec_of_package(text, &self.folder) {
            Ok(spec) => spec,
            Err(error) => return self.refuse(span, error),
        };
        // A spec of a URL has been read from a file name that fits.
        let Some(url) = spec.url.clone() else { return };
        let Some(known) = CondaArchiveIdentifier::try_from_url(url.as_url()) else { return };
        let known = known.identifier;
        if given.name.as_ref().is_some_and(|name| name.to_lowercase() != spec.name) {
            let message = format!("this is a file of `{}`, another package", shown(&spec.name));
            return self.invalid(span, message);
        }
        if given.sha256.is_none() {
            let (count, ..) = self.unhashed.get_or_insert_with(|| (0, spec.name.clone(), span));
            *count += 1;
        }
        spec.sha256 = given.sha256;
        // One hash is enough, and the better one.
        spec.md5 = given.md5.clone().filter(|_| given.sha256.is_none());
        let version = given.version.unwrap_or_else(|| known.version.replace("%21", "!"));
        let build = given.build.unwrap_or(known.build_string);
        self.locked.conda.entry(platform).or_default().push(LockedConda {
            name: spec.name.clone(),
            version,
            build,
            url,
            size: given.size,
            sha256: given.sha256,
            md5: given.md5,
            depends: given.depends,
            constrains: given.constrains,
        });
        let text = spec.to_string();
        if let Some((platforms, _)) = self.conda.get_mut(&text) {
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        } else {
            self.conda.insert(text, (vec![platform], self.source.place(span)));
        }
    }

    /// Python packages that were read for one platform each: those that are the same are one.
    pub fn add_of_platforms(&mut self, packages: Vec<(LockedPypi, Span)>) {
        let mut merged: IndexMap<_, (LockedPypi, Span)> = IndexMap::new();
        let mut named: HashMap<String, Vec<Platform>> = HashMap::new();
        for (package, span) in packages {
            named.entry(package.name.clone()).or_default().extend(&package.platforms);
            let key = (package.name.clone(), package.version.clone(), format!("{:?}", package.source));
            match merged.get_mut(&key) {
                None => {
                    merged.insert(key, (package, span));
                }
                Some((known, _)) => {
                    known.platforms.extend(package.platforms);
                    known.wheels.extend(package.wheels);
                    known.sdist = known.sdist.take().or(package.sdist);
                }
            }
        }
        for (mut package, span) in merged.into_values() {
            package.platforms.sort_unstable();
            package.platforms.dedup();
            let mut seen = HashSet::new();
            package.wheels.retain(|wheel| seen.insert(wheel.name.clone()));
            if package.platforms == self.platforms {
                package.platforms.clear();
            } else {
                let machine = |platform: &Platform| {
                    Marker::Compare(format!("platform_machine == '{}'", platform.machine()))
                };
                package.marker = Marker::any(package.platforms.iter().map(machine));
            }
            self.add(package, span);
        }
    }

    /// The environment that the lock stands for.
    pub fn finish(mut self, format: Format) -> Reading {
        if let Some((count, name, span)) = self.unhashed.take() {
            let others = if count > 1 { format!(" and {} more have", count - 1) } else { " has".to_owned() };
            let message = format!("`{}`{others} no sha256 hash in this lock", shown(&name));
            self.report(codes::UNHASHED, span, message);
        }
        let mut read = ReadEnvironment::new(format, self.source);
        let definition = &mut read.environment.definition;
        let (requirements, places) = self.requirements.into_iter().unzip();
        definition.pip.requirements = requirements;
        read.origins.requirements = places;
        let pypi = self.indexes.contains(&None);
        let others = self.indexes.into_iter().flatten();
        let (folders, others): (Vec<_>, Vec<_>) = others.partition(|url| url.as_url().scheme() == "file");
        definition.pip.find_links = folders;
        let mut others = others.into_iter();
        if !pypi {
            definition.pip.index_url = others.next();
        }
        definition.pip.extra_index_urls = others.collect();
        (definition.conda.channels, read.origins.channels) = self.channels.into_iter().unzip();
        for (spec, (platforms, place)) in self.conda {
            let platforms = if platforms.len() == self.platforms.len() { Vec::new() } else { platforms };
            definition.conda.packages.push(CondaRequirement { spec, platforms });
            read.origins.conda.push(place);
        }
        definition.platforms = self.platforms;
        definition.python = self.python;
        read.origins.python = self.python_place;
        read.locked = Some(self.locked);
        (read, self.diagnostics)
    }
}

/// `name==version ; marker`, or `name @ url ; marker` for what comes from no index.
fn requirement_of(package: &LockedPypi) -> Result<Requirement, RequirementError> {
    let marker = package.marker.as_ref().map_or(String::new(), |marker| format!(" ; {marker}"));
    let fragment = |subdirectory: &Option<String>| {
        subdirectory.as_ref().map_or(String::new(), |folder| format!("#subdirectory={folder}"))
    };
    let target = match &package.source {
        None => match &package.version {
            Some(version) => format!("=={version}"),
            None => String::new(),
        },
        Some(LockedSource::Git { url, commit, subdirectory }) => {
            format!(" @ git+{url}@{commit}{}", fragment(subdirectory))
        }
        Some(LockedSource::Archive { file, subdirectory }) => {
            let url = file.url.as_ref().map_or(String::new(), ToString::to_string);
            format!(" @ {url}{}", fragment(subdirectory))
        }
        Some(LockedSource::Folder { url, subdirectory, .. }) => {
            format!(" @ {url}{}", fragment(subdirectory))
        }
    };
    Requirement::parse(&format!("{}{target}{marker}", package.name), Path::new("/"))
}

/// A file of an index that has nothing but a URL.
pub(crate) fn file_at(url: SafeUrl, size: Option<u64>, sha256: Option<Digest>) -> LockedFile {
    let name = url.file_name().unwrap_or_default().replace("%2B", "+").replace("%2b", "+");
    LockedFile { name, url: Some(url), size, sha256 }
}

/// The index `url`; PyPI is the default and needs no word.
pub(crate) fn index(url: SafeUrl) -> Option<SafeUrl> {
    let is_default = matches!(url.as_url().host_str(), Some("pypi.org" | "pypi.python.org"))
        && url.as_url().path().trim_end_matches('/') == "/simple";
    (!is_default).then_some(url)
}

/// A repository in the spelling of uv and pixi: `https://host/repository?tag=v1&subdirectory=a#COMMIT`, or with
/// `@COMMIT` behind the path. Gives back the URL, the commit and the folder.
pub(crate) fn split_git(text: &str) -> (String, Option<String>, Option<String>) {
    let text = text.strip_prefix("git+").unwrap_or(text);
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut commit = None;
    let mut subdirectory = None;
    for part in query.split('&').chain(fragment.split('&')).filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("subdirectory", folder)) => subdirectory = Some(folder.replace("%2F", "/")),
            Some(_) => {}
            None => commit = Some(part.to_owned()),
        }
    }
    let path_at = target.find("://").map_or(0, |at| at + 3);
    let path_at = target[path_at..].find('/').map_or(target.len(), |at| path_at + at);
    let (url, reference) = match target[path_at..].rfind('@') {
        Some(at) => (&target[..path_at + at], Some(&target[path_at + at + 1..])),
        None => (target, None),
    };
    (url.to_owned(), commit.or_else(|| reference.map(str::to_owned)), subdirectory)
}

/// Whether a text is all digits of a commit.
pub(crate) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// A few names for a message.
pub(crate) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text =
        names.iter().take(SHOWN).map(|name| format!("`{}`", shown(name))).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
