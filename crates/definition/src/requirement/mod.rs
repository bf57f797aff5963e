//! One requirement: a dependency specifier (PEP 508), or what pip allows besides it: a URL, a path, a repository.
//!
//! The parser is ours, over `pep440_rs`: the crate `pep508_rs` panics on `a. >=1`, overflows the stack on nested
//! parentheses, expands environment variables in URLs and drops marker comparisons that it does not understand.
//! What it and `packaging` accept, this accepts too; tests compare them.

mod error;
mod evaluate;
mod location;
mod marker;
mod name;
mod specifier;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use pep440_rs::{Operator, Version, VersionSpecifier};

use crate::secrets::{shown, template_start};

pub use error::RequirementError;
pub use evaluate::MarkerEnvironment;
use location::Location;
pub(crate) use location::{artifact_url, index_url, links_url, looks_bare};
pub(crate) use marker::Assumed;
pub use marker::Marker;
pub(crate) use name::is_name;
pub use name::normalise_name;
pub(crate) use specifier::canonical as canonical_specifier;

/// A requirement in parts, in normal form: names normalised (PEP 503), extras and specifiers sorted, markers with
/// their operands in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The package; `None` for a bare URL whose package is not known before it is fetched.
    pub name: Option<String>,
    /// Extras asked for, sorted.
    pub extras: Vec<String>,
    /// Bounds on the version, all of which hold, sorted by version.
    pub specifiers: Vec<VersionSpecifier>,
    /// Where the package itself is, if it is named: an absolute URL that holds no credentials.
    pub url: Option<String>,
    /// When the requirement counts at all.
    pub marker: Option<Marker>,
}

impl Requirement {
    /// Reads a requirement as pip does. Relative paths start from `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, RequirementError> {
        if let Some(at) = template_start(text) {
            return Err(RequirementError::template(text, at));
        }
        let start = text.len() - text.trim_start().len();
        let end = text.trim_end().len().max(start);
        // Whoever reads it line by line would take a part of it for a requirement of its own.
        let control = |c: char| c.is_control() && c != '\t';
        if let Some((at, _)) = text[start..end].char_indices().find(|(_, c)| control(*c)) {
            return Err(RequirementError::invalid("a control character is in it", start + at, 1));
        }
        let result = if looks_bare(&text[start..end]) {
            Self::parse_bare(&text[start..end], folder)
        } else {
            Self::parse_named(&text[start..end], folder)
        };
        result.map_err(|error| error.shift(start))
    }

    /// The version it is pinned to: the one of `==` or `===`.
    pub fn pin(&self) -> Option<&Version> {
        self.specifiers.iter().find(|specifier| is_pin(specifier)).map(VersionSpecifier::version)
    }

    /// `https://host/a.whl`, `./folder[extra]`, `git+https://host/a ; marker`.
    fn parse_bare(text: &str, folder: &Path) -> Result<Self, RequirementError> {
        let (target, marker) = split_marker(text)?;
        let (target, extras) = match target.strip_suffix(']').and_then(|inner| inner.rfind('[')) {
            Some(open) if !target[open..].contains('/') => {
                let (extras, _) = name::parse_extras(text, open)?;
                (&target[..open], extras)
            }
            _ => (target, Vec::new()),
        };
        let mut location = Location::parse(target, folder)?;
        if extras.is_empty() && location.extras.is_empty() && location.url.ends_with(']') {
            // `a[b]/` names no extra, and must not where its normal form is read: without the slash.
            location.url.replace_range(location.url.len() - 1.., "%5D");
        }
        let mut extras = if extras.is_empty() { location.extras } else { extras };
        extras.sort();
        extras.dedup();
        Ok(Self { name: location.name, extras, specifiers: Vec::new(), url: Some(location.url), marker })
    }

    /// `name[extras] specifiers ; marker` or `name[extras] @ url ; marker`.
    fn parse_named(text: &str, folder: &Path) -> Result<Self, RequirementError> {
        let (name, at) = name::parse_name(text)?;
        let at = skip_space(text, at);
        let (mut extras, at) = name::parse_extras(text, at)?;
        extras.sort();
        extras.dedup();
        let at = skip_space(text, at);
        let mut requirement =
            Self { name: Some(name), extras, specifiers: Vec::new(), url: None, marker: None };
        if text[at..].starts_with('@') {
            let at = skip_space(text, at + 1);
            let (target, marker) = split_marker(&text[at..]).map_err(|error| error.shift(at))?;
            if target.is_empty() || target.starts_with(';') {
                return Err(RequirementError::invalid("a URL is missing after `@`", at.min(text.len()), 1));
            }
            let location = Location::parse(target, folder).map_err(|error| error.shift(at))?;
            if let Some(found) = location.name.filter(|found| requirement.name.as_ref() != Some(found)) {
                let message = format!("the URL is of the package `{found}`");
                return Err(RequirementError::invalid(message, at, target.len()));
            }
            requirement.url = Some(location.url);
            requirement.marker = marker;
            return Ok(requirement);
        }
        let (specifiers, at) = specifier::parse(text, at)?;
        requirement.specifiers = specifiers;
        let at = skip_space(text, at);
        if let Some(marker) = text[at..].strip_prefix(';') {
            requirement.marker = Some(Marker::parse(marker).map_err(|error| error.shift(at + 1))?);
        } else if at < text.len() {
            return Err(RequirementError::unexpected(text, at));
        }
        Ok(requirement)
    }
}

