//! Whether a marker holds on a target (PEP 508, "Environment Markers").

use std::cmp::Ordering;
use std::collections::BTreeSet;

use pep440_rs::{Version, VersionSpecifier};

use super::marker::Marker;
use crate::Platform;

/// What the variables of markers stand for: CPython on Linux.
///
/// `platform_release` and `platform_version`, the kernel's, are empty: an image does not know on which it will run.
#[derive(Clone, Debug)]
pub struct MarkerEnvironment {
    /// E.g. `3.11.2`.
    python_full_version: String,
    /// E.g. `x86_64`.
    machine: &'static str,
    /// Extras (`extra`, `extras`) that are asked for, in normal form.
    extras: BTreeSet<String>,
    /// Groups (`dependency_groups`) that are asked for, in normal form.
    groups: BTreeSet<String>,
}

impl MarkerEnvironment {
    /// CPython `python_full_version`, e.g. `3.11.2`, on `platform`, without extras.
    pub fn new(python_full_version: &str, platform: Platform) -> Self {
        Self {
            python_full_version: python_full_version.to_owned(),
            machine: platform.machine(),
            extras: BTreeSet::new(),
            groups: BTreeSet::new(),
        }
    }

    /// The same, with these extras and groups asked for.
    #[must_use]
    pub fn with_sets(
        mut self,
        extras: impl IntoIterator<Item = String>,
        groups: impl IntoIterator<Item = String>,
    ) -> Self {
        self.extras = extras.into_iter().collect();
        self.groups = groups.into_iter().collect();
        self
    }

    fn value(&self, variable: &str) -> String {
        match variable {
            "implementation_name" => "cpython".to_owned(),
            "implementation_version" | "python_full_version" => self.python_full_version.clone(),
            "os_name" => "posix".to_owned(),
            "platform_machine" => self.machine.to_owned(),
            "platform_python_implementation" => "CPython".to_owned(),
            "platform_system" => "Linux".to_owned(),
            "python_version" => self.python_full_version.splitn(3, '.').take(2).collect::<Vec<_>>().join("."),
            "sys_platform" => "linux".to_owned(),
            _ => String::new(),
        }
    }

    fn set(&self, variable: &str) -> Option<&BTreeSet<String>> {
        match variable {
            "extra" | "extras" => Some(&self.extras),
            "dependency_groups" => Some(&self.groups),
            _ => None,
        }
    }
}

impl Marker {
    /// Whether it holds in `environment`.
    pub fn holds(&self, environment: &MarkerEnvironment) -> bool {
        match self {
            Self::And(operands) => operands.iter().all(|operand| operand.holds(environment)),
            Self::Or(operands) => operands.iter().any(|operand| operand.holds(environment)),
            Self::Compare(text) => compare(text, environment).unwrap_or(false),
        }
    }
}

/// `variable operator 'text'` or `'text' operator variable`, in normal form.
fn compare(comparison: &str, environment: &MarkerEnvironment) -> Option<bool> {
    let quote = |text: &str| text.chars().next().filter(|c| "'\"".contains(*c));
    if let Some(quote) = quote(comparison) {
        let (text, rest) = comparison[1..].split_once(quote)?;
        let (operator, variable) = rest.trim().rsplit_once(' ')?;
        if let Some(set) = environment.set(variable) {
            return Some(match operator {
                "not in" | "!=" => !set.contains(text),
                _ => set.contains(text),
            });
        }
        return Some(values(text, operator, &environment.value(variable)));
    }
    let (variable, rest) = comparison.split_once(' ')?;
    let at = rest.find(['\'', '"'])?;
    let (operator, text) = (rest[..at].trim(), rest[at + 1..].get(..rest[at + 1..].len().checked_sub(1)?)?);
    if let Some(set) = environment.set(variable) {
        return Some(match operator {
            "!=" | "not in" => !set.contains(text),
            _ => set.contains(text),
        });
    }
    Some(values(&environment.value(variable), operator, text))
}

/// By PEP 440 where both are versions, else as texts.
fn values(left: &str, operator: &str, right: &str) -> bool {
    match operator {
        "in" => return right.contains(left),
        "not in" => return !right.contains(left),
        _ => {}
    }
    if let (Ok(version), Ok(specifier)) =
        (left.parse::<Version>(), format!("{operator}{right}").parse::<VersionSpecifier>())
    {
        return specifier.contains(&version);
    }
    matches!(
        (operator, left.cmp(right)),
        ("==" | "===" | "<=" | ">=", Ordering::Equal)
            | ("<" | "<=" | "!=", Ordering::Less)
            | (">" | ">=" | "!=", Ordering::Greater)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_hold_as_packaging_says() {
        let environment = MarkerEnvironment::new("3.11.2", Platform::LinuxAmd64)
            .with_sets(["fast".to_owned()], ["dev".to_owned()]);
        for (marker, expected) in [
            ("python_version < '3.13'", true),
            ("python_version >= '3.9' and sys_platform == 'win32'", false),
            ("python_version == '3.11'", true),
            ("python_version == '3.1'", false),
            ("python_version == '3.*'", true),
            ("python_full_version ~= '3.11.0'", true),
            ("python_full_version < '3.11.2'", false),
            ("python_version in '3.10 3.11'", true),
            ("python_version not in '3.10, 3.12'", true),
            ("'linux' in sys_platform", true),
            ("platform_machine != 'arm64' or os_name == 'nt'", true),
            ("platform_machine == 'x86_64'", true),
            ("implementation_name == 'pypy'", false),
            ("platform_python_implementation != 'PyPy'", true),
            ("platform_system == \"Linux\"", true),
            ("extra == 'fast'", true),
            ("extra == 'slow'", false),
            ("'dev' in dependency_groups", true),
            ("'docs' not in dependency_groups", true),
            ("platform_release >= '5'", false),
        ] {
            let parsed: Marker = marker.parse().unwrap();
            assert_eq!(parsed.holds(&environment), expected, "{marker}");
        }
    }
}
