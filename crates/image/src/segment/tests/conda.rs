//! Conda packages of both kinds, good ones and hostile ones.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::conda_package::{Conda, OLD, bz2};
use super::support::{Fixture, TarMember};
use crate::segment::{CondaSegment, Error, Problem};

fn segment(fixture: &Fixture, name: &str, bytes: &[u8]) -> Result<CondaSegment, Error> {
    let (path, digest) = fixture.artifact(bytes);
    crate::segment::conda(&fixture.store, &path, &digest, name, Some((3, 11)))
}

fn full() -> Conda {
    Conda::new()
        .file("bin/tool", format!("#!{OLD}/bin/python\nprint('{OLD}')\n").as_bytes(), Some("text"))
        .file("lib/libdemo.so", format!("\u{7f}ELF{OLD}/lib\0after").as_bytes(), Some("binary"))
        .file("share/plain.txt", b"plain", None)
        .file("lib/python3.11/site-packages/a/__pycache__/b.cpython-311.pyc", b"old", None)
        .file("Menu/demo.json", b"{}", None)
        .member("softlink", TarMember::of("lib/libdemo.so.1", tar::EntryType::Symlink, "libdemo.so"))
}

#[test]
fn both_kinds_of_archives_lay_down_the_same() {
    let fixture = Fixture::new();
    let one = segment(&fixture, "demo-1.0-h0_0.conda", &full().conda()).unwrap();
    let other = segment(&fixture, "demo-1.0-h0_0.tar.bz2", &full().tar_bz2()).unwrap();
    assert_eq!(one.segment.blob, other.segment.blob, "the same files give the same bytes");

    let seen = fixture.contents(&fixture.layer(&one.segment));
    let text = |path: &str| String::from_utf8(seen[path].bytes.clone()).unwrap();
    assert_eq!(text("opt/provenv/bin/tool"), "#!/opt/provenv/bin/python\nprint('/opt/provenv')\n");
    let library = text("opt/provenv/lib/libdemo.so");
    assert!(library.starts_with("\u{7f}ELF/opt/provenv/lib\0") && library.ends_with("\0after"));
    assert_eq!(library.len(), format!("\u{7f}ELF{OLD}/lib\0after").len(), "a binary keeps its length");
    assert_eq!(seen["opt/provenv/lib/libdemo.so.1"].link.as_deref(), Some("libdemo.so"));
    for left_out in
        ["Menu/demo.json", "lib/python3.11/site-packages/a/__pycache__/b.cpython-311.pyc", "info/index.json"]
    {
        assert!(!seen.contains_key(&format!("opt/provenv/{left_out}")), "{left_out}");
    }
    let tool = &one.facts.paths["bin/tool"];
    assert_eq!(tool.placeholder, Some((OLD.to_owned(), "text".to_owned())));
    assert_eq!(tool.sha256_in_prefix, Some(hex::encode(Sha256::digest(text("opt/provenv/bin/tool")))));
    assert!(one.facts.index.contains("\"demo\""));
}

#[test]
fn packages_for_any_python_are_laid_down_for_this_one() {
    let fixture = Fixture::new();
    let package = Conda::noarch_python(&["demo-run = demo.sub:Class.main"])
        .file("site-packages/demo/__init__.py", b"x = 1\n", None)
        .file("python-scripts/helper", b"#!/bin/sh\n", None);
    let made = segment(&fixture, "demo-1.0-h0_0.conda", &package.conda()).unwrap();
    let seen = fixture.contents(&fixture.layer(&made.segment));
    assert!(seen.contains_key("opt/provenv/lib/python3.11/site-packages/demo/__init__.py"));
    assert!(seen.contains_key("opt/provenv/bin/helper"));
    let script = &seen["opt/provenv/bin/demo-run"];
    assert_eq!(script.mode, 0o755);
    let text = String::from_utf8(script.bytes.clone()).unwrap();
    assert!(
        text.starts_with("#!/opt/provenv/bin/python3.11\n") && text.contains("from demo.sub import Class\n")
    );
    assert!(text.contains("sys.exit(Class.main())"));
    // Without a Python there is no place for it.
    let (path, digest) = fixture.artifact(&package.conda());
    let refused = crate::segment::conda(&fixture.store, &path, &digest, "demo-1.0-h0_0.conda", None);
    assert!(matches!(refused, Err(Error::Refused { .. })));
}

