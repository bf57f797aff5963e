//! An image from a registry to the store, as it is (OCI distribution specification, "Pull").
//!
//! What a reference names is looked up once, for one platform ([`look_up`]); from then on the manifest's digest says what it
//! is, wherever it is fetched from ([`pull`]). Every byte is checked against that digest, or one that it vouches for, before
//! it is in the store.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use provenv_definition::{Digest, Platform};
use provenv_fetch::{Phase, Reporter};
use provenv_image::base_image::{
    DOCKER_INDEX_TYPE, DOCKER_MANIFEST_TYPE, INDEX_TYPE, Index, Manifest, ManifestError,
};
use provenv_image::oci::MANIFEST_TYPE;
use provenv_store::{Staged, Store};
use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;

use crate::client::{Access, Client, How, TRIES, whole};
use crate::error::{Failure, chain};
use crate::{Error, Keychain, Reference};

/// Blobs on their way at once.
const PARALLEL: usize = 4;
/// The most bytes of a manifest (OCI distribution specification, "Pushing Manifests").
const MOST_MANIFEST: usize = 4 << 20;
/// Bytes gathered before they are handed to a thread that may block.
const HAND_OVER: usize = 1 << 20;

/// How registries are pulled from.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// Where credentials are looked up.
    pub keychain: Keychain,
    /// Registries, as references name them, that are spoken to by plain HTTP. This machine is so anyway.
    pub insecure: Vec<String>,
    /// Where else images of a registry are, `HOST[:PORT][/PREFIX]` each, in the order in which they are asked; then the
    /// registry itself.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// A file with certificates (PEM) that are trusted besides the system's.
    pub certificates: Option<PathBuf>,
}

/// What a reference names, for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What it names itself, if that is an index for several platforms.
    pub index: Option<Digest>,
    /// The manifest of the image for the platform.
    pub manifest: Digest,
    /// Bytes of the manifest.
    pub size: u64,
}

/// Looks up what `reference` names for `platform`. Its manifest is in the store then.
pub async fn look_up(
    store: &Store,
    reference: &Reference,
    platform: Platform,
    options: &PullOptions,
) -> Result<Named, Error> {
    for place in places(reference, options)? {
        let repository = Repository { client: client(&place, options)?, reference };
        let result = repository.look_up(store, &place, platform).await;
        if let Some(result) = settled(result, place == *reference) {
            return result;
        }
    }
    unreachable!("the registry itself is the last place")
}

/// Brings all of the image with this manifest into the store. What is there is not fetched; nobody is asked where all is.
pub async fn pull(
    store: &Store,
    reference: &Reference,
    manifest: &Digest,
    options: &PullOptions,
    reporter: &dyn Reporter,
) -> Result<(), Error> {
    if is_here(store, reference, manifest)? {
        return Ok(());
    }
    for place in places(reference, options)? {
        let repository = Repository { client: client(&place, options)?, reference };
        let result = repository.pull(store, manifest, reporter).await;
        if let Some(result) = settled(result, place == *reference) {
            return result;
        }
    }
    unreachable!("the registry itself is the last place")
}

