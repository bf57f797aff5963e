//! Debian packages that mean harm or are broken: each is refused, with the artifact's name and what is wrong.

use tar::EntryType;

use super::support::{Fixture, TarMember, ar, deb, tar, xz};

#[track_caller]
fn refused_bytes(bytes: &[u8], reason: &str) {
    let fixture = Fixture::new();
    let error = fixture.deb(bytes).expect_err("it must be refused");
    let text = error.to_string();
    assert!(text.contains("demo_1_amd64.deb") && text.contains(reason), "{text}");
}

#[track_caller]
fn refused(members: &[TarMember], reason: &str) {
    refused_bytes(&deb(members, &[]), reason);
}

#[test]
fn path_climbing_out() {
    refused(&[TarMember::file("./../../etc/cron.d/x", b"x")], "climbs out of its folder with `..`");
}

#[test]
fn absolute_path() {
    refused(&[TarMember::file("/etc/passwd", b"x")], "is absolute");
}

#[test]
fn line_break_in_path() {
    refused(&[TarMember::file("./a\nb", b"x")], "control character");
}

#[test]
fn empty_path() {
    refused(&[TarMember::file("./", b"x")], "is empty");
}

#[test]
fn path_not_utf8() {
    refused(&[TarMember::file("x", b"x").with(|member| member.name = b"./caf\xe9".to_vec())], "not UTF-8");
}

#[test]
fn character_device() {
    refused(&[TarMember::of("./dev/mem", EntryType::Char, "")], "is a character device");
}

#[test]
fn block_device() {
    refused(&[TarMember::of("./dev/sda", EntryType::Block, "")], "is a block device");
}

#[test]
fn named_pipe() {
    refused(&[TarMember::of("./run/pipe", EntryType::Fifo, "")], "is a named pipe");
}

#[test]
fn written_through_a_symbolic_link() {
    let link = TarMember::of("./usr/x", EntryType::Symlink, "/etc");
    refused(&[link, TarMember::file("./usr/x/passwd", b"x")], "through the symbolic link `usr/x`");
}

#[test]
fn written_before_the_symbolic_link() {
    let link = TarMember::of("./usr/x", EntryType::Symlink, "/etc");
    refused(&[TarMember::file("./usr/x/passwd", b"x"), link], "through the symbolic link `usr/x`");
}

#[test]
fn folder_through_a_symbolic_link() {
    let link = TarMember::of("./usr/x", EntryType::Symlink, "/etc");
    refused(&[link, TarMember::of("./usr/x/d/", EntryType::Directory, "")], "through the symbolic link");
}

#[test]
fn symbolic_link_in_place_of_a_folder() {
    let folder = TarMember::of("./usr/x/", EntryType::Directory, "");
    refused(&[folder, TarMember::of("./usr/x", EntryType::Symlink, "/etc")], "occurs twice");
}

#[test]
fn hard_link_to_a_file_of_the_host() {
    refused(&[TarMember::of("./x", EntryType::Link, "/etc/shadow")], "is absolute");
}

#[test]
fn hard_link_climbing_out() {
    refused(&[TarMember::of("./x", EntryType::Link, "./../etc/shadow")], "climbs out");
}

#[test]
fn hard_link_to_nothing() {
    refused(&[TarMember::of("./x", EntryType::Link, "./y")], "is no file of this archive");
}

#[test]
fn hard_link_to_a_symbolic_link() {
    let link = TarMember::of("./y", EntryType::Symlink, "/etc/shadow");
    refused(&[link, TarMember::of("./x", EntryType::Link, "./y")], "is no file of this archive");
}

#[test]
fn same_path_twice() {
    refused(&[TarMember::file("./x", b"1"), TarMember::file("./x", b"2")], "occurs twice");
}

#[test]
fn same_path_twice_by_the_merged_root() {
    refused(&[TarMember::file("./bin/x", b"1"), TarMember::file("./usr/bin/x", b"2")], "occurs twice");
}

#[test]
fn file_where_a_folder_is() {
    refused(&[TarMember::file("./x", b"1"), TarMember::file("./x/y", b"2")], "both a file and a folder");
}

#[test]
fn declared_larger_than_the_archive() {
    refused(&[TarMember::file("./x", b"1").with(|member| member.size = 1 << 20)], "ends too early");
}

#[test]
fn sparse_file() {
    refused(&[TarMember::of("./x", EntryType::GNUSparse, "")], "");
}

