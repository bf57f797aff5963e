//! Conda package → segment: `.conda` and `.tar.bz2`, laid down under the fixed prefix as conda lays it down.
//!
//! What differs on purpose: bytecode that a package ships is left out where the segment of bytecode has it, because it is
//! checked by the time of its source, which no file of an image has; menu entries are left out; and no script is run.

mod archive;
mod metadata;
mod placing;
mod prefix;
mod relocate;

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use fs_err::File;
use provenv_store::Store;
use sha2::{Digest as _, Sha256};
use tar::EntryType;

pub use metadata::CondaPath;
use metadata::{Info, Listed};
use placing::Placing;
use prefix::{Mode, Replacement};
pub(crate) use relocate::{can_be_named, fit_shebang, is_python, relocate, write_over};

use super::error::{Error, Fault, Problem};
use super::model::{CondaFacts, CondaSegment, ItemKind, Segment};
use super::writer::Writer;
use super::{MOST_MEMBERS, NAMES, PREFIX, case, folders};
use crate::entry::Directory;
use crate::path;

const ROOT: (u32, u32) = (0, 0);
/// The prefix inside of images.
const IMAGE_PREFIX: &str = "/opt/provenv";
/// Files in which the prefix stands as text are rewritten in memory; real ones stay below a tenth of this.
const TEXT_LIMIT: u64 = 64 << 20;

/// Makes the segment of the package in `file`, which is called `name`. `python` is the minor version of the environment's
/// Python: what is `noarch: python` cannot be laid down without.
pub(crate) fn make(
    store: &Store,
    file: File,
    name: &str,
    python: Option<(u32, u32)>,
) -> Result<CondaSegment, Error> {
    let make = || {
        let mut archive = archive::Package::open(store, file, name)?;
        let info = Info::read(&archive.info()?)?;
        info.is_called(name)?;
        let placing = Placing::new(&info, python)?;
        let mut laying = Laying {
            listed: info.listed(),
            info: &info,
            placing: &placing,
            out: Writer::new(store)?,
            placed: HashMap::new(),
            paths: BTreeMap::new(),
            names: 0,
        };
        archive.members(|entry| laying.member(entry))?;
        laying.finish()
    };
    make().map_err(|fault: Fault| fault.of(name))
}

/// Members on their way to the segment.
struct Laying<'i> {
    info: &'i Info,
    placing: &'i Placing,
    /// What the package says of each member; `None` where it lists none.
    listed: Option<HashMap<&'i str, &'i Listed>>,
    out: Writer,
    /// Where each member went, and its mode.
    placed: HashMap<String, (String, u32)>,
    /// What lies where, by path under the prefix.
    paths: BTreeMap<String, CondaPath>,
    names: usize,
}

