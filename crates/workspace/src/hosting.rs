//! What a server for a team needs of a workspace: to act for others, to take definitions from strangers, to read versions by
//! name and never by path.

use std::path::Path;

use provenv_definition::{
    Base, CondaChannel, ContextLocation, Diagnostic, Digest, Environment, Format, Origins, Platform,
    ReadEnvironment, SafeUrl,
};

use crate::catalogue::{Moment, Resolved, Untold, Wanted};
use crate::curated::{Curated, is_curated};
use crate::environments::{checked, unregistered};
use crate::reference::LATEST;
use crate::registry::allow_many_files;
use crate::supervise::Signals;
use crate::{
    EnvironmentDetails, Error, ImageDetails, RegisterOptions, Registered, Result, Workspace, has_nul,
};

pub use provenv_registry::server::{Door, Mounted, ServerError as HostingError, Visitor};

/// What somebody sent to be registered.
#[derive(Clone, Debug, Default)]
pub struct SentEnvironment {
    /// It.
    pub environment: Environment,
    /// The text of the lock that it is to have.
    pub lock: Option<String>,
    /// The version that it is made from, `name:version`.
    pub from: Option<String>,
    /// Where its parts stand in the text that it was read from, if it was.
    pub origins: Origins,
    /// The format of that.
    pub format: Option<Format>,
}

/// The signals that end a server. From the moment it is made they end nothing else: builds leave them alone.
pub struct StopSignal(Signals);

impl StopSignal {
    /// Begins to listen.
    pub fn listen() -> Result<Self> {
        allow_many_files();
        Ok(Self(Signals::listen()?))
    }

    /// The next one.
    pub async fn next(&mut self) {
        self.0.next().await;
    }
}

impl Workspace {
    /// Registers what a stranger sent, in the name of `who`.
    pub async fn register_sent(&self, environment: &Environment, who: &str) -> Result<Registered> {
        let sent = SentEnvironment { environment: environment.clone(), ..SentEnvironment::default() };
        self.register_sent_with(&sent, who).await
    }

    /// The same with what may come along.
    pub async fn register_sent_with(&self, sent: &SentEnvironment, who: &str) -> Result<Registered> {
        let SentEnvironment { environment, lock, origins, format, .. } = sent;
        let from = self.admitted(sent).await?;
        let options = RegisterOptions {
            who: Some(who),
            sent_lock: lock.as_deref(),
            from,
            ..RegisterOptions::default()
        };
        let registered = self.register_with(environment, origins, None, &options).await;
        registered.map_err(|error| error.located(&environment.definition, origins, *format))
    }

    /// The same of what was locked here before, which takes no longer than writing it down; `None` where it is to be locked first.
    pub async fn register_known(&self, sent: &SentEnvironment, who: &str) -> Result<Option<Registered>> {
        let environment = &sent.environment;
        if sent.lock.is_some() {
            return Ok(None);
        }
        let from = self.admitted(sent).await?;
        let name = checked(environment, &sent.origins)?;
        let options = RegisterOptions { who: Some(who), from, ..RegisterOptions::default() };
        self.enter_known_sent(name, environment, &options).await
    }

    /// Refuses what no stranger may send; gives what it is made from.
    async fn admitted(&self, sent: &SentEnvironment) -> Result<Option<(String, String)>> {
        refuse_local(&sent.environment)?;
        if sent.lock.as_ref().is_some_and(|text| has_nul(text.as_bytes())) {
            return Err(Error::Arguments {
                message: "a text in the lock has the character U+0000".to_owned(),
                hint: "send the lock as `provenv lock` wrote it".to_owned(),
            });
        }
        match sent.from.as_deref() {
            Some(from) => Ok(Some(self.made_from(from).await?)),
            None => Ok(None),
        }
    }

    /// The version that somebody says an environment is made from, if there is one.
    async fn made_from(&self, from: &str) -> Result<(String, String)> {
        let (name, version) = from.rsplit_once(':').ok_or_else(|| Error::Arguments {
            message: format!("`{from}` is no version that an environment could be made from"),
            hint: "write NAME:VERSION".to_owned(),
        })?;
        if is_curated(name) {
            Curated::find(name, Some(version))?;
        } else {
            self.version(name, version).await?;
        }
        Ok((name.to_owned(), version.to_owned()))
    }

