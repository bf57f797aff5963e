//! What one process sees: blobs, records, trees, locks, formats.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use provenv_definition::Digest;
use provenv_store::{Error, Item, Roots, Store};
use tempfile::TempDir;

use crate::common::{child, child_folder, leftovers};

fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    (folder, store)
}

#[test]
fn a_blob_is_named_by_its_digest_and_read_only() {
    let (_folder, store) = store();
    let digest = store.put(b"hello").unwrap();
    assert_eq!(digest, Digest::of(b"hello"));
    assert!(store.contains(&digest));
    assert_eq!(store.size(&digest).unwrap(), Some(5));
    assert_eq!(store.read(&digest).unwrap(), b"hello");
    assert_eq!(fs_err::metadata(store.path(&digest)).unwrap().permissions().mode() & 0o777, 0o444);
    assert_eq!(store.put(b"hello").unwrap(), digest);
    let other = Digest::of(b"other");
    assert!(!store.contains(&other));
    assert_eq!(store.size(&other).unwrap(), None);
    assert!(matches!(store.open_blob(&other), Err(Error::Missing(_))));
}

#[test]
fn staged_bytes_of_any_sizes_arrive_in_order() {
    let (_folder, store) = store();
    let mut staged = store.stage().unwrap();
    let mut expected = Vec::new();
    for (seed, length) in
        [1, 127 * 1024, 1024, 3, 128 * 1024, 0, 300_000, 131_071, 1, 9_000_000].into_iter().enumerate()
    {
        let piece = crate::common::bytes(seed as u64, length);
        staged.write_all(&piece).unwrap();
        expected.extend(piece);
    }
    assert_eq!(staged.size(), expected.len() as u64);
    let blob = staged.commit().unwrap();
    assert_eq!(blob.size, expected.len() as u64);
    assert_eq!(store.read(&blob.digest).unwrap(), expected);
}

#[test]
fn what_is_not_committed_or_not_expected_leaves_nothing() {
    let (_folder, store) = store();
    drop(store.stage().unwrap());
    let mut staged = store.stage().unwrap();
    staged.write_all(b"lies").unwrap();
    let expected = Digest::of(b"truth");
    match staged.commit_expecting(&expected, None) {
        Err(Error::Mismatch { expected: e, actual }) => {
            assert_eq!((e, actual), (expected, Digest::of(b"lies")));
        }
        other => panic!("{other:?}"),
    }
    let mut staged = store.stage().unwrap();
    staged.write_all(b"truth").unwrap();
    assert!(matches!(
        staged.commit_expecting(&expected, Some(6)),
        Err(Error::Size { expected: 6, actual: 5 })
    ));
    let stats = store.stats().unwrap();
    assert_eq!((stats.blobs.count, stats.tmp_bytes), (0, 0));
}

#[test]
fn a_staged_blob_can_begin_again() {
    let (_folder, store) = store();
    let mut staged = store.stage().unwrap();
    staged.write_all(&crate::common::bytes(1, 500_000)).unwrap();
    staged.restart().unwrap();
    staged.write_all(b"again").unwrap();
    assert_eq!(staged.commit().unwrap().digest, Digest::of(b"again"));
    assert_eq!(store.read(&Digest::of(b"again")).unwrap(), b"again");
}

#[test]
fn a_blob_cut_short_by_a_broken_disk_is_written_again() {
    let (_folder, store) = store();
    let digest = store.put(b"whole").unwrap();
    let path = store.path(&digest);
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, b"who").unwrap();
    assert!(matches!(store.read(&digest), Err(Error::Corrupt { .. })));
    store.put(b"whole").unwrap();
    assert_eq!(store.read(&digest).unwrap(), b"whole");
}

#[test]
fn records_are_replaced_and_unreadable_ones_count_as_none() {
    let (_folder, store) = store();
    assert_eq!(store.record::<u32>("number", "one").unwrap(), None);
    store.set_record("number", "one", &1_u32).unwrap();
    store.set_record("number", "one", &2_u32).unwrap();
    store.set_record("number", "a.b_c-0", &3_u32).unwrap();
    assert_eq!(store.record::<u32>("number", "one").unwrap(), Some(2));
    assert_eq!(store.record::<String>("number", "one").unwrap(), None);
    assert_eq!(store.record_keys("number").unwrap(), ["a.b_c-0", "one"]);
    assert!(store.record_keys("nothing").unwrap().is_empty());
    fs_err::write(store.root().join("records/number/one"), b"\0\0").unwrap();
    assert_eq!(store.record::<u32>("number", "one").unwrap(), None);
}

