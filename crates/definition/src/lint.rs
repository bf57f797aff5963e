//! A file, all there is to say about it, and how it is mended: what `provenv env check` shows.

mod ignore;
mod propose;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::check::{dockerfile, text};
use crate::read::read_source;
use crate::secrets::Variables;
use crate::{Base, Diagnostic, Format, ReadEnvironment, ReadError, Source, codes, folder, recognise};
use ignore::Ignored;

/// Of all the files that one file includes no more is searched.
const MAX_TEXT: usize = 16 << 20;

/// What was found in a file.
#[derive(Debug)]
pub struct Linted {
    /// The file's text; `None` where it is a folder, missing, or not text.
    pub source: Option<Source>,
    /// How it was read; `None` where it could not be.
    pub format: Option<Format>,
    /// All remarks but for those that comments take back, in the order of lines.
    pub remarks: Vec<Diagnostic>,
    /// How many remarks comments in the files take back.
    pub ignored: usize,
}

impl Linted {
    /// Whether the file could be had at all.
    pub fn is_readable(&self) -> bool {
        self.source.is_some() || self.format.is_some()
    }
}

/// Reads and checks the file or folder at `path`.
pub fn lint(path: &Path) -> Linted {
    if path.is_dir() {
        return lint_folder(path);
    }
    match Source::read(path) {
        Ok(source) => lint_source(source),
        Err(error) => Linted { source: None, format: None, remarks: error.0, ignored: 0 },
    }
}

/// The file that is taken of a folder is checked as if it had been named.
fn lint_folder(path: &Path) -> Linted {
    let unread = |remarks| Linted { source: None, format: None, remarks, ignored: 0 };
    match folder::taken(path) {
        Ok(Some((file, remark))) => {
            let mut linted = lint(&file);
            linted.remarks.extend(remark);
            Linted { remarks: in_order(linted.remarks), ..linted }
        }
        Ok(None) => match crate::read(path) {
            Ok(read) => {
                let mut remarks = read.check();
                remarks.extend(read.warnings);
                Linted { format: Some(read.format), ..unread(in_order(remarks)) }
            }
            Err(error) => unread(in_order(error.0)),
        },
        Err(error) => unread(error.0),
    }
}

/// Reads and checks `text` as if it stood in the file `path`; files that it includes are read from disk.
pub fn lint_str(text: &str, path: &Path) -> Linted {
    lint_bytes(text.as_bytes(), path)
}

/// The same of bytes, in any encoding that files may have.
pub fn lint_bytes(bytes: &[u8], path: &Path) -> Linted {
    match Source::decode(path, bytes) {
        Ok(source) => lint_source(source),
        Err(error) => Linted { source: None, format: None, remarks: error.0, ignored: 0 },
    }
}

fn lint_source(source: Source) -> Linted {
    let mut files: HashMap<PathBuf, Source> = HashMap::new();
    let (format, mut remarks) = match read_source(&source) {
        Ok(read) => {
            let mut remarks = read.check();
            remarks.extend(read.warnings.iter().cloned());
            remarks.extend(text::conda(&source, &read.origins));
            remarks.extend(text::unquoted_version(&source, read.format, &read.origins));
            included(&source, &read, &mut files);
            remarks.extend(dockerfiles(&source, &read, &files));
            (Some(read.format), remarks)
        }
        Err(ReadError(mut remarks)) => {
            if is_dockerfile(&source) {
                remarks.extend(dockerfile::redirects(&source));
            }
            (None, remarks)
        }
    };
    for source in std::iter::once(&source).chain(files.values()) {
        let known = |remark: &&Diagnostic| {
            let is_secret = [codes::SECRET.id, codes::CREDENTIALS.id].contains(&remark.code);
            is_secret && remark.file.as_deref() == Some(source.path())
        };
        let lines: HashSet<usize> =
            remarks.iter().filter(known).filter_map(|remark| remark.span).map(|span| span.line).collect();
        let variables = if is_dockerfile(source) { Variables::Shell } else { Variables::Braced };
        remarks.extend(text::secrets(source, variables, &lines));
    }
    // What is taken for a list of requirements because nothing else fits, and cannot be read as one, is likely none: a
    // program, or the settings of another tool.
    let unknown = format.is_none() && recognise::is_guessed(&source);
    for remark in &mut remarks {
        propose::place(&source, remark);
        if remark.fix.is_none() && !unknown {
            remark.fix = propose::fix(&source, remark);
        }
    }
    let mut ignored: HashMap<&Path, Ignored> = HashMap::new();
    for source in std::iter::once(&source).chain(files.values()) {
        let found = Ignored::read(source);
        remarks.extend(found.unknown.iter().cloned());
        ignored.insert(source.path(), found);
    }
    let before = remarks.len();
    remarks.retain(|remark| {
        let file = remark.file.as_deref().unwrap_or(source.path());
        !ignored.get(file).is_some_and(|ignored| ignored.takes_back(remark))
    });
    let ignored = before - remarks.len();
    Linted { source: Some(source), format, remarks: in_order(remarks), ignored }
}

/// The other files that were read, as long as they are not endless.
fn included(source: &Source, read: &ReadEnvironment, files: &mut HashMap<PathBuf, Source>) {
    let mut size = source.text().len();
    let bases = read.origins.base_images.iter().map(|(_, place)| &place.file);
    for file in read.files.iter().chain(bases).filter(|file| *file != source.path()) {
        if files.contains_key(file) {
            continue;
        }
        if let Ok(other) = Source::read(file) {
            size += other.text().len();
            if size > MAX_TEXT {
                return;
            }
            files.insert(file.clone(), other);
        }
    }
}

fn is_dockerfile(source: &Source) -> bool {
    let recognised = recognise::format_of(source);
    matches!(recognised, Ok(recognise::Recognised::Lines(Format::Dockerfile)))
}

/// Remarks on the Dockerfiles that an environment is made by.
fn dockerfiles(source: &Source, read: &ReadEnvironment, files: &HashMap<PathBuf, Source>) -> Vec<Diagnostic> {
    if read.format == Format::Dockerfile {
        return dockerfile::redirects(source).into_vec();
    }
    let beside: Vec<&Source> = files.values().filter(|file| is_dockerfile(file)).collect();
    if !beside.is_empty() {
        return beside.into_iter().flat_map(dockerfile::redirects).collect();
    }
    let Base::Dockerfile { text } = &read.environment.definition.base else { return Vec::new() };
    // It stands inside the file in a form of its own, where lines and fixes do not fit.
    let inner = Source::new(source.path(), text.as_str());
    let remarks = dockerfile::redirects(&inner).into_iter().map(|remark| {
        let message = match remark.span {
            Some(span) => format!("{} (line {} of the Dockerfile)", remark.message, span.line),
            None => remark.message,
        };
        let remark = Diagnostic { message, file: None, span: None, line_text: None, fix: None, ..remark };
        match &read.origins.base {
            Some(place) => remark.at(place.clone()),
            None => remark.in_file(source.path()),
        }
    });
    remarks.collect()
}

/// By file, line and column; those on a file as a whole first.
fn in_order(mut remarks: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let key = |remark: &Diagnostic| {
        (remark.file.clone(), remark.span.map(|span| (span.line, span.column)), remark.code)
    };
    remarks.sort_by_cached_key(key);
    remarks.dedup();
    remarks
}
