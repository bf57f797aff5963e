//! What the objects in a wheel are linked with, whatever their size and wherever in the file it is said.

use provenv_testing::elf::write_over as elf;

use super::support::{Fixture, TarMember, WHEEL, ZipMember, deb, noise, wheel_members, zip};
use crate::segment::linkage::Glimpse;

/// A right wheel with one object, and what became known of it: what it provides and needs.
fn linked(object: ZipMember) -> (Vec<String>, Vec<(String, String)>) {
    let mut members = wheel_members(&[("demo.py", b"x\n")]);
    members.push(object);
    let made = Fixture::new().whole_wheel(WHEEL, &zip(&members)).unwrap();
    let Some(linked) = made.facts.linkage.get(&62) else { return Default::default() };
    (linked.provides.iter().cloned().collect(), linked.needs.clone().into_iter().collect())
}

#[test]
fn objects_of_every_size_say_what_they_need() {
    const MIB: usize = 1 << 20;
    for (size, strings_at) in [
        (4096, 1024),
        (MIB, 900_000),
        // Too large to be in memory: said in its first part, its last, and between.
        (12 * MIB, 4096),
        (12 * MIB, 12 * MIB - 4096),
        (12 * MIB, 6 * MIB),
    ] {
        let mut bytes = noise(size);
        elf(&mut bytes, strings_at, "libdemo.so.1", &["libgomp.so.1", "libc.so.6"]);
        for member in [ZipMember::new("demo/_demo.so", &bytes), ZipMember::stored("demo/_demo.so", &bytes)] {
            let (provides, needs) = linked(member);
            assert_eq!(provides, ["_demo.so", "libdemo.so.1"], "{size} {strings_at}");
            let by = format!("{}/demo/_demo.so", super::support::SITE);
            let expected = ["libc.so.6", "libgomp.so.1"].map(|name| (name.to_owned(), by.clone()));
            assert_eq!(needs, expected, "{size} {strings_at}");
        }
    }
}

#[test]
fn damaged_objects_are_files_like_any_other() {
    let mut right = noise(4096);
    elf(&mut right, 1024, "libdemo.so.1", &["libc.so.6"]);
    let mut members = wheel_members(&[("demo.py", b"x\n")]);
    for at in 16..400 {
        for byte in [0, 0x7f, 0xff] {
            let mut bytes = right.clone();
            bytes[at] = byte;
            members.push(ZipMember::new(&format!("demo/_{at}_{byte}.so"), &bytes));
        }
    }
    Fixture::new().whole_wheel(WHEEL, &zip(&members)).unwrap();
    linked(ZipMember::new("demo/_demo.so", &right[..70]));
    linked(ZipMember::new("demo/_demo.so", b"\x7fELF"));
}

#[test]
fn objects_for_alpine_count_for_nothing() {
    let mut bytes = noise(4096);
    elf(&mut bytes, 1024, "libdemo.so", &["libc.musl-x86_64.so.1", "libnone.so.1"]);
    assert_eq!(linked(ZipMember::new("demo/_demo.so", &bytes)), Default::default());
}

#[test]
fn names_that_differ_only_in_case_are_both_kept_and_known() {
    let files: [(&str, &[u8]); 2] = [("demo/table.h", b"1"), ("demo/Table.h", b"2")];
    let fixture = Fixture::new();
    let made = fixture.whole_wheel(WHEEL, &zip(&wheel_members(&files))).unwrap();
    let (one, other) = made.facts.case_pair.clone().unwrap();
    assert!(one.ends_with("demo/table.h") && other.ends_with("demo/Table.h"), "{one} {other}");
    let seen = fixture.contents(&fixture.layer(&made.segment));
    assert!(seen.contains_key(&one) && seen.contains_key(&other));
}

