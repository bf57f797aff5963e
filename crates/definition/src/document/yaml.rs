//! YAML with the place of every node and the text of every scalar as it was written.
//!
//! The tree is built from the parser's events: saphyr's own trees keep neither duplicate keys nor the text of
//! `3.10`. Aliases are resolved, under a limit, so that a small file cannot become a large tree.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::surrogates::joined;
use super::{Kind, Node, Scalar, unquoted_bound};
use crate::secrets::template_start;
use crate::{Diagnostic, ReadError, Source, Span, codes};

const MAX_DEPTH: usize = 64;
const MAX_NODES: usize = 200_000;
const MAX_COPIED: usize = 8 << 20;

/// The single document of `source`; `None` where it is empty.
pub fn parse_yaml(source: &Source) -> Result<Option<Node>, ReadError> {
    let mut builder =
        Builder { source, stack: Vec::new(), anchors: HashMap::new(), nodes: 0, copied: 0, root: None };
    let mut documents = 0;
    let text = joined(source.text());
    for event in Parser::new_from_str(&text) {
        let (event, span) = event.map_err(|error| syntax_error(source, &error))?;
        let span = span_of(&span);
        match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return Err(builder
                        .error(span, "a second document in one file")
                        .with_hint("keep one document")
                        .into());
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let scalar = Scalar { plain: scalar.plain && !is_text, ..scalar };
                builder.add(Node { span, block, kind: Kind::Scalar(scalar) }, anchor)?;
            }
            Event::SequenceStart(anchor, _) => builder.open(span, Kind::Sequence(Vec::new()), anchor)?,
            Event::MappingStart(anchor, _) => builder.open(span, Kind::Mapping(Vec::new()), anchor)?,
            Event::SequenceEnd | Event::MappingEnd => builder.close()?,
            Event::Alias(anchor) => {
                let Some(node) = builder.anchors.get(&anchor).cloned() else {
                    return Err(builder
                        .error(span, "an alias to something that is not complete here")
                        .into());
                };
                builder.copies(&node)?;
                builder.add(Node { span, ..node }, 0)?;
            }
            _ => {}
        }
    }
    Ok(builder.root.filter(|node| !node.is_null()))
}

/// A collection that is still being read.
struct Open {
    node: Node,
    /// The key whose value comes next.
    key: Option<Node>,
    anchor: usize,
}

struct Builder<'a> {
    source: &'a Source,
    stack: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    /// Bytes of text that anchors and aliases have copied.
    copied: usize,
    root: Option<Node>,
}

impl Builder<'_> {
    fn error(&self, span: Span, message: &str) -> Diagnostic {
        Diagnostic::new(codes::INVALID_YAML, message).at(self.source.place(span))
    }

    fn too_large(&self, span: Span, message: &str) -> Diagnostic {
        Diagnostic::new(codes::TOO_LARGE, message).at(self.source.place(span))
    }

    fn open(&mut self, span: Span, kind: Kind, anchor: usize) -> Result<(), ReadError> {
        if self.stack.len() == MAX_DEPTH {
            return Err(self.too_large(span, "nested too deeply").into());
        }
        self.stack.push(Open { node: Node { span, block: false, kind }, key: None, anchor });
        Ok(())
    }

    fn close(&mut self) -> Result<(), ReadError> {
        match self.stack.pop() {
            Some(mut open) => {
                if let Kind::Mapping(entries) = &mut open.node.kind {
                    *entries = merged(std::mem::take(entries));
                }
                self.add(open.node, open.anchor)
            }
            None => Ok(()),
        }
    }

    /// Counts what a copy of `node` takes: anchors and aliases make much of a short text.
    fn copies(&mut self, node: &Node) -> Result<(), ReadError> {
        self.nodes += node.count();
        self.copied += node.length();
        if self.nodes > MAX_NODES || self.copied > MAX_COPIED {
            return Err(self.too_large(node.span, "aliases stand for more than any definition has").into());
        }
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), ReadError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.too_large(node.span, "more values than any definition has").into());
        }
        if anchor > 0 {
            self.copies(&node)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.kind {
            Kind::Sequence(items) => items.push(node),
            Kind::Mapping(entries) => match open.key.take() {
                Some(key) => entries.push((key, node)),
                None if node.scalar().is_none() => {
                    if is_template(self.source, node.span) {
                        let message = "a template that was not filled in";
                        return Err(Diagnostic::new(codes::TEMPLATE, message)
                            .at(self.source.place(node.span))
                            .with_hint("this looks like a template: fill it in, or quote it")
                            .into());
                    }
                    let hint = "quote a text that begins with `{`, `[` or `?`";
                    return Err(self.error(node.span, "a key must be a text").with_hint(hint).into());
                }
                None => open.key = Some(node),
            },
            Kind::Scalar(_) => {}
        }
        Ok(())
    }
}

/// The entries of a mapping with those that `<<` brings in, as YAML 1.1 has it, which conda and Azure ML read: its own
/// count first, then those of the first mapping that has them.
fn merged(entries: Vec<(Node, Node)>) -> Vec<(Node, Node)> {
    let is_merge = |(key, value): &(Node, Node)| {
        let is_mapping = |node: &Node| matches!(node.kind, Kind::Mapping(_));
        let key = key.scalar().is_some_and(|scalar| scalar.plain && scalar.text == "<<");
        key && match &value.kind {
            Kind::Sequence(items) => items.iter().all(is_mapping),
            _ => is_mapping(value),
        }
    };
    if !entries.iter().any(is_merge) {
        return entries;
    }
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_merge);
    let text = |key: &Node| key.scalar().map(|scalar| scalar.text.clone()).unwrap_or_default();
    let mut known: HashSet<String> = own.iter().map(|(key, _)| text(key)).collect();
    for (_, value) in merges {
        let sources = match value.kind {
            Kind::Sequence(items) => items,
            _ => vec![value],
        };
        for source in sources {
            if let Kind::Mapping(pairs) = source.kind {
                own.extend(pairs.into_iter().filter(|(key, _)| known.insert(text(key))));
            }
        }
    }
    own
}

