//! A prefix in an image beside the one that py-rattler installs: the same files to the last bit, whoever of two packages with one
//! path has it, and records that say the same.
//!
//! py-rattler comes from the package index. Where it cannot be had the test says so and is skipped, unless
//! `PROVENV_TEST_PEERS=required`.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use provenv_channel::{Channel, Package, python_with, skip};
use provenv_definition::{Digest, Platform, SafeUrl, Suite};
use provenv_fetch::{Fetcher, Options, Silent};
use provenv_image::python::PythonHost;
use provenv_image::{Assembler, unpack};
use provenv_lock::{Artifact, BaseLock, CondaPackage, PlatformLock, PythonLock};
use provenv_store::Store;
use provenv_testing::server::{FileTree, Server};
use serde_json::Value;

/// The Python of this machine in the place of the packages' own, which is a script.
struct HostPython;

impl PythonHost for HostPython {
    fn spawn(&self, _: &[PathBuf], command: &[String], env: &[(&str, &str)]) -> io::Result<Child> {
        Command::new("python3.11")
            .args(&command[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }
}

/// Packages with all that is hard to lay down.
fn channel() -> Channel {
    let shared = |name: &str| {
        Package::new(name, "1.0")
            .file("share/shared.txt", format!("{name}\n"))
            .file(&format!("share/{name}.txt"), "own\n")
    };
    Channel::new("demo")
        .add(
            Package::new("python", "3.11.2")
                .build("h0_0_cpython", 0)
                .executable("bin/python3.11", "#!/bin/sh\n")
                .symlink("bin/python", "python3.11")
                .file("lib/python3.11/os.py", "x = 1\n")
                .prefixed_text("lib/python3.11/where.py", "P = '{PREFIX}'\n")
                .field("python_site_packages_path", "lib/python3.11/site-packages"),
        )
        .add(
            Package::new("tool", "1.0")
                .build("py311_3", 3)
                .depends("python >=3.11,<3.12.0a0")
                .constrains("old <2")
                .license("MIT")
                .prefixed_text("bin/tool", "#!/bin/sh\necho {PREFIX}\n")
                .prefixed_binary("lib/libtool.so", b"\x7fELF{PREFIX}/share\0rest{PREFIX}:{PREFIX}/x\0\0\0end")
                .hardlink("bin/tool-too", "bin/tool")
                .hardlink("lib/libtool-too.so", "lib/libtool.so")
                .symlink("lib/libtool.so.1", "libtool.so")
                .file("Menu/tool.json", "{}")
                .file("etc/conda/activate.d/tool.sh", "export TOOL=1\n")
                .entry_point("second = tool:main")
                .python_dist("tool", "1.0", &["library>=1"]),
        )
        .add(
            Package::new("library", "2.0")
                .noarch_python()
                .depends("python >=3.9")
                .file("site-packages/library/__init__.py", "def main(): pass\n")
                .python_dist("library", "2.0", &[])
                .entry_point("library = library:main"),
        )
        // As conda-forge has those that hold compiled code for any Python.
        .add(
            Package::new("native", "3.0")
                .noarch_python()
                .subdir("linux-64")
                .depends("python >=3.9")
                .prefixed_text("site-packages/native.py", "P = '{PREFIX}'\n")
                .python_dist("native", "3.0", &[])
                .entry_point("native = native:main"),
        )
        .add(
            Package::new("old", "1")
                .old_format()
                .without_paths()
                .prefixed_text("share/old.txt", "{PREFIX}\n")
                .file("share/plain.txt", "plain\n"),
        )
        // Some need each other and some do not, and the names are in no order.
        .add(shared("alpha").depends("delta"))
        .add(shared("beta"))
        .add(shared("gamma").depends("beta"))
        .add(shared("delta").depends("epsilon"))
        .add(shared("epsilon"))
        .add(shared("omega").depends("alpha"))
        .add(shared("aardvark").depends("python"))
}

const SPECS: [&str; 10] =
    ["native", "tool", "library", "old", "alpha", "beta", "gamma", "omega", "aardvark", "python"];

/// A lock of all packages of `channel` at `url`.
fn lock(channel: &Channel, url: &str) -> PlatformLock {
    let mut conda: Vec<CondaPackage> = channel
        .archives()
        .iter()
        .map(|archive| {
            let record = &archive.record;
            let text = |field: &str| record[field].as_str().unwrap().to_owned();
            let specs = |field: &str| {
                serde_json::from_value(record.get(field).cloned().unwrap_or(Value::Array(vec![]))).unwrap()
            };
            let url = format!("{url}/{}/{}", archive.subdir, archive.file_name);
            CondaPackage {
                name: text("name"),
                version: text("version"),
                build: text("build"),
                build_number: record["build_number"].as_u64().unwrap(),
                subdir: archive.subdir.clone(),
                artifact: Artifact {
                    url: SafeUrl::new(url.parse().unwrap()),
                    size: archive.bytes.len() as u64,
                    sha256: Digest::of(&archive.bytes),
                },
                md5: Some(text("md5")),
                depends: specs("depends"),
                constrains: specs("constrains"),
                requested: SPECS.contains(&&*text("name")),
            }
        })
        .collect();
    conda.sort_by(|one, other| one.name.cmp(&other.name));
    PlatformLock {
        base: BaseLock::Debian { suite: Suite("test".to_owned()) },
        debian: Vec::new(),
        python: Some(PythonLock {
            version: "3.11.2".to_owned(),
            executable: "/opt/provenv/bin/python3.11".to_owned(),
            glibc: "2.36".to_owned(),
            as_is: false,
        }),
        conda,
        pypi: Vec::new(),
        post_link: None,
    }
}

/// Bytecode is made anew, menus are a desktop's, who lost a path is kept apart by rattler, records are compared by what they say.
const NOT_COMPARED: [&str; 5] = ["__pycache__", "Menu", "__clobbers__", "conda-meta", "CACHEDIR.TAG"];

/// What lies below `folder`: mode and bytes of files, targets of links.
fn files(folder: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(inner) = waiting.pop() {
        for entry in fs_err::read_dir(&inner).unwrap() {
            let (path, kind) = {
                let entry = entry.unwrap();
                (entry.path(), entry.file_type().unwrap())
            };
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            if name.split('/').any(|part| NOT_COMPARED.contains(&part)) {
                continue;
            }
            if kind.is_symlink() {
                found.insert(
                    name,
                    (0, fs_err::read_link(&path).unwrap().into_os_string().into_encoded_bytes()),
                );
            } else if kind.is_dir() {
                waiting.push(path);
            } else {
                let mode = fs_err::metadata(&path).unwrap().permissions().mode() & 0o777;
                found.insert(name, (mode, fs_err::read(&path).unwrap()));
            }
        }
    }
    found
}

fn peer(python: &Path, arguments: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/rattler_peer.py");
    let output = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A record without what cannot be the same: bytecode, what rattler keeps of paths that were lost, and its cache.
fn comparable(record: &Value) -> Value {
    let mut record = record.clone();
    let is_old = record["name"] == "old";
    let fields = record.as_object_mut().unwrap();
    let mut paths: Vec<Value> = fields["paths_data"]["paths"].as_array().unwrap().clone();
    paths.retain_mut(|row| {
        let path = row["_path"].as_str().unwrap();
        let lost = path.strip_prefix("__clobbers__/").and_then(|rest| rest.split_once('/'));
        let path = lost.map_or(path, |(_, path)| path).to_owned();
        row.as_object_mut().unwrap().remove("original_path");
        row["_path"] = path.clone().into();
        // conda notes what came of every file, rattler of those that are not as they were, and of packages so old that they
        // have no digests, which it does not make up for.
        let fields = row.as_object_mut().unwrap();
        if is_old {
            fields.remove("sha256");
            fields.remove("size_in_bytes");
        } else if fields.get("sha256_in_prefix") == fields.get("sha256") {
            fields.remove("sha256_in_prefix");
        }
        !path.split('/').any(|part| NOT_COMPARED.contains(&part))
    });
    paths.sort_by_key(|row| row["_path"].as_str().unwrap().to_owned());
    let names: Vec<Value> = paths.iter().map(|row| row["_path"].clone()).collect();
    fields.insert("paths".to_owned(), paths.into());
    fields.insert("files".to_owned(), names.into());
    for field in ["paths_data", "link", "extracted_package_dir", "package_tarball_full_path", "channel"] {
        fields.remove(field);
    }
    // rattler knows what was asked for only if it is told.
    for field in ["requested_spec", "requested_specs"] {
        fields.remove(field);
    }
    // Only the archive has them: the index of a channel leaves them out.
    for field in ["arch", "platform"] {
        fields.remove(field);
    }
    record
}

#[tokio::test]
async fn a_prefix_is_what_rattler_installs() {
    let Some(python) = python_with(&["py-rattler==0.28.0"]) else { return };
    if Command::new("python3.11").arg("-V").output().is_err() {
        return skip("python3.11 is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let channel = channel();
    let server = Server::start(channel.serve(FileTree::new()));
    let url = server.at("/demo");
    let (theirs, cache) = (folder.path().join("theirs"), folder.path().join("cache"));
    let arguments =
        [&["install-inside", &url, cache.to_str().unwrap(), theirs.to_str().unwrap()][..], &SPECS].concat();
    peer(&python, &arguments);

    let store = Store::open(folder.path().join("store")).unwrap();
    let fetcher = Fetcher::new(store.clone(), Arc::new(Silent), Options::default()).unwrap();
    let lock = lock(&channel, &url);
    let assembler = Assembler::new(fetcher, Arc::new(HostPython));
    let image = assembler.image(&lock, Platform::LinuxAmd64).await.unwrap();
    // Layers one over the other.
    let ours = folder.path().join("ours");
    for layer in unpack::layers(&store, &image.layers, &Silent).unwrap() {
        let prefix = layer.join("opt/provenv");
        if prefix.is_dir() {
            let copied =
                Command::new("cp").args(["-a", "--no-target-directory"]).arg(&prefix).arg(&ours).status();
            assert!(copied.unwrap().success());
        }
    }
    compare(&python, &ours, &theirs);

    let asked = BTreeMap::new();
    // And laid out elsewhere, it is what rattler installs there.
    let place = folder.path().join("some").join("where");
    let place_text = place.to_str().unwrap();
    peer(&python, &[&["install", &url, cache.to_str().unwrap(), place_text][..], &SPECS].concat());
    let theirs = folder.path().join("theirs-elsewhere");
    fs_err::rename(&place, &theirs).unwrap();
    let layers = unpack::layers(&store, &image.layers, &Silent).unwrap();
    assembler.export_prefix(&lock, Platform::LinuxAmd64, layers.clone(), &asked, &place).await.unwrap();
    compare(&python, &place, &theirs);
    let text = fs_err::read_to_string(place.join("bin/tool")).unwrap();
    assert_eq!(text, format!("#!/bin/sh\necho {place_text}\n"));

    // Never over what is there, and never where a library has no room for it.
    let again = assembler.export_prefix(&lock, Platform::LinuxAmd64, layers.clone(), &asked, &place).await;
    let again = again.unwrap_err().to_string();
    assert!(again.contains("not an empty folder"), "{again}");
    let long = folder.path().join("x".repeat(250)).join("y");
    let refused = assembler.export_prefix(&lock, Platform::LinuxAmd64, layers, &asked, &long).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("has room for a prefix of 255 bytes"), "{refused}");
    assert!(!long.exists() && fs_err::read_dir(long.parent().unwrap()).unwrap().next().is_none());
}

/// Two prefixes are the same to the last bit, and their records say the same.
fn compare(python: &Path, ours: &Path, theirs: &Path) {
    let (our_files, their_files) = (files(ours), files(theirs));
    assert_eq!(our_files.keys().collect::<Vec<_>>(), their_files.keys().collect::<Vec<_>>());
    for (path, (mode, bytes)) in &our_files {
        let (their_mode, their_bytes) = &their_files[path];
        assert_eq!(String::from_utf8_lossy(bytes), String::from_utf8_lossy(their_bytes), "{path}");
        // rattler lets a group write its entry points.
        assert_eq!(mode & 0o755, their_mode & 0o755, "{path}");
    }

    let list = |prefix: &Path| -> Vec<Value> {
        serde_json::from_str(&peer(python, &["list", prefix.to_str().unwrap()])).unwrap()
    };
    let (our_records, their_records) = (list(ours), list(theirs));
    assert_eq!(our_records.len(), channel().archives().len());
    assert_eq!(their_records.len(), our_records.len());
    for (ours, theirs) in our_records.iter().zip(&their_records) {
        assert_eq!(comparable(ours), comparable(theirs));
        let name = ours["name"].as_str().unwrap();
        let asked: Vec<&str> = SPECS.iter().copied().filter(|spec| *spec == name).collect();
        assert_eq!(ours["requested_specs"], serde_json::json!(asked), "{name}");
    }
}
