//! `[tool.poetry]`: poetry's own way to say what a project needs, as PEP 508 writes it.

use crate::document::{Fields, Kind, Node};
use crate::pip::PipReader;
use crate::requirement::is_name;
use crate::secrets::shown;
use crate::{Diagnostic, Remarks, Source, Span, codes, normalise_name};

use super::poetry_version::alternatives;

/// `^3.9` as `>=3.9,<4.0`; `None` for what bounds cannot say, and for what cannot be read.
pub(super) fn python_specifiers(text: &str) -> Option<String> {
    match &alternatives(text).ok()?[..] {
        [] => Some(String::new()),
        [bounds] => Some(bounds.join(",")),
        _ => None,
    }
}

/// Keys of a dependency that say nothing about what is installed here.
const WITHOUT_EFFECT: &[&str] = &["allow-prereleases", "allows-prereleases"];

/// Reads `[tool.poetry.dependencies]`; gives back the constraint on Python.
pub(super) fn dependencies<'n>(
    source: &'n Source,
    node: &'n Node,
    pip: &mut PipReader,
    diagnostics: &mut Remarks,
) -> Option<(&'n str, Span)> {
    let mut python = None;
    let Kind::Mapping(pairs) = &node.kind else {
        let message = format!("`dependencies` must be a mapping, not {}", node.kind_name());
        diagnostics.push(Diagnostic::new(codes::WRONG_TYPE, message).at(source.place(node.span)));
        return None;
    };
    for (key, value) in pairs {
        let name = key.text().unwrap_or_default();
        if name == "python" {
            python = value.text().map(|text| (text, value.span));
            continue;
        }
        let several = match &value.kind {
            Kind::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        for value in several {
            if let Some(text) = dependency(source, name, value, diagnostics) {
                pip.read_requirement(source, &text, value.span, develop(value));
            }
        }
    }
    python
}

/// `develop = true` of a folder.
fn develop(node: &Node) -> bool {
    let develop = crate::recognise::value_of(node, "develop").and_then(Node::as_bool);
    develop == Some(true) && crate::recognise::value_of(node, "path").is_some()
}

/// One dependency as PEP 508 writes it; `None` where it is optional or wrong.
fn dependency(source: &Source, name: &str, node: &Node, diagnostics: &mut Remarks) -> Option<String> {
    if !is_name(name) {
        let message = format!("`{}` is not the name of a package", shown(name));
        diagnostics.push(Diagnostic::new(codes::INVALID_REQUIREMENT, message).at(source.place(node.span)));
        return None;
    }
    if let Some(text) = node.text() {
        let bounds = version(source, name, text, node.span, diagnostics)?;
        return Some(format!("{name}{bounds}"));
    }
    let mut fields = Fields::new(source, node, &format!("`{}`", shown(name)), diagnostics)?;
    let optional = fields.node("optional").and_then(Node::as_bool) == Some(true);
    let mut extras = Vec::new();
    for extra in fields.list("extras", diagnostics).unwrap_or_default() {
        extras.push(extra.text().unwrap_or_default());
    }
    let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
    let mut markers = Vec::new();
    if let Some((text, _)) = fields.text("markers", diagnostics) {
        markers.push(text.to_owned());
    }
    if let Some((text, span)) = fields.text("python", diagnostics) {
        match python_marker(text) {
            Ok(marker) => markers.extend(marker),
            Err(message) => {
                diagnostics.push(Diagnostic::new(codes::INVALID_REQUIREMENT, message).at(source.place(span)));
            }
        }
    }
    if let Some((text, _)) = fields.text("platform", diagnostics) {
        markers.push(format!("sys_platform == '{text}'"));
    }
    let marker = match &markers[..] {
        [] => String::new(),
        [marker] => format!(" ; {marker}"),
        several => format!(" ; ({})", several.join(") and (")),
    };
    let subdirectory = fields.text("subdirectory", diagnostics).map(|(text, _)| text);
    let fragment = subdirectory.map_or(String::new(), |folder| format!("#subdirectory={folder}"));
    let reference = ["rev", "tag", "branch"]
        .into_iter()
        .find_map(|key| fields.text(key, diagnostics))
        .map_or(String::new(), |(text, _)| format!("@{text}"));
    let _ = fields.entry("develop");
    for key in WITHOUT_EFFECT {
        let _ = fields.entry(key);
    }
    if let Some((key, _)) = fields.entry("source") {
        let message = format!("`source` of `{}` has no effect: all indexes are asked", shown(name));
        diagnostics.push(Diagnostic::new(codes::NOT_HONOURED, message).at(source.place(key.span)));
    }
    let given = |fields: &mut Fields<'_>, key, diagnostics: &mut Remarks| {
        fields.text(key, diagnostics).map(|(text, _)| text.to_owned())
    };
    let git = given(&mut fields, "git", diagnostics);
    let url = given(&mut fields, "url", diagnostics);
    let path = given(&mut fields, "path", diagnostics).or_else(|| given(&mut fields, "file", diagnostics));
    let bounds = match fields.text("version", diagnostics) {
        Some((text, span)) => version(source, name, text, span, diagnostics)?,
        None => String::new(),
    };
    fields.finish(diagnostics);
    if optional {
        return None;
    }
    let target = match (git, url, path) {
        (Some(git), ..) => format!(" @ {}{reference}{fragment}", repository(&git)),
        (_, Some(url), _) => format!(" @ {url}{fragment}"),
        (_, _, Some(path)) => format!(" @ {}{fragment}", relative(&path)),
        _ => bounds,
    };
    Some(format!("{name}{extras}{target}{marker}"))
}

