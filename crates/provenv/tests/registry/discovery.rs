//! Specification, "Content Discovery".

use provenv_definition::Digest;
use serde_json::{Value, json};

use super::client::{Client, IMAGE, INDEX, descriptor, image};
use super::server::served;

/// The entries of a list, and the path of the next page.
fn listed(client: &Client, path: &str, field: &str) -> (Vec<String>, Option<String>) {
    let answer = client.get(path).is(200);
    assert_eq!(answer.must("Content-Type"), "application/json");
    let next = answer.header("Link").map(|link| {
        let (path, rest) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
        assert_eq!(rest, "; rel=\"next\"");
        path.to_owned()
    });
    let entries = answer.json()[field].clone();
    let entries = entries.as_array().unwrap().iter().map(|entry| entry.as_str().unwrap().to_owned());
    (entries.collect(), next)
}

#[test]
fn tags_are_listed_in_their_order_and_in_pages() {
    let (_workspace, server) = served();
    let client = server.client();
    let manifest = client.image("team/tea", "b", "leaves");
    for tag in ["C", "a", "v10", "v1", "_x", "B"] {
        client.manifest("team/tea", tag, IMAGE, &manifest).is(201);
    }
    let path = "/v2/team/tea/tags/list";
    assert_eq!(client.get(path).is(200).json()["name"], "team/tea");
    let all = ["_x", "a", "B", "b", "C", "v1", "v10"].map(str::to_owned);
    assert_eq!(listed(&client, path, "tags"), (all.to_vec(), None));
    // Page by page, as the links say.
    for size in 1..=8 {
        let (mut seen, mut next) = (Vec::new(), Some(format!("{path}?n={size}")));
        while let Some(path) = next {
            let (tags, link) = listed(&client, &path, "tags");
            assert!(tags.len() == size || link.is_none(), "{tags:?}");
            seen.extend(tags);
            next = link;
        }
        assert_eq!(seen, all, "{size} at a time");
    }
    assert_eq!(listed(&client, &format!("{path}?n=0"), "tags").0, [""; 0]);
    // `last` need not be a tag.
    assert_eq!(listed(&client, &format!("{path}?last=d"), "tags").0, ["v1", "v10"]);
    assert_eq!(listed(&client, &format!("{path}?n=2&last=a"), "tags").0, ["B", "b"]);
    assert_eq!(listed(&client, &format!("{path}?last=zzz"), "tags"), (vec![], None));
    for wrong in ["n=-1", "n=x", "n=1.5"] {
        client.get(&format!("{path}?{wrong}")).is(400);
    }
}

#[test]
fn a_repository_that_is_not_there_has_no_tags() {
    let (_workspace, server) = served();
    let client = server.client();
    client.get("/v2/tea/tags/list").fails(404, "NAME_UNKNOWN");
    client.get("/v2/Tea/tags/list").fails(400, "NAME_INVALID");
    // One to which something was pushed without a tag is there.
    client.blob("tea", b"leaves");
    assert_eq!(listed(&client, "/v2/tea/tags/list", "tags"), (vec![], None));
}

#[test]
fn repositories_are_listed() {
    let (_workspace, server) = served();
    let client = server.client();
    assert_eq!(listed(&client, "/v2/_catalog", "repositories"), (vec![], None));
    for name in ["tea", "team/tea", "coffee"] {
        client.image(name, "1", name);
    }
    let (first, next) = listed(&client, "/v2/_catalog?n=2", "repositories");
    assert_eq!(first, ["coffee", "tea"]);
    assert_eq!(listed(&client, &next.unwrap(), "repositories"), (vec!["team/tea".to_owned()], None));
}

fn referrers(client: &Client, path: &str) -> Vec<Value> {
    let answer = client.get(path).is(200);
    assert_eq!(answer.must("Content-Type"), INDEX);
    let index = answer.json();
    assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(INDEX)));
    index["manifests"].as_array().unwrap().clone()
}

