//! The native YAML through the front door.

use std::path::Path;

use provenv_definition::{
    Base, Diagnostic, Environment, Format, Remarks, Suite, document, read, read_node, read_str,
};

fn environment(text: &str) -> Environment {
    let found =
        read_str(text, Path::new("/project/env.yaml")).unwrap_or_else(|error| panic!("{:?}", error.0));
    assert_eq!(found.format, Format::Native);
    found.environment
}

fn remarks(text: &str) -> Vec<String> {
    let diagnostics = match read_str(text, Path::new("/project/env.yaml")) {
        Ok(found) => found.warnings,
        Err(error) => error.0,
    };
    diagnostics.iter().map(render).collect()
}

fn render(diagnostic: &Diagnostic) -> String {
    let place = diagnostic
        .span
        .map_or(String::new(), |span| format!(" {}:{}+{}", span.line, span.column, span.length));
    let hint = diagnostic.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
    format!("{}{place} {}{hint}", diagnostic.code, diagnostic.message)
}

#[test]
fn a_full_environment_is_read() {
    let text = r#"$schema: https://schemas.test/environment.schema.json
name: digits
version: 1.10
description: >-
  Learns
  digits.
tags: {team: vision, stage: 3.10, done: true, empty: }
base: debian/bookworm
python: 3.10
system_packages: [libgomp1=12.2.0-14, "git"]
pip:
  - --extra-index-url https://${TOKEN}@host.test/simple
  - Scikit_Learn == 1.4.2   # pinned
  - "numpy ; python_version < '3.13'"
platforms: [linux/arm64, linux-64]
environment_variables:
  OMP_NUM_THREADS: 1
  DEBUG: false
  GREETING: "yes"
os_type: Linux
inference_config:
  liveness_route: {port: 5001, path: /}
  readiness_route: {port: 5001, path: /}
  scoring_route: {port: 5001, path: /score}
"#;
    let environment = environment(text);
    assert_eq!(environment.name.as_deref(), Some("digits"));
    assert_eq!(environment.version.as_deref(), Some("1.10"));
    assert_eq!(environment.description.as_deref(), Some("Learns digits."));
    let tags: Vec<_> = environment.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(tags, ["team=vision", "stage=3.10", "done=true", "empty="]);
    let variables: Vec<_> =
        environment.environment_variables.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(variables, ["OMP_NUM_THREADS=1", "DEBUG=false", "GREETING=yes"]);
    assert_eq!(environment.inference_config.unwrap().scoring_route.path, "/score");
    let definition = environment.definition;
    assert_eq!(definition.base, Base::Debian { suite: Some(Suite("bookworm".to_owned())) });
    assert_eq!(definition.python.unwrap().to_string(), "3.10");
    let packages: Vec<_> = definition.system_packages.iter().map(ToString::to_string).collect();
    assert_eq!(packages, ["git", "libgomp1=12.2.0-14"]);
    let requirements: Vec<_> =
        definition.pip.requirements.iter().map(|entry| entry.requirement.as_str()).collect();
    assert_eq!(requirements, ["scikit-learn==1.4.2", "numpy ; python_version < '3.13'"]);
    assert_eq!(definition.platforms.len(), 2);
}

#[test]
fn bases_are_read_in_every_spelling() {
    let debian = |suite: Option<&str>| Base::Debian { suite: suite.map(|suite| Suite(suite.to_owned())) };
    for (text, base) in [
        ("base: debian", debian(None)),
        ("base: debian/trixie", debian(Some("trixie"))),
        ("base: debian:trixie", debian(Some("trixie"))),
        ("pip: []", debian(None)),
        ("image: python:3.12-slim", Base::Image { reference: "python:3.12-slim".to_owned() }),
    ] {
        assert_eq!(environment(text).definition.base, base, "{text}");
    }
}

