//! Bundles of somebody who means ill, or who has something else by the same name: all digests fit, and what they say is not so.

use std::sync::OnceLock;

use fs_err::File;

use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::{IN_TOTO, LOCK, Layout, Setup, checks, verify};
use crate::support::{Done, Workspace, definition, serve};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const BUNDLE: &str = "application/vnd.provenv.bundle.v1+json";
const IMAGE: &str = "application/vnd.provenv.image.v1+json";
const ENVIRONMENT: &str = "application/vnd.provenv.environment.v1+json";

/// The bundle of a registered image, unpacked, so that a test may change it.
struct Bundle(Layout);

/// A bundle that somebody made and signed, and the public key.
struct Made {
    image: String,
    whole: Vec<u8>,
    key: String,
}

/// Made once for all tests that need no more of its maker.
fn made() -> Option<&'static Made> {
    static MADE: OnceLock<Option<Made>> = OnceLock::new();
    MADE.get_or_init(|| Some(Made::of(&Setup::signed()?))).as_ref()
}

impl Made {
    fn of(setup: &Setup) -> Self {
        setup.workspace.json(["env", "register", "environment.yaml"]);
        setup.workspace.json(["bundle", "export", "tea", "--to", "whole.tar"]);
        let key = setup.workspace.root().join("keys/release.pub");
        Self {
            image: setup.image.clone(),
            whole: fs_err::read(setup.path("whole.tar")).unwrap(),
            key: fs_err::read_to_string(key).unwrap_or_default(),
        }
    }

    /// It, unpacked into a folder of this workspace.
    fn unpacked(&self, workspace: &Workspace) -> Bundle {
        let folder = workspace.path().join("unpacked");
        let _ = fs_err::remove_dir_all(&folder);
        tar::Archive::new(&*self.whole).unpack(&folder).unwrap();
        Bundle(Layout(folder))
    }
}

impl Bundle {
    /// Packs it again, as `tea.tar` in the folder of a workspace.
    fn pack(&self, to: &Workspace) {
        let mut archive = tar::Builder::new(File::create(to.path().join("tea.tar")).unwrap());
        // A file with holes would be written in a form that bundles never have, and which is passed over.
        archive.sparse(false);
        archive.append_dir_all(".", &self.0.0).unwrap();
        archive.finish().unwrap();
    }

    fn part(&self, media_type: &str) -> Value {
        let referrer = self.0.referrer(BUNDLE);
        let layers = referrer["layers"].as_array().unwrap();
        let layer = layers.iter().find(|layer| layer["mediaType"] == media_type).unwrap();
        self.0.json(&layer["digest"])
    }

    fn set_part(&self, media_type: &str, value: &Value) {
        self.0.replace(BUNDLE, media_type, value.to_string().as_bytes());
    }

    /// Puts another image in the place of the one in it, about which all the rest of the bundle is then. Its lock stays.
    fn forge(&self) -> String {
        let mut index = self.0.index();
        let old = index["manifests"][0]["digest"].clone();
        let mut manifest = self.0.json(&old);
        manifest["annotations"] = json!({ "evil": "yes" });
        let put = self.0.put(MANIFEST, manifest.to_string().as_bytes());
        for key in ["digest", "size"] {
            index["manifests"][0][key] = put[key].clone();
        }
        for entry in index["manifests"].as_array_mut().unwrap().iter_mut().skip(1) {
            let mut referrer = self.0.json(&entry["digest"]);
            referrer["subject"] = put.clone();
            let moved = self.0.put(MANIFEST, referrer.to_string().as_bytes());
            for key in ["digest", "size"] {
                entry[key] = moved[key].clone();
            }
        }
        self.0.set_index(&index);
        let mut image = self.part(IMAGE);
        image["image"]["manifest"] = put["digest"].clone();
        image["image"]["manifest_size"] = put["size"].clone();
        self.set_part(IMAGE, &image);
        put["digest"].as_str().unwrap().to_owned()
    }
}

fn import(workspace: &Workspace, more: &[&str]) -> Done {
    let mut command = workspace.command();
    command.args(["-o", "json", "--offline", "bundle", "import", "tea.tar"]).args(more);
    command.output().unwrap().into()
}

