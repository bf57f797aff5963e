//! One file a command.

mod audit;
mod audit_log;
mod backup;
mod build;
mod build_version;
mod builds;
mod bundle;
mod capture;
mod changes;
mod check;
mod completions;
mod copy;
mod diff;
mod env;
mod export;
mod image;
mod key;
mod lifecycle;
mod lineage;
mod list;
mod lock;
mod login;
mod only_here;
mod people;
mod plan;
mod provenance;
mod push;
mod referrers;
mod registry;
mod remote;
mod run;
mod runs;
mod sbom;
mod secret;
mod serve;
mod share;
mod sign;
mod store;
mod submit;
mod upgrade;
mod verify;
mod worker;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use provenv_definition::{Diagnostic, Place};
use provenv_workspace::{
    Builder, Error, OpenOptions, Record, Remote, Reporter, Silent, Workspace, default_workspace,
};
use serde::Serialize;

use crate::cli::{Cli, Command, GlobalArgs, OutputFormat};
use crate::progress::{Bars, Lines};
use crate::{errors, output};

/// Why a command could not do what it should.
pub enum Failure {
    /// The user's file has errors.
    Definition(Vec<Diagnostic>),
    /// What the user's file asks for cannot be had.
    Located(Box<Located>),
    /// Anything else, with what to do next.
    Other(Box<dyn std::error::Error>, Option<String>),
    /// A command in an environment could not be started, with the exit code that shells give for it.
    NotStarted(Box<dyn std::error::Error>, Option<String>, u8),
}

/// Where in the user's file it stands that something cannot be had, why, what to do next, and what else is to be said of the
/// file, as it may be the reason.
pub struct Located {
    remarks: Vec<Diagnostic>,
    places: Vec<Place>,
    error: Box<dyn std::error::Error>,
    hint: Option<String>,
    pub exit_code: Option<u8>,
}

impl Failure {
    /// The text for standard error.
    pub fn render(&self, format: OutputFormat, quiet: bool) -> String {
        let (remarks, places, error, hint): (&[Diagnostic], &[Place], _, _) = match self {
            Self::Definition(remarks) => return errors::of_file(format, remarks),
            Self::Located(located) => {
                let Located { remarks, places, error, hint, .. } = &**located;
                (if quiet { &[] } else { remarks }, places, error, hint)
            }
            Self::Other(error, hint) | Self::NotStarted(error, hint, _) => (&[], &[], error, hint),
        };
        match format {
            OutputFormat::Table => {
                let remarks = errors::sorted(remarks).into_iter().map(errors::render_diagnostic);
                remarks.collect::<String>() + &errors::render(error.as_ref(), places, hint.as_deref())
            }
            format => errors::record(format, error.as_ref(), places, hint.as_deref(), remarks),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Definition(diagnostics) => Self::Definition(diagnostics),
            error @ Error::Located { .. } => {
                let (hint, exit_code) = (error.hint(), error.exit_code());
                let Error::Located { places, warnings, error, .. } = error else { unreachable!() };
                Self::Located(Box::new(Located { remarks: warnings, places, error, hint, exit_code }))
            }
            error => {
                let hint = error.hint();
                match error.exit_code() {
                    Some(code) => Self::NotStarted(Box::new(error), hint, code),
                    None => Self::Other(Box::new(error), hint),
                }
            }
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Other(Box::new(error), None)
    }
}

pub type Result<T = ExitCode> = std::result::Result<T, Failure>;

/// What commands share: the global options and the progress on the terminal.
pub struct Context {
    global: GlobalArgs,
    progress: Progress,
}

/// Who tells of progress.
enum Progress {
    /// On a terminal.
    Bars(Arc<Bars>),
    /// In logs and pipes.
    Lines(Arc<Lines>),
    /// With `--quiet`.
    None,
}

impl Context {
    pub fn new(global: &GlobalArgs) -> Self {
        let progress = match std::io::stderr().is_terminal() {
            _ if global.quiet => Progress::None,
            true => Progress::Bars(Arc::new(Bars::new())),
            false => Progress::Lines(Arc::new(Lines::new())),
        };
        Self { global: global.clone(), progress }
    }

