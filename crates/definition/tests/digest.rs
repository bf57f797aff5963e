//! The canonical form: golden vectors that must never change, and what counts and what does not.

#![allow(clippy::format_push_string, reason = "short in tests")]

use std::path::Path;

use proptest::prelude::*;
use provenv_definition::{
    Base, Definition, Digest, PipRequirement, Platform, Requirement, Suite, canonical_bytes,
    definition_digest, read_str,
};

use crate::support;

fn definition(text: &str, file: &str) -> Definition {
    let path = Path::new("/project").join(file);
    read_str(text, &path).unwrap_or_else(|error| panic!("{text}\n{:?}", error.0)).environment.definition
}

fn pip_digest(text: &str) -> Digest {
    definition_digest(&definition(text, "requirements.txt"))
}

/// The canonical bytes of `definition` in hexadecimal and its digest are what the `.golden` file beside `path` says. One
/// that is missing is written if `PROVENV_NEW_GOLDEN` is set; one that is there is never changed.
fn assert_golden(path: &Path, definition: &Definition) {
    let found = format!("{}\n{}\n", hex::encode(canonical_bytes(definition)), definition_digest(definition));
    let golden = path.with_extension("golden");
    if !golden.exists() && std::env::var_os("PROVENV_NEW_GOLDEN").is_some() {
        fs_err::write(&golden, &found).unwrap();
    }
    assert_eq!(fs_err::read_to_string(&golden).unwrap(), found, "{}", path.display());
}

#[test]
fn golden_vectors_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut count = 0;
    for entry in fs_err::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.extension().is_some_and(|extension| extension == "golden") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert_golden(&path, &definition(&fs_err::read_to_string(&path).unwrap(), &name));
        count += 1;
    }
    assert!(count >= 5);
}

/// Definitions as JSON, for what no single file says or every machine says otherwise.
#[test]
fn golden_vectors_of_the_model_hold() {
    for path in support::models() {
        let definition: Definition = serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
        // A vector is in normal form, or another implementation could not start from it.
        let json: serde_json::Value = serde_json::from_str(&fs_err::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(serde_json::to_value(&definition).unwrap(), json, "{}", path.display());
        assert_golden(&path, &definition);
    }
}

/// Epoch 1 of a user-managed definition, which older catalogues hold: the bytes of one that asks for no packages.
#[test]
fn the_vector_of_epoch_1_is_known() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/model");
    let text = fs_err::read_to_string(folder.join("user-managed.json")).unwrap();
    let definition: Definition = serde_json::from_str(&text).unwrap();
    assert!(definition.user_managed);
    assert_golden(
        &folder.join("user-managed-epoch-1"),
        &Definition { base: definition.base, ..Definition::default() },
    );
}

#[test]
fn the_default_definition_is_the_smallest() {
    let bytes = canonical_bytes(&Definition::default());
    let mut expected = b"provenv definition\0".to_vec();
    expected.extend(1_u64.to_be_bytes());
    expected.extend(b"R\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x04baseR\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x04kindT\0\0\0\0\0\0\0\x06debian");
    assert_eq!(bytes, expected);
}

