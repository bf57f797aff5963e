//! What a collection leaves by policy: images that were used of late, and registered versions unless it is told otherwise.

use std::process::Command;

use provenv_testing::pypi::{Index, Sdist, Wheel};
use provenv_testing::server::Server;
use serde_json::{Value, json};

use crate::support::{Done, Workspace, command, definition, have, serve};

fn index() -> Index {
    ["one", "two", "three"].iter().fold(Index::new(), |index, name| {
        index.add(Wheel::new(name, "1.0").file(&format!("{name}.py"), format!("NAME = '{name}'\n")))
    })
}

/// A workspace in which a file for each package was built, in this order.
fn built(server: &Server) -> Option<(Workspace, [String; 3])> {
    let workspace = Workspace::new()?;
    let images = ["one", "two", "three"].map(|name| {
        workspace.write(&format!("{name}.yaml"), &definition(server, name, &[name]));
        image_of(&workspace, &format!("{name}.yaml"))
    });
    Some((workspace, images))
}

fn image_of(workspace: &Workspace, what: &str) -> String {
    workspace.json(["build", what])["image"].as_str().unwrap().to_owned()
}

/// The digests of the images in a list of them.
fn digests(images: &Value) -> Vec<&str> {
    let mut digests: Vec<&str> =
        images.as_array().unwrap().iter().map(|image| image["digest"].as_str().unwrap()).collect();
    digests.sort_unstable();
    digests
}

fn sorted<const N: usize>(mut digests: [&str; N]) -> Vec<&str> {
    digests.sort_unstable();
    digests.to_vec()
}

/// The binary on another day.
fn later(workspace: &Workspace, time: &str, arguments: &[&str]) -> Done {
    let mut wrapped = Command::new("faketime");
    wrapped.arg(time).arg(env!("CARGO_BIN_EXE_provenv")).args(arguments).current_dir(workspace.path());
    for (name, value) in command(&workspace.root()).get_envs() {
        wrapped.env(name, value.unwrap_or_default());
    }
    wrapped.output().unwrap().into()
}

#[test]
fn a_dry_run_lists_each_thing_with_its_bytes_and_removes_nothing() {
    let server = serve(&index());
    let Some((workspace, images)) = built(&server) else { return };
    let before = workspace.json(["store", "stats"]);
    let plan = workspace.json(["store", "gc", "--dry-run"]);
    assert_eq!(workspace.json(["store", "stats"]), before);
    let [one, two, three] = &images;
    assert_eq!(digests(&plan["images"]), sorted([one, two, three]));
    let items = plan["removed"].as_array().unwrap();
    let total: u64 = items.iter().map(|item| item["bytes"].as_u64().unwrap()).sum();
    assert_eq!(plan["bytes"], total);
    let wheel = items.iter().find(|item| item["what"] == "one-1.0-py3-none-any.whl").unwrap();
    assert!(wheel["kind"] == "blob" && wheel["id"].as_str().unwrap().starts_with("sha256:"), "{wheel}");

    let text = workspace.run(["store", "gc", "--dry-run"]).ok().stdout;
    assert_eq!(text.lines().count(), items.len() + images.len() + 1, "{text}");
    assert!(text.contains(&format!("image {one} (never registered, used ")), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.contains(&format!("in {} objects would be removed", items.len())), "{last}");

    let done = workspace.json(["store", "gc"]);
    assert_eq!((&done["removed"], &done["images"]), (&plan["removed"], &plan["images"]));
    assert_eq!(workspace.json(["image", "list"]), json!([]));
}

#[test]
fn the_images_used_last_stay() {
    let server = serve(&index());
    let Some((workspace, [one, two, three])) = built(&server) else { return };
    let plan = workspace.json(["store", "gc", "--keep-last", "5", "--dry-run"]);
    assert_eq!(plan["images"], json!([]));
    workspace.json(["store", "gc", "--keep-last", "2"]);
    assert_eq!(digests(&workspace.json(["image", "list"])), sorted([&two, &three]));
    // They need no network, and the one that went comes back the same.
    for name in ["two", "three"] {
        let import = format!("import {name}");
        workspace.run(["--offline", "run", &format!("{name}.yaml"), "--", "python", "-c", &import]).ok();
    }
    assert_eq!(image_of(&workspace, "one.yaml"), one);
    // The order is that of use, and not that of making.
    assert_eq!(digests(&workspace.json(["store", "gc", "--keep-last", "2"])["images"]), [two]);
    assert_eq!(digests(&workspace.json(["image", "list"])), sorted([&one, &three]));
}

