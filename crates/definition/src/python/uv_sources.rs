//! `[tool.uv]`: where packages come from. What has a counterpart in requirements is carried; the rest is named.

use std::collections::{HashMap, HashSet};

use super::poetry::{relative, repository};
use crate::document::{Fields, Kind, Node};
use crate::pip::PipReader;
use crate::recognise::value_of;
use crate::requirement::index_url;
use crate::secrets::shown;
use crate::{Diagnostic, PipRequirement, Remarks, Requirement, Source, Span, codes, normalise_name};

/// Applies `uv`, the table `tool.uv`, to the requirements that were read.
pub(super) fn apply(source: &Source, uv: &Node, pip: &mut PipReader, diagnostics: &mut Remarks) {
    let explicit = indexes(source, uv, pip, diagnostics);
    if let Some(sources) = value_of(uv, "sources") {
        apply_sources(source, sources, &explicit, pip, diagnostics);
    }
    if let Some(Node { kind: Kind::Sequence(items), .. }) = value_of(uv, "constraint-dependencies") {
        for item in items {
            if let Some(text) = item.text() {
                pip.read_entry(source, text, item.span, crate::pip::Role::Constraint);
            }
        }
    }
    for (key, reason) in [
        ("override-dependencies", "a requirement cannot overrule what packages ask for"),
        ("environments", "the platform is chosen when the environment is locked"),
        ("required-environments", "the platform is chosen when the environment is locked"),
        ("conflicts", "no extra and no group is installed"),
        ("resolution", "the newest versions are taken"),
        ("exclude-newer", "newer versions come by `upgrade` only"),
        ("no-build-isolation-package", "builds run in the sandbox with their own defaults"),
        ("extra-build-dependencies", "builds run in the sandbox with their own defaults"),
    ] {
        let pair = match &uv.kind {
            Kind::Mapping(pairs) => pairs.iter().find(|(name, _)| name.text() == Some(key)),
            _ => None,
        };
        if let Some((name, _)) = pair {
            let message = format!("`tool.uv.{key}` has no effect: {reason}");
            diagnostics.push(Diagnostic::new(codes::NOT_HONOURED, message).at(source.place(name.span)));
        }
    }
    if value_of(uv, "prerelease").and_then(Node::text) == Some("allow") {
        pip.pip.pre = true;
    }
}

/// `[[tool.uv.index]]`, `index-url`, `extra-index-url`, `find-links`, `no-index`. Gives back the names of those that
/// only count for packages that name them.
fn indexes(
    source: &Source,
    uv: &Node,
    pip: &mut PipReader,
    diagnostics: &mut Remarks,
) -> HashMap<String, (String, Span)> {
    let mut explicit = HashMap::new();
    let one_or_more = |key| match value_of(uv, key) {
        Some(Node { kind: Kind::Sequence(items), .. }) => items.iter().collect(),
        Some(node) => vec![node],
        None => Vec::new(),
    };
    for item in one_or_more("index") {
        let Some(url) = value_of(item, "url") else { continue };
        let Some(text) = url.text() else { continue };
        let flag = |key| value_of(item, key).and_then(Node::as_bool) == Some(true);
        if flag("explicit") {
            let name = value_of(item, "name").and_then(Node::text).unwrap_or_default();
            explicit.insert(name.to_owned(), (text.to_owned(), url.span));
        } else if value_of(item, "format").and_then(Node::text) == Some("flat") {
            add_links(source, (text, url.span), pip, diagnostics);
        } else {
            add_index(source, (text, url.span), flag("default"), pip, diagnostics);
        }
    }
    for node in one_or_more("index-url") {
        if let Some(text) = node.text() {
            add_index(source, (text, node.span), true, pip, diagnostics);
        }
    }
    for node in one_or_more("extra-index-url") {
        if let Some(text) = node.text() {
            add_index(source, (text, node.span), false, pip, diagnostics);
        }
    }
    for node in one_or_more("find-links") {
        if let Some(text) = node.text() {
            add_links(source, (text, node.span), pip, diagnostics);
        }
    }
    pip.pip.no_index |= value_of(uv, "no-index").and_then(Node::as_bool) == Some(true);
    explicit
}

/// An index that replaces the default one or is asked besides.
pub(crate) fn add_index(
    source: &Source,
    (text, span): (&str, Span),
    replaces: bool,
    pip: &mut PipReader,
    diagnostics: &mut Remarks,
) {
    let url = match index_url(text, &super::folder_of(source)) {
        Ok(url) => url,
        Err(error) => {
            let problem = Diagnostic::new(error.code, error.message).at(source.place(span));
            return diagnostics.push(Diagnostic { hint: error.hint, ..problem });
        }
    };
    let Some(url) = crate::lock_reader::index(url) else { return };
    if replaces && pip.pip.index_url.is_none() {
        pip.pip.index_url = Some(url);
    } else if !pip.pip.extra_index_urls.contains(&url) {
        pip.pip.extra_index_urls.push(url);
    }
}

/// A page or folder of archives.
pub(crate) fn add_links(
    source: &Source,
    (text, span): (&str, Span),
    pip: &mut PipReader,
    diagnostics: &mut Remarks,
) {
    match crate::requirement::links_url(text, &super::folder_of(source)) {
        Ok(url) if !pip.pip.find_links.contains(&url) => pip.pip.find_links.push(url),
        Ok(_) => {}
        Err(error) => {
            let problem = Diagnostic::new(error.code, error.message).at(source.place(span));
            diagnostics.push(Diagnostic { hint: error.hint, ..problem });
        }
    }
}

