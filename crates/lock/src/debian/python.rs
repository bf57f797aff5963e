//! Which suite has which Python.

use provenv_definition::{PythonRequest, Suite};

use super::error::Result;
use super::package::Package;
use super::suite::{Extent, OpenSuite};
use super::universe::{Universe, UniverseError};
use super::{Archive, Error};
use crate::{DebPackage, PythonLock};
use provenv_definition::Platform;

/// The suite of a definition that names neither a suite nor a Python. Fixed, so that a definition means the same on
/// every machine on every day: Python 3.11 is the one that most packages have wheels for.
pub const DEFAULT_SUITE: &str = "bookworm";

/// The suites that are searched for a Python, in this order, with the Python that each is thought to have. Only the
/// archive's own word counts; a right guess here saves reading the lists of the other suites.
const SUITES: [(&str, Option<(u32, u32)>); 4] =
    [("trixie", Some((3, 13))), ("bookworm", Some((3, 11))), ("bullseye", Some((3, 9))), ("forky", None)];

impl Archive {
    /// The suite to resolve in.
    pub(super) async fn select(
        &self,
        suite: Option<&Suite>,
        python: Option<&PythonRequest>,
        platform: Platform,
    ) -> Result<OpenSuite> {
        let opener = self.opener()?;
        let Some(wanted) = python else {
            let suite = suite.map_or(DEFAULT_SUITE, |suite| suite.0.as_str());
            return opener.open(suite, platform, Extent::Full).await;
        };
        if let Some(suite) = suite {
            let open = opener.open(&suite.0, platform, Extent::Full).await?;
            let has = default_python(&open, platform)?;
            if has.as_deref().is_some_and(|version| answers(version, wanted)) {
                return Ok(open);
            }
            let mut available: Vec<_> =
                has.map(|version| (open.codename.clone(), version)).into_iter().collect();
            available.extend(self.search(wanted, platform, Some(&open.codename)).await?.available);
            return Err(Error::NoPython {
                wanted: wanted.to_string(),
                suite: Some(open.codename),
                available,
            });
        }
        match self.search(wanted, platform, None).await? {
            Search { found: Some(suite), .. } => opener.open(&suite, platform, Extent::Full).await,
            Search { available, unusable: Some(error), .. } if available.is_empty() => Err(error),
            Search { available, .. } => {
                Err(Error::NoPython { wanted: wanted.to_string(), suite: None, available })
            }
        }
    }

    /// Looks for the first suite that has the Python asked for.
    async fn search(
        &self,
        wanted: &PythonRequest,
        platform: Platform,
        except: Option<&str>,
    ) -> Result<Search> {
        let opener = self.opener()?;
        let mut suites: Vec<_> = SUITES.iter().filter(|(suite, _)| Some(*suite) != except).collect();
        suites.sort_by_key(|(_, guess)| *guess != Some((wanted.major, wanted.minor)));
        let mut search = Search::default();
        for (suite, _) in suites {
            let open = match opener.open(suite, platform, Extent::Main).await {
                Ok(open) => open,
                Err(Error::UnknownSuite { .. }) => continue,
                // One that cannot be trusted, or is not built for the platform, does not spoil the others.
                Err(error @ (Error::Release { .. } | Error::Signature { .. })) => {
                    tracing::debug!(suite, %error, "left out");
                    search.unusable.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(version) = default_python(&open, platform)? {
                if answers(&version, wanted) {
                    search.found = Some((*suite).to_owned());
                    break;
                }
                search.available.push(((*suite).to_owned(), version));
            }
        }
        Ok(search)
    }
}

/// What came of looking through the suites.
#[derive(Default)]
struct Search {
    found: Option<String>,
    /// The others that were looked at, and their Pythons.
    available: Vec<(String, String)>,
    /// Why the first of those that cannot be used cannot.
    unusable: Option<Error>,
}

fn answers(version: &str, wanted: &PythonRequest) -> bool {
    let wanted = wanted.to_string();
    version
        .strip_prefix(&wanted)
        .is_some_and(|rest| rest.is_empty() || !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The version of what `python3` stands for in a suite, e.g. `3.11.2`.
fn default_python(open: &OpenSuite, platform: Platform) -> Result<Option<String>> {
    let universe = Universe::new(&open.indexes, platform.architecture());
    let find = || -> std::result::Result<Option<String>, UniverseError> {
        let Some(minor) = universe.named("python3")?.first().and_then(|python| minor(python)) else {
            return Ok(None);
        };
        let library = universe.named(&library(&minor))?;
        Ok(library.first().map(|package| package.upstream_version()))
    };
    find().map_err(|error| Error::from_universe(error, &open.codename))
}

/// The interpreter in a set of packages; `None` where there is none.
pub(super) fn lock(packages: &[std::rc::Rc<Package>]) -> Option<PythonLock> {
    let find = |name: &str| packages.iter().find(|package| package.name == name);
    let minor = minor(find("python3")?)?;
    Some(PythonLock {
        version: find(&library(&minor))?.upstream_version(),
        executable: format!("/usr/bin/python{minor}"),
        glibc: glibc(packages)?,
        as_is: false,
    })
}

/// The version of the C library in a set of packages.
pub(super) fn glibc(packages: &[std::rc::Rc<Package>]) -> Option<String> {
    packages.iter().find(|package| package.name == "libc6").map(|package| package.upstream_version())
}

/// The version of the C library among packages of a lock; empty where there is none.
pub fn locked_glibc(packages: &[DebPackage]) -> String {
    let library = packages.iter().find(|package| package.name == "libc6");
    let version = library.map(|package| package.version.as_str()).unwrap_or_default();
    let upstream = version.split_once(':').map_or(version, |(_, version)| version);
    upstream.rsplit_once('-').map_or(upstream, |(version, _)| version).to_owned()
}

/// `3.11` of the package `python3` in version `3.11.2-1+b1`.
pub(super) fn minor(python3: &Package) -> Option<String> {
    let version = python3.upstream_version();
    let mut parts = version.split('.');
    Some(format!("{}.{}", parts.next()?, parts.next()?))
}

/// The package whose version is the interpreter's; `python3`'s own follows behind.
fn library(minor: &str) -> String {
    format!("libpython{minor}-minimal")
}

#[cfg(test)]
mod tests {
    use super::answers;

    #[test]
    fn a_minor_version_takes_any_patch_and_a_patch_only_itself() {
        assert!(answers("3.11.2", &"3.11".parse().unwrap()));
        assert!(answers("3.11.2", &"3.11.2".parse().unwrap()));
        assert!(!answers("3.11.2", &"3.1".parse().unwrap()));
        assert!(!answers("3.11.20", &"3.11.2".parse().unwrap()));
        assert!(answers("3.14.0rc2", &"3.14.0".parse().unwrap()));
    }
}
