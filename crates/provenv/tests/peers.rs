//! An environment's image in the eyes of others: what skopeo, umoci, podman, buildah and a registry make of it, and whether
//! its site-packages are what `uv pip install` lays down.
//!
//! A peer that is not installed is skipped, and the test says so; `PROVENV_TEST_PEERS=required` makes that a failure.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server;

use crate::support::{Done, Workspace, definition, eventually, have, is_root, serve};

/// Everything that installing a wheel can mean.
fn index() -> Index {
    Index::new()
        .add(
            Wheel::new("Tea.Pot", "1.0")
                .requires("leaf[green]>=1")
                .entry_point("console_scripts", "pour", "tea_pot:main")
                .entry_point("console_scripts", "tea-Kettle", "tea_pot.sub:Kettle.boil")
                .entry_point("gui_scripts", "pour-gui", "tea_pot:main")
                .entry_point("tea.plugins", "milk", "tea_pot")
                .file("tea_pot/__init__.py", "import leaf\n\ndef main():\n    print('poured', leaf.KIND)\n")
                .file(
                    "tea_pot/sub/__init__.py",
                    "class Kettle:\n    @staticmethod\n    def boil(): return 0\n",
                )
                .file("tea_pot/größe.py", "GRÖSSE = 'groß'\n")
                .file("tea_pot/empty.txt", "")
                .file("tea_pot/data.bin", (0..=255).cycle().take(300_000).collect::<Vec<u8>>())
                .data("scripts", "stir", "#!python\nimport leaf\nprint('stirred', leaf.KIND)\n")
                .data("scripts", "shake.sh", "#!/bin/sh\necho shaken\n")
                .data("data", "share/tea/readme.txt", "read me\n")
                .data("data", "etc/tea.conf", "hot = yes\n")
                .data("purelib", "tea_extra.py", "X = 1\n")
                .data("headers", "tea.h", "int tea;\n"),
        )
        .add(
            Wheel::new("leaf", "1.2")
                .extra("green", "colour")
                .platform_library()
                .file("leaf/__init__.py", "KIND = 'green'\n"),
        )
        .add(Wheel::new("colour", "3.0").file("colour.py", "RED = 1\n"))
        .add(Wheel::new("cup", "1.0"))
}

const PACKAGES: &[&str] = &["tea-pot"];

struct Setup {
    workspace: Workspace,
    server: Server,
    image: String,
}

impl Setup {
    fn new() -> Option<Self> {
        let workspace = Workspace::new()?;
        let server = serve(&index());
        let text = definition(&server, "tea", PACKAGES) + "environment_variables: {MILK: 'yes'}\n";
        workspace.write("environment.yaml", &text);
        let built = workspace.json(["build", "environment.yaml"]);
        Some(Self { image: built["image"].as_str().unwrap().to_owned(), workspace, server })
    }

    fn export(&self, destination: &str) -> serde_json::Value {
        self.workspace.json(["build", "environment.yaml", "--to", destination])
    }

    fn path(&self, name: &str) -> String {
        self.workspace.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs a peer in the test's folder.
    #[track_caller]
    fn peer(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).current_dir(self.workspace.path()).output();
        Done::from(output.unwrap()).ok().stdout
    }

    /// podman or buildah with a storage of its own, which works inside a container too.
    #[track_caller]
    fn contained(&self, program: &str, arguments: &[&str]) -> String {
        let (storage, run) = (self.path("storage"), self.path("run"));
        let flags = ["--root", &storage, "--runroot", &run, "--storage-driver", "vfs"];
        self.peer(program, &[&flags, arguments].concat())
    }
}

/// Digest, mode or target of everything below `root`.
fn listing(root: &Path) -> BTreeMap<PathBuf, String> {
    let entries = walkdir::WalkDir::new(root).min_depth(1).into_iter().map(Result::unwrap);
    entries
        .map(|entry| {
            let found = entry.metadata().unwrap();
            let mode = found.permissions().mode() & 0o7777;
            let content = if found.is_symlink() {
                format!("link to {}", fs_err::read_link(entry.path()).unwrap().display())
            } else if found.is_dir() {
                format!("{mode:o} folder")
            } else {
                format!("{mode:o} {}", Digest::of(&fs_err::read(entry.path()).unwrap()))
            };
            (entry.path().strip_prefix(root).unwrap().to_owned(), content)
        })
        .collect()
}

