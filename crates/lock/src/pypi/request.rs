//! What a definition asks of pip, put for uv: requirements without credentials, and an environment with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use provenv_definition::{Digest, PipRequirement, PipRequirements, Requirement, SafeUrl, normalise_name};
use provenv_fetch::Fetcher;
use url::Url;

use super::compile::Question;
use super::environment::Environment;
use super::pylock::Package;
use super::session::mount;
use super::source::{Snapshot, bare, local_path, same_place, without_revision};
use super::{Host, PypiConfig, Result, uv};
use crate::tool::ToolMount;
use crate::{IndexState, PypiPackage, Upgrade};

/// A definition's pip part, ready to be run.
pub(super) struct Request {
    requirements: Vec<Asked>,
    constraints: Vec<Asked>,
    arguments: Vec<String>,
    index_arguments: Vec<String>,
    indexes: Vec<SafeUrl>,
    snapshots: BTreeMap<PathBuf, Snapshot>,
    mounts: Vec<ToolMount>,
    environment: Environment,
    git: bool,
    ssh: bool,
}

/// One requirement.
struct Asked {
    /// For uv: `${…}` in its URL stands for credentials.
    requirement: Requirement,
    /// Of a direct URL, for comparing.
    place: Option<String>,
    hashes: Vec<Digest>,
}

impl Request {
    /// Reads the definition and looks up the credentials it needs.
    pub(super) fn new(pip: &PipRequirements, config: &PypiConfig, fetcher: &Fetcher) -> Result<Self> {
        let mut request = Self {
            requirements: Vec::new(),
            constraints: Vec::new(),
            arguments: Vec::new(),
            index_arguments: Vec::new(),
            indexes: Vec::new(),
            snapshots: BTreeMap::new(),
            mounts: Vec::new(),
            environment: Environment::default(),
            git: false,
            ssh: false,
        };
        request.add_indexes(pip, config, fetcher)?;
        for requirement in &pip.requirements {
            let asked = request.read(requirement, &config.host, fetcher)?;
            request.requirements.push(asked);
        }
        for constraint in &pip.constraints {
            let asked = request.read(constraint, &config.host, fetcher)?;
            request.constraints.push(asked);
        }
        if pip.pre {
            request.arguments.extend(["--prerelease", "allow"].map(str::to_owned));
        }
        for (option, names) in [("--no-binary", &pip.no_binary), ("--only-binary", &pip.only_binary)] {
            for name in names {
                request.arguments.extend([option.to_owned(), name.clone()]);
            }
        }
        Ok(request)
    }

    /// Indexes go to uv by name, so that each gets its own credentials, and through variables, so that none of it is
    /// seen in a list of processes.
    fn add_indexes(&mut self, pip: &PipRequirements, config: &PypiConfig, fetcher: &Fetcher) -> Result<()> {
        if pip.no_index {
            self.index_arguments.push("--no-index".to_owned());
        } else {
            let default = match &pip.index_url {
                Some(url) => Some(url.as_url().clone()),
                None => uv::index(config)?,
            };
            if let Some(url) = default {
                let index = self.add_index(&url, "default", config, fetcher)?;
                self.environment.set("UV_DEFAULT_INDEX", &index);
            }
            let mut extra = Vec::new();
            for (number, url) in pip.extra_index_urls.iter().enumerate() {
                extra.push(self.add_index(url.as_url(), &number.to_string(), config, fetcher)?);
            }
            if !extra.is_empty() {
                self.environment.set("UV_INDEX", &extra.join(" "));
            }
        }
        let mut find_links = Vec::new();
        for link in &pip.find_links {
            find_links.push(self.add_find_links(link, config, fetcher)?);
        }
        if !find_links.is_empty() {
            self.environment.set("UV_FIND_LINKS", &find_links.join(","));
        }
        Ok(())
    }