/// Brings blobs of an image into the store, with their sizes. What is there is not fetched; nobody is asked where all is.
pub async fn fetch(
    store: &Store,
    reference: &Reference,
    blobs: &[(Digest, u64)],
    options: &PullOptions,
    reporter: &dyn Reporter,
) -> Result<(), Error> {
    let mut missing: Vec<(Digest, u64)> = Vec::new();
    for (digest, size) in blobs {
        if store.size(digest)? != Some(*size) && !missing.contains(&(*digest, *size)) {
            missing.push((*digest, *size));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    for place in places(reference, options)? {
        let repository = Repository { client: client(&place, options)?, reference };
        let result = repository.blobs(store, missing.clone(), reporter).await;
        if let Some(result) = settled(result, place == *reference) {
            return result;
        }
    }
    unreachable!("the registry itself is the last place")
}

/// Whether all of the image with this manifest is in the store.
pub fn is_here(store: &Store, reference: &Reference, manifest: &Digest) -> Result<bool, Error> {
    Ok(missing(store, reference, manifest)?.is_some_and(|missing| missing.is_empty()))
}

/// The blobs of the image with this manifest that are not in the store; `None` where the manifest itself is not.
fn missing(
    store: &Store,
    reference: &Reference,
    manifest: &Digest,
) -> Result<Option<Vec<(Digest, u64)>>, Error> {
    if !store.contains(manifest) {
        return Ok(None);
    }
    let bytes = store.read(manifest)?;
    let manifest = Manifest::parse(&bytes).map_err(|source| refused(reference, source))?;
    let mut missing = Vec::new();
    for (digest, size) in manifest.blobs() {
        if store.size(&digest)? != Some(size) && !missing.contains(&(digest, size)) {
            missing.push((digest, size));
        }
    }
    Ok(Some(missing))
}

/// Where the image may be: at each mirror of its registry, and then in the registry, whose failure is the one that counts.
fn places(reference: &Reference, options: &PullOptions) -> Result<Vec<Reference>, Error> {
    let mirrors = options.mirrors.get(reference.registry()).into_iter().flatten();
    let mut places = mirrors.map(|mirror| reference.at(mirror)).collect::<Result<Vec<_>, _>>()?;
    places.push(reference.clone());
    Ok(places)
}

/// What came of one place, if no other one is to be tried.
fn settled<T>(result: Result<T, Error>, is_last: bool) -> Option<Result<T, Error>> {
    match result {
        Err(error) if !is_last && !matches!(error, Error::Store(_)) => {
            tracing::info!(%error, "the mirror failed");
            None
        }
        result => Some(result),
    }
}

fn client(place: &Reference, options: &PullOptions) -> Result<Client, Error> {
    let how = How {
        access: Access::Pull,
        insecure: options.insecure.iter().any(|registry| registry == place.registry()),
        keychain: &options.keychain,
        certificates: options.certificates.as_deref(),
        tries: TRIES,
        others: &[],
    };
    Client::new(place, &how)
}

fn refused(reference: &Reference, source: ManifestError) -> Error {
    Error::Manifest { reference: reference.to_string(), source }
}

/// A repository that may have the image.
struct Repository<'a> {
    client: Client,
    /// The image as the user calls it.
    reference: &'a Reference,
}

impl Repository<'_> {
    async fn look_up(&self, store: &Store, place: &Reference, platform: Platform) -> Result<Named, Error> {
        let asked = self.reference.digest();
        let name = asked.map_or_else(|| place.tag().to_owned(), |digest| digest.to_string());
        let bytes = self.manifest(&name, asked.as_ref()).await?;
        let refused = |source| refused(self.reference, source);
        let Some(index) = Index::parse(&bytes).map_err(refused)? else {
            Manifest::parse(&bytes).map_err(refused)?;
            let manifest = store.put(&bytes)?;
            return Ok(Named { index: None, manifest, size: bytes.len() as u64 });
        };
        let Some(wanted) = index.image_for(platform) else {
            let (reference, has) = (self.reference.to_string(), index.platforms());
            return Err(Error::NoPlatform { reference, platform, has });
        };
        let bytes_of_one = self.manifest(&wanted.digest.to_string(), Some(&wanted.digest)).await?;
        if bytes_of_one.len() as u64 != wanted.size {
            let reason = format!("its index says {} bytes, and it has {}", wanted.size, bytes_of_one.len());
            return Err(self.untrue("the manifest", reason));
        }
        Manifest::parse(&bytes_of_one).map_err(refused)?;
        store.put(&bytes_of_one)?;
        Ok(Named { index: Some(Digest::of(&bytes)), manifest: wanted.digest, size: wanted.size })
    }

    /// The bytes of a manifest by its tag or digest, which are `expected` where they are known.
    async fn manifest(&self, name: &str, expected: Option<&Digest>) -> Result<Vec<u8>, Error> {
        let accept = [MANIFEST_TYPE, INDEX_TYPE, DOCKER_MANIFEST_TYPE, DOCKER_INDEX_TYPE].join(", ");
        let get = || async {
            let response = self.client.get("manifests", name, &accept, 0).await?;
            whole(response, MOST_MANIFEST).await
        };
        let bytes = self.client.retry("look up an image in", get).await?;
        let bytes = bytes.ok_or_else(|| self.missing("manifest".to_owned()))?;
        match expected {
            Some(expected) if Digest::of(&bytes) != *expected => {
                Err(self.untrue("the manifest", format!("it is {}, and not {expected}", Digest::of(&bytes))))
            }
            _ => Ok(bytes),
        }
    }

    async fn pull(&self, store: &Store, digest: &Digest, reporter: &dyn Reporter) -> Result<(), Error> {
        if !store.contains(digest) {
            let bytes = self.manifest(&digest.to_string(), Some(digest)).await?;
            Manifest::parse(&bytes).map_err(|source| refused(self.reference, source))?;
            store.put(&bytes)?;
        }
        let blobs = missing(store, self.reference, digest)?.unwrap_or_default();
        self.blobs(store, blobs, reporter).await
    }

    async fn blobs(
        &self,
        store: &Store,
        blobs: Vec<(Digest, u64)>,
        reporter: &dyn Reporter,
    ) -> Result<(), Error> {
        reporter.expect(Phase::Fetching, blobs.len() as u64, blobs.iter().map(|(_, size)| size).sum());
        stream::iter(blobs)
            .map(|(digest, size)| self.blob(store, digest, size, reporter))
            .buffer_unordered(PARALLEL)
            .try_collect::<()>()
            .await
    }

    /// Brings a blob into the store. Where the connection breaks, it goes on where it was.
    async fn blob(
        &self,
        store: &Store,
        digest: Digest,
        size: u64,
        reporter: &dyn Reporter,
    ) -> Result<(), Error> {
        const ACT: &str = "fetch a layer from";
        let _lease = store.lock_async("artifact", &digest.hex()).await?;
        // Somebody may have fetched it while this one waited.
        if store.size(&digest)? == Some(size) {
            reporter.advance(Phase::Fetching, size);
            return Ok(());
        }
        let item = format!("{} of {}", &digest.to_string()[..19], self.reference);
        reporter.begin(Phase::Fetching, &item);
        let mut transfer = Transfer { staged: Some(store.stage()?), size, reported: 0 };
        let (mut attempt, mut farthest) = (1, 0);
        loop {
            let failure = match self.transfer(&digest, &mut transfer, reporter).await {
                Ok(()) => break,
                Err(Stopped::Store(error)) => return Err(error.into()),
                Err(Stopped::Failure(failure)) => failure,
            };
            match failure {
                Failure::NotFound | Failure::BlobUnknown(_) => {
                    return Err(self.missing(format!("layer {digest}")));
                }
                failure if failure.passes() && (attempt < TRIES || transfer.taken() > farthest) => {
                    // As long as there is more each time, it is worth another try.
                    attempt = if transfer.taken() > farthest { 1 } else { attempt + 1 };
                    farthest = farthest.max(transfer.taken());
                    tracing::debug!(%digest, attempt, reason = failure.reason(), "going on");
                    failure.pause(attempt).await;
                }
                Failure::Final(reason) => return Err(self.untrue(&format!("layer {digest}"), reason)),
                failure => return Err(self.client.error(ACT, failure)),
            }
        }
        let staged = transfer.staged.take().expect("it is put back after each piece");
        let committed = tokio::task::spawn_blocking(move || staged.commit_expecting(&digest, Some(size)));
        match committed.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
            Ok(_) => {}
            Err(provenv_store::Error::Mismatch { actual, .. }) => {
                return Err(self.untrue(&format!("layer {digest}"), format!("it is {actual}")));
            }
            Err(error) => return Err(error.into()),
        }
        reporter.end(Phase::Fetching, &item);
        Ok(())
    }

    /// One attempt to take what is still missing.
    async fn transfer(
        &self,
        digest: &Digest,
        transfer: &mut Transfer,
        reporter: &dyn Reporter,
    ) -> Result<(), Stopped> {
        let from = transfer.taken();
        if from == transfer.size {
            return Ok(());
        }
        let mut response = self.client.get("blobs", &digest.to_string(), "*/*", from).await?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            transfer.restart()?;
            return Err(
                Failure::Passing(format!("it has no more than {from} of {} bytes", transfer.size)).into()
            );
        }
        let goes_on = response.status() == StatusCode::PARTIAL_CONTENT
            && response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).is_some_and(
                |range| {
                    range.strip_prefix("bytes ").is_some_and(|range| range.starts_with(&format!("{from}-")))
                },
            );
        if from > 0 && !goes_on {
            transfer.restart()?;
        }
        let mut piece = Vec::new();
        loop {
            let chunk = response.chunk().await;
            let ended = !matches!(chunk, Ok(Some(_)));
            if let Ok(Some(bytes)) = &chunk {
                piece.extend_from_slice(bytes);
                if transfer.taken() + piece.len() as u64 > transfer.size {
                    let reason =
                        format!("it is longer than the {} bytes that the manifest says", transfer.size);
                    return Err(Failure::Final(reason).into());
                }
            }
            if ended || piece.len() >= HAND_OVER {
                transfer.take(std::mem::take(&mut piece)).await?;
                transfer.report(reporter);
            }
            match chunk {
                Ok(Some(_)) => {}
                Ok(None) if transfer.taken() == transfer.size => return Ok(()),
                // Some servers end an answer as if it were whole.
                Ok(None) => {
                    let reason =
                        format!("it broke off after {} of {} bytes", transfer.taken(), transfer.size);
                    return Err(Failure::Passing(reason).into());
                }
                Err(error) => return Err(Failure::Passing(chain(&error.without_url())).into()),
            }
        }
    }

    fn missing(&self, what: String) -> Error {
        Error::Missing { what, reference: self.reference.to_string() }
    }

    fn untrue(&self, what: &str, reason: String) -> Error {
        Error::Untrue { what: what.to_owned(), reference: self.reference.to_string(), reason }
    }
}

