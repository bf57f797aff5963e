//! What a spec says of versions, in texts of our own: a new release of the parser must not move a digest.

use std::fmt::Write as _;

use rattler_conda_types::version_spec::{
    EqualityOperator, LogicalOperator, RangeOperator, StrictRangeOperator,
};
use rattler_conda_types::{Component, Version, VersionSpec};

/// Conditions on a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Versions {
    /// One comparison.
    One(Operator, Number),
    /// All of them (`,`).
    All(Vec<Versions>),
    /// One of them (`|`).
    Any(Vec<Versions>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    /// `1.2.*`
    StartsWith,
    /// `!=1.2.*`
    StartsNotWith,
    /// `~=1.2`
    Compatible,
}

/// A version: its parts, each a run of numbers and letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    epoch: u64,
    parts: Vec<Part>,
    local: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    /// What stands before it: `.`, or `_` as `-` is read too.
    separator: char,
    /// Numbers and letters; a zero that conda puts before letters is not there.
    components: Vec<String>,
    /// Whether conda puts a zero before its letters.
    implicit_zero: bool,
}

/// In which form a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For people and other tools: zeros at the end and the order of operands stay.
    Written,
    /// For digests: what means the same is the same text.
    Canonical,
}

impl Versions {
    /// `None` where any version will do; an error for what has no text.
    pub(super) fn new(spec: &VersionSpec) -> Result<Option<Self>, &'static str> {
        let leaf = |operator, version: &Version| Ok(Some(Self::One(operator, Number::new(version))));
        match spec {
            VersionSpec::Any => Ok(None),
            VersionSpec::None => Err("a condition that no version meets"),
            VersionSpec::Exact(EqualityOperator::Equals, version) => leaf(Operator::Equal, version),
            VersionSpec::Exact(EqualityOperator::NotEquals, version) => leaf(Operator::NotEqual, version),
            VersionSpec::Range(operator, version) => leaf(
                match operator {
                    RangeOperator::Greater => Operator::Greater,
                    RangeOperator::GreaterEquals => Operator::GreaterEqual,
                    RangeOperator::Less => Operator::Less,
                    RangeOperator::LessEquals => Operator::LessEqual,
                },
                version,
            ),
            VersionSpec::StrictRange(operator, version) => leaf(
                match operator {
                    StrictRangeOperator::StartsWith => Operator::StartsWith,
                    StrictRangeOperator::NotStartsWith => Operator::StartsNotWith,
                    StrictRangeOperator::Compatible => Operator::Compatible,
                    StrictRangeOperator::NotCompatible => return Err("`!~=` cannot be written"),
                },
                version,
            ),
            VersionSpec::Group(operator, operands) => Self::group(*operator, operands),
        }
    }

    /// Flattens, drops what says nothing, and drops repetitions.
    fn group(operator: LogicalOperator, operands: &[VersionSpec]) -> Result<Option<Self>, &'static str> {
        let mut kept: Vec<Self> = Vec::new();
        for operand in operands {
            match (Self::new(operand)?, operator) {
                // One of several that any version meets: any version will do.
                (None, LogicalOperator::Or) => return Ok(None),
                (None, LogicalOperator::And) => {}
                (Some(Self::All(inner)), LogicalOperator::And)
                | (Some(Self::Any(inner)), LogicalOperator::Or) => kept.extend(inner),
                (Some(inner), _) => kept.push(inner),
            }
        }
        let mut seen = std::collections::HashSet::new();
        kept.retain(|operand| seen.insert(operand.text(Form::Canonical)));
        Ok(match (kept.len(), operator) {
            (0, _) => None,
            (1, _) => kept.pop(),
            (_, LogicalOperator::And) => Some(Self::All(kept)),
            (_, LogicalOperator::Or) => Some(Self::Any(kept)),
        })
    }

    /// The version that alone meets it.
    pub(super) fn pin(&self) -> Option<&Number> {
        match self {
            Self::One(Operator::Equal, version) => Some(version),
            _ => None,
        }
    }

    /// Whether the text can stand after a name without brackets.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Self::One(..) => true,
            Self::All(operands) | Self::Any(operands) => operands.iter().all(|operand| match operand {
                Self::Any(_) => false,
                other => other.is_plain(),
            }),
        }
    }

    pub(super) fn is_one(&self) -> bool {
        matches!(self, Self::One(..))
    }

    /// `,` binds tighter than `|`; parentheses stand only where they must.
    pub(super) fn text(&self, form: Form) -> String {
        let join = |operands: &[Self], separator: &str, parentheses: bool| {
            let mut texts: Vec<String> = operands
                .iter()
                .map(|operand| match operand {
                    Self::Any(_) if parentheses => format!("({})", operand.text(form)),
                    other => other.text(form),
                })
                .collect();
            if form == Form::Canonical {
                texts.sort_unstable();
            }
            texts.join(separator)
        };
        match self {
            Self::All(operands) => join(operands, ",", true),
            Self::Any(operands) => join(operands, "|", false),
            Self::One(operator, version) => {
                // Where parts are counted, zeros at the end have a meaning.
                let counted =
                    matches!(operator, Operator::StartsWith | Operator::StartsNotWith | Operator::Compatible);
                let version = version.text(form, counted);
                match operator {
                    Operator::Equal => format!("=={version}"),
                    Operator::NotEqual => format!("!={version}"),
                    Operator::Greater => format!(">{version}"),
                    Operator::GreaterEqual => format!(">={version}"),
                    Operator::Less => format!("<{version}"),
                    Operator::LessEqual => format!("<={version}"),
                    Operator::StartsWith => format!("{version}.*"),
                    Operator::StartsNotWith => format!("!={version}.*"),
                    Operator::Compatible => format!("~={version}"),
                }
            }
        }
    }
}

