//! Requirements files as pip reads them: lines, options, includes.

mod apply;
mod entry;
mod lines;
mod options;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use url::Url;

use crate::requirement::{Requirement, RequirementError};
use crate::secrets::shown;
use crate::{Diagnostic, PipRequirements, Place, Remarks, SafeUrl, Source, Span, codes};
use lines::logical_lines;
use options::OptionKind;

pub(crate) use lines::{LogicalLine, comment_start};

const MAX_INCLUDES: usize = 256;
/// Of a logical line: room for more than a thousand hashes.
const MAX_LINE: usize = 128 << 10;

/// Whether lines ask for packages or bound them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Requirement,
    Constraint,
}

/// Reads lines into [`PipRequirements`], remembering where each came from.
#[derive(Debug, Default)]
pub(crate) struct PipReader {
    pub pip: PipRequirements,
    /// Where each of [`PipRequirements::requirements`] stands.
    pub requirements: Vec<Place>,
    /// Where each of [`PipRequirements::constraints`] stands.
    pub constraints: Vec<Place>,
    pub diagnostics: Remarks,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    /// Files that are being read, outermost first.
    open: Vec<PathBuf>,
    done: HashSet<(PathBuf, Role)>,
    gave_up: bool,
    /// What the lists in [`PipReader::pip`] hold already.
    extra_index_urls: HashSet<SafeUrl>,
    find_links: HashSet<SafeUrl>,
    /// What [`PipReader::finish`] puts into [`PipReader::pip`].
    no_binary: BTreeSet<String>,
    only_binary: BTreeSet<String>,
}

impl PipReader {
    /// Reads all lines of a requirements file.
    pub fn read_source(&mut self, source: &Source, role: Role) {
        let identity = identity(source.path());
        self.files.push(source.path().to_owned());
        self.done.insert((identity.clone(), role));
        self.open.push(identity);
        for line in logical_lines(source) {
            self.read_line(&line, role);
        }
        self.open.pop();
    }

    /// Whether so much is wrong that nothing more is read, which is said once.
    fn is_enough(&mut self, line: &LogicalLine<'_>) -> bool {
        let is_enough = self.diagnostics.is_hopeless();
        if is_enough && !std::mem::replace(&mut self.gave_up, true) {
            let message = "so much is wrong that nothing from here on was read";
            self.diagnostics.push(Diagnostic::new(codes::TOO_LARGE, message).at(line.place(0, 1)));
        }
        is_enough
    }

    /// Reads one line that stands at `span` of another kind of file.
    pub fn read_entry(&mut self, source: &Source, text: &str, span: Span, role: Role) {
        let mut line = LogicalLine::at(source, text, span);
        line.text.truncate(comment_start(&line.text));
        line.text.truncate(line.text.trim_end().len());
        if !line.text.is_empty() {
            self.read_line(&line, role);
        }
    }

    /// Reads the file that `value`, at `place`, names relative to `source`.
    pub fn include(&mut self, source: &Source, value: &str, place: Place, role: Role) {
        let refuse = |message: String| Diagnostic::new(codes::INVALID_INCLUDE, message);
        if value.contains("://") && !value.starts_with("file:") {
            let message = "files from the network are not included";
            let diagnostic = Diagnostic::new(codes::NOT_SUPPORTED, message).at(place);
            self.diagnostics.push(diagnostic.with_hint("download it and include the copy"));
            return;
        }
        if value.contains("${") {
            self.diagnostics
                .push(refuse("an included file cannot be named by a variable".to_owned()).at(place));
            return;
        }
        let path = match value.strip_prefix("file:") {
            None => source.folder().join(value),
            Some(_) => match Url::parse(value).ok().and_then(|url| url.to_file_path().ok()) {
                Some(path) => path,
                None => return self.diagnostics.push(refuse("not a `file:` URL".to_owned()).at(place)),
            },
        };
        let identity = identity(&path);
        if self.open.contains(&identity) {
            self.diagnostics.push(refuse(format!("`{}` includes itself", shown(value))).at(place));
        } else if self.files.len() >= MAX_INCLUDES {
            self.diagnostics.push(Diagnostic::new(codes::TOO_LARGE, "too many included files").at(place));
        } else if !self.done.contains(&(identity, role)) {
            match Source::read_named(&path) {
                Ok(included) => self.read_source(&included, role),
                Err(error) => {
                    let message = format!("cannot include `{}`: {}", shown(value), error.0[0].message);
                    let hint = "included files are named relative to the file that includes them";
                    self.diagnostics.push(refuse(message).with_hint(hint).at(place));
                }
            }
        }
    }

