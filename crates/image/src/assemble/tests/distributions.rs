//! What conda packages bring for Python, read from their segments.

use provenv_lock::CondaPackage;

use super::{PLATFORM, World};
use crate::segment::tests::conda_package::{Conda, OLD};

fn metadata(name: &str) -> Vec<u8> {
    format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nHome: {OLD}\n").into_bytes()
}

#[tokio::test]
async fn distributions_are_read_from_what_lies_in_the_prefix() {
    let world = World::new();
    let site = format!("lib/python3.{}/site-packages", world.minor);
    let noarch = Conda::noarch_python(&[])
        .file("site-packages/any-1.0.dist-info/METADATA", &metadata("any"), Some("text"))
        .file("site-packages/any-1.0.dist-info/licenses/METADATA", b"Name: none\n", None);
    let compiled = Conda::named("two", "1.0")
        .file(&format!("{site}/one-1.0.dist-info/METADATA"), &metadata("one"), None)
        .file(&format!("{site}/two-1.0.egg-info/PKG-INFO"), &metadata("two"), None)
        .file(&format!("{site}/two-1.0.egg-info/requires.txt"), b"one\n", None);
    let old =
        Conda::named("ancient", "1.0").file(&format!("{site}/ancient.egg-info"), &metadata("ancient"), None);
    let elsewhere = Conda::named("elsewhere", "1.0").file(
        "lib/python2.7/site-packages/no-1.0.dist-info/METADATA",
        &metadata("no"),
        None,
    );
    let packages: Vec<CondaPackage> =
        [noarch, compiled, old, elsewhere].iter().map(|package| world.conda(package, &["python"])).collect();
    let lock = world.conda_lock(packages);
    let read = async |store| world.assembler(store).distributions(&lock, PLATFORM).await.unwrap();
    let found = read("store").await;
    let names: Vec<(&str, &str)> = found
        .iter()
        .map(|one| (&*one.package, one.metadata.lines().nth(1).unwrap().strip_prefix("Name: ").unwrap()))
        .collect();
    assert_eq!(names, [("ancient", "ancient"), ("demo", "any"), ("two", "one"), ("two", "two")]);
    assert!(found[1].metadata.ends_with("Home: /opt/provenv\n"), "{}", found[1].metadata);
    // The segments are those that images are made of, and are made once.
    let begun = || world.heard.begun.lock().unwrap().len();
    let before = begun();
    assert_eq!(read("store").await, found);
    assert_eq!(begun(), before);
    // Without a Python nobody looks at them.
    let lock = provenv_lock::PlatformLock { python: None, ..lock };
    assert_eq!(world.assembler("store").distributions(&lock, PLATFORM).await.unwrap(), []);
}

#[tokio::test]
async fn a_distribution_of_pips_replaces_condas() {
    let world = World::new();
    let site = format!("lib/python3.{}/site-packages", world.minor);
    let record = "num/__init__.py,sha256=x,1\nnum/old.py,,\nnum-1.0.dist-info/RECORD,,\n../../../bin/num,,\n../../../../etc/x,,\n";
    let num = Conda::named("num", "1.0")
        .file(&format!("{site}/num/__init__.py"), b"v = 1\n", None)
        .file(&format!("{site}/num/old.py"), b"old = 1\n", None)
        .file(&format!("{site}/num-1.0.dist-info/METADATA"), &metadata("Num"), None)
        .file(&format!("{site}/num-1.0.dist-info/RECORD"), record.as_bytes(), None)
        .file("bin/num", b"#!/bin/sh\n", None)
        .file("lib/libnum.so", b"a library that other packages link with", None);
    let other = Conda::named("other", "1.0").file(&format!("{site}/other.py"), b"import num\n", None);
    let packages = vec![world.conda(&num, &["python"]), world.conda(&other, &["num"])];
    let mut lock = world.conda_lock(packages);
    let without = world.assembler("store").image(&lock, PLATFORM).await.unwrap();
    lock.pypi =
        vec![world.wheel("num", "2.0", &[("num/__init__.py", b"v = 2\n"), ("num/new.py", b"new = 1\n")])];
    let image = world.assembler("store").image(&lock, PLATFORM).await.unwrap();

    let seen = world.contents("store", &image);
    let has = |path: &str| seen.contains_key(&format!("opt/provenv/{path}"));
    assert_eq!(seen[&format!("opt/provenv/{site}/num/__init__.py")].bytes, b"v = 2\n");
    let tag = format!("cpython-3{}", world.minor);
    for path in [
        "num/old.py",
        &format!("num/__pycache__/old.{tag}.pyc"),
        "num-1.0.dist-info/METADATA",
        "num-1.0.dist-info/RECORD",
    ] {
        assert!(!has(&format!("{site}/{path}")), "{path}");
    }
    for path in ["num/new.py", &format!("num/__pycache__/new.{tag}.pyc"), "other.py"] {
        assert!(has(&format!("{site}/{path}")), "{path}");
    }
    assert!(!has("bin/num") && has("lib/libnum.so") && has("conda-meta/num-1.0-h0_0.json"));
    let notes = world.heard.notes.lock().unwrap().clone();
    assert_eq!(
        notes.iter().filter(|note| note.contains("num")).collect::<Vec<_>>(),
        ["num 2.0 of pip replaces 5 files of num 1.0 of conda"]
    );
    // The layers of all others are those of the image without it.
    let kept = image.layers.iter().filter(|layer| without.layers.contains(layer)).count();
    assert!(kept > 0 && kept >= without.layers.len() - 2, "{kept} of {}", without.layers.len());
}
