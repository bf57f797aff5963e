//! Wheels above conda packages: what the user should know of paths that both have.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use provenv_store::Store;

use super::Error;
use super::conflict::differing;
use super::family::Family;
use crate::path;
use crate::segment::Item;

/// What is to be said of `wheels` that lie over `conda` packages.
///
/// A wheel's file hides the conda package's, as pip overwrites it. A file where the other has a folder is refused, as it is
/// between any two packages.
pub(super) fn notes(store: &Store, conda: &Family, wheels: &Family) -> Result<Vec<String>, Error> {
    let mut lower: HashMap<&str, (usize, &Item)> = HashMap::new();
    let mut folders: HashMap<&str, usize> = HashMap::new();
    for (n, package) in conda.packages.iter().enumerate() {
        let kept = |item: &&Item| !conda.given_up()[n].contains(&item.path);
        for item in package.segment.index.entries.iter().filter(kept) {
            lower.insert(&item.path, (n, item));
            for folder in path::parents(&item.path) {
                folders.insert(folder, n);
            }
        }
    }
    let mut shared: BTreeMap<(usize, usize), Vec<(&Item, &Item)>> = BTreeMap::new();
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
                if let Some((below, _)) = lower.get(folder) {
                    return Err(Error::FileAndFolder {
                        path: folder.to_owned(),
                        file: conda.packages[*below].what.clone(),
                        folder: wheel.what.clone(),
                        below: item.path.clone(),
                    });
                }
            }
            if let Some((below, under)) = lower.get(item.path.as_str()) {
                shared.entry((n, *below)).or_default().push((*under, item));
            }
        }
    }
    let mut notes = Vec::new();
    for ((wheel, below), pairs) in shared {
        let (wheel, below) = (&wheels.packages[wheel], &conda.packages[below]);
        let paths = differing(store, &below.segment, &wheel.segment, &pairs)?;
        let Some((first, more)) = paths.split_first() else { continue };
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        notes.push(format!(
            "{} of pip lies over {} of conda: the image has its /{first}{more}",
            wheel.what, below.what
        ));
    }
    Ok(notes)
}
