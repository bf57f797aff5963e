//! An image from the store to a registry (OCI distribution specification, "Push").

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use provenv_definition::Digest;
use provenv_fetch::{Phase, Reporter, Silent};
use provenv_image::base_image::{DOCKER_INDEX_TYPE, DOCKER_MANIFEST_TYPE, INDEX_TYPE};
use provenv_image::oci::{Image, MANIFEST_TYPE};
use provenv_store::Store;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, Response};

use crate::client::{Access, CONTENT_DIGEST, Call, Client, How, NOTHING, TRIES, patient, whole};
use crate::referrers::ROUNDS;
use crate::repository::short_pause;
use crate::upload::{Begun, Upload, begin};
use crate::{Error, Keychain, Reference};

/// Blobs on their way at once, where nothing else is said.
const PARALLEL: usize = 4;
/// No manifest is larger (OCI distribution specification, "Pushing Manifests").
const MOST_MANIFEST: usize = 4 << 20;

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// `HOST/NAME@DIGEST`.
    pub reference: String,
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes that the registry had already.
    pub skipped: u64,
    /// Bytes that the registry took over from another of its repositories.
    pub mounted: u64,
}

/// How a registry is talked to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Plain HTTP, also to other machines. To this machine it is used anyway.
    pub insecure: bool,
    /// Where credentials are looked up.
    pub keychain: Keychain,
    /// A file with certificates (PEM) that are trusted besides the system's.
    pub certificates: Option<PathBuf>,
    /// Blobs on their way at once.
    pub parallel: usize,
    /// How often a request is made before its failure counts.
    pub tries: u32,
}

impl Options {
    /// As it is usual, with these credentials.
    pub fn new(keychain: Keychain) -> Self {
        Self { insecure: false, keychain, certificates: None, parallel: PARALLEL, tries: TRIES }
    }

    pub(crate) fn how<'a>(&'a self, access: Access, others: &'a [String]) -> How<'a> {
        How {
            access,
            insecure: self.insecure,
            keychain: &self.keychain,
            certificates: self.certificates.as_deref(),
            tries: self.tries,
            others,
        }
    }
}

/// In which other repositories of the same registry blobs are, as far as that is known. Nobody vouches for it: the registry
/// says whether it is so.
pub type Elsewhere = BTreeMap<Digest, String>;

/// Pushes `image` to `reference`. Blobs that the registry has are not sent again, those that are `elsewhere` in it are taken over,
/// and nothing is done where the tag names this very image already.
///
/// The manifest goes last, so that the tag never names an image that is not all there; then the registry is asked what
/// the tag names.
pub async fn push(
    store: &Store,
    image: &Image,
    reference: &Reference,
    elsewhere: &Elsewhere,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Pushed, Error> {
    push_named(store, image, (reference, reference.tag()), elsewhere, options, reporter).await
}

/// The same without a tag: who pushes an index gives it a name.
pub async fn push_untagged(
    store: &Store,
    image: &Image,
    reference: &Reference,
    elsewhere: &Elsewhere,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Pushed, Error> {
    let name = image.manifest.to_string();
    push_named(store, image, (reference, &name), elsewhere, options, reporter).await
}

async fn push_named(
    store: &Store,
    image: &Image,
    (reference, tag): (&Reference, &str),
    elsewhere: &Elsewhere,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Pushed, Error> {
    let mut others: Vec<String> = elsewhere.values().cloned().collect();
    others.sort_unstable();
    others.dedup();
    others.retain(|other| other != reference.repository());
    let client = Client::new(reference, &options.how(Access::Push, &others))?;
    let pusher = Pusher { client, store, elsewhere, parallel: options.parallel.max(1), reference, tag };
    let name = reference.with_digest(&image.manifest);
    if pusher.named().await?.as_deref() == Some(image.manifest.to_string().as_str()) {
        return Ok(Pushed { reference: name, sent: 0, skipped: image.size(), mounted: 0 });
    }
    reporter.expect(Phase::Publishing, 1, image.size());
    let item = reference.to_string();
    reporter.begin(Phase::Publishing, &item);
    let manifest = store.read(&image.manifest)?;
    let mut done = pusher.blobs(image, reporter).await?;
    // While another push writes the same blob, a registry may not know it for a moment (distribution 2.8 and 3.0: the
    // link to the blob is written in place).
    for attempt in 1.. {
        let put = || pusher.client.put_manifest(tag, MANIFEST_TYPE, &manifest);
        match pusher.client.tried("push the manifest to", put).await {
            Ok(()) => break,
            Err(failure) if pusher.client.may_settle(&failure, attempt) => failure.pause(attempt).await,
            Err(failure) => return Err(pusher.client.error("push the manifest to", failure)),
        }
        done += pusher.blobs(image, &Silent).await?;
    }
    reporter.advance(Phase::Publishing, image.manifest_size);
    let mut actual = pusher.named().await?;
    for round in 1..ROUNDS {
        if actual.is_some() {
            break;
        }
        // Another push may be writing the same tag.
        short_pause(round).await;
        actual = pusher.named().await?;
    }
    let actual = actual.unwrap_or_else(|| "nothing".to_owned());
    if actual != image.manifest.to_string() {
        return Err(Error::Moved { reference: item, expected: image.manifest, actual });
    }
    reporter.end(Phase::Publishing, &item);
    let sent = done.sent + image.manifest_size;
    let skipped = image.size().saturating_sub(sent + done.mounted);
    Ok(Pushed { reference: name, sent, skipped, mounted: done.mounted })
}

/// The digest of the manifest that `reference` names in its registry; `None` where there is none.
pub async fn resolve(reference: &Reference, options: &Options) -> Result<Option<Digest>, Error> {
    let client = Client::new(reference, &options.how(Access::Pull, &[]))?;
    let digest = named(&client, reference.tag()).await?;
    Ok(digest.and_then(|digest| digest.parse().ok()))
}

/// What a tag names in its registry, by the registry's own word.
pub(crate) async fn named(client: &Client, tag: &str) -> Result<Option<String>, Error> {
    let accept = [MANIFEST_TYPE, INDEX_TYPE, DOCKER_MANIFEST_TYPE, DOCKER_INDEX_TYPE].join(", ");
    let mut headers = HeaderMap::new();
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(ACCEPT, accept);
    }
    let ask = || async {
        let (method, url) = (Method::HEAD, client.url(&format!("manifests/{tag}")));
        let call = Call { method, url, headers: headers.clone(), body: NOTHING };
        let response = patient(client.call(&call)).await?;
        if let Some(digest) = stated(&response) {
            return Ok(digest);
        }
        // Some say it to nobody who does not ask for all.
        let response = patient(client.get("manifests", tag, &accept, 0)).await?;
        Ok(Digest::of(&whole(response, MOST_MANIFEST).await?).to_string())
    };
    client.retry("look up an image in", ask).await
}

fn stated(response: &Response) -> Option<String> {
    let digest = response.headers().get(CONTENT_DIGEST)?.to_str().ok()?;
    Some(digest.to_owned()).filter(|digest| !digest.is_empty())
}

/// What became of blobs.
#[derive(Clone, Copy, Default)]
struct Done {
    sent: u64,
    mounted: u64,
}

impl std::ops::AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.mounted += other.mounted;
    }
}

