//! What is refused, and by which check.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::{DSSE, IN_TOTO, LOCK, RECORD, Setup, checks, verify};
use crate::support::{Workspace, have};

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
    let text = String::from_utf8(super::payload(&envelope)).unwrap();
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
    let place = |layout: &super::Layout| format!("oci:{}:1", layout.0.display());
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

/// The envelope of a payload, signed by openssl with the workspace's key.
fn signed_by_openssl(setup: &Setup, kind: &str, payload: &[u8]) -> Value {
    let mut envelope = serde_json::json!({ "payloadType": kind, "payload": BASE64_STANDARD.encode(payload) });
    fs_err::write(setup.path("to-sign"), super::signed_bytes(&envelope)).unwrap();
    let key = setup.workspace.root().join("keys/release.key");
    let arguments = [
        "pkeyutl",
        "-sign",
        "-rawin",
        "-in",
        "to-sign",
        "-out",
        "signature",
        "-inkey",
        key.to_str().unwrap(),
    ];
    super::program(&setup.workspace, "openssl", &arguments).ok();
    let signature = BASE64_STANDARD.encode(fs_err::read(setup.path("signature")).unwrap());
    envelope["signatures"] = serde_json::json!([{ "keyid": "", "sig": signature }]);
    envelope
}

#[test]
fn what_a_trusted_key_signs_must_still_be_of_the_right_kind_and_fit_the_lock() {
    if !have("openssl") {
        return;
    }
    let Some(setup) = Setup::signed() else { return };
    let layout = setup.layout("image");
    let payload = super::payload(&layout.envelope());
    let verified = |kind: &str, change: &dyn Fn(&mut Value)| {
        let mut statement: Value = serde_json::from_slice(&payload).unwrap();
        change(&mut statement);
        let envelope = signed_by_openssl(&setup, kind, statement.to_string().as_bytes());
        layout.replace(IN_TOTO, DSSE, envelope.to_string().as_bytes());
        let (code, verified) = setup.verify(&["oci:image:1", "--key", "release"]);
        (code, checks(&verified, "failed").join(" "))
    };
    let dependencies = |statement: &mut Value| -> Vec<Value> {
        statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap().clone()
    };
    let set = |statement: &mut Value, all: Vec<Value>| {
        statement["predicate"]["buildDefinition"]["resolvedDependencies"] = Value::Array(all);
    };
    let failed = |name: &str| (1, name.to_owned());
    assert_eq!(verified(IN_TOTO, &|_| {}), (0, String::new()), "as it is, signed by another program");
    // The same bytes as something else, and other statements of the same key.
    assert_eq!(verified("application/json", &|_| {}), failed("signature"));
    let other = |key: &'static str, value: &'static str| move |one: &mut Value| one[key] = value.into();
    assert_eq!(verified(IN_TOTO, &other("_type", "https://in-toto.io/Statement/v0.1")), failed("signature"));
    assert_eq!(
        verified(IN_TOTO, &other("predicateType", "https://slsa.dev/provenance/v0.2")),
        failed("signature")
    );
    assert_eq!(
        verified(IN_TOTO, &|one| one["predicate"]["buildDefinition"]["buildType"] =
            "https://other.example".into()),
        failed("lock")
    );
    assert_eq!(
        verified(IN_TOTO, &|one| one["subject"][0]["digest"] = serde_json::json!({ "sha512": "00" })),
        failed("subject")
    );
    // An artifact fewer, one more, one under the name of another kind that policies do not look at.
    assert_eq!(
        verified(IN_TOTO, &|one| {
            let mut all = dependencies(one);
            all.pop();
            set(one, all);
        }),
        failed("lock")
    );
    assert_eq!(
        verified(IN_TOTO, &|one| {
            let mut all = dependencies(one);
            let mut more = all.last().unwrap().clone();
            more["digest"]["sha256"] = "0".repeat(64).into();
            all.push(more);
            set(one, all);
        }),
        failed("lock")
    );
    for kind in ["index", "built", "artefact"] {
        let relabelled = |one: &mut Value| {
            let mut all = dependencies(one);
            all.last_mut().unwrap()["annotations"]["kind"] = kind.into();
            set(one, all);
        };
        assert_eq!(verified(IN_TOTO, &relabelled), failed("lock"), "{kind}");
    }
}

