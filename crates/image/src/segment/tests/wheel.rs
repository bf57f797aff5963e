//! What a wheel lays down.

use super::support::{Fixture, SITE, WHEEL, ZipMember, noise, row, wheel_members, zip};

#[test]
fn every_scheme_goes_to_its_place() {
    let fixture = Fixture::new();
    let members = wheel_members(&[
        ("demo/__init__.py", b"x = 1\n"),
        ("demo/sub dir/é.txt", b"accent\n"),
        ("demo-1.0.data/scripts/tool", b"#!python -u\nprint(1)\n"),
        ("demo-1.0.data/scripts/shell", b"#!/bin/sh\n"),
        ("demo-1.0.data/scripts/run", b"#!python\nshadowed by the entry point\n"),
        ("demo-1.0.data/data/share/demo/d.txt", b"d\n"),
        ("demo-1.0.data/headers/demo.h", b"h\n"),
        ("demo-1.0.data/purelib/extra.py", b"e = 1\n"),
        ("demo-1.0.data/platlib/extra2.py", b"e = 2\n"),
        ("demo-1.0.dist-info/entry_points.txt", b"[console_scripts]\nrun = demo:main\n"),
    ]);
    let segment = fixture.wheel(WHEEL, &zip(&members)).unwrap();
    let layer = fixture.layer(&segment);
    let seen = fixture.contents(&layer);
    let text = |path: &str| {
        let entry = seen.get(path).unwrap_or_else(|| panic!("no {path} among {:?}", seen.keys()));
        (String::from_utf8(entry.bytes.clone()).unwrap(), entry.mode)
    };
    assert_eq!(text(&format!("{SITE}/demo/__init__.py")), ("x = 1\n".to_owned(), 0o644));
    assert_eq!(text(&format!("{SITE}/demo/sub dir/é.txt")), ("accent\n".to_owned(), 0o644));
    assert_eq!(text("opt/provenv/bin/tool"), ("#!/opt/provenv/bin/python\nprint(1)\n".to_owned(), 0o755));
    assert_eq!(text("opt/provenv/bin/shell"), ("#!/bin/sh\n".to_owned(), 0o755));
    assert!(text("opt/provenv/bin/run").0.contains("from demo import main\n"));
    assert_eq!(text("opt/provenv/share/demo/d.txt"), ("d\n".to_owned(), 0o644));
    assert_eq!(text("opt/provenv/include/site/python3.11/demo/demo.h"), ("h\n".to_owned(), 0o644));
    assert_eq!(text(&format!("{SITE}/extra.py")), ("e = 1\n".to_owned(), 0o644));
    assert_eq!(text(&format!("{SITE}/extra2.py")), ("e = 2\n".to_owned(), 0o644));
    assert_eq!(text(&format!("{SITE}/demo-1.0.dist-info/INSTALLER")), ("provenv\n".to_owned(), 0o644));
    assert!(seen.values().all(|entry| entry.owner == (0, 0)));
    assert!(!seen.keys().any(|path| path.contains(".data")));

    // RECORD lists every file that is there, rightly, and nothing else.
    let (record, _) = text(&format!("{SITE}/demo-1.0.dist-info/RECORD"));
    let mut expected: Vec<String> = seen
        .iter()
        .filter(|(path, entry)| entry.kind.is_file() && !path.ends_with("/RECORD"))
        .map(|(path, entry)| {
            let inside = path.strip_prefix(&format!("{SITE}/")).map(str::to_owned);
            let inside = inside.unwrap_or_else(|| path.replace("opt/provenv/", "../../../"));
            row(&inside, &entry.bytes)
        })
        .collect();
    expected.push("demo-1.0.dist-info/RECORD,,\n".to_owned());
    expected.sort();
    assert_eq!(record, expected.concat());
}

