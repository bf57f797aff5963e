//! Foreign programs on an environment's own base: what `lock` and `image` need of `compute`.

use std::io::Read;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;

use async_trait::async_trait;
use provenv_compute::{Container, Isolation, Mount, Running, Stream, Streams, Writable};
use provenv_definition::{Platform, Suite};
use provenv_image::python::PythonHost;
use provenv_image::{Assembler, Layer};
use provenv_lock::debian::Installed;
use provenv_lock::tool::{ToolCommand, ToolOutput, ToolRunner};
use provenv_lock::{BaseLock, PlatformLock};
use provenv_store::Store;

use crate::base_image::installed;
use crate::{Error, Reporter, Result, Workspace};

/// Runs Python on unpacked layers.
pub(crate) struct SandboxPython {
    store: Store,
}

impl PythonHost for SandboxPython {
    fn spawn(&self, layers: &[PathBuf], command: &[String], env: &[(&str, &str)]) -> std::io::Result<Child> {
        let container = Container {
            layers: layers.to_vec(),
            command: command.to_vec(),
            env: env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            cwd: "/".into(),
            // It compiles and executes nothing of what it is given; where there are no namespaces, the network cannot be cut.
            network: true,
            writable: Writable::Memory,
            ..Container::default()
        };
        let streams = Streams { stderr: Stream::Null, ..Streams::worker() };
        container.spawn(&self.store, streams).map(Running::into_child).map_err(std::io::Error::other)
    }
}

/// The base of an environment that is being locked, made when a tool first runs on it.
pub(crate) struct BaseSandbox<'a> {
    workspace: &'a Workspace,
    base: PlatformLock,
    platform: Platform,
}

impl<'a> BaseSandbox<'a> {
    pub(crate) fn new(workspace: &'a Workspace, base: PlatformLock, platform: Platform) -> Self {
        Self { workspace, base, platform }
    }

    /// Makes the base ready before a tool is there to run on it.
    pub(crate) async fn prepare(&self) -> Result<()> {
        let base = self.workspace.assembler(None).await?.base(&self.base, self.platform).await?;
        self.workspace.unpack(&base.layers).await.map(drop)
    }

    /// Goes on with what images on this base need, for as long as the caller cares to wait.
    pub(crate) async fn warm(&self) {
        let Ok(assembler) = self.workspace.assembler(None).await else { return };
        // An error comes up again where its result is needed.
        let _ = assembler.warm(&self.base, self.platform).await;
    }

