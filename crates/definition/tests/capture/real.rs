//! A virtual environment that pip itself has filled.

use std::path::Path;
use std::process::Command;

use provenv_definition::capture::Extent;
use provenv_definition::{read_str, write_native};

use super::{asked, codes, remarks, taken, write};

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