    /// The workspace that was asked for, if it is on a server.
    fn remote(&self) -> Result<Option<Remote>> {
        let named = self.named_workspace();
        let url = named.as_deref().and_then(Path::to_str).filter(|text| Remote::is_one(text));
        Ok(url.map(Remote::open).transpose()?)
    }

    /// Whether the workspace that was asked for is on a server.
    fn names_a_server(&self) -> bool {
        self.named_workspace().as_deref().and_then(Path::to_str).is_some_and(Remote::is_one)
    }

    /// What was said of the workspace.
    fn named_workspace(&self) -> Option<PathBuf> {
        // Not clap's way of reading a variable, which would show the option in every line on usage.
        let variable = || std::env::var_os("PROVENV_WORKSPACE").filter(|root| !root.is_empty());
        self.global.workspace.clone().or_else(|| variable().map(PathBuf::from))
    }

    /// What is on record in the workspace that was asked for, wherever that is.
    async fn record(&self) -> Result<Box<dyn Record>> {
        Ok(match self.remote()? {
            Some(remote) => Box::new(remote),
            None => Box::new(self.workspace().await?),
        })
    }

    /// The workspace that was asked for: a folder, or one that stands for a workspace on a server.
    async fn workspace(&self) -> Result<Workspace> {
        let root = match self.named_workspace() {
            Some(root) => root,
            None => default_workspace().ok_or(Error::NoHome)?,
        };
        let remote = self.remote()?;
        if remote.is_none() {
            refuse_address(&root)?;
        }
        let root = std::path::absolute(root).map_err(no_working_folder)?;
        let offline = self.global.offline
            || std::env::var("PROVENV_OFFLINE")
                .is_ok_and(|value| !matches!(&*value, "" | "0" | "false" | "no"));
        let no_cache_registry = self.global.no_cache_registry;
        let reporter: Arc<dyn Reporter> = match &self.progress {
            Progress::Bars(bars) => Arc::clone(bars) as Arc<dyn Reporter>,
            Progress::Lines(lines) => Arc::clone(lines) as Arc<dyn Reporter>,
            Progress::None => Arc::new(Silent),
        };
        let builder = match self.global.builder {
            Some(builder) => Some(builder),
            None => builder_of_environment()?,
        };
        let secrets = self.global.secrets.clone();
        let options =
            OpenOptions { root, reporter, offline, no_cache_registry, builder, secrets, of_server: None };
        Ok(match remote {
            Some(remote) => Workspace::open_for(remote, options).await?,
            None => Workspace::open(options).await?,
        })
    }

    /// Takes the progress off the terminal, or sums it up, so that results stand alone.
    fn settle(&self) {
        match &self.progress {
            Progress::Bars(bars) => bars.clear(),
            Progress::Lines(lines) => lines.finish(),
            Progress::None => {}
        }
    }

    /// The same when the work failed.
    fn give_up(&self) {
        match &self.progress {
            Progress::Lines(lines) => lines.stop(),
            _ => self.settle(),
        }
    }

