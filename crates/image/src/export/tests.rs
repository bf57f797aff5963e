use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use flate2::{Compression, write::GzEncoder};
use provenv_definition::{Digest, Platform};
use provenv_fetch::Silent;
use provenv_store::Store;
use tempfile::TempDir;

use super::{Destination, Error, identify, to};
use crate::layer::Layer;
use crate::oci::{self, Image, ImageConfig};

fn image(store: &Store, content: &str) -> Image {
    let tar = [content.as_bytes(), &[0; 1024]].concat();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&tar).unwrap();
    let blob = encoder.finish().unwrap();
    let layer = Layer {
        digest: store.put(&blob).unwrap(),
        size: blob.len() as u64,
        diff_id: Digest::of(&tar),
        tar_size: tar.len() as u64,
        compression: crate::layer::Compression::Gzip,
        toc: None,
        foreign: false,
        what: content.into(),
        packages: vec![],
    };
    oci::write(store, Platform::LinuxAmd64, &[layer], &ImageConfig::default()).unwrap()
}

fn setup() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    (folder, store)
}

fn destination(folder: &TempDir, transport: &str, name: &str) -> Destination {
    Destination::parse(&format!("{transport}:{}/{name}", folder.path().display())).unwrap()
}

/// Tag and digest of each image in the layout.
fn index(folder: &TempDir) -> Vec<(Option<String>, String)> {
    let bytes = fs_err::read(folder.path().join("out/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let manifests = index["manifests"].as_array().unwrap().iter();
    manifests
        .map(|manifest| {
            let tag =
                manifest["annotations"]["org.opencontainers.image.ref.name"].as_str().map(str::to_owned);
            (tag, manifest["digest"].as_str().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn a_layout_keeps_its_other_images() {
    let (folder, store) = setup();
    let (one, two) = (image(&store, "one"), image(&store, "two"));
    for (image, name) in [(&one, "out:first"), (&two, "out:second"), (&two, "out:first"), (&one, "out")] {
        to(&store, image, &destination(&folder, "oci", name), &Silent).unwrap();
    }
    let (one, two) = (one.manifest.to_string(), two.manifest.to_string());
    let expected = [(Some("second".into()), two.clone()), (Some("first".into()), two), (None, one)];
    assert_eq!(index(&folder), expected);
    let layout = fs_err::read_to_string(folder.path().join("out/oci-layout")).unwrap();
    assert_eq!(layout, r#"{"imageLayoutVersion":"1.0.0"}"#);
    assert_eq!(fs_err::read_dir(folder.path().join("out/blobs/sha256")).unwrap().count(), 6);
}

#[test]
fn blobs_are_copies_and_damaged_ones_are_replaced() {
    let (folder, store) = setup();
    let image = image(&store, "one");
    let destination = destination(&folder, "oci", "out:tag");
    to(&store, &image, &destination, &Silent).unwrap();
    let layer = &image.layers[0];
    let blob = folder.path().join("out/blobs/sha256").join(layer.digest.hex());
    let inode = |path| fs_err::metadata(path).unwrap().ino();
    assert_ne!(inode(blob.clone()), inode(store.path(&layer.digest)));
    let first = inode(blob.clone());
    to(&store, &image, &destination, &Silent).unwrap();
    assert_eq!(inode(blob.clone()), first, "what is there is not written again");
    fs_err::write(&blob, "half").unwrap();
    to(&store, &image, &destination, &Silent).unwrap();
    assert_eq!(Digest::of(&fs_err::read(&blob).unwrap()), layer.digest);
    // Whoever owns the destination may change it.
    fs_err::write(&blob, "changed").unwrap();
    assert_eq!(Digest::of(&store.read(&layer.digest).unwrap()), layer.digest);
}

#[test]
fn what_a_killed_export_left_is_taken_up_and_away() {
    let (folder, store) = setup();
    let blobs = folder.path().join("out/blobs/sha256");
    fs_err::create_dir_all(&blobs).unwrap();
    fs_err::write(blobs.join(".provenv-half"), "half").unwrap();
    fs_err::write(folder.path().join("out/.provenv-index"), "half").unwrap();
    to(&store, &image(&store, "one"), &destination(&folder, "oci", "out:tag"), &Silent).unwrap();
    assert_eq!(index(&folder).len(), 1);
    assert!(!blobs.join(".provenv-half").exists());
    assert!(!folder.path().join("out/.provenv-index").exists());
}

#[test]
fn another_folder_is_left_alone() {
    let (folder, store) = setup();
    fs_err::create_dir(folder.path().join("out")).unwrap();
    fs_err::write(folder.path().join("out/thesis.txt"), "years of work").unwrap();
    let result = to(&store, &image(&store, "one"), &destination(&folder, "oci", "out:tag"), &Silent);
    assert!(matches!(result, Err(Error::NotALayout(_))), "{result:?}");
    assert_eq!(fs_err::read_dir(folder.path().join("out")).unwrap().count(), 1);
}

#[test]
fn a_broken_index_is_not_overwritten() {
    let (folder, store) = setup();
    let destination = destination(&folder, "oci", "out:tag");
    to(&store, &image(&store, "one"), &destination, &Silent).unwrap();
    for text in ["", "[]", r#"{"manifests": 3}"#] {
        fs_err::write(folder.path().join("out/index.json"), text).unwrap();
        let result = to(&store, &image(&store, "one"), &destination, &Silent);
        assert!(matches!(result, Err(Error::Index { .. })), "{text}: {result:?}");
        assert_eq!(fs_err::read_to_string(folder.path().join("out/index.json")).unwrap(), text);
    }
}

#[test]
fn many_exports_to_one_layout_all_arrive() {
    let (folder, store) = setup();
    let images: Vec<Image> = (0..8).map(|number| image(&store, &number.to_string())).collect();
    std::thread::scope(|scope| {
        for (number, image) in images.iter().enumerate() {
            let destination = destination(&folder, "oci", &format!("out:tag{number}"));
            let store = &store;
            scope.spawn(move || to(store, image, &destination, &Silent).unwrap());
        }
    });
    let mut tags: Vec<_> = index(&folder).into_iter().map(|(tag, _)| tag.unwrap()).collect();
    tags.sort();
    assert_eq!(tags, (0..8).map(|number| format!("tag{number}")).collect::<Vec<_>>());
}

#[test]
fn archives_have_the_same_bytes_each_time() {
    let (folder, store) = setup();
    let image = image(&store, "one");
    for transport in ["oci-archive", "docker-archive"] {
        let mut bytes = Vec::new();
        for name in ["first.tar", "second.tar"] {
            to(&store, &image, &destination(&folder, transport, &format!("{name}:demo")), &Silent).unwrap();
            bytes.push(fs_err::read(folder.path().join(name)).unwrap());
        }
        assert!(bytes[0] == bytes[1], "{transport}");
        let mut names = Vec::new();
        for entry in tar::Archive::new(&bytes[0][..]).entries().unwrap() {
            let entry = entry.unwrap();
            names.push(entry.path().unwrap().display().to_string());
            assert_eq!(entry.header().mtime().unwrap(), 315_532_800);
        }
        assert_eq!(names.len(), if transport == "oci-archive" { 7 } else { 3 }, "{names:?}");
    }
}

#[test]
fn without_room_nothing_appears_under_the_name() {
    let (folder, store) = setup();
    let image = image(&store, "one");
    // A folder where the file should be: the last step, the rename, fails.
    fs_err::create_dir_all(folder.path().join("out.tar/in-the-way")).unwrap();
    let result = to(&store, &image, &destination(&folder, "oci-archive", "out.tar"), &Silent);
    assert!(matches!(result, Err(Error::Write { .. })), "{result:?}");
    let left: Vec<_> =
        fs_err::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "store" || name == "out.tar"), "{left:?}");
}

#[test]
fn a_blob_that_has_changed_in_the_store_does_not_leave_it() {
    let (folder, store) = setup();
    let image = image(&store, "one");
    let path = store.path(&image.layers[0].digest);
    let mut bytes = fs_err::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, &bytes).unwrap();
    for transport in ["oci", "oci-archive", "docker-archive"] {
        let error = to(&store, &image, &destination(&folder, transport, "x:tag"), &Silent).unwrap_err();
        assert!(matches!(error, Error::Store(provenv_store::Error::Corrupt { .. })), "{transport}: {error}");
    }
    assert!(!folder.path().join("x/index.json").exists());
}

#[test]
fn an_export_says_which_image_it_is() {
    let (folder, store) = setup();
    let (one, two) = (image(&store, "one"), image(&store, "two"));
    for (image, transport, name) in [
        (&one, "oci", "out:first"),
        (&two, "oci", "out:second"),
        (&one, "oci-archive", "one.tar"),
        (&two, "docker-archive", "two.tar:two:1"),
    ] {
        to(&store, image, &destination(&folder, transport, name), &Silent).unwrap();
    }
    let named = |transport: &str, name: &str| identify(&destination(&folder, transport, name));
    assert_eq!(named("oci", "out:second").unwrap(), [two.manifest]);
    assert_eq!(named("oci", "out").unwrap(), [one.manifest, two.manifest]);
    assert_eq!(named("oci", "out:third").unwrap(), []);
    assert_eq!(named("oci-archive", "one.tar").unwrap(), [one.manifest]);
    assert_eq!(named("docker-archive", "two.tar").unwrap(), [two.config]);
    assert_eq!(named("docker-archive", "two.tar:two:2").unwrap(), []);
    assert!(matches!(named("oci", "nowhere"), Err(Error::Read { .. })));
    assert!(
        matches!(named("docker-archive", "one.tar"), Err(Error::Read { .. })),
        "it is not one of docker's"
    );
    fs_err::write(folder.path().join("broken.tar"), "no tar file").unwrap();
    assert!(named("oci-archive", "broken.tar").is_err());
}

#[test]
fn what_killed_processes_left_beside_an_archive_goes() {
    let (folder, store) = setup();
    let place = |name: &str| folder.path().join(name);
    let left = [".provenv-killed.tar", ".provenv-atwork.tar", ".provenv-others.txt"].map(place);
    for file in &left {
        fs_err::write(file, "half").unwrap();
    }
    let at_work = fs_err::File::open(&left[1]).unwrap();
    at_work.file().lock().unwrap();
    to(&store, &image(&store, "one"), &destination(&folder, "oci-archive", "out.tar"), &Silent).unwrap();
    assert_eq!(left.map(|file| file.exists()), [false, true, true]);
}
