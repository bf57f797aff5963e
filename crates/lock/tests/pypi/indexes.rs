//! Indexes, find-links and credentials.

use provenv_lock::pypi::Error;
use provenv_testing::pypi::{Index, Pages, Sdist, Wheel};
use provenv_testing::server::{FileTree, Server};

use super::support::{Machine, pip};
use crate::golden;

#[tokio::test]
async fn old_index_pages_serve_as_well() {
    let index =
        Index::new().pages(Pages::Html).add(Wheel::new("a", "1.0").requires("b")).add(Wheel::new("b", "1.0"));
    let Some(machine) = Machine::new(index).await else { return };
    golden!(machine, machine.resolve(&pip(&["a"])).await);
}

#[tokio::test]
async fn digests_that_an_index_does_not_tell_are_learnt() {
    for pages in [Pages::Html, Pages::Json] {
        let index = Index::new().pages(pages).without_hashes().add(Wheel::new("a", "1.0"));
        let Some(machine) = Machine::new(index).await else { return };
        let packages = machine.resolve(&pip(&["a"])).await;
        assert_eq!(*packages[0].digest(), provenv_definition::Digest::of(&Wheel::new("a", "1.0").build()));
    }
}

#[tokio::test]
async fn find_links_need_no_index() {
    let Some(machine) = Machine::new(Index::new()).await else { return };
    Index::new().add(Wheel::new("a", "1.0").requires("b")).write_to(&machine.path("links, here")).unwrap();
    let pages = Index::new().add(Wheel::new("b", "1.0"));
    let server = Server::start(pages.pages(Pages::Html).serve(FileTree::new()));
    let mut asked = pip(&["a"]);
    asked.no_index = true;
    asked.find_links =
        vec![machine.url("links,%20here").parse().unwrap(), server.at("/simple/b/").parse().unwrap()];
    let packages = machine.resolve(&asked).await;
    let text = serde_json::to_string_pretty(&packages).unwrap().replace(&server.url, "[links]");
    crate::pypi::support::settings(&machine).bind(|| insta::assert_snapshot!(text));
    assert_eq!(machine.server.total_hits(), 0);
}

#[tokio::test]
async fn extra_indexes_come_first_and_one_index_answers_for_a_package() {
    let Some(machine) =
        Machine::new(Index::new().add(Wheel::new("a", "9.0")).add(Wheel::new("b", "1.0"))).await
    else {
        return;
    };
    let one = Server::start(Index::new().add(Wheel::new("a", "1.0").requires("b")).serve(FileTree::new()));
    let two = Server::start(Index::new().add(Wheel::new("a", "2.0")).serve(FileTree::new()));
    let mut asked = pip(&["a"]);
    asked.extra_index_urls = vec![one.at("/simple/").parse().unwrap(), two.at("/simple/").parse().unwrap()];
    let packages = machine.resolve(&asked).await;
    let versions: Vec<_> = packages.iter().map(|package| (&*package.name, &*package.version)).collect();
    assert_eq!(versions, [("a", "1.0"), ("b", "1.0")]);
    asked.extra_index_urls.reverse();
    assert_eq!(machine.resolve(&asked).await[0].version, "2.0");
}

#[tokio::test]
async fn the_definitions_index_replaces_the_machines() {
    let Some(machine) = Machine::new(Index::new().add(Wheel::new("a", "9.0"))).await else { return };
    let own = Server::start(Index::new().add(Wheel::new("a", "1.0")).serve(FileTree::new()));
    let mut asked = pip(&["a"]);
    asked.index_url = Some(own.at("/simple/").parse().unwrap());
    let resolution = machine.try_resolve(&asked, None, &provenv_lock::Upgrade::None).await.unwrap();
    assert_eq!(resolution.packages[0].version, "1.0");
    let indexes: Vec<String> = resolution.indexes.iter().map(|index| index.url.to_string()).collect();
    assert_eq!(indexes, [own.at("/simple/")]);
    assert_eq!(machine.server.total_hits(), 0);
}

/// Nothing that stays, and nothing that is shown, holds the password.
fn assert_no_secret(machine: &Machine, secret: &str) {
    for command in machine.runner.commands.lock().unwrap().iter() {
        assert!(!command.command.join(" ").contains(secret), "{:?}", command.command);
    }
    assert!(!machine.notes().join("\n").contains(secret));
    let grep = std::process::Command::new("grep")
        .args(["--recursive", "--text", "--files-with-matches", "--fixed-strings", secret])
        .arg(machine.folder.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "");
}

