//! Manifests and indexes as registries give them: OCI's and Docker's (schema 2), which differ in names alone.

use provenv_definition::{Digest, Platform};
use serde::Deserialize;
use serde_json::Value;

use crate::layer::Compression;
use crate::oci::{CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE};

/// `application/vnd.oci.image.index.v1+json`.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// `application/vnd.docker.distribution.manifest.v2+json`.
pub const DOCKER_MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// `application/vnd.docker.distribution.manifest.list.v2+json`.
pub const DOCKER_INDEX_TYPE: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG_TYPE: &str = "application/vnd.docker.container.image.v1+json";

/// No container can be made of more (docker's limit, and what fits the kernel's).
const MOST_LAYERS: usize = 127;
/// No index is for more platforms, attestations included.
const MOST_PLATFORMS: usize = 1000;
/// No configuration is larger: it is read as a whole.
const MOST_CONFIG: u64 = 8 << 20;
/// No layer is larger, and sums of so many stay numbers.
const MOST_LAYER: u64 = 1 << 40;

/// Why nothing can be built on an image.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not what a manifest, an index or a configuration is.
    #[error("its {what} cannot be read: {reason}")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// A kind of thing that registries keep, and that is no image that runs.
    #[error("its {what} is of the type `{media_type}`")]
    Type {
        /// Which part.
        what: &'static str,
        /// The media type.
        media_type: String,
    },
    /// Layers that registries do not give.
    #[error("a layer of it is of the type `{0}`, which is not to be had from its registry")]
    Foreign(String),
    /// An index in an index, or one where an image should be.
    #[error("what is said to be its manifest for one platform is an index")]
    Nested,
    /// A size that no image has.
    #[error("it has {what}, which is more than can be")]
    TooMuch {
        /// Which.
        what: String,
    },
    /// It is for another machine.
    #[error("it is for {found}, and not for {platform}")]
    OtherPlatform {
        /// What it is for.
        found: String,
        /// What it was to be for.
        platform: Platform,
    },
}

impl ManifestError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Type { media_type, .. } if media_type.contains("manifest.v1") => {
                "push it again by a docker of this decade: images of schema 1 are not supported".to_owned()
            }
            Self::Type { .. } => {
                "name an image that runs: helm charts, signatures and the like are none".to_owned()
            }
            Self::Foreign(_) => {
                "name an image without layers that only their vendor hands out, such as those of Windows"
                    .to_owned()
            }
            Self::OtherPlatform { .. } => {
                "name an image for this platform, or list its own in `platforms`".to_owned()
            }
            Self::Malformed { .. } | Self::Nested | Self::TooMuch { .. } => {
                "check what was pushed there; `skopeo inspect` shows it".to_owned()
            }
        })
    }
}

type Result<T> = std::result::Result<T, ManifestError>;

fn malformed(what: &'static str, reason: &dyn std::fmt::Display) -> ManifestError {
    ManifestError::Malformed { what, reason: reason.to_string() }
}

/// The media type, cut to what can be shown.
fn type_of(value: &Value) -> String {
    let text = value.as_str().unwrap_or("none");
    text.escape_debug().to_string().chars().take(100).collect()
}

/// OCI image specification, `descriptor.md`, with the platform of `image-index.md`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: Value,
    digest: String,
    size: u64,
    platform: Option<OnPlatform>,
}

#[derive(Deserialize)]
struct OnPlatform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    variant: Option<String>,
}

impl Descriptor {
    fn digest(&self, what: &'static str) -> Result<Digest> {
        self.digest.parse().map_err(|_| {
            let shown: String = self.digest.escape_debug().to_string().chars().take(100).collect();
            malformed(what, &format!("`{shown}` is no sha256 digest"))
        })
    }
}

/// What an index names for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfPlatform {
    /// The digest of its manifest.
    pub digest: Digest,
    /// Bytes of its manifest.
    pub size: u64,
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl OfPlatform {
    /// Its platform, cut to what can be shown.
    fn shown(&self) -> String {
        let text = format!("{}/{}", self.os, self.architecture);
        text.escape_debug().to_string().chars().take(40).collect()
    }
}

/// The images of several platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    images: Vec<OfPlatform>,
}

