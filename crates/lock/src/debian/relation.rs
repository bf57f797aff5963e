//! Relations between packages, as `Depends` and its kin write them (Debian Policy 7.1).

use std::cmp::Ordering;
use std::fmt;

use debversion::Version;

/// How a version must compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Earlier,
    EarlierOrEqual,
    Equal,
    LaterOrEqual,
    Later,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "<<" => Self::Earlier,
            // The bare signs are older spellings of "or equal".
            "<=" | "<" => Self::EarlierOrEqual,
            "=" => Self::Equal,
            ">=" | ">" => Self::LaterOrEqual,
            ">>" => Self::Later,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }

    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Earlier => ordering.is_lt(),
            Self::EarlierOrEqual => ordering.is_le(),
            Self::Equal => ordering.is_eq(),
            Self::LaterOrEqual => ordering.is_ge(),
            Self::Later => ordering.is_gt(),
        }
    }
}

/// One package named by a relation, e.g. `python3:any (>= 3.11)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub name: String,
    /// What follows the colon: `any`, `native` or an architecture.
    pub qualifier: Option<String>,
    pub constraint: Option<(Operator, Version)>,
}

impl Relation {
    /// A relation to any version of `name`.
    pub fn to(name: &str) -> Self {
        Self { name: name.to_owned(), qualifier: None, constraint: None }
    }

    /// A relation to exactly `version` of `name`.
    pub fn exactly(name: &str, version: Version) -> Self {
        Self { constraint: Some((Operator::Equal, version)), ..Self::to(name) }
    }

    /// Whether `version` is one that is asked for.
    pub fn accepts(&self, version: &Version) -> bool {
        self.constraint.as_ref().is_none_or(|(operator, wanted)| operator.accepts(version.cmp(wanted)))
    }

    /// Whether a `Provides` of the name with `version` answers this: one without a version answers only relations
    /// without one (Policy 7.5).
    pub fn accepts_provided(&self, version: Option<&Version>) -> bool {
        match version {
            Some(version) => self.accepts(version),
            None => self.constraint.is_none(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (head, constraint) = match text.split_once('(') {
            Some((head, rest)) => {
                let inside = rest.trim_end().strip_suffix(')')?.trim();
                let digits = inside.find(|c| !"<>=".contains(c))?;
                let operator = Operator::parse(&inside[..digits])?;
                (head.trim(), Some((operator, inside[digits..].trim().parse().ok()?)))
            }
            None => (text.trim(), None),
        };
        let (name, qualifier) = match head.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
            None => (head, None),
        };
        let plain = |text: &str| {
            !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "[]<>()".contains(c))
        };
        if !plain(name) || qualifier.as_deref().is_some_and(|text| !plain(text)) {
            return None;
        }
        Some(Self { name: name.to_owned(), qualifier, constraint })
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        match &self.constraint {
            Some((operator, version)) => write!(f, " ({} {version})", operator.as_str()),
            None => Ok(()),
        }
    }
}

/// Alternatives, any of which will do: `a | b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alternatives(pub Vec<Relation>);

impl fmt::Display for Alternatives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, relation) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(" | ")?;
            }
            relation.fmt(f)?;
        }
        Ok(())
    }
}

/// Reads a field such as `Depends`; the error is the part that cannot be read.
pub(super) fn parse_field(text: &str) -> Result<Vec<Alternatives>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let alternatives = part.split('|').map(Relation::parse).collect::<Option<Vec<_>>>();
            alternatives.map(Alternatives).ok_or_else(|| part.to_owned())
        })
        .collect()
}

/// Reads a field without alternatives, such as `Conflicts` or `Provides`.
pub(super) fn parse_list(text: &str) -> Result<Vec<Relation>, String> {
    parse_field(text)?
        .into_iter()
        .map(|alternatives| match <[Relation; 1]>::try_from(alternatives.0) {
            Ok([relation]) => Ok(relation),
            Err(alternatives) => Err(Alternatives(alternatives).to_string()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_reads_back_as_it_was_written() {
        let text = "libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0, python3:any (<< 3.12), awk";
        let parsed = parse_field(text).unwrap();
        assert_eq!(parsed.len(), 4);
        assert_eq!(parsed[1].0.len(), 2);
        assert_eq!(parsed[2].0[0].qualifier.as_deref(), Some("any"));
        let written: Vec<String> = parsed.iter().map(ToString::to_string).collect();
        assert_eq!(written.join(", "), text);
    }

    #[test]
    fn versions_are_compared_as_debian_does() {
        let accepts = |relation: &str, version: &str| {
            parse_list(relation).unwrap()[0].accepts(&version.parse::<Version>().unwrap())
        };
        assert!(accepts("a (>= 1.0~rc1)", "1.0"));
        assert!(!accepts("a (>= 1.0)", "1.0~rc1"));
        assert!(accepts("a (<< 1:0.1)", "99"));
        assert!(accepts("a (= 1.0-1)", "0:1.0-1"));
        assert!(!accepts("a (>> 1.0-1)", "1.0-1"));
        assert!(accepts("a(>=1.0-1)", "1.0-1+b1"));
    }

    #[test]
    fn a_provided_name_without_version_answers_only_bare_relations() {
        let bare = &parse_list("mail-agent").unwrap()[0];
        let versioned = &parse_list("mail-agent (>= 2)").unwrap()[0];
        let three: Version = "3".parse().unwrap();
        assert!(bare.accepts_provided(None) && bare.accepts_provided(Some(&three)));
        assert!(!versioned.accepts_provided(None) && versioned.accepts_provided(Some(&three)));
    }

    #[test]
    fn what_is_no_relation_is_quoted() {
        for bad in ["a (1.0)", "a (>= )", "a [amd64]", "a b", "a (>= 1", ":any", "a ()"] {
            assert_eq!(parse_field(bad), Err(bad.to_owned()), "{bad}");
        }
        assert_eq!(parse_list("a | b"), Err("a | b".to_owned()));
    }
}