    /// Shows a result.
    fn show<T: Serialize>(&self, value: &T, table: impl FnOnce(&T) -> String) -> Result {
        self.settle();
        output::print(self.global.output, value, table)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Shows a result of which a script needs one word: that alone with `--quiet`.
    fn show_brief<T: Serialize>(
        &self,
        value: &T,
        word: impl FnOnce(&T) -> String,
        table: impl FnOnce(&T) -> String,
    ) -> Result {
        if self.global.quiet { self.show(value, |value| word(value) + "\n") } else { self.show(value, table) }
    }

    /// Shows remarks on a file.
    fn remark(&self, diagnostics: &[Diagnostic]) {
        if self.global.quiet {
            return;
        }
        self.settle();
        for diagnostic in errors::sorted(diagnostics) {
            output::say(&errors::render_diagnostic(diagnostic));
        }
    }

    /// Says something in passing.
    fn say(&self, text: &str) {
        if !self.global.quiet {
            self.settle();
            output::say(&format!("{text}\n"));
        }
    }

    fn is_for_people(&self) -> bool {
        self.global.output == OutputFormat::Table
    }
}

/// What `PROVENV_BUILDER` says.
fn builder_of_environment() -> Result<Option<Builder>> {
    let Some(text) = std::env::var_os("PROVENV_BUILDER").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let parsed = text.to_string_lossy().parse().map_err(|message| Error::Arguments {
        message: format!("PROVENV_BUILDER: {message}"),
        hint: "leave it unset to take the engine that is found".to_owned(),
    });
    Ok(Some(parsed?))
}

/// The folder that relative paths count from.
fn here() -> Result<PathBuf> {
    std::env::current_dir().map_err(no_working_folder)
}

fn no_working_folder(source: std::io::Error) -> Failure {
    let error = Error::Io { what: "the working folder cannot be used".to_owned(), source };
    Failure::Other(Box::new(error), Some("was it removed or moved? change to one that is there".to_owned()))
}

/// Does what the arguments say.
pub async fn execute(cli: Cli) -> Result {
    let context = crate::context(&cli);
    // Asked of the name alone: whoever is about to log in has no token yet.
    if context.names_a_server() {
        only_here::refuse(&cli.command)?;
    }
    let result = match cli.command {
        Command::Submit(arguments) => submit::submit(&context, arguments).await,
        Command::Run(arguments) => run::run(&context, arguments).await,
        Command::Env(command) => env::env(&context, command).await,
        Command::Lock(arguments) => lock::lock(&context, arguments).await,
        Command::Build(arguments) => build::build(&context, arguments).await,
        Command::Upgrade(arguments) => upgrade::upgrade(&context, arguments).await,
        Command::Image(command) => image::image(&context, command).await,
        Command::Key(command) => key::key(&context, command).await,
        Command::Bundle(command) => bundle::bundle(&context, command).await,
        Command::Registry(command) => registry::registry(&context, command).await,
        Command::Login(arguments) => login::login(&context, arguments).await,
        Command::Logout { url } => login::logout(&context, &url),
        Command::Serve(arguments) => serve::serve(&context, arguments).await,
        Command::Worker(arguments) => worker::worker(&context, arguments).await,
        Command::BuildVersion(arguments) => build_version::build_version(&context, arguments).await,
        Command::Server(command) => backup::server(&context, command).await,
        Command::Token(command) => people::token(&context, command).await,
        Command::Member(command) => people::member(&context, command).await,
        Command::Workspace(command) => people::workspace(&context, command).await,
        Command::Secret(command) => secret::secret(&context, command).await,
        Command::AuditLog(command) => audit_log::audit_log(&context, command).await,
        Command::Builds(command) => builds::builds(&context, command).await,
        Command::Runs(command) => runs::runs(&context, command).await,
        Command::Store(command) => store::store(&context, command).await,
        Command::Completions { shell } => completions::completions(shell),
        Command::Man { directory } => completions::manual(&context, &directory),
    };
    if result.is_ok() {
        context.settle();
    } else {
        context.give_up();
    }
    result
}

/// A script's exit code as ours.
fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Refuses `HOST:PORT/NAME` as a folder that is yet to be made: what was meant is a server.
fn refuse_address(root: &Path) -> Result<()> {
    let Some(text) = root.to_str().filter(|text| !text.starts_with(['/', '.'])) else { return Ok(()) };
    let host = text.split('/').next().unwrap_or(text);
    let is_address =
        host.split_once(':').is_some_and(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok());
    if !is_address || root.exists() {
        return Ok(());
    }
    Err(Error::Arguments {
        message: format!("`{text}` is no folder, and like the address of a server"),
        hint: format!("write https://{text}, or http://{text}; a new folder of that name is ./{text}"),
    }
    .into())
}
