//! A docker with BuildKit of the test's own, from a Debian that has one.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Done, eventually, have, is_root, skip};

/// A daemon that ends with the last test that holds it, with all that it runs: it is the first process of a process namespace. Its
/// images lie in a mount namespace's memory, and its network is one of its own, from which nothing can be fetched.
pub struct Docker {
    keeper: Child,
    folder: tempfile::TempDir,
    programs: PathBuf,
}

/// Ends the daemon when the pipe to the test closes, however the test ends.
const KEEPER: &str = "unshare --mount --net --pid --fork --kill-child=KILL --mount-proc sh -c '
        mount -t tmpfs tmpfs \"$1/data\" && exec dockerd --config-file \"$1/daemon.json\" --host \"unix://$1/socket\" \
            --iptables=false --ip6tables=false --data-root \"$1/data/root\" --exec-root \"$1/data/run\" --pidfile \"$1/data/pid\"
    ' sh \"$1\" </dev/null >\"$1/log\" 2>&1 &
    cat >/dev/null
    kill -KILL $!
    wait";

impl Docker {
    /// One that several tests share; `None`, said aloud, where it cannot be had.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Docker>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(docker) = shared.upgrade() {
            return Some(docker);
        }
        let docker = Arc::new(Self::start(true)?);
        *shared = Arc::downgrade(&docker);
        Some(docker)
    }

    /// One that keeps images as containerd does, or as docker does by itself.
    pub fn start(containerd_images: bool) -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("config/cli-plugins");
        fs_err::create_dir_all(&plugins).unwrap();
        fs_err::create_dir(folder.path().join("data")).unwrap();
        let plugin = programs.join("usr/libexec/docker/cli-plugins/docker-buildx");
        fs_err::os::unix::fs::symlink(plugin, plugins.join("docker-buildx")).unwrap();
        let settings = serde_json::json!({ "features": { "containerd-snapshotter": containerd_images } });
        fs_err::write(folder.path().join("daemon.json"), settings.to_string()).unwrap();
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "sh"])
            .arg(folder.path())
            .env("PATH", path_with(&programs))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let docker = Self { keeper, folder, programs };
        eventually("docker comes up", || {
            let mut command = Command::new(docker.programs.join("usr/bin/docker"));
            command.envs(docker.variables()).arg("version");
            let done = Done::from(command.output().unwrap());
            assert!(!docker.log().contains("failed to start daemon"), "{}", docker.log());
            done.code == 0
        });
        Some(docker)
    }

    /// What a client needs to find it.
    pub fn variables(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        vec![
            ("PATH".to_owned(), path_with(&self.programs)),
            ("DOCKER_HOST".to_owned(), format!("unix://{}", path("socket"))),
            ("DOCKER_CONFIG".to_owned(), path("config")),
        ]
    }

    fn log(&self) -> String {
        fs_err::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn path_with(programs: &Path) -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{0}/usr/bin:{0}/usr/sbin:{own}", programs.display())
}

/// Docker's programs, fetched once for all tests.
fn programs() -> Option<PathBuf> {
    if !have("runc") || !have("unshare") {
        return None;
    }
    if !is_root() {
        skip("only root starts a docker");
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docker");
    let lock = fs_err::File::create(folder.with_extension("lock")).unwrap();
    lock.file().lock().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/install-buildkit.sh");
    let done = Done::from(Command::new(script).arg(&folder).output().unwrap());
    if done.code != 0 {
        skip(&format!("docker cannot be fetched from Debian: {}{}", done.stdout, done.stderr));
        return None;
    }
    Some(folder)
}
