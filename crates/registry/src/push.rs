//! An image from the store to a registry (OCI distribution specification, "Push").

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use oci_client::RegistryOperation;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use provenv_definition::Digest;
use provenv_fetch::{Phase, Reporter};
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
    let session = Session::open(reference, options).await?;
    let name = reference.with_digest(&image.manifest);
    if session.digest().await?.as_deref() == Some(image.manifest.to_string().as_str()) {
        return Ok(Pushed { reference: name, sent: 0, skipped: image.size() });
    }
    // The manifest is the first of the blobs, and a call of its own.
    let blobs = image.blobs().into_iter().skip(1);
    reporter.expect(Phase::Publishing, 1, image.size());
    let item = reference.to_string();
    reporter.begin(Phase::Publishing, &item);
    let sent = stream::iter(blobs)
        .map(|(digest, size)| session.blob(store, digest, size, reporter))
        .buffer_unordered(PARALLEL)
        .try_fold(0, |sum, sent| async move { Ok(sum + sent) })
        .await?;
    let manifest = store.read(&image.manifest)?;
    session.manifest(Bytes::from(manifest)).await?;
    reporter.advance(Phase::Publishing, image.manifest_size);
    let actual = session.digest().await?.unwrap_or_else(|| "nothing".to_owned());
    if actual != image.manifest.to_string() {
        return Err(Error::Moved { reference: item, expected: image.manifest, actual });
    }
    reporter.end(Phase::Publishing, &item);
    let sent = sent + image.manifest_size;
    Ok(Pushed { reference: name, sent, skipped: image.size() - sent })
}

/// The digest of the manifest that `reference` names in its registry; `None` where there is none.
pub async fn resolve(reference: &Reference, options: &Options) -> Result<Option<Digest>, Error> {
    let session = Session::open(reference, options).await?;
    let digest = session.digest().await?;
    Ok(digest.and_then(|digest| digest.parse().ok()))
}

/// One reference in its registry, with what it takes to be let in.
struct Session<'a> {
    client: Client,
    auth: RegistryAuth,
    reference: &'a Reference,
}

impl<'a> Session<'a> {
    async fn open(reference: &'a Reference, options: &Options) -> Result<Self, Error> {
        let plain = options.insecure || reference.is_local();
        let client = Client::new(ClientConfig {
            protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
            use_monolithic_push: true,
            connect_timeout: Some(Duration::from_secs(20)),
            read_timeout: Some(Duration::from_secs(120)),
            user_agent: concat!("provenv/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        let auth = match options.keychain.login(reference)? {
            Some(login) => RegistryAuth::Basic(login.username, login.password),
            None => RegistryAuth::Anonymous,
        };
        let session = Self { client, auth, reference };
        session
            .retry("log in to", || session.client.auth(&reference.inner, &session.auth, RegistryOperation::Push))
            .await?;
        Ok(session)
    }

    /// The digest that the tag names.
    async fn digest(&self) -> Result<Option<String>, Error> {
        let ask = || async {
            match self.client.fetch_manifest_digest(&self.reference.inner, &self.auth).await {
                Ok(digest) => Ok(Some(digest)),
                Err(error) => match Failure::from(error) {
                    Failure::NotFound => Ok(None),
                    failure => Err(failure),
                },
            }
        };
        self.retry("look up an image in", ask).await
    }

    /// Sends a blob unless it is there; gives back the bytes sent.
    async fn blob(&self, store: &Store, digest: Digest, size: u64, reporter: &dyn Reporter) -> Result<u64, Error> {
        let name = digest.to_string();
        // Some registries refuse to say what is in a repository that does not exist yet; the upload will tell.
        if self.client.blob_exists(&self.reference.inner, &name).await.unwrap_or(false) {
            reporter.advance(Phase::Publishing, size);
            return Ok(0);
        }
        let path = store.path(&digest);
        let send = || async {
            let file = tokio::fs::File::open(&path).await.map_err(OciDistributionError::IoError)?;
            let body = ReaderStream::with_capacity(file, PIECE).map_err(OciDistributionError::IoError);
            self.client.push_blob_stream(&self.reference.inner, body, &name, Some(size)).await
        };
        self.retry("push a layer to", send).await?;
        reporter.advance(Phase::Publishing, size);
        Ok(size)
    }

    async fn manifest(&self, bytes: Bytes) -> Result<(), Error> {
        let send = || {
            let media_type = MANIFEST_TYPE.parse().expect("a media type is the value of a header");
            self.client.push_manifest_raw(&self.reference.inner, bytes.clone(), media_type)
        };
        self.retry("push the manifest to", send).await.map(drop)
    }

    /// Does `request` until it succeeds, the answer is final, or there were too many tries; waits longer each time.
    async fn retry<T, E: Into<Failure>, F: Future<Output = Result<T, E>>>(
        &self,
        act: &'static str,
        request: impl Fn() -> F,
    ) -> Result<T, Error> {
        let registry = || self.reference.registry().to_owned();
        for attempt in 1.. {
            let failure = match request().await {
                Ok(done) => return Ok(done),
                Err(error) => error.into(),
            };
            match failure {
                Failure::Passing(reason) if attempt == TRIES => {
                    return Err(Error::Connection { act, registry: registry(), reason });
                }
                Failure::Passing(reason) => {
                    tracing::debug!(act, attempt, reason, "trying again");
                    tokio::time::sleep(Duration::from_millis(200) * 2u32.pow(attempt)).await;
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
