//! Packages, networks and credentials.

use std::net::TcpListener;
use std::process::Command;

use super::{build, index, refusal, regex_escape, with_packages};
use crate::support::{Done, PYTHON, Workspace, definition, serve};

#[test]
fn packages_that_cannot_be_had_are_explained() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    let wanted = |packages: &[&str]| with_packages(&workspace, &server, packages);
    assert_refusal!(workspace, wanted(&["no-such-package"]), @r#"
    1
    error: no index has the package `no-such-package`
      --> environment.yaml:5:3
      |
    5 | - no-such-package
      |   ^^^^^^^^^^^^^^^
    No solution found when resolving dependencies
      cause: Because no-such-package was not found in the package registry and you require no-such-package, we can conclude that your requirements are unsatisfiable.
    hint: check the spelling of `no-such-package`, and that the index that has it is among the definition's
    "#);
    assert_refusal!(workspace, wanted(&["tea>=7"]), @r#"
    1
    error: no choice of versions satisfies the requirements
      --> environment.yaml:5:3
      |
    5 | - tea>=7
      |   ^^^^^^
    No solution found when resolving dependencies
      cause: Because only tea==1.0 is available and you require tea>=7, we can conclude that your requirements are unsatisfiable.
    hint: loosen or drop one of the bounds that are named above
    "#);
    assert_refusal!(workspace, wanted(&["pot", "cup"]), @r#"
    1
    error: no choice of versions satisfies the requirements
      --> environment.yaml:5:3
      |
    5 | - pot
      |   ^^^
      --> environment.yaml:6:3
      |
    6 | - cup
      |   ^^^
    No solution found when resolving dependencies
      cause: Because all versions of cup depend on leaf>=2 and all versions of pot depend on leaf<1.5, we can conclude that all versions of cup and all versions of pot are incompatible.
             And because you require pot and cup, we can conclude that your requirements are unsatisfiable.
    hint: loosen or drop one of the bounds that are named above
    "#);
    assert_refusal!(workspace, wanted(&["newer"]), @r#"
    1
    error: a package is not made for Python 3.11.x
      --> environment.yaml:5:3
      |
    5 | - newer
      |   ^^^^^
    No solution found when resolving dependencies
      cause: Because the current Python version (3.11.x) does not satisfy Python>=3.14 and newer==1.0 depends on Python>=3.14, we can conclude that newer==1.0 cannot be used.
             And because only newer==1.0 is available and you require newer, we can conclude that your requirements are unsatisfiable.
    hint: ask for another version of the package, or for another Python than 3.11.x with the key `python`
    "#);
    assert_refusal!(workspace, wanted(&["cracked"]), @r#"
    1
    error: could not build `cracked==1.0`
      --> environment.yaml:5:3
      |
    5 | - cracked
      |   ^^^^^^^
    there is a crack in it
    all it said is in `[DIR]/workspace/builds/wheel-cracked-1.0.log`
    hint: ask for a version that has wheels for this Python, add what the build lacks (`system_packages: […]` in the environment), or build the wheel elsewhere and give its folder with --find-links
    "#);
    let zeros = "0".repeat(64);
    assert_refusal!(workspace, wanted(&[&format!("leaf==1.0 --hash=sha256:{zeros}")]), @r#"
    1
    error: no file of `leaf` 1.0 has a hash that the definition gives
      --> environment.yaml:5:3
      |
    5 | - leaf==1.0 --hash=[DIGEST]
      |   ^^^^^^^^^
    hint: the definition admits [DIGEST]; the index has [DIGEST]
    "#);
}

#[test]
fn system_packages_and_pythons_that_no_suite_has() {
    let Some(workspace) = Workspace::new() else { return };
    let done = build(&workspace, "name: tea\npython: \"3.7\"\n");
    assert!(done.stderr.contains("bookworm has 3.11."), "it says which suite has what: {}", done.stderr);
    assert_refusal!(workspace, done, @r#"
    1
    error: no suite of Debian has Python 3.7: [SUITES]
      --> environment.yaml:2:9
      |
    2 | python: "3.7"
      |         ^^^^^
    hint: ask for one of these, or leave `python` out
    "#);
    let text = format!("name: tea\npython: \"{PYTHON}\"\nsystem_packages: [libgompp1]\n");
    assert_refusal!(workspace, build(&workspace, &text), @r#"
    1
    error: there is no package `libgompp1` in bookworm
      --> environment.yaml:3:19
      |
    3 | system_packages: [libgompp1]
      |                   ^^^^^^^^^
    hint: did you mean `libgomp1`?
    "#);
    let text = "name: tea\nbase: debian/potato\n";
    assert_refusal!(workspace, build(&workspace, text), @r#"
    1
    error: there is no suite `potato` at [MIRROR]
    hint: use the code name of a suite that the mirror carries, such as bookworm or trixie
    "#);
}

// ---- the network, secrets, permissions

#[test]
fn a_network_that_is_not_there() {
    let Some(workspace) = Workspace::new() else { return };
    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!("name: tea\npython: \"{PYTHON}\"\npip: [--index-url http://{closed}/simple/, tea]\n");
    assert_refusal!(workspace, build(&workspace, &text), @r#"
    1
    error: an index could not be reached
    Request failed after 3 retries in [TIME]
      cause: Failed to fetch: http://[HOST]/simple/tea/
      cause: error sending request for url (http://[HOST]/simple/tea/)
      cause: client error (Connect)
      cause: tcp connect error
      cause: Connection refused (os error 111)
    hint: is there a network, and is the index's URL right? behind a proxy, set HTTPS_PROXY; with a CA of your own, set SSL_CERT_FILE
    "#);
    workspace.write("environment.yaml", &text);
    assert_refusal!(workspace, workspace.run(["--offline", "build", "environment.yaml"]), @r#"
    1
    error: a package is not cached, and the network is not to be used
      --> environment.yaml:3:51
      |
    3 | pip: [--index-url http://[HOST]/simple/, tea]
      |                                                   ^^^
    No solution found when resolving dependencies
      cause: Because tea was not found in the cache and you require tea, we can conclude that your requirements are unsatisfiable.
    hint: run once with the network
          Packages were unavailable because the network was disabled. When the network is disabled, registry packages may only be read from the cache
    "#);

    let empty = Workspace::empty();
    empty.write("environment.yaml", "name: tea\npython: \"3.11\"\n");
    let done = empty
        .command()
        .args(["build", "environment.yaml"])
        .env("PROVENV_OFFLINE", "1")
        .output()
        .unwrap()
        .into();
    let done: Done = done;
    assert_eq!(done.code, 1);
    assert!(
        done.stderr.contains("the network is not to be used") && done.stderr.contains("hint: "),
        "{}",
        done.stderr
    );
}

#[test]
fn credentials_are_never_shown_or_kept() {
    const SECRET: &str = "hunter2-never-shown";
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    server.require_auth("me", "another");
    let with_secret = server.at("/simple/").replace("http://", &format!("http://me:{SECRET}@"));
    let text = format!("name: tea\npython: \"{PYTHON}\"\npip: [--index-url {with_secret}, tea]\n");
    let done = build(&workspace, &text);
    assert!(!done.stderr.contains(SECRET) && !done.stdout.contains(SECRET), "{}", done.stderr);
    assert_refusal!(workspace, done, @r#"
    2
    error[PV015]: credentials in a URL
      --> environment.yaml:3:26
      |
    3 | pip: [--index-url http://**********************@[HOST]/simple/, tea]
      |                          ^^^^^^^^^^^^^^^^^^^^^^
      = hint: write a variable, `https://${TOKEN}@host/…`, or keep them in netrc or the keyring
    "#);

    // Wrong ones from the environment.
    workspace.write("environment.yaml", &definition(&server, "tea", &["tea"]));
    let name = format!("127_0_0_1_{}", server.address().port());
    let mut command = workspace.command();
    command
        .env(format!("PROVENV_INDEX_{name}_USERNAME"), "me")
        .env(format!("PROVENV_INDEX_{name}_PASSWORD"), SECRET);
    let done: Done = command.args(["-vv", "build", "environment.yaml"]).output().unwrap().into();
    assert_eq!(done.code, 1);
    assert!(!done.stderr.contains(SECRET), "{}", done.stderr);
    assert!(done.stderr.contains("401") && done.stderr.contains("hint:"), "{}", done.stderr);

    let text =
        format!("name: tea\npip: [\"tea @ https://me:{SECRET}@files.example/tea-1.0-py3-none-any.whl\"]\n");
    workspace.write("direct.yaml", &text);
    for arguments in [
        &["env", "show", "direct.yaml"][..],
        &["-o", "json", "env", "check", "direct.yaml"],
        &["-vv", "build", "direct.yaml"],
    ] {
        let done = workspace.run(arguments);
        assert!(
            !done.stderr.contains(SECRET) && !done.stdout.contains(SECRET),
            "{arguments:?}: {}{}",
            done.stdout,
            done.stderr
        );
    }
    let kept = Command::new("grep").args(["-rl", SECRET]).arg(workspace.root()).output().unwrap();
    assert!(kept.stdout.is_empty(), "{}", String::from_utf8_lossy(&kept.stdout));
}
