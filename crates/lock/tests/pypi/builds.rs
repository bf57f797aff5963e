//! Wheels that are built: sdists, repositories, folders.

use provenv_definition::Digest;
use provenv_lock::pypi::Error;
use provenv_lock::{PypiPackage, PypiSource};
use provenv_testing::pypi::{Index, Sdist, Wheel};

use super::support::{Machine, pip};
use crate::{golden, golden_error};

fn builds(machine: &Machine) -> usize {
    machine
        .runner
        .commands
        .lock()
        .unwrap()
        .iter()
        .filter(|tool| tool.command.iter().any(|word| word == "build"))
        .count()
}

#[tokio::test]
async fn an_sdist_is_built_once_and_pinned() {
    let index = Index::new().add(Sdist::new("from-source", "1.0").requires("a")).add(Wheel::new("a", "1.0"));
    let Some(machine) = Machine::new(index).await else { return };
    let packages = machine.resolve(&pip(&["from-source"])).await;
    golden!(machine, packages);
    let PypiSource::Built { sha256, size, sdist, .. } = &packages[1].source else { panic!("{packages:?}") };
    let bytes = machine.store.read(sha256).unwrap();
    assert_eq!((Digest::of(&bytes), bytes.len() as u64), (*sha256, *size));
    let expected = Digest::of(&Sdist::new("from-source", "1.0").requires("a").build());
    assert_eq!(sdist.as_ref().unwrap().sha256, expected);
    assert_eq!(machine.resolve(&pip(&["from-source"])).await, packages);
    assert_eq!(builds(&machine), 1);
}

#[tokio::test]
async fn an_sdist_whose_metadata_cannot_be_believed_is_built_for_it() {
    let index =
        Index::new().add(Sdist::new("old", "1.0").old_metadata().requires("a")).add(Wheel::new("a", "1.0"));
    let Some(machine) = Machine::new(index).await else { return };
    let packages = machine.resolve(&pip(&["old"])).await;
    assert_eq!(packages.iter().map(|package| &*package.name).collect::<Vec<_>>(), ["a", "old"]);
}

#[tokio::test]
async fn a_lost_wheel_is_built_again() {
    let Some(machine) = Machine::new(Index::new().add(Sdist::new("lost", "1.0"))).await else { return };
    let packages = machine.resolve(&pip(&["lost"])).await;
    fs_err::remove_file(machine.store.path(packages[0].digest())).unwrap();
    let again = machine.resolve(&pip(&["lost"])).await;
    assert_eq!((builds(&machine), again[0].digest()), (2, packages[0].digest()));
    assert!(machine.store.contains(again[0].digest()));
}

#[tokio::test]
async fn a_failing_build_shows_its_last_words() {
    let sdist = Sdist::new("broken", "1.0").fails("configure: error: no acceptable libfoo found");
    let Some(machine) = Machine::new(Index::new().add(sdist.clone())).await else { return };
    golden_error!(machine, machine.fail(&pip(&["broken"])).await);
    // The same while uv resolves.
    let Some(machine) = Machine::new(Index::new().add(sdist.old_metadata())).await else { return };
    let error = machine.fail(&pip(&["broken"])).await;
    assert!(matches!(&error, Error::Build { log, .. } if log.contains("libfoo")), "{error}");
}

#[tokio::test]
async fn all_that_a_failing_build_said_is_kept() {
    let code = "\nimport sys\nprint('fatal: no libfoo', 'https://me:hunter2@host.test/', file=sys.stderr)\n\
                for n in range(200): print('chatter', n)\nsys.exit(1)\n";
    let sdist = Sdist::new("chatty", "1.0").old_metadata().runs(code);
    let Some(machine) = Machine::new(Index::new().add(sdist)).await else { return };
    let error = machine.fail(&pip(&["chatty"])).await;
    let Error::Build { log, kept: Some(kept), .. } = &error else { panic!("{error:?}") };
    assert!(log.contains("chatter 199\nfatal: no libfoo"), "{log}");
    assert!(kept.starts_with(machine.path("builds")) && error.to_string().contains(kept.to_str().unwrap()));
    let all = fs_err::read_to_string(kept).unwrap();
    assert!(
        all.contains("chatter 0\n") && all.contains("fatal: no libfoo") && !all.contains("hunter2"),
        "{all}"
    );
}

#[tokio::test]
async fn a_folder_without_a_project_is_named() {
    let Some(machine) = Machine::new(Index::new()).await else { return };
    fs_err::create_dir(machine.path("bare")).unwrap();
    let asked = pip(&[&machine.url("bare")]);
    let error = machine.fail(&asked).await;
    assert!(error.to_string().contains("no pyproject.toml"), "{error}");
    assert_eq!(error.concerns(&asked.requirements), [0]);
}

