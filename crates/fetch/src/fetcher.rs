//! The fetcher: what it can be asked, and what it holds.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use nix::fcntl::OFlag;
use percent_encoding::percent_decode_str;
use provenv_definition::{Digest, SafeUrl};
use provenv_store::{Blob, Store};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use url::Url;

use crate::credentials::{Authentication, Keychain};
use crate::tokens::Tokens;
use crate::transfer::{Expected, Transfer};
use crate::{CredentialSources, Credentials, Error, Phase, Reporter, Result};

/// How to fetch.
#[derive(Clone, Debug)]
pub struct Options {
    /// Use what is cached and never the network.
    pub offline: bool,
    /// How many transfers run at once.
    pub concurrency: usize,
    /// How often a transient failure is tried again when nothing was gained by the last attempt.
    pub retries: u32,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest silence in an exchange. There is no limit on the whole.
    pub stall_timeout: Duration,
    /// The most bytes of a document.
    pub document_limit: u64,
    /// The most bytes of anything else whose size is not known beforehand.
    pub limit: u64,
    /// Where credentials come from.
    pub credentials: CredentialSources,
    /// A file with certificates (PEM) that are trusted besides the system's, which are those of `SSL_CERT_FILE` where it
    /// is set.
    pub certificates: Option<PathBuf>,
    /// Where else things under a URL are, in the order they are asked in. The URL itself is asked only where it is among
    /// them; what is kept or recorded names it all the same.
    pub mirrors: Vec<(Url, Vec<Url>)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            offline: false,
            concurrency: 16,
            retries: 4,
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            document_limit: 512 << 20,
            limit: 32 << 30,
            credentials: CredentialSources::default(),
            certificates: None,
            mirrors: Vec::new(),
        }
    }
}

/// Brings bytes into the store. Cheap to clone; clones share connections, credentials and the limit on transfers.
#[derive(Clone)]
pub struct Fetcher {
    inner: Arc<Inner>,
    reporter: Arc<dyn Reporter>,
}

struct Inner {
    store: Store,
    options: Options,
    keychain: Keychain,
    tokens: Tokens,
    permits: Semaphore,
    as_it_is: OnceLock<Client>,
    compressed: OnceLock<Client>,
}

/// How a body may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As it is: a digest is of these bytes, and a server that "helps" by compressing would spoil it.
    AsItIs,
    /// Compressed on the way, if the server likes.
    Compressed,
}

