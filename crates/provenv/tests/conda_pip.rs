//! pip on top of conda, through the front door: conda's real Python, packages of both, in one image.

use std::fmt::Write as _;

use provenv_channel::{Channel, Package, RealChannel};
use provenv_testing::pypi::{Index, Sdist, Wheel};
use provenv_testing::server::{Fault, Server};
use serde_json::Value;

use crate::support::{Done, Workspace, serve};

/// A server with the real channel, one of tiny packages, and a package index.
struct Places(Server);

impl Places {
    fn new(real: &RealChannel, tiny: &Channel, index: &Index) -> Self {
        Self(Server::start(index.serve(tiny.serve(real.tree()))))
    }

    /// An `environment.yml`.
    fn environment(&self, conda: &[&str], pip: &[&str]) -> String {
        let (tiny, real, index) = (self.0.at("/tiny"), self.0.at("/real"), self.0.at("/simple/"));
        let mut text =
            format!("name: both\nchannels:\n- {tiny}\n- {real}\ndependencies:\n- python=3.11\n- pip\n");
        for spec in conda {
            let _ = writeln!(text, "- {spec}");
        }
        let _ = writeln!(text, "- pip:\n  - --index-url {index}");
        for requirement in pip {
            let _ = writeln!(text, "  - {requirement}");
        }
        text
    }
}

/// A conda package for any Python with one module, and what pip leaves behind of it.
fn noarch(name: &str, version: &str, dist: &str, requires: &[&str]) -> Package {
    Package::new(name, version)
        .noarch_python()
        .depends("python >=3.8")
        .file(&format!("site-packages/{dist}/__init__.py"), format!("BY = 'conda {version}'\n"))
        .file(&format!("site-packages/{dist}/left.py"), "")
        .python_dist(dist, version, requires)
}

/// A wheel with one module.
fn wheel(dist: &str, version: &str) -> Wheel {
    Wheel::new(dist, version).file(&format!("{dist}/__init__.py"), format!("BY = 'pip {version}'\n"))
}

/// Name and version of each package of pip's in a lock.
fn pips(lock: &Value) -> Vec<String> {
    let packages = lock["platforms"]["linux/amd64"]["pypi"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    packages.iter().map(|one| format!("{} {}", text(&one["name"]), text(&one["version"]))).collect()
}

fn lock_of(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).unwrap()
}

#[track_caller]
fn python(workspace: &Workspace, environment: &str, code: &str) -> String {
    workspace.run(["run", environment, "--", "python", "-c", code]).ok().stdout
}

#[test]
fn scikit_learn_of_conda_with_extras_of_pip() {
    let (Some(real), Some(workspace)) = (provenv_channel::real(), Workspace::new()) else { return };
    let index = Index::new()
        .add(wheel("numpy", "99.0"))
        .add(wheel("extra", "2.0").requires("numpy>=99"))
        .add(wheel("extra", "1.0").requires("numpy>=1.20").requires("scikit-learn").requires("plain"))
        .add(wheel("plain", "1.0"));
    let places = Places::new(real, &Channel::new("tiny"), &index);
    let text = places.environment(&["scikit-learn"], &["extra", "numpy>=1.20"]);
    workspace.write("environment.yml", &text);
    let done = workspace.run(["lock", "environment.yml", "--file", "-"]).ok();
    // What conda has is not there twice, and what does not go with it is not chosen.
    assert_eq!(pips(&lock_of(&done)), ["extra 1.0", "plain 1.0"]);
    assert!(
        done.stderr.contains("note: pip installs nothing for `numpy>=1.20`: there is conda's numpy"),
        "{}",
        done.stderr
    );
    let code = "import sklearn.linear_model, extra, plain, numpy, sys; from importlib.metadata import version; \
                print(extra.BY, plain.BY, sys.prefix, version('numpy') == numpy.__version__)";
    assert_eq!(python(&workspace, "environment.yml", code), "pip 1.0 pip 1.0 /opt/provenv True\n");
    // Again, and from nothing, it is the same.
    let again = workspace.run(["lock", "environment.yml", "--upgrade", "--file", "-"]).ok();
    assert_eq!(lock_of(&again), lock_of(&done));
}

