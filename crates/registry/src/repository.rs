//! Small things in a repository: manifests, configurations, and what is attached to images. They are read and written as a
//! whole; layers are [pulled](crate::pull) and [pushed](crate::push).

use std::time::Duration;

use provenv_definition::Digest;
use provenv_image::base_image::{DOCKER_INDEX_TYPE, DOCKER_MANIFEST_TYPE, INDEX_TYPE};
use provenv_image::oci::MANIFEST_TYPE;
use reqwest::StatusCode;

use crate::client::{Access, Client, patient, whole};
use crate::error::Failure;
use crate::upload::{Begun, begin};
use crate::{Error, Options, Reference};

/// No manifest is larger (OCI distribution specification, "Pushing Manifests").
pub(crate) const MOST_MANIFEST: usize = 4 << 20;
/// No lock, statement or signature is larger.
const MOST_PART: u64 = 64 << 20;

/// A manifest in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteManifest {
    /// Its digest, which its bytes have.
    pub digest: Digest,
    /// It.
    pub bytes: Vec<u8>,
}

/// A repository in its registry. Connections and tokens are used again from request to request.
#[derive(Debug)]
pub struct Repository {
    pub(crate) client: Client,
}

impl Repository {
    /// The repository of `reference`, to be read.
    pub fn to_read(reference: &Reference, options: &Options) -> Result<Self, Error> {
        Ok(Self { client: Client::new(reference, &options.how(Access::Pull, &[]))? })
    }

    /// The same, to be written to.
    pub fn to_write(reference: &Reference, options: &Options) -> Result<Self, Error> {
        Ok(Self { client: Client::new(reference, &options.how(Access::Push, &[]))? })
    }

    /// The manifest or index with this tag or digest; `None` where there is none.
    pub async fn manifest(&self, name: &str) -> Result<Option<RemoteManifest>, Error> {
        const ACT: &str = "read a manifest from";
        let accept = [MANIFEST_TYPE, INDEX_TYPE, DOCKER_MANIFEST_TYPE, DOCKER_INDEX_TYPE].join(", ");
        let ask = || async {
            let response = patient(self.client.get("manifests", name, &accept, 0)).await?;
            whole(response, MOST_MANIFEST).await
        };
        let Some(bytes) = self.client.retry(ACT, ask).await? else { return Ok(None) };
        let digest = Digest::of(&bytes);
        match name.parse::<Digest>() {
            Ok(expected) if expected != digest => {
                Err(self.wrong(format!("it gives {digest} for {expected}")))
            }
            _ => Ok(Some(RemoteManifest { digest, bytes })),
        }
    }

    /// A blob with this digest and size, which is no larger than a lock may be.
    pub async fn blob(&self, digest: &Digest, size: u64) -> Result<Vec<u8>, Error> {
        let most = usize::try_from(size).ok().filter(|_| size <= MOST_PART);
        let most = most.ok_or_else(|| {
            self.wrong(format!("it gives {size} bytes for {digest}, more than there can be"))
        })?;
        let name = digest.to_string();
        let ask = || async {
            let response = patient(self.client.get("blobs", &name, "*/*", 0)).await?;
            if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
                return Err(Failure::NotFound);
            }
            whole(response, most).await
        };
        let bytes = self.client.retry("read what refers to an image from", ask).await?;
        let bytes = bytes.ok_or_else(|| self.wrong(format!("it has no {digest}, which it names")))?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(self.wrong(format!("{digest} is something else there")))
        }
    }

    /// Writes a manifest or index under a tag or its digest. What it names is there already.
    pub async fn put(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<(), Error> {
        self.put_after(name, media_type, bytes, async || Ok(0)).await.map(drop)
    }

    /// The same of a manifest whose blobs `send` sends where they are not there; gives back the bytes that it sent.
    ///
    /// While another push writes a blob that is there, a registry may not know it for a moment, and says so of the manifest
    /// (distribution 2.8 and 3.0: the link to the blob is written in place).
    pub(crate) async fn put_after(
        &self,
        name: &str,
        media_type: &str,
        bytes: &[u8],
        send: impl AsyncFn() -> Result<u64, Error>,
    ) -> Result<u64, Error> {
        const ACT: &str = "push what refers to an image to";
        let mut sent = 0;
        for attempt in 1.. {
            sent += send().await?;
            let put = || self.client.put_manifest(name, media_type, bytes);
            match self.client.tried(ACT, put).await {
                Ok(()) => break,
                Err(failure) if self.client.may_settle(&failure, attempt) => failure.pause(attempt).await,
                Err(failure) => return Err(self.client.error(ACT, failure)),
            }
        }
        Ok(sent)
    }

    /// Sends a small blob unless it is there; gives back the bytes sent.
    pub async fn send(
        &self,
        digest: &Digest,
        size: u64,
        bytes: impl FnOnce() -> Result<Vec<u8>, Error>,
    ) -> Result<u64, Error> {
        if self.client.has_blob(digest).await.unwrap_or(false) {
            return Ok(0);
        }
        let bytes = bytes::Bytes::from(bytes()?);
        let send = || async {
            match begin(&self.client, digest, None).await? {
                Begun::Mounted => Ok(()),
                Begun::Upload(url) => patient(self.client.put_blob(&url, digest, &bytes)).await,
            }
        };
        self.client.must("push what refers to an image to", send).await?;
        Ok(size)
    }

    pub(crate) fn wrong(&self, reason: String) -> Error {
        Error::Registry { act: "read from", registry: self.client.registry().to_owned(), reason }
    }
}

/// The manifest that `reference` names, or the one with `digest` in its repository; `None` where there is none.
pub async fn manifest(
    reference: &Reference,
    digest: Option<&Digest>,
    options: &Options,
) -> Result<Option<RemoteManifest>, Error> {
    let repository = Repository::to_read(reference, options)?;
    match digest {
        Some(digest) => repository.manifest(&digest.to_string()).await,
        None => repository.manifest(reference.tag()).await,
    }
}

/// A blob of `reference`'s repository that is no larger than a manifest, such as an image's configuration.
pub async fn small_blob(
    reference: &Reference,
    digest: &Digest,
    size: u64,
    options: &Options,
) -> Result<Vec<u8>, Error> {
    Repository::to_read(reference, options)?.blob(digest, size.min(MOST_MANIFEST as u64)).await
}

/// Lets others finish who write to the same place; not all wait equally long.
pub async fn short_pause(round: u32) {
    let wait = Duration::from_millis(50) * round;
    tokio::time::sleep(wait.mul_f64(1.0 + fastrand::f64())).await;
}
