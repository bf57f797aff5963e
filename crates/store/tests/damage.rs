//! What a disk does to bytes that lie on it, and what the dead leave elsewhere.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use provenv_definition::Digest;
use provenv_store::{Error, Store};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::common::{bytes, child, child_folder};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fact {
    path: String,
    mode: u32,
}

fn flip(path: &Path, at: usize, bit: u32) {
    let mut bytes = fs_err::read(path).unwrap();
    bytes[at] ^= 1 << bit;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    fs_err::write(path, bytes).unwrap();
}

#[test]
fn a_blob_is_verified_once_by_each_process_that_did_not_make_it() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let digest = store.put(&bytes(1, 300_000)).unwrap();
    store.verify(&digest).unwrap();
    flip(&store.path(&digest), 200_000, 3);
    // Whoever has not seen it whole looks.
    let other = Store::open(folder.path()).unwrap();
    let error = other.verify(&digest).unwrap_err();
    assert!(matches!(error, Error::Corrupt { expected, .. } if expected == digest), "{error:?}");
    assert!(error.hint().unwrap().contains("store scrub"));
    assert!(matches!(other.verify(&Digest::of(b"absent")), Err(Error::Missing(_))));
}

#[test]
fn no_bit_of_a_record_flips_unseen() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let fact = Fact { path: "opt/provenv".to_owned(), mode: 0o755 };
    store.set_record("fact", "a", &fact).unwrap();
    let path = store.root().join("records/fact/a");
    let length = fs_err::read(&path).unwrap().len();
    for at in 0..length {
        for bit in 0..8 {
            flip(&path, at, bit);
            assert_eq!(store.record::<Fact>("fact", "a").unwrap(), None, "byte {at}, bit {bit}");
            flip(&path, at, bit);
        }
    }
    assert_eq!(store.record("fact", "a").unwrap(), Some(fact));
    assert!(store.scrub(|_| ()).unwrap().records.is_empty());
    flip(&path, length - 3, 0);
    assert_eq!(store.scrub(|_| ()).unwrap().records, ["fact/a"]);
    assert!(!path.exists());
    // Those that earlier versions wrote are the value alone.
    fs_err::write(&path, br#"{"path":"usr","mode":493}"#).unwrap();
    assert_eq!(store.record("fact", "a").unwrap(), Some(Fact { path: "usr".to_owned(), mode: 0o755 }));
    fs_err::write(
        &path,
        br#"{"sha256":"0000000000000000000000000000000000000000000000000000000000000000","size":1}"#,
    )
    .unwrap();
    let old: serde_json::Value = store.record("fact", "a").unwrap().unwrap();
    assert_eq!(old["size"], 1);
    assert!(store.scrub(|_| ()).unwrap().records.is_empty());
}

#[test]
fn what_was_moved_aside_is_known_until_it_is_back() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let digest = store.put(b"tea").unwrap();
    flip(&store.path(&digest), 1, 1);
    assert_eq!(store.scrub(|_| ()).unwrap().corrupt[0].digest, digest);
    assert_eq!(store.quarantined().unwrap(), [digest]);
    store.put(b"tea").unwrap();
    assert_eq!(store.quarantined().unwrap(), []);
    store.forget_quarantined(&digest).unwrap();
    store.forget_quarantined(&digest).unwrap();
    assert_eq!(store.stats().unwrap().quarantine.count, 0);
}

#[test]
fn what_the_dead_had_in_the_making_elsewhere_goes() {
    if let Some(folder) = child_folder() {
        let store = Store::open(folder.join("store")).unwrap();
        let mut kept = Vec::new();
        for name in [".provenv-a.tar", ".provenv-folder", "image.tar", ".provenv-locked"] {
            let path = folder.join("elsewhere").join(name);
            if name.ends_with("folder") {
                fs_err::create_dir_all(path.join("inside")).unwrap();
            } else {
                fs_err::write(&path, "half").unwrap();
            }
            kept.push(store.note_outside(&path).unwrap());
        }
        let done = folder.join("elsewhere/.provenv-done");
        fs_err::write(&done, "whole").unwrap();
        drop(store.note_outside(&done).unwrap());
        fs_err::write(folder.join("noted"), "").unwrap();
        std::thread::sleep(Duration::from_mins(10));
    }
    let folder = TempDir::new().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs_err::create_dir(&elsewhere).unwrap();
    let names = || {
        let entries = fs_err::read_dir(&elsewhere).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    };
    let mut maker =
        child("damage::what_the_dead_had_in_the_making_elsewhere_goes", folder.path()).spawn().unwrap();
    let begun = Instant::now();
    while !folder.path().join("noted").exists() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(2));
    }
    let all = [".provenv-a.tar", ".provenv-done", ".provenv-folder", ".provenv-locked", "image.tar"];
    Store::open(folder.path().join("store")).unwrap();
    assert_eq!(names(), all, "its maker lives");
    maker.kill().unwrap();
    maker.wait().unwrap();
    // Somebody has one of that name in the making by now.
    let locked = fs_err::File::open(elsewhere.join(".provenv-locked")).unwrap();
    locked.file().lock().unwrap();
    Store::open(folder.path().join("store")).unwrap();
    assert_eq!(names(), [".provenv-done", ".provenv-locked", "image.tar"]);
}
