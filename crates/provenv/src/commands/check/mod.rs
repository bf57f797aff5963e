//! `provenv env check`.

mod github;
mod mend;
mod sarif;

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use provenv_definition::codes::NO_INTERPRETER;
use provenv_definition::{Diagnostic, Format, Linted, Severity, lint, lint_bytes, lint_str, pages};
use serde::Serialize;

use super::{Context, Result, here};
use crate::cli::{CheckArgs, Deny, OutputFormat, ReportFormat};
use crate::{errors, output};

/// No more is read from standard input: no definition comes near.
const MAX_STDIN: u64 = 9 << 20;

/// What was found in one file.
#[derive(Serialize)]
struct Checked {
    file: PathBuf,
    readable: bool,
    /// How it was read.
    format: Option<Format>,
    remarks: Vec<Diagnostic>,
    /// How many remarks comments take back.
    ignored: usize,
    /// How many were mended.
    fixed: usize,
}

pub async fn check(context: &Context, arguments: &CheckArgs) -> Result {
    if let Some(code) = arguments.explain {
        output::write(pages::page(code).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut checked = Vec::new();
    let mut diffs = String::new();
    let mut failed = None;
    for file in &arguments.files {
        let (name, linted) = if file.as_os_str() == "-" {
            (&arguments.stdin_name, standard_input(&arguments.stdin_name)?)
        } else {
            (file, lint(file))
        };
        let linted = chosen(linted, arguments);
        if arguments.fix {
            let before = linted.source.clone();
            // What is said of a file, and the exit code, are of the file as it is.
            let as_it_is = || {
                let linted = match before {
                    Some(source) => lint_str(source.text(), source.path()),
                    None => lint(file),
                };
                chosen(linted, arguments)
            };
            let mended = mend::mend(linted, |linted| chosen(linted, arguments));
            if arguments.dry_run {
                // What `--fix` would refuse is not promised.
                if mended.fixed > 0
                    && file.as_os_str() != "-"
                    && let Err(failure) = mended.is_writable()
                {
                    failed.get_or_insert(failure);
                    checked.push(of(name, as_it_is(), 0));
                    continue;
                }
                diffs += &mended.diff;
                checked.push(of(name, as_it_is(), mended.fixed));
                continue;
            } else if file.as_os_str() == "-" {
                // There is no file to change: the mended text is the result.
                diffs += mended.linted.source.as_ref().map_or("", |source| source.text());
            } else if mended.fixed > 0
                && let Err(failure) = mended.write()
            {
                // The other files are none the worse for it.
                failed.get_or_insert(failure);
                checked.push(of(name, as_it_is(), 0));
                continue;
            }
            checked.push(of(name, mended.linted, mended.fixed));
        } else {
            checked.push(of(name, linted, 0));
        }
    }
    if arguments.image {
        try_interpreters(context, arguments, &mut checked).await?;
    }
    let for_programs =
        arguments.dry_run && arguments.format.is_some_and(|format| format != ReportFormat::Text);
    if diffs.is_empty() || for_programs {
        report(context, arguments, &checked)?;
    } else {
        // Standard output is for the change alone.
        output::write(diffs.as_bytes())?;
        output::say(&text(&checked, arguments.dry_run));
    }
    match failed {
        Some(failure) => Err(failure),
        None => Ok(ExitCode::from(code(arguments, &checked))),
    }
}

/// Adds what there is to say of interpreters once they were tried, in place of what files alone let one think.
async fn try_interpreters(context: &Context, arguments: &CheckArgs, checked: &mut [Checked]) -> Result<()> {
    let workspace = context.workspace().await?;
    for checked in checked.iter_mut().filter(|checked| checked.readable && checked.file.exists()) {
        let reference = std::path::absolute(&checked.file)?;
        let tried = workspace.try_interpreter(&reference.to_string_lossy(), &here()?).await?;
        let Some(tried) = tried else { continue };
        checked.remarks.retain(|remark| remark.code != NO_INTERPRETER.id);
        checked.remarks.extend(tried.remark.filter(|remark| is_wanted(remark, arguments)));
        if let Some(version) = &tried.version {
            context.say(&format!("{}: {} is Python {version}", checked.file.display(), tried.interpreter));
        }
    }
    workspace.close().await;
    Ok(())
}

fn standard_input(name: &Path) -> Result<Linted> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX_STDIN).read_to_end(&mut bytes)?;
    Ok(lint_bytes(&bytes, name))
}

