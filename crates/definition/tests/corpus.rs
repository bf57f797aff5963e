//! Every requirements and constraints file and every Azure ML v2 environment of the shared corpus of files found
//! in public repositories: read, or refused with a place. Skipped where the corpus is not there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use provenv_definition::{Diagnostic, check, definition_digest, read, read_str, write_native};

fn corpus(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus").join(kind);
    let Ok(entries) = fs_err::read_dir(&folder) else {
        eprintln!("skipped: the corpus is not at ../shared/corpus of the repository's root");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// Reads all files of a kind; gives back those that are refused, with the errors.
fn read_all(kind: &str) -> (usize, Vec<(PathBuf, Vec<Diagnostic>)>) {
    let files = corpus(kind);
    let mut refused = Vec::new();
    for file in &files {
        let start = Instant::now();
        match read(file) {
            Ok(found) => {
                let environment = found.environment;
                check(&environment);
                let written = write_native(&environment);
                let again = read_str(&written, Path::new("/written.yaml"))
                    .unwrap_or_else(|error| panic!("{}: {error}\n{written}", file.display()));
                assert_eq!(again.environment, environment, "{}", file.display());
                assert_eq!(
                    definition_digest(&again.environment.definition),
                    definition_digest(&environment.definition)
                );
            }
            Err(error) => {
                for diagnostic in error.0.iter().filter(|diagnostic| diagnostic.is_error()) {
                    assert!(diagnostic.file.is_some(), "no place: {diagnostic}");
                    println!(
                        "{} {diagnostic}\n    {:?} {:?}",
                        diagnostic.code, diagnostic.line_text, diagnostic.hint
                    );
                }
                refused.push((file.clone(), error.0));
            }
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{}", file.display());
    }
    (files.len(), refused)
}

/// Codes that say what other readers say of the same file: the file itself is at fault.
fn is_users_fault(code: &str) -> bool {
    ["PV001", "PV003", "PV006", "PV010", "PV011", "PV013", "PV014", "PV015", "PV017", "PV023"].contains(&code)
}

#[test]
fn requirements_files_are_read_or_refused_for_a_reason() {
    for kind in ["pip-requirements", "pip-constraints"] {
        let (total, refused) = read_all(kind);
        let surprising = refused.iter().filter(|(_, errors)| {
            !errors.iter().filter(|error| error.is_error()).all(|error| is_users_fault(error.code))
        });
        assert!(surprising.count() * 100 <= total, "{kind}");
        println!("{kind}: {} of {total} read", total - refused.len());
    }
}

#[test]
fn environments_are_read_or_refused_for_a_reason() {
    let (total, refused) = read_all("aml-v2-env");
    for (file, errors) in &refused {
        let known = |error: &Diagnostic| is_users_fault(error.code) || error.code == "PV037";
        assert!(errors.iter().filter(|error| error.is_error()).all(known), "{}: {errors:?}", file.display());
    }
    println!("aml-v2-env: {} of {total} read", total - refused.len());
}
