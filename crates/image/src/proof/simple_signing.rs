//! Cosign's other signature, of the image's digest alone: what `cosign verify` and the policies of podman and skopeo
//! (`sigstoreSigned`) ask for.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use provenv_definition::Digest;
use serde::Serialize;

use super::artifact::Part;
use super::key::{KeyError, SigningKey};

/// The payload's media type.
pub const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// What a signature is as a referrer.
pub const ARTIFACT_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// The annotation of the layer that holds the signature.
pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

#[derive(Serialize)]
struct Payload<'a> {
    critical: Critical<'a>,
    optional: Option<()>,
}

#[derive(Serialize)]
struct Critical<'a> {
    identity: Identity<'a>,
    image: Image<'a>,
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Identity<'a> {
    docker_reference: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Image<'a> {
    docker_manifest_digest: &'a Digest,
}

/// A signature by `key` that `image` is what is called `identity` (`HOST/NAME`, without a tag).
pub fn sign(key: &SigningKey, image: &Digest, identity: &str) -> Result<Part, KeyError> {
    let payload = Payload {
        critical: Critical {
            identity: Identity { docker_reference: identity },
            image: Image { docker_manifest_digest: image },
            r#type: "cosign container image signature",
        },
        optional: None,
    };
    let bytes = serde_json::to_vec(&payload).expect("a payload is plain data");
    let signature = BASE64_STANDARD.encode(key.sign(&bytes)?);
    Ok(Part {
        media_type: PAYLOAD_TYPE.to_owned(),
        bytes,
        annotations: [(SIGNATURE.to_owned(), signature)].into(),
    })
}
