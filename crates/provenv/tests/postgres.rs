//! The catalogue in PostgreSQL: the same commands, many processes at once, and a server that goes away.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server;

use crate::support::postgres::{PASSWORD, Postgres};
use crate::support::{Done, Workspace, definition, eventually, serve};

fn index() -> Index {
    Index::new().add(Wheel::new("tea", "1.0").file("tea/__init__.py", "print('poured')\n"))
}

/// A workspace with its catalogue in a server, and a definition in it.
fn begin() -> Option<(Workspace, Postgres, Server)> {
    let workspace = Workspace::new()?;
    let postgres = Postgres::start()?;
    let workspace = workspace.with(catalogue(&postgres));
    let server = serve(&index());
    workspace.write("tea.yaml", &definition(&server, "tea", &["tea"]));
    Some((workspace, postgres, server))
}

/// The variables of a workspace with its catalogue in this server.
fn catalogue(postgres: &Postgres) -> Vec<(String, String)> {
    vec![("PROVENV_CATALOGUE".to_owned(), postgres.url())]
}

/// The definition of `tea.yaml` with a variable that makes it another version.
fn cup(workspace: &Workspace, number: usize) -> PathBuf {
    let text = fs_err::read_to_string(workspace.path().join("tea.yaml")).unwrap();
    workspace
        .write(&format!("cup-{number}.yaml"), &format!("{text}environment_variables: {{CUP: '{number}'}}\n"))
}

/// The versions of `tea`, by number.
fn versions(workspace: &Workspace) -> Vec<u64> {
    let listed = workspace.json(["env", "list", "tea"]);
    let mut versions: Vec<u64> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["version"].as_str().unwrap().parse().unwrap())
        .collect();
    versions.sort_unstable();
    versions
}

#[test]
fn an_environment_goes_its_way_as_in_a_file() {
    let Some((workspace, postgres, _server)) = begin() else { return };
    let first = workspace.json(["env", "register", "tea.yaml"]);
    assert_eq!(
        (&first["version"], workspace.json(["env", "register", "tea.yaml"])["version"].as_str()),
        (&"1".into(), Some("1"))
    );
    assert!(workspace.run(["build", "tea.yaml"]).ok().stdout.contains("sha256:"));
    assert_eq!(workspace.json(["build", "tea.yaml"])["cached"], true);
    assert_eq!(workspace.run(["run", "tea", "--", "python", "-c", "import tea"]).ok().stdout, "poured\n");

    workspace.write("job.yaml", "environment: tea:1\ncommand: python -c 'import tea'\n");
    workspace.run(["submit", "job.yaml"]).ok();
    let run = workspace.json(["runs", "show", "latest"]);
    assert_eq!(
        (&run["status"], &run["exit_code"], &run["environment"]),
        (&"completed".into(), &0.into(), &"tea:1".into())
    );
    assert_eq!(workspace.json(["builds", "list"]).as_array().unwrap().len(), 1);

    // A newer package appears, and nothing moves until somebody wants it to.
    let newer = serve(&index().add(Wheel::new("tea", "2.0").file("tea/__init__.py", "print('stronger')\n")));
    workspace.write("newer.yaml", &definition(&newer, "green", &["tea"]));
    workspace.json(["env", "register", "newer.yaml"]);
    workspace.run(["upgrade", "tea"]).ok();
    let names = workspace.json(["env", "list"]);
    let names: Vec<&str> =
        names.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["green", "tea"]);
    let shown = workspace.json(["env", "show", "tea:1"]);
    assert_eq!(shown["receipt"], first["receipt"]);

    // Nothing that a version needs is garbage; what nobody needs is.
    workspace.run(["store", "gc"]).ok();
    assert_eq!(workspace.json(["build", "tea.yaml"])["cached"], true);
    workspace.run(["store", "scrub"]).ok();

    // Nothing of it is in the folder, and all of it in the schema.
    assert!(!workspace.root().join("catalogue.db").exists());
    let id = fs_err::read_to_string(workspace.root().join("catalogue.id")).unwrap();
    assert_eq!(postgres.query("team", "SELECT id FROM provenv.catalogue"), id.trim_end());
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
    assert_eq!(postgres.query("team", tables), "0");
}

