use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use flate2::write::GzEncoder;
use provenv_definition::Digest;
use provenv_fetch::Silent;
use provenv_store::Store;
use tempfile::TempDir;

use super::{Error, Layer, layer, layers};
use crate::layer::Compression;
use crate::tarball::{self, HeaderKind};

const TIME: i64 = 315_532_800;

struct Tar(Vec<u8>);

impl Tar {
    fn add(mut self, path: &str, kind: HeaderKind<'_>, mode: u32, bytes: &[u8]) -> Self {
        tarball::header(&mut self.0, path, kind, mode, 0, 0);
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len() + tarball::padding(bytes.len() as u64), 0);
        self
    }

    fn file(self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.add(path, HeaderKind::File(bytes.len() as u64), mode, bytes)
    }

    fn folder(self, path: &str, mode: u32) -> Self {
        self.add(path, HeaderKind::Directory, mode, b"")
    }

    /// An entry that our own writer would not make.
    fn raw(mut self, path: &[u8], flag: tar::EntryType, link: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path);
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
        header.set_entry_type(flag);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_mode(0o644);
        header.set_size(0);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self
    }

    /// The tar as a layer in `store`, with a gzip member every `piece` bytes.
    fn layer(mut self, store: &Store, piece: usize) -> Layer {
        self.0.extend_from_slice(&tarball::END);
        let mut blob = Vec::new();
        for part in self.0.chunks(piece) {
            let mut encoder = GzEncoder::new(&mut blob, flate2::Compression::fast());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap();
        }
        Layer {
            digest: store.put(&blob).unwrap(),
            size: blob.len() as u64,
            diff_id: Digest::of(&self.0),
            tar_size: self.0.len() as u64,
            compression: Compression::Gzip,
            toc: None,
            foreign: false,
            what: "a test".into(),
            packages: vec![],
        }
    }
}

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    (folder, store)
}

