//! What other processes, sudden death and a full disk do to a store.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use provenv_definition::Digest;
use provenv_store::{Roots, Store};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::common::{bytes, child, child_folder, child_in_namespace, leftovers};

#[derive(Serialize, Deserialize)]
struct Fact {
    blob: Digest,
    size: usize,
}

/// Writes blobs, records and trees, and collects now and then, until it is killed.
fn write_for_ever(root: &Path) -> ! {
    let mut seed = u64::from(std::process::id()) << 32;
    loop {
        let store = Store::open(root).unwrap();
        for _ in 0..10 {
            let pin = store.pin().unwrap();
            seed += 1;
            let size = [0, 10, 70_000, 400_000][usize::try_from(seed % 4).unwrap()];
            let mut staged = store.stage().unwrap();
            for piece in bytes(seed, size).chunks(50_000) {
                staged.write_all(piece).unwrap();
            }
            let blob = staged.commit().unwrap().digest;
            store.set_record("fact", &format!("{}", seed % 5), &Fact { blob, size }).unwrap();
            let tree = store.stage_tree("tree", &format!("{}", seed % 3)).unwrap();
            for file in 0..20 {
                fs_err::write(tree.path().join(format!("{file}")), b"x").unwrap();
            }
            tree.commit().unwrap();
            drop(pin);
        }
        if let Some(collector) = store.try_collector().unwrap() {
            let mut roots = Roots::default();
            for key in store.record_keys("fact").unwrap().into_iter().take(3) {
                let fact: Option<Fact> = store.record("fact", &key).unwrap();
                roots.blobs.extend(fact.map(|fact| fact.blob));
                roots.records.insert(("fact".into(), key));
            }
            collector.collect(&roots, false).unwrap();
        }
    }
}

fn assert_sound(root: &Path) {
    let store = Store::open(root).unwrap();
    assert_eq!(store.scrub(|_| ()).unwrap().corrupt, []);
    for key in store.record_keys("fact").unwrap() {
        let fact: Fact = store.record("fact", &key).unwrap().expect("a record in place can be read");
        assert_eq!(
            store.size(&fact.blob).unwrap(),
            Some(fact.size as u64),
            "the blob a record names is there"
        );
    }
    for key in 0..3 {
        if let Some(tree) = store.tree("tree", &key.to_string()) {
            assert_eq!(fs_err::read_dir(tree).unwrap().count(), 20, "a tree in place is whole");
        }
    }
}

#[test]
fn killed_at_any_moment_nothing_half_made_is_seen() {
    if let Some(folder) = child_folder() {
        write_for_ever(&folder);
    }
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("store");
    for round in 0..40_u64 {
        let mut children: Vec<_> = (0..2)
            .map(|_| child("crash::killed_at_any_moment_nothing_half_made_is_seen", &root).spawn().unwrap())
            .collect();
        std::thread::sleep(Duration::from_millis(10 + round * 37 % 90));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_sound(&root);
        assert_eq!(leftovers(&root), Vec::<String>::new(), "what the dead left is gone");
    }
    assert!(Store::open(&root).unwrap().stats().unwrap().blobs.count > 0, "the children did something");
}

#[test]
fn twenty_processes_put_the_same_blob_at_once() {
    let content = bytes(7, 3_000_000);
    if let Some(folder) = child_folder() {
        while !folder.join("go").exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let store = Store::open(folder.join("store")).unwrap();
        store.put(&content).unwrap();
        let tree = store.stage_tree("tree", "a").unwrap();
        fs_err::write(tree.path().join("file"), "x").unwrap();
        tree.commit().unwrap();
        store.set_record("fact", "a", &1).unwrap();
        return;
    }
    let folder = TempDir::new().unwrap();
    let mut children: Vec<_> = (0..20)
        .map(|_| child("crash::twenty_processes_put_the_same_blob_at_once", folder.path()).spawn().unwrap())
        .collect();
    fs_err::write(folder.path().join("go"), "").unwrap();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let store = Store::open(folder.path().join("store")).unwrap();
    assert_eq!(store.read(&Digest::of(&content)).unwrap(), content);
    let stats = store.stats().unwrap();
    assert_eq!((stats.blobs.count, stats.trees.count, stats.records.count), (1, 1, 1));
    assert_eq!(leftovers(store.root()), Vec::<String>::new());
}

