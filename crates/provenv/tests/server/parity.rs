//! The command line is the same on a folder and on a server: one list of commands, run on both, with the same output and codes.

use std::cell::RefCell;
use std::path::Path;
use std::process::Command;

use provenv_testing::pypi::{Index, Wheel};
use serde_json::{Value, json};

use super::team::Team;
use crate::support::{Done, Workspace, definition, serve};

/// What differs between two workspaces in which the same was done: times, users, what has a time in it, and where things are.
const OWN: &[&str] = &[
    "at",
    "attempts",
    "by",
    "created_at",
    "created_by",
    "ended_at",
    "folder",
    "log",
    "moved_at",
    "moved_by",
    "receipt",
    "resolved_at",
    "started_at",
];

/// A value without what differs.
fn plain(value: &mut Value, ids: bool) {
    match value {
        Value::Object(fields) => {
            fields.remove("attempts");
            // A receipt's digest is of when it was made.
            let is_receipt = fields.contains_key("resolved_at");
            let user = fields.get("created_by").cloned();
            for (name, value) in fields.iter_mut() {
                if (OWN.contains(&&**name) && !value.is_null()) || (is_receipt && name == "digest") {
                    *value = json!("its own");
                } else if ids && name == "id" {
                    *value = json!("an identifier");
                } else {
                    plain(value, ids);
                }
            }
            if user.is_some() {
                fields.remove("created_by");
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| plain(value, ids)),
        _ => {}
    }
}

/// The two, side by side, and where they differ.
struct Both<'a> {
    folder: &'a Workspace,
    team: &'a Team,
    token: &'a str,
    differences: RefCell<Vec<String>>,
}

impl Both<'_> {
    fn commands(&self) -> [Command; 2] {
        [self.folder.command(), self.team.command(self.folder.path(), self.token)]
    }

    fn run(&self, arguments: &[&str]) -> [Done; 2] {
        self.commands().map(|mut command| Done::from(command.args(arguments).output().unwrap()))
    }

    fn hold(&self, arguments: &[&str], same: bool, folder: &Done, server: &Done) {
        if !same {
            let said = |done: &Done| format!("exit code {}\n{}{}", done.code, done.stdout, done.stderr);
            let (folder, server) = (said(folder), said(server));
            let lines = similar::TextDiff::from_lines(&folder, &server);
            let lines = lines.unified_diff().context_radius(1).header("folder", "server").to_string();
            self.differences.borrow_mut().push(format!("{arguments:?}\n{lines}"));
        }
    }

    /// The same code and the same text on standard output. Gives what the server's said.
    fn text(&self, arguments: &[&str]) -> Done {
        let [folder, server] = self.run(arguments);
        let same = (folder.code, &folder.stdout) == (server.code, &server.stdout);
        self.hold(arguments, same, &folder, &server);
        server
    }

    /// The same failure, in the same words.
    fn fails(&self, arguments: &[&str]) {
        let [folder, server] = self.run(arguments);
        let same = folder.code != 0 && (folder.code, &folder.stderr) == (server.code, &server.stderr);
        self.hold(arguments, same, &folder, &server);
    }

    /// The same JSON but for what is each one's own. Gives the server's.
    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [&["-o", "json"], arguments].concat();
        let [folder, server] = self.run(&arguments);
        if folder.code != 0 || server.code != 0 {
            self.hold(&arguments, false, &folder, &server);
            return Value::Null;
        }
        let (mut one, mut other) = (folder.json(), server.json());
        // Identifiers of runs have times in them.
        let ids = ["runs", "submit", "uses", "lineage"].iter().any(|word| arguments.contains(word));
        plain(&mut one, ids);
        plain(&mut other, ids);
        let shown = |value: &Value, done: &Done| Done {
            code: 0,
            stdout: serde_json::to_string_pretty(value).unwrap(),
            stderr: done.stderr.clone(),
        };
        self.hold(&arguments, one == other, &shown(&one, &folder), &shown(&other, &server));
        server.json()
    }
}

fn files(folder: &Path, text: &str) {
    fs_err::write(folder.join("environment.yaml"), text).unwrap();
    let second = format!("{text}environment_variables: {{ CUP: big }}\n");
    fs_err::write(folder.join("second.yaml"), second).unwrap();
    fs_err::write(folder.join("more.yaml"), "environment_variables: { SPOON: small }\n").unwrap();
    fs_err::create_dir(folder.join("code")).unwrap();
    fs_err::write(folder.join("code/brew.py"), "import tea, sys; print('brewed', sys.argv[1:])\n").unwrap();
    let job = "environment: tea:1\ncode: code\ncommand: python brew.py && echo done > outputs/cup.txt\n";
    fs_err::write(folder.join("job.yaml"), job).unwrap();
    let job = "environment: { name: pot, image: tea }\ncommand: exit 3\n";
    fs_err::write(folder.join("wrong.yaml"), job).unwrap();
}

