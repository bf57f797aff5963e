//! The checks, with the places they point at.

use std::path::Path;

use provenv_definition::{check, read_str};

fn remarks(text: &str, file: &str) -> Vec<String> {
    let found = read_str(text, Path::new(file)).unwrap_or_else(|error| panic!("{:?}", error.0));
    let with_places = found.check();
    let without = check(&found.environment);
    assert_eq!(with_places.len(), without.len());
    with_places
        .iter()
        .map(|remark| {
            let span = remark.span.map_or(String::new(), |span| format!(" {}:{}", span.line, span.column));
            format!("{}{span} {}", remark.code, remark.message)
        })
        .collect()
}

#[test]
fn requirements_are_checked() {
    for (text, expected) in [
        ("a==1\nb==2 ; os_name == 'nt'\n", &[][..]),
        ("a>=1\n", &["PV103 1:1 `a` is not pinned: the lock decides its version"]),
        ("a==1\na==1.0\nb==1\nB == 1\n", &["PV108 4:1 `b==1` is given twice"]),
        ("a==1\nA==2", &["PV107 1:1 `a==1` is excluded by `a==2` of line 2"]),
        ("a>=2\n\na==1", &["PV107 3:1 `a==1` is excluded by `a>=2` of line 1"]),
        (
            "a>=2\na<1",
            &[
                "PV103 1:1 `a` is not pinned: the lock decides its version",
                "PV107 1:1 `a>=2` and `a<1` of line 2 exclude each other",
            ],
        ),
        (
            "a>=2,<2",
            &[
                "PV103 1:1 `a` is not pinned: the lock decides its version",
                "PV107 1:1 `a>=2` and `a<2` exclude each other",
            ],
        ),
        ("a==1,!=1.0", &["PV107 1:1 `a==1` is excluded by `a!=1`"]),
        ("a==1.1rc1\na>=1.0", &[]),
        ("a==1 ; os_name=='b'\na==2 ; os_name=='c'", &[]),
        ("git+https://h.test/a@main#egg=a", &["PV111 1:1 the repository is named without a commit"]),
        ("a @ git+https://git@h.test/a@0123456789012345678901234567890123456789", &[]),
        ("a @ git+ssh://git@h.test/a", &["PV111 1:1 the repository is named without a commit"]),
        ("-e /tmp", &["PV105 1:4 an editable install cannot be resolved again on another machine"]),
    ] {
        assert_eq!(remarks(text, "requirements.txt"), expected, "{text}");
    }
}

#[test]
fn environments_are_checked() {
    for (text, expected) in [
        ("name: good-name_1.0\nversion: '2'", &[][..]),
        ("name: AzureML-x", &["PV101 1:7 names that begin with `azureml` are reserved"]),
        ("name: curated/x", &["PV101 1:7 names that begin with `curated/` are reserved"]),
        ("name: a b", &["PV102 1:7 the name holds a character that cannot be used"]),
        ("name: a\nversion: -1", &["PV102 2:10 the version must begin with a letter or digit"]),
        ("image: python", &["PV106 1:8 the image has no tag, which means `latest`"]),
        ("image: h.test:5000/python", &["PV106 1:8 the image has no tag, which means `latest`"]),
        ("image: python:latest", &["PV106 1:8 the tag `latest` moves"]),
        ("image: python:3.12", &[]),
        ("image: python@sha256:aa", &[]),
        ("python: '3.11'", &[]),
        ("base: debian/trixie\npython: '3.11'", &["PV112 2:9 Debian trixie does not have Python 3.11"]),
        ("base: debian/later\npython: '3.99'", &[]),
        (
            "python: '3.6'",
            &[
                "PV112 1:9 Debian's suites are not known to have Python 3.6",
                "PV104 1:9 Python 3.6 is out of support",
            ],
        ),
        (
            "python: '3.8'",
            &[
                "PV112 1:9 Debian's suites are not known to have Python 3.8",
                "PV104 1:9 Python 3.8 is out of support",
            ],
        ),
        ("python: '3.99'", &["PV112 1:9 Debian's suites are not known to have Python 3.99"]),
        ("system_packages: [git, curl, git=1]", &["PV110 1:30 the system package `git` is given twice"]),
    ] {
        assert_eq!(remarks(text, "env.yaml"), expected, "{text}");
    }
    let long = format!("name: {}", "a".repeat(256));
    assert_eq!(remarks(&long, "env.yaml"), ["PV102 1:7 the name is longer than 255 characters"]);
}

#[test]
fn secrets_in_variables_are_found_and_never_shown() {
    let text = "environment_variables:\n  DB_PASSWORD: hunter2\n  PLAIN: ghp_hunter2hunter2hunter2\n  \
                URL: \"https://u:hunter2@h.test\"\n  TOKEN: \"hun\\x74er2\"\n  OK: ${TOKEN}\n  SECRET: |\n    hunter2\n";
    let found = read_str(text, Path::new("env.yaml")).unwrap();
    let remarks = found.check();
    let lines: Vec<_> = remarks.iter().map(|remark| (remark.code, remark.span.unwrap().line)).collect();
    assert_eq!(lines, [("PV109", 2), ("PV109", 3), ("PV109", 4), ("PV109", 5), ("PV109", 8)]);
    let shown = format!("{remarks:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("hun\\\\x74er2"), "{shown}");
    assert_eq!(remarks[0].line_text.as_deref(), Some("  DB_PASSWORD: *******"));
}
