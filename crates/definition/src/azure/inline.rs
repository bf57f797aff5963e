//! Environments inside Azure ML v2 jobs, components, pipelines and deployments.

use crate::document::{Kind, Node};
use crate::native;
use crate::read::{Format, ReadEnvironment, Reading};
use crate::secrets::shown;
use crate::{Diagnostic, Remarks, Source, codes};

/// Parts of a job that hold an environment or further parts of a job.
const PARTS: &[&str] = &["component", "task", "trial"];

/// More are not named one by one.
const MAX_NAMED: usize = 20;

pub(crate) fn read(source: &Source, node: &Node) -> Reading {
    let mut found = Vec::new();
    environments(node, "", &mut found);
    let (inline, references): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(_, node)| matches!(node.kind, Kind::Mapping(_)));
    let refuse = |code, message: String, hint: &str, node: &Node| {
        Diagnostic::new(code, message).with_hint(hint).at(source.place(node.span))
    };
    let refused = match &inline[..] {
        [(_, only)] => {
            let (mut read, mut diagnostics) = native::read(source, only);
            read.format = Format::AzureV2Inline;
            for (holder, node) in references.iter().take(MAX_NAMED) {
                let name = shown(node.text().unwrap_or_default());
                let message = format!("the environment of {holder}, `{name}`, is another: it is left out");
                let remark = Diagnostic::new(codes::NOT_HONOURED, message);
                diagnostics.push(remark.at(source.place(node.span)));
            }
            return (read, diagnostics);
        }
        [] if references.is_empty() => {
            let problem = Diagnostic::new(codes::UNSUPPORTED_FORMAT, "no environment stands in this file");
            Remarks::from_iter([problem.with_hint("name a file that holds one").in_file(source.path())])
        }
        [] => references
            .iter()
            .take(MAX_NAMED)
            .map(|(holder, node)| {
                let name = shown(node.text().unwrap_or_default());
                let message = format!(
                    "the environment of {holder}, `{name}`, stands in a workspace and not in this file"
                );
                let hint =
                    "have it shown by `az ml environment show`, save that as a file, and name the file";
                refuse(codes::UNSUPPORTED_FORMAT, message, hint, node)
            })
            .collect(),
        several => several
            .iter()
            .take(MAX_NAMED)
            .map(|(holder, node)| {
                let message = format!("one of {} environments: {holder} has this one", several.len());
                let hint = "put the one that you mean into a file of its own";
                refuse(codes::CONFLICTING_KEYS, message, hint, node)
            })
            .collect(),
    };
    (ReadEnvironment::new(Format::AzureV2Inline, source), refused)
}

/// Every environment of a job and of the jobs in it, each with words for what has it.
fn environments<'s>(node: &'s Node, holder: &str, found: &mut Vec<(String, &'s Node)>) {
    let Kind::Mapping(entries) = &node.kind else { return };
    for (key, value) in entries {
        match key.text() {
            Some("environment") if !value.is_null() && !matches!(value.kind, Kind::Sequence(_)) => {
                let holder = if holder.is_empty() { "the job" } else { holder };
                found.push((holder.to_owned(), value));
            }
            Some("jobs") => {
                let Kind::Mapping(jobs) = &value.kind else { continue };
                for (name, job) in jobs {
                    let name = shown(name.text().unwrap_or_default());
                    environments(job, &format!("job `{name}`"), found);
                }
            }
            Some(part) if PARTS.contains(&part) => environments(value, holder, found),
            _ => {}
        }
    }
}
