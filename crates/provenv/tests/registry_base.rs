//! Bases from registries: real images in a real registry, packages on top of them, and a second machine.

use provenv_channel::{Channel, Package};
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::{FileTree, Server};
use serde_json::{Value, json};

use crate::support::registry::{Image, Registry};
use crate::support::{Done, PYTHON, Workspace, serve};

/// A small Debian with a Python, pushed as `base:1` from a workspace of its own; the reference.
fn push_base(workspace: &Workspace, registry: &Registry, tag: &str, packages: &str) -> String {
    let name = format!("base-{}.yaml", tag.replace([':', '/'], "-"));
    workspace.write(
        &name,
        &format!("name: base\nuser_managed: true\nbase: debian/bookworm\nsystem_packages: [{packages}]\n"),
    );
    let reference = registry.at(tag);
    workspace.run(["build", &name, "--to", &reference]).ok();
    reference
}

fn tea() -> Server {
    serve(
        &Index::new().add(
            Wheel::new("tea", "1.0")
                .entry_point("console_scripts", "pour", "tea:main")
                .file("tea/__init__.py", "def main():\n    print('poured')\n"),
        ),
    )
}

fn definition(image: &str, server: &Server) -> String {
    format!("name: on-image\nimage: {image}\npip:\n- --index-url {}\n- tea\n", server.at("/simple/"))
}

#[test]
fn packages_go_on_top_of_an_image_and_another_machine_has_the_same() {
    let Some(registry) = Registry::start(false) else { return };
    let Some(workspace) = Workspace::new() else { return };
    let server = tea();
    let base = push_base(&workspace, &registry, "team/base:1", "python3");
    workspace.write("on.yaml", &definition(&base, &server));
    let locked = workspace.json(["lock", "on.yaml", "--file", "on.lock.json"]);
    let lock: Value =
        serde_json::from_str(&fs_err::read_to_string(workspace.path().join("on.lock.json")).unwrap())
            .unwrap();
    let platform = &lock["platforms"]["linux/amd64"];
    assert_eq!(lock["format"], 2, "{locked}");
    assert_eq!(platform["base"]["image"]["reference"], base.as_str());
    assert_eq!(platform["python"]["executable"], "/usr/bin/python3.11");
    assert!(platform["python"]["version"].as_str().unwrap().starts_with("3.11."), "{platform}");
    assert!(platform["debian"].is_null(), "nothing of Debian is added");

    let built = workspace.json(["build", "on.yaml"]);
    let done = workspace.run(["run", "on.yaml", "--", "pour"]).ok();
    assert_eq!(done.stdout, "poured\n");
    let done = workspace.run(["run", "on.yaml", "--", "python", "-V"]).ok();
    assert!(done.stdout.starts_with(&format!("Python {PYTHON}.")), "{}", done.stdout);
    assert_eq!(workspace.json(["build", "on.yaml", "--force"])["reproduced"], true);

    // The base's layers are the image's first, as they are.
    let shown = workspace.json(["image", "show", "on.yaml"]);
    let layers = shown["layers"].as_array().unwrap();
    let base_layers = workspace.json(["image", "show", "base-team-base-1.yaml"])["layers"].clone();
    for (layer, below) in layers.iter().zip(base_layers.as_array().unwrap()) {
        assert_eq!(layer["digest"], below["digest"]);
    }
    assert!(shown["base"].as_str().unwrap().starts_with(&format!("{base} (sha256:")), "{shown}");

    // Another machine, which has nothing but the definition and the lock.
    let other = Workspace::empty();
    for file in ["on.yaml", "on.lock.json"] {
        fs_err::copy(workspace.path().join(file), other.path().join(file)).unwrap();
    }
    let again = other.json(["build", "on.yaml", "--lock", "on.lock.json"]);
    assert_eq!(again["image"], built["image"]);
    other.write("job.yaml", "environment: on.yaml\ncode: src\ncommand: pour\n");
    other.write("src/x.py", "");
    other.run(["submit", "job.yaml"]).ok();
    assert_eq!(other.run(["runs", "logs", "latest"]).ok().stdout, "poured\n");
}

/// The base's manifest in a lock.
fn manifest_of(workspace: &Workspace, file: &str) -> Value {
    let done = workspace.run(["lock", file, "--file", "-"]).ok();
    let lock: Value = serde_json::from_str(&done.stdout).unwrap();
    lock["platforms"]["linux/amd64"]["base"]["image"]["manifest"].clone()
}

