//! Real programs that tests drive: virtual environments with packages of PyPI, made once and kept below the target folder.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Says why a test does not run; fails it where everything is required, as in CI.
pub fn skip(why: &str) {
    assert_ne!(std::env::var("PROVENV_TEST_PEERS").as_deref(), Ok("required"), "{why}");
    eprintln!("skipped: {why}");
}

/// The folder of a virtual environment with `packages`, made with the first of `pythons` that is there; `None`, said aloud,
/// where it cannot be had.
pub fn venv(name: &str, pythons: &[&str], packages: &[&str]) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    fs_err::create_dir_all(&folder).unwrap();
    let lock = fs_err::File::create(folder.join(format!("{name}.lock"))).unwrap();
    lock.file().lock().unwrap();
    let (venv, done) = (folder.join(name), folder.join(format!("{name}.done")));
    let wanted = packages.join("\n");
    if fs_err::read_to_string(&done).is_ok_and(|known| known == wanted) {
        return Some(venv);
    }
    let works = |python: &&&str| {
        let asked = Command::new(python).args(["-c", "import ensurepip, venv"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    let Some(python) = pythons.iter().find(works) else {
        skip(&format!("{name} needs one of {} with its venv module", pythons.join(", ")));
        return None;
    };
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        if !output.status.success() {
            skip(&format!("{name} cannot be installed:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        output.status.success()
    };
    let made = run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&venv))
        && run(Command::new(venv.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--no-compile"])
            .args(packages));
    made.then(|| {
        fs_err::write(done, wanted).unwrap();
        venv
    })
}

/// A script beside this file.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}
