//! `requires-python`: which Pythons a project or lock allows.

use pep440_rs::{Operator, VersionSpecifiers};

use crate::secrets::shown;
use crate::{Diagnostic, Place, PythonRequest, codes};

/// Bounds on the version of Python.
#[derive(Debug)]
pub(crate) struct PythonBounds {
    text: String,
    specifiers: VersionSpecifiers,
}

impl PythonBounds {
    /// Reads `>=3.9,<3.12`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(specifiers) => Ok(Self { text: text.trim().to_owned(), specifiers }),
            Err(_) => Err(format!("`{}` does not bound a version of Python", shown(text))),
        }
    }

    /// The one minor version, or the one version, that is allowed; `None` where there are several.
    pub fn pinned(&self) -> Option<PythonRequest> {
        let mut from = None;
        let mut below = None;
        for specifier in self.specifiers.iter() {
            let release: Vec<u64> = specifier.version().release().to_vec();
            let [major, minor, patch @ ..] = &release[..] else { continue };
            let (major, minor) = (u32::try_from(*major).ok()?, u32::try_from(*minor).ok()?);
            let request = |patch: Option<u64>| {
                let patch = patch.and_then(|patch| u32::try_from(patch).ok());
                (major == 3).then_some(PythonRequest { major, minor, patch })
            };
            match specifier.operator() {
                Operator::Equal | Operator::ExactEqual => {
                    return request(Some(patch.first().copied().unwrap_or(0)));
                }
                Operator::EqualStar => return request(patch.first().copied()),
                Operator::TildeEqual if !patch.is_empty() => return request(None),
                Operator::GreaterThanEqual => from = Some((major, minor)),
                Operator::LessThan if patch.iter().all(|number| *number == 0) => below = Some((major, minor)),
                _ => {}
            }
        }
        match (from, below) {
            (Some((3, from)), Some((3, below))) if from + 1 == below => {
                Some(PythonRequest { major: 3, minor: from, patch: None })
            }
            _ => None,
        }
    }

    /// What is worth a word: several Pythons are allowed, and which one it is has to come from elsewhere.
    pub fn remark(&self, place: Place) -> Option<Diagnostic> {
        if self.pinned().is_some() || self.text.is_empty() {
            return None;
        }
        let message = format!("Python `{}` is any of several", shown(&self.text));
        let hint = "the base's Python is taken; one minor version is chosen by `==3.11.*`";
        Some(Diagnostic::new(codes::PYTHON_RANGE, message).with_hint(hint).at(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_python_is_told_from_several() {
        for (text, pinned) in [
            (">=3.10", ""),
            ("==3.11.*", "3.11"),
            ("==3.11.4", "3.11.4"),
            ("==3.11", "3.11.0"),
            ("~=3.11", ""),
            ("~=3.11.2", "3.11"),
            (">=3.11,<3.12", "3.11"),
            (">=3.11.2,<3.12.0", "3.11"),
            (">=3.11,<3.12.1", ""),
            (">=3.9,<3.12", ""),
            (">=3.9,!=3.10.*", ""),
            ("==2.7.*", ""),
            (">=3.9,<4", ""),
            ("", ""),
        ] {
            let bounds = PythonBounds::parse(text).unwrap();
            assert_eq!(
                bounds.pinned().map(|python| python.to_string()).unwrap_or_default(),
                pinned,
                "{text}"
            );
        }
        assert!(PythonBounds::parse("three").is_err());
    }
}
