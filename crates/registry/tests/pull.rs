//! Pulls: from a server that may be told to misbehave, and what is refused of what it says.

use std::collections::BTreeMap;
use std::path::PathBuf;

use provenv_definition::{Digest, Platform};
use provenv_fetch::Silent;
use provenv_image::base_image::{DOCKER_INDEX_TYPE, DOCKER_MANIFEST_TYPE, INDEX_TYPE};
use provenv_image::oci::{CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE};
use provenv_registry::{Error, Keychain, PullOptions, Reference, look_up, pull};
use provenv_store::Store;
use provenv_testing::server::{Fault, FileTree, Server};
use serde_json::{Value, json};

const AMD64: Platform = Platform::LinuxAmd64;

/// A registry with nothing in it, and a store.
struct World {
    server: Server,
    folder: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        Self { server: Server::start(FileTree::new()), folder, store }
    }

    fn host(&self) -> String {
        self.server.address().to_string()
    }

    fn reference(&self, name: &str) -> Reference {
        Reference::to_pull(&format!("{}/{name}", self.host())).unwrap()
    }

    fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.server.put(&format!("/v2/team/x/blobs/{digest}"), bytes.to_vec());
        digest
    }

    fn manifest(&self, tag: &str, manifest: &Value) -> Digest {
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        for name in [tag, &digest.to_string()] {
            self.server.put(&format!("/v2/team/x/manifests/{name}"), bytes.clone());
        }
        digest
    }

    /// An image with these layers, as `tag`; its manifest.
    fn image(&self, tag: &str, media_type: &str, layers: &[&[u8]]) -> Value {
        let config = b"{}";
        let layers: Vec<Value> = layers
            .iter()
            .map(|bytes| json!({ "mediaType": LAYER_TYPE, "digest": self.blob(bytes), "size": bytes.len() }))
            .collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": media_type, "layers": layers,
            "config": { "mediaType": CONFIG_TYPE, "digest": self.blob(config), "size": config.len() } });
        self.manifest(tag, &manifest);
        manifest
    }

    async fn pull(&self, name: &str, options: &PullOptions) -> Result<Digest, Error> {
        let reference = self.reference(name);
        let named = look_up(&self.store, &reference, AMD64, options).await?;
        pull(&self.store, &reference, &named.manifest, options, &Silent).await?;
        Ok(named.manifest)
    }

    fn auth_file(&self) -> PathBuf {
        let path = self.folder.path().join("auth.json");
        let text =
            format!(r#"{{"auths": {{"{}": {{"username": "me", "password": "hunter2"}}}}}}"#, self.host());
        fs_err::write(&path, text).unwrap();
        path
    }
}

fn options() -> PullOptions {
    PullOptions {
        keychain: Keychain::of_files(vec![]),
        insecure: vec![],
        mirrors: BTreeMap::new(),
        certificates: None,
    }
}

