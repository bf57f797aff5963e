//! An image from the store to a registry (OCI distribution specification, "Push").

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use oci_client::RegistryOperation;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use provenv_definition::Digest;
use provenv_fetch::{Phase, Reporter, Silent};
use provenv_image::oci::{Image, MANIFEST_TYPE};
use provenv_store::Store;
use tokio_util::io::ReaderStream;

use crate::error::Failure;
use crate::{Error, Keychain, Reference};

/// Blobs on their way at once.
const PARALLEL: usize = 4;
/// Bytes read and sent at once, per blob; a push holds a few of these for each of [`PARALLEL`] blobs.
const PIECE: usize = 1 << 18;
/// Tries before a broken connection is an error.
const TRIES: u32 = 5;
/// The longest wait for an answer to a small request.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(100);
/// The longest time without a byte of a blob going out, and for the registry to make sure of the blob once it has all.
const STALL: Duration = Duration::from_mins(5);

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// `HOST/NAME@DIGEST`.
    pub reference: String,
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes that the registry had already.
    pub skipped: u64,
}

/// How a registry is talked to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Plain HTTP, also to other machines. To this machine it is used anyway.
    pub insecure: bool,
    /// Where credentials are looked up.
    pub keychain: Keychain,
}

/// Pushes `image` to `reference`. Blobs that the registry has are not sent again, and nothing is done where the tag names
/// this very image already.
///
/// The manifest goes last, so that the tag never names an image that is not all there; then the registry is asked what
/// the tag names.
pub async fn push(
    store: &Store,
    image: &Image,
    reference: &Reference,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Pushed, Error> {
    let session = Session::open(reference, options, RegistryOperation::Push).await?;
    let name = reference.with_digest(&image.manifest);
    if session.digest().await?.as_deref() == Some(image.manifest.to_string().as_str()) {
        return Ok(Pushed { reference: name, sent: 0, skipped: image.size() });
    }
    reporter.expect(Phase::Publishing, 1, image.size());
    let item = reference.to_string();
    reporter.begin(Phase::Publishing, &item);
    let manifest = Bytes::from(store.read(&image.manifest)?);
    let mut sent = session.blobs(store, image, reporter).await?;
    // While another push writes the same blob, a registry may not know it for a moment (distribution 2.8 and 3.0: the
    // link to the blob is written in place).
    for attempt in 1.. {
        match session.manifest(manifest.clone()).await {
            Err(Error::Incomplete { .. }) if attempt < TRIES => pause(attempt).await,
            done => {
                done?;
                break;
            }
        }
        sent += session.blobs(store, image, &Silent).await?;
    }
    reporter.advance(Phase::Publishing, image.manifest_size);
    let actual = session.digest().await?.unwrap_or_else(|| "nothing".to_owned());
    if actual != image.manifest.to_string() {
        return Err(Error::Moved { reference: item, expected: image.manifest, actual });
    }
    reporter.end(Phase::Publishing, &item);
    let sent = sent + image.manifest_size;
    Ok(Pushed { reference: name, sent, skipped: image.size().saturating_sub(sent) })
}

/// The digest of the manifest that `reference` names in its registry; `None` where there is none.
pub async fn resolve(reference: &Reference, options: &Options) -> Result<Option<Digest>, Error> {
    let session = Session::open(reference, options, RegistryOperation::Push).await?;
    let digest = session.digest().await?;
    Ok(digest.and_then(|digest| digest.parse().ok()))
}

/// One reference in its registry, with what it takes to be let in.
pub(crate) struct Session<'a> {
    pub(crate) client: Client,
    pub(crate) auth: RegistryAuth,
    pub(crate) reference: &'a Reference,
    /// Whether it speaks plain http.
    plain: bool,
}

/// The first thing that is done.
const LOGIN: &str = "log in to";

