//! Zip archives, read strictly: whatever two readers could understand differently is refused (APPNOTE.TXT 6.3.10).
//!
//! Ours, and not the `zip` crate, because the raw compressed bytes are what is wanted, and because that crate quietly
//! keeps the last of two members with one name and does not compare the local headers with the directory.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::FileExt as _;

use fs_err::File;
use libdeflater::{Crc, Decompressor};

use super::error::{Fault, Problem};
use super::{BOMB_FLOOR, BOMB_RATIO, MOST_MEMBERS, inflate};
use crate::path;

/// An archive whose directory has been read and checked.
pub(crate) struct Zip {
    file: File,
    /// The members in the order of their bytes.
    pub members: Vec<Member>,
}

/// A file in the archive.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its name, a plain relative path.
    pub name: String,
    /// Whether any executable bit is set.
    pub executable: bool,
    /// Whether its bytes are deflated.
    pub deflated: bool,
    /// CRC-32 of its bytes.
    pub crc: u32,
    /// Bytes, compressed.
    pub compressed: u64,
    /// Bytes, uncompressed.
    pub size: u64,
    /// Where its compressed bytes begin.
    pub at: u64,
}

const DEFLATED: u16 = 8;
/// General purpose flags that say that the bytes are not what they seem: encryption, patches, strong encryption,
/// masked headers.
const FORBIDDEN_FLAGS: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;
/// Sizes and CRC stand behind the data.
const DESCRIPTOR: u16 = 1 << 3;
/// What deflate can make of a byte at the most.
const DEFLATE_RATIO: u64 = 1032;
/// A directory larger than this is no wheel's.
const DIRECTORY_LIMIT: u64 = 256 << 20;

impl Zip {
    pub fn open(file: File) -> Result<Self, Fault> {
        let length = file.metadata().map_err(Fault::Read)?.len();
        let end = End::find(&file, length)?;
        let mut bytes = vec![0; usize::try_from(end.size).map_err(|_| truncated())?];
        read_at(&file, &mut bytes, end.offset)?;
        let mut members = Vec::new();
        let mut names = HashSet::new();
        let mut ranges = Vec::new();
        let mut rest = &bytes[..];
        for _ in 0..end.count {
            let (record, behind) = Record::read(rest)?;
            rest = behind;
            let at = record.check_local(&file, end.offset)?;
            ranges.push((record.header_at, at + record.compressed, record.name.clone()));
            let name = record.name.trim_end_matches('/').to_owned();
            // A zip separates by slashes alone; a backslash is another system's separator, or means to deceive.
            let backslash = name.contains('\\').then_some("has a backslash in it");
            if let Some(problem) = path::problem(&name).or(backslash) {
                return Err(Fault::member(record.name, Problem::Name(problem)));
            }
            if !names.insert(name.clone()) {
                return Err(Fault::member(record.name, Problem::Duplicate));
            }
            if record.name.ends_with('/') {
                if record.size != 0 {
                    return Err(Fault::member(
                        record.name,
                        Problem::Malformed("is a folder with bytes".to_owned()),
                    ));
                }
                names.remove(&name);
                continue;
            }
            members.push(record.member(name, at)?);
        }
        if !rest.is_empty() {
            return Err(Fault::malformed("its directory holds more than it says"));
        }
        ranges.sort_unstable();
        if let Some(pair) = ranges.windows(2).find(|pair| pair[1].0 < pair[0].1) {
            return Err(Fault::member(pair[1].2.clone(), Problem::Overlap));
        }
        let limit = BOMB_FLOOR + length.saturating_mul(BOMB_RATIO);
        let mut total = 0_u64;
        for member in &members {
            total = total.saturating_add(member.size);
            if total > limit {
                return Err(Fault::member(&member.name, Problem::Bomb(limit)));
            }
        }
        members.sort_by_key(|member| member.at);
        Ok(Self { file, members })
    }

