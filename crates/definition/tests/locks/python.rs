//! Locks of uv, and `pylock.toml`.

use std::path::Path;

use provenv_definition::{Format, LockedSource, ReadEnvironment, read_str};

use super::{locked, pins, render, sample, uv_lock, uv_package};

const UV_URL: &str = "https://files.pythonhosted.org/packages/2c/e1/e6716421ea10d38022b952c159d5161ca1193197fb744506875fbb87ea7b/iniconfig-2.1.0-py3-none-any.whl";

#[test]
fn uv_locks_hold_what_the_project_needs_and_when() {
    let found = sample("uv/uv.lock");
    assert_eq!(found.format, Format::UvLock);
    assert_eq!(
        pins(&found),
        [
            "anyio==4.16.0 #2",
            "certifi==2026.10.19.post1 #1",
            "click==8.5.1 #2",
            "exceptiongroup==1.3.2 ; python_full_version < '3.11' #2",
            "h11==0.16.0 #2",
            "helper @ file:///here/uv/libs/helper #0 -e",
            "httpcore==1.0.9 #2",
            "httpx==0.28.1 #2",
            "idna==3.20 #2",
            &format!("iniconfig @ {UV_URL} #1"),
            "six==1.17.0 #2",
            "socksio==1.0.0 #2",
            "typing-extensions==4.16.0 ; python_full_version < '3.11' or python_full_version < '3.15' #2",
        ]
    );
    let warnings: Vec<String> = found.warnings.iter().map(render).collect();
    assert_eq!(
        warnings,
        [
            "PV032 3:19 Python `>=3.10` is any of several",
            "PV033 48:1 extras not installed: `plot`",
            "PV033 53:1 groups not installed: `dev`",
        ]
    );
    let locked = locked(&found);
    assert_eq!(locked.requires_python.as_deref(), Some(">=3.10"));
    let idna = locked.pypi.iter().find(|package| package.name == "idna").unwrap();
    assert_eq!(idna.wheels[0].name, "idna-3.20-py3-none-any.whl");
    assert_eq!(idna.sdist.as_ref().unwrap().size, Some(216_463));
    let archive = locked.pypi.iter().find(|package| package.name == "iniconfig").unwrap();
    assert!(matches!(&archive.source, Some(LockedSource::Archive { file, .. }) if file.sha256.is_some()));
    assert!(archive.wheels.is_empty() && archive.sdist.is_none());
}

/// uv wrote both from one resolution.
#[test]
fn locks_of_scripts_take_each_fork_where_it_counts() {
    let fork = |version: &str, marker: &str| {
        format!(
            "[[package]]\nname = \"numpy\"\nversion = \"{version}\"\nsource = {{ registry = \"https://pypi.org/simple\" }}\nresolution-markers = [\"{marker}\"]\nsdist = {{ url = \"https://h.test/numpy-{version}.tar.gz\" }}\n"
        )
    };
    let text = format!(
        "version = 1\nrequires-python = \">=3.8\"\n[manifest]\nrequirements = [{{ name = \"numpy\" }}]\n{}{}",
        fork("1.24.4", "python_full_version < '3.9'"),
        fork("2.0.0", "python_full_version >= '3.9'"),
    );
    let found = read_str(&text, Path::new("/project/uv.lock")).unwrap();
    assert_eq!(
        pins(&found),
        ["numpy==1.24.4 ; python_full_version < '3.9' #0", "numpy==2.0.0 ; python_full_version >= '3.9' #0",]
    );
}

#[test]
fn uv_lock_and_the_pylock_exported_from_it_choose_the_same() {
    let (lock, exported) = (sample("uv/uv.lock"), sample("uv/pylock.toml"));
    assert_eq!(exported.format, Format::Pylock);
    let names = |found: &ReadEnvironment| {
        let chosen = locked(found).pypi.iter();
        chosen
            .map(|package| {
                let files = package.wheels.iter().chain(&package.sdist).cloned();
                (package.name.clone(), files.collect::<Vec<_>>(), package.source.clone())
            })
            .collect::<Vec<_>>()
    };
    let (left, right) = (names(&lock), names(&exported));
    for (left, right) in left.iter().zip(&right).filter(|(left, _)| left.0 != "iniconfig") {
        assert_eq!(left, right);
    }
    assert_eq!(left.len(), right.len());
}

#[test]
fn files_of_a_folder_that_is_a_registry_are_in_it() {
    let text = "version = 1\nrequires-python = \"==3.11.*\"\n[[package]]\nname = \"r\"\nversion = \"0\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"foo\" }]\n[[package]]\nname = \"foo\"\nversion = \"1.0\"\nsource = { registry = \"links\" }\nwheels = [{ path = \"foo-1.0-py3-none-any.whl\" }]\n";
    let found = read_str(text, Path::new("/project/uv.lock")).unwrap();
    let url = found.locked.unwrap().pypi[0].wheels[0].url.clone().unwrap();
    assert_eq!(url.to_string(), "file:///project/links/foo-1.0-py3-none-any.whl");
}

