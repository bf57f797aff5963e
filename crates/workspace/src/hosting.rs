//! What a server for a team needs of a workspace: to act for others, to take definitions from strangers, to read versions by
//! name and never by path.

use std::path::Path;

use provenv_definition::{Base, CondaChannel, Diagnostic, Digest, Environment, ReadEnvironment, SafeUrl};
use provenv_definition::{ContextLocation, Platform};
use serde::{Deserialize, Serialize};

use crate::curated::{Curated, is_curated};
use crate::environments::{details, unregistered};
use crate::registry::allow_many_files;
use crate::supervise::Signals;
use crate::{EnvironmentDetails, Error, ImageDetails, Registered, Result, Workspace};

pub use provenv_registry::server::{Door, Mounted, ServerError as HostingError, Visitor};

tokio::task_local! {
    /// Whom this task acts for.
    static ACTOR: String;
}

/// Does `work` in somebody's name: what it registers is on record as theirs.
pub async fn acting_as<T>(who: String, work: impl Future<Output = T>) -> T {
    ACTOR.scope(who, work).await
}

/// Whom this task acts for, if it is somebody else than the user of this process.
pub(crate) fn actor() -> Option<String> {
    ACTOR.try_with(Clone::clone).ok()
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

/// Which versions are listed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct VersionsQuery {
    /// The newest version of each name that contains this; of all names if it is empty.
    pub name: String,
    /// A tag that they have, with this value if one is given.
    pub tag: Option<(String, Option<String>)>,
    /// Who registered them.
    pub created_by: Option<String>,
    /// Only what comes after this name, or after this version where those of one name are listed.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// A part of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VersionsPage {
    /// The versions.
    pub versions: Vec<EnvironmentDetails>,
    /// What to give as `after` for the next part, if there may be one.
    pub next: Option<String>,
}

impl Workspace {
    /// Registers what a stranger sent.
    pub async fn register_sent(&self, environment: &Environment) -> Result<Registered> {
        refuse_local(environment)?;
        self.register(environment, &provenv_definition::Origins::default(), None, None).await
    }

    /// A version by its name and version (the newest if none is given); `None` where there is none.
    pub async fn version(&self, name: &str, version: Option<&str>) -> Result<Option<EnvironmentDetails>> {
        if let Some(row) = self.catalogue.environment(name, version).await? {
            return Ok(Some(details(row)));
        }
        if is_curated(name)
            && let Ok(curated) = Curated::find(name, version)
        {
            return Ok(Some(unregistered(curated.read()?.environment)));
        }
        Ok(None)
    }

    /// The newest version of each name, a page at a time.
    pub async fn newest_versions(&self, query: &VersionsQuery) -> Result<VersionsPage> {
        let fits = |found: &EnvironmentDetails| {
            let tags = &found.environment.tags;
            let tagged = query.tag.as_ref().is_none_or(|(tag, value)| match (tags.get(tag), value) {
                (Some(has), Some(value)) => has == value,
                (has, _) => has.is_some(),
            });
            tagged && query.created_by.as_ref().is_none_or(|by| found.created_by.as_ref() == Some(by))
        };
        let mut after = query.after.clone().unwrap_or_default();
        let mut versions = Vec::new();
        loop {
            let rows = self.catalogue.newest_page(&query.name, &after, query.limit).await?;
            let is_last = rows.len() < query.limit as usize;
            for row in rows {
                after.clone_from(&row.name);
                let found = details(row);
                if fits(&found) {
                    versions.push(found);
                    if versions.len() == query.limit as usize {
                        return Ok(VersionsPage { versions, next: Some(after) });
                    }
                }
            }
            if is_last {
                return Ok(VersionsPage { versions, next: None });
            }
        }
    }

    /// The versions of one name, newest first, a page at a time.
    pub async fn versions_of(&self, name: &str, after: Option<&str>, limit: u32) -> Result<VersionsPage> {
        let rows = self.catalogue.versions_page(name, after, limit).await?;
        let next = (rows.len() == limit as usize).then(|| rows.last().map(|row| row.version.clone()));
        Ok(VersionsPage { versions: rows.into_iter().map(details).collect(), next: next.flatten() })
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
        let mut rows = self.catalogue.images().await?;
        rows.retain(|row| row.lock == *lock && platform.is_none_or(|wanted| row.platform == wanted));
        rows.sort_by_key(|row| row.form != self.form());
        let row = rows.into_iter().next().ok_or_else(|| Error::NoImage(name.to_owned()))?;
        self.details_of_image(row, name).await
    }
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