#[test]
fn a_lease_ends_with_its_process() {
    if let Some(folder) = child_folder() {
        let store = Store::open(folder.join("store")).unwrap();
        let _lease = store.lock("artifact", "a").unwrap();
        let pin = store.pin().unwrap();
        let blob = store.put(b"used for long").unwrap();
        let _hold = pin.hold(&Roots { blobs: [blob].into(), ..Roots::default() }).unwrap();
        fs_err::write(folder.join("held"), "").unwrap();
        while folder.join("held").exists() {
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(pin);
        fs_err::write(folder.join("unpinned"), "").unwrap();
        std::thread::sleep(Duration::from_mins(10));
    }
    let folder = TempDir::new().unwrap();
    let mut holder = child("crash::a_lease_ends_with_its_process", folder.path()).spawn().unwrap();
    let wait_for = |name: &str| {
        let begin = Instant::now();
        while !folder.path().join(name).exists() {
            assert!(begin.elapsed() < Duration::from_mins(1));
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    wait_for("held");
    let store = Store::open(folder.path().join("store")).unwrap();
    assert!(store.try_lock("artifact", "a").unwrap().is_none());
    assert!(store.try_collector().unwrap().is_none());
    fs_err::remove_file(folder.path().join("held")).unwrap();
    wait_for("unpinned");
    let collect = || store.try_collector().unwrap().unwrap().collect(&Roots::default(), false).unwrap();
    assert_eq!((collect().removed, collect().kept), (vec![], 1));
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(store.try_lock("artifact", "a").unwrap().is_some());
    assert_eq!(collect().removed.len(), 1, "a hold ends with its process too");
}

/// In a namespace of its own: mounts a small disk and fills it.
fn fill_a_disk(folder: &Path) {
    nix::mount::mount(
        Some("tmpfs"),
        folder,
        Some("tmpfs"),
        nix::mount::MsFlags::empty(),
        Some("size=4m,mode=755"),
    )
    .unwrap();
    let store = Store::open(folder.join("store")).unwrap();
    let kept = store.put(b"kept").unwrap();

    let error = store.put(&bytes(1, 6_000_000)).unwrap_err();
    assert!(error.is_no_space(), "{error:?}");
    assert!(error.hint().unwrap().contains("store gc"));
    let mut staged = store.stage().unwrap();
    let error = bytes(2, 6_000_000).chunks(10_000).find_map(|piece| staged.write_all(piece).err()).unwrap();
    assert!(provenv_store::is_no_space(&error), "{error:?}");
    // Not even one who does not listen can make a blob of it.
    assert!(staged.commit().is_err());
    let stats = store.stats().unwrap();
    assert_eq!((stats.tmp_bytes, stats.blobs.count), (0, 1), "nothing is left of it");

    let mut filler = fs_err::File::create(folder.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    let error = store.put(b"small").unwrap_err();
    assert!(error.is_no_space(), "{error:?}");
    let error = store.set_record("fact", "a", &"x".repeat(5000)).unwrap_err();
    assert!(error.is_no_space(), "{error:?}");
    assert_eq!(store.record::<String>("fact", "a").unwrap(), None);
    assert_eq!(store.read(&kept).unwrap(), b"kept");

    drop(filler);
    fs_err::remove_file(folder.join("filler")).unwrap();
    assert_eq!(store.stats().unwrap().tmp_bytes, 0);
    store.put(b"small").unwrap();
    store.set_record("fact", "a", &"x".repeat(5000)).unwrap();
}

#[test]
fn a_full_disk_says_so_and_nothing_is_left() {
    if let Some(folder) = child_folder() {
        return fill_a_disk(&folder);
    }
    let folder = TempDir::new().unwrap();
    let Some(mut command) =
        child_in_namespace("crash::a_full_disk_says_so_and_nothing_is_left", folder.path())
    else {
        eprintln!("skipped: this machine permits no mount namespace");
        return;
    };
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