#[test]
fn sizes_of_every_kind_come_through() {
    let fixture = Fixture::new();
    // Around the limits between copied, spliced and streamed, and of the blocks in between.
    let sizes = [0, 1, 511, 512, 513, 4095, 4096, 4097, (512 << 10) - 1, 512 << 10, (8 << 20) + 1];
    let files: Vec<(String, Vec<u8>)> =
        sizes.iter().map(|&size| (format!("demo/{size}.bin"), noise(size))).collect();
    let borrowed: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let deflated = wheel_members(&borrowed);
    let stored: Vec<ZipMember> = deflated
        .iter()
        .map(|member| {
            let name = String::from_utf8(member.name.clone()).unwrap();
            match files.iter().find(|(file, _)| *file == name) {
                Some((_, bytes)) => ZipMember::stored(&name, bytes),
                None => member.clone(),
            }
        })
        .collect();
    let zip64: Vec<ZipMember> =
        deflated.iter().map(|member| member.clone().with(|member| member.zip64 = true)).collect();
    let described: Vec<ZipMember> =
        deflated.iter().map(|member| member.clone().with(|member| member.flags = 8)).collect();
    for members in [deflated, stored, zip64, described] {
        let segment = fixture.wheel(WHEEL, &zip(&members)).unwrap();
        let seen = fixture.contents(&fixture.layer(&segment));
        for (name, bytes) in &files {
            assert!(seen[&format!("{SITE}/{name}")].bytes == *bytes, "{name}");
        }
    }
}

#[test]
fn executables_keep_their_bit_and_nothing_else_of_the_mode() {
    let fixture = Fixture::new();
    let mut members = wheel_members(&[("a", b"1"), ("b", b"2"), ("c", b"3"), ("d", b"4")]);
    members[0].mode = 0o100_777;
    members[1].mode = 0o104_600;
    members[2].mode = 0o100_010;
    members[3].mode = 0o100_755;
    members[3].made_by = 0;
    let seen = fixture.contents(&fixture.layer(&fixture.wheel(WHEEL, &zip(&members)).unwrap()));
    let modes = ["a", "b", "c", "d"].map(|name| seen[&format!("{SITE}/{name}")].mode);
    assert_eq!(modes, [0o755, 0o644, 0o755, 0o644]);
}

#[test]
fn members_without_a_row_in_record_are_taken_and_recorded() {
    let fixture = Fixture::new();
    let mut members = wheel_members(&[("demo.py", b"x\n")]);
    members.insert(0, ZipMember::new("unlisted.py", b"y\n"));
    let seen = fixture.contents(&fixture.layer(&fixture.wheel(WHEEL, &zip(&members)).unwrap()));
    let record = String::from_utf8(seen[&format!("{SITE}/demo-1.0.dist-info/RECORD")].bytes.clone()).unwrap();
    assert!(record.contains(&row("unlisted.py", b"y\n")));
}

#[test]
fn a_package_alone_in_its_layer_is_stored_once() {
    let fixture = Fixture::new();
    let segment = fixture.wheel(WHEEL, &zip(&wheel_members(&[("demo.bin", &noise(100_000))]))).unwrap();
    let layer = fixture.layer(&segment);
    assert_eq!(layer.digest, segment.blob);
    // Joining it the long way gives the same bytes.
    let bare = crate::segment::Segment { whole: None, ..segment };
    assert_eq!(fixture.layer(&bare), layer);
}

#[test]
fn a_wheel_seen_before_is_not_read_again() {
    let fixture = Fixture::new();
    let bytes = zip(&wheel_members(&[("demo.py", b"x\n")]));
    let (path, digest) = fixture.artifact(&bytes);
    let first = crate::segment::wheel(&fixture.store, &path, &digest, WHEEL, (3, 11)).unwrap();
    fs_err::remove_file(&path).unwrap();
    assert_eq!(crate::segment::wheel(&fixture.store, &path, &digest, WHEEL, (3, 11)).unwrap(), first);
    // Another Python has other folders.
    assert!(crate::segment::wheel(&fixture.store, &path, &digest, WHEEL, (3, 12)).is_err());
}

/// The segments of epoch 1. They never change: a change of these bytes changes every image of every lock.
#[test]
fn golden_wheel() {
    let fixture = Fixture::new();
    let members = wheel_members(&[
        ("demo/__init__.py", b"x = 1\n"),
        ("demo/large.bin", &noise(600_000)),
        ("demo/zeros.bin", &vec![0; 600_000]),
        ("demo-1.0.dist-info/entry_points.txt", b"[console_scripts]\nrun = demo:main\n"),
    ]);
    let segment = fixture.wheel(WHEEL, &zip(&members)).unwrap();
    assert_eq!(
        segment.blob.to_string(),
        "sha256:746ec539ec9c2bb6057b611eb6d5b28e0f049b2b5a937d56aa33fb7bcb645c35"
    );
    assert_eq!(
        segment.whole.unwrap().diff_id.to_string(),
        "sha256:7fbaa99bab0990b9b80fc720cbd1ff31949f96a64fa409dae7606936886e27d3"
    );
}
