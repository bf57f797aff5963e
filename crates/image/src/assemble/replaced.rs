//! What pip's packages replace of conda's: the files of a distribution that both bring.
//!
//! pip would uninstall conda's first, by the `RECORD` in it. Left where they are, two versions would lie in one folder, and
//! Python would find both, the one or the other.

use std::collections::{BTreeMap, BTreeSet};

use provenv_definition::normalise_name;
use provenv_lock::PypiPackage;
use provenv_store::Store;

use super::distributions::{MOST, is_metadata};
use super::family::Package;
use crate::segment::{self, Item, Reader};

const SITE: &str = "/site-packages/";

/// A `RECORD` may be this long. Real ones stay below a tenth of it.
const LONGEST_RECORD: u64 = 64 << 20;

/// Paths of each of `packages` that `wheels` replace, and what is to be said of it.
pub(super) fn by_wheels(
    store: &Store,
    packages: &[Package],
    wheels: &[PypiPackage],
    python: (u32, u32),
) -> Result<(Vec<BTreeSet<String>>, Vec<String>), segment::Error> {
    let mut notes = Vec::new();
    let wheels: BTreeMap<&str, &PypiPackage> = wheels.iter().map(|wheel| (&*wheel.name, wheel)).collect();
    if wheels.is_empty() {
        return Ok((vec![BTreeSet::new(); packages.len()], notes));
    }
    let all = packages.iter().map(|package| {
        let items: BTreeMap<&str, &Item> =
            package.segment.index.entries.iter().map(|item| (&*item.path, item)).collect();
        let mut reader = Reader::open(store, &package.segment)?;
        let mut all = BTreeSet::new();
        for item in items.values().filter(|item| is_metadata(&item.path, python)) {
            let name = name(&reader.read_part(item, 0, MOST)?);
            let Some(wheel) = name.and_then(|name| wheels.get(&*name)) else { continue };
            let paths = distribution(&mut reader, &items, &item.path)?;
            notes.push(format!(
                "{} {} of pip replaces {} {} of {} of conda",
                wheel.name,
                wheel.version,
                paths.len(),
                if paths.len() == 1 { "file" } else { "files" },
                package.what
            ));
            all.extend(paths);
        }
        Ok::<_, segment::Error>(all)
    });
    let all = all.collect::<Result<_, _>>()?;
    Ok((all, notes))
}

/// The paths of the distribution whose metadata is at `metadata`: what its `RECORD` lists, and what lies beside that.
fn distribution(
    reader: &mut Reader<'_>,
    items: &BTreeMap<&str, &Item>,
    metadata: &str,
) -> Result<BTreeSet<String>, segment::Error> {
    let Some((above, below)) = metadata.split_once(SITE) else { return Ok(BTreeSet::new()) };
    let Some((folder, _)) = below.split_once('/') else { return Ok([metadata.to_owned()].into()) };
    let folder = format!("{above}{SITE}{folder}/");
    let beside = items.keys().filter(|path| path.starts_with(&folder)).map(|path| (*path).to_owned());
    let mut paths: BTreeSet<String> = beside.collect();
    if let Some(record) = items.get(&*format!("{folder}RECORD")) {
        let record = reader.read_part(record, 0, LONGEST_RECORD)?;
        let record = String::from_utf8_lossy(&record);
        let listed = record.lines().filter_map(|line| listed(line, &format!("{above}{SITE}")));
        paths.extend(listed.filter(|path| items.contains_key(&**path)));
    }
    Ok(paths)
}

/// The normalised name in a distribution's metadata.
fn name(metadata: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(metadata);
    let mut fields = text.lines().take_while(|line| !line.trim_end().is_empty());
    fields.find_map(|line| line.strip_prefix("Name:").map(|name| normalise_name(name.trim())))
}

/// The path that a line of a `RECORD` in `site` lists: the first of its comma-separated fields, which may be quoted.
fn listed(line: &str, site: &str) -> Option<String> {
    let path = match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once("\",")?.0.replace("\"\"", "\""),
        None => line.split(',').next()?.to_owned(),
    };
    let mut parts: Vec<&str> = site.trim_end_matches('/').split('/').collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    // What is beside the prefix is no package's.
    let inside = path.strip_prefix(segment::PREFIX).is_some_and(|below| below.starts_with('/'));
    inside.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_list_paths_from_where_they_are() {
        let site = "opt/provenv/lib/python3.11/site-packages/";
        let of = |line: &str| listed(line, site);
        assert_eq!(of("a/b.py,sha256=x,1").unwrap(), format!("{site}a/b.py"));
        assert_eq!(of("../../../bin/f2py,sha256=x,1").unwrap(), "opt/provenv/bin/f2py");
        assert_eq!(of("\"a,\"\"b\"\".py\",sha256=x,1").unwrap(), format!("{site}a,\"b\".py"));
        for outside in ["../../../../../etc/passwd,,", "../../../../../../../../../etc/passwd,,", "\"a"] {
            assert_eq!(of(outside), None, "{outside}");
        }
        assert_eq!(name(b"Metadata-Version: 2.1\nName: Scikit_Learn\n\nName: x").unwrap(), "scikit-learn");
    }
}