#[test]
fn names_cannot_leave_the_store() {
    let (_folder, store) = store();
    for name in ["", ".", "..", "../x", "a/b", "A", "ü", ".gc", &"a".repeat(201)] {
        assert!(matches!(store.set_record("kind", name, &1), Err(Error::Name(_))), "{name}");
        assert!(matches!(store.set_record(name, "key", &1), Err(Error::Name(_))), "{name}");
        assert!(matches!(store.lock("kind", name), Err(Error::Name(_))), "{name}");
        assert!(store.stage_tree(name, "key").is_err(), "{name}");
        assert!(store.tree("kind", name).is_none(), "{name}");
    }
}

#[test]
fn a_newer_format_is_refused() {
    let (_folder, store) = store();
    fs_err::write(store.root().join("format"), "provenv store 2\n").unwrap();
    let error = Store::open(store.root()).unwrap_err();
    assert!(matches!(error, Error::NewerFormat { found: 2, known: 1, .. }));
    assert!(error.hint().unwrap().contains("newer version"));
    for text in ["", "provenv store", "provenv store x\n", "something else"] {
        fs_err::write(store.root().join("format"), text).unwrap();
        assert!(matches!(Store::open(store.root()), Err(Error::NotAStore(_))), "{text}");
    }
    fs_err::write(store.root().join("format"), [0xff, 0xfe]).unwrap();
    assert!(matches!(Store::open(store.root()), Err(Error::NotAStore(_))));
}

#[test]
fn a_tree_appears_whole_and_the_first_one_stays() {
    let (_folder, store) = store();
    assert_eq!(store.tree("layer", "a"), None);
    let first = store.stage_tree("layer", "a").unwrap();
    let second = store.stage_tree("layer", "a").unwrap();
    fs_err::write(first.path().join("file"), "first").unwrap();
    fs_err::write(second.path().join("file"), "second").unwrap();
    assert_eq!(store.tree("layer", "a"), None);
    let path = first.commit().unwrap();
    assert_eq!(second.commit().unwrap(), path);
    assert_eq!(store.tree("layer", "a").as_ref(), Some(&path));
    assert_eq!(fs_err::read_to_string(path.join("file")).unwrap(), "first");
    drop(store.stage_tree("layer", "b").unwrap());
    assert_eq!(store.stats().unwrap().tmp_bytes, 0);
    assert_eq!(store.stats().unwrap().trees.count, 1);
    assert_eq!(store.tree_keys("layer").unwrap(), ["a"]);
}

#[test]
fn a_tree_that_was_not_flushed_before_a_power_cut_is_made_again() {
    let (_folder, store) = store();
    let tree = store.stage_tree("layer", "a").unwrap();
    fs_err::write(tree.path().join("file"), "").unwrap();
    let path = tree.commit().unwrap();
    let mark = path.with_file_name(".a.boot");
    // The mark goes when the file system was flushed behind the commit.
    for _ in 0..1000 {
        if !mark.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(!mark.exists());
    assert!(store.tree("layer", "a").is_some());
    fs_err::write(&mark, "another boot").unwrap();
    assert_eq!(store.tree("layer", "a"), None);
    let tree = store.stage_tree("layer", "a").unwrap();
    fs_err::write(tree.path().join("file"), "whole").unwrap();
    tree.commit().unwrap();
    assert_eq!(fs_err::read_to_string(store.tree("layer", "a").unwrap().join("file")).unwrap(), "whole");
}

#[test]
fn a_lease_is_one_at_a_time_and_survives_the_unlinking_of_its_file() {
    let (_folder, store) = store();
    let lease = store.lock("artifact", "a").unwrap();
    assert!(store.try_lock("artifact", "a").unwrap().is_none());
    assert!(store.try_lock("artifact", "b").unwrap().is_some());
    drop(lease);
    assert!(store.try_lock("artifact", "a").unwrap().is_some());

    let running = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let _lease = store.lock("artifact", "a").unwrap();
                    assert_eq!(running.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                    running.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..100 {
                store.collector().unwrap().collect(&Roots::default(), false).unwrap();
            }
        });
    });
}

#[test]
fn waiting_for_a_lease_can_be_given_up() {
    let (_folder, store) = store();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let lease = store.lock("artifact", "a").unwrap();
    runtime.block_on(async {
        let wait = store.lock_async("artifact", "a");
        assert!(tokio::time::timeout(std::time::Duration::from_millis(50), wait).await.is_err());
        drop(lease);
        let wait = store.lock_async("artifact", "a");
        tokio::time::timeout(std::time::Duration::from_secs(10), wait).await.unwrap().unwrap();
    });
}

