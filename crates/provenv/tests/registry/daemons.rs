//! Daemons as clients: containerd, which Kubernetes pulls with, and docker. Each runs for one test, with all that is its own in
//! the test's folder.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::access::with_users;
use super::peers::{peer, real_image};
use super::server::{Server, served};
use crate::support::{Done, Workspace, have, is_root};

/// A daemon, which is told to stop when dropped.
struct Daemon {
    child: Child,
}

impl Daemon {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = fs_err::File::create(log).unwrap().into_parts().0;
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { child }
    }

    /// Waits until it answers; says whether it did.
    fn answers(&mut self, mut ask: impl FnMut() -> bool) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_mins(2) {
            if ask() {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let id = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// containerd with nothing but what pulls and pushes need.
fn containerd(workspace: &Workspace) -> Option<Daemon> {
    if !is_root() || !have("containerd") || !have("ctr") {
        return None;
    }
    let path = |name: &str| workspace.path().join(name);
    let config = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
    workspace.write("containerd.toml", config);
    let mut command = Command::new("containerd");
    command.arg("--config").arg(path("containerd.toml")).arg("--root").arg(path("root"));
    command.arg("--state").arg(path("state")).arg("--address").arg(path("c.sock"));
    let mut daemon = Daemon::start(&mut command, &path("containerd.log"));
    let answers = daemon.answers(|| ctr(workspace, &["version"]).code == 0);
    assert!(answers, "{}", fs_err::read_to_string(path("containerd.log")).unwrap());
    Some(daemon)
}

fn ctr(workspace: &Workspace, arguments: &[&str]) -> Done {
    let socket = workspace.path().join("c.sock");
    peer(workspace, "ctr", &[&["--address", socket.to_str().unwrap()], arguments].concat())
}

#[test]
fn containerd_pulls_and_pushes() {
    let (workspace, server) = served();
    let Some(_daemon) = containerd(&workspace) else { return };
    let client = server.client();
    let manifest = real_image(&workspace, &client, "team/tea", "1");
    let (one, two) = (server.at("team/tea:1"), server.at("other/tea:2"));
    // Unpacked too, so every byte was read.
    ctr(&workspace, &["images", "pull", "--plain-http", "--snapshotter", "native", &one]).ok();
    ctr(&workspace, &["images", "tag", &one, &two]).ok();
    ctr(&workspace, &["images", "push", "--plain-http", &two]).ok();
    assert_eq!(client.get("/v2/other/tea/manifests/2").is(200).body, manifest);
    let gone = ctr(&workspace, &["images", "pull", "--plain-http", &server.at("team/tea:2")]);
    assert!(gone.code != 0 && gone.stderr.contains("not found"), "{}", gone.stderr);
}

#[test]
fn containerd_gives_a_name_where_it_is_wanted() {
    let (workspace, _) = with_users();
    let Some(_daemon) = containerd(&workspace) else { return };
    real_image(&workspace, &Server::open(&workspace.root()).client(), "tea", "1");
    for arguments in [&["--htpasswd", "users"][..], &["--htpasswd", "users", "--anonymous-pull"]] {
        let server = Server::start(workspace.command(), arguments);
        let image = server.at("tea:1");
        let pull = |user: &[&str]| {
            let flags = ["images", "pull", "--plain-http", "--snapshotter", "native"];
            ctr(&workspace, &[&flags[..], user, &[&image]].concat())
        };
        let open = arguments.len() > 2;
        assert_eq!(pull(&[]).code == 0, open);
        // Where anybody may pull, it is not asked for the name.
        assert_eq!(pull(&["--user", "me:hunter3"]).code == 0, open);
        pull(&["--user", "me:hunter2"]).ok();
        let push = |user: &[&str]| {
            // One that is there already would not be pushed.
            let to = server.at(&format!("mine/tea:{open}"));
            ctr(&workspace, &["images", "tag", "--force", &image, &to]).ok();
            ctr(&workspace, &[&["images", "push", "--plain-http"], user, &[&to]].concat())
        };
        assert_ne!(push(&[]).code, 0);
        push(&["--user", "me:hunter2"]).ok();
    }
}

/// Docker's daemon. It is not asked for: where it is not installed or cannot run, in a container for example, that is said.
fn dockerd(workspace: &Workspace) -> Option<Daemon> {
    let skip = |why: &str| {
        eprintln!("skipped: {why}");
        None
    };
    let installed = |name: &str| {
        ["/usr/sbin", "/usr/bin", "/usr/local/bin"].iter().any(|folder| Path::new(folder).join(name).exists())
    };
    if !is_root() || !installed("dockerd") || !installed("docker") {
        return skip("docker's daemon is not installed, or may not run");
    }
    let path = |name: &str| workspace.path().join(name).to_str().unwrap().to_owned();
    let mut command = Command::new("unshare");
    command.args(["--mount", "dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false"]);
    command.args(["--storage-driver", "vfs", "--data-root", &path("docker"), "--exec-root", &path("exec")]);
    command.args(["--pidfile", &path("docker.pid"), "--host", &format!("unix://{}", path("d.sock"))]);
    let mut daemon = Daemon::start(&mut command, &workspace.path().join("docker.log"));
    if daemon.answers(|| docker(workspace, &["version"]).code == 0) {
        Some(daemon)
    } else {
        skip(&format!(
            "docker's daemon does not run here: {}",
            fs_err::read_to_string(path("docker.log")).unwrap()
        ))
    }
}

fn docker(workspace: &Workspace, arguments: &[&str]) -> Done {
    let host = format!("unix://{}", workspace.path().join("d.sock").display());
    peer(workspace, "docker", &[&["--host", &host], arguments].concat())
}

#[test]
fn docker_pulls_pushes_and_logs_in() {
    let (workspace, _) = with_users();
    let Some(_daemon) = dockerd(&workspace) else { return };
    real_image(&workspace, &Server::open(&workspace.root()).client(), "tea", "1");
    for arguments in [&["--htpasswd", "users"][..], &["--htpasswd", "users", "--anonymous-pull"]] {
        let server = Server::start(workspace.command(), arguments);
        let (one, two) = (server.at("tea:1"), server.at("other/tea:2"));
        let open = arguments.len() > 2;
        let nameless = docker(&workspace, &["pull", &one]);
        assert_eq!(nameless.code == 0, open, "{}", nameless.stderr);
        let login = |password: &str| {
            let flags = ["login", "--username", "me", "--password", password];
            docker(&workspace, &[&flags[..], &[&server.address.to_string()]].concat())
        };
        assert_ne!(login("hunter3").code, 0);
        login("hunter2").ok();
        docker(&workspace, &["pull", &one]).ok();
        docker(&workspace, &["tag", &one, &two]).ok();
        docker(&workspace, &["push", &two]).ok();
        docker(&workspace, &["rmi", &one, &two]).ok();
        docker(&workspace, &["pull", &two]).ok();
        let shown = docker(&workspace, &["inspect", "--format", "{{json .Config.Cmd}}", &two]).ok();
        assert_eq!(shown.stdout.trim(), r#"["/hello"]"#);
        docker(&workspace, &["logout", &server.address.to_string()]).ok();
        docker(&workspace, &["rmi", &two]).ok();
    }
}
