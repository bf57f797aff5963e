//! The user's settings: `config.toml` in `$XDG_CONFIG_HOME/provenv`, or the file that `PROVENV_CONFIG` names.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use provenv_image::form::{Form, FormError, Packing};
use serde::Deserialize;
use url::Url;

use crate::admission::{LimitSettings, OidcSettings};
use crate::dockerfile::{BuildSecret, Builder};
use crate::housekeeping::parse_age;

/// What can be set. Everything has a default; environment variables win. Not `Debug`: a mirror's URL may hold a password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the catalogue is.
    pub catalogue: CatalogueSettings,
    /// Where Debian packages come from.
    pub debian: DebianSettings,
    /// Where packages for bases of Ubuntu come from.
    pub ubuntu: UbuntuSettings,
    /// Where Python packages come from.
    pub pypi: PypiSettings,
    /// Where conda packages come from.
    pub conda: CondaSettings,
    /// Where vulnerabilities are looked up.
    pub audit: AuditSettings,
    /// Where base images come from.
    pub registry: RegistrySettings,
    /// What provenance says of this machine.
    pub provenance: ProvenanceSettings,
    /// What images are like.
    pub image: ImageSettings,
    /// The registry that the workspaces of a team share images by.
    pub cache: CacheSettings,
    /// What `store gc` leaves.
    pub store: StoreSettings,
    /// How Dockerfiles are run.
    pub dockerfile: DockerfileSettings,
    /// Whom a server lets in by an identity provider.
    pub oidc: OidcSettings,
    /// How much a server takes.
    pub limits: LimitSettings,
    /// Where a server has what it has beside its workspaces.
    pub server: ServerSettings,
    /// Where traces go.
    pub telemetry: TelemetrySettings,
}

/// `[telemetry]`. The `OTEL_*` variables come before it. Not `Debug`: a collector's URL may hold a password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// The collector, as in `OTEL_EXPORTER_OTLP_ENDPOINT`; no traces otherwise.
    pub endpoint: Option<String>,
    /// What this is called there; `provenv`, `provenv-server` and `provenv-worker` otherwise.
    pub service_name: Option<String>,
}

/// `[catalogue]`. Not `Debug`: the URL may hold a password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueSettings {
    /// The PostgreSQL database that it is in, `postgres://USER@HOST/DATABASE`; a file of the workspace's folder otherwise.
    pub url: Option<String>,
    /// The schema in it; `provenv` otherwise.
    pub schema: Option<String>,
}

impl CatalogueSettings {
    /// With what the environment says of it.
    fn with_environment(mut self) -> Self {
        for (value, name) in
            [(&mut self.url, "PROVENV_CATALOGUE"), (&mut self.schema, "PROVENV_CATALOGUE_SCHEMA")]
        {
            if let Some(text) = std::env::var_os(name) {
                *value = Some(text.to_string_lossy().into_owned());
            }
        }
        // An empty one is none.
        self.url = self.url.filter(|url| !url.is_empty());
        self.schema = self.schema.filter(|schema| !schema.is_empty());
        self
    }

    /// The schema that the catalogue is in.
    pub fn schema(&self) -> &str {
        self.schema.as_deref().unwrap_or("provenv")
    }
}

/// `[server]`. Not `Debug`: the URL may hold a password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// The PostgreSQL database with users, roles and the queue of builds, and with the catalogues of the workspaces,
    /// `postgres://USER@HOST/DATABASE`; a file of the server's folder otherwise.
    pub database: Option<String>,
    /// What the names of its schemas begin with: that of the catalogue's settings.
    #[serde(skip)]
    schema: String,
}

impl ServerSettings {
    /// With what the environment says of it.
    fn with_environment(mut self) -> Self {
        if let Some(text) = std::env::var_os("PROVENV_SERVER_DATABASE") {
            self.database = Some(text.to_string_lossy().into_owned());
        }
        // An empty one is none.
        self.database = self.database.filter(|url| !url.is_empty());
        self
    }

    /// The schema of what is no workspace's. No workspace's ends so: their names begin with a letter or a digit.
    pub(crate) fn own_schema(&self) -> String {
        format!("{}__server", self.schema)
    }
}