#[test]
fn a_tag_that_has_moved_is_said_and_moves_nothing_by_itself() {
    let Some(mut registry) = Registry::start(false) else { return };
    let Some(workspace) = Workspace::new() else { return };
    let server = tea();
    let base = push_base(&workspace, &registry, "team/base:1", "python3");
    workspace.write("on.yaml", &definition(&base, &server));
    workspace.run(["env", "register", "on.yaml"]).ok();
    let first = workspace.json(["build", "on-image:1"]);
    let before = manifest_of(&workspace, "on.yaml");

    // The same name means another image today.
    push_base(&workspace, &registry, "team/base:1", "python3, ed");
    assert_eq!(manifest_of(&workspace, "on.yaml"), before, "what is locked stays");
    let dry = workspace.run(["upgrade", "on-image", "--dry-run"]).ok();
    let moved = format!("~ base {}/team/base 1 {} → sha256:", registry.host(), before.as_str().unwrap());
    assert!(dry.stdout.contains(&moved), "{}", dry.stdout);
    workspace.run(["upgrade", "on-image"]).ok();
    let diff = workspace.run(["env", "diff", "on-image:1", "on-image:2"]);
    assert!(diff.stdout.contains(&moved), "{}{}", diff.stdout, diff.stderr);
    let second = workspace.json(["build", "on-image:2"]);
    assert_ne!(second["image"], first["image"]);
    assert_eq!(workspace.json(["build", "on-image:1"])["image"], first["image"]);
    workspace.run(["run", "on-image:2", "--", "ed", "--version"]).ok();
    // A package that moves takes no base along.
    workspace.run(["lock", "on.yaml", "--upgrade"]).ok();
    let after = manifest_of(&workspace, "on.yaml");
    assert_ne!(after, before);

    // Whoever names a digest always has that.
    let by_digest = format!("{}@{}", registry.at("team/base"), before.as_str().unwrap());
    workspace.write("exact.yaml", &definition(&by_digest, &server));
    assert_eq!(manifest_of(&workspace, "exact.yaml"), before);
    assert_eq!(workspace.run(["run", "exact.yaml", "--", "pour"]).ok().stdout, "poured\n");

    // With the registry gone, what is in the store is enough; what is not is named.
    workspace.run(["lock", "on.yaml", "--file", "on.lock.json"]).ok();
    registry.stop();
    assert_eq!(workspace.json(["build", "on-image:1", "--force"])["reproduced"], true);
    let other = Workspace::empty();
    for file in ["on.yaml", "on.lock.json"] {
        fs_err::copy(workspace.path().join(file), other.path().join(file)).unwrap();
    }
    let build =
        |arguments: &[&str]| other.run([arguments, &["build", "on.yaml", "--lock", "on.lock.json"]].concat());
    let done = build(&["--offline"]);
    let pinned = format!("`{base}@{}` is not in the store", after.as_str().unwrap());
    assert!(done.code == 1 && done.stderr.contains(&pinned), "{}", done.stderr);
    assert!(done.stderr.contains("hint: leave --offline out"), "{}", done.stderr);
    let done = build(&[]);
    assert!(done.code == 1 && done.stderr.contains(&registry.host()), "{}", done.stderr);
    registry.go_on();
    fs_err::remove_dir_all(registry.data().join("repositories/team/base/_manifests")).unwrap();
    let done = build(&[]);
    assert!(done.stderr.contains("there is no manifest of"), "{}", done.stderr);
}

#[test]
fn a_private_base_needs_a_login_that_is_never_kept() {
    let Some(registry) = Registry::start(true) else { return };
    let Some(workspace) = Workspace::new() else { return };
    let auth = registry.auth_file();
    let with_login = |arguments: &[&str]| -> Done {
        workspace.command().args(arguments).env("REGISTRY_AUTH_FILE", &auth).output().unwrap().into()
    };
    workspace.write(
        "base.yaml",
        "name: base\nuser_managed: true\nbase: debian/bookworm\nsystem_packages: [python3]\n",
    );
    let reference = registry.at("private/base:1");
    with_login(&["build", "base.yaml", "--to", &reference]).ok();
    let server = tea();
    workspace.write("on.yaml", &definition(&reference, &server));
    let done: Done = workspace
        .command()
        .args(["lock", "on.yaml"])
        .env("REGISTRY_AUTH_FILE", workspace.path().join("none"))
        .env("HOME", workspace.path())
        .output()
        .unwrap()
        .into();
    assert!(done.code == 1 && done.stderr.contains("refused access to `private/base`"), "{}", done.stderr);
    assert!(done.stderr.contains("on.yaml:2:8") && done.stderr.contains("login"), "{}", done.stderr);
    with_login(&["lock", "on.yaml", "--file", "on.lock.json"]).ok();
    with_login(&["build", "on.yaml"]).ok();
    let kept = fs_err::read(workspace.root().join("catalogue.db")).unwrap();
    let lock = fs_err::read_to_string(workspace.path().join("on.lock.json")).unwrap();
    assert!(!lock.contains("hunter2") && !String::from_utf8_lossy(&kept).contains("hunter2"));
}

