//! Changes of packages as people read them: one place for `upgrade` and `env diff`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use console::style;
use provenv_definition::Platform;
use provenv_workspace::{Amount, EcosystemDiff, LockDiff, PackageChange, PackageVersion, Totals};

use crate::output;

/// What a list of changes looks like, empty where there are none.
pub fn changes_text(changes: &BTreeMap<Platform, LockDiff>) -> String {
    let mut text = String::new();
    for (platform, diff) in changes {
        if diff.is_empty() {
            continue;
        }
        if changes.len() > 1 {
            let _ = writeln!(text, "{}", style(platform).bold());
        }
        for (ecosystem, changes) in &diff.ecosystems {
            ecosystem_text(&mut text, ecosystem, changes);
        }
        for (ecosystem, changes) in &diff.ecosystems {
            if let Some(total) = &changes.total {
                let _ = writeln!(text, "  {ecosystem}: {}; {}", counts(changes), totals(total));
            }
        }
        // Of one ecosystem that is all there is, the sum would say the same again.
        if !diff.ecosystems.values().any(|changes| changes.total == Some(diff.total)) {
            let _ = writeln!(text, "  all: {}", totals(&diff.total));
        }
    }
    text
}

fn ecosystem_text(text: &mut String, ecosystem: &str, changes: &EcosystemDiff) {
    let gone = changes.removed.iter().map(|package| (style("-").red(), package));
    let new = changes.added.iter().map(|package| (style("+").green(), package));
    for (sign, package) in gone.chain(new) {
        let PackageVersion { name, version, build, size } = package;
        let build = build.as_ref().map(|build| format!(" {build}")).unwrap_or_default();
        let size = known(*size).map(|size| format!(" ({size})")).unwrap_or_default();
        let line = output::one_line(&format!("{ecosystem} {name} {version}{build}{size}"));
        let _ = writeln!(text, "{sign} {line}");
    }
    for change in &changes.changed {
        let sizes = match (known(change.old_size), known(change.new_size)) {
            (Some(old), Some(new)) if old != new => format!(" ({old} → {new})"),
            _ => String::new(),
        };
        let line = output::one_line(&format!("{ecosystem} {}{}{sizes}", change.name, versions(change)));
        let _ = writeln!(text, "{} {line}", style("~").yellow());
    }
}

/// From which version and build to which; the build alone where only that differs.
fn versions(change: &PackageChange) -> String {
    let PackageChange { old_version, new_version, old_build, new_build, .. } = change;
    let build = |build: &Option<String>| build.as_ref().map(|build| format!(" {build}")).unwrap_or_default();
    if old_version != new_version {
        return format!(" {old_version}{} → {new_version}{}", build(old_build), build(new_build));
    }
    match (old_build, new_build) {
        (Some(old), Some(new)) if old != new => format!(" {new_version} {old} → {new}"),
        _ => format!(" {new_version}{}: other content", build(new_build)),
    }
}

