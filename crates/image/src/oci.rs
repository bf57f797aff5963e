//! The image's configuration and manifest: the JSON that names its layers.
//!
//! Both are written by the structs below, field by field in their order, without white space, and are part of the
//! image's digest: a golden test holds their bytes. (The types of `oci-spec` would write the same today; nothing promises that
//! their next version does.)

mod dockerfile;

use std::collections::BTreeMap;

use provenv_definition::{Digest, Platform};
use provenv_lock::{BaseLock, DockerfileLock, ImageLock, PlatformLock, PythonLock};
use provenv_store::Store;
use serde::{Deserialize, Serialize};

pub use dockerfile::equivalent_dockerfile;

use crate::base_image::{BaseImage, Healthcheck, HistoryLine, Nothing, RuntimeConfig, USUAL_PATH};
use crate::form::{COMPRESSION_ANNOTATION, EPOCH_LABEL, Form, LAYERS_LABEL, Packing};
use crate::layer::{Compression, Layer};
use crate::segment::PREFIX;

/// `application/vnd.oci.image.manifest.v1+json`.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// `application/vnd.oci.image.config.v1+json`.
pub const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// `application/vnd.oci.image.layer.v1.tar+gzip`.
pub const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// `application/vnd.oci.image.layer.v1.tar+zstd`.
pub const ZSTD_LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// `application/vnd.oci.image.layer.v1.tar`.
pub const PLAIN_LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// Of an eStargz layer: the digest of its table of contents.
const TOC_ANNOTATION: &str = "containerd.io/snapshot/stargz/toc.digest";
/// The same: the bytes of its tar.
const TAR_SIZE_ANNOTATION: &str = "io.containers.estargz.uncompressed-size";
/// When every image was made, as far as it says: the earliest time that a zip can carry.
pub const CREATED: &str = "1980-01-01T00:00:00Z";

/// An image whose blobs are all in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Digest of the manifest: the image's name.
    pub manifest: Digest,
    /// Bytes of the manifest.
    pub manifest_size: u64,
    /// Digest of the configuration.
    pub config: Digest,
    /// Bytes of the configuration.
    pub config_size: u64,
    /// What it runs on.
    pub platform: Platform,
    /// Its layers, the bottom one first.
    pub layers: Vec<Layer>,
}

impl Image {
    /// Bytes of manifest, configuration and layers together: what a registry keeps.
    pub fn size(&self) -> u64 {
        self.blobs().iter().map(|(_, size)| size).sum()
    }

    /// Every blob that belongs to it, each once: what must be kept or handed on. Manifest first, then configuration, then layers.
    pub fn blobs(&self) -> Vec<(Digest, u64)> {
        let mut blobs = vec![(self.manifest, self.manifest_size), (self.config, self.config_size)];
        for layer in &self.layers {
            if !blobs.iter().any(|(digest, _)| *digest == layer.digest) {
                blobs.push((layer.digest, layer.size));
            }
        }
        blobs
    }
}

/// How containers of an image start, and what it says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// Variables, in the order in which they are written.
    pub env: Vec<(String, String)>,
    /// What runs when nothing else is asked for.
    pub command: Vec<String>,
    /// Annotations that clients show.
    pub labels: BTreeMap<String, String>,
    /// What else a base from a registry says of how its containers start: its own variables, command and labels are not
    /// looked at here.
    pub inherited: RuntimeConfig,
    /// What `docker history` shows of a base from a registry.
    pub history: Vec<HistoryLine>,
    /// How the layers that are made here are compressed, for the manifest to say.
    pub packing: Packing,
}

