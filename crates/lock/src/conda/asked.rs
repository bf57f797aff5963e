//! Whether locked packages are those that a definition asks for.

use provenv_definition::{CondaRequirements, Platform, PythonRequest};
use rattler_conda_types::{PackageName, Version};

use super::CondaConfig;
use super::request::Request;
use crate::asked::{differs, missing};
use crate::{CondaPackage, InvalidLock};

/// Whether each spec that `asked` has for `platform` is met by one of `packages`, by name, version and build. What the solver
/// could not read is left to whoever solves.
pub(crate) fn check_asked(
    asked: &CondaRequirements,
    python: Option<&PythonRequest>,
    platform: Platform,
    config: &CondaConfig,
    packages: &[CondaPackage],
) -> Result<(), InvalidLock> {
    let Ok(request) = Request::new(asked, python, false, platform, config) else { return Ok(()) };
    let find = |name: &str| packages.iter().find(|package| package.name == name);
    for spec in &request.specs {
        let name = spec.name.as_exact().map(PackageName::as_normalized);
        let Some(name) = name.filter(|name| !name.starts_with("__")) else { continue };
        let Some(found) = find(name) else { return Err(missing(spec)) };
        let version = spec.version.as_ref();
        let has_version = version.is_none_or(|asked| {
            found.version.parse::<Version>().is_ok_and(|version| asked.matches(&version))
        });
        let has_build = spec.build.as_ref().is_none_or(|asked| asked.matches(&found.build))
            && spec.build_number.as_ref().is_none_or(|asked| asked.matches(&found.build_number));
        if !has_version || !has_build {
            return Err(differs(spec, &format!("{} {}", found.version, found.build)));
        }
    }
    for spec in &request.archives {
        let Some(found) = find(&spec.name) else { return Err(missing(spec)) };
        let is_it = match (&spec.sha256, &spec.md5, &found.md5) {
            (Some(sha256), ..) => *sha256 == found.artifact.sha256,
            (None, Some(asked), Some(md5)) => asked == md5,
            _ => true,
        };
        if !is_it {
            return Err(differs(spec, &found.artifact.sha256.to_string()));
        }
    }
    Ok(())
}
