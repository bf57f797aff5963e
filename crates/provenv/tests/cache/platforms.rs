//! Images of several platforms under one name. Those of other machines come from the shared cache; what a machine of the other
//! kind would have pushed is made here of this machine's image, with another architecture in its configuration.

use provenv_definition::Digest;
use serde_json::{Value, json};

use super::{Shared, packages};
use crate::registry::client::{Client, IMAGE, INDEX};
use crate::support::{Workspace, definition};

const CACHE: &str = "team/environments";

/// Pushes a blob and gives its descriptor.
fn blob(client: &Client, media_type: &Value, bytes: &[u8]) -> Value {
    client.blob(CACHE, bytes);
    json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() })
}

/// The document with this descriptor.
fn read(client: &Client, what: &str, descriptor: &Value) -> Value {
    client.get(&format!("/v2/{CACHE}/{what}/{}", descriptor["digest"].as_str().unwrap())).is(200).json()
}

fn manifest(client: &Client, media_type: &str, tag: Option<&str>, value: &Value) -> Value {
    let bytes = serde_json::to_vec(value).unwrap();
    let digest = Digest::of(&bytes).to_string();
    client.manifest(CACHE, tag.unwrap_or(&digest), media_type, &bytes).is(201);
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

/// Adds the image of an arm64 machine to an index.
fn add_arm(client: &Client, tag: &str) -> String {
    let mut index = client.get(&format!("/v2/{CACHE}/manifests/{tag}")).is(200).json();
    let mut image = read(client, "manifests", &index["manifests"][0]);
    let mut config = read(client, "blobs", &image["config"]);
    config["architecture"] = json!("arm64");
    image["config"] =
        blob(client, &image["config"]["mediaType"].clone(), &serde_json::to_vec(&config).unwrap());
    let mut made = manifest(client, IMAGE, None, &image);
    let mut record = read(client, "manifests", &index["manifests"][1]);
    record["subject"] = made.clone();
    for layer in record["layers"].as_array_mut().unwrap() {
        if layer["mediaType"] == "application/vnd.provenv.image.v1+json" {
            let mut file = read(client, "blobs", layer);
            file["image"]["platform"] = json!("linux/arm64");
            for (what, descriptor) in [("manifest", &made), ("config", &image["config"])] {
                file["image"][what] = descriptor["digest"].clone();
                file["image"][format!("{what}_size")] = descriptor["size"].clone();
            }
            *layer = blob(client, &layer["mediaType"].clone(), &serde_json::to_vec(&file).unwrap());
        }
    }
    let digest = made["digest"].as_str().unwrap().to_owned();
    let mut recorded = manifest(client, IMAGE, None, &record);
    made["platform"] = json!({ "architecture": "arm64", "os": "linux" });
    recorded["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
    recorded["artifactType"] = record["artifactType"].clone();
    recorded["annotations"] = json!({ "dev.provenv.image": digest, "dev.provenv.platform": "linux/arm64" });
    index["manifests"].as_array_mut().unwrap().extend([made, recorded]);
    manifest(client, INDEX, Some(tag), &index);
    digest
}

#[test]
fn one_name_is_made_of_what_each_platform_pushed() {
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let (shared, packages) = (Shared::own(), packages());
    let Some(workspace) = Workspace::new() else { return };
    let text = definition(&packages, "tea", &["leaf"]) + "platforms: [linux/amd64, linux/arm64]\n";
    workspace.write("tea.yaml", &text);
    let built = shared.json(&workspace, &["build", "tea.yaml", "--push"]);
    let name = shared.at("team/tea:1");
    let all = ["build", "tea.yaml", "--platform", "all", "--to", &name];
    let done = shared.run(&workspace, &all);
    assert_eq!(done.code, 2, "{}", done.stderr);
    assert!(done.stderr.contains("linux/arm64") && done.stderr.contains("--push"), "{}", done.stderr);

    let client = shared.server().client();
    let lock = built["lock"].as_str().unwrap().replace("sha256:", "");
    let index = shared.tap.requests().into_iter().find_map(|request| {
        let tag = request.strip_prefix("PUT /v2/team/environments/manifests/lock-")?.to_owned();
        Some(format!("lock-{tag}"))
    });
    let tag = index.expect("it was pushed");
    assert!(tag.contains(&lock));
    let arm = add_arm(&client, &tag);
    let pushed = shared.json(&workspace, &all);
    let images: Vec<(&Value, &Value)> =
        pushed["images"].as_array().unwrap().iter().map(|one| (&one["platform"], &one["image"])).collect();
    assert_eq!(images[0], (&json!("linux/amd64"), &built["image"]));
    assert_eq!(images[1], (&json!("linux/arm64"), &json!(arm)));
    let there = client.get("/v2/team/tea/manifests/1").is(200);
    assert_eq!(there.must("Docker-Content-Digest"), pushed["index"]);
    let platforms: Vec<Value> =
        there.json()["manifests"].as_array().unwrap().iter().map(|one| one["platform"].clone()).collect();
    assert_eq!(platforms.len(), 2);
    assert_eq!(
        (&platforms[0]["architecture"], &platforms[1]["architecture"]),
        (&json!("amd64"), &json!("arm64"))
    );
    // Who pulls takes the right one.
    let shown = Workspace::empty().json(["image", "referrers", &name]);
    assert_eq!(shown["platforms"], json!({ "linux/amd64": built["image"], "linux/arm64": arm }));
    if crate::support::have("skopeo") {
        for (architecture, digest) in [("amd64", built["image"].as_str().unwrap()), ("arm64", &arm)] {
            let copy = workspace.path().join(architecture);
            let mut skopeo = std::process::Command::new("skopeo");
            skopeo.args([
                "--insecure-policy",
                "--override-arch",
                architecture,
                "copy",
                "--src-tls-verify=false",
            ]);
            skopeo.arg(format!("docker://{name}")).arg(format!("dir:{}", copy.display()));
            super::Done::from(skopeo.output().unwrap()).ok();
            let manifest = fs_err::read(copy.join("manifest.json")).unwrap();
            assert_eq!(Digest::of(&manifest).to_string(), digest);
        }
    }
    // The next push of this machine leaves the other's where it is.
    let again = Workspace::new().unwrap();
    again.write("tea.yaml", &text);
    shared.json(&again, &["build", "tea.yaml", "--push"]);
    let kept = client.get(&format!("/v2/{CACHE}/manifests/{tag}")).is(200).text();
    assert!(kept.contains(&arm) && kept.contains(built["image"].as_str().unwrap()));
}
