//! What is refused, and by which check.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::support::Workspace;
use crate::{DSSE, IN_TOTO, LOCK, RECORD, Setup, checks, verify};

#[test]
fn signed_provenance_is_believed_here_and_in_a_layout_elsewhere() {
    let Some(setup) = Setup::signed() else { return };
    let passed = ["contents", "signature", "subject", "lock", "artifacts"];
    let (code, verified) = setup.verify(&["environment.yaml"]);
    assert_eq!((code, checks(&verified, "passed")), (0, passed.map(str::to_owned).to_vec()), "{verified}");
    assert_eq!(verified["image"], setup.image);
    setup.layout("image");
    let pem = setup.workspace.root().join("keys/release.pub");
    let elsewhere = Workspace::empty();
    let layout = format!("oci:{}:1", setup.path("image").display());
    let (code, verified) = verify(&elsewhere, &[&layout, "--key", pem.to_str().unwrap()]);
    assert_eq!((code, checks(&verified, "passed")), (0, passed.map(str::to_owned).to_vec()), "{verified}");
    // Without a key there is nothing to say.
    let done = elsewhere.run(["image", "verify", &layout]);
    assert!(done.code == 2 && done.stderr.contains("no public key"), "{}", done.stderr);
}

#[test]
fn what_nobody_or_another_signed_is_refused() {
    let Some(setup) = Setup::new() else { return };
    setup.workspace.json(["key", "new", "release"]);
    let (code, verified) = setup.verify(&["environment.yaml"]);
    assert_eq!((code, checks(&verified, "failed")), (1, vec!["signature".to_owned()]), "{verified}");
    setup.workspace.json(["image", "sign", "environment.yaml", "--key", "release"]);
    setup.workspace.json(["key", "new", "other", "--to", "."]);
    let (code, verified) = setup.verify(&["environment.yaml", "--key", "other.pub"]);
    assert_eq!((code, checks(&verified, "failed")), (1, vec!["signature".to_owned()]), "{verified}");
    let key = setup.workspace.json(["key", "show", "release"]);
    assert!(verified.to_string().contains(key["id"].as_str().unwrap()), "it says who signed: {verified}");
    // Either of two will do.
    assert_eq!(setup.verify(&["environment.yaml", "--key", "other.pub", "--key", "release"]).0, 0);
}

