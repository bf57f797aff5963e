//! Wheels that are built: sdists, repositories, folders.

use provenv_definition::Digest;
use provenv_lock::pypi::Error;
use provenv_lock::{PypiPackage, PypiSource};
use provenv_testing::pypi::{Index, Sdist, Wheel};

use crate::support::{Machine, pip};
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
    assert_eq!(builds[1].extra_packages, ["build-essential", "python3-dev"]);
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
