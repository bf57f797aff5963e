//! Wheels that mean harm or are broken: each is refused, with the artifact's name and what is wrong.

use libdeflater::crc32;

use super::support::{Fixture, WHEEL, ZipMember, deflate, row, wheel_members, zip};
use crate::segment::inflate::{GZIP_HEADER, gzip_footer};

/// Makes sure that the wheel is refused for this reason, and that nothing of it stays.
#[track_caller]
fn refused(bytes: &[u8], reason: &str) {
    refused_as(WHEEL, bytes, reason);
}

#[track_caller]
fn refused_as(name: &str, bytes: &[u8], reason: &str) {
    let fixture = Fixture::new();
    let before = fixture.store.stats().unwrap().blobs.count;
    let error = fixture.wheel(name, bytes).expect_err("it must be refused");
    let text = error.to_string();
    assert!(text.contains(name) && text.contains(reason), "{text}");
    assert!(text.len() < 1000, "{text}");
    assert!(error.hint().is_some());
    assert_eq!(fixture.store.stats().unwrap().blobs.count, before);
}

/// A right wheel with one more member.
fn with(member: ZipMember) -> Vec<u8> {
    let mut members = wheel_members(&[("demo.py", b"x\n")]);
    members.push(member);
    zip(&members)
}

/// A right wheel whose first member is changed.
fn changed(change: impl FnOnce(&mut ZipMember)) -> Vec<u8> {
    let mut members = wheel_members(&[("demo.py", b"print('hello, hello, hello, hello')\n")]);
    change(&mut members[0]);
    zip(&members)
}

#[test]
fn path_climbing_out() {
    refused(&with(ZipMember::new("../../etc/cron.d/x", b"x")), "climbs out of its folder with `..`");
}

#[test]
fn path_climbing_out_of_a_scheme() {
    refused(&with(ZipMember::new("demo-1.0.data/scripts/../../x", b"x")), "climbs out");
}

#[test]
fn absolute_path() {
    refused(&with(ZipMember::new("/etc/passwd", b"x")), "is absolute");
}

#[test]
fn backslash_path() {
    refused(&with(ZipMember::new("a\\..\\b", b"x")), "backslash");
}

#[test]
fn nul_in_path() {
    refused(&with(ZipMember::new("a\0b", b"x")), "NUL");
}

#[test]
fn line_break_in_path() {
    refused(&with(ZipMember::new("a\nb,,", b"x")), "control character");
}

#[test]
fn empty_path() {
    refused(&with(ZipMember::new("", b"x")), "is empty");
}

#[test]
fn path_not_in_normal_form() {
    refused(&with(ZipMember::new("a/./b", b"x")), "not in normal form");
    refused(&with(ZipMember::new("a//b", b"x")), "not in normal form");
}

#[test]
fn path_not_utf8() {
    let bytes = b"caf\xe9".to_vec();
    let member = ZipMember::new("x", b"x").with(|member| {
        member.name.clone_from(&bytes);
        member.local_name = bytes;
    });
    refused(&with(member), "not UTF-8");
}

#[test]
fn folder_climbing_out() {
    refused(&with(ZipMember::stored("../x/", b"")), "climbs out");
}

#[test]
fn same_name_twice() {
    refused(&with(ZipMember::new("demo.py", b"other")), "occurs twice");
}

#[test]
fn same_place_by_two_schemes() {
    refused(&with(ZipMember::new("demo-1.0.data/purelib/demo.py", b"other")), "occurs twice");
}

#[test]
fn file_where_a_folder_is() {
    refused(&with(ZipMember::new("demo.py/x", b"x")), "is both a file and a folder");
}

#[test]
fn record_hash_mismatch() {
    let mut members = wheel_members(&[("demo.py", b"x\n")]);
    members[0] = ZipMember::new("demo.py", b"y\n");
    refused(&zip(&members), "not what RECORD says: the hash differs");
}

#[test]
fn record_size_mismatch() {
    let mut members = wheel_members(&[("demo.py", b"x\n")]);
    let record = row("demo.py", b"x\n").replace(",2\n", ",3\n");
    *members.last_mut().unwrap() = ZipMember::new("demo-1.0.dist-info/RECORD", record.as_bytes());
    refused(&zip(&members), "not what RECORD says: the size differs");
}