#[test]
fn what_was_used_of_late_stays() {
    let server = serve(&index());
    let Some((workspace, [one, two, three])) = built(&server) else { return };
    if !have("faketime") {
        return;
    }
    later(&workspace, "+10 days", &["build", "two.yaml"]).ok();
    later(&workspace, "+10 days", &["run", "three.yaml", "--", "true"]).ok();
    let gc = |age| {
        let done = later(&workspace, "+12 days", &["-o", "json", "store", "gc", "--keep-used-within", age]);
        done.ok().json()["images"].clone()
    };
    assert_eq!(gc("2w"), json!([]));
    assert_eq!(digests(&gc("3d")), [one]);
    assert_eq!(gc("49h"), json!([]));
    assert_eq!(digests(&gc("1")), sorted([&two, &three]));
}

#[test]
fn registered_versions_stay_unless_it_is_told() {
    let server = serve(&index().add(Sdist::new("brew", "1.0")));
    let Some(workspace) = Workspace::new() else { return };
    let mut images = Vec::new();
    for packages in [&["brew"][..], &["one", "brew"], &["two"]] {
        workspace.write("tea.yaml", &definition(&server, "tea", packages));
        workspace.json(["env", "register", "tea.yaml"]);
        images.push(image_of(&workspace, "tea"));
    }
    let [first, second, third] = [&images[0], &images[1], &images[2]];
    // Neither by default nor by any other policy.
    for options in
        [&[][..], &["--keep-last", "1"], &["--keep-used-within", "0"], &["--keep-last", "0", "--all"]]
    {
        let mut arguments = vec!["store", "gc"];
        arguments.extend(options);
        assert_eq!(workspace.json(&arguments)["images"], json!([]), "{options:?}");
    }
    let refused = workspace.run(["store", "gc", "--include-registered"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("which are to stay") && refused.stderr.contains("--keep-last"),
        "{}",
        refused.stderr
    );

    let gc = workspace.json(["store", "gc", "--include-registered", "--keep-last", "2"]);
    assert_eq!(
        (digests(&gc["images"]), &gc["images"][0]["environments"]),
        (vec![&**first], &json!(["tea:1"]))
    );
    let gc = workspace.json(["store", "gc", "--include-registered", "--keep-last", "0"]);
    assert_eq!(digests(&gc["images"]), sorted([second, third]));
    assert_eq!(workspace.json(["image", "list"]), json!([]));

    // They are registered all the same, and come out the same: what an sdist became was kept, the rest is fetched.
    assert_eq!(workspace.json(["env", "list", "--all"]).as_array().unwrap().len(), 3);
    let offline = workspace.run(["--offline", "build", "tea:3"]);
    assert_eq!(offline.code, 1, "{}", offline.stdout);
    assert!(
        offline.stderr.contains("network is not to be used") && offline.stderr.contains("hint:"),
        "{}",
        offline.stderr
    );
    for (version, image) in ["tea:1", "tea:2", "tea:3"].iter().zip(&images) {
        assert_eq!(&image_of(&workspace, version), image, "{version}");
    }
}

#[test]
fn settings_say_what_stays() {
    let server = serve(&index());
    let Some((workspace, [one, two, three])) = built(&server) else { return };
    let with = |settings: &str, arguments: &[&str]| -> Done {
        let file = workspace.write("settings.toml", settings);
        let mut command = workspace.command();
        command.env("PROVENV_CONFIG", file).args(["-o", "json"]).args(arguments);
        command.output().unwrap().into()
    };
    let month = "[store]\nkeep_used_within = \"30d\"\n";
    assert_eq!(with(month, &["store", "gc"]).ok().json()["images"], json!([]));
    // What is asked goes before.
    let asked = with(month, &["store", "gc", "--keep-used-within", "0", "--dry-run"]).ok().json();
    assert_eq!(digests(&asked["images"]), sorted([&one, &two, &three]));
    let last = with("[store]\nkeep_last = 1\n", &["store", "gc"]).ok().json();
    assert_eq!(digests(&last["images"]), sorted([&one, &two]));
    let wrong = with("[store]\nkeep_used_within = \"a while\"\n", &["store", "gc"]);
    assert_eq!(wrong.code, 1);
    for part in ["settings.toml", "line 2", "a while", "30d"] {
        assert!(wrong.stderr.contains(part), "{part}: {}", wrong.stderr);
    }
    let refused = workspace.run(["store", "gc", "--keep-used-within", "soon"]);
    assert_eq!((refused.code, refused.stderr.contains("30d, 12h or 4w")), (2, true), "{}", refused.stderr);
}