    /// All about the image whose digest begins so.
    pub async fn image_with_digest(&self, digits: &str) -> Result<ImageDetails> {
        let row = self.image_of_digest(digits).await?.ok_or_else(|| Error::NoImage(digits.to_owned()))?;
        self.details_of_image(row, digits).await
    }

    /// What the audit log has yet to be told of this workspace. Imports that were added to within `recent` may go on, and are left out.
    pub async fn untold(&self, recent: jiff::SignedDuration) -> Result<Vec<Untold>> {
        Ok(self.catalogue.untold(recent).await?)
    }

    /// The audit log has been told of it.
    pub fn is_told(&self, id: &str) {
        self.catalogue.is_told(id);
    }

    /// Takes away what is on record of what the log has been told, which goes with the next registration otherwise.
    pub async fn forget_told(&self) -> Result<()> {
        Ok(self.catalogue.forget_told().await?)
    }

    /// What a definition resolves to now, if it was locked here.
    pub async fn resolved(&self, definition: &Digest) -> Result<Option<Resolved>> {
        Ok(self.catalogue.resolved(definition).await?)
    }

    /// A version by its name, and its version or `@LABEL`; never a file.
    pub async fn version_details(&self, name: &str, wanted: &str) -> Result<EnvironmentDetails> {
        let which = match wanted.strip_prefix('@') {
            Some(LATEST) => Wanted::Newest,
            Some(label) => Wanted::Label(label),
            None => Wanted::Version(wanted),
        };
        if let Some(shown) = self.shown(name, which).await? {
            return Ok(shown);
        }
        // Why there is none.
        let found = match wanted.strip_prefix('@') {
            Some(LATEST) => self.newest(name).await,
            Some(label) => match self.labelled(name, label).await {
                Ok(version) => self.version(name, &version).await,
                Err(error) => Err(error),
            },
            None => self.version(name, wanted).await,
        };
        match found {
            Ok(row) => self.details(row).await,
            // Those that are shipped are on record once they were used.
            Err(Error::NoEnvironment(..)) if is_curated(name) => {
                let version = Some(wanted).filter(|wanted| !wanted.starts_with('@'));
                Ok(unregistered(Curated::find(name, version)?.read()?.environment))
            }
            Err(Error::NoEnvironment(_, nearest)) => Err(Error::NoEnvironment(name.to_owned(), nearest)),
            Err(error) => Err(error),
        }
    }

    /// The version that a tag of a repository means, where it is registered and has no image yet.
    pub async fn unbuilt_version(&self, repository: &str, tag: &str) -> Result<Option<UnbuiltVersion>> {
        let Some((name, version)) = self.not_built(repository, tag).await? else { return Ok(None) };
        let details = self.version_details(&name, &version).await?;
        let Some(lock) = details.lock else { return Ok(None) };
        let platforms = &details.environment.definition.platforms;
        // As the tag does, once there are images.
        let here = platforms.iter().find(|platform| **platform == Platform::host());
        let platform = here.or(platforms.first()).copied().unwrap_or_default();
        Ok(Some(UnbuiltVersion { name, version, lock, platform }))
    }

    /// Which moment of the catalogue it is: what was read of it holds as long as this is the same.
    pub async fn moment(&self) -> Option<Moment> {
        self.catalogue.moment().await
    }

    /// The connections to the catalogue that are open, those of them that nobody uses, and how many there may be.
    pub fn connections(&self) -> (u32, u32, u32) {
        self.catalogue.connections()
    }

    /// The bytes of a lock, as they were hashed.
    pub async fn lock_text(&self, digest: &Digest) -> Result<Option<String>> {
        Ok(self.catalogue.lock_text(digest).await?)
    }

    /// The bytes of a receipt, as they were hashed.
    pub async fn receipt_text(&self, digest: &Digest) -> Result<Option<String>> {
        Ok(self.catalogue.receipt_text(digest).await?)
    }

    /// The image that a lock has here in the usual form, if it was built.
    pub async fn built_image(&self, lock: &Digest, platform: Platform) -> Result<Option<Digest>> {
        Ok(self.known_image(lock, platform, self.form()).await?.map(|image| image.manifest))
    }

