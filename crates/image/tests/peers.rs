//! Images in the eyes of others: skopeo, umoci, buildah, podman and runc read what we write, and find in it what we put in.
//!
//! A peer that is not installed is skipped, and the test says so; `PROVENV_TEST_PEERS=required` makes that a failure.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::{Compression, write::GzEncoder};
use provenv_definition::{Digest, Platform};
use provenv_fetch::Silent;
use provenv_image::export::{self, Destination};
use provenv_image::layer::Layer;
use provenv_image::oci::{self, Image, ImageConfig};
use provenv_image::unpack;
use provenv_store::Store;
use tempfile::TempDir;

/// Whether a peer is there.
fn peer(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(name).is_file());
    if !found {
        assert!(
            std::env::var("PROVENV_TEST_PEERS").as_deref() != Ok("required"),
            "PROVENV_TEST_PEERS=required, and {name} is not installed"
        );
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// Peers that make containers need root on machines like CI's.
fn is_root() -> bool {
    let root = fs_err::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("skipped: this peer needs root here");
    }
    root
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {}: {}\n{}{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A tar in the making, and the layer it becomes: a gzip member for each entry, as splicing makes them.
struct Tar {
    tar: Vec<u8>,
    members: Vec<usize>,
}

impl Tar {
    fn new() -> Self {
        Self { tar: Vec::new(), members: Vec::new() }
    }

    fn add(&mut self, path: &str, kind: tar::EntryType, mode: u32, link: &str, bytes: &[u8]) {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(315_532_800);
        header.set_uid(0);
        header.set_gid(if mode & 0o2000 == 0 { 0 } else { 34 });
        header.set_size(bytes.len() as u64);
        if link.is_empty() {
            builder.append_data(&mut header, path, bytes).unwrap();
        } else {
            builder.append_link(&mut header, path, link).unwrap();
        }
        self.members.push(self.tar.len());
        let entry = builder.into_inner().unwrap();
        self.tar.extend_from_slice(&entry[..entry.len() - 1024]);
    }

    fn folder(&mut self, path: &str, mode: u32) {
        self.add(&format!("{path}/"), tar::EntryType::Directory, mode, "", b"");
    }

    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        self.add(path, tar::EntryType::Regular, mode, "", bytes);
    }

    fn link(&mut self, path: &str, target: &str) {
        self.add(path, tar::EntryType::Symlink, 0o777, target, b"");
    }

    fn layer(mut self, store: &Store, what: &str) -> Layer {
        use std::io::Write as _;
        self.members.push(self.tar.len());
        self.tar.extend_from_slice(&[0; 1024]);
        self.members.push(self.tar.len());
        let mut blob = Vec::new();
        for range in self.members.windows(2) {
            let mut encoder = GzEncoder::new(&mut blob, Compression::fast());
            encoder.write_all(&self.tar[range[0]..range[1]]).unwrap();
            encoder.finish().unwrap();
        }
        Layer {
            digest: store.put(&blob).unwrap(),
            size: blob.len() as u64,
            diff_id: Digest::of(&self.tar),
            tar_size: self.tar.len() as u64,
            compression: provenv_image::layer::Compression::Gzip,
            toc: None,
            foreign: false,
            what: what.to_owned(),
            packages: vec![],
        }
    }
}

/// `sh` and `cat` of this machine with the libraries they need: enough to run something.
fn shell(store: &Store) -> Layer {
    let mut files = BTreeMap::new();
    for program in ["/bin/sh", "/bin/cat"] {
        let real = fs_err::canonicalize(program).unwrap();
        for word in
            run("ldd", &[real.to_str().unwrap()]).split_whitespace().filter(|word| word.starts_with('/'))
        {
            files.insert(word.to_owned(), fs_err::read(word).unwrap());
        }
        files.insert(program.to_owned(), fs_err::read(real).unwrap());
    }
    let mut tar = Tar::new();
    let mut folders = std::collections::BTreeSet::new();
    for path in files.keys() {
        let mut folder = Path::new(path).parent().unwrap().strip_prefix("/").unwrap();
        while folder != Path::new("") {
            folders.insert(folder.to_str().unwrap().to_owned());
            folder = folder.parent().unwrap();
        }
    }
    for folder in &folders {
        tar.folder(folder, 0o755);
    }
    for (path, bytes) in &files {
        tar.file(path.trim_start_matches('/'), 0o755, bytes);
    }
    tar.layer(store, "a shell")
}

/// Everything that is not plain: long and foreign names, links, odd modes, a set-group-id bit, an empty file.
fn oddities(store: &Store) -> Layer {
    let mut tar = Tar::new();
    tar.folder("opt", 0o755);
    tar.folder("opt/closed", 0o555);
    tar.folder("opt/sticky", 0o1777);
    tar.file("opt/closed/inside", 0o444, b"inside\n");
    tar.file("opt/setgid", 0o2755, b"#!/bin/sh\n");
    tar.file("opt/empty", 0o600, b"");
    tar.file("opt/Größe 漢字.txt", 0o644, b"name\n");
    tar.folder(&format!("opt/{}", "d".repeat(100)), 0o755);
    tar.file(&format!("opt/{}/{}", "d".repeat(100), "f".repeat(120)), 0o644, b"long\n");
    tar.link("opt/link", "closed/inside");
    tar.link("opt/dangling", "/nowhere/at/all");
    tar.add("opt/again", tar::EntryType::Link, 0o444, "opt/closed/inside", b"");
    tar.file("opt/many", 0o644, &(0..400_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
    tar.layer(store, "oddities")
}

struct Setup {
    folder: TempDir,
    store: Store,
    image: Image,
}

impl Setup {
    fn new() -> Self {
        // buildah makes a name of the path, which must be in lower case.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("provenv-peers-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let layers = [shell(&store), oddities(&store)];
        let config = ImageConfig {
            env: vec![("PATH".into(), "/bin".into()), ("GREETING".into(), "hello = world".into())],
            command: vec!["sh".into(), "-c".into(), "echo by default".into()],
            labels: BTreeMap::from([("org.opencontainers.image.title".into(), "a test".into())]),
            ..ImageConfig::default()
        };
        let image = oci::write(&store, Platform::host(), &layers, &config).unwrap();
        Self { folder, store, image }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Exports to `transport:FOLDER/name` and gives that back.
    fn export(&self, transport: &str, name: &str) -> String {
        let text = format!("{transport}:{}", self.path(name));
        export::to(&self.store, &self.image, &Destination::parse(&text).unwrap(), &Silent).unwrap();
        text
    }

    /// What our own unpacking lays out, lower layers first.
    fn unpacked(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        for folder in unpack::layers(&self.store, &self.image.layers, &Silent).unwrap() {
            all.extend(listing(&folder));
        }
        all
    }

    /// The flags that keep podman and buildah to a storage of their own, which works inside a container too.
    fn storage(&self) -> Vec<String> {
        let flags =
            ["--root", &self.path("storage"), "--runroot", &self.path("run"), "--storage-driver", "vfs"];
        flags.iter().map(|&flag| flag.to_owned()).collect()
    }

    fn contained(&self, program: &str, arguments: &[&str]) -> String {
        let storage = self.storage();
        let all: Vec<&str> = storage.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        run(program, &all)
    }
}

/// Every path below `root` with its kind, mode, owner, time and content.
fn listing(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let found = fs_err::symlink_metadata(&path).unwrap();
            let content = if found.is_symlink() {
                format!("link to {}", fs_err::read_link(&path).unwrap().display())
            } else if found.is_dir() {
                folders.push(path.clone());
                "folder".to_owned()
            } else {
                format!("{} links, {}", found.nlink(), Digest::of(&fs_err::read(&path).unwrap()))
            };
            let mode = found.permissions().mode() & 0o7777;
            let text = format!("{mode:o} {}:{} {} {content}", found.uid(), found.gid(), found.mtime());
            all.insert(path.strip_prefix(root).unwrap().to_owned(), text);
        }
    }
    all
}

#[test]
fn skopeo_inspects_and_copies_every_form() {
    if !peer("skopeo") {
        return;
    }
    let setup = Setup::new();
    for (transport, name) in
        [("oci", "out:v1"), ("oci", "plain"), ("oci-archive", "o.tar:v1"), ("docker-archive", "d.tar:demo:1")]
    {
        let source = setup.export(transport, name);
        let text = run("skopeo", &["inspect", &source]);
        let seen: serde_json::Value = serde_json::from_str(&text).unwrap();
        if transport != "docker-archive" {
            assert_eq!(seen["Digest"], setup.image.manifest.to_string(), "{source}");
            let layers: Vec<_> = setup.image.layers.iter().map(|layer| layer.digest.to_string()).collect();
            assert_eq!(seen["Layers"], serde_json::json!(layers));
        }
        assert_eq!(seen["Created"], "1980-01-01T00:00:00Z");
        assert_eq!(seen["Labels"]["org.opencontainers.image.title"], "a test");
        assert_eq!(seen["Env"][1], "GREETING=hello = world");
        // Copying reads every blob and checks its digest.
        let target = format!("dir:{}", setup.path(&format!("copy of {}", name.replace(':', " "))));
        run("skopeo", &["--insecure-policy", "copy", &source, &target]);
    }
}

#[test]
fn umoci_unpacks_what_we_unpack() {
    if !peer("umoci") {
        return;
    }
    let setup = Setup::new();
    setup.export("oci", "out:v1");
    let bundle = setup.path("bundle");
    let image = format!("{}:v1", setup.path("out"));
    let flags: &[&str] = if is_root() { &[] } else { &["--rootless"] };
    run("umoci", &[&["unpack"], flags, &["--image", &image, &bundle]].concat());
    let theirs = listing(&Path::new(&bundle).join("rootfs"));
    let ours = setup.unpacked();
    assert!(ours.len() > 15);
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    for (path, expected) in &ours {
        assert_eq!(&theirs[path], expected, "{}", path.display());
    }
}

#[test]
fn umoci_unpacks_without_root() {
    if !peer("umoci") {
        return;
    }
    let setup = Setup::new();
    setup.export("oci", "out:v1");
    let bundle = setup.path("bundle");
    run("umoci", &["unpack", "--rootless", "--image", &format!("{}:v1", setup.path("out")), &bundle]);
    let found = fs_err::read(Path::new(&bundle).join("rootfs/opt/Größe 漢字.txt")).unwrap();
    assert_eq!(found, b"name\n");
}

#[test]
fn podman_loads_and_runs() {
    if !peer("podman") || !peer("runc") || !is_root() {
        return;
    }
    let setup = Setup::new();
    for (transport, name, tag) in
        [("docker-archive", "d.tar:demo:1", "localhost/demo:1"), ("oci-archive", "o.tar:v2", "")]
    {
        let source = setup.export(transport, name);
        let image = if tag.is_empty() {
            setup.contained("podman", &["pull", "--quiet", &source]).trim().to_owned()
        } else {
            setup.contained("podman", &["load", "--quiet", "--input", &setup.path("d.tar")]);
            tag.to_owned()
        };
        let flags = ["--runtime", "runc", "--cgroup-manager", "cgroupfs"];
        let limits = [
            "run",
            "--rm",
            "--network",
            "none",
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=4096:4096",
            &image,
        ];
        let said = setup.contained("podman", &[&flags[..], &limits[..]].concat());
        assert_eq!(said, "by default\n", "{source}");
        let command = ["sh", "-c", "cat /opt/link /opt/again; echo $GREETING"];
        let said = setup.contained("podman", &[&flags[..], &limits[..], &command[..]].concat());
        assert_eq!(said, "inside\ninside\nhello = world\n", "{source}");
    }
}

/// Only where a daemon answers already: it is not ours to start one.
#[test]
fn docker_loads_and_runs() {
    if !Command::new("docker").arg("info").output().is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: no docker daemon answers");
    }
    let setup = Setup::new();
    setup.export("docker-archive", "d.tar:provenv-test:1");
    run("docker", &["load", "--input", &setup.path("d.tar")]);
    let said =
        run("docker", &["run", "--rm", "--network", "none", "provenv-test:1", "sh", "-c", "cat /opt/again"]);
    run("docker", &["rmi", "provenv-test:1"]);
    assert_eq!(said, "inside\n");
}

#[test]
fn buildah_builds_on_it() {
    if !peer("buildah") || !is_root() {
        return;
    }
    let setup = Setup::new();
    let source = setup.export("oci", "out:v1");
    let container = setup.contained("buildah", &["from", "--quiet", &source]);
    let mounted = setup.contained("buildah", &["mount", container.trim()]);
    let theirs = listing(Path::new(OsStr::from_bytes(mounted.trim().as_bytes())));
    let ours = setup.unpacked();
    for (path, expected) in &ours {
        assert_eq!(theirs.get(path), Some(expected), "{}", path.display());
    }
    setup.contained("buildah", &["umount", container.trim()]);
}

#[test]
fn runc_runs_an_unpacked_bundle() {
    if !peer("umoci") || !peer("runc") || !is_root() {
        return;
    }
    let setup = Setup::new();
    setup.export("oci", "out:v1");
    let bundle = setup.path("bundle");
    run("umoci", &["unpack", "--image", &format!("{}:v1", setup.path("out")), &bundle]);
    // No terminal, and the host's limits: this machine may not raise them.
    let path = Path::new(&bundle).join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    config["process"]["terminal"] = false.into();
    config["process"].as_object_mut().unwrap().remove("rlimits");
    fs_err::write(&path, config.to_string()).unwrap();
    let name = format!("provenv-test-{}", std::process::id());
    let said = run("runc", &["--root", &setup.path("runc"), "run", "--bundle", &bundle, &name]);
    assert_eq!(said, "by default\n");
}
