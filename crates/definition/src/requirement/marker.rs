//! Environment markers (PEP 508): `python_version < '3.13' and sys_platform == 'linux'`.
//!
//! The normal form keeps the meaning by construction, because it only reorders: the variable stands on the left
//! where the operator has a mirror image, operands of `and` and `or` are flattened, sorted and given once, texts
//! are in single quotes, versions in PEP 440's normal form. Nothing is simplified: what two markers have in
//! common is a resolver's business, and a simplifier's next version would move every digest.

use std::fmt;
use std::str::FromStr;

use pep440_rs::VersionPattern;

use super::error::RequirementError;
use super::name::normalise_name;
use crate::secrets::shown;
use crate::suggest::nearest;

const MAX_DEPTH: usize = 64;

/// Variables of PEP 508 (and PEP 751) and the names that older files use for them.
const VARIABLES: &[(&str, &str)] = &[
    ("dependency_groups", "dependency_groups"),
    ("extra", "extra"),
    ("extras", "extras"),
    ("implementation_name", "implementation_name"),
    ("implementation_version", "implementation_version"),
    ("os.name", "os_name"),
    ("os_name", "os_name"),
    ("platform.machine", "platform_machine"),
    ("platform.python_implementation", "platform_python_implementation"),
    ("platform.version", "platform_version"),
    ("platform_machine", "platform_machine"),
    ("platform_python_implementation", "platform_python_implementation"),
    ("platform_release", "platform_release"),
    ("platform_system", "platform_system"),
    ("platform_version", "platform_version"),
    ("python_full_version", "python_full_version"),
    ("python_implementation", "platform_python_implementation"),
    ("python_version", "python_version"),
    ("sys.platform", "sys_platform"),
    ("sys_platform", "sys_platform"),
];

/// A marker in normal form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Marker {
    /// All of them hold; at least two.
    And(Vec<Self>),
    /// One of them holds; at least two.
    Or(Vec<Self>),
    /// One comparison in normal form.
    Compare(String),
}

/// What is known of a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Assumed {
    /// It holds.
    Always,
    /// It does not.
    Never,
    /// This decides.
    When(Marker),
}

impl Marker {
    /// Reads the marker `text`, which is all of it.
    pub(super) fn parse(text: &str) -> Result<Self, RequirementError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let marker = parser.or()?;
        parser.skip_space();
        if parser.at < text.len() {
            let word = super::word_at(text, parser.at);
            let message = format!("expected `and`, `or` or the end of the marker, found `{}`", shown(word));
            return Err(RequirementError::invalid(message, parser.at, word.len()));
        }
        Ok(marker)
    }

    /// Whether all of `markers` hold; `None` where there are none.
    pub(crate) fn all(markers: impl IntoIterator<Item = Self>) -> Option<Self> {
        let operands: Vec<Self> = markers
            .into_iter()
            .flat_map(|marker| match marker {
                Self::And(inner) => inner,
                other => vec![other],
            })
            .collect();
        (!operands.is_empty()).then(|| Self::join(operands, true))
    }

    /// Whether one of `markers` holds; `None` where there are none.
    pub(crate) fn any(markers: impl IntoIterator<Item = Self>) -> Option<Self> {
        let operands: Vec<Self> = markers
            .into_iter()
            .flat_map(|marker| match marker {
                Self::Or(inner) => inner,
                other => vec![other],
            })
            .collect();
        (!operands.is_empty()).then(|| Self::join(operands, false))
    }

    /// What is left of it where `known` says of some comparisons, given in normal form, whether they hold.
    pub(crate) fn assume(&self, known: &dyn Fn(&str) -> Option<bool>) -> Assumed {
        let (operands, and) = match self {
            Self::Compare(text) => {
                return match known(text) {
                    Some(true) => Assumed::Always,
                    Some(false) => Assumed::Never,
                    None => Assumed::When(self.clone()),
                };
            }
            Self::And(operands) => (operands, true),
            Self::Or(operands) => (operands, false),
        };
        let mut left = Vec::new();
        for operand in operands {
            match (operand.assume(known), and) {
                (Assumed::Never, true) => return Assumed::Never,
                (Assumed::Always, false) => return Assumed::Always,
                (Assumed::When(marker), _) => left.push(marker),
                _ => {}
            }
        }
        match if and { Self::all(left) } else { Self::any(left) } {
            Some(marker) => Assumed::When(marker),
            None if and => Assumed::Always,
            None => Assumed::Never,
        }
    }

    fn join(mut operands: Vec<Self>, and: bool) -> Self {
        operands.sort_by_cached_key(ToString::to_string);
        operands.dedup();
        match (operands.len(), and) {
            (1, _) => operands.remove(0),
            (_, true) => Self::And(operands),
            (_, false) => Self::Or(operands),
        }
    }
}

