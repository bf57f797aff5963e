//! The workspace: a catalogue of environments with their images and runs, and every use case on it.
//!
//! Front ends talk to this crate and know nothing of what lies below it.

mod admission;
mod audit_log;
mod auditing;
mod base_image;
mod build_log;
mod building;
mod builds;
mod bundling;
mod cache;
mod catalogue;
mod channels;
mod comparing;
mod config;
mod copying;
mod curated;
mod dockerfile;
mod environments;
mod error;
mod ever;
mod exporting;
mod finding;
mod folders;
mod hosting;
mod housekeeping;
mod image_file;
mod importing;
mod interpreter;
mod job;
mod lifecycle;
mod lineage;
mod lock_file;
mod locking;
mod missing;
mod places;
mod planning;
mod platforms;
mod post_link;
mod proof;
mod record;
mod reference;
mod registry;
mod remote;
mod resolving;
mod running;
mod runs;
mod sandbox;
mod sbom;
mod sharing;
mod snapshot;
mod stopping;
mod supervise;
mod traced;
mod upgrading;
mod upstream;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use provenv_fetch::{CredentialSources, Fetcher};
use provenv_store::Store;
use tokio::sync::OnceCell;

use crate::traced::Traced;

pub use admission::{GroupRole, LimitSettings, OidcSettings};
pub use audit_log::{AuditLog, AuditLogCheck, AuditLogEntry, AuditLogFinding, AuditLogVerdict};
pub use auditing::{AuditOptions, AuditReport, AuditSummary, Unchecked};
pub use building::{BuildOptions, Built, ImageDetails, ImageSummary, LayerSummary, PackageSummary};
pub use builds::{BuildDetails, BuildStep};
pub use bundling::{BundleError, Bundled, BundledImage, ImportOptions};
pub use catalogue::{
    AsyncWriter, BuildStatus, CatalogueError, Field, ImportSoFar, Moment, Moments, NewVersion, News, Query,
    Resolved, RunStatus, Tables, Together, Untold, has_nul, write_rows,
};
pub use comparing::{Compared, ComparedKind, DiffOptions, EnvironmentDiff};
pub use config::{Config, ConfigError, ServerSettings, TelemetrySettings, default_workspace, parse_size};
pub use copying::{Copied, CopyOptions};
pub use curated::is_curated;
pub use dockerfile::{BuildSecret, Builder, DockerfileError, MissingEngine};
pub use environments::{EnvironmentDetails, RegisterOptions, Registered};
pub use error::{Error, causes, is_away, is_no_space};
pub use exporting::ExportOptions;
pub use finding::{EnvironmentPage, Facets, Find, Include, Kind, Term};
pub use hosting::{
    Door, HostingError, Mounted, SentEnvironment, StopSignal, UnbuiltVersion, Visitor, check_text, end_with,
    read_text, refuse_local,
};
pub use housekeeping::{
    CorruptBlob, CorruptState, GcImage, GcItem, GcOptions, GcSummary, KeepPolicy, ScrubSummary, StatsSummary,
    parse_age,
};
pub use importing::{Imported, Importer};
pub use interpreter::TriedInterpreter;
pub use job::Job;
pub use lifecycle::{
    Archived, Change, ChangeKind, DeleteOptions, Deleted, HistoryOptions, Label, Unneeded, Updated,
    VersionUpdate,
};
pub use lineage::{
    Lineage, LineageArtifact, LineageLock, LineageReceipt, LineageRun, LineageVersion, Step, UsedImage,
    UsedRun, Uses,
};
pub use lock_file::CheckedLock;
pub use locking::Locked;
pub use places::Part;
pub use planning::{Chosen, Plan, PlatformPlan};
pub use platforms::BuiltAll;
pub use post_link::ScriptChoice;
pub use proof::{
    Check, Companion, KeyDetails, KeyType, NewKey, Outcome, Policy, PolicyError, ProofError, Pushed,
    RemoteDetails, RemoteReferrer, Signed, Verified, VerifyOptions,
};
pub use provenv_compute::{sandbox_main_if_asked, set_helper};
pub use provenv_fetch::{Credentials, HostCredentials, Kept, Phase, Reporter, Silent, Unusable};
pub use provenv_image::audit::{Finding, Severity};
pub use provenv_image::form::{EPOCH, Form, Packing};
pub use provenv_image::sbom::Format as SbomFormat;
pub use provenv_lock::diff::{Amount, EcosystemDiff, LockDiff, PackageChange, PackageVersion, Totals};
pub use record::Record;
pub use reference::Reference;
pub use registry::{Anonymous, RegistryOptions, RegistryServed};
pub use remote::{
    AuditLogFilter, DeviceLogin, Login, MadeToken, NewRemoteSecret, NewRemoteToken, RekeyedSecrets, Remote,
    RemoteError, RemoteJob, RemoteJobError, RemoteMember, RemoteRun, RemoteSecret, RemoteShare, RemoteToken,
    RemoteWorkspace, forget_token, keep_token,
};
pub use resolving::{Resolving, parse_as_of};
pub use running::{Finished, RunOptions, SubmitOptions};
pub use runs::{OutputFile, RunDetails};
pub use sbom::Sbom;
pub use sharing::{SharedFrom, SharingTurn};
pub use supervise::Caller;
pub use upgrading::{UpgradeOptions, Upgraded};
pub use upstream::{ReportedRun, RunNow, ToldImage};

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// How a workspace is opened.
pub struct OpenOptions {
    /// Its folder; made where it is missing.
    pub root: PathBuf,
    /// Who hears of progress.
    pub reporter: Arc<dyn Reporter>,
    /// Ask no index and no server.
    pub offline: bool,
    /// Leave the registry aside that the settings name as the shared cache.
    pub no_cache_registry: bool,
    /// The engine that runs Dockerfiles, where the settings are not to choose.
    pub builder: Option<Builder>,
    /// What steps of Dockerfiles may ask for.
    pub secrets: Vec<BuildSecret>,
    /// The server that has it, where it is one of a server's workspaces.
    pub of_server: Option<OfServer>,
}