#[test]
fn bomb() {
    let zeros = vec![0; 128 << 20];
    refused(&[TarMember::file("./x", &zeros)], "out of proportion");
}

#[test]
fn data_cut_short() {
    let data = xz(&tar(&[TarMember::file("./x", &super::support::noise(100_000))]));
    let control = xz(&tar(&[TarMember::file("./control", b"Package: demo\n")]));
    let parts: [(&str, &[u8]); 3] =
        [("debian-binary", b"2.0\n"), ("control.tar.xz", &control), ("data.tar.xz", &data[..data.len() / 2])];
    refused_bytes(&ar(&parts), "ends too early");
}

#[test]
fn data_damaged() {
    let mut data = xz(&tar(&[TarMember::file("./x", &super::support::noise(100_000))]));
    let middle = data.len() / 2;
    data[middle] ^= 1;
    let control = xz(&tar(&[TarMember::file("./control", b"Package: demo\n")]));
    let parts: [(&str, &[u8]); 3] =
        [("debian-binary", b"2.0\n"), ("control.tar.xz", &control), ("data.tar.xz", &data)];
    refused_bytes(&ar(&parts), "damaged");
}

#[test]
fn package_cut_short() {
    let bytes = deb(&[TarMember::file("./x", &super::support::noise(1000))], &[]);
    for length in [0, 7, 8, 60, 70, 100, 200, bytes.len() - 20] {
        refused_bytes(&bytes[..length], "");
    }
}

#[test]
fn no_data() {
    let control = xz(&tar(&[TarMember::file("./control", b"Package: demo\n")]));
    refused_bytes(&ar(&[("debian-binary", b"2.0\n"), ("control.tar.xz", &control)]), "no data archive");
}

#[test]
fn data_twice() {
    let control = xz(&tar(&[TarMember::file("./control", b"Package: demo\n")]));
    let data = xz(&tar(&[TarMember::file("./x", b"x")]));
    let parts: [(&str, &[u8]); 4] = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", &control),
        ("data.tar.xz", &data),
        ("data.tar.xz", &data),
    ];
    refused_bytes(&ar(&parts), "two data archives");
}

#[test]
fn unknown_compression() {
    refused_bytes(&ar(&[("debian-binary", b"2.0\n"), ("control.tar.lzo", b"x")]), "is compressed as `.lzo`");
}

#[test]
fn not_a_package() {
    refused_bytes(b"<html>not found</html>", "is not a Debian package");
}

#[test]
fn written_through_a_symbolic_link_in_another_case() {
    let link = || TarMember::of("./usr/X", EntryType::Symlink, "/etc");
    refused(&[link(), TarMember::file("./usr/x/passwd", b"x")], "through the symbolic link `usr/X`");
    refused(&[TarMember::file("./usr/x/passwd", b"x"), link()], "through the symbolic link `usr/X`");
}

/// An xz stream that asks for 4 GiB before its first byte: the size of the dictionary is a byte of the first block's header,
/// which has a checksum (xz file format, sections 3.1 and 5.3.1).
fn with_dictionary_of_4_gib(mut xz: Vec<u8>) -> Vec<u8> {
    const HEADER: usize = 12;
    let length = (usize::from(xz[HEADER]) + 1) * 4;
    let block = &mut xz[HEADER..HEADER + length];
    assert_eq!(block[..4], [block[0], 0, 0x21, 1], "one filter, LZMA2, without sizes");
    block[4] = 40;
    let sum = libdeflater::crc32(&block[..length - 4]);
    block[length - 4..].copy_from_slice(&sum.to_le_bytes());
    xz
}

#[test]
fn dictionary_bomb() {
    let huge = &with_dictionary_of_4_gib(xz(&tar(&[TarMember::file("./x", b"x")])));
    let control = xz(&tar(&[TarMember::file("./control", b"Package: demo\n")]));
    let parts: [(&str, &[u8]); 3] =
        [("debian-binary", b"2.0\n"), ("control.tar.xz", &control), ("data.tar.xz", huge)];
    refused_bytes(&ar(&parts), "needs more than 96 MiB of memory");
    let parts: [(&str, &[u8]); 3] =
        [("debian-binary", b"2.0\n"), ("control.tar.xz", huge), ("data.tar.xz", &control)];
    refused_bytes(&ar(&parts), "needs more than 96 MiB of memory");
}

