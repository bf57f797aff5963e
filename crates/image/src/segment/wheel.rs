//! Wheel → segment (PyPA specifications, "Binary distribution format", version 1.0).
//!
//! Deflated members are not compressed again: their raw deflate bytes become gzip members as they stand. What is laid down
//! is, byte for byte and mode for mode, what `uv pip install` lays down, except that `INSTALLER` names us, that there is no
//! `REQUESTED` and no `direct_url.json` (a segment depends on the artifact alone, not on why or whence it came), and that
//! `RECORD` lists what is there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr as _;

use fs_err::File;
use libdeflater::{Crc, Decompressor};
use pep440_rs::Version;
use provenv_store::Store;
use sha2::{Digest as _, Sha256};

use super::error::{Error, Fault, Problem};
use super::inflate::{self, GZIP_HEADER, Stream, StreamError, WHOLE, gzip_footer};
use super::linkage::{Gathering, Glimpse, Linkage};
use super::model::{ItemKind, Segment, WheelFacts, WheelSegment};
use super::record::{Check, Installed, Record};
use super::writer::Writer;
use super::zip::{Member, Zip, to_usize};
use super::{PREFIX, case, elf, folders, scripts};
use crate::entry::Directory;
use crate::path;

/// Deflated members of at most this many bytes are compressed again, together with their neighbours and headers: it
/// costs little, and a reader spends more on a member's beginning and end than on bytes.
const SMALL: u64 = 4 << 10;
/// Texts of the wheel's own description are never this large.
const TEXT_LIMIT: u64 = 64 << 20;
/// Pieces in which large members are copied.
const PIECE: u64 = 256 << 10;
const INSTALLER: &[u8] = b"provenv\n";

/// Makes the segment of the wheel in `file`, which is called `name`, for a Python of this minor version. Checks every
/// byte against the archive's own checksums and its `RECORD`.
pub(crate) fn make(store: &Store, file: File, name: &str, minor: (u32, u32)) -> Result<WheelSegment, Error> {
    let make = || {
        let zip = Zip::open(file)?;
        let wheel = Wheel::read(&zip, name, minor)?;
        let plan = wheel.plan(&zip, minor)?;
        let (segment, linkage) = plan.write(store, &zip, &wheel)?;
        let paths: Vec<&str> = segment.index.entries.iter().map(|item| item.path.as_str()).collect();
        let case_pair = case::first_pair(paths.into_iter());
        Ok(WheelSegment { segment, facts: WheelFacts { linkage, case_pair } })
    };
    make().map_err(|fault: Fault| fault.of(name))
}

/// What a wheel says of itself.
struct Wheel {
    /// `name-version`, as its folders are called.
    stem: String,
    /// The project's normalised name.
    project: String,
    record: Record,
    scripts: Vec<scripts::Script>,
}

impl Wheel {
    fn read(zip: &Zip, file_name: &str, minor: (u32, u32)) -> Result<Self, Fault> {
        let folders: BTreeSet<&str> = zip
            .members
            .iter()
            .filter_map(|member| member.name.split_once('/')?.0.strip_suffix(".dist-info"))
            .collect();
        let stem = match folders.iter().collect::<Vec<_>>()[..] {
            [stem] => (*stem).to_owned(),
            [] => return Err(Fault::malformed("has no .dist-info folder")),
            _ => return Err(Fault::malformed("has several .dist-info folders")),
        };
        let project = named_alike(file_name, &stem)?;

        let mut inflater = Decompressor::new();
        let mut text = |file: &str| -> Result<Option<String>, Fault> {
            let name = format!("{stem}.dist-info/{file}");
            let Some(member) = zip.find(&name) else { return Ok(None) };
            let bytes = zip.read(member, TEXT_LIMIT, &mut inflater)?;
            String::from_utf8(bytes).map(Some).map_err(|_| Fault::member(name, Problem::NotUtf8))
        };
        let missing = |file| move || Fault::malformed(format!("has no {file} in its .dist-info folder"));
        text("METADATA")?.ok_or_else(missing("METADATA"))?;
        let wheel = text("WHEEL")?.ok_or_else(missing("WHEEL"))?;
        let version =
            wheel.lines().find_map(|line| line.strip_prefix("Wheel-Version:")).unwrap_or_default().trim();
        if version.split('.').next() != Some("1") {
            return Err(Fault::malformed(format!("is of wheel version `{version}`, and this reads 1.x")));
        }
        let members: HashSet<&str> = zip.members.iter().map(|member| member.name.as_str()).collect();
        let record =
            Record::parse(&text("RECORD")?.ok_or_else(missing("RECORD"))?, |name| members.contains(name))?;
        let scripts = scripts::entry_points(&text("entry_points.txt")?.unwrap_or_default(), minor)?;
        Ok(Self { stem, project, record, scripts })
    }

