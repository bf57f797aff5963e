//! Lists the curated environments, so that a folder that is there is shipped and none can be forgotten.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=curated");
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let folder = root.join("curated");
    let mut list = String::from("&[\n");
    for name in folders(&folder) {
        for version in folders(&name) {
            let lock = version.join("environment.lock.json");
            let lock =
                if lock.exists() { format!("Some({})", text(&lock, &root)) } else { "None".to_owned() };
            let _ = writeln!(
                list,
                "Curated {{ name: {:?}, version: {:?}, text: {}, lock: {lock} }},",
                format!("curated/{}", last(&name)),
                last(&version),
                text(&version.join("environment.yaml"), &root),
            );
        }
    }
    list.push(']');
    fs_err::write(PathBuf::from(variable("OUT_DIR")).join("curated.rs"), list)
        .expect("cargo's folder can be written");
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|error| panic!("cargo sets {name}: {error}"))
}

/// Code for the text of a file below `root`. By a variable of the compiler, which looks again when the source was moved.
fn text(path: &Path, root: &Path) -> String {
    let below = path.strip_prefix(root).expect("it was found there");
    format!("include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/\", {:?}))", below.display().to_string())
}

/// The folders in `folder`, sorted by name.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).expect("it is part of the source");
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.expect("it can be listed").path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn last(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
