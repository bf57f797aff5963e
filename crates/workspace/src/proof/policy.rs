//! What an image must be to be let in: a small TOML file.

use std::path::{Path, PathBuf};

use jiff::{Span, Timestamp};
use provenv_image::proof::{PublicKey, Resource, Statement};
use serde::Deserialize;
use url::Url;

use super::keys::public_in;
use super::verifying::Check;
use crate::Result;

/// What an image must be. What is left out allows anything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Files with the public keys that may sign; relative ones count from the policy's folder.
    pub keys: Vec<PathBuf>,
    /// Who may build.
    pub builders: Option<Vec<String>>,
    /// The indexes and channels that may be asked: these URLs, and all below them.
    pub indexes: Option<Vec<Url>>,
    /// Where artifacts may come from: these URLs, and all below them.
    pub sources: Option<Vec<Url>>,
    /// What images may stand on, e.g. `debian:bookworm`; a `*` at the end stands for anything. What a Dockerfile made stands on every
    /// image that the Dockerfile takes from.
    pub bases: Option<Vec<String>>,
    /// Every artifact is one that an index has: nothing was built, no script left anything, and no Dockerfile was run.
    pub published_only: bool,
    /// The longest time since the artifacts were chosen, e.g. `90d`.
    pub max_age: Option<Span>,
}

/// A policy that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It cannot be read.
    #[error("could not read the policy")]
    Read(#[from] std::io::Error),
    /// It does not say what policies say.
    #[error("`{}` is not a policy: {message}", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
}

impl Policy {
    /// The policy in `file`, and the keys it names.
    pub(crate) fn read(file: &Path) -> Result<(Self, Vec<PublicKey>)> {
        let text = fs_err::read_to_string(file).map_err(PolicyError::Read)?;
        let policy: Self = toml::from_str(&text).map_err(|error| PolicyError::Parse {
            path: file.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let keys = policy.keys.iter().map(|key| public_in(&folder.join(key))).collect::<Result<_>>()?;
        Ok((policy, keys))
    }

    /// Holds `statement`, whose signature is good, against every rule.
    pub(crate) fn check(&self, statement: &Statement, now: Timestamp) -> Vec<Check> {
        let build = &statement.predicate.build_definition;
        let run = &statement.predicate.run_details;
        let of_kind = |kinds: &'static [&'static str]| {
            build
                .resolved_dependencies
                .iter()
                .filter(move |one| one.kind().is_some_and(|kind| kinds.contains(&kind)))
        };
        // What its steps asked and took is on no record.
        let by_dockerfile = of_kind(&["base"]).any(Resource::is_of_dockerfile);
        let steps = |name, what| Check::failed(name, format!("a Dockerfile was run: {what} is not known"));
        // What a receipt says that nobody has signed, who signs now does not know either.
        let taken = build.external_parameters.lock_taken_from.as_ref();
        let unsigned = taken.filter(|from| from.signed_by.is_none()).map(|from| from.place.as_str());
        let mut checks = Vec::new();
        if let Some(builders) = &self.builders {
            let id = &run.builder.id;
            let good = builders.contains(id);
            let detail = format!("built by {id}{}", unless(good, "may build", builders));
            checks.push(Check::of("builder", good, detail));
        }
        if let Some(indexes) = &self.indexes {
            let check = if build.external_parameters.lock_from_file {
                Check::failed("indexes", "the lock came as a file: which indexes were asked is not known")
            } else if let Some(place) = unsigned {
                Check::failed("indexes", not_vouched(place, "from which indexes"))
            } else if by_dockerfile {
                steps("indexes", "which indexes its steps asked")
            } else {
                all_below("indexes", of_kind(&["index"]), indexes)
            };
            checks.push(check);
        }
        if let Some(sources) = &self.sources {
            let artifacts = of_kind(&["artifact", "source", "built"]).filter(|one| {
                // A wheel that was built of an sdist came from there, and what scripts left came from nowhere.
                one.kind() != Some("built") || one.uri.is_some()
            });
            checks.push(if by_dockerfile {
                steps("sources", "where its steps took things from")
            } else {
                all_below("sources", artifacts, sources)
            });
        }
        if let Some(bases) = &self.bases {
            let called =
                |kind| of_kind(kind).map(|base| base.name.as_deref().unwrap_or("an image without a name"));
            let mut names: Vec<&str> = called(if by_dockerfile { &["from"] } else { &["base"] }).collect();
            if by_dockerfile && names.is_empty() {
                names.push("scratch");
            }
            let allowed = |name: &str| {
                bases.iter().any(|base| match base.strip_suffix('*') {
                    Some(beginning) => name.starts_with(beginning),
                    None => name == base,
                })
            };
            let good = !names.is_empty() && names.iter().all(|name| allowed(name));
            let how = if by_dockerfile { " by a Dockerfile" } else { "" };
            let allowed = unless(good, "may be stood on", bases);
            checks.push(Check::of("base", good, format!("stands on {}{how}{allowed}", names.join(", "))));
        }
        if self.published_only {
            let made: Vec<String> = of_kind(&["built"]).map(shown).collect();
            let mut details = Vec::new();
            if by_dockerfile {
                details.push("made by the steps of a Dockerfile".to_owned());
            }
            if !made.is_empty() {
                details.push(format!("made by running packages' code: {}", made.join(", ")));
            }
            checks.push(if details.is_empty() {
                Check::of("published", true, "every artifact is one that an index has".to_owned())
            } else {
                Check::failed("published", details.join("; "))
            });
        }
        if let Some(max_age) = self.max_age {
            checks.push(match unsigned {
                Some(place) => Check::failed("age", not_vouched(place, "when")),
                None => age(run.metadata.started_on, max_age, now),
            });
        }
        checks
    }
}

fn age(chosen: Option<Timestamp>, max_age: Span, now: Timestamp) -> Check {
    let Some(chosen) = chosen else {
        return Check::failed("age", "it does not say when its artifacts were chosen");
    };
    // Days and weeks are of 24 hours and seven days: a policy is about no calendar of a place.
    let hours = max_age.total((jiff::Unit::Second, jiff::SpanRelativeTo::days_are_24_hours()));
    let Ok(most) = hours else {
        return Check::failed(
            "age",
            "max_age in the policy is not a time: months and years have no fixed length",
        );
    };
    let seconds = now.duration_since(chosen).as_secs_f64();
    let good = seconds <= most && seconds >= -300.0;
    Check::of(
        "age",
        good,
        format!(
            "its artifacts were chosen at {chosen:.0}{}",
            if good { String::new() } else { format!("; at most {max_age:#} may have passed") }
        ),
    )
}

fn not_vouched(place: &str, what: &str) -> String {
    format!("the lock was taken from {place}, and nobody signed {what} its artifacts were chosen")
}

fn all_below<'a>(
    name: &'static str,
    resources: impl Iterator<Item = &'a Resource>,
    allowed: &[Url],
) -> Check {
    let mut count = 0;
    for resource in resources {
        let uri = resource.uri.as_deref().unwrap_or_default();
        let inner = uri.strip_prefix("git+").unwrap_or(uri);
        if !Url::parse(inner).is_ok_and(|url| allowed.iter().any(|root| is_below(&url, root))) {
            let detail = match &resource.name {
                Some(name) => format!("{name} is from {uri}"),
                None => format!("{uri} is not allowed"),
            } + &unless(false, "is allowed, and what is below", allowed);
            return Check::failed(name, detail);
        }
        count += 1;
    }
    Check::of(name, true, format!("{count} of {count} are allowed"))
}