#[test]
fn skopeo_inspects_and_copies() {
    let Some(setup) = Setup::new() else { return };
    if !have("skopeo") {
        return;
    }
    let details = setup.workspace.json(["image", "show", "environment.yaml"]);
    for destination in ["oci:layout:tea", "oci-archive:tea.tar:tea", "docker-archive:tea-docker.tar:tea:1"] {
        setup.export(destination);
        let seen: serde_json::Value =
            serde_json::from_str(&setup.peer("skopeo", &["inspect", destination])).unwrap();
        if !destination.starts_with("docker") {
            assert_eq!(seen["Digest"], setup.image.as_str());
            let layers: Vec<_> =
                details["layers"].as_array().unwrap().iter().map(|layer| &layer["digest"]).collect();
            assert_eq!(seen["Layers"], serde_json::json!(layers));
        }
        assert_eq!((&seen["Os"], &seen["Architecture"]), (&"linux".into(), &"amd64".into()));
        let variables = seen["Env"].to_string();
        assert!(variables.contains("PATH=/opt/provenv/bin:"), "{variables}");
        assert!(!variables.contains("MILK"), "variables are no part of the image: {variables}");
        // Reads every blob and checks its digest.
        let name = destination.split(':').next().unwrap();
        setup.peer("skopeo", &["--insecure-policy", "copy", destination, &format!("dir:copy-{name}")]);
    }
    setup.peer(
        "skopeo",
        &["--insecure-policy", "copy", "oci:layout:tea", "docker-archive:made-by-skopeo.tar:tea:2"],
    );
    // The same image again, under another tag: nothing is lost, nothing is there twice.
    let blobs = || fs_err::read_dir(setup.path("layout/blobs/sha256")).unwrap().count();
    let before = blobs();
    setup.export("oci:layout:again");
    assert_eq!(blobs(), before);
    for tag in ["tea", "again"] {
        setup.peer("skopeo", &["inspect", &format!("oci:layout:{tag}")]);
    }
}

#[test]
fn umoci_unpacks_without_root_what_provenv_runs() {
    let Some(setup) = Setup::new() else { return };
    if !have("umoci") {
        return;
    }
    setup.export("oci:layout:tea");
    setup.peer("umoci", &["unpack", "--rootless", "--image", "layout:tea", "bundle"]);
    let theirs = listing(&setup.workspace.path().join("bundle/rootfs/opt/provenv"));
    assert!(theirs.len() > 20, "{theirs:?}");
    // What Provenv itself shows a command inside.
    let script = "import shutil; shutil.copytree('/opt/provenv', 'ours', symlinks=True)";
    setup.workspace.run(["run", "environment.yaml", "--", "python", "-c", script]).ok();
    let ours = listing(&setup.workspace.path().join("ours"));
    assert_eq!(ours, theirs);
}

#[test]
fn podman_runs_it() {
    let Some(setup) = Setup::new() else { return };
    if !have("podman") || !have("runc") || !is_root() {
        return;
    }
    setup.export("oci-archive:tea.tar:tea");
    let image = setup.contained("podman", &["pull", "--quiet", "oci-archive:tea.tar"]);
    let flags = ["--runtime", "runc", "--cgroup-manager", "cgroupfs", "run", "--rm", "--network", "none"];
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", image.trim()];
    // All in one: each container is a copy of the whole image with this kind of storage.
    let script =
        "pour; stir; shake.sh; python -c 'import tea_pot.sub, tea_extra, colour, sys; print(sys.prefix)'";
    let said = setup.contained("podman", &[&flags[..], &limits, &["sh", "-c", script]].concat());
    assert_eq!(said, "poured green\nstirred green\nshaken\n/opt/provenv\n");
}

