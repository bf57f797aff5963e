//! A file of ours for each format, with what it can say, and what is read of it: without the corpus, too, each reader is
//! held to what it read before. Locks have theirs in `samples/` beside, from real tools.

use std::fmt::Write as _;
use std::path::Path;

use provenv_definition::{definition_digest, read_str};

#[test]
fn each_format_is_read_as_before() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/own");
    let mut files: Vec<_> = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut all = String::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        // Read where no machine has anything beside it.
        let path = Path::new("/samples").join(&name);
        let found = read_str(&fs_err::read_to_string(&file).unwrap(), &path)
            .unwrap_or_else(|error| panic!("{name}: {:#?}", error.0));
        let _ = writeln!(all, "== {name}: {}", found.format);
        let _ = writeln!(all, "{}", definition_digest(&found.environment.definition));
        let _ = writeln!(all, "{}", serde_json::to_string_pretty(&found.environment).unwrap());
        for remark in found.warnings.iter().chain(&found.check()) {
            // What is out of support depends on the day.
            if remark.code != "PV104" {
                let _ = writeln!(all, "{} {remark}", remark.code);
            }
        }
    }
    insta::assert_snapshot!(all);
}
