//! What pip leaves behind in a package of Python modules.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::content::{Content, Entry};

/// A distribution as its `.dist-info` describes it.
#[derive(Clone, Debug)]
pub(crate) struct Distribution {
    name: String,
    version: String,
    requires: Vec<String>,
}

impl Distribution {
    pub(crate) fn new(name: &str, version: &str, requires: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            requires: requires.iter().map(|&requirement| requirement.to_owned()).collect(),
        }
    }

    /// The files of the `.dist-info` in `site`, for a package of these other files.
    pub(crate) fn files(&self, site: &str, others: &[Entry], entry_points: &[String]) -> Vec<Entry> {
        let info = format!("{}-{}.dist-info", self.name.replace(['-', '.'], "_"), self.version);
        let mut own = vec![
            ("INSTALLER", "conda\n".to_owned()),
            ("METADATA", self.metadata()),
            ("REQUESTED", String::new()),
            (
                "WHEEL",
                "Wheel-Version: 1.0\nGenerator: provenv-channel\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                    .to_owned(),
            ),
        ];
        if !entry_points.is_empty() {
            own.push(("entry_points.txt", format!("[console_scripts]\n{}\n", entry_points.join("\n"))));
        }
        let mut entries: Vec<Entry> = own
            .into_iter()
            .map(|(name, text)| Entry::file(&format!("{site}/{info}/{name}"), text.into_bytes(), None))
            .collect();
        let all: Vec<Entry> = others.iter().chain(&entries).cloned().collect();
        let record = record(site, &info, &all);
        entries.push(Entry::file(&format!("{site}/{info}/RECORD"), record.into_bytes(), None));
        entries
    }

    fn metadata(&self) -> String {
        let mut text = format!("Metadata-Version: 2.1\nName: {}\nVersion: {}\n", self.name, self.version);
        for requirement in &self.requires {
            let _ = writeln!(text, "Requires-Dist: {requirement}");
        }
        text
    }
}

/// The `RECORD` in `info` of what these entries lay into `site`, and of the programs beside it.
pub(crate) fn record(site: &str, info: &str, entries: &[Entry]) -> String {
    let up = "../".repeat(site.split('/').count());
    let mut record = String::new();
    for entry in entries {
        let Content::File { bytes, .. } = &entry.content else { continue };
        let path = match entry.path.strip_prefix(site).and_then(|path| path.strip_prefix('/')) {
            Some(path) => path.to_owned(),
            None if entry.path.starts_with("bin/") => format!("{up}{}", entry.path),
            None => continue,
        };
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(bytes));
        let _ = writeln!(record, "{path},sha256={digest},{}", bytes.len());
    }
    let _ = writeln!(record, "{info}/RECORD,,");
    record
}

/// The file that conda-build writes for `name = module:function`.
pub(crate) fn console_script(entry_point: &str, prefix: &str, python: &str) -> (String, String) {
    let parts = entry_point
        .split_once('=')
        .and_then(|(name, target)| Some((name.trim(), target.trim().split_once(':')?)));
    let Some((name, (module, function))) = parts else {
        panic!("`{entry_point}` is not `name = module:function`");
    };
    let imported = function.split('.').next().unwrap_or(function);
    let script = format!(
        "#!{prefix}/bin/python{python}\nimport re\nimport sys\n\nfrom {module} import {imported}\n\nif __name__ == '__main__':\n    \
         sys.argv[0] = re.sub(r'(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])\n    sys.exit({function}())\n"
    );
    (format!("bin/{name}"), script)
}
