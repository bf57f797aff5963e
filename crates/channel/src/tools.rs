//! Python's own tools that tests need: installed from the package index into a virtual environment, once for all tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

/// Says why a test does not run; fails it where everything is required, as in CI.
pub fn skip(why: &str) {
    assert_ne!(std::env::var("PROVENV_TEST_PEERS").as_deref(), Ok("required"), "{why}");
    eprintln!("skipped: {why}");
}

/// Where things are kept that are made once for all tests: `tmp` in the build's target folder.
pub fn scratch() -> PathBuf {
    let program = std::env::current_exe().expect("a running program has a path");
    // Above the file: `deps`, the profile, the target folder.
    program.ancestors().nth(3).expect("tests run from the target folder").join("tmp")
}

/// The interpreter of a virtual environment with these `packages`, e.g. `py-rattler==0.28.0`; `None`, said aloud, where it
/// cannot be made.
pub fn python_with(packages: &[&str]) -> Option<PathBuf> {
    let key = &hex::encode(Sha256::digest(packages.join("\n")))[..16];
    let folder = scratch().join(format!("venv-{key}"));
    let python = folder.join("bin/python");
    let made = once(&folder, |_| -> Result<(), String> {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        // Without the bytecode of all of it: what is imported is compiled then.
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"];
        run(Command::new(&python).args(pip).args(["--only-binary", ":all:"]).args(packages))
    });
    match made {
        Ok(()) => Some(python),
        Err(why) => {
            skip(&format!("{} cannot be installed: {why}", packages.join(", ")));
            None
        }
    }
}

/// Makes `folder`, unless it was made before; whoever comes first does, and others wait.
pub(crate) fn once<E: From<String>>(
    folder: &Path,
    make: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let text = |error: std::io::Error| E::from(error.to_string());
    let parent = folder.parent().unwrap_or(folder);
    fs_err::create_dir_all(parent).map_err(text)?;
    let lock = fs_err::File::create(folder.with_added_extension("lock")).map_err(text)?;
    lock.file().lock().map_err(text)?;
    let done = folder.with_added_extension("done");
    if done.exists() {
        return Ok(());
    }
    make(folder)?;
    fs_err::write(done, "").map_err(text)
}

/// Runs a command to its end; what it said is the error.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::once;

    #[test]
    fn whoever_comes_first_makes_it_and_a_failure_is_made_good() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("made");
        let refused = once(&folder, |_| Err("no".to_owned()));
        assert_eq!(refused, Err("no".to_owned()));
        let times = AtomicUsize::new(0);
        let make = |folder: &Path| {
            times.fetch_add(1, Ordering::SeqCst);
            fs_err::create_dir(folder).map_err(|error| error.to_string())
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    once(&folder, make).unwrap();
                    assert!(folder.is_dir());
                });
            }
        });
        assert_eq!(times.load(Ordering::SeqCst), 1);
    }
}
