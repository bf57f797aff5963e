//! What images are like: `build --compression`, `--layers`, `--epoch`, the settings for them, and what skopeo, umoci, podman and
//! buildah make of the result. eStargz layers are read by a reader written from the format's specification.

mod epochs;
mod estargz;
mod layers;
mod zstd;

use std::path::{Path, PathBuf};
use std::process::Command;

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server;
use serde_json::Value;

use crate::support::{Done, Workspace, definition, serve};

/// A workspace with a definition of two wheels: a library that is some gzip members of its own, and one of small files.
struct Setup {
    workspace: Workspace,
    _server: Server,
}

impl Setup {
    fn new() -> Option<Self> {
        let workspace = Workspace::new()?;
        let noise: Vec<u8> =
            (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let index = Index::new()
            .add(
                Wheel::new("tea", "1.0")
                    .requires("leaf")
                    .entry_point("console_scripts", "pour", "tea:main")
                    .file("tea/__init__.py", "import leaf\n\ndef main():\n    print('poured', leaf.KIND)\n")
                    .file("tea/data.bin", noise)
                    .file("tea/empty", ""),
            )
            .add(Wheel::new("leaf", "1.2").file("leaf/__init__.py", "KIND = 'green'\n"));
        let server = serve(&index);
        workspace.write("environment.yaml", &definition(&server, "tea", &["tea"]));
        Some(Self { workspace, _server: server })
    }

    fn build(&self, arguments: &[&str]) -> Value {
        self.workspace.json([&["build", "environment.yaml"], arguments].concat())
    }

    fn layout(&self, name: &str) -> Layout {
        Layout(self.workspace.path().join(name))
    }

    /// Runs a peer in the test's folder.
    #[track_caller]
    fn peer(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).current_dir(self.workspace.path()).output();
        Done::from(output.unwrap()).ok().stdout
    }

    /// podman or buildah with a storage of its own.
    #[track_caller]
    fn contained(&self, program: &str, arguments: &[&str]) -> String {
        let path = |name: &str| self.workspace.path().join(name).to_str().unwrap().to_owned();
        let (storage, run) = (path("storage"), path("run"));
        let flags = ["--root", &storage, "--runroot", &run, "--storage-driver", "vfs"];
        self.peer(program, &[&flags, arguments].concat())
    }

    /// What `pour` says in a container of podman's that is made of an archive.
    #[track_caller]
    fn poured_by_podman(&self, archive: &str) -> String {
        let image = self.contained("podman", &["pull", "--quiet", archive]);
        let flags = ["--runtime", "runc", "--cgroup-manager", "cgroupfs", "run", "--rm", "--network", "none"];
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", image.trim(), "pour"];
        self.contained("podman", &[&flags[..], &limits].concat())
    }
}

/// An OCI layout with one image.
struct Layout(PathBuf);

impl Layout {
    fn blob(&self, digest: &Value) -> PathBuf {
        self.0.join("blobs/sha256").join(digest.as_str().unwrap().strip_prefix("sha256:").unwrap())
    }

    fn manifest(&self) -> Value {
        let index = json(self.0.join("index.json"));
        json(self.blob(&index["manifests"][0]["digest"]))
    }

    fn config(&self) -> Value {
        json(self.blob(&self.manifest()["config"]["digest"]))
    }

    fn labels(&self) -> Value {
        self.config()["config"]["Labels"].clone()
    }

    fn variables(&self) -> Vec<String> {
        let config = self.config();
        let all = config["config"]["Env"].as_array().unwrap().iter();
        all.map(|text| text.as_str().unwrap().to_owned()).collect()
    }
}

fn json(file: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs_err::read(file.as_ref()).unwrap()).unwrap()
}

/// Whether checking an image came out well, and what was said of making it again.
#[track_caller]
fn rebuilt(workspace: &Workspace, image: &str) -> (bool, String) {
    let mut command = workspace.command();
    let done: Done =
        command.args(["-o", "json", "image", "verify", "--rebuild", image]).output().unwrap().into();
    let verified = done.json();
    let checks = verified["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "rebuild").unwrap();
    (verified["verified"] == true, check["detail"].as_str().unwrap().to_owned())
}