impl ImageConfig {
    /// The configuration of the image of `lock` in `form`.
    ///
    /// The variables are those of an environment that was activated, and since the second epoch those that Azure ML's images
    /// have, so that scripts written for these find what they look for.
    ///
    /// The labels say only what follows from the packages themselves. The lock's digest is not among them: a lock names
    /// where each artifact comes from, and the same wheels and Debian packages from elsewhere are the same image. Conda's are so
    /// from another mirror of their channel, which no lock names, and not from another channel, which their records name.
    ///
    /// Of a base from a registry nothing is known here: [`ImageConfig::over`] takes in what it says.
    pub fn of(lock: &PlatformLock, form: Form) -> Self {
        let mut env = Vec::new();
        let is_first = form.epoch == 1;
        let has_conda = !lock.conda.is_empty();
        let has_virtualenv = lock.python.as_ref().is_some_and(PythonLock::has_virtualenv);
        if lock.python.as_ref().is_some_and(|python| !python.as_is) || has_conda {
            env.push(("PATH".to_owned(), format!("/{PREFIX}/bin:{USUAL_PATH}")));
            if has_virtualenv {
                env.push(("VIRTUAL_ENV".to_owned(), format!("/{PREFIX}")));
            }
            if has_conda {
                env.push(("CONDA_PREFIX".to_owned(), format!("/{PREFIX}")));
                // As conda says it of an environment that lies outside of its own folder.
                env.push(("CONDA_DEFAULT_ENV".to_owned(), format!("/{PREFIX}")));
            }
            if !is_first {
                if has_conda {
                    // One environment is active: conda itself, where it is one of the packages, goes by this.
                    env.push(("CONDA_SHLVL".to_owned(), "1".to_owned()));
                }
                env.push(("AZUREML_CONDA_ENVIRONMENT_PATH".to_owned(), format!("/{PREFIX}")));
                env.push(("AZUREML_ENVIRONMENT_IMAGE".to_owned(), "True".to_owned()));
            }
        } else {
            env.push(("PATH".to_owned(), USUAL_PATH.to_owned()));
        }
        env.push(("LANG".to_owned(), "C.UTF-8".to_owned()));
        if !is_first {
            env.push(("LC_ALL".to_owned(), "C.UTF-8".to_owned()));
        }

        let has = |name: &str| lock.debian.iter().any(|package| package.name == name);
        let command = if lock.python.is_some() {
            "python3"
        } else if has("bash") {
            "bash"
        } else {
            "sh"
        };
        Self {
            env,
            command: vec![command.to_owned()],
            labels: labels(lock, form),
            packing: form.packing,
            ..Self::default()
        }
    }

    /// The configuration of the image of `lock` in `form`, which stands on `base`.
    ///
    /// As in the images that Azure ML makes, packages are installed by root, into a folder that comes first on `PATH`, and
    /// containers start at `/`; what runs in any case stays the base's. Where nothing is installed, all of it stays.
    pub fn over(lock: &PlatformLock, base: &BaseImage, form: Form) -> Self {
        let own = Self::of(lock, form);
        let mut inherited = base.config.clone();
        let mut env: Vec<(String, String)> = base.config.variables();
        let mut labels = inherited.labels.take().unwrap_or_default();
        if form.epoch > 1 {
            // A base that was made here says of itself what is not so of this image.
            labels.retain(|label, _| !label.starts_with(OWN_LABELS));
        }
        labels.extend(own.labels);
        inherited.env = None;
        let mut command = inherited.cmd.take().unwrap_or_default();
        let history = base.history.clone();
        let installs = own.env.iter().any(|(name, value)| name == "PATH" && value.contains(PREFIX));
        if installs {
            let below = base.path().unwrap_or_else(|| USUAL_PATH.to_owned());
            let is_locale = |name: &str| matches!(name, "LANG" | "LC_ALL");
            let has_locale = env.iter().any(|(name, _)| is_locale(name));
            for (name, value) in own.env {
                let value = if name == "PATH" { format!("/{PREFIX}/bin:{below}") } else { value };
                match env.iter_mut().find(|(known, _)| *known == name) {
                    Some(_) if is_locale(&name) => {}
                    Some(known) => known.1 = value,
                    None if is_locale(&name) && has_locale => {}
                    None => env.push((name, value)),
                }
            }
            inherited.working_dir = None;
            if inherited.user.as_deref().is_some_and(|user| !user.is_empty()) {
                inherited.user = Some("root".to_owned());
            }
            if lock.python.is_some() || command.is_empty() {
                command = own.command;
            }
        } else if inherited.working_dir.as_deref() == Some("") {
            inherited.working_dir = None;
        }
        Self { env, command, labels, inherited, history, packing: form.packing }
    }
}

