//! Conda's environment files, lists and explicit files through the front door.

use std::path::Path;

use proptest::prelude::*;
use provenv_definition::{
    Diagnostic, Environment, Format, ReadEnvironment, definition_digest, read, read_str,
};

fn try_read(file: &str, text: &str) -> Result<ReadEnvironment, Vec<Diagnostic>> {
    read_str(text, &Path::new("/project").join(file)).map_err(|error| error.0)
}

fn found(file: &str, text: &str) -> ReadEnvironment {
    try_read(file, text).unwrap_or_else(|errors| panic!("{text}\n{errors:?}"))
}

fn environment(text: &str) -> Environment {
    let found = found("environment.yml", text);
    assert_eq!(found.format, Format::CondaEnvironment);
    found.environment
}

fn remarks(file: &str, text: &str) -> Vec<String> {
    let diagnostics = match try_read(file, text) {
        Ok(found) => found.warnings,
        Err(errors) => errors,
    };
    diagnostics
        .iter()
        .map(|diagnostic| {
            let place = diagnostic
                .span
                .map_or(String::new(), |span| format!(" {}:{}+{}", span.line, span.column, span.length));
            let hint = diagnostic.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
            format!("{}{place} {}{hint}", diagnostic.code, diagnostic.message)
        })
        .collect()
}

/// Packages with the platforms they count on.
fn packages(environment: &Environment) -> Vec<String> {
    let packages = environment.definition.conda.packages.iter().map(|package| {
        let platforms: Vec<_> = package.platforms.iter().map(ToString::to_string).collect();
        if platforms.is_empty() {
            package.spec.clone()
        } else {
            format!("{} @{}", package.spec, platforms.join(","))
        }
    });
    packages.collect()
}

fn channels(environment: &Environment) -> Vec<String> {
    environment.definition.conda.channels.iter().map(ToString::to_string).collect()
}

fn requirements(environment: &Environment) -> Vec<&str> {
    environment.definition.pip.requirements.iter().map(|entry| entry.requirement.as_str()).collect()
}

#[test]
fn a_full_environment_file_is_read() {
    let text = "\u{feff}# made by hand\r
name: vision\r
channels:\r
  - pytorch   # first\r
  - https://${TOKEN}@host.test/channel/\r
  - https://host.test/t/$TOKEN/private\r
  - ./local\r
  - nodefaults\r
dependencies:\r
  - python=3.11\r
  - 'numpy >=1.20, <2'\r
  - \"conda-forge::scipy[version='1.11.*']\"  # inline\r
  - sel(linux64): mkl\r
  - sel(osx): {nothing: here}\r
  - pywin32  # [win]\r
  - libaio  # [linux and aarch64]\r
  - gdb  # [not win]\r
  - pip\r
  - pip:\r
    - --extra-index-url https://host.test/simple\r
    - -e git+https://host.test/a/b.git#egg=b\r
    - torch==2.1.0 --hash=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r
    - ./folder\r
    - pywin32 # [win]\r
    - https://host.test/c-1.0-py3-none-any.whl\r
variables:\r
  OMP_NUM_THREADS: 4\r
platforms: [linux-64, osx-arm64]\r
prefix: C:\\Users\\someone\\env";
    let text = text.replace("{nothing: here}", "lldb");
    let environment = environment(&text);
    assert_eq!(environment.name.as_deref(), Some("vision"));
    assert_eq!(
        channels(&environment),
        [
            "pytorch",
            "https://${TOKEN}@host.test/channel",
            "https://host.test/t/${TOKEN}/private",
            "file:///project/local"
        ]
    );
    assert_eq!(
        packages(&environment),
        [
            "python=3.11",
            "numpy>=1.20,<2",
            "conda-forge::scipy=1.11",
            "mkl @linux/amd64",
            "libaio @linux/arm64",
            "gdb",
            "pip"
        ]
    );
    assert_eq!(
        requirements(&environment),
        [
            "b @ git+https://host.test/a/b.git",
            "torch==2.1.0",
            "file:///project/folder",
            "c @ https://host.test/c-1.0-py3-none-any.whl"
        ]
    );
    assert_eq!(environment.definition.pip.extra_index_urls.len(), 1);
    assert_eq!(environment.environment_variables["OMP_NUM_THREADS"], "4");
    let platforms: Vec<_> = environment.definition.platforms.iter().map(ToString::to_string).collect();
    assert_eq!(platforms, ["linux/amd64"]);
    let codes: Vec<_> =
        remarks("environment.yml", &text).iter().map(|remark| remark[..5].to_owned()).collect();
    assert_eq!(codes, ["PV028", "PV028", "PV028", "PV028", "PV018"]);
}

