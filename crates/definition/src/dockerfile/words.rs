//! How the arguments of an instruction are split: flags, words, JSON lists, here-documents, variables.

use std::collections::HashMap;

/// Longer values of variables are not followed: a chain of them can double at each step.
const MAX_EXPANDED: usize = 4 << 10;

/// Flags (`--from=base`) at the beginning of `text`, and what follows them. Quotes and backslashes count in flags alone.
pub(super) fn flags(text: &str) -> (Vec<String>, &str) {
    let mut flags = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if !rest.starts_with("--") {
            return (flags, rest);
        }
        let (mut word, mut quote, mut escaped) = (String::new(), None, false);
        let mut end = rest.len();
        for (at, c) in rest.char_indices() {
            match (c, quote) {
                _ if escaped => {
                    word.push(c);
                    escaped = false;
                }
                ('\\', _) => escaped = true,
                (c, Some(open)) if c == open => quote = None,
                (c @ ('"' | '\''), None) => quote = Some(c),
                (c, None) if c.is_whitespace() => {
                    end = at;
                    break;
                }
                _ => word.push(c),
            }
        }
        rest = &rest[end..];
        if word == "--" {
            return (flags, rest.trim_start());
        }
        flags.push(word);
    }
}

/// A list of texts as JSON. `None` where it is no JSON, which then is a text; an error where it holds other things.
pub(super) fn json_list(text: &str) -> Result<Option<Vec<String>>, ()> {
    if !text.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return Ok(None) };
    let texts = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(()),
    });
    texts.collect::<Result<_, _>>().map(Some)
}

/// Words between spaces, quotes and escapes kept as they are written; `None` where a quote is not closed.
pub(super) fn words(text: &str, escape: char) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut quote, mut escaped) = (String::new(), None, false);
    for c in text.chars() {
        if quote.is_none() && !escaped && c.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        match (c, quote) {
            _ if escaped => escaped = false,
            (c, quote) if c == escape && quote != Some('\'') => escaped = true,
            (c, Some(open)) if c == open => quote = None,
            (c @ ('"' | '\''), None) => quote = Some(c),
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

/// A word without its quotes and escapes.
pub(super) fn unquoted(word: &str, escape: char) -> String {
    let (mut text, mut quote, mut escaped) = (String::new(), None, false);
    for c in word.chars() {
        match (c, quote) {
            _ if escaped => {
                text.push(c);
                escaped = false;
            }
            (c, quote) if c == escape && quote != Some('\'') => escaped = true,
            (c, Some(open)) if c == open => quote = None,
            (c @ ('"' | '\''), None) => quote = Some(c),
            _ => text.push(c),
        }
    }
    text
}

/// A text that follows the instruction: `<<EOF`, `3<<-"EOF"`.
pub(super) struct HereDocument {
    /// The line that ends it.
    pub end: String,
    /// Tabs before the lines do not count.
    pub chomp: bool,
}

/// The here-document that `word` opens.
pub(super) fn here_document(word: &str) -> Option<HereDocument> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (chomp, name) = match rest.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, rest),
    };
    if name.contains('<') {
        return None;
    }
    let end = unquoted(name, '\\');
    (!end.is_empty()).then_some(HereDocument { end, chomp })
}

/// All here-documents of an instruction, in order.
pub(super) fn here_documents(text: &str) -> Vec<HereDocument> {
    if !text.contains("<<") {
        return Vec::new();
    }
    words(text, '\\').unwrap_or_default().iter().filter_map(|word| here_document(word)).collect()
}

/// `text` with its variables put in; `None` where one has no value or what stands there is more than a name and a
/// default.
pub(super) fn expand(text: &str, values: &HashMap<String, String>) -> Option<String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if let Some(inner) = rest.strip_prefix('{') {
            let (inner, after) = inner.split_once('}')?;
            rest = after;
            let end = inner.find(|c| !is_name(c)).unwrap_or(inner.len());
            let value = values.get(&inner[..end]);
            let filled = value.filter(|value| !value.is_empty());
            match &inner[end..] {
                "" => expanded.push_str(value?),
                operation => match (operation.split_at_checked(2)?, value) {
                    ((":-", default), _) => expanded.push_str(filled.map_or(default, String::as_str)),
                    ((":+", other), _) => expanded.push_str(if filled.is_some() { other } else { "" }),
                    _ => return None,
                },
            }
        } else {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            expanded.push_str(values.get(&rest[..end])?);
            rest = &rest[end..];
        }
        if expanded.len() > MAX_EXPANDED {
            return None;
        }
    }
    expanded.push_str(rest);
    (expanded.len() <= MAX_EXPANDED && !expanded.contains('$')).then_some(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_words_are_split() {
        assert_eq!(
            flags("--from=a --x=\"b c\" d --e"),
            (vec!["--from=a".to_owned(), "--x=b c".to_owned()], "d --e")
        );
        assert_eq!(flags("a --b"), (Vec::new(), "a --b"));
        assert_eq!(flags("-- --a"), (Vec::new(), "--a"));
        assert_eq!(words("a=\"b c\" 'd e'\\ f", '\\').unwrap(), ["a=\"b c\"", "'d e'\\ f"]);
        assert_eq!(words("a 'b", '\\'), None);
    }

    #[test]
    fn variables_are_put_in() {
        let values = HashMap::from([("A".to_owned(), "1".to_owned()), ("E".to_owned(), String::new())]);
        for (text, expected) in [
            ("x:$A", Some("x:1")),
            ("x:${A}-b", Some("x:1-b")),
            ("${E:-d}${A:-d}", Some("d1")),
            ("a${A:+b}", Some("ab")),
            ("${B:-d}", Some("d")),
            ("$B", None),
            ("${A", None),
            ("${A#1}", None),
            ("$", None),
            ("${é}", None),
        ] {
            assert_eq!(expand(text, &values).as_deref(), expected, "{text}");
        }
    }
}
