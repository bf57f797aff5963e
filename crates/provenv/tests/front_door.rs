//! What a user does first: the real binary, real packages of Debian, a real Python in a real sandbox.

use provenv_testing::pypi::{Index, Sdist, Wheel};

use crate::support::{Done, PYTHON, Workspace, definition, serve};

fn index() -> Index {
    Index::new()
        .add(
            Wheel::new("tea", "1.0")
                .requires("leaf>=1")
                .entry_point("console_scripts", "pour", "tea:main")
                .file("tea/__init__.py", "import leaf\n\ndef main():\n    print('poured', leaf.KIND)\n"),
        )
        .add(Wheel::new("leaf", "1.0").file("leaf/__init__.py", "KIND = 'green'\n"))
}

#[test]
fn a_job_is_run_and_everything_of_it_is_kept() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    workspace.write("environment.yaml", &definition(&server, "tea", &["tea"]));
    workspace.write(
        "job.yaml",
        "name: pour\nenvironment: environment.yaml\ncode: src\n\
         command: pour && python work.py ${{inputs.cups}} ${{outputs.pot}}\n\
         inputs: {cups: 3}\noutputs: {pot: }\nenvironment_variables: {SUGAR: 'two lumps'}\n",
    );
    workspace.write(
        "src/work.py",
        "import os, pathlib, sys\nprint('cups', sys.argv[1], os.environ['SUGAR'], file=sys.stderr)\n\
         pathlib.Path(sys.argv[2], 'tea.txt').write_text('hot')\npathlib.Path('outputs/note.txt').write_text('x')\n\
         sys.exit(int(os.environ.get('CODE', 0)))\n",
    );
    let done = workspace.run(["submit", "job.yaml"]).ok();
    assert!(
        done.stdout.contains("poured green") && done.stdout.contains("cups 3 two lumps"),
        "{}",
        done.stdout
    );
    assert!(done.stderr.contains("registered now"), "{}", done.stderr);

    let run = workspace.json(["runs", "show", "latest"]);
    assert_eq!(run["status"], "completed");
    assert_eq!(run["exit_code"], 0);
    assert_eq!(run["environment"], "tea:1");
    let environment = workspace.json(["env", "show", "tea:1"]);
    assert_eq!(run["receipt"], environment["receipt"], "a run keeps the exact receipt");
    let outputs: Vec<&str> =
        run["outputs"].as_array().unwrap().iter().map(|output| output["path"].as_str().unwrap()).collect();
    assert_eq!(outputs, ["outputs/note.txt", "outputs/pot/tea.txt"]);
    let shown = workspace.run(["runs", "show", "latest"]).ok().stdout;
    assert!(shown.contains("pour && python work.py 3 /mnt/provenv/code/outputs/pot\n"), "{shown}");
    let log = workspace.run(["runs", "logs", "latest"]).ok().stdout;
    assert_eq!(log, "poured green\ncups 3 two lumps\n", "both streams, in order");

    // The same again is a hit; a script's own failure is its exit code.
    let done: Done =
        workspace.command().args(["submit", "job.yaml", "--set-env", "CODE=7"]).output().unwrap().into();
    assert_eq!(done.code, 7, "{}", done.stderr);
    assert!(done.stderr.contains("nothing to build"), "{}", done.stderr);
    workspace.run(["submit", "job.yaml", "--", "two words", "3"]).ok();
    let shown = workspace.run(["runs", "show", "latest"]).ok().stdout;
    assert!(shown.contains("python work.py 3 /mnt/provenv/code/outputs/pot 'two words' 3\n"), "{shown}");
    workspace.run(["submit", "job.yaml", "--set-env", "CODE=7"]);
    let runs = workspace.json(["runs", "list"]);
    assert_eq!(runs.as_array().unwrap().len(), 4);
    assert_eq!(runs[0]["status"], "failed");
    assert_eq!(runs[0]["image"], runs[1]["image"]);
}

#[test]
fn a_command_runs_in_the_working_folder_with_its_own_exit_code() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    workspace.write(
        "environment.yaml",
        &(definition(&server, "tea", &["tea"])
            + "environment_variables: {MILK: 'yes', PYTHONUNBUFFERED: '1'}\n"),
    );
    workspace.write("here.txt", "seen");
    let script = "import os, sys; open('made.txt', 'w').write(open('here.txt').read() + os.environ['MILK']); sys.exit(9)";
    let done = workspace.run(["run", "environment.yaml", "--", "python", "-c", script]);
    assert_eq!(done.code, 9, "{}", done.stderr);
    assert_eq!(fs_err::read_to_string(workspace.path().join("made.txt")).unwrap(), "seenyes");
    assert!(workspace.json(["runs", "list"]).as_array().unwrap().is_empty(), "nothing is recorded");

    let version = workspace.run(["run", "environment.yaml", "--", "python", "-V"]).ok().stdout;
    assert!(version.starts_with(&format!("Python {PYTHON}.")), "{version}");
    let done = workspace.run(["run", "environment.yaml", "--", "no-such-command"]);
    assert_eq!(done.code, 127, "{}", done.stderr);
    assert!(done.stderr.contains("no-such-command") && done.stderr.contains("hint:"), "{}", done.stderr);
    let done = workspace.run(["run", "environment.yaml", "--", "/etc/passwd"]);
    assert_eq!(done.code, 126, "{}", done.stderr);
}

