//! What the tests of the store share: children that run one function of the same test binary.

use std::path::Path;
use std::process::{Command, Stdio};

/// The folder a child works in; set in children only.
pub const FOLDER: &str = "PROVENV_TEST_FOLDER";

/// The folder to work in, where this process is a child.
pub fn child_folder() -> Option<std::path::PathBuf> {
    std::env::var_os(FOLDER).map(Into::into)
}

/// A command that runs the test function `test` of this binary as a child working in `folder`.
pub fn child(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    as_child(&mut command, test, folder);
    command
}

/// The same in a user and mount namespace of its own; `None` where the machine does not permit one.
pub fn child_in_namespace(test: &str, folder: &Path) -> Option<Command> {
    let permitted = Command::new("unshare")
        .args(["-rm", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !permitted {
        return None;
    }
    let mut command = Command::new("unshare");
    command.arg("-rm").arg(std::env::current_exe().unwrap());
    as_child(&mut command, test, folder);
    Some(command)
}

fn as_child(command: &mut Command, test: &str, folder: &Path) {
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
    command.stdout(Stdio::null()).stdin(Stdio::null());
}

/// Names below `tmp/`.
pub fn leftovers(root: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(root.join("tmp")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Bytes that differ from seed to seed and do not repeat.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