#[tokio::test]
async fn both_kinds_of_images_and_of_indexes_are_pulled_once() {
    let world = World::new();
    for (tag, manifest_type, index_type) in
        [("oci", MANIFEST_TYPE, INDEX_TYPE), ("docker", DOCKER_MANIFEST_TYPE, DOCKER_INDEX_TYPE)]
    {
        let image = world.image("of-one", manifest_type, &[b"lower", tag.as_bytes()]);
        let one = Digest::of(image.to_string().as_bytes());
        let entry = |digest: &Digest, size: usize, architecture: &str| {
            let platform = json!({ "os": "linux", "architecture": architecture });
            json!({ "mediaType": manifest_type, "digest": digest, "size": size, "platform": platform })
        };
        let other = entry(&Digest::of(b"other"), 5, "arm64");
        let entries = [other, entry(&one, image.to_string().len(), "amd64")];
        let index = json!({ "schemaVersion": 2, "mediaType": index_type, "manifests": entries });
        let digest = world.manifest(tag, &index);

        let reference = world.reference(&format!("team/x:{tag}"));
        let named = look_up(&world.store, &reference, AMD64, &options()).await.unwrap();
        assert_eq!((named.index, named.manifest), (Some(digest), one));
        assert_eq!(world.pull(&format!("team/x:{tag}"), &options()).await.unwrap(), one);
        assert!(world.store.contains(&Digest::of(tag.as_bytes())));
        // By digest of the index, and of the image.
        for digest in [digest, one] {
            assert_eq!(world.pull(&format!("team/x@{digest}"), &options()).await.unwrap(), one);
        }
    }
    let lower = format!("/v2/team/x/blobs/{}", Digest::of(b"lower"));
    assert_eq!(world.server.hits(&lower), 1, "what is there is not fetched again");
    // With all of it there, nobody is asked.
    let before = world.server.total_hits();
    let reference = world.reference("team/x:oci");
    let image = Digest::of(world.image("again", MANIFEST_TYPE, &[b"lower", b"oci"]).to_string().as_bytes());
    pull(&world.store, &reference, &image, &options(), &Silent).await.unwrap();
    assert_eq!(world.server.total_hits(), before);

    let arm = look_up(&world.store, &reference, Platform::LinuxArm64, &options()).await.unwrap_err();
    assert!(matches!(arm, Error::Missing { .. }), "the index names what is not there: {arm}");
    let only = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [] });
    world.manifest("none", &only);
    let error = world.pull("team/x:none", &options()).await.unwrap_err();
    assert!(
        matches!(error, Error::NoPlatform { .. }) && error.to_string().contains("linux/amd64"),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_goes_on_where_it_was() {
    let world = World::new();
    let layer: Vec<u8> = (0..6_000_000u32).map(|n| (n * 7 + n / 251).to_le_bytes()[0]).collect();
    world.image("1", MANIFEST_TYPE, &[&layer]);
    let path = format!("/v2/team/x/blobs/{}", Digest::of(&layer));
    world.server.fault(&path, Fault::DropAfter(2_500_000));
    world.server.fault(&path, Fault::Status(503));
    world.server.fault(&path, Fault::DropAfter(1_500_000));
    world.pull("team/x:1", &options()).await.unwrap();
    assert_eq!(world.store.read(&Digest::of(&layer)).unwrap(), layer);
    let ranges: Vec<bool> = world
        .server
        .requests()
        .iter()
        .filter(|request| request.path == path)
        .map(|request| request.header("range").is_some())
        .collect();
    assert_eq!(ranges, [false, true, true, true], "it began anew");

    // A server without ranges sends all of it again.
    let other: Vec<u8> = layer.iter().rev().copied().collect();
    world.image("2", MANIFEST_TYPE, &[&other]);
    world.server.ranges(false);
    world.server.fault(&format!("/v2/team/x/blobs/{}", Digest::of(&other)), Fault::DropAfter(3_000_000));
    world.pull("team/x:2", &options()).await.unwrap();
    assert_eq!(world.store.read(&Digest::of(&other)).unwrap(), other);
}

#[tokio::test]
async fn lies_are_found_and_leave_nothing() {
    let world = World::new();
    let layer = b"the layer".as_slice();
    let digest = Digest::of(layer);
    let path = format!("/v2/team/x/blobs/{digest}");
    world.image("1", MANIFEST_TYPE, &[layer]);
    for (fault, said) in [
        (Fault::Replace(b"the layeR".to_vec()), "it is sha256:"),
        (Fault::Replace(b"the layer and more".to_vec()), "longer than the 9 bytes"),
        (Fault::ReplaceChunked(vec![b'x'; 5_000_000]), "longer than the 9 bytes"),
        (Fault::Truncate(4), "of 9 bytes"),
        (Fault::Status(404), "there is no layer"),
    ] {
        world.server.clear_faults();
        world.server.fault_always(&path, fault.clone());
        let error = world.pull("team/x:1", &options()).await.unwrap_err();
        assert!(error.to_string().contains(said) && error.hint().is_some(), "{fault:?}: {error}");
        assert!(!world.store.contains(&digest), "{fault:?}");
    }
    world.server.clear_faults();
    world.pull("team/x:1", &options()).await.unwrap();

    // A manifest that is not the one of its name.
    let other = world.image("2", MANIFEST_TYPE, &[b"another"]);
    let name = Digest::of(other.to_string().as_bytes());
    let manifest = format!("/v2/team/x/manifests/{name}");
    world.server.fault_always(&manifest, Fault::Replace(b"{}".to_vec()));
    let error = world.pull(&format!("team/x@{name}"), &options()).await.unwrap_err();
    assert!(matches!(error, Error::Untrue { .. }), "{error}");
    // One that never ends.
    world.server.fault_always("/v2/team/x/manifests/2", Fault::ReplaceChunked(vec![b' '; 5 << 20]));
    let error = world.pull("team/x:2", &options()).await.unwrap_err();
    assert!(error.to_string().contains("longer than 4194304 bytes"), "{error}");
    // A size in an index that is not the manifest's.
    let entry = json!({ "digest": Digest::of(world.image("3", MANIFEST_TYPE, &[layer]).to_string().as_bytes()),
        "size": 7, "platform": { "os": "linux", "architecture": "amd64" } });
    world.manifest("lie", &json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry] }));
    let error = world.pull("team/x:lie", &options()).await.unwrap_err();
    assert!(error.to_string().contains("its index says 7 bytes"), "{error}");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_no_image_is_named() {
    let world = World::new();
    let error = world.pull("team/x:none", &options()).await.unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
    assert!(error.to_string().contains(&format!("{}/team/x:none", world.host())), "{error}");
    for (tag, manifest, said) in [
        ("old", json!({ "schemaVersion": 1, "fsLayers": [] }), "manifest.v1"),
        ("list", json!([]), "no JSON object"),
    ] {
        world.manifest(tag, &manifest);
        let error = world.pull(&format!("team/x:{tag}"), &options()).await.unwrap_err();
        let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(why.contains(said) && error.hint().is_some(), "{error}: {why}");
    }
    let gone = Reference::to_pull("127.0.0.1:1/x:1").unwrap();
    let error = look_up(&world.store, &gone, AMD64, &options()).await.unwrap_err();
    assert!(matches!(error, Error::Connection { .. }), "{error}");
}

