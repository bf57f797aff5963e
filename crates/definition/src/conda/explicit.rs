//! URLs after `@EXPLICIT`: each the one package that is meant, its hash after `#`.

use std::collections::BTreeSet;

use rattler_conda_types::package::CondaArchiveIdentifier;

use super::environment::CondaFile;
use super::list::other_subdir;
use super::spec::Parsed;
use super::{channel, refused};
use crate::pip::{LogicalLine, absolute_folder};
use crate::read::{Format, ReadEnvironment, Reading};
use crate::requirement::RequirementError;
use crate::secrets::shown;
use crate::{
    CondaRequirement, CondaSpec, Diagnostic, LockedArtifacts, LockedConda, Place, Platform, Source, Span,
    codes,
};

pub(crate) fn read(source: &Source) -> Reading {
    let mut read = ReadEnvironment::new(Format::CondaExplicit, source);
    let mut file = CondaFile::default();
    let mut refused_subdirs = BTreeSet::new();
    let mut locked: Vec<(Option<Platform>, LockedConda)> = Vec::new();
    let folder = absolute_folder(source);
    for (number, whole) in (1..).zip(source.lines()) {
        let text = whole.trim();
        if text.is_empty() || text == "@EXPLICIT" || text.starts_with('#') {
            continue;
        }
        let lead = whole.len() - whole.trim_start().len();
        let span =
            Span { line: number, column: whole[..lead].chars().count() + 1, length: text.chars().count() };
        let line = LogicalLine::at(source, text, span);
        if file.is_full(|| source.place(span)) {
            break;
        }
        match Parsed::new(text, &folder) {
            Ok(Parsed { spec, .. }) if spec.url.is_some() => {
                take_platform(&spec, &mut refused_subdirs, &mut file, || line.place(0, text.len()));
                file.conda.packages.push(CondaRequirement { spec: spec.to_string(), platforms: Vec::new() });
                locked.extend(
                    locked_of(&spec)
                        .map(|package| (subdir(&spec).and_then(|subdir| subdir.parse().ok()), package)),
                );
                file.package_places.push(line.place(0, text.len()));
            }
            Ok(_) => {
                let message = format!("`{}` is not the URL of a package", shown(text));
                let error = RequirementError::new(codes::INVALID_CONDA_SPEC, message, 0, text.len());
                let error = error.with_hint("after `@EXPLICIT` stand URLs and paths of packages only");
                file.diagnostics.push(refused(&line, error));
            }
            Err(error) => file.diagnostics.push(refused(&line, error)),
        }
    }
    let pip = (1..).zip(source.lines()).find(|(_, line)| line.trim_start().starts_with("# pip "));
    if let Some((number, line)) = pip {
        let message = "packages of pip, which conda-lock keeps in comments, are left out";
        let hint = "name conda-lock's YAML instead: it has them with their hashes";
        let span = Span { line: number, column: 1, length: line.chars().count() };
        let remark = Diagnostic::new(codes::NOT_HONOURED, message).with_hint(hint);
        file.diagnostics.push(remark.at(source.place(span)));
    }
    // The comment is the word of whoever wrote the file; URLs that name a platform are better.
    if file.platforms.is_empty() && refused_subdirs.is_empty() {
        for (number, whole) in (1..).zip(source.lines()) {
            if let Some(subdir) = platform_comment(whole) {
                take_subdir(subdir, source, number, &mut file);
            }
        }
    }
    file.platforms.sort_unstable();
    file.platforms.dedup();
    let platforms = match &file.platforms[..] {
        [] => vec![Platform::default()],
        platforms => platforms.to_vec(),
    };
    let on = |platform: Platform| {
        let here = locked.iter().filter(move |(own, _)| own.is_none_or(|own| own == platform));
        (platform, here.map(|(_, package)| package.clone()).collect())
    };
    let conda = platforms.into_iter().map(on).collect();
    read.locked = Some(LockedArtifacts { conda, ..LockedArtifacts::default() });
    let diagnostics = file.put_into(&mut read);
    (read, diagnostics)
}

/// What a URL and its hash say of a package.
fn locked_of(spec: &CondaSpec) -> Option<LockedConda> {
    let url = spec.url.clone()?;
    let known = CondaArchiveIdentifier::try_from_url(url.as_url())?.identifier;
    Some(LockedConda {
        name: spec.name.clone(),
        version: known.version.replace("%21", "!"),
        build: known.build_string,
        url,
        size: None,
        sha256: spec.sha256,
        md5: spec.md5.clone(),
        depends: None,
        constrains: Vec::new(),
    })
}

/// The platform of a package's URL; one that no image is made for is refused once.
pub(super) fn take_platform(
    spec: &CondaSpec,
    refused: &mut BTreeSet<String>,
    file: &mut CondaFile,
    place: impl FnOnce() -> Place,
) {
    match subdir(spec).map(|subdir| (subdir, subdir.parse::<Platform>())) {
        Some((_, Ok(platform))) if !file.platforms.contains(&platform) => file.platforms.push(platform),
        Some((subdir, Err(_))) if subdir != "noarch" && refused.insert(subdir.to_owned()) => {
            let diagnostic = Diagnostic::new(codes::NOT_SUPPORTED, other_subdir(subdir));
            file.diagnostics.push(diagnostic.at(place()));
        }
        _ => {}
    }
}

/// The folder of its channel that a package's URL names.
fn subdir(spec: &CondaSpec) -> Option<&str> {
    let mut segments = spec.url.as_ref()?.as_url().path_segments()?.rev();
    segments.nth(1).filter(|segment| channel::is_subdir(segment))
}

/// `linux-64` of `# platform: linux-64`.
pub(super) fn platform_comment(line: &str) -> Option<&str> {
    line.trim().strip_prefix('#')?.trim().strip_prefix("platform:").map(str::trim)
}

pub(super) fn take_subdir(subdir: &str, source: &Source, line: usize, file: &mut CondaFile) {
    match subdir.parse::<Platform>() {
        Ok(platform) => file.platforms.push(platform),
        Err(_) if channel::is_subdir(subdir) && subdir != "noarch" => {
            let span = Span { line, column: 1, length: 1 };
            let diagnostic = Diagnostic::new(codes::NOT_SUPPORTED, other_subdir(subdir));
            file.diagnostics.push(diagnostic.at(source.place(span)));
        }
        Err(_) => {}
    }
}