impl Number {
    pub(super) fn new(version: &Version) -> Self {
        Self {
            epoch: version.epoch(),
            parts: version
                .segments()
                .map(|part| Part::new(part.separator(), part.has_implicit_default(), part.components()))
                .collect(),
            local: version
                .local_segments()
                .map(|part| Part::new(part.separator(), part.has_implicit_default(), part.components()))
                .collect(),
        }
    }

    /// `counted`: zeros at the end have a meaning.
    pub(super) fn text(&self, form: Form, counted: bool) -> String {
        let mut text = String::new();
        if self.epoch > 0 {
            let _ = write!(text, "{}!", self.epoch);
        }
        write_parts(&mut text, &self.parts, form, counted);
        if !self.local.is_empty() {
            let mut local = String::new();
            write_parts(&mut local, &self.local, form, counted);
            // `1+0` is `1`, as a missing local version counts as zeros.
            if form == Form::Written || counted || local != "0" {
                text.push('+');
                text.push_str(&local);
            }
        }
        text
    }
}

impl Part {
    fn new<'v>(
        separator: Option<char>,
        implicit_zero: bool,
        components: impl Iterator<Item = &'v Component>,
    ) -> Self {
        Self {
            separator: if matches!(separator, Some('-' | '_')) { '_' } else { '.' },
            components: components
                .skip(usize::from(implicit_zero))
                .map(|component| match component {
                    Component::Numeral(number) => number.to_string(),
                    Component::Iden(letters) => letters.to_string(),
                    Component::Post => "post".to_owned(),
                    Component::Dev => "dev".to_owned(),
                    Component::UnderscoreOrDash { .. } => "_".to_owned(),
                })
                .collect(),
            implicit_zero,
        }
    }
}

fn write_parts(text: &mut String, parts: &[Part], form: Form, counted: bool) {
    // A part of zeros alone says nothing at the end; nor do zeros at the end of a part.
    let trim = form == Form::Canonical && !counted;
    let significant = |part: &Part| part.components.iter().rposition(|component| component != "0");
    let end = if trim {
        parts.iter().rposition(|part| significant(part).is_some()).map_or(1, |at| at + 1)
    } else {
        parts.len()
    };
    for (i, part) in parts[..end.min(parts.len())].iter().enumerate() {
        if i > 0 {
            text.push(if form == Form::Canonical { '.' } else { part.separator });
        }
        let length = if trim { significant(part).map_or(0, |at| at + 1) } else { part.components.len() };
        let components = &part.components[..length];
        // `rc1` is `0rc1`.
        if components.is_empty() || (part.implicit_zero && form == Form::Canonical) {
            text.push('0');
        }
        for component in components {
            text.push_str(component);
        }
    }
}
