//! A workspace that the members of a group share, with the modes that the umask gives.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Fault;

use crate::support::{Done, Workspace, command, definition, eventually, have, is_root, serve, skip};

const GROUP: &str = "54320";

/// The binary as another user, in the group or out of it.
fn as_user(user: &str, umask: &str, root: &Path, folder: &Path, arguments: &[&str]) -> Done {
    user_command(user, umask, root, folder, arguments).output().unwrap().into()
}

fn user_command(user: &str, umask: &str, root: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut wrapped = Command::new("setpriv");
    wrapped.args([&format!("--reuid={user}"), &format!("--regid={user}"), &format!("--groups={GROUP}")]);
    wrapped.args(["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
    wrapped.arg(folder.join("provenv")).args(arguments).current_dir(folder).env("HOME", folder);
    for (name, value) in command(root).get_envs() {
        wrapped.env(name, value.unwrap_or_default());
    }
    wrapped
}

/// A folder that all may enter, with the binary in it, and a workspace there that the first user owns and the group shares. Its
/// store begins with the base, of which nothing is unpacked: that is done by whoever needs it, and theirs.
fn shared_folder(workspace: &Workspace) -> (PathBuf, PathBuf) {
    let folder = workspace.path().join("shared");
    let root = folder.join("workspace");
    fs_err::create_dir(&folder).unwrap();
    fs_err::copy(env!("CARGO_BIN_EXE_provenv"), folder.join("provenv")).unwrap();
    shell(
        "chmod 755 \"$2\"; mkdir \"$3\"; cp -r \"$1/store\" \"$3\";
         find \"$3/store/trees\" -mindepth 1 -maxdepth 1 ! -name tool -exec rm -r {} +; chown -R 54321:54320 \"$3\"; chmod -R g+rwX \"$3\";
         find \"$3\" -type d -exec chmod g+s {} +; chmod 1777 \"$2/shared\"",
        &[&workspace.root(), workspace.path(), &root],
    );
    (folder, root)
}

fn shell(script: &str, arguments: &[&Path]) {
    let done = Done::from(Command::new("sh").args(["-ec", script, "sh"]).args(arguments).output().unwrap());
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn a_group_shares_a_workspace() {
    let server =
        serve(&["tea", "cup"].iter().fold(Index::new(), |index, name| index.add(Wheel::new(name, "1.0"))));
    let Some(workspace) = Workspace::new() else { return };
    if !is_root() {
        return skip("other users are not ours to be: this is not root");
    }
    if !have("setpriv") {
        return;
    }
    // The base is there from before, the first user's own; all else is made by the two.
    let (folder, root) = shared_folder(&workspace);
    for (file, packages) in [("tea.yaml", &["tea"][..]), ("both.yaml", &["tea", "cup"])] {
        fs_err::write(folder.join(file), definition(&server, "tea", packages)).unwrap();
    }
    fs_err::write(folder.join("job.yaml"), "environment: tea.yaml\ncommand: python -c 'import tea'\n")
        .unwrap();
    let first = |arguments: &[&str]| as_user("54321", "002", &root, &folder, arguments);
    let second = |arguments: &[&str]| as_user("54322", "002", &root, &folder, arguments);
    let import =
        ["run", "tea.yaml", "--", "python", "-c", "import tea; open('/etc/written', 'w'); print('ok')"];

    let built = first(&["build", "tea.yaml", "-o", "json"]).ok().json();
    let whole = |done: Done| {
        let done = done.ok();
        assert_eq!((done.stdout.as_str(), done.stderr.contains("note:")), ("ok\n", false), "{}", done.stderr);
    };
    whole(first(&import));
    let again = second(&["build", "tea.yaml", "-o", "json"]).ok().json();
    assert_eq!((&again["image"], &again["cached"]), (&built["image"], &true.into()));
    whole(second(&import));
    second(&["submit", "job.yaml"]).ok();
    second(&["build", "both.yaml"]).ok();
    second(&["store", "gc"]).ok();
    whole(first(&import));
    assert_eq!(first(&["runs", "list", "-o", "json"]).ok().json()[0]["status"], "completed");
    first(&["build", "both.yaml"]).ok();
    first(&["store", "gc", "--all"]).ok();
    first(&["submit", "job.yaml"]).ok();
    second(&["submit", "job.yaml"]).ok();
    assert!(first(&["store", "scrub"]).ok().stdout.contains(" 0 corrupt"));
}

#[test]
fn what_another_user_has_in_use_stays_until_their_process_ends() {
    let server =
        serve(&["tea", "cup"].iter().fold(Index::new(), |index, name| index.add(Wheel::new(name, "1.0"))));
    let Some(workspace) = Workspace::new() else { return };
    if !is_root() {
        return skip("other users are not ours to be: this is not root");
    }
    if !have("setpriv") {
        return;
    }
    let (folder, root) = shared_folder(&workspace);
    fs_err::write(folder.join("tea.yaml"), definition(&server, "tea", &["tea"])).unwrap();
    let second = |arguments: &[&str]| as_user("54322", "002", &root, &folder, arguments);
    let mark = folder.join("mark");
    // Nothing but the run of the first user needs the image.
    let script = format!(
        "echo begun > {0}; while [ -e {0} ]; do sleep 0.05; done; python -c 'import tea'",
        mark.display()
    );
    let begin = || {
        let mut run =
            user_command("54321", "002", &root, &folder, &["run", "tea.yaml", "--", "sh", "-c", &script]);
        let run = run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        eventually("the command runs", || mark.exists());
        run
    };
    let run = begin();
    second(&["store", "gc", "--all"]).ok();
    fs_err::remove_file(&mark).unwrap();
    Done::from(run.wait_with_output().unwrap()).ok();

    // A hold ends with its process, whoever looks for it.
    let mut run = begin();
    let kept = second(&["-o", "json", "store", "gc"]).ok().json();
    run.kill().unwrap();
    run.wait().unwrap();
    let gone = second(&["-o", "json", "store", "gc"]).ok().json();
    assert!(
        gone["bytes"].as_u64().unwrap() > 0 && gone["images"].as_array().unwrap().len() == 1,
        "{kept}{gone}"
    );

    // A build that waits for a download has a pin, and another user's collection waits for it.
    let path = "/files/tea-1.0-py3-none-any.whl";
    server.fault(path, Fault::Slow(20, Duration::from_millis(100)));
    let before = server.hits(path);
    let mut build = user_command("54321", "002", &root, &folder, &["build", "tea.yaml"]);
    let build = build.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the build fetches", || server.hits(path) > before);
    let gc = second(&["store", "gc"]).ok();
    assert!(gc.stderr.contains("waiting for builds"), "{}", gc.stderr);
    Done::from(build.wait_with_output().unwrap()).ok();
    assert!(second(&["store", "scrub"]).ok().stdout.contains(" 0 corrupt"));
}

#[test]
fn files_have_the_modes_that_the_umask_gives() {
    for (umask, mode) in [("022", 0o644), ("027", 0o640), ("077", 0o600), ("002", 0o664)] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("workspace");
        let listing = command(&root);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]).arg(listing.get_program());
        for (name, value) in listing.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        Done::from(shell.args(["env", "list"]).output().unwrap()).ok();
        for file in ["catalogue.db", "store/format"] {
            let found = fs_err::metadata(root.join(file)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{file} with umask {umask}");
        }
    }
}