#[test]
fn window_bomb() {
    // The same in zstd: a frame header that asks for 1 GiB, then an empty last block.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 0x01, 0x00, 0x00];
    let control = xz(&tar(&[TarMember::file("./control", b"Package: demo\n")]));
    let parts: [(&str, &[u8]); 3] =
        [("debian-binary", b"2.0\n"), ("control.tar.xz", &control), ("data.tar.zst", &frame)];
    refused_bytes(&ar(&parts), "damaged");
}

#[test]
fn too_much_that_would_be_kept_in_memory() {
    let members: Vec<TarMember> = (0..20)
        .map(|n| TarMember::file(&format!("./usr/share/base-files/{n}"), &super::support::noise(1 << 20)))
        .collect();
    refused(&members, "out of proportion");
    let text = "x".repeat(20 << 20);
    refused_bytes(&deb(&[TarMember::file("./x", b"x")], &[("md5sums", &text)]), "out of proportion");
}

#[test]
fn too_many_members() {
    let link = TarMember::of("./x", EntryType::Directory, "");
    let one = &tar(&[link])[..512];
    let mut data = Vec::new();
    let mut number = 0_u32;
    // Empty folders by numbers: only the name and the checksum change.
    while data.len() < 500_001 * 512 {
        let mut header = tar::Header::from_byte_slice(one).clone();
        let name = format!("./{number:06}");
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        data.extend_from_slice(header.as_bytes());
        number += 1;
    }
    // Noise behind a file's header keeps the proportion.
    data.extend(tar(&[TarMember::file("./noise", &super::support::noise(2 << 20))]));
    let control = xz(&tar(&[TarMember::file("./control", b"Package: demo\n")]));
    let parts: [(&str, &[u8]); 3] = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", &control),
        ("data.tar.gz", &super::support::gzip(&data)),
    ];
    refused_bytes(&ar(&parts), "more than 500000 members");
}

/// A file with a name that needs an entry of its own.
fn with_long_name(name: &str) -> [TarMember; 2] {
    let long = TarMember {
        kind: EntryType::GNULongName,
        ..TarMember::file("././@LongLink", format!("{name}\0").as_bytes())
    };
    [long, TarMember::file("x", b"")]
}

#[test]
fn path_too_deep() {
    refused(&with_long_name(&("./a".to_owned() + &"/a".repeat(128))), "has more than 128 parts");
}

#[test]
fn folders_without_end() {
    let members: Vec<TarMember> =
        (0..1000).flat_map(|n| with_long_name(&format!("./{n}{}", "/a".repeat(110)))).collect();
    refused(&members, "more than 100000 folders");
}

#[test]
fn names_without_end() {
    let deep = format!("/{}", "n".repeat(250)).repeat(15);
    let members: Vec<TarMember> = (0..2500).flat_map(|n| with_long_name(&format!("./{n}{deep}"))).collect();
    refused(&members, "names of more than 64 MiB");
}

#[test]
fn symbolic_link_to_a_name_without_end() {
    let target = "x".repeat(5000);
    let long =
        TarMember { kind: EntryType::GNULongLink, ..TarMember::file("././@LongLink", target.as_bytes()) };
    refused(&[long, TarMember::of("./x", EntryType::Symlink, "x")], "links to a name too long");
}

#[test]
fn control_twice() {
    let control = xz(&tar(&[TarMember::file("./control", b"Package: demo\n")]));
    let data = xz(&tar(&[TarMember::file("./x", b"x")]));
    let parts: [(&str, &[u8]); 4] = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", &control),
        ("control.tar.xz", &control),
        ("data.tar.xz", &data),
    ];
    refused_bytes(&ar(&parts), "two control archives");
}

#[test]
fn what_is_kept_in_memory_counts_together() {
    let members: Vec<TarMember> = (0..9)
        .map(|n| TarMember::file(&format!("./usr/share/base-files/{n}"), &super::support::noise(1 << 20)))
        .collect();
    let fixture = Fixture::new();
    fixture.deb(&deb(&members, &[])).unwrap();
    let text = "x".repeat(9 << 20);
    fixture.deb(&deb(&[TarMember::file("./x", b"x")], &[("md5sums", &text)])).unwrap();
    refused_bytes(&deb(&members, &[("md5sums", &text)]), "out of proportion");
}