#[test]
fn versions_are_dense_however_many_register() {
    const CUPS: usize = 12;
    let Some((workspace, postgres, _server)) = begin() else { return };
    workspace.run(["lock", "tea.yaml"]).ok();
    // Each version twice, by two processes, all of them at once and the first of them on a new schema too.
    let processes: Vec<_> = (0..2 * CUPS)
        .map(|number| {
            let mut command = workspace.command();
            command.args(["-o", "json", "env", "register"]).arg(cup(&workspace, number % CUPS));
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let done: Vec<Done> =
        processes.into_iter().map(|process| process.wait_with_output().unwrap().into()).collect();
    let told: Vec<String> =
        done.into_iter().map(|done| done.ok().json()["version"].as_str().unwrap().to_owned()).collect();
    for cup in 0..CUPS {
        assert_eq!(told[cup], told[cup + CUPS], "the same definition is one version");
    }
    assert_eq!(versions(&workspace), (1..=CUPS as u64).collect::<Vec<_>>());
    let ordinals =
        "SELECT count(DISTINCT ordinal), max(ordinal) FROM provenv.environments WHERE name = 'tea'";
    assert_eq!(postgres.query("team", ordinals), format!("{CUPS}|{CUPS}"));
}

#[test]
fn a_new_schema_is_made_once_however_many_open_it() {
    let Some(postgres) = Postgres::start() else { return };
    let workspace = Workspace::empty().with(catalogue(&postgres));
    let processes: Vec<_> = (0..12)
        .map(|_| {
            let mut command = workspace.command();
            command.args(["env", "list"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for process in processes {
        Done::from(process.wait_with_output().unwrap()).ok();
    }
    assert_eq!(postgres.query("team", "SELECT count(*) FROM provenv.catalogue"), "1");
}

#[test]
fn a_server_that_is_killed_costs_a_repetition_and_nothing_else() {
    const CUPS: usize = 8;
    let Some((workspace, mut postgres, _server)) = begin() else { return };
    let first = workspace.json(["build", "tea.yaml"]);

    // A run outlives the server: how it ends is recorded when there is one again.
    workspace.json(["env", "register", "tea.yaml"]);
    workspace.write(
        "job.yaml",
        "environment: tea:1\ncommand: touch outputs/mark; while ! [ -e outputs/go ]; do sleep 0.05; done\n",
    );
    let mut submit = workspace.command();
    submit.args(["submit", "job.yaml"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let submit = submit.spawn().unwrap();
    let outputs = || -> Option<PathBuf> {
        let run = workspace.json(["runs", "list"]).as_array().unwrap().first()?["id"].as_str()?.to_owned();
        Some(workspace.root().join("runs").join(run))
    };
    let found = |name: &str| {
        let folder = outputs()?;
        walk(&folder).into_iter().find(|path| path.ends_with(name))
    };
    eventually("the command runs", || found("mark").is_some());
    let go = found("mark").unwrap().with_file_name("go");

    postgres.kill();
    let away = workspace.run(["env", "list"]);
    assert_eq!(away.code, 1);
    assert!(
        away.stderr.contains("error: the catalogue at ")
            && away.stderr.contains("hint: check that PostgreSQL runs there"),
        "{}",
        away.stderr
    );
    fs_err::write(go, "").unwrap();
    postgres.run();
    Done::from(submit.wait_with_output().unwrap()).ok();
    assert_eq!(workspace.json(["runs", "show", "latest"])["status"], "completed");

    // Killed while many register: those that fail say so, and a repetition does what was not done.
    let processes: Vec<_> = (0..CUPS)
        .map(|number| {
            let file = cup(&workspace, number);
            let mut command = workspace.command();
            command.args(["env", "register"]).arg(&file).stdout(Stdio::null()).stderr(Stdio::piped());
            (file, command.spawn().unwrap())
        })
        .collect();
    let count = "SELECT count(*) FROM provenv.environments";
    let begun: usize = postgres.query("team", count).parse().unwrap();
    eventually("some are registered", || postgres.query("team", count).parse::<usize>().unwrap() > begun);
    postgres.kill();
    postgres.run();
    for (file, process) in processes {
        let done = Done::from(process.wait_with_output().unwrap());
        assert!(done.code == 0 || (done.code == 1 && done.stderr.contains("hint: ")), "{}", done.stderr);
        workspace.run(["env", "register", file.to_str().unwrap()]).ok();
    }
    assert_eq!(versions(&workspace), (1..=CUPS as u64 + 1).collect::<Vec<_>>());
    let again = workspace.json(["build", "tea.yaml"]);
    assert_eq!((&again["image"], &again["cached"]), (&first["image"], &true.into()));
}

/// Every file below a folder.
fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path())
            } else {
                found.push(entry.path())
            }
        }
    }
    found
}

/// What `env list` says with this catalogue.
fn list(workspace: &Workspace, catalogue: &str, variables: &[(&str, &str)]) -> Done {
    let mut command: Command = workspace.command();
    command.args(["-v", "env", "list"]).env("PROVENV_CATALOGUE", catalogue).env("HOME", workspace.path());
    command.envs(variables.iter().copied()).output().unwrap().into()
}

#[test]
fn who_may_come_in_is_asked_and_no_password_is_told() {
    let Some(postgres) = Postgres::start() else { return };
    let workspace = Workspace::empty();
    postgres.query(
        "team",
        &format!("CREATE USER writer PASSWORD '{PASSWORD}'; CREATE USER reader PASSWORD '{PASSWORD}'"),
    );
    postgres.query("team", "GRANT CREATE ON DATABASE team TO writer");
    let refused = |catalogue: &str, variables: &[(&str, &str)], why: &str, hint: &str| {
        let done = list(&workspace, catalogue, variables);
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert!(done.stderr.contains(why) && done.stderr.contains(hint), "{}", done.stderr);
        let told = done.stdout + &done.stderr;
        assert!(!told.contains("secret") && !told.contains("wrong-one"), "{told}");
    };
    let place = format!("the catalogue at localhost:{}/team could not be opened", postgres.port);
    refused(&postgres.address("writer", Some("wrong-one")), &[], &place, "check the user and the password");
    refused(&postgres.address("nobody", Some(PASSWORD)), &[], &place, "check the user and the password");
    refused(
        &postgres.address("reader", Some(PASSWORD)),
        &[],
        "permission denied for database team",
        "CREATE SCHEMA provenv AUTHORIZATION",
    );
    let other = postgres.address("writer", Some(PASSWORD)).replace("/team", "/another");
    refused(&other, &[], "database \"another\" does not exist", "make the database with `createdb`");
    refused(
        "postgres://writer:secret@localhost:0/team",
        &[],
        "the catalogue at localhost:0/team",
        "check that PostgreSQL runs there",
    );
    refused(
        "postgres://writer:secret@localhost:many/team",
        &[],
        "the catalogue's URL is not one: invalid port number",
        "postgres://USER@HOST",
    );
    refused(
        "mysql://writer:secret@localhost/team",
        &[],
        "it has to begin with `postgres://`",
        "postgres://USER@HOST",
    );
    refused(
        "postgres://localhost/team?passwd=secret",
        &[],
        "nothing is known of its parameter `passwd`",
        "postgres://USER@HOST",
    );
    let fine = postgres.address("writer", Some(PASSWORD));
    refused(&fine, &[("PROVENV_CATALOGUE_SCHEMA", "no\"thing")], "the catalogue's schema is not one", "");

    // Nothing of all this left anything; the password is in the URL, the environment, or where psql looks for it.
    assert!(!workspace.root().join("catalogue.id").exists());
    list(&workspace, &fine, &[]).ok();
    let bare = postgres.address("writer", None);
    refused(&bare, &[], &place, "check the user and the password");
    list(&workspace, &bare, &[("PGPASSWORD", PASSWORD)]).ok();
    let line = format!("localhost:{}:team:writer:{}\n", postgres.port, PASSWORD.replace(':', "\\:"));
    let passes = workspace.write("passes", &line);
    Done::from(Command::new("chmod").arg("600").arg(&passes).output().unwrap()).ok();
    list(&workspace, &bare, &[("PGPASSFILE", passes.to_str().unwrap())]).ok();

    // The connection is encrypted, and by whom is checked where that is asked for.
    let checked = format!("{fine}?sslmode=verify-full");
    refused(&checked, &[], &place, "`sslmode` and `sslrootcert`");
    let authority = postgres.path("authority.pem");
    list(&workspace, &format!("{checked}&sslrootcert={}", authority.display()), &[]).ok();

    // One who may only read is told so.
    postgres.query(
        "team",
        "GRANT USAGE ON SCHEMA provenv TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA provenv TO reader",
    );
    list(&workspace, &postgres.address("reader", Some(PASSWORD)), &[]).ok();
}

/// The schemas in the order in which they came. Their words of SQLite are taken by PostgreSQL too.
const OLDER: &[&str] = &[
    include_str!("../../workspace/src/catalogue/schema.sql"),
    include_str!("../../workspace/src/catalogue/registry.sql"),
    include_str!("../../workspace/src/catalogue/audits.sql"),
    include_str!("../../workspace/src/catalogue/proofs.sql"),
    include_str!("../../workspace/src/catalogue/remote.sql"),
    include_str!("../../workspace/src/catalogue/uses.sql"),
    include_str!("../../workspace/src/catalogue/dockerfiles.sql"),
    include_str!("../../workspace/src/catalogue/forms.sql"),
    include_str!("../../workspace/src/catalogue/lifecycle.sql"),
    include_str!("../../workspace/src/catalogue/holdings.sql"),
    include_str!("../../workspace/src/catalogue/reported.sql"),
    include_str!("../../workspace/src/catalogue/taken.sql"),
    include_str!("../../workspace/src/catalogue/speed.sql"),
    include_str!("../../workspace/src/catalogue/shared.sql"),
    include_str!("../../workspace/src/catalogue/untold.sql"),
];
/// The version that brought labels, and a history.
const LIFECYCLE: usize = 9;

#[test]
fn a_catalogue_of_every_older_schema_opens() {
    let Some((workspace, postgres, _server)) = begin() else { return };
    let registered = workspace.json(["env", "register", "tea.yaml"]);
    workspace.json(["env", "update", "tea:1", "--tag", "cup=big"]);
    workspace.json(["env", "label", "tea:1", "prod"]);
    let built = workspace.json(["build", "tea:1"]);
    workspace.write("job.yaml", "environment: tea:1\ncommand: python -c 'import tea'\n");
    workspace.run(["submit", "job.yaml"]).ok();
    let newest = postgres.query("team", "SELECT migrations FROM provenv.catalogue");
    assert_eq!(newest, OLDER.len().to_string(), "a schema came since, and is to be in the list");
    for older in 1..=OLDER.len() {
        let schema = format!("older_{older}");
        postgres.older("provenv", &schema, &OLDER[..older]);
        postgres.query("team", &format!("UPDATE {schema}.catalogue SET id = '{schema}'"));
        let with = Workspace::empty().with(catalogue(&postgres));
        let with = with.with(vec![("PROVENV_CATALOGUE_SCHEMA".to_owned(), schema.clone())]);
        let shown = with.json(["env", "show", "tea:1"]);
        assert_eq!(shown["receipt"], registered["receipt"], "{schema}");
        let is_whole = older >= LIFECYCLE;
        assert_eq!(
            shown["labels"].as_array().unwrap().len(),
            if is_whole { 2 } else { 1 },
            "{schema}: {shown}"
        );
        let history = with.json(["env", "history", "tea"]);
        let changes: Vec<_> =
            history.as_array().unwrap().iter().map(|change| change["change"].as_str().unwrap()).collect();
        assert_eq!(
            changes,
            if is_whole { vec!["label", "tag", "registered"] } else { vec!["registered"] },
            "{schema}"
        );
        for search in [
            &["--kind", "system-managed"][..],
            &["--tag", "cup=big"],
            &["package:tea>=1"],
            &["base:bookworm"],
        ] {
            let found = with.json([&["env", "search"], search].concat());
            assert_eq!(found.as_array().unwrap().len(), 1, "{schema}: {search:?}");
        }
        let images = with.json(["image", "list"]);
        assert_eq!(images[0]["digest"], built["image"], "{schema}: {images}");
        let uses = with.json(["env", "uses", "tea:1"]);
        assert_eq!(uses["runs"].as_array().unwrap().len(), 1, "{schema}: {uses}");
        // And it goes on: the next version has the next number.
        let next = with.json(["env", "register", cup(&workspace, older).to_str().unwrap()]);
        assert_eq!(next["version"], "2", "{schema}");
        let now = postgres.query("team", &format!("SELECT migrations FROM {schema}.catalogue"));
        assert_eq!(now, newest, "{schema}");
    }
}

#[test]
fn settings_say_where_the_catalogue_is() {
    let Some(postgres) = Postgres::start() else { return };
    let workspace = Workspace::empty();
    let text = format!("[catalogue]\nurl = \"{}\"\nschema = \"team_a\"\n", postgres.url());
    let config = workspace.write("config.toml", &text);
    let with = |variables: &[(&str, &str)]| -> Done {
        let mut command = workspace.command();
        command.args(["env", "list"]).env("PROVENV_CONFIG", &config).env_remove("PROVENV_CATALOGUE");
        command.envs(variables.iter().copied()).output().unwrap().into()
    };
    with(&[]).ok();
    assert_eq!(postgres.query("team", "SELECT count(*) FROM team_a.catalogue"), "1");

    // The folder belongs to this catalogue now: another one would call all its bytes garbage.
    for variables in [&[("PROVENV_CATALOGUE_SCHEMA", "team_b")][..], &[("PROVENV_CATALOGUE", "")]] {
        let refused = with(variables);
        assert_eq!(refused.code, 1);
        assert!(
            refused.stderr.contains("belongs to another catalogue")
                || refused.stderr.contains("is in PostgreSQL, and no setting says where"),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains("hint: "), "{}", refused.stderr);
    }
    let own = Workspace::empty();
    own.run(["env", "list"]).ok();
    let own = own.with(catalogue(&postgres));
    let refused = own.run(["env", "list"]);
    assert!(refused.code == 1 && refused.stderr.contains("has a catalogue of its own"), "{}", refused.stderr);

    postgres.query("team", "UPDATE team_a.catalogue SET migrations = 1000");
    let newer = with(&[]);
    assert!(
        newer.code == 1 && newer.stderr.contains("was written by a newer provenv (schema 1000,"),
        "{}",
        newer.stderr
    );
}
