//! Requirements files as pip reads them: lines, options, includes.

mod lines;
mod options;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use url::Url;

use crate::requirement::{Requirement, RequirementError, index_url, is_name, looks_bare, normalise_name};
use crate::secrets::shown;
use crate::{Diagnostic, Digest, PipRequirement, PipRequirements, Place, Source, Span, codes};
use lines::{LogicalLine, logical_lines};
use options::{Given, OptionKind};

pub(crate) use lines::comment_start;

const MAX_INCLUDES: usize = 256;

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
    pub diagnostics: Vec<Diagnostic>,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    /// Files that are being read, outermost first.
    open: Vec<PathBuf>,
    done: HashSet<(PathBuf, Role)>,
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
            match Source::read(&path) {
                Ok(included) => self.read_source(&included, role),
                Err(error) => {
                    let message = format!("cannot include `{}`: {}", shown(value), error.message);
                    let hint = "included files are named relative to the file that includes them";
                    self.diagnostics.push(refuse(message).with_hint(hint).at(place));
                }
            }
        }
    }

    /// Checks what can only be told at the end.
    pub fn finish(&mut self) {
        let pip = &mut self.pip;
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
                    self.editable(line, given, &parsed.rest, hashes, role);
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

    fn option(&mut self, line: &LogicalLine<'_>, given: &Given) {
        match given.kind {
            OptionKind::Requirement | OptionKind::Constraint => {
                let role =
                    if given.kind == OptionKind::Constraint { Role::Constraint } else { Role::Requirement };
                let place = line.place(given.value_offset, given.value.len());
                self.include(line.source(), &given.value, place, role);
            }
            OptionKind::IndexUrl => {
                if let Some(url) = self.url(line, given) {
                    if self.pip.index_url.as_ref().is_some_and(|earlier| *earlier != url) {
                        self.not_honoured(line, given, "an earlier `--index-url` is replaced by this one");
                    }
                    self.pip.index_url = Some(url);
                }
            }
            OptionKind::ExtraIndexUrl => {
                let url = self.url(line, given);
                push_new(&mut self.pip.extra_index_urls, url);
            }
            OptionKind::FindLinks => {
                let url = self.url(line, given);
                push_new(&mut self.pip.find_links, url);
            }
            OptionKind::NoIndex => self.pip.no_index = true,
            OptionKind::Pre => self.pip.pre = true,
            OptionKind::RequireHashes => self.pip.require_hashes = true,
            OptionKind::NoBinary => {
                let pip = &mut self.pip;
                let bad = binary_option(&given.value, &mut pip.no_binary, &mut pip.only_binary);
                self.bad_name(line, given, bad);
            }
            OptionKind::OnlyBinary => {
                let pip = &mut self.pip;
                let bad = binary_option(&given.value, &mut pip.only_binary, &mut pip.no_binary);
                self.bad_name(line, given, bad);
            }
            OptionKind::Ignored(reason) => self.not_honoured(line, given, reason),
            // Dealt with where requirements are.
            OptionKind::Editable | OptionKind::Hash => {}
        }
    }

    fn not_honoured(&mut self, line: &LogicalLine<'_>, given: &Given, reason: &str) {
        let place = line.place(given.offset, given.length);
        let message = format!("`{}` has no effect: {reason}", given.name);
        self.diagnostics.push(Diagnostic::new(codes::NOT_HONOURED, message).at(place));
    }

    fn bad_name(&mut self, line: &LogicalLine<'_>, given: &Given, bad: Option<String>) {
        if let Some(name) = bad {
            let message = format!("`{}` is not the name of a package", shown(&name));
            let place = line.place(given.value_offset, given.value.len());
            self.diagnostics.push(Diagnostic::new(codes::INVALID_OPTION, message).at(place));
        }
    }

    fn url(&mut self, line: &LogicalLine<'_>, given: &Given) -> Option<crate::SafeUrl> {
        match index_url(&given.value, &absolute_folder(line.source())) {
            Ok(url) => Some(url),
            Err(error) => {
                self.report(line, given.value_offset, error);
                None
            }
        }
    }

    fn hashes(&mut self, line: &LogicalLine<'_>, given: &[&Given]) -> Vec<Digest> {
        let mut hashes = Vec::new();
        let mut others = Vec::new();
        for given in given {
            let place = line.place(given.value_offset, given.value.len());
            let error = |message: &str| Diagnostic::new(codes::INVALID_HASH, message).at(place.clone());
            match given.value.split_once(':') {
                Some(("sha256", digits)) => match Digest::from_hex(digits) {
                    Ok(digest) => hashes.push(digest),
                    Err(_) => self.diagnostics.push(error("a sha256 hash has 64 hexadecimal digits")),
                },
                Some(("sha384" | "sha512", _)) => others.push(error("only sha256 hashes can be checked")),
                _ => self.diagnostics.push(
                    error("a hash is written `sha256:` and 64 hexadecimal digits")
                        .with_hint("`pip hash FILE` prints it"),
                ),
            }
        }
        // Beside a sha256 the others say nothing new; alone they would be lost.
        if hashes.is_empty() {
            self.diagnostics.extend(others);
        }
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    /// `-e ./folder[extra]`, where a plain word is a folder too. A marker may follow.
    fn editable(
        &mut self,
        line: &LogicalLine<'_>,
        given: &Given,
        rest: &[(String, usize)],
        hashes: Vec<Digest>,
        role: Role,
    ) {
        let mut text = given.value.clone();
        if rest.first().is_some_and(|(word, _)| word.starts_with(';')) {
            // Options cannot follow a marker, so it is the rest of the line.
            text = format!("{text} {}", &line.text[rest[0].1..]);
        }
        let plain = !looks_bare(&text) && !text.contains('@');
        let text = if plain { format!("./{text}") } else { text };
        let offset = given.value_offset.saturating_sub(if plain { 2 } else { 0 });
        if role == Role::Constraint {
            let message = "a constraint cannot be editable";
            let place = line.place(given.offset, given.length);
            self.diagnostics.push(Diagnostic::new(codes::INVALID_CONSTRAINT, message).at(place));
            return;
        }
        let before = self.pip.requirements.len();
        self.requirement(line, &text, offset, hashes, role);
        if let Some(added) = self.pip.requirements.get_mut(before) {
            added.editable = true;
        }
    }

    fn requirement(
        &mut self,
        line: &LogicalLine<'_>,
        text: &str,
        offset: usize,
        hashes: Vec<Digest>,
        role: Role,
    ) {
        let folder = absolute_folder(line.source());
        let requirement = match Requirement::parse(text, &folder) {
            Ok(requirement) => requirement,
            Err(error) => return self.report(line, offset, error),
        };
        let place = line.place(offset, text.len());
        self.check_path(&requirement, &place);
        let entry = PipRequirement { requirement: requirement.to_string(), hashes, editable: false };
        match role {
            Role::Requirement => {
                self.pip.requirements.push(entry);
                self.requirements.push(place);
            }
            Role::Constraint => {
                let message = if requirement.name.is_none() {
                    "a constraint needs the name of a package"
                } else if !requirement.extras.is_empty() {
                    "a constraint cannot have extras"
                } else {
                    self.pip.constraints.push(entry);
                    self.constraints.push(place);
                    return;
                };
                self.diagnostics.push(Diagnostic::new(codes::INVALID_CONSTRAINT, message).at(place));
            }
        }
    }

    /// A local path that is not there is worth a word now; locking would fail later.
    fn check_path(&mut self, requirement: &Requirement, place: &Place) {
        let Some(url) =
            requirement.url.as_deref().filter(|url| url.starts_with("file:") && !url.contains("${"))
        else {
            return;
        };
        let path = Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
        if let Some(path) = path.filter(|path| !path.exists()) {
            let message = format!("nothing is at `{}`", shown(&path.to_string_lossy()));
            self.diagnostics.push(Diagnostic::new(codes::MISSING_PATH, message).at(place.clone()));
        }
    }

    fn report(&mut self, line: &LogicalLine<'_>, offset: usize, error: RequirementError) {
        let diagnostic =
            Diagnostic::new(error.code, error.message).at(line.place(offset + error.offset, error.length));
        self.diagnostics.push(Diagnostic { hint: error.hint, ..diagnostic });
    }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: Option<T>) {
    list.extend(item.filter(|item| !list.contains(item)));
}

/// One file however it is named.
fn identity(path: &Path) -> PathBuf {
    fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn absolute_folder(source: &Source) -> PathBuf {
    let folder = source.folder();
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

/// `--no-binary` and `--only-binary`: later ones count more, `:all:` replaces, `:none:` empties, and a name stands
/// in one list only (pip's `FormatControl`). Gives back a word that is no name.
fn binary_option(value: &str, target: &mut Vec<String>, other: &mut Vec<String>) -> Option<String> {
    for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            ":all:" => {
                other.clear();
                target.push(":all:".to_owned());
            }
            ":none:" => target.clear(),
            name if is_name(name) => {
                let name = normalise_name(name);
                other.retain(|known| *known != name);
                target.push(name);
            }
            bad => return Some(bad.to_owned()),
        }
    }
    if target.iter().any(|name| name == ":all:") {
        target.retain(|name| name == ":all:");
    }
    target.sort();
    target.dedup();
    None
}
