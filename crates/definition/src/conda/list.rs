//! Specs, one a line: what `conda list --export` writes and `conda create --file` reads.

use std::collections::BTreeSet;

use super::environment::CondaFile;
use super::spec::Parsed;
use super::{explicit, refused};
use crate::pip::{LogicalLine, PipReader, Role, absolute_folder};
use crate::read::{Format, ReadEnvironment, Reading};
use crate::secrets::shown;
use crate::{CondaRequirement, Diagnostic, Source, Span, codes};

pub(crate) fn read(source: &Source) -> Reading {
    let mut read = ReadEnvironment::new(Format::CondaList, source);
    let mut pip = PipReader::default();
    let mut file = CondaFile::default();
    let folder = absolute_folder(source);
    let mut refused_subdirs = BTreeSet::new();
    for (number, whole) in (1..).zip(source.lines()) {
        if let Some(subdir) = explicit::platform_comment(whole) {
            explicit::take_subdir(subdir, source, number, &mut file);
        }
        // As conda does, wherever it stands; the fragment of a URL is kept.
        let comment = if whole.contains("://") { " #" } else { "#" };
        let text = whole.split(comment).next().unwrap_or_default();
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let lead = whole.len() - whole.trim_start().len();
        let span =
            Span { line: number, column: whole[..lead].chars().count() + 1, length: text.chars().count() };
        if let Some(requirement) = installed_by_pip(text) {
            pip.read_entry(source, &requirement, span, Role::Requirement);
            continue;
        }
        let line = LogicalLine::at(source, text, span);
        if file.is_full(|| source.place(span)) {
            break;
        }
        match Parsed::new(&as_conda_splits(text), &folder) {
            Ok(Parsed { spec, extras }) => {
                if let Some(range) = extras {
                    let message = "conda reads over extras in brackets, and so does this";
                    let place = line.place(range.start, range.len());
                    file.diagnostics.push(Diagnostic::new(codes::READ_OTHERWISE, message).at(place));
                }
                explicit::take_platform(&spec, &mut refused_subdirs, &mut file, || line.place(0, text.len()));
                file.conda.packages.push(CondaRequirement { spec: spec.to_string(), platforms: Vec::new() });
                file.package_places.push(line.place(0, line.text.len()));
            }
            Err(error) => file.diagnostics.push(refused(&line, error)),
        }
    }
    file.platforms.sort_unstable();
    file.platforms.dedup();
    let mut diagnostics = file.put_into(&mut read);
    pip.finish();
    diagnostics.extend(read.take_pip(pip));
    (read, diagnostics)
}

/// `name=version=pypi_0` says that pip installed it: conda has no such package.
fn installed_by_pip(text: &str) -> Option<String> {
    let (rest, build) = text.rsplit_once('=')?;
    let (name, version) = rest.split_once('=')?;
    let is_pip = matches!(build.trim(), "pypi_0" | "<pip>");
    is_pip.then(|| format!("{}=={}", name.trim().trim_start_matches("pypi::"), version.trim()))
}

/// In a list, conda takes `name=1.2` for `name 1.2`, so exactly, unlike everywhere else (`spec_from_line`).
fn as_conda_splits(text: &str) -> String {
    match text.split_once('=') {
        Some((name, rest))
            if !name.contains(['<', '>', '!', '~', '['])
                && !rest.is_empty()
                && !rest.contains(['<', '>', '!', '~', ',', '|'])
                && !rest.starts_with('=')
                && !rest.contains("==")
                && !text.contains("://") =>
        {
            format!("{} {}", name.trim_end(), rest.replacen('=', " ", 1))
        }
        _ => text.to_owned(),
    }
}

/// A subdir that no image is made for.
pub(super) fn other_subdir(subdir: &str) -> String {
    format!("packages of `{}`: only images for Linux on x86-64 and ARM can be made", shown(subdir))
}