impl Index {
    /// Reads an index; `None` where the bytes are a manifest.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let value = object(bytes)?;
        let media_type = &value["mediaType"];
        let named = |known: &[&str]| media_type.as_str().is_some_and(|name| known.contains(&name));
        // The type may be left out (OCI image specification 1.0): what it has says what it is.
        let is_index = named(&[INDEX_TYPE, DOCKER_INDEX_TYPE])
            || (media_type.is_null() && value["manifests"].is_array() && value["layers"].is_null());
        if !is_index {
            return Ok(None);
        }
        let descriptors: Vec<Descriptor> =
            serde_json::from_value(value["manifests"].clone()).map_err(|error| malformed("index", &error))?;
        if descriptors.len() > MOST_PLATFORMS {
            return Err(ManifestError::TooMuch { what: format!("{} platforms", descriptors.len()) });
        }
        let mut images = Vec::new();
        for descriptor in descriptors {
            let Some(platform) = &descriptor.platform else { continue };
            // Attestations of an image are kept beside it so.
            if platform.os == "unknown" {
                continue;
            }
            images.push(OfPlatform {
                digest: descriptor.digest("index")?,
                size: descriptor.size,
                os: platform.os.clone(),
                architecture: platform.architecture.clone(),
                variant: platform.variant.clone(),
            });
        }
        Ok(Some(Self { images }))
    }

    /// The image for `platform`: of several, the one that asks least of the processor.
    pub fn image_for(&self, platform: Platform) -> Option<&OfPlatform> {
        let fits = |image: &&OfPlatform| image.os == "linux" && image.architecture == platform.architecture();
        let rank = |image: &&OfPlatform| match image.variant.as_deref() {
            None | Some("" | "v1" | "v8") => 0,
            Some(_) => 1,
        };
        self.images.iter().filter(fits).min_by_key(rank)
    }

    /// The images that it names, by platform.
    pub fn images(&self) -> impl Iterator<Item = (String, Digest)> {
        self.images.iter().map(|image| (image.shown(), image.digest))
    }

    /// The platforms that there are images for.
    pub fn platforms(&self) -> Vec<String> {
        let mut platforms: Vec<String> = self.images.iter().map(OfPlatform::shown).collect();
        platforms.dedup();
        if platforms.is_empty() {
            platforms.push("none".to_owned());
        }
        platforms
    }
}

/// A layer as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestLayer {
    /// Digest of the bytes.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
    /// How they are compressed.
    pub compression: Compression,
}

/// The manifest of an image for one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Digest and size of the configuration.
    pub config: (Digest, u64),
    /// The layers, the bottom one first.
    pub layers: Vec<ManifestLayer>,
}

impl Manifest {
    /// Reads a manifest of an image that a container can be made of.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let value = object(bytes)?;
        let media_type = &value["mediaType"];
        match media_type.as_str() {
            Some(MANIFEST_TYPE | DOCKER_MANIFEST_TYPE) => {}
            Some(INDEX_TYPE | DOCKER_INDEX_TYPE) => return Err(ManifestError::Nested),
            None if media_type.is_null() && value["schemaVersion"] == 2 => {}
            None if value["schemaVersion"] == 1 => {
                let media_type = "application/vnd.docker.distribution.manifest.v1+json".to_owned();
                return Err(ManifestError::Type { what: "manifest", media_type });
            }
            _ => return Err(ManifestError::Type { what: "manifest", media_type: type_of(media_type) }),
        }
        let field = |name: &str| value.get(name).cloned().unwrap_or_default();
        let config: Descriptor =
            serde_json::from_value(field("config")).map_err(|error| malformed("manifest", &error))?;
        if !matches!(config.media_type.as_str(), Some(CONFIG_TYPE | DOCKER_CONFIG_TYPE)) {
            let media_type = type_of(&config.media_type);
            return Err(ManifestError::Type { what: "configuration", media_type });
        }
        if config.size > MOST_CONFIG {
            return Err(ManifestError::TooMuch { what: format!("a configuration of {} bytes", config.size) });
        }
        // BuildKit writes none as `null`.
        let layers: Option<Vec<Descriptor>> =
            serde_json::from_value(field("layers")).map_err(|error| malformed("manifest", &error))?;
        let layers = layers.unwrap_or_default();
        if layers.is_empty() {
            return Err(malformed("manifest", &"it has no layers"));
        }
        if layers.len() > MOST_LAYERS {
            return Err(ManifestError::TooMuch { what: format!("{} layers", layers.len()) });
        }
        let layers = layers.iter().map(ManifestLayer::of).collect::<Result<Vec<_>>>()?;
        Ok(Self { config: (config.digest("manifest")?, config.size), layers })
    }

    /// Every blob that it names, with its size: the configuration, then the layers.
    pub fn blobs(&self) -> impl Iterator<Item = (Digest, u64)> {
        std::iter::once(self.config).chain(self.layers.iter().map(|layer| (layer.digest, layer.size)))
    }
}

impl ManifestLayer {
    fn of(descriptor: &Descriptor) -> Result<Self> {
        const DOCKER: &str = "application/vnd.docker.image.rootfs.diff.tar";
        let media_type = descriptor.media_type.as_str().unwrap_or_default();
        let ending = LAYER_TYPE.strip_suffix("+gzip").and_then(|plain| media_type.strip_prefix(plain));
        let ending = ending
            .or_else(|| media_type.strip_prefix(DOCKER))
            .map(|ending| ending.trim_start_matches(['+', '.']));
        let compression = match ending {
            Some("") => Compression::None,
            Some("gzip") => Compression::Gzip,
            Some("zstd") => Compression::Zstd,
            _ if media_type.contains("foreign") || media_type.contains("nondistributable") => {
                return Err(ManifestError::Foreign(type_of(&descriptor.media_type)));
            }
            _ => {
                let media_type = type_of(&descriptor.media_type);
                return Err(ManifestError::Type { what: "layer", media_type });
            }
        };
        if descriptor.size > MOST_LAYER {
            return Err(ManifestError::TooMuch { what: format!("a layer of {} bytes", descriptor.size) });
        }
        Ok(Self { digest: descriptor.digest("manifest")?, size: descriptor.size, compression })
    }
}

