//! What else is in a package: Python distributions in conda packages, and copies of other packages that one brings along.
//!
//! Found by the files by which installers and scanners know them: `METADATA` in `.dist-info`, `PKG-INFO` in `.egg-info`, and
//! `package.json`.

use provenv_store::Store;
use serde::{Deserialize, Serialize};

use super::{Fields, LicenseName, files, short};
use crate::segment::{Error, Segment};

/// A package in another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Of which ecosystem.
    pub kind: PartKind,
    /// Its name, as it writes it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The file that says so, from the image's root.
    pub path: String,
    /// Its licences, as it names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<LicenseName>,
    /// What it needs, as its ecosystem writes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// What it is, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maker: Option<String>,
    /// Of a Debian package: name and version of its source package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<(String, String)>,
    /// Of a Debian package: what it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}

/// Of which ecosystem a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// A Python distribution.
    Pypi,
    /// A JavaScript package.
    Npm,
    /// A Debian package, in a base from a registry.
    Deb,
}

/// The parts in a segment, by their paths.
pub(super) fn find(store: &Store, segment: &Segment) -> Result<Vec<Part>, Error> {
    let read = files(store, segment, |path| kind_of(path).is_some())?;
    let mut parts: Vec<Part> = read.iter().filter_map(|(path, bytes)| of_file(path, bytes)).collect();
    parts.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(parts)
}

/// What the file at `path` says, if it is one that describes a package.
pub(super) fn of_file(path: &str, bytes: &[u8]) -> Option<Part> {
    match kind_of(path)? {
        PartKind::Pypi => distribution(path, &String::from_utf8_lossy(bytes)),
        PartKind::Npm => javascript(path, bytes),
        PartKind::Deb => None,
    }
}

/// Of which ecosystem the package is that the file at `path` describes.
pub(super) fn kind_of(path: &str) -> Option<PartKind> {
    let (folder, file) = path.rsplit_once('/')?;
    let is_python = match file {
        "METADATA" => folder.ends_with(".dist-info"),
        "PKG-INFO" => folder.ends_with(".egg-info"),
        _ => file.ends_with(".egg-info"),
    };
    if is_python { Some(PartKind::Pypi) } else { (file == "package.json").then_some(PartKind::Npm) }
}

/// Core metadata (PyPA specifications).
fn distribution(path: &str, text: &str) -> Option<Part> {
    let fields = Fields::parse(text);
    let field = |name: &str| fields.get(name).map(short).filter(|value| value != "UNKNOWN");
    let mut licenses = Vec::new();
    licenses.extend(field("License-Expression").map(LicenseName::Expression));
    // Some put the whole text into it.
    let name = fields.get("License").filter(|text| text.lines().count() <= 2 && text.len() <= 200).map(short);
    licenses.extend(name.filter(|name| !name.is_empty() && name != "UNKNOWN").map(LicenseName::Text));
    let classifiers = fields.all("Classifier").filter_map(|text| text.strip_prefix("License ::"));
    licenses.extend(classifiers.map(|text| LicenseName::Classifier(short(text))));
    let page = fields.all("Project-URL").find_map(|text| {
        let (label, url) = text.split_once(',')?;
        ["homepage", "home"].contains(&&*label.trim().to_ascii_lowercase()).then(|| short(url))
    });
    Some(Part {
        kind: PartKind::Pypi,
        name: field("Name")?,
        version: field("Version")?,
        path: format!("/{path}"),
        licenses,
        needs: fields.all("Requires-Dist").map(short).collect(),
        summary: field("Summary"),
        homepage: field("Home-page").or(page),
        maker: field("Author").or_else(|| field("Author-email")).or_else(|| field("Maintainer")),
        source: None,
        architecture: None,
    })
}

/// `package.json` (npm). Without a name and a version it is the settings of some tool.
fn javascript(path: &str, bytes: &[u8]) -> Option<Part> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let text = |key: &str| value[key].as_str().map(short).filter(|text| !text.is_empty());
    // Before npm 2: `{"type": "MIT", "url": …}`, and several of them.
    let older = value["license"]["type"].as_str().map(short);
    let license = text("license").or(older).map(LicenseName::Text);
    Some(Part {
        kind: PartKind::Npm,
        name: text("name")?,
        version: text("version")?,
        path: format!("/{path}"),
        licenses: license.into_iter().collect(),
        needs: Vec::new(),
        summary: text("description"),
        homepage: text("homepage"),
        maker: None,
        source: None,
        architecture: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_known_by_their_files() {
        for (path, kind) in [
            ("opt/provenv/lib/python3.11/site-packages/a-1.dist-info/METADATA", Some(PartKind::Pypi)),
            (
                "opt/provenv/lib/python3.11/site-packages/v/_vendor/b-1.dist-info/METADATA",
                Some(PartKind::Pypi),
            ),
            ("opt/provenv/lib/python3.11/site-packages/a.egg-info/PKG-INFO", Some(PartKind::Pypi)),
            ("usr/lib/python3/dist-packages/a-1.egg-info", Some(PartKind::Pypi)),
            ("opt/provenv/lib/python3.11/site-packages/w/static/package.json", Some(PartKind::Npm)),
            ("opt/provenv/METADATA", None),
            ("opt/provenv/lib/python3.11/site-packages/a-1.dist-info/RECORD", None),
        ] {
            assert_eq!(kind_of(path), kind, "{path}");
        }
    }

    #[test]
    fn of_a_licence_field_only_a_name_is_taken() {
        let part = distribution(
            "x",
            "Name: Tea\nVersion: 1\nLicense: BSD 3-Clause\nClassifier: License :: OSI Approved :: BSD License\n",
        );
        let licenses = part.unwrap().licenses;
        assert_eq!(
            licenses,
            [
                LicenseName::Text("BSD 3-Clause".into()),
                LicenseName::Classifier("OSI Approved :: BSD License".into())
            ]
        );
        let text =
            "Name: Tea\nVersion: 1\nLicense: Copyright me\n        Redistribution is\n        permitted\n";
        assert_eq!(distribution("x", text).unwrap().licenses, []);
        assert_eq!(distribution("x", "Name: Tea\n"), None);
    }
}