#[tokio::test]
async fn a_missing_compiler_is_brought_once() {
    let sdist =
        Sdist::new("wants-gcc", "1.0").fails("error: command 'gcc' failed: No such file or directory");
    let Some(machine) = Machine::new(Index::new().add(sdist)).await else { return };
    let error = machine.fail(&pip(&["wants-gcc"])).await;
    assert!(matches!(error, Error::Build { missing: Some("gcc"), .. }), "{error}");
    assert!(error.hint().unwrap().contains("`gcc`"));
    let commands = machine.runner.commands.lock().unwrap();
    let builds: Vec<_> =
        commands.iter().filter(|tool| tool.command.iter().any(|word| word == "build")).collect();
    assert_eq!(builds.len(), 2);
    assert!(builds[0].extra_packages.is_empty());
    let mut expected = vec!["build-essential", "perl-base"];
    // Another Python than Debian's has its headers with it; here it is this machine's.
    if machine.python.starts_with("/usr/bin") {
        expected.push("python3-dev");
    }
    assert_eq!(builds[1].extra_packages, expected);
}

#[tokio::test]
async fn a_wheel_for_another_platform_is_refused() {
    let sdist = Sdist::new("foreign", "1.0").builds("cp311-cp311-linux_aarch64");
    let Some(machine) = Machine::new(Index::new().add(sdist)).await else { return };
    golden_error!(machine, machine.fail(&pip(&["foreign"])).await);
}

#[tokio::test]
async fn a_folder_is_built_as_it_is_now() {
    let Some(machine) = Machine::new(Index::new().add(Wheel::new("a", "1.0"))).await else { return };
    let folder = machine.path("src/mine");
    Sdist::new("mine", "0.1").requires("a").write_source(&folder).unwrap();
    let mut asked = pip(&[&machine.url("src/mine")]);
    asked.requirements[0].editable = true;
    let first = machine.resolve(&asked).await;
    golden!(machine, first);
    assert_eq!(machine.resolve(&asked).await, first);
    assert_eq!(builds(&machine), 1);
    assert!(!folder.join("build").exists());

    Sdist::new("mine", "0.2").requires("a").write_source(&folder).unwrap();
    let second = machine.resolve(&asked).await;
    assert_eq!((second[1].version.as_str(), builds(&machine)), ("0.2", 2));
}

#[tokio::test]
async fn a_repository_is_pinned_to_its_commit() {
    let Some(machine) = Machine::new(Index::new()).await else { return };
    Sdist::new("vcs", "0.1").write_source(&machine.path("repository/python")).unwrap();
    let first = machine.commit("repository");
    let url = format!("git+{}@main#subdirectory=python", machine.url("repository"));
    let asked = pip(&[&format!("vcs @ {url}")]);
    let packages = machine.resolve(&asked).await;
    golden!(machine, packages);
    let commit = |packages: &[PypiPackage]| {
        let PypiSource::Built { repository: Some(repository), .. } = &packages[0].source else { panic!() };
        repository.rsplit_once('@').unwrap().1.split('#').next().unwrap().to_owned()
    };
    assert_eq!(commit(&packages), first);
    assert!(
        machine
            .runner
            .commands
            .lock()
            .unwrap()
            .iter()
            .all(|tool| tool.extra_packages.contains(&"git".to_owned()))
    );

    Sdist::new("vcs", "0.2").write_source(&machine.path("repository/python")).unwrap();
    let second = machine.commit("repository");
    // The branch moved on; the lock does not, until it is told to.
    let kept = machine.upgrade(&asked, &packages, provenv_lock::Upgrade::None).await;
    assert_eq!(kept, packages);
    // Asked for by its commit now, the old one does not count any more.
    let other = pip(&[&format!("vcs @ {}", url.replace("main", &second))]);
    assert_eq!(commit(&machine.upgrade(&other, &packages, provenv_lock::Upgrade::None).await), second);
    let moved = machine.upgrade(&asked, &packages, provenv_lock::Upgrade::All).await;
    assert_eq!((commit(&moved), moved[0].version.as_str()), (second, "0.2"));
}

#[tokio::test]
async fn a_bare_repository_counts_as_requested() {
    let Some(machine) = Machine::new(Index::new()).await else { return };
    Sdist::new("vcs", "0.1").write_source(&machine.path("repository")).unwrap();
    machine.commit("repository");
    let packages = machine.resolve(&pip(&[&format!("git+{}", machine.url("repository"))])).await;
    assert!(packages[0].requested);
}