/// The variables that containers of `image`, which is in `store`, start with.
pub fn variables(store: &Store, image: &Image) -> provenv_store::Result<Vec<(String, String)>> {
    #[derive(Deserialize)]
    struct Document {
        config: RuntimeConfig,
    }
    let document: Option<Document> = serde_json::from_slice(&store.read(&image.config)?).ok();
    Ok(document.map(|document| document.config.variables()).unwrap_or_default())
}

/// What our own labels begin with.
const OWN_LABELS: &str = "dev.provenv.";

fn labels(lock: &PlatformLock, form: Form) -> BTreeMap<String, String> {
    let base = match &lock.base {
        BaseLock::Debian { suite } => format!("debian:{suite}"),
        // Not its name: from another registry it is the same image.
        BaseLock::Image(ImageLock { manifest, .. })
        | BaseLock::Dockerfile(DockerfileLock { manifest, .. }) => manifest.to_string(),
    };
    let mut labels = BTreeMap::from([
        ("dev.provenv.base".to_owned(), base.clone()),
        (EPOCH_LABEL.to_owned(), form.epoch.to_string()),
    ]);
    if let Some(layers) = form.layers {
        labels.insert(LAYERS_LABEL.to_owned(), layers.to_string());
    }
    if form.epoch > 1 {
        labels.insert("org.opencontainers.image.description".to_owned(), description(lock));
    }
    let mut title = Vec::new();
    for package in lock.conda.iter().filter(|package| package.requested && package.name != "python") {
        title.push(format!("{} {}", package.name, package.version));
    }
    for package in lock.pypi.iter().filter(|package| package.requested) {
        title.push(format!("{} {}", package.name, package.version));
    }
    if let Some(python) = &lock.python {
        labels.insert("dev.provenv.python".to_owned(), python.version.clone());
        title.push(format!("Python {}", python.version));
    }
    match &lock.base {
        BaseLock::Debian { suite } => title.push(format!("Debian {suite}")),
        BaseLock::Image(_) | BaseLock::Dockerfile(_) => {
            title.push(format!("base {}", &base[..19]));
            labels.insert("org.opencontainers.image.base.digest".to_owned(), base);
        }
    }
    labels.insert("org.opencontainers.image.title".to_owned(), title.join(", "));
    labels
}