#[test]
fn scripts_are_noted_and_not_run() {
    let fixture = Fixture::new();
    let package = Conda::new().file("bin/.demo-post-link.sh", b"#!/bin/sh\nexit 1\n", None);
    for (name, bytes) in
        [("demo-1.0-h0_0.conda", package.conda()), ("demo-1.0-h0_0.tar.bz2", package.tar_bz2())]
    {
        let made = segment(&fixture, name, &bytes).unwrap();
        assert_eq!(made.facts.scripts, ["bin/.demo-post-link.sh"], "{name}");
    }
}

type Expected = fn(&Problem) -> bool;

#[test]
fn what_lies_or_leads_out_is_refused() {
    let fixture = Fixture::new();
    let mut other = Conda::new();
    other.index["name"] = "other".into();
    let lies = Conda::new().file("a", b"abc", None);
    let mut lies =
        Conda { paths: vec![json!({ "_path": "a", "path_type": "hardlink", "size_in_bytes": 9 })], ..lies };
    lies.paths.push(json!({ "_path": "b", "path_type": "hardlink" }));
    let mut missing = Conda::new();
    missing.paths.push(json!({ "_path": "not/there", "path_type": "hardlink" }));
    let through = Conda::new()
        .member("softlink", TarMember::of("lib", tar::EntryType::Symlink, "/etc"))
        .file("lib/x", b"x", None);
    let twice = Conda::new().file("a", b"1", None);
    let twice = Conda { members: vec![TarMember::file("a", b"1"), TarMember::file("a", b"2")], ..twice };
    let cases: [(&str, Conda, Expected); 9] = [
        ("another package", other, |problem| matches!(problem, Problem::Malformed(_))),
        ("a size", lies, |problem| matches!(problem, Problem::SizeLie { .. })),
        ("a file that is not there", missing, |problem| matches!(problem, Problem::Malformed(_))),
        ("through a link", through, |problem| matches!(problem, Problem::ThroughSymlink(_))),
        ("twice", twice, |problem| matches!(problem, Problem::Duplicate)),
        ("upwards", Conda::new().file("../x", b"x", None), |problem| matches!(problem, Problem::Name(_))),
        ("absolute", Conda::new().file("/etc/x", b"x", None), |problem| matches!(problem, Problem::Name(_))),
        (
            "a device",
            Conda::new().member("hardlink", TarMember::of("dev", tar::EntryType::Char, "")),
            |problem| matches!(problem, Problem::Device(_)),
        ),
        (
            "a dangling link",
            Conda::new().member("hardlink", TarMember::of("x", tar::EntryType::Link, "y")),
            |problem| matches!(problem, Problem::DanglingHardlink(_)),
        ),
    ];
    for (what, package, expected) in cases {
        let result = segment(&fixture, "demo-1.0-h0_0.conda", &package.conda());
        match result {
            Err(Error::Refused { problem, artifact, .. }) if expected(&problem) => {
                assert_eq!(artifact, "demo-1.0-h0_0.conda");
            }
            other => panic!("{what}: {other:?}"),
        }
    }
    // A bomb, and an archive that ends too early.
    let bomb = Conda::new().file("zeros", &vec![0; 100 << 20], None);
    let small = bomb.conda();
    assert!(matches!(
        segment(&fixture, "demo-1.0-h0_0.conda", &small),
        Err(Error::Refused { problem: Problem::Bomb(_), .. })
    ));
    let whole = full().tar_bz2();
    assert!(segment(&fixture, "demo-1.0-h0_0.tar.bz2", &whole[..whole.len() / 2]).is_err());
}

#[test]
fn whatever_is_changed_in_a_package_it_is_laid_down_in_the_prefix_or_refused() {
    let fixture = Fixture::new();
    let good = full().tar();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut chance = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let mut laid = 0;
    for _ in 0..400 {
        let mut bytes = good.clone();
        for _ in 0..=chance(4) {
            let at = chance(bytes.len());
            match chance(3) {
                0 => bytes[at] = u8::try_from(chance(256)).unwrap(),
                // What a path is made of.
                1 => bytes[at] = b"/.\0\"0"[chance(5)],
                _ => bytes.truncate(at.max(512)),
            }
        }
        let Ok(made) = segment(&fixture, "demo-1.0-h0_0.tar.bz2", &bz2(&bytes)) else { continue };
        laid += 1;
        for item in &made.segment.index.entries {
            let below = item.path.strip_prefix("opt/provenv/").unwrap();
            assert!(crate::path::problem(below).is_none() && made.facts.paths.contains_key(below), "{below}");
        }
    }
    assert!(laid > 0, "some changes do no harm");
}
