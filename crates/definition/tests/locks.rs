//! Locks of other tools through the front door: samples that the tools wrote, their oddities, and hostile ones.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use provenv_definition::{
    Diagnostic, Format, LockedArtifacts, LockedSource, Platform, ReadEnvironment, definition_digest, read,
    read_str,
};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

fn sample(name: &str) -> ReadEnvironment {
    read(&samples().join(name)).unwrap_or_else(|error| panic!("{name}: {:?}", error.0))
}

/// The pins, each with the number of its hashes.
fn pins(found: &ReadEnvironment) -> Vec<String> {
    let here = format!("file://{}", samples().display());
    let requirements = &found.environment.definition.pip.requirements;
    requirements
        .iter()
        .map(|entry| {
            let editable = if entry.editable { " -e" } else { "" };
            format!("{} #{}{editable}", entry.requirement.replace(&here, "file:///here"), entry.hashes.len())
        })
        .collect()
}

fn render(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.span.map_or(String::new(), |span| format!(" {}:{}", span.line, span.column));
    format!("{}{place} {}", diagnostic.code, diagnostic.message)
}

fn remarks(text: &str, name: &str) -> Vec<String> {
    let diagnostics = match read_str(text, &Path::new("/project").join(name)) {
        Ok(found) => found.warnings,
        Err(error) => error.0,
    };
    diagnostics.iter().map(render).collect()
}

fn locked(found: &ReadEnvironment) -> &LockedArtifacts {
    found.locked.as_ref().expect("a lock")
}

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
fn files_of_a_folder_that_is_a_registry_are_in_it() {
    let text = "version = 1\nrequires-python = \"==3.11.*\"\n[[package]]\nname = \"r\"\nversion = \"0\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"foo\" }]\n[[package]]\nname = \"foo\"\nversion = \"1.0\"\nsource = { registry = \"links\" }\nwheels = [{ path = \"foo-1.0-py3-none-any.whl\" }]\n";
    let found = read_str(text, Path::new("/project/uv.lock")).unwrap();
    let url = found.locked.unwrap().pypi[0].wheels[0].url.clone().unwrap();
    assert_eq!(url.to_string(), "file:///project/links/foo-1.0-py3-none-any.whl");
}

#[test]
fn conda_locks_are_read() {
    for (name, format, platforms, specs, pypi, codes) in [
        (
            "conda-lock/conda-lock.yml",
            Format::CondaLock,
            1,
            2,
            vec!["six==1.16.0 #1"],
            vec!["PV033", "PV033"],
        ),
        (
            "pixi/pixi-v4.lock",
            Format::PixiLock,
            1,
            2,
            vec!["six==1.16.0 #1", "minimal-project @ file:///here/pixi/minimal_project #0 -e"],
            vec!["PV034"],
        ),
        (
            "pixi/pixi-v6.lock",
            Format::PixiLock,
            2,
            2,
            vec![
                "six==1.17.0 #1",
                "torch==2.5.1+cpu ; platform_machine == 'x86_64' #1",
                "tool @ git+https://github.com/example/tool.git@0106aced5faa299e6ede89d1230bd6784f2c3660 \
                 ; platform_machine == 'x86_64' #0",
                "mine @ file:///here/pixi ; platform_machine == 'x86_64' #0 -e",
                "click @ https://example.com/click-8.1.7-py3-none-any.whl \
                 ; platform_machine == 'aarch64' #1",
            ],
            vec!["PV033", "PV033"],
        ),
        (
            "pixi/pixi-v7.lock",
            Format::PixiLock,
            1,
            1,
            vec!["requests==2.31.0 #1", "local-pkg @ file:///here/pixi/local-pkg #0"],
            vec![],
        ),
    ] {
        let found = sample(name);
        assert_eq!(found.format, format, "{name}");
        let definition = &found.environment.definition;
        assert_eq!(definition.platforms.len(), platforms, "{name}");
        assert_eq!(definition.conda.packages.len(), specs, "{name}");
        assert_eq!(definition.conda.channels.len(), 1, "{name}");
        assert_eq!(pins(&found), pypi, "{name}");
        assert_eq!(found.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), codes, "{name}");
    }
    let found = sample("pixi/pixi-v6.lock");
    let locked = locked(&found);
    let mutex = &locked.conda[&Platform::LinuxAmd64][0];
    assert_eq!((&*mutex.name, &*mutex.version, &*mutex.build), ("_openmp_mutex", "4.5", "20_gnu"));
    assert_eq!(mutex.size, Some(28948));
    assert_eq!(mutex.md5.as_deref(), Some("a9f577daf3de00bca7c3c76c0ecbd1de"));
    assert_eq!(mutex.depends.as_ref().unwrap().len(), 2);
    assert_eq!(mutex.constrains, ["openmp_impl <0.0a0"]);
    assert_eq!(locked.conda[&Platform::LinuxArm64].len(), 1);
    let spec = &found.environment.definition.conda.packages[0];
    assert_eq!(spec.platforms, [Platform::LinuxAmd64]);
    assert!(spec.spec.contains("sha256='1dd3fffd"), "{}", spec.spec);
    let torch = locked.pypi.iter().find(|package| package.name == "torch").unwrap();
    assert_eq!(torch.wheels[0].name, "torch-2.5.1+cpu-cp311-cp311-linux_x86_64.whl");
    assert_eq!(torch.index.as_ref().unwrap().to_string(), "https://download.pytorch.org/whl/cpu");
    let pip = &found.environment.definition.pip;
    assert_eq!((pip.index_url.is_none(), pip.extra_index_urls.len()), (true, 1));
    let pip = &sample("pixi/pixi-v7.lock").environment.definition.pip;
    assert_eq!(pip.index_url.as_ref().unwrap().to_string(), "https://my-custom-index.example.com/simple");
}

