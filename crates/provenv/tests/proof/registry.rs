//! Proofs in a registry that lists no referrers (distribution 2.8), and skopeo's policy.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{IN_TOTO, RECORD, Setup, checks, program, verify};
use crate::support::{Done, Workspace, eventually, have};

/// Debian's docker-registry.
struct Registry {
    child: Child,
    port: u16,
}

impl Registry {
    fn start(folder: &Path) -> Option<Self> {
        if !have("docker-registry") {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: \
             {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            folder.join("registry").display()
        );
        fs_err::write(folder.join("registry.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", "registry.yml"])
            .current_dir(folder)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the registry answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { child, port })
    }

    fn name(&self) -> String {
        format!("127.0.0.1:{}/team/tea", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `provenv registry serve`, which lists referrers.
struct Own {
    child: Child,
    address: String,
}

impl Own {
    fn start(workspace: &Workspace) -> Self {
        let child = workspace
            .command()
            .args(["-o", "json", "registry", "serve", "--listen", "127.0.0.1:0", "--anonymous-push"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut own = Self { child, address: String::new() };
        let mut said = String::new();
        for line in BufReader::new(own.child.stdout.take().unwrap()).lines() {
            said += &line.unwrap();
            if let Ok(served) = serde_json::from_str::<Value>(&said) {
                served["address"].as_str().unwrap().clone_into(&mut own.address);
                return own;
            }
        }
        panic!("the server ended: {said}");
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_workspace_that_is_served_shows_the_proofs_of_its_own_images_and_takes_those_of_others() {
    let Some(setup) = Setup::signed() else { return };
    setup.workspace.json(["env", "register", "environment.yaml"]);
    let own = Own::start(&setup.workspace);
    let elsewhere = Workspace::empty();
    let key = setup.workspace.root().join("keys/release.pub");
    let check = |image: &str| {
        let (code, verified) = verify(&elsewhere, &[image, "--key", key.to_str().unwrap()]);
        assert_eq!((code, &verified["image"]), (0, &json!(setup.image)), "{image}: {verified}");
    };
    // Nobody pushed anything.
    check(&format!("{}/tea:1", own.address));
    setup.workspace.json(["image", "push", "tea:1", &format!("{}/team/tea:1", own.address)]);
    check(&format!("{}/team/tea:1", own.address));
    if have("skopeo") {
        // It lists them itself: no index stands under a tag.
        let list = ["list-tags", "--tls-verify=false", &format!("docker://{}/team/tea", own.address)];
        let tags = program(&elsewhere, "skopeo", &list).ok().json();
        assert_eq!(tags["Tags"], json!(["1", format!("{}.att", setup.image.replace(':', "-"))]));
    }
}

/// What skopeo finds under a tag.
fn raw(setup: &Setup, reference: &str) -> Value {
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["inspect", "--tls-verify=false", "--raw", &format!("docker://{reference}")]);
    Done::from(skopeo.current_dir(setup.workspace.path()).output().unwrap()).ok().json()
}

#[test]
fn proofs_go_along_and_are_found_where_nothing_else_is_known() {
    let Some(setup) = Setup::signed() else { return };
    let Some(registry) = Registry::start(setup.workspace.path()) else { return };
    let name = registry.name();
    let pushed = setup.workspace.json(["image", "push", "environment.yaml", &format!("{name}:1")]);
    assert_eq!(pushed["reference"], format!("{name}@{}", setup.image));
    assert_eq!(pushed["proofs"].as_array().unwrap().len(), 2);

    let elsewhere = Workspace::empty();
    let key = setup.workspace.root().join("keys/release.pub");
    let key = key.to_str().unwrap();
    for image in [format!("{name}:1"), format!("docker://{name}@{}", setup.image)] {
        let (code, verified) = verify(&elsewhere, &[&image, "--key", key]);
        assert_eq!((code, &verified["image"]), (0, &json!(setup.image)), "{verified}");
        assert_eq!(checks(&verified, "passed"), ["signature", "subject", "lock", "artifacts"]);
    }
    let done = elsewhere.run(["image", "verify", &format!("{name}:2"), "--key", key]);
    assert!(done.code == 2 && done.stderr.contains("no image"), "{}", done.stderr);

    if !have("skopeo") {
        return;
    }
    let index = raw(&setup, &format!("{name}:{}", setup.image.replace(':', "-")));
    let kinds: Vec<&Value> =
        index["manifests"].as_array().unwrap().iter().map(|entry| &entry["artifactType"]).collect();
    assert_eq!(kinds, [RECORD, IN_TOTO, "application/spdx+json", "application/vnd.cyclonedx+json"]);
    let tag = format!("{name}:{}.att", setup.image.replace(':', "-"));
    let attestations = raw(&setup, &tag);
    assert_eq!(attestations["layers"].as_array().unwrap().len(), 1);
    assert_eq!(attestations["layers"][0]["annotations"]["predicateType"], "https://slsa.dev/provenance/v1");

    // Another's signature joins it; the first stays, and nothing is there twice.
    setup.workspace.json(["key", "new", "other", "--type", "ecdsa-p256"]);
    setup.workspace.json(["image", "sign", "environment.yaml", "--key", "other"]);
    for _ in 0..2 {
        setup.workspace.json(["build", "environment.yaml", "--to", &format!("{name}:1")]);
        assert_eq!(raw(&setup, &tag)["layers"].as_array().unwrap().len(), 2);
        let index = raw(&setup, &format!("{name}:{}", setup.image.replace(':', "-")));
        assert_eq!(index["manifests"].as_array().unwrap().len(), 5);
    }
    for key in ["release", "other"] {
        assert_eq!(setup.verify(&[&format!("{name}:1"), "--key", key]).0, 0);
    }
}

#[test]
fn many_who_sign_and_push_at_once_lose_nothing() {
    let Some(setup) = Setup::new() else { return };
    let Some(registry) = Registry::start(setup.workspace.path()) else { return };
    let reference = format!("{}:1", registry.name());
    let names = ["one", "two", "three"];
    for name in names {
        setup.workspace.json(["key", "new", name]);
    }
    std::thread::scope(|scope| {
        for name in names {
            let (setup, reference) = (&setup, &reference);
            scope.spawn(move || {
                setup.workspace.json(["build", "environment.yaml", "--sign", name, "--to", reference]);
            });
        }
    });
    let elsewhere = Workspace::empty();
    for name in names {
        let key = setup.workspace.root().join(format!("keys/{name}.pub"));
        let (code, verified) = verify(&elsewhere, &[&reference, "--key", key.to_str().unwrap()]);
        assert_eq!(code, 0, "{name}: {verified}");
    }
    if have("skopeo") {
        let tag = format!("{}:{}.att", registry.name(), setup.image.replace(':', "-"));
        assert_eq!(raw(&setup, &tag)["layers"].as_array().unwrap().len(), names.len());
    }
}

/// Debian's skopeo and podman cannot check it ("Debian-local change: sigstore disabled"): openssl does, over the bytes that
/// cosign's specification says.
#[test]
fn what_is_signed_as_cosign_signs_it_is_where_cosign_looks_for_it() {
    if !have("skopeo") || !have("openssl") {
        return;
    }
    let Some(setup) = Setup::new() else { return };
    let Some(registry) = Registry::start(setup.workspace.path()) else { return };
    let name = registry.name();
    let workspace = &setup.workspace;
    workspace.json(["key", "new", "release", "--to", ".", "--type", "ecdsa-p256"]);
    let sign = |identity: &str| {
        workspace.run([
            "-o",
            "json",
            "image",
            "sign",
            "environment.yaml",
            "--key",
            "release.key",
            "--as",
            identity,
        ])
    };
    let refused = sign(&format!("{name}:1"));
    assert!(refused.code == 2 && refused.stderr.contains("--as"), "{}", refused.stderr);
    assert_eq!(sign(&name).ok().json()["identity"], name);
    workspace.json(["image", "push", "environment.yaml", &format!("{name}:1")]);
    let signatures = raw(&setup, &format!("{name}:{}.sig", setup.image.replace(':', "-")));
    let layer = &signatures["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
    fs_err::write(setup.path("signature"), BASE64_STANDARD.decode(signature).unwrap()).unwrap();
    let digest = layer["digest"].as_str().unwrap();
    let blob = format!("registry/docker/registry/v2/blobs/sha256/{}/{}/data", &digest[7..9], &digest[7..]);
    let payload: Value = serde_json::from_slice(&fs_err::read(setup.path(&blob)).unwrap()).unwrap();
    let expected = json!({
        "critical": {
            "identity": { "docker-reference": name },
            "image": { "docker-manifest-digest": setup.image },
            "type": "cosign container image signature",
        },
        "optional": null,
    });
    assert_eq!(payload, expected);
    let arguments = ["dgst", "-sha256", "-verify", "release.pub", "-signature", "signature", &blob];
    program(workspace, "openssl", &arguments).ok();
}
