//! Locks as files: what one machine locked is built, run and registered on another, exactly, and nothing is resolved there.

use std::process::{Child, Stdio};

use provenv_testing::pypi::{Index, Sdist, Wheel};
use provenv_testing::server::{Fault, Server};

use crate::support::{Done, Workspace, definition, serve};

fn index() -> Index {
    Index::new().add(Wheel::new("leaf", "1.0").file("leaf/__init__.py", "KIND = 'green'\n"))
}

/// An index that has moved on, in the place of `server`'s.
fn move_on(server: &Server) -> Server {
    let newer = serve(&index().add(Wheel::new("leaf", "2.0").file("leaf/__init__.py", "KIND = 'black'\n")));
    server.fault_always("/simple/leaf/", Fault::Redirect(newer.at("/simple/leaf/")));
    newer
}

#[test]
fn what_one_machine_locked_another_builds_runs_and_registers() {
    let server = serve(&index());
    let Some(first) = Workspace::new() else { return };
    let text = definition(&server, "tea", &["leaf"]);
    first.write("tea.yaml", &text);
    let locked = first.json(["lock", "tea.yaml"]);
    let image = first.json(["build", "tea.yaml"])["image"].clone();
    let lock = fs_err::read_to_string(first.path().join("tea.lock.json")).unwrap();

    let _newer = move_on(&server);
    let second = Workspace::new().unwrap();
    second.write("tea.yaml", &text);
    second.write("tea.lock.json", &lock);
    let checked = second.json(["lock", "tea.yaml", "--check"]);
    assert_eq!((&checked["lock"], &checked["packages"]), (&locked["lock"], &locked["packages"]));
    let asked = server.hits("/simple/leaf/");
    let built = second.json(["build", "tea.yaml", "--lock", "tea.lock.json"]);
    assert_eq!((&built["image"], &built["lock"]), (&image, &locked["lock"]));
    assert_eq!(second.json(["build", "tea.yaml", "--lock", "tea.lock.json"])["cached"], true);
    // From then on it is this workspace's lock of that definition.
    let kind = second.run(["run", "tea.yaml", "--", "python", "-c", "import leaf; print(leaf.KIND)"]).ok();
    assert_eq!(kind.stdout, "green\n");
    assert_eq!(second.run(["lock", "tea.yaml", "--file", "-"]).ok().stdout, lock);
    assert_eq!(server.hits("/simple/leaf/"), asked, "nothing was resolved");
    let receipt = second.json(["env", "show", "tea.yaml", "--receipt"]);
    assert_eq!((&receipt["from_file"], &receipt["lock"]), (&true.into(), &locked["lock"]));
    let own = first.json(["env", "show", "tea.yaml", "--receipt"]);
    assert!(own["from_file"].is_null());
    // Who resolved it says which indexes were asked: Debian's, and that of the Python packages.
    let asked: Vec<&str> =
        own["indexes"].as_array().unwrap().iter().map(|index| index["url"].as_str().unwrap()).collect();
    assert!(asked.iter().any(|url| url.starts_with(&server.at("/simple"))), "{asked:?}");

    // Registered by its lock; another lock of the same definition is another version.
    let register = |lock: &str| second.json(["env", "register", "tea.yaml", "--lock", lock]);
    let one = register("tea.lock.json");
    assert_eq!((&one["version"], &one["lock"]), (&"1".into(), &locked["lock"]));
    first.json(["lock", "tea.yaml", "--upgrade", "--file", "new.lock.json"]);
    fs_err::copy(first.path().join("new.lock.json"), second.path().join("new.lock.json")).unwrap();
    let two = register("new.lock.json");
    assert_eq!((&two["version"], &two["created"]), (&"2".into(), &true.into()));
    assert_ne!(two["lock"], one["lock"]);
    let again = register("tea.lock.json");
    assert_eq!((&again["version"], &again["created"]), (&"1".into(), &false.into()));
    assert_eq!(second.json(["env", "show", "tea:2", "--receipt"])["lock"], two["lock"]);
    assert_eq!(second.json(["build", "tea:1", "--lock", "tea.lock.json"])["image"], image);
    second.json(["lock", "tea:1", "--check", "--file", "tea.lock.json"]);

    let refused = |arguments: &[&str], said: &str| {
        let done = second.run(arguments);
        assert_eq!(done.code, 1, "{}", done.stdout);
        assert!(done.stderr.contains(said) && done.stderr.contains("hint:"), "{said}: {}", done.stderr);
    };
    refused(&["build", "tea:2", "--lock", "tea.lock.json"], "is not the lock of tea:2");
    refused(&["lock", "tea:2", "--check", "--file", "tea.lock.json"], "is not the lock of tea:2");
    refused(&["env", "register", "tea.yaml", "--version", "1", "--lock", "new.lock.json"], "another lock");
}