    /// The member of this name.
    pub fn find(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// The bytes of a member as they stand in the archive.
    pub fn raw(&self, member: &Member, from: u64, into: &mut [u8]) -> Result<(), Fault> {
        read_at(&self.file, into, member.at + from)
    }

    /// All bytes of a small member, checked.
    pub fn read(&self, member: &Member, limit: u64, inflater: &mut Decompressor) -> Result<Vec<u8>, Fault> {
        if member.size > limit {
            return Err(Fault::member(&member.name, Problem::Bomb(limit)));
        }
        let mut raw = vec![0; to_usize(member.compressed)];
        self.raw(member, 0, &mut raw)?;
        let plain = if member.deflated {
            let mut plain = Vec::new();
            inflate::whole(inflater, &raw, member.size, &mut plain)
                .map_err(|problem| Fault::member(&member.name, problem))?;
            plain
        } else {
            raw
        };
        let mut crc = Crc::new();
        crc.update(&plain);
        if crc.sum() != member.crc {
            return Err(Fault::member(&member.name, Problem::Crc));
        }
        Ok(plain)
    }
}

/// Sizes were compared with the file's before.
pub(crate) fn to_usize(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Where the directory is.
struct End {
    offset: u64,
    size: u64,
    count: u64,
}

impl End {
    fn find(file: &File, length: u64) -> Result<Self, Fault> {
        let tail_length = length.min(22 + 65_535);
        let tail_at = length - tail_length;
        let mut tail = vec![0; to_usize(tail_length)];
        read_at(file, &mut tail, tail_at)?;
        // The comment must reach exactly to the end: two ends in one file would be two archives.
        let start = (0..tail.len().saturating_sub(21))
            .rev()
            .find(|&at| {
                tail[at..].starts_with(b"PK\x05\x06")
                    && at + 22 + usize::from(u16_at(&tail, at + 20)) == tail.len()
            })
            .ok_or_else(|| Fault::malformed("not a zip archive, or cut short"))?;
        let fields = &tail[start..];
        let mut at = tail_at + start as u64;
        let mut end = Self {
            offset: u64::from(u32_at(fields, 16)),
            size: u64::from(u32_at(fields, 12)),
            count: u64::from(u16_at(fields, 10)),
        };
        let mut single =
            u16_at(fields, 4) == 0 && u16_at(fields, 6) == 0 && u16_at(fields, 8) == u16_at(fields, 10);
        let wide = end.offset == 0xffff_ffff || end.size == 0xffff_ffff || end.count == 0xffff;
        let mut locator = [0; 20];
        if at >= 20 {
            read_at(file, &mut locator, at - 20)?;
        }
        if locator.starts_with(b"PK\x06\x07") {
            let end64_at = u64_at(&locator, 8);
            let mut end64 = [0; 56];
            if end64_at.checked_add(56).is_none_or(|behind| behind > at - 20) {
                return Err(truncated());
            }
            read_at(file, &mut end64, end64_at)?;
            if !end64.starts_with(b"PK\x06\x06") {
                return Err(Fault::malformed("its zip64 end record is missing"));
            }
            at = end64_at;
            single = u32_at(&end64, 16) == 0
                && u32_at(&end64, 20) == 0
                && u64_at(&end64, 24) == u64_at(&end64, 32)
                && u32_at(&locator, 16) <= 1;
            let narrow = end;
            end = Self { offset: u64_at(&end64, 48), size: u64_at(&end64, 40), count: u64_at(&end64, 32) };
            let agree = |narrow: u64, wide: u64, mark: u64| narrow == mark || narrow == wide;
            if !agree(narrow.offset, end.offset, 0xffff_ffff)
                || !agree(narrow.size, end.size, 0xffff_ffff)
                || !agree(narrow.count, end.count, 0xffff)
            {
                return Err(Fault::malformed("its two end records differ"));
            }
        } else if wide && end.count != 0xffff {
            return Err(Fault::malformed("its zip64 end record is missing"));
        }
        if !single {
            return Err(Fault::malformed("is one part of a split zip archive"));
        }
        if end.count > MOST_MEMBERS as u64 {
            return Err(Fault::Refused(None, Problem::TooMany(MOST_MEMBERS)));
        }
        if end.size > DIRECTORY_LIMIT || end.count > end.size / 46 {
            return Err(Fault::malformed("the size of its directory is a lie"));
        }
        if end.offset.checked_add(end.size) != Some(at) {
            return Err(Fault::malformed("its directory does not end where its end record begins"));
        }
        Ok(end)
    }
}

/// A record of the directory.
struct Record {
    name: String,
    raw_name: Vec<u8>,
    flags: u16,
    method: u16,
    crc: u32,
    compressed: u64,
    size: u64,
    made_by_unix: bool,
    attributes: u32,
    header_at: u64,
}

impl Record {
    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Fault> {
        if bytes.len() < 46 || !bytes.starts_with(b"PK\x01\x02") {
            return Err(Fault::malformed("its directory is damaged"));
        }
        let [name, extra, comment] = [28, 30, 32].map(|at| usize::from(u16_at(bytes, at)));
        if bytes.len() < 46 + name + extra + comment {
            return Err(truncated());
        }
        let raw_name = bytes[46..46 + name].to_vec();
        let shown = String::from_utf8_lossy(&raw_name).into_owned();
        let name_text =
            String::from_utf8(raw_name.clone()).map_err(|_| Fault::member(&shown, Problem::NotUtf8))?;
        let mut record = Self {
            name: name_text,
            raw_name,
            flags: u16_at(bytes, 8),
            method: u16_at(bytes, 10),
            crc: u32_at(bytes, 16),
            compressed: u64::from(u32_at(bytes, 20)),
            size: u64::from(u32_at(bytes, 24)),
            made_by_unix: bytes[5] == 3,
            attributes: u32_at(bytes, 38),
            header_at: u64::from(u32_at(bytes, 42)),
        };
        // Zip64: the fields that say `all ones` stand here, in this order.
        let wide = extra_field(&bytes[46 + name..46 + name + extra], 1);
        let mut values = wide.unwrap_or_default().chunks_exact(8).map(|chunk| u64_at(chunk, 0));
        for field in [&mut record.size, &mut record.compressed, &mut record.header_at] {
            if *field == 0xffff_ffff {
                *field = values.next().ok_or_else(|| Fault::member(&shown, Problem::Truncated))?;
            }
        }
        if record.flags & FORBIDDEN_FLAGS != 0 {
            return Err(Fault::member(shown, Problem::Encrypted));
        }
        if record.method != 0 && record.method != DEFLATED {
            return Err(Fault::member(shown, Problem::Method(record.method)));
        }
        Ok((record, &bytes[46 + name + extra + comment..]))
    }

    /// Compares the member's own header with the directory's account of it; gives the place of its bytes.
    fn check_local(&self, file: &File, limit: u64) -> Result<u64, Fault> {
        let fault = |problem| Fault::member(&self.name, problem);
        let room = |at: u64, length: u64| at.checked_add(length).is_some_and(|behind| behind <= limit);
        if !room(self.header_at, 30) {
            return Err(fault(Problem::Truncated));
        }
        let mut fixed = [0; 30];
        read_at(file, &mut fixed, self.header_at)?;
        if !fixed.starts_with(b"PK\x03\x04") {
            return Err(fault(Problem::Damaged));
        }
        let variable = u64::from(u16_at(&fixed, 26)) + u64::from(u16_at(&fixed, 28));
        let at = self.header_at + 30 + variable;
        if !room(self.header_at + 30, variable) || !room(at, self.compressed) {
            return Err(fault(Problem::Truncated));
        }
        let mut names = vec![0; to_usize(variable)];
        read_at(file, &mut names, self.header_at + 30)?;
        let (name, extra) = names.split_at(usize::from(u16_at(&fixed, 26)));
        if name != self.raw_name {
            return Err(fault(Problem::Disagree("name")));
        }
        if u16_at(&fixed, 8) != self.method {
            return Err(fault(Problem::Disagree("compression method")));
        }
        let flags = u16_at(&fixed, 6);
        if flags & FORBIDDEN_FLAGS != 0 {
            return Err(fault(Problem::Encrypted));
        }
        if flags & DESCRIPTOR == 0 {
            let mut wide =
                extra_field(extra, 1).unwrap_or_default().chunks_exact(8).map(|chunk| u64_at(chunk, 0));
            let mut widen = |value: u32| {
                if value == u32::MAX { wide.next().unwrap_or(u64::MAX) } else { u64::from(value) }
            };
            let size = widen(u32_at(&fixed, 22));
            let compressed = widen(u32_at(&fixed, 18));
            if u32_at(&fixed, 14) != self.crc {
                return Err(fault(Problem::Disagree("checksum")));
            }
            if size != self.size || compressed != self.compressed {
                return Err(fault(Problem::Disagree("size")));
            }
        }
        Ok(at)
    }

    fn member(self, name: String, at: u64) -> Result<Member, Fault> {
        let deflated = self.method == DEFLATED;
        if !deflated && self.compressed != self.size {
            let problem = Problem::SizeLie { declared: self.size, actual: self.compressed };
            return Err(Fault::member(self.name, problem));
        }
        let most = self.compressed.saturating_mul(DEFLATE_RATIO);
        if deflated && self.size > most {
            return Err(Fault::member(self.name, Problem::Bomb(most)));
        }
        Ok(Member {
            name,
            // uv's rule: any executable bit, where the archive was made on Unix.
            executable: self.made_by_unix && (self.attributes >> 16) & 0o111 != 0,
            deflated,
            crc: self.crc,
            compressed: self.compressed,
            size: self.size,
            at,
        })
    }
}

/// The body of the extra field with this id.
fn extra_field(mut extra: &[u8], id: u16) -> Option<&[u8]> {
    while extra.len() >= 4 {
        let length = usize::from(u16_at(extra, 2));
        let body = extra.get(4..4 + length)?;
        if u16_at(extra, 0) == id {
            return Some(body);
        }
        extra = &extra[4 + length..];
    }
    None
}

fn truncated() -> Fault {
    Fault::Refused(None, Problem::Truncated)
}

fn read_at(file: &File, into: &mut [u8], at: u64) -> Result<(), Fault> {
    file.file().read_exact_at(into, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => truncated(),
        _ => Fault::Read(error),
    })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