#[test]
fn debian_packages_are_added_to_what_dpkg_says_is_there() {
    let Some(registry) = Registry::start(false) else { return };
    let Some(workspace) = Workspace::new() else { return };
    let base = push_base(&workspace, &registry, "team/base:1", "python3");
    workspace.write("on.yaml", &format!("name: on\nimage: {base}\nsystem_packages: [ed, bash]\n"));
    let done = workspace.run(["lock", "on.yaml", "--file", "-"]).ok();
    let lock: Value = serde_json::from_str(&done.stdout).unwrap();
    let debian = lock["platforms"]["linux/amd64"]["debian"].as_array().unwrap();
    let names: Vec<&str> = debian.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ed"], "the rest is there");
    let script = "dpkg-query -W -f '${Status} ${Package}\\n' ed libc6 && dpkg -L ed | grep -x /usr/bin/ed && \
                  printf 'a\nhello\n.\np\nQ\n' | ed -s && grep -c '^root:' /etc/passwd";
    let said = workspace.run(["run", "on.yaml", "--", "sh", "-c", script]).ok().stdout;
    let expected = "install ok installed ed\ninstall ok installed libc6\n/usr/bin/ed\nhello\n1\n";
    assert_eq!(said, expected);
    assert_eq!(workspace.json(["build", "on.yaml", "--force"])["reproduced"], true);
    // Without a name that it has, what was meant is said.
    workspace.write("wrong.yaml", &format!("name: on\nimage: {base}\nsystem_packages: [no-such-package]\n"));
    let done = workspace.run(["lock", "wrong.yaml"]);
    assert!(
        done.stderr.contains("no-such-package") && done.stderr.contains("wrong.yaml:3:"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_user_managed_environment_is_its_base() {
    let Some(registry) = Registry::start(false) else { return };
    let Some(workspace) = Workspace::new() else { return };
    let base = push_base(&workspace, &registry, "team/base:1", "python3");
    workspace.write(
        "own.yaml",
        &format!("name: own\nuser_managed: true\nimage: {base}\ninterpreter_path: python3\n"),
    );
    let built = workspace.run(["build", "own.yaml"]).ok();
    assert!(!built.stderr.contains("PV135"), "{}", built.stderr);
    let layers = |file: &str| -> Vec<Value> {
        let shown = workspace.json(["image", "show", file]);
        shown["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].clone()).collect()
    };
    assert_eq!(layers("own.yaml"), layers("base-team-base-1.yaml"), "nothing is added");
    let script = "import os, sys; print(sys.executable, sys.prefix, os.path.exists('/opt/provenv'))";
    let said = workspace.run(["run", "own.yaml", "--", "python", "-c", script]).ok().stdout;
    assert_eq!(said, "/usr/bin/python3 /usr False\n");
}

#[test]
fn conda_packages_go_on_top_of_an_image() {
    let Some(registry) = Registry::start(false) else { return };
    let Some(workspace) = Workspace::new() else { return };
    let base = push_base(&workspace, &registry, "team/base:1", "python3");
    let channel = Channel::new("tiny").add(Package::new("leaf", "1.0").file("share/leaf.txt", "green"));
    let server = Server::start(channel.serve(FileTree::new()));
    let conda = format!("conda_file:\n  channels: [{}]\n  dependencies: [leaf]\n", server.at("/tiny"));
    workspace.write("on.yaml", &format!("name: on\nimage: {base}\n{conda}"));
    let said = workspace.run(["run", "on.yaml", "--", "cat", "/opt/provenv/share/leaf.txt"]).ok().stdout;
    assert_eq!(said, "green");
    let script = "echo $CONDA_PREFIX; python3 -c 'import sys; print(sys.prefix)'";
    let said = workspace.run(["run", "on.yaml", "--", "sh", "-c", script]).ok().stdout;
    assert_eq!(said, "/opt/provenv\n/usr\n");
}

#[test]
fn what_no_packages_can_stand_on_is_refused_where_it_is_named() {
    let workspace = Workspace::empty();
    let server = Server::start(FileTree::new());
    let glibc = b"GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n";
    let glibc_base = || Image::new().file("usr/lib/x86_64-linux-gnu/libc.so.6", glibc);
    let status = b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n";
    let cases = [
        (
            "alpine",
            Image::new().file("lib/ld-musl-x86_64.so.1", b""),
            1,
            "pip: [six]",
            "musl and no glibc",
            "-slim",
        ),
        (
            "static",
            Image::new().file("app", b""),
            1,
            "pip: [six]",
            "no C library and no glibc",
            "user_managed",
        ),
        ("bare", glibc_base(), 1, "pip: [six]", "no Python on its PATH", "name an image that has one"),
        (
            "old",
            glibc_base().file("usr/bin/python3.9", b"\x003.9.2\0").link("usr/bin/python3", "python3.9"),
            1,
            "python: '3.12'",
            "is 3.9.2",
            "name an image that has it",
        ),
        (
            "used",
            glibc_base().file("opt/provenv/x", b""),
            1,
            "pip: [six]",
            "files at /opt/provenv",
            "stands on itself",
        ),
        ("tall", glibc_base(), 101, "pip: [six]", "101 layers", "squash"),
        ("taller", glibc_base(), 128, "pip: [six]", "cannot be a base", "skopeo inspect"),
        ("suse", glibc_base(), 1, "system_packages: [ed]", "says of no package", "Debian or Ubuntu"),
        (
            "split",
            glibc_base().file("var/lib/dpkg/status", status).file("bin/sh", b""),
            1,
            "system_packages: [ed]",
            "no links into /usr",
            "newer release",
        ),
        ("climbs", Image::new().link("a", "/etc").file("a/passwd", b""), 1, "pip: [six]", "`a/passwd`", ""),
    ];
    for (name, image, layers, wants, said, hint) in cases {
        let reference = image.serve(&server, name, "1", layers);
        workspace.write("on.yaml", &format!("name: on\nimage: {reference}\n{wants}\n"));
        let done = workspace.run(["lock", "on.yaml"]);
        assert_eq!(done.code, 1, "{name}: {}", done.stderr);
        assert!(done.stderr.contains(said) && done.stderr.contains(hint), "{name}: {}", done.stderr);
        assert!(done.stderr.contains("on.yaml:2:8"), "{name}: {}", done.stderr);
    }
    for (image, said) in [
        ("127.0.0.1:1/x:1", "127.0.0.1:1"),
        (&*format!("{}/none:1", server.address()), "there is no manifest of"),
        (&*format!("h.test/x@sha512:{}", "0".repeat(128)), "not a sha256"),
        ("h.test/x@sha256:ab", "is not a reference"),
    ] {
        workspace.write("on.yaml", &format!("name: on\nimage: {image}\n"));
        let done = workspace.run(["lock", "on.yaml"]);
        assert!(
            done.code != 0 && done.stderr.contains(said) && done.stderr.contains("on.yaml:2:8"),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn how_containers_of_the_base_start_is_kept() {
    let workspace = Workspace::empty();
    let server = Server::start(FileTree::new());
    let config = json!({ "Env": ["PATH=/opt/tool/bin:/bin", "MODE=fast"], "Entrypoint": ["/entry"], "User": "1000",
        "WorkingDir": "/srv", "Labels": { "vendor": "test" }, "ExposedPorts": { "80/tcp": {} }, "StopSignal": "SIGINT" });
    let base = Image::new().file("entry", b"").config(config.clone()).serve(&server, "own", "1", 1);
    workspace.write("own.yaml", &format!("name: own\nuser_managed: true\nimage: {base}\n"));
    let layout = workspace.path().join("layout");
    let destination = format!("oci:{}", layout.display());
    workspace.run(["build", "own.yaml", "--to", &destination]).ok();
    let shown = workspace.json(["image", "show", "own.yaml"]);
    let blob = |digest: &Value| {
        let hex = digest.as_str().unwrap().trim_start_matches("sha256:").to_owned();
        fs_err::read_to_string(layout.join("blobs/sha256").join(hex)).unwrap()
    };
    let written: Value = serde_json::from_str(&blob(&shown["config"])).unwrap();
    for key in ["Env", "Entrypoint", "User", "WorkingDir", "ExposedPorts", "StopSignal"] {
        assert_eq!(written["config"][key], config[key], "{key}");
    }
    assert_eq!(written["config"]["Labels"]["vendor"], "test");
    let manifest: Value = serde_json::from_str(&blob(&shown["digest"])).unwrap();
    assert_eq!(
        written["config"]["Labels"]["org.opencontainers.image.base.digest"].as_str().map(str::len),
        Some(71)
    );
    assert_eq!(
        manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar",
        "it is as it was"
    );
}

#[test]
fn packages_for_ubuntu_come_from_its_own_archive() {
    use provenv_testing::debian::{Deb, DebianArchive, Key, Suite};
    let workspace = Workspace::empty();
    let mut archive = DebianArchive::new(Key::generate());
    let mut suite = Suite::new("noble")
        .with(Deb::new("libc6", "2.39-0ubuntu8"))
        .with(Deb::new("libhello1", "1.0-1").depends("libc6 (>= 2.38)").file(
            "usr/lib/libhello.so.1",
            0o644,
            "x",
        ))
        .with_universe(Deb::new("hello", "2.10-3").depends("libhello1").file(
            "usr/share/hello.txt",
            0o644,
            "hello",
        ));
    suite.origin = "Ubuntu".to_owned();
    suite.class = "noble".to_owned();
    archive.add(suite);
    let server = Server::start(archive.tree());
    let keyring = workspace.path().join("keyring.gpg");
    fs_err::write(&keyring, archive.key().public()).unwrap();
    // An older libc6 than the archive's, which does, and a package that the archive does not have.
    let status =
        b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.39-0ubuntu2\n\n\
                   Package: of-a-vendor\nStatus: install ok installed\nArchitecture: all\nVersion: 7\n";
    let mut image = Image::new()
        .file("usr/lib/x86_64-linux-gnu/libc.so.6", b"(Ubuntu GLIBC 2.39) stable release version 2.39.\n")
        .file("etc/os-release", b"ID=ubuntu\nVERSION_CODENAME=noble\nPRETTY_NAME=\"Ubuntu 24.04\"\n")
        .file("etc/passwd", b"root:x:0:0::/root:/bin/sh\nubuntu:x:1000:1000::/home/ubuntu:/bin/bash\n")
        .file("usr/bin/x", b"")
        .file("usr/sbin/x", b"")
        .file("var/lib/dpkg/status", status);
    for name in ["bin", "sbin", "lib"] {
        image = image.link(name, &format!("usr/{name}"));
    }
    let reference = image.serve(&server, "ubuntu", "24.04", 1);
    workspace
        .write("on.yaml", &format!("name: on\nimage: {reference}\nsystem_packages: [hello, of-a-vendor]\n"));
    let run = |keyring: &std::path::Path, arguments: &[&str]| -> Done {
        let mut command = workspace.command();
        command.env("PROVENV_UBUNTU_MIRROR", server.at("/")).env("PROVENV_UBUNTU_KEYRING", keyring);
        command.args(arguments).output().unwrap().into()
    };
    let done = run(&workspace.path().join("none"), &["lock", "on.yaml"]);
    assert!(
        done.stderr.contains("Ubuntu's archive") && done.stderr.contains("ubuntu-keyring"),
        "{}",
        done.stderr
    );
    let done = run(&keyring, &["lock", "on.yaml", "--file", "-"]).ok();
    let lock: Value = serde_json::from_str(&done.stdout).unwrap();
    let debian = lock["platforms"]["linux/amd64"]["debian"].as_array().unwrap();
    let names: Vec<&str> = debian.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["hello", "libhello1"]);
    let layout = workspace.path().join("layout");
    run(&keyring, &["build", "on.yaml", "--to", &format!("oci:{}", layout.display())]).ok();

    // The state that the packages add: dpkg knows of both, and of what was there; its users stay.
    let shown = workspace.json(["image", "show", "on.yaml"]);
    let state = shown["layers"].as_array().unwrap().last().unwrap();
    assert_eq!(state["what"], "state of system packages");
    let hex = state["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let listed = std::process::Command::new("tar")
        .arg("-xzOf")
        .arg(layout.join("blobs/sha256").join(&hex))
        .arg("var/lib/dpkg/status")
        .output()
        .unwrap();
    let status = String::from_utf8(listed.stdout).unwrap();
    for name in ["libc6", "of-a-vendor", "hello", "libhello1"] {
        assert_eq!(
            status.matches(&format!("Package: {name}\nStatus: install ok installed\n")).count(),
            1,
            "{status}"
        );
    }
    let paths =
        std::process::Command::new("tar").arg("-tzf").arg(layout.join("blobs/sha256").join(&hex)).output();
    let paths = String::from_utf8(paths.unwrap().stdout).unwrap();
    assert!(!paths.contains("etc/passwd") && !paths.lines().any(|path| path == "bin"), "{paths}");
    assert!(paths.contains("var/lib/dpkg/info/hello.list"), "{paths}");
}
