//! What goes to a registry, and how: on where it broke off, from another repository, and not at all where it is there.

use provenv_testing::pypi::{Index, Wheel};

use super::{Packages, Shared, noise, write};
use crate::support::{Workspace, serve};

/// A package whose layer is worth going on with.
fn heavy() -> Packages {
    serve(&Index::new().add(Wheel::new("heavy", "1.0").file("heavy.bin", noise(12 << 20))))
}

#[test]
fn a_broken_upload_goes_on_where_it_broke_off() {
    let (shared, packages) = (Shared::own(), heavy());
    let Some(workspace) = Workspace::new() else { return };
    write(&workspace, &packages, "heavy", &["heavy"]);
    let built = workspace.json(["build", "heavy.yaml"]);
    // All but the heavy one is there already: what breaks is its upload.
    write(&workspace, &packages, "base", &[]);
    workspace.json(["build", "base.yaml", "--to", &shared.at("heavy:base")]);
    shared.tap.forget();
    shared.tap.cut_after(9 << 20);
    let pushed = workspace.json(["image", "push", "heavy.yaml", &shared.at("heavy:1")]);
    assert_eq!(shared.tap.cuts(), 1);
    let requests = shared.tap.requests();
    // The server may still have been writing what it said that it did not have yet: it is asked once more then.
    let (chunks, asked) = (shared.requests("PATCH"), shared.requests("GET /v2/heavy/blobs/uploads/"));
    assert!(chunks.len() >= 2 && asked.len() == chunks.len() - 1, "{requests:#?}");
    assert!(chunks.iter().all(|chunk| *chunk == chunks[0]), "it is one upload: {requests:#?}");
    let (sent, _) = shared.tap.bytes();
    let heavy = pushed["sent"].as_u64().unwrap();
    assert!(sent < heavy + (2 << 20), "{sent} bytes went out for {heavy}");
    let manifest = shared.server().client().get("/v2/heavy/manifests/1").is(200);
    assert_eq!(manifest.must("Docker-Content-Digest"), built["image"]);
}

#[test]
fn where_a_registry_does_not_go_on_the_upload_begins_again() {
    let Some(shared) = Shared::peer() else { return };
    let packages = heavy();
    let Some(workspace) = Workspace::new() else { return };
    write(&workspace, &packages, "heavy", &["heavy"]);
    workspace.json(["build", "heavy.yaml"]);
    write(&workspace, &packages, "base", &[]);
    workspace.json(["build", "base.yaml", "--to", &shared.at("heavy:base")]);
    shared.tap.cut_after(9 << 20);
    workspace.json(["image", "push", "heavy.yaml", &shared.at("heavy:1")]);
    assert_eq!(shared.tap.cuts(), 1);
    let verified = workspace.json(["image", "show", "heavy.yaml"]);
    let again = workspace.json(["image", "push", "heavy.yaml", &shared.at("heavy:1")]);
    assert_eq!((&again["image"], &again["sent"]), (&verified["digest"], &0.into()));
}

fn taken_over(shared: &Shared) {
    let packages = heavy();
    let Some(workspace) = Workspace::new() else { return };
    write(&workspace, &packages, "heavy", &["heavy"]);
    workspace.json(["build", "heavy.yaml"]);
    let first = workspace.json(["image", "push", "heavy.yaml", &shared.at("one:1")]);
    assert_eq!(first["mounted"], 0);
    shared.tap.forget();
    let second = workspace.json(["image", "push", "heavy.yaml", &shared.at("two:1")]);
    assert!(second["mounted"].as_u64().unwrap() > 12 << 20, "{second}");
    let requests = shared.tap.requests();
    assert_eq!(shared.requests("PATCH").len(), 0, "{requests:#?}");
    assert!(requests.iter().any(|request| request.contains("from=one") && request.contains("mount=sha256")));
    // Record and bills of materials are sent.
    assert!(shared.tap.bytes().0 < 1 << 20, "{:?} bytes went out", shared.tap.bytes());
    // Again, it is there, and so is what is attached to it: nothing but questions.
    shared.tap.forget();
    let third = workspace.json(["image", "push", "heavy.yaml", &shared.at("two:1")]);
    assert_eq!((&third["sent"], &third["mounted"]), (&0.into(), &0.into()));
    assert!(shared.tap.requests().len() <= 3, "{:#?}", shared.tap.requests());
}

#[test]
fn what_another_repository_has_is_taken_over() {
    taken_over(&Shared::own());
}

#[test]
fn what_another_repository_has_is_taken_over_by_a_registry_of_docker() {
    let Some(shared) = Shared::peer() else { return };
    taken_over(&shared);
}

#[test]
fn what_another_repository_lost_is_sent() {
    let packages = heavy();
    let Some(workspace) = Workspace::new() else { return };
    write(&workspace, &packages, "heavy", &["heavy"]);
    workspace.json(["build", "heavy.yaml"]);
    let (_store, server) = crate::registry::server::served();
    let first = workspace.json(["image", "push", "heavy.yaml", &server.at("one:1")]);
    let client = server.client();
    let digest = first["image"].as_str().unwrap();
    let manifest = client.get("/v2/one/manifests/1").is(200).json();
    client.delete(&format!("/v2/one/manifests/{digest}")).is(202);
    for layer in manifest["layers"].as_array().unwrap() {
        client.delete(&format!("/v2/one/blobs/{}", layer["digest"].as_str().unwrap()));
    }
    let second = workspace.json(["image", "push", "heavy.yaml", &server.at("two:1")]);
    assert!(second["sent"].as_u64().unwrap() > 12 << 20, "{second}");
    client.get("/v2/two/manifests/1").is(200);
}

