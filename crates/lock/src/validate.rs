//! What a lock must be before it is built from, whoever wrote it: names, versions and file names that are nothing else,
//! and URLs that lead only where the definition's owner sends for.

use std::path::{Component, Path, PathBuf};

use percent_encoding::percent_decode_str;
use provenv_definition::{
    CondaChannel, Definition, LockedArtifacts, LockedSource, Platform, SafeUrl, SystemPackage, normalise_name,
};
use url::Url;

use crate::pypi::WheelName;
use crate::{
    Artifact, BaseLock, CondaPackage, ContextLock, DebPackage, DockerfileLock, ImageLock, Lock, PlatformLock,
    PostLink, PypiPackage, PypiSource, PythonLock,
};

/// No package is as large, and sums of so many stay numbers.
const LARGEST: u64 = 1 << 40;

/// What registries take of a manifest (OCI distribution specification, "Pushing Manifests").
const MOST_MANIFEST: u64 = 4 << 20;

/// What is wrong with a lock.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {problem}")]
pub struct InvalidLock {
    what: String,
    problem: String,
}

type Result = std::result::Result<(), InvalidLock>;

/// What is at fault is shown with its control characters escaped.
pub(crate) fn invalid(what: impl AsRef<str>, problem: impl Into<String>) -> InvalidLock {
    InvalidLock { what: what.as_ref().escape_debug().to_string(), problem: problem.into() }
}

fn require(holds: bool, what: &str, problem: &str) -> Result {
    if holds { Ok(()) } else { Err(invalid(what, problem)) }
}

impl Lock {
    /// Whether every field is what its name says.
    pub fn validate(&self) -> Result {
        let format = format!("format {}", self.format);
        require((1..=Self::FORMAT).contains(&self.format), &format, "is none that there ever was")?;
        for (platform, lock) in &self.platforms {
            require(
                self.format > 1 || lock.base.manifest().is_none(),
                &format,
                "has no bases from registries",
            )?;
            require(self.format > 2 || lock.base.dockerfile().is_none(), &format, "has no Dockerfiles")?;
            lock.validate(*platform)?;
        }
        Ok(())
    }

    /// Whether its URLs lead only where `own`, the places that its user names, allow: a variable only at an origin that is
    /// named with it, a `file:` only below a folder that is named. `has` says which artifacts are here already.
    pub fn check_urls(&self, own: &Places, has: impl Fn(&Artifact) -> bool) -> Result {
        self.check_conda_urls(own, &has)?;
        for lock in self.platforms.values() {
            for package in &lock.debian {
                own.allow(&package.name, package.artifact.url.as_url(), has(&package.artifact))?;
            }
            for package in &lock.pypi {
                let artifact = match &package.source {
                    PypiSource::Wheel(artifact) => Some(artifact),
                    PypiSource::Built { sdist, .. } => sdist.as_ref(),
                };
                if let Some(artifact) = artifact {
                    own.allow(&package.name, artifact.url.as_url(), has(artifact))?;
                }
                if let PypiSource::Built { repository: Some(repository), .. } = &package.source {
                    let inner = repository.strip_prefix("git+").and_then(|inner| Url::parse(inner).ok());
                    let inner =
                        inner.ok_or_else(|| invalid(&package.name, "has a repository that is no URL"))?;
                    own.allow_variables(&package.name, &inner)?;
                }
            }
        }
        Ok(())
    }

    /// The same for conda packages alone, whose indexes may name any URL.
    pub fn check_conda_urls(&self, own: &Places, has: impl Fn(&Artifact) -> bool) -> Result {
        for package in self.platforms.values().flat_map(|lock| &lock.conda) {
            own.allow(&package.name, package.artifact.url.as_url(), has(&package.artifact))?;
        }
        Ok(())
    }

    /// The URLs of conda packages at origins that nobody in `own` names: an index may name any.
    pub fn strange_conda_urls<'a>(&'a self, own: &'a Places) -> impl Iterator<Item = &'a Url> {
        let packages = self.platforms.values().flat_map(|lock| &lock.conda);
        packages.map(|package| package.artifact.url.as_url()).filter(|url| own.is_strange(url))
    }

    /// The artifacts' URLs at origins that nobody in `own` names.
    pub fn strange_urls<'a>(&'a self, own: &'a Places) -> impl Iterator<Item = &'a Url> {
        let debian = self.platforms.values().flat_map(|lock| &lock.debian).map(|package| &package.artifact);
        let conda = self.platforms.values().flat_map(|lock| &lock.conda).map(|package| &package.artifact);
        let pypi =
            self.platforms.values().flat_map(|lock| &lock.pypi).filter_map(|package| match &package.source {
                PypiSource::Wheel(artifact) => Some(artifact),
                PypiSource::Built { sdist, .. } => sdist.as_ref(),
            });
        debian
            .chain(conda)
            .chain(pypi)
            .map(|artifact| artifact.url.as_url())
            .filter(|url| own.is_strange(url))
    }
}