    /// `name=URL` without credentials, which are set apart.
    fn add_index(&mut self, url: &Url, name: &str, config: &PypiConfig, fetcher: &Fetcher) -> Result<String> {
        let safe = SafeUrl::new(url.clone());
        self.environment.expand(&safe.to_string(), &config.host, &safe)?;
        if url.scheme() == "file" {
            self.mount_local(&local_path(url)?);
        } else if let Some(credentials) = fetcher.credentials(url) {
            self.environment.set_index(name, &credentials);
        }
        let mut bare = bare(url);
        bare.set_query(url.query());
        let expanded = self.environment.expand(&shown(bare), &config.host, &safe)?;
        self.indexes.push(safe);
        Ok(format!("provenv-{name}={expanded}"))
    }

    fn add_find_links(&mut self, link: &SafeUrl, config: &PypiConfig, fetcher: &Fetcher) -> Result<String> {
        let url = link.as_url();
        let expanded = self.environment.expand(&link.to_string(), &config.host, link)?;
        if url.scheme() == "file" {
            self.mount_local(&local_path(url)?);
            return Ok(expanded.replace(',', "%2C"));
        }
        let expanded = Url::parse(&expanded).map_err(|error| super::Error::url(&link.to_string(), error))?;
        let mut location = bare(&expanded);
        if let Some(credentials) = fetcher.credentials(url) {
            self.environment.hide_credentials(&credentials);
            // Fail only for URLs that cannot have credentials.
            let _ = location.set_username(&credentials.username);
            let _ = location.set_password(Some(&credentials.password));
        }
        self.indexes.push(link.clone());
        Ok(location.as_str().replace(',', "%2C"))
    }

    /// A requirement without credentials, and with what its URL needs in the sandbox.
    fn read(&mut self, requirement: &PipRequirement, host: &Host, fetcher: &Fetcher) -> Result<Asked> {
        let text = &requirement.requirement;
        let mut parsed: Requirement =
            text.parse().map_err(|source| super::Error::Requirement { requirement: text.clone(), source })?;
        let mut place = None;
        if let Some(url) = parsed.url.take() {
            let (url, at) = self.direct(&url, host, fetcher)?;
            place = Some(at);
            parsed.url = Some(url);
        }
        Ok(Asked {
            // `-e` is left out: what is installed in an image is a copy.
            requirement: parsed,
            place,
            hashes: requirement.hashes.clone(),
        })
    }

    /// The URL as uv gets it, and the place it means.
    fn direct(&mut self, text: &str, host: &Host, fetcher: &Fetcher) -> Result<(String, String)> {
        let error = |source| super::Error::url(text, source);
        let git = text.starts_with("git+");
        let inner = text.strip_prefix("git+").unwrap_or(text);
        let url = Url::parse(inner).map_err(error)?;
        let safe = SafeUrl::new(url.clone());
        let expanded = self.environment.expand(inner, host, &safe)?;
        let mut place = same_place(&expanded);
        self.git |= git;
        match url.scheme() {
            "file" if git => {
                let path = without_revision(inner);
                self.mount_local(&local_path(&Url::parse(path).map_err(error)?)?);
                place = same_place(path);
                Ok((text.to_owned(), place))
            }
            "file" => {
                let path = local_path(&url)?;
                if path.is_dir() {
                    let fragment = url.fragment().unwrap_or_default();
                    let below = fragment.split('&').find_map(|part| part.strip_prefix("subdirectory="));
                    let project = below.map_or_else(|| path.clone(), |below| path.join(below));
                    if !["pyproject.toml", "setup.py"].iter().any(|file| project.join(file).exists()) {
                        return Err(super::Error::NoProject { path: project });
                    }
                    self.mount_snapshot(path, fetcher)?;
                } else {
                    self.mount_local(&path);
                }
                Ok((text.to_owned(), place))
            }
            "ssh" => {
                self.ssh = true;
                Ok((text.to_owned(), same_place(without_revision(&expanded))))
            }
            _ if git => {
                place = same_place(without_revision(&expanded));
                let mut location = url.clone();
                let _ = location.set_username("");
                let _ = location.set_password(None);
                if let Some(credentials) = fetcher.credentials(&url) {
                    self.environment.set_git(&url, &credentials);
                }
                Ok((format!("git+{}", shown(location)), place))
            }
            _ => {
                let Some(credentials) = fetcher.credentials(&url) else {
                    return Ok((text.to_owned(), place));
                };
                let user = self.environment.set_url(&credentials);
                let mut location = url.clone();
                let _ = location.set_username("");
                let _ = location.set_password(None);
                let location = shown(location);
                let (scheme, rest) = location.split_once("://").unwrap_or(("https", &location));
                Ok((format!("{scheme}://{user}{rest}"), place))
            }
        }
    }