/// `[image]`
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageSettings {
    /// How layers are compressed.
    pub compression: Packing,
    /// The most layers that an image may have, those of its base included.
    #[serde(deserialize_with = "layers")]
    pub layers: Option<u8>,
}

fn layers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    let layers = u64::deserialize(deserializer)?;
    let form = u8::try_from(layers).map(|layers| Form { layers: Some(layers), ..Form::default() });
    let form = form.map_err(|_| FormError::Layers(layers)).and_then(|form| form.check().map(|()| form));
    form.map(|form| form.layers).map_err(serde::de::Error::custom)
}

/// `[cache]`
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// The repository with the images, `HOST[:PORT]/NAME`; none is asked otherwise.
    pub registry: Option<String>,
    /// Whether `build` pushes what it made there.
    pub push: bool,
    /// Files with public keys, of which one must have signed what is taken from there. A relative path counts from the
    /// folder of the settings.
    pub trusted_keys: Vec<PathBuf>,
}

impl CacheSettings {
    /// With what the environment says of it.
    fn with_environment(mut self) -> Self {
        if let Some(registry) = std::env::var_os("PROVENV_CACHE_REGISTRY") {
            // An empty one is none.
            self.registry = Some(registry.to_string_lossy().into_owned());
        }
        if let Ok(push) = std::env::var("PROVENV_CACHE_PUSH") {
            self.push = !matches!(&*push, "" | "0" | "false" | "no");
        }
        self.registry = self.registry.filter(|registry| !registry.is_empty());
        self
    }
}

/// `[store]`: what `store gc` leaves where its options do not say.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// So many images that no registered version needs: those used last.
    pub keep_last: Option<usize>,
    /// Images that were used within this time: `30d`, `12h`, `4w`.
    #[serde(deserialize_with = "age")]
    pub keep_used_within: Option<Duration>,
}

fn age<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_age(&text).map(Some).map_err(serde::de::Error::custom)
}

/// `[dockerfile]`
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DockerfileSettings {
    /// The engine that runs them; the first that is found otherwise.
    pub builder: Builder,
    /// What steps may ask for; never in a file.
    #[serde(skip)]
    pub secrets: Vec<BuildSecret>,
}

/// `[provenance]`
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProvenanceSettings {
    /// Who builds here, e.g. `https://ci.example/runners/gpu`: what a policy may demand.
    pub builder: Option<Url>,
}

/// `[debian]`
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DebianSettings {
    /// The archive, e.g. a mirror; the host's apt configuration says it otherwise.
    pub mirror: Option<Url>,
    /// The archive of security updates.
    pub security_mirror: Option<Url>,
    /// The file with the archive's keys.
    pub keyring: Option<PathBuf>,
}

/// `[ubuntu]`
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UbuntuSettings {
    /// The archive, e.g. a mirror; `http://archive.ubuntu.com/ubuntu` otherwise.
    pub mirror: Option<Url>,
    /// The file with the archive's keys; that of the package `ubuntu-keyring` otherwise.
    pub keyring: Option<PathBuf>,
}

/// `[pypi]`
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PypiSettings {
    /// The default index; that of uv's and pip's configuration otherwise.
    pub index: Option<Url>,
    /// Whether builds of packages have the network.
    pub build_network: bool,
}

/// `[conda]`
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CondaSettings {
    /// What completes the name of a channel; `https://conda.anaconda.org` otherwise.
    pub channel_alias: Option<Url>,
    /// Where else what lies under a URL is, in the order in which they are asked. The URL itself is asked only where it is
    /// among them; locks name it all the same.
    pub mirrors: BTreeMap<Url, Vec<Url>>,
}

/// `[audit]`
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// A folder with exports of OSV, or the URL they are below; OSV's own otherwise.
    pub database: Option<String>,
}

/// `[registry]`
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistrySettings {
    /// Registries, `HOST[:PORT]`, that bases are pulled from by plain http. This machine's are so anyway.
    pub insecure: Vec<String>,
    /// Where else the images of a registry are, `HOST[:PORT][/PREFIX]` each, in the order in which they are asked; then the
    /// registry itself. Locks name the registry all the same.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// How many blobs are on their way to a registry at once.
    pub parallel: Option<NonZeroUsize>,
}

