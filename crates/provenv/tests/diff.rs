//! `provenv env diff`: what two environments ask for, and their packages; by name, file, lock, image and export.

use provenv_testing::pypi::{Index, Wheel};

use crate::support::{Workspace, definition, serve};

const OLD: &str = "name: tea\ndescription: green\npython: \"3.11\"\nsystem_packages: [git]\nconda_file: {channels: [a, b], dependencies: [numpy=1.26, scipy]}\npip: [requests>=2, gone]\nenvironment_variables: {API_TOKEN: hunter1, CUPS: '3'}\ntags: {team: a}\n";
const NEW: &str = "name: pot\ndescription: black\npython: \"3.12\"\nsystem_packages: [git=1:2.39]\nconda_file: {channels: [b, a], dependencies: [numpy=2, scipy]}\npip: [requests>=2.1, new]\nenvironment_variables: {API_TOKEN: hunter2, CUPS: '4'}\ntags: {team: b}\n";

#[test]
fn two_definitions_that_nobody_locked_are_compared_by_what_they_ask_for() {
    let workspace = Workspace::empty();
    workspace.write("old.yaml", OLD);
    workspace.write("new.yaml", NEW);
    let done = workspace.run(["env", "diff", "old.yaml", "new.yaml"]).ok();
    insta::assert_snapshot!(done.stdout, @r"
    asked for
    ~ system_packages git → git=1:2.39
    ~ python 3.11 → 3.12
    ~ channels a, b → b, a
    ~ conda numpy=1.26 → numpy=2
    - pip gone
    + pip new
    ~ pip requests>=2 → requests>=2.1
    ~ environment_variables API_TOKEN: *** → ***
    ~ environment_variables CUPS: 3 → 4
    ~ description green → black
    ~ tags team: a → b
    ");
    insta::assert_snapshot!(done.stderr, @"note: packages are not compared: neither was ever locked in this workspace, which `provenv lock` does");
    assert!(!done.stdout.contains("hunter"), "a token is no text to show");
    let json = workspace.json(["env", "diff", "old.yaml", "new.yaml"]);
    assert!(
        json["packages"].is_null() && json["notes"][0].as_str().unwrap().contains("not compared"),
        "{json}"
    );
    let counts: Vec<&str> = json["asked"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["counts"] == true)
        .map(|one| one["part"].as_str().unwrap())
        .collect();
    assert_eq!(counts, ["system_packages", "python", "channels", "conda", "pip", "pip", "pip"]);
    // Another order of packages and another spelling are no difference, and another name is none.
    workspace.write(
        "same.yaml",
        &OLD.replace("[requests>=2, gone]", "[gone, Requests >= 2]").replace("name: tea", "name: x"),
    );
    let same = workspace.run(["env", "diff", "old.yaml", "same.yaml", "--exit-code", "-q"]).ok();
    assert_eq!((&*same.stdout, &*same.stderr), ("no difference\n", ""));
    assert_eq!(workspace.run(["env", "diff", "old.yaml", "new.yaml", "--exit-code"]).code, 1);
    let trouble = workspace.run(["env", "diff", "old.yaml", "nothing:7", "--exit-code"]);
    assert_eq!(trouble.code, 2, "{}", trouble.stderr);
}

#[test]
fn names_files_locks_images_and_exports_are_compared_by_their_packages() {
    let Some(workspace) = Workspace::new() else { return };
    let wheel =
        |version: &str| Wheel::new("leaf", version).file("leaf/__init__.py", format!("V = {version:?}\n"));
    let server = serve(&Index::new().add(wheel("1.0")).add(wheel("2.0")).add(Wheel::new("cup", "1.0")));
    workspace.write("old.yaml", &definition(&server, "tea", &["leaf==1.0"]));
    workspace.write("new.yaml", &definition(&server, "tea", &["leaf==2.0", "cup"]));
    workspace.json(["env", "register", "old.yaml"]);

    // What the edited file would change: it is locked for it.
    let done = workspace.run(["env", "diff", "tea", "new.yaml"]).ok();
    // Sizes are those of the day's archives.
    insta::with_settings!({filters => vec![(r"\d[\d.]* (B|KiB|MiB)", "[SIZE]"), (r"all: \d+ → \d+ packages, .*", "all: [N] → [N] packages, [SIZE]")]}, {
        insta::assert_snapshot!(done.stdout, @r"
        asked for
        + pip cup
        ~ pip leaf==1.0 → leaf==2.0
        packages
        + pypi cup 1.0 ([SIZE])
        ~ pypi leaf 1.0 → 2.0 ([SIZE] → [SIZE])
          pypi: 1 added, 1 changed; 1 → 2 packages, [SIZE] → [SIZE]
          all: [N] → [N] packages, [SIZE]
        ");
    });
    let by_name = workspace.json(["env", "diff", "tea", "new.yaml"]);
    let packages = by_name["packages"].clone();
    assert_eq!(packages["linux/amd64"]["ecosystems"]["pypi"]["added"][0]["name"], "cup");

    // The same two by whatever names them.
    workspace.json(["lock", "old.yaml"]);
    workspace.json(["lock", "new.yaml"]);
    let old_image = workspace.json(["build", "tea", "--to", "oci:layout:old", "--to", "oci-archive:old.tar"]);
    let new_image =
        workspace.json(["build", "new.yaml", "--to", "oci:layout:new", "--to", "docker-archive:new.tar"]);
    let digest = |built: &serde_json::Value, key: &str| built[key].as_str().unwrap().to_owned();
    for (old, new) in [
        ("old.lock.json".to_owned(), "new.lock.json".to_owned()),
        (digest(&old_image, "image"), digest(&new_image, "image")),
        (digest(&old_image, "lock"), digest(&new_image, "lock")),
        (digest(&old_image, "image")[7..20].to_owned(), "new.lock.json".to_owned()),
        ("oci:layout:old".to_owned(), "docker-archive:new.tar".to_owned()),
        ("oci-archive:old.tar".to_owned(), "oci:layout:new".to_owned()),
        ("tea:1".to_owned(), "new.lock.json".to_owned()),
    ] {
        let json = workspace.json(["env", "diff", &old, &new]);
        assert_eq!(json["packages"], packages, "{old} {new}");
        assert_eq!(json["asked"], by_name["asked"], "the workspace knows the definitions of {old} {new}");
        assert_eq!(workspace.run(["env", "diff", &old, &old, "--exit-code"]).ok().stdout, "no difference\n");
    }
    let several = workspace.run(["env", "diff", "oci:layout", "tea"]);
    assert!(several.code == 2 && several.stderr.contains("several images"), "{}", several.stderr);
    let other = workspace.run(["env", "diff", "tea", "new.yaml", "--platform", "linux/arm64"]);
    assert!(
        other.code == 1 && other.stderr.contains("the lock has nothing for linux/arm64"),
        "{}",
        other.stderr
    );
    let asked = workspace.json(["env", "diff", "tea", "new.yaml", "--asked"]);
    assert!(asked["packages"].is_null(), "{asked}");

    // Of the locks of other tools, what they speak of.
    for (of, file) in [("tea", "old/pylock.toml"), ("new.yaml", "new/pylock.toml")] {
        fs_err::create_dir_all(workspace.path().join(file).parent().unwrap()).unwrap();
        workspace.run(["env", "export", of, "--format", "pylock", "--locked", "--to", file]).ok();
    }
    let json = workspace.json(["env", "diff", "old/pylock.toml", "new/pylock.toml"]);
    let ecosystems = |packages: &serde_json::Value| packages["linux/amd64"]["ecosystems"].clone();
    assert_eq!(ecosystems(&json["packages"]), ecosystems(&packages));
    let json = workspace.json(["env", "diff", "old/pylock.toml", "tea"]);
    assert_eq!(ecosystems(&json["packages"]), serde_json::json!({}), "of Debian's it says nothing");

    // Elsewhere nobody knows the definitions, and locks are compared all the same.
    let elsewhere = Workspace::empty();
    for file in ["old.lock.json", "new.lock.json"] {
        fs_err::copy(workspace.path().join(file), elsewhere.path().join(file)).unwrap();
    }
    let json = elsewhere.json(["env", "diff", "old.lock.json", "new.lock.json"]);
    assert_eq!(json["packages"], packages);
    assert!(
        json["asked"].is_null() && json["notes"][0].as_str().unwrap().contains("`old.lock.json`"),
        "{json}"
    );
}
