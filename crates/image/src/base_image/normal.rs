//! A layer that an engine wrote, in normal form: with the times of our own layers and without names of the engine's host, so
//! that a Dockerfile whose steps make the same files makes the same layer.
//!
//! Bytecode that notes the time of its source is told the new one, where the source is of these layers too: Python would
//! compile such modules at each start otherwise. Everything else is as the engine wrote it, in its order.

use std::collections::BTreeSet;
use std::io::{self, Read};

use crate::tarball::{END, MTIME, padding};

const BLOCK: usize = 512;
/// No header of real files says more.
const MOST_WORDS: u64 = 4 << 20;
/// Bytes that are in memory at once.
const PIECE: usize = 256 << 10;
/// What PAX says of when an entry was made, and of who made it.
const DROPPED: [&str; 7] =
    ["mtime", "atime", "ctime", "uname", "gname", "LIBARCHIVE.creationtime", "comment"];

/// The paths of Python's sources in a tar, as [`rewrite`] asks for them.
pub(super) fn sources(tar: &mut impl Read) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut walk = Walk::default();
    while let Some(entry) = walk.next(tar)? {
        if entry.path.rsplit_once('.').is_some_and(|(_, ending)| ending == "py") {
            found.insert(entry.path.clone());
        }
        skip(tar, entry.size + padding(entry.size) as u64)?;
    }
    Ok(found)
}

/// Hands the normal form of `tar` to `put`, piece by piece. `sources` are Python's sources in the layers that are rewritten.
pub(super) fn rewrite<E: From<io::Error>>(
    tar: &mut impl Read,
    sources: &BTreeSet<String>,
    mut put: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut walk = Walk::default();
    let mut piece = vec![0; PIECE];
    while let Some(entry) = walk.next(tar)? {
        put(&entry.head)?;
        let mut left = entry.size;
        let mut first = true;
        while left > 0 {
            let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            tar.read_exact(&mut piece[..length])?;
            if first && source_of(&entry.path).is_some_and(|source| sources.contains(&source)) {
                set_time(&mut piece[..length]);
            }
            first = false;
            put(&piece[..length])?;
            left -= length as u64;
        }
        let padding = padding(entry.size);
        skip(tar, padding as u64)?;
        put(&END[..padding])?;
    }
    put(&END)
}

/// An entry in normal form, but for its data.
struct Entry {
    path: String,
    size: u64,
    /// Its header, with those that belong to it before it.
    head: Vec<u8>,
}

/// What was read ahead of an entry.
#[derive(Default)]
struct Walk {
    head: Vec<u8>,
    path: Option<String>,
    size: Option<u64>,
}

impl Walk {
    /// The next entry; its data comes next in `tar`.
    fn next(&mut self, tar: &mut impl Read) -> io::Result<Option<Entry>> {
        loop {
            let mut block = [0; BLOCK];
            if !fill(tar, &mut block)? || block.iter().all(|&byte| byte == 0) {
                // What follows the end says nothing, and is read all the same: the digest is of it too.
                io::copy(tar, &mut io::sink())?;
                return Ok(None);
            }
            check_sum(&block)?;
            let size = number(&block[124..136])?;
            match block[156] {
                b'x' | b'g' => {
                    let is_global = block[156] == b'g';
                    let records = self.words(&words(tar, size)?, is_global)?;
                    // What a global one says that is left counts for all that follow.
                    self.extended(&block, &records);
                }
                b'L' | b'K' => {
                    let text = words(tar, size)?;
                    if block[156] == b'L' {
                        let path = text.split(|&byte| byte == 0).next().unwrap_or_default();
                        self.path = Some(String::from_utf8_lossy(path).into_owned());
                    }
                    self.head.extend_from_slice(&normal(block));
                    self.head.extend_from_slice(&text);
                    self.head.resize(self.head.len() + padding(size), 0);
                }
                kind => {
                    let path = self.path.take().unwrap_or_else(|| path_in(&block));
                    let said = self.size.take().unwrap_or(size);
                    // Links, devices and folders have no data, whatever their size says.
                    let size = if matches!(kind, b'1'..=b'6') { 0 } else { said };
                    let mut head = std::mem::take(&mut self.head);
                    head.extend_from_slice(&normal(block));
                    return Ok(Some(Entry { path: plain(&path), size, head }));
                }
            }
        }
    }

