//! What is refused, in the words that a user reads: what was being done, why it failed, where, and what to do next.

use provenv_testing::pypi::{Index, Sdist, Wheel};
use provenv_testing::server::Server;

use crate::support::{Done, Workspace, definition};

macro_rules! assert_refusal {
    ($workspace:expr, $done:expr, @$snapshot:literal) => {
        let folder = regex_escape($workspace.path().to_str().unwrap());
        insta::with_settings!({filters => vec![
            (folder.as_str(), "[DIR]"),
            (r"127\.0\.0\.1:\d+", "[HOST]"),
            (r"127_0_0_1_\d+", "[HOST]"),
            (r"sha256:[0-9a-f]{64}", "[DIGEST]"),
            (r"\b[0-9a-f]{64}\b", "[HEX]"),
            (r"3\.11\.\d+", "3.11.x"),
            (r"retries in [\d.]+s", "retries in [TIME]"),
            // What the mirror of the day carries.
            (r"(?m)^note: .*\n", ""),
            // How far it was.
            (r"(?m)^(resolving|fetching|assembling|unpacking|publishing)(: .*)?\n", ""),
            (r"(has Python [\d.]+): .*", "$1: [SUITES]"),
            (r"at https?://\S+/debian\b", "at [MIRROR]"),
        ]}, {
            insta::assert_snapshot!(refusal(&$done), @$snapshot);
        });
    };
}

mod files;
mod jobs;
mod packages;
mod places;

fn index() -> Index {
    Index::new()
        .add(Wheel::new("tea", "1.0").requires("leaf>=1"))
        .add(Wheel::new("leaf", "1.0"))
        .add(Wheel::new("leaf", "2.0"))
        .add(Wheel::new("pot", "1.0").requires("leaf<1.5"))
        .add(Wheel::new("cup", "1.0").requires("leaf>=2"))
        .add(Wheel::new("newer", "1.0").requires_python(">=3.14"))
        .add(Sdist::new("cracked", "1.0").fails("there is a crack in it"))
}

/// Exit code and standard error of a command, with what differs from run to run taken out.
fn refusal(done: &Done) -> String {
    assert_eq!(done.stdout, "", "nothing but results on standard output");
    format!("{}\n{}", done.code, done.stderr)
}

fn regex_escape(text: &str) -> String {
    text.replace('.', r"\.").replace('+', r"\+")
}

/// A workspace and an index; the text is put into `environment.yaml` and built.
fn build(workspace: &Workspace, text: &str) -> Done {
    workspace.write("environment.yaml", text);
    workspace.run(["build", "environment.yaml"])
}

fn with_packages(workspace: &Workspace, server: &Server, packages: &[&str]) -> Done {
    build(workspace, &definition(server, "tea", packages))
}