    async fn run_tool(&self, command: ToolCommand) -> Result<ToolOutput> {
        let mut lock = self.base.clone();
        if !command.extra_packages.is_empty() {
            let (archive, suite, mut there) = match &lock.base {
                BaseLock::Debian { suite } => (self.workspace.archive().await?, suite.clone(), Vec::new()),
                base @ (BaseLock::Image(_) | BaseLock::Dockerfile(_)) => {
                    let known = self.workspace.known_base(base, self.platform).await?;
                    let suite = known.facts.takes_debs(known.image.layers.len());
                    let suite = suite.map_err(|unfit| Error::Arguments {
                        message: format!(
                            "a tool needs {} besides: {unfit}",
                            command.extra_packages.join(", ")
                        ),
                        hint: "name a base that has it".to_owned(),
                    })?;
                    let there = installed(&known.facts).iter().map(Installed::as_locked).collect();
                    let archive = self.workspace.archive_of(&known.facts, self.platform).await?;
                    (archive, Suite(suite.to_owned()), there)
                }
            };
            there.extend_from_slice(&lock.debian);
            let extra = archive.closure(&suite, self.platform, &there, &command.extra_packages).await?;
            lock.debian.extend(extra);
            lock.debian.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let base = self.workspace.assembler(None).await?.base(&lock, self.platform).await?;
        let layers = self.workspace.unpack(&base.layers).await?;
        let container = Container {
            layers,
            mounts: command
                .mounts
                .into_iter()
                .map(|mount| Mount { host: mount.host, guest: mount.guest, read_only: mount.read_only })
                .collect(),
            command: command.command,
            env: command.env,
            cwd: command.cwd,
            network: command.network,
            ..Container::default()
        };
        let store = self.workspace.store.clone();
        let reporter = Arc::clone(&self.workspace.reporter);
        tokio::task::spawn_blocking(move || {
            let running = confined(container, &store)?;
            for note in running.notes() {
                reporter.note(note);
            }
            captured(running)
        })
        .await?
    }
}

/// Waits for what was started, and takes what it prints.
pub(crate) fn captured(mut running: Running) -> Result<ToolOutput> {
    // Both at once: a pipe that nobody empties stops the tool.
    let (stdout, stderr) = (running.stdout.take(), running.stderr.take());
    let errors = std::thread::spawn(move || read_all(stderr));
    let stdout = read_all(stdout).map_err(provenv_compute::Error::Io)?;
    let stderr = errors.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let stderr = stderr.map_err(provenv_compute::Error::Io)?;
    Ok(ToolOutput { code: running.wait()?.code, stdout, stderr })
}

/// A line that foreign code printed, as a terminal may have it: nothing in it moves the cursor or changes colours.
pub(crate) fn shown(line: &str) -> impl Iterator<Item = char> {
    line.chars().filter(|c| !c.is_control())
}

/// Starts a tool, which may run foreign code such as an sdist's, apart from the host: where the machine does not allow that,
/// only if the user does.
fn confined(mut container: Container, store: &Store) -> Result<Running> {
    let allowed = std::env::var_os(UNCONFINED)
        .is_some_and(|value| !["", "0", "false", "no"].contains(&value.to_string_lossy().as_ref()));
    if allowed {
        return match container.spawn(store, Streams::captured()) {
            // A plain process cannot be kept from the network; the user has been asked for more than that.
            Err(provenv_compute::Error::Forbidden { isolation: Isolation::Process, .. }) => {
                container.network = true;
                Ok(container.spawn(store, Streams::captured())?)
            }
            result => Ok(result?),
        };
    }
    apart(container, store)
}

/// Starts what can only run apart from the host.
pub(crate) fn apart(mut container: Container, store: &Store) -> Result<Running> {
    container.isolation = Isolation::Overlay;
    match container.spawn(store, Streams::captured()) {
        Err(provenv_compute::Error::Forbidden { .. }) => {}
        result => return Ok(result?),
    }
    container.isolation = Isolation::Merged;
    match container.spawn(store, Streams::captured()) {
        Err(refused @ provenv_compute::Error::Forbidden { .. }) => Err(Error::Unconfined(refused)),
        result => Ok(result?),
    }
}

/// Set by a user who lets tools and builds run without a sandbox.
pub(crate) const UNCONFINED: &str = "PROVENV_ALLOW_UNCONFINED";

/// What is kept of what a tool prints: foreign code may print for ever.
const MOST_OUTPUT: usize = 16 << 20;

/// Reads to the end, and keeps at least the last [`MOST_OUTPUT`] bytes. If that is not all, a line before them says so.
fn read_all(stream: Option<impl Read>) -> std::io::Result<Vec<u8>> {
    let (mut bytes, mut left_out) = (Vec::new(), 0);
    let Some(mut stream) = stream else { return Ok(bytes) };
    while stream.by_ref().take(1 << 16).read_to_end(&mut bytes)? > 0 {
        if bytes.len() > 2 * MOST_OUTPUT {
            let too_many = bytes.len() - MOST_OUTPUT;
            bytes.drain(..too_many);
            left_out += too_many;
        }
    }
    if left_out > 0 {
        let line = format!("[{left_out} bytes before this are left out]\n");
        bytes.splice(..0, line.into_bytes());
    }
    Ok(bytes)
}

#[async_trait]
impl ToolRunner for BaseSandbox<'_> {
    async fn run(
        &self,
        command: ToolCommand,
    ) -> Result<ToolOutput, Box<dyn std::error::Error + Send + Sync>> {
        self.run_tool(command).await.map_err(Into::into)
    }
}

impl Workspace {
    /// What makes images, with this workspace's store and sandbox.
    pub(crate) async fn assembler(&self, reporter: Option<Arc<dyn Reporter>>) -> Result<Assembler> {
        let python = Arc::new(SandboxPython { store: self.store.clone() });
        let fetcher = self.fetcher().await?;
        let fetcher = match reporter {
            Some(reporter) => fetcher.with_reporter(reporter),
            None => fetcher.clone(),
        };
        Ok(Assembler::new(fetcher, python))
    }

    /// Folders with the files of `layers`, in their order.
    pub(crate) async fn unpack(&self, layers: &[Layer]) -> Result<Vec<PathBuf>> {
        let (store, reporter, layers) = (self.store.clone(), Arc::clone(&self.reporter), layers.to_vec());
        let folders = tokio::task::spawn_blocking(move || {
            provenv_image::unpack::layers(&store, &layers, reporter.as_ref())
        })
        .await?
        .map_err(Error::from)?;
        Ok(folders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_endless_output_the_end_is_kept() {
        let endless = std::io::repeat(b'x').take(200 << 20).chain(&b"last words"[..]);
        let kept = read_all(Some(endless)).unwrap();
        assert!(kept.ends_with(b"xlast words") && kept.len() >= MOST_OUTPUT && kept.capacity() < 100 << 20);
        let end = kept.iter().position(|&byte| byte == b'\n').unwrap();
        let left_out = (200 << 20) + "last words".len() - (kept.len() - end - 1);
        let said = String::from_utf8_lossy(&kept[..end]);
        assert_eq!(said, format!("[{left_out} bytes before this are left out]"));
        assert_eq!(read_all(Some(&b"short"[..])).unwrap(), b"short");
    }
}
