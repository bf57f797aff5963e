//! What conda packages bring for Python, read from their segments.

use provenv_lock::CondaPackage;
use tar::EntryType;

use super::{PLATFORM, World};
use crate::segment::tests::conda_package::{Conda, OLD};
use crate::segment::tests::support::TarMember;

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
    // As they are laid down: of those that do not need each other the first name comes last.
    assert_eq!(names, [("two", "one"), ("two", "two"), ("demo", "any"), ("ancient", "ancient")]);
    assert!(found[2].metadata.ends_with("Home: /opt/provenv\n"), "{}", found[2].metadata);
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
async fn metadata_counts_where_python_finds_it() {
    let world = World::new();
    let site = format!("lib/python3.{}/site-packages", world.minor);
    let link = |path: String, kind, target: &str| TarMember::of(&path, kind, target);
    let odd = Conda::named("odd", "1.0")
        .file("share/meta", &metadata("linked"), None)
        .member(
            "softlink",
            link(format!("{site}/linked.egg-info"), EntryType::Symlink, "../../../share/meta"),
        )
        .member(
            "hardlink",
            link(format!("{site}/hard-1.0.dist-info/METADATA"), EntryType::Link, "share/meta"),
        )
        .member("softlink", link(format!("{site}/out.egg-info"), EntryType::Symlink, "../../../../../etc/x"))
        .file(&format!("{site}/Case-1.0.Dist-Info/METADATA"), &metadata("case"), None)
        .file(&format!("{site}/info-1.0.dist-info/PKG-INFO"), &metadata("info"), None)
        .file(&format!("{site}/both-1.0.egg-info/METADATA"), &metadata("both"), None)
        .file(&format!("{site}/both-1.0.egg-info/PKG-INFO"), &metadata("hidden"), None);
    let lock = world.conda_lock(vec![world.conda(&odd, &["python"])]);
    let found = world.assembler("store").distributions(&lock, PLATFORM).await.unwrap();
    let names = found.iter().map(|one| one.metadata.lines().nth(1).unwrap().strip_prefix("Name: ").unwrap());
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    assert_eq!(names, ["both", "case", "info", "linked", "linked"]);
}

#[tokio::test]
async fn what_older_tools_list_and_commands_are_replaced_too() {
    let world = World::new();
    let minor = world.minor;
    let site = format!("lib/python3.{minor}/site-packages");
    let listed = Conda::named("listed", "1.0")
        .file(&format!("{site}/listed-1.0.egg-info/PKG-INFO"), &metadata("listed"), None)
        .file(
            &format!("{site}/listed-1.0.egg-info/installed-files.txt"),
            b"../listed/__init__.py\n../listed/legacy.py\n../../../../../../etc/passwd\nPKG-INFO\n",
            None,
        )
        .file(&format!("{site}/listed/__init__.py"), b"v = 1\n", None)
        .file(&format!("{site}/listed/legacy.py"), b"v = 1\n", None)
        .file(&format!("{site}/listed/kept.py"), b"v = 1\n", None);
    let named = Conda::named("named", "1.0")
        .file(&format!("{site}/named-1.0.egg-info/PKG-INFO"), &metadata("named"), None)
        .file(&format!("{site}/named-1.0.egg-info/top_level.txt"), b"named\nshared\nsingle\n", None)
        .file(&format!("{site}/named-1.0.egg-info/namespace_packages.txt"), b"shared\n", None)
        .file(&format!("{site}/named/deep/legacy.py"), b"v = 1\n", None)
        .file(&format!("{site}/shared/of_others.py"), b"v = 1\n", None)
        .file(&format!("{site}/single.py"), b"v = 1\n", None)
        .file(&format!("{site}/single.cpython-3{minor}-x86_64-linux-gnu.so"), b"v = 1\n", None)
        .file(&format!("{site}/single_other.py"), b"v = 1\n", None);
    let mut command = Conda::noarch_python(&["cmd-old = cmd.legacy:main"]);
    command.index["name"] = "cmd".into();
    let command = command
        .file("site-packages/cmd-1.0.dist-info/METADATA", &metadata("cmd"), None)
        .file(
            "site-packages/cmd-1.0.dist-info/entry_points.txt",
            b"[console_scripts]\ncmd-old = cmd.legacy:main\n",
            None,
        )
        .file("site-packages/cmd-1.0.dist-info/RECORD", b"cmd/legacy.py,,\n", None)
        .file("site-packages/cmd/legacy.py", b"def main(): pass\n", None);
    let packages = [listed, named, command];
    let mut lock =
        world.conda_lock(packages.iter().map(|package| world.conda(package, &["python"])).collect());
    lock.pypi = ["listed", "named", "cmd"]
        .map(|name| world.wheel(name, "2.0", &[(&format!("{name}/__init__.py"), b"v = 2\n")]))
        .into();
    let image = world.assembler("store").image(&lock, PLATFORM).await.unwrap();
    let seen = world.contents("store", &image);
    let has = |path: &str| seen.contains_key(&format!("opt/provenv/{path}"));
    for path in ["listed/kept.py", "shared/of_others.py", "single_other.py", "cmd/__init__.py"] {
        assert!(has(&format!("{site}/{path}")), "{path}");
    }
    for path in [
        "listed/legacy.py",
        "listed-1.0.egg-info/PKG-INFO",
        "named/deep/legacy.py",
        "single.py",
        &format!("single.cpython-3{minor}-x86_64-linux-gnu.so"),
        "cmd/legacy.py",
        &format!("listed/__pycache__/legacy.cpython-3{minor}.pyc"),
    ] {
        assert!(!has(&format!("{site}/{path}")), "{path}");
    }
    assert!(!has("bin/cmd-old"));
    assert_eq!(seen[&format!("opt/provenv/{site}/listed/__init__.py")].bytes, b"v = 2\n");
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
