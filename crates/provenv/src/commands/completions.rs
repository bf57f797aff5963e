//! `provenv completions` and `provenv man`.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use serde::Serialize;

use super::{Context, Result};
use crate::cli::Cli;
use crate::output;

pub fn completions(shell: Shell) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "provenv", &mut script);
    output::write(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// What was written.
#[derive(Serialize)]
struct Manual<'a> {
    pages: usize,
    folder: &'a Path,
}

pub fn manual(context: &Context, directory: &Path) -> Result {
    fs_err::create_dir_all(directory)?;
    clap_mangen::generate_to(Cli::command(), directory)?;
    let manual = Manual { pages: pages(&Cli::command()), folder: directory };
    context.show(&manual, |manual| {
        format!(
            "{} manual pages in {}: see `man {}`\n",
            manual.pages,
            directory.display(),
            directory.join("provenv.1").display()
        )
    })
}

/// A command has a page, and so has each of its own.
fn pages(command: &clap::Command) -> usize {
    1 + command.get_subcommands().filter(|command| !command.is_hide_set()).map(pages).sum::<usize>()
}