/// A settings file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("could not read the settings")]
    Read(#[from] std::io::Error),
    /// It does not say what settings say.
    #[error("{}: {message}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why, secrets masked.
        message: String,
    },
}

impl Config {
    /// Reads the user's settings; none are fine.
    pub fn load() -> Result<Self, ConfigError> {
        let mut config = Self::of_file()?;
        config.cache = config.cache.with_environment();
        config.oidc = config.oidc.with_environment();
        config.catalogue = config.catalogue.with_environment();
        config.server = config.server.with_environment();
        // The server's tables stand beside those of its workspaces.
        config.catalogue.schema().clone_into(&mut config.server.schema);
        Ok(config)
    }

    fn of_file() -> Result<Self, ConfigError> {
        // A file that is named must be there; the usual one need not.
        if let Some(path) = std::env::var_os("PROVENV_CONFIG").filter(|path| !path.is_empty()) {
            return Self::read(Path::new(&path));
        }
        match path() {
            Some(path) if path.exists() => Self::read(&path),
            _ => Ok(Self::default()),
        }
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs_err::read_to_string(path)?;
        let mut config: Self = toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: provenv_definition::mask_secrets(error.to_string().trim_end()),
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for key in &mut config.cache.trusted_keys {
            *key = folder.join(&*key);
        }
        if let Some(file) = &mut config.oidc.client_secret_file {
            *file = folder.join(&*file);
        }
        Ok(config)
    }
}

fn path() -> Option<PathBuf> {
    let folder = match std::env::var_os("XDG_CONFIG_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => PathBuf::from(std::env::var_os("HOME")?).join(".config"),
    };
    Some(folder.join("provenv/config.toml"))
}

/// A size such as `512M` or `2G`, in bytes; units are binary.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let error = || format!("`{text}` is not a size such as 512M or 2G");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(error()),
    };
    let number: f64 = digits.parse().map_err(|_| error())?;
    if !number.is_finite() || number <= 0.0 {
        return Err(error());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be positive and finite"
    )]
    Ok((number * unit as f64) as u64)
}

/// The default workspace: `$XDG_DATA_HOME/provenv`, or `~/.local/share/provenv`.
pub fn default_workspace() -> Option<PathBuf> {
    match std::env::var_os("XDG_DATA_HOME") {
        Some(folder) if !folder.is_empty() => Some(PathBuf::from(folder).join("provenv")),
        _ => Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share/provenv")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, parse_size};

    #[test]
    fn sizes_are_read_in_binary_units() {
        assert_eq!(parse_size("2G"), Ok(2 << 30));
        assert_eq!(parse_size("1.5k"), Ok(1536));
        assert!(parse_size("-1G").is_err());
        assert!(parse_size("many").is_err());
    }

    #[test]
    fn images_cannot_be_set_to_what_there_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for (line, why) in [
            ("compression = \"lz4\"", "expected one of `gzip`, `zstd`, `estargz`"),
            ("layers = 0", "it cannot have 0 at the most"),
            ("layers = 300", "it cannot have 300 at the most"),
        ] {
            fs_err::write(&path, format!("[image]\n{line}\n")).unwrap();
            let message = Config::read(&path).err().unwrap().to_string();
            assert!(message.contains(why) && message.contains("line 2"), "{message}");
        }
        fs_err::write(&path, "[image]\ncompression = \"zstd\"\nlayers = 40\n").unwrap();
        let settings = Config::read(&path).ok().unwrap().image;
        assert_eq!((settings.compression.as_str(), settings.layers), ("zstd", Some(40)));
    }

    #[test]
    fn an_unknown_setting_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs_err::write(&path, "[debian]\nmiror = \"http://localhost/debian\"\n").unwrap();
        let message = Config::read(&path).err().unwrap().to_string();
        assert!(
            message.contains("config.toml") && message.contains("line 2") && message.contains("miror"),
            "{message}"
        );
    }
}