struct Pusher<'a> {
    client: Client,
    store: &'a Store,
    elsewhere: &'a Elsewhere,
    parallel: usize,
    reference: &'a Reference,
    /// What the manifest is to be named by.
    tag: &'a str,
}

impl Pusher<'_> {
    async fn named(&self) -> Result<Option<String>, Error> {
        named(&self.client, self.tag).await
    }

    /// Sends the configuration and the layers that are not there.
    async fn blobs(&self, image: &Image, reporter: &dyn Reporter) -> Result<Done, Error> {
        // The manifest is the first of the blobs, and a call of its own.
        stream::iter(image.blobs().into_iter().skip(1))
            .map(|(digest, size)| self.blob(digest, size, reporter))
            .buffer_unordered(self.parallel)
            .try_fold(Done::default(), |mut sum, done| async move {
                sum += done;
                Ok(sum)
            })
            .await
    }

    /// Sends a blob unless it is there, or is to be had there.
    async fn blob(&self, digest: Digest, size: u64, reporter: &dyn Reporter) -> Result<Done, Error> {
        const ACT: &str = "push a layer to";
        // Some registries refuse to say what is in a repository that does not exist yet; the upload will tell.
        if self.client.has_blob(&digest).await.unwrap_or(false) {
            reporter.advance(Phase::Publishing, size);
            return Ok(Done::default());
        }
        let from = self.elsewhere.get(&digest).filter(|from| *from != self.reference.repository());
        let begun = match from {
            Some(from) => match begin(&self.client, &digest, Some(from)).await {
                Ok(Begun::Mounted) => {
                    reporter.advance(Phase::Publishing, size);
                    return Ok(Done { sent: 0, mounted: size });
                }
                Ok(Begun::Upload(url)) => Some(url),
                // It is a short cut, and no more.
                Err(failure) => {
                    tracing::debug!(%digest, from, reason = failure.reason(), "not mounted");
                    None
                }
            },
            None => None,
        };
        let path = self.store.path(&digest);
        let report = |bytes: u64| reporter.advance(Phase::Publishing, bytes);
        let upload = Upload { client: &self.client, path: &path, digest, size, report: &report };
        match upload.send(begun).await {
            Ok(_) => Ok(Done { sent: size, mounted: 0 }),
            Err(failure) => Err(self.client.error(ACT, failure)),
        }
    }
}
