//! What `docker load` reads (Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format").

use serde_json::json;

use super::archive::{Content, Member};
use crate::oci::Image;

/// The members of a Docker archive. The layers stay compressed: docker, podman and skopeo unpack what they find.
pub(super) fn archive(image: &Image, reference: Option<&str>) -> Vec<Member> {
    let config = format!("{}.json", image.config.hex());
    let layer = |hex: String| format!("{hex}.tar.gz");
    let layers: Vec<String> = image.layers.iter().map(|one| layer(one.digest.hex())).collect();
    let manifest = json!([{ "Config": config, "RepoTags": reference.into_iter().collect::<Vec<_>>(), "Layers": layers }]);
    let mut members = vec![
        Member { name: "manifest.json".to_owned(), content: Content::Bytes(manifest.to_string().into()) },
        Member { name: config, content: Content::Blob(image.config, image.config_size) },
    ];
    for (digest, size) in image.blobs().into_iter().skip(2) {
        members.push(Member { name: layer(digest.hex()), content: Content::Blob(digest, size) });
    }
    members
}