#[test]
fn an_edited_folder_is_used_as_it_was_locked_and_that_is_said() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    let write = |report: &str| {
        let code = format!("REPORT = {report:?}");
        Sdist::new("pk", "1").runs(&code).write_source(&workspace.path().join("pk")).unwrap();
    };
    write("first");
    workspace.write("environment.yaml", &definition(&server, "tea", &["./pk"]));
    let script = "import sys; sys.path.pop(0); import pk; print(pk.REPORT)";
    let run = || workspace.run(["run", "environment.yaml", "--", "python", "-c", script]).ok();
    let done = run();
    assert!(done.stdout == "first\n" && !done.stderr.contains("has changed"), "{}", done.stderr);
    // The same content at another time is no change; nor is what tools leave.
    write("first");
    workspace.write("pk/.pytest_cache/x", "");
    assert!(!run().stderr.contains("has changed"));
    write("second");
    let done = run();
    let said = "note: ./pk has changed since it was locked, and is used as it was then; \
                `provenv lock ./environment.yaml --upgrade` takes it anew";
    assert!(done.stdout == "first\n" && done.stderr.contains(said), "{}", done.stderr);
    workspace.json(["env", "register", "environment.yaml"]);
    let done = workspace.run(["build", "tea"]).ok();
    assert!(done.stderr.contains("`provenv upgrade tea` takes it anew"), "{}", done.stderr);
    workspace.run(["lock", "environment.yaml", "--upgrade"]).ok();
    let done = run();
    assert!(done.stdout == "second\n" && !done.stderr.contains("has changed"), "{}", done.stderr);
}

#[test]
fn the_network_can_be_cut() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    workspace.write("environment.yaml", &definition(&server, "tea", &["tea"]));
    let script = format!("import urllib.request; urllib.request.urlopen({:?}).read()", server.at("/simple/"));
    let run = |more: &[&str]| {
        let arguments = [&["run", "environment.yaml"], more, &["--", "python", "-c", &script]].concat();
        workspace.run(arguments).code
    };
    assert_eq!(run(&[]), 0);
    assert_ne!(run(&["--no-network"]), 0);
}

#[test]
fn what_is_no_part_of_the_image_builds_nothing() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    let text = definition(&server, "tea", &["tea"]);
    workspace.write("a.yaml", &text);
    let first = workspace.json(["build", "a.yaml"]);
    assert_eq!(first["cached"], false);
    workspace.write(
        "b.yaml",
        &(text.replace("name: tea", "name: other\ndescription: new") + "environment_variables: {A: b}\n"),
    );
    let second = workspace.json(["build", "b.yaml"]);
    assert_eq!((&second["cached"], &second["image"]), (&true.into(), &first["image"]));
    // An archive is called as the environment is, and gives way to the next.
    let done = workspace.run(["build", "a.yaml", "--to", "docker-archive:tea.tar"]).ok();
    assert!(done.stdout.contains("docker-archive:tea.tar:tea:latest"), "{}", done.stdout);
    assert!(!done.stderr.contains("replaced"), "{}", done.stderr);
    let done = workspace.run(["build", "a.yaml", "--to", "docker-archive:tea.tar:pot:2"]).ok();
    assert!(done.stderr.contains("tea.tar was there and is replaced"), "{}", done.stderr);
    // Spelling is nothing either; a package is something.
    workspace.write("c.yaml", &text.replace("- tea", "- TEA # hot"));
    assert_eq!(workspace.json(["build", "c.yaml"])["image"], first["image"]);
    workspace.write("d.yaml", &text.replace("- tea", "- leaf"));
    assert_ne!(workspace.json(["build", "d.yaml"])["image"], first["image"]);

    // Registered under two names, one definition, one receipt; other variables are another version, not another image.
    let register = |file: &str, name: &str| workspace.json(["env", "register", file, "--name", name]);
    let (one, two) = (register("a.yaml", "one"), register("a.yaml", "two"));
    assert_eq!(one["receipt"], two["receipt"]);
    assert_eq!(register("a.yaml", "one")["created"], false);
    let changed = register("b.yaml", "one");
    assert_eq!((&changed["version"], &changed["lock"]), (&"2".into(), &one["lock"]));
}

