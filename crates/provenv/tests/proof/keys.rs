//! `provenv key`, and keys that openssl made.

use std::os::unix::fs::PermissionsExt as _;

use super::{Setup, program};
use crate::support::{Done, Workspace, have};

#[test]
fn a_private_key_is_its_owners_and_openssl_reads_both_halves() {
    let workspace = Workspace::empty();
    for (kind, name) in [("ed25519", "ED25519"), ("ecdsa-p256", "P-256")] {
        let key = workspace.json(["key", "new", kind, "--to", "keys", "--type", kind]);
        assert_eq!(key["type"], kind);
        let private = workspace.path().join(format!("keys/{kind}.key"));
        assert_eq!(fs_err::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
        let secret = fs_err::read_to_string(&private).unwrap();
        let secret = secret.lines().nth(1).unwrap();
        assert!(!key.to_string().contains(secret), "the private half is never shown");
        if have("openssl") {
            let (private, public) = (private.to_str().unwrap(), private.with_extension("pub"));
            let derived = program(&workspace, "openssl", &["pkey", "-in", private, "-pubout"]).ok().stdout;
            assert_eq!(derived, fs_err::read_to_string(&public).unwrap());
            let shown =
                program(&workspace, "openssl", &["pkey", "-in", private, "-noout", "-text"]).ok().stdout;
            assert!(shown.contains(name), "{shown}");
            let id = format!("openssl pkey -pubin -in {} -outform DER | sha256sum", public.display());
            let id = program(&workspace, "sh", &["-c", &id]).ok().stdout;
            assert_eq!(key["id"].as_str().unwrap()[7..], id[..64]);
        }
    }
}

#[test]
fn no_key_is_replaced_and_bad_names_are_refused() {
    let workspace = Workspace::empty();
    let key = workspace.json(["key", "new", "release"]);
    let listed = workspace.json(["key", "list"]);
    assert_eq!((&listed[0]["id"], listed.as_array().unwrap().len()), (&key["id"], 1));
    let pem = workspace.run(["key", "show", "release", "--pem"]).ok().stdout;
    assert_eq!(pem, fs_err::read_to_string(workspace.root().join("keys/release.pub")).unwrap());
    let again = workspace.run(["key", "new", "release"]);
    assert!(again.code == 1 && again.stderr.contains("already"), "{}", again.stderr);
    assert_eq!(workspace.json(["key", "list"]), listed);
    for name in ["../release", "", ".hidden", "a/b"] {
        let refused = workspace.run(["key", "new", name]);
        assert!(refused.code == 2 && refused.stderr.contains("hint:"), "{name}: {}", refused.stderr);
    }
    assert_eq!(workspace.run(["key", "show", "nobody"]).code, 2);
}

#[test]
fn a_name_means_the_key_of_the_workspace_whatever_files_there_are() {
    let Some(setup) = Setup::new() else { return };
    let workspace = &setup.workspace;
    workspace.json(["key", "new", "release"]);
    workspace.json(["image", "sign", "environment.yaml", "--key", "release"]);
    // Somebody else's key, in the folder that one happens to work in.
    workspace.json(["key", "new", "other", "--to", "."]);
    fs_err::rename(setup.path("other.pub"), setup.path("release")).unwrap();
    assert_eq!(setup.verify(&["environment.yaml", "--key", "release"]).0, 0);
    assert_eq!(setup.verify(&["environment.yaml", "--key", "./release"]).0, 1);
    let shown = |key: &str| workspace.json(["key", "show", key])["id"].clone();
    assert_eq!(shown("release"), workspace.json(["key", "list"])[0]["id"]);
    assert_ne!(shown("release"), shown("./release"));
}

#[test]
fn what_an_old_key_signed_is_not_believed_once_it_is_taken_away() {
    let Some(setup) = Setup::signed() else { return };
    let workspace = &setup.workspace;
    workspace.json(["key", "new", "next"]);
    fs_err::rename(workspace.root().join("keys/release.pub"), setup.path("release.pub")).unwrap();
    let (code, verified) = setup.verify(&["environment.yaml"]);
    assert_eq!((code, super::checks(&verified, "failed")), (1, vec!["signature".to_owned()]), "{verified}");
    workspace.json(["image", "sign", "environment.yaml", "--key", "next"]);
    assert_eq!(setup.verify(&["environment.yaml"]).0, 0);
    // Both signatures are there, for whoever trusts either.
    assert_eq!(setup.verify(&["environment.yaml", "--key", "release.pub"]).0, 0);
}

#[test]
fn a_private_key_that_others_can_read_is_remarked_on() {
    let Some(setup) = Setup::new() else { return };
    let workspace = &setup.workspace;
    workspace.json(["key", "new", "ci", "--to", "."]);
    let sign = || workspace.run(["image", "sign", "environment.yaml", "--key", "ci.key"]).ok().stderr;
    assert!(!sign().contains("others"));
    let open = std::fs::Permissions::from_mode(0o644);
    fs_err::set_permissions(setup.path("ci.key"), open).unwrap();
    let said = sign();
    assert!(said.contains("ci.key") && said.contains("chmod 600"), "{said}");
}

#[test]
fn keys_that_openssl_made_sign_and_encrypted_ones_come_through_standard_input() {
    if !have("openssl") {
        return;
    }
    let Some(setup) = Setup::new() else { return };
    let workspace = &setup.workspace;
    let openssl = |arguments: &[&str]| program(workspace, "openssl", arguments).ok();
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", "one.key"]);
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "two.key"]);
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-out", "three.key"]);
    for key in ["one", "two", "three"] {
        let (private, public) = (format!("{key}.key"), format!("{key}.pub"));
        openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
        workspace.json(["image", "sign", "environment.yaml", "--key", &private]);
        assert_eq!(setup.verify(&["environment.yaml", "--key", &public]).0, 0, "{key}");
    }
    openssl(&["pkcs8", "-topk8", "-in", "one.key", "-out", "one.enc", "-passout", "pass:hunter2"]);
    let refused = workspace.run(["image", "sign", "environment.yaml", "--key", "one.enc"]);
    assert!(refused.code == 2 && refused.stderr.contains("is encrypted"), "{}", refused.stderr);
    let through = format!(
        "openssl pkey -in one.enc -passin pass:hunter2 | {} image sign environment.yaml --key -",
        env!("CARGO_BIN_EXE_provenv")
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &through]).current_dir(workspace.path()).env("PROVENV_WORKSPACE", workspace.root());
    let signed: Done = shell.output().unwrap().into();
    assert!(signed.ok().stdout.contains("was signed by this key already"), "Ed25519 signs alike each time");
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", "other.key"]);
    workspace.write("none.key", "tea\n");
    for (key, why) in [
        ("other.key", "neither an Ed25519"),
        ("none.key", "no key in PEM"),
        ("one.pub", "a private key is needed"),
    ] {
        let refused = workspace.run(["image", "sign", "environment.yaml", "--key", key]);
        assert!(refused.code == 2 && refused.stderr.contains(why), "{key}: {}", refused.stderr);
    }
}
