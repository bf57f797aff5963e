//! `pyproject.toml` and `pixi.toml` through the front door.

use std::path::Path;

use provenv_definition::{Diagnostic, Format, Platform, ReadEnvironment, definition_digest, read, read_str};

fn project(text: &str) -> ReadEnvironment {
    let path = Path::new("/project/pyproject.toml");
    read_str(text, path).unwrap_or_else(|error| panic!("{text}\n{:?}", error.0))
}

fn pins(found: &ReadEnvironment) -> Vec<String> {
    let requirements = &found.environment.definition.pip.requirements;
    requirements
        .iter()
        .map(|entry| entry.requirement.clone() + if entry.editable { " -e" } else { "" })
        .collect()
}

fn render(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.span.map_or(String::new(), |span| format!(" {}:{}", span.line, span.column));
    format!("{}{place} {}", diagnostic.code, diagnostic.message)
}

fn remarks(name: &str, text: &str) -> Vec<String> {
    let diagnostics = match read_str(text, &Path::new("/project").join(name)) {
        Ok(found) => found.warnings,
        Err(error) => error.0,
    };
    diagnostics.iter().map(render).collect()
}

#[test]
fn a_project_is_read_and_what_nobody_asks_for_is_named() {
    let found = project(
        r#"
[project]
name = "demo"
version = "1.0"
requires-python = "==3.11.*"
dependencies = ["NumPy >=1.26,<2", "tomli ; python_version < '3.11'", "a @ git+https://h.test/a@v1"]
homepage = "x"

[project.optional-dependencies]
gpu = ["torch"]

[dependency-groups]
test = ["pytest", { include-group = "lint" }]
lint = ["ruff"]
"#,
    );
    assert_eq!(found.format, Format::Pyproject);
    assert_eq!(found.environment.name.as_deref(), Some("demo"));
    assert_eq!(found.environment.version, None);
    assert_eq!(found.environment.definition.python.as_ref().unwrap().to_string(), "3.11");
    assert_eq!(
        pins(&found),
        ["numpy>=1.26,<2", "tomli ; python_version < '3.11'", "a @ git+https://h.test/a@v1"]
    );
    assert_eq!(found.origins.requirements[1].span.line, 6);
    let warnings: Vec<String> = found.warnings.iter().map(render).collect();
    assert_eq!(
        warnings,
        [
            "PV033 9:1 extras not installed: `gpu`",
            "PV012 7:1 unknown key `homepage` has no effect: it is no key of `project`",
            "PV033 12:1 groups not installed: `test`, `lint`",
        ]
    );
}

/// The sentences of poetry's documentation on each form.
#[test]
fn poetry_dependencies_become_pep_508() {
    for (given, expected) in [
        ("\"^1.2\"", "a>=1.2,<2.0"),
        ("\"~1.2\"", "a>=1.2,<1.3"),
        ("\"*\"", "a"),
        ("\"1.2.3\"", "a==1.2.3"),
        ("{ version = \"^1\", extras = [\"x\", \"y\"] }", "a[x,y]>=1,<2"),
        ("{ version = \"^1\", python = \"<3.11\" }", "a>=1,<2 ; python_version < '3.11'"),
        (
            "{ version = \"^1\", python = \"^3.8.1\" }",
            "a>=1,<2 ; python_full_version < '4.0.0' and python_full_version >= '3.8.1'",
        ),
        (
            "{ version = \"*\", python = \"~3.9 || ^3.11\" }",
            "a ; python_version < '3.10' and python_version >= '3.9' \
             or python_version < '4.0' and python_version >= '3.11'",
        ),
        (
            "{ version = \"^1\", markers = \"os_name == 'nt' or os_name == 'posix'\", platform = \"linux\" }",
            "a>=1,<2 ; (os_name == 'nt' or os_name == 'posix') and sys_platform == 'linux'",
        ),
        (
            "{ git = \"https://h.test/a.git\", tag = \"v1\", subdirectory = \"s\" }",
            "a @ git+https://h.test/a.git@v1#subdirectory=s",
        ),
        ("{ git = \"git@h.test:team/a.git\" }", "a @ git+ssh://git@h.test/team/a.git"),
        ("{ url = \"https://h.test/a-1.zip\" }", "a @ https://h.test/a-1.zip"),
        ("{ path = \"libs/a\", develop = true }", "a @ file:///project/libs/a -e"),
        ("{ path = \"../a\" }", "a @ file:///a"),
        ("{ version = \"^1\", optional = true }", ""),
        (
            "[{ version = \"^1\", python = \"<3.9\" }, { version = \"^2\", python = \">=3.9\" }]",
            "a>=1,<2 ; python_version < '3.9', a>=2,<3 ; python_version >= '3.9'",
        ),
    ] {
        let text = format!(
            "[tool.poetry]\nname = \"demo\"\n[tool.poetry.dependencies]\npython = \"~3.11\"\na = {given}\n"
        );
        let found = project(&text);
        assert_eq!(pins(&found).join(", "), expected, "{given}");
        assert_eq!(found.environment.definition.python.as_ref().unwrap().to_string(), "3.11");
    }
}