fn mode(path: &Path) -> u32 {
    fs_err::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn what_a_layer_says_is_laid_out() {
    let (_folder, store) = store();
    let long = format!("deep/{}/{}", "x".repeat(120), "é".repeat(90));
    let layer_ = Tar(vec![])
        .folder("usr", 0o755)
        .folder("usr/closed", 0o555)
        .folder("var", 0o1777)
        .file("usr/closed/setuid", 0o4755, b"program")
        .file("usr/empty", 0o600, b"")
        .file("implied/parents/file", 0o640, &b"bytes".repeat(100_000))
        .file(&long, 0o644, b"long")
        .add("usr/link", HeaderKind::Symlink("../../outside"), 0o777, b"")
        .add("usr/absolute", HeaderKind::Symlink("/etc/passwd"), 0o777, b"")
        .add("usr/again", HeaderKind::Hardlink("usr/closed/setuid"), 0o4755, b"")
        .layer(&store, 700);
    let path = layer(&store, &layer_, &Silent).unwrap();

    assert_eq!(fs_err::read(path.join("usr/closed/setuid")).unwrap(), b"program");
    assert_eq!(fs_err::read(path.join("implied/parents/file")).unwrap(), b"bytes".repeat(100_000));
    assert_eq!(fs_err::read(path.join(&long)).unwrap(), b"long");
    for (name, expected) in [
        ("usr", 0o755),
        ("usr/closed", 0o555),
        ("var", 0o1777),
        ("usr/closed/setuid", 0o4755),
        ("usr/empty", 0o600),
        ("implied", 0o755),
        ("implied/parents/file", 0o640),
    ] {
        assert_eq!(mode(&path.join(name)), expected, "{name}");
    }
    assert_eq!(fs_err::read_link(path.join("usr/link")).unwrap(), Path::new("../../outside"));
    assert_eq!(fs_err::read_link(path.join("usr/absolute")).unwrap(), Path::new("/etc/passwd"));
    let inode = |name: &str| fs_err::metadata(path.join(name)).unwrap().ino();
    assert_eq!(inode("usr/again"), inode("usr/closed/setuid"));
    for name in ["", "usr", "usr/closed", "usr/closed/setuid", "usr/link", "implied", "var", "usr/empty"] {
        assert_eq!(fs_err::symlink_metadata(path.join(name)).unwrap().mtime(), TIME, "time of `{name}`");
    }
    assert_eq!(layer(&store, &layer_, &Silent).unwrap(), path, "the second time it is there");
}

#[test]
fn root_keeps_owners_and_others_ignore_them() {
    let (_folder, store) = store();
    let mut tar = Tar(vec![]);
    tarball::header(&mut tar.0, "owned", HeaderKind::File(0), 0o2755, 12, 34);
    tarball::header(&mut tar.0, "link", HeaderKind::Symlink("x"), 0o777, 12, 34);
    tarball::header(&mut tar.0, "folder", HeaderKind::Directory, 0o2775, 0, 34);
    let path = layer(&store, &tar.layer(&store, 4096), &Silent).unwrap();
    for (name, uid, gid) in [("owned", 12, 34), ("link", 12, 34), ("folder", 0, 34)] {
        let found = fs_err::symlink_metadata(path.join(name)).unwrap();
        if nix::unistd::geteuid().is_root() {
            assert_eq!((found.uid(), found.gid()), (uid, gid), "{name}");
        } else {
            assert_eq!(found.uid(), nix::unistd::geteuid().as_raw(), "{name}");
        }
    }
    assert_eq!(mode(&path.join("owned")), 0o2755);
    assert_eq!(mode(&path.join("folder")), 0o2775);
}

#[test]
fn nothing_gets_out_of_its_folder() {
    let (folder, store) = store();
    let outside = folder.path().join("outside");
    fs_err::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap();
    let link = |tar: Tar| tar.add("way", HeaderKind::Symlink(target), 0o777, b"");
    let regular = tar::EntryType::Regular;
    let cases: Vec<(&str, Tar)> = vec![
        ("a path through a link", link(Tar(vec![])).file("way/file", 0o644, b"x")),
        ("a folder through a link", link(Tar(vec![])).folder("way/folder", 0o755)),
        ("a folder over a link", link(Tar(vec![])).folder("way", 0o755)),
        ("a file over a link", link(Tar(vec![])).file("way", 0o644, b"x")),
        ("a file below a file", Tar(vec![]).file("a", 0o644, b"").file("a/b", 0o644, b"")),
        ("climbing", Tar(vec![]).raw(b"../evil", regular, b"")),
        ("climbing inside", Tar(vec![]).raw(b"a/../../evil", regular, b"")),
        ("absolute", Tar(vec![]).raw(b"/evil", regular, b"")),
        ("empty part", Tar(vec![]).raw(b"a//evil", regular, b"")),
        ("twice", Tar(vec![]).file("a", 0o644, b"").file("a", 0o644, b"")),
        ("folder twice", Tar(vec![]).folder("a", 0o755).folder("a", 0o700)),
        ("device", Tar(vec![]).raw(b"sda", tar::EntryType::Block, b"")),
        ("pipe", Tar(vec![]).raw(b"pipe", tar::EntryType::Fifo, b"")),
        ("hard link out", Tar(vec![]).raw(b"a", tar::EntryType::Link, b"../../outside/x")),
        ("hard link to nothing", Tar(vec![]).raw(b"a", tar::EntryType::Link, b"b")),
        ("hard link to a link", link(Tar(vec![])).add("a", HeaderKind::Hardlink("way"), 0o644, b"")),
        ("whiteout", Tar(vec![]).file("a/.wh.b", 0o644, b"")),
        ("opaque folder", Tar(vec![]).file("a/.wh..wh..opq", 0o644, b"")),
    ];
    for (case, tar) in cases {
        let made = tar.layer(&store, 4096);
        match layer(&store, &made, &Silent) {
            Err(Error::Refused { .. }) => {}
            other => panic!("{case}: {other:?}"),
        }
        assert_eq!(store.tree(super::TREE, &made.diff_id.hex()), None, "{case}");
    }
    assert_eq!(fs_err::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_tar_that_is_not_the_one_announced_is_never_seen() {
    let (_folder, store) = store();
    let good = Tar(vec![]).file("a", 0o644, b"content").layer(&store, 4096);
    let other = Layer { diff_id: Digest::of(b"other"), ..good.clone() };
    assert!(matches!(layer(&store, &other, &Silent), Err(Error::Mismatch { .. })));
    let longer = Layer { tar_size: good.tar_size - 1, diff_id: Digest::of(b"longer"), ..good.clone() };
    assert!(matches!(layer(&store, &longer, &Silent), Err(Error::Io { .. })));
    let blob = store.read(&good.digest).unwrap();
    let with = |bytes: &[u8], name: &str| Layer {
        digest: store.put(bytes).unwrap(),
        diff_id: Digest::of(name.as_bytes()),
        ..good.clone()
    };
    let cut = with(&blob[..blob.len() - 20], "cut");
    let trailing = with(&[&blob[..], b"not gzip at all"].concat(), "trailing");
    for broken in [&cut, &trailing] {
        assert!(matches!(layer(&store, broken, &Silent), Err(Error::Io { .. })));
    }
    for wrong in [&other, &longer, &cut, &trailing] {
        assert_eq!(store.tree(super::TREE, &wrong.diff_id.hex()), None);
    }
    layer(&store, &good, &Silent).unwrap();
}

#[test]
fn many_at_once_give_the_same_folders() {
    let (_folder, store) = store();
    let made: Vec<Layer> = (0..12)
        .map(|number| Tar(vec![]).file("a", 0o644, format!("{number}").as_bytes()).layer(&store, 4096))
        .collect();
    let paths: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| layers(&store, &made, &Silent).unwrap())).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert!(paths.iter().all(|other| *other == paths[0]));
    for (number, path) in paths[0].iter().enumerate() {
        assert_eq!(fs_err::read_to_string(path.join("a")).unwrap(), number.to_string());
    }
}

/// `tars` as the layers of a base.
fn of_base(store: &Store, tars: Vec<Tar>) -> Vec<Layer> {
    tars.into_iter().map(|tar| Layer { foreign: true, tar_size: 0, ..tar.layer(store, 4096) }).collect()
}

/// Everything below `root`, with what files hold.
fn content(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let kind = fs_err::symlink_metadata(&path).unwrap().file_type();
            if kind.is_symlink() {
                found.push(format!("{name} -> {}", fs_err::read_link(&path).unwrap().display()));
            } else if kind.is_dir() {
                found.push(format!("{name}/"));
                folders.push(path);
            } else {
                found.push(format!("{name}: {}", fs_err::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn the_layers_of_a_base_lie_one_over_the_other() {
    let (_folder, store) = store();
    let lower = Tar(vec![])
        .folder("etc", 0o700)
        .file("etc/a", 0o644, b"a")
        .file("etc/b", 0o644, b"b")
        .file("gone/deep/file", 0o644, b"x")
        .file("emptied/old", 0o644, b"old")
        .file("emptied/below/old", 0o644, b"old")
        .file("file", 0o644, b"file")
        .file("was-folder/x", 0o644, b"x")
        .file("a-b", 0o644, b"beside")
        .file("a/b", 0o644, b"below")
        .file("linked", 0o644, b"linked")
        .add("bin", HeaderKind::Symlink("usr/bin"), 0o777, b"");
    let upper = Tar(vec![])
        // What it says of no folder above stays as it was.
        .file("etc/b", 0o600, b"new b")
        .file("etc/.wh.a", 0o644, b"")
        .file(".wh.gone", 0o644, b"")
        // In any order: what is of this layer stays.
        .file("emptied/new", 0o644, b"new")
        .file("emptied/.wh..wh..opq", 0o644, b"")
        .folder("file", 0o755)
        .file("file/in", 0o644, b"in")
        .file("was-folder", 0o644, b"now a file")
        .file(".wh.a", 0o644, b"")
        .file(".wh.nothing", 0o644, b"")
        .add("again", HeaderKind::Hardlink("linked"), 0o644, b"")
        .raw(b"/dev/null", tar::EntryType::Char, b"")
        .raw(b"/absolute", tar::EntryType::Regular, b"")
        // Docker and podman make a folder of it, and so does an overlay.
        .file("bin/tool", 0o755, b"tool");
    let top = Tar(vec![]).folder("etc", 0o750).file("gone", 0o644, b"back");
    let layers_ = of_base(&store, vec![lower, upper, top]);
    let root = super::base(&store, &layers_, &Silent).unwrap();
    assert_eq!(
        content(&root),
        [
            "a-b: beside",
            "absolute: ",
            "again: linked",
            "bin/",
            "bin/tool: tool",
            "dev/",
            "emptied/",
            "emptied/new: new",
            "etc/",
            "etc/b: new b",
            "file/",
            "file/in: in",
            "gone: back",
            "linked: linked",
            "was-folder: now a file",
        ]
    );
    assert_eq!((mode(&root.join("etc")), mode(&root.join("etc/b"))), (0o750, 0o600));
    let two = super::base(&store, &layers_[..2], &Silent).unwrap();
    assert_eq!(mode(&two.join("etc")), 0o700, "the lower layer's word on it is the last");

    // One folder for all of the base, and one for each layer on it.
    let own = Tar(vec![]).file("own", 0o644, b"").layer(&store, 4096);
    let all = [layers_.clone(), vec![own.clone()]].concat();
    let folders = layers(&store, &all, &Silent).unwrap();
    assert_eq!(folders.len(), 2);
    assert_eq!(folders[0], root);
    assert_eq!(
        super::trees(&all),
        [("base".to_owned(), super::chain(&layers_).hex()), ("layer".to_owned(), own.diff_id.hex())]
    );
}

#[test]
fn a_base_may_be_compressed_otherwise_or_not_at_all() {
    let (_folder, store) = store();
    let tar = [&Tar(vec![]).file("a", 0o644, b"content").0[..], &tarball::END].concat();
    let zstd = zstd::encode_all(&tar[..], 3).unwrap();
    for (bytes, compression) in [(&zstd, Compression::Zstd), (&tar, Compression::None)] {
        let layer = Layer {
            digest: store.put(bytes).unwrap(),
            size: bytes.len() as u64,
            diff_id: Digest::of(&tar),
            tar_size: 0,
            compression,
            toc: None,
            foreign: true,
            what: "a test".into(),
            packages: vec![],
        };
        // The same tar: one folder.
        let root = super::base(&store, &[layer], &Silent).unwrap();
        assert_eq!(content(&root), ["a: content"]);
    }
}

#[test]
fn nothing_of_a_base_gets_out_of_its_folder() {
    let (folder, store) = store();
    let outside = folder.path().join("outside");
    fs_err::create_dir(&outside).unwrap();
    fs_err::write(outside.join("kept"), "kept").unwrap();
    let target = outside.to_str().unwrap();
    let link = || Tar(vec![]).add("way", HeaderKind::Symlink(target), 0o777, b"");
    let regular = tar::EntryType::Regular;
    let refused: Vec<(&str, Vec<Tar>)> = vec![
        ("through a link of the same layer", vec![link().file("way/file", 0o644, b"x")]),
        ("climbing", vec![Tar(vec![]).raw(b"../evil", regular, b"")]),
        ("absolute and climbing", vec![Tar(vec![]).raw(b"/../evil", regular, b"")]),
        ("a whiteout that climbs", vec![link(), Tar(vec![]).file("a/.wh...", 0o644, b"")]),
        ("a whiteout of nothing", vec![Tar(vec![]).file(".wh.", 0o644, b"")]),
        ("a hard link out", vec![Tar(vec![]).raw(b"a", tar::EntryType::Link, b"../../outside/kept")]),
        (
            "a hard link through a link",
            vec![link(), Tar(vec![]).raw(b"a", tar::EntryType::Link, b"way/kept")],
        ),
        ("twice", vec![Tar(vec![]).file("a", 0o644, b"").file("a", 0o644, b"")]),
    ];
    for (case, tars) in refused {
        let made = of_base(&store, tars);
        match super::base(&store, &made, &Silent) {
            Err(Error::Refused { .. }) => {}
            other => panic!("{case}: {other:?}"),
        }
        assert_eq!(store.tree("base", &super::chain(&made).hex()), None, "{case}");
    }
    // Over a link of a lower layer lies a folder, and what the link leads to is not touched.
    for tar in [
        Tar(vec![]).file("way/file", 0o644, b"x"),
        Tar(vec![]).file("way/.wh.kept", 0o644, b""),
        Tar(vec![]).file("way/.wh..wh..opq", 0o644, b""),
        Tar(vec![]).file(".wh.way", 0o644, b""),
    ] {
        super::base(&store, &of_base(&store, vec![link(), tar]), &Silent).unwrap();
    }
    assert_eq!(content(&outside), ["kept: kept"]);
    // A layer that is not the one that the configuration says is never seen.
    let mut made = of_base(&store, vec![Tar(vec![]).file("a", 0o644, b"")]);
    made[0].diff_id = Digest::of(b"other");
    assert!(matches!(super::base(&store, &made, &Silent), Err(Error::Mismatch { .. })));
    assert_eq!(store.tree("base", &super::chain(&made).hex()), None);
}
