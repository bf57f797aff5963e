//! From what the parser found to fields of our own.

use std::path::Path;

use rattler_conda_types::{Channel, MatchSpec, PackageNameMatcher, StringMatcher};

use super::package::kept_url;
use super::parse::{OPERATORS, is_name};
use super::refuse::invalid;
use super::{CondaSpec, Versions};
use crate::conda::channel;
use crate::requirement::RequirementError;
use crate::secrets::shown;
use crate::{CondaChannel, Digest, codes};

const MAX_EXPRESSION: usize = 128;
/// Stands for a regular expression while the rest of a spec is read.
pub(super) const EXPRESSION: &str = "provenv_expression";

/// What the parser found, in our fields.
pub(super) fn convert(
    found: MatchSpec,
    text: &str,
    brackets: &str,
    folder: &Path,
) -> Result<CondaSpec, RequirementError> {
    let all = 0..text.len();
    let PackageNameMatcher::Exact(name) = &found.name else {
        return Err(invalid("a pattern is no name of a package", all));
    };
    if !is_name(name.as_normalized()) {
        return Err(invalid("not the name of a package", all));
    }
    let versions = found
        .version
        .as_ref()
        .map(Versions::new)
        .transpose()
        .map_err(|message| invalid(message, all.clone()))?;
    let build = match &found.build {
        None | Some(StringMatcher::Any) => None,
        Some(build) => Some(build_text(&build.to_string(), text, brackets)?),
    };
    let url = found.url.as_ref().map(|url| kept_url(url.as_str(), text.len(), folder)).transpose()?;
    let texts = [&found.subdir, &found.namespace, &found.file_name, &found.license, &found.license_family];
    let features = found.track_features.iter().flatten();
    if texts.into_iter().flatten().chain(features).any(|text| text.contains(['"', '\'', '\\'])) {
        return Err(invalid("a quote or backslash inside a value", all));
    }
    let mut track_features = found.track_features.clone().unwrap_or_default();
    track_features.sort_unstable();
    track_features.dedup();
    Ok(CondaSpec {
        name: name.as_normalized().to_owned(),
        versions: versions.flatten(),
        build,
        build_number: found.build_number.as_ref().map(|number| build_number(&number.to_string())),
        channel: found.channel.as_deref().map(|channel| known_channel(channel, text)).transpose()?,
        subdir: found.subdir,
        namespace: found.namespace,
        file_name: found.file_name,
        url,
        md5: found.md5.map(hex::encode),
        sha256: found.sha256.map(|hash| Digest::from_bytes(hash.into())),
        license: found.license,
        license_family: found.license_family,
        track_features,
    })
}

/// A build string: where it is none, a condition was cut in two.
fn build_text(build: &str, text: &str, brackets: &str) -> Result<String, RequirementError> {
    let start = text.rfind(build).unwrap_or(0);
    let range = start..text.len().min(start + build.len());
    let bad = |c: char| !c.is_ascii_alphanumeric() && !"_.*+-".contains(c);
    let in_brackets = brackets.contains("build");
    if build.contains(bad) || (build.contains('-') && !in_brackets) {
        let error = invalid(format!("`{}` is not a build string", shown(build)), range);
        return Err(if build.contains(OPERATORS) {
            error.with_hint("join conditions with a comma: `>=1.2,<2`")
        } else {
            error.with_hint("write `name=version=build`, or one package per list item")
        });
    }
    Ok(build.to_owned())
}

/// Takes a regular expression of a build out of a spec: to compile each would let a small file take minutes.
pub(super) fn take_expression(text: String) -> (String, Option<String>) {
    let before = |at: usize| text[..at].ends_with([' ', '=', '\'', '"']);
    let Some(start) = text.find('^').filter(|start| before(*start)) else { return (text, None) };
    let Some(end) = text.rfind('$').filter(|end| *end > start) else { return (text, None) };
    let expression = text[start..=end].to_owned();
    (format!("{}{EXPRESSION}{}", &text[..start], &text[end + 1..]), Some(expression))
}

/// Letters, groups, repetitions and alternatives, and nothing that is costly to match.
pub(super) fn is_plain_expression(text: &str) -> bool {
    if text.len() > MAX_EXPRESSION {
        return false;
    }
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let plain = match c {
            '\\' => characters.next().is_some_and(|c| c.is_ascii_punctuation()),
            c => c.is_ascii_alphanumeric() || "_.-+*?|()[]^$".contains(c),
        };
        if !plain {
            return false;
        }
    }
    true
}

/// `3` and `=3` are `==3`.
fn build_number(text: &str) -> String {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    match text[..text.len() - digits.len()].trim() {
        "" | "=" => format!("=={digits}"),
        operator => format!("{operator}{digits}"),
    }
}

/// A channel that stands in brackets: the parser tells a name by the alias that it put before it.
fn known_channel(channel: &Channel, text: &str) -> Result<CondaChannel, RequirementError> {
    let url = channel.base_url.url().as_str();
    if channel.platforms.is_some() || url.starts_with("file:") {
        return Err(RequirementError::new(codes::INVALID_CHANNEL, "not a channel", 0, text.len())
            .with_hint("write `channel::package`"));
    }
    let alias = channel::default_alias().to_string();
    let given = channel::parse(url.strip_prefix(&alias).unwrap_or(url), Path::new("/"));
    let given = given.map_err(|error| RequirementError { offset: 0, length: text.len(), ..error })?;
    given.channel.ok_or_else(|| invalid("`nodefaults` is no channel", 0..text.len()))
}
