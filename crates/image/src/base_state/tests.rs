use std::collections::BTreeMap;
use std::process::Command;

use provenv_definition::{Digest, Platform};
use provenv_lock::{Artifact, DebPackage};

use super::{entries, not_reproduced};
use crate::entry::{Entry, EntryKind};
use crate::segment::{Alternative, DebFacts, Library};

/// Made with `openssl req -x509 -subj '/C=DE/O=  Größe   &  Sohn /OU=One+CN=Test CA'`; the hash is what
/// `openssl x509 -subject_hash` says.
const CERTIFICATE: &str = include_str!("fixtures/authority.crt");
const SUBJECT_HASH: &str = include_str!("fixtures/authority.hash");

fn deb(name: &str, paths: &[&str]) -> (DebPackage, DebFacts) {
    let package = DebPackage {
        name: name.into(),
        version: "1.0".into(),
        architecture: "amd64".into(),
        artifact: Artifact {
            url: format!("https://mirror.invalid/{name}.deb").parse().unwrap(),
            size: 1,
            sha256: Digest::of(name.as_bytes()),
        },
    };
    let facts = DebFacts {
        control: format!("Package: {name}\nVersion: 1.0\nArchitecture: amd64\nDescription: for a test\n"),
        paths: paths.iter().map(|&path| path.to_owned()).collect(),
        ..DebFacts::default()
    };
    (package, facts)
}

fn with_files(mut deb: (DebPackage, DebFacts), files: &[(&str, &str)]) -> (DebPackage, DebFacts) {
    for (path, text) in files {
        deb.1.paths.push((*path).to_owned());
        deb.1.files.insert((*path).to_owned(), text.as_bytes().to_vec());
    }
    deb
}

fn state(debs: &[(DebPackage, DebFacts)]) -> BTreeMap<String, Entry> {
    let made = entries(debs, Platform::LinuxAmd64);
    let count = made.len();
    let by_path: BTreeMap<String, Entry> =
        made.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
    assert_eq!(by_path.len(), count, "a path is there twice");
    by_path
}

