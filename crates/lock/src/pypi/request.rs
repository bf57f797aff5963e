//! What a definition asks of pip, put for uv: requirement files without credentials, and an environment with them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use provenv_definition::{Digest, PipRequirement, PipRequirements, Requirement, SafeUrl, normalise_name};
use provenv_fetch::{Credentials, Fetcher};
use url::Url;

use super::pylock::{Package, Pylock, percent_encode};
use super::session::{Session, WORK, mount};
use super::source::{Snapshot, bare, local_path, same_place, variables, without_revision};
use super::{Host, PypiConfig, Result, explain, uv};
use crate::tool::ToolMount;
use crate::{IndexState, PypiPackage, Upgrade};

/// Shorter values are no secrets worth the damage that hiding them does to messages.
const SHORTEST_SECRET: usize = 4;

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
    /// For uv: `${…}` stands for credentials.
    text: String,
    name: Option<String>,
    /// Of a direct URL, for comparing.
    place: Option<String>,
    hashes: Vec<Digest>,
}

/// Variables for the sandbox, and what of them must not be seen.
#[derive(Default)]
struct Environment {
    variables: Vec<(String, String)>,
    git_settings: Vec<(String, String)>,
    /// Secret values with what is shown in their stead.
    secrets: Vec<(String, String)>,
}

impl Environment {
    fn set(&mut self, name: &str, value: &str) {
        if !self.variables.iter().any(|(known, _)| known == name) {
            self.variables.push((name.to_owned(), value.to_owned()));
        }
    }

    fn hide(&mut self, value: &str, shown: &str) {
        if value.len() >= SHORTEST_SECRET {
            self.secrets.push((value.to_owned(), shown.to_owned()));
        }
    }

    fn hide_credentials(&mut self, credentials: &Credentials) {
        for value in [&credentials.username, &credentials.password] {
            self.hide(value, "****");
            self.hide(&encode(value), "****");
        }
    }

