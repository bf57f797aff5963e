//! Keys, provenance, signatures, and `image verify`, with openssl, securesystemslib, in-toto's own reader, skopeo and a real
//! registry as peers.

mod bundle;
mod hostile;
mod keys;
mod peers;
mod refusals;
mod registry;
mod statement;

use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server;
use serde_json::Value;

use crate::support::{Done, Workspace, definition, serve};

/// A workspace with an image of one wheel.
struct Setup {
    workspace: Workspace,
    /// Answers until the end.
    _server: Server,
    image: String,
}

impl Setup {
    fn new() -> Option<Self> {
        let workspace = Workspace::new()?;
        let index = Index::new().add(Wheel::new("tea", "1.0").file("tea.py", "HOT = True\n"));
        let server = serve(&index);
        workspace.write("environment.yaml", &definition(&server, "tea", &["tea"]));
        let built = workspace.json(["build", "environment.yaml"]);
        Some(Self { image: built["image"].as_str().unwrap().to_owned(), workspace, _server: server })
    }

    /// The same with a key `release`, its provenance signed.
    fn signed() -> Option<Self> {
        let setup = Self::new()?;
        setup.workspace.json(["key", "new", "release"]);
        setup.workspace.json(["image", "sign", "environment.yaml", "--key", "release"]);
        Some(setup)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.workspace.path().join(name)
    }

    /// The image with its proofs in a layout.
    fn layout(&self, name: &str) -> Layout {
        self.workspace.json(["build", "environment.yaml", "--to", &format!("oci:{name}:1")]);
        Layout(self.path(name))
    }

    /// Checks an image and gives exit code and result.
    #[track_caller]
    fn verify(&self, arguments: &[&str]) -> (i32, Value) {
        verify(&self.workspace, arguments)
    }
}

#[track_caller]
fn verify(workspace: &Workspace, arguments: &[&str]) -> (i32, Value) {
    let done: Done =
        workspace.command().args(["-o", "json", "image", "verify"]).args(arguments).output().unwrap().into();
    assert!(done.code < 2, "{}{}", done.stdout, done.stderr);
    let json = done.json();
    assert_eq!(json["verified"], done.code == 0);
    (done.code, json)
}

/// The checks that came out so.
fn checks(verified: &Value, outcome: &str) -> Vec<String> {
    let all = verified["checks"].as_array().unwrap().iter();
    let these = all.filter(|check| check["outcome"] == outcome);
    these.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
}

/// An OCI layout that a test looks into and tampers with.
struct Layout(PathBuf);

impl Layout {
    fn index(&self) -> Value {
        serde_json::from_slice(&fs_err::read(self.0.join("index.json")).unwrap()).unwrap()
    }

    fn set_index(&self, index: &Value) {
        fs_err::write(self.0.join("index.json"), index.to_string()).unwrap();
    }

    fn blob(&self, digest: &Value) -> PathBuf {
        self.0.join("blobs/sha256").join(digest.as_str().unwrap().strip_prefix("sha256:").unwrap())
    }

    fn json(&self, digest: &Value) -> Value {
        serde_json::from_slice(&fs_err::read(self.blob(digest)).unwrap()).unwrap()
    }

    /// Writes a blob and gives its descriptor.
    fn put(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = provenv_definition::Digest::of(bytes);
        fs_err::write(self.0.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        serde_json::json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
    }

    /// The manifest of the referrer of this kind.
    fn referrer(&self, artifact_type: &str) -> Value {
        let index = self.index();
        let entries = index["manifests"].as_array().unwrap();
        let entry =
            entries.iter().find(|entry| entry["artifactType"] == artifact_type).expect("it is attached");
        self.json(&entry["digest"])
    }

    /// The signed envelope.
    fn envelope(&self) -> Value {
        self.json(&self.referrer(IN_TOTO)["layers"][0]["digest"])
    }

    /// Replaces the file of the referrer of this kind whose media type is this, in a way that all digests fit.
    fn replace(&self, artifact_type: &str, media_type: &str, bytes: &[u8]) {
        let mut index = self.index();
        let entries = index["manifests"].as_array_mut().unwrap();
        let entry = entries.iter_mut().find(|entry| entry["artifactType"] == artifact_type).unwrap();
        let mut manifest = self.json(&entry["digest"]);
        let layers = manifest["layers"].as_array_mut().unwrap();
        let layer = layers.iter_mut().find(|layer| layer["mediaType"] == media_type).unwrap();
        *layer = self.put(media_type, bytes);
        let put = self.put("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
        entry["digest"] = put["digest"].clone();
        entry["size"] = put["size"].clone();
        self.set_index(&index);
    }
}

const IN_TOTO: &str = "application/vnd.in-toto+json";
const DSSE: &str = "application/vnd.dsse.envelope.v1+json";
const RECORD: &str = "application/vnd.provenv.record.v1+json";
const LOCK: &str = "application/vnd.provenv.lock.v1+json";

/// The payload of an envelope.
fn payload(envelope: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap()
}

/// What an envelope's signatures are of, written down from the specification once more.
fn signed_bytes(envelope: &Value) -> Vec<u8> {
    let kind = envelope["payloadType"].as_str().unwrap();
    let payload = payload(envelope);
    let mut bytes = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    bytes.extend(payload);
    bytes
}

/// Runs a program to its end.
fn program(setup: &Workspace, name: &str, arguments: &[&str]) -> Done {
    Command::new(name).args(arguments).current_dir(setup.path()).output().unwrap().into()
}
