//! What fuzzing found once: each file of `regressions/NAME/` is read as if it were called `NAME`, and whatever must hold
//! of any input holds of it.

use std::path::{Path, PathBuf};

use crate::support::invariants;

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

#[test]
fn old_findings_stay_mended() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regressions");
    let mut count = 0;
    for folder in entries(&root) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for file in entries(&folder) {
            println!("{}", file.display());
            let data = fs_err::read(&file).unwrap();
            match &*name {
                "requirement" => invariants::requirement(&data),
                "conda_spec" => invariants::conda_spec(&data),
                "fixes" => invariants::fixes(&data),
                "document" => invariants::document(&data),
                name => invariants::definition(&data, name),
            }
            count += 1;
        }
    }
    assert!(count >= 3);
}
