//! Requests that Schemathesis makes up by the description of the API: a short pass of `make test-schemathesis`.

use std::path::Path;
use std::process::Command;

use crate::support::{Done, skip};

#[test]
fn made_up_requests_are_answered_as_the_description_says() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/schemathesis");
    let installed = Command::new(scripts.join("install.sh")).arg(&folder).output();
    if !installed.is_ok_and(|done| done.status.success()) {
        skip("tests/schemathesis/install.sh fails: there is no Python, or no way to PyPI");
        return;
    }
    let mut command = Command::new(scripts.join("run.sh"));
    command.arg(env!("CARGO_BIN_EXE_provenv")).arg(&folder);
    // Two examples each, with the seed that is always taken, by whom most is open.
    command.args(["2", "1", "server-owner"]).env("XDG_CONFIG_HOME", "/nonexistent");
    // What is made up at the edges of each schema takes long, and is for the long pass.
    command.env("ARGUMENTS", "--phases examples,fuzzing");
    Done::from(command.output().unwrap()).ok();
}
