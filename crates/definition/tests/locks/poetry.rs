//! Locks of poetry, of every version, and of pip.

use std::path::Path;

use provenv_definition::{Format, read_str};

use super::{pins, render, sample};

#[test]
fn pip_and_poetry_locks_are_read() {
    let found = sample("pip/pylock.toml");
    assert_eq!(pins(&found), ["click==8.5.1 #1", "six==1.17.0 #1"]);
    assert!(found.warnings.is_empty());
    let found = sample("poetry/poetry.lock");
    assert_eq!(found.format, Format::PoetryLock);
    assert_eq!(
        pins(&found),
        [
            "anyio==4.16.0 #2",
            "certifi==2026.10.19.post1 #1",
            "colorama==0.4.6 ; sys_platform == 'win32' #2",
            "exceptiongroup==1.2.2 ; python_version == '3.10' #2",
            "h11==0.16.0 #2",
            "httpcore==1.0.9 #2",
            "httpx==0.27.2 #2",
            "idna==3.20 #2",
            "sniffio==1.3.1 #2",
            "socksio==1.0.0 #2",
            "typing-extensions==4.16.0 ; python_version < '3.15' #2",
        ]
    );
    let codes: Vec<&str> = found.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["PV032", "PV033", "PV033"]);
}

#[test]
fn old_poetry_locks_are_read() {
    let text = r#"
[[package]]
name = "Six"
version = "1.16.0"
category = "main"
optional = false
python-versions = ">=2.7"

[package.dependencies]
colorama = {version = "*", markers = "sys_platform == \"win32\""}

[[package]]
name = "pytest"
version = "7.0"
category = "dev"
optional = false
python-versions = "*"

[[package]]
name = "tool"
version = "0.1"
category = "main"
optional = false
python-versions = "*"

[package.source]
type = "git"
url = "https://github.com/example/tool.git"
reference = "main"
resolved_reference = "0106aced5faa299e6ede89d1230bd6784f2c3660"

[metadata]
lock-version = "1.1"
python-versions = "~3.9"
content-hash = "aa"

[metadata.files]
Six = [
    {file = "six-1.16.0-py2.py3-none-any.whl", hash = "sha256:8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254"},
]
pytest = []
"#;
    let found = read_str(text, Path::new("/project/poetry.lock")).unwrap();
    assert_eq!(
        pins(&found),
        [
            "six==1.16.0 #1",
            "tool @ git+https://github.com/example/tool.git@0106aced5faa299e6ede89d1230bd6784f2c3660 #0",
        ]
    );
    assert_eq!(found.environment.definition.python.unwrap().to_string(), "3.9");
    let warnings: Vec<String> = found.warnings.iter().map(render).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("groups not installed: `dev`"));
    assert!(warnings[1].starts_with("PV012"), "{warnings:?}");
}

#[test]
fn poetry_locks_without_groups_say_so() {
    let text = "[[package]]\nname = \"pytest\"\nversion = \"8.0\"\noptional = false\npython-versions = \"*\"\nfiles = []\n\n[metadata]\nlock-version = \"2.0\"\npython-versions = \"~3.11\"\ncontent-hash = \"aa\"\n";
    let found = read_str(text, Path::new("/project/poetry.lock")).unwrap();
    let said =
        found.warnings.iter().any(|warning| warning.message.contains("does not say which packages belong"));
    assert!(said, "{:?}", found.warnings);
}

#[test]
fn an_old_poetry_lock_with_one_package_twice_is_refused() {
    let lock = |version: &str, marker: &str| {
        let package = |number: &str, marker: &str| {
            format!(
                "[[package]]\nname = \"numpy\"\nversion = \"{number}\"\noptional = false\ngroups = [\"main\"]\n{marker}files = []\n\n"
            )
        };
        let (first, second) = (package("1.24.4", marker), package("2.1.0", marker));
        format!(
            "{first}{second}[metadata]\nlock-version = \"{version}\"\npython-versions = \">=3.8\"\ncontent-hash = \"x\"\n"
        )
    };
    let error = read_str(&lock("2.0", ""), Path::new("/project/poetry.lock")).unwrap_err();
    let errors: Vec<_> = error.0.iter().filter(|remark| remark.is_error()).collect();
    assert_eq!(errors.len(), 1, "{error:?}");
    assert_eq!((errors[0].code, errors[0].span.map(|span| span.line)), ("PV027", Some(9)));
    assert!(errors[0].message.contains("stands here and in line 2"), "{}", errors[0]);
    // With a marker each, or where the version always writes them, nothing is unclear.
    for lock in [lock("2.0", "marker = \"python_version < '3.9'\"\n"), lock("2.1", "")] {
        read_str(&lock, Path::new("/project/poetry.lock")).unwrap();
    }
}