#[test]
fn buildah_builds_on_it() {
    let Some(setup) = Setup::new() else { return };
    if !have("buildah") || !is_root() {
        return;
    }
    setup.export("oci:layout:tea");
    let container = setup.contained("buildah", &["from", "--quiet", "oci:layout:tea"]);
    let container = container.trim();
    let said = setup.contained("buildah", &["run", "--isolation", "chroot", container, "--", "pour"]);
    assert_eq!(said, "poured green\n");
    let mounted = setup.contained("buildah", &["mount", container]);
    assert!(Path::new(mounted.trim()).join("opt/provenv/bin/pour").exists());
    setup.contained("buildah", &["umount", container]);
}

/// Debian's `docker-registry` on a free port.
struct Registry {
    child: Child,
    port: u16,
}

impl Registry {
    fn start(folder: &Path) -> Option<Self> {
        if !have("docker-registry") {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = folder.join("registry");
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: \
             {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n",
            data.display()
        );
        fs_err::write(folder.join("registry.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .args(["serve", "registry.yml"])
            .current_dir(folder)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the registry answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { child, port })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_registry_takes_it_and_is_sent_nothing_twice() {
    let Some(setup) = Setup::new() else { return };
    let Some(registry) = Registry::start(setup.workspace.path()) else { return };
    let reference = format!("127.0.0.1:{}/team/tea:1", registry.port);
    setup.export(&reference);
    let blobs = || {
        let files = walkdir::WalkDir::new(setup.path("registry")).into_iter().map(Result::unwrap);
        let times = files.filter(|entry| entry.file_name() == "data").map(|entry| {
            let changed = entry.metadata().unwrap().modified().unwrap();
            (entry.into_path(), changed)
        });
        times.collect::<BTreeMap<_, _>>()
    };
    let first = blobs();
    assert!(first.len() > 5, "{first:?}");
    setup.export(&reference);
    assert_eq!(blobs(), first, "nothing was sent again");

    // One package more: of layers one is sent, and what else is new are documents (the configuration, manifests, records).
    setup.workspace.write("environment.yaml", &definition(&setup.server, "tea", &["tea-pot", "cup"]));
    setup.export(&format!("127.0.0.1:{}/team/tea:2", registry.port));
    let mut second = blobs();
    second.retain(|path, changed| first.get(path) != Some(changed));
    let (layers, documents): (Vec<_>, Vec<_>) =
        second.keys().partition(|path| fs_err::read(path).unwrap().starts_with(&[0x1f, 0x8b]));
    assert_eq!(layers.len(), 1, "{second:?}");
    assert!(documents.iter().all(|path| fs_err::read(path).unwrap().starts_with(b"{")), "{documents:?}");
    if have("skopeo") {
        let source = format!("docker://{reference}");
        let seen =
            setup.peer("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &source]);
        assert_eq!(seen.trim(), setup.image);
        setup.peer("skopeo", &["--insecure-policy", "copy", "--src-tls-verify=false", &source, "dir:pulled"]);
    }
}

#[test]
fn a_push_killed_at_any_moment_can_be_done_again() {
    let Some(setup) = Setup::new() else { return };
    let Some(registry) = Registry::start(setup.workspace.path()) else { return };
    if !have("skopeo") {
        return;
    }
    setup.workspace.write("plain.yaml", &format!("name: plain\npython: \"{}\"\n", crate::support::PYTHON));
    let plain = setup.workspace.json(["build", "plain.yaml"])["image"].as_str().unwrap().to_owned();
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut died = 0;
    // As long as a push takes here and now.
    let begun = std::time::Instant::now();
    setup.export(&format!("127.0.0.1:{}/team/undisturbed:1", registry.port));
    let longest = u64::try_from(begun.elapsed().as_millis()).unwrap().max(50);
    for round in 0..8 {
        // A repository of its own, so that every byte is to be sent; in every other one the tag names an image already.
        let reference = format!("127.0.0.1:{}/team/tea-{round}:1", registry.port);
        let before = (round % 2 == 0).then(|| {
            setup.workspace.json(["build", "plain.yaml", "--to", &reference]);
            plain.clone()
        });
        let mut push = setup.workspace.command();
        push.args(["build", "environment.yaml", "--to", &reference])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut push = push.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(random.u64(5..longest)));
        died += usize::from(push.try_wait().unwrap().is_none());
        push.kill().unwrap();
        push.wait().unwrap();
        let source = format!("docker://{reference}");
        let named = || {
            let mut inspect = Command::new("skopeo");
            inspect.args(["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &source]);
            let done = Done::from(inspect.output().unwrap());
            (done.code == 0).then(|| done.stdout.trim().to_owned())
        };
        let now = named();
        assert!(now == before || now.as_deref() == Some(&*setup.image), "seed {seed}: {now:?}");
        let copy = || {
            let target = format!("dir:pulled-{round}");
            setup.peer("skopeo", &["--insecure-policy", "copy", "--src-tls-verify=false", &source, &target]);
        };
        if now.is_some() {
            copy();
        }
        setup.export(&reference);
        assert_eq!(named().as_deref(), Some(&*setup.image), "seed {seed}");
        copy();
    }
    assert!(died > 0, "every push was faster than its end");
}

/// Into an environment of the same Python without packages, uv installs from the same index.
#[test]
fn site_packages_are_what_uv_lays_down() {
    let Some(setup) = Setup::new() else { return };
    let python = crate::support::PYTHON;
    setup.workspace.write("plain.yaml", &format!("name: plain\npython: \"{python}\"\n"));
    let tool =
        fs_err::read_dir(setup.workspace.root().join("store/trees/tool")).unwrap().next().unwrap().unwrap();
    let index = setup.server.at("/simple/");
    let script = format!(
        "set -e; /uv/uv pip install --quiet --python /opt/provenv/bin/python --no-cache --index-url {index} \
         {}; cp -a /opt/provenv theirs",
        PACKAGES.join(" ")
    );
    let mount = format!("{}:/uv:ro", tool.path().display());
    setup.workspace.run(["run", "plain.yaml", "--mount", &mount, "--", "sh", "-c", &script]).ok();
    setup.workspace.run(["run", "environment.yaml", "--", "cp", "-a", "/opt/provenv", "ours"]).ok();

    let read = |folder: &str| {
        let root = setup.workspace.path().join(folder);
        let mut files = listing(&root);
        // Compiled ahead in ours alone. Who asked for what, and uv's own lock, are no part of an image.
        let only_here = ["__pycache__", "REQUESTED", ".lock"];
        files.retain(|path, _| {
            !path.components().any(|part| only_here.iter().any(|name| part.as_os_str() == *name))
        });
        let texts = |name: &str| -> BTreeMap<PathBuf, Vec<String>> {
            let paths = files.keys().filter(|path| path.ends_with(name));
            paths
                .map(|path| {
                    let text = fs_err::read_to_string(root.join(path)).unwrap();
                    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                    lines.sort();
                    (path.clone(), lines)
                })
                .collect()
        };
        let (records, installers) = (texts("RECORD"), texts("INSTALLER"));
        files.retain(|path, _| !path.ends_with("RECORD") && !path.ends_with("INSTALLER"));
        (files, records, installers)
    };
    let (ours, our_records, our_installers) = read("ours");
    let (theirs, their_records, their_installers) = read("theirs");
    assert_eq!(ours, theirs);
    assert!(our_installers.values().all(|lines| lines == &["provenv"]), "{our_installers:?}");
    assert_eq!(our_installers.keys().collect::<Vec<_>>(), their_installers.keys().collect::<Vec<_>>());
    for (path, lines) in our_records {
        let is_plain = |line: &&String| {
            !["__pycache__", "/INSTALLER,", "/REQUESTED,"].iter().any(|part| line.contains(part))
        };
        let plain = |lines: &[String]| lines.iter().filter(is_plain).cloned().collect::<Vec<_>>();
        assert_eq!(plain(&lines), plain(&their_records[&path]), "{}", path.display());
    }
}
