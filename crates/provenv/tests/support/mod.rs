//! What tests of the front door share: the binary, workspaces that begin with a base, a local package index.

pub mod docker;
pub mod postgres;
pub mod registry;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use provenv_testing::pypi::Index;
use provenv_testing::server::{FileTree, Server};

/// The Python of all these tests, and so the Debian suite.
pub const PYTHON: &str = "3.11";

/// A workspace of a test's own. Its store begins with the artifacts, segments and layers of the plain base, so that a test
/// needs neither fetch nor compress nor unpack them again.
pub struct Workspace {
    folder: tempfile::TempDir,
    /// Variables that its commands get.
    variables: Vec<(String, String)>,
}

/// What a command left.
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// The result as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// It, if all went well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        Self {
            code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Workspace {
    /// A workspace with the base in its store, or `None` (said aloud) where no Debian archive can be reached.
    pub fn new() -> Option<Self> {
        let workspace = Self::empty();
        fill(&workspace.root())?;
        Some(workspace)
    }

    /// A workspace with the base's artifacts in its store and nothing that was made of them.
    pub fn cold() -> Option<Self> {
        let workspace = Self::empty();
        fill_cold(&workspace.root())?;
        Some(workspace)
    }

    /// A workspace with nothing in it.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// The same, whose commands get these variables.
    pub fn with(mut self, variables: Vec<(String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// The folder for files of the test.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The workspace's own folder.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    /// Writes a file of the test.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
        path
    }

    /// The command, in this workspace and in the folder of the test.
    pub fn command(&self) -> Command {
        let mut command = command(&self.root());
        command.current_dir(self.path()).envs(self.variables.iter().cloned());
        command
    }

    /// The same, hearing interrupts even where tests run in a shell's background, which ignores them and hands that down.
    pub fn listening(&self) -> Command {
        let mut command = Command::new("env");
        command.args(["--default-signal=INT,QUIT", env!("CARGO_BIN_EXE_provenv")]).current_dir(self.path());
        command.envs(self.variables.iter().cloned());
        settings(command, &self.root())
    }

    /// Runs it to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Done {
        self.command().args(arguments).output().unwrap().into()
    }

    /// Runs it to its end with results as JSON.
    #[track_caller]
    pub fn json<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> serde_json::Value {
        Done::from(self.command().args(["-o", "json"]).args(arguments).output().unwrap()).ok().json()
    }
}

/// The binary in a workspace, without the caller's settings.
pub fn command(root: &Path) -> Command {
    settings(Command::new(env!("CARGO_BIN_EXE_provenv")), root)
}

fn settings(mut command: Command, root: &Path) -> Command {
    command
        .env("PROVENV_WORKSPACE", root)
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env_remove("PROVENV_CONFIG")
        .env_remove("PROVENV_CATALOGUE")
        .env_remove("PROVENV_CATALOGUE_SCHEMA")
        .env_remove("PROVENV_SERVER_DATABASE")
        .env("NO_COLOR", "1");
    // All tests in PostgreSQL: each workspace has a schema of its own; the seed, which stays, a file.
    let stays = root.starts_with(env!("CARGO_TARGET_TMPDIR"));
    if let Some(url) = std::env::var_os("PROVENV_TEST_CATALOGUE").filter(|_| !stays) {
        // Short: a server adds the names of its workspaces.
        let schema =
            format!("w{}", &provenv_definition::Digest::of(root.as_os_str().as_encoded_bytes()).hex()[..20]);
        command.env("PROVENV_CATALOGUE", url).env("PROVENV_CATALOGUE_SCHEMA", schema);
    }
    command
}

/// A definition whose packages come from `server` alone.
pub fn definition(server: &Server, name: &str, packages: &[&str]) -> String {
    let mut text =
        format!("name: {name}\npython: \"{PYTHON}\"\npip:\n- --index-url {}\n", server.at("/simple/"));
    for package in packages {
        text.extend(["- ", package, "\n"]);
    }
    text
}

/// An index that is served.
pub fn serve(index: &Index) -> Server {
    Server::start(index.serve(FileTree::new()))
}

/// Says why a test does not run; fails it where everything is required, as in CI.
pub fn skip(why: &str) {
    assert_ne!(std::env::var("PROVENV_TEST_PEERS").as_deref(), Ok("required"), "{why}");
    eprintln!("skipped: {why}");
}

/// Whether a program is there; says so where it is not.
pub fn have(program: &str) -> bool {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .any(|folder| folder.join(program).is_file());
    if !found {
        skip(&format!("{program} is not installed"));
    }
    found
}