/// The URLs, in the lock of another tool, at origins that nobody in `own` names.
pub fn strange_urls<'a>(artifacts: &'a LockedArtifacts, own: &'a Places) -> impl Iterator<Item = &'a Url> {
    let conda = artifacts.conda.values().flatten().map(|package| &package.url);
    let pypi = artifacts.pypi.iter().flat_map(|package| {
        let source = match &package.source {
            Some(LockedSource::Git { url, .. } | LockedSource::Folder { url, .. }) => Some(url),
            Some(LockedSource::Archive { file, .. }) => file.url.as_ref(),
            None => None,
        };
        package.wheels.iter().chain(&package.sdist).filter_map(|file| file.url.as_ref()).chain(source)
    });
    conda.chain(pypi).map(SafeUrl::as_url).filter(|url| own.is_strange(url))
}

impl PlatformLock {
    fn validate(&self, platform: Platform) -> Result {
        match &self.base {
            BaseLock::Debian { suite } => {
                require(is_word(&suite.0, "-.+_"), &format!("the suite `{suite}`"), "is no code name")?;
            }
            BaseLock::Image(image) => image.validate()?,
            BaseLock::Dockerfile(made) => made.validate()?,
        }
        for package in &self.debian {
            package.validate(platform)?;
        }
        sorted(self.debian.iter().map(|package| package.name.as_str()))?;
        for package in &self.conda {
            package.validate(platform)?;
        }
        sorted(self.conda.iter().map(|package| package.name.as_str()))?;
        if let Some(post_link) = &self.post_link {
            require(
                !self.conda.is_empty(),
                "the lock",
                "says what becomes of scripts of conda packages, and has none",
            )?;
            if let PostLink::Run { layer: Some(layer) } = post_link {
                let fits = layer.size <= LARGEST && layer.tar_size <= LARGEST;
                require(fits, "what scripts of conda packages left", "is larger than can be")?;
            }
        }
        if let Some(python) = &self.python {
            python.validate(&self.base)?;
        }
        let as_is = self.python.as_ref().is_some_and(|python| python.as_is);
        let nothing = self.conda.is_empty() && self.pypi.is_empty();
        require(!as_is || nothing, "the lock", "has packages for a Python that is used as it is")?;
        let python = self.python.is_some() || self.pypi.is_empty();
        require(python, "the lock", "has Python packages and no Python")?;
        for package in &self.pypi {
            package.validate()?;
        }
        sorted(self.pypi.iter().map(|package| package.name.as_str()))
    }
}

/// Names in order, each once: equal locks are equal bytes, and one package is not two.
fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Result {
    let names: Vec<&str> = names.collect();
    match names.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) if pair[0] == pair[1] => Err(invalid(pair[0], "is there twice")),
        Some(pair) => Err(invalid(pair[1], "is not in the order of names")),
        None => Ok(()),
    }
}

/// Letters, digits and `others`, the first a letter or digit.
fn is_word(text: &str, others: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

impl DebPackage {
    /// Debian Policy 5.6.1, 5.6.12 and 5.6.8.
    fn validate(&self, platform: Platform) -> Result {
        let is_name = self
            .name
            .parse()
            .is_ok_and(|parsed: SystemPackage| parsed.version.is_none() && parsed.name == self.name);
        require(is_name, &format!("`{}`", self.name), "is not the name of a Debian package")?;
        let version = format!("the version `{}` of {}", self.version, self.name);
        require(is_word(&self.version, ".+-~:"), &version, "is none of Debian")?;
        let known = self.architecture == "all" || self.architecture == platform.architecture();
        let architecture = format!("the architecture `{}` of {}", self.architecture, self.name);
        require(known, &architecture, &format!("is not that of {platform}"))?;
        self.artifact.validate(&self.name)
    }
}

impl CondaPackage {
    /// The grammar of names, versions and build strings (conda's CEP 26), and a URL that ends as a channel lays files out.
    fn validate(&self, platform: Platform) -> Result {
        let name = is_word(self.name.trim_start_matches('_'), "-_.")
            && !self.name.contains(|c: char| c.is_ascii_uppercase());
        require(name, &format!("`{}`", self.name), "is not the name of a conda package")?;
        let what = |part: &str, text: &str| format!("the {part} `{text}` of {}", self.name);
        require(is_word(&self.version, "._+!-"), &what("version", &self.version), "is none of conda")?;
        require(is_word(&self.build, "._+"), &what("build", &self.build), "is none of conda")?;
        let known = self.subdir == "noarch" || self.subdir == conda_subdir(platform);
        require(known, &what("subdir", &self.subdir), &format!("is not that of {platform}"))?;
        let md5 = |md5: &String| md5.len() == 32 && md5.bytes().all(|byte| byte.is_ascii_hexdigit());
        require(self.md5.as_ref().is_none_or(md5), &self.name, "has an md5 that is none")?;
        let listed = |specs: &[String]| specs.iter().all(|spec| !spec.contains(char::is_control));
        require(listed(&self.depends) && listed(&self.constrains), &self.name, "needs what is no spec")?;
        let stem = format!("{}-{}-{}", self.name, self.version, self.build);
        let file = self.artifact.url.file_name().unwrap_or_default();
        let fits = [".conda", ".tar.bz2"].iter().any(|ending| file.strip_suffix(ending) == Some(&stem));
        require(fits, &what("file", file), &format!("is not that of {stem}"))?;
        self.artifact.validate(&self.name)
    }
}

/// Conda's name of a platform.
pub fn conda_subdir(platform: Platform) -> &'static str {
    match platform {
        Platform::LinuxAmd64 => "linux-64",
        Platform::LinuxArm64 => "linux-aarch64",
    }
}

