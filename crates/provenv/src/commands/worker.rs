//! `provenv worker`.

use std::process::ExitCode;
use std::time::Duration;

use provenv_server::{WorkOptions, Working};

use super::{Context, Result};
use crate::cli::WorkerArgs;
use crate::output;

pub async fn worker(context: &Context, arguments: WorkerArgs) -> Result {
    let options = WorkOptions {
        root: arguments.root,
        database: arguments.server_database,
        workers: arguments.workers,
        patience: Duration::from_secs(arguments.grace),
    };
    provenv_server::work(options, |working| {
        context.settle();
        output::print(context.global.output, working, working_text)
    })
    .await?;
    Ok(ExitCode::SUCCESS)
}

fn working_text(working: &Working) -> String {
    let Working { root, workers, name } = working;
    format!("building for {} as {name}\n  workers   {workers}\n", root.display())
}