#[test]
fn every_mistake_is_named_with_its_place() {
    for (text, remark) in [
        ("nmae: a", "PV004 1:1+4 unknown key `nmae` (did you mean `name`?)"),
        ("name: a\r\nname: b\r\n", "PV006 2:1+4 `name` is given twice, first in line 1"),
        ("pip:\n- a\n- b: c\n", "PV005 3:3+1 a requirement must be a text of one line, not a mapping"),
        (
            "pip:\n- a\n- 'b =1'\n",
            "PV010 3:6+1 `=` is not an operator (a version is pinned with two equals signs: `==`)",
        ),
        (
            "pip: [\"b =1\"]\n",
            "PV010 1:10+1 `=` is not an operator (a version is pinned with two equals signs: `==`)",
        ),
        (
            "pip: no.txt",
            "PV013 1:6+6 cannot include `no.txt`: cannot read the file: No such file or directory (os error 2) (included files are named relative to the file that includes them)",
        ),
        (
            "pip: |\n  a\n  b\n",
            "PV005 2:3+1 `pip` must be a list or a path (write one requirement per list item, or the path of a requirements file)",
        ),
        (
            "python: '3'",
            "PV019 1:9+3 `3` is not a Python version such as 3.11 or 3.11.2 (write one version of Python 3, e.g. `python: \"3.11\"`)",
        ),
        (
            "python: 2.7",
            "PV019 1:9+3 Python 2.7 is not supported, only Python 3 (write it in quotes, e.g. `python: \"3.11\"`)",
        ),
        ("python: [3.11]", "PV005 1:9+1 `python` must be a text, not a list"),
        (
            "base: debain",
            "PV021 1:7+6 `debain` is not a base, did you mean `debian`? (write `debian`, or `debian/` and the code name of a suite, or name an `image`)",
        ),
        (
            "base: debian/12",
            "PV021 1:7+9 `12` is not the code name of a Debian suite (write `debian`, or `debian/` and the code name of a suite, or name an `image`)",
        ),
        (
            "image: a\nbase: debian",
            "PV008 2:7+6 `base` and `image` exclude each other: an image stands on one thing (keep one of them)",
        ),
        (
            "image: https://user:hunter2@h.test/a:1",
            "PV021 1:8+31 `image` must be the reference of an image, such as `python:3.12-slim`",
        ),
        (
            "image: user:hunter2@h.test/a:1",
            "PV021 1:8+23 `image` must be the reference of an image, such as `python:3.12-slim`",
        ),
        ("image: a b", "PV021 1:8+3 `image` must be the reference of an image, such as `python:3.12-slim`"),
        (
            "system_packages: [Git]",
            "PV020 1:19+3 `Git` is not the name of a Debian package (write `name` or `name=version`, as for apt-get)",
        ),
        ("system_packages: git", "PV005 1:18+3 `system_packages` must be a list, not a text"),
        (
            "platforms: [linux/ppc64]",
            "PV021 1:13+11 unknown platform `linux/ppc64`: use linux/amd64 or linux/arm64",
        ),
        (
            "virtual_packages: [__cuda=12, '__cuda=13']",
            "PV021 1:31+11 `__cuda` is given twice (keep one of them)",
        ),
        (
            "virtual_packages: [cuda=12]",
            "PV021 1:20+7 `cuda=12` is no virtual package: their names begin with `__` (write name and version, e.g. `__cuda=12.4`)",
        ),
        ("os_type: windows", "PV007 1:10+7 only Linux images can be made"),
        (
            "name: '{{ name }}'",
            "PV023 1:7+12 `name` holds a template that was not filled in (fill the template in first)",
        ),
        ("name: true", "PV005 1:7+4 `name` must be a text, not a truth value"),
        ("properties: {a: b}", "PV012 1:1+10 `properties` is not kept: only the service's own SDK sets it"),
        ("environment_variables: {a: [b]}", "PV005 1:28+1 `a` must be a text, not a list"),
        (
            "inference_config: {liveness_route: {port: 1, path: /}, readiness_route: {port: 1, path: /}}",
            "PV021 1:19+1 `inference_config` lacks `scoring_route` (all three routes are needed: liveness, readiness and scoring)",
        ),
        ("- a", "PV005 1:1+1 an environment must be a mapping of keys and values, not a list"),
        ("# nothing", "PV003 the file is empty (an environment needs at least one key, e.g. `pip`)"),
        ("pip:\n  requirments: [a]", "PV004 2:3+11 unknown key `requirments` (did you mean `requirements`?)"),
    ] {
        assert_eq!(remarks(text), [remark], "{text}");
    }
}

#[test]
fn invalid_yaml_is_refused_where_it_breaks() {
    for (text, line) in [("a:\n\t- b", 2), ("a: [", 1), ("a: b: c", 1), ("a: \"x", 1), ("a: *b", 1)] {
        let error = read_str(text, Path::new("env.yaml")).unwrap_err();
        assert_eq!((error.0[0].code, error.0[0].span.map(|span| span.line)), ("PV003", Some(line)), "{text}");
    }
}

#[test]
fn a_requirements_file_beside_is_read_with_its_own_places() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("requirements.txt"), "a\nb =1\n").unwrap();
    let path = folder.path().join("env.yml");
    fs_err::write(&path, "pip: requirements.txt\nsystem_package: []\n").unwrap();
    let errors = read(&path).unwrap_err().0;
    assert_eq!(
        render(&errors[0]),
        "PV004 2:1+14 unknown key `system_package` (did you mean `system_packages`?)"
    );
    assert!(errors[1].file.as_ref().unwrap().ends_with("requirements.txt"));
    assert_eq!(errors[1].span.unwrap().line, 2);
}

#[test]
fn an_environment_inside_another_file_is_read() {
    let source = provenv_definition::Source::new("/project/job.yaml", "environment:\n  pip: [a, 'b =1']\n");
    let root = document::parse_yaml(&source).unwrap().unwrap();
    let mut diagnostics = Remarks::default();
    let mut fields = document::Fields::new(&source, &root, "a job", &mut diagnostics).unwrap();
    let errors = read_node(&source, fields.node("environment").unwrap()).unwrap_err().0;
    assert_eq!(
        render(&errors[0]),
        "PV010 2:15+1 `=` is not an operator (a version is pinned with two equals signs: `==`)"
    );
    assert!(errors[0].file.as_ref().unwrap().ends_with("job.yaml"));
}

#[test]
fn content_decides_where_the_name_does_not() {
    assert_eq!(read_str("# c\npip: [a]\n", Path::new("env")).unwrap().format, Format::Native);
    assert_eq!(read_str("# c\na==1\n", Path::new("env")).unwrap().format, Format::Requirements);
    assert_eq!(
        read_str("{\"pip\": [\"a\"]}", Path::new("env.json"))
            .unwrap()
            .environment
            .definition
            .pip
            .requirements
            .len(),
        1
    );
}
