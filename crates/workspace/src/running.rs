//! Commands in environments: at the terminal, or as recorded runs.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use provenv_compute::{Container, Exit, Limits, Mount, Running, Stream, Streams};
use provenv_definition::{Diagnostic, Digest, Environment, Platform, Source};
use provenv_image::form::Form;
use provenv_image::oci::Image;
use provenv_lock::PlatformLock;
use provenv_store::{Hold, SharedPin};
use serde::Serialize;

use crate::building::blobs_of;
use crate::cache::Need;
use crate::catalogue::{RunRow, RunStatus};
use crate::environments::{Given, Registered};
use crate::error::{IoContext, with_causes};
use crate::job::{Job, invalid};
use crate::locking::{Locked, platforms_of};
use crate::runs::RunDetails;
use crate::supervise::{Signals, supervise};
use crate::{Error, Result, Workspace, identifier, job, snapshot};

/// The working folder of a recorded run, inside.
const CODE: &str = "/mnt/provenv/code";
/// Its outputs, inside: a folder of the working folder, as in Azure ML.
const OUTPUTS: &str = "/mnt/provenv/code/outputs";

const OUT_OF_MEMORY: &str = "killed for using more memory than its limit";

/// How a command is run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Variables over the environment's own.
    pub variables: Vec<(String, String)>,
    /// Host folders to show inside: host, inside, read-only.
    pub mounts: Vec<(PathBuf, PathBuf, bool)>,
    /// Whether the network is cut.
    pub no_network: bool,
    /// Most processors.
    pub cpus: Option<f64>,
    /// Most memory, in bytes.
    pub memory: Option<u64>,
}

/// How a job is submitted.
#[derive(Clone, Debug, Default)]
pub struct SubmitOptions {
    /// How its command is run.
    pub run: RunOptions,
    /// Arguments added to its command.
    pub arguments: Vec<String>,
    /// Whether its output goes to standard output besides the log.
    pub show_log: bool,
}

/// How a submitted job ended.
#[derive(Clone, Debug, Serialize)]
pub struct Finished {
    /// The run.
    pub run: RunDetails,
    /// Whether the environment's version is new.
    pub registered: bool,
    /// Whether the image was there already.
    pub cached: bool,
    /// What is to be said about the environment's file.
    #[serde(skip)]
    pub warnings: Vec<Diagnostic>,
}

/// What is kept of a job besides the catalogue's columns.
#[derive(Serialize)]
struct RunRecord<'a> {
    job: &'a Job,
    command: &'a [String],
    code: Option<Digest>,
    definition: Digest,
    lock: Digest,
}

impl Workspace {
    /// Runs `command` in an environment with the working folder inside; returns its exit code. Nothing is recorded
    /// beyond the environment's lock and image.
    pub async fn run(
        &self,
        reference: &str,
        folder: &Path,
        command: Vec<String>,
        options: &RunOptions,
        ready: impl FnOnce(&[Diagnostic]) + Send,
    ) -> Result<i32> {
        let pin = self.store.pin()?;
        let given = self.given(reference, folder).await?;
        let prepared = self.prepared(&given).await?;
        let layers = self.unpack(&prepared.image.layers).await?;
        let mut container = Container { layers, command, ..Container::default() };
        container.cwd = show_folder(&mut container.mounts, folder);
        for (host, guest, read_only) in &options.mounts {
            container.mounts.push(Mount { host: host.clone(), guest: guest.clone(), read_only: *read_only });
        }
        container.env = variables(&prepared.variables, &given.environment, &options.variables);
        self.show_interpreter(&given.environment, &mut container)?;
        confine(&mut container, options);
        ready(&given.warnings);
        let signals = Signals::listen()?;
        let (running, _hold) = self.start(container, Streams::inherit(), &prepared.image, pin).await?;
        let exit = supervise(running, signals).await?.exit;
        if exit.out_of_memory {
            self.reporter.note(OUT_OF_MEMORY);
        } else {
            self.note_missing(&given, &prepared.lock, prepared.form, exit.code)?;
        }
        Ok(exit.code)
    }

