//! Requirements as the tools read them that people use: what they read is read here, as the same, and what they refuse is
//! refused, but for what the tables beside the tests explain.

mod packaging;
mod uv;

use std::path::Path;

/// Every line of the corpus' requirements files, without comments, once; none where the corpus is not there.
fn corpus() -> Vec<String> {
    let mut lines = Vec::new();
    for kind in ["pip-requirements", "pip-constraints"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus").join(kind);
        let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
        for entry in entries {
            let bytes = fs_err::read(entry.unwrap().path()).unwrap();
            let Ok(text) = String::from_utf8(bytes) else { continue };
            for line in text.trim_start_matches('\u{feff}').lines() {
                let line = line.split(" #").next().unwrap_or_default().trim();
                // A line that goes on says half of what it asks.
                if !line.is_empty() && !line.starts_with('#') && !line.ends_with('\\') {
                    lines.push(line.to_owned());
                }
            }
        }
    }
    lines.sort();
    lines.dedup();
    if lines.is_empty() {
        eprintln!("skipped: the corpus is not at ../shared/corpus of the repository's root");
    }
    lines
}
