//! What a definition asks of pip, put for uv: requirements without credentials, and an environment with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use provenv_definition::{Digest, PipRequirement, PipRequirements, Requirement, SafeUrl, normalise_name};
use provenv_fetch::Fetcher;
use url::Url;

use super::compile::Question;
use super::environment::{Environment, Index};
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
    passed_on: Vec<(String, String)>,
    git: bool,
    ssh: bool,
}

/// One requirement.
struct Asked {
    /// For uv: its URL has its credentials, and no variables.
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
            passed_on: Vec::new(),
            git: false,
            ssh: false,
        };
        request.passed_on = request.environment.take_proxies(&config.host);
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

    /// Indexes go to uv by its settings, a file, so that none of it is seen in a list of processes, or by a package
    /// that names a variable.
    fn add_indexes(&mut self, pip: &PipRequirements, config: &PypiConfig, fetcher: &Fetcher) -> Result<()> {
        if pip.no_index {
            self.index_arguments.push("--no-index".to_owned());
        } else {
            let default = match &pip.index_url {
                Some(url) => Some(url.as_url().clone()),
                None => uv::index(config)?,
            };
            match default {
                Some(url) => self.add_index(&url, true, config, fetcher)?,
                // Who looks at the receipt later is to know that it was asked.
                None => self.indexes.push(SafeUrl::new(uv::default_index())),
            }
            for url in &pip.extra_index_urls {
                self.add_index(url.as_url(), false, config, fetcher)?;
            }
        }
        for link in &pip.find_links {
            self.add_find_links(link, config, fetcher)?;
        }
        Ok(())
    }

    fn add_index(&mut self, url: &Url, default: bool, config: &PypiConfig, fetcher: &Fetcher) -> Result<()> {
        let safe = SafeUrl::new(url.clone());
        self.environment.expand(&safe.to_string(), &config.host, &safe)?;
        let mut location = bare(url);
        location.set_query(url.query());
        let mut expanded = self.environment.expand(&shown(location), &config.host, &safe)?;
        if url.scheme() == "file" {
            self.mount_local(&local_path(url)?);
        } else {
            expanded = self.environment.with_credentials(&expanded, fetcher.credentials(url)?.as_ref());
        }
        self.indexes.push(safe);
        self.environment.settings_mut().index.push(Index { url: expanded, default });
        Ok(())
    }

    fn add_find_links(&mut self, link: &SafeUrl, config: &PypiConfig, fetcher: &Fetcher) -> Result<()> {
        let url = link.as_url();
        let expanded = self.environment.expand(&link.to_string(), &config.host, link)?;
        let location = if url.scheme() == "file" {
            self.mount_local(&local_path(url)?);
            expanded
        } else {
            let expanded =
                Url::parse(&expanded).map_err(|error| super::Error::url(&link.to_string(), error))?;
            self.indexes.push(link.clone());
            self.environment.with_credentials(bare(&expanded).as_str(), fetcher.credentials(url)?.as_ref())
        };
        self.environment.settings_mut().find_links.push(location);
        Ok(())
    }

    /// A requirement without credentials, and with what its URL needs in the sandbox.
    fn read(&mut self, requirement: &PipRequirement, host: &Host, fetcher: &Fetcher) -> Result<Asked> {
        let text = &requirement.requirement;
        let mut parsed: Requirement = text.parse().map_err(|source| super::Error::Requirement {
            requirement: text.clone(),
            source: Box::new(source),
        })?;
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
                let place = same_place(without_revision(&expanded));
                Ok((if git { format!("git+{expanded}") } else { expanded }, place))
            }
            _ if git => {
                place = same_place(without_revision(&expanded));
                let mut location = url.clone();
                let _ = location.set_username("");
                let _ = location.set_password(None);
                if let Some(credentials) = fetcher.credentials(&url)? {
                    self.environment.set_git(&url, &credentials);
                }
                let location = self.environment.expand(&shown(location), host, &safe)?;
                Ok((format!("git+{location}"), place))
            }
            _ => {
                let Some(credentials) = fetcher.credentials(&url)? else {
                    return Ok((expanded, place));
                };
                let mut location = url.clone();
                let _ = location.set_username("");
                let _ = location.set_password(None);
                let location = self.environment.expand(&shown(location), host, &safe)?;
                Ok((self.environment.with_credentials(&location, Some(&credentials)), place))
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

    /// The host's variables that uv and git get: no secrets.
    pub(super) fn passed_on(&self) -> &[(String, String)] {
        &self.passed_on
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