#[test]
fn a_version_stays_until_somebody_upgrades() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    workspace.write("environment.yaml", &definition(&server, "tea", &["tea"]));
    let first = workspace.json(["env", "register", "environment.yaml"]);

    // The index moves on.
    let newer = index()
        .add(Wheel::new("leaf", "2.0").file("leaf/__init__.py", "KIND = 'black'\n"))
        .add(Wheel::new("tea", "1.1").requires("leaf>=1").file("tea/__init__.py", "import leaf\n"));
    let server2 = serve(&newer);
    for path in ["/simple/tea/", "/simple/leaf/"] {
        // Pages name files on their own server, so the new server answers in the old one's place.
        server.fault_always(path, provenv_testing::server::Fault::Redirect(server2.at(path)));
    }
    let kind = |environment: &str| {
        workspace.run(["run", environment, "--", "python", "-c", "import leaf; print(leaf.KIND)"]).ok().stdout
    };
    assert_eq!(kind("tea"), "green\n", "nothing moves by itself");
    assert_eq!(workspace.json(["env", "register", "environment.yaml"])["version"], "1");

    let plan = workspace.json(["upgrade", "tea", "leaf", "--dry-run"]);
    assert_eq!(plan["to"], serde_json::Value::Null);
    let changed = &plan["changes"]["linux/amd64"]["ecosystems"]["pypi"]["changed"];
    assert_eq!(changed.as_array().unwrap().len(), 1, "only what was named: {plan}");
    assert_eq!((&changed[0]["name"], &changed[0]["new_version"]), (&"leaf".into(), &"2.0".into()));
    assert_eq!(
        workspace.json(["env", "list", "tea"]).as_array().unwrap().len(),
        1,
        "a dry run changes nothing"
    );

    let upgraded = workspace.json(["upgrade", "tea", "leaf"]);
    assert_eq!(upgraded["to"], "2");
    assert_eq!((kind("tea:1").as_str(), kind("tea:2").as_str()), ("green\n", "black\n"));
    let second = workspace.json(["env", "show", "tea:2"]);
    assert_eq!(second["definition_digest"], first["definition"], "the same definition");
    assert_ne!(second["receipt"], first["receipt"]);
    let difference = workspace.json(["env", "diff", "tea:1", "tea:2"]);
    assert_eq!(difference["packages"]["linux/amd64"]["ecosystems"]["pypi"]["changed"][0]["name"], "leaf");

    let said = workspace.run(["upgrade", "tea", "leaf"]).ok().stdout;
    assert_eq!(said, "nothing to upgrade: tea:2 holds the newest leaf\n", "though tea itself could move");
    let all = workspace.json(["upgrade", "tea"]);
    assert_eq!(all["to"], "3");
    let nothing = workspace.json(["upgrade", "tea"]);
    assert_eq!(nothing["to"], serde_json::Value::Null, "{nothing}");
}

#[test]
fn another_mirror_with_the_same_packages_is_no_upgrade() {
    let Some(workspace) = Workspace::new() else { return };
    workspace.write("environment.yaml", &format!("name: tea\npython: \"{PYTHON}\"\npip: [tea, brew]\n"));
    let at = |server: &provenv_testing::server::Server, arguments: &[&str]| {
        let mut command = workspace.command();
        command.env("PROVENV_PYPI_INDEX", server.at("/simple/")).args(arguments);
        Done::from(command.output().unwrap()).ok()
    };
    let index = index().add(Sdist::new("brew", "1.0"));
    at(&serve(&index), &["env", "register", "environment.yaml"]);
    let moved = serve(&index);
    assert_eq!(
        at(&moved, &["upgrade", "tea"]).stdout,
        "nothing to upgrade: tea:1 holds the newest packages\n"
    );
    assert_eq!(workspace.json(["env", "list", "tea"]).as_array().unwrap().len(), 1);
    // It was asked, though.
    assert!(moved.hits("/simple/tea/") > 0);
}

#[test]
fn an_sdist_is_built_in_the_sandbox_and_kept() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&Index::new().add(Sdist::new("brew", "1.0")));
    workspace.write("environment.yaml", &definition(&server, "brew", &["brew"]));
    workspace.run(["run", "environment.yaml", "--", "python", "-c", "import brew"]).ok();
    let lock = workspace.run(["lock", "environment.yaml", "--file", "-"]).ok().json();
    let package = &lock["platforms"]["linux/amd64"]["pypi"][0];
    assert_eq!(package["name"], "brew");
    assert!(package["source"]["built"]["sdist"]["sha256"].is_string(), "{package}");
    // The wheel is pinned: an image made again is the same.
    assert_eq!(workspace.json(["build", "environment.yaml", "--force"])["reproduced"], true);
}

