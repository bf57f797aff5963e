//! Programs of others verify what we signed, from the same bytes.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{Setup, payload, program, signed_bytes};
use crate::support::{Done, have, skip};

#[test]
fn openssl_verifies_the_same_bytes() {
    if !have("openssl") {
        return;
    }
    let Some(setup) = Setup::new() else { return };
    let workspace = &setup.workspace;
    for kind in ["ed25519", "ecdsa-p256"] {
        workspace.json(["key", "new", kind, "--to", ".", "--type", kind]);
        workspace.json(["image", "sign", "environment.yaml", "--key", &format!("{kind}.key")]);
    }
    let layout = setup.layout("image");
    let index = layout.index();
    let entries = index["manifests"].as_array().unwrap().iter();
    let attestations: Vec<_> = entries.filter(|entry| entry["artifactType"] == super::IN_TOTO).collect();
    assert_eq!(attestations.len(), 2);
    let mut verified = 0;
    for attestation in attestations {
        let envelope = layout.json(&layout.json(&attestation["digest"])["layers"][0]["digest"]);
        let signature = BASE64_STANDARD.decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap();
        fs_err::write(setup.path("signature"), &signature).unwrap();
        fs_err::write(setup.path("signed"), signed_bytes(&envelope)).unwrap();
        fs_err::write(setup.path("other"), payload(&envelope)).unwrap();
        // Ed25519's are of 64 bytes; ECDSA's are in ASN.1.
        let ed25519 = signature.len() == 64;
        let check = |file: &str| {
            if ed25519 {
                let arguments =
                    ["pkeyutl", "-verify", "-pubin", "-inkey", "ed25519.pub", "-rawin", "-in", file];
                program(workspace, "openssl", &[&arguments[..], &["-sigfile", "signature"]].concat()).code
            } else {
                let arguments =
                    ["dgst", "-sha256", "-verify", "ecdsa-p256.pub", "-signature", "signature", file];
                program(workspace, "openssl", &arguments).code
            }
        };
        assert_eq!(check("signed"), 0);
        assert_ne!(check("other"), 0, "the payload alone is not what is signed");
        verified += 1;
    }
    assert_eq!(verified, 2);
}

/// A Python with packages from PyPI, made once; `None` (said aloud) where they cannot be had.
fn python() -> Option<PathBuf> {
    if !have("python3") {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("proof-python");
    let lock = fs_err::File::create(folder.with_extension("lock")).unwrap();
    lock.file().lock().unwrap();
    let python = folder.join("bin/python");
    let ready = folder.join("ready");
    if !ready.exists() {
        let _ = fs_err::remove_dir_all(&folder);
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).output().unwrap();
        let packages = ["securesystemslib==1.3.0", "cryptography>=44", "in-toto-attestation==0.9.3"];
        let installed = Command::new(&python).args(["-m", "pip", "install", "-q"]).args(packages).output();
        if !installed.as_ref().is_ok_and(|installed| installed.status.success()) {
            skip(&format!("securesystemslib cannot be installed: {made:?} {installed:?}"));
            return None;
        }
        fs_err::write(ready, "").unwrap();
    }
    Some(python)
}

/// Verifies the envelope with each public key and reads the payload by in-toto's own definitions of statement and predicate,
/// which refuse fields that they do not know.
const SCRIPT: &str = r#"
import json, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

envelope = json.load(open(sys.argv[1]))
keyid = envelope["signatures"][0]["keyid"]
def check(envelope, pem):
    key = SSlibKey.from_crypto(load_pem_public_key(open(pem, "rb").read()), keyid=keyid)
    return Envelope.from_dict(json.loads(json.dumps(envelope))).verify([key], 1)
assert check(envelope, sys.argv[2])
for wrong in (dict(envelope, payloadType="application/json"), dict(envelope, payload=envelope["payload"][:-8] + "QUFBQUE=")):
    try:
        check(wrong, sys.argv[2])
    except VerificationError:
        continue
    raise SystemExit("a changed envelope was verified")
payload = Envelope.from_dict(json.loads(json.dumps(envelope))).payload
message = json_format.Parse(payload, statement_pb2.Statement())
statement = Statement.copy_from_pb(message)
statement.validate()
predicate = json_format.ParseDict(json_format.MessageToDict(message.predicate), provenance_pb2.Provenance())
assert predicate.build_definition.build_type == "https://provenv.dev/build/v1"
assert len(predicate.build_definition.resolved_dependencies) > 10
assert predicate.run_details.metadata.started_on.seconds > 0
for dependency in predicate.build_definition.resolved_dependencies:
    assert dependency.uri or dependency.digest
print(message.subject[0].digest["sha256"])
"#;

#[test]
fn securesystemslib_verifies_the_envelope_and_in_toto_reads_the_statement() {
    let Some(python) = python() else { return };
    let Some(setup) = Setup::new() else { return };
    let workspace = &setup.workspace;
    for kind in ["ed25519", "ecdsa-p256"] {
        workspace.json(["key", "new", kind, "--to", ".", "--type", kind]);
        let signed = workspace.json(["image", "sign", "environment.yaml", "--key", &format!("{kind}.key")]);
        let layout = setup.layout("image");
        let envelope = fs_err::read(layout.blob(&signed["envelope"])).unwrap();
        fs_err::write(setup.path("envelope.json"), envelope).unwrap();
        let mut script = Command::new(&python);
        script.args(["-c", SCRIPT, "envelope.json"]).arg(format!("{kind}.pub")).current_dir(workspace.path());
        let done = Done::from(script.output().unwrap()).ok();
        assert_eq!(done.stdout.trim(), &setup.image[7..]);
    }
}