    /// Runs a job: registers its environment, builds it, runs the command on a copy of the code, and keeps log, exit
    /// code, outputs and receipt.
    pub async fn submit(
        &self,
        path: &Path,
        options: &SubmitOptions,
        ready: impl FnOnce(&str, &Registered, bool) + Send,
    ) -> Result<Finished> {
        let source = Source::read(path).map_err(|error| Error::Definition(error.0))?;
        let job = Job::parse(&source).map_err(|error| Error::Definition(error.0))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name =
            job.name.clone().or_else(|| job.display_name.clone()).unwrap_or_else(|| folder_name(folder));
        let refuse = |message: String| Error::Definition(vec![invalid(&source, message)]);
        let words = job.words(OUTPUTS, &options.arguments).map_err(refuse)?;
        if let Some(code) = &job.code {
            let from = folder.join(code);
            let code = code.display();
            if !from.exists() {
                return Err(refuse(format!("`{code}`, the folder with the code, does not exist")));
            }
            if !from.is_dir() {
                return Err(refuse(format!("`{code}` is a file, and `code` names a folder")));
            }
        }

        let pin = self.store.pin()?;
        let mut given = self.job_environment(&job, &source, folder).await?;
        let registered = if let Some(row) = &given.row {
            Registered {
                name: row.name.clone(),
                version: row.version.clone(),
                created: false,
                definition: row.definition,
                receipt: row.receipt,
                lock: row.lock,
                untold: None,
            }
        } else {
            if given.environment.name.is_none() {
                given.environment.name = Some(name.clone());
            }
            let registered = if given.curated.is_some() {
                self.enter_curated(&given).await
            } else {
                self.register(&given.environment, &given.origins, given.artifacts.as_ref(), None).await
            };
            let registered = registered.map_err(|error| error.of(&given))?;
            given.row = self.catalogue.environment(&registered.name, Some(&registered.version)).await?;
            registered
        };
        let Prepared { locked, image, variables: image_variables, cached, .. } =
            self.prepared(&given).await?;
        let layers = self.unpack(&image.layers).await?;

        let id = identifier(&host_name(&name));
        // Held while this process watches: a run whose lease is free and which has no end is lost.
        let _watching = self.store.lock_async("run", &id).await?;
        let run_folder = self.root.join("runs").join(&id);
        let code_folder = run_folder.join("code");
        let outputs_folder = run_folder.join("outputs");
        let making = || format!("could not make the folder of run {id}");
        fs_err::create_dir_all(&code_folder).doing(making)?;
        for output in job.outputs.keys() {
            fs_err::create_dir_all(outputs_folder.join(output)).doing(making)?;
        }
        fs_err::create_dir_all(&outputs_folder).doing(making)?;
        let code = match &job.code {
            Some(code) => {
                let from = folder.join(code);
                let copied = snapshot::copy(&from, &code_folder, &self.root)
                    .doing(|| format!("could not copy the code folder {}", from.display()))?;
                Some(copied)
            }
            None => None,
        };
        // The place that the outputs are mounted on. A link there would lead the mount elsewhere.
        fs_err::create_dir(code_folder.join(snapshot::OUTPUTS)).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                refuse("`outputs` in the code folder is no folder: outputs are kept there".to_owned())
            }
            _ => Error::Io { what: making(), source: error },
        })?;

        // Where there are no namespaces, a shell line must name the outputs as the host does.
        let plain = job.words(&outputs_folder.display().to_string(), &options.arguments).map_err(refuse)?;
        let record = RunRecord {
            job: &job,
            command: &words,
            code,
            definition: locked.definition,
            lock: locked.receipt.lock,
        };
        let signals = Signals::listen()?;
        let heartbeat = self
            .begin_run(&RunRow {
                id: id.clone(),
                name: name.clone(),
                environment: registered.name.clone(),
                version: registered.version.clone(),
                receipt: locked.receipt_digest,
                manifest: image.manifest,
                body: serde_json::to_string(&record).map_err(|error| refuse(error.to_string()))?,
                status: RunStatus::Running,
                exit_code: None,
                error: None,
                started_at: jiff::Timestamp::now(),
                ended_at: None,
            })
            .await?;

        let mut container = Container {
            layers,
            command: words,
            plain_command: Some(plain),
            cwd: CODE.into(),
            hostname: Some(host_name(&name)),
            ..Container::default()
        };
        container.mounts = vec![
            Mount { host: code_folder, guest: CODE.into(), read_only: false },
            Mount { host: outputs_folder, guest: OUTPUTS.into(), read_only: false },
        ];
        for (host, guest, read_only) in &options.run.mounts {
            container.mounts.push(Mount { host: host.clone(), guest: guest.clone(), read_only: *read_only });
        }
        let mut own: Vec<(String, String)> =
            job.environment_variables.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        own.extend(options.run.variables.iter().cloned());
        own.push(("PROVENV_RUN_ID".to_owned(), id.clone()));
        own.push(("PROVENV_OUTPUTS".to_owned(), OUTPUTS.to_owned()));
        container.env = variables(&image_variables, &given.environment, &own);
        self.show_interpreter(&given.environment, &mut container)?;
        let mut limits = options.run.clone();
        if let Some(job_limits) = &job.limits {
            limits.cpus = limits.cpus.or(job_limits.cpus);
            limits.memory = limits.memory.or(job_limits.memory);
        }
        confine(&mut container, &limits);

        ready(&id, &registered, cached);
        let log = run_folder.join("log.txt");
        let outcome = self.run_logged(container, &image, pin, &log, options.show_log, signals).await;
        drop(heartbeat);
        match &outcome {
            Ok((exit, stopped)) => {
                let status = match exit.code {
                    0 => RunStatus::Completed,
                    _ if *stopped => RunStatus::Canceled,
                    _ => RunStatus::Failed,
                };
                if status == RunStatus::Failed {
                    self.note_missing_in(&given, &log);
                }
                let why = exit.out_of_memory.then_some(OUT_OF_MEMORY);
                self.end_run(&id, status, Some(exit.code), why).await?;
            }
            Err(error) => {
                self.end_run(&id, RunStatus::Failed, None, Some(&with_causes(error))).await?;
            }
        }
        outcome?;
        Ok(Finished {
            run: self.run_details(&id).await?,
            registered: registered.created,
            cached,
            warnings: given.warnings,
        })
    }

    /// The environment that a job names or holds.
    async fn job_environment(&self, job: &Job, source: &Source, folder: &Path) -> Result<Given> {
        if let serde_yaml_ng::Value::String(reference) = &job.environment {
            if let crate::Reference::File(path) = crate::Reference::parse(reference, folder)
                && !path.exists()
            {
                let message = format!("`{reference}`, the file of the environment, does not exist");
                return Err(Error::Definition(vec![invalid(source, message)]));
            }
            return self.given(reference, folder).await;
        }
        let read = job::inline_environment(source).map_err(|error| Error::Definition(error.0))?;
        Ok(read.into())
    }

    /// Lock and image of what was given, for this machine.
    pub(crate) async fn prepared(&self, given: &Given) -> Result<Prepared> {
        let platforms = platforms_of(&given.environment.definition);
        let host = Platform::host();
        if !platforms.contains(&host) {
            return Err(Error::Unsupported(format!(
                "the environment is for {}, this machine is {host}",
                platforms[0]
            )));
        }
        self.build_upstream(given, host).await?;
        let locked = self.locked(given).await?;
        let (image, form, cached) = self.image_to_run(&locked, host).await?;
        self.bring(&image, &locked.receipt.lock, Need::ToRun).await?;
        let lock = locked.lock.platforms.get(&host).ok_or(Error::NoPlatform(host))?;
        let (lock, variables) = (lock.clone(), provenv_image::oci::variables(&self.store, &image)?);
        Ok(Prepared { locked, lock, image, form, variables, cached })
    }

    /// Starts a container on `image` and passes on what this machine could not provide. The pin is given for a hold of what
    /// the container stands on: a run may last for weeks, and all else may be collected meanwhile.
    async fn start(
        &self,
        container: Container,
        streams: Streams,
        image: &Image,
        pin: SharedPin,
    ) -> Result<(Running, Hold)> {
        let store = self.store.clone();
        let running = tokio::task::spawn_blocking(move || container.spawn(&store, streams)).await??;
        let mut roots = blobs_of(image);
        roots.trees.extend(provenv_image::unpack::trees(&image.layers));
        roots.trees.extend(running.merged().cloned());
        let hold = pin.hold(&roots)?;
        for note in running.notes() {
            self.reporter.note(note);
        }
        Ok((running, hold))
    }

    /// Runs with standard output and error going both to `log` and, where `show` says so, to the terminal, in the order
    /// they come. Says how it ended, and whether it was asked to stop.
    async fn run_logged(
        &self,
        container: Container,
        image: &Image,
        pin: SharedPin,
        log: &Path,
        show: bool,
        signals: Signals,
    ) -> Result<(Exit, bool)> {
        let pipe = || "could not make a pipe".to_owned();
        let mut file = fs_err::File::create(log).doing(|| "could not write the log of the run".to_owned())?;
        let (mut reader, writer) = std::io::pipe().doing(pipe)?;
        let streams = Streams {
            stdin: Stream::Null,
            stderr: Stream::File(writer.try_clone().doing(pipe)?.into()),
            stdout: Stream::File(writer.into()),
        };
        let (running, _hold) = self.start(container, streams, image, pin).await?;
        let pump = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
            let mut stdout = std::io::stdout();
            let mut watched = show;
            let mut buffer = vec![0; 64 << 10];
            loop {
                let count = reader.read(&mut buffer)?;
                if count == 0 {
                    return file.sync_all();
                }
                file.write_all(&buffer[..count])?;
                // A terminal that went away must not stop the run or its log.
                watched = watched && stdout.write_all(&buffer[..count]).and_then(|()| stdout.flush()).is_ok();
            }
        });
        let ended = supervise(running, signals).await?;
        pump.await?.doing(|| "could not keep the log of the run".to_owned())?;
        Ok((ended.exit, ended.stopped))
    }
}