/// `2 added, 1 changed`.
fn counts(changes: &EcosystemDiff) -> String {
    let counts = [
        (changes.removed.len(), "removed"),
        (changes.added.len(), "added"),
        (changes.changed.len(), "changed"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    counts.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

/// `12 → 13 packages, 30.10 MiB → 31.20 MiB`.
fn totals(total: &Totals) -> String {
    let Totals { old, new } = total;
    let packages = if old.packages == new.packages {
        new.packages.to_string()
    } else {
        format!("{} → {}", old.packages, new.packages)
    };
    let many = if new.packages == 1 { "" } else { "s" };
    let size = |amount: &Amount| {
        // What no index says is missing in the sum.
        let least = if amount.unsized_packages > 0 { "at least " } else { "" };
        format!("{least}{}", output::bytes(amount.size))
    };
    let sizes = match (size(old), size(new)) {
        _ if old.size + new.size == 0 => String::new(),
        (old, new) if old == new => format!(", {new}"),
        (old, new) => format!(", {old} → {new}"),
    };
    format!("{packages} package{many}{sizes}")
}

/// A size, unless the index did not give it.
fn known(size: u64) -> Option<String> {
    (size > 0).then(|| output::bytes(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, new_version: &str, old_size: u64, new_size: u64) -> PackageChange {
        PackageChange {
            name: name.into(),
            old_version: "1.0".into(),
            new_version: new_version.into(),
            old_build: None,
            new_build: None,
            old_size,
            new_size,
        }
    }

    fn amount(packages: usize, size: u64, unsized_packages: usize) -> Amount {
        Amount { packages, size, unsized_packages }
    }

    #[test]
    fn only_what_differs_and_is_known_is_shown() {
        let builds = |old: &str, new: &str| PackageChange {
            old_build: Some(old.into()),
            new_build: Some(new.into()),
            ..change("rebuilt", "1.0", 2048, 1024)
        };
        let version = |name: &str, build: Option<&str>, size| PackageVersion {
            name: name.into(),
            version: "1.0".into(),
            build: build.map(str::to_owned),
            size,
        };
        let conda = EcosystemDiff {
            added: vec![version("openssl", Some("h0_1"), 1024)],
            removed: Vec::new(),
            changed: vec![builds("h1_0", "h1_1"), builds("h1_0", "h1_0")],
            total: Some(Totals { old: amount(2, 4096, 0), new: amount(3, 3072, 0) }),
        };
        let pypi = EcosystemDiff {
            added: vec![version("new", None, 0)],
            removed: vec![version("gone", None, 1024)],
            changed: vec![
                change("rebuilt", "1.0", 2048, 1024),
                change("same-size", "1.0", 2048, 2048),
                change("unsized", "2.0", 0, 0),
                change("sized", "2.0", 1024, 2048),
            ],
            total: Some(Totals { old: amount(5, 6144, 1), new: amount(5, 5120, 2) }),
        };
        let python = EcosystemDiff { changed: vec![change("python", "1.1", 0, 0)], ..Default::default() };
        let diff = LockDiff {
            ecosystems: BTreeMap::from([("conda", conda), ("pypi", pypi), ("python", python)]),
            total: Totals { old: amount(7, 10240, 1), new: amount(8, 8192, 2) },
        };
        let text = changes_text(&BTreeMap::from([(Platform::LinuxAmd64, diff)]));
        insta::assert_snapshot!(console::strip_ansi_codes(&text), @r"
        + conda openssl 1.0 h0_1 (1.00 KiB)
        ~ conda rebuilt 1.0 h1_0 → h1_1 (2.00 KiB → 1.00 KiB)
        ~ conda rebuilt 1.0 h1_0: other content (2.00 KiB → 1.00 KiB)
        - pypi gone 1.0 (1.00 KiB)
        + pypi new 1.0
        ~ pypi rebuilt 1.0: other content (2.00 KiB → 1.00 KiB)
        ~ pypi same-size 1.0: other content
        ~ pypi unsized 1.0 → 2.0
        ~ pypi sized 1.0 → 2.0 (1.00 KiB → 2.00 KiB)
        ~ python python 1.0 → 1.1
          conda: 1 added, 2 changed; 2 → 3 packages, 4.00 KiB → 3.00 KiB
          pypi: 1 removed, 1 added, 4 changed; 5 packages, at least 6.00 KiB → at least 5.00 KiB
          all: 7 → 8 packages, at least 10.00 KiB → at least 8.00 KiB
        ");
    }

    #[test]
    fn one_ecosystem_that_is_all_needs_no_sum() {
        let total = Totals { old: amount(1, 10, 0), new: amount(1, 20, 0) };
        let pypi = EcosystemDiff {
            changed: vec![change("a", "2.0", 10, 20)],
            total: Some(total),
            ..Default::default()
        };
        let diff = LockDiff { ecosystems: BTreeMap::from([("pypi", pypi)]), total };
        let text = changes_text(&BTreeMap::from([(Platform::LinuxAmd64, diff)]));
        insta::assert_snapshot!(console::strip_ansi_codes(&text), @r"
        ~ pypi a 1.0 → 2.0 (10 B → 20 B)
          pypi: 1 changed; 1 package, 10 B → 20 B
        ");
    }
}
