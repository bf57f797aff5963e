//! What a workspace knows of an image, as a file that goes with it: in bundles, and in the registry of a team.

use std::collections::BTreeMap;

use provenv_definition::Digest;
use provenv_image::form::Form;
use provenv_image::oci::Image;
use serde::{Deserialize, Serialize};

use crate::proof::ImageManifest;

/// The media type of the file.
pub(crate) const IMAGE_TYPE: &str = "application/vnd.provenv.image.v1+json";

/// An image as the catalogue has it.
#[derive(Serialize, Deserialize)]
pub(crate) struct ImageFile {
    /// What it is like.
    #[serde(flatten)]
    pub form: Form,
    pub image: Image,
}

/// The form that an image says it has.
pub(crate) fn form(manifest: &[u8], config: &[u8]) -> Form {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Manifest {
        annotations: Option<BTreeMap<String, String>>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Config {
        config: Runtime,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Runtime {
        labels: Option<BTreeMap<String, String>>,
    }
    let manifest: Manifest = serde_json::from_slice(manifest).unwrap_or_default();
    let config: Config = serde_json::from_slice(config).unwrap_or_default();
    Form::stated(&manifest.annotations.unwrap_or_default(), &config.config.labels.unwrap_or_default())
}

/// Whether the manifest and the configuration, whose digests vouch for all else, say what `image` says.
pub(crate) fn check(image: &Image, manifest: &[u8], config: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Config {
        architecture: String,
        os: String,
        rootfs: RootFs,
    }
    #[derive(Deserialize)]
    struct RootFs {
        diff_ids: Vec<Digest>,
    }
    let stated: ImageManifest = serde_json::from_slice(manifest).map_err(|error| error.to_string())?;
    let read: Config = serde_json::from_slice(config).map_err(|error| error.to_string())?;
    let layers = image.layers.iter().map(|layer| (layer.digest, layer.size));
    let same = (Digest::of(manifest), manifest.len() as u64) == (image.manifest, image.manifest_size)
        && (Digest::of(config), config.len() as u64) == (image.config, image.config_size)
        && (stated.config.digest, stated.config.size) == (image.config, image.config_size)
        && stated.layers.iter().map(|layer| (layer.digest, layer.size)).eq(layers)
        && format!("{}/{}", read.os, read.architecture) == image.platform.as_str()
        && read.rootfs.diff_ids.iter().eq(image.layers.iter().map(|layer| &layer.diff_id));
    if same { Ok(()) } else { Err("an image is not what its manifest says".to_owned()) }
}