impl FromStr for Marker {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compare(text) => f.write_str(text),
            Self::And(operands) => write_joined(f, operands, " and "),
            Self::Or(operands) => write_joined(f, operands, " or "),
        }
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, operands: &[Marker], separator: &str) -> fmt::Result {
    for (i, operand) in operands.iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        // `and` binds tighter than `or`, so that only an `or` inside an `and` needs parentheses.
        if matches!(operand, Marker::Or(_)) {
            write!(f, "({operand})")?;
        } else {
            write!(f, "{operand}")?;
        }
    }
    Ok(())
}

enum Value {
    Variable(&'static str),
    Text(String),
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn skip_space(&mut self) {
        self.at = super::skip_space(self.text, self.at);
    }

    /// Takes `word` if it stands here and no longer word does.
    fn keyword(&mut self, word: &str) -> bool {
        self.skip_space();
        let found = self.text[self.at..]
            .strip_prefix(word)
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'));
        if found {
            self.at += word.len();
        }
        found
    }

    fn or(&mut self) -> Result<Marker, RequirementError> {
        let mut operands = Vec::new();
        loop {
            match self.and()? {
                Marker::Or(inner) => operands.extend(inner),
                other => operands.push(other),
            }
            if !self.keyword("or") {
                return Ok(Marker::join(operands, false));
            }
        }
    }

    fn and(&mut self) -> Result<Marker, RequirementError> {
        let mut operands = Vec::new();
        loop {
            match self.operand()? {
                Marker::And(inner) => operands.extend(inner),
                other => operands.push(other),
            }
            if !self.keyword("and") {
                return Ok(Marker::join(operands, true));
            }
        }
    }

    fn operand(&mut self) -> Result<Marker, RequirementError> {
        self.skip_space();
        if !self.text[self.at..].starts_with('(') {
            return self.comparison();
        }
        let open = self.at;
        if self.depth == MAX_DEPTH {
            return Err(RequirementError::invalid("parentheses nested too deeply", open, 1));
        }
        self.depth += 1;
        self.at += 1;
        let marker = self.or()?;
        self.depth -= 1;
        self.skip_space();
        if !self.text[self.at..].starts_with(')') {
            return Err(RequirementError::invalid("`)` is missing", open, 1));
        }
        self.at += 1;
        Ok(marker)
    }

    fn comparison(&mut self) -> Result<Marker, RequirementError> {
        self.skip_space();
        let start = self.at;
        let left = self.value()?;
        let operator = self.operator()?;
        let right = self.value()?;
        let length = self.at - start;
        match (left, right) {
            (Value::Variable(variable), Value::Text(text)) => Ok(compare(variable, operator, &text, false)),
            (Value::Text(text), Value::Variable(variable)) => match mirror(operator) {
                Some(operator) => Ok(compare(variable, operator, &text, false)),
                None => Ok(compare(variable, operator, &text, true)),
            },
            _ => {
                let message = "a marker compares a variable with a quoted text";
                Err(RequirementError::invalid(message, start, length))
            }
        }
    }

    fn operator(&mut self) -> Result<&'static str, RequirementError> {
        self.skip_space();
        for operator in ["===", "==", "~=", "!=", "<=", ">=", "<", ">"] {
            if self.text[self.at..].starts_with(operator) {
                self.at += operator.len();
                return Ok(operator);
            }
        }
        if self.keyword("in") {
            return Ok("in");
        }
        if self.keyword("not") && self.keyword("in") {
            return Ok("not in");
        }
        let word = if self.at < self.text.len() { super::word_at(self.text, self.at) } else { "" };
        let message = match word {
            "" => "the marker ends before its comparison".to_owned(),
            word => format!("expected a comparison such as `==` or `in`, found `{}`", shown(word)),
        };
        Err(RequirementError::invalid(message, self.at, word.len()))
    }

