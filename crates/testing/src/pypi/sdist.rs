//! Sdists and source folders with a build backend of their own, so that building them asks no index for anything that
//! they are not told to ask for.

use std::io;
use std::path::Path;

use super::project::Project;

/// An sdist to be made. The same calls give the same bytes.
#[derive(Clone, Debug)]
pub struct Sdist {
    project: Project,
    build_requires: Vec<String>,
    failure: Option<String>,
    code: String,
    tags: String,
    needs_build_for_metadata: bool,
}

/// A PEP 517 backend that zips a module and the metadata of `PKG-INFO`.
const BACKEND: &str = r#"
import os
import sys
import zipfile

REPORT = None
HERE = os.path.dirname(os.path.abspath(__file__))


def read(name):
    path = os.path.join(HERE, name)
    return open(path).read() if os.path.exists(path) else ""


def build_wheel(directory, config_settings=None, metadata_directory=None):
    if read("FAILURE"):
        sys.exit(read("FAILURE"))
    metadata = read("PKG-INFO")
    fields = dict(line.split(": ", 1) for line in metadata.splitlines())
    module = fields["Name"].lower().replace("-", "_")
    tags = read("TAGS").strip()
    stem = module + "-" + fields["Version"]
    info = stem + ".dist-info"
    purelib = str(tags.endswith("any")).lower()
    files = {
        module + "/__init__.py": "VERSION = %r\nREPORT = %r\n" % (fields["Version"], REPORT),
        info + "/METADATA": metadata,
        info + "/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: %s\nTag: %s\n" % (purelib, tags),
    }
    files[info + "/RECORD"] = "".join(path + ",,\n" for path in list(files) + [info + "/RECORD"])
    name = stem + "-" + tags + ".whl"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return name


def build_sdist(directory, config_settings=None):
    sys.exit("this backend makes no sdists")
"#;

const PYPROJECT: &str = "build-backend = \"backend\"\nbackend-path = [\".\"]\n";

impl Sdist {
    /// `name` as the author writes it, `version` in normal form.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            project: Project::new(name, version),
            build_requires: Vec::new(),
            failure: None,
            code: String::new(),
            tags: "py3-none-any".to_owned(),
            needs_build_for_metadata: false,
        }
    }

    /// One `Requires-Dist` (PEP 508).
    #[must_use]
    pub fn requires(mut self, requirement: &str) -> Self {
        self.project.requires.push(requirement.to_owned());
        self
    }

    /// `Requires-Python`.
    #[must_use]
    pub fn requires_python(mut self, specifier: &str) -> Self {
        self.project.requires_python = Some(specifier.to_owned());
        self
    }

    /// Building it prints this to stderr and fails.
    #[must_use]
    pub fn fails(mut self, message: &str) -> Self {
        self.failure = Some(message.to_owned());
        self
    }

    /// Tags of the wheel that building it gives.
    #[must_use]
    pub fn builds(mut self, tags: &str) -> Self {
        tags.clone_into(&mut self.tags);
        self
    }

    /// Its metadata is of a version that must not be believed before it is built.
    #[must_use]
    pub fn old_metadata(mut self) -> Self {
        self.needs_build_for_metadata = true;
        self
    }

    /// One entry of `[build-system] requires`.
    #[must_use]
    pub fn build_requires(mut self, requirement: &str) -> Self {
        self.build_requires.push(requirement.to_owned());
        self
    }

    /// Python that runs whenever the build backend is imported; what it assigns to `REPORT` is in the module.
    #[must_use]
    pub fn runs(mut self, code: &str) -> Self {
        code.clone_into(&mut self.code);
        self
    }

    pub(super) fn project(&self) -> &Project {
        &self.project
    }

    /// `name-version.tar.gz`.
    pub fn file_name(&self) -> String {
        format!("{}.tar.gz", self.project.stem())
    }

    fn files(&self) -> Vec<(&'static str, String)> {
        let version = if self.needs_build_for_metadata { "2.1" } else { "2.2" };
        let mut files = vec![
            ("PKG-INFO", self.project.metadata(version, &[])),
            ("TAGS", self.tags.clone()),
            ("backend.py", format!("{BACKEND}\n{}", self.code)),
            ("pyproject.toml", format!("[build-system]\nrequires = {:?}\n{PYPROJECT}", self.build_requires)),
        ];
        if let Some(failure) = &self.failure {
            files.push(("FAILURE", failure.clone()));
        }
        files
    }

    /// Writes the unpacked source into `folder`, e.g. to be a repository or a local requirement.
    pub fn write_source(&self, folder: &Path) -> io::Result<()> {
        fs_err::create_dir_all(folder)?;
        for (name, text) in self.files() {
            fs_err::write(folder.join(name), text)?;
        }
        Ok(())
    }

    /// The bytes of the file.
    pub fn build(&self) -> Vec<u8> {
        let gzip = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::default());
        let mut archive = tar::Builder::new(gzip);
        for (name, text) in self.files() {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            header.set_mtime(315_532_800);
            archive
                .append_data(&mut header, format!("{}/{name}", self.project.stem()), text.as_bytes())
                .expect("memory takes all");
        }
        archive.into_inner().and_then(flate2::write::GzEncoder::finish).expect("memory takes all")
    }
}