    /// The records of a PAX header that are kept.
    fn words(&mut self, text: &[u8], is_global: bool) -> io::Result<Vec<u8>> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "a PAX header in it cannot be read");
        let mut kept = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let space = rest.iter().position(|&byte| byte == b' ').ok_or_else(invalid)?;
            let length = std::str::from_utf8(&rest[..space]).ok().and_then(|text| text.parse::<usize>().ok());
            let record = length.and_then(|length| rest.get(..length)).ok_or_else(invalid)?;
            let body =
                record.get(space + 1..).and_then(|body| body.strip_suffix(b"\n")).ok_or_else(invalid)?;
            let equals = body.iter().position(|&byte| byte == b'=').ok_or_else(invalid)?;
            let key = String::from_utf8_lossy(&body[..equals]).into_owned();
            let value = &body[equals + 1..];
            if !is_global && key == "path" {
                self.path = Some(String::from_utf8_lossy(value).into_owned());
            } else if !is_global && key == "size" {
                let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                self.size = Some(size.ok_or_else(invalid)?);
            }
            if !DROPPED.contains(&key.as_str()) {
                kept.extend_from_slice(record);
            }
            rest = &rest[record.len()..];
        }
        Ok(kept)
    }

    /// Adds a PAX header with these records, if there are any.
    fn extended(&mut self, block: &[u8; BLOCK], records: &[u8]) {
        if records.is_empty() {
            return;
        }
        let mut block = *block;
        // Some writers put their process id there.
        block[..100].fill(0);
        block[..9].copy_from_slice(b"PaxHeader");
        block[345..500].fill(0);
        let size = format!("{:011o}\0", records.len());
        block[124..136].copy_from_slice(size.as_bytes());
        self.head.extend_from_slice(&normal(block));
        self.head.extend_from_slice(records);
        self.head.resize(self.head.len() + padding(records.len() as u64), 0);
    }
}

/// A header with our time, and owners by number alone.
fn normal(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    block[136..148].copy_from_slice(format!("{MTIME:011o}\0").as_bytes());
    block[265..329].fill(0);
    if &block[257..265] == b"ustar  \0" {
        // GNU's times of access and change.
        block[345..369].fill(0);
    }
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn check_sum(block: &[u8; BLOCK]) -> io::Result<()> {
    let said = number(&block[148..156])?;
    let spaces = 8 * u64::from(b' ');
    let others = block[..148].iter().chain(&block[156..]).map(|&byte| u64::from(byte)).sum::<u64>();
    if said == others + spaces {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "a header in it is damaged"))
    }
}

/// Octal digits, or GNU's binary numbers.
fn number(field: &[u8]) -> io::Result<u64> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "a number in it cannot be read");
    if field[0] & 0x80 != 0 {
        let (high, low) = field.split_at(field.len() - 8);
        if high[0] != 0x80 || high[1..].iter().any(|&byte| byte != 0) {
            return Err(invalid());
        }
        return Ok(low.iter().fold(0, |number, &byte| (number << 8) | u64::from(byte)));
    }
    let text: String = field.iter().take_while(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect();
    let text = text.trim();
    if text.is_empty() { Ok(0) } else { u64::from_str_radix(text, 8).map_err(|_| invalid()) }
}

fn path_in(block: &[u8; BLOCK]) -> String {
    let text = |field: &[u8]| {
        let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).into_owned()
    };
    let name = text(&block[..100]);
    let prefix = if &block[257..263] == b"ustar\0" { text(&block[345..500]) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

fn plain(path: &str) -> String {
    path.trim_start_matches("./").trim_start_matches('/').trim_end_matches('/').to_owned()
}

/// The source that a file of bytecode is of, by their paths (PEP 3147, and PEP 488 for `.opt-1`).
fn source_of(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".pyc")?;
    let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
    let Some(above) = folder.strip_suffix("__pycache__") else { return Some(format!("{stem}.py")) };
    let name = match name.rsplit_once(".opt-") {
        Some((name, _)) => name,
        None => name,
    };
    let (module, _tag) = name.rsplit_once('.')?;
    Some(format!("{above}{module}.py"))
}