#[test]
fn scrub_moves_corrupt_blobs_aside() {
    let (_folder, store) = store();
    let good = store.put(&crate::common::bytes(1, 1_000_000)).unwrap();
    let bad = store.put(&crate::common::bytes(2, 600_000)).unwrap();
    let path = store.path(&bad);
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[300_000] ^= 1;
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, &bytes).unwrap();

    let read = std::sync::atomic::AtomicU64::new(0);
    let report = store
        .scrub(|bytes| {
            read.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        })
        .unwrap();
    assert_eq!((report.checked, report.bytes, read.into_inner()), (2, 1_600_000, 1_600_000));
    assert_eq!(report.corrupt.len(), 1);
    assert_eq!(report.corrupt[0].digest, bad);
    assert!(report.corrupt[0].reason.contains("sha256:"));
    assert_eq!(fs_err::read(&report.corrupt[0].moved_to).unwrap(), bytes);
    assert!(store.contains(&good) && !store.contains(&bad));
    assert!(store.scrub(|_| ()).unwrap().corrupt.is_empty());
    assert_eq!(store.stats().unwrap().quarantine.count, 1);

    let roots = Roots { blobs: [good].into(), ..Roots::default() };
    let report = store.collector().unwrap().collect(&roots, false).unwrap();
    assert_eq!(report.removed, [(Item::Quarantined(bad.hex()), 600_000)]);
}

#[test]
fn an_open_blob_can_be_read_to_its_end_while_it_is_collected() {
    let (_folder, store) = store();
    let digest = store.put(b"still here").unwrap();
    let mut file = store.open_blob(&digest).unwrap();
    store.collector().unwrap().collect(&Roots::default(), false).unwrap();
    assert!(!store.contains(&digest));
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "still here");
}

#[test]
fn the_folder_of_a_living_process_is_left_alone() {
    let (_folder, store) = store();
    let mut staged = store.stage().unwrap();
    staged.write_all(b"in the making").unwrap();
    let scratch = store.scratch().unwrap();
    let other = Store::open(store.root()).unwrap();
    assert_eq!(leftovers(store.root()).len(), 1);
    assert!(scratch.path().is_dir());
    staged.commit().unwrap();
    assert_eq!(other.read(&Digest::of(b"in the making")).unwrap(), b"in the making");
    drop((scratch, other, store));
}

#[test]
fn tmp_is_empty_when_the_last_handle_goes() {
    let (_folder, store) = store();
    store.put(b"x").unwrap();
    let root = store.root().to_owned();
    drop(store);
    assert!(leftovers(&root).is_empty());
}

/// As an ordinary user, where root may do anything.
fn as_ordinary_user(test: &str, folder: &TempDir) {
    fs_err::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = child(test, folder.path());
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    match command.stdout(Stdio::piped()).output() {
        Ok(output) => {
            assert!(output.status.success(), "{test} failed as an ordinary user");
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("1 passed"), "there is no test {test}: {said}");
        }
        Err(error) => eprintln!("skipped: an ordinary user cannot run the test binary: {error}"),
    }
}

#[test]
fn trees_with_read_only_folders_are_removed_by_an_ordinary_user() {
    if let Some(folder) = child_folder() {
        let store = Store::open(folder.join("store")).unwrap();
        let make = |key| {
            let tree = store.stage_tree("layer", key).unwrap();
            let inner = tree.path().join("a/b");
            fs_err::create_dir_all(&inner).unwrap();
            fs_err::write(inner.join("file"), "x").unwrap();
            for (path, mode) in [(inner.join("file"), 0o444), (inner, 0o555), (tree.path().join("a"), 0o000)]
            {
                fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            fs_err::set_permissions(tree.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
            tree
        };
        make("kept").commit().unwrap();
        drop(make("dropped"));
        assert!(store.tree("layer", "kept").is_some());
        let report = store.collector().unwrap().collect(&Roots::default(), false).unwrap();
        assert_eq!(report.removed.len(), 1);
        assert!(store.tree("layer", "kept").is_none());
        assert_eq!(store.stats().unwrap().trees.count, 0);
        let own = fs_err::read_dir(store.root().join("tmp")).unwrap().next().unwrap().unwrap().path();
        assert_eq!(fs_err::read_dir(own).unwrap().count(), 1, "only the mark of life is left");
        return;
    }
    as_ordinary_user(
        "store::trees_with_read_only_folders_are_removed_by_an_ordinary_user",
        &TempDir::new().unwrap(),
    );
}

#[test]
fn a_store_of_somebody_else_is_refused_with_a_hint() {
    if let Some(folder) = child_folder() {
        let error = Store::open(folder.join("closed/store")).unwrap_err();
        assert!(matches!(error, Error::Permission(_)), "{error:?}");
        assert!(error.hint().unwrap().contains("owner"));
        let error = Store::open(folder.join("store")).and_then(|store| store.put(b"x")).unwrap_err();
        assert!(matches!(error, Error::Permission(_)), "{error:?}");
        return;
    }
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    for path in ["store/tmp", "store/locks", "closed"] {
        fs_err::create_dir_all(folder.path().join(path)).unwrap();
        fs_err::set_permissions(folder.path().join(path), std::fs::Permissions::from_mode(0o555)).unwrap();
    }
    as_ordinary_user("store::a_store_of_somebody_else_is_refused_with_a_hint", &folder);
    drop(store);
    for path in ["store/tmp", "store/locks", "closed"] {
        fs_err::set_permissions(folder.path().join(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}