fn of(file: &Path, linted: Linted, fixed: usize) -> Checked {
    Checked {
        file: file.to_owned(),
        readable: linted.is_readable(),
        format: linted.format,
        remarks: linted.remarks,
        ignored: linted.ignored,
        fixed,
    }
}

/// Without the remarks that nobody wants; what makes a file unusable is always said.
fn chosen(mut linted: Linted, arguments: &CheckArgs) -> Linted {
    linted.remarks.retain(|remark| is_wanted(remark, arguments));
    linted
}

fn is_wanted(remark: &Diagnostic, arguments: &CheckArgs) -> bool {
    let named = |codes: &[&provenv_definition::codes::Code], remark: &Diagnostic| {
        codes.iter().any(|code| code.id == remark.code)
    };
    let unusable = remark.is_error() && remark.code < "PV100";
    let selected = arguments.select.is_empty() || named(&arguments.select, remark);
    unusable || (selected && !named(&arguments.ignore, remark))
}

fn code(arguments: &CheckArgs, checked: &[Checked]) -> u8 {
    if checked.iter().any(|file| !file.readable) {
        return 2;
    }
    let least = match arguments.deny {
        _ if arguments.warn_only => return 0,
        Some(Deny::All) => Severity::Info,
        Some(Deny::Warnings) => Severity::Warning,
        None => Severity::Error,
    };
    u8::from(checked.iter().flat_map(|file| &file.remarks).any(|remark| remark.severity >= least))
}

fn report(context: &Context, arguments: &CheckArgs, checked: &[Checked]) -> Result<()> {
    context.settle();
    let format = arguments.format.unwrap_or(match context.global.output {
        OutputFormat::Table => ReportFormat::Text,
        OutputFormat::Json => ReportFormat::Json,
        OutputFormat::Yaml => ReportFormat::Yaml,
    });
    match format {
        ReportFormat::Text => output::write(text(checked, false).as_bytes())?,
        ReportFormat::Json => output::print(OutputFormat::Json, &checked, |_| String::new())?,
        ReportFormat::Yaml => output::print(OutputFormat::Yaml, &checked, |_| String::new())?,
        ReportFormat::Sarif => {
            output::print(OutputFormat::Json, &sarif::log(checked), |_| String::new())?;
        }
        ReportFormat::Github => output::write(github::annotations(checked).as_bytes())?,
    }
    Ok(())
}

fn text(checked: &[Checked], dry_run: bool) -> String {
    let mut text = String::new();
    let many = |number: usize| if number == 1 { "" } else { "s" };
    for file in checked {
        for remark in errors::sorted(&file.remarks) {
            text.push_str(&errors::render_diagnostic(remark));
        }
        let count = |severity| file.remarks.iter().filter(|remark| remark.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let _ = write!(
            text,
            "{}: {errors} error{}, {warnings} warning{}",
            file.file.display(),
            many(errors),
            many(warnings)
        );
        if file.fixed > 0 {
            let would = if dry_run { "would be mended" } else { "mended" };
            let _ = write!(text, ", {} {would}", file.fixed);
        }
        let fixable = file.remarks.iter().filter(|remark| remark.fix.is_some()).count();
        if fixable > 0 && file.fixed == 0 {
            let _ = write!(text, ", {fixable} can be mended with --fix");
        }
        if file.ignored > 0 {
            let _ = write!(text, ", {} taken back by comments", file.ignored);
        }
        text.push('\n');
    }
    text
}
