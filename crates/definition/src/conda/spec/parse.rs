//! From the spellings that conda reads to a spec in normal form.

use std::ops::Range;
use std::path::Path;

use rattler_conda_types::{MatchSpec, ParseMatchSpecOptions};

use super::CondaSpec;
use super::convert::{EXPRESSION, convert, is_plain_expression, take_expression};
use super::package::package;
use super::refuse::{invalid, refusal, refuse_depth, refuse_other_tools};
use crate::codes;
use crate::conda::channel;
use crate::requirement::RequirementError;
use crate::secrets::template_start;

/// Longer than any spec; the parser recurses and takes some things twice.
const MAX_BYTES: usize = 4 << 10;
/// What begins a condition on a version.
pub(super) const OPERATORS: [char; 5] = ['=', '<', '>', '!', '~'];

/// A spec, and what of its text conda reads over.
#[derive(Debug)]
pub(in crate::conda) struct Parsed {
    pub spec: CondaSpec,
    /// pip's extras in brackets.
    pub extras: Option<Range<usize>>,
}

impl Parsed {
    /// Reads `text`; relative paths of packages and channels start from `folder`, which is absolute.
    pub fn new(text: &str, folder: &Path) -> Result<Self, RequirementError> {
        let lead = text.len() - text.trim_start().len();
        let trimmed = text.trim();
        Self::trimmed(trimmed, folder).map_err(|error| {
            // Errors on parts that were put into another form first may reach beyond the text.
            let offset = error.offset.min(trimmed.len().saturating_sub(1));
            let length = error.length.min(trimmed.len() - offset).max(1);
            RequirementError { offset, length, ..error }.shift(lead)
        })
    }

    fn trimmed(text: &str, folder: &Path) -> Result<Self, RequirementError> {
        let all = 0..text.len();
        if text.is_empty() {
            return Err(invalid("a package is missing", all));
        }
        if text.len() > MAX_BYTES {
            let message = format!("a package specification of more than {} KiB", MAX_BYTES >> 10);
            return Err(RequirementError::new(codes::TOO_LARGE, message, 0, 1));
        }
        if let Some(at) = template_start(text) {
            return Err(RequirementError::template(text, at));
        }
        channel::refuse_credentials(text)?;
        if let Some(at) = text.find(char::is_control) {
            return Err(invalid("a line break or control character in a package specification", at..at + 1)
                .with_hint("write one package per list item"));
        }
        if let Some(spec) = package(text, folder) {
            return spec.map(|spec| Self { spec, extras: None });
        }
        refuse_other_tools(text)?;
        let (text_without, brackets, extras) = split_brackets(text)?;
        refuse_depth(&text_without)?;
        let (channel, namespace, rest) = split_channel(&text_without);
        let channel = channel.map(|channel| channel::parse(channel, folder)).transpose()?;
        let (readable, expression) = take_expression(format!("{rest}{brackets}"));
        refuse_build_number(&readable, text)?;
        let found = MatchSpec::from_str(&readable, ParseMatchSpecOptions::lenient())
            .map_err(|error| refusal(&error, text))?;
        let mut spec = convert(found, text, brackets, folder)?;
        if let Some(expression) = expression {
            let taken = spec.build.as_deref() == Some(EXPRESSION);
            if !taken || !is_plain_expression(&expression) {
                let at = text.find('^').unwrap_or(0);
                let message = "a regular expression that is too involved for a build string";
                return Err(invalid(message, at..text.len()).with_hint("use `*` for any run of characters"));
            }
            spec.build = Some(expression);
        }
        if let Some(given) = channel {
            spec.channel = given.channel.or(spec.channel);
            spec.subdir = spec.subdir.or(given.subdir);
        }
        if let Some(namespace) = namespace {
            spec.namespace = Some(namespace.to_owned());
        }
        if spec.namespace.as_deref().is_some_and(|namespace| !is_name(namespace)) {
            return Err(invalid("not a namespace before the name", all));
        }
        // What looks like a token where pip's extras are left out: it must pass wherever it is read again.
        channel::refuse_credentials(&spec.to_string()).map_err(|mut error| {
            (error.offset, error.length) = (0, text.len());
            error
        })?;
        Ok(Self { spec, extras })
    }
}

/// rattler panics on a build number that is no number of 64 bits.
fn refuse_build_number(readable: &str, text: &str) -> Result<(), RequirementError> {
    const KEY: &str = "build_number";
    for (at, _) in readable.match_indices(KEY) {
        let value = readable[at + KEY.len()..].trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
        if digits > 0 && value[..digits].parse::<u64>().is_err() {
            return Err(invalid("a build number larger than any", 0..text.len()));
        }
    }
    Ok(())
}

/// `channel::name` and `channel:namespace:name` at their colons.
fn split_channel(text: &str) -> (Option<&str>, Option<&str>, &str) {
    if let Some((channel, rest)) = text.rsplit_once("::") {
        let (namespace, rest) = rest.rsplit_once(':').unzip();
        let rest = rest.unwrap_or(&text[channel.len() + 2..]);
        return (Some(channel), namespace.map(str::trim).filter(|name| !name.is_empty()), rest);
    }
    let mut parts = text.rsplitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(rest), Some(namespace), Some(channel)) => {
            (Some(channel), Some(namespace.trim()).filter(|name| !name.is_empty()), rest)
        }
        _ => (None, None, text),
    }
}

pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !channel::is_package_file(text)
}

/// The text without brackets, the brackets that say something, and where pip's extras stand, which conda reads over.
fn split_brackets(text: &str) -> Result<(String, &str, Option<Range<usize>>), RequirementError> {
    let (Some(open), Some(close)) = (text.find('['), text.rfind(']')) else {
        return match text.find(['[', ']']) {
            Some(at) => Err(invalid("a bracket without its other", at..at + 1)),
            None => Ok((text.to_owned(), "", None)),
        };
    };
    let comment = text.find('#').filter(|comment| *comment < open);
    if comment.is_some() {
        return Ok((text.to_owned(), "", None));
    }
    if close < open || text[close..].contains("::") {
        return Err(invalid("brackets stand after the name", open.min(close)..open.min(close) + 1));
    }
    let rest = format!("{}{}", &text[..open], &text[close + 1..]);
    let brackets = &text[open..=close];
    if brackets.contains('=') {
        Ok((rest, brackets, None))
    } else if text[..open].contains(|c: char| c.is_whitespace() || OPERATORS.contains(&c)) {
        Err(invalid("brackets that conda cannot read", open..close + 1)
            .with_hint("write them `[key='value',key='value']`"))
    } else {
        Ok((rest, "", Some(open..close + 1)))
    }
}
