//! One value of a YAML document.

use crate::Span;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub span: Span,
    /// Written as `|` or `>` block: its text does not stand at `span`.
    pub block: bool,
    /// What it is.
    pub kind: Kind,
}

/// The three kinds of YAML values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A single text, number, truth value or null.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys, always scalars, and values in the file's order; keys may occur twice.
    Mapping(Vec<(Node, Node)>),
}

/// The text of a scalar as it was written, without quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The text.
    pub text: String,
    /// Not quoted: may be a number, a truth value or null.
    pub plain: bool,
}

impl Node {
    /// The scalar, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The scalar's text as it was written; `None` for collections and null.
    pub fn text(&self) -> Option<&str> {
        self.scalar().filter(|_| !self.is_null()).map(|scalar| scalar.text.as_str())
    }

    /// `null`, `~` or nothing.
    pub fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| {
            scalar.plain && matches!(&*scalar.text, "" | "~" | "null" | "Null" | "NULL")
        })
    }

    /// A truth value of YAML 1.2.
    pub fn as_bool(&self) -> Option<bool> {
        match &*self.scalar().filter(|scalar| scalar.plain)?.text {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(_) if self.is_null() => "nothing",
            Kind::Scalar(_) if self.as_bool().is_some() => "a truth value",
            Kind::Scalar(_) => "a text",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
        }
    }

    /// How many values it holds, itself included.
    pub(crate) fn count(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar(_) => 0,
            Kind::Sequence(items) => items.iter().map(Self::count).sum(),
            Kind::Mapping(entries) => entries.iter().map(|(key, value)| key.count() + value.count()).sum(),
        }
    }

    /// The bytes of all texts in it.
    pub(crate) fn length(&self) -> usize {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.text.len(),
            Kind::Sequence(items) => items.iter().map(Self::length).sum(),
            Kind::Mapping(entries) => entries.iter().map(|(key, value)| key.length() + value.length()).sum(),
        }
    }
}
