//! `/v2/` of a server: the same tokens, a workspace the first part of each name.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::team::{Team, post};

#[test]
fn repositories_are_of_workspaces_and_follow_their_roles() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    post(&team.owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    let refused = team.nobody().get("/v2/").fails(401, "UNAUTHORIZED");
    assert_eq!(refused.must("WWW-Authenticate"), "Basic realm=\"provenv\"");
    // As docker sends what `docker login` was given.
    let basic = |token: &str| {
        let value = BASE64_STANDARD.encode(format!("anything:{token}"));
        team.nobody().with("Authorization", &format!("Basic {value}"))
    };
    let contributor = basic(&team.token("ann", Some("contributor")));
    contributor.get("/v2/").is(200);
    let manifest = contributor.image("default/tools/tea", "1", "leaves");
    let reader = basic(&team.token("ben", Some("reader")));
    assert_eq!(reader.get("/v2/default/tools/tea/manifests/1").is(200).body, manifest);
    let tags = reader.get("/v2/default/tools/tea/tags/list").is(200).json();
    assert_eq!(tags, json!({ "name": "default/tools/tea", "tags": ["1"] }));
    reader.post("/v2/default/tools/tea/blobs/uploads/", b"").fails(403, "DENIED");
    reader.delete("/v2/default/tools/tea/manifests/1").fails(403, "DENIED");
    let outsider = basic(&team.token("outsider", None));
    for client in [&outsider, &contributor] {
        client.get("/v2/vision/tools/tea/manifests/1").fails(404, "NAME_UNKNOWN");
    }
    outsider.get("/v2/default/tools/tea/manifests/1").fails(404, "NAME_UNKNOWN");
    team.nobody().get("/v2/default/tools/tea/manifests/1").fails(401, "UNAUTHORIZED");
    // What another workspace has is not to be had by a mount.
    let digest = provenv_definition::Digest::of(b"leaves");
    let mount = format!("/v2/vision/tea/blobs/uploads/?mount={digest}&from=default/tools/tea");
    team.owner.post(&mount, b"").is(202);
    team.owner.get(&format!("/v2/vision/tea/blobs/{digest}")).is(404);
}
