//! Environments that are on disk already: virtual environments that Python's own tools made, and conda prefixes as conda
//! lays them down.

use std::path::{Path, PathBuf};
use std::process::Command;

use provenv_definition::capture::{CondaPlaces, Extent, PythonInstallation, capture, capture_python};
use provenv_definition::{
    Diagnostic, Format, Platform, ReadEnvironment, ReadError, Requirement, check, definition_digest, read,
    read_str, write_native,
};

/// What was asked of conda and of pip, in order.
fn asked(read: &ReadEnvironment) -> (Vec<String>, Vec<String>) {
    let definition = &read.environment.definition;
    let conda = definition.conda.packages.iter().map(|package| package.spec.clone());
    let pip = definition.pip.requirements.iter().map(|one| {
        assert!(one.requirement.parse::<Requirement>().is_ok(), "{}", one.requirement);
        format!("{}{}", if one.editable { "-e " } else { "" }, one.requirement)
    });
    (conda.collect(), pip.collect())
}

fn channels(read: &ReadEnvironment) -> Vec<String> {
    read.environment.definition.conda.channels.iter().map(ToString::to_string).collect()
}

fn codes(remarks: &[Diagnostic]) -> Vec<&str> {
    remarks.iter().map(|remark| remark.code).collect()
}

fn remarks(read: &ReadEnvironment) -> String {
    read.warnings.iter().fold(String::new(), |text, remark| text + &format!("{remark}\n"))
}

fn taken(prefix: &Path, extent: Extent) -> ReadEnvironment {
    let found = capture(prefix, extent).unwrap_or_else(|error| panic!("{:?}", error.0));
    assert!(found.warnings.iter().all(|remark| !remark.is_error() && remark.file.is_some()));
    let definition = &found.environment.definition;
    assert_eq!(found.origins.conda.len(), definition.conda.packages.len());
    assert_eq!(found.origins.channels.len(), definition.conda.channels.len());
    assert_eq!(found.origins.requirements.len(), definition.pip.requirements.len());
    check(&found.environment);
    found
}

fn write(file: PathBuf, text: &str) {
    fs_err::create_dir_all(file.parent().unwrap()).unwrap();
    fs_err::write(file, text).unwrap();
}

/// A virtual environment on paper: what tools leave in it, without the tools.
struct Paper {
    folder: tempfile::TempDir,
}

impl Paper {
    fn venv(settings: &str) -> Self {
        let paper = Self { folder: tempfile::tempdir().unwrap() };
        paper.write("pyvenv.cfg", settings);
        fs_err::create_dir_all(paper.site()).unwrap();
        paper
    }

