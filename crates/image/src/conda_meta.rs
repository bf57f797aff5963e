//! What conda and tools like it read of an environment: a record of each package, and a history.
//!
//! A record follows from the package and its row in the lock, so that a package's own layer can hold it. A path that another
//! package has taken over stays in the records of both, as conda leaves it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use provenv_lock::CondaPackage;
use serde::Serialize;
use serde_json::Value;

use crate::layer::Note;
use crate::segment::{CondaFacts, CondaPath};

/// Where the records are.
pub(crate) const FOLDER: &str = "opt/provenv/conda-meta";

/// conda's number for a package that was copied, and not linked, from where it was unpacked.
const COPIED: u8 = 3;

/// Fields of a package's `index.json` that its row in the lock does not have, and their records do.
const KEPT: [&str; 9] = [
    "arch",
    "features",
    "license",
    "license_family",
    "noarch",
    "platform",
    "python_site_packages_path",
    "timestamp",
    "track_features",
];

/// A record, as conda's `PrefixRecord` and rattler's read it.
#[derive(Serialize)]
struct Record<'p> {
    #[serde(flatten)]
    kept: BTreeMap<&'static str, Value>,
    build: &'p str,
    build_number: u64,
    channel: String,
    constrains: &'p [String],
    depends: &'p [String],
    files: Vec<&'p str>,
    r#fn: &'p str,
    link: Link,
    #[serde(skip_serializing_if = "Option::is_none")]
    md5: Option<&'p str>,
    name: &'p str,
    paths_data: PathsData<'p>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested_spec: Option<&'p str>,
    requested_specs: Vec<&'p str>,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    subdir: &'p str,
    url: String,
    version: &'p str,
}

#[derive(Serialize)]
struct Link {
    source: &'static str,
    r#type: u8,
}

#[derive(Serialize)]
struct PathsData<'p> {
    paths: Vec<PathRow<'p>>,
    paths_version: u8,
}

#[derive(Serialize)]
struct PathRow<'p> {
    _path: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_mode: Option<&'p str>,
    path_type: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix_placeholder: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256_in_prefix: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_in_bytes: Option<u64>,
}

/// `packages` of a lock with what each needs and bounds: what the index says, which corrects what is in archives, even where it is
/// nothing; or what the packages say themselves, where the lock has nothing of any, as lists of URLs have not.
pub(crate) fn with_needs<'f>(
    packages: &[CondaPackage],
    facts: impl Iterator<Item = &'f CondaFacts>,
) -> Vec<CondaPackage> {
    let is_known =
        packages.iter().any(|package| !package.depends.is_empty() || !package.constrains.is_empty());
    let mut packages = packages.to_vec();
    if !is_known {
        for (package, facts) in packages.iter_mut().zip(facts) {
            let index = index(facts);
            package.depends = specs(&index, "depends");
            package.constrains = specs(&index, "constrains");
        }
    }
    packages
}

/// What was asked for, by the package's name, each in the words that conda has for it. No lock knows it.
pub type Asked = BTreeMap<String, Vec<String>>;

/// The words by which `package` was asked for: its name where no others are known.
fn requested<'a>(package: &'a CondaPackage, asked: &'a Asked) -> Vec<&'a str> {
    match asked.get(&package.name) {
        _ if !package.requested => Vec::new(),
        Some(specs) => specs.iter().map(String::as_str).collect(),
        None => vec![&package.name],
    }
}