#[test]
fn what_is_attached_to_an_image_is_bounded() {
    let Some(setup) = Setup::signed() else { return };
    let layout = setup.layout("image");
    let mut layers = Vec::new();
    for number in 0..5u8 {
        // 60 MiB with a hole, each other bytes.
        let path = setup.path("hole");
        let file = fs_err::File::create(&path).unwrap();
        file.set_len(60 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(file.file(), &[number], 0).unwrap();
        let digest = provenv_definition::Digest::of(&fs_err::read(&path).unwrap());
        fs_err::rename(&path, layout.0.join("blobs/sha256").join(digest.hex())).unwrap();
        layers.push(serde_json::json!({ "mediaType": LOCK, "digest": digest, "size": 60 << 20 }));
    }
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": kind, "layers": layers });
    let mut entry = layout.put(kind, manifest.to_string().as_bytes());
    entry["artifactType"] = RECORD.into();
    let mut index = layout.index();
    index["manifests"].as_array_mut().unwrap().push(entry);
    layout.set_index(&index);
    let done = setup.workspace.run(["image", "verify", "oci:image:1", "--key", "release"]);
    assert!(done.code == 2 && done.stderr.contains("more than 256 MiB"), "{}{}", done.stdout, done.stderr);
}

#[test]
fn a_file_that_changed_in_the_store_is_not_made_into_the_same_image() {
    let Some(setup) = Setup::signed() else { return };
    let text = setup.workspace.run(["lock", "environment.yaml", "--file", "-"]).ok().stdout;
    let lock: Value = serde_json::from_str(&text).unwrap();
    let platform = lock["platforms"].as_object().unwrap().values().next().unwrap();
    let wheel = platform["pypi"][0].to_string();
    let hex = wheel.split("sha256:").nth(1).unwrap()[..64].to_owned();
    let path = setup.workspace.root().join("store/blobs/sha256").join(&hex[..2]).join(&hex[2..]);
    let mut bytes = fs_err::read(&path).unwrap();
    let place = bytes.windows(4).position(|four| four == b"True").unwrap_or(bytes.len() / 2);
    bytes[place] ^= 1;
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, bytes).unwrap();
    let done = setup.workspace.run(["image", "verify", "environment.yaml", "--rebuild", "--offline"]);
    assert!(done.code != 0 && !done.stdout.contains("\nverified"), "{}{}", done.stdout, done.stderr);
}

#[test]
fn a_policy_lets_nothing_in_that_nobody_signed_however_little_it_asks() {
    let Some(setup) = Setup::new() else { return };
    let workspace = &setup.workspace;
    workspace.write("policy.toml", "");
    // Nobody is trusted: there is nothing to say.
    let done = workspace.run(["image", "verify", "environment.yaml", "--policy", "policy.toml"]);
    assert!(done.code == 2 && done.stderr.contains("no public key"), "{}{}", done.stdout, done.stderr);
    workspace.json(["key", "new", "release"]);
    for policy in ["", "bases = [\"*\"]\n", "keys = [\"workspace/keys/release.pub\"]\n"] {
        workspace.write("policy.toml", policy);
        for more in [&[][..], &["--rebuild"]] {
            let arguments = [&["environment.yaml", "--policy", "policy.toml"], more].concat();
            let (code, verified) = setup.verify(&arguments);
            assert_eq!((code, checks(&verified, "failed")), (1, vec!["signature".to_owned()]), "{verified}");
            assert!(!checks(&verified, "passed").contains(&"rebuild".to_owned()), "{verified}");
        }
    }
    // A key alone is no signature: not that of another image either.
    workspace.write(
        "other.yaml",
        &fs_err::read_to_string(setup.path("environment.yaml")).unwrap().replace("- tea", "- tea==1.0"),
    );
    workspace.json(["build", "other.yaml", "--sign", "release"]);
    assert_eq!(setup.verify(&["other.yaml", "--policy", "policy.toml"]).0, 0);
    let same = workspace.json(["build", "other.yaml"])["image"] == *setup.image;
    // Locks of two definitions may make one image, and then it is signed.
    assert_eq!(setup.verify(&["environment.yaml", "--policy", "policy.toml"]).0, i32::from(!same));
}
