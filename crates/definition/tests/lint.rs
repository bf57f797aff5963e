//! What `env check` finds in the text itself, what comments take back, and how files are mended.

use std::path::Path;

use provenv_definition::{Linted, Severity, apply, lint, lint_str};

fn linted(file: &str, text: &str) -> Linted {
    lint_str(text, Path::new(file))
}

/// Code and line of each remark.
fn found(file: &str, text: &str) -> Vec<String> {
    let place = |line: Option<usize>| line.map_or(String::new(), |line| format!(":{line}"));
    let remarks = linted(file, text).remarks;
    remarks
        .iter()
        .map(|remark| format!("{}{}", remark.code, place(remark.span.map(|span| span.line))))
        .collect()
}

fn mended(file: &str, text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..10 {
        let linted = linted(file, &text);
        let fixes = linted.remarks.iter().filter_map(|remark| remark.fix.as_ref());
        let (after, made) = apply(linted.source.as_ref().unwrap(), fixes);
        if made == 0 {
            break;
        }
        text = after;
    }
    text
}

#[test]
fn comments_take_remarks_back() {
    for (text, expected) in [
        ("numpy\n", &["PV103:1"][..]),
        ("numpy  # provenv: ignore[PV103]\n", &[]),
        ("numpy  # provenv: ignore[unpinned]\n", &[]),
        ("numpy  # provenv: ignore[pv103, PV104]\n", &[]),
        ("numpy  # provenv: ignore\n", &[]),
        ("numpy  # provenv:ignore the version\n", &[]),
        ("numpy  # provenv: ignore[PV104]\n", &["PV103:1"]),
        // A slip takes nothing back, and is said.
        ("numpy  # provenv: ignore[PV1O3]\n", &["PV103:1", "PV012:1"]),
        ("numpy  # provenv: ignore[PV103, unpined]\n", &["PV012:1"]),
        ("numpy  # provenv: ignored\n", &["PV103:1"]),
        ("numpy  # provenv: ignore[PV103\n", &["PV103:1"]),
        ("# provenv: ignore[PV103]\nnumpy\npandas\n", &["PV103:3"]),
        ("# provenv: ignore-file[PV103]\nnumpy\npandas\n", &[]),
        ("# provenv: ignore[PV103]\nsklearn  # provenv: ignore[PV122]\n", &[]),
        ("# provenv: ignore[PV103]\n# provenv: ignore[PV122]\nsklearn\n", &[]),
        ("# provenv: ignore-file\n# provenv: ignore-file[PV122]\nnumpy\n", &[]),
        ("numpy  # provenv: ignore[]\n", &["PV103:1"]),
        // What makes a file unusable stays.
        ("numpy=1  # provenv: ignore\n", &["PV010:1"]),
        ("a==1  # provenv: ignore[PV107]\na==2\n", &[]),
    ] {
        assert_eq!(found("requirements.txt", text), expected, "{text}");
    }
    assert_eq!(linted("requirements.txt", "numpy # provenv: ignore\n").ignored, 1);
}

#[test]
fn conda_files_are_checked() {
    const HEAD: &str = "channels: [conda-forge]\ndependencies:\n- python=3.12\n- pip=24.2\n";
    for (lines, expected) in [
        ("- numpy=1.26.4\n", &[][..]),
        ("- numpy=1.26.4=py312_0\n", &[]),
        ("- numpy=1.26\n", &[]),
        ("- numpy\n", &["PV103:5"]),
        ("- numpy>=1.26\n", &["PV103:5"]),
        ("- numpy=1.26\n- numpy==1.26.4\n", &[]),
        ("- numpy=1.26\n- numpy==1.25.4\n", &["PV107:6"]),
        ("- numpy=1.26\n- numpy=1.25\n", &["PV107:5"]),
        ("- numpy>=2\n- numpy<1\n", &["PV103:5", "PV107:5"]),
        ("- numpy>=2,<1\n", &["PV103:5", "PV107:5"]),
        ("- numpy==1.26.4\n- numpy<1.26\n", &["PV107:5"]),
        ("- numpy=1.26\n- numpy=1.26\n", &["PV108:6"]),
        ("- numpy==1.26.*\n", &["PV126:5"]),
        ("- numpy=1.26\n- pip:\n  - numpy==1.26.4\n", &["PV114:7"]),
        ("- pytorch=2.4\n- pip:\n  - torch==2.4.0\n", &["PV114:7"]),
        ("- graphviz=2.4\n- pip:\n  - graphviz==0.20\n", &[]),
        ("- python=3.11\n", &["PV107:3", "PV132:5"]),
        ("- pandsa=2.2\n", &["PV121:5"]),
        ("- sklearn\n", &["PV103:5", "PV122:5"]),
        ("- pip:\n  - sklearn\n", &["PV103:6", "PV122:6"]),
    ] {
        let mut codes = found("environment.yml", &format!("{HEAD}{lines}"));
        codes.retain(|code| !code.starts_with("PV113"));
        assert_eq!(codes, expected, "{lines}");
    }
    for (text, expected) in [
        ("dependencies: [python=3.6]\n", &["PV104:1", "PV118:1"][..]),
        ("channels: [conda-forge, defaults]\ndependencies: [python=3.12]\n", &["PV120:1"]),
        ("channels: [defaults, conda-forge]\ndependencies: [python=3.12]\n", &["PV119:1", "PV120:1"]),
        ("channels: [\"https://repo.anaconda.com/pkgs/main\"]\ndependencies: [python=3.12]\n", &["PV120:1"]),
        ("channels: [\"http://host.example/c\"]\ndependencies: [python=3.12]\n", &["PV133:1"]),
        ("dependencies: [\"conda-forge::python=3.12\"]\n", &[]),
    ] {
        let mut codes = found("environment.yml", text);
        codes.retain(|code| !code.starts_with("PV113"));
        assert_eq!(codes, expected, "{text}");
    }
}

