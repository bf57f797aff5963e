//! One spelling for things that every tool takes for the same, so that they have one digest.
//!
//! It is brought about when a file is read, not when a definition is hashed: what was registered keeps the digest that it
//! was given.

use crate::conda::by_name;
use crate::{Base, CondaSpec, Definition, conda};

/// Names of Docker's own registry, which is meant where a reference names none.
const DOCKER_HUB: &[&str] = &["docker.io/", "index.docker.io/"];

/// Brings `definition`, as it was read, to the usual spelling.
pub(crate) fn unify(definition: &mut Definition) {
    if let Base::Image { reference } = &mut definition.base {
        *reference = familiar(reference).to_owned();
    }
    for channel in &mut definition.conda.channels {
        *channel = by_name(channel.clone());
    }
    let alias = conda::default_alias().to_string();
    for package in definition.conda.packages.iter_mut().filter(|package| package.spec.contains(&alias)) {
        if let Ok(mut spec) = package.spec.parse::<CondaSpec>() {
            spec.channel = spec.channel.map(by_name);
            package.spec = spec.to_string();
        }
    }
}

/// `python:3.11` for `docker.io/library/python:3.11`, as Docker shows it.
fn familiar(reference: &str) -> &str {
    let Some(path) = DOCKER_HUB.iter().find_map(|host| reference.strip_prefix(host)) else {
        return official(reference);
    };
    // `docker.io/host.test/a` would name another registry without its beginning.
    let first = path.split('/').next().unwrap_or_default();
    let is_host = path.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    if is_host { reference } else { official(path) }
}

/// Official images stand in a folder of their own, which nobody names.
fn official(reference: &str) -> &str {
    match reference.strip_prefix("library/") {
        Some(name) if !name.is_empty() && !name.contains('/') => name,
        _ => reference,
    }
}

#[cfg(test)]
mod tests {
    use super::familiar;

    #[test]
    fn images_of_docker_hub_have_one_name() {
        for (given, expected) in [
            ("python:3.11", "python:3.11"),
            ("docker.io/library/python:3.11", "python:3.11"),
            ("index.docker.io/library/python:3.11", "python:3.11"),
            ("docker.io/python:3.11", "python:3.11"),
            ("library/python@sha256:aa", "python@sha256:aa"),
            ("docker.io/team/image", "team/image"),
            ("docker.io/host.test/image", "docker.io/host.test/image"),
            ("library/a/b", "library/a/b"),
            ("host.test/library/python:3.11", "host.test/library/python:3.11"),
            ("mcr.microsoft.com/azureml/base", "mcr.microsoft.com/azureml/base"),
        ] {
            assert_eq!(familiar(given), expected);
        }
    }
}