/// Imports what must be refused, with these words in the message, and is not seen afterwards.
#[track_caller]
fn refused(workspace: &Workspace, more: &[&str], words: &[&str]) {
    let before =
        (workspace.json(["image", "list"]), workspace.json(["env", "list"]), workspace.json(["key", "list"]));
    let done = import(workspace, more);
    assert_eq!(done.code, 1, "{}{}", done.stdout, done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "no `{word}`: {}", done.stderr);
    }
    let after =
        (workspace.json(["image", "list"]), workspace.json(["env", "list"]), workspace.json(["key", "list"]));
    assert_eq!(before, after);
}

#[test]
fn an_image_of_this_workspace_is_not_replaced_by_another_of_the_same_lock() {
    let Some(setup) = Setup::signed() else { return };
    let bundle = Made::of(&setup).unpacked(&setup.workspace);
    let forged = bundle.forge();
    assert_ne!(forged, setup.image);
    bundle.pack(&setup.workspace);
    refused(&setup.workspace, &[], &[&forged, &setup.image]);
    assert_eq!(setup.workspace.json(["build", "tea:1"])["image"], setup.image);
    assert_eq!(setup.verify(&["tea:1"]).0, 0);
}

#[test]
fn who_has_locked_a_definition_gets_what_the_lock_makes_and_nothing_else() {
    let Some(setup) = Setup::new() else { return };
    let bundle = Made::of(&setup).unpacked(&setup.workspace);
    bundle.forge();
    // Locked from the same index, never built.
    let Some(other) = Workspace::new() else { return };
    fs_err::copy(setup.path("environment.yaml"), other.path().join("environment.yaml")).unwrap();
    other.json(["lock", "environment.yaml"]);
    bundle.pack(&other);
    refused(&other, &[], &["rebuild: comes out as", &setup.image]);
    assert_eq!(other.json(["build", "environment.yaml"])["image"], setup.image);
    // The true one is taken after it was made here once.
    fs_err::copy(setup.path("whole.tar"), other.path().join("tea.tar")).unwrap();
    let imported = import(&other, &[]).ok().json();
    assert_eq!(imported["images"][0]["image"], setup.image);
}

#[test]
fn an_image_is_taken_only_if_it_is_signed_or_made_again_where_that_is_asked_for() {
    let Some(made) = made() else { return };
    // A workspace with uv and nothing known of any of it.
    let Some(elsewhere) = Workspace::new() else { return };
    let key = elsewhere.write("release.pub", &made.key);
    let key = key.to_str().unwrap();
    elsewhere.json(["key", "new", "other", "--to", "."]);
    let forgery = made.unpacked(&elsewhere);
    forgery.forge();
    forgery.pack(&elsewhere);
    refused(&elsewhere, &["--key", key], &["subject: the signed provenance is about", &made.image]);
    refused(&elsewhere, &["--rebuild"], &["rebuild: comes out as", &made.image]);
    made.unpacked(&elsewhere).pack(&elsewhere);
    refused(&elsewhere, &["--key", "other.pub"], &["signature: it is signed by"]);
    elsewhere.write("policy.toml", &format!("keys = [\"{key}\"]\nbuilders = [\"https://ci.example\"]\n"));
    refused(&elsewhere, &["--policy", "policy.toml"], &["builder: built by"]);
    let imported = import(&elsewhere, &["--key", key, "--rebuild"]).ok().json();
    let checks = checks(&imported["images"][0], "passed");
    assert_eq!(checks, ["contents", "signature", "subject", "lock", "artifacts", "rebuild"]);
    assert_eq!(elsewhere.json(["env", "list"])[0]["name"], "tea");
}