#[test]
fn dockerfiles_are_checked() {
    for (text, expected) in [
        ("FROM python:3.13-slim\nRUN pip install \"numpy>=2\"\n", &[][..]),
        ("FROM python:3.13-slim\nRUN pip install numpy>=2 'scipy>1'\n", &["PV127:2"]),
        ("FROM python:3.13-slim\nRUN pip install \\\n    # why\n    a \\\n    numpy<2\n", &["PV127:5"]),
        ("FROM python:3.13-slim\nRUN pip install numpy > log 2>&1\n", &[]),
        ("FROM python:3.13-slim\nRUN pip --version && test 1 && echo a>2\n", &[]),
        ("FROM python:3.13-slim\nRUN bash -c \"pip install numpy>=2\"\n", &[]),
        ("FROM python:3.13-slim\nRUN <<END\npip install numpy>=2\nEND\n", &[]),
        ("FROM ubuntu:18.04\n", &["PV123:1"]),
        ("ARG BASE=ubuntu:18.04\nFROM $BASE\n", &["PV123:2"]),
        ("FROM python\n", &["PV106:1"]),
        ("FROM ${UNKNOWN}\n", &[]),
        ("FROM scratch\n", &[]),
        ("FROM python:3.13-slim AS one\nFROM one\n", &[]),
        ("FROM python:3.13-slim\nENV API_TOKEN hunter2\n", &["PV109:2"]),
        ("FROM python:3.13-slim\nARG API_TOKEN=hunter2\n", &["PV109:2"]),
        ("FROM python:3.13-slim\nRUN docker login -u me -p hunter2 h.example\n", &["PV109:2"]),
        ("FROM python:3.13-slim\nRUN curl -u me:hunter2 https://h.example\n", &["PV109:2"]),
        ("FROM python:3.13-slim\nRUN pip install -i https://$U:$P@h.example/simple a\n", &[]),
        ("FROM python:3.13-slim\nRUN pip install -i https://me:hunter2@h.example/simple a\n", &["PV015:2"]),
    ] {
        let linted = linted("Dockerfile", text);
        assert!(!format!("{:?}", linted.remarks).contains("hunter2"), "{text}");
        let mut codes = found("Dockerfile", text);
        codes.retain(|code| !code.starts_with("PV113"));
        assert_eq!(codes, expected, "{text}");
    }
}

#[test]
fn images_out_of_support_are_told_from_others() {
    for (image, expected) in [
        ("ubuntu:24.04", false),
        ("ubuntu:focal-20240101", true),
        ("docker.io/library/debian:buster-slim", true),
        ("debian:trixie-slim", false),
        ("debian:12.5", false),
        ("debian:10.13", true),
        ("centos:7.9.2009", true),
        ("quay.io/centos/centos:stream9", false),
        ("alpine:3.22", false),
        ("alpine:3.12.1", true),
        ("python:2.7", true),
        ("python:3.9-stretch", true),
        ("python:3.13-bookworm", false),
        ("team.example/ubuntu:18.04", false),
        ("mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1", false),
        ("mcr.microsoft.com/azureml/openmpi3.1.2-ubuntu18.04:1", true),
        ("mcr.microsoft.com/azureml/base-gpu:intelmpi2018.3-cuda10.0-cudnn7-ubuntu16.04", true),
    ] {
        let codes = found("environment.yaml", &format!("image: {image}\n"));
        assert_eq!(codes.contains(&"PV123:1".to_owned()), expected, "{image}: {codes:?}");
    }
}