    fn value(&mut self) -> Result<Value, RequirementError> {
        self.skip_space();
        let rest = &self.text[self.at..];
        if let Some(quote @ ('"' | '\'')) = rest.chars().next() {
            let Some(length) = rest[1..].find(quote) else {
                return Err(RequirementError::invalid("the quote is not closed", self.at, 1));
            };
            self.at += length + 2;
            return Ok(Value::Text(rest[1..=length].to_owned()));
        }
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_.".contains(c))).unwrap_or(rest.len());
        let word = &rest[..end];
        if let Some((_, variable)) = VARIABLES.iter().find(|(name, _)| *name == word) {
            self.at += end;
            return Ok(Value::Variable(variable));
        }
        let word = if word.is_empty() && !rest.is_empty() { super::word_at(rest, 0) } else { word };
        let message = match word {
            "" => "the marker is not complete".to_owned(),
            word => format!("`{}` is neither a marker's variable nor a quoted text", shown(word)),
        };
        let error = RequirementError::invalid(message, self.at, word.len());
        Err(match nearest(word, VARIABLES.iter().map(|(_, name)| *name)) {
            _ if word.starts_with(|c: char| c.is_ascii_digit()) => error.with_hint("put the value in quotes"),
            Some(known) if !word.is_empty() => error.with_hint(format!("did you mean `{known}`?")),
            _ => error,
        })
    }
}

/// What `'text' operator variable` is as `variable operator 'text'`.
fn mirror(operator: &'static str) -> Option<&'static str> {
    match operator {
        "==" | "!=" => Some(operator),
        "<" => Some(">"),
        ">" => Some("<"),
        "<=" => Some(">="),
        ">=" => Some("<="),
        _ => None,
    }
}

fn compare(variable: &str, operator: &str, text: &str, text_first: bool) -> Marker {
    let text = match variable {
        "extra" | "extras" | "dependency_groups" if !operator.starts_with(['<', '>', '~']) => {
            normalise_name(text)
        }
        // `python_version == '3.1*'` and the like are compared as texts: kept.
        "python_version" | "python_full_version" | "implementation_version" if !operator.ends_with("in") => {
            match text.parse::<VersionPattern>() {
                Ok(pattern) if pattern.is_wildcard() => format!("{}.*", pattern.version()),
                Ok(pattern) => pattern.version().to_string(),
                Err(_) => text.to_owned(),
            }
        }
        _ => text.to_owned(),
    };
    // A text holds at most one kind of quote, because it was written in the other.
    let quoted = if text.contains('\'') { format!("\"{text}\"") } else { format!("'{text}'") };
    Marker::Compare(if text_first {
        format!("{quoted} {operator} {variable}")
    } else {
        format!("{variable} {operator} {quoted}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_marker_are_one() {
        for (given, normal) in [
            ("python_version<\"3.13\"", "python_version < '3.13'"),
            ("'3.13' > python_version", "python_version < '3.13'"),
            ("os.name=='nt'", "os_name == 'nt'"),
            ("'linux' in sys_platform", "'linux' in sys_platform"),
            ("python_version not  in '3.8 3.9'", "python_version not in '3.8 3.9'"),
            ("(b < '1')", "!"),
            (
                "sys_platform=='a'and(os_name=='b' or os_name=='a')",
                "(os_name == 'a' or os_name == 'b') and sys_platform == 'a'",
            ),
            (
                "os_name=='b' and (sys_platform=='a' and os_name=='b')",
                "os_name == 'b' and sys_platform == 'a'",
            ),
            ("os_name==\"it's\"", "os_name == \"it's\""),
            ("python_version == '3.*'", "python_version == '3.*'"),
            ("extra == 'A_b'", "extra == 'a-b'"),
            ("os_name == sys_platform", "!"),
            ("python_version >= 3", "!"),
            ("python_version", "!"),
            ("", "!"),
            ("os_name == 'a", "!"),
            ("os_name == 'a' os_name == 'b'", "!"),
        ] {
            match Marker::parse(given) {
                Ok(marker) => {
                    assert_eq!(marker.to_string(), normal, "{given}");
                    assert_eq!(Marker::parse(normal).unwrap(), marker);
                }
                Err(error) => assert_eq!(normal, "!", "{given}: {error}"),
            }
        }
    }

    #[test]
    fn nesting_is_limited() {
        let deep = "(".repeat(100_000) + "os_name == 'a'";
        assert!(Marker::parse(&deep).unwrap_err().message.contains("nested"));
    }
}
