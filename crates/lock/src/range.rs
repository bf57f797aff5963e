//! Packages that are looked for: a name, and versions by the rules of its ecosystem.

use std::str::FromStr as _;

use rattler_conda_types::{ParseStrictness, VersionSpec};

/// `numpy`, `numpy<1.26`, `debian:openssl<<3.0.11-1~deb12u2`.
#[derive(Clone, Debug)]
pub struct PackageRange {
    name: String,
    pypi: Option<pep440_rs::VersionSpecifiers>,
    conda: Option<VersionSpec>,
    debian: Option<Vec<(DebianOperator, debversion::Version)>>,
    ecosystem: Option<Ecosystem>,
    any_version: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ecosystem {
    Conda,
    Debian,
    Pypi,
    Python,
}

#[derive(Clone, Copy, Debug)]
enum DebianOperator {
    Less,
    AtMost,
    Equal,
    NotEqual,
    AtLeast,
    Greater,
}

/// Text that is no range of versions.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// Nothing before the operator.
    #[error("`{0}` names no package")]
    NoName(String),
    /// A word before the colon that is none of ours.
    #[error("`{0}` is no ecosystem: there are conda, debian, pypi and python")]
    Ecosystem(String),
    /// Versions that can't be read by the rules of any ecosystem that is meant.
    #[error("`{0}` is no range of versions")]
    Versions(String),
}

impl PackageRange {
    /// Reads `[ECOSYSTEM:]NAME[RANGE]`.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        let end = text.find(|c: char| "<>=!~ ".contains(c)).unwrap_or(text.len());
        let (name, versions) = (&text[..end], text[end..].trim());
        let (ecosystem, name) = match name.split_once(':') {
            Some((ecosystem, name)) => (Some(Ecosystem::parse(ecosystem)?), name),
            None => (None, name),
        };
        if name.is_empty() {
            return Err(RangeError::NoName(text.to_owned()));
        }
        let any_version = versions.is_empty();
        let meant = |one: &[Ecosystem]| {
            (!any_version && ecosystem.is_none_or(|ecosystem| one.contains(&ecosystem))).then_some(versions)
        };
        let pypi = meant(&[Ecosystem::Pypi, Ecosystem::Python]).and_then(|text| doubled(text).parse().ok());
        let conda = meant(&[Ecosystem::Conda])
            .and_then(|text| VersionSpec::from_str(&doubled(text), ParseStrictness::Lenient).ok());
        let debian = meant(&[Ecosystem::Debian]).and_then(debian);
        if !any_version && pypi.is_none() && conda.is_none() && debian.is_none() {
            return Err(RangeError::Versions(versions.to_owned()));
        }
        Ok(Self { name: name.to_owned(), pypi, conda, debian, ecosystem, any_version })
    }

    /// What the package may be called: as it was written, and as Python's and conda's indexes write it.
    pub fn names(&self) -> Vec<String> {
        let lower = self.name.to_lowercase();
        let mut python = String::new();
        for part in lower.split(['-', '_', '.']).filter(|part| !part.is_empty()) {
            if !python.is_empty() {
                python.push('-');
            }
            python.push_str(part);
        }
        let mut names = vec![self.name.clone(), lower, python];
        names.sort();
        names.dedup();
        names
    }

    /// Whether a package of that name is meant, by its ecosystem and version.
    pub fn matches(&self, ecosystem: &str, version: &str) -> bool {
        let Ok(ecosystem) = Ecosystem::parse(ecosystem) else { return false };
        if self.ecosystem.is_some_and(|wanted| wanted != ecosystem) {
            return false;
        }
        if self.any_version {
            return true;
        }
        match ecosystem {
            Ecosystem::Pypi | Ecosystem::Python => self.pypi.as_ref().is_some_and(|range| {
                version.parse().is_ok_and(|version: pep440_rs::Version| range.contains(&version))
            }),
            Ecosystem::Conda => self.conda.as_ref().is_some_and(|range| {
                rattler_conda_types::Version::from_str(version).is_ok_and(|version| range.matches(&version))
            }),
            Ecosystem::Debian => self.debian.as_ref().is_some_and(|bounds| {
                version.parse::<debversion::Version>().is_ok_and(|version| {
                    bounds.iter().all(|(operator, bound)| operator.holds(version.cmp(bound)))
                })
            }),
        }
    }
}

