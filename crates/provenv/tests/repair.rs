//! A bit that flips on disk is found, never used, and mended from where the bytes came.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use provenv_definition::Digest;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use crate::support::{Done, PYTHON, Workspace, definition, serve};

fn wheel(name: &str) -> Wheel {
    let mut random = fastrand::Rng::with_seed(name.len() as u64);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(20_000).collect();
    Wheel::new(name, "1.0")
        .file(&format!("{name}/__init__.py"), format!("NAME = '{name}'\n"))
        .file(&format!("{name}/noise.bin"), noise)
}

fn index() -> Index {
    ["one", "two", "three"].iter().fold(Index::new(), |index, name| index.add(wheel(name)))
}

/// The blobs of a workspace by the digits of their digests.
fn blobs(workspace: &Workspace) -> BTreeMap<String, PathBuf> {
    let folder = workspace.root().join("store/blobs/sha256");
    let files = walkdir::WalkDir::new(&folder).into_iter().filter_map(Result::ok);
    files
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(&folder).unwrap().to_str().unwrap().replace('/', "");
            (name, entry.into_path())
        })
        .collect()
}

/// Flips a bit of a blob, in a file of its own: those of the base are linked to the seed's.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs_err::read(path).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 0x10;
    fs_err::remove_file(path).unwrap();
    fs_err::write(path, &bytes).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o444)).unwrap();
}

fn scrub(workspace: &Workspace, arguments: &[&str]) -> (i32, Value) {
    let mut command = workspace.command();
    command.args(["-o", "json"]).args(arguments);
    let done = Done::from(command.output().unwrap());
    (done.code, done.json())
}

fn assert_all_right(workspace: &Workspace) {
    for (name, path) in blobs(workspace) {
        assert_eq!(Digest::of(&fs_err::read(&path).unwrap()).hex(), name);
    }
}