/// Tells bytecode, of which `bytes` is the beginning, the time of its source (PEP 552: flags of 0 mean that it is asked for).
fn set_time(bytes: &mut [u8]) {
    if bytes.len() >= 16 && bytes[4..8] == [0; 4] {
        let time = u32::try_from(MTIME).expect("a time of the last century");
        bytes[8..12].copy_from_slice(&time.to_le_bytes());
    }
}

fn words(tar: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    if size > MOST_WORDS {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a header in it is longer than any real one"));
    }
    let mut text = vec![0; usize::try_from(size).unwrap_or_default()];
    tar.read_exact(&mut text)?;
    skip(tar, padding(size) as u64)?;
    Ok(text)
}

/// Reads a block; `false` at the end.
fn fill(tar: &mut impl Read, block: &mut [u8; BLOCK]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < BLOCK {
        match tar.read(&mut block[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn skip(tar: &mut impl Read, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut tar.by_ref().take(bytes), &mut io::sink())?;
    if skipped == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tar by another implementation, made at a time and with all that differs from machine to machine.
    fn tar(time: u64, order: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in order {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(time);
            header.set_username(&format!("user{time}")).unwrap();
            let time = time.to_string() + ".25";
            builder
                .append_pax_extensions([("mtime", time.as_bytes()), ("SCHILY.xattr.user.a", b"b")])
                .unwrap();
            builder.append_data(&mut header, path, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn rewritten(tar: &[u8]) -> Vec<u8> {
        let sources = sources(&mut &tar[..]).unwrap();
        let mut out = Vec::new();
        rewrite(&mut &tar[..], &sources, |bytes| {
            out.extend_from_slice(bytes);
            io::Result::Ok(())
        })
        .unwrap();
        out
    }

    fn bytecode(time: u32, flags: u8) -> Vec<u8> {
        [&[1, 2, 3, 4, flags, 0, 0, 0][..], &time.to_le_bytes(), b"sizeand the rest"].concat()
    }

    #[test]
    fn the_same_files_are_the_same_layer_whenever_they_were_made() {
        let long = "x/".repeat(80) + "file";
        let make = |time: u32| {
            let (timed, checked) = (bytecode(time, 0), bytecode(7, 1));
            tar(
                time.into(),
                &[
                    ("a/m.py", b"1"),
                    ("a/__pycache__/m.cpython-311.pyc", &timed),
                    ("a/__pycache__/m.cpython-311.opt-1.pyc", &timed),
                    ("a/__pycache__/n.cpython-311.pyc", &bytecode(5, 0)),
                    ("a/__pycache__/m.hashed-1.pyc", &checked),
                    (&long, b"long"),
                    ("empty", b""),
                ],
            )
        };
        let (one, other) = (rewritten(&make(1_000_000)), rewritten(&make(2_000_000)));
        assert!(one == other, "they differ");
        assert_eq!(one.len() % BLOCK, 0);
        let mut archive = tar::Archive::new(&one[..]);
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), MTIME);
            let extensions = entry.pax_extensions().unwrap().unwrap().map(|one| one.unwrap());
            let keys: Vec<String> = extensions.map(|one| one.key().unwrap().to_owned()).collect();
            assert!(keys.contains(&"SCHILY.xattr.user.a".to_owned()) && !keys.contains(&"mtime".to_owned()));
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            seen.push((path, bytes));
        }
        let patched = bytecode(u32::try_from(MTIME).unwrap(), 0);
        assert_eq!(seen[1].1, patched);
        assert_eq!(seen[2].1, patched);
        assert_eq!(seen[3].1, bytecode(5, 0), "its source is in another layer");
        assert_eq!(seen[4].1, bytecode(7, 1), "it goes by a hash");
        assert_eq!((seen[5].0.as_str(), &seen[5].1[..]), (long.as_str(), &b"long"[..]));
        assert_eq!(seen.len(), 7);
    }

    #[test]
    fn what_is_no_tar_is_an_error() {
        let whole = tar(1, &[("a", b"some bytes")]);
        let mut damaged = whole.clone();
        damaged[3] ^= 1;
        for bytes in [&damaged[..], &whole[..700], &whole[..513 + 512 * 3], b"no tar at all"] {
            let result = rewrite(&mut &bytes[..], &BTreeSet::new(), |_| io::Result::Ok(()));
            assert!(result.is_err(), "{} bytes", bytes.len());
        }
    }
}
