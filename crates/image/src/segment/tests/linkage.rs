//! What the objects in a wheel are linked with, whatever their size and wherever in the file it is said.

use provenv_testing::elf::write_over as elf;

use super::support::{Fixture, WHEEL, ZipMember, noise, wheel_members, zip};

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
