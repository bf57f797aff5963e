//! `provenv completions` and `provenv man`.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Result;
use crate::cli::Cli;
use crate::output;

pub fn completions(shell: Shell) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "provenv", &mut script);
    output::write(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub fn manual(directory: &Path) -> Result {
    fs_err::create_dir_all(directory)?;
    clap_mangen::generate_to(Cli::command(), directory)?;
    Ok(ExitCode::SUCCESS)
}