#[test]
fn spelling_does_not_count() {
    for (one, other) in [
        ("numpy ==1.2", "NumPy==1.2"),
        ("a==1.0.0", "a==1"),
        ("a>=1.0,<2.0", "a (<2, >=1.0.0)"),
        ("a\nb\n", "# c\nb # d\n\n a\na\n"),
        ("a[x,Y_z]", "A[y-z, x,x]"),
        ("a ; python_version<'3.10'", "a;'3.10' > python_version"),
        ("a ; os_name=='b' and sys_platform=='c'", "a ; (sys_platform == \"c\") and (os.name == \"b\")"),
        ("a==1.0rc1", "a==1.0.RC-1"),
        ("a @ https://H.test/a.zip", "a@https://h.test/a.zip"),
        ("git+https://h.test/a#egg=a", "a @ git+https://h.test/a"),
        ("./x/../a", "file:a"),
        ("--pre\na", "a\n--pre\n--pre"),
        ("-i https://h.test/simple\na", "--index-url=https://h.test/simple/\na"),
        ("--no-binary a,b", "--no-binary B\n--no-binary A"),
        (
            "--extra-index-url https://a.test\n--extra-index-url https://b.test",
            "--extra-index-url https://a.test\n--extra-index-url https://b.test\n--extra-index-url https://a.test",
        ),
        ("a\n--prefer-binary\n--trusted-host h.test", "a"),
    ] {
        assert_eq!(pip_digest(one), pip_digest(other), "{one:?} {other:?}");
    }
    let native = |text: &str| definition_digest(&definition(text, "env.yaml"));
    for (one, other) in [
        (
            "pip: [a]\nbase: debian",
            "name: x\nversion: 3\ntags: {a: b}\ndescription: d\nenvironment_variables: {A: b}\npip: [a]",
        ),
        ("platforms: [linux/amd64]", "base: debian"),
        ("platforms: [linux/amd64, linux/arm64]", "platforms: [linux/arm64, linux/amd64, linux/arm64]"),
        ("system_packages: [a1, b1, a1]", "system_packages: [b1, a1]"),
        ("image: python", "image: python:latest"),
        ("base: debian:bookworm", "base: debian/bookworm"),
        ("python: 3.10", "python: '3.10'"),
    ] {
        assert_eq!(native(one), native(other), "{one:?} {other:?}");
    }
    assert_eq!(native("pip: [a, b]"), pip_digest("b\na"));
}

#[test]
fn meaning_counts() {
    let texts = [
        "",
        "a",
        "b",
        "a==1",
        "a==1.1",
        "a===1",
        "a===1.0",
        "a~=1.0",
        "a~=1.0.0",
        "a==1.*",
        "a==1.0.*",
        "a>=1",
        "a>1",
        "a!=1",
        "a==1!1",
        "a==1+x",
        "a==1.dev1",
        "a[x]",
        "a[x,y]",
        "a\nb",
        "a ; os_name == 'x'",
        "a ; os_name == 'y'",
        "a ; os_name != 'x'",
        "a ; 'x' in os_name",
        "a ; os_name in 'x'",
        "a ; os_name == 'x' or sys_platform == 'y'",
        "a ; os_name == 'x' and sys_platform == 'y'",
        "a @ https://h.test/a.zip",
        "a @ https://h.test/b.zip",
        "https://h.test/a.zip",
        "-e ./a",
        "./a",
        "a\n--pre",
        "a\n--no-index",
        "--require-hashes\na==1 --hash=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "a==1 --hash=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "-i https://h.test/s\na",
        "--extra-index-url https://h.test/s\na",
        "-f https://h.test/s\na",
        "-f https://h.test/s/\na",
        "--extra-index-url https://h.test/s\n--extra-index-url https://i.test/s\na",
        "--extra-index-url https://i.test/s\n--extra-index-url https://h.test/s\na",
        "--no-binary a\na",
        "--only-binary a\na",
        "--no-binary :all:\na",
        "a --hash=sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "a --hash=sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    ];
    let mut digests: Vec<(Digest, &str)> = texts.iter().map(|text| (pip_digest(text), *text)).collect();
    digests.sort_unstable();
    for pair in digests.windows(2) {
        assert_ne!(pair[0].0, pair[1].0, "{:?} {:?}", pair[0].1, pair[1].1);
    }
}