#[test]
fn what_says_little_is_read_too() {
    for text in [
        "dependencies:\n",
        "name: a\ndependencies: null\n",
        "dependencies: []\nchannels:\n",
        "channels: []",
        "dependencies:\n- pip:\n",
        "dependencies:\n- pip: []\n",
    ] {
        assert!(packages(&environment(text)).is_empty(), "{text}");
    }
    assert_eq!(packages(&environment("dependencies: [numpy=1.2, {pip: [a]}]")), ["numpy=1.2"]);
    assert_eq!(packages(&environment("dependencies:\n- &a numpy\n- *a\n")), ["numpy", "numpy"]);
}

#[test]
fn origins_point_to_channels_and_packages() {
    let read = found(
        "environment.yml",
        "channels:\n- 'conda-forge'\ndependencies:\n- pip:\n  - a\n-   numpy =1 # x\n",
    );
    let span = |place: &provenv_definition::Place| (place.span.line, place.span.column, place.span.length);
    assert_eq!(read.origins.channels.iter().map(span).collect::<Vec<_>>(), [(2, 4, 11)]);
    assert_eq!(read.origins.conda.iter().map(span).collect::<Vec<_>>(), [(6, 5, 8)]);
    assert_eq!(read.origins.requirements.iter().map(span).collect::<Vec<_>>(), [(5, 5, 1)]);
}

#[test]
fn included_files_are_found_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("requirements.txt"), "a==1\n-c bounds.txt\n").unwrap();
    fs_err::write(folder.path().join("bounds.txt"), "b<2\n").unwrap();
    let file = folder.path().join("environment.yml");
    fs_err::write(&file, "dependencies:\n- pip\n- pip:\n  - -r requirements.txt\n").unwrap();
    let read = read(&file).unwrap();
    assert_eq!(requirements(&read.environment), ["a==1"]);
    assert_eq!(read.environment.definition.pip.constraints.len(), 1);
    assert_eq!(read.files.len(), 3);
}

