//! What pip's packages replace of conda's: the files of a distribution that both bring.
//!
//! pip would uninstall conda's first, by the `RECORD` in it, or by what older tools leave (`installed-files.txt`, `top_level.txt`),
//! and with its commands. Left where they are, two versions would lie in one folder, and Python would find both, the one or the
//! other.

use std::collections::{BTreeMap, BTreeSet};

use provenv_definition::normalise_name;
use provenv_lock::PypiPackage;
use provenv_store::Store;

use super::distributions::{MOST, behind, by_path, file_of};
use super::family::Package;
use crate::segment::{self, Item, Reader};

const SITE: &str = "/site-packages/";

/// A `RECORD`, or another list of files, may be this long. Real ones stay below a tenth of it.
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
        let items = by_path(&package.segment);
        let mut reader = Reader::open(store, &package.segment)?;
        let mut all = BTreeSet::new();
        for path in items.keys() {
            let Some(item) = file_of(&items, path, python) else { continue };
            let name = name(&reader.read_part(item, 0, MOST)?);
            let Some(wheel) = name.and_then(|name| wheels.get(&*name)) else { continue };
            let paths = distribution(&mut reader, &items, path)?;
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

/// The paths of the distribution whose metadata is at `metadata`: what is listed beside that, as pip would find it, what lies
/// there, and the commands that its entry points name: conda makes them, and no list has them.
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
    let mut read = |name: &str| -> Result<Option<String>, segment::Error> {
        let Some(item) = behind(items, &format!("{folder}{name}")) else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(&reader.read_part(item, 0, LONGEST_RECORD)?).into_owned()))
    };
    let site = format!("{above}{SITE}");
    if let Some(record) = read("RECORD")? {
        paths.extend(record.lines().filter_map(|line| listed(line, &site)));
    } else if let Some(files) = read("installed-files.txt")? {
        paths.extend(files.lines().filter_map(|line| from_folder(line.trim(), &folder)));
    } else if let Some(names) = read("top_level.txt")? {
        let shared = read("namespace_packages.txt")?.unwrap_or_default();
        let is_own = |name: &&str| !name.is_empty() && !shared.lines().any(|other| other.trim() == *name);
        for path in names.lines().map(str::trim).filter(is_own).filter_map(|name| from_folder(name, &site)) {
            let inside = format!("{path}/");
            // An extension module would be found before what replaces it; pip leaves it.
            let is_module = |ending: &str| {
                ending == ".py"
                    || (ending.starts_with('.') && ending.ends_with(".so") && !ending.contains('/'))
            };
            let is_of =
                |item: &&&str| item.starts_with(&inside) || item.strip_prefix(&*path).is_some_and(is_module);
            paths.extend(items.keys().filter(is_of).map(|path| (*path).to_owned()));
        }
    }
    let entry_points = read("entry_points.txt")?.unwrap_or_default();
    paths.extend(commands(&entry_points).map(|name| format!("{}/bin/{name}", segment::PREFIX)));
    paths.retain(|path| items.contains_key(&**path));
    Ok(paths)
}

/// The commands that the text of an `entry_points.txt` names (PyPA specifications, "Entry points").
fn commands(text: &str) -> impl Iterator<Item = &str> {
    let mut is_of_commands = false;
    text.lines().filter_map(move |line| {
        let line = line.trim();
        if line.starts_with('[') {
            is_of_commands = ["[console_scripts]", "[gui_scripts]"].contains(&line);
            return None;
        }
        let (name, _) = line.split_once('=').filter(|_| is_of_commands && !line.starts_with(['#', ';']))?;
        Some(name.trim()).filter(|name| !name.is_empty() && !name.contains('/'))
    })
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
    from_folder(&path, site)
}

/// Where `path` leads from `folder`; `None` where that is outside of the prefix.
fn from_folder(path: &str, folder: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.trim_end_matches('/').split('/').collect();
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
        let commands: Vec<&str> = commands(
            "[a.plugins]\nx = a:b\n[console_scripts]\n# no = a:b\none = a.b:main\nsub/no = a:b\n[gui_scripts]\ntwo=a:b [extra]\n",
        )
        .collect();
        assert_eq!(commands, ["one", "two"]);
        assert_eq!(name(b"Metadata-Version: 2.1\nName: Scikit_Learn\n\nName: x").unwrap(), "scikit-learn");
    }
}
