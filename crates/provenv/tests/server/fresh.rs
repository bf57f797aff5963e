//! What a server gives again is what it would say now. Of several servers `several` says the same.

use provenv_testing::pypi::{Index, Wheel};

use super::builds::register;
use super::team::{DEFAULT, Team, problem};
use crate::support::{Done, command, definition, serve};

#[test]
fn what_another_process_changes_is_seen_at_once() {
    if std::env::var_os("PROVENV_TEST_CATALOGUE").is_some() {
        return eprintln!("skipped: the server's catalogue is not in the folder");
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(team) = Team::with_base(folder.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(&team.owner, &definition(&index, "tea", &["tea"]));
    let (list, newest) =
        (format!("{DEFAULT}/environments"), format!("{DEFAULT}/environments/tea/versions/@latest"));
    let run = |arguments: &[&str]| {
        let mut command = command(&team.root.join("workspaces/default"));
        Done::from(command.args(arguments).output().unwrap()).ok()
    };
    for _ in 0..4 {
        // Asked for again, it is what was said before.
        let shown: Vec<_> = (0..3).map(|_| team.owner.get(&version).is(200)).collect();
        let tag = shown[0].must("ETag");
        for again in &shown {
            assert_eq!((again.must("ETag"), again.text()), (tag, shown[0].text()));
            assert_eq!(again.must("Content-Type"), "application/json");
        }
        let known = team.owner.with("If-None-Match", tag).get(&version).is(304);
        assert_eq!((known.must("ETag"), known.text()), (tag, String::new()));
        for _ in 0..2 {
            team.owner.get(&newest).is(200);
            assert_eq!(team.owner.get(&list).is(200).json()["environments"].as_array().unwrap().len(), 1);
        }

        run(&["env", "archive", "tea:1"]);
        assert_eq!(team.owner.with("If-None-Match", tag).get(&version).is(200).json()["archived"], true);
        problem(team.owner.get(&newest), 404, "all-archived");
        assert_eq!(team.owner.get(&list).is(200).json()["environments"].as_array().unwrap().len(), 0);
        run(&["env", "restore", "tea:1"]);
    }
    // Nobody gets what was given to those who may have it.
    problem(team.nobody().get(&version), 401, "token-needed");
    problem(team.user("guest", None).get(&version), 404, "workspace-not-found");
}
