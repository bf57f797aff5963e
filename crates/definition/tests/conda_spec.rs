//! Specs of conda packages: every spelling, one normal form, and rattler's parser as the oracle of what a text means.

use std::str::FromStr;

use proptest::prelude::*;
use provenv_definition::{CondaSpec, RequirementError};
use rattler_conda_types::{MatchSpec, ParseMatchSpecOptions, ParseStrictness, Version, VersionSpec};

fn spec(text: &str) -> CondaSpec {
    text.parse().unwrap_or_else(|error: RequirementError| panic!("{text}: {error}"))
}

fn rattler(text: &str) -> Option<MatchSpec> {
    MatchSpec::from_str(text, ParseMatchSpecOptions::lenient()).ok()
}

/// Spelling, normal form, and the text that counts where it is another.
const SPELLINGS: &[(&str, &str, &str)] = &[
    ("NumPy", "numpy", ""),
    ("numpy=1.20", "numpy=1.20", ""),
    ("numpy = 1.20", "numpy=1.20", ""),
    ("numpy 1.20.*", "numpy=1.20", ""),
    ("numpy 1.20*", "numpy=1.20", ""),
    ("numpy=1.20.*", "numpy=1.20", ""),
    ("numpy[version='1.20.*']", "numpy=1.20", ""),
    ("numpy==1.20", "numpy==1.20", ""),
    ("numpy ==1.20", "numpy==1.20", ""),
    ("numpy == 1.20", "numpy==1.20", ""),
    ("numpy 1.20", "numpy==1.20", ""),
    ("numpy[version=1.20]", "numpy==1.20", ""),
    ("numpy==1.20.0", "numpy==1.20.0", "numpy==1.20"),
    ("numpy==2.0", "numpy==2.0", "numpy==2"),
    ("numpy=2.0", "numpy=2.0", ""),
    ("numpy~=2.0", "numpy~=2.0", ""),
    ("numpy!=1.20.*", "numpy!=1.20.*", ""),
    ("numpy>=1.2,<2", "numpy>=1.2,<2", "numpy<2,>=1.2"),
    ("numpy >=1.2, <2.0", "numpy>=1.2,<2.0", "numpy<2,>=1.2"),
    ("numpy[version='<2,>=1.2']", "numpy<2,>=1.2", ""),
    ("numpy<2,>=1.2,<2", "numpy<2,>=1.2", ""),
    ("numpy >=1,<2|3", "numpy>=1,<2|==3", "numpy<2,>=1|==3"),
    ("numpy 3|>=1,<2", "numpy==3|>=1,<2", "numpy<2,>=1|==3"),
    ("numpy (>=1|<0.5),!=3", "numpy[version='(>=1|<0.5),!=3']", "numpy[version='!=3,(<0.5|>=1)']"),
    ("numpy 1.2.*|1.3.*", "numpy 1.2.*|1.3.*", ""),
    ("numpy *", "numpy", ""),
    ("numpy=*", "numpy", ""),
    ("numpy >=1,*", "numpy>=1", ""),
    ("numpy >=1|*", "numpy", ""),
    ("numpy=1.2=py38_0", "numpy==1.2=py38_0", ""),
    ("numpy 1.2 py38_0", "numpy==1.2=py38_0", ""),
    ("numpy==1.2=py38_0", "numpy==1.2=py38_0", ""),
    ("numpy 1.2.* py38*", "numpy=1.2.*=py38*", ""),
    ("numpy=1.2.*=py38*", "numpy=1.2.*=py38*", ""),
    ("numpy=1.2=*", "numpy==1.2", ""),
    ("pytorch=*=*cuda*", "pytorch=*=*cuda*", ""),
    ("blas[build=mkl]", "blas=*=mkl", ""),
    (
        "numpy >=1,<2 py38_0",
        "numpy[version='>=1,<2',build='py38_0']",
        "numpy[version='<2,>=1',build='py38_0']",
    ),
    ("numpy[build_number=3]", "numpy[build_number='==3']", ""),
    ("numpy[build_number='>=3']", "numpy[build_number='>=3']", ""),
    ("conda-forge::numpy", "conda-forge::numpy", ""),
    ("conda-forge::numpy>=1", "conda-forge::numpy>=1", ""),
    ("conda-forge/linux-64::numpy", "conda-forge::numpy[subdir='linux-64']", ""),
    ("conda-forge/label/dev::numpy", "conda-forge/label/dev::numpy", ""),
    ("conda-forge:ns:numpy", "conda-forge::numpy[namespace='ns']", ""),
    ("numpy[channel=conda-forge]", "conda-forge::numpy", ""),
    ("numpy[channel='conda-forge', subdir=noarch]", "conda-forge::numpy[subdir='noarch']", ""),
    ("https://host.test/c::numpy 1.2", "https://host.test/c::numpy==1.2", ""),
    ("https://host.test/t/${TOKEN}/c::numpy", "https://host.test/t/${TOKEN}/c::numpy", ""),
    ("numpy[md5=D41D8CD98F00B204E9800998ECF8427E]", "numpy[md5='d41d8cd98f00b204e9800998ecf8427e']", ""),
    ("numpy[license=MIT]", "numpy[license='MIT']", "numpy[license='mit']"),
    ("numpy[track_features='b a']", "numpy[track_features='a b']", ""),
    (
        "https://host.test/c/linux-64/numpy-1.2-py38_0.conda#d41d8cd98f00b204e9800998ecf8427e",
        "numpy[url='https://host.test/c/linux-64/numpy-1.2-py38_0.conda',md5='d41d8cd98f00b204e9800998ecf8427e']",
        "",
    ),
    (
        "https://host.test/c/noarch/a-1-0.tar.bz2#sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "a[url='https://host.test/c/noarch/a-1-0.tar.bz2',sha256='e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']",
        "",
    ),
    (
        "https://host.test/c/noarch/a-1-0.conda[md5=d41d8cd98f00b204e9800998ecf8427e]",
        "a[url='https://host.test/c/noarch/a-1-0.conda',md5='d41d8cd98f00b204e9800998ecf8427e']",
        "",
    ),
    ("/opt/a-1-0.conda", "a[url='file:///opt/a-1-0.conda']", ""),
    ("./a-1-0.conda", "a[url='file:///a-1-0.conda']", ""),
    ("numpy  # why", "numpy", ""),
    ("openssl=1.1.1_", "openssl=1.1.1_", ""),
    ("jpeg 9b", "jpeg==9b", ""),
    ("tzdata==2023.01.05", "tzdata==2023.1.5", ""),
    ("x264 1!152.*", "x264=1!152", ""),
    ("x==0!1.2", "x==1.2", ""),
    ("x==1-2", "x==1_2", "x==1.2"),
    ("x==1.0RC1", "x==1.0rc1", ""),
    ("x==1.rc1", "x==1.rc1", "x==1.0rc1"),
    ("x==1.0.post0", "x==1.0.post0", "x==1.0.0post"),
    ("x==1+local.0", "x==1+local.0", "x==1+0local"),
    ("jsonargparse[signatures]>=4.17.0", "jsonargparse>=4.17.0", "jsonargparse>=4.17"),
    ("__glibc>=2.17", "__glibc>=2.17", ""),
];