/// An object that is linked with libraries whose names begin at these places of the file, each with the bytes before the next
/// NUL for its name.
fn linked_at(size: usize, places: impl Iterator<Item = usize>) -> Vec<u8> {
    const STRINGS: usize = 64 << 10;
    const NEEDED: usize = 64 + 2 * 56 + 16;
    let places: Vec<usize> = places.collect();
    let mut bytes = vec![b'x'; size];
    let names = vec!["l"; places.len()];
    elf(&mut bytes, STRINGS, "libdemo.so.1", &names);
    for (n, place) in places.iter().enumerate() {
        let at = NEEDED + 16 * n + 8;
        bytes[at..at + 8].copy_from_slice(&(*place as u64 - STRINGS as u64).to_le_bytes());
        bytes[place + 9] = 0;
    }
    bytes
}

#[test]
fn names_that_lie_apart_are_read_in_one_pass() {
    const MIB: usize = 1 << 20;
    let bytes = linked_at(12 * MIB, (0..900).map(|n| 2 * MIB + n * 9000));
    let mut glimpse = Glimpse::new();
    bytes.chunks(64 << 10).for_each(|piece| glimpse.feed(piece));
    let mut passes = 0;
    let object = glimpse.object(|parts| {
        passes += 1;
        assert!(parts.windows(2).all(|pair| pair[0].0 + pair[0].1 < pair[1].0), "in order and apart");
        let cut = |point: u64| usize::try_from(point).unwrap().min(bytes.len());
        Ok::<_, ()>(parts.iter().map(|part| bytes[cut(part.0)..cut(part.0 + part.1)].to_vec()).collect())
    });
    assert_eq!((passes, object.unwrap().unwrap().needed.len()), (1, 900));
    let (_, needs) = linked(ZipMember::new("demo/_demo.so", &bytes));
    assert_eq!(needs.len(), 1);
}

#[test]
fn too_many_or_too_long_names_are_not_taken() {
    // As many as fit, each within the one before; the last ends where the string does.
    let many = linked_at(128 << 10, (0..1200).map(|n| (66 << 10) + n));
    let mut long = vec![b'x'; 128 << 10];
    elf(&mut long, 4096, "libdemo.so.1", &["libc.so.6", &"n".repeat(256)]);
    for bytes in [many, long] {
        for member in [ZipMember::new("demo/_demo.so", &bytes), ZipMember::stored("demo/_demo.so", &bytes)] {
            assert_eq!(linked(member), (vec!["_demo.so".to_owned()], vec![]));
        }
        let package = deb(&[TarMember::file("./usr/lib/libdemo.so.1", &bytes)], &[]);
        let facts = Fixture::new().deb(&package).unwrap().facts;
        assert_eq!(facts.libraries.iter().map(|library| &library.soname).collect::<Vec<_>>(), [&None]);
    }
    let mut right = vec![0; 4096];
    elf(&mut right, 1024, "libdemo.so.1", &[&"n".repeat(255)]);
    assert_eq!(linked(ZipMember::new("demo/_demo.so", &right)).1[0].0.len(), 255);
}

#[test]
fn names_of_many_objects_are_not_kept_without_end() {
    let mut members = wheel_members(&[("demo.py", b"x\n")]);
    for n in 0..16 {
        let names: Vec<String> = (0..1000).map(|m| format!("{n}-{m}-{}", "n".repeat(240))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut bytes = vec![0; 288 << 10];
        elf(&mut bytes, 32 << 10, "libdemo.so.1", &names);
        members.push(ZipMember::new(&format!("demo/_{n}.so"), &bytes));
    }
    let made = Fixture::new().whole_wheel(WHEEL, &zip(&members)).unwrap();
    assert!(made.facts.linkage.is_empty());
}

#[test]
fn places_beyond_any_file_are_nowhere() {
    let mut bytes = vec![0; 4096];
    elf(&mut bytes, 1024, "libdemo.so.1", &["libc.so.6"]);
    // Where the program headers, and then where the dynamic section is.
    for at in [32, 64 + 56 + 8] {
        let mut bytes = bytes.clone();
        bytes[at..at + 8].fill(0xff);
        for member in [ZipMember::new("demo/_demo.so", &bytes), ZipMember::stored("demo/_demo.so", &bytes)] {
            assert_eq!(linked(member).1, []);
        }
    }
}
