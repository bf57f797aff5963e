//! `provenv image audit`.

use std::fmt::Write as _;
use std::process::ExitCode;

use provenv_workspace::{AuditOptions, AuditReport, Finding, Severity};

use super::{Context, Result, here};
use crate::cli::{AuditArgs, Ecosystem};
use crate::output::{self, Table};

pub async fn audit(context: &Context, arguments: AuditArgs) -> Result {
    let workspace = context.workspace().await?;
    let reference = arguments.image.as_deref();
    if arguments.history {
        let audits = workspace.audits(reference.unwrap_or_default(), &here()?).await?;
        workspace.close().await;
        return context.show(&audits, |audits| {
            let mut table = Table::new(["AUDIT", "WHEN", "DATABASE OF", "FOUND", "WITH A FIX", "IGNORED"]);
            for audit in audits {
                table.row([
                    audit.id.clone(),
                    output::time(audit.audited_at),
                    audit.database_newest.clone().unwrap_or_default(),
                    audit.findings.to_string(),
                    audit.fixable.to_string(),
                    audit.ignored.to_string(),
                ]);
            }
            table.to_string()
        });
    }
    let reports = if arguments.last {
        vec![workspace.last_audit(reference.unwrap_or_default(), &here()?).await?]
    } else {
        let checks = |ecosystem| arguments.only.is_empty() || arguments.only.contains(&ecosystem);
        let options = AuditOptions {
            database: arguments.database.clone(),
            ignore: arguments.ignore.clone(),
            pypi: checks(Ecosystem::Pypi),
            debian: checks(Ecosystem::Debian),
        };
        workspace.audit(reference, &here()?, &options).await?
    };
    workspace.close().await;
    for id in &arguments.ignore {
        if !reports.iter().flat_map(|report| &report.ignored).any(|finding| finding.is_called(id)) {
            context.say(&format!("note: nothing called {} was found", output::one_line(id)));
        }
    }
    if arguments.all {
        context.show(&reports, |reports| {
            if reports.is_empty() {
                return "no images yet: `provenv build FILE` makes one\n".to_owned();
            }
            reports.iter().map(text).collect::<Vec<_>>().join("\n")
        })?;
    } else {
        context.show(&reports[0], text)?;
    }
    let is_clean = reports.iter().all(|report| report.findings.is_empty());
    let is_complete = reports.iter().all(AuditReport::is_complete);
    Ok(match (is_clean, is_complete) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => ExitCode::SUCCESS,
        // Nothing was found, and that says nothing.
        (true, false) => ExitCode::from(2),
    })
}

fn text(report: &AuditReport) -> String {
    let names = if report.environments.is_empty() {
        String::new()
    } else {
        format!(" ({})", report.environments.join(" "))
    };
    let mut text = format!("image {}{names}\n", report.image);
    let newest = report.database_newest.as_deref().map(|at| format!(" of {at}")).unwrap_or_default();
    let _ = writeln!(
        text,
        "{} packages, {} records{}, audited {}",
        report.packages,
        report.database_records,
        output::one_line(&newest),
        output::time(report.audited_at)
    );
    if !report.findings.is_empty() {
        let mut table =
            Table::new(["VULNERABILITY", "SEVERITY", "PACKAGE", "VERSION", "FIXED IN", "IN THE IMAGE AS"]);
        for finding in &report.findings {
            table.row(
                [
                    finding.id.clone(),
                    severity(finding),
                    finding.package.clone(),
                    finding.version.clone(),
                    finding.fixed.first().cloned().unwrap_or_else(|| "-".to_owned()),
                    finding.found_as.join(", "),
                ]
                .map(|cell| output::one_line(&cell)),
            );
        }
        let _ = write!(text, "\n{table}\n");
    }
    let fixable = report.findings.iter().filter(|finding| !finding.fixed.is_empty()).count();
    let _ = writeln!(text, "{} found, {fixable} of them with a fix", report.findings.len());
    if !report.ignored.is_empty() {
        let _ = writeln!(text, "{} ignored", report.ignored.len());
    }
    for (ecosystem, what) in [
        (
            "base",
            "base, but for its system packages: what else lies in it, or was installed by steps, is not known",
        ),
        ("conda", "conda packages in which no Python distribution is: OSV has no conda packages"),
        ("npm", "JavaScript packages that others bring along"),
        ("deb", "system packages, which are not Debian's own"),
    ] {
        let count =
            report.unchecked.iter().filter(|one| one.ecosystem == ecosystem && !one.uncertain).count();
        if count > 0 {
            let _ = writeln!(text, "not checked: {count} {what}");
        }
    }
    // Many say the same of themselves.
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for one in report.unchecked.iter().filter(|one| one.uncertain) {
        let name = format!("{} {}", one.name, one.version);
        match reasons.iter_mut().find(|(why, _)| *why == one.why) {
            Some((_, names)) => names.push(name),
            None => reasons.push((&one.why, vec![name])),
        }
    }
    for (why, names) in reasons {
        let what = if let [one] = &*names { one.clone() } else { format!("{} packages", names.len()) };
        let _ = writeln!(text, "not certain: {}: {}", output::one_line(&what), output::one_line(why));
    }
    text
}

fn severity(finding: &Finding) -> String {
    let word = finding.severity.map_or("-", Severity::as_str);
    finding.score.map_or_else(|| word.to_owned(), |score| format!("{word} {score:.1}"))
}
