//! The pages of codes say what the table of codes says, and their examples are true.
//!
//! `PROVENV_BLESS=1 cargo test -p provenv-definition --test all docs::` writes the pages again.

use std::path::{Path, PathBuf};

use provenv_definition::{codes, examples, lint, pages};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference")
}

const BLESS: &str = "write it with `PROVENV_BLESS=1 cargo test -p provenv-definition --test all docs::`";

#[test]
fn every_code_has_its_page_and_no_page_lacks_a_code() {
    let mut expected = vec![(folder().join("codes.md"), pages::index())];
    let of_codes = folder().join("codes");
    expected
        .extend(codes::ALL.iter().map(|code| (of_codes.join(format!("{}.md", code.id)), pages::page(code))));
    if std::env::var_os("PROVENV_BLESS").is_some() {
        if of_codes.exists() {
            fs_err::remove_dir_all(&of_codes).unwrap();
        }
        fs_err::create_dir_all(&of_codes).unwrap();
        for (path, text) in &expected {
            fs_err::write(path, text).unwrap();
        }
    }
    for (path, text) in &expected {
        let found = fs_err::read_to_string(path).unwrap_or_default();
        assert!(found == *text, "{} is not what the table of codes says: {BLESS}", path.display());
    }
    let known = fs_err::read_dir(of_codes).unwrap().count();
    assert_eq!(known, codes::ALL.len(), "a page without a code in docs/reference/codes: {BLESS}");
}

#[test]
fn every_example_gives_its_code_and_mended_gives_it_no_more() {
    let mut wrong = Vec::new();
    for code in codes::ALL {
        let Some(example) = examples::example_of(code.id) else {
            wrong.push(format!("{}: no example in crates/definition/src/examples", code.id));
            continue;
        };
        if example.elsewhere {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, text).unwrap();
            path
        };
        for (name, text) in example.beside {
            write(name, text);
        }
        let given = match example.text {
            Some(text) => write(example.file, text),
            None if code.id == codes::LARGE_DOCKERFILE.id => {
                write(example.file, &(example.mended.to_owned() + &"RUN true\n".repeat(12_000)))
            }
            None => folder.path().join(example.file),
        };
        let codes_of = |path: &Path| lint(path).remarks.iter().map(|remark| remark.code).collect::<Vec<_>>();
        let found = codes_of(&given);
        if !found.contains(&code.id) {
            wrong.push(format!("{}: the example gives {found:?}", code.id));
        }
        let mended = write(example.mended_file, example.mended);
        let linted = lint(&mended);
        for remark in linted.remarks.iter().filter(|remark| remark.code == code.id || remark.is_error()) {
            wrong.push(format!("{}: mended, it still gives {remark} ({})", code.id, remark.code));
        }
    }
    for example in examples::all() {
        if !codes::ALL.iter().any(|code| code.id == example.code) {
            wrong.push(format!("{}: an example of a code that there is not", example.code));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