/// Text, and the remarks on it.
const REMARKS: &[(&str, &[&str])] = &[
    (
        "dependencies:\n  - numpy\n  -\n",
        &["PV005 3:4+1 an item without a package (remove it, or write the package on the same line)"],
    ),
    (
        "dependencies:\n  numpy: 1.2\n",
        &["PV005 2:3+1 `dependencies` must be a list, not a mapping (begin each package with `- `)"],
    ),
    (
        "dependencies:\n  - python: 3.8\n",
        &["PV005 2:5+6 `python:` is no section of dependencies (write `- python=3.8`)"],
    ),
    (
        "dependencies:\n  - [numpy]\n",
        &["PV005 2:5+1 a package must be a text, not a list (list packages side by side, one per item)"],
    ),
    (
        "dependencies:\n  - pip: a\n",
        &[
            "PV005 2:10+1 `pip` must be a list, not a text (begin each line with `- ` and indent it more than `pip`)",
        ],
    ),
    (
        "dependencies:\n  - pip:\n    - a\n  - pip:\n    - b\n",
        &[
            "PV030 4:5+3 a second `pip:` section, the first is in line 2 (conda takes the last one only; here all count: put them together)",
        ],
    ),
    (
        "dependencies: [a]\npip: [b]\n",
        &[
            "PV012 2:1+3 `pip` has no effect here, as for conda (put it among the dependencies: `- pip:` with its list below)",
        ],
    ),
    (
        "dependencies: [a]\nchanels: [b]\n",
        &[
            "PV012 2:1+7 unknown key `chanels` has no effect: conda reads over it too (did you mean `channels`?)",
        ],
    ),
    (
        "dependencies: [a]\nchannels: conda-forge\n",
        &["PV005 2:11+11 `channels` must be a list, not a text (begin each channel with `- `)"],
    ),
    (
        "dependencies: [a]\ndependencies: [b]\n",
        &["PV006 2:1+12 `dependencies` is given twice, first in line 1"],
    ),
    (
        "dependencies:\n  - numpy >=1 <2\n",
        &["PV025 2:15+2 `<2` is not a build string (join conditions with a comma: `>=1.2,<2`)"],
    ),
    (
        "dependencies:\n  - 'numpy===1'\n",
        &[
            "PV025 2:11+3 `===` is not an operator of conda (an exact version is written with two equals signs: `==`)",
        ],
    ),
    (
        "dependencies:\n  - >\n    =1.2\n",
        &[
            "PV025 3:5+1 the name of a package is missing (quote the whole item: YAML takes a `>` or `|` at its beginning for a block of text)",
        ],
    ),
    (
        "dependencies:\n  - pip:\n    - numpy=1.2\n",
        &["PV010 3:12+1 `=` is not an operator (a version is pinned with two equals signs: `==`)"],
    ),
    (
        "dependencies:\n  - numpy={{ version }}\nname: '{{ name }}'\n",
        &[
            "PV023 3:7+12 `name` holds a template that was not filled in (fill the template in first)",
            "PV023 2:11+13 a template that was not filled in (fill the template in first)",
        ],
    ),
    (
        "{% set version = '1' %}\ndependencies:\n  - a\n",
        &["PV023 1:2+1 a template that was not filled in (this looks like a template: fill it in first)"],
    ),
    (
        "channels:\n  - https://user:hunter2@host.test/c\n",
        &[
            "PV015 2:13+12 credentials in a URL (write a variable, `https://host/t/${TOKEN}/…`, or keep them in netrc or the keyring)",
        ],
    ),
    (
        "channels:\n  - conda-forge/linux-64\ndependencies: [a]\n",
        &["PV030 2:5+20 the folder of a channel is left out: each platform takes its own and `noarch`"],
    ),
    (
        "channels:\n  - conda forge\n",
        &[
            "PV026 2:10+1 `conda forge` is not the name of a channel (write a name such as `conda-forge`, or a URL)",
        ],
    ),
    (
        "dependencies:\n  - numpy # [py>=36]\n",
        &[
            "PV029 2:5+5 the selector `py>=36` is not understood: the entry counts everywhere (use `linux`, `unix`, `linux64`, `aarch64`, `osx` or `win`, with `not`, `and` and `or`)",
        ],
    ),
    (
        "dependencies:\n  - sel(osx): lldb\n",
        &["PV028 2:15+4 `lldb` is left out: its selector names other systems than Linux"],
    ),
    (
        "dependencies:\n  - tensorflow[and-cuda]==2.16\n",
        &[
            "PV030 2:15+10 conda reads over extras in brackets, and so does this (what pip installs stands in a `pip:` list; without extras, remove the brackets)",
        ],
    ),
    (
        "dependencies: [a]\nplatforms: [win-64]\n",
        &["PV028 2:13+6 `win-64` is left out: images are for Linux on x86-64 and ARM"],
    ),
    (
        "dependencies: [a]\nplatforms: [linus]\n",
        &["PV021 2:13+5 unknown platform `linus`: use linux/amd64 or linux/arm64"],
    ),
    (
        "dependencies: [a]\nvariables: [b]\n",
        &["PV005 2:12+1 `variables` must be a mapping of keys and values, not a list"],
    ),
];

#[test]
fn every_mistake_is_named_with_its_place() {
    for (text, expected) in REMARKS {
        assert_eq!(remarks("environment.yml", text), *expected, "{text}");
    }
}

#[test]
fn no_secret_is_shown() {
    for text in [
        "channels:\n- https://hunter2:hunter2@host.test/c\n- a b\n",
        "channels:\n- https://host.test/t/hunter2/c\n",
        "channels: [https://host.test/t/hunter2/c, a b]\n",
        "dependencies:\n- https://host.test/t/hunter2/c::numpy # [py]\n- https://host.test/t/hunter2/c/noarch/a-1-0.conda\n",
        "dependencies:\n- pip:\n  - https://user:hunter2@host.test/a.whl\n",
        "dependencies:\n- a[url='https://host.test/t/hunter2/c/noarch/a-1-0.conda']\n",
        "dependencies:\n- a\nvariables:\n  DB_PASSWORD: hunter2\n",
    ] {
        let said = match try_read("environment.yml", text) {
            Ok(read) => format!("{:?}{:?}", read.warnings, read.check()),
            Err(errors) => format!("{errors:?}"),
        };
        assert!(!said.contains("hunter2") && said.contains("PV"), "{text}\n{said}");
    }
    let explicit = "@EXPLICIT\nhttps://host.test/t/hunter2/c/noarch/a-1-0.conda\n";
    let said = format!("{:?}", try_read("explicit.txt", explicit).unwrap_err());
    assert!(!said.contains("hunter2") && said.contains("PV015"), "{said}");
}