/// A blob on its way.
struct Transfer {
    /// Always there between two pieces.
    staged: Option<Staged>,
    size: u64,
    /// Bytes that were reported: a transfer may begin again.
    reported: u64,
}

/// Why an attempt ended before its time.
enum Stopped {
    Failure(Failure),
    Store(provenv_store::Error),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<provenv_store::Error> for Stopped {
    fn from(error: provenv_store::Error) -> Self {
        Self::Store(error)
    }
}

impl Transfer {
    fn taken(&self) -> u64 {
        self.staged.as_ref().map_or(0, Staged::size)
    }

    fn restart(&mut self) -> Result<(), provenv_store::Error> {
        self.staged.as_mut().map_or(Ok(()), Staged::restart)
    }

    /// Writes a piece on a thread that may block.
    async fn take(&mut self, piece: Vec<u8>) -> Result<(), provenv_store::Error> {
        let mut staged = self.staged.take().expect("it is put back after each piece");
        let written = tokio::task::spawn_blocking(move || {
            let result = staged.write_all(&piece);
            (staged, result)
        });
        let (staged, result) =
            written.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        self.staged = Some(staged);
        Ok(result?)
    }

    fn report(&mut self, reporter: &dyn Reporter) {
        let taken = self.taken();
        if taken > self.reported {
            reporter.advance(Phase::Fetching, taken - self.reported);
            self.reported = taken;
        }
    }
}
