//! Where an image is in a registry, or goes to: `HOST[:PORT]/NAME[:TAG]`.

use std::fmt;
use std::str::FromStr;

use provenv_definition::Digest;

/// A name in a registry, with a tag or, where it is pulled from, a digest.
///
/// Where it is pushed to, unlike docker's, it always names its registry: nothing is ever pushed to a public one for want of
/// a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub(crate) inner: oci_client::Reference,
}

/// A text that names no place in a registry.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The first part cannot be a host.
    #[error("`{0}` does not name a registry")]
    NoRegistry(String),
    /// A digest follows from the image; it cannot be asked for.
    #[error("`{0}` has a digest, and a push needs a tag")]
    Digest(String),
    /// Digests of other algorithms name nothing that could be checked here.
    #[error("`{0}` has a digest that is not a sha256")]
    OtherDigest(String),
    /// The grammar of the OCI distribution specification does not allow it.
    #[error("`{text}` is not a reference")]
    Malformed {
        /// What was given.
        text: String,
        /// Why.
        source: oci_client::ParseError,
    },
}

impl ReferenceError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::OtherDigest(_) => "name the image by its tag, or by `@sha256:…`".to_owned(),
            _ => "write HOST/NAME:TAG, such as localhost:5000/digits:1".to_owned(),
        })
    }
}

impl Reference {
    /// The registry's host, with its port if one was given.
    pub fn registry(&self) -> &str {
        self.inner.registry()
    }

    /// The name of the repository in the registry.
    pub fn repository(&self) -> &str {
        self.inner.repository()
    }

    /// The tag; `latest` where none was given.
    pub fn tag(&self) -> &str {
        self.inner.tag().unwrap_or("latest")
    }

    /// An image to pull, as docker reads it: without a registry it is Docker Hub's, and it may have a digest.
    pub fn to_pull(text: &str) -> Result<Self, ReferenceError> {
        let malformed = |source| ReferenceError::Malformed { text: text.to_owned(), source };
        let inner: oci_client::Reference = text.parse().map_err(malformed)?;
        match inner.digest().map(str::parse::<Digest>) {
            Some(Err(_)) => Err(ReferenceError::OtherDigest(text.to_owned())),
            _ => Ok(Self { inner }),
        }
    }

    /// The digest, if it has one.
    pub fn digest(&self) -> Option<Digest> {
        self.inner.digest().and_then(|digest| digest.parse().ok())
    }

    /// Where the registry answers: Docker Hub does so under another name.
    pub(crate) fn host(&self) -> &str {
        match self.registry() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            registry => registry,
        }
    }

    /// The same image where `mirror`, `HOST[:PORT][/PREFIX]`, has it.
    pub(crate) fn at(&self, mirror: &str) -> Result<Self, ReferenceError> {
        let version = self.to_string();
        let version = version.strip_prefix(&format!("{}/{}", self.registry(), self.repository()));
        let text = format!("{mirror}/{}{}", self.repository(), version.unwrap_or_default());
        let host = mirror.split('/').next().unwrap_or_default();
        if host != "localhost" && !host.contains(['.', ':']) {
            return Err(ReferenceError::NoRegistry(text));
        }
        Self::to_pull(&text)
    }

    /// `HOST/NAME@DIGEST`: the name that never comes to mean anything else.
    pub fn with_digest(&self, digest: &Digest) -> String {
        format!("{}/{}@{digest}", self.registry(), self.repository())
    }

    /// Whether the registry is on this machine, where plain HTTP is usual.
    pub(crate) fn is_local(&self) -> bool {
        let registry = self.registry();
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        host == "localhost"
            || host == "[::1]"
            || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let host = text.split_once('/').map(|(host, _)| host);
        if !host.is_some_and(|host| host == "localhost" || host.contains(['.', ':'])) {
            return Err(ReferenceError::NoRegistry(text.to_owned()));
        }
        let inner: oci_client::Reference =
            text.parse().map_err(|source| ReferenceError::Malformed { text: text.to_owned(), source })?;
        if inner.digest().is_some() {
            return Err(ReferenceError::Digest(text.to_owned()));
        }
        Ok(Self { inner })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry(), self.repository())?;
        match (self.inner.tag(), self.inner.digest()) {
            (tag, None) => write!(f, ":{}", tag.unwrap_or("latest")),
            (Some(tag), Some(digest)) => write!(f, ":{tag}@{digest}"),
            (None, Some(digest)) => write!(f, "@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn what_is_pulled_is_read_as_docker_reads_it() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, whole) in [
            ("python", "docker.io/library/python:latest".to_owned()),
            ("python:3.12-slim", "docker.io/library/python:3.12-slim".to_owned()),
            ("team/x:1", "docker.io/team/x:1".to_owned()),
            ("localhost:5000/x:1", "localhost:5000/x:1".to_owned()),
            (&format!("h.test/a/b@{digest}"), format!("h.test/a/b@{digest}")),
            (&format!("h.test/a/b:1@{digest}"), format!("h.test/a/b:1@{digest}")),
        ] {
            let reference = Reference::to_pull(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(reference.to_string(), whole);
            assert_eq!(Reference::to_pull(&whole).unwrap(), reference);
        }
        let mirrored = Reference::to_pull("python:3.12").unwrap().at("mirror.test:5000/hub").unwrap();
        assert_eq!(mirrored.to_string(), "mirror.test:5000/hub/library/python:3.12");
        for text in ["", "Python", "h.test/x@sha256:ab", &format!("x@sha512:{}", "0".repeat(128)), "a b"] {
            assert!(Reference::to_pull(text).is_err(), "{text}");
        }
        assert!(Reference::to_pull("python").unwrap().at("mirror").is_err());
    }

    #[test]
    fn a_registry_is_always_named() {
        for (text, same, local) in [
            ("localhost/digits", "localhost/digits:latest", true),
            ("localhost:5000/a/b:1.0", "localhost:5000/a/b:1.0", true),
            ("127.0.0.1:5000/digits:1", "127.0.0.1:5000/digits:1", true),
            ("registry.invalid/team/digits:v2", "registry.invalid/team/digits:v2", false),
        ] {
            let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(reference.to_string(), same);
            assert_eq!(reference.is_local(), local, "{text}");
        }
        let digest = format!("localhost/x@sha256:{}", "0".repeat(64));
        for text in [
            "digits",
            "digits:1",
            "team/digits:1",
            "localhost/",
            "localhost/Digits",
            "localhost/x:a b",
            &digest,
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