    /// Where each file goes.
    fn plan<'z>(&self, zip: &'z Zip, (major, minor): (u32, u32)) -> Result<Plan<'z>, Fault> {
        let site = format!("{PREFIX}/lib/python{major}.{minor}/site-packages");
        let dist_info = format!("{site}/{}.dist-info", self.stem);
        let data = format!("{}.data/", self.stem);
        let own = [format!("{}.dist-info/RECORD", self.stem), format!("{}.dist-info/INSTALLER", self.stem)];
        let mut files = Vec::new();
        for member in &zip.members {
            if own.contains(&member.name) {
                continue;
            }
            let (path, script) = match member.name.strip_prefix(&data) {
                None => (format!("{site}/{}", member.name), false),
                Some(rest) => {
                    let (scheme, rest) = rest.split_once('/').unwrap_or((rest, ""));
                    let root = match scheme {
                        "purelib" | "platlib" => site.clone(),
                        "scripts" => format!("{PREFIX}/bin"),
                        "data" => PREFIX.to_owned(),
                        "headers" => format!("{PREFIX}/include/site/python{major}.{minor}/{}", self.project),
                        _ => {
                            let problem =
                                Problem::Malformed("lies in a .data folder of no known scheme".to_owned());
                            return Err(Fault::member(&member.name, problem));
                        }
                    };
                    if rest.is_empty() {
                        let problem =
                            Problem::Malformed("is a file where a scheme's folder belongs".to_owned());
                        return Err(Fault::member(&member.name, problem));
                    }
                    // A script with the name of an entry point is that entry point, made by an older tool.
                    if scheme == "scripts" && self.scripts.iter().any(|script| script.name == rest) {
                        continue;
                    }
                    (format!("{root}/{rest}"), scheme == "scripts")
                }
            };
            files.push(Placed { member, path, script });
        }
        let plan = Plan { site, dist_info, files };
        plan.check(self)?;
        Ok(plan)
    }
}

/// The wheel's normalised project name, if its file name and its folder agree on name and version.
fn named_alike(file_name: &str, stem: &str) -> Result<String, Fault> {
    let parts = |text: &str| {
        let (name, version) = text.split_once('-')?;
        Some((normalised(name), version.split('-').next().unwrap_or(version).to_owned()))
    };
    let alike = |one: &str, other: &str| {
        one == other || matches!((Version::from_str(one), Version::from_str(other)), (Ok(a), Ok(b)) if a == b)
    };
    match (parts(file_name.trim_end_matches(".whl")), parts(stem)) {
        (Some(file), Some(folder)) if file.0 == folder.0 && alike(&file.1, &folder.1) => Ok(folder.0),
        _ => Err(Fault::malformed(format!(
            "holds `{}.dist-info`, which is another package's",
            stem.escape_debug()
        ))),
    }
}

/// A project's name in normal form (PyPA specifications, "Names and normalization").
pub(crate) fn normalised(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for character in name.chars() {
        if !"-_.".contains(character) {
            out.extend(character.to_lowercase());
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    out
}

/// A member and where it goes.
struct Placed<'z> {
    member: &'z Member,
    path: String,
    script: bool,
}

struct Plan<'z> {
    site: String,
    dist_info: String,
    files: Vec<Placed<'z>>,
}