#[test]
fn a_contradiction_names_both_sides() {
    let (Some(real), Some(workspace)) = (provenv_channel::real(), Workspace::new()) else { return };
    let tiny = Channel::new("tiny")
        .add(noarch("condaname", "1.5", "leftpad", &[]))
        .add(noarch("user", "1.0", "user", &["leftpad<2"]).depends("condaname >=1,<2"));
    let index = Index::new()
        .add(wheel("leftpad", "2.0"))
        .add(wheel("deep", "1.0").requires("modern"))
        .add(wheel("modern", "1.0").requires("leftpad>=2"));
    let places = Places::new(real, &tiny, &index);
    let fails = |pip: &[&str]| {
        workspace.write("environment.yml", &places.environment(&["user"], pip));
        let done = workspace.run(["lock", "environment.yml"]);
        assert_eq!(done.code, 1, "{}", done.stdout);
        done.stderr
    };
    let conda = "there is leftpad 1.5 of conda's condaname 1.5, which is needed as `condaname >=1,<2` by user, asked \
                 for as `user`";
    let said = fails(&["deep"]);
    for part in [
        "pip and conda do not agree on leftpad",
        "pip's modern needs `leftpad>=2`",
        conda,
        "environment.yml:11",
        "- deep",
        "hint: ",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = fails(&["leftpad==2.0"]);
    for part in ["pip is asked for `leftpad==2.0`", conda, "environment.yml:11", "hint: "] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn what_is_named_by_its_place_replaces_condas() {
    let (Some(real), Some(workspace)) = (provenv_channel::real(), Workspace::new()) else { return };
    let tiny = Channel::new("tiny")
        .add(noarch("condaname", "1.5", "leftpad", &[]).entry_point("leftpad = leftpad:main"))
        .add(noarch("user", "1.0", "user", &["leftpad<2"]).depends("condaname"))
        .add(
            Package::new("opencv", "4.0")
                .noarch_python()
                .depends("python")
                .file("site-packages/cv2.py", "BY = 'conda'\n"),
        );
    let new = wheel("leftpad", "2.0").file("leftpad/new.py", "");
    let index =
        Index::new().add(new.clone()).add(Wheel::new("opencv-python", "4.1").file("cv2.py", "BY = 'pip'\n"));
    let places = Places::new(real, &tiny, &index);
    let url = places.0.at(&format!("/files/{}", new.file_name()));
    let direct = format!("leftpad @ {url}");
    workspace.write("environment.yml", &places.environment(&["user", "opencv"], &[&direct, "opencv-python"]));
    let done = workspace.run(["lock", "environment.yml", "--file", "-"]).ok();
    assert_eq!(pips(&lock_of(&done)), ["leftpad 2.0", "opencv-python 4.1"]);
    let note = "note: pip's leftpad 2.0 shadows leftpad 1.5 of conda's condaname 1.5, which is needed as `condaname` by \
                user, asked for as `user`; conda's user needs leftpad<2";
    assert!(done.stderr.contains(note), "{}", done.stderr);

    let code = "import importlib.metadata as m, importlib.util as u, leftpad, leftpad.new, cv2, os, user
names = sorted(d.metadata['Name'] + ' ' + d.version for d in m.distributions() if d.metadata['Name'] in ('leftpad', 'user'))
print(leftpad.BY, cv2.BY, u.find_spec('leftpad.left'), names)";
    let build = workspace.run(["build", "environment.yml"]).ok();
    for note in ["leftpad 2.0 of pip replaces", "opencv-python 4.1 of pip lies over opencv 4.0 of conda"] {
        assert!(build.stderr.contains(note), "{note}: {}", build.stderr);
    }
    assert_eq!(python(&workspace, "environment.yml", code), "pip 2.0 pip None ['leftpad 2.0', 'user 1.0']\n");
}

/// Builds an extension against the headers of the Python it runs on, and calls it.
const EXTENSION: &str = r#"
import importlib.util, subprocess, sysconfig, tempfile

def made():
    folder = tempfile.mkdtemp()
    source, library = os.path.join(folder, "ext.c"), os.path.join(folder, "ext.so")
    with open(source, "w") as file:
        file.write('#include <Python.h>\n'
            'static PyObject *v(PyObject *s, PyObject *a) { return PyUnicode_FromString(PY_VERSION); }\n'
            'static PyMethodDef m[] = {{"v", v, METH_NOARGS, 0}, {0}};\n'
            'static struct PyModuleDef d = {PyModuleDef_HEAD_INIT, "ext", 0, -1, m};\n'
            'PyMODINIT_FUNC PyInit_ext(void) { return PyModule_Create(&d); }\n')
    include = sysconfig.get_path("include")
    subprocess.run(["gcc", "-shared", "-fPIC", "-I", include, source, "-o", library], check=True)
    spec = importlib.util.spec_from_file_location("ext", library)
    ext = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ext)
    debians = [name for name in ("/usr/include/python3.11", "/usr/bin/python3") if os.path.exists(name)]
    return [ext.v() == sys.version.split()[0], include, sys.base_prefix, os.environ["CONDA_PREFIX"], debians]

REPORT = made()
"#;

#[test]
fn sources_are_built_with_condas_python() {
    let (Some(real), Some(workspace)) = (provenv_channel::real(), Workspace::new()) else { return };
    let index = Index::new().add(Sdist::new("built", "1.0").runs(EXTENSION));
    let places = Places::new(real, &Channel::new("tiny"), &index);
    workspace.write("environment.yml", &places.environment(&[], &["built"]));
    let expected = "[True, '/opt/provenv/include/python3.11', '/opt/provenv', '/opt/provenv', []]\n";
    let code = "import built; print(built.REPORT)";
    assert_eq!(python(&workspace, "environment.yml", code), expected);
}

#[test]
fn the_lock_of_another_tool_is_built_with_condas_python() {
    let (Some(real), Some(workspace)) = (provenv_channel::real(), Workspace::new()) else { return };
    let sdist = Sdist::new("built", "1.0").runs("REPORT = sys.base_prefix\n");
    let tiny = Channel::new("tiny").add(noarch("condaname", "1.5", "leftpad", &[]));
    let index = Index::new().add(sdist.clone()).add(wheel("leftpad", "2.0"));
    let places = Places::new(real, &tiny, &index);
    workspace.write("environment.yml", &places.environment(&["condaname"], &["built"]));
    let lock = lock_of(&workspace.run(["lock", "environment.yml", "--file", "-"]).ok());

    let mut text = format!(
        "version: 1\nmetadata:\n  content_hash: {{linux-64: x}}\n  channels: [{{url: {}, used_env_vars: []}}]\n  \
         platforms: [linux-64]\n  sources: [environment.yml]\npackage:\n",
        places.0.at("/tiny")
    );
    for package in lock["platforms"]["linux/amd64"]["conda"].as_array().unwrap() {
        let (url, sha256) = (&package["artifact"]["url"], package["artifact"]["sha256"].as_str().unwrap());
        let _ = writeln!(
            text,
            "- {{name: {}, version: {}, manager: conda, platform: linux-64, dependencies: {{}}, url: {url}, hash: {{sha256: \
             {}}}, category: main, optional: false}}",
            package["name"],
            package["version"],
            sha256.trim_start_matches("sha256:")
        );
    }
    for (name, version, file, bytes) in [
        ("built", "1.0", sdist.file_name(), sdist.build()),
        ("leftpad", "2.0", wheel("leftpad", "2.0").file_name(), wheel("leftpad", "2.0").build()),
    ] {
        let _ = writeln!(
            text,
            "- {{name: {name}, version: '{version}', manager: pip, platform: linux-64, dependencies: {{}}, url: '{}', hash: \
             {{sha256: {}}}, category: main, optional: false}}",
            places.0.at(&format!("/files/{file}")),
            provenv_definition::Digest::of(&bytes).hex()
        );
    }
    workspace.write("conda-lock.yml", &text);
    let done = workspace.run(["lock", "conda-lock.yml", "--file", "-"]).ok();
    assert_eq!(pips(&lock_of(&done)), ["built 1.0", "leftpad 2.0"]);
    assert!(
        done.stderr.contains("pip's leftpad 2.0 shadows leftpad 1.5 of conda's condaname 1.5"),
        "{}",
        done.stderr
    );
    let code = "import built, leftpad; print(built.REPORT, leftpad.BY)";
    assert_eq!(python(&workspace, "conda-lock.yml", code), "/opt/provenv pip 2.0\n");
}

#[test]
fn an_upgrade_moves_both_sides_as_they_go_together() {
    let (Some(real), Some(workspace)) = (provenv_channel::real(), Workspace::new()) else { return };
    let tiny = Channel::new("tiny").add(noarch("condaname", "1.0", "leftpad", &[]));
    let old = Index::new().add(wheel("user", "1.0").requires("leftpad<2")).add(wheel("other", "1.0"));
    let places = Places::new(real, &tiny, &old);
    workspace.write("environment.yml", &places.environment(&["condaname"], &["user", "other"]));
    workspace.run(["env", "register", "environment.yml"]).ok();

    // Both move on.
    let newer = tiny.add(noarch("condaname", "2.0", "leftpad", &[]));
    for (path, bytes) in newer.files() {
        places.0.put(&format!("/tiny/{path}"), bytes);
    }
    let index = serve(&old.add(wheel("user", "2.0").requires("leftpad>=2")).add(wheel("other", "2.0")));
    for path in ["/simple/user/", "/simple/other/"] {
        places.0.fault_always(path, Fault::Redirect(index.at(path)));
    }
    let moved = |packages: &[&str]| {
        let upgraded = workspace.json(["upgrade", "both", "--dry-run"].iter().chain(packages));
        let of = |ecosystem: &str| -> Vec<String> {
            let changes = &upgraded["changes"]["linux/amd64"]["ecosystems"][ecosystem]["changed"];
            let all = changes.as_array().into_iter().flatten();
            all.map(|one| {
                format!("{} {}", one["name"].as_str().unwrap(), one["new_version"].as_str().unwrap())
            })
            .collect()
        };
        [of("conda"), of("pypi")].concat()
    };
    assert_eq!(moved(&["other"]), ["other 2.0"]);
    // The newer one does not go with what conda has, and stays.
    assert_eq!(moved(&["user"]), Vec::<String>::new());
    let all = moved(&[]);
    for expected in ["other 2.0", "user 2.0"] {
        assert!(all.iter().any(|one| one == expected), "{all:?}");
    }
    assert!(all.iter().any(|one| one.starts_with("condaname 2.0")), "{all:?}");
}

#[test]
fn another_platform_is_locked_on_this_one() {
    let (Some(real), Some(workspace)) = (provenv_channel::real(), Workspace::new()) else { return };
    // Nothing of it runs here.
    let foreign = Package::new("python", "3.11.4")
        .subdir("linux-aarch64")
        .file("bin/python3.11", "not for this machine");
    let tiny = Channel::new("tiny").add(foreign).add(
        Package::new("condaname", "1.5")
            .subdir("linux-aarch64")
            .depends("python >=3.11,<3.12.0a0")
            .file("lib/python3.11/site-packages/leftpad.py", "")
            .python_dist("leftpad", "1.5", &[]),
    );
    let index = Index::new()
        .add(wheel("leftpad", "2.0"))
        .add(wheel("user", "1.0").requires("leftpad").requires("armed ; platform_machine == 'aarch64'"))
        .add(wheel("armed", "1.0").tag("cp311-cp311-manylinux_2_17_aarch64"));
    let places = Places::new(real, &tiny, &index);
    let text = places.environment(&["condaname"], &["user"]).replace("- pip\n", "");
    workspace.write(
        "environment.yml",
        &text.replace("dependencies:", "platforms: [linux-aarch64]\ndependencies:"),
    );
    let lock = lock_of(&workspace.run(["lock", "environment.yml", "--file", "-"]).ok());
    let pypi = &lock["platforms"]["linux/arm64"]["pypi"];
    let names: Vec<&str> = pypi.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["armed", "user"]);
}

