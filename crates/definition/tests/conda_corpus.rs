//! Every conda file of the shared corpus of files found in public repositories: read, or refused for a reason that conda
//! has too. Skipped where the corpus is not there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use provenv_definition::{CondaSpec, Diagnostic, Format, ReadEnvironment, check, definition_digest, read};

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
fn read_all(kind: &str, seen: impl Fn(&Path, ReadEnvironment)) -> (usize, Vec<(PathBuf, Vec<Diagnostic>)>) {
    let files = corpus(kind);
    let mut refused = Vec::new();
    for file in &files {
        let start = Instant::now();
        match read(file) {
            Ok(found) => {
                check(&found.environment);
                // A spec's text reads back as itself, and as what counts.
                for package in &found.environment.definition.conda.packages {
                    let spec: CondaSpec =
                        package.spec.parse().unwrap_or_else(|error| panic!("{}: {error}", package.spec));
                    assert_eq!(spec.to_string(), package.spec, "{}", file.display());
                    let canonical: CondaSpec = spec.canonical().parse().unwrap();
                    assert_eq!(canonical.canonical(), spec.canonical(), "{}", package.spec);
                }
                definition_digest(&found.environment.definition);
                seen(file, found);
            }
            Err(error) => {
                for diagnostic in error.0.iter().filter(|diagnostic| diagnostic.is_error()) {
                    assert!(diagnostic.file.is_some(), "no place: {diagnostic}");
                    let name = file.file_name().unwrap().to_string_lossy();
                    let line = diagnostic.span.map_or(0, |span| span.line);
                    println!(
                        "{} {kind}/{name}:{line} {}\n    {:?} {:?}",
                        diagnostic.code, diagnostic.message, diagnostic.line_text, diagnostic.hint
                    );
                }
                refused.push((file.clone(), error.0));
            }
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{}", file.display());
    }
    println!("{kind}: {} of {} read", files.len() - refused.len(), files.len());
    (files.len(), refused)
}

#[test]
fn environment_files_are_read() {
    let (total, refused) = read_all("conda-env", |_, _| {});
    assert!(refused.len() * 100 <= total);
}

#[test]
fn lists_are_read() {
    for (kind, format) in [
        ("conda-explicit", Format::CondaExplicit),
        ("conda-list-export", Format::CondaList),
        ("conda-spec-list", Format::CondaList),
    ] {
        let (_total, _refused) = read_all(kind, |file, found| {
            if found.format != format {
                println!("{} {}", file.display(), found.format)
            }
        });
    }
}