#[test]
fn record_mismatch_in_a_script() {
    let mut members = wheel_members(&[("demo-1.0.data/scripts/run", b"#!python\n")]);
    members[0] = ZipMember::new("demo-1.0.data/scripts/run", b"#!python\nevil\n");
    refused(&zip(&members), "not what RECORD says");
}

#[test]
fn record_missing() {
    let mut members = wheel_members(&[("demo.py", b"x\n")]);
    members.pop();
    refused(&zip(&members), "has no RECORD");
}

#[test]
fn wrong_checksum() {
    refused(
        &changed(|member| {
            member.crc ^= 1;
            member.local_crc ^= 1;
        }),
        "checksum is wrong",
    );
}

#[test]
fn wrong_checksum_of_a_stored_member() {
    let member = ZipMember::stored("extra", b"abc").with(|member| {
        member.crc ^= 1;
        member.local_crc ^= 1;
    });
    refused(&with(member), "checksum is wrong");
}

#[test]
fn declared_too_small() {
    refused(&changed(|member| member.size = 3), "says it has 3 bytes");
}

#[test]
fn declared_too_large() {
    refused(&changed(|member| member.size += 1), "says it has");
}

#[test]
fn stored_member_of_two_sizes() {
    refused(
        &with(ZipMember::stored("extra", b"abc").with(|member| member.size = 2)),
        "says it has 2 bytes and has 3",
    );
}

#[test]
fn bomb_beyond_what_deflate_can_do() {
    refused(&changed(|member| member.size = 1 << 31), "out of proportion");
}

#[test]
fn bomb_within_what_deflate_can_do() {
    let zeros = vec![0; 128 << 20];
    refused(&with(ZipMember::new("zeros", &zeros)), "out of proportion");
}

#[test]
fn bomb_of_overlapping_members() {
    let mut members = wheel_members(&[("a.bin", &[0; 5000]), ("b.bin", &[0; 5000])]);
    members[1].offset = Some(0);
    members[0].local_name = members[0].name.clone();
    refused(&zip(&members), "differ in the name");
    // The same with one name in both headers, as such bombs are really made: one member inside another.
    let inner = ZipMember::new("b.bin", b"inner");
    let wrapped = zip(std::slice::from_ref(&inner));
    let end = wrapped.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let outer = ZipMember::stored("a.bin", &wrapped[..end]);
    let mut members = wheel_members(&[]);
    members.insert(0, outer);
    members.insert(1, inner.with(|member| member.offset = Some(30 + 5)));
    refused(&zip(&members), "overlaps another member");
}

#[test]
fn stream_behind_the_stream() {
    let bytes = b"x = 'what RECORD speaks of, and a little more than that'\n";
    let mut members = wheel_members(&[("demo.py", bytes)]);
    members[0].data.extend_from_slice(&gzip_footer(crc32(bytes), bytes.len() as u64));
    members[0].data.extend_from_slice(&GZIP_HEADER);
    members[0].data.extend_from_slice(&deflate(b"smuggled into the layer"));
    refused(&zip(&members), "damaged");
}

#[test]
fn garbage_behind_the_stream() {
    refused(&changed(|member| member.data.extend_from_slice(b"garbage")), "damaged");
}

#[test]
fn garbage_behind_a_long_stream() {
    // Long enough to be streamed.
    let bytes = super::support::noise((8 << 20) + 100);
    let mut members = wheel_members(&[("demo.bin", &bytes)]);
    members[0].data.extend_from_slice(b"garbage");
    refused(&zip(&members), "damaged");
}

#[test]
fn stream_cut_short() {
    refused(
        &changed(|member| {
            member.data.truncate(member.data.len() - 5);
        }),
        "demo.py",
    );
}

#[test]
fn archive_cut_short() {
    let bytes = with(ZipMember::new("extra", b"abc"));
    for length in [0, 1, 21, 100, bytes.len() - 23, bytes.len() - 1] {
        refused(&bytes[..length], "");
    }
}