/// One package in a `uv.lock`.
fn uv_package(name: &str, rest: &str) -> String {
    format!(
        "[[package]]\nname = \"{name}\"\nversion = \"1\"\nsource = {{ registry = \"https://pypi.org/simple\" }}\n\
         sdist = {{ url = \"https://h.test/{name}-1.tar.gz\", hash = \"sha256:{}\" }}\n{rest}\n",
        "ab".repeat(32)
    )
}

fn uv_lock(dependencies: &str, packages: &str) -> String {
    format!(
        "version = 1\nrequires-python = \"==3.11.*\"\n[[package]]\nname = \"root\"\nversion = \"0\"\n\
         source = {{ virtual = \".\" }}\ndependencies = [{dependencies}]\n{packages}"
    )
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

#[test]
fn what_cannot_be_used_is_refused_with_its_place() {
    let deep = "[[packages]]\nname = \"a\"\nversion = \"1\"\n";
    let pylock = |rest: &str| format!("lock-version = \"1.0\"\ncreated-by = \"x\"\n{rest}");
    for (name, text, expected) in [
        ("pylock.toml", "lock-version = \"2.0\"\npackages = []".to_owned(), "PV027 1:16 pylock.toml version 2 is newer"),
        ("pylock.toml", pylock(""), "PV027 1:1 `packages` is missing"),
        ("pylock.toml", pylock(deep), "PV027 3:1 `a` has no file and no source"),
        ("pylock.toml", pylock("[[packages]]\nversion = \"1\""), "PV027 3:1 `name` is missing"),
        ("pylock.toml", pylock("[[packages]]\nname = \"a\"\nversion = 1"), "PV027 3:1 `a` has no file"),
        (
            "pylock.toml",
            pylock(&format!("{deep}sdist = {{ url = \"https://user:hunter2@h.test/a.tar.gz\" }}")),
            "PV015 6:17 credentials in a URL",
        ),
        (
            "pylock.toml",
            pylock(&format!("{deep}sdist = {{ url = \"https://h.test/a.tar.gz\", hashes = {{ sha256 = \"xy\" }} }}")),
            "PV016 6:64 a sha256 hash",
        ),
        (
            "pylock.toml",
            pylock("[[packages]]\nname = \"a\"\nvcs = { type = \"hg\", url = \"https://h.test/a\", commit-id = \"1\" }"),
            "PV007 5:16 `hg` repositories",
        ),
        ("uv.lock", "version = 2\n".to_owned(), "PV027 1:11 uv.lock version 2 is newer"),
        ("uv.lock", uv_lock("{ name = \"gone\" }", ""), "PV027 7:26 `gone` is needed, and is not in the lock"),
        (
            "uv.lock",
            format!("version = 1\n{}", uv_package("a", "")),
            "PV027 1:1 none of the packages is the project",
        ),
        (
            "poetry.lock",
            "[metadata]\nlock-version = \"3.0\"\ncontent-hash = \"a\"".to_owned(),
            "PV027 2:16 poetry.lock version 3 is newer",
        ),
        ("pixi.lock", "version: 8\nenvironments:\n  default: {}\npackages: []".to_owned(), "PV027 1:10 pixi.lock version 8"),
        (
            "pixi.lock",
            "version: 6\nenvironments:\ndefault:\nchannels: []\npackages: []".to_owned(),
            "PV027 2:1 nothing is indented under `environments`",
        ),
        (
            "pixi.lock",
            "version: 6\nenvironments:\n  default:\n    channels: []\n    packages:\n      win-64: []\npackages: []".to_owned(),
            "PV007 4:5 the lock is for `win-64` only",
        ),
        (
            "pixi.lock",
            "version: 6\nenvironments:\n  default:\n    channels: []\n    packages:\n      linux-64:\n      - conda: ./mine\npackages: []".to_owned(),
            "PV007 7:16 `./mine` is a conda package that pixi builds",
        ),
        (
            "pixi.lock",
            "version: 6\nenvironments:\n  other:\n    channels: []\n    packages: {}\npackages: []".to_owned(),
            "PV027 3:3 there is no environment `default`",
        ),
        (
            "conda-lock.yml",
            "version: 1000\nmetadata:\n  platforms: [linux-64]\npackage:".to_owned(),
            "PV027 1:10 the YAML of conda-lock version 1000 is newer",
        ),
        (
            "conda-lock.yml",
            "version: 1\nmetadata:\n  channels: []\n  platforms: [linux-64]\npackage:\n- {platform: linux-64, manager: conda, name: a, version: 1, url: 'https://h.test/b-1-0.conda'}".to_owned(),
            "PV027 6:66 this is a file of `b`, another package",
        ),
    ] {
        let found = remarks(&text, name);
        assert!(found.iter().any(|remark| remark.starts_with(expected)), "{name}\n{text}\n{found:?}");
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}

/// A lock of about 1 MB, made to take long.
#[test]
fn hostile_locks_take_no_time() {
    // Optimised builds are some ten times as fast as those of tests.
    let limit = Duration::from_secs(10);
    let mut graph = String::new();
    for i in 0..3000 {
        let next: Vec<String> = (1..4)
            .map(|step| {
                let marker = format!("os_name == '{i}' or sys_platform == '{step}'");
                format!("{{ name = \"p{}\", marker = \"{marker}\" }}", (i + step) % 3000)
            })
            .collect();
        graph += &uv_package(&format!("p{i}"), &format!("dependencies = [{}]", next.join(", ")));
    }
    let graph = uv_lock("{ name = \"p0\" }", &graph);
    let ors: Vec<String> =
        (0..8000).map(|i| format!("(os_name == '{i}' or sys_platform == 'a{i}')")).collect();
    let product =
        uv_lock(&format!("{{ name = \"a\", marker = \"{}\" }}", ors.join(" and ")), &uv_package("a", ""));
    let same = uv_package("a", "").repeat(4000);
    let same = uv_lock(&vec!["{ name = \"a\" }"; 4000].join(","), &same);
    let wide = (0..20_000).map(|i| format!("a{i} = []")).collect::<Vec<_>>().join("\n");
    let packages: Vec<String> = (0..5000)
        .map(|i| {
            format!(
                "[[package]]\nname = \"a{i}\"\nversion = \"1\"\noptional = false\npython-versions = \"*\"\n"
            )
        })
        .collect();
    let poetry = format!(
        "{}[metadata]\nlock-version = \"1.1\"\ncontent-hash = \"\"\n[metadata.files]\n{wide}",
        packages.concat()
    );
    let pixi = "      - conda: https://h.test/linux-64/a-1-0.conda\n".repeat(12_000);
    let pixi = format!(
        "version: 6\nenvironments:\n  default:\n    channels: []\n    packages:\n      linux-64:\n{pixi}packages:\n\
         {}",
        "- conda: https://h.test/linux-64/a-1-0.conda\n".repeat(9000)
    );
    for (name, text) in [
        ("uv.lock", &graph),
        ("uv.lock", &product),
        ("uv.lock", &same),
        ("poetry.lock", &poetry),
        ("pixi.lock", &pixi),
    ] {
        let start = Instant::now();
        let read = read_str(text, &Path::new("/project").join(name));
        println!("{name} {} KiB {:?} {}", text.len() >> 10, start.elapsed(), read.is_ok());
        assert!(start.elapsed() < limit, "{name}: {:?}", start.elapsed());
    }
}

/// Nothing of these is valid; nothing may panic.
#[test]
fn cut_locks_are_refused_or_read() {
    for name in [
        "uv/uv.lock",
        "uv/pylock.toml",
        "poetry/poetry.lock",
        "pixi/pixi-v6.lock",
        "pixi/pixi-v4.lock",
        "conda-lock/conda-lock.yml",
    ] {
        let text = fs_err::read_to_string(samples().join(name)).unwrap();
        let file = name.rsplit('/').next().unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for left_out in 0..lines.len() {
            let kept: Vec<&str> =
                lines.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, line)| *line).collect();
            let _ = read_str(&kept.join("\n"), &Path::new("/project").join(file));
            let _ = read_str(&lines[..left_out].join("\n"), &Path::new("/project").join(file));
        }
    }
}

#[test]
fn locks_of_the_corpus_are_read_or_refused_for_a_reason() {
    for (kind, reasons) in
        [("conda-lock-yaml", &["is newer than 3"][..]), ("rattler-lock", &["has lost its indentation"])]
    {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus").join(kind);
        let Ok(entries) = fs_err::read_dir(&folder) else {
            eprintln!("skipped: the corpus is not at ../shared/corpus of the repository's root");
            return;
        };
        let (mut good, mut refused) = (0, 0);
        for file in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            match read(&file) {
                Ok(found) => {
                    good += 1;
                    let locked = locked(&found);
                    assert!(locked.conda.values().all(|packages| !packages.is_empty()), "{}", file.display());
                    definition_digest(&found.environment.definition);
                }
                Err(error) => {
                    refused += 1;
                    let known = error.0.iter().any(|problem| {
                        problem.span.is_some()
                            && reasons.iter().any(|reason| problem.message.contains(reason))
                    });
                    assert!(known, "{}: {:?}", file.display(), error.0);
                }
            }
        }
        println!("{kind}: {good} read, {refused} refused");
    }
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
