//! Locks and receipts of every format that was ever written are read for ever. Files in `golden` are never changed, only
//! added.

use provenv_lock::{BaseLock, ContextLock, DockerfileLock, Lock, PypiSource, Receipt};

fn golden(name: &str) -> Vec<u8> {
    fs_err::read(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn a_lock_of_format_1_is_read_and_keeps_its_digest() {
    let bytes = golden("lock-1.json");
    let lock = Lock::from_bytes(&bytes).unwrap();
    assert_eq!(String::from_utf8(lock.to_bytes()).unwrap(), String::from_utf8(bytes).unwrap());
    assert_eq!(
        lock.digest().to_string(),
        "sha256:51dd78dc1b45b8aeb6e37a6fe045596b29b1fcebd17904713c164371df246f17"
    );
}

#[test]
fn a_lock_of_format_2_is_read_and_keeps_its_digest() {
    let bytes = golden("lock-2.json");
    let lock = Lock::from_bytes(&bytes).unwrap();
    lock.validate().unwrap();
    assert_eq!(String::from_utf8(lock.to_bytes()).unwrap(), String::from_utf8(bytes).unwrap());
    assert_eq!(
        lock.digest().to_string(),
        "sha256:22186e12f27e2a86435a2e916302bcfad7c9bfee0680687b58d9e8e0c4574119"
    );
    assert_eq!(Lock::new(lock.definition, lock.platforms.clone()), lock);
    let images: Vec<_> = lock.platforms.values().map(|lock| lock.base.image().unwrap()).collect();
    assert_eq!(images[0].name_and_tag(), ("docker.io/library/python", "3.12-slim"));
    assert_eq!(images[0].pinned(), format!("docker.io/library/python:3.12-slim@sha256:{}", "1".repeat(64)));
    assert_eq!(images[1].name_and_tag(), ("h.test:5000/team/base", ""));
    assert_eq!(images[1].pinned(), images[1].reference);
    // Where it was found, and what a tag names for other machines, is no difference.
    let mut moved = lock.clone();
    let BaseLock::Image(image) = &mut moved.platforms.values_mut().next().unwrap().base else {
        unreachable!()
    };
    (image.reference, image.index) = ("mirror.test/python:3.12".to_owned(), None);
    assert!(moved != lock && moved.holds_the_same(&lock));
    let BaseLock::Image(image) = &mut moved.platforms.values_mut().next().unwrap().base else {
        unreachable!()
    };
    image.manifest = provenv_definition::Digest::of(b"other");
    assert!(!moved.holds_the_same(&lock));
}

#[test]
fn a_lock_of_format_3_is_read_and_keeps_its_digest() {
    let bytes = golden("lock-3.json");
    let lock = Lock::from_bytes(&bytes).unwrap();
    lock.validate().unwrap();
    assert_eq!(String::from_utf8(lock.to_bytes()).unwrap(), String::from_utf8(bytes).unwrap());
    assert_eq!(
        lock.digest().to_string(),
        "sha256:d19b93e1607048981321802303a90e22d26db6b09bb4d0dd64c16826e7654369"
    );
    assert_eq!(Lock::new(lock.definition, lock.platforms.clone()), lock);
    let bases: Vec<_> = lock.platforms.values().map(|lock| lock.base.dockerfile().unwrap()).collect();
    assert!(matches!(&bases[0].context, Some(ContextLock::Git { commit }) if commit.len() == 40));
    assert!(matches!(&bases[1].context, Some(ContextLock::Archive { size: 10240, .. })));
    // What it was made of is no difference where it is the same.
    let mut other = lock.clone();
    let change = |lock: &mut Lock, change: fn(&mut DockerfileLock)| {
        let BaseLock::Dockerfile(made) = &mut lock.platforms.values_mut().next().unwrap().base else {
            unreachable!()
        };
        change(made);
    };
    change(&mut other, |made| (made.from, made.context) = (Vec::new(), None));
    assert!(other != lock && other.holds_the_same(&lock));
    change(&mut other, |made| made.manifest = provenv_definition::Digest::of(b"other"));
    assert!(!other.holds_the_same(&lock));
    // What is none of it is refused.
    let mut wrong = lock.clone();
    change(&mut wrong, |made| made.context = Some(ContextLock::Git { commit: "--upload-pack=x".to_owned() }));
    assert!(wrong.validate().unwrap_err().to_string().contains("is none of git"));
    let mut wrong = lock.clone();
    change(&mut wrong, |made| made.size = 0);
    assert!(wrong.validate().is_err());
    let mut wrong = lock.clone();
    change(&mut wrong, |made| made.from[0].reference = "python".to_owned());
    assert!(wrong.validate().is_err());
    let mut wrong = lock;
    wrong.format = 2;
    assert!(wrong.validate().unwrap_err().to_string().contains("has no Dockerfiles"));
}

#[test]
fn what_only_a_later_format_has_is_refused_in_an_earlier_one() {
    let mut lock = Lock::from_bytes(&golden("lock-2.json")).unwrap();
    lock.format = 1;
    assert!(lock.validate().unwrap_err().to_string().contains("no bases from registries"));
    lock.format = 4;
    assert!(lock.validate().is_err());
    lock.format = 2;
    for (reference, executable) in [
        ("python:3.12", "/usr/local/bin/python3.12"),
        ("-h.test/x:1", "/usr/local/bin/python3.12"),
        ("h.test/x y", "/usr/local/bin/python3.12"),
        ("h.test/x:1", "/usr/../bin/python3.12"),
        ("h.test/x:1", "usr/bin/python3.12"),
        ("h.test/x:1", "/usr/local/bin/python3.13"),
        ("h.test/x:1", "/usr/lo cal/bin/python3.12"),
    ] {
        let mut broken = lock.clone();
        let platform = broken.platforms.values_mut().next().unwrap();
        platform.python.as_mut().unwrap().executable = executable.to_owned();
        let BaseLock::Image(image) = &mut platform.base else { unreachable!() };
        image.reference = reference.to_owned();
        assert!(broken.validate().is_err(), "{reference} {executable}");
    }
}

#[test]
fn a_receipt_of_format_1_is_read() {
    let receipt: Receipt = serde_json::from_slice(&golden("receipt-1.json")).unwrap();
    assert!(receipt.previous.is_some() && receipt.indexes.len() == 2);
}

#[test]
fn where_packages_are_found_is_no_difference() {
    let lock = Lock::from_bytes(&golden("lock-1.json")).unwrap();
    let moved = String::from_utf8(lock.to_bytes()).unwrap();
    let moved = moved
        .replace("mirror.test", "other.test")
        .replace("files.test", "other.test")
        .replace(": 70936", ": 0");
    let mut moved = Lock::from_bytes(moved.as_bytes()).unwrap();
    assert!(moved != lock && moved.holds_the_same(&lock));
    let platform = moved.platforms.values_mut().next().unwrap();
    let PypiSource::Built { sha256, sdist, .. } = &mut platform.pypi[3].source else { unreachable!() };
    std::mem::swap(sha256, &mut sdist.as_mut().unwrap().sha256);
    assert!(!moved.holds_the_same(&lock));
}