impl ImageLock {
    /// A reference as it is written with its registry, and nothing else: whether it is the definition's, who knows registries says.
    fn validate(&self) -> Result {
        let what = format!("the base `{}`", self.reference);
        let plain = is_word(&self.reference, "._-/:@+[]") && self.reference.contains('/');
        require(plain, &what, "is no image of a registry")?;
        require((1..=MOST_MANIFEST).contains(&self.size), &what, "has a manifest of a size that none has")
    }
}

impl DockerfileLock {
    fn validate(&self) -> Result {
        let what = "what the Dockerfile made";
        require((1..=MOST_MANIFEST).contains(&self.size), what, "has a manifest of a size that none has")?;
        for image in &self.from {
            image.validate()?;
        }
        match &self.context {
            Some(ContextLock::Git { commit }) => {
                let is_commit = matches!(commit.len(), 40 | 64)
                    && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                require(is_commit, &format!("the build context's commit `{commit}`"), "is none of git")
            }
            Some(ContextLock::Archive { size, .. }) => {
                require(*size <= LARGEST, "the archive of the build context", "is larger than can be")
            }
            None => Ok(()),
        }
    }
}

impl PythonLock {
    fn validate(&self, base: &BaseLock) -> Result {
        let version = format!("the Python version `{}`", self.version);
        let mut parts = self.version.splitn(3, '.');
        let minor = match (parts.next(), parts.next()) {
            (Some("3"), Some(minor)) => minor,
            _ => "",
        };
        let is_number = (1..=3).contains(&minor.len()) && minor.bytes().all(|byte| byte.is_ascii_digit());
        require(
            is_number && parts.all(|patch| is_word(patch, ".+~")),
            &version,
            "is no version of Python 3",
        )?;
        let executable = format!("the interpreter `{}`", self.executable);
        let file = format!("/python3.{minor}");
        let expected = format!("/usr/bin{file}");
        let conda = self.executable == format!("/opt/provenv/bin{file}");
        if base.manifest().is_some() && !conda {
            let path = self.executable.strip_suffix(&file).unwrap_or_default();
            let mut parts = path.split('/').skip(1);
            let normal =
                path.starts_with('/') && parts.all(|part| is_word(part.trim_start_matches('.'), "._+-"));
            require(normal, &executable, &format!("is no path of a `python3.{minor}`"))?;
        } else {
            require(conda || self.executable == expected, &executable, &format!("is not `{expected}`"))?;
        }
        let glibc = self.glibc.split_once('.').is_some_and(|(major, minor)| {
            [major, minor]
                .iter()
                .all(|part| (1..=4).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit()))
        });
        require(glibc, &format!("the version `{}` of glibc", self.glibc), "is no version such as 2.36")
    }
}

