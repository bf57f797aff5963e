//! `provenv serve`.

use std::fmt::Write as _;
use std::process::ExitCode;

use provenv_server::{ServeError, ServeOptions, Served};

use super::{Context, Failure, Result};
use crate::cli::ServeArgs;
use crate::output;

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let hint = error.hint();
        Self::Other(Box::new(error), hint)
    }
}

pub async fn serve(context: &Context, arguments: ServeArgs) -> Result {
    let options = ServeOptions {
        root: arguments.root,
        listen: arguments.listen,
        tls: arguments.tls_cert.zip(arguments.tls_key),
        workers: arguments.workers,
        pull_wait: std::time::Duration::from_secs(arguments.pull_wait),
        owner_token: arguments.owner_token,
    };
    provenv_server::serve(options, |served| {
        context.settle();
        output::print(context.global.output, served, served_text)
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

fn served_text(served: &Served) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "serving {} at {}", served.root.display(), served.url);
    let _ = writeln!(text, "  api       {}/openapi.json", served.url);
    let _ = writeln!(text, "  registry  {}/default/NAME", served.address);
    let _ = writeln!(text, "  workers   {}", served.workers);
    if let Some(token) = &served.owner_token {
        let _ = writeln!(text, "  token     {token}");
        let _ = writeln!(text, "            of the user `owner`: keep it, it is not shown again");
    }
    text
}