/// The base's lock, beside the seed.
const BASE_LOCK: &str = "base.lock.json";

/// A workspace in which the plain base and uv are, made once a run of the tests by whoever comes first.
fn seed() -> Option<&'static Path> {
    static SEED: OnceLock<Option<PathBuf>> = OnceLock::new();
    SEED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seed");
        fs_err::create_dir_all(&folder).unwrap();
        let lock = fs_err::File::create(folder.join("lock")).unwrap();
        lock.file().lock().unwrap();
        let root = folder.join("workspace");
        // One package, from a local index: this fetches uv too.
        let server = serve(&Index::new().add(provenv_testing::pypi::Wheel::new("seed", "1")));
        let file = folder.join("environment.yaml");
        fs_err::write(&file, definition(&server, "seed", &["seed"])).unwrap();
        let done: Done = command(&root).arg("build").arg(&file).output().unwrap().into();
        if done.code == 0 {
            // The same digests wherever the test server listens.
            let base = folder.join("base.yaml");
            fs_err::write(&base, format!("name: base\npython: \"{PYTHON}\"\n")).unwrap();
            let locked =
                command(&root).arg("lock").arg(&base).arg("--file").arg(folder.join(BASE_LOCK)).output();
            Done::from(locked.unwrap()).ok();
            // Unpacks the layers that a build has no need of. Where nothing can be run, tests that run something say so.
            let _ = command(&root).arg("run").arg(&file).args(["--", "true"]).output().unwrap();
            return Some(root);
        }
        let reachable =
            !["could not connect", "network", "dns", "mirror"].iter().any(|word| done.stderr.contains(word));
        assert!(!reachable, "the base cannot be built:\n{}", done.stderr);
        skip(&format!("no Debian archive can be reached:\n{}", done.stderr));
        None
    })
    .as_deref()
}

/// Begins a workspace at `root` with the base: its artifacts, segments and layers, these unpacked too, and uv.
///
/// Copies by hard links what is never changed in place, and no catalogue: each test has its own.
pub fn fill(root: &Path) -> Option<()> {
    let seed = seed()?.join("store");
    let store = root.join("store");
    for part in ["blobs", "records", "trees", "format"] {
        link(&seed.join(part), &store.join(part));
    }
    Some(())
}

/// Begins a workspace at `root` with what a download of the base brings: artifacts, the archive's indexes and uv. Everything
/// that is made of artifacts is still to be made.
pub fn fill_cold(root: &Path) -> Option<()> {
    let seed = seed()?;
    let (from, to) = (seed.join("store"), root.join("store"));
    for part in ["trees/tool", "format"] {
        link(&from.join(part), &to.join(part));
    }
    let mut wanted = digests_in(&fs_err::read_to_string(seed.with_file_name(BASE_LOCK)).unwrap());
    for kind in fs_err::read_dir(from.join("records")).unwrap() {
        let kind = kind.unwrap();
        if ["segment", "image"].iter().any(|made| kind.file_name() == *made) {
            continue;
        }
        link(&kind.path(), &to.join("records").join(kind.file_name()));
        for record in fs_err::read_dir(kind.path()).unwrap() {
            wanted.extend(digests_in(&fs_err::read_to_string(record.unwrap().path()).unwrap()));
        }
    }
    for digest in wanted {
        let blob = Path::new("blobs/sha256").join(&digest[..2]).join(&digest[2..]);
        if from.join(&blob).exists() {
            let target = to.join(&blob);
            fs_err::create_dir_all(target.parent().unwrap()).unwrap();
            fs_err::hard_link(from.join(&blob), target).unwrap();
        }
    }
    Some(())
}

/// The hexadecimal digits of every digest in a text.
fn digests_in(text: &str) -> Vec<String> {
    text.split("sha256:").skip(1).filter_map(|rest| rest.get(..64)).map(str::to_owned).collect()
}

fn link(from: &Path, to: &Path) {
    if from.exists() {
        fs_err::create_dir_all(to.parent().unwrap()).unwrap();
        let copy =
            |how: &str| Command::new("cp").arg(how).arg(from).arg(to).output().unwrap().status.success();
        // Hard links end at a file system; what they left is gone over.
        assert!(
            copy("-al") || (fs_err::remove_dir_all(to).is_ok() && copy("-a")),
            "{} to {}",
            from.display(),
            to.display()
        );
    }
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs_err::metadata("/proc/self").unwrap().uid() == 0
}

/// Waits until something is so, which the test has set going.
#[track_caller]
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !so() {
        assert!(begun.elapsed() < std::time::Duration::from_mins(1), "not in a minute: {what}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