#[test]
fn another_environment_by_the_same_name_stays_what_it_is() {
    let Some(made) = made() else { return };
    let Some(other) = Workspace::new() else { return };
    let packages = serve(&Index::new().add(Wheel::new("milk", "1.0").file("milk.py", "FAT = 3.5\n")));
    other.write("environment.yaml", &definition(&packages, "tea", &["milk"]));
    other.json(["env", "register", "environment.yaml"]);
    made.unpacked(&other).pack(&other);
    refused(&other, &[], &["`tea:1`", "--no-register"]);
    let before = other.json(["env", "show", "tea:1"]);
    let imported = import(&other, &["--no-register"]).ok().json();
    assert_eq!(imported["images"][0].get("environment"), None);
    assert_eq!(other.json(["env", "show", "tea:1"]), before);
    assert_eq!(other.json(["image", "list"])[0]["digest"], made.image);
    // Twice is once, with the name and without.
    import(&other, &["--no-register"]).ok();
    assert_eq!(other.json(["image", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn two_images_of_one_lock_are_one_too_many() {
    let Some(made) = made() else { return };
    let elsewhere = Workspace::empty();
    let bundle = made.unpacked(&elsewhere);
    let before = bundle.0.index()["manifests"].as_array().unwrap().clone();
    bundle.forge();
    let mut index = bundle.0.index();
    let entries = index["manifests"].as_array_mut().unwrap();
    let new: Vec<Value> = entries.iter().filter(|entry| !before.contains(entry)).cloned().collect();
    *entries = before.into_iter().chain(new).collect();
    bundle.0.set_index(&index);
    bundle.pack(&elsewhere);
    refused(&elsewhere, &[], &["two images of one lock"]);
}

#[test]
fn an_index_that_lists_a_record_again_and_again_lists_it_once() {
    let Some(made) = made() else { return };
    let elsewhere = Workspace::empty();
    let bundle = made.unpacked(&elsewhere);
    let index = bundle.0.index();
    let entries = index["manifests"].as_array().unwrap().clone();
    let listing = |entries: Vec<Value>| {
        let mut index = index.clone();
        index["manifests"] = Value::Array(entries);
        bundle.0.set_index(&index);
        bundle.pack(&elsewhere);
    };
    // Another record of the same image, and more than anybody has.
    let mut record = bundle.0.referrer(BUNDLE);
    record["annotations"] = json!({ "another": "one" });
    let another = bundle.0.put(MANIFEST, record.to_string().as_bytes());
    listing([&*entries, &[another]].concat());
    refused(&elsewhere, &[], &["two records of one image", &made.image]);
    let digest = |number: u32| Digest::of(&number.to_be_bytes()).to_string();
    let more =
        (0..10_000).map(|number| json!({ "mediaType": MANIFEST, "digest": digest(number), "size": 2 }));
    listing(entries.iter().cloned().chain(more).collect());
    refused(&elsewhere, &[], &["its index lists more than 10000 manifests"]);

    listing(entries.iter().cycle().take(entries.len() * 50).cloned().collect());
    let imported = import(&elsewhere, &[]).ok().json();
    let images = imported["images"].as_array().unwrap();
    assert_eq!((images.len(), &images[0]["image"]), (1, &json!(made.image)), "{imported}");
    let signatures = elsewhere.json(["image", "provenance", &made.image]);
    assert_eq!(signatures["subject"].as_array().unwrap().len(), 1);
    // What its packages say of themselves came with it: nothing is left out for want of that.
    let told = |workspace: &Workspace| {
        let done = workspace.run(["image", "sbom", &made.image, "--format", "cyclonedx"]).ok();
        assert_eq!(done.stderr, "");
        done.stdout
    };
    assert!(told(&elsewhere).contains("\"licenses\""));
}

#[test]
fn names_that_nobody_may_register_are_not_registered_by_a_bundle_either() {
    let Some(made) = made() else { return };
    let elsewhere = Workspace::empty();
    for (name, version, word) in [
        ("../../tea", "1", "name"),
        ("", "1", "name"),
        ("tea", "../1", "version"),
        ("tea", "", "version"),
        ("azureml-tea", "1", "reserved"),
        ("tea\u{1b}[31m", "1", "name"),
    ] {
        let bundle = made.unpacked(&elsewhere);
        let mut registered = bundle.part(ENVIRONMENT);
        registered["name"] = json!(name);
        registered["version"] = json!(version);
        registered["environment"]["name"] = json!(name);
        bundle.set_part(ENVIRONMENT, &registered);
        bundle.pack(&elsewhere);
        refused(&elsewhere, &[], &[word]);
    }
    let bundle = made.unpacked(&elsewhere);
    let mut registered = bundle.part(ENVIRONMENT);
    registered["name"] = json!("coffee");
    bundle.set_part(ENVIRONMENT, &registered);
    bundle.pack(&elsewhere);
    refused(&elsewhere, &[], &["another name"]);
}

#[test]
fn a_record_that_does_not_fit_together_is_refused() {
    let Some(made) = made() else { return };
    let elsewhere = Workspace::empty();
    let tampered = |change: &dyn Fn(&Bundle), words: &[&str]| {
        let bundle = made.unpacked(&elsewhere);
        change(&bundle);
        bundle.pack(&elsewhere);
        refused(&elsewhere, &[], words);
    };
    // Another wheel in the lock; the receipt still names the old one.
    let other_lock = |bundle: &Bundle| {
        let text = bundle.part(LOCK).to_string().replace("tea-1.0-py3", "tea-6.6-py3");
        bundle.0.replace(BUNDLE, LOCK, text.as_bytes());
    };
    tampered(&other_lock, &["lock"]);
    let other_definition = |bundle: &Bundle| {
        let kind = "application/vnd.provenv.definition.v1+json";
        let text = bundle.part(kind).to_string().replace("\"tea\"", "\"milk\"");
        bundle.0.replace(BUNDLE, kind, text.as_bytes());
    };
    tampered(&other_definition, &["definition"]);
    let other_platform = |bundle: &Bundle| {
        let mut image = bundle.part(IMAGE);
        let here = image["image"]["platform"].as_str().unwrap().to_owned();
        let there = if here == "linux/amd64" { "linux/arm64" } else { "linux/amd64" };
        image["image"]["platform"] = json!(there);
        bundle.set_part(IMAGE, &image);
    };
    tampered(&other_platform, &["not what its manifest says"]);
    let other_layers = |bundle: &Bundle| {
        let mut image = bundle.part(IMAGE);
        image["image"]["layers"].as_array_mut().unwrap().pop();
        bundle.set_part(IMAGE, &image);
    };
    tampered(&other_layers, &["not what its manifest says"]);
    let lost_wheel = |bundle: &Bundle| {
        let referrer = bundle.0.referrer(BUNDLE);
        let wheel = referrer["layers"]
            .as_array()
            .unwrap()
            .iter()
            .find(|layer| {
                let title = &layer["annotations"]["org.opencontainers.image.title"];
                title.as_str().is_some_and(|title| title.starts_with("tea-"))
            })
            .unwrap();
        fs_err::remove_file(bundle.0.blob(&wheel["digest"])).unwrap();
    };
    tampered(&lost_wheel, &["it has no sha256:"]);
}

#[test]
fn tricks_with_paths_links_and_sizes_bring_nothing_and_write_nowhere() {
    let Some(made) = made() else { return };
    let elsewhere = Workspace::empty();
    let bundle = made.unpacked(&elsewhere);
    let whole = &made.whole;
    let secret = elsewhere.write("secret", "hunter2\n");

    let mut archive = tar::Builder::new(File::create(elsewhere.path().join("tea.tar")).unwrap());
    let mut entry = |name: &str, kind: tar::EntryType, link: Option<&str>, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        // The crate refuses such names; those who mean ill do not ask it.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o6777);
        header.set_size(bytes.len() as u64);
        if let Some(link) = link {
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        }
        header.set_cksum();
        archive.append(&header, bytes).unwrap();
    };
    let regular = tar::EntryType::Regular;
    entry("../outside", regular, None, b"evil");
    entry("/tmp/provenv-outside", regular, None, b"evil");
    entry("blobs/sha256/../../../outside", regular, None, b"evil");
    let linked = format!("blobs/sha256/{}", Digest::of(b"hunter2\n").hex());
    entry(&linked, tar::EntryType::Symlink, Some(secret.to_str().unwrap()), b"");
    entry(&linked, tar::EntryType::Link, Some("../../secret"), b"");
    entry("index.json", tar::EntryType::Symlink, Some("/etc/passwd"), b"");
    entry("blobs", tar::EntryType::Fifo, None, b"");
    drop(archive);
    refused(&elsewhere, &[], &["no index.json"]);
    assert!(
        !elsewhere.path().join("outside").exists()
            && !elsewhere.path().parent().unwrap().join("outside").exists()
    );
    let store = elsewhere.root().join("store/blobs");
    let files = walkdir::WalkDir::new(store).into_iter().filter_map(Result::ok);
    assert_eq!(files.filter(|entry| entry.file_type().is_file()).count(), 0);

    // A header that promises more than there is, and one that promises less than the blob has.
    for size in ["77777777777", "00000000001"] {
        let mut lied = whole.clone();
        let place = lied.windows(13).position(|bytes| bytes == b"blobs/sha256/").unwrap();
        let place = (place..lied.len() - 13)
            .step_by(512)
            .find(|place| lied[*place..].starts_with(b"blobs/sha256/") && lied[place + 13] != 0)
            .unwrap();
        lied[place + 124..place + 135].copy_from_slice(size.as_bytes());
        lied[place + 148..place + 156].fill(b' ');
        let sum: u32 = lied[place..place + 512].iter().map(|byte| u32::from(*byte)).sum();
        lied[place + 148..place + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        fs_err::write(elsewhere.path().join("tea.tar"), lied).unwrap();
        refused(&elsewhere, &[], &["tea.tar"]);
    }

    // A record that nobody's memory would hold.
    let huge = bundle.0.0.join("huge");
    File::create(&huge).unwrap().set_len(65 << 20).unwrap();
    let digest = Digest::of(&fs_err::read(&huge).unwrap());
    fs_err::rename(&huge, bundle.0.0.join("blobs/sha256").join(digest.hex())).unwrap();
    let mut index = bundle.0.index();
    let entries = index["manifests"].as_array_mut().unwrap();
    let entry = entries.iter_mut().find(|entry| entry["artifactType"] == BUNDLE).unwrap();
    let mut referrer = bundle.0.json(&entry["digest"]);
    let layers = referrer["layers"].as_array_mut().unwrap();
    let lock = layers.iter_mut().find(|layer| layer["mediaType"] == LOCK).unwrap();
    lock["digest"] = json!(digest);
    lock["size"] = json!(65 << 20);
    let put = bundle.0.put(MANIFEST, referrer.to_string().as_bytes());
    entry["digest"] = put["digest"].clone();
    bundle.0.set_index(&index);
    bundle.pack(&elsewhere);
    refused(&elsewhere, &[], &["larger than it can be"]);
}

#[test]
fn a_bundle_cannot_claim_a_private_file_by_its_digest() {
    let Some(made) = made() else { return };
    let elsewhere = Workspace::empty();
    let bundle = made.unpacked(&elsewhere);
    // A file that is in the other's store for another reason.
    let private = b"a private wheel\n";
    let hex = Digest::of(private).hex();
    let place = elsewhere.root().join("store/blobs/sha256").join(&hex[..2]);
    elsewhere.json(["store", "stats"]);
    fs_err::create_dir_all(&place).unwrap();
    fs_err::write(place.join(&hex[2..]), private).unwrap();
    let named = json!({ "mediaType": "text/plain", "digest": Digest::of(private), "size": private.len() });
    let mut index = bundle.0.index();
    let entries = index["manifests"].as_array_mut().unwrap();
    let entry = entries.iter_mut().find(|entry| entry["artifactType"] == IN_TOTO).unwrap();
    let mut proof = bundle.0.json(&entry["digest"]);
    proof["layers"].as_array_mut().unwrap().push(named);
    let put = bundle.0.put(MANIFEST, proof.to_string().as_bytes());
    entry["digest"] = put["digest"].clone();
    entry["size"] = put["size"].clone();
    bundle.0.set_index(&index);
    bundle.pack(&elsewhere);
    let imported = import(&elsewhere, &[]).ok().json();
    assert_eq!(imported["images"][0]["proofs"], 1, "the record alone: {imported}");
    // Nor with an empty file by its name.
    fs_err::write(bundle.0.0.join("blobs/sha256").join(&hex), b"").unwrap();
    bundle.pack(&elsewhere);
    refused(&elsewhere, &[], &["tea.tar", &hex]);
}

#[test]
fn what_came_in_a_bundle_is_signed_by_its_maker_or_after_it_was_made_here() {
    let Some(made) = made() else { return };
    let Some(elsewhere) = Workspace::new() else { return };
    made.unpacked(&elsewhere).pack(&elsewhere);
    import(&elsewhere, &[]).ok();
    elsewhere.json(["key", "new", "release"]);
    let done = elsewhere.run(["image", "sign", "tea:1", "--key", "release"]);
    assert!(done.code == 1 && done.stderr.contains("--rebuild"), "{}{}", done.stdout, done.stderr);
    assert_eq!(verify(&elsewhere, &["tea:1"]).0, 1);
    assert_eq!(verify(&elsewhere, &["tea:1", "--rebuild", "--offline"]).0, 0);
    elsewhere.json(["image", "sign", "tea:1", "--key", "release"]);
    assert_eq!(verify(&elsewhere, &["tea:1"]).0, 0);
}
