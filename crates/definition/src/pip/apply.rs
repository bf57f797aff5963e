//! Lines of options alone: indexes, includes, choices.

use std::collections::BTreeSet;

use super::lines::LogicalLine;
use super::options::{Given, OptionKind};
use super::{PipReader, Role, absolute_folder};
use crate::requirement::{index_url, is_name, links_url, normalise_name};
use crate::secrets::shown;
use crate::{Diagnostic, SafeUrl, codes};

impl PipReader {
    pub(super) fn option(&mut self, line: &LogicalLine<'_>, given: &Given) {
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
                let url = self.url(line, given).filter(|url| self.extra_index_urls.insert(url.clone()));
                self.pip.extra_index_urls.extend(url);
            }
            OptionKind::FindLinks => {
                let url = self.url(line, given).filter(|url| self.find_links.insert(url.clone()));
                self.pip.find_links.extend(url);
            }
            OptionKind::NoIndex => self.pip.no_index = true,
            OptionKind::Pre => self.pip.pre = true,
            OptionKind::RequireHashes => self.pip.require_hashes = true,
            OptionKind::NoBinary => {
                let bad = binary_option(&given.value, &mut self.no_binary, &mut self.only_binary);
                self.bad_name(line, given, bad);
            }
            OptionKind::OnlyBinary => {
                let bad = binary_option(&given.value, &mut self.only_binary, &mut self.no_binary);
                self.bad_name(line, given, bad);
            }
            OptionKind::Ignored(reason) => self.not_honoured(line, given, reason),
            // Dealt with where requirements are.
            OptionKind::Editable | OptionKind::Hash => {}
        }
    }

    pub(super) fn not_honoured(&mut self, line: &LogicalLine<'_>, given: &Given, reason: &str) {
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

    fn url(&mut self, line: &LogicalLine<'_>, given: &Given) -> Option<SafeUrl> {
        let read = if given.kind == OptionKind::FindLinks { links_url } else { index_url };
        match read(&given.value, &absolute_folder(line.source())) {
            Ok(url) => Some(url),
            Err(error) => {
                self.report(line, given.value_offset, error);
                None
            }
        }
    }
}

/// `--no-binary` and `--only-binary`: later ones count more, `:all:` replaces, `:none:` empties, and a name stands
/// in one list only (pip's `FormatControl`). Gives back a word that is no name.
fn binary_option(value: &str, target: &mut BTreeSet<String>, other: &mut BTreeSet<String>) -> Option<String> {
    for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            ":all:" => {
                other.clear();
                target.clear();
                target.insert(":all:".to_owned());
            }
            ":none:" => target.clear(),
            name if is_name(name) => {
                let name = normalise_name(name);
                other.remove(&name);
                // All of them, and this one.
                if !target.contains(":all:") {
                    target.insert(name);
                }
            }
            bad => return Some(bad.to_owned()),
        }
    }
    None
}