#[test]
fn spellings_have_one_normal_form() {
    for (text, normal, canonical) in SPELLINGS {
        let found = spec(text);
        assert_eq!(found.to_string(), *normal, "{text}");
        assert_eq!(spec(normal), found, "{text}");
        let canonical = if canonical.is_empty() { normal } else { canonical };
        assert_eq!(found.canonical(), *canonical, "{text}");
        assert_eq!(spec(canonical).canonical(), *canonical, "{text}");
    }
}

#[test]
fn a_regular_expression_of_a_build_is_kept() {
    let found = spec("numpy[version='1.*',build='^py3(7|8)_.*$']");
    assert_eq!(found.build.as_deref(), Some("^py3(7|8)_.*$"));
    assert_eq!(spec(&found.to_string()), found);
}

#[test]
fn parts_are_told() {
    let found = spec("conda-forge::NumPy==1.20.0");
    assert_eq!((found.name.as_str(), found.exact_version().as_deref()), ("numpy", Some("1.20.0")));
    assert_eq!(spec("numpy=1.20").exact_version(), None);
    assert_eq!(spec("numpy=1.20").version().as_deref(), Some("1.20.*"));
    assert_eq!(CondaSpec::new("NumPy").to_string(), "numpy");
}

/// Text, code, column, and what the message or hint must say.
const REFUSED: &[(&str, &str, usize, &str)] = &[
    ("", "PV025", 0, "missing"),
    (">=1.2", "PV025", 0, "quote"),
    ("=1.2", "PV025", 0, "name"),
    ("numpy===1.2", "PV025", 5, "two equals signs"),
    ("numpy >=3.6 <3.7", "PV025", 12, "comma"),
    ("numpy 1.2 py-38", "PV025", 10, "build"),
    ("numpy >=1.2,", "PV025", 11, ""),
    ("numpy=1.2=", "PV025", 9, "missing"),
    ("numpy==", "PV025", 6, "missing"),
    ("numpy ; python_version<'3'", "PV025", 6, "pip"),
    ("numpy @ https://host.test/a.whl", "PV025", 5, "pip"),
    ("git+https://host.test/a", "PV025", 0, "pip"),
    ("https://host.test/a.whl", "PV025", 0, "pip"),
    ("https://host.test/a.conda", "PV025", 0, "name-version-build"),
    ("-r requirements.txt", "PV025", 0, "pip"),
    ("C:\\a-1-0.conda", "PV014", 0, "Windows"),
    ("folder\\numpy", "PV025", 0, "Windows"),
    ("nümpy", "PV025", 0, "name"),
    ("num*", "PV025", 0, "name"),
    ("numpy 1.* ^py3[78]_.*$", "PV025", 14, "brackets"),
    ("numpy[unknown=1]", "PV025", 5, "unknown"),
    ("numpy[version='1.2", "PV025", 5, "bracket"),
    ("numpy[md5=12]", "PV025", 0, "hash"),
    ("numpy 1.2\npandas", "PV025", 9, "one package"),
    ("numpy={{ version }}", "PV023", 6, "template"),
    ("numpy=$VERSION", "PV023", 6, "variable"),
    ("https://host.test/c/noarch/a-1-0.conda#abc", "PV016", 39, "md5"),
    ("https://u:hunter2@host.test/c::numpy", "PV015", 8, "credentials"),
    ("https://host.test/t/hunter2/c::numpy", "PV015", 20, "credentials"),
    ("numpy[url='https://host.test/t/hunter2/a-1-0.conda']", "PV015", 31, "credentials"),
];

