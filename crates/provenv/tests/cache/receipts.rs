//! Who chose what an image is made of is said as it was: what was taken over is not signed as this machine's own.

use serde_json::{Value, json};

use super::{Shared, packages, write};
use crate::support::{Done, Workspace};

fn check<'a>(verified: &'a Value, name: &str) -> Option<&'a Value> {
    verified["checks"].as_array().unwrap().iter().find(|check| check["name"] == name)
}

fn provenance(workspace: &Workspace) -> Value {
    serde_json::from_str(&workspace.run(["image", "provenance", "tea.yaml"]).ok().stdout).unwrap()
}

#[test]
fn what_a_shared_cache_chose_is_not_signed_as_ones_own() {
    let (shared, packages) = (Shared::own(), packages());
    let (Some(first), Some(second)) = (Workspace::new(), Workspace::new()) else { return };
    for workspace in [&first, &second] {
        write(workspace, &packages, "tea", &["leaf"]);
    }
    first.json(["key", "new", "release"]);
    let keys = first.root().join("keys");
    let file = |name: &str| keys.join(name).display().to_string();
    shared.json(&first, &["build", "tea.yaml", "--push", "--sign", "release"]);
    let own = provenance(&first);
    let parameters = |statement: &Value| {
        statement["predicate"]["buildDefinition"]["externalParameters"]["lockTakenFrom"].clone()
    };
    assert!(parameters(&own).is_null(), "{own}");
    let verified = first.json(["image", "verify", "tea.yaml"]);
    assert_eq!(check(&verified, "receipt"), None, "{verified}");

    // Nobody is trusted: whoever may push says when and from what the lock was chosen.
    shared.json(&second, &["build", "tea.yaml"]);
    let taken = provenance(&second);
    assert_eq!(parameters(&taken), json!({ "place": shared.cache() }));
    assert_eq!(taken["predicate"]["runDetails"]["metadata"], own["predicate"]["runDetails"]["metadata"]);
    // It makes the image itself, and so may sign; the lock it has not chosen.
    second.json(["build", "tea.yaml", "--force"]);
    second.json(["key", "new", "second"]);
    second.run(["image", "sign", "tea.yaml", "--key", "second"]).ok();
    let verified = second.json(["image", "verify", "tea.yaml", "--key", "second"]);
    let said = check(&verified, "receipt").expect("it is said");
    assert_eq!(said["outcome"], "skipped", "{verified}");
    assert!(said["detail"].as_str().unwrap().contains(&shared.cache()), "{verified}");
    assert_eq!(verified["lock_taken_from"]["place"], json!(shared.cache()), "{verified}");
    // So what a policy demands of that is not shown by this signature.
    for (rule, name) in [("max_age = \"90d\"", "age"), ("indexes = [\"http://127.0.0.1\"]", "indexes")] {
        second.write("policy.toml", rule);
        let done = second.run([
            "-o",
            "json",
            "image",
            "verify",
            "tea.yaml",
            "--key",
            "second",
            "--policy",
            "policy.toml",
        ]);
        assert_eq!(done.code, 1, "{}", done.stderr);
        let verified = done.json();
        let failed = check(&verified, name).unwrap();
        assert!(failed["outcome"] == "failed", "{verified}");
        assert!(failed["detail"].as_str().unwrap().contains("taken from"), "{verified}");
    }
    // What a policy refuses, it says what it allows instead.
    second.write("policy.toml", "builders = [\"https://ci.example/a\"]\nbases = [\"debian:sid\"]");
    let done = second.run(["image", "verify", "tea.yaml", "--key", "second", "--policy", "policy.toml"]);
    for allowed in
        ["by the policy https://ci.example/a may build", "by the policy debian:sid may be stood on"]
    {
        assert!(done.code == 1 && done.stdout.contains(allowed), "{}", done.stdout);
    }
    assert!(done.stdout.contains("by key second (sha256:"), "{}", done.stdout);
    // It is this machine's own where it chooses itself.
    second.run(["lock", "tea.yaml", "--upgrade"]).ok();
    second.json(["build", "tea.yaml"]);
    assert!(parameters(&provenance(&second)).is_null());

    // A key that is trusted stands for the receipt, and provenance says which.
    let Some(third) = Workspace::new() else { return };
    write(&third, &packages, "tea", &["leaf"]);
    let (cache, key) = (json!(shared.cache()), json!(file("release.pub")));
    let settings =
        third.write("trust.toml", &format!("[cache]\nregistry = {cache}\ntrusted_keys = [{key}]\n"));
    let mut command = third.command();
    command.env("PROVENV_CONFIG", &settings).args(["-o", "json", "build", "tea.yaml"]);
    assert_eq!(Done::from(command.output().unwrap()).ok().json()["cached"], true);
    let from = parameters(&provenance(&third));
    let signer = first.json(["key", "show", "release"])["id"].clone();
    assert_eq!(from, json!({ "place": cache, "signedBy": signer }));
    third.json(["build", "tea.yaml", "--force"]);
    third.json(["key", "new", "third"]);
    third.run(["image", "sign", "tea.yaml", "--key", "third"]).ok();
    third.write("policy.toml", "max_age = \"90d\"");
    let verified = third.json(["image", "verify", "tea.yaml", "--key", "third", "--policy", "policy.toml"]);
    assert_eq!(check(&verified, "receipt").unwrap()["outcome"], "passed", "{verified}");
}

#[test]
fn no_push_is_offline() {
    let workspace = Workspace::empty();
    workspace.write("tea.yaml", "name: tea\n");
    let mut command = workspace.command();
    command.env("PROVENV_CACHE_REGISTRY", "127.0.0.1:1/team");
    let done = Done::from(command.args(["--offline", "build", "tea.yaml", "--push"]).output().unwrap());
    assert!(done.code == 2 && done.stderr.contains("both cannot be"), "{}", done.stderr);
}

#[test]
fn what_a_bundle_brings_is_said_to_be_from_there() {
    let packages = packages();
    let Some(first) = Workspace::new() else { return };
    write(&first, &packages, "tea", &["leaf"]);
    first.json(["build", "tea.yaml"]);
    first.run(["bundle", "export", "tea.yaml", "--to", "tea.tar"]).ok();
    let second = Workspace::empty();
    write(&second, &packages, "tea", &["leaf"]);
    let file = first.path().join("tea.tar").display().to_string();
    second.run(["bundle", "import", &file]).ok();
    let taken = provenance(&second);
    let from = &taken["predicate"]["buildDefinition"]["externalParameters"]["lockTakenFrom"];
    assert_eq!(*from, json!({ "place": "the bundle tea.tar" }));
    // What comes back to where it was made stays its own.
    first.run(["bundle", "import", "tea.tar"]).ok();
    let own = provenance(&first);
    assert!(own["predicate"]["buildDefinition"]["externalParameters"]["lockTakenFrom"].is_null(), "{own}");
}