#[tokio::test]
async fn builds_ask_the_definitions_index() {
    // Its backend is not in the folder but in the index, which only the definition names.
    let Some(machine) = Machine::new(Index::new()).await else { return };
    let folder = machine.path("mine");
    Sdist::new("mine", "0.1").write_source(&folder).unwrap();
    fs_err::write(
        folder.join("pyproject.toml"),
        "[build-system]\nrequires = [\"helper\"]\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
    )
    .unwrap();
    let error = machine.fail(&pip(&[&machine.url("mine")])).await;
    assert!(matches!(&error, Error::Build { log, .. } if log.contains("helper")), "{error}");

    let index = Index::new().add(Wheel::new("helper", "1.0")).serve(provenv_testing::server::FileTree::new());
    let index = provenv_testing::server::Server::start(index);
    let mut asked = pip(&[&machine.url("mine")]);
    asked.extra_index_urls = vec![index.at("/simple/").parse().unwrap()];
    assert_eq!(machine.resolve(&asked).await[0].name, "mine");
}

/// Fails a build that finds the secret anywhere it can look, and tells in the module what it looked at.
const SPY: &str = r#"
import glob, os
for path in glob.glob("/proc/self/environ") + [os.path.expanduser("~/.netrc")]:
    if os.path.exists(path) and b"hunter2" in open(path, "rb").read():
        sys.exit("found the secret in " + path)
if "hunter2" in str(os.environ):
    sys.exit("found the secret in the environment")
REPORT = sorted(os.environ)
"#;

/// What the module of a built wheel holds.
fn module(machine: &Machine, package: &PypiPackage) -> String {
    let bytes = machine.store.read(package.digest()).unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let module = format!("{}/__init__.py", package.name.replace('-', "_"));
    std::io::read_to_string(archive.by_name(&module).unwrap()).unwrap()
}

#[tokio::test]
async fn a_build_has_what_it_needs_and_no_credentials() {
    let variables =
        [("PROVENV_INDEX_127_0_0_1_USERNAME", "anna"), ("PROVENV_INDEX_127_0_0_1_PASSWORD", "hunter2")];
    let asks = format!(
        "{SPY}\ndef get_requires_for_build_wheel(c=None):\n    import helper\n    return ['more>=1']\n"
    );
    let metadata = "\ndef prepare_metadata_for_build_wheel(folder, c=None):\n    import helper, more\n    \
                    os.mkdir(os.path.join(folder, 'x.dist-info'))\n    \
                    open(os.path.join(folder, 'x.dist-info/METADATA'), 'w').write(read('PKG-INFO'))\n    \
                    return 'x.dist-info'\n";
    let old = Sdist::new("old", "1.0").old_metadata().requires("a").build_requires("helper");
    let index = Index::new()
        .add(Wheel::new("a", "1.0"))
        .add(Wheel::new("helper", "1.0"))
        // Built too, for the others' sake.
        .add(Sdist::new("more", "1.0").old_metadata().runs(SPY))
        .add(old.runs(&(asks.clone() + metadata)))
        .add(Sdist::new("new", "1.0").build_requires("helper").runs(&asks));
    let Some(machine) = Machine::with(index, &variables).await else { return };
    machine.server.require_auth("anna", "hunter2");
    let packages = machine.resolve(&pip(&["old", "new"])).await;
    assert_eq!(packages.iter().map(|package| &*package.name).collect::<Vec<_>>(), ["a", "new", "old"]);
    for built in &packages[1..] {
        let module = module(&machine, built);
        assert!(module.contains("SOURCE_DATE_EPOCH") && !module.contains("PROVENV_INDEX"), "{module}");
    }
    // Only uv has the network, and no Python starts beside it.
    for tool in machine.runner.commands.lock().unwrap().iter() {
        let asks = tool.command[1..3] == ["pip", "compile"];
        assert_eq!(tool.network, asks, "{:?}", tool.command);
        // What uv reads names variables, and it fills them in.
        assert!(!tool.env.iter().any(|(_, value)| value.contains("hunter2")), "{:?}", tool.env);
        assert_eq!(tool.env.iter().any(|(name, _)| name == "PYTHONHOME"), asks);
        assert_eq!(tool.mounts.iter().any(|mount| mount.guest.ends_with("cache")), asks);
    }
    // What a package says it needs is asked once.
    let asked = |machine: &Machine| machine.notes().iter().filter(|note| note.contains("asking old")).count();
    assert_eq!(machine.resolve(&pip(&["old", "new"])).await, packages);
    assert_eq!(asked(&machine), 1);
}