impl<'a> Session<'a> {
    /// Logs in for `operation`.
    pub(crate) async fn open(
        reference: &'a Reference,
        options: &Options,
        operation: RegistryOperation,
    ) -> Result<Self, Error> {
        let plain = options.insecure || reference.is_local();
        let client = Client::new(ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            use_monolithic_push: true,
            connect_timeout: Some(Duration::from_secs(20)),
            user_agent: concat!("provenv/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        let auth = match options.keychain.login(reference)? {
            Some(login) => RegistryAuth::Basic(login.username, login.password),
            None => RegistryAuth::Anonymous,
        };
        let session = Self { client, auth, reference, plain };
        session
            .retry(LOGIN, || patient(session.client.auth(&reference.inner, &session.auth, operation)))
            .await?;
        Ok(session)
    }

    /// The digest that the tag names.
    async fn digest(&self) -> Result<Option<String>, Error> {
        let ask = || async {
            match patient(self.client.fetch_manifest_digest(&self.reference.inner, &self.auth)).await {
                Ok(digest) => Ok(Some(digest)),
                Err(Failure::NotFound) => Ok(None),
                Err(failure) => Err(failure),
            }
        };
        self.retry("look up an image in", ask).await
    }

    /// Sends the configuration and the layers that are not there; gives back the bytes sent.
    async fn blobs(&self, store: &Store, image: &Image, reporter: &dyn Reporter) -> Result<u64, Error> {
        // The manifest is the first of the blobs, and a call of its own.
        stream::iter(image.blobs().into_iter().skip(1))
            .map(|(digest, size)| self.blob(store, digest, size, reporter))
            .buffer_unordered(PARALLEL)
            .try_fold(0, |sum, sent| async move { Ok(sum + sent) })
            .await
    }

    /// Sends a blob unless it is there; gives back the bytes sent.
    async fn blob(
        &self,
        store: &Store,
        digest: Digest,
        size: u64,
        reporter: &dyn Reporter,
    ) -> Result<u64, Error> {
        let name = digest.to_string();
        // Some registries refuse to say what is in a repository that does not exist yet; the upload will tell.
        if patient(self.client.blob_exists(&self.reference.inner, &name)).await.unwrap_or(false) {
            reporter.advance(Phase::Publishing, size);
            return Ok(0);
        }
        let path = store.path(&digest);
        // The farthest byte that any try has read, and how much of that was reported.
        let read = Arc::new(AtomicU64::new(0));
        let shown = AtomicU64::new(0);
        let report = |now: u64| reporter.advance(Phase::Publishing, now - shown.swap(now, Ordering::Relaxed));
        let send = || async {
            let file = tokio::fs::File::open(&path).await.map_err(OciDistributionError::IoError)?;
            let (read, mut at) = (Arc::clone(&read), 0);
            let body = ReaderStream::with_capacity(file, PIECE).map_err(OciDistributionError::IoError);
            let body = body.inspect_ok(move |piece| {
                at += piece.len() as u64;
                read.fetch_max(at, Ordering::Relaxed);
            });
            self.client.push_blob_stream(&self.reference.inner, body, &name, Some(size)).await
        };
        self.retry("push a layer to", || watched(send(), &read, report)).await?;
        report(size);
        Ok(size)
    }

    async fn manifest(&self, bytes: Bytes) -> Result<(), Error> {
        let send = || {
            let media_type = MANIFEST_TYPE.parse().expect("a media type is the value of a header");
            self.client.push_manifest_raw(&self.reference.inner, bytes.clone(), media_type)
        };
        self.retry("push the manifest to", || patient(send())).await.map(drop)
    }

    /// Does `request` until it succeeds, the answer is final, or there were too many tries; waits longer each time.
    pub(crate) async fn retry<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        act: &'static str,
        request: impl Fn() -> F,
    ) -> Result<T, Error> {
        let registry = || self.reference.registry().to_owned();
        for attempt in 1.. {
            let failure = match request().await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            match failure {
                Failure::Passing(reason) if attempt == TRIES => {
                    // The first request: nobody has got as far as a login.
                    let act = if act == LOGIN { "reach" } else { act };
                    return Err(Error::Connection { act, registry: registry(), reason, plain: self.plain });
                }
                Failure::Passing(reason) => {
                    tracing::debug!(act, attempt, reason, "trying again");
                    pause(attempt).await;
                }
                Failure::BlobUnknown(reason) => {
                    return Err(Error::Incomplete { registry: registry(), reason });
                }
                Failure::Denied(reason) => {
                    return Err(Error::Denied {
                        registry: registry(),
                        repository: self.reference.repository().to_owned(),
                        reason,
                        authenticated: self.auth != RegistryAuth::Anonymous,
                    });
                }
                Failure::NotFound => {
                    let reason = "there is no such repository or upload".to_owned();
                    return Err(Error::Registry { act, registry: registry(), reason });
                }
                Failure::Final(reason) => return Err(Error::Registry { act, registry: registry(), reason }),
            }
        }
        unreachable!("the loop ends at the last try")
    }
}

/// Waits before another try, longer each time.
async fn pause(attempt: u32) {
    tokio::time::sleep(Duration::from_millis(200) * 2u32.pow(attempt)).await;
}

/// A small request, which is not waited for without end.
pub(crate) async fn patient<T>(
    request: impl Future<Output = Result<T, OciDistributionError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(result) => result.map_err(Failure::from),
        Err(_) => Err(silent(PATIENCE)),
    }
}

/// An upload, which may take as long as it likes while bytes go out; says again and again how many did.
async fn watched<T>(
    request: impl Future<Output = Result<T, OciDistributionError>>,
    read: &AtomicU64,
    report: impl Fn(u64),
) -> Result<T, Failure> {
    let mut request = pin!(request);
    let (mut last, mut since) = (0, Instant::now());
    loop {
        match tokio::time::timeout(TICK, &mut request).await {
            Ok(result) => return result.map_err(Failure::from),
            Err(_) if since.elapsed() > STALL => return Err(silent(STALL)),
            Err(_) => {
                let now = read.load(Ordering::Relaxed);
                if now != last {
                    (last, since) = (now, Instant::now());
                    report(now);
                }
            }
        }
    }
}

fn silent(time: Duration) -> Failure {
    Failure::Passing(format!("nothing came back for {} seconds", time.as_secs()))
}
