//! A store, an index and the real uv, run on this machine's Python instead of in the sandbox.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use provenv_definition::{PipRequirement, PipRequirements, Platform};
use provenv_fetch::{CredentialSources, Fetcher, Options, Reporter, Silent};
use provenv_lock::pypi::{Error, Host, Installed, PypiConfig, PypiResolution, Resolver, Target};
use provenv_lock::tool::{ToolCommand, ToolOutput, ToolRunner};
use provenv_lock::{BaseLock, PlatformLock, PypiPackage, PythonLock, Upgrade};
use provenv_store::Store;
use provenv_testing::pypi::Index;
use provenv_testing::server::{FileTree, Server};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// Runs commands on this machine with the guest's paths replaced by the host's.
#[derive(Default)]
pub struct HostRunner {
    /// What was run.
    pub commands: Mutex<Vec<ToolCommand>>,
}

#[async_trait]
impl ToolRunner for HostRunner {
    async fn run(&self, tool: ToolCommand) -> Result<ToolOutput, Box<dyn std::error::Error + Send + Sync>> {
        self.commands.lock().unwrap().push(tool.clone());
        // A file may have another name inside, and uv looks at names.
        let renamed = tempfile::tempdir()?;
        let mut tool = tool;
        for mount in tool.mounts.iter_mut().filter(|mount| mount.host.is_file()) {
            let name = mount.guest.file_name().unwrap();
            if mount.host.file_name() != Some(name) {
                fs_err::copy(&mount.host, renamed.path().join(name))?;
                mount.host = renamed.path().join(name);
            }
        }
        let outside = |text: &str| {
            let inside = |guest: &Path| text.strip_prefix(guest.to_str().unwrap()).map(str::to_owned);
            let found = tool.mounts.iter().filter_map(|mount| Some((mount, inside(&mount.guest)?)));
            let rest = found.filter(|(_, rest)| rest.is_empty() || rest.starts_with('/'));
            match rest.max_by_key(|(mount, _)| mount.guest.as_os_str().len()) {
                Some((mount, rest)) => format!("{}{rest}", mount.host.display()),
                None => text.to_owned(),
            }
        };
        let mut env: BTreeMap<String, String> =
            tool.env.iter().map(|(name, value)| (name.clone(), outside(value))).collect();
        env.insert("PATH".to_owned(), std::env::var("PATH")?);
        let mut command = tokio::process::Command::new(outside(&tool.command[0]));
        command.args(tool.command[1..].iter().map(|argument| outside(argument)));
        command.env_clear().envs(env).current_dir(outside(tool.cwd.to_str().unwrap()));
        let output = command.output().await?;
        Ok(ToolOutput {
            code: output.status.code().unwrap_or(137),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}

/// Remembers what a user would be told.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Reporter for Notes {
    fn expect(&self, _: provenv_fetch::Phase, _: u64, _: u64) {}
    fn begin(&self, _: provenv_fetch::Phase, _: &str) {}
    fn advance(&self, _: provenv_fetch::Phase, _: u64) {}
    fn end(&self, _: provenv_fetch::Phase, _: &str) {}
    fn note(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

/// The executable and an interpreter, brought here once for all tests. `None` where neither an index nor a pip nor a
/// Python can be had.
async fn tools() -> Option<&'static (PathBuf, PathBuf)> {
    static TOOLS: OnceCell<Option<(PathBuf, PathBuf)>> = OnceCell::const_new();
    TOOLS
        .get_or_init(|| async {
            let store = Store::open(Path::new(env!("CARGO_TARGET_TMPDIR")).join("uv")).unwrap();
            let fetcher = Fetcher::new(store, Arc::new(Silent), Options::default()).unwrap();
            let uv = match Resolver::new(fetcher, PypiConfig::default()).tool().await {
                Ok(uv) => uv,
                Err(error) => {
                    println!("skipped: {error}");
                    return None;
                }
            };
            // uv asks the interpreter itself, not a shim for it.
            let script = "import sys; print(sys.executable)";
            let output = Command::new("python3").args(["-c", script]).output();
            let Some(output) = output.ok().filter(|output| output.status.success()) else {
                println!("skipped: there is no python3");
                return None;
            };
            Some((uv, PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())))
        })
        .await
        .as_ref()
}

/// A machine of one's own: store, index server, credentials.
pub struct Machine {
    pub folder: TempDir,
    pub store: Store,
    pub server: Server,
    pub runner: HostRunner,
    pub config: PypiConfig,
    /// What conda has installed.
    pub installed: Vec<Installed>,
    notes: Arc<Notes>,
    fetcher: Fetcher,
    pub python: PathBuf,
}

/// What a definition asks of pip.
pub fn pip(requirements: &[&str]) -> PipRequirements {
    PipRequirements {
        requirements: requirements.iter().map(|text| requirement(text)).collect(),
        ..Default::default()
    }
}

pub fn requirement(text: &str) -> PipRequirement {
    PipRequirement { requirement: text.to_owned(), hashes: Vec::new(), editable: false }
}

/// A lock with these packages, to start an upgrade from.
pub fn lock(pypi: Vec<PypiPackage>) -> PlatformLock {
    let base = BaseLock::Debian { suite: provenv_definition::Suite("bookworm".into()) };
    PlatformLock { base, debian: Vec::new(), python: None, conda: Vec::new(), pypi, post_link: None }
}

impl Machine {
    /// A machine whose default index is `index`. `None` where uv cannot be had: the test is skipped.
    pub async fn new(index: Index) -> Option<Self> {
        Self::with(index, &[]).await
    }

    /// The same with these variables.
    pub async fn with(index: Index, variables: &[(&str, &str)]) -> Option<Self> {
        let (uv, python) = tools().await?;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let key = uv.parent().unwrap().file_name().unwrap().to_str().unwrap();
        let staged = store.stage_tree("tool", key).unwrap();
        if fs_err::hard_link(uv, staged.path().join("uv")).is_err() {
            fs_err::copy(uv, staged.path().join("uv")).unwrap();
        }
        staged.commit().unwrap();

        let server = Server::start(index.serve(FileTree::new()));
        let variables: BTreeMap<String, String> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut host: BTreeMap<String, String> = variables.clone();
        host.insert("UV_HTTP_RETRIES".to_owned(), "0".to_owned());
        let config = PypiConfig {
            index: Some(server.at("/simple/").parse().unwrap()),
            uv_wheel: None,
            build_network: false,
            logs: Some(folder.path().join("builds")),
            host: Host::new(host, folder.path()),
        };
        let notes = Arc::new(Notes::default());
        let credentials = CredentialSources::new(move |name| variables.get(name).cloned(), None, None);
        let options = Options { credentials, retries: 0, ..Options::default() };
        let fetcher = Fetcher::new(store.clone(), Arc::clone(&notes) as _, options).unwrap();
        let python = python.clone();
        let (runner, installed) = (HostRunner::default(), Vec::new());
        Some(Self { folder, store, server, runner, config, installed, notes, fetcher, python })
    }

    pub fn go_offline(&mut self) {
        let options = Options { offline: true, ..self.fetcher.options().clone() };
        self.fetcher = Fetcher::new(self.store.clone(), Arc::clone(&self.notes) as _, options).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The `file:` URL of a path here.
    pub fn url(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    /// Python 3.11 on glibc 2.36 whatever this machine has: uv is told for what it resolves.
    pub fn python(&self) -> PythonLock {
        PythonLock {
            version: "3.11.2".into(),
            executable: self.python.to_str().unwrap().to_owned(),
            glibc: "2.36".into(),
            as_is: false,
        }
    }

    pub async fn try_resolve(
        &self,
        pip: &PipRequirements,
        previous: Option<&PlatformLock>,
        upgrade: &Upgrade,
    ) -> Result<PypiResolution, Error> {
        let resolver = Resolver::new(self.fetcher.clone(), self.config.clone());
        let target = Target {
            python: &self.python(),
            platform: Platform::LinuxAmd64,
            installed: &self.installed,
            as_of: None,
        };
        resolver.resolve(pip, &target, &self.runner, previous, upgrade).await
    }

    pub async fn resolve(&self, pip: &PipRequirements) -> Vec<PypiPackage> {
        self.try_resolve(pip, None, &Upgrade::None).await.unwrap().packages
    }

    pub async fn upgrade(
        &self,
        pip: &PipRequirements,
        from: &[PypiPackage],
        upgrade: Upgrade,
    ) -> Vec<PypiPackage> {
        self.try_resolve(pip, Some(&lock(from.to_vec())), &upgrade).await.unwrap().packages
    }

    pub async fn fail(&self, pip: &PipRequirements) -> Error {
        self.try_resolve(pip, None, &Upgrade::None).await.expect_err("it should fail")
    }

    /// What a user was told meanwhile.
    pub fn notes(&self) -> Vec<String> {
        self.notes.0.lock().unwrap().clone()
    }

    /// A repository in `name` with all its files committed; the commit.
    pub fn commit(&self, name: &str) -> String {
        let folder = self.path(name);
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            command
                .current_dir(&folder)
                .args(["-c", "user.name=t", "-c", "user.email=t@t.test"])
                .args(arguments);
            command.env("GIT_CONFIG_GLOBAL", "/dev/null");
            let output = command.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        git(&["init", "--quiet", "--initial-branch=main"]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message=x"]);
        git(&["rev-parse", "HEAD"])
    }
}

/// Snapshots without what differs from run to run.
pub fn settings(machine: &Machine) -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(&machine.server.url.replace('.', r"\."), "[server]");
    settings.add_filter(&machine.folder.path().display().to_string().replace('.', r"\."), "[folder]");
    settings.add_filter("sha256:[0-9a-f]{64}", "sha256:[digest]");
    settings.add_filter("@[0-9a-f]{40}", "@[commit]");
    settings.add_filter("\"size\": [0-9]+", "\"size\": \"[size]\"");
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings
}

/// Compares a lock with its golden one.
#[macro_export]
macro_rules! golden {
    ($machine:expr, $packages:expr) => {{
        let text = serde_json::to_string_pretty(&$packages).unwrap();
        $crate::pypi::support::settings(&$machine).bind(|| insta::assert_snapshot!(text));
    }};
}

/// Compares an error and its hint with their golden text.
#[macro_export]
macro_rules! golden_error {
    ($machine:expr, $error:expr) => {{
        let error = $error;
        let text = format!("{error}\nhint: {}", error.hint().unwrap_or_default());
        $crate::pypi::support::settings(&$machine).bind(|| insta::assert_snapshot!(text));
    }};
}
