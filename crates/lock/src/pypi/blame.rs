//! Which of a user's requirements an error is about.

use provenv_definition::{PipRequirement, Requirement, normalise_name};

use super::Error;
use super::source::without_revision;

impl Error {
    /// The positions of those of `asked` that this is about; none where nobody can say.
    pub fn concerns(&self, asked: &[PipRequirement]) -> Vec<usize> {
        let asked: Vec<Option<Requirement>> = asked.iter().map(|one| one.requirement.parse().ok()).collect();
        let which = |is: &dyn Fn(&Requirement) -> bool| -> Vec<usize> {
            let all = asked.iter().enumerate();
            all.filter(|(_, one)| one.as_ref().is_some_and(is)).map(|(at, _)| at).collect()
        };
        let named_in = |text: &str| which(&|one| one.name.as_ref().is_some_and(|name| has_word(text, name)));
        let place_in = |text: &str| {
            which(&|one| {
                let place = one.url.as_deref().map(|url| without_revision(url.trim_start_matches("git+")));
                place.is_some_and(|place| text.contains(place))
            })
        };
        let first = |ways: &[&dyn Fn() -> Vec<usize>]| {
            ways.iter().map(|way| way()).find(|found| !found.is_empty()).unwrap_or_default()
        };
        match self {
            Self::NoPackage { package, explanation } | Self::NotLinked { package, explanation } => {
                let text = &explanation.text;
                first(&[&|| named_in(package), &|| named_in(&required(text)), &|| named_in(text)])
            }
            Self::Build { package, .. }
            | Self::BuiltWheel { package, .. }
            | Self::BadSource { package, .. } => {
                let name = package.split(['=', '@', ' ']).next().unwrap_or_default();
                first(&[&|| place_in(package), &|| named_in(&normalise_name(name))])
            }
            Self::Clash { clashes, explanation } if explanation.text.is_empty() => which(&|one| {
                one.name.as_ref().is_some_and(|name| clashes.iter().any(|clash| clash.name == *name))
            }),
            Self::Hash { package, .. } => named_in(package),
            Self::Unhashed { packages } => named_in(&packages.join(" ")),
            Self::Requirement { requirement: text, .. }
            | Self::Url { url: text, .. }
            | Self::Variable { url: text, .. } => place_in(text),
            Self::NoLocal { path } | Self::NoProject { path } => {
                place_in(&format!("file://{}", path.display()))
            }
            // These are about an index.
            Self::Network { .. } | Self::Unauthorized { .. } => Vec::new(),
            _ => match self.explanation() {
                Some(words) => {
                    first(&[&|| place_in(&words.text), &|| named_in(&required(&words.text)), &|| {
                        named_in(&words.text)
                    }])
                }
                None => Vec::new(),
            },
        }
    }
}

/// What follows each "you require", which is how uv names what the definition itself asks for.
fn required(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let parts = words.split("you require ").skip(1);
    parts
        .map(|part| part.split(", we can conclude").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("; ")
}

/// Whether a normalised name stands in a text, and not as a part of another name.
fn has_word(text: &str, name: &str) -> bool {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        // A sentence may end with it.
        let after = after.trim_start_matches('.');
        !before.ends_with(part_of_name) && !after.starts_with(part_of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pypi::Explanation;

    fn concerned(error: &Error, asked: &[&str]) -> Vec<String> {
        let asked: Vec<PipRequirement> = asked
            .iter()
            .map(|&text| PipRequirement { requirement: text.into(), hashes: Vec::new(), editable: false })
            .collect();
        error.concerns(&asked).into_iter().map(|at| asked[at].requirement.clone()).collect()
    }

    fn words(text: &str) -> Explanation {
        text.to_owned().into()
    }

    #[test]
    fn a_missing_package_or_who_wants_it() {
        let asked = ["gone-for-ever", "gone", "deep"];
        let text = "Because gone was not found in the cache and all versions of deep depend on gone, we can conclude that \
                    all versions of deep cannot be used.\n  And because you require deep, we can conclude that";
        let error = Error::NoPackage { package: "gone".into(), explanation: words(text) };
        assert_eq!(concerned(&error, &asked), ["gone"]);
        assert_eq!(concerned(&error, &["gone-for-ever", "deep"]), ["deep"]);
    }

    #[test]
    fn those_that_conflict() {
        let text = "Because all versions of lim depend on pp>=2 and you require lim, we can conclude that you require \
                    pp>=2.\n         And because you require pp<1, we can conclude that your requirements are unsatisfiable.";
        let error = Error::Conflict { explanation: words(text) };
        assert_eq!(concerned(&error, &["lim", "pp<1", "limit", "other"]), ["lim", "pp<1"]);
    }

    #[test]
    fn what_has_a_place_of_its_own() {
        let asked = ["git+https://h.test/a@v1", "b @ https://h.test/b-1.tar.gz", "c"];
        let git = Error::Git { explanation: words("failed to fetch `https://h.test/a`") };
        assert_eq!(concerned(&git, &asked), [asked[0]]);
        let build = |package: &str| Error::BadSource { package: package.into(), reason: String::new() };
        assert_eq!(concerned(&build("git+https://h.test/a@v1"), &asked), [asked[0]]);
        assert_eq!(concerned(&build("b"), &asked), [asked[1]]);
        assert_eq!(concerned(&build("C==1.0"), &asked), [asked[2]]);
        let gone = Error::NoLocal { path: "/gone".into() };
        assert_eq!(concerned(&gone, &["x", "file:///gone"]), ["file:///gone"]);
        let network = Error::Network { explanation: words("failed to fetch h.test/c/") };
        assert!(concerned(&network, &asked).is_empty());
    }
}
