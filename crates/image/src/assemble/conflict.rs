//! Two packages with one path.
//!
//! Installed one after the other in the order of their names, the later would overwrite the earlier: so it is here. Bytecode
//! follows its source. A package that has a file, or a link, where another has a folder is refused: what an installer makes of
//! that depends on who comes first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use provenv_store::Store;

use crate::entry::Directory;
use crate::path;
use crate::segment::{self, Item, ItemKind, Reader, Segment};

use super::Error;

/// What a package brings.
pub(super) struct Source<'s> {
    /// `numpy 2.3.5`.
    pub what: &'s str,
    pub files: &'s Segment,
    pub bytecode: Option<&'s Segment>,
}

/// How the conflicts of some packages come out.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Paths to leave out of each package's files.
    pub files: Vec<BTreeSet<String>>,
    /// Paths to leave out of each package's bytecode.
    pub bytecode: Vec<BTreeSet<String>>,
    /// What all packages say of folders; the first account of each counts.
    pub folders: BTreeMap<String, Directory>,
    /// What a user should know.
    pub notes: Vec<String>,
}

/// Resolves the conflicts between `sources`, given in the order in which they would be installed. `bytecode_of` says where
/// the bytecode of a module goes.
pub(super) fn resolve(
    store: &Store,
    sources: &[Source<'_>],
    bytecode_of: impl Fn(&str) -> String,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome {
        files: vec![BTreeSet::new(); sources.len()],
        bytecode: vec![BTreeSet::new(); sources.len()],
        ..Outcome::default()
    };
    // Who has a path: the source and the place in its index.
    let mut owners: HashMap<&str, (usize, &Item)> = HashMap::new();
    let mut shared: BTreeMap<(usize, usize), Vec<(&Item, &Item)>> = BTreeMap::new();
    for (n, source) in sources.iter().enumerate() {
        for item in &source.files.index.entries {
            let Some((before, other)) = owners.insert(&item.path, (n, item)) else { continue };
            outcome.files[before].insert(item.path.clone());
            shared.entry((before, n)).or_default().push((other, item));
        }
    }
    for ((before, after), pairs) in shared {
        let paths = differing(store, sources[before].files, sources[after].files, &pairs)?;
        let Some((first, more)) = paths.split_first() else { continue };
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        outcome.notes.push(format!(
            "{} and {} both have /{first}{more}; the image has that of {}",
            sources[before].what, sources[after].what, sources[after].what
        ));
    }
    for (n, source) in sources.iter().enumerate() {
        let Some(bytecode) = source.bytecode else { continue };
        let made: BTreeSet<&str> = bytecode.index.entries.iter().map(|item| item.path.as_str()).collect();
        for item in &source.files.index.entries {
            let cached = bytecode_of(&item.path);
            if made.contains(cached.as_str())
                && owners.get(item.path.as_str()).is_some_and(|owner| owner.0 != n)
            {
                outcome.bytecode[n].insert(cached);
            }
        }
        // Bytecode that a package ships itself gives way to what its source compiles to.
        for path in made {
            if let Some(&(owner, _)) = owners.get(path)
                && !outcome.bytecode[n].contains(path)
            {
                outcome.files[owner].insert(path.to_owned());
            }
        }
    }
    let folder_of = |n: usize, path: &str, folder: &str| -> Result<(), Error> {
        match owners.get(folder) {
            Some(&(owner, _)) => Err(Error::FileAndFolder {
                path: folder.to_owned(),
                file: sources[owner].what.to_owned(),
                folder: sources[n].what.to_owned(),
                below: path.to_owned(),
            }),
            None => Ok(()),
        }
    };
    let mut seen = BTreeSet::new();
    for (n, source) in sources.iter().enumerate() {
        for item in &source.files.index.entries {
            for folder in path::parents(&item.path) {
                if seen.insert(folder) {
                    folder_of(n, &item.path, folder)?;
                }
            }
        }
        for folder in &source.files.directories {
            folder_of(n, &folder.path, &folder.path)?;
            outcome.folders.entry(folder.path.clone()).or_insert_with(|| folder.clone());
        }
    }
    Ok(outcome)
}

/// The paths of `pairs`, entries of `one` and of `other` with one path, that are not the same in all that an image shows.
pub(super) fn differing<'p>(
    store: &Store,
    one: &Segment,
    other: &Segment,
    pairs: &[(&'p Item, &'p Item)],
) -> Result<Vec<&'p str>, segment::Error> {
    let shown = |item: &Item| (item.mode, item.uid, item.gid, item.size);
    // A reader for all of them: files next to each other are often of one member, which is inflated once.
    let (mut a, mut b) = (Reader::open(store, one)?, Reader::open(store, other)?);
    let mut paths = Vec::new();
    for (mine, theirs) in pairs {
        let same = mine.kind == theirs.kind
            && shown(mine) == shown(theirs)
            // The target of a hard link has the same path in both, and is compared by itself.
            && (mine.kind != ItemKind::File || digest(&mut a, mine)? == digest(&mut b, theirs)?);
        if !same {
            paths.push(theirs.path.as_str());
        }
    }
    Ok(paths)
}

fn digest(reader: &mut Reader<'_>, item: &Item) -> Result<provenv_definition::Digest, segment::Error> {
    let mut hasher = provenv_definition::Hasher::new();
    let begin = item.at + item.header;
    reader.range(begin, begin + item.size, |bytes| hasher.update(bytes))?;
    Ok(hasher.finish())
}