fn is_template(source: &Source, span: Span) -> bool {
    source.line(span.line).is_some_and(|line| template_start(line).is_some())
}

/// The parser counts columns from 0.
fn span_of(span: &saphyr_parser::Span) -> Span {
    let length = if span.start.line() == span.end.line() { span.len() } else { 1 };
    Span { line: span.start.line(), column: span.start.col() + 1, length: length.max(1) }
}

fn syntax_error(source: &Source, error: &saphyr_parser::ScanError) -> Diagnostic {
    let marker = error.marker();
    let span = Span { line: marker.line(), column: marker.col() + 1, length: 1 };
    let line = source.line(span.line).unwrap_or_default();
    let indentation = &line[..line.len() - line.trim_start().len()];
    let diagnostic = Diagnostic::new(codes::INVALID_YAML, format!("invalid YAML: {}", error.info()))
        .at(source.place(span));
    if indentation.contains('\t') {
        diagnostic.with_hint("indent with spaces: YAML forbids tabs")
    } else if is_template(source, span) {
        let message = "a template that was not filled in";
        Diagnostic::new(codes::TEMPLATE, message)
            .at(source.place(span))
            .with_hint("this looks like a template: fill it in first")
    } else if unquoted_bound(line).is_some() {
        diagnostic.with_hint("quote the version: `>` begins a folded text and `!` a tag")
    } else {
        diagnostic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Option<Node>, ReadError> {
        parse_yaml(&Source::new("test.yaml", text))
    }

    #[test]
    fn scalars_keep_their_text_and_place() {
        let node = parse_text("a: 3.10\r\nb:\r\n  - 'x y'\r\n").unwrap().unwrap();
        let Kind::Mapping(entries) = &node.kind else { panic!("{node:?}") };
        assert_eq!(entries[0].1.text(), Some("3.10"));
        assert_eq!(entries[0].1.span, Span { line: 1, column: 4, length: 4 });
        let Kind::Sequence(items) = &entries[1].1.kind else { panic!("{node:?}") };
        assert_eq!(items[0].text(), Some("x y"));
        assert_eq!(items[0].span, Span { line: 3, column: 5, length: 5 });
    }

    #[test]
    fn hostile_texts_are_refused() {
        for deep in ["[", "{", "- ", "? ", "a: [", "!a &b [", "[{"] {
            let code = parse_text(&deep.repeat(100_000)).unwrap_err().0[0].code;
            assert!(["PV003", "PV009", "PV023"].contains(&code), "{deep} {code}");
        }
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..9 {
            let alias = format!("*a{}, ", i - 1);
            bomb = format!("{bomb}a{i}: &a{i} [{}]\n", alias.repeat(10));
        }
        assert_eq!(parse_text(&bomb).unwrap_err().0[0].code, "PV009");
        let text = format!("a: &a {}\nb: [{}]", "x".repeat(500_000), "*a, ".repeat(100_000));
        assert_eq!(parse_text(&text).unwrap_err().0[0].code, "PV009");
        let anchors = (0..60).fold(String::new(), |text, i| text + &format!("&a{i} ["));
        let nested = format!("a: {anchors}{}{}", "x, ".repeat(100_000), "]".repeat(60));
        assert_eq!(parse_text(&nested).unwrap_err().0[0].code, "PV009");
        assert_eq!(parse_text("a: &x [*x]").unwrap_err().0[0].code, "PV003");
        assert_eq!(parse_text("a: b\n---\nc: d").unwrap_err().0[0].code, "PV003");
        assert!(parse_text("a:\n\tb: c").unwrap_err().0[0].hint.as_ref().unwrap().contains("tab"));
        assert!(parse_text("a: {{ name }}").unwrap_err().0[0].hint.as_ref().unwrap().contains("template"));
    }

    #[test]
    fn aliases_stand_for_what_they_name() {
        let node = parse_text("a: &x [1]\nb: *x").unwrap().unwrap();
        let Kind::Mapping(entries) = &node.kind else { panic!("{node:?}") };
        assert!(matches!(&entries[1].1.kind, Kind::Sequence(items) if items.len() == 1));
        assert_eq!(entries[1].1.span.line, 2);
    }

    #[test]
    fn mappings_are_merged_and_own_keys_win() {
        let text = "a: &x {k: 1, l: 2}\nb: &y {l: 3, m: 4}\nc: {<<: [*x, *y], k: 5}\nd: {'<<': *x}";
        let node = parse_text(text).unwrap().unwrap();
        let Kind::Mapping(entries) = &node.kind else { panic!("{node:?}") };
        let shown = |node: &Node| {
            let Kind::Mapping(pairs) = &node.kind else { panic!("{node:?}") };
            pairs
                .iter()
                .map(|(key, value)| format!("{} {:?}", key.text().unwrap(), value.text()))
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&entries[2].1), ["k Some(\"5\")", "l Some(\"2\")", "m Some(\"4\")"]);
        assert_eq!(shown(&entries[3].1), ["<< None"]);
    }

    #[test]
    fn nothing_is_no_document() {
        for text in ["", "# only a comment\n", "---\n", "~"] {
            assert_eq!(parse_text(text).unwrap(), None, "{text:?}");
        }
    }
}
