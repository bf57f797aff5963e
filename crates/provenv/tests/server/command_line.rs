//! The command line with a workspace on a server.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};

use super::team::Team;
use crate::support::{Done, command, definition, serve};

#[test]
fn a_workspace_on_a_server_is_used_as_one_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    fs_err::write(folder.path().join("environment.yaml"), definition(&index, "tea", &["tea"])).unwrap();
    let token = team.token("ann", Some("contributor"));
    let run = |arguments: &[&str]| {
        Done::from(team.command(folder.path(), &token).args(arguments).output().unwrap())
    };
    let json = |arguments: &[&str]| {
        let mut all = vec!["-o", "json"];
        all.extend(arguments);
        run(&all).ok().json()
    };
    let registered = json(&["env", "register", "environment.yaml"]);
    assert_eq!(
        (&registered["name"], &registered["version"], &registered["created"]),
        (&"tea".into(), &"1".into(), &true.into())
    );
    let listed = json(&["env", "list"]);
    assert_eq!(listed[0]["created_by"], "ann");
    assert!(run(&["env", "show", "tea"]).ok().stdout.contains("by ann"));
    // The digest of the file is the same here and there.
    let here = Done::from(
        command(&folder.path().join("own"))
            .current_dir(folder.path())
            .args(["env", "digest", "environment.yaml"])
            .output()
            .unwrap(),
    );
    assert_eq!(run(&["env", "digest", "tea:1"]).ok().stdout, here.ok().stdout);
    let built = run(&["-o", "json", "build", "tea"]).ok();
    assert!(built.stderr.contains("attempt 1"), "{}", built.stderr);
    let image = built.json();
    assert_eq!((&image["cached"], &image["lock"]), (&false.into(), &registered["lock"]));
    assert_eq!(run(&["-q", "build", "tea"]).ok().stdout.trim(), image["image"]);
    let builds = json(&["builds", "list"]);
    assert_eq!(builds.as_array().unwrap().len(), 2);
    let job = builds.as_array().unwrap().iter().find(|job| job["attempts"] == 1).unwrap();
    let id = job["id"].as_str().unwrap();
    for follow in [&["builds", "logs", id][..], &["builds", "logs", id, "--follow"]] {
        assert!(run(follow).ok().stdout.contains("attempt 1"));
    }
    assert!(run(&["builds", "show", id]).ok().stdout.contains("tea:1"));
    assert_eq!(json(&["builds", "retry", id])["image"], image["image"]);
    let late = run(&["builds", "cancel", id]);
    assert!(late.code == 1 && late.stderr.contains("it ended before (succeeded)"), "{}", late.stderr);
    assert!(late.stderr.contains(&format!("hint: `provenv builds show {id}`")), "{}", late.stderr);
    // The lock comes as it was hashed, and builds the same image anywhere.
    run(&["lock", "tea", "--file", "tea.lock.json"]).ok();
    let bytes = fs_err::read(folder.path().join("tea.lock.json")).unwrap();
    assert_eq!(serde_json::json!(Digest::of(&bytes)), registered["lock"]);
    for (arguments, why) in [
        (&["env", "show", "coffee"][..], "there is no environment `coffee`"),
        (&["env", "show", "tae"], "did you mean `tea`?"),
        (&["env", "history", "te"], "did you mean `tea`?"),
        (&["build", "teaa:1"], "did you mean `tea`?"),
        (&["upgrade", "eta"], "did you mean `tea`?"),
        (&["store", "gc"], "`store` is not for a workspace on a server: the store of a server is its own"),
        (&["image", "sign", "tea", "--key", "me"], "`image sign` is not for a workspace on a server"),
        (&["builds", "show", "nothing"], "there is no build `nothing`"),
    ] {
        let done = run(arguments);
        assert_ne!(done.code, 0);
        assert!(done.stderr.contains(why) && done.stderr.contains("hint:"), "{arguments:?}: {}", done.stderr);
    }
}

#[test]
fn a_token_is_kept_for_its_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let team = Team::start(folder.path());
    let token = team.token("ann", Some("reader"));
    let config = folder.path().join("config");
    let run = |arguments: &[&str], input: &str| {
        let mut command = command(Path::new("/nonexistent"));
        command.env("XDG_CONFIG_HOME", &config).env_remove("PROVENV_TOKEN").env_remove("PROVENV_WORKSPACE");
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Whoever reads nothing closes it.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        Done::from(child.wait_with_output().unwrap())
    };
    let place = format!("{}/default", team.url());
    let list = ["--workspace", &place, "env", "list"];
    let done = run(&list, "");
    assert!(
        done.stderr.contains("nobody has logged in") && done.stderr.contains("provenv login"),
        "{}",
        done.stderr
    );
    let done = run(&["login", team.url(), "--token", "-"], "pvt_wrong\n");
    assert!(done.code == 1 && done.stderr.contains("does not hold"), "{}", done.stderr);
    let done = run(&["login", team.url(), "--token", "-"], &format!("{token}\n")).ok();
    assert!(done.stdout.contains("as ann") && !done.stdout.contains(&token), "{}", done.stdout);
    let file = config.join("provenv/tokens.json");
    assert_eq!(fs_err::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    run(&list, "").ok();
    let done = run(&["--workspace", &place, "env", "register", "/dev/null", "--name", "tea"], "");
    assert_ne!(done.code, 0);
    run(&["logout", team.url()], "").ok();
    assert_ne!(run(&list, "").code, 0);
    let done = run(&["login", "http://envs.example.org", "--token", "-"], "pvt_x");
    assert!(done.stderr.contains("http would show your token"), "{}", done.stderr);
}