#[test]
fn a_lock_that_does_not_fit_is_refused() {
    let server = serve(&index().add(Sdist::new("root", "1.0")));
    let Some(workspace) = Workspace::new() else { return };
    workspace.write("tea.yaml", &definition(&server, "tea", &["leaf"]));
    workspace.json(["lock", "tea.yaml"]);
    let lock = fs_err::read_to_string(workspace.path().join("tea.lock.json")).unwrap();
    workspace.write("changed.yaml", &definition(&server, "tea", &["leaf==1.0"]));
    workspace.write("half.json", &lock[..lock.len() / 2]);
    workspace.write("newer.json", &lock.replacen("\"format\": 1", "\"format\": 999", 1));
    workspace.write("other.json", "{}");
    workspace.write("none.json", &lock.replace("linux/amd64", "linux/arm64"));
    for (definition, lock, said) in [
        ("changed.yaml", "tea.lock.json", "is of another definition"),
        ("tea.yaml", "half.json", "`half.json` is not a lock"),
        ("tea.yaml", "newer.json", "has format 999"),
        ("tea.yaml", "other.json", "`other.json` is not a lock"),
        ("tea.yaml", "none.json", "has nothing for linux/amd64"),
        ("tea.yaml", "missing.json", "missing.json"),
    ] {
        for arguments in
            [&["build", definition, "--lock", lock][..], &["lock", definition, "--check", "--file", lock]]
        {
            let done = workspace.run(arguments);
            assert_eq!(done.code, 1, "{said}: {}", done.stdout);
            assert!(done.stderr.contains(said), "{said}: {}", done.stderr);
        }
    }
    let never = workspace.run(["env", "show", "changed.yaml", "--receipt"]);
    assert!(never.code == 1 && never.stderr.contains("was never locked"), "{}", never.stderr);

    // A wheel that one store built is in no index.
    workspace.write("root.yaml", &definition(&server, "root", &["root"]));
    workspace.json(["lock", "root.yaml"]);
    let other = Workspace::new().unwrap();
    for file in ["root.yaml", "root.lock.json"] {
        fs_err::copy(workspace.path().join(file), other.path().join(file)).unwrap();
    }
    workspace.json(["build", "root.yaml", "--lock", "root.lock.json"]);
    let done = other.run(["build", "root.yaml", "--lock", "root.lock.json"]);
    assert!(done.code == 1 && done.stderr.contains("was built elsewhere"), "{}", done.stderr);
}

#[test]
fn a_strangers_lock_gets_no_secret_no_path_and_no_say() {
    let server = serve(&index());
    let stranger = serve(&index());
    let Some(workspace) = Workspace::new() else { return };
    workspace.write("tea.yaml", &definition(&server, "tea", &["leaf"]));
    workspace.json(["lock", "tea.yaml"]);
    let text = fs_err::read_to_string(workspace.path().join("tea.lock.json")).unwrap();
    let other = Workspace::new().unwrap();
    other.write("tea.yaml", &definition(&server, "tea", &["leaf"]));
    let hostile = |field: &str, value: serde_json::Value| {
        let mut lock: serde_json::Value = serde_json::from_str(&text).unwrap();
        *lock["platforms"]["linux/amd64"].pointer_mut(field).unwrap() = value;
        other.write("hostile.json", &lock.to_string());
        let mut build = other.command();
        build.args(["build", "tea.yaml", "--lock", "hostile.json"]).env("MY_CLOUD_SECRET", "hunter2");
        let done = Done::from(build.output().unwrap());
        assert_eq!(done.code, 1, "{field}: {}", done.stdout);
        done.stderr
    };
    let url = "/pypi/0/source/wheel/url";
    for path in ["/x/${MY_CLOUD_SECRET}/leaf.whl", "/x/%24%7bMY_CLOUD_SECRET%7d/leaf.whl"] {
        let said = hostile(url, stranger.at(path).into());
        assert!(said.contains("leaf has a URL with a variable"), "{said}");
    }
    assert_eq!(stranger.hits("/x/hunter2/leaf.whl"), 0);
    let said = hostile(url, "file:///etc/passwd".into());
    assert!(said.contains("in no folder that the definition names"), "{said}");
    let said = hostile("/debian/0/name", "../../../PWNED".into());
    assert!(said.contains("is not the name of a Debian package"), "{said}");
    let said = hostile("/python/executable", "../../etc/shadow".into());
    assert!(said.contains("is not `/usr/bin/python3.11`"), "{said}");
    let lock: serde_json::Value = serde_json::from_str(&text).unwrap();
    let swapped = lock["platforms"]["linux/amd64"]["debian"][1]["artifact"].clone();
    let said = hostile("/debian/0/artifact", swapped);
    assert!(said.contains("the lock names base-files ") && said.contains(" is base-passwd "), "{said}");
    // A lock that no image came of is nobody's.
    let said = hostile(url, stranger.at("/nothing.whl").into());
    assert!(said.contains("nothing.whl"), "{said}");
    assert_eq!(other.run(["env", "show", "tea.yaml", "--receipt"]).code, 1);
    other.json(["build", "tea.yaml"]);
    assert_eq!(stranger.hits("/nothing.whl"), 1);
}

#[test]
fn of_two_upgrades_at_once_one_goes_ahead() {
    let server = serve(&index());
    let Some(workspace) = Workspace::new() else { return };
    workspace.write("tea.yaml", &definition(&server, "tea", &["leaf"]));
    workspace.json(["env", "register", "tea.yaml"]);
    let _newer = move_on(&server);
    let begun: Vec<Child> = (0..2)
        .map(|_| {
            let mut upgrade = workspace.command();
            upgrade.args(["upgrade", "tea", "-o", "json"]);
            upgrade.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut ends: Vec<_> = begun
        .into_iter()
        .map(|upgrade| {
            let done = Done::from(upgrade.wait_with_output().unwrap()).ok().json();
            (done["from"].clone(), done["to"].clone())
        })
        .collect();
    ends.sort_by_key(|(from, _)| from.to_string());
    // The second starts from what the first has registered, and finds nothing newer.
    assert_eq!(ends, [("1".into(), "2".into()), ("2".into(), serde_json::Value::Null)]);
    assert_eq!(workspace.json(["env", "list", "tea"]).as_array().unwrap().len(), 2);
}
