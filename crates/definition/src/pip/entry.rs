//! Lines that name a package.

use url::Url;

use super::lines::LogicalLine;
use super::options::Given;
use super::{PipReader, Role, absolute_folder};
use crate::requirement::{Requirement, looks_bare};
use crate::secrets::shown;
use crate::{Diagnostic, Digest, PipRequirement, Place, Source, Span, codes};

impl PipReader {
    pub(super) fn hashes(&mut self, line: &LogicalLine<'_>, given: &[&Given]) -> Vec<Digest> {
        let mut hashes = Vec::new();
        let mut others = Vec::new();
        for given in given {
            let place = line.place(given.value_offset, given.value.len());
            let error = |message: &str| Diagnostic::new(codes::INVALID_HASH, message).at(place.clone());
            match given.value.split_once(':') {
                Some(("sha256", digits)) => match Digest::from_hex(digits) {
                    Ok(digest) => hashes.push(digest),
                    Err(_) => self.diagnostics.push(
                        error("a sha256 hash has 64 hexadecimal digits")
                            .with_hint("`pip hash FILE` prints it"),
                    ),
                },
                Some(("sha384" | "sha512", _)) => others.push(
                    error("only sha256 hashes can be checked")
                        .with_hint("add the sha256 hash: `pip hash FILE` prints it"),
                ),
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
    pub(super) fn editable(
        &mut self,
        line: &LogicalLine<'_>,
        given: &Given,
        options: &[Given],
        hashes: Vec<Digest>,
        role: Role,
    ) {
        let place = line.place(given.offset, given.length);
        if role == Role::Constraint {
            let message = "a constraint cannot be editable";
            self.diagnostics.push(Diagnostic::new(codes::INVALID_CONSTRAINT, message).at(place));
            return;
        }
        // Unquoted, it goes on to the next option: `[a, b]` and markers hold spaces.
        let next = options.iter().map(|option| option.offset).find(|offset| *offset > given.offset);
        let raw = &line.text[given.value_offset..next.unwrap_or(line.text.len())];
        let text = if raw.starts_with(['"', '\'']) { &given.value } else { raw.trim_end() };
        let plain = !looks_bare(text) && !text.contains('@');
        let (text, offset) = if plain {
            (format!("./{text}"), given.value_offset.saturating_sub(2))
        } else {
            (text.to_owned(), given.value_offset)
        };
        let before = self.pip.requirements.len();
        self.requirement(line, &text, offset, hashes, role);
        if let Some(added) = self.pip.requirements.get_mut(before) {
            added.editable = true;
        }
    }

    /// Reads one dependency specifier (PEP 508), without any of pip's options, that stands at `span` of another kind
    /// of file.
    pub fn read_requirement(&mut self, source: &Source, text: &str, span: Span, editable: bool) {
        let line = LogicalLine::at(source, text, span);
        if looks_bare(&line.text) || line.text.is_empty() {
            let message = "a dependency begins with the name of a package";
            let hint = "write a URL or path behind it: `name @ https://…`";
            let problem = Diagnostic::new(codes::INVALID_REQUIREMENT, message).with_hint(hint);
            self.diagnostics.push(problem.at(line.place(0, line.text.len())));
            return;
        }
        let before = self.pip.requirements.len();
        self.requirement(&line, &line.text, 0, Vec::new(), Role::Requirement);
        if let Some(added) = self.pip.requirements.get_mut(before) {
            added.editable = editable;
        }
    }

    pub(super) fn requirement(
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
        if self.diagnostics.is_full_of(codes::MISSING_PATH) {
            return;
        }
        let path = Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
        if let Some(path) = path.filter(|path| !path.exists()) {
            let message = format!("nothing is at `{}`", shown(&path.to_string_lossy()));
            self.diagnostics.push(Diagnostic::new(codes::MISSING_PATH, message).at(place.clone()));
        }
    }
}