#[tokio::test]
async fn who_may_pull_is_let_in_by_password_or_token() {
    let world = World::new();
    world.image("1", MANIFEST_TYPE, &[b"secret layer"]);
    world.server.require_auth("me", "hunter2");
    let error = world.pull("team/x:1", &options()).await.unwrap_err();
    assert!(matches!(error, Error::Denied { authenticated: false, .. }), "{error}");
    assert!(error.hint().unwrap().contains("login"), "{error}");
    let known = PullOptions { keychain: Keychain::of_files(vec![world.auth_file()]), ..options() };
    world.pull("team/x:1", &known).await.unwrap();

    let world = World::new();
    world.image("1", MANIFEST_TYPE, &[b"secret layer"]);
    world.server.require_tokens(60);
    let known = PullOptions { keychain: Keychain::of_files(vec![world.auth_file()]), ..options() };
    world.pull("team/x:1", &known).await.unwrap();
    let requests = world.server.requests();
    let asked = requests.iter().find(|request| request.path == "/token").unwrap();
    assert_eq!(asked.query.as_deref(), Some("service=test&scope=repository%3Ateam%2Fx%3Apull"));
    assert!(asked.header("authorization").unwrap().starts_with("Basic "));
    assert_eq!(world.server.hits("/token"), 2, "one for the look-up, one for all blobs");
    // Anybody may have a token for what is public.
    let other = Store::open(world.folder.path().join("other")).unwrap();
    look_up(&other, &world.reference("team/x:1"), AMD64, &options()).await.unwrap();
}

#[tokio::test]
async fn mirrors_are_asked_first_and_the_registry_last() {
    let (registry, mirror) = (World::new(), World::new());
    registry.image("1", MANIFEST_TYPE, &[b"layer"]);
    let at_mirror = |name: &str| format!("/v2/copies/team/x/{name}");
    let mirrors = BTreeMap::from([(registry.host(), vec![format!("{}/copies", mirror.host())])]);
    let options = PullOptions { mirrors, ..options() };
    // A mirror without it is passed over.
    registry.pull("team/x:1", &options).await.unwrap();
    assert_eq!(mirror.server.hits(&at_mirror("manifests/1")), 1);

    let image = registry.image("2", MANIFEST_TYPE, &[b"other layer"]).to_string();
    let digest = Digest::of(image.as_bytes());
    for name in ["2".to_owned(), digest.to_string()] {
        mirror.server.put(&at_mirror(&format!("manifests/{name}")), image.clone());
    }
    for bytes in [b"{}".as_slice(), b"other layer"] {
        mirror.server.put(&at_mirror(&format!("blobs/{}", Digest::of(bytes))), bytes.to_vec());
    }
    let before = registry.server.total_hits();
    assert_eq!(registry.pull("team/x:2", &options).await.unwrap(), digest);
    assert_eq!(registry.server.total_hits(), before, "the mirror has all of it");
}