/// Whether a bound leaves one version only.
pub(crate) fn is_pin(specifier: &VersionSpecifier) -> bool {
    matches!(specifier.operator(), Operator::Equal | Operator::ExactEqual)
}

/// A URL may hold `;`, so its marker begins at a `;` beside a space; that of a path at the first `;`.
fn split_marker(text: &str) -> Result<(&str, Option<Marker>), RequirementError> {
    let separator = if location::is_url(text) {
        text.find(" ;").map(|at| at + 1).or_else(|| text.find("; "))
    } else {
        text.find(';')
    };
    let Some(at) = separator else { return Ok((text.trim_end(), None)) };
    let marker = Marker::parse(&text[at + 1..]).map_err(|error| error.shift(at + 1))?;
    Ok((text[..at].trim_end(), Some(marker)))
}

fn skip_space(text: &str, at: usize) -> usize {
    at + text[at..].len() - text[at..].trim_start().len()
}

impl FromStr for Requirement {
    type Err = RequirementError;

    /// Reads the normal form; relative paths are refused.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, Path::new(""))
    }
}

impl fmt::Display for Requirement {
    /// The normal form: `scikit-learn[a,b]>=1.4,<2 ; python_version < '3.13'`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            f.write_str(name)?;
        } else if let Some(url) = &self.url {
            f.write_str(url)?;
        }
        if !self.extras.is_empty() {
            write!(f, "[{}]", self.extras.join(","))?;
        }
        for (i, specifier) in self.specifiers.iter().enumerate() {
            write!(f, "{}{specifier}", if i > 0 { "," } else { "" })?;
        }
        if let (Some(_), Some(url)) = (&self.name, &self.url) {
            write!(f, " @ {url}")?;
        }
        match &self.marker {
            Some(marker) => write!(f, " ; {marker}"),
            None => Ok(()),
        }
    }
}

/// The word at `at`, for messages.
fn word_at(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    let end = rest.char_indices().find(|(i, c)| *i > 0 && (c.is_whitespace() || ",;[]()".contains(*c)));
    &rest[..end.map_or(rest.len(), |(i, _)| i)]
}

impl RequirementError {
    /// Something stands where the requirement should have ended.
    fn unexpected(text: &str, at: usize) -> Self {
        let word = word_at(text, at);
        let error = Self::invalid(format!("unexpected `{}`", shown(word)), at, word.len());
        if word.starts_with("::") {
            error.with_hint("`channel::package` is conda's; for pip write the package alone")
        } else if word.starts_with('=') {
            error.with_hint("a version is pinned with two equals signs: `==`")
        } else if text[at..].starts_with(['<', '>', '=', '!', '~']) {
            error.with_hint("separate version bounds with a comma")
        } else if word.starts_with(|c: char| c.is_ascii_digit()) {
            error.with_hint("write an operator such as `==` before the version")
        } else if word.starts_with('#') {
            error.with_hint("a comment begins with ` #`")
        } else {
            error
        }
    }
}
