//! Every file of the shared corpus through the front door, counted by kind: read, or refused and why. A panic fails the
//! test. Skipped, and said so, where the corpus is not there.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::Path;

use provenv_definition::read;

#[derive(Default)]
struct Kind {
    files: usize,
    read: usize,
    /// By the code of the first error.
    refused: BTreeMap<&'static str, usize>,
    without_place: usize,
    panics: Vec<String>,
}

#[test]
fn the_whole_corpus_is_read_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let Ok(index) = fs_err::read_to_string(corpus.join("INDEX.tsv")) else {
        eprintln!("skipped: the corpus is not at ../shared/corpus of the repository's root");
        return;
    };
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    for name in index.lines().skip(1).filter_map(|line| line.split('\t').next()) {
        let kind = name.split('/').next().unwrap_or_default();
        // What other tools made of inputs is no input.
        if kind == "expected-output" {
            continue;
        }
        let kind = kinds.entry(kind.to_owned()).or_default();
        kind.files += 1;
        let file = corpus.join(name);
        match catch_unwind(|| read(&file)) {
            Ok(Ok(_)) => kind.read += 1,
            Ok(Err(error)) => {
                let first =
                    error.0.iter().find(|remark| remark.is_error()).expect("refused without a reason");
                *kind.refused.entry(first.code).or_default() += 1;
                kind.without_place += usize::from(first.file.is_none());
            }
            Err(_) => kind.panics.push(name.to_owned()),
        }
    }
    println!("| kind | files | read | refused, by code | panics |\n|---|---|---|---|---|");
    for (name, kind) in &kinds {
        let refused: Vec<String> =
            kind.refused.iter().map(|(code, count)| format!("{code} × {count}")).collect();
        println!(
            "| {name} | {} | {} | {} | {} |",
            kind.files,
            kind.read,
            refused.join(", "),
            kind.panics.len()
        );
    }
    for (name, kind) in &kinds {
        assert!(kind.panics.is_empty(), "{name}: {:?}", kind.panics);
        assert_eq!(kind.without_place, 0, "{name}: refused without a file");
    }
}