impl Ecosystem {
    fn parse(word: &str) -> Result<Self, RangeError> {
        match word {
            "conda" => Ok(Self::Conda),
            "debian" => Ok(Self::Debian),
            "pypi" => Ok(Self::Pypi),
            "python" => Ok(Self::Python),
            word => Err(RangeError::Ecosystem(word.to_owned())),
        }
    }
}

impl DebianOperator {
    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::AtLeast => order.is_ge(),
            Self::Greater => order.is_gt(),
        }
    }
}

/// One `=` means what two do.
fn doubled(text: &str) -> String {
    let parts = text.split(',').map(|part| {
        // Spaces mean nothing in a version's bound, and conda reads none behind `==`.
        let part: String = part.split_whitespace().collect();
        match part.strip_prefix('=') {
            Some(rest) if !rest.starts_with('=') => format!("=={rest}"),
            _ => part,
        }
    });
    parts.collect::<Vec<_>>().join(",")
}

/// Debian's relations, commas between them. A single `<` or `>` excludes the version, as elsewhere.
fn debian(text: &str) -> Option<Vec<(DebianOperator, debversion::Version)>> {
    let operators = [
        ("<<", DebianOperator::Less),
        ("<=", DebianOperator::AtMost),
        ("==", DebianOperator::Equal),
        ("!=", DebianOperator::NotEqual),
        (">=", DebianOperator::AtLeast),
        (">>", DebianOperator::Greater),
        ("<", DebianOperator::Less),
        ("=", DebianOperator::Equal),
        (">", DebianOperator::Greater),
    ];
    let bound = |part: &str| {
        let part = part.trim();
        let (sign, operator) = operators.iter().find(|(sign, _)| part.starts_with(sign))?;
        Some((*operator, part[sign.len()..].trim().parse().ok()?))
    };
    text.split(',').map(bound).collect()
}

#[cfg(test)]
mod tests {
    use super::PackageRange;

    #[test]
    fn versions_are_compared_as_their_ecosystem_does() {
        let matches = |range: &str, ecosystem: &str, version: &str| {
            PackageRange::parse(range).unwrap().matches(ecosystem, version)
        };
        for ecosystem in ["pypi", "conda", "debian"] {
            assert!(matches("numpy<1.26", ecosystem, "1.9.3"), "{ecosystem}");
            assert!(!matches("numpy<1.26", ecosystem, "1.26"), "{ecosystem}");
            assert!(matches("numpy>=1.2,<2", ecosystem, "1.10"), "{ecosystem}");
            assert!(matches("numpy", ecosystem, "anything"), "{ecosystem}");
            assert!(matches("numpy=1.2", ecosystem, "1.2"), "{ecosystem}");
            assert!(matches("numpy == 1.2", ecosystem, "1.2"), "{ecosystem}");
            assert!(!matches("numpy!=1.2", ecosystem, "1.2"), "{ecosystem}");
        }
        assert!(!matches("numpy<1.26", "pypi", "1.26rc1"));
        assert!(matches("numpy~=1.4.2", "pypi", "1.4.9"));
        assert!(matches("numpy==1.4.*", "pypi", "1.4.9"));
        assert!(matches("debian:openssl<<3.0.11-1~deb12u2", "debian", "3.0.11-1~deb12u1"));
        assert!(!matches("debian:openssl<<3.0.11-1~deb12u2", "debian", "3.0.11-1"));
        assert!(matches("openssl>=1:3.0", "debian", "1:3.0.2-1"));
        assert!(!matches("pypi:numpy", "conda", "1.2"));
        assert!(matches("python<3.12", "python", "3.11.2"));
    }

    #[test]
    fn names_are_those_of_indexes() {
        let names = PackageRange::parse("Scikit_Learn>1").unwrap().names();
        assert!(names.contains(&"scikit-learn".to_owned()) && names.contains(&"scikit_learn".to_owned()));
        for wrong in ["<1", "npm:left-pad", "numpy<", "pypi:numpy<one", "pypi:"] {
            assert!(PackageRange::parse(wrong).is_err(), "{wrong}");
        }
    }
}