#[test]
fn a_build_sees_no_secret_and_has_no_network() {
    const SECRET: &str = "hunter2-for-the-index";
    let Some(workspace) = Workspace::new() else { return };
    // What foreign code would try first. It ends with an error where it finds something.
    let open = serve(&Index::new());
    let spy = format!(
        r#"
import glob, socket
looked = glob.glob("/proc/[0-9]*/environ") + glob.glob("/root/.*") + glob.glob("/home/*/.*")
looked += glob.glob("/provenv/**", recursive=True) + [os.path.expanduser("~/.netrc"), os.environ.get("NETRC", "")]
for path in looked:
    if os.path.isfile(path):
        try:
            if bytes(reversed(b"{backwards}")) in open(path, "rb").read():
                sys.exit("the secret is in " + path)
        except PermissionError:
            pass
try:
    socket.create_connection(("127.0.0.1", {port}), 5)
    sys.exit("there is a network")
except OSError as error:
    REPORT = [sorted(os.environ), len(looked), str(error)]
"#,
        // The script itself is among what it reads.
        backwards = SECRET.chars().rev().collect::<String>(),
        port = open.url.rsplit(':').next().unwrap(),
    );
    let index = Index::new()
        .add(Wheel::new("helper", "1.0"))
        .add(Sdist::new("mould", "1.0").build_requires("helper").runs(&spy))
        .add(Sdist::new("older", "1.0").old_metadata().requires("helper").runs(&spy));
    let server = serve(&index);
    server.require_auth("anna", SECRET);
    workspace.write("environment.yaml", &definition(&server, "spied", &["mould", "older"]));
    let netrc = workspace.write("netrc", &format!("machine 127.0.0.1 login anna password {SECRET}\n"));
    let script = "import mould, older; print(mould.REPORT); print(older.REPORT)";
    let mut command = workspace.command();
    command.env("NETRC", netrc).args(["run", "environment.yaml", "--", "python", "-c", script]);
    let done = Done::from(command.output().unwrap()).ok();
    assert_eq!(done.stdout.matches("SOURCE_DATE_EPOCH").count(), 2, "{}", done.stdout);
    assert!(!done.stdout.contains("NETRC") && !done.stdout.contains("UV_INDEX"), "{}", done.stdout);
}

#[test]
fn after_a_collection_a_registered_environment_is_as_it_was() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&index());
    workspace.write("environment.yaml", &definition(&server, "tea", &["tea"]));
    workspace.write("other.yaml", &definition(&server, "other", &["leaf"]));
    workspace.json(["env", "register", "environment.yaml"]);
    let kept = workspace.json(["build", "tea"]);
    let gone = workspace.json(["build", "other.yaml"]);

    let plan = workspace.json(["store", "gc", "--dry-run"]);
    assert!(plan["bytes"].as_u64().unwrap() > 0);
    let done = workspace.json(["store", "gc"]);
    assert_eq!(plan["removed"], done["removed"], "the dry run says what happens");
    drop(server);
    let again = workspace.json(["build", "tea"]);
    assert_eq!((&again["image"], &again["cached"]), (&kept["image"], &true.into()));
    workspace.run(["run", "tea", "--", "pour"]).ok();
    let images = workspace.json(["image", "list"]);
    assert!(!images.to_string().contains(gone["image"].as_str().unwrap()), "{images}");
    assert_eq!(workspace.json(["store", "scrub"])["corrupt"].as_array().unwrap().len(), 0);
    // With everything that can be made again gone, it is made again, the same.
    workspace.json(["store", "gc", "--all"]);
    workspace.run(["run", "tea", "--", "pour"]).ok();
    assert_eq!(workspace.json(["build", "tea", "--force"])["image"], kept["image"]);
}

#[test]
fn help_completions_and_manual_pages_are_there() {
    let workspace = Workspace::empty();
    for arguments in [vec!["--help"], vec!["submit", "--help"], vec!["env", "register", "--help"]] {
        let text = workspace.run(&arguments).ok().stdout;
        assert!(text.contains("Example"), "{arguments:?}: {text}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(workspace.run(["completions", shell]).ok().stdout.contains("provenv"));
    }
    let written = workspace.run(["man", "pages"]).ok().stdout;
    let pages = fs_err::read_dir(workspace.path().join("pages")).unwrap().count();
    assert!(written.starts_with(&format!("{pages} manual pages in pages")), "{written}");
    assert!(workspace.run(["--help"]).ok().stdout.contains("manual pages"));
    let page = fs_err::read_to_string(workspace.path().join("pages/provenv-submit.1")).unwrap();
    assert!(page.contains(".TH"), "{page}");
}
