//! The statement: in-toto Statement v1 with SLSA provenance v1, field by field as their specifications name them.

use std::collections::BTreeMap;

use provenv_definition::{Digest, Platform, VirtualPackage};
use serde::{Deserialize, Serialize};

/// in-toto Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// SLSA provenance v1.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// What a statement is in an envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// How these images are made: `docs/design/provenance.md` says what the parameters mean.
pub const BUILD_TYPE: &str = "https://provenv.dev/build/v1";
/// The builder, where the settings name no other: somebody's own machine.
pub const LOCAL_BUILDER: &str = "https://provenv.dev/builder/local";
/// How the URI of a base begins that the steps of a Dockerfile made; the digest of its manifest follows.
pub(super) const DOCKERFILE: &str = "urn:provenv:base:dockerfile:";

/// Something that is said of images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// Of which images.
    pub subject: Vec<Resource>,
    /// [`PREDICATE_TYPE`].
    pub predicate_type: String,
    /// What.
    pub predicate: Provenance,
}

/// SLSA provenance v1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// What was asked for and what came in.
    pub build_definition: BuildDefinition,
    /// Who built.
    pub run_details: RunDetails,
}

/// What was asked for and what came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDefinition {
    /// [`BUILD_TYPE`].
    pub build_type: String,
    /// What a user asked for.
    pub external_parameters: ExternalParameters,
    /// What the builder decided.
    pub internal_parameters: InternalParameters,
    /// The lock, the indexes that were asked, and every artifact.
    #[serde(default)]
    pub resolved_dependencies: Vec<Resource>,
}

/// What a user asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalParameters {
    /// The definition.
    pub definition: StatedDefinition,
    /// What the image is for.
    pub platform: Platform,
    /// Only what indexes had at that time was chosen from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<jiff::Timestamp>,
    /// What the target was said to have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub virtual_packages: Vec<VirtualPackage>,
    /// The lock was given as a file, and which indexes it was resolved from is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lock_from_file: bool,
    /// Another than the builder resolved the lock: where the receipt was taken from that says when and from which indexes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_taken_from: Option<TakenFrom>,
}

/// Where a receipt was taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TakenFrom {
    /// The repository of a shared cache, the URL of a workspace on a server, or the file name of a bundle.
    pub place: String,
    /// The key that had signed it, and that the builder trusted; without one, whoever may write there stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<Digest>,
}

/// The definition, and its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatedDefinition {
    /// `sha256`: the definition digest (`docs/reference/digest.md`), which is not that of the JSON.
    pub digest: BTreeMap<String, String>,
    /// The definition as the catalogue keeps it.
    pub content: serde_json::Value,
}

/// What the builder decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InternalParameters {
    /// Which rules the image was assembled by, where that is still known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assembly_epoch: Option<u32>,
    /// How its layers are compressed, where it is not gzip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// The most layers that it was allowed, where somebody said how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layers: Option<u8>,
}

/// Who built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunDetails {
    /// Who.
    pub builder: Builder,
    /// When.
    pub metadata: Metadata,
    /// What came of it besides: the receipt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub byproducts: Vec<Resource>,
}

/// Who built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builder {
    /// Whom one trusts or does not.
    pub id: String,
    /// Tools and their versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub version: BTreeMap<String, String>,
}

/// When.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The receipt's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation_id: Option<String>,
    /// When the artifacts were chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_on: Option<jiff::Timestamp>,
}

/// in-toto's ResourceDescriptor v1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is, credentials taken off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Its digests by algorithm.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
    /// What kind of file it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// `kind` of those in [`BuildDefinition::resolved_dependencies`], and what there is to say besides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Resource {
    /// Its sha256, if it has a sound one.
    pub fn sha256(&self) -> Option<Digest> {
        Digest::from_hex(self.digest.get("sha256")?).ok()
    }

    /// Whether it is a base that the steps of a Dockerfile made.
    pub fn is_of_dockerfile(&self) -> bool {
        self.uri.as_deref().is_some_and(|uri| uri.starts_with(DOCKERFILE))
    }

    /// What kind of dependency it is.
    pub fn kind(&self) -> Option<&str> {
        self.annotations.get("kind").map(String::as_str)
    }
}

/// A digest as in-toto writes it.
pub fn digest_set(digest: &Digest) -> BTreeMap<String, String> {
    [("sha256".to_owned(), digest.hex())].into()
}

impl Statement {
    /// The payload: JSON, two-space indented, a final newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a statement is plain data");
        bytes.push(b'\n');
        bytes
    }

    /// Whether it says something of `image`.
    pub fn is_about(&self, image: &Digest) -> bool {
        self.subject.iter().any(|subject| subject.sha256().as_ref() == Some(image))
    }
}
