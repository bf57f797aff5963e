//! Wheels above conda packages: what the user should know of paths that both have.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use provenv_store::Store;

use super::Error;
use super::conflict::same;
use super::family::Family;
use crate::path;
use crate::segment::{Item, Segment};

/// What is to be said of `wheels` that lie over `conda` packages.
///
/// A wheel's file hides the conda package's, as pip overwrites it. A file where the other has a folder is refused, as it is
/// between any two packages.
pub(super) fn notes(store: &Store, conda: &Family, wheels: &Family) -> Result<Vec<String>, Error> {
    let mut lower: HashMap<&str, (usize, &Segment, &Item)> = HashMap::new();
    let mut folders: HashMap<&str, usize> = HashMap::new();
    for (n, package) in conda.packages.iter().enumerate() {
        let kept = |item: &&Item| !conda.given_up()[n].contains(&item.path);
        for item in package.segment.index.entries.iter().filter(kept) {
            lower.insert(&item.path, (n, &package.segment, item));
            for folder in path::parents(&item.path) {
                folders.insert(folder, n);
            }
        }
    }
    let mut hidden: BTreeMap<(usize, usize), Vec<&str>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (n, wheel) in wheels.packages.iter().enumerate() {
        for item in &wheel.segment.index.entries {
            if let Some(&below) = folders.get(item.path.as_str()) {
                return Err(Error::FileAndFolder {
                    path: item.path.clone(),
                    file: wheel.what.clone(),
                    folder: conda.packages[below].what.clone(),
                    below: item.path.clone(),
                });
            }
            for folder in path::parents(&item.path).filter(|folder| seen.insert(*folder)) {
                if let Some((below, ..)) = lower.get(folder) {
                    return Err(Error::FileAndFolder {
                        path: folder.to_owned(),
                        file: conda.packages[*below].what.clone(),
                        folder: wheel.what.clone(),
                        below: item.path.clone(),
                    });
                }
            }
            if let Some((below, segment, under)) = lower.get(item.path.as_str())
                && !same(store, (*segment, *under), (&*wheel.segment, item))?
            {
                hidden.entry((n, *below)).or_default().push(&item.path);
            }
        }
    }
    Ok(hidden
        .into_iter()
        .map(|((wheel, below), paths)| {
            let (first, more) = (paths[0], paths.len() - 1);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!(
                "{} of pip lies over {} of conda: the image has its /{first}{more}",
                wheels.packages[wheel].what, conda.packages[below].what
            )
        })
        .collect())
}