#[test]
fn files_are_mended_where_that_is_surely_right() {
    for (file, text, expected) in [
        ("requirements.txt", "a==1\r\nb==1\r\na==1\r\n", "a==1\r\nb==1\r\n"),
        ("requirements.txt", "a==1\nA==1.0", "a==1\nA==1.0"),
        ("requirements.txt", "a==1\na==1  # why\n", "a==1\na==1  # why\n"),
        ("requirements.txt", "a==1\na==1 \\\n  --hash=sha256:aa\n", "a==1\na==1 \\\n  --hash=sha256:aa\n"),
        ("requirements.txt", "a = 1\nb=>2 # c\nc=<3\nd<>4\n", "a == 1\nb>=2 # c\nc<=3\nd!=4\n"),
        ("requirements.txt", "numpy=1.26.4=py312_0\n", "numpy=1.26.4=py312_0\n"),
        ("requirements.txt", "sklearn\n", "scikit-learn\n"),
        // With `==` it would be a version for the eye that looks for secrets.
        ("requirements.txt", "password = hunter2secret9x\n", "password = hunter2secret9x\n"),
        ("requirements.txt", "sklearn==0.0\n", "sklearn==0.0\n"),
        ("environment.yaml", "pip:\n- a==1\n- 'a==1'\n", "pip:\n- a==1\n"),
        ("environment.yaml", "pip: [a==1, a==1]\n", "pip: [a==1, a==1]\n"),
        ("environment.yaml", "python: 3.10\n", "python: \"3.10\"\n"),
        ("environment.yaml", "name: a\npython: >=3.10\n", "name: a\npython: \">=3.10\"\n"),
        (
            "environment.yml",
            "channels: [conda-forge]\ndependencies:\n- python=3.12\n- numpy==1.26.*\n- 'sklearn'\n",
            "channels: [conda-forge]\ndependencies:\n- python=3.12\n- numpy=1.26\n- 'scikit-learn'\n",
        ),
        (
            "Dockerfile",
            "FROM python:3.13-slim\nRUN pip install numpy>=2 scipy<2\n",
            "FROM python:3.13-slim\nRUN pip install \"numpy>=2\" \"scipy<2\"\n",
        ),
    ] {
        assert_eq!(mended(file, text), expected, "{text}");
    }
}

#[test]
fn files_of_an_unknown_kind_are_not_mended() {
    const PROGRAM: &str = "import os\nsettings = None\nlevel = 3\n";
    for file in ["tool", "tool.sh", "settings.conf", "standard-input"] {
        assert_eq!(mended(file, PROGRAM), PROGRAM, "{file}");
    }
    assert_eq!(mended("requirements-dev", "numpy = 1\n"), "numpy == 1\n");
}

#[test]
fn included_files_are_checked_and_have_their_own_comments() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("base.txt"), "a  # provenv: ignore[PV103]\nb\n# token=hunter2hunter2\n")
        .unwrap();
    let top = folder.path().join("requirements.txt");
    fs_err::write(&top, "# provenv: ignore-file[PV109]\n-r base.txt\nc\n").unwrap();
    let linted = lint(&top);
    let places: Vec<_> = linted
        .remarks
        .iter()
        .map(|remark| {
            let file = remark.file.as_ref().unwrap().file_name().unwrap().to_string_lossy().into_owned();
            format!("{} {file}:{}", remark.code, remark.span.unwrap().line)
        })
        .collect();
    assert_eq!(places, ["PV103 base.txt:2", "PV109 base.txt:3", "PV103 requirements.txt:3"]);
    // Only the file that is named is mended.
    assert!(linted.remarks.iter().all(|remark| remark.fix.is_none()));
}

#[test]
fn indexes_and_hashes_are_checked() {
    const HASH: &str = "--hash=sha256:f870204a840a60da0b12273ef34f7051e98c3b5961b61b0c2c1be6dfd64fbcd3";
    for (text, expected) in [
        (format!("a==1 {HASH}\nb==1\n"), &["PV128:2"][..]),
        (format!("a==1 {HASH}\nb==1 {HASH}\n"), &[]),
        ("--extra-index-url https://i.example/simple\na==1\n".to_owned(), &["PV129:1"]),
        (format!("--extra-index-url https://i.example/simple\na==1 {HASH}\n"), &[]),
        ("--extra-index-url https://download.pytorch.org/whl/cpu\na==1\n".to_owned(), &[]),
        ("--index-url http://i.example/simple\na==1\n".to_owned(), &["PV133:1"]),
        ("--index-url http://127.0.0.1:8080/simple\na==1\n".to_owned(), &[]),
    ] {
        assert_eq!(found("requirements.txt", &text), expected, "{text}");
    }
}

