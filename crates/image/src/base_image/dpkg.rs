//! What a base's dpkg says is installed: `/var/lib/dpkg/status`, or `status.d` in images that have no dpkg of their own.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::look::Look;

/// dpkg's database.
pub(crate) const STATUS: &str = "var/lib/dpkg/status";
/// The same, a file for each package.
pub(crate) const STATUS_FOLDER: &str = "var/lib/dpkg/status.d";

/// No database is larger.
const MOST: u64 = 64 << 20;

/// A Debian package that is installed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledDeb {
    /// Debian's name.
    pub name: String,
    /// Debian's version.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub architecture: String,
    /// The source package, with its version in parentheses where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// The packages that are installed, sorted by name, each name once.
pub(super) fn installed(look: &Look<'_>) -> io::Result<Vec<InstalledDeb>> {
    let mut texts = vec![look.bytes(STATUS, MOST)?.unwrap_or_default()];
    for name in look.names(STATUS_FOLDER).into_iter().filter(|name| !name.ends_with(".md5sums")) {
        let mut text = look.bytes(&format!("{STATUS_FOLDER}/{name}"), 1 << 20)?.unwrap_or_default();
        // A file of its own says it by being there.
        text.truncate(text.trim_ascii_end().len());
        text.extend_from_slice(b"\nStatus: install ok installed\n");
        texts.push(text);
    }
    let mut found = BTreeMap::new();
    for text in texts {
        for paragraph in String::from_utf8_lossy(&text).split("\n\n") {
            if let Some(deb) = of_paragraph(paragraph) {
                found.entry(deb.name.clone()).or_insert(deb);
            }
        }
    }
    Ok(found.into_values().collect())
}

fn of_paragraph(text: &str) -> Option<InstalledDeb> {
    let field = |name: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let there = field("Status").is_some_and(|status| status.ends_with(" ok installed"));
    let deb = InstalledDeb {
        name: field("Package")?,
        version: field("Version")?,
        architecture: field("Architecture")?,
        source: field("Source"),
    };
    there.then_some(deb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_counts_from_both_places() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(folder.path().join(STATUS_FOLDER)).unwrap();
        let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc\nVersion: 2.36-9\n\n\
                      Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n\
                      Package: kept\nStatus: hold ok installed\nArchitecture: all\nVersion: 1:2\nDescription: x\n Package: y\n";
        fs_err::write(folder.path().join(STATUS), status).unwrap();
        let one = "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n";
        fs_err::write(folder.path().join(STATUS_FOLDER).join("base"), one).unwrap();
        fs_err::write(folder.path().join(STATUS_FOLDER).join("base.md5sums"), "x").unwrap();
        let installed = installed(&Look::new(folder.path())).unwrap();
        let shown: Vec<String> = installed
            .iter()
            .map(|deb| format!("{} {} {}", deb.name, deb.version, deb.architecture))
            .collect();
        assert_eq!(shown, ["base-files 12.4 amd64", "kept 1:2 all", "libc6 2.36-9 amd64"]);
        assert_eq!(installed[2].source.as_deref(), Some("glibc"));
    }
}