#[test]
fn of_one_file_of_two_packages_the_one_that_is_laid_counts() {
    let (Some(real), Some(workspace)) = (provenv_channel::real(), Workspace::new()) else { return };
    // The first by name is the last to be laid, since it needs the other.
    let package = |name: &str, version: &str| {
        Package::new(name, "1").noarch_python().depends("python >=3.8").file(
            "site-packages/foo.egg-info",
            format!("Metadata-Version: 2.1\nName: foo\nVersion: {version}\n"),
        )
    };
    let tiny = Channel::new("tiny").add(package("aaa", "1.0").depends("zzz")).add(package("zzz", "2.0"));
    let index = Index::new().add(wheel("foo", "1.0")).add(wheel("foo", "2.0"));
    let places = Places::new(real, &tiny, &index);
    workspace.write("environment.yml", &places.environment(&["aaa"], &["foo==1.0"]));
    let done = workspace.run(["lock", "environment.yml", "--file", "-"]).ok();
    assert!(pips(&lock_of(&done)).is_empty(), "conda has it: {}", done.stdout);
    let code = "from importlib.metadata import version; print(version('foo'))";
    assert_eq!(python(&workspace, "environment.yml", code), "1.0\n");
    workspace.write("other.yml", &places.environment(&["aaa"], &["foo==2.0"]));
    let refused = workspace.run(["lock", "other.yml", "--file", "-"]);
    assert!(refused.code == 1 && refused.stderr.contains("foo 1.0 of conda's aaa 1"), "{}", refused.stderr);
}
