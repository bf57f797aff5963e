//! A package to be made.

use serde_json::{Map, Value};

use crate::archive::{self, Archive};
use crate::content::{Content, Entry, Prefix};
use crate::python::{self, Distribution};

/// How the names of files of the old format end.
pub(crate) const OLD_FORMAT: &str = ".tar.bz2";

/// The length that conda-build gives every placeholder: a longer prefix would not fit into a binary.
const PLACEHOLDER_LENGTH: usize = 255;

/// The prefix that the package `name` was built in, as conda-forge's builds have it.
pub fn placeholder(name: &str) -> String {
    let mut prefix = format!("/home/conda/feedstock_root/build_artifacts/{name}_1700000000000/_h_env");
    while prefix.len() < PLACEHOLDER_LENGTH {
        prefix.push_str("_placehold");
    }
    prefix.truncate(PLACEHOLDER_LENGTH);
    prefix
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noarch {
    Python,
    Generic,
}

impl Noarch {
    /// As `index.json` says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Generic => "generic",
        }
    }
}

/// A package to be made: for `linux-64`, empty and without a dependency unless told otherwise. The same calls give the same
/// bytes.
#[derive(Clone, Debug)]
pub struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) build: String,
    pub(crate) build_number: u64,
    pub(crate) subdir: String,
    pub(crate) noarch: Option<Noarch>,
    pub(crate) depends: Vec<String>,
    pub(crate) constrains: Vec<String>,
    pub(crate) track_features: Vec<String>,
    pub(crate) license: String,
    pub(crate) timestamp: u64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) entry_points: Vec<String>,
    pub(crate) fields: Map<String, Value>,
    pub(crate) old_format: bool,
    pub(crate) without_paths: bool,
    distributions: Vec<Distribution>,
    python: String,
}

