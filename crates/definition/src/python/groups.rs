//! Dependency groups (PEP 735): checked and named; none is installed unless it is asked for.

use std::collections::HashMap;

use crate::document::{Kind, Node};
use crate::lock_reader::listed;
use crate::recognise::value_of;
use crate::secrets::shown;
use crate::{Diagnostic, Remarks, Requirement, Source, Span, codes, normalise_name};

/// Says which groups `pyproject` has, and what is wrong with them.
pub(super) fn note(source: &Source, pyproject: &Node, diagnostics: &mut Remarks) {
    let Some(node) = value_of(pyproject, "dependency-groups") else { return };
    let mut report = |code, span: Span, message: String| {
        diagnostics.push(Diagnostic::new(code, message).at(source.place(span)));
    };
    let Kind::Mapping(pairs) = &node.kind else {
        let message = format!("`dependency-groups` must be a mapping, not {}", node.kind_name());
        return report(codes::WRONG_TYPE, node.span, message);
    };
    let mut names = Vec::new();
    let mut includes: HashMap<String, Vec<(String, Span)>> = HashMap::new();
    for (name, group) in pairs {
        let text = name.text().unwrap_or_default();
        names.push(text.to_owned());
        let Kind::Sequence(items) = &group.kind else {
            let message = format!("the group `{}` must be a list, not {}", shown(text), group.kind_name());
            report(codes::WRONG_TYPE, group.span, message);
            continue;
        };
        let others = includes.entry(normalise_name(text)).or_default();
        for item in items {
            match (item.text(), value_of(item, "include-group").and_then(Node::text)) {
                (None, Some(other)) => others.push((normalise_name(other), item.span)),
                (Some(text), _) => {
                    // Groups are not installed, but a file with a malformed one is read by nobody else either.
                    if let Err(error) = Requirement::parse(text, std::path::Path::new("/")) {
                        report(error.code, item.span, error.message);
                    }
                }
                (None, None) => {
                    let message = "a group holds texts and `{include-group = \"name\"}`".to_owned();
                    report(codes::WRONG_TYPE, item.span, message);
                }
            }
        }
    }
    for (name, span) in includes.values().flatten() {
        if !includes.contains_key(name) {
            report(codes::INVALID_VALUE, *span, format!("there is no group `{}`", shown(name)));
        }
    }
    if let Some((name, span)) = cycle(&includes) {
        report(codes::INVALID_VALUE, span, format!("the group `{}` includes itself", shown(&name)));
    }
    if !names.is_empty() {
        report(codes::LEFT_OUT, node.span, format!("groups not installed: {}", listed(&names)));
    }
}

/// A group that is on a cycle of includes: what is left when groups that include nothing any more are taken away.
fn cycle(includes: &HashMap<String, Vec<(String, Span)>>) -> Option<(String, Span)> {
    let mut open: HashMap<&str, usize> = HashMap::new();
    let mut included_by: HashMap<&str, Vec<&str>> = HashMap::new();
    for (name, others) in includes {
        let known = others.iter().filter(|(other, _)| includes.contains_key(other));
        open.insert(name, known.clone().count());
        for (other, _) in known {
            included_by.entry(other).or_default().push(name);
        }
    }
    let mut free: Vec<&str> = open.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    while let Some(name) = free.pop() {
        open.remove(name);
        for other in included_by.get(name).into_iter().flatten() {
            if let Some(count) = open.get_mut(other) {
                *count -= 1;
                if *count == 0 {
                    free.push(other);
                }
            }
        }
    }
    let name = open.into_keys().min()?;
    let (_, span) = includes[name].first()?;
    Some((name.to_owned(), *span))
}
