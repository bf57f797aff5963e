//! Moving from one lock to the next.

use provenv_lock::diff::diff;
use provenv_lock::{PypiPackage, Upgrade};
use provenv_testing::pypi::{Index, Sdist, Wheel};
use provenv_testing::server::{FileTree, Server};

use super::support::{Machine, lock, pip};

fn versions(packages: &[PypiPackage]) -> Vec<String> {
    packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
}

fn index() -> Index {
    Index::new()
        .add(Wheel::new("a", "1.0").requires("b"))
        .add(Wheel::new("b", "1.0"))
        .add(Wheel::new("c", "1.0"))
}

fn newer() -> Index {
    index().add(Wheel::new("a", "2.0").requires("b")).add(Wheel::new("b", "2.0")).add(Wheel::new("c", "2.0"))
}

/// The index as it is after the maintainers' releases.
fn release(machine: &mut Machine, index: &Index) {
    let server = Server::start(index.serve(FileTree::new()));
    machine.config.index = Some(server.at("/simple/").parse().unwrap());
    machine.server = server;
}

#[tokio::test]
async fn only_what_is_named_moves() {
    let Some(mut machine) = Machine::new(index()).await else { return };
    let asked = pip(&["a", "c"]);
    let old = machine.resolve(&asked).await;
    release(&mut machine, &newer());
    let kept = machine.upgrade(&asked, &old, Upgrade::None).await;
    assert_eq!(versions(&kept), ["a 1.0", "b 1.0", "c 1.0"]);
    let one = machine.upgrade(&asked, &old, Upgrade::Packages(["B".to_owned()].into())).await;
    assert_eq!(versions(&one), ["a 1.0", "b 2.0", "c 1.0"]);
    let all = machine.upgrade(&asked, &old, Upgrade::All).await;
    assert_eq!(versions(&all), ["a 2.0", "b 2.0", "c 2.0"]);

    let changes = diff(&lock(old), &lock(one));
    let changes = &changes.ecosystems["pypi"];
    assert_eq!((changes.added.len(), changes.removed.len(), changes.changed.len()), (0, 0, 1));
    assert_eq!(changes.changed[0].new_version, "2.0");
}

#[tokio::test]
async fn a_changed_definition_moves_what_it_must() {
    let Some(mut machine) = Machine::new(index()).await else { return };
    let old = machine.resolve(&pip(&["a", "c"])).await;
    release(&mut machine, &newer());
    let new = machine.upgrade(&pip(&["a>=2", "c"]), &old, Upgrade::None).await;
    assert_eq!(versions(&new), ["a 2.0", "b 1.0", "c 1.0"]);
}

#[tokio::test]
async fn a_file_that_came_later_changes_nothing() {
    let Some(mut machine) = Machine::new(index()).await else { return };
    let asked = pip(&["c"]);
    let old = machine.resolve(&asked).await;
    let better = Wheel::new("c", "1.0").tag("cp311-cp311-manylinux_2_17_x86_64");
    release(&mut machine, &index().add(better.clone()));
    let kept = machine.upgrade(&asked, &old, Upgrade::None).await;
    assert_eq!(kept[0].wheel, old[0].wheel);
    let moved = machine.upgrade(&asked, &old, Upgrade::Packages(["c".to_owned()].into())).await;
    assert_eq!(moved[0].wheel, better.file_name());
}

#[tokio::test]
async fn a_yanked_version_stays_locked() {
    let Some(mut machine) = Machine::new(index()).await else { return };
    let asked = pip(&["c"]);
    let old = machine.resolve(&asked).await;
    release(&mut machine, &newer().yank("c", "1.0", "bad"));
    assert_eq!(versions(&machine.upgrade(&asked, &old, Upgrade::None).await), ["c 1.0"]);
}

#[tokio::test]
async fn a_built_wheel_stays_the_same_bytes() {
    let Some(mut machine) = Machine::new(Index::new().add(Sdist::new("s", "1.0"))).await else { return };
    let mut old = machine.resolve(&pip(&["s"])).await;
    // As though it had been built elsewhere, where it came out differently.
    let other = machine.store.put(&Wheel::new("s", "1.0").file("other.txt", "x").build()).unwrap();
    let provenv_lock::PypiSource::Built { sha256, .. } = &mut old[0].source else { panic!() };
    *sha256 = other;
    let again = Index::new().add(Sdist::new("s", "1.0"));
    release(&mut machine, &again);
    let kept = machine.upgrade(&pip(&["s"]), &old, Upgrade::None).await;
    assert_eq!(kept[0].digest(), &other);
}