    /// All about the image of a lock; `name` is what it was asked for by.
    pub async fn image_of_lock(
        &self,
        lock: &Digest,
        platform: Option<Platform>,
        name: &str,
    ) -> Result<ImageDetails> {
        let mut rows = self.catalogue.images_by_lock(lock).await?;
        rows.retain(|row| platform.is_none_or(|wanted| row.platform == wanted));
        rows.sort_by_key(|row| row.form != self.form());
        let row = rows.into_iter().next().ok_or_else(|| Error::NoImage(name.to_owned()))?;
        self.details_of_image(row, name).await
    }
}

/// A version that is registered and has no image.
#[derive(Clone, Debug)]
pub struct UnbuiltVersion {
    /// The environment.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What is to be assembled.
    pub lock: Digest,
    /// What its tag is for.
    pub platform: Platform,
}

/// Makes this process end with the one that started it, which is `parent`: it is asked to stop when that dies, however that
/// comes about.
pub fn end_with(parent: u32) -> Result<()> {
    let told = |error: nix::Error| Error::Io {
        what: "could not be tied to the process that started this".to_owned(),
        source: error.into(),
    };
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM).map_err(told)?;
    // It may have died before.
    if nix::unistd::getppid().as_raw() == i32::try_from(parent).unwrap_or_default() {
        return Ok(());
    }
    Err(told(nix::Error::ESRCH))
}

/// Reads the text of a file that a stranger sent. Nothing is read but the text.
pub fn read_text(name: &str, text: &str) -> Result<ReadEnvironment> {
    let plain = |name: &str| Path::new(name).file_name().is_some_and(|file| file == name);
    if !plain(name) {
        return Err(Error::Arguments {
            message: format!("`{name}` is not the name of a file"),
            hint: "give a name without folders, such as requirements.txt".to_owned(),
        });
    }
    // An empty folder: what the text names beside itself is not there.
    let folder = tempfile::tempdir().map_err(|source| Error::Io {
        what: "could not make a folder to read the text in".to_owned(),
        source,
    })?;
    let path = folder.path().join(name);
    let include = || Error::Arguments {
        message: format!("`{name}` names other files, which a server does not have"),
        hint: "send the definition in JSON, as `provenv env register` does, or put all into one file"
            .to_owned(),
    };
    let shorten = |mut remark: Diagnostic| {
        remark.file = remark.file.map(|_| name.into());
        remark
    };
    match provenv_definition::read_str(text, &path) {
        Ok(read) if read.files.iter().any(|file| *file != path) => Err(include()),
        Ok(read) => {
            refuse_local(&read.environment)?;
            Ok(ReadEnvironment { warnings: read.warnings.into_iter().map(shorten).collect(), ..read })
        }
        // What other files hold is not for a stranger to see.
        Err(error) if error.0.iter().any(|remark| remark.file.as_ref().is_some_and(|file| *file != path)) => {
            Err(include())
        }
        Err(error) => Err(Error::Definition(error.0.into_iter().map(shorten).collect())),
    }
}

/// All there is to say about the text of a file that a stranger sent, as `env check` says it, in the order of lines. What names
/// other files is refused: what these hold is not for a stranger to see.
pub fn check_text(name: &str, text: &str) -> Result<Vec<Diagnostic>> {
    match read_text(name, text) {
        Ok(_) | Err(Error::Definition(_)) => {}
        Err(error) => return Err(error),
    }
    let folder = tempfile::tempdir().map_err(|source| Error::Io {
        what: "could not make a folder to read the text in".to_owned(),
        source,
    })?;
    let path = folder.path().join(name);
    let remarks = provenv_definition::lint_str(text, &path).remarks.into_iter();
    let own = remarks.filter(|remark| remark.file.as_ref().is_none_or(|file| *file == path));
    Ok(own.map(|remark| Diagnostic { file: remark.file.as_ref().map(|_| name.into()), ..remark }).collect())
}