#[test]
fn every_single_bit_flip_is_refused_or_harmless() {
    let bytes = zip(&wheel_members(&[("demo/data.bin", &super::support::noise(300))]));
    let fixture = Fixture::new();
    let expected = fixture.wheel(WHEEL, &bytes).unwrap();
    let expected = fixture.contents(&fixture.layer(&expected));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let Ok(segment) = fixture.wheel(WHEEL, &flipped) else { continue };
        // Times, versions and modes may differ, never a byte of a file that is in RECORD.
        let seen = fixture.contents(&fixture.layer(&segment));
        for (path, entry) in &expected {
            assert_eq!(
                seen.get(path).map(|seen| &seen.bytes),
                Some(&entry.bytes),
                "bit flip at {at}, {path}"
            );
        }
    }
}

#[test]
fn encrypted() {
    refused(&changed(|member| member.flags = 1), "is encrypted");
}

#[test]
fn unknown_compression() {
    refused(
        &changed(|member| {
            member.method = 93;
            member.local_method = 93;
        }),
        "method 93",
    );
}

#[test]
fn headers_disagree_on_the_name() {
    refused(&changed(|member| member.local_name = b"evil.py".to_vec()), "differ in the name");
}

#[test]
fn headers_disagree_on_the_method() {
    refused(&changed(|member| member.local_method = 0), "differ in the compression method");
}

#[test]
fn headers_disagree_on_the_checksum() {
    refused(&changed(|member| member.local_crc ^= 1), "differ in the checksum");
}

#[test]
fn two_directories_in_one_file() {
    // One archive behind another: readers that search from the front see the first.
    let mut bytes = with(ZipMember::new("first", b"x"));
    bytes.extend(with(ZipMember::new("second", b"x")));
    refused(&bytes, "");
}

