//! What can go wrong with keys, signatures and images that are to be checked.

use std::path::PathBuf;

use provenv_definition::Digest;
use provenv_image::proof::KeyError;

/// What can go wrong with keys, signatures and images that are to be checked.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// A file that holds no key we can use.
    #[error("`{file}` cannot be used as a key")]
    Key {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// A key that is there already.
    #[error("there is a key `{}` already", .0.display())]
    KeyExists(PathBuf),
    /// A name that is none.
    #[error("`{0}` is not a name for a key")]
    KeyName(String),
    /// No such key.
    #[error("there is no key `{0}`, neither as a file nor in this workspace")]
    NoKey(String),
    /// No new key.
    #[error("no key could be made")]
    Generate(#[source] KeyError),
    /// Nothing to check signatures with.
    #[error("there is no public key to check signatures with")]
    NoKeys,
    /// The record of an image has a gap.
    #[error("what `{image}` was made from is not on record: there is no {what}")]
    NoRecord {
        /// The image.
        image: Digest,
        /// What is missing.
        what: &'static str,
    },
    /// An image whose bytes are gone.
    #[error("image {0} was collected: its provenance is known, and there is nothing to sign or push")]
    Collected(Digest),
    /// An image that came in a bundle.
    #[error("image {0} was not made here, so there is nothing that this workspace can say of its making")]
    MadeElsewhere(Digest),
    /// A layout without the image.
    #[error("`{place}` holds {}", if *.found == 0 { "no image" } else { "several images" })]
    NotOne {
        /// The layout, with the tag that was asked for.
        place: String,
        /// How many.
        found: usize,
    },
    /// An index of several platforms.
    #[error("`{0}` is an index of images for several platforms")]
    Index(String),
    /// A manifest that is none.
    #[error("the manifest of `{0}` cannot be read")]
    Manifest(String, #[source] serde_json::Error),
    /// A registry does not have it.
    #[error("there is no image `{0}` in the registry")]
    NotInRegistry(String),
    /// Nothing to make it again from.
    #[error("`{0}` cannot be made again: its lock is neither in this workspace nor attached to it")]
    NoLock(String),
}

impl ProofError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Key { source, .. } => source.hint(),
            Self::KeyExists(_) => Some("give the new one another name, or another folder with --to".into()),
            Self::KeyName(_) => Some("a name has letters, digits, `_`, `-` and `.`".into()),
            Self::NoKey(_) => {
                Some("`provenv key new` makes one, `provenv key list` shows those there are".into())
            }
            Self::NoKeys => Some("name one with --key, or in the policy".into()),
            Self::MadeElsewhere(_) => {
                Some("`provenv image verify IMAGE --rebuild` makes it here; then it can be signed".into())
            }
            Self::Collected(_) => Some("build it again: it comes out the same".into()),
            Self::NotOne { found: 0, .. } => {
                Some("write oci:DIR:TAG with a tag that is in its index.json".into())
            }
            Self::NotOne { .. } => Some("say which: oci:DIR:TAG".into()),
            Self::Index(_) => Some("name the image of one platform by its digest: HOST/NAME@sha256:…".into()),
            Self::NoLock(_) => Some("`provenv image push` of a signed image attaches its lock".into()),
            Self::Generate(_) | Self::NoRecord { .. } | Self::Manifest(..) | Self::NotInRegistry(_) => None,
        }
    }

    /// Whether it is the arguments that are wrong.
    pub(crate) fn is_of_arguments(&self) -> bool {
        matches!(self, Self::Key { .. } | Self::KeyName(_) | Self::NoKey(_) | Self::NoKeys)
    }
}