#[test]
fn large_and_nasty_files_take_no_time() {
    let lines = |line: &dyn Fn(usize) -> String| (0..10_000).map(line).collect::<String>();
    for (file, text) in [
        ("requirements.txt", lines(&|_| "a==1\n".to_owned())),
        ("requirements.txt", lines(&|i| format!("scikit-lern{i}\n"))),
        ("requirements.txt", "# ://".repeat(200_000)),
        ("requirements.txt", "# password=x ".repeat(80_000)),
        ("environment.yml", format!("dependencies:\n{}", lines(&|_| "- a=1\n".to_owned()))),
        ("environment.yml", format!("dependencies:\n{}", lines(&|i| format!("- a=={i}\n")))),
        ("Dockerfile", format!("FROM a:1\nRUN pip install {}\n", "a>=1 ".repeat(20_000))),
        ("environment.yml", format!("dependencies: [{}]\n", lines(&|_| "sklearn, ".to_owned()))),
        ("environment.yaml", format!("pip: [{}]\n", lines(&|_| "sklearn, ".to_owned()))),
        ("Dockerfile", format!("FROM a:1\n{}", lines(&|_| "RUN pip install a>=1\n".to_owned()))),
    ] {
        let begun = std::time::Instant::now();
        let linted = linted(file, &text);
        let fixes = linted.remarks.iter().filter_map(|remark| remark.fix.as_ref());
        if let Some(source) = &linted.source {
            apply(source, fixes);
        }
        let took = begun.elapsed();
        println!("{file} {:?} {took:?}", &text[..text.len().min(40)]);
        // Generous: it is about growth, in a debug build on a busy machine.
        assert!(took.as_secs() < 60, "{file} {:?}: {took:?}", &text[..text.len().min(40)]);
    }
}

#[test]
fn what_is_wrong_a_thousand_times_is_not_listed_for_ever() {
    for (file, head, line, code) in [
        ("explicit.txt", "@EXPLICIT\n", "numpy\n", "PV025"),
        ("list.txt", "# $ conda create --name a --file list.txt\n", "numpy>>1\n", "PV025"),
        ("requirements.txt", "", "./nowhere\n", "PV018"),
        ("requirements.txt", "", "numpy=1\n", "PV010"),
        ("requirements.txt", "", "package-N\n", "PV103"),
        ("environment.yml", "dependencies:\n", "- numpy>>1\n", "PV025"),
    ] {
        let lines: String = (0..3000).map(|number| line.replace('N', &number.to_string())).collect();
        let found = linted(&format!("/nowhere/{file}"), &format!("{head}{lines}"));
        let of_code: Vec<_> = found.remarks.iter().filter(|remark| remark.code == code).collect();
        assert_eq!(of_code.len(), 1001, "{file} {code}: {:?}", found.remarks.first());
        let last = of_code.iter().map(|remark| remark.span.unwrap().line).max();
        let said = of_code.iter().find(|remark| remark.message.starts_with("more than 1000 of these"));
        assert_eq!(said.and_then(|remark| remark.span).map(|span| span.line), last, "{file} {code}");
    }
}

#[test]
fn a_misspelt_code_in_a_comment_is_said_with_the_right_one() {
    let remarks = linted("requirements.txt", "numpy  # provenv: ignore[PV103, unpined]\n").remarks;
    let [only] = &remarks[..] else { panic!("{remarks:?}") };
    assert_eq!(only.message, "`unpined` is no code, so the comment takes nothing back by it");
    assert_eq!(only.hint.as_deref(), Some("did you mean `unpinned`?"));
    assert_eq!(only.span.map(|span| (span.column, span.length)), Some((33, 7)));
}

#[test]
fn a_wildcard_behind_two_equals_signs_is_mended_without_another_meaning() {
    let file = |spec: &str| format!("channels: [conda-forge]\ndependencies: [{spec}]\n");
    for (given, expected) in [
        ("numpy==1.26.*", "numpy=1.26"),
        // Before a build string it is one version for conda.
        ("numpy==1.26.*=py38_0", "numpy==1.26=py38_0"),
        ("'numpy ==1.26.* py38_0'", "'numpy ==1.26 py38_0'"),
    ] {
        assert_eq!(mended("environment.yml", &file(given)), file(expected), "{given}");
    }
}

#[test]
fn the_name_of_a_conda_file_is_no_registration() {
    let severity = |file: &str, text: &str| {
        let remarks = linted(file, text).remarks;
        remarks.iter().find(|remark| remark.code == "PV101").map(|remark| remark.severity)
    };
    let conda = "name: azureml_x\nchannels: [conda-forge]\ndependencies: [python=3.12]\n";
    assert_eq!(severity("environment.yml", conda), Some(Severity::Warning));
    assert_eq!(severity("environment.yaml", "name: azureml_x\npip: [a==1]\n"), Some(Severity::Error));
}
