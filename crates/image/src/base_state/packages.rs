//! dpkg's databases, for scanners and, where dpkg itself is in the image, for dpkg and apt.
//!
//! Every package is in `/var/lib/dpkg/status.d`, one file each, where scanners of images without dpkg look. With dpkg
//! there is its own `/var/lib/dpkg/status` besides, with the lists of files; no maintainer script is kept, so that removing a
//! package inside removes its files and runs nothing.

use std::fmt::Write as _;

use provenv_lock::DebPackage;

use crate::segment::DebFacts;

use super::State;
use crate::assemble;

/// Whether the control paragraph in `file` is of the package that the lock names.
pub(crate) fn check_identity(
    package: &DebPackage,
    facts: &DebFacts,
    file: &str,
) -> Result<(), assemble::Error> {
    let field = |name: &str| {
        let mut fields = facts.control.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("?", |(_, value)| value.trim())
    };
    let named = format!("{} {} ({})", package.name, package.version, package.architecture);
    let found = format!("{} {} ({})", field("Package"), field("Version"), field("Architecture"));
    if named == found {
        Ok(())
    } else {
        Err(assemble::Error::OtherPackage { named, file: file.to_owned(), found })
    }
}

pub(super) fn fill(state: &mut State) {
    let debs = state.debs.clone();
    for (package, facts) in &debs {
        let path = format!("var/lib/dpkg/status.d/{}", package.name);
        state.file(&path, paragraph(facts));
        if let Some(sums) = &facts.md5sums {
            state.file(&format!("{path}.md5sums"), sums.as_bytes());
        }
    }
    if state.has("dpkg") {
        database(state, &debs);
    }
}

/// The control paragraph as dpkg keeps it once the package is installed.
fn paragraph(facts: &DebFacts) -> String {
    let mut text = String::new();
    for line in facts.control.trim_end().lines() {
        let _ = writeln!(text, "{line}");
        if line.starts_with("Package:") {
            text.push_str("Status: install ok installed\n");
        }
    }
    text
}

fn database(state: &mut State, debs: &[(&DebPackage, &DebFacts)]) {
    let mut status = String::new();
    state.file("var/lib/dpkg/info/format", "1\n");
    for (package, facts) in debs {
        status.push_str(&paragraph(facts));
        status.push('\n');

        let info = format!("var/lib/dpkg/info/{}", info_name(package, facts));
        let mut list = String::from("/.\n");
        for path in &facts.paths {
            let _ = writeln!(list, "/{path}");
        }
        state.file(&format!("{info}.list"), list);
        if let Some(sums) = &facts.md5sums {
            state.file(&format!("{info}.md5sums"), sums.as_bytes());
        }
        if !facts.conffiles.is_empty() {
            state.file(&format!("{info}.conffiles"), facts.conffiles.join("\n") + "\n");
        }
    }
    state.file("var/lib/dpkg/status", status);
}

/// `name`, or `name:architecture` where several architectures of it may be installed together.
fn info_name(package: &DebPackage, facts: &DebFacts) -> String {
    let same = facts.control.lines().any(|line| {
        line.split_once(':').is_some_and(|(key, value)| key == "Multi-Arch" && value.trim() == "same")
    });
    if same { format!("{}:{}", package.name, package.architecture) } else { package.name.clone() }
}
