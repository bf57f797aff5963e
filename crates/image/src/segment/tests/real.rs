//! Real wheels, laid down by us and by uv.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::support::Fixture;

/// Runs a command; `None`, and a message, where it fails: these tests need the network.
fn run(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    if !output.status.success() {
        eprintln!("skipped: {command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    String::from_utf8(output.stdout).ok()
}

/// Every file below `root` with its mode and bytes.
fn files(root: &Path, at: &Path, found: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in fs_err::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs_err::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            files(root, &path, found);
        } else if metadata.is_file() {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            found.insert(name, (metadata.permissions().mode() & 0o7777, fs_err::read(&path).unwrap()));
        }
    }
}

/// Files that say who installed a package and why.
fn own(path: &str) -> bool {
    path.contains(".dist-info/")
        && ["/INSTALLER", "/REQUESTED", "/RECORD", "/direct_url.json", "/uv_cache.json"]
            .iter()
            .any(|name| path.ends_with(name))
}

#[test]
fn every_file_equals_what_uv_lays_down() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let Some(version) =
        run(Command::new("python3").args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]))
    else {
        return;
    };
    let minor: u32 = version.trim().strip_prefix("3.").unwrap().parse().unwrap();
    let packages = ["numpy", "pandas", "scikit-learn", "requests", "jupyter-core", "pip"];
    let (wheels, tool, venv) = (at("wheels"), at("tool"), at("venv"));
    let ready = run(Command::new("python3").args(["-m", "venv"]).arg(&tool))
        .and_then(|_| run(Command::new(tool.join("bin/pip")).args(["install", "-q", "uv"])))
        .and_then(|_| {
            let arguments = ["-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d"];
            run(Command::new("python3").args(arguments).arg(&wheels).args(packages))
        });
    if ready.is_none() {
        return;
    }
    let uv = || Command::new(tool.join("bin/uv"));
    run(uv().args(["venv", "-q", "--python", "python3"]).arg(&venv)).unwrap();
    let arguments = ["pip", "install", "-q", "--offline", "--no-index", "--no-deps", "--find-links"];
    let cache = at("cache");
    run(uv()
        .args(arguments)
        .arg(&wheels)
        .arg("--cache-dir")
        .arg(&cache)
        .arg("--python")
        .arg(&venv)
        .args(packages))
    .unwrap();
    let mut theirs = BTreeMap::new();
    files(&venv, &venv, &mut theirs);
    // What makes it a virtual environment is another's work.
    theirs.retain(|path, _| {
        !(own(path)
            || !path.contains('/')
            || path.starts_with("bin/activate")
            || path.starts_with("bin/deactivate")
            || path == "bin/pydoc.bat"
            || path.contains("/_virtualenv."))
    });
    let shebang = format!("#!{}/bin/python\n", venv.to_str().unwrap());
    for (path, (_, bytes)) in &mut theirs {
        if path.starts_with("bin/") && bytes.starts_with(shebang.as_bytes()) {
            bytes.splice(..shebang.len(), *b"#!/opt/provenv/bin/python\n");
        }
    }

    let fixture = Fixture::new();
    let mut ours = BTreeMap::new();
    let mut records = BTreeSet::new();
    for wheel in fs_err::read_dir(&wheels).unwrap() {
        let path = wheel.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let digest = provenv_definition::Digest::of(&fs_err::read(&path).unwrap());
        let made = crate::segment::wheel(&fixture.store, &path, &digest, name, (3, minor)).unwrap();
        let segment = &made.segment;
        for (path, entry) in fixture.contents(&fixture.layer(segment)) {
            let Some(path) = path.strip_prefix("opt/provenv/") else { continue };
            if entry.kind.is_file() {
                if path.ends_with("/RECORD") {
                    let text = String::from_utf8(entry.bytes.clone()).unwrap();
                    records.extend(text.lines().map(str::to_owned));
                }
                if !own(path) {
                    assert!(ours.insert(path.to_owned(), (entry.mode, entry.bytes)).is_none(), "{path}");
                }
            }
        }
    }
    let names = |files: &BTreeMap<String, (u32, Vec<u8>)>| files.keys().cloned().collect::<BTreeSet<_>>();
    let (a, b) = (names(&ours), names(&theirs));
    assert!(a == b, "only ours: {:?}, only uv's: {:?}", &a - &b, &b - &a);
    for (path, (mode, bytes)) in &ours {
        assert_eq!(*mode, theirs[path].0, "mode of {path}");
        assert!(*bytes == theirs[path].1, "bytes of {path}");
    }
    assert!(ours.len() > 3000, "{} files", ours.len());

    // uv's RECORDs say the same of the same files; scripts differ by the path of Python.
    let mut theirs = BTreeMap::new();
    files(&venv, &venv.join("lib"), &mut theirs);
    for (_, (_, bytes)) in theirs.iter().filter(|(path, _)| path.ends_with(".dist-info/RECORD")) {
        for line in std::str::from_utf8(bytes).unwrap().lines() {
            let path = line.rsplitn(3, ',').last().unwrap();
            if !own(path) && !path.starts_with("../../../bin/") {
                assert!(records.contains(line), "{line}");
            }
        }
    }
}