#[test]
fn lists_are_read_as_conda_reads_them() {
    let text = "# This file may be used to create an environment using:
# $ conda create --name <env> --file <this file>
# platform: linux-64
_libgcc_mutex=0.1=main
numpy=1.20.1=py38h1
absl-py=1.0.0=pypi_0
";
    let read = found("packages.txt", text);
    assert_eq!(read.format, Format::CondaList);
    assert_eq!(packages(&read.environment), ["_libgcc_mutex==0.1=main", "numpy==1.20.1=py38h1"]);
    assert_eq!(requirements(&read.environment), ["absl-py==1.0.0"]);
    assert_eq!(read.environment.definition.platforms.len(), 1);

    // In a list, and only there, one equals sign alone is exact.
    let text = "conda-forge::python=3.11\nnumpy>=1.20,<2\nscipy  # why\npandas=2.*\nzlib==1.3\n\n";
    let read = found("packages.txt", text);
    assert_eq!(
        packages(&read.environment),
        ["conda-forge::python==3.11", "numpy>=1.20,<2", "scipy", "pandas=2", "zlib==1.3"]
    );
    let text = "https://h.test/c/linux-aarch64/a-1-0.conda#d41d8cd98f00b204e9800998ecf8427e # why\n";
    let read = found("packages.txt", text);
    assert_eq!(read.format, Format::CondaList);
    assert_eq!(read.environment.definition.platforms, [provenv_definition::Platform::LinuxArm64]);
    assert_eq!(
        remarks("packages.txt", "a::b\n c >=1 <2\nd=$V\n"),
        [
            "PV025 2:8+2 `<2` is not a build string (join conditions with a comma: `>=1.2,<2`)",
            "PV023 3:3+2 a variable that was not filled in (conda does not fill in variables in packages: do it first)",
        ]
    );
}

#[test]
fn explicit_files_are_read() {
    let text = "# platform: linux-64
@EXPLICIT
https://conda.anaconda.org/conda-forge/linux-64/a-1-h1_0.conda#d41d8cd98f00b204e9800998ecf8427e
https://conda.anaconda.org/conda-forge/noarch/b-2.0-py_0.tar.bz2#sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
";
    let read = found("explicit.txt", text);
    assert_eq!(read.format, Format::CondaExplicit);
    assert!(read.format.is_lock());
    assert_eq!(
        packages(&read.environment),
        [
            "a[url='https://conda.anaconda.org/conda-forge/linux-64/a-1-h1_0.conda',md5='d41d8cd98f00b204e9800998ecf8427e']",
            "b[url='https://conda.anaconda.org/conda-forge/noarch/b-2.0-py_0.tar.bz2',sha256='e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']",
        ]
    );
    let platforms: Vec<_> = read.environment.definition.platforms.iter().map(ToString::to_string).collect();
    assert_eq!(platforms, ["linux/amd64"]);
    for (text, remark) in [
        (
            "@EXPLICIT\nnumpy\n",
            "PV025 2:1+5 `numpy` is not the URL of a package (after `@EXPLICIT` stand URLs and paths of packages only)",
        ),
        (
            "@EXPLICIT\nhttps://h.test/c/win-64/a-1-0.conda\nhttps://h.test/c/win-64/b-1-0.conda\n",
            "PV007 2:1+35 packages of `win-64`: only images for Linux on x86-64 and ARM can be made",
        ),
        (
            "@EXPLICIT\nhttps://h.test/c/noarch/a-1-0.conda#12\n",
            "PV016 2:37+2 a hash after `#` is an md5 of 32 or `sha256:` and 64 hexadecimal digits (`conda list --explicit --md5` writes it so)",
        ),
    ] {
        assert_eq!(remarks("explicit.txt", text), [remark], "{text}");
    }
}

fn digest(text: &str) -> String {
    definition_digest(&environment(text).definition).to_string()
}

