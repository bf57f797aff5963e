//! Debian's `copyright` files: the licences that they name.
//!
//! Those in the machine-readable form (DEP 5) name each by a short name. The others are prose; of those only the files
//! in `/usr/share/common-licenses` that they refer to are taken.

use provenv_store::Store;

use super::{LicenseName, files, short};
use crate::segment::{Error, ItemKind, Segment};

const COMMON: &str = "/usr/share/common-licenses/";

/// The `copyright` files of the package called `name`, or the package in whose folder its own is.
pub(super) fn find(
    store: &Store,
    segment: &Segment,
    name: &str,
) -> Result<(Vec<String>, Option<String>), Error> {
    let folder = format!("usr/share/doc/{name}");
    let file = format!("{folder}/copyright");
    let read = files(store, segment, |path| path == file)?;
    if !read.is_empty() {
        return Ok((
            read.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect(),
            None,
        ));
    }
    // `libstdc++6 -> gcc-12-base`, or `copyright -> ../gcc-12-base/copyright`.
    let links = segment.index.entries.iter().filter(|item| item.path == folder || item.path == file);
    let target = links.filter_map(|item| match &item.kind {
        ItemKind::Symlink(target) => Some(target.as_str()),
        _ => None,
    });
    let of = target
        .flat_map(|target| target.split('/'))
        .find(|part| !matches!(*part, "" | "." | ".." | "usr" | "share" | "doc" | "copyright"));
    Ok((Vec::new(), of.map(str::to_owned)))
}

/// The licences that a `copyright` file names, sorted.
pub(super) fn licences(text: &str) -> Vec<LicenseName> {
    let is_machine_readable = text.lines().take(20).any(|line| {
        let line = line.to_ascii_lowercase();
        line.starts_with("format:") || line.starts_with("format-specification:")
    });
    let mut found: Vec<LicenseName> = if is_machine_readable {
        let names = text.lines().filter_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case("License").then(|| short(value))
        });
        names.filter(|name| !name.is_empty()).map(LicenseName::Debian).collect()
    } else {
        let names = text.split(COMMON).skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"-.+".contains(c));
            rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', '-'])
        });
        names.filter(|name| !name.is_empty()).map(|name| LicenseName::Common(short(name))).collect()
    };
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::{LicenseName, licences};

    #[test]
    fn short_names_are_taken_from_the_machine_readable_form() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\n\
                    Copyright: 2020 Somebody\nLicense: GPL-2+\n\nFiles: a.c\nLicense: Expat\n Permission is hereby\n License: no\n\n\
                    License: GPL-2+\n On Debian systems, see /usr/share/common-licenses/GPL-2\n";
        let debian = |name: &str| LicenseName::Debian(name.to_owned());
        assert_eq!(licences(text), [debian("Expat"), debian("GPL-2+")]);
    }

    #[test]
    fn of_prose_only_what_it_refers_to_is_known() {
        let text = "This package is free software.\nSee `/usr/share/common-licenses/GPL-2', and\n\
                    /usr/share/common-licenses/LGPL-2.1.\n";
        let common = |name: &str| LicenseName::Common(name.to_owned());
        assert_eq!(licences(text), [common("GPL-2"), common("LGPL-2.1")]);
        assert_eq!(licences("All rights reserved.\n"), []);
    }
}