impl Plan<'_> {
    /// Every path that will be there.
    fn paths<'p>(&'p self, wheel: &'p Wheel) -> impl Iterator<Item = String> + 'p {
        self.files
            .iter()
            .map(|file| file.path.clone())
            .chain(wheel.scripts.iter().map(|script| format!("{PREFIX}/bin/{}", script.name)))
            .chain(["INSTALLER", "RECORD"].map(|file| format!("{}/{file}", self.dist_info)))
    }

    /// No path twice, no file where another path has a folder.
    fn check(&self, wheel: &Wheel) -> Result<(), Fault> {
        let paths: Vec<String> = self.paths(wheel).collect();
        let mut files = HashSet::new();
        for path in &paths {
            if let Some(problem) = path::problem(path) {
                return Err(Fault::member(path, Problem::Name(problem)));
            }
            if !files.insert(path.as_str()) {
                return Err(Fault::member(path, Problem::Duplicate));
            }
        }
        let folders = folders::above(files.iter().copied())?;
        self.check_case(&files)?;
        if let Some((folder, path)) = folders.iter().find(|(folder, _)| files.contains(*folder)) {
            return Err(Fault::member(*path, Problem::FileAndFolder((*folder).to_owned())));
        }
        Ok(())
    }

    /// No path that would, on a file system that ignores case, take the place of what says what is installed, or of the
    /// virtual environment's own files. Other pairs are two files on Linux, and real packages have such.
    fn check_case(&self, files: &HashSet<&str>) -> Result<(), Fault> {
        let description = format!("{}/", self.dist_info);
        let description_folded = case::folded(&description);
        let own = ["pyvenv.cfg", "bin/python", "bin/python3"].map(|file| format!("{PREFIX}/{file}"));
        let mut described: HashMap<String, &str> = HashMap::new();
        for path in files {
            let folded = case::folded(path);
            let clash = if path.starts_with(&description) {
                described.insert(folded, path).map(str::to_owned)
            } else if folded.starts_with(&description_folded) {
                Some(self.dist_info.clone())
            } else {
                own.iter().find(|own| **own == folded && own != path).cloned()
            };
            if let Some(other) = clash {
                return Err(Fault::member(*path, Problem::Case(other)));
            }
        }
        Ok(())
    }

    fn write(&self, store: &Store, zip: &Zip, wheel: &Wheel) -> Result<(Segment, Linkage), Fault> {
        let paths: Vec<String> = self.paths(wheel).collect();
        let mut parents: Vec<Directory> = folders::above(paths.iter().map(String::as_str))?
            .into_keys()
            .map(|path| Directory { path: path.to_owned(), mode: 0o755, uid: 0, gid: 0 })
            .collect();
        parents.sort_by(|one, other| one.path.cmp(&other.path));
        let mut copy = Copy {
            zip,
            record: &wheel.record,
            out: Writer::whole(store, &parents)?,
            inflater: Decompressor::new(),
            raw: Vec::new(),
            plain: Vec::new(),
            linkage: Gathering::new(),
        };
        let mut installed = Installed::default();
        for file in &self.files {
            let (sha256, size) = copy.file(file)?;
            installed.add(&self.relative(&file.path), &sha256, size);
        }
        let mut generated: Vec<(String, &[u8], u32)> = wheel
            .scripts
            .iter()
            .map(|script| (format!("{PREFIX}/bin/{}", script.name), script.text.as_bytes(), 0o755))
            .collect();
        generated.push((format!("{}/INSTALLER", self.dist_info), INSTALLER, 0o644));
        for (path, bytes, mode) in generated {
            copy.out.file(&path, bytes, mode, ROOT)?;
            installed.add(&self.relative(&path), &Sha256::digest(bytes).into(), bytes.len() as u64);
        }
        let own_path = format!("{}/RECORD", self.dist_info);
        let record = installed.finish(&self.relative(&own_path));
        copy.out.file(&own_path, record.as_bytes(), 0o644, ROOT)?;
        Ok((copy.out.finish()?, copy.linkage.finish()))
    }

    /// `path` as `RECORD` says it: from site-packages.
    fn relative(&self, path: &str) -> String {
        if let Some(inside) = path.strip_prefix(&self.site).and_then(|rest| rest.strip_prefix('/')) {
            return inside.to_owned();
        }
        let inside = path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path);
        format!("../../../{inside}")
    }
}