impl Fetcher {
    /// A fetcher into `store`. Nothing is read or connected yet.
    #[allow(
        clippy::unnecessary_wraps,
        reason = "set-up that can fail, such as reading a configuration, belongs here"
    )]
    pub fn new(store: Store, reporter: Arc<dyn Reporter>, options: Options) -> Result<Self> {
        let keychain = Keychain::new(options.credentials.clone());
        options.mirrors.iter().flat_map(|(_, mirrors)| mirrors).for_each(|mirror| keychain.trust(mirror));
        let inner = Inner {
            store,
            keychain,
            tokens: Tokens::default(),
            permits: Semaphore::new(options.concurrency.max(1)),
            options,
            as_it_is: OnceLock::new(),
            compressed: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner), reporter })
    }

    /// The same fetcher, with the same connections, that reports to somebody else.
    #[must_use]
    pub fn with_reporter(&self, reporter: Arc<dyn Reporter>) -> Self {
        Self { inner: Arc::clone(&self.inner), reporter }
    }

    /// The store that bytes go to.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Who hears of progress.
    pub fn reporter(&self) -> &Arc<dyn Reporter> {
        &self.reporter
    }

    /// How it fetches.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// The credentials for `url`, from itself or from where [`CredentialSources`] look; `None` also where a variable
    /// that `url` names is not set. May run the `keyring` program.
    ///
    /// Credentials in an index's URL serve for all of its origin from here on, so ask this of each index before its
    /// files are fetched. The user names `url`, as of [`Fetcher::trust`].
    ///
    /// # Errors
    /// Those that are kept for its host cannot be had.
    pub fn credentials(&self, url: &Url) -> Result<Option<Credentials>> {
        self.trust(url);
        match self.inner.keychain.find(url, false) {
            Ok(Some(Authentication::Basic(credentials))) => Ok(Some(credentials)),
            Err(error @ Error::Credentials { .. }) => Err(error),
            Ok(Some(Authentication::Bearer(_) | Authentication::PathToken(_)) | None) | Err(_) => Ok(None),
        }
    }

    /// Brings the bytes with this digest and, if given, size into the store, and says where they are. What is in the
    /// store already costs no exchange; what another task or process is fetching is waited for.
    pub async fn artifact(&self, url: &SafeUrl, sha256: &Digest, size: Option<u64>) -> Result<PathBuf> {
        self.artifact_by(url, sha256, size, None).await
    }

    /// [`Fetcher::artifact`] at a URL that a server gave: no variable in it is replaced by its value, and of credentials it
    /// gets only what names its host.
    pub async fn linked_artifact(
        &self,
        url: &SafeUrl,
        sha256: &Digest,
        size: Option<u64>,
    ) -> Result<PathBuf> {
        self.artifact_by(url, sha256, size, Some(0)).await
    }

    /// [`Fetcher::linked_artifact`] at a URL that stands on `page`, to which it is relative: what they have in common is the
    /// user's, with its variables.
    pub async fn artifact_of(
        &self,
        page: &SafeUrl,
        url: &SafeUrl,
        sha256: &Digest,
        size: Option<u64>,
    ) -> Result<PathBuf> {
        let (page, linked) = (page.as_url(), url.as_url());
        let segments = |url: &Url| url.path_segments().into_iter().flatten().map(str::to_owned).collect();
        let (own, theirs): (Vec<String>, Vec<String>) = (segments(page), segments(linked));
        let common = own.iter().zip(&theirs).take_while(|(one, other)| one == other).count();
        let common = if page.origin() == linked.origin() { common } else { 0 };
        self.artifact_by(url, sha256, size, Some(common)).await
    }

    /// Notes that the user named the host of `url`, in a definition or in settings: the environment's variables with that
    /// host's name are for it. They are for no host that only an index or a redirect leads to, because hosts that differ in
    /// `.` and `-` alone share their variables. What [`Fetcher::document`] and an [`Exchange`](crate::Exchange) that is not
    /// linked ask for counts as named.
    pub fn trust(&self, url: &Url) {
        self.inner.keychain.trust(url);
    }

    /// Notes that the origin of `url` was named by a stranger: from here on what is asked of it is asked as if a server
    /// had given the URL.
    pub fn distrust(&self, url: &Url) {
        self.inner.keychain.distrust(url);
    }

    async fn artifact_by(
        &self,
        url: &SafeUrl,
        sha256: &Digest,
        size: Option<u64>,
        linked: Option<usize>,
    ) -> Result<PathBuf> {
        let path = self.store().path(sha256);
        if self.has(sha256, size)? {
            return Ok(path);
        }
        if self.inner.options.offline && url.as_url().scheme() != "file" {
            return Err(Error::Offline(url.clone().into()));
        }
        let item = item(url);
        self.reporter().expect(Phase::Fetching, 1, size.unwrap_or(0));
        let _lease = self.store().lock_async("artifact", &sha256.hex()).await?;
        let progress = Progress::begin(self, item);
        if self.has(sha256, size)? {
            self.reporter().advance(Phase::Fetching, size.unwrap_or(0));
            return Ok(path);
        }
        let expected =
            Expected { digest: Some(*sha256), size, limit: size.unwrap_or(self.inner.options.limit) };
        self.bring(url.as_url(), expected, Some(&progress), linked).await?;
        Ok(path)
    }

    /// Brings bytes of which nothing is known beforehand into the store.
    pub async fn unverified(&self, url: &Url) -> Result<Blob> {
        let safe = SafeUrl::new(url.clone());
        if self.inner.options.offline && url.scheme() != "file" {
            return Err(Error::Offline(safe.into()));
        }
        let item = item(&safe);
        self.reporter().expect(Phase::Fetching, 1, 0);
        let progress = Progress::begin(self, item);
        let expected = Expected { digest: None, size: None, limit: self.inner.options.limit };
        self.bring(url, expected, Some(&progress), None).await
    }

    async fn bring(
        &self,
        url: &Url,
        expected: Expected,
        progress: Option<&Progress>,
        linked: Option<usize>,
    ) -> Result<Blob> {
        if url.scheme() == "file" {
            return self.copy(url, expected, progress).await;
        }
        let transfer = Transfer::new(self, url, expected, Encoding::AsItIs, progress).linked(linked);
        let outcome = transfer.run().await?;
        // `None` answers only to validators, and none were sent.
        outcome.blob.ok_or_else(|| Error::Status { url: SafeUrl::new(url.clone()).into(), status: 304 })
    }

    /// Brings a `file:` URL's bytes into the store.
    pub(crate) async fn copy(
        &self,
        url: &Url,
        expected: Expected,
        progress: Option<&Progress>,
    ) -> Result<Blob> {
        let safe = Box::new(SafeUrl::new(url.clone()));
        let store = self.store().clone();
        let blob = blocking(move || {
            let failed = |source| Error::File { url: safe.clone(), source };
            let path = safe.as_url().to_file_path().map_err(|()| {
                failed(std::io::Error::new(
                    std::io::ErrorKind::InvalidInput,
                    "it names another machine's file",
                ))
            })?;
            // A pipe without a writer would be waited for, for ever.
            let mut options = fs_err::OpenOptions::new();
            options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
            let file = options.open(&path).map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            if !metadata.is_file() {
                return Err(failed(std::io::Error::new(
                    std::io::ErrorKind::InvalidInput,
                    "it is no regular file",
                )));
            }
            if let Some(size) = expected.size.filter(|size| *size != metadata.len()) {
                return Err(Error::Size { url: safe, expected: size, actual: metadata.len(), from: None });
            }
            if metadata.len() > expected.limit {
                return Err(Error::TooLong { url: safe, limit: expected.limit, from: None });
            }
            let mut staged = store.stage()?;
            let mut reader = std::io::BufReader::with_capacity(256 * 1024, file);
            loop {
                let bytes = std::io::BufRead::fill_buf(&mut reader).map_err(failed)?;
                let length = bytes.len();
                if length == 0 {
                    break;
                }
                staged.write_all(bytes).map_err(provenv_store::Error::from)?;
                std::io::BufRead::consume(&mut reader, length);
            }
            commit(staged, &safe, expected, None)
        })
        .await?;
        if let Some(progress) = progress {
            progress.reached(blob.size);
        }
        Ok(blob)
    }

    /// Whether the blob is there, and whole as far as its size tells.
    fn has(&self, digest: &Digest, size: Option<u64>) -> Result<bool> {
        let there = self.store().size(digest)?;
        Ok(there.is_some_and(|there| size.is_none_or(|size| size == there)))
    }

    pub(crate) fn permits(&self) -> &Semaphore {
        &self.inner.permits
    }

    pub(crate) fn tokens(&self) -> &Tokens {
        &self.inner.tokens
    }

    pub(crate) async fn credentials_for(
        &self,
        url: &Url,
        redirected: bool,
    ) -> Result<Option<Authentication>> {
        let (this, url) = (self.clone(), url.clone());
        // It may read a file and run a program.
        blocking(move || this.inner.keychain.find(&url, redirected)).await
    }

    /// Where else `url` is, and how many segments of the path there are the mirror's own; `None` where it has no mirrors.
    /// Of two that count the longer prefix wins.
    pub(crate) fn mirrors(&self, url: &Url) -> Option<Vec<(Url, usize)>> {
        let under = |prefix: &Url| {
            let rest = url.as_str().strip_prefix(prefix.as_str().trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        };
        let mirrors = self.inner.options.mirrors.iter();
        let found = mirrors.filter_map(|(prefix, mirrors)| Some((prefix, under(prefix)?, mirrors)));
        let (_, rest, mirrors) = found.max_by_key(|(prefix, ..)| prefix.as_str().len())?;
        let at = |mirror: &Url| {
            let own = mirror.path().trim_end_matches('/').matches('/').count();
            let url = Url::parse(&format!("{}{rest}", mirror.as_str().trim_end_matches('/'))).ok()?;
            Some((url, own))
        };
        Some(mirrors.iter().filter_map(at).collect())
    }

    /// `url` with the values of the variables in the first `own` segments of its path.
    pub(crate) fn with_variables(&self, url: &Url, own: usize) -> Result<Url> {
        self.inner.keychain.with_variables(url, own)
    }

    /// The HTTP client, made when first used: reading the system's certificates takes time that a run without the
    /// network need not spend.
    pub(crate) fn client(&self, encoding: Encoding) -> Result<Client> {
        let (slot, compressed) = match encoding {
            Encoding::AsItIs => (&self.inner.as_it_is, false),
            Encoding::Compressed => (&self.inner.compressed, true),
        };
        if let Some(client) = slot.get() {
            return Ok(client.clone());
        }
        let own = match &self.inner.options.certificates {
            Some(file) => certificates(file)?,
            None => Vec::new(),
        };
        let builder = || {
            Client::builder()
                .tls_certs_merge(own.clone())
                .user_agent(concat!("provenv/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(self.inner.options.connect_timeout)
                .read_timeout(self.inner.options.stall_timeout)
                .gzip(compressed)
                .http2_adaptive_window(true)
                // Followed by hand, so that each hop gets its own credentials and no other's.
                .redirect(Policy::none())
                .referer(false)
        };
        let client = match builder().build() {
            Ok(client) => client,
            // Not one trusted certificate on this system. Plain http works without any.
            Err(error) => {
                let client = builder().tls_certs_only([]).build().map_err(|_| Error::Client(error))?;
                self.reporter().note("no CA certificates were found on this system: https will not work");
                client
            }
        };
        Ok(slot.get_or_init(|| client).clone())
    }
}

/// The certificates in a file.
fn certificates(file: &Path) -> Result<Vec<Certificate>> {
    let failed = |source| Error::Certificates { file: file.to_owned(), source };
    let text = fs_err::read(file).map_err(failed)?;
    Certificate::from_pem_bundle(&text).map_err(|error| failed(std::io::Error::other(error)))
}

/// Makes the bytes a blob if they are what was expected.
pub(crate) fn commit(
    staged: provenv_store::Staged,
    url: &SafeUrl,
    expected: Expected,
    from: Option<Box<SafeUrl>>,
) -> Result<Blob> {
    let Some(digest) = expected.digest else { return Ok(staged.commit()?) };
    staged.commit_expecting(&digest, expected.size).map_err(|error| match error {
        provenv_store::Error::Mismatch { expected, actual } => {
            Error::Digest { url: url.clone().into(), expected, actual, from }
        }
        error => error.into(),
    })
}

/// What a user calls it: the file's name.
fn item(url: &SafeUrl) -> String {
    url.file_name()
        .map_or_else(|| url.to_string(), |name| percent_decode_str(name).decode_utf8_lossy().into_owned())
}

/// Runs what blocks where it may. A panic in it goes on here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await.map_err(JoinError::into_panic) {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Tells the reporter of one item, and that it ended however it ends.
pub(crate) struct Progress {
    reporter: Arc<dyn Reporter>,
    item: String,
    reached: std::sync::atomic::AtomicU64,
}

impl Progress {
    fn begin(fetcher: &Fetcher, item: String) -> Self {
        fetcher.reporter().begin(Phase::Fetching, &item);
        Self { reporter: Arc::clone(fetcher.reporter()), item, reached: 0.into() }
    }

    /// So many bytes are here. Told only so far as it is more than ever before: a transfer may begin again.
    pub(crate) fn reached(&self, bytes: u64) {
        let before = self.reached.fetch_max(bytes, std::sync::atomic::Ordering::Relaxed);
        if bytes > before {
            self.reporter.advance(Phase::Fetching, bytes - before);
        }
    }

    /// The whole is so many bytes, which was not known at first.
    pub(crate) fn will_be(&self, bytes: u64) {
        self.reporter.expect(Phase::Fetching, 0, bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.reporter.end(Phase::Fetching, &self.item);
    }
}