#[test]
fn a_tampered_payload_lock_or_layer_is_refused_though_all_digests_fit() {
    let Some(setup) = Setup::signed() else { return };
    let elsewhere = Workspace::empty();
    let key = setup.workspace.root().join("keys/release.pub");
    let refused = |name: &str| {
        let (code, verified) = verify(
            &elsewhere,
            &[&format!("oci:{}:1", setup.path(name).display()), "--key", key.to_str().unwrap()],
        );
        assert_eq!(code, 1, "{name}: {verified}");
        checks(&verified, "failed").join(" ")
    };

    let payload = setup.layout("payload");
    let mut envelope = payload.envelope();
    let text = String::from_utf8(crate::payload(&envelope)).unwrap();
    let other = text.replace("tea-1.0-py3-none-any.whl", "tea-6.6-py3-none-any.whl");
    assert_ne!(other, text);
    envelope["payload"] = Value::String(BASE64_STANDARD.encode(other));
    payload.replace(IN_TOTO, DSSE, envelope.to_string().as_bytes());
    assert_eq!(refused("payload"), "signature");

    let lock = setup.layout("lock");
    let record = lock.referrer(RECORD);
    let layers = record["layers"].as_array().unwrap();
    let digest = &layers.iter().find(|layer| layer["mediaType"] == LOCK).unwrap()["digest"];
    let text = fs_err::read_to_string(lock.blob(digest)).unwrap();
    lock.replace(RECORD, LOCK, text.replacen("tea-1.0", "tea-6.6", 1).as_bytes());
    assert_eq!(refused("lock"), "lock");

    let layer = setup.layout("layer");
    let index = layer.index();
    let manifest = layer.json(&index["manifests"][0]["digest"]);
    let blob = layer.blob(&manifest["layers"][0]["digest"]);
    let mut bytes = fs_err::read(&blob).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(blob, bytes).unwrap();
    assert_eq!(refused("layer"), "contents");

    // An image that the signature is not about.
    let subject = setup.layout("subject");
    let mut index = subject.index();
    let mut manifest = subject.json(&index["manifests"][0]["digest"]);
    manifest["annotations"] = serde_json::json!({ "evil": "yes" });
    let put = subject.put("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    index["manifests"][0]["digest"] = put["digest"].clone();
    index["manifests"][0]["size"] = put["size"].clone();
    subject.set_index(&index);
    assert_eq!(refused("subject"), "subject");

    // A record of nothing.
    let bare = setup.layout("bare");
    let mut index = bare.index();
    index["manifests"].as_array_mut().unwrap().retain(|entry| entry["artifactType"] != RECORD);
    bare.set_index(&index);
    assert_eq!(refused("bare"), "lock");
}

#[test]
fn a_policy_lets_in_what_it_allows_and_names_the_rule_that_does_not() {
    let Some(setup) = Setup::signed() else { return };
    let policy = |text: &str| {
        let text = format!("keys = [\"workspace/keys/release.pub\"]\n{text}");
        setup.workspace.write("policy.toml", &text);
        let (code, verified) = setup.verify(&["environment.yaml", "--policy", "policy.toml"]);
        (code, checks(&verified, "failed").join(" "))
    };
    let statement: Value =
        serde_json::from_str(&setup.workspace.run(["image", "provenance", "environment.yaml"]).ok().stdout)
            .unwrap();
    let uris = statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap().clone();
    let mut hosts: Vec<String> = uris
        .iter()
        .filter_map(|one| {
            let url: url::Url = one["uri"].as_str()?.parse().ok()?;
            (url.scheme() != "urn").then(|| format!("{:?}", url.join("/").unwrap().to_string()))
        })
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    let hosts = hosts.join(", ");
    let fine = (0, String::new());
    assert_eq!(policy(""), fine);
    for (good, bad, name) in [
        (
            "builders = [\"https://provenv.dev/builder/local\"]",
            "builders = [\"https://ci.example\"]",
            "builder",
        ),
        (&*format!("indexes = [{hosts}]"), "indexes = [\"https://pypi.example/\"]", "indexes"),
        (&*format!("sources = [{hosts}]"), "sources = [\"https://pypi.example/\"]", "sources"),
        ("bases = [\"debian:*\"]", "bases = [\"debian:trixie\", \"debian\"]", "base"),
        ("max_age = \"1h\"", "max_age = \"0s\"", "age"),
    ] {
        assert_eq!(policy(good), fine, "{good}");
        assert_eq!(policy(bad), (1, name.to_owned()), "{bad}");
    }
    assert_eq!(policy("published_only = true"), fine);
    setup.workspace.write("policy.toml", "builder = []\n");
    let done = setup.workspace.run(["image", "verify", "environment.yaml", "--policy", "policy.toml"]);
    assert!(
        done.code == 2 && done.stderr.contains("policy.toml") && done.stderr.contains("line 1"),
        "{}",
        done.stderr
    );
}

#[test]
fn what_cannot_be_checked_says_so_with_another_code() {
    let workspace = Workspace::empty();
    workspace.json(["key", "new"]);
    workspace.write("empty/index.json", "{\"schemaVersion\": 2, \"manifests\": []}");
    for (image, why) in [
        ("nothing", "there is no environment"),
        ("oci:nowhere", "nowhere"),
        ("oci:empty", "no image"),
        ("oci-archive:x.tar", "archive"),
        ("localhost:1/x@sha256:12", "not a digest"),
    ] {
        let done = workspace.run(["image", "verify", image]);
        assert!(done.code == 2 && done.stderr.contains(why), "{image}: {} {}", done.code, done.stderr);
    }
}

#[test]
fn made_again_it_is_the_same_and_else_the_layer_is_named() {
    let Some(setup) = Setup::signed() else { return };
    let (code, verified) = setup.verify(&["environment.yaml", "--rebuild", "--offline"]);
    assert_eq!(
        (code, checks(&verified, "passed")),
        (0, vec!["contents".to_owned(), "rebuild".to_owned()]),
        "{verified}"
    );
    let (code, verified) = setup.verify(&["environment.yaml", "--rebuild", "--key", "release"]);
    assert_eq!((code, checks(&verified, "failed").len()), (0, 0), "{verified}");

    // The image's last two layers change their places: the lock is the same, the image is not.
    let swapped = setup.layout("swapped");
    let mut index = swapped.index();
    let mut manifest = swapped.json(&index["manifests"][0]["digest"]);
    let layers = manifest["layers"].as_array_mut().unwrap();
    let last = layers.len() - 1;
    assert!(last > 1);
    layers.swap(last - 1, last);
    let put = swapped.put("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes());
    index["manifests"][0]["digest"] = put["digest"].clone();
    index["manifests"][0]["size"] = put["size"].clone();
    swapped.set_index(&index);

    // Elsewhere, from what is attached to it.
    let Some(elsewhere) = Workspace::new() else { return };
    let good = setup.layout("good");
    let place = |layout: &crate::Layout| format!("oci:{}:1", layout.0.display());
    let key = setup.workspace.root().join("keys/release.pub");
    let (code, verified) = verify(&elsewhere, &[&place(&good), "--rebuild", "--key", key.to_str().unwrap()]);
    assert_eq!((code, checks(&verified, "failed").len()), (0, 0), "{verified}");
    let (code, verified) = verify(&elsewhere, &[&place(&swapped), "--rebuild"]);
    assert_eq!((code, checks(&verified, "failed")), (1, vec!["rebuild".to_owned()]), "{verified}");
    let said = verified.to_string();
    assert!(said.contains(&format!("layer {last} (")) && said.contains(&setup.image), "{said}");
    // No code runs for a lock that nobody vouches for.
    let (code, verified) =
        verify(&elsewhere, &[&place(&swapped), "--rebuild", "--key", key.to_str().unwrap()]);
    assert_eq!((code, checks(&verified, "failed")), (1, vec!["subject".to_owned()]), "{verified}");
    assert!(checks(&verified, "skipped").contains(&"rebuild".to_owned()));
}