fn object(bytes: &[u8]) -> Result<Value> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| malformed("manifest", &error))?;
    if value.is_object() { Ok(value) } else { Err(malformed("manifest", &"it is no JSON object")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(text: &str) -> String {
        Digest::of(text.as_bytes()).to_string()
    }

    fn manifest(media_type: &str, config: &str, layers: &[&str]) -> Value {
        let layers: Vec<Value> = layers
            .iter()
            .map(|media_type| json!({ "mediaType": media_type, "digest": digest("l"), "size": 3 }))
            .collect();
        json!({ "schemaVersion": 2, "mediaType": media_type, "layers": layers,
                "config": { "mediaType": config, "digest": digest("c"), "size": 2 } })
    }

    fn parse(value: &Value) -> Result<Manifest> {
        Manifest::parse(value.to_string().as_bytes())
    }

    #[test]
    fn both_kinds_of_manifests_are_read() {
        let oci = [
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.v1.tar+zstd",
            LAYER_TYPE,
        ];
        let read = parse(&manifest(MANIFEST_TYPE, CONFIG_TYPE, &oci)).unwrap();
        let kinds: Vec<Compression> = read.layers.iter().map(|layer| layer.compression).collect();
        assert_eq!(kinds, [Compression::None, Compression::Zstd, Compression::Gzip]);
        let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        let read = parse(&manifest(DOCKER_MANIFEST_TYPE, DOCKER_CONFIG_TYPE, &[docker])).unwrap();
        assert_eq!(read.layers[0].compression, Compression::Gzip);
        assert_eq!(read.blobs().count(), 2);
        let mut untyped = manifest(MANIFEST_TYPE, CONFIG_TYPE, &[LAYER_TYPE]);
        untyped.as_object_mut().unwrap().remove("mediaType");
        assert!(parse(&untyped).is_ok());
    }

    #[test]
    fn what_is_no_image_that_runs_is_named() {
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
        let many = vec![LAYER_TYPE; 128];
        let mut huge = manifest(MANIFEST_TYPE, CONFIG_TYPE, &[LAYER_TYPE]);
        huge["layers"][0]["size"] = json!(1u64 << 41);
        let mut climbing = manifest(MANIFEST_TYPE, CONFIG_TYPE, &[LAYER_TYPE]);
        climbing["layers"][0]["digest"] = json!("sha256:../../../../etc/passwd");
        for (value, expected) in [
            (manifest(MANIFEST_TYPE, CONFIG_TYPE, &[foreign]), "not to be had from its registry"),
            (manifest(MANIFEST_TYPE, CONFIG_TYPE, &[encrypted]), "layer is of the type"),
            (manifest(MANIFEST_TYPE, "application/vnd.cncf.helm.config.v1+json", &[LAYER_TYPE]), "helm"),
            (manifest(INDEX_TYPE, CONFIG_TYPE, &[LAYER_TYPE]), "is an index"),
            (manifest(MANIFEST_TYPE, CONFIG_TYPE, &[]), "no layers"),
            (manifest(MANIFEST_TYPE, CONFIG_TYPE, &many), "128 layers"),
            (json!({ "schemaVersion": 1, "fsLayers": [] }), "manifest.v1"),
            (json!([1]), "no JSON object"),
            (json!({ "schemaVersion": 2 }), "cannot be read"),
            (huge, "more than can be"),
            (climbing, "no sha256 digest"),
        ] {
            let error = parse(&value).unwrap_err();
            assert!(error.to_string().contains(expected) && error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn the_plainest_image_for_a_platform_is_taken() {
        let entry = |name: &str, os: &str, architecture: &str, variant: Option<&str>| {
            let platform = json!({ "os": os, "architecture": architecture, "variant": variant });
            json!({ "mediaType": MANIFEST_TYPE, "digest": digest(name), "size": 3, "platform": platform })
        };
        let index = json!({ "schemaVersion": 2, "manifests": [
            entry("v3", "linux", "amd64", Some("v3")),
            entry("plain", "linux", "amd64", None),
            entry("windows", "windows", "amd64", None),
            entry("arm", "linux", "arm64", Some("v8")),
            entry("attestation", "unknown", "unknown", None),
        ] });
        let index = Index::parse(index.to_string().as_bytes()).unwrap().unwrap();
        assert_eq!(index.image_for(Platform::LinuxAmd64).unwrap().digest, Digest::of(b"plain"));
        assert_eq!(index.image_for(Platform::LinuxArm64).unwrap().digest, Digest::of(b"arm"));
        assert_eq!(index.platforms(), ["linux/amd64", "windows/amd64", "linux/arm64"]);
        let manifest = manifest(MANIFEST_TYPE, CONFIG_TYPE, &[LAYER_TYPE]);
        assert_eq!(Index::parse(manifest.to_string().as_bytes()).unwrap(), None);
    }
}
