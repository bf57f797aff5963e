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