/// What a command needs before it can run.
pub(crate) struct Prepared {
    locked: Locked,
    /// What of the lock is for this machine.
    pub lock: PlatformLock,
    pub image: Image,
    pub form: Form,
    /// The image's own variables.
    variables: Vec<(String, String)>,
    /// Whether the image was there.
    cached: bool,
}

/// The image's variables, under the environment's, under the caller's.
fn variables(
    image: &[(String, String)],
    environment: &Environment,
    own: &[(String, String)],
) -> Vec<(String, String)> {
    let mut all: IndexMap<String, String> = image.iter().cloned().collect();
    all.entry("HOME".to_owned()).or_insert_with(|| "/root".to_owned());
    if let Ok(term) = std::env::var("TERM") {
        all.entry("TERM".to_owned()).or_insert(term);
    }
    all.extend(environment.environment_variables.iter().map(|(name, value)| (name.clone(), value.clone())));
    all.extend(own.iter().cloned());
    all.into_iter().collect()
}

fn confine(container: &mut Container, options: &RunOptions) {
    container.network = !options.no_network;
    container.limits = Limits { cpus: options.cpus, memory: options.memory, ..Limits::default() };
}

/// Shows `folder` inside under its own path, so that messages name files as the user knows them; under `/mnt/work`
/// where that would hide a part of the image.
fn show_folder(mounts: &mut Vec<Mount>, folder: &Path) -> PathBuf {
    let top = folder.components().nth(1).map(|part| part.as_os_str().to_string_lossy().into_owned());
    let hides = match top.as_deref() {
        None
        | Some("usr" | "etc" | "bin" | "sbin" | "lib" | "lib64" | "proc" | "sys" | "dev" | "run" | "var") => {
            true
        }
        Some("opt") => folder.starts_with("/opt/provenv") || folder == Path::new("/opt"),
        // Mounting on these as a whole would hide what the image keeps there.
        Some("tmp" | "root" | "mnt") => folder.components().count() == 2,
        _ => false,
    };
    let guest = if hides { PathBuf::from("/mnt/work") } else { folder.to_owned() };
    mounts.push(Mount { host: folder.to_owned(), guest: guest.clone(), read_only: false });
    guest
}

/// The letters and digits of a name, as host names have them.
fn host_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    let name: String = words.join("-").chars().take(40).collect();
    match name.trim_end_matches('-') {
        "" => "job".to_owned(),
        name => name.to_owned(),
    }
}

fn folder_name(folder: &Path) -> String {
    let folder = fs_err::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    folder.file_name().map_or_else(|| "job".to_owned(), |name| name.to_string_lossy().into_owned())
}
