//! Traces of what a command does, where a collector is named: by `OTEL_*` variables, or in the settings.

use clap::ArgMatches;
use provenv_telemetry::{Options, Telemetry};
use provenv_workspace::Config;
use tokio::runtime::Handle;
use tracing::Span;

use crate::cli::{Cli, Command, LogFormat};
use crate::output;

/// Begins to send traces, if a collector is named. Without them all else goes on.
pub fn begin(cli: &Cli, runtime: &Handle) -> Option<Telemetry> {
    // Settings that cannot be read are told of by whoever needs them.
    let settings = Config::load().unwrap_or_default().telemetry;
    let usual_name = match &cli.command {
        Command::Serve(_) => "provenv-server",
        Command::Worker(_) | Command::BuildVersion(_) => "provenv-worker",
        _ => "provenv",
    };
    let options = Options {
        endpoint: settings.endpoint,
        service_name: settings.service_name,
        usual_name,
        version: env!("CARGO_PKG_VERSION"),
    };
    // Its worker tells of it, and what a build says is its log.
    let is_silent = cli.global.quiet || matches!(cli.command, Command::BuildVersion(_));
    let format = cli.command.log_format();
    let tell = move |what: &str| match format {
        _ if is_silent => {}
        // As the server says what is about all of it, so that whoever hears the one hears the other.
        Some(LogFormat::Json) => tracing::warn!(target: "provenv_server", "{what}"),
        _ => output::say(&format!("warning: {what}\n")),
    };
    match provenv_telemetry::begin(&options, runtime, tell) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            if !is_silent {
                output::say(&format!("warning: no traces are sent: {error}\n"));
            }
            None
        }
    }
}

/// The span of a command, in the trace of whoever gave it. Those that serve have one for each request instead.
pub fn span(command: &Command, given: &ArgMatches) -> Span {
    if !provenv_telemetry::is_on() || matches!(command, Command::Serve(_) | Command::Worker(_)) {
        return Span::none();
    }
    let name = match command {
        Command::BuildVersion(_) => "build process".to_owned(),
        _ => words(given),
    };
    let span = tracing::info_span!(target: provenv_telemetry::TARGET, "command", otel.name = name);
    provenv_telemetry::adopt_from_environment(&span);
    span
}

/// The words that name a command.
fn words(given: &ArgMatches) -> String {
    let (mut name, mut rest) = ("provenv".to_owned(), given);
    while let Some((word, inner)) = rest.subcommand() {
        name = format!("{name} {word}");
        rest = inner;
    }
    name
}

/// What came of a command.
pub fn ended(span: &Span, is_well: bool) {
    // Why is told to whoever gave it: it may have names that are not for others.
    if !is_well {
        provenv_telemetry::fail(span, "");
    }
}
