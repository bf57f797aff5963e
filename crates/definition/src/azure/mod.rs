//! Azure ML: the v1 environment, and what stands inline in v2 jobs and deployments.

pub(crate) mod inline;
mod keys;
pub(crate) mod v1;

use crate::document::{Kind, Node};

/// Whether `node` is an environment of v1, in whatever case its keys are.
pub(crate) fn is_v1(node: &Node) -> bool {
    let Kind::Mapping(entries) = &node.kind else { return false };
    entries.iter().any(|(key, value)| {
        let is_mapping = matches!(value.kind, Kind::Mapping(_));
        match key.text() {
            Some("python" | "Python" | "docker" | "Docker") => is_mapping,
            Some(
                "environmentVariables"
                | "EnvironmentVariables"
                | "inferencingStackVersion"
                | "InferencingStackVersion",
            ) => true,
            _ => false,
        }
    })
}