#[test]
fn a_registry_that_asks_for_patience_gets_it() {
    let (shared, packages) = (Shared::own(), super::packages());
    let Some(workspace) = Workspace::new() else { return };
    write(&workspace, &packages, "tea", &["leaf"]);
    workspace.json(["build", "tea.yaml"]);
    let (busy, wait) = ("429 Too Many Requests", "Retry-After: 1\r\n");
    shared.tap.answer("HEAD /v2/tea/manifests/1", busy, wait, "");
    shared.tap.answer("PUT /v2/tea/manifests/1", "503 Service Unavailable", "Retry-After: 0\r\n", "");
    shared.tap.answer("POST /v2/tea/blobs/uploads/", "502 Bad Gateway", "", "");
    let begun = std::time::Instant::now();
    workspace.json(["image", "push", "tea.yaml", &shared.at("tea:1")]);
    assert_eq!(shared.tap.unanswered(), 0);
    assert!(begun.elapsed() >= std::time::Duration::from_secs(1), "it came back before it was to");
    shared.server().client().get("/v2/tea/manifests/1").is(200);
}

#[test]
fn what_a_registry_refuses_is_said_with_what_to_do() {
    let packages = super::packages();
    let Some(workspace) = Workspace::new() else { return };
    write(&workspace, &packages, "tea", &["leaf"]);
    workspace.json(["build", "tea.yaml"]);
    let json = |code: &str, message: &str| {
        format!(r#"{{"errors": [{{"code": "{code}", "message": "{message}"}}]}}"#)
    };
    for (request, status, body, says, hint) in [
        (
            "PUT /v2/tea/manifests/1",
            "413 Payload Too Large",
            "<html>nginx</html>".to_owned(),
            "too large",
            "client_max_body_size",
        ),
        (
            "POST /v2/tea/blobs/",
            "403 Forbidden",
            json("DENIED", "the quota is used up"),
            "the quota is used up",
            "log in",
        ),
        (
            "POST /v2/tea/blobs/",
            "401 Unauthorized",
            json("UNAUTHORIZED", "who are you"),
            "refused access to `tea`",
            "log in",
        ),
        (
            "POST /v2/tea/blobs/",
            "404 Not Found",
            json("NAME_UNKNOWN", "no such"),
            "no repository `tea`",
            "make the repository",
        ),
        (
            "PUT /v2/tea/manifests/1",
            "400 Bad Request",
            json("MANIFEST_INVALID", "it is odd"),
            "it is odd",
            "",
        ),
    ] {
        let fresh = Shared::own();
        fresh.tap.answer(request, status, "", &body);
        let done = workspace.run(["image", "push", "tea.yaml", &fresh.at("tea:1")]);
        assert_eq!(done.code, 1, "{status}: {}", done.stderr);
        assert!(done.stderr.contains(says) && done.stderr.contains(hint), "{status}: {}", done.stderr);
        if request.contains("manifests") {
            assert_eq!(fresh.requests(request).len(), 1, "{status}: what is final is not tried again");
        }
        fresh.server().client().get("/v2/tea/manifests/1").is(404);
    }
}

#[test]
fn a_push_takes_record_and_bills_of_materials_along() {
    for shared in [Some(Shared::own()), Shared::peer()].into_iter().flatten() {
        let packages = super::packages();
        let Some(workspace) = Workspace::new() else { return };
        write(&workspace, &packages, "tea", &["leaf"]);
        let built = workspace.json(["build", "tea.yaml"]);
        let pushed = workspace.json(["image", "push", "tea.yaml", &shared.at("tea:1")]);
        assert_eq!(pushed["proofs"], serde_json::json!([]));
        // Another one asks the registry alone.
        let other = Workspace::empty();
        let shown = other.json(["image", "referrers", &shared.at("tea:1")]);
        assert_eq!(shown["digest"], built["image"]);
        let kinds = |list: &serde_json::Value| {
            let mut kinds: Vec<String> =
                list.as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap().to_owned()).collect();
            kinds.sort();
            kinds
        };
        let all = [
            "application/spdx+json",
            "application/vnd.cyclonedx+json",
            "application/vnd.provenv.record.v1+json",
        ];
        assert_eq!(kinds(&shown["referrers"]), all);
        assert_eq!(kinds(&pushed["attached"]), all);
        let again = workspace.json(["image", "push", "tea.yaml", &shared.at("tea:1")]);
        assert_eq!(again["sent"], 0);
        let text = other.run(["image", "referrers", &shared.at("tea:1")]).ok().stdout;
        assert!(text.contains("application/spdx+json"), "{text}");
        let missing = other.run(["image", "referrers", &shared.at("tea:2")]);
        assert_eq!(missing.code, 1);
        assert!(missing.stderr.contains("tea:2"), "{}", missing.stderr);
    }
}
