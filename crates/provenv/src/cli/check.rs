//! The arguments of `provenv env check`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use provenv_definition::codes::{self, Code};
use provenv_definition::{nearest, pages};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  provenv env check environment.yml requirements.txt
  provenv env check . --deny warnings                       for CI
  provenv env check environment.yml --fix --dry-run         show what would be mended
  provenv env check environment.yml --format sarif          for code scanning
  provenv env check environment.yml --image                 is the interpreter really there?
  provenv env check --explain PV103                         what a code means
  git show HEAD:environment.yml | provenv env check - --stdin-name environment.yml

A remark is taken back by `# provenv: ignore[PV103]` on its line or on the line before.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command")]
pub struct CheckArgs {
    /// The files or folders; `-` is standard input
    #[arg(required_unless_present = "explain", value_hint = ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// How remarks are written [default: as --output says]
    #[arg(long, value_enum)]
    pub format: Option<ReportFormat>,
    /// Only these codes or names, with commas; errors of reading are always shown
    #[arg(long, value_name = "CODES", value_delimiter = ',', value_parser = code)]
    pub select: Vec<&'static Code>,
    /// Not these codes or names, with commas; errors of reading are always shown
    #[arg(long, value_name = "CODES", value_delimiter = ',', value_parser = code)]
    pub ignore: Vec<&'static Code>,
    /// Exit 1 at these, too
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub deny: Option<Deny>,
    /// Exit 0 also at errors, as long as every file can be read
    #[arg(long, conflicts_with = "deny")]
    pub warn_only: bool,
    /// Mend what is surely mended, in the files themselves
    #[arg(long)]
    pub fix: bool,
    /// Show what --fix would change and change nothing
    #[arg(long, requires = "fix")]
    pub dry_run: bool,
    /// Also try the interpreters of user-managed environments in their images, which are locked and built if need be
    #[arg(long, conflicts_with_all = ["fix", "explain"])]
    pub image: bool,
    /// Print the page of a code
    #[arg(long, value_name = "CODE", value_parser = code, conflicts_with_all = ["files", "fix", "format"])]
    pub explain: Option<&'static Code>,
    /// The file name that standard input is read under: it tells the format
    #[arg(long, value_name = "NAME", default_value = "standard-input")]
    pub stdin_name: PathBuf,
}

/// How remarks are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// For programs, and people
    Yaml,
    /// For code scanning: SARIF 2.1.0
    Sarif,
    /// For GitHub's workflows: annotations on the lines
    Github,
}

/// What makes a check fail besides errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Deny {
    /// Warnings
    Warnings,
    /// Everything there is to say
    All,
}

fn code(text: &str) -> Result<&'static Code, String> {
    pages::find(text.trim()).ok_or_else(|| {
        let known = codes::ALL.iter().flat_map(|code| [code.id, code.name]);
        match nearest(text.trim(), known) {
            Some(known) => format!("there is no such code; did you mean `{known}`?"),
            None => "there is no such code; docs/reference/codes.md lists them".to_owned(),
        }
    })
}
