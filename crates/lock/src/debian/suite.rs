//! A suite with its updates and its security updates: fetched, checked and open to questions.

use std::path::{Path, PathBuf};

use futures::future::{try_join, try_join_all};
use jiff::Timestamp;
use provenv_definition::{Digest, Platform, SafeUrl};
use provenv_fetch::Fetcher;
use provenv_store::Store;
use url::Url;

use super::config::{CLASSES, DebianConfig, Keys, Mirror, Mirrors};
use super::decompress;
use super::error::{Error, Result};
use super::index::{self, Index};
use super::openpgp::SignatureError;
use super::release::{Release, ReleaseFile};
use super::signed::{self, Signed};
use crate::IndexState;

/// The component that every archive has.
pub(super) const MAIN: &str = "main";

/// A suite that is open to questions.
#[derive(Debug)]
pub(super) struct OpenSuite {
    /// Its code name, whatever name it was asked for by.
    pub codename: String,
    pub indexes: Vec<Index>,
    /// Where the files of each index are.
    pub mirrors: Vec<Url>,
    /// What the archive said of each.
    pub states: Vec<IndexState>,
}

/// How much of a suite is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// The suite alone, which is enough to know its Python.
    Main,
    /// Its updates and security updates too.
    Full,
}

/// Opens suites.
pub(super) struct Opener<'a> {
    pub fetcher: &'a Fetcher,
    pub config: &'a DebianConfig,
    pub mirrors: Mirrors,
}

/// A release whose signature is good and whose time is now.
struct Verified {
    mirror: Url,
    /// The suite's folder.
    folder: String,
    release: Release,
    state: IndexState,
}