#[test]
fn the_command_line_is_the_same_on_both() {
    let Some(workspace) = Workspace::new() else { return };
    let Some(team) = Team::with_base(workspace.path()) else { return };
    let index = serve(&Index::new().add(Wheel::new("tea", "1.5")));
    let token = team.token("ann", Some("owner"));
    files(workspace.path(), &definition(&index, "tea", &["tea"]));
    let both = Both { folder: &workspace, team: &team, token: &token, differences: RefCell::default() };

    // Registered.
    both.fails(&["env", "list", "tea"]);
    let first = both.json(&["env", "register", "environment.yaml"]);
    assert_eq!((&first["version"], &first["created"]), (&json!("1"), &json!(true)));
    assert_eq!(both.json(&["env", "register", "environment.yaml"])["created"], false);
    assert_eq!(both.json(&["env", "register", "second.yaml"])["version"], "2");
    both.json(&["env", "register", "more.yaml", "--from", "tea:1", "--name", "cup"]);
    both.json(&["env", "register", "--from", "cup", "--name", "cup", "--version", "v2"]);
    both.json(&["lock", "environment.yaml", "--file", "environment.lock.json"]);
    both.json(&["env", "register", "environment.yaml", "--lock", "environment.lock.json", "--name", "pot"]);
    both.fails(&["env", "register", "second.yaml", "--version", "1"]);
    both.fails(&["env", "register", "second.yaml", "--lock", "job.yaml"]);
    both.fails(&["env", "register", "more.yaml"]);
    both.fails(&["env", "register", "--from", "coffee", "--name", "cup"]);

    // Found.
    for filters in [
        &[][..],
        &["tea"],
        &["--all"],
        &["tea", "--limit", "1"],
        &["--all", "--limit", "2", "--after", "cup:v2"],
        &["--name", "T*"],
        &["--kind", "system-managed"],
        &["--kind", "user-managed"],
        &["--creator", "nobody"],
        &["--since", "2020-01-01", "--until", "2020-01-02"],
        &["--curated"],
    ] {
        both.json(&[&["env", "list"], filters].concat());
    }
    both.fails(&["env", "list", "--after", "coffee:1"]);
    for terms in [
        &["package:tea"][..],
        &["package:tea>=1,<2", "cup"],
        &["package:tea>=2"],
        &["package:debian:libc6>=2.0", "--newest"],
        &["base:bookworm", "--name", "tea", "--limit", "1"],
        &["vulnerability:CVE-2000-0001"],
    ] {
        both.json(&[&["env", "search"], terms].concat());
    }

    // Shown.
    for reference in ["tea", "tea:1", "tea@latest", "environment.yaml", "curated/minimal"] {
        both.json(&["env", "show", reference]);
        both.text(&["env", "digest", reference]);
    }
    both.json(&["env", "show", "tea:1", "--receipt"]);
    for reference in ["coffee", "tea:9", "tea@prod", "coffee:1"] {
        both.fails(&["env", "show", reference]);
    }
    both.json(&["lock", "tea:2", "--file", "tea.lock.json"]);
    both.text(&["lock", "tea:2", "--file", "-"]);
    both.json(&["lock", "tea:2", "--file", "tea.lock.json", "--check"]);
    both.text(&["env", "diff", "tea:1", "tea:2", "--exit-code"]);
    both.text(&["env", "diff", "tea:1", "environment.yaml", "--exit-code"]);
    both.json(&["env", "diff", "tea:1", "cup:1"]);
    both.fails(&["env", "diff", "tea:1", "coffee"]);
    for format in ["conda", "azureml-v2", "requirements"] {
        both.json(&["env", "export", "tea:1", "--format", format]);
    }
    both.text(&["env", "export", "tea:1", "--format", "pylock", "--locked"]);

    // Changed.
    let update =
        ["env", "update", "tea:1", "--description", "green", "--tag", "stage=live", "--tag", "leaf=big"];
    assert_eq!(both.json(&update)["changes"], 3);
    assert_eq!(both.json(&update)["changes"], 0);
    both.json(&["env", "update", "tea:1", "--remove-tag", "leaf"]);
    both.fails(&["env", "update", "tea:1", "--remove-tag", "leaf"]);
    both.fails(&["env", "update", "tea"]);
    both.fails(&["env", "update", "coffee", "--tag", "a=b"]);
    both.json(&["env", "update", "tea:2", "--tag", "stage=live", "--tag", "leaf=small"]);
    both.json(&["env", "list", "--all", "--tag", "stage=live", "--tag", "leaf"]);
    both.text(&["env", "label", "tea:1", "prod"]);
    both.text(&["env", "label", "tea:2", "prod"]);
    both.json(&["env", "label", "tea", "--list"]);
    both.text(&["env", "label", "tea", "prod", "--remove"]);
    both.fails(&["env", "label", "tea", "prod", "--remove"]);
    both.fails(&["env", "label", "tea", "prod"]);
    both.fails(&["env", "label", "tea:1", "latest"]);
    both.fails(&["env", "label", "tea:1", ".."]);
    both.json(&["env", "label", "tea:1", "prod"]);
    both.text(&["env", "digest", "tea@prod"]);
    both.json(&["env", "archive", "tea:2"]);
    both.json(&["env", "show", "tea"]);
    both.json(&["env", "list", "--archived"]);
    both.json(&["env", "restore", "tea:2"]);
    both.text(&["env", "archive", "cup"]);
    both.fails(&["env", "show", "cup"]);
    both.fails(&["env", "restore", "cup:1"]);
    both.text(&["env", "restore", "cup"]);
    both.fails(&["env", "archive", "environment.yaml"]);
    both.json(&["env", "history", "tea"]);
    both.json(&["env", "history", "tea:1", "-n", "2"]);
    both.json(&["env", "history", "tea", "--before", "3"]);

    // Built, and what is built.
    both.fails(&["image", "show", "tea:1"]);
    let built = both.json(&["build", "tea:1"]);
    assert_eq!(built["cached"], false);
    assert_eq!(both.json(&["build", "tea:1"])["cached"], true);
    both.text(&["-q", "build", "tea:1"]);
    both.json(&["build", "environment.yaml"]);
    let image = built["image"].as_str().unwrap_or("sha256:00");
    both.json(&["image", "show", "tea:1"]);
    both.json(&["image", "show", image]);
    both.json(&["image", "show", &image[..20]]);
    both.text(&["image", "show", "tea:1", "--packages"]);
    both.fails(&["image", "show", "sha256:0000"]);
    both.json(&["image", "list"]);
    for format in ["spdx", "cyclonedx"] {
        both.text(&["image", "sbom", "tea:1", "--format", format]);
    }
    both.text(&["image", "sbom", image, "--format", "spdx"]);
    for (number, place) in ["folder", "server"].iter().enumerate() {
        let to = format!("oci:{place}");
        let done = both.commands()[number].args(["build", "tea:1", "--to", &to]).output().unwrap();
        Done::from(done).ok();
    }
    let index = |place: &str| fs_err::read(workspace.path().join(place).join("index.json")).unwrap();
    assert_eq!(index("folder"), index("server"));

    // Run.
    let exit =
        both.text(&["run", "tea:1", "--", "python", "-c", "import tea, sys; print('hot'); sys.exit(3)"]);
    assert_eq!((exit.code, &*exit.stdout), (3, "hot\n"));
    both.fails(&["run", "coffee", "--", "true"]);
    let done = both.json(&["submit", "job.yaml"]);
    assert_eq!(done["run"]["status"], "completed");
    both.text(&["runs", "logs", "latest"]);
    both.json(&["runs", "show", "latest"]);
    both.json(&["runs", "list"]);
    both.fails(&["runs", "show", "nothing"]);
    both.json(&["env", "uses", "tea:1"]);
    both.json(&["env", "uses", "tea:2"]);
    both.json(&["env", "lineage", "latest"]);
    both.json(&["env", "lineage", "tea:1"]);
    both.json(&["env", "lineage", image]);
    both.fails(&["env", "lineage", "nothing"]);
    both.fails(&["env", "uses", "coffee"]);

    // Deleted.
    both.fails(&["env", "delete", "cup:v2"]);
    both.json(&["env", "delete", "cup:v2", "--dry-run"]);
    both.text(&["env", "delete", "cup:v2", "--yes"]);
    both.json(&["env", "history", "cup:v2"]);
    both.fails(&["env", "register", "--from", "cup:1", "--name", "cup", "--version", "v2"]);
    both.fails(&["env", "delete", "cup:9", "--yes"]);
    both.text(&["env", "delete", "pot", "--yes"]);
    both.fails(&["env", "list", "pot"]);

    let differences = both.differences.into_inner();
    assert!(differences.is_empty(), "{} differences\n\n{}", differences.len(), differences.join("\n\n"));
}