#[test]
fn spelling_does_not_count_for_the_digest_and_meaning_does() {
    let base = "channels: [a, b]\ndependencies: [numpy==1.20, scipy>=1|<0.5, {pip: [c]}]\n";
    for same in [
        "name: x\nprefix: /y\nchannels: [a, b/, a, nodefaults]\ndependencies:\n- {pip: [C]}\n- SciPy[version='<0.5|>=1.0']\n- numpy 1.20.0\n",
        "dependencies:\n- numpy==1.20 # exactly\n- numpy=1.20=*\n- scipy >=1 | <0.5\n- pip:\n  - c\n- x # [win]\nchannels: [a, b]\nplatforms: [linux-64]\nvariables: {A: b}\n",
    ] {
        assert_eq!(digest(same), digest(base), "{same}");
    }
    for other in [
        "channels: [b, a]\ndependencies: [numpy==1.20, scipy>=1|<0.5, {pip: [c]}]\n",
        "channels: [a]\ndependencies: [numpy==1.20, scipy>=1|<0.5, {pip: [c]}]\n",
        "channels: [a, b]\ndependencies: [numpy==1.21, scipy>=1|<0.5, {pip: [c]}]\n",
        "channels: [a, b]\ndependencies: [numpy=1.20, scipy>=1|<0.5, {pip: [c]}]\n",
        "channels: [a, b]\ndependencies: [numpy==1.20=py38, scipy>=1|<0.5, {pip: [c]}]\n",
        "channels: [a, b]\ndependencies: [a::numpy==1.20, scipy>=1|<0.5, {pip: [c]}]\n",
        "channels: [a, b]\ndependencies: [numpy==1.20, scipy>=1, {pip: [c]}]\n",
        "channels: [a, b]\ndependencies: [numpy==1.20, scipy>=1|<0.5, c]\n",
        "channels: [a, b]\ndependencies: [numpy==1.20, sel(linux64): scipy>=1|<0.5, {pip: [c]}]\n",
        "channels: [a, b]\ndependencies: [numpy==1.20, scipy>=1|<0.5, {pip: [c]}]\nplatforms: [linux-aarch64]\n",
    ] {
        assert_ne!(digest(other), digest(base), "{other}");
    }
}

/// Names with a version, an operator in two spellings, and a build.
fn entry() -> impl Strategy<Value = (String, [String; 2])> {
    let name = "[a-z]{1,6}";
    let version = "[1-9](\\.[0-9]){1,2}";
    let operator = prop::sample::select(vec![
        ["{n}=={v}", "{N} {v}"],
        ["{n}={v}", "{N}  {v}.*"],
        ["{n}>={v},<99", "{n}[version='<99, >={v}.0.0']"],
        ["{n}={v}=h1_0", "{N} {v} h1_0"],
        ["c::{n}!={v}|<1", "c:: {n} <1|!={v}"],
    ]);
    (name, version, operator).prop_map(|(name, version, spellings)| {
        let fill = |text: &str| {
            let text = text.replace("{n}", &name).replace("{N}", &name.to_uppercase());
            text.replace("{v}", &version)
        };
        (name.clone(), spellings.map(fill))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn permutation_and_spelling_never_change_the_digest(
        entries in prop::collection::vec(entry(), 1..6),
        channels in prop::collection::hash_set("[a-z]{2,6}", 2..5),
        seed in any::<u64>(),
    ) {
        let channels: Vec<String> = channels.into_iter().collect();
        let lines = |spelling: usize, entries: &[(String, [String; 2])], channels: &[String]| {
            let channels = channels.iter().map(|channel| format!("- '{channel}'\n"));
            let entries =
                entries.iter().enumerate().map(|(i, (_, spellings))| format!("- \"{}\"\n", spellings[(i * spelling) % 2]));
            let parts = [vec!["channels:\n".to_owned()], channels.collect(), vec!["dependencies:\n".to_owned()], entries.collect()];
            parts.concat().concat()
        };
        let first = digest(&lines(0, &entries, &channels));
        let mut rotated = entries.clone();
        rotated.rotate_left(usize::try_from(seed % 5).unwrap_or(0) % entries.len());
        prop_assert_eq!(&digest(&lines(1, &rotated, &channels)), &first);
        prop_assert_eq!(&digest(&lines(1, &entries, &channels).replace('\n', "\r\n")), &first);

        let mut turned = channels.clone();
        turned.rotate_left(1);
        prop_assert_ne!(&digest(&lines(0, &entries, &turned)), &first);
        let more = lines(0, &entries, &channels) + "- another-package\n";
        prop_assert_ne!(&digest(&more), &first);
        let mut moved = entries.clone();
        moved[0].1[0] = moved[0].1[0].replacen('.', ".7", 1);
        prop_assert_ne!(&digest(&lines(0, &moved, &channels)), &first);
    }

    /// Any entry is read or refused, in any place, and a secret is never shown.
    #[test]
    fn anything_is_read_or_refused(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "channels:\n", "dependencies:\n", "- ", "  - ", "pip:\n", "numpy", "=1.2", ">=1", "<2", "\n", "sel(linux): ",
            "sel(win): ", "# [osx]", " # [not", "'", "\"", "::", "https://u:hunter2@h.test/c", "https://h.test/t/hunter2/c",
            "/noarch/a-1-0.conda", "[", "]", "{", "}", ": ", ",", "> ", "| ", "name: ", "variables:\n", "platforms: ", "é",
            "-e .", "@EXPLICIT\n", "&a ", "*a ", "\t",
        ]), 0..30),
    ) {
        let text = pieces.concat();
        for file in ["environment.yml", "packages.txt", "packages"] {
            let diagnostics = match try_read(file, &text) {
                Ok(read) => {
                    definition_digest(&read.environment.definition);
                    prop_assert!(!format!("{:?}", read.environment.definition.conda).contains("hunter2"), "{}", text);
                    read.warnings.clone().into_iter().chain(read.check()).collect()
                }
                Err(errors) => errors,
            };
            for diagnostic in diagnostics {
                let said = format!("{} {:?} {:?}", diagnostic.message, diagnostic.hint, diagnostic.line_text);
                prop_assert!(!said.contains("hunter2"), "{:?} {}", text, said);
                if let (Some(span), Some(line)) = (diagnostic.span, &diagnostic.line_text) {
                    prop_assert!(span.column >= 1 && span.column <= line.chars().count() + 1, "{:?}", diagnostic);
                }
            }
        }
    }
}

