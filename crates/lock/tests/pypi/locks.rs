//! What ordinary definitions resolve to.

use provenv_definition::Digest;
use provenv_lock::PypiSource;
use provenv_lock::pypi::Error;
use provenv_testing::pypi::{Index, Sdist, Wheel};

use super::support::{Machine, pip, requirement};
use crate::{golden, golden_error};

fn index() -> Index {
    Index::new()
        .add(Wheel::new("Left.Pad", "1.0").requires("right-pad>=1"))
        .add(
            Wheel::new("Left.Pad", "1.1")
                .requires("right-pad>=1")
                .requires("windows-only ; sys_platform == 'win32'"),
        )
        .add(Wheel::new("right-pad", "1.5"))
        .add(Wheel::new("right-pad", "2.0"))
        .add(Wheel::new("right-pad", "2.1").requires_python(">=3.99"))
        .add(Wheel::new("right-pad", "3.0b1"))
        .add(Wheel::new("extras", "1.0").extra("pads", "left-pad").extra("never", "nothing-of-this-name"))
}

#[tokio::test]
async fn simple() {
    let Some(machine) = Machine::new(index()).await else { return };
    let packages = machine.resolve(&pip(&["left-pad"])).await;
    golden!(machine, packages);
}

#[tokio::test]
async fn nothing_asked_runs_nothing() {
    let Some(machine) = Machine::new(index()).await else { return };
    assert!(machine.resolve(&pip(&[])).await.is_empty());
    assert!(machine.runner.commands.lock().unwrap().is_empty());
}

#[tokio::test]
async fn digests_and_sizes_are_the_files() {
    let Some(machine) = Machine::new(index()).await else { return };
    let packages = machine.resolve(&pip(&["right-pad==1.5"])).await;
    let bytes = Wheel::new("right-pad", "1.5").build();
    assert_eq!((packages[0].digest(), packages[0].size()), (&Digest::of(&bytes), bytes.len() as u64));
}

#[tokio::test]
async fn markers_decide_for_the_environment() {
    let Some(machine) = Machine::new(index()).await else { return };
    let asked = pip(&[
        "left-pad ; python_version < '3.12' and platform_machine == 'x86_64'",
        "nothing-of-this-name ; python_version >= '3.12' or sys_platform == 'darwin'",
    ]);
    golden!(machine, machine.resolve(&asked).await);
}

#[tokio::test]
async fn extras_bring_packages_along() {
    let Some(machine) = Machine::new(index()).await else { return };
    golden!(machine, machine.resolve(&pip(&["extras[pads]"])).await);
}

#[tokio::test]
async fn constraints_bound_what_comes_along() {
    let Some(machine) = Machine::new(index()).await else { return };
    let mut asked = pip(&["left-pad"]);
    asked.constraints = vec![requirement("right-pad<2"), requirement("never-needed==1")];
    golden!(machine, machine.resolve(&asked).await);
}

#[tokio::test]
async fn pre_releases_only_when_asked_for() {
    let Some(machine) = Machine::new(index()).await else { return };
    let version = |packages: &[provenv_lock::PypiPackage]| packages[0].version.clone();
    let mut asked = pip(&["right-pad"]);
    assert_eq!(version(&machine.resolve(&asked).await), "2.0");
    assert_eq!(version(&machine.resolve(&pip(&["right-pad>=3.0b1"])).await), "3.0b1");
    asked.pre = true;
    assert_eq!(version(&machine.resolve(&asked).await), "3.0b1");
}

#[tokio::test]
async fn yanked_versions_only_when_pinned() {
    let Some(machine) = Machine::new(index().yank("right-pad", "2.0", "broken")).await else { return };
    assert_eq!(machine.resolve(&pip(&["right-pad"])).await[0].version, "1.5");
    assert_eq!(machine.resolve(&pip(&["right-pad==2.0"])).await[0].version, "2.0");
    assert!(machine.notes().iter().any(|note| note.contains("yanked")), "{:?}", machine.notes());
}

#[tokio::test]
async fn the_wheel_that_fits_best_is_locked() {
    let index = Index::new()
        .add(Wheel::new("fast", "1.0"))
        .add(Wheel::new("fast", "1.0").tag("cp311-cp311-manylinux_2_17_x86_64").platform_library())
        .add(Wheel::new("fast", "1.0").tag("cp311-cp311-manylinux_2_28_x86_64").platform_library())
        .add(Wheel::new("fast", "1.0").tag("cp311-cp311-manylinux_2_17_aarch64").platform_library())
        .add(Wheel::new("fast", "1.0").tag("cp312-cp312-manylinux_2_17_x86_64").platform_library());
    let Some(machine) = Machine::new(index).await else { return };
    golden!(machine, machine.resolve(&pip(&["fast"])).await);
}