    fn conda() -> Self {
        let paper = Self { folder: tempfile::tempdir().unwrap() };
        fs_err::create_dir_all(paper.path().join("conda-meta")).unwrap();
        paper
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn site(&self) -> PathBuf {
        self.path().join("lib/python3.11/site-packages")
    }

    fn write(&self, file: &str, text: &str) {
        write(self.path().join(file), text);
    }

    /// A `dist-info` with files besides its metadata and its list of files.
    fn package(&self, name: &str, version: &str, more: &[(&str, &str)]) {
        let folder = self.site().join(format!("{}-{version}.dist-info", name.replace('-', "_")));
        write(
            folder.join("METADATA"),
            &format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: no\n"),
        );
        write(folder.join("RECORD"), "");
        for (file, text) in more {
            write(folder.join(file), text);
        }
    }

    /// A record as conda writes it.
    fn record(&self, name: &str, version: &str, build: &str, rest: &str) {
        let json = format!(
            r#"{{"name": "{name}", "version": "{version}", "build": "{build}", "build_number": 0, "requested_spec": "None"{rest}}}"#
        );
        self.write(&format!("conda-meta/{name}-{version}-{build}.json"), &json);
    }
}

const FORGE: &str = r#", "channel": "https://conda.anaconda.org/conda-forge/linux-64", "subdir": "linux-64""#;
const MAIN: &str = r#", "channel": "https://repo.anaconda.com/pkgs/main/linux-64", "subdir": "linux-64""#;

#[test]
fn what_pip_was_asked_for_is_told_from_what_came_along() {
    let paper = Paper::venv("home = /usr/bin\nversion = 3.11.2\n");
    paper.package("Left_Pad", "1.0", &[("REQUESTED", ""), ("INSTALLER", "pip\n")]);
    paper.package("right-pad", "2.0", &[("INSTALLER", "pip\n")]);
    paper.package("pip", "23.0", &[("REQUESTED", "")]);
    paper.package("setuptools", "65.0", &[("REQUESTED", "")]);
    let history = taken(paper.path(), Extent::History);
    assert_eq!(history.format, Format::PythonPrefix);
    assert_eq!(asked(&history).1, ["left-pad==1.0"]);
    assert_eq!(history.environment.definition.python.as_ref().unwrap().to_string(), "3.11");
    assert_eq!(codes(&history.warnings), [""; 0], "{}", remarks(&history));
    let exact = taken(paper.path(), Extent::Exact);
    assert_eq!(asked(&exact).1, ["left-pad==1.0", "right-pad==2.0"]);
    assert_eq!(exact.environment.definition.python.as_ref().unwrap().to_string(), "3.11.2");
    let place = &exact.origins.requirements[0];
    assert!(place.file.ends_with("Left_Pad-1.0.dist-info/METADATA"), "{place:?}");
    assert_eq!((place.span.line, place.line_text.as_deref()), (2, Some("Name: Left_Pad")));
}

#[test]
fn tools_that_somebody_asked_for_are_kept() {
    for (settings, marked, kept) in [
        ("version = 3.11.2", true, &["wheel==0.4"][..]),
        ("version = 3.12.2", true, &["setuptools==65.0", "wheel==0.4"]),
        (
            "version_info = 3.11.2.final.0\nvirtualenv = 20.1",
            true,
            &["pip==23.0", "setuptools==65.0", "wheel==0.4"],
        ),
        ("version_info = 3.11.2\nuv = 0.5", true, &["pip==23.0", "setuptools==65.0", "wheel==0.4"]),
        ("version_info = 3.11.2\nuv = 0.5", false, &[]),
    ] {
        let paper = Paper::venv(&format!("home = /usr/bin\n{settings}\n"));
        let files: &[(&str, &str)] = if marked { &[("REQUESTED", "")] } else { &[] };
        for (name, version) in [("pip", "23.0"), ("setuptools", "65.0"), ("wheel", "0.4")] {
            paper.package(name, version, files);
        }
        for extent in [Extent::History, Extent::Exact] {
            assert_eq!(asked(&taken(paper.path(), extent)).1, kept, "{settings}");
        }
    }
}

#[test]
fn without_marks_those_are_taken_that_no_other_needs() {
    let paper = Paper::venv("version = 3.11.2\n");
    let needs = |name: &str, needs: &[&str]| {
        let needs = needs.iter().fold(String::new(), |text, one| text + &format!("Requires-Dist: {one}\n"));
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{needs}\n");
        paper.package(name, "1", &[("METADATA", &metadata)]);
    };
    needs("top", &["middle>=1", "unused ; extra == 'more'"]);
    needs("middle", &["bottom"]);
    needs("bottom", &[]);
    needs("circle-a", &["circle-b"]);
    needs("circle-b", &["circle-a"]);
    needs("unused", &["setuptools"]);
    needs("setuptools", &[]);
    let history = taken(paper.path(), Extent::History);
    assert_eq!(asked(&history).1, ["circle-a==1", "top==1", "unused==1"]);
    assert_eq!(codes(&history.warnings), ["PV042"]);
    // What another package needs is no mere tool.
    assert!(asked(&taken(paper.path(), Extent::Exact)).1.contains(&"setuptools==1".to_owned()));
}

#[test]
fn packages_from_elsewhere_say_where_they_came_from() {
    const COMMIT: &str = "0123456789012345678901234567890123456789";
    let hash = "ab".repeat(32);
    let git = |rest: &str| {
        format!(
            r#"{{"url": "https://host.test/a", "vcs_info": {{"vcs": "git", "commit_id": "{COMMIT}"{rest}}}}}"#
        )
    };
    let archive =
        |url: &str| format!(r#"{{"url": "{url}", "archive_info": {{"hashes": {{"sha256": "{hash}"}}}}}}"#);
    for (json, history, exact, code) in [
        (
            git(""),
            "a @ git+https://host.test/a".to_owned(),
            format!("a @ git+https://host.test/a@{COMMIT}"),
            None,
        ),
        (
            git(r#", "requested_revision": "v1""#),
            "a @ git+https://host.test/a@v1".to_owned(),
            format!("a @ git+https://host.test/a@{COMMIT}"),
            None,
        ),
        (
            archive("https://host.test/a-1-py3-none-any.whl"),
            format!("a @ https://host.test/a-1-py3-none-any.whl#sha256={hash}"),
            String::new(),
            None,
        ),
        (
            archive("https://user:hunter2@host.test/a.zip?token=hunter2"),
            format!("a @ https://host.test/a.zip#sha256={hash}"),
            String::new(),
            Some("PV041"),
        ),
        (
            archive("file:///nowhere/a-1-py3-none-any.whl"),
            format!("a @ file:///nowhere/a-1-py3-none-any.whl#sha256={hash}"),
            String::new(),
            Some("PV041"),
        ),
        (
            r#"{"url": "file:///nowhere/a", "dir_info": {"editable": true}}"#.to_owned(),
            "-e file:///nowhere/a".to_owned(),
            String::new(),
            Some("PV041"),
        ),
        (
            r#"{"url": "file:///nowhere/a", "dir_info": {}}"#.to_owned(),
            "a @ file:///nowhere/a".to_owned(),
            String::new(),
            Some("PV041"),
        ),
        (
            r#"{"url": "https://host.test/a", "vcs_info": {"vcs": "hg", "commit_id": "1"}}"#.to_owned(),
            "none".to_owned(),
            String::new(),
            Some("PV041"),
        ),
        (
            r#"{"url": "no url", "archive_info": {}}"#.to_owned(),
            "none".to_owned(),
            String::new(),
            Some("PV041"),
        ),
    ] {
        let paper = Paper::venv("version = 3.11.2\n");
        paper.package("a", "1", &[("REQUESTED", ""), ("direct_url.json", &json)]);
        for (extent, expected) in
            [(Extent::History, &history), (Extent::Exact, if exact.is_empty() { &history } else { &exact })]
        {
            let found = taken(paper.path(), extent);
            let lines = asked(&found).1;
            assert_eq!(lines.first().map_or("none", String::as_str), expected, "{json}\n{}", remarks(&found));
            assert_eq!(codes(&found.warnings), code.into_iter().collect::<Vec<_>>(), "{json}");
            assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
            let written = write_native(&found.environment);
            let again = read_str(&written, Path::new("/e.yaml")).unwrap();
            assert_eq!(
                definition_digest(&again.environment.definition),
                definition_digest(&found.environment.definition)
            );
        }
    }
}

#[test]
fn an_editable_install_of_a_repository_is_its_commit() {
    const COMMIT: &str = "0123456789012345678901234567890123456789";
    let project = tempfile::tempdir().unwrap();
    let folder = project.path().join("packages/a");
    fs_err::create_dir_all(&folder).unwrap();
    let git = project.path().join(".git");
    write(git.join("config"), "[remote \"origin\"]\n\turl = git@host.test:team/a.git\n");
    write(git.join("HEAD"), "ref: refs/heads/main\n");
    let paper = Paper::venv("version = 3.11.2\n");
    let json = format!(r#"{{"url": "file://{}", "dir_info": {{"editable": true}}}}"#, folder.display());
    paper.package("a", "1", &[("REQUESTED", ""), ("direct_url.json", &json)]);
    let expected = format!("a @ git+ssh://git@host.test/team/a.git@{COMMIT}#subdirectory=packages/a");
    for (loose, packed) in [(Some(COMMIT), "# pack-refs\n"), (None, "# pack-refs\n")] {
        fs_err::remove_dir_all(git.join("refs")).ok();
        if let Some(commit) = loose {
            write(git.join("refs/heads/main"), commit);
            write(git.join("packed-refs"), packed);
        } else {
            write(git.join("packed-refs"), &format!("{packed}{COMMIT} refs/heads/main\n"));
        }
        let found = taken(paper.path(), Extent::History);
        assert_eq!(asked(&found).1, std::slice::from_ref(&expected));
        assert_eq!(codes(&found.warnings), ["PV041"]);
    }
    // A repository that only this machine has is no better than the folder.
    write(git.join("config"), "[remote \"origin\"]\n\turl = /srv/a.git\n");
    assert_eq!(asked(&taken(paper.path(), Extent::History)).1, [format!("-e file://{}", folder.display())]);
}

#[test]
fn what_is_half_there_is_said() {
    let paper = Paper::venv("home = /usr/bin\ninclude-system-site-packages = true\nversion = 3.11.2\n");
    let requested: &[(&str, &str)] = &[("REQUESTED", "")];
    paper.package("torch", "2.1.0+cu118", requested);
    paper.package(
        "odd",
        "not-a-version!",
        &[("REQUESTED", ""), ("METADATA", "Name: odd\nVersion: not a version\n\n")],
    );
    paper.package("apt-thing", "1", &[("REQUESTED", ""), ("INSTALLER", "debian\n")]);
    paper.write(
        "lib/python3.11/site-packages/old-1.5-py3.11.egg-info",
        "Metadata-Version: 1.0\nName: old\nVersion: 1.5\n",
    );
    paper.write("lib/python3.11/site-packages/nothing.dist-info/METADATA", "Name: ../../x\n\n");
    let exact = taken(paper.path(), Extent::Exact);
    assert_eq!(asked(&exact).1, ["odd", "old==1.5", "torch==2.1.0+cu118"]);
    let said = remarks(&exact);
    for part in [
        "sees the packages of the Python in `/usr/bin` too",
        "`torch` 2.1.0+cu118 is a build of its own",
        "`odd` has no version that can be asked for",
        "`apt-thing` 1 was installed by `debian`",
        "no list of files of `old` 1.5 was kept",
        "has no name that can be read",
    ] {
        assert!(said.contains(part), "{part}:\n{said}");
    }
    assert!(exact.warnings.iter().all(|remark| remark.code == "PV041"));
}

#[test]
fn links_to_sources_are_editable_installs() {
    let paper = Paper::venv("version = 3.11.2\n");
    let source = tempfile::tempdir().unwrap();
    write(
        source.path().join("my_pad.egg-info/PKG-INFO"),
        "Metadata-Version: 1.0\nName: My-Pad\nVersion: 1\n",
    );
    write(source.path().join("pyproject.toml"), "");
    paper.write("lib/python3.11/site-packages/my-pad.egg-link", &format!("{}\n.", source.path().display()));
    // Of an installer that leaves no `direct_url.json`.
    paper.package("other-pad", "1.0", &[("REQUESTED", "")]);
    let path = format!("{}/src\n", source.path().display());
    paper.write("lib/python3.11/site-packages/__editable__.other_pad-1.0.pth", &path);
    let found = taken(paper.path(), Extent::History);
    let line = format!("-e file://{}", source.path().display());
    let mut lines = asked(&found).1;
    lines.dedup();
    assert_eq!(lines, [line]);
    assert_eq!(codes(&found.warnings), ["PV041", "PV041"]);
}

#[test]
fn conda_says_what_it_was_asked_for() {
    let paper = Paper::conda();
    paper.record("python", "3.11.7", "h0_0", FORGE);
    paper.record("numpy", "1.26.4", "py311_0", FORGE);
    paper.record("libblas", "3.9", "0", FORGE);
    paper.record("mkl", "2023", "1", MAIN);
    paper.record(
        "pip",
        "24.0",
        "py_0",
        r#", "channel": "https://conda.anaconda.org/conda-forge/noarch", "subdir": "noarch""#,
    );
    paper.write(
        "conda-meta/history",
        "==> 2024-01-01 10:00:00 <==\n# cmd: conda create -n x -c defaults -c conda-forge python=3.11 numpy scipy\n\
         # update specs: ['python=3.11', 'numpy', 'scipy', 'gone']\n\
         ==> 2024-01-02 10:00:00 <==\n# update specs: [\"numpy[version='>=1.20']\"]\n# remove specs: ['scipy']\n",
    );
    let state = r#"{"version": 1, "env_vars": {"MODE": "fast", "OFF": "***unset***"}}"#;
    paper.write("conda-meta/state", state);
    // pip's own, and one that conda owns.
    paper.package("left-pad", "1.0", &[("REQUESTED", ""), ("INSTALLER", "pip")]);
    paper.package("right-pad", "1.0", &[("INSTALLER", "pip")]);
    let owned = r#", "files": ["bin/x", "lib/python3.11/site-packages/owned-1.0.dist-info/METADATA"]"#;
    paper.record("owned", "1.0", "py_0", &format!("{FORGE}{owned}"));
    paper.package("owned", "1.0", &[("REQUESTED", ""), ("INSTALLER", "conda")]);
    paper.package("left-behind", "1.0", &[("INSTALLER", "conda")]);

    let history = taken(paper.path(), Extent::History);
    assert_eq!(history.format, Format::CondaPrefix);
    let (conda, pip) = asked(&history);
    assert_eq!(conda, ["python=3.11", "numpy>=1.20", "pip"]);
    assert_eq!(pip, ["left-pad==1.0"]);
    assert_eq!(channels(&history), ["defaults", "conda-forge"]);
    assert_eq!(history.environment.environment_variables["MODE"], "fast");
    assert_eq!(history.environment.environment_variables.len(), 1);
    assert_eq!(history.environment.definition.python, None, "it is conda's");
    assert_eq!(codes(&history.warnings), [""; 0], "{}", remarks(&history));
    assert_eq!(history.origins.conda[1].span.line, 5, "the last word on it");

    let exact = taken(paper.path(), Extent::Exact);
    let (conda, pip) = asked(&exact);
    let expected = [
        "conda-forge::libblas==3.9=0",
        "defaults::mkl==2023=1",
        "conda-forge::numpy==1.26.4=py311_0",
        "conda-forge::owned==1.0=py_0",
        "conda-forge::pip==24.0=py_0",
        "conda-forge::python==3.11.7=h0_0",
    ];
    assert_eq!(conda, expected);
    assert_eq!(pip, ["left-pad==1.0", "right-pad==1.0"]);
    assert_eq!(exact.environment.definition.platforms, [Platform::LinuxAmd64]);
    // A folder that is an environment is read as one.
    assert_eq!(read(paper.path()).unwrap().environment, history.environment);
}

#[test]
fn an_exact_conda_environment_has_its_artifacts() {
    let hash = "ab".repeat(32);
    let paper = Paper::conda();
    let rest = format!(
        r#", "channel": "https://conda.anaconda.org/t/hunter2/private/linux-64", "subdir": "linux-64",
            "url": "https://conda.anaconda.org/t/hunter2/private/linux-64/numpy-1.26.4-py311_0.conda",
            "sha256": "{hash}", "md5": "{}", "size": 17, "depends": ["python"]"#,
        "cd".repeat(16)
    );
    paper.record("numpy", "1.26.4", "py311_0", &rest);
    let exact = taken(paper.path(), Extent::Exact);
    assert!(!format!("{exact:?}").contains("hunter2"), "{exact:?}");
    assert_eq!(codes(&exact.warnings), ["PV041"], "credentials are said");
    assert_eq!(channels(&exact), ["private"]);
    let spec = &asked(&exact).0[0];
    assert_eq!(*spec, format!("private::numpy[version='==1.26.4',build='py311_0',sha256='{hash}']"));
    let locked = exact.locked.expect("every artifact is known");
    let package = &locked.conda[&Platform::LinuxAmd64][0];
    assert_eq!(
        package.url.to_string(),
        "https://conda.anaconda.org/private/linux-64/numpy-1.26.4-py311_0.conda"
    );
    assert_eq!((package.size, package.sha256.unwrap().hex()), (Some(17), hash));
    // What pip installed is on record without its file.
    paper.package("left-pad", "1.0", &[("REQUESTED", "")]);
    assert_eq!(taken(paper.path(), Extent::Exact).locked, None);
}

#[test]
fn conda_without_a_history_is_inferred_and_said() {
    // rattler, and with it pixi, writes no history but keeps the specs in the records.
    let paper = Paper::conda();
    paper.record("python", "3.11.7", "h0_0", &format!(r#"{FORGE}, "requested_specs": ["python 3.11.*"]"#));
    paper.record("openssl", "3.0", "h0_0", FORGE);
    let found = taken(paper.path(), Extent::History);
    assert_eq!(asked(&found).0.len(), 1);
    assert_eq!(codes(&found.warnings), [""; 0], "{}", remarks(&found));

    let paper = Paper::conda();
    paper.record("python", "3.11.7", "h0_0", &format!(r#"{FORGE}, "depends": ["openssl >=3,<4"]"#));
    paper.record("openssl", "3.0", "h0_0", MAIN);
    paper.write("conda-meta/broken-1-0.json", r#"{"name": "broken"}"#);
    let found = taken(paper.path(), Extent::History);
    assert_eq!(asked(&found).0.len(), 1, "{:?}", asked(&found));
    assert_eq!(asked(&found).0, ["python=3.11.7"]);
    assert_eq!(codes(&found.warnings), ["PV041", "PV042", "PV042"], "{}", remarks(&found));
}

#[test]
fn builds_of_other_systems_are_left_out() {
    let paper = Paper::conda();
    let rest = r#", "channel": "conda-forge", "subdir": "osx-arm64", "sha256": "aa""#;
    paper.record("numpy", "1.26.4", "py311_0", rest);
    let found = taken(paper.path(), Extent::Exact);
    assert_eq!(asked(&found).0, ["numpy==1.26.4"]);
    assert_eq!(codes(&found.warnings), ["PV041"]);
    assert!(remarks(&found).contains("`osx-arm64`"));
}

#[test]
fn conda_environments_are_found_by_name() {
    let home = tempfile::tempdir().unwrap();
    let at = |path: &str| home.path().join(path);
    for prefix in ["root", "root/envs/tf", "elsewhere/deep", "listed/torch", "other/twice", "third/twice"] {
        fs_err::create_dir_all(at(prefix).join("conda-meta")).unwrap();
    }
    fs_err::create_dir_all(at("root/envs/no-environment")).unwrap();
    write(at(".condarc"), "envs_dirs:\n  - ~/elsewhere\n");
    let listed: String = ["root", "listed/torch", "other/twice", "third/twice"]
        .map(|path| format!("{}\n", at(path).display()))
        .concat();
    write(at(".conda/environments.txt"), &listed);
    let places = |variables: &[(&str, PathBuf)]| {
        CondaPlaces::from_variables(|name| {
            if name == "HOME" {
                return Some(home.path().into());
            }
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone().into())
        })
    };
    let active = places(&[("CONDA_PREFIX", at("root/envs/tf"))]);
    for (name, path) in
        [("tf", "root/envs/tf"), ("base", "root"), ("deep", "elsewhere/deep"), ("torch", "listed/torch")]
    {
        assert_eq!(active.prefix_of(name).unwrap(), at(path), "{name}");
    }
    for (variable, value) in
        [("CONDA_ENVS_PATH", "root/envs"), ("MAMBA_ROOT_PREFIX", "root"), ("CONDA_EXE", "root/bin/conda")]
    {
        assert_eq!(
            places(&[(variable, at(value))]).prefix_of("tf").unwrap(),
            at("root/envs/tf"),
            "{variable}"
        );
    }
    let refused = |name: &str| {
        let error: ReadError = active.prefix_of(name).unwrap_err();
        (error.0[0].code, format!("{} ({})", error.0[0].message, error.0[0].hint.clone().unwrap_or_default()))
    };
    let (code, twice) = refused("twice");
    assert!(code == "PV040" && twice.contains("other/twice") && twice.contains("third/twice"), "{twice}");
    assert_eq!(refused("torhc").1, "no conda environment is called `torhc` (did you mean `torch`?)");
    for name in ["", ".", "..", "../root", "no-environment", "/"] {
        assert_eq!(refused(name).0, "PV040", "{name}");
    }
}

#[test]
fn a_python_of_its_own_says_where_its_packages_are() {
    let paper = Paper { folder: tempfile::tempdir().unwrap() };
    paper.package("left-pad", "1.0", &[("REQUESTED", "")]);
    let dist = paper.path().join("lib/python3/dist-packages");
    write(dist.join("apt.dist-info/METADATA"), "Name: apt\nVersion: 1\n\n");
    let python = PythonInstallation {
        prefix: paper.path().to_owned(),
        version: "3.14.0rc1".to_owned(),
        site_packages: vec![paper.site(), paper.site(), dist],
    };
    for extent in [Extent::History, Extent::Exact] {
        let found = capture_python(&python, extent).unwrap();
        assert_eq!(asked(&found).1, ["left-pad==1.0"]);
        assert_eq!(found.environment.definition.python.as_ref().unwrap().to_string(), "3.14");
        assert_eq!(codes(&found.warnings), ["PV041"], "{}", remarks(&found));
    }
    // One that stands in an environment is that environment.
    paper.write("pyvenv.cfg", "version = 3.9.1\n");
    let found = capture_python(&python, Extent::History).unwrap();
    assert_eq!(found.environment.definition.python.unwrap().to_string(), "3.9");
}

#[test]
fn what_is_no_environment_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("absent")] {
        let error = capture(&path, Extent::History).unwrap_err();
        assert_eq!(codes(&error.0), ["PV040"]);
    }
}

/// Runs a program, or says that it is not there.
fn run(program: &Path, arguments: &[&str]) -> bool {
    match Command::new(program).args(arguments).env("PIP_DISABLE_PIP_VERSION_CHECK", "1").output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{} {arguments:?}: {said}", program.display());
            true
        }
        Err(error) => {
            let message = format!("{}: {error}", program.display());
            assert_ne!(std::env::var("PROVENV_TEST_PEERS").as_deref(), Ok("required"), "{message}");
            eprintln!("skipped: {message}");
            false
        }
    }
}

/// Makes wheels as small as they can be: `name version requires` three by three.
const WHEELS: &str = r#"
import sys, zipfile
folder, *rest = sys.argv[1:]
for name, version, requires in zip(rest[::3], rest[1::3], rest[2::3]):
    stem = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(f"{folder}/{stem}-py3-none-any.whl", "w") as wheel:
        needs = "".join(f"Requires-Dist: {one}\n" for one in requires.split(",") if one)
        info = f"{stem}.dist-info"
        wheel.writestr(f"{name.replace('-', '_')}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
"#;

/// A build backend of twenty lines, so that an editable install needs nothing from the network.
const BACKEND: &str = r#"
import os, zipfile
def get_requires_for_build_editable(settings=None):
    return []
def build_editable(folder, settings=None, metadata=None):
    name = "mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("mine.pth", os.getcwd())
        wheel.writestr("mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        wheel.writestr("mine-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("mine-1.0.dist-info/RECORD", "")
    return name
"#;

#[test]
fn a_virtual_environment_that_pip_filled() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    let text = |path: &str| at(path).to_str().unwrap().to_owned();
    fs_err::create_dir_all(at("wheels")).unwrap();
    let python3 = Path::new("python3");
    let arguments = [
        "-c",
        WHEELS,
        &text("wheels"),
        "left-pad",
        "1.2",
        "right-pad>=2",
        "right-pad",
        "2.1",
        "",
        "alone",
        "3",
        "",
    ];
    if !run(python3, &arguments) || !run(python3, &["-m", "venv", &text("env")]) {
        return;
    }
    write(at("mine/backend.py"), BACKEND);
    write(
        at("mine/pyproject.toml"),
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n[project]\nname = \"mine\"\nversion = \"1.0\"\n",
    );
    let python = at("env/bin/python");
    let install = |what: &[&str]| {
        let wheels = text("wheels");
        let common = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--no-build-isolation",
            "--find-links",
            &wheels,
        ];
        run(&python, &[&common[..], what].concat());
    };
    install(&["Left_Pad"]);
    install(&[&text("wheels/alone-3-py3-none-any.whl")]);
    install(&["-e", &text("mine")]);

    let history = taken(&at("env"), Extent::History);
    let (conda, pip) = asked(&history);
    assert_eq!(conda, [""; 0]);
    assert_eq!(pip.len(), 3, "{pip:?}");
    assert!(
        pip[0].starts_with(&format!("alone @ file://{}/alone-3-py3-none-any.whl#sha256=", text("wheels"))),
        "{pip:?}"
    );
    assert_eq!(pip[1..], ["left-pad==1.2".to_owned(), format!("-e file://{}", text("mine"))]);
    assert_eq!(codes(&history.warnings), ["PV041", "PV041"], "{}", remarks(&history));
    let exact = taken(&at("env"), Extent::Exact);
    let names: Vec<String> =
        asked(&exact).1.iter().map(|line| line.split(['=', ' ']).next().unwrap().to_owned()).collect();
    assert_eq!(names, ["alone", "left-pad", "-e", "right-pad"]);
    // What was captured can be read back.
    let again = read_str(&write_native(&exact.environment), Path::new("/e.yaml")).unwrap();
    assert_eq!(again.environment, exact.environment);
}