#[test]
fn both_samples_of_projects_are_read() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let found = read(&samples.join("poetry/pyproject.toml")).unwrap();
    assert_eq!(
        pins(&found),
        [
            "httpx[socks]>=0.27,<0.28",
            "exceptiongroup>=1.2,<1.3 ; python_version < '3.11'",
            "colorama ; sys_platform == 'win32'",
        ]
    );
    let found = read(&samples.join("uv/pyproject.toml")).unwrap();
    assert_eq!(
        pins(&found)[..3],
        ["httpx[socks]>=0.27", "click>=8", "exceptiongroup ; python_version < '3.11'"]
    );
    assert!(pins(&found)[4].ends_with("/uv/libs/helper -e"), "{:?}", pins(&found));
}

#[test]
fn sources_of_uv_are_carried_or_named() {
    let text = r#"
[project]
name = "demo"
dependencies = ["a[x]>=1", "b", "c", "d", "e ; os_name == 'posix'", "f==1", "g"]

[tool.uv]
constraint-dependencies = ["z<2"]
override-dependencies = ["y==1"]

[[tool.uv.index]]
name = "ours"
url = "https://h.test/simple"
default = true

[[tool.uv.index]]
name = "torch"
url = "https://t.test/whl"
explicit = true

[[tool.uv.index]]
url = "https://pypi.org/simple"

[tool.uv.sources]
a = { git = "https://h.test/a", rev = "main" }
b = { path = "../b", editable = true }
c = { url = "https://h.test/c.zip", subdirectory = "s" }
d = { index = "torch" }
e = { url = "https://h.test/e.zip", marker = "python_version < '3.12'" }
f = [{ index = "torch", marker = "sys_platform == 'linux'" }, { index = "ours", marker = "sys_platform == 'darwin'" }]
"#;
    let found = project(text);
    assert_eq!(
        pins(&found),
        [
            "a[x] @ git+https://h.test/a@main",
            "b @ file:///b -e",
            "c @ https://h.test/c.zip#subdirectory=s",
            "d",
            "e @ https://h.test/e.zip ; os_name == 'posix' and python_version < '3.12'",
            "f==1",
            "g",
        ]
    );
    assert_eq!(found.origins.requirements.len(), 7);
    let pip = &found.environment.definition.pip;
    assert_eq!(pip.index_url.as_ref().unwrap().to_string(), "https://h.test/simple");
    assert_eq!(
        pip.extra_index_urls.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["https://t.test/whl"]
    );
    assert_eq!(pip.constraints[0].requirement, "z<2");
    let warned: Vec<usize> = found
        .warnings
        .iter()
        .filter(|warning| warning.code == "PV012")
        .map(|warning| warning.span.unwrap().line)
        .collect();
    assert_eq!(warned, [27, 28, 29, 29, 8], "{:?}", found.warnings);
}

