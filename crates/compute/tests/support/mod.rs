//! A root made of the host's own programs, and containers on it run by this user or by nobody.
use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fs_err as fs;
use provenv_compute::{Container, set_helper};
use provenv_store::Store;
use tempfile::TempDir;

/// Debian's `nobody`.
pub const NOBODY: u32 = 65534;

const PROGRAMS: [&str; 18] = [
    "sh", "cat", "ls", "sleep", "id", "rm", "mkdir", "true", "chmod", "stat", "head", "tail", "nproc", "dd",
    "env", "touch", "mv", "readlink",
];

/// A folder with the host's shell and core utilities, and the libraries they need.
fn host_programs() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = shared().join("root");
        for folder in ["usr/bin", "etc", "tmp", "lib64"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        symlink("usr/bin", root.join("bin")).unwrap();
        fs::write(root.join("etc/os-release"), "NAME=inside\n").unwrap();
        let mut files = BTreeSet::new();
        for program in PROGRAMS {
            let path = std::env::split_paths("/usr/bin:/bin").map(|folder| folder.join(program));
            let path = path.into_iter().find(|path| path.exists()).expect(program);
            fs::copy(&path, root.join("usr/bin").join(program)).unwrap();
            let listing = Command::new("ldd").arg(&path).output().unwrap().stdout;
            let listing = String::from_utf8(listing).unwrap();
            files.extend(listing.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned));
        }
        for file in files {
            let target = root.join(file.trim_start_matches('/'));
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(&file, target).unwrap();
        }
        root
    })
}

/// An own copy, as if this user had unpacked it.
fn copy_for(uid: u32, from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    let owned = Command::new("chown").args(["-hR", &format!("{uid}:{uid}")]).arg(to).status().unwrap();
    assert!(copied.success() && owned.success());
}

/// A folder for this test program that everybody can read. Static values are not dropped: the next test
/// program removes it.
fn shared() -> &'static Path {
    static SHARED: OnceLock<TempDir> = OnceLock::new();
    let folder = SHARED.get_or_init(|| {
        for entry in fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix("provenv-compute-of-").and_then(|name| name.split('-').next());
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        open_folder(&format!("provenv-compute-of-{}-", std::process::id()))
    });
    folder.path()
}

fn open_folder(prefix: &str) -> TempDir {
    let folder = tempfile::Builder::new().prefix(prefix).tempdir().unwrap();
    fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The test driver, where everybody can execute it.
pub fn driver() -> &'static Path {
    static DRIVER: OnceLock<PathBuf> = OnceLock::new();
    DRIVER.get_or_init(|| {
        let driver = shared().join("driver");
        fs::copy(env!("CARGO_BIN_EXE_provenv-compute-driver"), &driver).unwrap();
        driver
    })
}

/// Who runs the containers of a test.
pub struct User {
    pub uid: u32,
    pub folder: TempDir,
}

impl User {
    /// Us.
    pub fn me() -> Self {
        set_helper(driver());
        Self::with_uid(nix::unistd::geteuid().as_raw())
    }

    fn with_uid(uid: u32) -> Self {
        let folder = open_folder("provenv-compute-test-");
        chown(folder.path(), Some(uid), Some(uid)).unwrap();
        copy_for(uid, host_programs(), &folder.path().join("root"));
        Self { uid, folder }
    }

    /// Us, and nobody too if we may be nobody.
    pub fn all() -> Vec<Self> {
        let me = Self::me();
        if me.uid != 0 {
            println!("not root: tried only as this user");
            return vec![me];
        }
        vec![me, Self::with_uid(NOBODY)]
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn store(&self) -> Store {
        Store::open(self.path().join("store")).unwrap()
    }

    /// A folder of this user's.
    pub fn mkdir(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(&path).unwrap();
        chown(&path, Some(self.uid), Some(self.uid)).unwrap();
        path
    }

    /// How many containers' writes are on disk.
    pub fn scratch_folders(&self) -> usize {
        let own = fs::read_dir(self.path().join("store/tmp")).unwrap().flatten();
        let names = own.flat_map(|own| fs::read_dir(own.path()).into_iter().flatten().flatten());
        names.filter(|entry| entry.file_name() != ".alive").count()
    }

    /// The driver, as this user, on this container.
    pub fn driver(&self, container: &Container) -> Command {
        let mut command = Command::new(driver());
        command.arg(self.path().join("store")).arg(serde_json::to_string(container).unwrap());
        command.stdin(Stdio::null());
        if self.uid != nix::unistd::geteuid().as_raw() {
            command.uid(self.uid).gid(self.uid);
        }
        command
    }

    pub fn run(&self, container: &Container) -> Output {
        self.driver(container).output().unwrap()
    }

    /// Runs it, expects success, and returns what it printed.
    pub fn prints(&self, container: &Container) -> String {
        let output = self.run(container);
        assert!(output.status.success(), "uid {}: {output:?}", self.uid);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The user's root, to be a lowest layer.
    pub fn root(&self) -> PathBuf {
        self.path().join("root")
    }

    /// A container on the root that runs a shell script.
    pub fn shell(&self, script: &str) -> Container {
        self.command(&["sh", "-c", script])
    }

    /// A container on the root that runs a command.
    pub fn command(&self, words: &[&str]) -> Container {
        Container {
            layers: vec![self.root()],
            command: words.iter().map(|word| (*word).to_owned()).collect(),
            cwd: "/".into(),
            network: true,
            ..Container::default()
        }
    }
}

/// Waits until something holds, for ten seconds at most.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a finished driver printed, both streams.
pub fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