/// A repository as pip writes it: `git@host:team/name.git` is `git+ssh://git@host/team/name.git`.
pub(crate) fn repository(text: &str) -> String {
    if text.starts_with("git+") {
        return text.to_owned();
    }
    match text.split_once(':') {
        Some((host, path)) if !path.starts_with("//") && host.contains('@') => {
            format!("git+ssh://{host}/{path}")
        }
        _ if text.contains("://") => format!("git+{text}"),
        _ => text.to_owned(),
    }
}

/// A path that is told from a name.
pub(crate) fn relative(path: &str) -> String {
    if path.starts_with(['.', '/', '~']) { path.to_owned() } else { format!("./{path}") }
}

fn version(source: &Source, name: &str, text: &str, span: Span, diagnostics: &mut Remarks) -> Option<String> {
    let (code, message) = match alternatives(text) {
        Ok(all) if all.len() < 2 => {
            let bounds = all.into_iter().next().unwrap_or_default();
            return Some(bounds.join(","));
        }
        Ok(_) => {
            (codes::NOT_SUPPORTED, format!("`{}`: alternatives of versions are not supported", shown(name)))
        }
        Err(message) => (codes::INVALID_REQUIREMENT, format!("`{}`: {}", shown(name), shown(&message))),
    };
    diagnostics.push(Diagnostic::new(code, message).at(source.place(span)));
    None
}

/// `>=3.8,<3.11` as a marker. A version of two numbers is one of `python_version`.
fn python_marker(text: &str) -> Result<Option<String>, String> {
    let mut any = Vec::new();
    for bounds in alternatives(text)? {
        let all = bounds.iter().map(|bound| {
            let at = bound.find(|c: char| !"<>=!~^".contains(c)).unwrap_or(bound.len());
            let (operator, version) = bound.split_at(at);
            let short = version.trim_end_matches(".*").split('.').count() <= 2;
            let variable = if short { "python_version" } else { "python_full_version" };
            format!("{variable} {operator} '{version}'")
        });
        let all: Vec<String> = all.collect();
        if all.is_empty() {
            return Ok(None);
        }
        any.push(all.join(" and "));
    }
    Ok((!any.is_empty()).then(|| any.join(" or ")))
}

/// The names of groups and extras that poetry knows besides.
pub(super) fn groups(poetry: &Node) -> Vec<String> {
    let names = |key| match crate::recognise::value_of(poetry, key) {
        Some(Node { kind: Kind::Mapping(pairs), .. }) => {
            pairs.iter().filter_map(|(name, _)| name.text().map(normalise_name)).collect()
        }
        _ => Vec::new(),
    };
    let mut groups: Vec<String> = names("group");
    if !names("dev-dependencies").is_empty() {
        groups.push("dev".to_owned());
    }
    groups
}
