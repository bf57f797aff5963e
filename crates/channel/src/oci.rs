//! A channel as an OCI registry has it, by the layout of conda-oci: a package is an artifact whose repository is its subdir and
//! name and whose tag is its version and build; the index is the artifact `repodata.json:latest` of each subdir.

use std::collections::BTreeMap;

use provenv_testing::server::FileTree;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.unknown.config.v1+json";

/// Manifests by repository and tag: the type and bytes of each layer.
type Artifacts<'a> = BTreeMap<(String, String), Vec<(&'static str, &'a [u8])>>;

/// Adds the pages of a registry that has the files of a channel below `name`.
pub(crate) fn serve(mut tree: FileTree, name: &str, files: &BTreeMap<String, Vec<u8>>) -> FileTree {
    let mut artifacts = Artifacts::new();
    for (path, bytes) in files {
        let (repository, tag, kind) = place(path);
        artifacts.entry((format!("{name}/{repository}"), tag)).or_default().push((kind, bytes));
    }
    tree.insert("/v2/", "application/json", "{}");
    for ((repository, tag), layers) in artifacts {
        let mut blob = |kind: &str, bytes: &[u8]| -> Value {
            let digest = digest(bytes);
            let path = format!("/v2/{repository}/blobs/{digest}");
            tree.insert(&path, "application/octet-stream", bytes.to_vec());
            json!({ "mediaType": kind, "digest": digest, "size": bytes.len() })
        };
        let config = blob(CONFIG, b"{}");
        let layers: Vec<Value> = layers.into_iter().map(|(kind, bytes)| blob(kind, bytes)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
        })
        .to_string();
        for reference in [tag, digest(manifest.as_bytes())] {
            tree.insert(&format!("/v2/{repository}/manifests/{reference}"), MANIFEST, manifest.clone());
        }
    }
    tree
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// The repository below the channel, the tag and the media type of a file of the channel.
fn place(path: &str) -> (String, String, &'static str) {
    let (subdir, file) = path.split_once('/').expect("files of a channel are in a subdir");
    let index = |kind: &'static str| (format!("{subdir}/repodata.json"), "latest".to_owned(), kind);
    match file {
        "repodata.json" => return index("application/vnd.conda.repodata.v1+json"),
        "repodata.json.zst" => return index("application/vnd.conda.repodata.v1+json+zst"),
        "repodata_shards.msgpack.zst" => {
            return index("application/vnd.conda.repodata.shards.v1+msgpack+zst");
        }
        _ => {}
    }
    if let Some(shard) = file.strip_prefix("shards/").and_then(|shard| shard.strip_suffix(".msgpack.zst")) {
        let kind = "application/vnd.conda.repodata.shard.v1+msgpack+zst";
        return (format!("{subdir}/repodata.json/shards"), shard.to_owned(), kind);
    }
    let (stem, kind) = match file.strip_suffix(crate::package::OLD_FORMAT) {
        Some(stem) => (stem, "application/vnd.conda.package.v1"),
        None => (file.trim_end_matches(".conda"), "application/vnd.conda.package.v2"),
    };
    let mut parts = stem.rsplitn(3, '-');
    let (build, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let name = parts.next().expect("a package's file is name-version-build");
    // What the names and tags of registries cannot hold.
    let name = if name.starts_with('_') { format!("zzz{name}") } else { name.to_owned() };
    let tag = format!("{version}-{build}").replace('+', "__p__").replace('!', "__e__").replace('=', "__eq__");
    (format!("{subdir}/{name}"), tag, kind)
}
