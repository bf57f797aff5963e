//! What a registry says is not believed.

use serde_json::{Value, json};

use super::{Done, Shared, packages, write};
use crate::registry::client::INDEX;
use crate::support::Workspace;

fn tag(kind: &str, built: &Value, of: &str) -> String {
    format!("{kind}-{}", built[of].as_str().unwrap().replace("sha256:", ""))
}

#[test]
fn what_was_built_of_another_definition_is_not_taken() {
    let (shared, packages) = (Shared::own(), packages());
    let (Some(first), Some(second)) = (Workspace::new(), Workspace::new()) else { return };
    write(&first, &packages, "tea", &["leaf"]);
    write(&first, &packages, "milk", &["milk"]);
    let tea = shared.json(&first, &["build", "tea.yaml", "--push"]);
    let milk = shared.json(&first, &["build", "milk.yaml", "--push"]);
    let client = shared.server().client();
    let get = |tag: &str| client.get(&format!("/v2/team/environments/manifests/{tag}")).is(200).body;
    // Somebody names the one as the other.
    let other = get(&tag("definition", &milk, "definition"));
    client.manifest("team/environments", &tag("definition", &tea, "definition"), INDEX, &other).is(201);
    write(&second, &packages, "tea", &["leaf"]);
    let done = shared.run(&second, &["-o", "json", "build", "tea.yaml"]).ok();
    assert!(done.stderr.contains("is not taken: it is of another definition"), "{}", done.stderr);
    // It locks by itself, to the same, and finds the image by that.
    assert_eq!(done.json()["image"], tea["image"]);

    // And names the image of the one as that of the other's lock.
    let images = format!("{}-e2", tag("lock", &tea, "lock"));
    client.manifest("team/environments", &images, INDEX, &other).is(201);
    let Some(third) = Workspace::new() else { return };
    write(&third, &packages, "tea", &["leaf"]);
    let done = shared.run(&third, &["-o", "json", "build", "tea.yaml"]).ok();
    assert!(done.stderr.contains("the image that"), "{}", done.stderr);
    assert!(done.stderr.contains("is not taken: it is of another lock"), "{}", done.stderr);
    assert_eq!((&done.json()["image"], &done.json()["cached"]), (&tea["image"], &false.into()));
    // What is no index is none.
    client.manifest("team/environments", &images, INDEX, br#"{"schemaVersion": 2, "manifests": []}"#).is(201);
    let Some(fourth) = Workspace::new() else { return };
    write(&fourth, &packages, "tea", &["leaf"]);
    assert_eq!(shared.json(&fourth, &["build", "tea.yaml"])["image"], tea["image"]);
}

#[test]
fn where_keys_are_trusted_one_of_them_must_have_signed() {
    let (shared, packages) = (Shared::own(), packages());
    let (Some(first), Some(second)) = (Workspace::new(), Workspace::new()) else { return };
    for workspace in [&first, &second] {
        write(workspace, &packages, "tea", &["leaf"]);
    }
    let to = first.path().display().to_string();
    for name in ["release", "other"] {
        first.json(["key", "new", name, "--to", &to]);
    }
    let settings = |key: &str| {
        let (key, cache) = (first.path().join(key).display().to_string(), shared.cache());
        let text = json!({ "registry": cache, "trusted_keys": [key] });
        let text =
            format!("[cache]\nregistry = {}\ntrusted_keys = {}\n", text["registry"], text["trusted_keys"]);
        first.write(&format!("{}.toml", key.replace('/', "_")), &text)
    };
    let build = |workspace: &Workspace, key: &str| -> Done {
        let mut command = workspace.command();
        command.env("PROVENV_CONFIG", settings(key)).args(["-o", "json", "build", "tea.yaml"]);
        Done::from(command.output().unwrap()).ok()
    };
    shared.json(&first, &["build", "tea.yaml", "--push"]);
    let done = build(&second, "release.pub");
    assert!(done.stderr.contains("no trusted key vouches for it"), "{}", done.stderr);
    assert_eq!(done.json()["cached"], false);

    let private = first.path().join("release.key").display().to_string();
    shared.json(&first, &["build", "tea.yaml", "--push", "--sign", &private]);
    for (key, taken) in [("other.pub", false), ("release.pub", true)] {
        let Some(workspace) = Workspace::new() else { return };
        write(&workspace, &packages, "tea", &["leaf"]);
        let done = build(&workspace, key);
        assert_eq!(done.json()["cached"], taken, "{}", done.stderr);
        assert_eq!(done.stderr.contains("no trusted key vouches for it"), !taken, "{}", done.stderr);
        // What was signed came along, and is as good here.
        if taken {
            let public = first.path().join(key).display().to_string();
            workspace.run(["image", "verify", "tea.yaml", "--key", &public]).ok();
        }
    }

    // In another form, which nobody has signed, it takes the place of none.
    let other = shared.json(&first, &["build", "tea.yaml", "--push", "--compression", "zstd"]);
    let Some(third) = Workspace::new() else { return };
    write(&third, &packages, "tea", &["leaf"]);
    let done = build(&third, "release.pub");
    assert!(!done.stderr.contains("no trusted key vouches for it"), "{}", done.stderr);
    assert_eq!((&done.json()["cached"], &done.json()["lock"]), (&true.into(), &other["lock"]));
}
