//! From the spellings that conda reads to a spec in normal form.

use std::ops::Range;
use std::path::Path;

use rattler_conda_types::package::CondaArchiveIdentifier;
use rattler_conda_types::{
    Channel, MatchSpec, PackageNameMatcher, ParseMatchSpecError, ParseMatchSpecOptions, StringMatcher,
};

use super::{CondaSpec, Versions};
use crate::conda::channel;
use crate::requirement::RequirementError;
use crate::secrets::{shown, template_start};
use crate::{CondaChannel, Digest, SafeUrl, codes};

/// Longer than any spec; the parser recurses and takes some things twice.
const MAX_BYTES: usize = 4 << 10;
const MAX_DEPTH: usize = 16;
const MAX_EXPRESSION: usize = 128;
/// Stands for a regular expression while the rest of a spec is read.
const EXPRESSION: &str = "provenv_expression";

const OPERATORS: [char; 5] = ['=', '<', '>', '!', '~'];

/// A spec, and what of its text conda reads over.
#[derive(Debug)]
pub(in crate::conda) struct Parsed {
    pub spec: CondaSpec,
    /// pip's extras in brackets.
    pub extras: Option<Range<usize>>,
}

fn invalid(message: impl Into<String>, range: Range<usize>) -> RequirementError {
    RequirementError::new(codes::INVALID_CONDA_SPEC, message, range.start, range.len().max(1))
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
        let found = MatchSpec::from_str(&readable, ParseMatchSpecOptions::lenient())
            .map_err(|error| refusal(&error, text))?;
        let mut spec = convert(found, text, brackets, folder)?;
        if let Some(expression) = expression {
            let taken = spec.build.as_deref() == Some(EXPRESSION);
            if !taken || expression.len() > MAX_EXPRESSION || !is_plain_expression(&expression) {
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
        Ok(Self { spec, extras })
    }
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

/// The URL or path of a package, a hash after its `#`; `None` where the text is neither.
fn package(text: &str, folder: &Path) -> Option<Result<CondaSpec, RequirementError>> {
    let (location, brackets) = match text.find('[').filter(|_| text.ends_with(']')) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let (location, fragment) = match location.split_once('#') {
        Some((location, fragment)) => (location.trim_end(), Some(fragment)),
        None => (location, None),
    };
    let is_package = location.ends_with(".conda") || location.ends_with(".tar.bz2");
    let is_url = channel::has_scheme(location) && location.contains("://");
    let is_path = location.starts_with(['/', '.', '~']) || channel::is_drive(location);
    let is_file = is_package && !location.contains(OPERATORS);
    if location.contains("::") || !(is_url || is_path || is_file) {
        return None;
    }
    if !is_package || location.contains(char::is_whitespace) {
        let error = invalid("not the URL or path of a conda package", 0..text.len());
        return Some(Err(error.with_hint(
            "conda packages end in `.conda` or `.tar.bz2`; what pip installs stands in a `pip:` list",
        )));
    }
    Some(package_at(location, fragment, brackets, folder))
}

fn package_at(
    location: &str,
    fragment: Option<&str>,
    brackets: &str,
    folder: &Path,
) -> Result<CondaSpec, RequirementError> {
    let path = if channel::has_scheme(location) || location.starts_with(['/', '.', '~']) {
        location.to_owned()
    } else {
        format!("./{location}")
    };
    let url = kept_url(&path, location.len(), folder)?;
    let mut spec = CondaSpec { url: Some(url), ..CondaSpec::default() };
    let known = spec.url.as_ref().and_then(|url| CondaArchiveIdentifier::try_from_url(url.as_url()));
    let Some(known) = known.filter(|known| is_name(&known.identifier.name)) else {
        return Err(invalid(
            "the file name is not `name-version-build` with `.conda` or `.tar.bz2`",
            0..location.len(),
        ));
    };
    spec.name = known.identifier.name.to_lowercase();
    if !brackets.is_empty() {
        let more = MatchSpec::from_str(&format!("a{brackets}"), ParseMatchSpecOptions::lenient())
            .map_err(|error| refusal(&error, location))?;
        let more = convert(more, location, brackets, folder)?;
        spec = CondaSpec { name: spec.name, url: spec.url, ..more };
    }
    if let Some(fragment) = fragment {
        let at = location.len() + 1;
        let digits = fragment.trim();
        let (algorithm, digits) =
            digits.split_once(':').unwrap_or((if digits.len() == 64 { "sha256" } else { "md5" }, digits));
        match (algorithm, Digest::from_hex(digits)) {
            ("sha256", Ok(digest)) => spec.sha256 = Some(digest),
            ("md5", _) if is_md5(digits) => spec.md5 = Some(digits.to_lowercase()),
            _ => {
                let message = "a hash after `#` is an md5 of 32 or `sha256:` and 64 hexadecimal digits";
                return Err(RequirementError::new(codes::INVALID_HASH, message, at, fragment.len().max(1)));
            }
        }
    }
    Ok(spec)
}

fn is_md5(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !text.ends_with(".conda")
        && !text.ends_with(".tar.bz2")
}

/// What pip, YAML or Windows make of a text, with the way out.
fn refuse_other_tools(text: &str) -> Result<(), RequirementError> {
    let pip_list = "what pip installs stands in a `pip:` list among the dependencies";
    let at = |needle: &str| text.find(needle).map(|at| at..at + needle.len());
    let head = &text[..text.find('[').unwrap_or(text.len())];
    let variable = |at: &usize| text[at + 1..].starts_with(|c: char| c == '{' || c.is_ascii_alphabetic());
    let name_at = head.rfind("::").map_or(0, |at| at + 2);
    if let Some(at) = head[name_at..].find('$').map(|at| name_at + at).filter(variable) {
        return Err(RequirementError::new(
            codes::TEMPLATE,
            "a variable that was not filled in",
            at,
            text.len() - at,
        )
        .with_hint("conda does not fill in variables in packages: do it first"));
    }
    if text.starts_with('^') {
        return Err(invalid("a pattern is no name of a package", 0..head.len()));
    }
    if text.starts_with(OPERATORS) {
        return Err(invalid("the name of a package is missing", 0..1)
            .with_hint("quote the whole item: YAML takes a `>` at its beginning for something else"));
    }
    if let Some(range) = at("===") {
        return Err(invalid("`===` is not an operator of conda", range)
            .with_hint("an exact version is written with two equals signs: `==`"));
    }
    if head.contains('\\') || channel::is_drive(head) {
        return Err(invalid("a path of Windows", 0..head.len()).with_hint("write a relative path with `/`"));
    }
    if let Some(at) = head.find(';') {
        return Err(invalid("markers after `;` are pip's", at..text.len()).with_hint(pip_list));
    }
    if let Some(range) = at(" @ ").filter(|range| range.end <= head.len()) {
        return Err(invalid("`@` and a URL are pip's", range).with_hint(pip_list));
    }
    if head.ends_with(['=', ',', '|']) {
        return Err(invalid("a version is missing at the end", head.len() - 1..head.len()));
    }
    if text.starts_with('-') {
        return Err(invalid("an option is no package", 0..head.len()).with_hint(pip_list));
    }
    Ok(())
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

fn refuse_depth(text: &str) -> Result<(), RequirementError> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth > MAX_DEPTH as i32 {
            return Err(RequirementError::new(codes::TOO_LARGE, "nested too deeply", at, 1));
        }
    }
    Ok(())
}

/// What the parser found, in our fields.
fn convert(
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
fn take_expression(text: String) -> (String, Option<String>) {
    let before = |at: usize| text[..at].ends_with([' ', '=', '\'', '"']);
    let Some(start) = text.find('^').filter(|start| before(*start)) else { return (text, None) };
    let Some(end) = text.rfind('$').filter(|end| *end > start) else { return (text, None) };
    let expression = text[start..=end].to_owned();
    (format!("{}{EXPRESSION}{}", &text[..start], &text[end + 1..]), Some(expression))
}

/// Letters, groups, repetitions and alternatives, and nothing that is costly to match.
fn is_plain_expression(text: &str) -> bool {
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

fn kept_url(url: &str, length: usize, folder: &Path) -> Result<SafeUrl, RequirementError> {
    let kept = channel::url(url, folder)?;
    if kept.to_string().contains(['\'', '"', '\\']) {
        return Err(invalid("a quote or backslash in a URL", 0..length));
    }
    Ok(kept)
}

/// A channel that stands in brackets: the parser tells a name by the alias that it put before it.
fn known_channel(channel: &Channel, text: &str) -> Result<CondaChannel, RequirementError> {
    const ALIAS: &str = "https://conda.anaconda.org/";
    let url = channel.base_url.url().as_str();
    if channel.platforms.is_some() || url.starts_with("file:") {
        return Err(RequirementError::new(codes::INVALID_CHANNEL, "not a channel", 0, text.len())
            .with_hint("write `channel::package`"));
    }
    let given = channel::parse(url.strip_prefix(ALIAS).unwrap_or(url), Path::new("/"));
    let given = given.map_err(|error| RequirementError { offset: 0, length: text.len(), ..error })?;
    given.channel.ok_or_else(|| invalid("`nodefaults` is no channel", 0..text.len()))
}

/// The parser's words in ours, with a place.
fn refusal(error: &ParseMatchSpecError, text: &str) -> RequirementError {
    let head = text.find('[').unwrap_or(text.len());
    let from = text[..head].rfind("::").map_or(0, |at| at + 2);
    let name_end = text[from..].find(|c: char| c.is_whitespace() || OPERATORS.contains(&c) || c == '[');
    let name_end = name_end.map_or(text.len(), |end| from + end);
    let after = &text[name_end..];
    let after_at = name_end + (after.len() - after.trim_start().len());
    let after = after.trim_start();
    match error {
        ParseMatchSpecError::MissingPackageName => invalid("the name of a package is missing", 0..text.len()),
        ParseMatchSpecError::InvalidPackageNameMatcher(_)
        | ParseMatchSpecError::OnlyExactPackageNameMatchersAllowedGlob(_)
        | ParseMatchSpecError::OnlyExactPackageNameMatchersAllowedRegex(_) => {
            let name = &text[from..name_end];
            invalid(format!("`{}` is not the name of a conda package", shown(name)), from..name_end)
                .with_hint("a name holds letters, digits, `-`, `_` and `.`")
        }
        ParseMatchSpecError::InvalidBracketKey(key) => {
            invalid(format!("`{}` is not a key that conda knows in brackets", shown(key)), head..text.len())
        }
        ParseMatchSpecError::InvalidBracket => invalid("brackets that conda cannot read", head..text.len())
            .with_hint("write them `[key='value',key='value']`"),
        ParseMatchSpecError::InvalidVersionAndBuild(_) => {
            invalid(format!("`{}` is not a version of conda", shown(after)), after_at..text.len())
        }
        ParseMatchSpecError::InvalidVersionSpec(error) => {
            let message =
                format!("`{}` is not a version of conda: {}", shown(after), shown(&error.to_string()));
            invalid(message, after_at..text.len())
        }
        other => invalid(shown(&other.to_string()), 0..text.len()),
    }
}