#[test]
fn markers_add_up_along_the_ways_to_a_package() {
    let a_to = |marker: &str| format!("dependencies = [{{ name = \"c\", marker = \"{marker}\" }}]");
    for (dependencies, a, b, expected) in [
        // Reached under either marker.
        (
            "{ name = \"a\", marker = \"os_name == 'x'\" }, { name = \"b\", marker = \"os_name == 'y'\" }",
            a_to("sys_platform == 'linux'"),
            a_to("sys_platform == 'win32'"),
            "c==1 ; os_name == 'x' and sys_platform == 'linux' or os_name == 'y' and sys_platform == 'win32'",
        ),
        // Reached without any on one way.
        (
            "{ name = \"a\" }, { name = \"b\" }",
            a_to("os_name == 'x'"),
            "dependencies = [{ name = \"c\" }]".to_owned(),
            "c==1",
        ),
        // A way that needs more than another one adds nothing.
        (
            "{ name = \"a\" }, { name = \"b\", marker = \"sys_platform == 'linux'\" }",
            a_to("os_name == 'x'"),
            a_to("os_name == 'x'"),
            "c==1 ; os_name == 'x'",
        ),
        // Conflicting extras that nobody asks for.
        (
            "{ name = \"a\" }, { name = \"b\", marker = \"extra == 'extra-4-root-cpu'\" }",
            a_to("os_name == 'x' or extra != 'extra-4-root-cpu'"),
            String::new(),
            "c==1",
        ),
    ] {
        let packages = [uv_package("a", &a), uv_package("b", &b), uv_package("c", "")].concat();
        let found = read_str(&uv_lock(dependencies, &packages), Path::new("/project/uv.lock"))
            .unwrap_or_else(|error| panic!("{:?}", error.0));
        assert_eq!(found.environment.definition.pip.requirements.last().unwrap().requirement, expected);
        assert_eq!(found.environment.definition.python.as_ref().unwrap().to_string(), "3.11");
    }
}

#[test]
fn extras_count_where_they_are_asked_for_and_cycles_end() {
    let packages = [
        uv_package(
            "a",
            "dependencies = [{ name = \"b\", extra = [\"more\"] }]\n[package.optional-dependencies]\nx = [{ name = \"d\" }]",
        ),
        uv_package("b", "dependencies = [{ name = \"a\" }]\n[package.optional-dependencies]\nmore = [{ name = \"c\" }]"),
        uv_package("c", ""),
        uv_package("d", ""),
    ]
    .concat();
    let found = read_str(&uv_lock("{ name = \"a\" }", &packages), Path::new("/project/uv.lock")).unwrap();
    assert_eq!(pins(&found), ["a==1 #1", "b==1 #1", "c==1 #1"]);
}

#[test]
fn indexes_that_are_not_pypi_are_carried() {
    let of = |index: &str, name: &str| uv_package(name, "").replace("https://pypi.org/simple", index);
    for (packages, index, extra) in [
        (uv_package("a", "") + &uv_package("b", ""), None, 0),
        (uv_package("a", "") + &of("https://h.test/simple", "b"), None, 1),
        (
            of("https://h.test/simple", "a") + &of("https://h.test/simple", "b"),
            Some("https://h.test/simple"),
            0,
        ),
    ] {
        let text = uv_lock("{ name = \"a\" }, { name = \"b\" }", &packages);
        let found = read_str(&text, Path::new("/project/uv.lock")).unwrap();
        let pip = &found.environment.definition.pip;
        assert_eq!(pip.index_url.as_ref().map(ToString::to_string).as_deref(), index);
        assert_eq!(pip.extra_index_urls.len(), extra);
    }
}

#[test]
fn pylock_sources_and_groups() {
    let text = format!(
        r#"lock-version = "1.0"
created-by = "test"
environments = ["sys_platform == 'linux'"]
extras = ["gpu"]
dependency-groups = ["default", "dev"]
default-groups = ["default"]
[[packages]]
name = "One"
version = "1.0"
marker = "'default' in dependency_groups"
archive = {{ path = "one-1.0.tar.gz", hashes = {{ sha256 = "{0}" }} }}
[[packages]]
name = "two"
version = "2.0"
marker = "'dev' in dependency_groups or 'gpu' in extras"
archive = {{ url = "https://h.test/two.zip", hashes = {{ sha256 = "{0}" }} }}
[[packages]]
name = "three"
vcs = {{ type = "git", url = "https://h.test/three", commit-id = "{1}", subdirectory = "sub" }}
[[packages]]
name = "four"
version = "4"
index = "https://h.test/simple/"
wheels = [{{ name = "four-4-py3-none-any.whl", url = "files/four-4-py3-none-any.whl", hashes = {{ sha512 = "00" }} }}]
"#,
        "cd".repeat(32),
        "0106aced5faa299e6ede89d1230bd6784f2c3660",
    );
    let found = read_str(&text, Path::new("/project/pylock.dev.toml")).unwrap();
    assert_eq!(
        pins(&found),
        [
            "one @ file:///project/one-1.0.tar.gz #1",
            "three @ git+https://h.test/three@0106aced5faa299e6ede89d1230bd6784f2c3660#subdirectory=sub #0",
            "four==4 #0",
        ]
    );
    let four = &locked(&found).pypi[2];
    assert_eq!(
        four.wheels[0].url.as_ref().unwrap().to_string(),
        "file:///project/files/four-4-py3-none-any.whl"
    );
    let codes: Vec<&str> = found.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["PV033", "PV033", "PV033", "PV034"]);
}