#[test]
fn directory_in_the_comment() {
    let mut bytes = with(ZipMember::new("extra", b"x"));
    let hidden = with(ZipMember::new("hidden", b"x"));
    let at = bytes.len() - 2;
    bytes[at..].copy_from_slice(&u16::try_from(hidden.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(&hidden);
    refused(&bytes, "");
}

#[test]
fn directory_offset_beyond_the_end() {
    let mut bytes = with(ZipMember::new("extra", b"x"));
    let at = bytes.len() - 6;
    bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    refused(&bytes, "");
}

#[test]
fn another_packages_dist_info() {
    refused_as("other-1.0-py3-none-any.whl", &with(ZipMember::new("x", b"x")), "is another package's");
    refused_as("demo-2.0-py3-none-any.whl", &with(ZipMember::new("x", b"x")), "is another package's");
}

#[test]
fn two_dist_infos() {
    refused(&with(ZipMember::new("other-1.0.dist-info/METADATA", b"x")), "several .dist-info folders");
}

#[test]
fn no_dist_info() {
    refused(&zip(&[ZipMember::new("demo.py", b"x")]), "no .dist-info folder");
}

#[test]
fn wheel_of_a_later_version() {
    let mut members = wheel_members(&[]);
    members[1] = ZipMember::new("demo-1.0.dist-info/WHEEL", b"Wheel-Version: 2.0\n");
    refused(&zip(&members), "wheel version `2.0`");
}

#[test]
fn unknown_scheme() {
    refused(&with(ZipMember::new("demo-1.0.data/etc/passwd", b"x")), "no known scheme");
}

#[test]
fn file_in_place_of_a_scheme() {
    refused(&with(ZipMember::new("demo-1.0.data/scripts", b"x")), "where a scheme's folder belongs");
}

#[test]
fn entry_point_named_like_a_path() {
    let points = b"[console_scripts]\n../../etc/profile.d/x = demo:main\n";
    refused(
        &zip(&wheel_members(&[("demo-1.0.dist-info/entry_points.txt", points)])),
        "entry_points.txt has the line",
    );
}

#[test]
fn not_a_zip() {
    refused(b"<html>not found</html>", "not a zip archive");
    refused(b"", "not a zip archive");
}

#[test]
fn a_symbolic_link_is_a_file_with_its_target_for_text() {
    // As pip and uv do: nothing can be written through it.
    let fixture = Fixture::new();
    let mut members = wheel_members(&[("link", b"/etc/passwd")]);
    members[0].mode = 0o120_777;
    let seen = fixture.contents(&fixture.layer(&fixture.wheel(WHEEL, &zip(&members)).unwrap()));
    let entry = &seen[&format!("{}/link", super::support::SITE)];
    assert!(entry.kind.is_file());
    assert_eq!(entry.bytes, b"/etc/passwd");
}

#[test]
fn description_in_another_case() {
    for name in ["demo-1.0.DIST-INFO/RECORD", "Demo-1.0.dist-info/x", "demo-1.0.di\u{17f}t-info/METADATA"] {
        let members = wheel_members(&[("demo.py", b"x\n"), (name, b"x")]);
        let text = Fixture::new().wheel(WHEEL, &zip(&members)).unwrap_err().to_string();
        assert!(text.contains("differs only in case") || text.contains("several .dist-info"), "{text}");
    }
    refused(&with(ZipMember::new("demo-1.0.dist-info/metadata", b"x")), "differs only in case");
    refused(&with(ZipMember::new("demo-1.0.dist-info/Installer", b"x")), "differs only in case");
    let below = "demo-1.0.data/data/LIB/python3.11/site-packages/demo-1.0.dist-info/RECORD";
    refused(&with(ZipMember::new(below, b"x")), "differs only in case");
}

#[test]
fn interpreter_in_another_case() {
    for name in ["scripts/Python", "data/bin/PYTHON3", "data/Bin/python", "data/PyVenv.cfg"] {
        refused(&with(ZipMember::new(&format!("demo-1.0.data/{name}"), b"x")), "differs only in case");
    }
}

#[test]
fn too_many_members() {
    // The count alone is looked at: the end record says so many.
    let mut bytes = with(ZipMember::new("x", b"x"));
    let end = bytes.len() - 22;
    let mut wide = b"PK\x06\x06".to_vec();
    wide.extend_from_slice(&44_u64.to_le_bytes());
    wide.extend_from_slice(&[0; 12]);
    for number in [600_000_u64, 600_000] {
        wide.extend_from_slice(&number.to_le_bytes());
    }
    let field = |at: usize| u64::from(u32::from_le_bytes(bytes[end + at..end + at + 4].try_into().unwrap()));
    for number in [field(12), field(16)] {
        wide.extend_from_slice(&number.to_le_bytes());
    }
    wide.extend_from_slice(b"PK\x06\x07");
    wide.extend_from_slice(&[0; 4]);
    wide.extend_from_slice(&(end as u64).to_le_bytes());
    wide.extend_from_slice(&1_u32.to_le_bytes());
    bytes[end + 8..end + 12].fill(0xff);
    bytes.splice(end..end, wide);
    refused(&bytes, "more than 500000 members");
}

/// A right wheel with empty files of these names besides.
fn with_names(names: impl Iterator<Item = String>) -> Vec<u8> {
    let mut members = wheel_members(&[("demo.py", b"x\n")]);
    members.extend(names.map(|name| ZipMember::stored(&name, b"")));
    zip(&members)
}

#[test]
fn path_too_deep() {
    refused(&with_names(std::iter::once("a/".repeat(2000) + "x.py")), "has more than 128 parts");
    // Where it is laid down it is deeper than in the archive.
    refused(&with_names(std::iter::once("a/".repeat(126) + "x.py")), "has more than 128 parts");
}

#[test]
fn folders_without_end() {
    refused(
        &with_names((0..1000).map(|n| format!("{n}/{}x.py", "a/".repeat(110)))),
        "more than 100000 folders",
    );
}

#[test]
fn names_without_end() {
    let deep = format!("{}/", "n".repeat(250)).repeat(15);
    refused(&with_names((0..2500).map(|n| format!("{n}/{deep}x.py"))), "names of more than 64 MiB");
}

#[test]
fn commands_without_end() {
    let points: String =
        (0..5000).fold("[console_scripts]\n".to_owned(), |text, n| format!("{text}c{n} = demo:main\n"));
    let file = ("demo-1.0.dist-info/entry_points.txt", points.as_bytes());
    refused(&zip(&wheel_members(&[file])), "names more than 4096 commands");
}

#[test]
fn record_row_without_end() {
    let mut members = wheel_members(&[]);
    let record = ",".repeat(1 << 20);
    *members.last_mut().unwrap() = ZipMember::new("demo-1.0.dist-info/RECORD", record.as_bytes());
    refused(&zip(&members), "a row that is not of three fields");
}