#[tokio::test]
async fn hashes_choose_among_files() {
    let pure = Wheel::new("fast", "1.0");
    let better = Wheel::new("fast", "1.0").tag("cp311-cp311-manylinux_2_17_x86_64");
    let Some(machine) = Machine::new(Index::new().add(pure.clone()).add(better)).await else { return };
    let mut asked = pip(&["fast==1.0"]);
    asked.requirements[0].hashes = vec![Digest::of(&pure.build())];
    assert_eq!(machine.resolve(&asked).await[0].wheel, pure.file_name());
}

#[tokio::test]
async fn wrong_hashes_are_refused() {
    let Some(machine) = Machine::new(index()).await else { return };
    let mut asked = pip(&["right-pad==1.5"]);
    asked.requirements[0].hashes = vec![Digest::of(b"something else")];
    golden_error!(machine, machine.fail(&asked).await);
}

#[tokio::test]
async fn one_hash_asks_for_all() {
    let Some(machine) = Machine::new(index()).await else { return };
    let mut asked = pip(&["left-pad==1.0"]);
    asked.requirements[0].hashes =
        vec![Digest::of(&Wheel::new("Left.Pad", "1.0").requires("right-pad>=1").build())];
    golden_error!(machine, machine.fail(&asked).await);
}

#[tokio::test]
async fn direct_urls_and_local_files() {
    let Some(machine) = Machine::new(index()).await else { return };
    Index::new().add(Wheel::new("local", "0.1")).write_to(&machine.path("my wheels")).unwrap();
    let url = machine.server.at("/files/left_pad-1.0-py3-none-any.whl");
    let asked = pip(&[
        &format!("left-pad @ {url}"),
        &format!("{}/local-0.1-py3-none-any.whl", machine.url("my%20wheels")),
    ]);
    golden!(machine, machine.resolve(&asked).await);
}

#[tokio::test]
async fn a_direct_url_for_another_platform_is_refused() {
    let index = index().add(Wheel::new("win", "1.0").tag("cp311-cp311-win_amd64"));
    let Some(machine) = Machine::new(index).await else { return };
    let asked = pip(&[&format!("win @ {}", machine.server.at("/files/win-1.0-cp311-cp311-win_amd64.whl"))]);
    let error = machine.fail(&asked).await;
    assert!(matches!(error, Error::NoFile { .. } | Error::Conflict { .. }), "{error:?}");
}

#[tokio::test]
async fn no_binary_and_only_binary_are_honoured() {
    let index = Index::new()
        .add(Wheel::new("both", "1.0"))
        .add(Sdist::new("both", "1.0"))
        .add(Sdist::new("both", "2.0"));
    let Some(machine) = Machine::new(index).await else { return };
    let mut asked = pip(&["both"]);
    asked.only_binary = vec!["both".into()];
    assert_eq!(machine.resolve(&asked).await[0].version, "1.0");
    let mut asked = pip(&["both==1.0"]);
    asked.no_binary = vec![":all:".into()];
    assert!(matches!(machine.resolve(&asked).await[0].source, PypiSource::Built { .. }));
    let mut asked = pip(&["both==2.0"]);
    asked.only_binary = vec![":all:".into()];
    assert!(matches!(machine.fail(&asked).await, Error::NoFile { .. }));
}

#[tokio::test]
async fn the_same_question_has_the_same_answer() {
    let Some(one) = Machine::new(index()).await else { return };
    let Some(other) = Machine::new(index()).await else { return };
    let asked = pip(&["extras[pads]", "right-pad"]);
    let mut turned = asked.clone();
    turned.requirements.reverse();
    let text = |machine: &Machine, packages: &[provenv_lock::PypiPackage]| {
        serde_json::to_string(packages).unwrap().replace(&machine.server.url, "")
    };
    let answer = text(&one, &one.resolve(&asked).await);
    assert_eq!(answer, text(&one, &one.resolve(&asked).await));
    assert_eq!(answer, text(&other, &other.resolve(&turned).await));
}
