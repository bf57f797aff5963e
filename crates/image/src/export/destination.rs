//! Where an image goes, in the words that skopeo and podman use: `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`,
//! `docker-archive:FILE[:REFERENCE]`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A place in the file system to export an image to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A folder in OCI's image layout. Other images in it stay.
    OciLayout {
        /// The folder.
        path: PathBuf,
        /// The image's name in it.
        tag: Option<String>,
    },
    /// An OCI image layout in one tar file.
    OciArchive {
        /// The file.
        path: PathBuf,
        /// The image's name in it.
        tag: Option<String>,
    },
    /// A tar file as `docker save` writes it.
    DockerArchive {
        /// The file.
        path: PathBuf,
        /// The name and tag under which it will be loaded, e.g. `digits:1`.
        reference: Option<String>,
    },
}

/// A text that names no destination.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// No known transport before the first colon.
    #[error("`{0}` does not say what to export to")]
    Transport(String),
    /// Nothing after the transport.
    #[error("`{0}` names no file or folder")]
    Path(String),
    /// The part after the path cannot be a tag.
    #[error("`{0}` is not a tag")]
    Tag(String),
    /// The part after the path cannot be a name with a tag.
    #[error("`{0}` is not the name of an image")]
    Reference(String),
}

impl DestinationError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Transport(_) | Self::Path(_) => {
                "write oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME:TAG]".to_owned()
            }
            Self::Tag(_) => "a tag has up to 128 letters, digits, `_`, `.` and `-`".to_owned(),
            Self::Reference(_) => "write a lower-case name and a tag, such as digits:1".to_owned(),
        })
    }
}

impl Destination {
    /// The same, its path counted from `folder`.
    #[must_use]
    pub fn at(mut self, folder: &Path) -> Self {
        let (Self::OciLayout { path, .. } | Self::OciArchive { path, .. } | Self::DockerArchive { path, .. }) =
            &mut self;
        *path = folder.join(&path);
        self
    }

    /// Gives a docker archive without a name this one, if it can be one.
    pub fn name(&mut self, name: &str) {
        if let Self::DockerArchive { reference: named @ None, .. } = self {
            *named = reference(name).ok();
        }
    }

    /// Reads `transport:path[:tag]`. The path ends at the next colon.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        let (transport, rest) =
            text.split_once(':').ok_or_else(|| DestinationError::Transport(text.to_owned()))?;
        let (path, name) = match rest.split_once(':') {
            Some((path, name)) => (path, Some(name)),
            None => (rest, None),
        };
        let transport = match transport {
            "oci" | "oci-archive" | "docker-archive" => transport,
            _ => return Err(DestinationError::Transport(text.to_owned())),
        };
        if path.is_empty() {
            return Err(DestinationError::Path(text.to_owned()));
        }
        let path = PathBuf::from(path);
        Ok(match transport {
            "docker-archive" => Self::DockerArchive { path, reference: name.map(reference).transpose()? },
            "oci" => Self::OciLayout { path, tag: name.map(tag).transpose()? },
            _ => Self::OciArchive { path, tag: name.map(tag).transpose()? },
        })
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, path, name) = match self {
            Self::OciLayout { path, tag } => ("oci", path, tag),
            Self::OciArchive { path, tag } => ("oci-archive", path, tag),
            Self::DockerArchive { path, reference } => ("docker-archive", path, reference),
        };
        write!(f, "{transport}:{}", path.display())?;
        match name {
            Some(name) => write!(f, ":{name}"),
            None => Ok(()),
        }
    }
}

/// OCI distribution specification, "Pulling manifests".
fn is_tag(text: &str) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    first && text.len() <= 128 && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

fn tag(text: &str) -> Result<String, DestinationError> {
    if is_tag(text) { Ok(text.to_owned()) } else { Err(DestinationError::Tag(text.to_owned())) }
}

/// `name` or `name:tag`, completed with `latest`.
fn reference(text: &str) -> Result<String, DestinationError> {
    let (name, tag) = match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (text, "latest"),
    };
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && part.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-:".contains(c))
    };
    if is_tag(tag) && name.split('/').all(part) {
        Ok(format!("{name}:{tag}"))
    } else {
        Err(DestinationError::Reference(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Destination;

    #[test]
    fn what_people_write_is_understood() {
        for (text, same) in [
            ("oci:out", "oci:out"),
            ("oci:/tmp/out:v1.2", "oci:/tmp/out:v1.2"),
            ("oci-archive:a b.tar:latest", "oci-archive:a b.tar:latest"),
            ("docker-archive:x.tar", "docker-archive:x.tar"),
            ("docker-archive:x.tar:digits", "docker-archive:x.tar:digits:latest"),
            ("docker-archive:x.tar:digits:1", "docker-archive:x.tar:digits:1"),
            (
                "docker-archive:x.tar:localhost:5000/a/digits",
                "docker-archive:x.tar:localhost:5000/a/digits:latest",
            ),
        ] {
            let parsed = Destination::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(parsed.to_string(), same);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            "",
            "out",
            "oci:",
            "oci::v1",
            "tar:out",
            "oci:out:",
            "oci:out:a/b",
            "oci:out:.hidden",
            "docker-archive:x.tar:Digits:1",
            "docker-archive:x.tar:a//b",
            "docker-archive:x.tar:digits:",
        ] {
            assert!(Destination::parse(text).is_err(), "{text}");
        }
    }
}