/// What is said of a workspace of a server.
#[derive(Clone, Debug, Default)]
pub struct OfServer {
    /// What the name of its schema ends in.
    pub schema_ending: String,
    /// The only credentials that what is registered here is fetched with.
    pub credentials: Option<HostCredentials>,
    /// The database that all workspaces of the server are in, over the one that the settings name for catalogues.
    pub database: Option<String>,
}

/// A local workspace: a folder with the catalogue, the store and the runs.
pub struct Workspace {
    root: PathBuf,
    store: Store,
    catalogue: catalogue::Catalogue,
    config: Config,
    reporter: Arc<dyn Reporter>,
    offline: bool,
    /// The registry that a team shares images by.
    cache: Option<cache::Cache>,
    /// The workspace on a server that the folder stands for.
    upstream: Option<Remote>,
    /// Credentials by host, where no others count.
    credentials: Option<HostCredentials>,
    /// Made when first needed: a hit needs no network, and loading certificates takes longer than all of it.
    fetcher: OnceCell<Fetcher>,
}

impl Workspace {
    /// Opens the workspace, made where it is missing. Many processes may have it open.
    pub async fn open(options: OpenOptions) -> Result<Self> {
        if let Some(file) = options.root.ancestors().find(|path| path.exists()).filter(|path| !path.is_dir())
        {
            return Err(Error::NotAFolder { root: options.root.clone(), file: file.to_owned() });
        }
        Self::open_with(options, Config::load()?).await
    }

    /// The same with these settings.
    async fn open_with(options: OpenOptions, mut config: Config) -> Result<Self> {
        let store = Store::open(options.root.join("store"))?;
        let mut credentials = HostCredentials::of_environment();
        // A server's is never at its end, and items that failed would stay open with the request that they were of.
        let reporter = match &options.of_server {
            Some(_) => options.reporter,
            None => Traced::around(options.reporter),
        };
        let is_of_server = options.of_server.is_some();
        if let Some(server) = options.of_server {
            credentials = server.credentials.or(credentials);
            config.catalogue.schema = Some(format!("{}_{}", config.catalogue.schema(), server.schema_ending));
            config.catalogue.url = server.database.or(config.catalogue.url);
        }
        let mut catalogue = catalogue::Catalogue::open(&options.root, &config.catalogue).await?;
        if is_of_server {
            catalogue = catalogue.telling();
        }
        if let Some(builder) = options.builder {
            config.dockerfile.builder = builder;
        }
        config.dockerfile.secrets = options.secrets;
        let cache = if options.no_cache_registry { None } else { cache::Cache::of(&config)? };
        Ok(Self {
            root: options.root,
            store,
            catalogue,
            config,
            reporter,
            offline: options.offline,
            cache,
            upstream: None,
            credentials,
            fetcher: OnceCell::new(),
        })
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What another process has to be told of where its catalogue is, as variables, where that is not in its folder. Not to
    /// be shown: the URL may hold a password.
    pub fn catalogue_variables(&self) -> Vec<(&'static str, String)> {
        let settings = &self.config.catalogue;
        let Some(url) = &settings.url else { return Vec::new() };
        vec![("PROVENV_CATALOGUE", url.clone()), ("PROVENV_CATALOGUE_SCHEMA", settings.schema().to_owned())]
    }

    /// Ends what is pending; errors at this point have nobody to hear them.
    pub async fn close(self) {
        self.catalogue.close().await;
    }

    async fn fetcher(&self) -> Result<&Fetcher> {
        self.fetcher
            .get_or_try_init(|| async {
                let options = provenv_fetch::Options {
                    offline: self.offline,
                    // What uv trusts in the sandbox, fetching must trust too.
                    certificates: provenv_lock::pypi::Host::default().named_ca_bundle(),
                    mirrors: self.config.conda.mirrors.clone().into_iter().collect(),
                    credentials: self
                        .credentials
                        .clone()
                        .map(CredentialSources::of_hosts)
                        .unwrap_or_default(),
                    ..Default::default()
                };
                Ok(Fetcher::new(self.store.clone(), Arc::clone(&self.reporter), options)?)
            })
            .await
    }
}

/// A readable identifier that sorts by time, of letters that the store takes.
fn identifier(what: &str) -> String {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S");
    format!("{what}-{time}-{:06x}", random & 0xff_ffff)
}

/// The name of the user of this machine, for the record.
pub fn user_name() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    user.ok().flatten().map_or_else(|| nix::unistd::getuid().to_string(), |user| user.name)
}
