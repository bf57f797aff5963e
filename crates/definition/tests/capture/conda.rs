//! Conda environments, made on paper.

use std::path::PathBuf;

use provenv_definition::capture::{CondaPlaces, Extent};
use provenv_definition::{Format, Platform, ReadError, read};

use super::{Paper, asked, channels, codes, remarks, taken, write};

const FORGE: &str = r#", "channel": "https://conda.anaconda.org/conda-forge/linux-64", "subdir": "linux-64""#;

const MAIN: &str = r#", "channel": "https://repo.anaconda.com/pkgs/main/linux-64", "subdir": "linux-64""#;

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