/// The record of `package`, one of [`with_needs`].
pub(crate) fn record(package: &CondaPackage, facts: &CondaFacts, asked: &Asked) -> Note {
    let index = index(facts);
    let CondaPackage { name, version, build, artifact, .. } = package;
    let requested = requested(package, asked);
    let record = Record {
        kept: KEPT
            .into_iter()
            .filter_map(|field| Some((field, index.get(field).filter(|value| is_plain(value))?.clone())))
            .collect(),
        build,
        // A lock of another tool may not say it, and then what stands in ours is a guess.
        build_number: index["build_number"].as_u64().unwrap_or(package.build_number),
        channel: channel(package),
        constrains: &package.constrains,
        depends: &package.depends,
        files: facts
            .paths
            .iter()
            .filter(|(_, known)| known.kind != "directory")
            .map(|(path, _)| path.as_str())
            .collect(),
        r#fn: artifact.url.file_name().unwrap_or_default(),
        // There is no cache of packages that it was copied from.
        link: Link { source: "", r#type: COPIED },
        md5: package.md5.as_deref(),
        name,
        paths_data: PathsData {
            paths: facts.paths.iter().map(|(path, known)| row(path, known)).collect(),
            paths_version: 1,
        },
        requested_spec: requested.first().copied(),
        requested_specs: requested,
        sha256: artifact.sha256.hex(),
        size: (artifact.size > 0).then_some(artifact.size),
        subdir: &package.subdir,
        url: artifact.url.to_string(),
        version,
    };
    let text = serde_json::to_string_pretty(&record).expect("a record is plain data");
    Note { path: format!("{FOLDER}/{name}-{version}-{build}.json"), text: text + "\n" }
}

/// The history of an environment that was made in one act: what is asked for, and what came. conda takes a folder for an
/// environment by this file.
pub(crate) fn history(packages: &[CondaPackage], asked: &Asked) -> String {
    let mut text = String::from("==> 1980-01-01 00:00:00 <==\n# cmd: provenv build\n");
    for package in packages {
        let CondaPackage { name, version, build, .. } = package;
        let _ = writeln!(text, "+{}::{name}-{version}-{build}", channel(package));
    }
    let asked: Vec<&str> = packages.iter().flat_map(|package| requested(package, asked)).collect();
    let asked = serde_json::to_string(&asked).expect("a list of texts is plain data");
    text + "# update specs: " + &asked + "\n"
}

/// Whether a package may not have a file at `path`, because it would say what is installed.
pub(crate) fn is_reserved(path: &str) -> bool {
    path == FOLDER
        || path.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/')).is_some_and(|name| {
            name == "history"
                || name.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("json"))
        })
}

/// The folder of the channel that the archive is in.
fn channel(package: &CondaPackage) -> String {
    let url = package.artifact.url.to_string();
    url.rsplit_once('/').map_or(url.clone(), |(folder, _)| folder.to_owned())
}

fn row<'p>(path: &'p str, known: &'p CondaPath) -> PathRow<'p> {
    let (prefix_placeholder, file_mode) = known.placeholder.as_ref().map(|(a, b)| (&**a, &**b)).unzip();
    PathRow {
        _path: path,
        file_mode,
        path_type: if known.kind.is_empty() { "hardlink" } else { &known.kind },
        prefix_placeholder,
        sha256: known.sha256.as_deref(),
        sha256_in_prefix: known.sha256_in_prefix.as_deref().or(known.sha256.as_deref()),
        size_in_bytes: known.size,
    }
}

fn index(facts: &CondaFacts) -> Value {
    // It was read before: a package whose index is none has no facts.
    serde_json::from_str(&facts.index).unwrap_or_default()
}

fn specs(index: &Value, field: &str) -> Vec<String> {
    let specs = index[field].as_array().into_iter().flatten();
    specs.filter_map(|spec| spec.as_str()).map(str::to_owned).collect()
}

/// Texts, whole numbers and lists of texts: what those fields are, and what is written in one way only.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Number(number) => number.is_u64(),
        Value::Array(items) => items.iter().all(Value::is_string),
        _ => false,
    }
}

/// Whether a package says that it is for any Python or any platform: some that do are in the folder of a platform.
pub(crate) fn is_noarch(facts: &CondaFacts) -> bool {
    index(facts)["noarch"].is_string()
}

/// Where a Python keeps its packages, if it says so (conda's CEP 17).
pub(crate) fn site_packages(facts: &CondaFacts) -> Option<String> {
    index(facts)["python_site_packages_path"].as_str().map(str::to_owned)
}
