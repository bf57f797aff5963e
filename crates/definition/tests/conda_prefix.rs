//! A conda environment that a real installer made: rattler, pixi's own, from PyPI. Skipped, and said so, where it cannot be
//! had, unless `PROVENV_TEST_PEERS=required`.

use std::path::{Path, PathBuf};
use std::process::Command;

use provenv_definition::capture::{Extent, capture};
use provenv_definition::{Platform, definition_digest, read_str, write_native};

/// What the script below this file was written against.
const RATTLER: &str = "py-rattler==0.28.0";

/// A Python that has rattler, made once.
fn rattler() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rattler");
    let python = folder.join("bin/python");
    let has_it = || {
        Command::new(&python)
            .args(["-c", "import rattler"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !has_it() {
        let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).output();
        let _ = made.and_then(|_| {
            Command::new(&python).args(["-m", "pip", "install", "--quiet", "--no-compile", RATTLER]).output()
        });
    }
    if has_it() {
        return Some(python);
    }
    let required = std::env::var("PROVENV_TEST_PEERS").as_deref() == Ok("required");
    assert!(!required, "PROVENV_TEST_PEERS=required, and {RATTLER} cannot be installed");
    eprintln!("skipped: {RATTLER} cannot be installed");
    None
}

#[test]
fn an_environment_that_rattler_installed() {
    let Some(python) = rattler() else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conda_prefix.py");
    let made =
        Command::new(python).arg(script).arg(folder.path()).args(["left-pad>=1", "pip"]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let prefix = folder.path().join("prefix");

    let asked = |extent| {
        let found = capture(&prefix, extent).unwrap_or_else(|error| panic!("{:?}", error.0));
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
        // Written and read back, it is the same.
        let again = read_str(&write_native(&found.environment), Path::new("/e.yaml")).unwrap();
        let digest = definition_digest(&found.environment.definition);
        assert_eq!(definition_digest(&again.environment.definition), digest);
        found
    };
    let specs = |read: &provenv_definition::ReadEnvironment| -> Vec<String> {
        read.environment.definition.conda.packages.iter().map(|package| package.spec.clone()).collect()
    };
    let history = asked(Extent::History);
    assert_eq!(specs(&history), ["left-pad>=1", "pip"]);
    assert!(
        history.environment.definition.pip.requirements.is_empty(),
        "conda owns the metadata of its packages"
    );
    let channel = format!("file://{}/channel", folder.path().display());
    let channels: Vec<String> =
        history.environment.definition.conda.channels.iter().map(ToString::to_string).collect();
    assert_eq!(channels, [channel]);

    let exact = asked(Extent::Exact);
    for (spec, parts) in specs(&exact).iter().zip([
        ["left-pad", "1.2", "py311_0"],
        ["pip", "24.0", "pyh0_0"],
        ["python", "3.11.7", "h0_0_cpython"],
    ]) {
        assert!(parts.iter().all(|part| spec.contains(part)) && spec.contains("sha256="), "{spec}");
    }
    let locked = exact.locked.expect("all artifacts are on record");
    let packages = &locked.conda[&Platform::LinuxAmd64];
    assert_eq!(packages.len(), 3);
    for package in packages {
        let file = package.url.as_url().to_file_path().unwrap();
        let bytes = fs_err::read(&file).unwrap();
        assert_eq!(provenv_definition::Digest::of(&bytes), package.sha256.unwrap(), "{}", file.display());
        assert_eq!(package.size, Some(bytes.len() as u64));
    }
}
