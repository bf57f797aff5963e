//! What a path asks for.

use provenv_definition::Digest;

use super::failure::{Code, Failure};
use super::name::{self, RepositoryName, Tag, TagOrDigest};

/// What a path stands for, below `/v2/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`: whether this is a registry, and who may use it.
    Base,
    /// `/token`: a token for a name and a password.
    Token,
    /// `/v2/_catalog`: the repositories.
    Catalog,
    /// A manifest of a repository.
    Manifest(RepositoryName, TagOrDigest),
    /// A blob of a repository.
    Blob(RepositoryName, Digest),
    /// Where uploads to a repository begin.
    Uploads(RepositoryName),
    /// An upload to a repository that has begun.
    Upload(RepositoryName, String),
    /// The tags of a repository.
    Tags(RepositoryName),
    /// The manifests of a repository that have this one as their subject.
    Referrers(RepositoryName, Digest),
}

impl Route {
    /// Reads a path. Names of repositories hold slashes, so it is read from its end.
    pub fn parse(path: &str) -> Result<Self, Failure> {
        match path {
            "/v2" | "/v2/" => return Ok(Self::Base),
            "/token" => return Ok(Self::Token),
            "/v2/_catalog" => return Ok(Self::Catalog),
            _ => {}
        }
        let unknown = || Failure::new(404, Code::Unsupported, "there is nothing at this path");
        let parts: Vec<&str> = path.strip_prefix("/v2/").ok_or_else(unknown)?.split('/').collect();
        // Some clients escape the colon of a digest. In a repository's name nothing needs it.
        let last = parts.last().copied().unwrap_or_default();
        let last = percent_encoding::percent_decode_str(last).decode_utf8().unwrap_or(last.into());
        let named = |parts: &[&str]| repository(&parts.join("/"));
        match &parts[..] {
            [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] if !name.is_empty() => {
                Ok(Self::Uploads(named(name)?))
            }
            [name @ .., "blobs", "uploads", id] if !name.is_empty() => {
                Ok(Self::Upload(named(name)?, (*id).to_owned()))
            }
            [name @ .., "blobs", _] if !name.is_empty() => Ok(Self::Blob(named(name)?, parsed(&last)?)),
            [name @ .., "manifests", _] if !name.is_empty() => {
                Ok(Self::Manifest(named(name)?, tag_or_digest(&last)?))
            }
            [name @ .., "tags", "list"] if !name.is_empty() => Ok(Self::Tags(named(name)?)),
            [name @ .., "referrers", _] if !name.is_empty() => {
                Ok(Self::Referrers(named(name)?, parsed(&last)?))
            }
            _ => Err(unknown()),
        }
    }

    /// The repository, if it is about one.
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Base | Self::Token | Self::Catalog => None,
            Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Tags(name)
            | Self::Referrers(name, _) => Some(name),
        }
    }
}

/// A repository's name that a client gave.
pub(super) fn repository(text: &str) -> Result<RepositoryName, Failure> {
    RepositoryName::new(text).ok_or_else(|| {
        Failure::new(400, Code::NameInvalid, format!("`{text}` cannot be the name of a repository"))
            .because("names are of a-z, 0-9 and single `.`, `_`, `-` between them, in parts joined by `/`")
    })
}

/// A digest that a client gave.
pub(super) fn parsed(text: &str) -> Result<Digest, Failure> {
    name::digest(text).ok_or_else(|| {
        Failure::new(400, Code::DigestInvalid, format!("`{text}` is not a digest that is kept here"))
            .because("digests are sha256: and 64 hexadecimal digits in lower case")
    })
}

fn tag_or_digest(text: &str) -> Result<TagOrDigest, Failure> {
    if text.contains(':') {
        return Ok(TagOrDigest::Digest(parsed(text)?));
    }
    Tag::new(text).map(TagOrDigest::Tag).ok_or_else(|| {
        Failure::new(400, Code::TagInvalid, format!("`{text}` cannot be a tag")).because(
            "tags are of letters, digits, `_`, `.` and `-`, at most 128, and begin with none of the last two",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        RepositoryName::new(text).unwrap()
    }

    #[test]
    fn paths_are_read_from_their_end() {
        let digest = Digest::of(b"");
        let tag = |text: &str| TagOrDigest::Tag(Tag::new(text).unwrap());
        for (path, route) in [
            ("/v2/".to_owned(), Route::Base),
            ("/v2".to_owned(), Route::Base),
            ("/v2/_catalog".to_owned(), Route::Catalog),
            ("/v2/a/b/manifests/1".to_owned(), Route::Manifest(name("a/b"), tag("1"))),
            (format!("/v2/a/manifests/{digest}"), Route::Manifest(name("a"), TagOrDigest::Digest(digest))),
            // Words of the specification may be parts of names.
            ("/v2/a/blobs/manifests/uploads".to_owned(), Route::Manifest(name("a/blobs"), tag("uploads"))),
            ("/v2/tags/list/tags/list".to_owned(), Route::Tags(name("tags/list"))),
            (format!("/v2/a/blobs/{digest}"), Route::Blob(name("a"), digest)),
            ("/v2/a/blobs/uploads".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads/id".to_owned(), Route::Upload(name("a"), "id".to_owned())),
            (format!("/v2/a/referrers/{digest}"), Route::Referrers(name("a"), digest)),
            (format!("/v2/a/blobs/sha256%3A{}", digest.hex()), Route::Blob(name("a"), digest)),
            ("/v2/a/manifests/%31".to_owned(), Route::Manifest(name("a"), tag("1"))),
        ] {
            assert_eq!(Route::parse(&path).ok(), Some(route), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_of_the_specification_is_refused_with_its_code() {
        for (path, status, code) in [
            ("/", 404, Code::Unsupported),
            ("/v2/a", 404, Code::Unsupported),
            ("/v2/manifests/1", 404, Code::Unsupported),
            ("/v2/A/manifests/1", 400, Code::NameInvalid),
            ("/v2/a//b/manifests/1", 400, Code::NameInvalid),
            ("/v2/a/../b/manifests/1", 400, Code::NameInvalid),
            ("/v2/a/manifests/.hidden", 400, Code::TagInvalid),
            ("/v2/a/manifests/sha256:00", 400, Code::DigestInvalid),
            ("/v2/a/blobs/md5:00", 400, Code::DigestInvalid),
            ("/v2/a%2fb/tags/list", 400, Code::NameInvalid),
            ("/v2/a/manifests/a%2fb", 400, Code::TagInvalid),
            ("/v2/a/manifests/%ff", 400, Code::TagInvalid),
            ("/v2/a/blobs/sha256%3a00", 400, Code::DigestInvalid),
        ] {
            let failure = Route::parse(path).unwrap_err();
            assert_eq!((failure.status(), failure.code()), (status, code), "{path}");
        }
    }
}