fn text(state: &BTreeMap<String, Entry>, path: &str) -> String {
    match &state.get(path).unwrap_or_else(|| panic!("no {path}")).kind {
        EntryKind::File(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{path} is {other:?}"),
    }
}

fn link(state: &BTreeMap<String, Entry>, path: &str) -> Option<String> {
    match &state.get(path)?.kind {
        EntryKind::Symlink(target) => Some(target.clone()),
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn the_order_of_packages_does_not_count() {
    let mut debs = vec![
        deb("bash", &["usr/bin/bash"]),
        with_files(deb("libc-bin", &[]), &[("usr/share/libc-bin/nsswitch.conf", "passwd: files\n")]),
        deb("dpkg", &[]),
    ];
    let one = entries(&debs, Platform::LinuxAmd64);
    debs.reverse();
    assert_eq!(entries(&debs, Platform::LinuxAmd64), one);
}

#[test]
fn users_come_from_the_master_lists_without_passwords() {
    let debs = [with_files(
        deb("base-passwd", &[]),
        &[
            (
                "usr/share/base-passwd/passwd.master",
                "root:*:0:0:root:/root:/bin/bash\n_apt:*:42:65534::/nonexistent:\n",
            ),
            ("usr/share/base-passwd/group.master", "root:*:0:\nshadow:*:42:\n"),
        ],
    )];
    let state = state(&debs);
    assert_eq!(
        text(&state, "etc/passwd"),
        "root:x:0:0:root:/root:/bin/bash\n_apt:x:42:65534::/nonexistent:\n"
    );
    assert_eq!(text(&state, "etc/group"), "root:x:0:\nshadow:x:42:\n");
    assert_eq!(text(&state, "etc/shadow"), "root:*:3652:0:99999:7:::\n_apt:*:3652:0:99999:7:::\n");
    assert_eq!(text(&state, "etc/gshadow"), "root:*::\nshadow:*::\n");
    for (path, mode, gid) in [("etc/passwd", 0o644, 0), ("etc/shadow", 0o640, 42), ("etc/gshadow", 0o640, 42)]
    {
        assert_eq!((state[path].mode, state[path].uid, state[path].gid), (mode, 0, gid), "{path}");
    }
}

#[test]
fn what_a_package_ships_is_not_made_again() {
    let debs = [
        deb("base-files", &["bin", "sbin", "lib", "var/run", "etc/profile", "etc/hosts"]),
        deb("netbase", &[]),
    ];
    let state = state(&debs);
    for path in ["bin", "sbin", "lib", "etc/profile", "etc/hosts"] {
        assert!(!state.contains_key(path), "{path}");
    }
    assert_eq!(
        link(&state, "var/run").as_deref(),
        Some("/run"),
        "a folder in the package, a link in the end"
    );
    assert_eq!(state["tmp"].mode, 0o1777);
}

#[test]
fn usr_is_merged_where_no_package_does_it() {
    let state = state(&[deb("libc6", &["usr/lib64/ld-linux-x86-64.so.2"]), deb("dash", &["usr/bin/dash"])]);
    for (path, target) in [("bin", "usr/bin"), ("lib64", "usr/lib64"), ("usr/bin/sh", "dash")] {
        assert_eq!(link(&state, path).as_deref(), Some(target), "{path}");
    }
    let arm = entries(&[deb("libc6", &["usr/lib/ld-linux-aarch64.so.1"])], Platform::LinuxArm64);
    assert!(!arm.iter().any(|entry| entry.path == "lib64"), "arm64 has none");
}

fn alternative(name: &str, path: &str, priority: i32, slaves: &[(&str, &str, &str)]) -> Alternative {
    let own = |(link, name, path): &(&str, &str, &str)| {
        ((*link).to_owned(), (*name).to_owned(), (*path).to_owned())
    };
    Alternative {
        link: format!("/usr/bin/{name}"),
        name: name.into(),
        path: path.into(),
        priority,
        slaves: slaves.iter().map(own).collect(),
    }
}

#[test]
fn the_alternative_of_highest_priority_wins_with_its_slaves() {
    let mut gawk = deb("gawk", &["usr/bin/gawk", "usr/share/man/man1/gawk.1.gz"]);
    gawk.1.alternatives = vec![alternative(
        "awk",
        "/bin/gawk",
        10,
        &[
            ("/usr/share/man/awk.1.gz", "awk.1.gz", "/usr/share/man/man1/gawk.1.gz"),
            ("/usr/bin/x", "x", "/nowhere"),
        ],
    )];
    let mut mawk = deb("mawk", &["usr/bin/mawk"]);
    mawk.1.alternatives = vec![
        alternative("awk", "/usr/bin/mawk", 5, &[("/usr/bin/nawk", "nawk", "/usr/bin/mawk")]),
        alternative("gone", "/usr/bin/not-there", 50, &[]),
        alternative("../../evil", "/usr/bin/mawk", 50, &[]),
    ];
    let state = state(&[gawk, mawk, deb("dpkg", &[])]);
    assert_eq!(link(&state, "usr/bin/awk").as_deref(), Some("/etc/alternatives/awk"));
    assert_eq!(link(&state, "etc/alternatives/awk").as_deref(), Some("/bin/gawk"));
    assert_eq!(link(&state, "etc/alternatives/awk.1.gz").as_deref(), Some("/usr/share/man/man1/gawk.1.gz"));
    for absent in ["etc/alternatives/x", "usr/bin/nawk", "usr/bin/gone", "etc/alternatives/gone"] {
        assert!(!state.contains_key(absent), "{absent}");
    }
    assert!(!state.keys().any(|path| path.contains("evil")));
    assert_eq!(
        text(&state, "var/lib/dpkg/alternatives/awk"),
        "auto\n/usr/bin/awk\nawk.1.gz\n/usr/share/man/awk.1.gz\nnawk\n/usr/bin/nawk\nx\n/usr/bin/x\n\n\
         /bin/gawk\n10\n/usr/share/man/man1/gawk.1.gz\n\n\n/usr/bin/mawk\n5\n\n/usr/bin/mawk\n\n\n"
    );
}

#[test]
fn authorities_are_bundled_and_linked_by_name_and_hash() {
    let debs = [with_files(
        deb("ca-certificates", &[]),
        &[
            ("usr/share/ca-certificates/mozilla/Test_CA (1).crt", CERTIFICATE),
            ("usr/share/ca-certificates/mozilla/Zweite.crt", CERTIFICATE.trim_end()),
            ("usr/share/ca-certificates/mozilla/broken.crt", "no certificate"),
        ],
    )];
    let state = state(&debs);
    let bundle = text(&state, "etc/ssl/certs/ca-certificates.crt");
    assert_eq!(bundle, format!("{CERTIFICATE}{CERTIFICATE}no certificate\n"));
    assert_eq!(
        link(&state, "etc/ssl/certs/Test_CA_=1=.pem").as_deref(),
        Some("/usr/share/ca-certificates/mozilla/Test_CA (1).crt")
    );
    let hash = format!("etc/ssl/certs/{}.0", SUBJECT_HASH.trim());
    assert_eq!(link(&state, &hash).as_deref(), Some("Test_CA_=1=.pem"));
    assert!(!state.contains_key(&hash.replace(".0", ".1")), "the same certificate again");
    assert!(
        text(&state, "etc/ca-certificates.conf")
            .ends_with("mozilla/Test_CA (1).crt\nmozilla/Zweite.crt\nmozilla/broken.crt\n")
    );
}

#[test]
fn a_shipped_list_chooses_authorities() {
    let debs = [with_files(
        deb("ca-certificates", &[]),
        &[
            ("usr/share/ca-certificates/one.crt", CERTIFICATE),
            ("usr/share/ca-certificates/two.crt", CERTIFICATE),
            ("etc/ca-certificates.conf", "# comment\none.crt\n!two.crt\n"),
        ],
    )];
    let state = state(&debs);
    assert_eq!(text(&state, "etc/ssl/certs/ca-certificates.crt"), CERTIFICATE);
}

/// The host's own `/etc/ssl/certs`, where it has one made by `openssl rehash`.
#[test]
fn hashes_are_those_of_openssl() {
    let Ok(files) = fs_err::read_dir("/etc/ssl/certs") else { return };
    let mut seen = 0;
    for file in files {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some((hash, number)) = name.split_once('.') else { continue };
        if hash.len() != 8 || number.parse::<u32>().is_err() {
            continue;
        }
        let Ok(pem) = fs_err::read(&path) else { continue };
        let pem = String::from_utf8(pem).unwrap();
        let debs =
            [with_files(deb("ca-certificates", &[]), &[("usr/share/ca-certificates/a.crt", pem.as_str())])];
        let state = state(&debs);
        assert_eq!(
            link(&state, &format!("etc/ssl/certs/{hash}.0")).as_deref(),
            Some("a.pem"),
            "{}",
            path.display()
        );
        seen += 1;
    }
    eprintln!("{seen} certificates compared");
}

fn library(path: &str, soname: &str) -> Library {
    Library { path: path.into(), soname: Some(soname.into()), class64: true, machine: 62, flags: 0 }
}

const LD_SO_CONF: [(&str, &str); 3] = [
    ("etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n\n"),
    ("etc/ld.so.conf.d/libc.conf", "# libc default configuration\n/usr/local/lib\n"),
    (
        "etc/ld.so.conf.d/x86_64-linux-gnu.conf",
        "# Multiarch support\n/usr/local/lib/x86_64-linux-gnu\n/lib/x86_64-linux-gnu\n/usr/lib/x86_64-linux-gnu\n",
    ),
];

/// Real libraries of this machine in a tree of their own, once with the real `ldconfig`, once with ours: `ldconfig -p` must
/// say the same of both, to the letter and in the same order.
#[test]
fn the_library_cache_says_what_ldconfigs_own_says() {
    let Some(ldconfig) =
        ["/sbin/ldconfig", "/usr/sbin/ldconfig"].iter().find(|path| fs_err::metadata(path).is_ok())
    else {
        eprintln!("skipped: no ldconfig on this machine");
        return;
    };
    if Platform::host() != Platform::LinuxAmd64 {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("usr/lib/x86_64-linux-gnu");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::create_dir_all(root.path().join("usr/local/lib/x86_64-linux-gnu")).unwrap();
    fs_err::create_dir_all(root.path().join("etc/ld.so.conf.d")).unwrap();
    fs_err::os::unix::fs::symlink("usr/lib", root.path().join("lib")).unwrap();
    for (path, text) in LD_SO_CONF {
        fs_err::write(root.path().join(path), text).unwrap();
    }
    let mut deb = with_files(deb("libc-bin", &[]), &LD_SO_CONF);
    let mut copied = 0;
    let mut files: Vec<_> =
        fs_err::read_dir("/lib/x86_64-linux-gnu").unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let regular = fs_err::symlink_metadata(&file).unwrap().is_file();
        if !regular || !name.starts_with("lib") || !name.contains(".so") || copied == 80 {
            continue;
        }
        let bytes = fs_err::read(&file).unwrap();
        let Ok(elf) = goblin::elf::Elf::parse(&bytes) else { continue };
        let place = if copied % 7 == 0 { "usr/local/lib" } else { "usr/lib/x86_64-linux-gnu" };
        fs_err::write(root.path().join(place).join(&name), &bytes).unwrap();
        deb.1.paths.push(format!("{place}/{name}"));
        deb.1.libraries.push(Library {
            path: format!("{place}/{name}"),
            soname: elf.soname.map(str::to_owned),
            class64: elf.is_64,
            machine: elf.header.e_machine,
            flags: elf.header.e_flags,
        });
        copied += 1;
    }
    assert!(copied > 5, "this machine has hardly any library");

    let print = |cache: &str| {
        let output = Command::new(ldconfig).args(["-p", "-C", cache]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter(|line| line.contains("=>")).map(str::to_owned).collect::<Vec<_>>()
    };
    let made = state(&[deb]);
    let EntryKind::File(bytes) = &made["etc/ld.so.cache"].kind else { panic!("no file") };
    let ours = root.path().join("ours");
    fs_err::write(&ours, bytes).unwrap();
    let done = Command::new(ldconfig).arg("-r").arg(root.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let expected = print(root.path().join("etc/ld.so.cache").to_str().unwrap());
    assert!(expected.len() >= copied - 2);
    let without_abi = |lines: Vec<String>| -> Vec<String> {
        // The oldest kernel a library runs on, which we leave open.
        let cut = |line: String| match line.split_once(", OS ABI:") {
            Some((head, tail)) => format!("{head}{}", &tail[tail.find(')').unwrap()..]),
            None => line,
        };
        lines.into_iter().map(cut).collect()
    };
    assert_eq!(print(ours.to_str().unwrap()), without_abi(expected));
    // The links that ldconfig made are those that we made.
    for (path, entry) in &made {
        if let EntryKind::Symlink(target) = &entry.kind
            && path.contains("/lib")
            && path.contains(".so")
        {
            assert_eq!(
                fs_err::read_link(root.path().join(path)).unwrap().to_str(),
                Some(target.as_str()),
                "{path}"
            );
        }
    }
}

#[test]
fn an_alternative_library_is_found_by_its_link() {
    let mut blas = deb("libblas3", &["usr/lib/x86_64-linux-gnu/blas/libblas.so.3"]);
    blas.1.libraries = vec![library("usr/lib/x86_64-linux-gnu/blas/libblas.so.3", "libblas.so.3")];
    blas.1.alternatives = vec![Alternative {
        link: "/usr/lib/x86_64-linux-gnu/libblas.so.3".into(),
        name: "libblas.so.3-x86_64-linux-gnu".into(),
        path: "/usr/lib/x86_64-linux-gnu/blas/libblas.so.3".into(),
        priority: 10,
        slaves: vec![],
    }];
    let state = state(&[blas, with_files(deb("libc-bin", &[]), &LD_SO_CONF)]);
    let EntryKind::File(cache) = &state["etc/ld.so.cache"].kind else { panic!("no file") };
    let cache = String::from_utf8_lossy(cache);
    assert!(cache.contains("/lib/x86_64-linux-gnu/libblas.so.3\0"), "{cache}");
}

#[test]
fn scanners_and_dpkg_find_their_databases() {
    let mut zlib = deb("zlib1g", &["usr", "usr/lib", "usr/lib/libz.so.1"]);
    zlib.1.control = "Package: zlib1g\nMulti-Arch: same\nVersion: 1.0\n".into();
    zlib.1.md5sums = Some("00  usr/lib/libz.so.1\n".into());
    zlib.1.conffiles = vec!["/etc/z.conf".into()];
    let without = state(std::slice::from_ref(&zlib));
    assert_eq!(
        text(&without, "var/lib/dpkg/status.d/zlib1g"),
        "Package: zlib1g\nStatus: install ok installed\nMulti-Arch: same\nVersion: 1.0\n"
    );
    assert_eq!(text(&without, "var/lib/dpkg/status.d/zlib1g.md5sums"), "00  usr/lib/libz.so.1\n");
    assert!(!without.contains_key("var/lib/dpkg/status"));

    let with = state(&[zlib, deb("dpkg", &[])]);
    assert_eq!(text(&with, "var/lib/dpkg/status").matches("Status: install ok installed\n").count(), 2);
    assert_eq!(
        text(&with, "var/lib/dpkg/info/zlib1g:amd64.list"),
        "/.\n/usr\n/usr/lib\n/usr/lib/libz.so.1\n"
    );
    assert_eq!(text(&with, "var/lib/dpkg/info/zlib1g:amd64.conffiles"), "/etc/z.conf\n");
    assert!(with.contains_key("var/lib/dpkg/info/dpkg.list"));
}

#[test]
fn packages_whose_scripts_count_are_named() {
    let mut debs =
        vec![deb("postgresql", &[]), deb("libc6", &[]), deb("python3.11-minimal", &[]), deb("hostname", &[])];
    for deb in &mut debs[..3] {
        deb.1.maintainer_scripts = vec!["postinst".into()];
    }
    assert_eq!(not_reproduced(&debs), ["postgresql"]);
}