impl Opener<'_> {
    /// Opens `suite`, a code name or a class such as `stable`.
    pub async fn open(&self, suite: &str, platform: Platform, extent: Extent) -> Result<OpenSuite> {
        if suite.is_empty() || !suite.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)) {
            return Err(self.unknown(suite));
        }
        // A class moves from suite to suite, and not everywhere at once: all parts must be of the same one.
        let mut codename = suite.to_owned();
        if CLASSES.contains(&suite) {
            let main = self.main(suite, Extent::Main).await?;
            if let Some(known) = main.first().filter(|known| !known.release.codename.is_empty()) {
                codename.clone_from(&known.release.codename);
            }
        }
        let (main, security) =
            try_join(self.main(&codename, extent), self.security(&codename, extent)).await?;
        let all: Vec<Verified> = main.into_iter().chain(security).collect();
        // What is in no component of one part may be in that of another.
        let is_there = |verified: &&Verified, component: &str| {
            component == MAIN || verified.release.packages(component, platform.architecture()).is_ok()
        };
        let parts = all.iter().flat_map(|verified| {
            let components = self.config.components.iter().map(String::as_str);
            components
                .filter(move |component| is_there(&verified, component))
                .map(move |component| (verified, component))
        });
        let parts: Vec<(&Verified, &str)> = parts.collect();
        let indexes = parts.iter().map(|(verified, component)| self.index(verified, component, platform));
        let indexes = try_join_all(indexes).await?;
        let mirrors = parts.iter().map(|(verified, _)| verified.mirror.clone()).collect();
        Ok(OpenSuite {
            codename,
            indexes,
            mirrors,
            states: all.into_iter().map(|verified| verified.state).collect(),
        })
    }

    /// The suite and its updates, from the first mirror that has it.
    async fn main(&self, suite: &str, extent: Extent) -> Result<Vec<Verified>> {
        let mut failure = None;
        for mirror in &self.mirrors.main {
            let updates = format!("{suite}-updates");
            let both = try_join(self.release(mirror, suite), async {
                if extent == Extent::Full { self.release(mirror, &updates).await } else { Ok(None) }
            });
            match both.await {
                Ok((Some(main), updates)) => {
                    if extent == Extent::Full && updates.is_none() {
                        self.note(&format!("the Debian archive has no updates suite for {suite}"));
                    }
                    return Ok(std::iter::once(main).chain(updates).collect());
                }
                Ok((None, _)) => {}
                // Another archive among apt's sources may be the right one.
                Err(error) if mirror.found => failure = failure.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| self.unknown(suite)))
    }

    /// The security updates, if the archive has any.
    async fn security(&self, suite: &str, extent: Extent) -> Result<Option<Verified>> {
        if extent == Extent::Main {
            return Ok(None);
        }
        let mirrors =
            if self.mirrors.security.is_empty() { &self.mirrors.main } else { &self.mirrors.security };
        let suite = format!("{suite}-security");
        for mirror in mirrors {
            match self.release(mirror, &suite).await {
                // A vendor's archive may look like the one of security updates by its place.
                Ok(None) | Err(Error::NotDebian { .. }) => {}
                found => return found,
            }
        }
        self.note(&format!("the Debian archive has no suite {suite}: security updates are not looked at"));
        Ok(None)
    }

    /// The checked release of `suite`; `None` where the mirror has no such suite.
    async fn release(&self, mirror: &Mirror, suite: &str) -> Result<Option<Verified>> {
        let folder = format!("dists/{suite}");
        let what = format!("the release of {suite}");
        let mut url = under(&mirror.url, &format!("{folder}/InRelease"));
        let (bytes, detached) = if let Some(bytes) = self.document(&what, &url).await? {
            (bytes, None)
        } else {
            url = under(&mirror.url, &format!("{folder}/Release"));
            let Some(bytes) = self.document(&what, &url).await? else { return Ok(None) };
            let signature = under(&mirror.url, &format!("{folder}/Release.gpg"));
            let signature = self.document(&what, &signature).await?.ok_or_else(|| Error::Signature {
                url: SafeUrl::new(url.clone()).to_string(),
                source: SignatureError::Malformed("there is none".to_owned()),
            })?;
            (bytes, Some(signature))
        };
        let shown = SafeUrl::new(url);
        let now = Timestamp::now();
        let keys = Mirrors::keys(self.config, mirror)?;
        let text = self.verified_text(&shown, &keys, &bytes, detached.as_deref(), now)?;
        let refused = |source| Error::Release { url: shown.to_string(), source };
        let release = Release::parse(&text).map_err(refused)?;
        if mirror.found && release.origin != "Debian" {
            return Err(Error::NotDebian { url: shown.to_string(), origin: release.origin });
        }
        release.check(suite, now, self.config.ignore_valid_until).map_err(refused)?;
        let state =
            IndexState { url: shown, sha256: Some(Digest::of(&bytes)), date: Some(release.date.clone()) };
        Ok(Some(Verified { mirror: mirror.url.clone(), folder, release, state }))
    }

    /// The list of packages that `verified` vouches for, in the form it can be asked in.
    async fn index(&self, verified: &Verified, component: &str, platform: Platform) -> Result<Index> {
        let file = verified
            .release
            .packages(component, platform.architecture())
            .map_err(|source| Error::Release { url: verified.state.url.to_string(), source })?;
        let store = self.fetcher.store();
        let key = format!("{}-{}", index::FORMAT, file.sha256.hex());
        if let Some(index) = kept(store, &key)? {
            return Ok(index);
        }
        let _lease = store.lock_async(INDEX_KIND, &key).await?;
        // Somebody may have made it while this one waited.
        if let Some(index) = kept(store, &key)? {
            return Ok(index);
        }
        let suite = verified.release.codename.clone();
        let path = self.packages(verified, file, &suite).await?;
        let (store, name) = (store.clone(), file.path.clone());
        let built = tokio::task::spawn_blocking(move || build(&store, &key, &path, &name)).await;
        match built {
            Ok(Ok(Some(index))) => Ok(index),
            Ok(Ok(None)) => {
                Err(Error::Index { suite, reason: "it was lost as soon as it was kept".to_owned() })
            }
            Ok(Err(BuildError::Read(error))) => Err(Error::Index { suite, reason: error.to_string() }),
            Ok(Err(BuildError::Store(error))) => Err(error.into()),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    async fn packages(&self, verified: &Verified, file: &ReleaseFile, suite: &str) -> Result<PathBuf> {
        let what = format!("the list of packages of {suite}");
        let get = async |path: &str| {
            let url = SafeUrl::new(under(&verified.mirror, &format!("{}/{path}", verified.folder)));
            self.fetcher.artifact(&url, &file.sha256, Some(file.size)).await
        };
        let fetched = if verified.release.by_hash {
            match get(&file.by_hash()).await {
                Err(error) if is_missing(&error) => get(&file.path).await,
                fetched => fetched,
            }
        } else {
            get(&file.path).await
        };
        fetched.map_err(|source| Error::Fetch { what, source })
    }

    /// The text that was signed. That a signature by these very keys was good is remembered until its end: RSA takes
    /// 7 to 14 ms for each release, and a resolution reads three.
    fn verified_text(
        &self,
        url: &SafeUrl,
        keys: &Keys,
        bytes: &[u8],
        detached: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<String> {
        let failed = |source| Error::Signature { url: url.to_string(), source };
        let signed = read_signed(bytes, detached).map_err(failed)?;
        let parts = [keys.digest(), Digest::of(bytes), Digest::of(detached.unwrap_or_default())];
        let key = Digest::of(&parts.map(|part| *part.as_bytes()).concat()).hex();
        let store = self.fetcher.store();
        if store.record::<Timestamp>(SIGNATURE_KIND, &key)?.is_some_and(|until| now < until) {
            return Ok(signed.text);
        }
        // OpenPGP's own clock ends in 2106.
        let clock = u32::try_from(now.as_second()).unwrap_or(u32::MAX);
        let until = keys
            .keyring()?
            .verify(&signed.signatures, signed.text.as_bytes(), pgp::types::Timestamp::from_secs(clock))
            .map_err(failed)?;
        let until = Timestamp::from_second(until.as_secs().into()).unwrap_or(Timestamp::MAX);
        store.set_record(SIGNATURE_KIND, &key, &until)?;
        Ok(signed.text)
    }

    async fn document(&self, what: &str, url: &Url) -> Result<Option<Vec<u8>>> {
        match self.fetcher.document(url).await {
            Ok(document) => Ok(Some(self.fetcher.store().read(&document.blob)?)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(source) => Err(Error::Fetch { what: what.to_owned(), source }),
        }
    }

    fn unknown(&self, suite: &str) -> Error {
        let mirrors: Vec<String> =
            self.mirrors.main.iter().map(|mirror| SafeUrl::new(mirror.url.clone()).to_string()).collect();
        Error::UnknownSuite { suite: suite.to_owned(), mirror: mirrors.join(" or ") }
    }

    fn note(&self, message: &str) {
        self.fetcher.reporter().note(message);
    }
}

/// Whether the archive said that it has no such thing; any other failure says nothing about what it has.
fn is_missing(error: &provenv_fetch::Error) -> bool {
    match error {
        provenv_fetch::Error::NotFound { .. } => true,
        provenv_fetch::Error::File { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Takes the text, and nothing else, out of what was signed.
fn read_signed(bytes: &[u8], detached: Option<&[u8]>) -> std::result::Result<Signed, SignatureError> {
    let text =
        str::from_utf8(bytes).map_err(|_| SignatureError::Malformed("the text is not UTF-8".to_owned()))?;
    match detached {
        None => signed::read_cleartext(text),
        Some(signature) => {
            Ok(Signed { text: text.to_owned(), signatures: signed::read_detached(signature)? })
        }
    }
}

/// Kind of the records that say until when a signature is good that was found so.
const SIGNATURE_KIND: &str = "debian-signature";

/// Kind of the records that say which blob an index is kept in.
const INDEX_KIND: &str = "debian-index";

/// The index kept under `key`, unless it is not there or damaged.
fn kept(store: &Store, key: &str) -> Result<Option<Index>> {
    let Some(digest) = store.record::<Digest>(INDEX_KIND, key)? else { return Ok(None) };
    if !store.contains(&digest) {
        return Ok(None);
    }
    Ok(Index::open(store.open_blob(&digest)?).ok())
}

enum BuildError {
    Read(std::io::Error),
    Store(provenv_store::Error),
}

impl BuildError {
    /// The list is read and its index written in one go: what fails for want of space is the writing.
    fn of(error: std::io::Error) -> Self {
        if provenv_store::is_no_space(&error) { Self::Store(error.into()) } else { Self::Read(error) }
    }
}

impl From<provenv_store::Error> for BuildError {
    fn from(error: provenv_store::Error) -> Self {
        Self::Store(error)
    }
}

/// Reads the list at `path`, compressed as `name` says, keeps its index in the store and opens it.
fn build(
    store: &Store,
    key: &str,
    path: &Path,
    name: &str,
) -> std::result::Result<Option<Index>, BuildError> {
    let file = fs_err::File::open(path).map_err(BuildError::Read)?;
    let reader = decompress::plain(file, name).map_err(BuildError::Read)?;
    let mut staged = store.stage()?;
    index::build(reader, &mut staged).map_err(BuildError::of)?;
    let blob = staged.commit()?;
    store.set_record(INDEX_KIND, key, &blob.digest)?;
    Index::open(store.open_blob(&blob.digest)?).map(Some).map_err(BuildError::Read)
}

/// `path` below `base`, whether or not `base` ends in a slash.
pub(super) fn under(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/'));
    }
    url
}
