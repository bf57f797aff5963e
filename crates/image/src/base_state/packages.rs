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
use crate::base_image::STATUS;
use crate::entry::Entry;

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

/// What a dpkg whose database is `status` keeps of `debs` once they are installed beside what it has.
pub(super) fn added(status: &[u8], debs: &[(DebPackage, DebFacts)]) -> Vec<Entry> {
    let is_new = |paragraph: &str| {
        let name = paragraph.lines().find_map(|line| line.strip_prefix("Package:"));
        name.is_none_or(|name| !debs.iter().any(|(package, _)| package.name == name.trim()))
    };
    let mut text = String::new();
    // Left behind by a package that was removed, its paragraph makes room.
    for paragraph in String::from_utf8_lossy(status).split("\n\n").filter(|text| !text.trim().is_empty()) {
        if is_new(paragraph) {
            text.push_str(paragraph.trim_matches('\n'));
            text.push_str("\n\n");
        }
    }
    let mut debs: Vec<_> = debs.iter().collect();
    debs.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
    let mut entries = Vec::new();
    for (package, facts) in debs {
        text.push_str(&paragraph(facts));
        text.push('\n');
        entries.extend(info(package, facts));
    }
    entries.push(Entry::file(STATUS, 0o644, text));
    entries
}

/// The files in which dpkg keeps what a package has.
fn info(package: &DebPackage, facts: &DebFacts) -> Vec<Entry> {
    let path = format!("var/lib/dpkg/info/{}", info_name(package, facts));
    let mut list = String::from("/.\n");
    for path in &facts.paths {
        let _ = writeln!(list, "/{path}");
    }
    let mut entries = vec![Entry::file(format!("{path}.list"), 0o644, list)];
    if let Some(sums) = &facts.md5sums {
        entries.push(Entry::file(format!("{path}.md5sums"), 0o644, sums.as_bytes()));
    }
    if !facts.conffiles.is_empty() {
        entries.push(Entry::file(format!("{path}.conffiles"), 0o644, facts.conffiles.join("\n") + "\n"));
    }
    entries
}

fn database(state: &mut State, debs: &[(&DebPackage, &DebFacts)]) {
    let mut status = String::new();
    state.file("var/lib/dpkg/info/format", "1\n");
    for (package, facts) in debs {
        status.push_str(&paragraph(facts));
        status.push('\n');
        for entry in info(package, facts) {
            state.add(entry);
        }
    }
    state.file(STATUS, status);
}

/// `name`, or `name:architecture` where several architectures of it may be installed together.
fn info_name(package: &DebPackage, facts: &DebFacts) -> String {
    let same = facts.control.lines().any(|line| {
        line.split_once(':').is_some_and(|(key, value)| key == "Multi-Arch" && value.trim() == "same")
    });
    if same { format!("{}:{}", package.name, package.architecture) } else { package.name.clone() }
}