#[test]
fn what_refers_to_a_manifest_is_listed() {
    let (_workspace, server) = served();
    let client = server.client();
    let subject = client.image("tea", "1", "leaves");
    let digest = Digest::of(&subject);
    let path = format!("/v2/tea/referrers/{digest}");
    assert_eq!(referrers(&client, &path), [] as [Value; 0]);
    let empty = descriptor("application/vnd.oci.empty.v1+json", b"{}");
    let about = descriptor(IMAGE, &subject);
    // One with a type of its own, one whose configuration says it, and an index.
    let signature = image(
        b"leaves",
        &json!({
            "artifactType": "application/vnd.example.signature", "config": empty, "layers": [empty],
            "subject": about, "annotations": { "by": "ann" },
        }),
    );
    let config = descriptor("application/vnd.example.sbom.config", b"{}");
    let sbom = image(b"leaves", &json!({ "config": config, "layers": [empty], "subject": about }));
    let kind = "application/vnd.example.list";
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX, "artifactType": kind, "manifests": [], "subject": about,
    })
    .to_string()
    .into_bytes();
    for (media_type, manifest) in [(IMAGE, &signature), (IMAGE, &sbom), (INDEX, &index)] {
        let reference = Digest::of(manifest).to_string();
        let pushed = client.manifest("tea", &reference, media_type, manifest).is(201);
        assert_eq!(pushed.must("OCI-Subject"), digest.to_string());
    }
    // By a tag too; the same manifest is listed once.
    assert_eq!(client.manifest("tea", "sbom", IMAGE, &sbom).is(201).must("OCI-Subject"), digest.to_string());

    let mut expected = [
        json!({
            "mediaType": IMAGE, "digest": Digest::of(&signature), "size": signature.len(),
            "artifactType": "application/vnd.example.signature", "annotations": { "by": "ann" },
        }),
        json!({
            "mediaType": IMAGE, "digest": Digest::of(&sbom), "size": sbom.len(),
            "artifactType": "application/vnd.example.sbom.config",
        }),
        json!({ "mediaType": INDEX, "digest": Digest::of(&index), "size": index.len(), "artifactType": kind }),
    ];
    expected.sort_by_key(|descriptor| descriptor["digest"].as_str().unwrap().to_owned());
    assert_eq!(referrers(&client, &path), expected);
    assert_eq!(client.get(&path).header("OCI-Filters-Applied"), None);

    let filtered = format!("{path}?artifactType={}", kind.replace('/', "%2F"));
    assert_eq!(client.get(&filtered).is(200).must("OCI-Filters-Applied"), "artifactType");
    let of_kind: Vec<_> = referrers(&client, &filtered).iter().map(|one| one["digest"].clone()).collect();
    assert_eq!(of_kind, [json!(Digest::of(&index))]);
    assert_eq!(referrers(&client, &format!("{path}?artifactType=none")), [] as [Value; 0]);

    // What is deleted refers to nothing.
    client.delete(&format!("/v2/tea/manifests/{}", Digest::of(&sbom))).is(202);
    assert_eq!(referrers(&client, &path).len(), 2);
}

#[test]
fn a_subject_need_not_be_there() {
    let (_workspace, server) = served();
    let client = server.client();
    let later = image(b"leaves", &json!({}));
    let about = json!({ "subject": descriptor(IMAGE, &later) });
    client.blob("tea", b"{}");
    client.blob("tea", b"note");
    let note = image(b"note", &about);
    let pushed = client.manifest("tea", "note", IMAGE, &note).is(201);
    assert_eq!(pushed.must("OCI-Subject"), Digest::of(&later).to_string());
    let path = format!("/v2/tea/referrers/{}", Digest::of(&later));
    assert_eq!(referrers(&client, &path).len(), 1);
    client.image("tea", "1", "leaves");
    assert_eq!(referrers(&client, &path).len(), 1);
    // Nothing is known of it elsewhere, and that is no error.
    assert_eq!(referrers(&client, &format!("/v2/milk/referrers/{}", Digest::of(&later))).len(), 0);
    client.get("/v2/tea/referrers/latest").fails(400, "DIGEST_INVALID");
}

#[test]
fn many_referrers_come_in_pages() {
    let (_workspace, server) = served();
    let client = server.client();
    let subject = client.image("tea", "1", "leaves");
    let about = descriptor(IMAGE, &subject);
    let padding = "x".repeat(1_000_000);
    let mut pushed: Vec<String> = (0..9)
        .map(|number| {
            let annotations = json!({ "number": number.to_string(), "padding": padding });
            let note = image(b"leaves", &json!({ "subject": about, "annotations": annotations }));
            let digest = Digest::of(&note).to_string();
            client.manifest("tea", &digest, IMAGE, &note).is(201);
            digest
        })
        .collect();
    pushed.sort();
    let mut seen = Vec::new();
    let kind = "application%2Fvnd.oci.image.config.v1%2Bjson";
    let mut next = Some(format!("/v2/tea/referrers/{}?artifactType={kind}", Digest::of(&subject)));
    while let Some(path) = next {
        let answer = client.get(&path).is(200);
        assert!(answer.body.len() <= 4 * 1024 * 1024);
        assert_eq!(answer.must("OCI-Filters-Applied"), "artifactType");
        let listed = answer.json()["manifests"].clone();
        seen.extend(listed.as_array().unwrap().iter().map(|one| one["digest"].as_str().unwrap().to_owned()));
        next = answer.header("Link").map(|link| link[1..].split_once('>').unwrap().0.to_owned());
    }
    assert_eq!(seen, pushed);
}
