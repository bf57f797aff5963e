//! No test is forgotten: cargo does not look for the files of a program of tests, and the compiler does not miss a module.

use std::path::{Path, PathBuf};

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The modules of `folder` that nothing declares: neither `root`, its modules' own root, nor the manifest.
fn forgotten(folder: &Path, root: &str, manifest: &str) -> Vec<PathBuf> {
    let declared = fs_err::read_to_string(folder.join(root)).unwrap();
    let mut forgotten = Vec::new();
    for path in entries(folder) {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let is_file = path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with(root);
        let is_folder = path.join("mod.rs").exists();
        let in_manifest = manifest.contains(&format!("/{name}.rs\""));
        let is_declared =
            declared.lines().any(|line| line.trim_start_matches("pub ") == format!("mod {name};"));
        if (is_file || is_folder) && !is_declared && !in_manifest {
            forgotten.push(path.clone());
        }
        if is_folder {
            forgotten.extend(self::forgotten(&path, "mod.rs", manifest));
        }
    }
    forgotten
}

#[test]
fn every_file_of_tests_is_part_of_a_program() {
    let mut programs = 0;
    for krate in entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..")) {
        let Ok(manifest) = fs_err::read_to_string(krate.join("Cargo.toml")) else { continue };
        if !manifest.contains("autotests = false") {
            continue;
        }
        programs += 1;
        let forgotten = forgotten(&krate.join("tests"), "main.rs", &manifest);
        assert!(forgotten.is_empty(), "no `mod` for {forgotten:?}: `cargo test` leaves them out");
    }
    assert!(programs > 1, "the crates are not where they were");
}
