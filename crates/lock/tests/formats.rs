//! Locks and receipts of every format that was ever written are read for ever. Files in `golden` are never changed, only
//! added.

use provenv_lock::{Lock, PypiSource, Receipt};

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