impl PypiPackage {
    /// The grammar of names (PEP 503), versions (PEP 440) and file names of wheels (PEP 427).
    fn validate(&self) -> Result {
        let normal =
            is_word(&self.name, "-") && normalise_name(&self.name) == self.name && !self.name.ends_with('-');
        require(normal, &format!("`{}`", self.name), "is not the normalised name of a Python package")?;
        let version = self.version.parse::<pep440_rs::Version>().ok();
        let version = version.filter(|_| is_word(&self.version, ".+!-_")).ok_or_else(|| {
            invalid(format!("the version `{}` of {}", self.version, self.name), "is none of PEP 440")
        })?;
        let wheel = WheelName::parse(&self.wheel).filter(|_| is_word(&self.wheel, "._+!-"));
        let fits = wheel.is_some_and(|wheel| wheel.name == self.name && wheel.version.parse() == Ok(version));
        let file = format!("the file `{}`", self.wheel);
        require(fits, &file, &format!("is no wheel of {} {}", self.name, self.version))?;
        match &self.source {
            PypiSource::Wheel(artifact) => artifact.validate(&self.name),
            PypiSource::Built { size, sdist, repository, .. } => {
                require(*size <= LARGEST, &self.name, "is larger than can be")?;
                let plain =
                    repository.as_ref().is_none_or(|repository| !repository.contains(char::is_control));
                require(plain, &self.name, "has a repository that is no URL")?;
                sdist.as_ref().map_or(Ok(()), |sdist| sdist.validate(&self.name))
            }
        }
    }
}

impl Artifact {
    fn validate(&self, name: &str) -> Result {
        require(self.size <= LARGEST, name, "is larger than can be")?;
        let scheme = matches!(self.url.as_url().scheme(), "http" | "https" | "oci" | "file");
        require(scheme, name, "has a URL that is neither http, https, oci nor file")
    }
}

/// Places that the user of a lock names: in the definition and in the settings.
#[derive(Default)]
pub struct Places {
    urls: Vec<Url>,
    folders: Vec<PathBuf>,
}

impl Places {
    /// Those of a definition.
    pub fn of(definition: &Definition) -> Self {
        let mut places = Self::default();
        let pip = &definition.pip;
        for url in pip.index_url.iter().chain(&pip.extra_index_urls) {
            places.add(url.as_url());
            places.add_above(url.as_url());
        }
        for channel in &definition.conda.channels {
            if let CondaChannel::Url(url) = channel {
                places.add(url.as_url());
            }
        }
        for url in &pip.find_links {
            places.add(url.as_url());
            // The links of a page are relative to where it is.
            if url.as_url().to_file_path().is_ok_and(|path| !path.is_dir()) {
                places.add_above(url.as_url());
            }
        }
        for requirement in pip.requirements.iter().chain(&pip.constraints) {
            let text = &requirement.requirement;
            let location = text.split_once(" @ ").map_or(text.as_str(), |(_, location)| location);
            let location = location.split(" ;").next().unwrap_or(location).trim();
            if let Ok(url) = Url::parse(location.strip_prefix("git+").unwrap_or(location)) {
                places.add(&url);
            }
        }
        places
    }

    /// One more.
    pub fn add(&mut self, url: &Url) {
        if url.scheme() == "file" {
            self.folders.extend(url.to_file_path());
        } else {
            self.urls.push(url.clone());
        }
    }

    /// Those that are no folders of this machine.
    pub fn urls(&self) -> &[Url] {
        &self.urls
    }

    fn is_strange(&self, url: &Url) -> bool {
        url.scheme() != "file" && !self.urls.iter().any(|known| known.origin() == url.origin())
    }

    /// Pages of an index link to files beside them.
    fn add_above(&mut self, url: &Url) {
        if let Ok(path) = url.to_file_path()
            && let Some(above) = path.parent().filter(|above| above.parent().is_some())
        {
            self.folders.push(above.to_owned());
        }
    }

    fn allow(&self, name: &str, url: &Url, is_here: bool) -> Result {
        self.allow_variables(name, url)?;
        if url.scheme() != "file" || is_here {
            return Ok(());
        }
        let below = |path: &Path| {
            !path.components().any(|part| part == Component::ParentDir)
                && self.folders.iter().any(|folder| path.starts_with(folder))
        };
        let allowed = url.to_file_path().is_ok_and(|path| below(&path));
        require(allowed, name, "comes from a file of this machine in no folder that the definition names")
    }

    fn allow_variables(&self, name: &str, url: &Url) -> Result {
        let asked = variables(url);
        let allowed = asked.is_empty()
            || self.urls.iter().any(|own| {
                let known = variables(own);
                own.origin() == url.origin() && asked.iter().all(|variable| known.contains(variable))
            });
        require(allowed, name, "has a URL with a variable that the definition does not have for its host")
    }
}

/// Whether a URL or a part of one names a variable, however it is escaped.
pub(crate) fn has_variables(text: &str) -> bool {
    percent_decode_str(text).decode_utf8_lossy().contains("${")
}

/// What stands after each `${` of a URL, however it is escaped.
fn variables(url: &Url) -> Vec<String> {
    let text = percent_decode_str(url.as_str()).decode_utf8_lossy();
    let after = text.split("${").skip(1);
    after.map(|rest| rest.split('}').next().unwrap_or(rest).to_owned()).collect()
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
