//! The keys of a mapping taken one by one; what nobody takes is an error with a suggestion.

use indexmap::IndexMap;

use super::{Kind, Node};
use crate::secrets::shown;
use crate::suggest::nearest;
use crate::{Diagnostic, Remarks, Source, Span, codes};

/// Reads the keys of one mapping. Every accessor notes its key as known; [`Fields::finish`] reports the others.
#[derive(Debug)]
pub struct Fields<'a> {
    source: &'a Source,
    /// Where the mapping begins.
    span: Span,
    entries: Vec<(&'a Node, &'a Node)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The keys of `node`; reports and gives `None` where it is no mapping. Keys given twice are reported.
    pub fn new(
        source: &'a Source,
        node: &'a Node,
        what: &str,
        diagnostics: &mut Remarks,
    ) -> Option<Fields<'a>> {
        let Kind::Mapping(pairs) = &node.kind else {
            let message = format!("{what} must be a mapping of keys and values, not {}", node.kind_name());
            diagnostics.push(Diagnostic::new(codes::WRONG_TYPE, message).at(source.place(node.span)));
            return None;
        };
        let mut entries: IndexMap<&str, (&Node, &Node)> = IndexMap::new();
        for (key, value) in pairs {
            let name = key.scalar().map_or("", |scalar| scalar.text.as_str());
            if let Some((first, _)) = entries.get(name) {
                let message = format!("`{}` is given twice, first in line {}", shown(name), first.span.line);
                diagnostics.push(Diagnostic::new(codes::DUPLICATE_KEY, message).at(source.place(key.span)));
            } else {
                entries.insert(name, (key, value));
            }
        }
        let entries = entries.into_values().collect();
        Some(Fields { source, span: node.span, entries, known: Vec::new() })
    }

    /// The file.
    pub fn source(&self) -> &'a Source {
        self.source
    }

    /// Where the mapping begins.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Whether `key` is there, is not null, and was not taken yet.
    pub fn has(&self, key: &str) -> bool {
        self.peek(key).is_some()
    }

    /// The value of `key` without taking it; `None` where it is absent, null or was taken.
    pub fn peek(&self, key: &str) -> Option<&'a Node> {
        let is_key = |name: &Node| name.scalar().is_some_and(|scalar| scalar.text == key);
        self.entries
            .iter()
            .find(|(name, _)| is_key(name))
            .map(|(_, value)| *value)
            .filter(|value| !value.is_null())
    }

    /// The value of `key`; `None` where it is absent or null.
    pub fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.entry(key).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// Key and value of `key`, null or not.
    pub fn entry(&mut self, key: &'static str) -> Option<(&'a Node, &'a Node)> {
        self.known.push(key);
        let position = self
            .entries
            .iter()
            .position(|(name, _)| name.scalar().is_some_and(|scalar| scalar.text == key))?;
        Some(self.entries.remove(position))
    }

    /// The text of `key` as it was written, numbers included; anything else is reported.
    pub fn text(&mut self, key: &'static str, diagnostics: &mut Remarks) -> Option<(&'a str, Span)> {
        let node = self.node(key)?;
        let text = node.text().filter(|_| node.as_bool().is_none());
        if text.is_none() {
            diagnostics.push(self.wrong_type(key, "a text", node));
        }
        text.map(|text| (text, node.span))
    }

    /// The truth value of `key`; anything else is reported.
    pub fn flag(&mut self, key: &'static str, diagnostics: &mut Remarks) -> Option<bool> {
        let node = self.node(key)?;
        if node.as_bool().is_none() {
            diagnostics.push(self.wrong_type(key, "`true` or `false`", node));
        }
        node.as_bool()
    }

    /// The list of `key`; anything else is reported.
    pub fn list(&mut self, key: &'static str, diagnostics: &mut Remarks) -> Option<&'a [Node]> {
        let node = self.node(key)?;
        if let Kind::Sequence(items) = &node.kind {
            return Some(items);
        }
        diagnostics.push(self.wrong_type(key, "a list", node));
        None
    }

    /// The mapping of `key` to texts, each as it was written and with its place; anything else is reported.
    pub fn texts(
        &mut self,
        key: &'static str,
        diagnostics: &mut Remarks,
    ) -> IndexMap<String, (String, Span)> {
        let mut texts = IndexMap::new();
        let Some(node) = self.node(key) else { return texts };
        let Some(fields) = Fields::new(self.source, node, &format!("`{key}`"), diagnostics) else {
            return texts;
        };
        for (name, value) in fields.entries {
            let name = name.scalar().map_or("", |scalar| scalar.text.as_str());
            match value.scalar() {
                Some(_) => {
                    let text = value.text().unwrap_or_default().to_owned();
                    texts.insert(name.to_owned(), (text, value.span));
                }
                None => diagnostics.push(self.wrong_type(name, "a text", value)),
            }
        }
        texts
    }

    /// "must be … not …".
    pub fn wrong_type(&self, key: &str, wanted: &str, node: &Node) -> Diagnostic {
        Diagnostic::new(
            codes::WRONG_TYPE,
            format!("`{}` must be {wanted}, not {}", shown(key), node.kind_name()),
        )
        .at(self.source.place(node.span))
    }

    /// Reports every key that nobody asked for as read over, `reason` after the message.
    pub fn finish_leniently(self, reason: &str, diagnostics: &mut Remarks) {
        let mut unknown = Remarks::default();
        self.finish(&mut unknown);
        diagnostics.extend(unknown.into_iter().map(|diagnostic| Diagnostic {
            code: codes::NOT_HONOURED.id,
            severity: codes::NOT_HONOURED.severity,
            message: format!("{} has no effect: {reason}", diagnostic.message),
            ..diagnostic
        }));
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self, diagnostics: &mut Remarks) {
        const SHOWN: usize = 20;
        if let Some((key, _)) = self.entries.get(SHOWN) {
            let message = format!("{} more unknown keys", self.entries.len() - SHOWN);
            diagnostics.push(Diagnostic::new(codes::UNKNOWN_KEY, message).at(self.source.place(key.span)));
        }
        for (key, _) in self.entries.iter().take(SHOWN) {
            let name = key.scalar().map_or("", |scalar| scalar.text.as_str());
            let mut diagnostic =
                Diagnostic::new(codes::UNKNOWN_KEY, format!("unknown key `{}`", shown(name)))
                    .at(self.source.place(key.span));
            if let Some(known) = nearest(name, self.known.iter().copied()) {
                diagnostic = diagnostic.with_hint(format!("did you mean `{known}`?"));
            }
            diagnostics.push(diagnostic);
        }
    }
}