/// How many packages of each kind there are: `64 Debian packages and 3 Python packages`.
fn description(lock: &PlatformLock) -> String {
    let kinds = [("Debian", lock.debian.len()), ("conda", lock.conda.len()), ("Python", lock.pypi.len())];
    let counts = kinds.into_iter().filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts
        .map(|(kind, count)| format!("{count} {kind} package{}", if count == 1 { "" } else { "s" }))
        .collect();
    match counts.split_last() {
        None => "No packages".to_owned(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// Writes configuration and manifest of an image of `layers` (the bottom one first) to the store.
pub fn write(
    store: &Store,
    platform: Platform,
    layers: &[Layer],
    config: &ImageConfig,
) -> provenv_store::Result<Image> {
    let packing = config.packing;
    let config = config_bytes(platform, layers, config);
    let config_size = config.len() as u64;
    let config = store.put(&config)?;
    let manifest = manifest_bytes(config, config_size, layers, packing);
    Ok(Image {
        manifest: store.put(&manifest)?,
        manifest_size: manifest.len() as u64,
        config,
        config_size,
        platform,
        layers: layers.to_vec(),
    })
}

/// OCI image specification, `config.md`.
#[derive(Serialize)]
struct Config<'a> {
    created: &'a str,
    architecture: &'a str,
    os: &'a str,
    #[serde(rename = "config")]
    execution: Execution<'a>,
    rootfs: RootFs,
    history: Vec<HistoryLine>,
}

#[expect(clippy::zero_sized_map_values, reason = "as it is written")]
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Execution<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exposed_ports: &'a Option<BTreeMap<String, Nothing>>,
    env: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entrypoint: &'a Option<Vec<String>>,
    cmd: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    volumes: &'a Option<BTreeMap<String, Nothing>>,
    working_dir: &'a str,
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_signal: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: &'a Option<Healthcheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shell: &'a Option<Vec<String>>,
}

#[derive(Serialize)]
struct RootFs {
    r#type: &'static str,
    diff_ids: Vec<Digest>,
}

fn config_bytes(platform: Platform, layers: &[Layer], config: &ImageConfig) -> Vec<u8> {
    let own = layers.iter().filter(|layer| !layer.foreign);
    let own = own.map(|layer| HistoryLine {
        created: Some(CREATED.to_owned()),
        created_by: Some(created_by(layer)),
        ..HistoryLine::default()
    });
    let inherited = &config.inherited;
    let config = Config {
        created: CREATED,
        architecture: platform.architecture(),
        os: "linux",
        execution: Execution {
            user: &inherited.user,
            exposed_ports: &inherited.exposed_ports,
            env: config.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            entrypoint: &inherited.entrypoint,
            cmd: &config.command,
            volumes: &inherited.volumes,
            working_dir: inherited.working_dir.as_deref().unwrap_or("/"),
            labels: &config.labels,
            stop_signal: &inherited.stop_signal,
            healthcheck: &inherited.healthcheck,
            shell: &inherited.shell,
        },
        rootfs: RootFs { r#type: "layers", diff_ids: layers.iter().map(|layer| layer.diff_id).collect() },
        history: config.history.iter().cloned().chain(own).collect(),
    };
    serde_json::to_vec(&config).expect("a configuration is plain data")
}

/// What `docker history` shows: the layer, and the packages in it where its name does not say it.
fn created_by(layer: &Layer) -> String {
    match &layer.packages[..] {
        [] => format!("provenv: {}", layer.what),
        [package] if *package == layer.what => format!("provenv: {}", layer.what),
        packages => format!("provenv: {}: {}", layer.what, packages.join(", ")),
    }
}

/// OCI image specification, `manifest.md`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, &'static str>,
}

/// OCI image specification, `descriptor.md`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

impl Descriptor {
    fn new(media_type: &'static str, digest: Digest, size: u64) -> Self {
        Self { media_type, digest, size, annotations: BTreeMap::new() }
    }
}

fn manifest_bytes(config: Digest, config_size: u64, layers: &[Layer], packing: Packing) -> Vec<u8> {
    let media_type = |layer: &Layer| match layer.compression {
        Compression::Gzip => LAYER_TYPE,
        Compression::Zstd => ZSTD_LAYER_TYPE,
        Compression::None => PLAIN_LAYER_TYPE,
    };
    let layer = |layer: &Layer| {
        let mut descriptor = Descriptor::new(media_type(layer), layer.digest, layer.size);
        if let Some(toc) = layer.toc {
            descriptor.annotations.insert(TOC_ANNOTATION, toc.to_string());
            descriptor.annotations.insert(TAR_SIZE_ANNOTATION, layer.tar_size.to_string());
        }
        descriptor
    };
    let packed = (packing != Packing::Gzip).then(|| (COMPRESSION_ANNOTATION, packing.as_str()));
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE,
        config: Descriptor::new(CONFIG_TYPE, config, config_size),
        layers: layers.iter().map(layer).collect(),
        annotations: packed.into_iter().collect(),
    };
    serde_json::to_vec(&manifest).expect("a manifest is plain data")
}

#[cfg(test)]
mod tests;
