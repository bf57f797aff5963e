//! pip on top of conda, through the front door: conda's real Python, packages of both, in one image.

mod support;

use provenv_channel::{Channel, Package, RealChannel};
use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server;

use support::Workspace;

/// A server with the real channel, one of tiny packages, and a package index.
struct Places {
    server: Server,
}

impl Places {
    fn new(real: &RealChannel, tiny: &Channel, index: &Index) -> Self {
        Self { server: Server::start(index.serve(tiny.serve(real.tree()))) }
    }

    /// An `environment.yml`.
    fn environment(&self, conda: &[&str], pip: &[&str]) -> String {
        let mut text = format!(
            "name: both\nchannels:\n- {}\n- {}\ndependencies:\n- python=3.11\n",
            self.server.at("/tiny"),
            self.server.at("/real")
        );
        for spec in conda {
            text.extend(["- ", spec, "\n"]);
        }
        text.push_str(&format!("- pip\n- pip:\n  - --index-url {}\n", self.server.at("/simple/")));
        for requirement in pip {
            text.extend(["  - ", requirement, "\n"]);
        }
        text
    }
}

/// A conda package for any Python with one module and what pip leaves behind of it.
fn noarch(name: &str, version: &str, dist: &str, requires: &[&str]) -> Package {
    let module = dist.replace('-', "_");
    Package::new(name, version)
        .noarch_python()
        .depends("python >=3.8")
        .file(&format!("site-packages/{module}.py"), format!("BY = 'conda {version}'\n"))
        .python_dist(dist, version, requires)
}

#[test]
fn scikit_learn_of_conda_with_extras_of_pip() {
    let (Some(real), Some(workspace)) = (provenv_channel::real(), Workspace::new()) else { return };
    let index = Index::new()
        .add(Wheel::new("numpy", "99.0"))
        .add(Wheel::new("extra", "2.0").requires("numpy>=99"))
        .add(Wheel::new("extra", "1.0").requires("numpy>=1.20").requires("scikit-learn").requires("plain"))
        .add(Wheel::new("plain", "1.0"));
    let places = Places::new(real, &Channel::new("tiny"), &index);
    let file =
        workspace.write("environment.yml", &places.environment(&["scikit-learn"], &["extra", "numpy>=1.20"]));
    let done = workspace.run(["lock", "environment.yml", "--file", "lock.json"]).ok();
    println!("{}{}", done.stdout, done.stderr);
    let _ = file;
    let done = workspace
        .run([
            "run",
            "environment.yml",
            "--",
            "python",
            "-c",
            "import sklearn, extra, plain, numpy; print(numpy.__file__, extra.__file__)",
        ])
        .ok();
    println!("{}{}", done.stdout, done.stderr);
}
