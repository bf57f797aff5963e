//! Keys of Azure ML's v1 in one case.

use crate::document::{Kind, Node, Scalar};

/// Under these, keys are the user's own.
const FREE: &[&str] = &["environmentVariables", "condaDependencies", "tags"];

/// `node` with the first letter of each key in lower case: the SDK sends `Name` and `Docker`, the service answers `name`
/// and `docker`.
pub(crate) fn lower_first(node: &Node) -> Node {
    let kind = match &node.kind {
        Kind::Scalar(scalar) => Kind::Scalar(scalar.clone()),
        Kind::Sequence(items) => Kind::Sequence(items.iter().map(lower_first).collect()),
        Kind::Mapping(entries) => {
            Kind::Mapping(entries.iter().map(|(key, value)| entry(key, value)).collect())
        }
    };
    Node { span: node.span, block: node.block, kind }
}

fn entry(key: &Node, value: &Node) -> (Node, Node) {
    let Some(scalar) = key.scalar() else { return (key.clone(), value.clone()) };
    let mut letters = scalar.text.chars();
    let text = match letters.next() {
        Some(first) if first.is_ascii_uppercase() => {
            format!("{}{}", first.to_ascii_lowercase(), letters.as_str())
        }
        _ => scalar.text.clone(),
    };
    let free = FREE.contains(&text.as_str());
    let key =
        Node { span: key.span, block: key.block, kind: Kind::Scalar(Scalar { text, plain: scalar.plain }) };
    let value = if free { value.clone() } else { lower_first(value) };
    (key, value)
}