const ROOT: (u32, u32) = (0, 0);

/// What comes of copying a file: its bytes checked, and what it is linked with if it is an object.
type Copied = (Check, Option<elf::Object>);

/// What of `bytes`, which begin at `at` of a file, is in the part of it of so many bytes from an offset.
fn part(bytes: &[u8], at: u64, (from, length): (u64, u64)) -> &[u8] {
    let cut = |point: u64| to_usize(point.saturating_sub(at)).min(bytes.len());
    &bytes[cut(from)..cut(from.saturating_add(length))]
}

/// Members on their way from the archive to the segment.
struct Copy<'z> {
    zip: &'z Zip,
    record: &'z Record,
    out: Writer,
    inflater: Decompressor,
    raw: Vec<u8>,
    plain: Vec<u8>,
    linkage: Gathering,
}

impl Copy<'_> {
    /// Copies a file; gives sha256 and size of what is installed.
    fn file(&mut self, file: &Placed<'_>) -> Result<([u8; 32], u64), Fault> {
        let member = file.member;
        let fault = |problem| Fault::member(&member.name, problem);
        let mode = if member.executable || file.script { 0o755 } else { 0o644 };
        if file.script && member.size <= TEXT_LIMIT {
            let bytes = self.zip.read(member, TEXT_LIMIT, &mut self.inflater)?;
            let mut check = self.record.check(&member.name);
            check.update(&bytes);
            let sha256 = check.finish(member.size).map_err(fault)?;
            let Some(bytes) = scripts::rewritten(&bytes) else {
                self.out.file(&file.path, &bytes, mode, ROOT)?;
                return Ok((sha256, member.size));
            };
            self.out.file(&file.path, &bytes, mode, ROOT)?;
            return Ok((Sha256::digest(&bytes).into(), bytes.len() as u64));
        }
        self.out.entry(&file.path, ItemKind::File, member.size, mode, ROOT)?;
        let check = self.record.check(&member.name);
        let (check, object) = if !member.deflated {
            self.stored(member, check)?
        } else if member.size > WHOLE {
            self.large(member, check)?
        } else {
            self.spliced(member, check)?
        };
        if let Some(object) = object {
            self.linkage.add(&file.path, object);
        }
        let sha256 = check.finish(member.size).map_err(fault)?;
        self.out.end_file(member.size)?;
        Ok((sha256, member.size))
    }

    /// A deflated member becomes a gzip member.
    fn spliced(&mut self, member: &Member, mut check: Check) -> Result<Copied, Fault> {
        self.raw.clear();
        self.raw.extend_from_slice(&GZIP_HEADER);
        self.raw.resize(GZIP_HEADER.len() + to_usize(member.compressed), 0);
        self.zip.raw(member, 0, &mut self.raw[GZIP_HEADER.len()..])?;
        self.raw.extend_from_slice(&gzip_footer(member.crc, member.size));
        inflate::member(&mut self.inflater, &self.raw, member.size, &mut self.plain)
            .map_err(|problem| Fault::member(&member.name, problem))?;
        check.update(&self.plain);
        if member.size <= SMALL {
            self.out.gzip.push(&self.plain)?;
        } else {
            self.out.gzip.member(&self.raw, &self.plain)?;
        }
        let object = elf::read(&mut |parts| {
            Ok::<_, Fault>(parts.iter().map(|&wanted| part(&self.plain, 0, wanted).to_vec()).collect())
        })?;
        Ok((check, object))
    }

    /// The same for one that is too large to have in memory.
    fn large(&mut self, member: &Member, mut check: Check) -> Result<Copied, Fault> {
        let fault = |problem| Fault::member(&member.name, problem);
        let mut stream = Stream::new(member.size, member.compressed);
        let mut glimpse = Glimpse::new();
        self.out.gzip.raw(&GZIP_HEADER)?;
        self.pieces(member, |out, piece| {
            out.gzip.raw(piece)?;
            stream
                .feed(piece, |bytes| {
                    out.gzip.plain(bytes);
                    check.update(bytes);
                    glimpse.feed(bytes);
                    Ok(())
                })
                .map_err(StreamError::into)
                .map_err(fault)
        })?;
        stream.finish(member.crc).map_err(fault)?;
        let footer = gzip_footer(member.crc, member.size);
        self.out.gzip.raw(&footer)?;
        let framing = (GZIP_HEADER.len() + footer.len()) as u64;
        self.out.gzip.end_member(member.compressed + framing, member.size);
        let object = glimpse.object(|parts| self.again(member, parts))?;
        Ok((check, object))
    }

    /// Parts of a large member, which is inflated again from its beginning, once for all of them.
    fn again(&mut self, member: &Member, parts: &[(u64, u64)]) -> Result<Vec<Vec<u8>>, Fault> {
        let to = parts.iter().map(|(from, length)| from.saturating_add(*length)).max().unwrap_or(0);
        let (mut at, mut done) = (0, 0);
        let mut found = vec![Vec::new(); parts.len()];
        let mut stream = Stream::new(member.size, member.compressed);
        while done < member.compressed && at < to {
            let length = (member.compressed - done).min(PIECE);
            self.raw.resize(to_usize(length), 0);
            self.zip.raw(member, done, &mut self.raw)?;
            done += length;
            let feeding = stream.feed(&self.raw, |bytes| {
                for (found, &wanted) in found.iter_mut().zip(parts) {
                    found.extend_from_slice(part(bytes, at, wanted));
                }
                at += bytes.len() as u64;
                Ok(())
            });
            feeding.map_err(|error| Fault::member(&member.name, error.into()))?;
        }
        Ok(found)
    }

    /// A member that is not compressed is compressed here.
    fn stored(&mut self, member: &Member, mut check: Check) -> Result<Copied, Fault> {
        let mut crc = Crc::new();
        self.pieces(member, |out, piece| {
            crc.update(piece);
            check.update(piece);
            Ok(out.gzip.push(piece)?)
        })?;
        if crc.sum() != member.crc {
            return Err(Fault::member(&member.name, Problem::Crc));
        }
        let object = elf::read(&mut |parts| {
            let read = |&(from, length): &(u64, u64)| {
                let mut bytes = vec![0; to_usize(length.min(member.size.saturating_sub(from)))];
                if !bytes.is_empty() {
                    self.zip.raw(member, from, &mut bytes)?;
                }
                Ok::<_, Fault>(bytes)
            };
            parts.iter().map(read).collect()
        })?;
        Ok((check, object))
    }

    fn pieces(
        &mut self,
        member: &Member,
        mut each: impl FnMut(&mut Writer, &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut done = 0;
        while done < member.compressed {
            let length = (member.compressed - done).min(PIECE);
            self.raw.resize(to_usize(length), 0);
            self.zip.raw(member, done, &mut self.raw)?;
            each(&mut self.out, &self.raw)?;
            done += length;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_name_and_folder_must_agree() {
        assert_eq!(named_alike("Demo_Pkg-1.0-py3-none-any.whl", "demo.pkg-1.0.0").unwrap(), "demo-pkg");
        assert_eq!(named_alike("a-1.0-1-py3-none-any.whl", "a-1").unwrap(), "a");
        for (file, folder) in [("a-1.0-py3-none-any.whl", "b-1.0"), ("a-1.0-py3-none-any.whl", "a-2.0")] {
            assert!(named_alike(file, folder).is_err(), "{file} {folder}");
        }
    }
}