impl Package {
    /// `name` in lower case, `version` as conda orders it.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            build: "0".to_owned(),
            build_number: 0,
            subdir: "linux-64".to_owned(),
            noarch: None,
            depends: Vec::new(),
            constrains: Vec::new(),
            track_features: Vec::new(),
            license: "MIT".to_owned(),
            timestamp: 1_700_000_000_000,
            entries: Vec::new(),
            entry_points: Vec::new(),
            fields: Map::new(),
            old_format: false,
            without_paths: false,
            distributions: Vec::new(),
            python: "3.11".to_owned(),
        }
    }

    /// Build string and build number, e.g. `py311h1234567_2` and 2.
    #[must_use]
    pub fn build(mut self, build: &str, number: u64) -> Self {
        build.clone_into(&mut self.build);
        self.build_number = number;
        self
    }

    /// The platform that it is for, e.g. `linux-aarch64`.
    #[must_use]
    pub fn subdir(mut self, subdir: &str) -> Self {
        subdir.clone_into(&mut self.subdir);
        self
    }

    /// For any Python: modules are at `site-packages/`, scripts at `python-scripts/`.
    #[must_use]
    pub fn noarch_python(self) -> Self {
        self.noarch(Noarch::Python)
    }

    /// For any platform, files as they are.
    #[must_use]
    pub fn noarch_generic(self) -> Self {
        self.noarch(Noarch::Generic)
    }

    fn noarch(mut self, noarch: Noarch) -> Self {
        self.noarch = Some(noarch);
        self.subdir("noarch")
    }

    /// One dependency, e.g. `python >=3.11,<3.12.0a0`.
    #[must_use]
    pub fn depends(mut self, spec: &str) -> Self {
        self.depends.push(spec.to_owned());
        self
    }

    /// One constraint on a package that may be there.
    #[must_use]
    pub fn constrains(mut self, spec: &str) -> Self {
        self.constrains.push(spec.to_owned());
        self
    }

    /// A feature that it tracks: solvers avoid such packages.
    #[must_use]
    pub fn track_features(mut self, feature: &str) -> Self {
        self.track_features.push(feature.to_owned());
        self
    }

    /// An SPDX expression.
    #[must_use]
    pub fn license(mut self, license: &str) -> Self {
        license.clone_into(&mut self.license);
        self
    }

    /// When it was built, in milliseconds of Unix time.
    #[must_use]
    pub fn timestamp(mut self, milliseconds: u64) -> Self {
        self.timestamp = milliseconds;
        self
    }

    /// Any other field of `index.json`, e.g. `python_site_packages_path`; replaces what would be there.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// A file. It is executable below `bin/`.
    #[must_use]
    pub fn file(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.entry(Entry::file(path, bytes.into(), None))
    }

    /// A file that may be executed wherever it is.
    #[must_use]
    pub fn executable(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let content = Content::File { bytes: bytes.into(), executable: true, prefix: None };
        self.entry(Entry { path: path.to_owned(), content })
    }

    /// A text with the prefix at each `{PREFIX}`.
    #[must_use]
    pub fn prefixed_text(self, path: &str, text: &str) -> Self {
        let text = text.replace("{PREFIX}", &placeholder(&self.name));
        self.entry(Entry::file(path, text.into_bytes(), Some(Prefix::Text)))
    }

    /// A binary with the prefix at each `{PREFIX}`; what follows it in the same string ends at a NUL.
    #[must_use]
    pub fn prefixed_binary(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = replace(bytes.as_ref(), b"{PREFIX}", placeholder(&self.name).as_bytes());
        self.entry(Entry::file(path, bytes, Some(Prefix::Binary)))
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(Entry { path: path.to_owned(), content: Content::Symlink(target.to_owned()) })
    }

    /// A second name of a file of this package, as a hard link in the archive.
    #[must_use]
    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.entry(Entry { path: path.to_owned(), content: Content::Hardlink(target.to_owned()) })
    }

    /// A folder that stands in the package for itself.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        self.entry(Entry { path: path.to_owned(), content: Content::Directory })
    }

    /// A script that conda runs after it has linked the package.
    #[must_use]
    pub fn post_link(self, script: &str) -> Self {
        self.script("post-link", script)
    }

    /// A script that conda runs before it links the package.
    #[must_use]
    pub fn pre_link(self, script: &str) -> Self {
        self.script("pre-link", script)
    }

    /// A script that conda runs before it takes the package away.
    #[must_use]
    pub fn pre_unlink(self, script: &str) -> Self {
        self.script("pre-unlink", script)
    }

    fn script(self, kind: &str, script: &str) -> Self {
        let path = format!("bin/.{}-{kind}.sh", self.name);
        self.file(&path, script)
    }

    /// The minor version of Python whose `site-packages` a package that is not noarch writes to; 3.11 otherwise.
    #[must_use]
    pub fn python(mut self, version: &str) -> Self {
        version.clone_into(&mut self.python);
        self
    }

    /// A `.dist-info` for what is in `site-packages`, as pip leaves it in conda-build: with it, Python's tools see the package.
    #[must_use]
    pub fn python_dist(mut self, name: &str, version: &str, requires: &[&str]) -> Self {
        self.distributions.push(Distribution::new(name, version, requires));
        self
    }

    /// A console script, `name = module:function`. In a package that is not noarch it is a file with the prefix in its first
    /// line, as conda-build writes it.
    #[must_use]
    pub fn entry_point(mut self, entry_point: &str) -> Self {
        self.entry_points.push(entry_point.to_owned());
        self
    }

    /// A `.tar.bz2` instead of a `.conda`.
    #[must_use]
    pub fn old_format(mut self) -> Self {
        self.old_format = true;
        self
    }

    /// Leaves `info/paths.json` out, as conda-build did before 2017: `info/files` and `info/has_prefix` say it all.
    #[must_use]
    pub fn without_paths(mut self) -> Self {
        self.without_paths = true;
        self
    }

    /// The file's name without its ending.
    pub fn stem(&self) -> String {
        format!("{}-{}-{}", self.name, self.version, self.build)
    }

    /// The file's name.
    pub fn file_name(&self) -> String {
        format!("{}{}", self.stem(), if self.old_format { OLD_FORMAT } else { ".conda" })
    }

    /// Makes it.
    pub fn make(&self) -> Archive {
        archive::make(self)
    }

    /// All that it lays into the prefix, by path.
    pub(crate) fn contents(&self) -> Vec<Entry> {
        let mut entries = self.entries.clone();
        if self.noarch != Some(Noarch::Python) {
            entries.extend(self.entry_points.iter().map(|entry_point| {
                let (path, script) =
                    python::console_script(entry_point, &placeholder(&self.name), &self.python);
                Entry::file(&path, script.into_bytes(), Some(Prefix::Text))
            }));
        }
        let site = match self.noarch {
            Some(Noarch::Python) => "site-packages".to_owned(),
            _ => format!("lib/python{}/site-packages", self.python),
        };
        for distribution in &self.distributions {
            let files = distribution.files(&site, &entries, &self.entry_points);
            entries.extend(files);
        }
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        entries
    }

    fn entry(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }
}

/// `bytes` with each `from` become `to`.
pub(crate) fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + to.len());
    let mut done = 0;
    for at in memchr::memmem::find_iter(bytes, from) {
        out.extend_from_slice(&bytes[done..at]);
        out.extend_from_slice(to);
        done = at + from.len();
    }
    out.extend_from_slice(&bytes[done..]);
    out
}
