//! What a user reads when it does not work out.

use provenv_lock::pypi::Error;
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Fault;

use super::support::{Machine, pip};
use crate::golden_error;

#[tokio::test]
async fn versions_conflict() {
    let index = Index::new()
        .add(Wheel::new("old-fashioned", "1.0").requires("shared<2"))
        .add(Wheel::new("modern", "1.0").requires("shared>=2"))
        .add(Wheel::new("shared", "1.0"))
        .add(Wheel::new("shared", "2.0"));
    let Some(machine) = Machine::new(index).await else { return };
    golden_error!(machine, machine.fail(&pip(&["old-fashioned", "modern"])).await);
}

#[tokio::test]
async fn no_such_package() {
    let Some(machine) = Machine::new(Index::new()).await else { return };
    golden_error!(machine, machine.fail(&pip(&["scikit-lern"])).await);
}

#[tokio::test]
async fn a_dependency_is_no_such_package() {
    let Some(machine) =
        Machine::new(Index::new().add(Wheel::new("a", "1.0").requires("gone-for-ever"))).await
    else {
        return;
    };
    let error = machine.fail(&pip(&["a"])).await;
    assert!(matches!(&error, Error::NoPackage { package, .. } if package == "gone-for-ever"), "{error}");
}

#[tokio::test]
async fn no_such_version() {
    let Some(machine) = Machine::new(Index::new().add(Wheel::new("a", "1.0"))).await else { return };
    golden_error!(machine, machine.fail(&pip(&["a>=2"])).await);
}

#[tokio::test]
async fn another_python_is_needed() {
    let index = Index::new().add(Wheel::new("new", "1.0").requires_python(">=3.99"));
    let Some(machine) = Machine::new(index).await else { return };
    golden_error!(machine, machine.fail(&pip(&["new"])).await);
}

#[tokio::test]
async fn no_file_for_this_platform() {
    let index = Index::new().add(Wheel::new("win", "1.0").tag("cp311-cp311-win_amd64"));
    let Some(machine) = Machine::new(index).await else { return };
    golden_error!(machine, machine.fail(&pip(&["win"])).await);
}

#[tokio::test]
async fn no_wheel_is_for_this_python() {
    let index = Index::new().add(Wheel::new("old", "1.15").tag("cp37-cp37m-manylinux2010_x86_64"));
    let Some(machine) = Machine::new(index).await else { return };
    golden_error!(machine, machine.fail(&pip(&["old==1.15"])).await);
}

#[tokio::test]
async fn without_index_only_what_is_linked_can_be_had() {
    let Some(machine) = Machine::new(Index::new().add(Wheel::new("a", "1.0"))).await else { return };
    let mut asked = pip(&["a"]);
    asked.no_index = true;
    golden_error!(machine, machine.fail(&asked).await);
}

#[tokio::test]
async fn the_index_is_out_of_reach() {
    let Some(machine) = Machine::new(Index::new()).await else { return };
    let mut asked = pip(&["a"]);
    // Nobody listens on the discard port.
    asked.index_url = Some("http://127.0.0.1:9/simple/".parse().unwrap());
    let error = machine.fail(&asked).await;
    assert!(matches!(error, Error::Network { .. }), "{error}");
}

#[tokio::test]
async fn offline_only_what_is_cached_can_be_had() {
    let Some(mut machine) =
        Machine::new(Index::new().add(Wheel::new("a", "1.0")).add(Wheel::new("b", "1.0"))).await
    else {
        return;
    };
    let packages = machine.resolve(&pip(&["a"])).await;
    machine.go_offline();
    assert_eq!(machine.resolve(&pip(&["a"])).await, packages);
    let error = machine.fail(&pip(&["b"])).await;
    assert!(matches!(error, Error::Offline { .. }), "{error}");
    assert!(!machine.runner.commands.lock().unwrap().last().unwrap().network);
}

#[tokio::test]
async fn the_index_is_broken() {
    let Some(machine) = Machine::new(Index::new().add(Wheel::new("a", "1.0"))).await else { return };
    machine.server.fault_always("/simple/a/", Fault::Status(500));
    let error = machine.fail(&pip(&["a"])).await;
    assert!(matches!(error, Error::Network { .. }), "{error}");
}

#[tokio::test]
async fn a_local_path_is_not_there() {
    let Some(machine) = Machine::new(Index::new()).await else { return };
    golden_error!(machine, machine.fail(&pip(&[&machine.url("nowhere/a-1.0-py3-none-any.whl")])).await);
}

#[tokio::test]
async fn a_repository_is_not_there() {
    let Some(machine) = Machine::new(Index::new()).await else { return };
    fs_err::create_dir(machine.path("empty")).unwrap();
    let error = machine.fail(&pip(&[&format!("a @ git+{}", machine.url("empty"))])).await;
    assert!(matches!(error, Error::Git { .. }), "{error}");
}