/// No text of a megabyte takes more than a second to read or refuse (in release; tests are allowed more).
#[test]
fn large_files_take_no_time() {
    let fill = |begin: &str, piece: &str| format!("{begin}{}", piece.repeat((1 << 20) / piece.len()));
    for (file, text) in [
        ("environment.yml", fill("dependencies:\n", "- numpy >=1.2,<2|3\n")),
        ("environment.yml", fill("dependencies: [", "a,") + "a]"),
        ("environment.yml", fill("dependencies: [{pip: [", "a,") + "a]}]"),
        ("environment.yml", fill("channels: [", "https://h.test/t/a,") + "a]"),
        ("environment.yml", fill("dependencies:\n- ", "a")),
        ("environment.yml", fill("dependencies:\n", "- a # [win] or (not linux)\n")),
        ("environment.yml", fill("dependencies:\n", "- a 1 ^py(3|4)*_.*$\n")),
        ("environment.yml", fill("dependencies:\n", "- {pip: [a]}\n")),
        ("packages.txt", fill("a::b\n", "a=1=0\n")),
        ("environment.yml", fill("dependencies:\n", &format!("- numpy >=1.2,<2|3 #{}\n", "x".repeat(32)))),
        ("packages.txt", fill("a::b\n", "a[")),
        ("explicit.txt", fill("@EXPLICIT\n", "https://h.test/c/noarch/a-1-0.conda\n")),
        ("explicit.txt", fill("@EXPLICIT\n", "# platform: win-64\n")),
    ] {
        let start = std::time::Instant::now();
        let read = try_read(file, &text);
        if let Ok(read) = &read {
            definition_digest(&read.environment.definition);
        }
        let elapsed = start.elapsed();
        println!("{file} {:?} {elapsed:?} {}", &text[..40], read.is_ok());
        assert!(elapsed < std::time::Duration::from_secs(20), "{file} {} {elapsed:?}", &text[..40]);
    }
}

#[test]
fn what_asks_for_nothing_is_said() {
    let shallow = "channels: [conda-forge]\ndependencies:\n- python\n- pip:\n- six\n";
    assert_eq!(
        remarks("environment.yml", shallow),
        [
            "PV012 4:3+3 a `pip:` section without a list (indent its list more than `- pip:`; what stands at the same depth is \
          conda's)"
        ]
    );
    let channels = "PV012 1:12+11 the channels have no effect: no package is asked for (list the packages under `dependencies`)";
    assert_eq!(remarks("environment.yml", "channels: [conda-forge]\ndependencies: []\n"), [channels]);
    let misspelt = remarks("environment.yml", "channels: [conda-forge]\ndependancies: [python]\n");
    assert!(misspelt.contains(&channels.to_owned()) && misspelt.len() == 2, "{misspelt:?}");
    assert!(
        remarks("environment.yml", "channels: [conda-forge]\ndependencies:\n- pip:\n  - six\n")
            .iter()
            .all(|remark| !remark.contains("no effect"))
    );
}