#[tokio::test]
async fn sources_without_a_name_are_asked_for_it() {
    let Some(machine) = Machine::new(Index::new().add(Wheel::new("a", "1.0"))).await else { return };
    // Neither the file's name nor a static field tells it.
    let sdist = Sdist::new("hidden", "1.0").old_metadata().requires("a");
    fs_err::write(machine.path("archive.tar.gz"), sdist.build()).unwrap();
    Sdist::new("repository", "1.0").old_metadata().write_source(&machine.path("repository")).unwrap();
    fs_err::remove_file(machine.path("repository/PKG-INFO")).unwrap();
    fs_err::write(
        machine.path("repository/backend.py"),
        "def prepare_metadata_for_build_wheel(folder, c=None):\n    import os\n    os.mkdir(folder + '/x.dist-info')\n    \
         open(folder + '/x.dist-info/METADATA', 'w').write('Name: called\\nVersion: 3\\nRequires-Dist: a\\n')\n    \
         return 'x.dist-info'\n\
         def build_wheel(folder, c=None, m=None):\n    import zipfile\n    \
         archive = zipfile.ZipFile(folder + '/called-3-py3-none-any.whl', 'w')\n    \
         archive.writestr('called-3.dist-info/METADATA', '')\n    archive.close()\n    \
         return 'called-3-py3-none-any.whl'\n",
    )
    .unwrap();
    machine.commit("repository");
    let asked = [machine.url("archive.tar.gz"), format!("git+{}", machine.url("repository"))];
    let packages = machine.resolve(&pip(&[&asked[0], &asked[1]])).await;
    let names: Vec<_> =
        packages.iter().map(|package| (&*package.name, &*package.version, package.requested)).collect();
    assert_eq!(names, [("a", "1.0", false), ("called", "3", true), ("hidden", "1.0", true)]);
}

#[tokio::test]
async fn what_a_source_may_not_ask_for_is_refused() {
    let index = |requirement: &str| Index::new().add(Sdist::new("greedy", "1.0").build_requires(requirement));
    for requirement in
        ["x @ https://h.test/${UV_INDEX_PROVENV_DEFAULT_PASSWORD}/x.whl", "x @ file:///etc", "-r /etc/passwd"]
    {
        let Some(machine) = Machine::new(index(requirement)).await else { return };
        let error = machine.fail(&pip(&["greedy"])).await;
        assert!(matches!(error, Error::BadSource { .. }), "{requirement}: {error}");
    }
    // Neither may it need itself.
    let circle = Index::new()
        .add(Sdist::new("hen", "1.0").build_requires("egg"))
        .add(Sdist::new("egg", "1.0").build_requires("hen"));
    let Some(machine) = Machine::new(circle).await else { return };
    let error = machine.fail(&pip(&["hen"])).await;
    assert!(matches!(&error, Error::BadSource { reason, .. } if reason.contains("itself")), "{error}");
}

#[tokio::test]
async fn a_source_that_unpacks_to_far_too_much_is_not_unpacked() {
    let code = format!("\nnothing = '{}'\n", " ".repeat(300 << 20));
    let sdist = Sdist::new("bomb", "1.0").runs(&code);
    let Some(machine) = Machine::new(Index::new().add(sdist)).await else { return };
    let error = machine.fail(&pip(&["bomb"])).await.to_string();
    assert!(error.contains("`bomb==1.0`") && error.contains("unpacks to more than"), "{error}");
}

#[tokio::test]
async fn a_link_is_no_wheel() {
    let code = "\ndef build_wheel(folder, c=None, m=None):\n    name = 'sly-1.0-py3-none-any.whl'\n    \
                os.symlink('/etc/passwd', os.path.join(folder, name))\n    return name\n";
    let Some(machine) = Machine::new(Index::new().add(Sdist::new("sly", "1.0").runs(code))).await else {
        return;
    };
    let error = machine.fail(&pip(&["sly"])).await;
    assert!(matches!(&error, Error::BuiltWheel { wheel, .. } if wheel == "nothing"), "{error}");
}

#[tokio::test]
async fn code_that_the_hashes_do_not_admit_is_not_run() {
    let mark = tempfile::tempdir().unwrap();
    let code = format!("\nopen({:?}, 'w')\n", mark.path().join("ran"));
    let sdist = Sdist::new("other", "1.0").old_metadata().runs(&code);
    let Some(machine) = Machine::new(Index::new().add(sdist.clone())).await else { return };
    let mut asked = pip(&["other==1.0"]);
    asked.requirements[0].hashes = vec![Digest::of(b"another file")];
    let error = machine.fail(&asked).await;
    assert!(matches!(error, Error::Hash { .. }), "{error}");
    assert!(!mark.path().join("ran").exists());
    asked.requirements[0].hashes = vec![Digest::of(&sdist.build())];
    machine.resolve(&asked).await;
    assert!(mark.path().join("ran").exists());
}

#[tokio::test]
async fn a_build_that_wants_the_network_says_how_to_allow_it() {
    let sdist = Sdist::new("greedy", "1.0").fails("curl: (6) Could not resolve host: files.test");
    let Some(mut machine) = Machine::new(Index::new().add(sdist)).await else { return };
    golden_error!(machine, machine.fail(&pip(&["greedy"])).await);
    machine.config.build_network = true;
    machine.fail(&pip(&["greedy"])).await;
    let commands = machine.runner.commands.lock().unwrap();
    assert!(commands.last().unwrap().network);
}
