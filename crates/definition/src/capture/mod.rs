//! An environment that is on disk already, read from its files alone: a conda prefix, a virtual environment, or another
//! Python whose folders the caller knows.
//!
//! There are two things to want of it. [`Extent::History`] is what was asked for when it was made: conda's history, and
//! the packages that pip marked as requested (PEP 376's `REQUESTED`), at the version that is there, because no file keeps
//! the bounds that pip was given. [`Extent::Exact`] is all that is there, each at its version, and of conda its build and
//! hash. What cannot be had again from an index or channel is written down as well as it can be, and said.

mod conda;
mod direct_url;
mod distribution;
mod find;
mod git;
mod history;
mod pip;
mod record;
mod virtualenv;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::pip::PipReader;
use crate::read::{Format, settle};
use crate::{Diagnostic, Place, ReadEnvironment, ReadError, Remarks, Source, Span, codes};

pub use find::CondaPlaces;
pub use virtualenv::PythonInstallation;

/// How much of an environment on disk is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// What was asked for.
    #[default]
    History,
    /// What is there.
    Exact,
}

/// Entries of one folder that are looked at; the largest environments have some thousands.
const MAX_ENTRIES: usize = 20_000;

/// Whether the folder `path` is an environment: a conda prefix or a virtual environment.
pub(crate) fn is_environment(path: &Path) -> bool {
    path.join("conda-meta").is_dir() || path.join("pyvenv.cfg").is_file()
}

/// Reads the conda prefix or virtual environment at `prefix`.
pub fn capture(prefix: &Path, extent: Extent) -> Result<ReadEnvironment, ReadError> {
    if prefix.join("conda-meta").is_dir() {
        let mut capture = Capture::new(Format::CondaPrefix, prefix, extent);
        conda::read(&mut capture);
        return capture.finish();
    }
    if prefix.join("pyvenv.cfg").is_file() {
        let mut capture = Capture::new(Format::PythonPrefix, prefix, extent);
        virtualenv::read(&mut capture);
        return capture.finish();
    }
    let (message, hint) = if prefix.is_dir() {
        (
            "this folder is neither a conda environment nor a virtual environment",
            "one holds a folder `conda-meta`, the other a file `pyvenv.cfg`",
        )
    } else {
        ("there is no environment", "check the path and the working folder")
    };
    Err(Diagnostic::new(codes::NOTHING_IN_FOLDER, message).with_hint(hint).in_file(prefix).into())
}

/// Reads a Python that is told by its own account, as a conda prefix or virtual environment where it stands in one.
pub fn capture_python(python: &PythonInstallation, extent: Extent) -> Result<ReadEnvironment, ReadError> {
    if is_environment(&python.prefix) {
        return capture(&python.prefix, extent);
    }
    let mut capture = Capture::new(Format::PythonPrefix, &python.prefix, extent);
    virtualenv::read_installation(&mut capture, python);
    capture.finish()
}

/// What is known so far.
struct Capture<'a> {
    prefix: &'a Path,
    extent: Extent,
    read: ReadEnvironment,
    pip: PipReader,
    diagnostics: Remarks,
}

impl<'a> Capture<'a> {
    fn new(format: Format, prefix: &'a Path, extent: Extent) -> Self {
        let read = ReadEnvironment::new(format, &Source::new(prefix, ""));
        Self { prefix, extent, read, pip: PipReader::default(), diagnostics: Remarks::default() }
    }

    fn finish(mut self) -> Result<ReadEnvironment, ReadError> {
        let pip = std::mem::take(&mut self.pip);
        self.diagnostics.extend(self.read.take_pip(pip));
        settle(self.read, self.diagnostics)
    }

    fn remark(&mut self, code: &'static codes::Code, message: String, hint: Option<&str>, place: Place) {
        let remark = Diagnostic::new(code, message).at(place);
        self.diagnostics.push(Diagnostic { hint: hint.map(str::to_owned), ..remark });
    }

    /// A remark on a file or folder as a whole.
    fn remark_on(&mut self, code: &'static codes::Code, message: String, hint: Option<&str>, file: &Path) {
        let remark = Diagnostic::new(code, message).in_file(file);
        self.diagnostics.push(Diagnostic { hint: hint.map(str::to_owned), ..remark });
    }
}

/// The beginning of the file `path`, where no more of it is wanted.
fn beginning_of(path: &Path, limit: u64) -> Option<String> {
    let mut bytes = Vec::new();
    fs_err::File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A small file as a whole; `None` where it is missing, too large or not text.
fn small_file(path: &Path) -> Option<String> {
    const LIMIT: u64 = 1 << 20;
    // A pipe or device under such a name would never end.
    if !fs_err::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LIMIT) {
        return None;
    }
    beginning_of(path, LIMIT)
}

/// Names and paths of what is in a folder, sorted; nothing where it cannot be read.
fn entries_of(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs_err::read_dir(folder) else { return Vec::new() };
    let mut entries: Vec<(String, PathBuf)> = entries
        .filter_map(Result::ok)
        .take(MAX_ENTRIES)
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect();
    entries.sort();
    entries
}

/// A file that is not quoted.
fn whole(file: &Path) -> Place {
    Place { file: file.to_owned(), span: Span { line: 1, column: 1, length: 1 }, line_text: None }
}