    fn mount_local(&mut self, path: &Path) {
        if !self.mounts.iter().any(|mount| mount.guest == path) {
            self.mounts.push(mount(path.to_owned(), path, true));
        }
    }

    fn mount_snapshot(&mut self, path: PathBuf, fetcher: &Fetcher) -> Result<()> {
        if self.snapshots.contains_key(&path) {
            return Ok(());
        }
        let snapshot = Snapshot::take(&path, fetcher.store().scratch()?)?;
        let host = snapshot.folder.path().to_owned();
        self.mounts.push(mount(host, &path, true));
        self.snapshots.insert(path, snapshot);
        Ok(())
    }

    /// Local files and folders that requirements and indexes name.
    pub(super) fn mounts(&self) -> &[ToolMount] {
        &self.mounts
    }

    /// Index URLs, credentials, and what must not be seen of them.
    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    pub(super) fn index_arguments(&self) -> &[String] {
        &self.index_arguments
    }

    /// Whether repositories are fetched.
    pub(super) fn git(&self) -> bool {
        self.git
    }

    /// Whether any of them by ssh.
    pub(super) fn ssh(&self) -> bool {
        self.ssh
    }

    /// For the receipt.
    pub(super) fn indexes(&self) -> Vec<IndexState> {
        self.indexes.iter().map(|url| IndexState { url: url.clone(), sha256: None, date: None }).collect()
    }

    /// The copy of a local folder.
    pub(super) fn snapshot(&self, path: &Path) -> Option<&Snapshot> {
        self.snapshots.get(path)
    }

    /// All of it, for uv.
    pub(super) fn question<'a>(&self, previous: &'a [PypiPackage], upgrade: &'a Upgrade) -> Question<'a> {
        let all = |asked: &[Asked]| asked.iter().map(|asked| asked.requirement.clone()).collect();
        Question {
            requirements: all(&self.requirements),
            constraints: all(&self.constraints),
            arguments: self.arguments.clone(),
            previous,
            upgrade,
        }
    }

    /// The requirement, if any, that names this package itself.
    fn asked<'a>(&'a self, package: &Package) -> impl Iterator<Item = &'a Asked> {
        let name = normalise_name(&package.name);
        let place = if let Some(vcs) = &package.vcs {
            Some(same_place(&vcs.url))
        } else if let Some(directory) = &package.directory {
            Some(same_place(&directory.path))
        } else {
            package
                .archive
                .as_ref()
                .and_then(|file| file.url.as_deref().or(file.path.as_deref()))
                .map(same_place)
        };
        self.requirements.iter().filter(move |asked| match &asked.requirement.name {
            Some(asked) => *asked == name,
            None => asked.place.is_some() && asked.place == place,
        })
    }

    /// Whether the definition itself names this package.
    pub(super) fn requests(&self, package: &Package) -> bool {
        self.asked(package).next().is_some()
    }

    /// Whether the definition gives hashes at all.
    pub(super) fn has_hashes(&self) -> bool {
        self.requirements.iter().chain(&self.constraints).any(|asked| !asked.hashes.is_empty())
    }

    /// The digests that the definition admits for this package; empty where it gives none.
    pub(super) fn hashes(&self, package: &Package) -> BTreeSet<Digest> {
        let name = normalise_name(&package.name);
        let constraints =
            self.constraints.iter().filter(|asked| asked.requirement.name.as_ref() == Some(&name));
        self.asked(package).chain(constraints).flat_map(|asked| asked.hashes.iter().copied()).collect()
    }
}

/// A URL with its variables as they were written.
fn shown(url: Url) -> String {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let fragment = url.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
    let mut bare = url;
    bare.set_query(None);
    bare.set_fragment(None);
    format!("{}{query}{fragment}", SafeUrl::new(bare))
}
