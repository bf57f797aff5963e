//! What a Debian package lays down, and what it says of itself.

use tar::EntryType;

use super::support::{Fixture, TarMember, ar, deb, gzip, noise, tar, xz, zstd};
use crate::entry::Directory;

fn members() -> Vec<TarMember> {
    let folder =
        |name: &str, mode| TarMember::of(name, EntryType::Directory, "").with(|member| member.mode = mode);
    vec![
        folder("./", 0o755),
        folder("./bin/", 0o755),
        TarMember::file("./bin/su", b"su").with(|member| member.mode = 0o4755),
        TarMember::of("./bin/su2", EntryType::Link, "./bin/su"),
        folder("./lib/", 0o755),
        TarMember::file("./lib/demo.so", b"lib"),
        TarMember::of("./lib/demo.so.1", EntryType::Symlink, "/lib/demo.so"),
        folder("./tmp/", 0o1777),
        folder("./var/", 0o755),
        folder("./var/mail/", 0o2775).with(|member| member.owner = (0, 8)),
        TarMember::file("./var/mail/box", b"").with(|member| member.owner = (1000, 8)),
        folder("./usr/share/doc/demo/", 0o755),
        TarMember::file("./usr/share/doc/demo/copyright", b"free"),
        TarMember::file("./usr/share/doc/demo/README", b"long"),
        TarMember::file("./usr/share/man/man1/su.1.gz", b"long"),
        TarMember::of("./usr/share/doc/other", EntryType::Symlink, "demo"),
        folder("./usr/share/locale/", 0o755),
        TarMember::file("./usr/share/base-passwd/passwd.master", b"root:x"),
    ]
}

#[test]
fn files_links_owners_and_modes_come_through_behind_the_merged_root() {
    let fixture = Fixture::new();
    let made = fixture.deb(&deb(&members(), &[])).unwrap();
    let seen = fixture.contents(&fixture.layer(&made.segment));
    let entry = |path: &str| seen.get(path).unwrap_or_else(|| panic!("no {path} among {:?}", seen.keys()));
    assert_eq!(entry("usr/bin/su").mode, 0o4755);
    assert_eq!(entry("usr/bin/su2").link.as_deref(), Some("usr/bin/su"));
    assert_eq!(entry("usr/lib/demo.so").bytes, b"lib");
    assert_eq!(entry("usr/lib/demo.so.1").link.as_deref(), Some("/lib/demo.so"));
    assert_eq!(entry("tmp").mode, 0o1777);
    assert_eq!((entry("var/mail").mode, entry("var/mail").owner), (0o2775, (0, 8)));
    assert_eq!(entry("var/mail/box").owner, (1000, 8));
    assert_eq!(entry("usr/share/doc/demo/copyright").bytes, b"free");
    assert_eq!(entry("usr/share/doc/other").link.as_deref(), Some("demo"));
    for path in
        ["bin", "lib", "usr/share/doc/demo/README", "usr/share/man/man1", "usr/share/man/man1/su.1.gz"]
    {
        assert!(!seen.contains_key(path), "{path}");
    }
    assert_eq!(made.facts.files["usr/share/base-passwd/passwd.master"], b"root:x");
    let mail = Directory { path: "var/mail".to_owned(), mode: 0o2775, uid: 0, gid: 8 };
    assert!(made.segment.directories.contains(&mail));
}

#[test]
fn the_control_archive_becomes_facts() {
    let fixture = Fixture::new();
    let control = [
        ("./md5sums", "00  usr/bin/su\n"),
        ("./conffiles", "/etc/demo.conf\n"),
        ("./postinst", "#!/bin/sh\nupdate-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5\n"),
        ("./prerm", "#!/bin/sh\n"),
        ("./triggers", "activate-noawait ldconfig\n"),
    ];
    let facts = fixture.deb(&deb(&[], &control)).unwrap().facts;
    assert!(facts.control.starts_with("Package: demo\n"));
    assert_eq!(facts.md5sums.as_deref(), Some("00  usr/bin/su\n"));
    assert_eq!(facts.conffiles, ["/etc/demo.conf"]);
    assert_eq!(facts.maintainer_scripts, ["postinst", "prerm"]);
    assert_eq!(facts.alternatives[0].path, "/usr/bin/mawk");
}

#[test]
fn every_compression_gives_the_same_segment() {
    let fixture = Fixture::new();
    let control = tar(&[TarMember::file("./control", b"Package: demo\n")]);
    let data = tar(&members());
    let build = |suffix: &str, control: &[u8], data: &[u8]| {
        let (control_name, data_name) = (format!("control.tar{suffix}"), format!("data.tar{suffix}"));
        ar(&[
            ("debian-binary", b"2.0\n"),
            (&control_name, control),
            ("_gpgorigin", b"odd"),
            (&data_name, data),
        ])
    };
    let packages = [
        build("", &control, &data),
        build(".gz", &gzip(&control), &gzip(&data)),
        build(".xz", &xz(&control), &xz(&data)),
        build(".zst", &zstd(&control), &zstd(&data)),
    ];
    let segments: Vec<_> = packages.iter().map(|bytes| fixture.deb(bytes).unwrap().segment).collect();
    assert!(segments.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_package_seen_before_is_not_read_again() {
    let fixture = Fixture::new();
    let bytes = deb(&members(), &[]);
    let (path, digest) = fixture.artifact(&bytes);
    let first = crate::segment::deb(&fixture.store, &path, &digest, "demo.deb").unwrap();
    fs_err::remove_file(&path).unwrap();
    assert_eq!(crate::segment::deb(&fixture.store, &path, &digest, "demo.deb").unwrap(), first);
}

/// The segments of epoch 1. They never change: a change of these bytes changes every image of every lock.
#[test]
fn golden_deb() {
    let fixture = Fixture::new();
    let mut members = members();
    members.push(TarMember::file("./usr/lib/large.bin", &noise(700_000)));
    let made = fixture.deb(&deb(&members, &[])).unwrap();
    assert_eq!(
        made.segment.blob.to_string(),
        "sha256:c0556eb340083c92a1be787ef11808fb45e73e331f60296134cc1f685b1f1155"
    );
    assert_eq!(
        fixture.layer(&made.segment).diff_id.to_string(),
        "sha256:a471e074ad1cda64d59062e25d363b253f3061f2f66bccde2641720d49ab9ed3"
    );
}
