//! What packages say of themselves comes along with an image from the shared cache: bills of materials and audits are the same there.

use serde_json::{Value, json};

use super::{Done, Shared, packages, write};
use crate::support::Workspace;

/// Vulnerabilities of a Debian source package whose binary packages have other names.
fn database(workspace: &Workspace) {
    let record = json!({
        "id": "CVE-2026-0001",
        "modified": "2026-11-01T00:00:00Z",
        "affected": [{
            "package": {"ecosystem": "Debian:12", "name": "glibc"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]
        }]
    });
    workspace.write("osv/Debian:12/CVE-2026-0001.json", &record.to_string());
}

fn audit(shared: &Shared, workspace: &Workspace) -> Done {
    let ask = ["-o", "json", "image", "audit", "tea.yaml", "--database", "osv", "--only", "debian"];
    shared.run(workspace, &ask)
}

fn sbom(shared: &Shared, workspace: &Workspace) -> Vec<Value> {
    let of = |format| shared.run(workspace, &["image", "sbom", "tea.yaml", "--format", format]).ok().json();
    ["spdx", "cyclonedx"].map(of).to_vec()
}

/// What is not known of the packages of the image, by an audit.
fn uncertain(report: &Value) -> usize {
    report["unchecked"].as_array().unwrap().iter().filter(|one| one["uncertain"] == true).count()
}

#[test]
fn an_image_that_was_found_is_audited_as_where_it_was_built() {
    let (shared, packages) = (Shared::own(), packages());
    let Some(first) = Workspace::new() else { return };
    let second = Workspace::empty();
    for workspace in [&first, &second] {
        write(workspace, &packages, "tea", &["leaf"]);
        database(workspace);
    }
    shared.json(&first, &["build", "tea.yaml", "--push"]);
    let built = audit(&shared, &first);
    assert_eq!(
        (built.code, &built.json()["findings"][0]["package"]),
        (1, &json!("glibc")),
        "{}",
        built.stderr
    );
    let found = shared.json(&second, &["build", "tea.yaml"]);
    assert_eq!(found["found"].as_str(), Some(&*shared.cache()));
    shared.tap.forget();
    let there = audit(&shared, &second);
    assert_eq!((there.code, &there.json()["findings"]), (1, &built.json()["findings"]), "{}", there.stderr);
    assert_eq!((uncertain(&there.json()), &*there.stderr), (0, ""));
    assert_eq!(sbom(&shared, &second), sbom(&shared, &first));
    assert_eq!(shared.requests("GET").len(), 0, "it came along");
}

#[test]
fn where_nothing_came_along_that_is_said_and_is_no_all_clear() {
    let (shared, packages) = (Shared::own(), packages());
    let Some(first) = Workspace::new() else { return };
    // It has the base's artifacts, and nothing that was made of them.
    let Some(second) = Workspace::cold() else { return };
    for workspace in [&first, &second] {
        write(workspace, &packages, "tea", &["leaf"]);
        database(workspace);
    }
    // No signature is about what is told: where signatures are demanded, it is not believed.
    first.json(["key", "new", "release"]);
    shared.json(&first, &["build", "tea.yaml", "--push", "--sign", "release"]);
    let key = first.root().join("keys/release.pub");
    let settings = format!("[cache]\ntrusted_keys = [{:?}]\n", key.to_str().unwrap());
    let settings = second.write("settings.toml", &settings);
    let run = |arguments: &[&str]| -> Done {
        let mut command = shared.command(&second, arguments);
        command.env("PROVENV_CONFIG", &settings).output().unwrap().into()
    };
    let found = run(&["-o", "json", "build", "tea.yaml"]).ok();
    assert_eq!(found.json()["found"].as_str(), Some(&*shared.cache()), "{}", found.stderr);
    let asked = ["image", "audit", "tea.yaml", "--database", "osv", "--only", "debian"];
    let unknown = run(&[&["-o", "json"], &asked[..]].concat());
    assert_eq!((unknown.code, &unknown.json()["findings"]), (2, &json!([])), "{}", unknown.stderr);
    assert!(uncertain(&unknown.json()) > 20, "{}", unknown.stdout);
    assert!(unknown.stderr.contains("`provenv build --force`"), "{}", unknown.stderr);
    let text = run(&asked);
    assert!(text.code == 2 && text.stdout.contains("never read here"), "{}", text.stdout);

    // What is said to help does.
    let again = run(&["-o", "json", "build", "tea.yaml", "--force"]).ok();
    assert_eq!(again.json()["reproduced"], true);
    let known = run(&[&["-o", "json"], &asked[..]].concat());
    assert_eq!(
        (known.code, &known.json()["findings"][0]["package"]),
        (1, &json!("glibc")),
        "{}",
        known.stderr
    );
    assert_eq!((uncertain(&known.json()), &*known.stderr), (0, ""));
    let of = |format| run(&["image", "sbom", "tea.yaml", "--format", format]).ok().json();
    assert_eq!(["spdx", "cyclonedx"].map(of).to_vec(), sbom(&shared, &first));
}