#[test]
fn every_kind_of_blob_is_repaired() {
    let server = serve(&index());
    let Some(workspace) = Workspace::new() else { return };
    let before = blobs(&workspace);
    workspace.write("tea.yaml", &definition(&server, "tea", &["one", "two"]));
    workspace.json(["env", "register", "tea.yaml"]);
    let image = workspace.json(["build", "tea"])["image"].as_str().unwrap().to_owned();
    let after = blobs(&workspace);
    // All that was made and fetched for it; of the base a layer that is made again.
    let layers = workspace.json(["image", "show", "tea"])["layers"].clone();
    let base_layer = layers[0]["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    let mut damaged: Vec<&String> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    damaged.push(after.get_key_value(&base_layer).unwrap().0);
    // A page of the index, for example, is nothing that the image is made of.
    for (number, name) in damaged.iter().enumerate() {
        flip(&after[*name], 997 * (number + 1));
    }

    let (code, found) = scrub(&workspace, &["store", "scrub"]);
    let corrupt = found["corrupt"].as_array().unwrap();
    assert_eq!((code, corrupt.len()), (1, damaged.len()), "{found}");
    assert!(corrupt.iter().all(|blob| blob["state"] == "moved_aside"), "{found}");
    let manifest = corrupt.iter().find(|blob| blob["digest"] == *image).unwrap();
    assert_eq!(manifest["needed_by"], json!(["tea:1"]));
    // Without a network there is nothing to make it of, and nothing that was moved aside is used.
    let offline = workspace.run(["--offline", "build", "tea"]);
    assert_eq!(offline.code, 1, "{}", offline.stdout);

    // And repair says that it did not ask, rather than that something is lost.
    let (code, found) = scrub(&workspace, &["--offline", "store", "scrub", "--repair"]);
    let state = |what: &str| {
        let corrupt = found["corrupt"].as_array().unwrap();
        corrupt.iter().find(|blob| blob["what"] == what).map(|blob| blob["state"].clone())
    };
    assert_eq!((code, state("one-1.0-py3-none-any.whl")), (1, Some(json!("moved_aside"))), "{found}");
    assert!(!found.to_string().contains("\"lost\""), "{found}");

    let fetched = server.hits("/files/one-1.0-py3-none-any.whl");
    let (code, found) = scrub(&workspace, &["store", "scrub", "--repair"]);
    assert_eq!((code, found["corrupt"].as_array().unwrap().len()), (0, damaged.len()), "{found}");
    let by_name = |what: &str| found["corrupt"].as_array().unwrap().iter().find(|blob| blob["what"] == what);
    let wheel = by_name("one-1.0-py3-none-any.whl").unwrap();
    assert_eq!(wheel["state"], "repaired");
    assert!(wheel["reason"].as_str().unwrap().starts_with("fetched from http://127.0.0.1"), "{wheel}");
    assert_eq!(server.hits("/files/one-1.0-py3-none-any.whl"), fetched + 1);
    for blob in found["corrupt"].as_array().unwrap() {
        assert_eq!(blob["state"] == "not_needed", blob["needed_by"] == json!([]), "{blob}");
    }
    assert_all_right(&workspace);
    let built = workspace.json(["--offline", "build", "tea"]);
    assert_eq!((&built["image"], &built["cached"]), (&json!(image), &json!(true)));
    workspace.run(["--offline", "run", "tea", "--", "python", "-c", "import one, two"]).ok();
    // What segments were repaired is as good as new for others too.
    assert_eq!(workspace.json(["build", "tea", "--force"])["reproduced"], true);
    let (code, found) = scrub(&workspace, &["store", "scrub", "--repair"]);
    assert_eq!((code, &found["corrupt"]), (0, &json!([])));
}

#[test]
fn what_other_forms_are_joined_of_is_repaired_too() {
    let server = serve(&index());
    let Some(workspace) = Workspace::new() else { return };
    workspace.write("tea.yaml", &definition(&server, "tea", &["one", "two"]));
    workspace.json(["env", "register", "tea.yaml"]);
    workspace.json(["build", "tea"]);
    for form in ["zstd", "estargz"] {
        let before = blobs(&workspace);
        let image = workspace.json(["build", "tea", "--compression", form])["image"].clone();
        let after = blobs(&workspace);
        // The image itself is whole, and nobody looks at what it was joined of.
        let shown = workspace.json(["image", "show", image.as_str().unwrap()]).to_string();
        let made = after.keys().filter(|name| !before.contains_key(*name) && !shown.contains(*name));
        let damaged: Vec<&String> = made.collect();
        assert!(form != "zstd" || damaged.len() > 1, "{damaged:?}");
        for name in &damaged {
            flip(&after[*name], 997);
        }
        let (code, found) = scrub(&workspace, &["store", "scrub", "--repair"]);
        assert_eq!((code, found["corrupt"].as_array().unwrap().len()), (0, damaged.len()), "{form}: {found}");
        assert_all_right(&workspace);
        let again = workspace.json(["build", "tea", "--compression", form, "--force"]);
        assert_eq!((&again["image"], &again["reproduced"]), (&image, &json!(true)));
    }
}

#[test]
fn nothing_corrupt_is_used_before_it_is_found() {
    let server = serve(&index());
    let (Some(workspace), Some(clean)) = (Workspace::new(), Workspace::new()) else { return };
    for place in [&workspace, &clean] {
        // The base stays through collections, as it would have to come from Debian again.
        place.write("base.yaml", &format!("name: base\npython: \"{PYTHON}\"\n"));
        place.json(["env", "register", "base.yaml"]);
        place.json(["build", "base"]);
        place.write("first.yaml", &definition(&server, "first", &["one", "two"]));
        place.write("second.yaml", &definition(&server, "second", &["two", "one", "three"]));
    }
    let before = blobs(&workspace);
    let image = workspace.json(["build", "first.yaml"])["image"].clone();
    let other = clean.json(["build", "second.yaml"])["image"].clone();
    let made: Vec<String> = blobs(&workspace).into_keys().filter(|name| !before.contains_key(name)).collect();
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for name in &made {
        let path = &blobs(&workspace)[name];
        let whole = fs_err::read(path).unwrap();
        flip(path, random.usize(..whole.len()));
        let what = format!("{name} with seed {seed}");
        // Another image, which is joined of the same segments, is right or is not made.
        let built = workspace.run(["-o", "json", "build", "second.yaml"]);
        match built.code {
            0 => assert_eq!(built.json()["image"], other, "{what}"),
            _ => assert!(built.stderr.contains("store scrub"), "{what}: {}", built.stderr),
        }
        let exported = workspace.run(["-o", "json", "build", "first.yaml", "--to", "oci-archive:image.tar"]);
        match exported.code {
            0 => assert_eq!(exported.json()["image"], image, "{what}"),
            _ => assert!(exported.stderr.contains("store scrub"), "{what}: {}", exported.stderr),
        }
        let (code, found) = scrub(&workspace, &["store", "scrub", "--repair"]);
        assert_eq!(code, 0, "{what}: {found}");
        assert_all_right(&workspace);
        // What was made meanwhile, of what was not yet known to be wrong, is right.
        workspace.run(["store", "gc", "--keep-last", "0"]).ok();
        assert_eq!(workspace.json(["build", "second.yaml"])["image"], other, "{what}");
        workspace.run(["store", "gc", "--keep-last", "0"]).ok();
        assert_eq!(workspace.json(["build", "first.yaml"])["image"], image, "{what}");
    }
}

#[test]
fn what_cannot_be_had_again_is_said_with_who_needs_it() {
    let server = serve(&index());
    let Some(workspace) = Workspace::new() else { return };
    workspace.write("tea.yaml", &definition(&server, "tea", &["one"]));
    workspace.json(["env", "register", "tea.yaml"]);
    workspace.json(["build", "tea"]);
    let file = wheel("one").file_name();
    let lock = workspace.json(["image", "show", "tea"]);
    let one = lock["packages"].as_array().unwrap().iter().find(|package| package["name"] == "one").unwrap();
    let sha256 = one["sha256"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    flip(&blobs(&workspace)[&sha256], 100);
    server.remove(&format!("/files/{file}"));

    let (code, found) = scrub(&workspace, &["store", "scrub", "--repair"]);
    let blob = &found["corrupt"][0];
    assert_eq!((code, &blob["state"], &blob["needed_by"]), (1, &json!("lost"), &json!(["tea:1"])), "{found}");
    let reason = blob["reason"].as_str().unwrap();
    assert!(reason.contains(&file) && reason.contains("404"), "{reason}");
    let text = workspace.run(["store", "scrub", "--repair"]);
    assert_eq!(text.code, 1);
    assert!(text.stdout.contains("is lost") && text.stdout.contains("needed by tea:1"), "{}", text.stdout);
    assert!(text.stdout.ends_with(" 1 corrupt, 0 repaired, 1 lost\n"), "{}", text.stdout);
    // The image itself is whole, and runs.
    workspace.run(["run", "tea", "--", "python", "-c", "import one"]).ok();
    // It is there again upstream: a later repair takes it up.
    server.put(&format!("/files/{file}"), wheel("one").build());
    let (code, found) = scrub(&workspace, &["store", "scrub", "--repair"]);
    assert_eq!((code, &found["corrupt"][0]["state"]), (0, &json!("repaired")), "{found}");
    let (code, found) = scrub(&workspace, &["store", "scrub"]);
    assert_eq!((code, &found["corrupt"]), (0, &json!([])));
}
