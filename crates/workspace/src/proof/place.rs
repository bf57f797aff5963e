//! Where an image that is to be checked is.

use std::path::{Path, PathBuf};

use provenv_definition::Digest;
use provenv_image::export::Destination;
use provenv_registry::Reference;

use crate::{Error, Result};

/// Where an image that is to be checked is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImagePlace {
    /// In this workspace: an environment, a file, a digest.
    Here(String),
    /// In a folder with an OCI layout.
    Layout(PathBuf, Option<String>),
    /// In a registry.
    Registry(Reference, Option<Digest>),
}

impl ImagePlace {
    /// Reads `oci:DIR[:TAG]`, `docker://HOST/NAME[:TAG|@DIGEST]`, the same without `docker://` where it can be nothing else,
    /// and what stands for an image of the workspace; paths count from `folder`.
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Self> {
        if text.starts_with("oci:") {
            let Destination::OciLayout { path, tag } = Destination::parse(text)?.at(folder) else {
                return Ok(Self::Here(text.to_owned()));
            };
            return Ok(Self::Layout(path, tag));
        }
        if text.starts_with("oci-archive:") || text.starts_with("docker-archive:") {
            return Err(Error::Arguments {
                message: format!("`{text}` is an archive, which holds no proofs"),
                hint: "check the image in the workspace, in a registry, or in a folder: oci:DIR:TAG"
                    .to_owned(),
            });
        }
        let bare = text.strip_prefix("docker://");
        if bare.is_none() && !looks_remote(text, folder) {
            return Ok(Self::Here(text.to_owned()));
        }
        let bare = bare.unwrap_or(text);
        match bare.split_once('@') {
            Some((name, digest)) => {
                let digest = digest.parse().map_err(|_| Error::Arguments {
                    message: format!("`{digest}` is not a digest"),
                    hint: "write HOST/NAME@sha256: and 64 digits".to_owned(),
                })?;
                Ok(Self::Registry(name.parse()?, Some(digest)))
            }
            None => Ok(Self::Registry(bare.parse()?, None)),
        }
    }
}

/// Whether `text` names a host before its first `/`, and no file.
fn looks_remote(text: &str, folder: &Path) -> bool {
    let host = text.split_once('/').map(|(host, _)| host);
    let is_host = |host: &str| {
        host == "localhost"
            || (host.contains(['.', ':'])
                && host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['))
    };
    host.is_some_and(is_host) && !folder.join(text).exists()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::ImagePlace;

    #[test]
    fn files_layouts_and_registries_are_told_apart() {
        let parse = |text: &str| ImagePlace::parse(text, Path::new("/nowhere")).unwrap();
        for text in [
            "digits",
            "digits:1",
            "./environment.yaml",
            "team/environment.yaml",
            "/tmp/x.y/e.yaml",
            "sha256:0123",
        ] {
            assert_eq!(parse(text), ImagePlace::Here(text.to_owned()));
        }
        assert!(
            matches!(parse("oci:image:v1"), ImagePlace::Layout(path, Some(_)) if path == Path::new("/nowhere/image"))
        );
        let digest = format!("localhost:5000/team/digits@sha256:{}", "0".repeat(64));
        for text in ["localhost:5000/digits:1", "docker://registry.example/digits", digest.as_str()] {
            assert!(matches!(parse(text), ImagePlace::Registry(..)), "{text}");
        }
        assert!(ImagePlace::parse("docker://digits", Path::new("/")).is_err());
        assert!(ImagePlace::parse("localhost/digits@sha256:12", Path::new("/")).is_err());
        assert!(ImagePlace::parse("oci-archive:x.tar", Path::new("/")).is_err());
    }
}
