//! Secrets for steps that ask for them: `RUN --mount=type=secret,id=…`. They count for nothing: neither what is locked nor what is
//! looked up depends on them, and they are kept nowhere.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use provenv_definition::Recipe;

use super::failure::DockerfileError;
use crate::{Error, Result};

/// Engines take no larger one.
const LARGEST: usize = 500 << 10;
/// What is shorter is a word like any other, and hiding it would say what it is.
const SHORTEST: usize = 4;

/// Where a secret is: `id=token,src=FILE` or `id=token,env=VARIABLE`, as docker and buildah have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildSecret {
    id: String,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Variable(String),
}

impl FromStr for BuildSecret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut id, mut place) = (None, None);
        // A path may hold a comma, so it is the last field.
        let mut rest = text;
        while let Some((key, value)) = rest.split_once('=') {
            let last = matches!(key, "src" | "source");
            let (value, more) = if last { (value, "") } else { value.split_once(',').unwrap_or((value, "")) };
            match key {
                "id" if id.is_none() => id = Some(value.to_owned()),
                "src" | "source" if place.is_none() => place = Some(Place::File(PathBuf::from(value))),
                "env" if place.is_none() => place = Some(Place::Variable(value.to_owned())),
                _ => return Err(format!("`{key}` is not what a secret has, or is there twice")),
            }
            rest = more;
        }
        let plain = |id: &String| {
            !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        match (id.filter(plain), place) {
            (Some(id), Some(place)) if rest.is_empty() => Ok(Self { id, place }),
            _ => Err("write `id=NAME,src=FILE` or `id=NAME,env=VARIABLE`".to_owned()),
        }
    }
}

/// A secret that is there.
#[derive(Clone)]
pub(super) struct Secret {
    id: String,
    value: Vec<u8>,
}

/// Never its value.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Those of the `given` secrets that steps of `recipe` ask for.
pub(super) fn asked_for(recipe: &Recipe, given: &[BuildSecret]) -> Result<Vec<Secret>> {
    if let Some(line) = recipe.ssh {
        return Err(DockerfileError::Ssh { line }.into());
    }
    let mut found: Vec<Secret> = Vec::new();
    for mount in &recipe.secrets {
        let Some(secret) = given.iter().rfind(|secret| secret.id == mount.id) else {
            if mount.required {
                return Err(DockerfileError::NoSecret { id: mount.id.clone(), line: mount.line }.into());
            }
            continue;
        };
        if !found.iter().any(|known| known.id == secret.id) {
            found.push(secret.read()?);
        }
    }
    Ok(found)
}

impl BuildSecret {
    fn read(&self) -> Result<Secret> {
        let failed = |reason: String| Error::from(DockerfileError::Secret { id: self.id.clone(), reason });
        let value = match &self.place {
            Place::File(path) => fs_err::read(path).map_err(|error| failed(error.to_string()))?,
            Place::Variable(name) => std::env::var_os(name)
                .map(std::os::unix::ffi::OsStringExt::into_vec)
                .ok_or_else(|| failed(format!("the variable `{name}` is not set")))?,
        };
        if value.len() > LARGEST {
            return Err(failed(format!("it has more than {LARGEST} bytes")));
        }
        Ok(Secret { id: self.id.clone(), value })
    }
}

impl Secret {
    /// Writes it where only this user reads it; the argument that hands it to the engine, whose working folder is `folder`.
    pub fn hand_over(&self, number: usize, folder: &Path) -> std::io::Result<String> {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        use std::io::Write as _;
        let name = format!("secret-{number}");
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(folder.join(&name))?.write_all(&self.value)?;
        Ok(format!("id={},src={name}", self.id))
    }

    /// What of it must not be shown: each of its lines.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let text = String::from_utf8_lossy(&self.value).into_owned();
        let lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        lines.into_iter().filter(|line| line.len() >= SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_as_docker_does() {
        let secret = |id: &str, place| Ok(BuildSecret { id: id.to_owned(), place });
        assert_eq!("id=t,src=/a,b=c".parse(), secret("t", Place::File("/a,b=c".into())));
        assert_eq!("env=TOKEN,id=t.1".parse(), secret("t.1", Place::Variable("TOKEN".to_owned())));
        for wrong in
            ["", "t", "id=t", "src=/a", "id=,src=/a", "id=a b,src=/a", "id=t,file=/a", "id=t,env=A,junk"]
        {
            assert!(wrong.parse::<BuildSecret>().is_err(), "{wrong}");
        }
    }
}
