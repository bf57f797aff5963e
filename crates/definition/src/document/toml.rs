//! TOML as a tree of [`Node`]s.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Kind, Node, Scalar};
use crate::{Diagnostic, ReadError, Source, codes};

/// The document of `source`, a mapping. Numbers, truth values and dates are plain scalars.
pub fn parse_toml(source: &Source) -> Result<Node, ReadError> {
    let table = DeTable::parse(source.text()).map_err(|error| {
        let span = source.span_of(error.span().unwrap_or(0..0));
        let message = format!("invalid TOML: {}", error.message().trim().replace('\n', ", "));
        Diagnostic::new(codes::INVALID_TOML, message).at(source.place(span))
    })?;
    Ok(mapping(source, table.span(), table.get_ref()))
}

fn mapping(source: &Source, span: std::ops::Range<usize>, table: &DeTable<'_>) -> Node {
    let scalar = |text: &str| Kind::Scalar(Scalar { text: text.to_owned(), plain: false });
    let key = |key: &Spanned<std::borrow::Cow<'_, str>>| Node {
        span: source.span_of(key.span()),
        block: false,
        kind: scalar(key.get_ref()),
    };
    let entries = table.iter().map(|(name, value)| (key(name), node(source, value)));
    Node { span: source.span_of(span), block: false, kind: Kind::Mapping(entries.collect()) }
}

fn node(source: &Source, value: &Spanned<DeValue<'_>>) -> Node {
    let plain = |text: &str| Kind::Scalar(Scalar { text: text.to_owned(), plain: true });
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Scalar(Scalar { text: text.clone().into_owned(), plain: false }),
        DeValue::Integer(number) => plain(number.as_str()),
        DeValue::Float(number) => plain(number.as_str()),
        DeValue::Boolean(value) => plain(if *value { "true" } else { "false" }),
        DeValue::Datetime(time) => plain(&time.to_string()),
        DeValue::Array(items) => Kind::Sequence(items.iter().map(|item| node(source, item)).collect()),
        DeValue::Table(table) => return mapping(source, value.span(), table),
    };
    let block = source.text().get(value.span()).is_some_and(|text| text.contains(['\n', '\r']));
    Node { span: source.span_of(value.span()), block, kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    #[test]
    fn values_keep_their_places() {
        let text = "[project]\nname = 'a'\n\n[[project.list]]\nx = 1.10\ny = [\"é\", 'b']\n";
        let node = parse_toml(&Source::new("pyproject.toml", text)).unwrap();
        let Kind::Mapping(entries) = &node.kind else { panic!("{node:?}") };
        let Kind::Mapping(project) = &entries[0].1.kind else { panic!("{node:?}") };
        assert_eq!(project[0].1.text(), Some("a"));
        assert_eq!(project[0].1.span, Span { line: 2, column: 8, length: 3 });
        let Kind::Sequence(list) = &project[1].1.kind else { panic!("{node:?}") };
        let Kind::Mapping(first) = &list[0].kind else { panic!("{node:?}") };
        assert_eq!(first[0].1.text(), Some("1.10"));
        let Kind::Sequence(y) = &first[1].1.kind else { panic!("{node:?}") };
        assert_eq!(y[1].span, Span { line: 6, column: 11, length: 3 });
    }

    #[test]
    fn mistakes_have_a_place() {
        let error = parse_toml(&Source::new("pyproject.toml", "a = 1\nb = \n")).unwrap_err();
        assert_eq!((error.0[0].code, error.0[0].span.unwrap().line), ("PV024", 2));
        for deep in ["a=[", "[a.", "a={b="] {
            assert!(parse_toml(&Source::new("x.toml", deep.repeat(100_000))).is_err());
        }
    }
}