/// A requirement in parts, so that it can be spelt in many ways.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    name: Vec<&'static str>,
    extras: Vec<&'static str>,
    bounds: Vec<(&'static str, Vec<u8>)>,
    markers: Vec<(&'static str, &'static str, &'static str)>,
    hashes: Vec<u8>,
}

fn parts() -> impl Strategy<Value = Parts> {
    (
        prop::sample::subsequence(vec!["torch", "vision", "extra", "core"], 1..3),
        prop::sample::subsequence(vec!["dev", "docs", "gpu"], 0..3),
        prop::collection::vec(
            (prop::sample::select(vec!["==", ">=", "<", "!="]), prop::collection::vec(0_u8..4, 1..4)),
            0..3,
        ),
        prop::collection::vec(
            (
                prop::sample::select(vec!["os_name", "sys_platform", "platform_machine"]),
                prop::sample::select(vec!["==", "!="]),
                prop::sample::select(vec!["posix", "linux", "arm64"]),
            ),
            0..3,
        ),
        prop::collection::vec(0_u8..4, 0..3),
    )
        .prop_map(|(name, extras, bounds, markers, hashes)| Parts {
            name,
            extras,
            bounds,
            markers,
            hashes,
        })
}

/// One spelling of `parts`; each bit of `seed` decides one thing that must not count.
fn spell(parts: &Parts, seed: u64) -> String {
    let bit = |n: u32| seed >> n & 1 == 1;
    let order = |n: u32, mut items: Vec<String>| {
        if bit(n) {
            items.reverse();
        }
        if bit(n + 1) {
            items.extend(items.first().cloned());
        }
        items
    };
    let name = parts.name.join(if bit(0) { "_" } else { "-" });
    let mut text = if bit(1) { name.to_uppercase() } else { name };
    let space = if bit(2) { "  " } else { "" };
    if !parts.extras.is_empty() {
        let extras = order(3, parts.extras.iter().map(ToString::to_string).collect());
        text += &format!("{space}[{}]", extras.join(if bit(5) { " , " } else { "," }));
    }
    let bounds = parts.bounds.iter().map(|(operator, release)| {
        let zeros = if bit(6) { ".0" } else { "" };
        let release: Vec<String> = release.iter().map(ToString::to_string).collect();
        format!("{space}{operator}{space}{}{zeros}", release.join("."))
    });
    text += &order(7, bounds.collect()).join(",");
    if !parts.markers.is_empty() {
        let quote = if bit(9) { '"' } else { '\'' };
        let markers = parts.markers.iter().map(|(variable, operator, value)| {
            if bit(10) {
                format!("({quote}{value}{quote}{operator}{variable})")
            } else {
                format!("{variable} {operator} {quote}{value}{quote}")
            }
        });
        text += &format!(" ;{space}{}", order(11, markers.collect()).join(" and "));
    }
    let hashes = parts.hashes.iter().map(|n| format!(" --hash=sha256:{}", format!("{n:02x}").repeat(32)));
    text += &order(13, hashes.collect()).concat();
    if bit(15) {
        text += "  # a comment";
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn permuting_and_respelling_changes_nothing(
        (list, seeds, order) in prop::collection::vec(parts(), 0..6).prop_flat_map(|list| {
            let indexes: Vec<usize> = (0..list.len()).collect();
            (Just(list), prop::collection::vec(any::<u64>(), 6), Just(indexes).prop_shuffle())
        })
    ) {
        let plain: Vec<String> = list.iter().map(|parts| spell(parts, 0)).collect();
        let mut other: Vec<String> = order.iter().map(|i| spell(&list[*i], seeds[*i])).collect();
        other.extend(list.first().map(|parts| spell(parts, seeds[5])));
        prop_assert_eq!(pip_digest(&plain.join("\n")), pip_digest(&other.join("\r\n\n")));
    }

    #[test]
    fn requirements_of_other_meaning_differ(one in parts(), other in parts()) {
        let normal = |parts: &Parts| {
            let mut parts = parts.clone();
            for (_, release) in &mut parts.bounds {
                while release.len() > 1 && release.last() == Some(&0) {
                    release.pop();
                }
            }
            parts.bounds.sort();
            parts.bounds.dedup();
            parts.markers.sort_unstable();
            parts.markers.dedup();
            parts.hashes.sort_unstable();
            parts.hashes.dedup();
            parts
        };
        let same = normal(&one) == normal(&other);
        prop_assert_eq!(pip_digest(&spell(&one, 0)) == pip_digest(&spell(&other, 0)), same);
    }

    #[test]
    fn every_change_of_a_definition_changes_its_digest(
        list in prop::collection::vec(parts(), 0..4), seed in any::<u64>(), change in 0_usize..16, new in parts()
    ) {
        let text: Vec<String> = list.iter().map(|parts| spell(parts, seed)).collect();
        let definition = definition(&text.join("\n"), "requirements.txt");
        let mut changed = definition.clone();
        let url = |text: &str| text.parse().unwrap();
        let mut extra = PipRequirement { requirement: "never-drawn==1".to_owned(), hashes: Vec::new(), editable: false };
        match change {
            0 => changed.base = Base::Debian { suite: Some(Suite("bookworm".to_owned())) },
            1 => changed.base = Base::Image { reference: "python:3.12".to_owned() },
            2 => changed.python = Some("3.12".parse().unwrap()),
            3 => changed.system_packages.push("git".parse().unwrap()),
            4 => changed.platforms = vec![Platform::LinuxArm64],
            5 => changed.platforms = vec![Platform::LinuxArm64, Platform::LinuxAmd64],
            6 => changed.pip.pre = true,
            7 => changed.pip.no_index = true,
            8 => changed.pip.require_hashes = true,
            9 => changed.pip.index_url = Some(url("https://h.test/")),
            10 => changed.pip.extra_index_urls.push(url("https://h.test/")),
            11 => changed.pip.find_links.push(url("https://h.test/")),
            12 => changed.pip.no_binary.push("a".to_owned()),
            13 => changed.pip.only_binary.push("a".to_owned()),
            14 => changed.pip.constraints.push(extra),
            _ => {
                extra.requirement = spell(&Parts { name: vec!["never", "drawn"], hashes: Vec::new(), ..new }, 0);
                changed.pip.requirements.push(extra);
            }
        }
        prop_assert_ne!(definition_digest(&definition), definition_digest(&changed));
        prop_assert_ne!(canonical_bytes(&definition), canonical_bytes(&changed));
    }

    #[test]
    fn the_model_through_json_keeps_the_digest(list in prop::collection::vec(parts(), 0..4), seed in any::<u64>()) {
        let text: Vec<String> = list.iter().map(|parts| spell(parts, seed)).collect();
        let definition = definition(&text.join("\n"), "requirements.txt");
        let again: Definition = serde_json::from_str(&serde_json::to_string(&definition).unwrap()).unwrap();
        prop_assert_eq!(definition_digest(&definition), definition_digest(&again));
        for entry in &definition.pip.requirements {
            let parsed: Requirement = entry.requirement.parse().unwrap();
            prop_assert_eq!(&parsed.to_string(), &entry.requirement);
        }
    }
}

#[test]
fn two_spellings_of_one_thing_have_one_digest() {
    let digest = |file: &str, text: &str| definition_digest(&definition(text, file));
    for (file, one, other) in [
        ("e.yaml", "image: docker.io/library/python:3.11\n", "image: python:3.11\n"),
        ("e.yaml", "image: docker.io/library/python\n", "image: python:latest\n"),
        ("Dockerfile", "FROM a:1\nRUN b", "FROM a:1\r\nRUN b\r\n"),
        (
            "e.yml",
            "channels: [https://conda.anaconda.org/conda-forge/]\ndependencies: [python=3.11]\n",
            "channels: [conda-forge]\ndependencies: [python=3.11]\n",
        ),
        (
            "e.yml",
            "channels: [a]\ndependencies: ['https://conda.anaconda.org/conda-forge::python=3.11']\n",
            "channels: [a]\ndependencies: ['conda-forge::python=3.11']\n",
        ),
    ] {
        assert_eq!(digest(file, one), digest(file, other), "{one}");
    }
    // Near, and not the same.
    for (file, one, other) in [
        ("e.yaml", "image: host.test/library/python:3.11\n", "image: python:3.11\n"),
        ("Dockerfile", "FROM a:1\nRUN b\n\n", "FROM a:1\nRUN b\n"),
        ("requirements.txt", "-i https://pypi.org/simple\na\n", "a\n"),
        (
            "e.yml",
            "channels: [https://conda.anaconda.org/pkgs/main]\ndependencies: [python=3.11]\n",
            "channels: [pkgs/main]\ndependencies: [python=3.11]\n",
        ),
        (
            "e.yml",
            "channels: [https://h.test/conda-forge]\ndependencies: [python=3.11]\n",
            "channels: [conda-forge]\ndependencies: [python=3.11]\n",
        ),
    ] {
        assert_ne!(digest(file, one), digest(file, other), "{one}");
    }
}