/// Refuses a definition that names what is on the machine that reads it: files, folders, variables of the environment. On a
/// server these would be the server's own, and not for whoever sent it.
pub fn refuse_local(environment: &Environment) -> Result<()> {
    let definition = &environment.definition;
    let refused = |what: &str, text: &str| Error::Arguments {
        message: format!("{what} `{text}` is of the machine that the definition was written on"),
        hint: "a server has neither your files nor your variables: name a URL that it can reach by https"
            .to_owned(),
    };
    if let Base::Context(context) = &definition.base
        && let ContextLocation::Folder { path, .. } = &context.location
    {
        return Err(refused("the build context", &path.to_string()));
    }
    let pip = &definition.pip;
    let channels = definition.conda.channels.iter().filter_map(|channel| match channel {
        CondaChannel::Url(url) => Some(url),
        CondaChannel::Name(_) => None,
    });
    let urls = pip
        .index_url
        .iter()
        .chain(&pip.extra_index_urls)
        .chain(&pip.find_links)
        .chain(&definition.spark.repositories)
        .chain(channels);
    for url in urls {
        if !is_remote(url) {
            return Err(refused("the URL", &url.to_string()));
        }
    }
    if let Base::Context(context) = &definition.base
        && let ContextLocation::Url(url) = &context.location
        && !is_remote(url)
    {
        return Err(refused("the build context", &url.to_string()));
    }
    let requirements =
        pip.requirements.iter().chain(&pip.constraints).map(|entry| entry.requirement.as_str());
    let specs = definition.conda.packages.iter().map(|package| package.spec.as_str());
    let names = definition.conda.channels.iter().filter_map(|channel| match channel {
        CondaChannel::Name(name) => Some(name.as_str()),
        CondaChannel::Url(_) => None,
    });
    for text in requirements.chain(specs).chain(names) {
        if is_of_this_machine(text) {
            return Err(refused("the requirement", text));
        }
    }
    refuse_names(environment)
}

/// Refuses a name or a version that could be taken for something else.
pub(crate) fn refuse_names(environment: &Environment) -> Result<()> {
    for platform_text in [environment.name.as_deref(), environment.version.as_deref()].into_iter().flatten() {
        if !is_plain(platform_text) {
            return Err(Error::Arguments {
                message: format!("`{platform_text}` is not a name that a server takes"),
                hint: "take letters, digits, `.`, `_` and `-`, not beginning with `.` and without the ending of a file"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

fn is_remote(url: &SafeUrl) -> bool {
    let text = url.to_string();
    matches!(url.as_url().scheme(), "http" | "https") && !text.contains("${") && !text.contains("$%7B")
}

/// A path, a file's URL, a variable, or several lines.
fn is_of_this_machine(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    text.starts_with(['.', '/', '~', '-', '\\'])
        || text.contains(['\n', '\r', '\0'])
        || lower.contains("file:")
        || text.contains("${")
        || lower.contains("$%7b")
}

/// What can be a name or a version everywhere: in a URL, as a tag, and on a command line without being taken for a file.
fn is_plain(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    let ending = Path::new(text).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    !text.is_empty()
        && text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(is_word)
        && !matches!(ending, "yaml" | "yml" | "txt" | "toml" | "json" | "in")
}

#[cfg(test)]
mod tests {
    use super::{Environment, read_text, refuse_local};

    #[test]
    fn a_text_reads_no_other_file() {
        for text in
            ["-r /etc/passwd\n", "-r ../x.txt\n", "-c /etc/hostname\n", "--find-links /etc\n", "./wheel\n"]
        {
            let refused = read_text("requirements.txt", text).err();
            let said = refused.map(|error| error.to_string()).unwrap_or_default();
            assert!(!said.is_empty() && !said.contains("root"), "{text}: {said}");
        }
        let read = read_text("requirements.txt", "numpy<2\n").unwrap();
        assert_eq!(read.environment.definition.pip.requirements[0].requirement, "numpy<2");
        assert!(read_text("../requirements.txt", "numpy\n").is_err());
    }

    #[test]
    fn nothing_of_the_server_is_named() {
        let with = |requirement: &str| {
            let mut environment = Environment { name: Some("digits".to_owned()), ..Environment::default() };
            environment.definition.pip.requirements.push(provenv_definition::PipRequirement {
                requirement: requirement.to_owned(),
                hashes: Vec::new(),
                editable: false,
            });
            refuse_local(&environment)
        };
        with("numpy<2").unwrap();
        with("pkg @ https://example.org/pkg-1-py3-none-any.whl").unwrap();
        for requirement in [
            "./pkg",
            "/srv/pkg",
            "pkg @ file:///srv/pkg",
            "pkg @ https://${TOKEN}@example.org/pkg.whl",
            "numpy\n-r /etc/passwd",
            "-e .",
        ] {
            with(requirement).unwrap_err();
        }
        let named =
            |name: &str| refuse_local(&Environment { name: Some(name.to_owned()), ..Environment::default() });
        named("digits").unwrap();
        for name in ["../x", "a/b", ".hidden", "x.yaml", ""] {
            named(name).unwrap_err();
        }
    }
}