#[test]
fn what_conda_refuses_is_refused_with_a_place() {
    for (text, code, offset, word) in REFUSED {
        let error = text.parse::<CondaSpec>().expect_err(text);
        let said = format!("{} {}", error.message, error.hint.clone().unwrap_or_default());
        assert_eq!((error.code.id, error.offset), (*code, *offset), "{text}: {said}");
        assert!(said.contains(word), "{text}: {said}");
        assert!(!said.contains("hunter2"), "{text}: {said}");
    }
}

#[test]
fn hostile_texts_are_refused_in_time() {
    for text in [
        "(".repeat(1000),
        format!("a {}1{}", "(".repeat(1000), ")".repeat(1000)),
        format!("a{}", "[".repeat(1000)),
        format!("a[{}]", "version='".repeat(100)),
        "a ".repeat(100_000),
        format!("a {}", "1.".repeat(1500)),
        format!("a=={}", "9".repeat(40)),
        "a 1 ^(((a{1000}){1000}){1000})$".to_owned(),
        format!("a 1 ^{}$", "\\w".repeat(60)),
    ] {
        assert!(text.parse::<CondaSpec>().is_err(), "{}", &text[..40.min(text.len())]);
    }
}

/// Our text means to rattler what the user's text means, for all that rattler reads and keeps whole.
#[test]
fn the_normal_form_means_the_same_to_rattler() {
    let mut compared = 0;
    for (text, normal, canonical) in SPELLINGS {
        // Of URLs, hashes and what is dropped on purpose, rattler keeps less, or refuses.
        if text.contains(['/', '#', '$']) || text.contains("[signatures]") {
            continue;
        }
        let wanted = rattler(text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!(meaning(&rattler(normal).unwrap()), meaning(&wanted), "{text}");
        if !canonical.is_empty() && !canonical.contains("license") {
            assert!(rattler(canonical).is_some(), "{canonical}");
        }
        compared += 1;
    }
    assert!(compared > 40);
}

/// All but what our form says in other words: `*`, order, repetitions.
fn meaning(spec: &MatchSpec) -> impl PartialEq + std::fmt::Debug {
    let versions: Vec<bool> =
        ["0.4", "1", "1.2", "1.2.0", "1.2.3", "1.20", "1.20.0", "1.20.1", "1.3", "2", "2.0.1", "3"]
            .iter()
            .map(|version| {
                let version = Version::from_str(version).unwrap();
                spec.version.as_ref().is_none_or(|spec| spec.matches(&version))
            })
            .collect();
    let build = spec.build.as_ref().map(ToString::to_string).filter(|build| build != "*");
    let number = spec.build_number.as_ref().map(ToString::to_string);
    (spec.name.to_string(), versions, build, number, spec.channel.clone(), spec.subdir.clone(), spec.md5)
}

fn version_text() -> impl Strategy<Value = String> {
    "([0-2]!)?[0-9]{1,2}(([._])?([0-3]|00|a|rc|post|dev)){0,4}_?(\\+[0-2](\\.[0-2a]){0,2})?"
}

fn operand() -> impl Strategy<Value = String> {
    let operator = prop::sample::select(vec!["==", "!=", ">=", "<=", ">", "<", "~=", "=", ""]);
    let version = "[0-3](\\.[0-3]){0,2}";
    let star = prop::sample::select(vec!["", "", ".*"]);
    (operator, version, star).prop_map(|(operator, version, star)| match operator {
        "==" | "" | "!=" | "=" => format!("{operator}{version}{star}"),
        _ => format!("{operator}{version}"),
    })
}

fn anything() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "numpy",
        "a",
        "=",
        "==",
        ">=",
        "<",
        "!=",
        "~=",
        "1.2",
        "1",
        ".*",
        "*",
        ",",
        "|",
        "(",
        ")",
        " ",
        "  ",
        "[",
        "]",
        "version",
        "build",
        "'",
        "\"",
        "py38_0",
        "^",
        "$",
        "conda-forge",
        "::",
        ":",
        "/",
        "linux-64",
        "https://",
        "h.test",
        "-1-0.conda",
        "#",
        "d41d8cd98f00b204e9800998ecf8427e",
        "\\",
        "é",
        "{",
        "}",
        "${T}",
        "file:",
        ".",
        "_",
        "-",
        "+",
        "!",
        "md5",
        "sha256",
        "url",
        "channel",
        "subdir",
        "namespace",
        "license",
        ";",
        " if ",
        "@",
        "0",
        "\u{2028}",
        "\t",
        "~",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_text_is_refused_or_has_a_stable_normal_form(text in anything()) {
        match text.parse::<CondaSpec>() {
            Ok(found) => {
                let normal = found.to_string();
                let again = normal.parse::<CondaSpec>();
                prop_assert_eq!(again.as_ref().ok(), Some(&found), "{:?} {:?}", text, normal);
                let canonical = found.canonical();
                let again = canonical.parse::<CondaSpec>().map(|found| found.canonical());
                prop_assert_eq!(again.ok(), Some(canonical), "{:?}", text);
            }
            Err(error) => {
                prop_assert!(error.offset + error.length <= text.len().max(1) + 1, "{:?} {:?}", text, error);
                let _ = error.to_string();
            }
        }
    }

    /// Versions that are equal to conda have the same canonical text, and others have not.
    #[test]
    fn equal_versions_are_the_same_text(left in version_text(), right in version_text()) {
        let (Ok(one), Ok(two)) = (Version::from_str(&left), Version::from_str(&right)) else { return Ok(()) };
        let text = |version: &str| format!("x=={version}").parse::<CondaSpec>().map(|found| found.canonical());
        let (Ok(left), Ok(right)) = (text(&left), text(&right)) else { return Ok(()) };
        prop_assert_eq!(one == two, left == right, "{} {}", left, right);
        let kept = left.strip_prefix("x==").and_then(|text| Version::from_str(text).ok());
        prop_assert_eq!(kept, Some(one));
    }

    /// Order, repetition and space do not count; the set of versions that is met stays.
    #[test]
    fn order_of_conditions_does_not_count(
        groups in prop::collection::vec(prop::collection::vec(operand(), 1..4), 1..4),
        seed in any::<u64>(),
    ) {
        let join = |groups: &[Vec<String>], comma: &str, or: &str| {
            groups.iter().map(|group| group.join(comma)).collect::<Vec<_>>().join(or)
        };
        let text = format!("x[version='{}']", join(&groups, ",", "|"));
        let mut shuffled = groups.clone();
        let by = usize::try_from(seed % 7).unwrap_or(0);
        let length = shuffled.len();
        shuffled.rotate_left(by % length);
        for group in &mut shuffled {
            group.reverse();
            group.push(group[0].clone());
        }
        let other = format!("X [version=\"{}\"]", join(&shuffled, " , ", " | "));
        let found = spec(&text);
        prop_assert_eq!(found.canonical(), spec(&other).canonical());
        let kept = found.version().unwrap_or_else(|| "*".to_owned());
        let wanted = VersionSpec::from_str(&join(&groups, ",", "|"), ParseStrictness::Lenient).unwrap();
        for form in [kept, spec(&found.canonical()).version().unwrap_or_else(|| "*".to_owned())] {
            let ours = VersionSpec::from_str(&form, ParseStrictness::Lenient).unwrap();
            for version in ["0", "0.1", "1", "1.0", "1.1", "1.1.1", "1.2", "2", "2.0.3", "2.1", "3", "3.3.3", "4", "1.0a1"] {
                let version = Version::from_str(version).unwrap();
                prop_assert_eq!(ours.matches(&version), wanted.matches(&version), "{} {} {}", text, form, version);
            }
        }
    }
}