#[test]
fn what_cannot_be_an_environment_is_refused_with_its_place() {
    for (name, text, expected) in [
        (
            "pyproject.toml",
            "[tool.ruff]\nline-length = 1",
            "PV002 1:1 there is neither `[project]` nor `[tool.poetry]`",
        ),
        (
            "pyproject.toml",
            "[project]\nname = \"a\"\ndynamic = [\"version\", \"dependencies\"]",
            "PV007 3:23 the dependencies are dynamic",
        ),
        ("pyproject.toml", "[project]\ndependencies = [\"a\", \"numpy = 1\"]", "PV010 2:29"),
        ("pyproject.toml", "[project]\ndependencies = [\"-r other.txt\"]", "PV010 2:18"),
        (
            "pyproject.toml",
            "[project]\ndependencies = [\"./folder\"]",
            "PV010 2:18 a dependency begins with the name",
        ),
        ("pyproject.toml", "[project]\ndependencies = \"a\"", "PV005 2:16 `dependencies` must be a list"),
        ("pyproject.toml", "[project]\nrequires-python = \"three\"", "PV019 2:19"),
        (
            "pyproject.toml",
            "[project]\n[dependency-groups]\na = [{ include-group = \"b\" }]\nb = [{ include-group = \"a\" }]",
            "PV021 3:6 the group `a` includes itself",
        ),
        (
            "pyproject.toml",
            "[project]\n[dependency-groups]\na = [{ include-group = \"b\" }]",
            "PV021 3:6 there is no group `b`",
        ),
        ("pyproject.toml", "[tool.poetry.dependencies]\na = \"^1 || ^2\"", "PV007 2:5 `a`: alternatives"),
        ("pyproject.toml", "[tool.poetry.dependencies]\na = \"one\"", "PV010 2:5"),
        (
            "pyproject.toml",
            "[tool.poetry.dependencies]\n\"-r x\" = \"*\"",
            "PV010 2:10 `-r x` is not the name",
        ),
        (
            "pyproject.toml",
            "[tool.poetry.dependencies]\na = { version = \"1\", verison = \"2\" }",
            "PV004 2:22 unknown key `verison`",
        ),
        (
            "pyproject.toml",
            "[project]\ndependencies = [\"a\"]\n[tool.uv.sources]\na = { workspace = true }",
            "PV007 4:5 `a` is a member of the workspace",
        ),
        (
            "pyproject.toml",
            "[project]\ndependencies = [\"a\"]\n[[tool.uv.index]]\nurl = \"https://user:hunter2@h.test/simple\"",
            "PV015 4:7 credentials in a URL",
        ),
        ("pixi.toml", "[dependencies]\na = \"*\"", "PV002 1:1 there is no `[workspace]`"),
        (
            "pixi.toml",
            "[workspace]\nchannels = []\nplatforms = [\"win-64\"]",
            "PV007 3:13 this is for `win-64` only",
        ),
        (
            "pixi.toml",
            "[workspace]\nchannels = []\n[dependencies]\na = { git = \"https://h.test/a\" }",
            "PV007 4:13 `a` is built from source",
        ),
        ("pixi.toml", "[workspace]\nchannels = []\n[dependencies]\na = \">>1\"", "PV025 4:5"),
        (
            "pixi.toml",
            "[workspace]\nchannels = []\n[environments]\ndefault = [\"x\"]",
            "PV021 4:12 there is no feature `x`",
        ),
    ] {
        let found = remarks(name, text);
        assert!(found.iter().any(|remark| remark.starts_with(expected)), "{expected}\n{text}\n{found:?}");
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}

#[test]
fn a_pixi_manifest_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/pixi/pixi.toml");
    let found = read(&path).unwrap();
    assert_eq!(found.format, Format::PixiManifest);
    let environment = &found.environment;
    assert_eq!(environment.name.as_deref(), Some("digits"));
    assert_eq!(environment.environment_variables["OMP_NUM_THREADS"], "8");
    let definition = &environment.definition;
    assert_eq!(definition.platforms, [Platform::LinuxAmd64, Platform::LinuxArm64]);
    let channels: Vec<String> = definition.conda.channels.iter().map(ToString::to_string).collect();
    assert_eq!(channels, ["https://prefix.dev/pytorch", "conda-forge"]);
    let specs: Vec<(&str, &[Platform])> =
        definition.conda.packages.iter().map(|package| (&*package.spec, &*package.platforms)).collect();
    assert_eq!(
        specs,
        [
            ("jupyterlab>=4", &[][..]),
            ("zlib", &[]),
            ("python=3.11", &[]),
            ("numpy==1.26.4", &[Platform::LinuxAmd64]),
            ("pytorch::pytorch>=2.1=cuda*", &[]),
            ("mkl=2024", &[Platform::LinuxAmd64]),
            ("numpy>=1.26,<2", &[Platform::LinuxArm64]),
        ]
    );
    assert_eq!(found.origins.conda.len(), specs.len());
    let pins = pins(&found);
    assert_eq!(
        pins[..3],
        [
            "requests[socks]==2.31.0",
            "flask ; platform_machine == 'x86_64'",
            "tool @ git+https://github.com/example/tool.git@0106aced5faa299e6ede89d1230bd6784f2c3660",
        ]
    );
    assert_eq!(pins[4], "flask>=3 ; platform_machine == 'aarch64'");
    let codes: Vec<&str> = found.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["PV033", "PV033", "PV033"]);
}

#[test]
fn pixi_inside_pyproject_takes_the_project_along() {
    let text = r#"
[project]
name = "demo"
requires-python = ">=3.11,<3.13"
dependencies = ["requests"]
[tool.pixi.workspace]
channels = ["conda-forge"]
platforms = ["linux-64"]
[tool.pixi.dependencies]
numpy = "*"
[tool.pixi.pypi-dependencies]
flask = "*"
"#;
    let found = project(text);
    assert_eq!(found.format, Format::PixiManifest);
    assert_eq!(found.environment.name.as_deref(), Some("demo"));
    let specs: Vec<&str> =
        found.environment.definition.conda.packages.iter().map(|package| &*package.spec).collect();
    assert_eq!(specs, ["numpy", "python>=3.11,<3.13"]);
    assert_eq!(pins(&found), ["requests", "flask"]);
}

/// Order and spelling do not count, in whatever words it is said.
#[test]
fn the_same_project_has_the_same_digest() {
    let digest = |text: &str| definition_digest(&project(text).environment.definition);
    let one = digest("[project]\ndependencies = [\"NumPy >= 1.2, < 2.0\", \"a\"]");
    let two = digest("[project]\nname = \"other\"\ndependencies = [\"a\", \"numpy>=1.2,<2\"]");
    let three = digest("[tool.poetry.dependencies]\na = \"*\"\nnumpy = \"^1.2\"");
    assert_eq!(one, two);
    assert_eq!(one, three);
    assert_ne!(one, digest("[project]\ndependencies = [\"a\", \"numpy>=1.2\"]"));
}
