//! What `docker load` reads (Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format").
//!
//! Its layers are tars. What reads it looks for gzip too, so gzip layers stay as they are; zstd, which docker before 23 does not
//! know, is unpacked. The configuration, and with it what docker calls the image's ID, is the same either way.

use std::collections::BTreeSet;

use serde_json::json;

use super::archive::{Content, Member};
use crate::layer::{Compression, Layer};
use crate::oci::Image;

/// The members of a Docker archive.
pub(super) fn archive(image: &Image, reference: Option<&str>) -> Vec<Member> {
    let config = format!("{}.json", image.config.hex());
    let name = |layer: &Layer| match layer.compression {
        Compression::Zstd => format!("{}.tar", layer.diff_id.hex()),
        Compression::Gzip | Compression::None => format!("{}.tar.gz", layer.digest.hex()),
    };
    let layers: Vec<String> = image.layers.iter().map(name).collect();
    let manifest = json!([{ "Config": config, "RepoTags": reference.into_iter().collect::<Vec<_>>(), "Layers": layers }]);
    let mut members = vec![
        Member { name: "manifest.json".to_owned(), content: Content::Bytes(manifest.to_string().into()) },
        Member { name: config, content: Content::Blob(image.config, image.config_size) },
    ];
    let mut named = BTreeSet::new();
    for layer in &image.layers {
        let content = match layer.compression {
            Compression::Zstd => Content::Unpacked(layer.clone()),
            Compression::Gzip | Compression::None => Content::Blob(layer.digest, layer.size),
        };
        if named.insert(name(layer)) {
            members.push(Member { name: name(layer), content });
        }
    }
    members
}