impl Laying<'_> {
    fn member<R: Read>(&mut self, mut entry: tar::Entry<'_, R>) -> Result<(), Fault> {
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let fault = |problem| Fault::member(&shown, problem);
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| fault(Problem::NotUtf8))?;
        let name = name.strip_prefix("./").unwrap_or(&name);
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory {
            return Ok(());
        }
        if let Some(problem) = path::problem(name) {
            return Err(fault(Problem::Name(problem)));
        }
        if name.starts_with("info/") {
            return Ok(());
        }
        if self.placed.len() >= MOST_MEMBERS {
            return Err(Fault::Refused(None, Problem::TooMany(MOST_MEMBERS)));
        }
        self.names += name.len();
        if self.names > NAMES {
            return Err(Fault::Refused(None, Problem::Names(NAMES)));
        }
        let listed = match &self.listed {
            Some(listed) => match listed.get(name) {
                Some(listed) => Some(*listed),
                // As conda does: what is not listed is not laid down.
                None => return Ok(()),
            },
            None => None,
        };
        let Some(target) = self.placing.place(name) else { return Ok(()) };
        let path = format!("{PREFIX}/{target}");
        if let Some(problem) = path::problem(&path) {
            return Err(fault(Problem::Name(problem)));
        }
        let mode = entry.header().mode().map_err(|_| fault(Problem::Damaged))? & 0o777;
        if self.paths.contains_key(&target) {
            return Err(fault(Problem::Duplicate));
        }
        let link = entry
            .link_name_bytes()
            .map(|link| String::from_utf8(link.into_owned()).map_err(|_| fault(Problem::NotUtf8)))
            .transpose()?;
        let known = match kind {
            EntryType::Regular | EntryType::Continuous => self.file(&mut entry, name, &path, mode, listed)?,
            EntryType::Symlink => {
                let link = link.filter(|link| !link.is_empty() && !link.contains('\0') && link.len() < 4096);
                let link = link.ok_or_else(|| fault(Problem::Damaged))?;
                self.names += link.len();
                let sha256_in_prefix = Some(hex::encode(Sha256::digest(link.as_bytes())));
                self.out.entry(&path, ItemKind::Symlink(link), 0, 0o777, ROOT)?;
                let sha256 = listed.and_then(|listed| listed.sha256.clone());
                let size = listed.and_then(|listed| listed.size);
                CondaPath { kind: "softlink".into(), sha256, sha256_in_prefix, size, placeholder: None }
            }
            EntryType::Link => {
                let link = link.ok_or_else(|| fault(Problem::Damaged))?;
                let link = link.strip_prefix("./").unwrap_or(&link).to_owned();
                let Some((to, mode)) = self.placed.get(&link).cloned() else {
                    return Err(fault(Problem::DanglingHardlink(link)));
                };
                let known = self.paths.get(to.strip_prefix(PREFIX).map_or("", |to| &to[1..])).cloned();
                self.out.entry(&path, ItemKind::Hardlink(to), 0, mode, ROOT)?;
                known.unwrap_or_default()
            }
            EntryType::Char => return Err(fault(Problem::Device("character device"))),
            EntryType::Block => return Err(fault(Problem::Device("block device"))),
            EntryType::Fifo => return Err(fault(Problem::Device("named pipe"))),
            _ => return Err(fault(Problem::Malformed("is of a kind that packages do not have".to_owned()))),
        };
        if kind != EntryType::Symlink {
            self.placed.insert(name.to_owned(), (path, mode));
        }
        self.paths.insert(target, known);
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        name: &str,
        path: &str,
        mode: u32,
        listed: Option<&Listed>,
    ) -> Result<CondaPath, Fault> {
        let size = entry.size();
        let fault = |problem| Fault::member(name, problem);
        let declared = listed.filter(|listed| listed.is_file).and_then(|listed| listed.size);
        if let Some(declared) = declared.filter(|declared| *declared != size) {
            return Err(fault(Problem::SizeLie { declared, actual: size }));
        }
        let placeholder = match listed {
            Some(listed) => listed.placeholder.clone(),
            None => self.info.placeholder_of(name),
        };
        let mut known = CondaPath {
            kind: "hardlink".into(),
            sha256: listed.and_then(|listed| listed.sha256.clone()),
            size: Some(size),
            ..CondaPath::default()
        };
        if let Some((placeholder, Mode::Text)) = &placeholder {
            if size > TEXT_LIMIT {
                return Err(Fault::Refused(Some(name.to_owned()), Problem::Bomb(TEXT_LIMIT)));
            }
            let mut bytes = Vec::new();
            entry.take(size).read_to_end(&mut bytes).map_err(|error| archive::damaged(&error))?;
            if bytes.len() as u64 != size {
                return Err(fault(Problem::Truncated));
            }
            known.sha256.get_or_insert_with(|| hex::encode(Sha256::digest(&bytes)));
            let bytes = prefix::text(&bytes, placeholder, IMAGE_PREFIX);
            known.size = Some(bytes.len() as u64);
            known.sha256_in_prefix = Some(hex::encode(Sha256::digest(&bytes)));
            known.placeholder = Some((placeholder.clone(), "text".into()));
            self.out.file(path, &bytes, mode, ROOT)?;
            return Ok(known);
        }
        self.out.entry(path, ItemKind::File, size, mode, ROOT)?;
        let mut replacement = match &placeholder {
            Some((placeholder, _)) => Some(
                Replacement::new(placeholder, IMAGE_PREFIX)
                    .ok_or_else(|| Fault::malformed(format!("the prefix of {name} is shorter than ours")))?,
            ),
            None => None,
        };
        // Old packages do not say it.
        let mut original = known.sha256.is_none().then(Sha256::new);
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 64 << 10];
        let mut done = 0;
        let mut replaced = Vec::new();
        loop {
            let length = entry.read(&mut buffer).map_err(|error| archive::damaged(&error))?;
            done += length as u64;
            if let Some(original) = &mut original {
                original.update(&buffer[..length]);
            }
            let bytes = match &mut replacement {
                None => &buffer[..length],
                Some(replacement) => {
                    replaced.clear();
                    replacement.feed(&buffer[..length], length == 0, &mut replaced);
                    hasher.update(&replaced);
                    &replaced[..]
                }
            };
            self.out.gzip.push(bytes)?;
            if length == 0 {
                break;
            }
        }
        if done != size {
            return Err(fault(Problem::Truncated));
        }
        self.out.end_file(size)?;
        if let Some(original) = original {
            known.sha256 = Some(hex::encode(original.finalize()));
        }
        if let Some((placeholder, _)) = placeholder {
            known.sha256_in_prefix = Some(hex::encode(hasher.finalize()));
            known.placeholder = Some((placeholder, "binary".into()));
        }
        Ok(known)
    }

    fn finish(mut self) -> Result<CondaSegment, Fault> {
        if let Some(listed) = &self.listed {
            for (name, listed) in listed {
                if listed.is_folder {
                    if let Some(target) = self.placing.place(name) {
                        let path = format!("{PREFIX}/{target}");
                        self.out.directory(Directory { path, mode: 0o755, uid: 0, gid: 0 });
                        let known = CondaPath { kind: "directory".into(), ..CondaPath::default() };
                        self.paths.insert(target, known);
                    }
                } else if self.placing.place(name).is_some_and(|target| !self.paths.contains_key(&target)) {
                    return Err(Fault::malformed(format!(
                        "lists `{}` and does not hold it",
                        name.escape_debug()
                    )));
                }
            }
        }
        for script in self.placing.scripts() {
            let path = format!("{PREFIX}/bin/{}", script.name);
            let bytes = script.text.as_bytes();
            if self.paths.contains_key(&format!("bin/{}", script.name)) {
                return Err(Fault::member(format!("bin/{}", script.name), Problem::Duplicate));
            }
            self.out.file(&path, bytes, 0o755, ROOT)?;
            let known = CondaPath {
                kind: "unix_python_entry_point".into(),
                sha256: Some(hex::encode(Sha256::digest(bytes))),
                size: Some(bytes.len() as u64),
                ..CondaPath::default()
            };
            self.paths.insert(format!("bin/{}", script.name), known);
        }
        let paths: Vec<String> = self.paths.keys().map(|path| format!("{PREFIX}/{path}")).collect();
        let files: std::collections::HashSet<&str> = self
            .paths
            .iter()
            .zip(&paths)
            .filter(|((_, known), _)| known.kind != "directory")
            .map(|(_, path)| path.as_str())
            .collect();
        for (folder, path) in folders::above(paths.iter().map(String::as_str))? {
            if files.contains(folder) {
                let link = self
                    .paths
                    .get(folder.strip_prefix(PREFIX).map_or("", |rest| rest.trim_start_matches('/')));
                return Err(Fault::member(
                    path,
                    if link.is_some_and(|known| known.kind == "softlink") {
                        Problem::ThroughSymlink(folder.to_owned())
                    } else {
                        Problem::FileAndFolder(folder.to_owned())
                    },
                ));
            }
        }
        let case_pair = case::first_pair(paths.iter().map(String::as_str));
        let laid = self.paths.iter().filter(|(_, known)| known.kind != "directory");
        let scripts = laid.map(|(path, _)| path).filter(|path| metadata::is_script(path)).cloned().collect();
        let segment: Segment = self.out.finish()?;
        Ok(CondaSegment {
            segment,
            facts: CondaFacts { index: self.info.index_text.clone(), paths: self.paths, scripts, case_pair },
        })
    }
}
