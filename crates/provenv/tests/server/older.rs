//! A server's database in PostgreSQL that an older version made.

use std::process::Command;

use nix::sys::signal::Signal;
use provenv_testing::pypi::{Index, Wheel};
use serde_json::json;

use super::builds::register;
use super::team::{DEFAULT, Team, post, put};
use crate::support::postgres::Postgres;
use crate::support::{Done, definition, fill, serve};

/// The schemas in the order in which they came.
const OLDER: &[&str] = &[
    include_str!("../../../server/src/database/schema.sql"),
    include_str!("../../../server/src/database/audit.sql"),
    include_str!("../../../server/src/database/sign_in.sql"),
    include_str!("../../../server/src/database/secrets.sql"),
    include_str!("../../../server/src/database/workers.sql"),
    include_str!("../../../server/src/database/token_parents.sql"),
    include_str!("../../../server/src/database/shares.sql"),
    include_str!("../../../server/src/database/ended.sql"),
];
/// The versions that brought what not every older server had.
const AUDIT: usize = 2;
const SECRETS: usize = 4;
const SHARES: usize = 7;

#[test]
fn a_database_of_every_older_schema_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("team");
    let Some(()) = fill(&root.join("workspaces/default")) else { return };
    let Some(postgres) = Postgres::start() else { return };
    let url = postgres.url();
    let variables = [("PROVENV_SERVER_DATABASE", &*url), ("PROVENV_CATALOGUE_SCHEMA", "provenv")];
    let start =
        |root: &std::path::Path, token: &str| Team::start_with(root, &["--workers", "0"], token, &variables);
    let mut team = start(&root, "");
    let token = team.served["owner_token"].as_str().unwrap().to_owned();
    let owner = team.with(&token);
    let index = serve(&Index::new().add(Wheel::new("tea", "1")));
    let version = register(&owner, &definition(&index, "tea", &["tea"]));
    let job = owner.post(&format!("{version}/build"), b"").is(202).json();
    post(&owner, "/api/v1/workspaces", &json!({ "name": "vision" })).is(201);
    put(&owner, &format!("{DEFAULT}/environments/tea/shares/vision"), &json!({})).is(201);
    put(&owner, &format!("{DEFAULT}/secrets/index"), &json!({ "host": "a.example", "password": "x" }))
        .is(204);
    let ann = team.token_by(&owner, "ann", Some("contributor"));
    team.signal(Signal::SIGTERM);
    assert_eq!(team.wait().0, Some(0));

    postgres.query("team", "ALTER SCHEMA provenv__server RENAME TO kept");
    let newest = postgres.query("team", "SELECT migrations FROM kept.catalogue");
    assert_eq!(newest, OLDER.len().to_string(), "a schema came since, and is to be in the list");
    for older in 1..=OLDER.len() {
        let root = folder.path().join(format!("older-{older}"));
        let copied = Command::new("cp").arg("-al").arg(team.root.as_path()).arg(&root).output();
        Done::from(copied.unwrap()).ok();
        if older < AUDIT {
            fs_err::remove_file(root.join("audit.key")).unwrap();
        }
        postgres.older("kept", "provenv__server", &OLDER[..older]);

        let team = start(&root, &token);
        assert_eq!(team.served.get("owner_token"), None, "schema {older}: it has an owner");
        let now = postgres.query("team", "SELECT migrations FROM provenv__server.catalogue");
        assert_eq!(now, newest, "schema {older}");
        let tokens = team.owner.get("/api/v1/tokens").is(200).json();
        assert_eq!(tokens["tokens"].as_array().unwrap().len(), 2, "schema {older}: {tokens}");
        let members = team.owner.get(&format!("{DEFAULT}/members")).is(200).json();
        assert_eq!(members["members"], json!([{ "user": "ann", "role": "contributor" }]), "schema {older}");
        let path = format!("{DEFAULT}/jobs/{}", job["id"].as_str().unwrap());
        assert_eq!(team.with(&ann).get(&path).is(200).json()["status"], "queued", "schema {older}");
        let count =
            |path: &str, what: &str| team.owner.get(path).is(200).json()[what].as_array().unwrap().len();
        assert_eq!(count(&format!("{DEFAULT}/secrets"), "secrets"), usize::from(older >= SECRETS));
        assert_eq!(count(&format!("{DEFAULT}/shares"), "shares"), usize::from(older >= SHARES));
        // What came since works: what is there opens, what is new is written down, and the log is whole.
        let rekeyed = team.owner.post("/api/v1/secrets/rekey", b"").is(200).json();
        assert_eq!(rekeyed["secrets"], json!(u8::from(older >= SECRETS)), "schema {older}: {rekeyed}");
        let made = team.token("ben", Some("reader"));
        let mut narrow = json!({ "workspace": "default", "role": "reader" });
        narrow["note"] = json!("made since");
        post(&team.with(&made), "/api/v1/tokens", &narrow).is(201);
        let canceled = team.with(&ann).post(&format!("{path}/cancel"), b"").is(200).json();
        assert_eq!(canceled["status"], "canceled", "schema {older}: {canceled}");
        let mut verify = team.command(folder.path(), &token);
        let verified = Done::from(verify.args(["audit-log", "verify"]).output().unwrap()).ok();
        assert!(verified.stdout.contains("the log is whole"), "schema {older}: {}", verified.stdout);
        drop(team);
        postgres.query("team", "DROP SCHEMA provenv__server CASCADE");
    }
}