fn apply_sources(
    source: &Source,
    sources: &Node,
    explicit: &HashMap<String, (String, Span)>,
    pip: &mut PipReader,
    diagnostics: &mut Remarks,
) {
    let Kind::Mapping(pairs) = &sources.kind else { return };
    let mut by_name: HashMap<String, Vec<&Node>> = HashMap::new();
    for (key, value) in pairs {
        let name = normalise_name(key.text().unwrap_or_default());
        match &value.kind {
            Kind::Sequence(items) => by_name.insert(name, items.iter().collect()),
            _ => by_name.insert(name, vec![value]),
        };
    }
    let requirements = std::mem::take(&mut pip.pip.requirements);
    let places = std::mem::take(&mut pip.requirements);
    for (entry, place) in requirements.into_iter().zip(places) {
        let parsed = entry.requirement.parse::<Requirement>().ok();
        let own = parsed.as_ref().and_then(|parsed| by_name.get(parsed.name.as_deref()?));
        let (Some(own), Some(parsed)) = (own, parsed) else {
            pip.pip.requirements.push(entry);
            pip.requirements.push(place);
            continue;
        };
        // Each source counts under its marker.
        let mut added = HashSet::new();
        for node in own {
            let read = one_source(source, node, &parsed, explicit, pip, diagnostics);
            let (text, editable) = read.unwrap_or_else(|| (entry.requirement.clone(), false));
            match Requirement::parse(&text, &super::folder_of(source)) {
                Ok(requirement) => {
                    let requirement = requirement.to_string();
                    if !added.insert(requirement.clone()) {
                        continue;
                    }
                    let entry = PipRequirement { requirement, hashes: Vec::new(), editable };
                    pip.pip.requirements.push(entry);
                    pip.requirements.push(place.clone());
                }
                Err(error) => {
                    let problem = Diagnostic::new(error.code, error.message).at(source.place(node.span));
                    diagnostics.push(Diagnostic { hint: error.hint, ..problem });
                }
            }
        }
    }
}

/// What `requirement` is with the source `node`, and whether it is editable; `None` where it stays as it is.
fn one_source(
    source: &Source,
    node: &Node,
    requirement: &Requirement,
    explicit: &HashMap<String, (String, Span)>,
    pip: &mut PipReader,
    diagnostics: &mut Remarks,
) -> Option<(String, bool)> {
    let name = requirement.name.as_deref()?;
    let mut fields = Fields::new(source, node, "a source", diagnostics)?;
    let mut given = |key| fields.text(key, diagnostics).map(|(text, span)| (text.to_owned(), span));
    let (git, url, path, index) = (given("git"), given("url"), given("path"), given("index"));
    let reference = given("rev").or_else(|| given("tag")).or_else(|| given("branch"));
    let (subdirectory, marker) = (given("subdirectory"), given("marker"));
    let editable = fields.node("editable").and_then(Node::as_bool) == Some(true);
    let workspace = fields.node("workspace").and_then(Node::as_bool) == Some(true);
    for key in ["package", "extra", "group", "lfs"] {
        let _ = fields.entry(key);
    }
    fields.finish(diagnostics);
    if workspace {
        let message =
            format!("`{}` is a member of the workspace, and where it is cannot be told", shown(name));
        let hint = "name its folder: `{ path = \"…\" }`";
        diagnostics
            .push(Diagnostic::new(codes::NOT_SUPPORTED, message).with_hint(hint).at(source.place(node.span)));
        return None;
    }
    // Any index may have the package, so the marker of an index says nothing.
    let marker = marker.filter(|_| git.is_some() || url.is_some() || path.is_some());
    if let Some((_, span)) = &marker {
        let message = format!("`{}` is installed only where the marker of its source holds", shown(name));
        diagnostics.push(Diagnostic::new(codes::NOT_HONOURED, message).at(source.place(*span)));
    }
    let own = requirement.marker.iter().map(ToString::to_string);
    let markers: Vec<String> =
        own.chain(marker.map(|(text, _)| text)).map(|marker| format!("({marker})")).collect();
    let marker = if markers.is_empty() { String::new() } else { format!(" ; {}", markers.join(" and ")) };
    let extras = match &requirement.extras[..] {
        [] => String::new(),
        extras => format!("[{}]", extras.join(",")),
    };
    let fragment = subdirectory.map_or(String::new(), |(folder, _)| format!("#subdirectory={folder}"));
    let reference = reference.map_or(String::new(), |(text, _)| format!("@{text}"));
    let target = match (git, url, path) {
        (Some((git, _)), ..) => format!(" @ {}{reference}{fragment}", repository(&git)),
        (_, Some((url, _)), _) => format!(" @ {url}{fragment}"),
        (_, _, Some((path, _))) => format!(" @ {}{fragment}", relative(&path)),
        _ => {
            if let Some((index, span)) = index {
                if let Some((url, url_span)) = explicit.get(&index) {
                    add_index(source, (url, *url_span), false, pip, diagnostics);
                }
                let message = format!(
                    "`{}` is taken from any index that has it, not from `{}` alone",
                    shown(name),
                    shown(&index)
                );
                diagnostics.push(Diagnostic::new(codes::NOT_HONOURED, message).at(source.place(span)));
            }
            let bounds: Vec<String> = requirement.specifiers.iter().map(ToString::to_string).collect();
            bounds.join(",")
        }
    };
    Some((format!("{name}{extras}{target}{marker}"), editable))
}