#[tokio::test]
async fn credentials_come_from_the_environment_and_stay_nowhere() {
    let variables =
        [("PROVENV_INDEX_127_0_0_1_USERNAME", "anna"), ("PROVENV_INDEX_127_0_0_1_PASSWORD", "hunter2/:@")];
    let Some(machine) = Machine::with(Index::new().add(Wheel::new("a", "1.0")), &variables).await else {
        return;
    };
    machine.server.require_auth("anna", "hunter2/:@");
    let mut asked = pip(&["a"]);
    golden!(machine, machine.resolve(&asked).await);
    assert_no_secret(&machine, "hunter2");
    // A direct URL and a page of links on the same host.
    asked = pip(&[&format!("a @ {}", machine.server.at("/files/a-1.0-py3-none-any.whl"))]);
    assert_eq!(machine.resolve(&asked).await[0].version, "1.0");
    asked = pip(&["a"]);
    asked.no_index = true;
    asked.find_links = vec![machine.server.at("/simple/a/").parse().unwrap()];
    let html = Index::new().pages(Pages::Html).add(Wheel::new("a", "1.0")).serve(FileTree::new());
    let links = Server::start(html);
    links.require_auth("anna", "hunter2/:@");
    asked.find_links = vec![links.at("/simple/a/").parse().unwrap()];
    assert_eq!(machine.resolve(&asked).await[0].version, "1.0");
    assert_no_secret(&machine, "hunter2");
}

#[tokio::test]
async fn variables_in_an_index_url_are_expanded_late() {
    let variables = [("INDEX_USER", "anna"), ("INDEX_TOKEN", "hunter2")];
    let Some(machine) = Machine::with(Index::new().add(Wheel::new("a", "1.0")), &variables).await else {
        return;
    };
    machine.server.require_auth("anna", "hunter2");
    let url = machine.server.at("/simple/").replace("http://", "http://${INDEX_USER}:${INDEX_TOKEN}@");
    let mut asked = pip(&["a"]);
    asked.index_url = Some(url.parse().unwrap());
    assert_eq!(machine.resolve(&asked).await[0].version, "1.0");
    let url = machine.server.at("/files/a-1.0-py3-none-any.whl");
    let url = url.replace("http://", "http://${INDEX_USER}:${INDEX_TOKEN}@");
    let packages = machine.resolve(&pip(&[&format!("a @ {url}")])).await;
    golden!(machine, packages);
    assert_no_secret(&machine, "hunter2");
}

#[tokio::test]
async fn a_token_in_the_path_stays_a_variable() {
    let variables = [("INDEX_TOKEN", "hunter2")];
    let index = Index::new().below("hunter2").add(Wheel::new("a", "1.0")).add(Sdist::new("s", "1.0"));
    let Some(machine) = Machine::with(index, &variables).await else { return };
    let mut asked = pip(&["a", "s"]);
    asked.index_url = Some(machine.server.at("/${INDEX_TOKEN}/simple/").parse().unwrap());
    let packages = machine.resolve(&asked).await;
    golden!(machine, packages);
    assert!(!machine.notes().join("\n").contains("hunter2"));
}

#[tokio::test]
async fn a_variable_that_is_not_set_is_named() {
    let Some(machine) = Machine::new(Index::new()).await else { return };
    let mut asked = pip(&["a"]);
    asked.index_url = Some("https://${NOT_SET}@host.test/simple/".parse().unwrap());
    let error = machine.fail(&asked).await;
    assert!(matches!(&error, Error::Variable { variable, .. } if variable == "NOT_SET"), "{error}");
}

#[tokio::test]
async fn refused_credentials_are_said_to_be() {
    let variables =
        [("PROVENV_INDEX_127_0_0_1_USERNAME", "anna"), ("PROVENV_INDEX_127_0_0_1_PASSWORD", "hunter2")];
    let Some(machine) = Machine::with(Index::new().add(Wheel::new("a", "1.0")), &variables).await else {
        return;
    };
    machine.server.require_auth("anna", "another");
    crate::golden_error!(machine, machine.fail(&pip(&["a"])).await);
    assert_no_secret(&machine, "hunter2");
}