    /// Checks what can only be told at the end.
    pub fn finish(&mut self) {
        let pip = &mut self.pip;
        pip.no_binary = std::mem::take(&mut self.no_binary).into_iter().collect();
        pip.only_binary = std::mem::take(&mut self.only_binary).into_iter().collect();
        if pip.no_index && (pip.index_url.take().is_some() || !pip.extra_index_urls.is_empty()) {
            pip.extra_index_urls.clear();
            let message = "`--no-index` is given: no index is asked, and the index URLs mean nothing";
            self.diagnostics.push(Diagnostic::new(codes::NOT_HONOURED, message));
        }
        if !pip.require_hashes {
            return;
        }
        for (requirement, place) in pip.requirements.iter().zip(&self.requirements) {
            let Ok(parsed) = requirement.requirement.parse::<Requirement>() else { continue };
            let in_url = parsed.url.as_ref().is_some_and(|url| url.contains("#sha256="));
            let missing = if requirement.hashes.is_empty() && !in_url {
                "has no hash"
            } else if parsed.url.is_none() && parsed.pin().is_none() {
                "is not pinned with `==`"
            } else {
                continue;
            };
            let message = format!("`--require-hashes` is given, and this requirement {missing}");
            self.diagnostics.push(Diagnostic::new(codes::MISSING_HASH, message).at(place.clone()));
        }
    }

    fn read_line(&mut self, line: &LogicalLine<'_>, role: Role) {
        if self.is_enough(line) {
            return;
        }
        if line.text.len() > MAX_LINE {
            let message = format!("a line of more than {} KiB", MAX_LINE >> 10);
            self.diagnostics.push(Diagnostic::new(codes::TOO_LARGE, message).at(line.place(0, 1)));
            return;
        }
        let parsed = match options::parse(&line.text) {
            Ok(parsed) => parsed,
            Err(error) => {
                let diagnostic = Diagnostic::new(codes::INVALID_OPTION, error.message)
                    .at(line.place(error.offset, error.length));
                self.diagnostics.push(Diagnostic { hint: error.hint, ..diagnostic });
                return;
            }
        };
        let (own, global): (Vec<_>, Vec<_>) =
            parsed.options.iter().partition(|given| given.kind == OptionKind::Hash);
        let editable = global.iter().find(|given| given.kind == OptionKind::Editable);
        if !parsed.requirement.is_empty() || editable.is_some() {
            let hashes = self.hashes(line, &own);
            match editable {
                Some(given) if parsed.requirement.is_empty() => {
                    self.editable(line, given, &parsed.options, hashes, role);
                }
                _ => self.requirement(line, &parsed.requirement, 0, hashes, role),
            }
            for given in global.iter().filter(|given| given.kind != OptionKind::Editable) {
                let reason = match given.kind {
                    OptionKind::Ignored(reason) => reason,
                    _ => "as in pip, it counts only on a line of its own",
                };
                self.not_honoured(line, given, reason);
            }
            return;
        }
        for given in own {
            let message = "`--hash` belongs to a requirement".to_owned();
            let place = line.place(given.offset, given.length);
            self.diagnostics.push(Diagnostic::new(codes::INVALID_OPTION, message).at(place));
        }
        for given in global {
            self.option(line, given);
        }
        for (word, offset) in &parsed.rest {
            let message = format!("unexpected `{}` after an option", shown(word));
            let place = line.place(*offset, word.len());
            self.diagnostics.push(Diagnostic::new(codes::INVALID_OPTION, message).at(place));
        }
    }

    fn report(&mut self, line: &LogicalLine<'_>, offset: usize, error: RequirementError) {
        let diagnostic =
            Diagnostic::new(error.code, error.message).at(line.place(offset + error.offset, error.length));
        self.diagnostics.push(Diagnostic { hint: error.hint, ..diagnostic });
    }
}

/// One file however it is named.
fn identity(path: &Path) -> PathBuf {
    fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

pub(crate) fn absolute_folder(source: &Source) -> PathBuf {
    let folder = source.folder();
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}