    /// `text` with its `${NAME}`s replaced. `shown` is the URL for messages.
    fn expand(&mut self, text: &str, host: &Host, shown: &SafeUrl) -> Result<String> {
        let mut expanded = text.to_owned();
        for name in variables(text) {
            let value = host.variable(name).ok_or_else(|| super::Error::variable(shown, name))?;
            expanded = expanded.replace(&format!("${{{name}}}"), value);
            self.hide(value, &format!("${{{name}}}"));
            self.set(name, value);
        }
        Ok(expanded)
    }
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
            let default =
                pip.index_url.as_ref().map(|url| url.as_url().clone()).or_else(|| uv::index(config));
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
            self.environment.hide_credentials(&credentials);
            let variable = format!("UV_INDEX_PROVENV_{}", name.to_ascii_uppercase());
            self.environment.set(&format!("{variable}_USERNAME"), &credentials.username);
            self.environment.set(&format!("{variable}_PASSWORD"), &credentials.password);
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
            text: parsed.to_string(),
            name: parsed.name.as_deref().map(normalise_name),
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
                    self.environment.hide_credentials(&credentials);
                    // Not in the URL: git hands that to a helper as an argument.
                    let pair = format!("{}:{}", credentials.username, credentials.password);
                    let pair = base64::engine::general_purpose::STANDARD.encode(pair);
                    self.environment.hide(&pair, "****");
                    let origin = url.origin().ascii_serialization();
                    self.environment.git_settings.push((
                        format!("http.{origin}/.extraHeader"),
                        format!("Authorization: Basic {pair}"),
                    ));
                }
                Ok((format!("git+{}", shown(location)), place))
            }
            _ => {
                let Some(credentials) = fetcher.credentials(&url) else {
                    return Ok((text.to_owned(), place));
                };
                self.environment.hide_credentials(&credentials);
                let number = self.environment.variables.len();
                let (user, password) =
                    (format!("PROVENV_USER_{number}"), format!("PROVENV_PASSWORD_{number}"));
                self.environment.set(&user, &encode(&credentials.username));
                self.environment.set(&password, &encode(&credentials.password));
                let mut location = url.clone();
                let _ = location.set_username("");
                let _ = location.set_password(None);
                let location = shown(location);
                let (scheme, rest) = location.split_once("://").unwrap_or(("https", &location));
                Ok((format!("{scheme}://${{{user}}}:${{{password}}}@{rest}"), place))
            }
        }
    }

    fn mount_local(&mut self, path: &Path) {
        if !self.mounts.iter().any(|mount| mount.guest == path) {
            self.mounts.push(ToolMount { host: path.to_owned(), guest: path.to_owned(), read_only: true });
        }
    }

    fn mount_snapshot(&mut self, path: PathBuf, fetcher: &Fetcher) -> Result<()> {
        if self.snapshots.contains_key(&path) {
            return Ok(());
        }
        let snapshot = Snapshot::take(&path, fetcher.store().scratch()?)?;
        let host = snapshot.folder.path().to_owned();
        self.mounts.push(ToolMount { host, guest: path.clone(), read_only: false });
        self.snapshots.insert(path, snapshot);
        Ok(())
    }

    pub(super) fn mounts(&self) -> Vec<ToolMount> {
        self.mounts.clone()
    }

    /// Index URLs, credentials, and git's settings.
    pub(super) fn env(&self) -> Vec<(String, String)> {
        let mut env = self.environment.variables.clone();
        if self.git {
            // A repository may belong to another user than the one inside.
            let owner = ("safe.directory".to_owned(), "*".to_owned());
            let settings: Vec<_> = std::iter::once(&owner).chain(&self.environment.git_settings).collect();
            env.push(("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string()));
            for (number, (key, value)) in settings.into_iter().enumerate() {
                env.push((format!("GIT_CONFIG_KEY_{number}"), key.clone()));
                env.push((format!("GIT_CONFIG_VALUE_{number}"), value.clone()));
            }
        }
        env
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

    /// The digest of a local folder's content.
    pub(super) fn snapshot(&self, path: &Path) -> Option<&Digest> {
        self.snapshots.get(path).map(|snapshot| &snapshot.digest)
    }

    /// The values that must not be seen anywhere.
    pub(super) fn secrets(&self) -> Vec<String> {
        self.environment.secrets.iter().map(|(value, _)| value.clone()).collect()
    }

    /// `text` with every secret replaced by its variable, or by asterisks.
    pub(super) fn hide(&self, text: &str) -> String {
        let secrets = self.environment.secrets.iter();
        let hidden = secrets.fold(text.to_owned(), |text, (value, shown)| text.replace(value, shown));
        provenv_definition::mask_secrets(&hidden)
    }

    /// A URL for the lock: without credentials, and with variables where the definition has them.
    pub(super) fn lock_url(&self, url: &Url) -> Result<SafeUrl> {
        let mut url = url.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        let mut text = url.to_string();
        // In a lock it would stand for a value of the user's environment, sent to whoever named it.
        let plain = text.to_ascii_lowercase().replace("%24", "$").replace("%7b", "{");
        if plain.contains("${") {
            return Err(super::Error::VariableFromIndex { url: text });
        }
        for (value, shown) in self.environment.secrets.iter().filter(|(_, shown)| shown.starts_with("${")) {
            text = text.replace(value, shown);
        }
        text.parse().map_err(|error| super::Error::url(&text, error))
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
        self.requirements.iter().filter(move |asked| match &asked.name {
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
        let constraints = self.constraints.iter().filter(|asked| asked.name.as_ref() == Some(&name));
        self.asked(package).chain(constraints).flat_map(|asked| asked.hashes.iter().copied()).collect()
    }
}

/// Lets uv choose versions.
pub(super) async fn compile(
    session: &Session<'_>,
    request: &Request,
    previous: &[PypiPackage],
    upgrade: &Upgrade,
) -> Result<Pylock> {
    let work = session.work()?;
    let lines = |asked: &[Asked]| asked.iter().flat_map(|asked| [&*asked.text, "\n"]).collect::<String>();
    fs_err::write(work.path().join("requirements.in"), lines(&request.requirements))?;
    let output = work.path().join("pylock.toml");

    let mut arguments = request.arguments.clone();
    match upgrade {
        Upgrade::All => arguments.push("--upgrade".to_owned()),
        Upgrade::None => {}
        Upgrade::Packages(names) => {
            for name in names {
                arguments.extend(["--upgrade-package".to_owned(), normalise_name(name)]);
            }
        }
    }
    if !previous.is_empty() && *upgrade != Upgrade::All {
        fs_err::write(&output, Pylock::preferring(previous.iter()).to_text())?;
    }
    if !request.constraints.is_empty() {
        fs_err::write(work.path().join("constraints.in"), lines(&request.constraints))?;
        arguments.extend(["--constraints".to_owned(), format!("{WORK}/constraints.in")]);
    }
    let fixed = [
        &format!("{WORK}/requirements.in"),
        "--output-file",
        &format!("{WORK}/pylock.toml"),
        "--format",
        "pylock.toml",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "--python-version",
        &session.python.version,
        "--python-platform",
        &session.python_platform(),
    ];
    arguments.extend(fixed.map(str::to_owned));
    match session.uv(&["pip", "compile"], &arguments, work.path(), &[]).await? {
        Ok(stderr) => {
            for warning in explain::warnings(&stderr) {
                session.fetcher.reporter().note(warning);
            }
        }
        Err(failure) => return Err(session.explain(&failure)),
    }
    Pylock::parse(&fs_err::read_to_string(&output)?)
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

/// For a URL's user information.
fn encode(text: &str) -> String {
    percent_encode(text, b"-._~")
}

/// A file or folder for one run, read-only.
pub(super) fn show(host: &Path, guest: &str) -> ToolMount {
    mount(host.to_owned(), guest, true)
}
