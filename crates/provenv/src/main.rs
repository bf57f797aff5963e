//! The command line: reads arguments, asks the workspace, shows what came of it.

mod cli;
mod commands;
mod errors;
mod output;
mod progress;
mod telemetry;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};
use tracing::Instrument as _;

use provenv_telemetry::Telemetry;

use crate::cli::{AuditLogCommand, Cli, ColorChoice, Command, ImageCommand, LogFormat};
use crate::commands::{Context, Failure};

fn main() -> ExitCode {
    // A sandbox begins as a copy of this program; nothing may come before this.
    provenv_workspace::sandbox_main_if_asked();
    set_panic_message();
    let given = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&given).unwrap_or_else(|error| error.exit());
    set_colors(cli.global.color);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::say(&errors::render(&error, &[], None));
            return ExitCode::FAILURE;
        }
    };
    let telemetry = telemetry::begin(&cli, runtime.handle());
    set_logging(cli.global.verbose, cli.command.log_format(), telemetry.as_ref());
    let own_failure = cli.command.own_failure();
    let (format, quiet) = (cli.global.output, cli.global.quiet);
    let span = telemetry::span(&cli.command, &given);
    let result = runtime.block_on(commands::execute(cli).instrument(span.clone()));
    telemetry::ended(&span, result.is_ok());
    drop(span);
    if let Some(telemetry) = telemetry {
        telemetry.end();
    }
    // Downloads that nobody waits for any more must not hold the exit up.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(failure) => {
            output::say(&failure.render(format, quiet));
            match failure {
                Failure::Definition(_) if own_failure == 1 => ExitCode::from(2),
                Failure::NotStarted(_, _, code) => ExitCode::from(code),
                Failure::Located(located) => ExitCode::from(located.exit_code.unwrap_or(own_failure)),
                _ => ExitCode::from(own_failure),
            }
        }
    }
}

impl Command {
    /// How the log is to be written.
    fn log_format(&self) -> Option<LogFormat> {
        match self {
            Self::Serve(arguments) => Some(arguments.log_format),
            Self::Worker(arguments) => Some(arguments.log_format),
            _ => None,
        }
    }

    /// The exit code when Provenv itself fails: apart from a script's own codes where a script is run.
    fn own_failure(&self) -> u8 {
        match self {
            Self::Submit(_) | Self::Run(_) => 125,
            // 1 is said by what was found.
            Self::Image(ImageCommand::Verify(_) | ImageCommand::Audit(_))
            | Self::AuditLog(AuditLogCommand::Verify(_)) => 2,
            _ => 1,
        }
    }
}

/// A defect of ours is said as one, with what a report needs, and without a trace of stack frames.
fn set_panic_message() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        output::say(&format!(
            "error: provenv {} has a defect{place}: {message}\nhint: please report this with the command you gave; nothing \
             half-made was kept\n",
            env!("CARGO_PKG_VERSION")
        ));
    }));
}

fn set_colors(choice: ColorChoice) {
    match choice {
        ColorChoice::Auto => {
            if !std::io::stdout().is_terminal() {
                console::set_colors_enabled(false);
            }
            if !std::io::stderr().is_terminal() {
                console::set_colors_enabled_stderr(false);
            }
        }
        ColorChoice::Always => {
            console::set_colors_enabled(true);
            console::set_colors_enabled_stderr(true);
        }
        ColorChoice::Never => {
            console::set_colors_enabled(false);
            console::set_colors_enabled_stderr(false);
        }
    }
}

/// `format` is that of a server, or of a worker.
fn set_logging(verbose: u8, format: Option<LogFormat>, telemetry: Option<&Telemetry>) {
    use tracing_subscriber::filter::{FilterExt as _, filter_fn};
    use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
    use tracing_subscriber::util::SubscriberInitExt as _;
    use tracing_subscriber::{EnvFilter, fmt, registry};
    let level = match verbose {
        0 => match format {
            Some(LogFormat::Json) => "provenv_server=info,provenv_registry=warn,provenv_workspace=warn",
            // Why a request failed is said here and nowhere else.
            Some(LogFormat::Text) => "provenv_server=warn,provenv_registry=warn,provenv_workspace=warn",
            None => "off",
        },
        1 => {
            "provenv=debug,provenv_workspace=debug,provenv_image=debug,provenv_lock=debug,provenv_fetch=debug,provenv_store=debug,provenv_compute=debug,provenv_registry=debug,provenv_server=debug"
        }
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("PROVENV_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    // Spans for traces would stand before every line.
    let filter = filter.and(filter_fn(|of| of.target() != provenv_telemetry::TARGET));
    let log = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let log = match format.unwrap_or(LogFormat::Text) {
        LogFormat::Text => {
            log.with_ansi(std::io::stderr().is_terminal()).without_time().with_filter(filter).boxed()
        }
        LogFormat::Json => log.json().with_filter(filter).boxed(),
    };
    registry().with(log).with(telemetry.map(Telemetry::layer)).init();
}

/// What commands share.
pub(crate) fn context(cli: &Cli) -> Context {
    Context::new(&cli.global)
}
