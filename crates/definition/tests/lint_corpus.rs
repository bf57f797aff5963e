//! The checks on files of other people: nothing of what is well known there may be taken for a slip, and no secret is
//! shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use provenv_definition::{lint, mask_secrets};

/// Names that are slips in the corpus itself, or near a well-known name by no mistake that could be told.
const SLIPS: &[&str] = &[];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn the_corpus_is_checked_without_false_alarms() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    if !corpus.is_dir() {
        eprintln!("skipped: no corpus beside the repository");
        return;
    }
    let mut all = Vec::new();
    files(&corpus, &mut all);
    // Neither answers of other tools nor what lies beside Dockerfiles is a definition.
    let others = ["expected-output", "build-context-text", "r2d-verify"];
    all.retain(|file| !others.iter().any(|other| file.components().any(|part| part.as_os_str() == *other)));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for file in all {
        for remark in lint(&file).remarks {
            *counts.entry(remark.code).or_default() += 1;
            for text in [Some(&remark.message), remark.hint.as_ref(), remark.line_text.as_ref()] {
                assert!(text.is_none_or(|text| mask_secrets(text) == *text), "{file:?}: {remark:?}");
            }
            if std::env::var("SHOW_CODE").is_ok_and(|code| code == remark.code) {
                println!(
                    "{} {}\n   {}",
                    remark,
                    file.file_name().unwrap().to_string_lossy(),
                    remark.line_text.clone().unwrap_or_default()
                );
            }
            if remark.code == "PV121" && !SLIPS.iter().any(|slip| remark.message.starts_with(slip)) {
                wrong.push(format!("{}: {}", file.display(), remark.message));
            }
        }
    }
    println!("{counts:#?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