/// What the policy allows, where something else was found.
fn unless(good: bool, may: &str, allowed: &[impl ToString]) -> String {
    if good {
        return String::new();
    }
    let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    if allowed.is_empty() {
        "; by the policy nothing is".to_owned()
    } else {
        format!("; by the policy {} {may}", allowed.join(", "))
    }
}

fn shown(resource: &Resource) -> String {
    resource
        .name
        .clone()
        .or_else(|| resource.uri.clone())
        .unwrap_or_else(|| "something without a name".to_owned())
}

/// Whether `url` is `root` or below it: same scheme, host and port, and the path's segments begin so.
fn is_below(url: &Url, root: &Url) -> bool {
    let same = url.scheme() == root.scheme()
        && url.host_str() == root.host_str()
        && url.port_or_known_default() == root.port_or_known_default();
    let (path, top) = (url.path(), root.path().trim_end_matches('/'));
    // Servers that decode slashes before they look at dots would go up.
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
    let goes_up = decoded.split(['/', '\\']).any(|segment| segment == "..");
    same && !goes_up && path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use url::Url;

    use super::super::verifying::Outcome;
    use super::{Policy, age, is_below};

    #[test]
    fn below_is_by_whole_segments_of_the_same_host() {
        let root: Url = "https://pypi.example/simple".parse().unwrap();
        let below = |url: &str| is_below(&url.parse().unwrap(), &root);
        assert!(below("https://pypi.example/simple/") && below("https://pypi.example:443/simple/a/b.whl"));
        assert!(below("https://pypi.example/simple/team%2Fproject/b.whl"));
        for url in [
            "https://pypi.example/simple-evil/",
            "https://pypi.example/",
            "http://pypi.example/simple/",
            "https://pypi.example.evil/simple/",
            "https://pypi.example:444/simple/",
            "https://pypi.example/simple/../other/",
            "https://pypi.example/simple/%2e%2e/other/",
            "https://pypi.example/simple/..%2fother/",
            "https://pypi.example/simple/a%2f..%5c..%2fother/",
            "https://pypi.example@evil.example/simple/",
        ] {
            assert!(!below(url), "{url}");
        }
        assert!(is_below(&"file:///srv/a".parse().unwrap(), &"file:///srv/".parse().unwrap()));
    }

    #[test]
    fn an_unknown_rule_is_refused() {
        let error = toml::from_str::<Policy>("builder = [\"x\"]").unwrap_err().to_string();
        assert!(error.contains("builder") && error.contains("builders"), "{error}");
        assert!(toml::from_str::<Policy>("max_age = \"soon\"").is_err());
    }

    #[test]
    fn age_counts_from_when_the_artifacts_were_chosen() {
        let chosen: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let policy: Policy = toml::from_str("max_age = \"90d\"").unwrap();
        for (now, good) in
            [("2026-03-31T23:59:59Z", true), ("2026-04-01T00:00:01Z", false), ("2025-12-31T00:00:00Z", false)]
        {
            let check = age(Some(chosen), policy.max_age.unwrap(), now.parse().unwrap());
            assert_eq!(check.outcome == Outcome::Passed, good, "{now}");
        }
        assert_eq!(age(None, policy.max_age.unwrap(), chosen).outcome, Outcome::Failed);
        let months: Policy = toml::from_str("max_age = \"3mo\"").unwrap();
        assert_eq!(age(Some(chosen), months.max_age.unwrap(), chosen).outcome, Outcome::Failed);
    }
}
