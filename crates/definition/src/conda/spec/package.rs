//! Specs that are the URL or path of one package.

use std::path::Path;

use rattler_conda_types::package::CondaArchiveIdentifier;
use rattler_conda_types::{MatchSpec, ParseMatchSpecOptions};

use super::CondaSpec;
use super::convert::convert;
use super::parse::{OPERATORS, is_name};
use super::refuse::{invalid, refusal};
use crate::conda::channel;
use crate::requirement::RequirementError;
use crate::{Digest, SafeUrl, codes};

/// The URL or path of a package, a hash after its `#`; `None` where the text is neither.
pub(super) fn package(text: &str, folder: &Path) -> Option<Result<CondaSpec, RequirementError>> {
    let (location, brackets) = match text.find('[').filter(|_| text.ends_with(']')) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let (location, fragment) = match location.split_once('#') {
        Some((location, fragment)) => (location.trim_end(), Some(fragment)),
        None => (location, None),
    };
    let is_package = channel::is_package_file(location);
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
                return Err(RequirementError::new(codes::INVALID_HASH, message, at, fragment.len().max(1))
                    .with_hint("`conda list --explicit --md5` writes it so"));
            }
        }
    }
    Ok(spec)
}

fn is_md5(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The URL of a package, if its text can stand in quotes.
pub(super) fn kept_url(url: &str, length: usize, folder: &Path) -> Result<SafeUrl, RequirementError> {
    let kept = channel::url(url, folder)?;
    if kept.to_string().contains(['\'', '"', '\\']) {
        return Err(invalid("a quote or backslash in a URL", 0..length));
    }
    Ok(kept)
}
