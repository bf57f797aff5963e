//! An archive's list of packages in a form that can be asked without being read.
//!
//! `Packages` is 50 MB of text with 64,000 paragraphs, of which a resolution needs a few hundred. It is read once
//! and turned into a file of its own, kept in the store under the digest of the list it was made from:
//!
//! ```text
//! paragraphs, one after the other, only with the fields that resolving needs
//! names      16 bytes each, sorted: name offset, name length, paragraph offset, paragraph length (u32, little endian)
//! provided   the same for names in `Provides`
//! heap       the names themselves
//! trailer    32 bytes: count of names, count of provided, length of the heap (u64), magic
//! ```
//!
//! Opening reads names, provided and heap (3 MB); a look-up is a binary search and one `pread` a paragraph.

use std::io::{self, Read, Write};
use std::ops::Range;

use fs_err::File;
use fs_err::os::unix::fs::FileExt as _;

/// Also the version of the format: it is part of the key under which a list is kept.
const MAGIC: &[u8; 8] = b"PVDEBIX1";
const ENTRY: usize = 16;
const TRAILER: usize = 32;

/// Part of the key of kept indexes: another format is another key.
pub(super) const FORMAT: &str = "v1";

/// The fields that resolving needs.
const FIELDS: [&str; 13] = [
    "Package",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Priority",
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Provides",
    "Filename",
    "Size",
    "SHA256",
];

/// The longest paragraph, in bytes. The longest of Debian's has 30 kB.
const LONGEST_PARAGRAPH: usize = 1 << 26;

/// Reads `packages` (plain text of a `Packages` file) and writes it to `out` in this module's form.
pub(super) fn build(mut packages: impl Read, out: &mut impl Write) -> io::Result<()> {
    let mut builder = Builder::default();
    // Whole paragraphs are cut off a buffer that is filled again and again.
    let mut buffer = Vec::with_capacity(1 << 20);
    loop {
        let read = packages.by_ref().take(1 << 19).read_to_end(&mut buffer)?;
        let end = if read == 0 {
            buffer.len()
        } else {
            memchr::memmem::rfind(&buffer, b"\n\n").map_or(0, |end| end + 2)
        };
        builder.add(&buffer[..end], out)?;
        if buffer.len() - end > LONGEST_PARAGRAPH {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a paragraph of it has no end"));
        }
        if read == 0 {
            return builder.finish(out);
        }
        buffer.drain(..end);
    }
}

#[derive(Default)]
struct Builder {
    /// Bytes written.
    written: u64,
    /// The paragraph at hand.
    kept: Vec<u8>,
    names: Vec<(Range<usize>, u32, u32)>,
    provided: Vec<(Range<usize>, u32, u32)>,
    heap: Vec<u8>,
}

impl Builder {
    /// Adds whole paragraphs.
    fn add(&mut self, paragraphs: &[u8], out: &mut impl Write) -> io::Result<()> {
        let invalid = |error: &dyn ToString| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        let text = str::from_utf8(paragraphs).map_err(|error| invalid(&error))?;
        for paragraph in deb822_fast::borrowed::parse_borrowed(text).map_err(|error| invalid(&error))? {
            let Some(name) = paragraph.get_single("Package") else {
                return Err(invalid(&"a paragraph names no package"));
            };
            self.kept.clear();
            for field in paragraph.iter().filter(|field| FIELDS.contains(&field.name())) {
                self.kept.extend_from_slice(field.name().as_bytes());
                self.kept.push(b':');
                for line in field.lines() {
                    self.kept.push(b' ');
                    self.kept.extend_from_slice(line.as_bytes());
                    self.kept.push(b'\n');
                }
            }
            let too_big = |_| invalid(&"it is over 4 GB");
            let offset = u32::try_from(self.written).map_err(too_big)?;
            let length = u32::try_from(self.kept.len()).map_err(too_big)?;
            out.write_all(&self.kept)?;
            self.written += u64::from(length);
            let name = self.intern(name);
            self.names.push((name, offset, length));
            let provides =
                paragraph.get("Provides").unwrap_or_default().iter().flat_map(|line| line.split(','));
            for part in provides {
                let part = part.trim();
                let end = part.find([' ', '(', ':']).unwrap_or(part.len());
                if end > 0 {
                    let name = self.intern(&part[..end]);
                    self.provided.push((name, offset, length));
                }
            }
        }
        Ok(())
    }

    fn intern(&mut self, name: &str) -> Range<usize> {
        let start = self.heap.len();
        self.heap.extend_from_slice(name.as_bytes());
        start..self.heap.len()
    }

    fn finish(mut self, out: &mut impl Write) -> io::Result<()> {
        let heap = &self.heap;
        let mut tables = Vec::with_capacity((self.names.len() + self.provided.len()) * ENTRY);
        for table in [&mut self.names, &mut self.provided] {
            table.sort_by(|a, b| heap[a.0.clone()].cmp(&heap[b.0.clone()]).then(a.1.cmp(&b.1)));
            for (name, offset, length) in table.iter() {
                // Fits: the heap is smaller than the paragraphs, whose offsets were checked.
                for number in [name.start as u64, name.len() as u64, u64::from(*offset), u64::from(*length)] {
                    tables.extend_from_slice(&number.to_le_bytes()[..4]);
                }
            }
        }
        out.write_all(&tables)?;
        out.write_all(heap)?;
        for number in [self.names.len(), self.provided.len(), heap.len()] {
            out.write_all(&(number as u64).to_le_bytes())?;
        }
        out.write_all(MAGIC)
    }
}

/// An index that is open to questions.
#[derive(Debug)]
pub(super) struct Index {
    file: File,
    /// Both tables and the heap.
    tables: Vec<u8>,
    names: usize,
    provided: usize,
}

fn corrupt() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a kept list of Debian packages is damaged")
}

impl Index {
    /// Opens what [`build`] wrote.
    pub fn open(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        let trailer_at = size.checked_sub(TRAILER as u64).ok_or_else(corrupt)?;
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, trailer_at)?;
        let (numbers, magic) = trailer.split_at(24);
        let mut numbers = numbers.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let mut number =
            || numbers.next().and_then(|number| usize::try_from(number).ok()).ok_or_else(corrupt);
        let (names, provided, heap) = (number()?, number()?, number()?);
        let length = names
            .checked_add(provided)
            .and_then(|entries| entries.checked_mul(ENTRY)?.checked_add(heap))
            .filter(|length| magic == MAGIC && *length as u64 <= trailer_at)
            .ok_or_else(corrupt)?;
        let mut tables = vec![0; length];
        file.read_exact_at(&mut tables, trailer_at - length as u64)?;
        Ok(Self { file, tables, names, provided })
    }

    /// The paragraphs of packages called `name`.
    pub fn named(&self, name: &str) -> io::Result<Vec<String>> {
        self.paragraphs(0..self.names, name)
    }

    /// The paragraphs of packages that provide `name`.
    pub fn providing(&self, name: &str) -> io::Result<Vec<String>> {
        self.paragraphs(self.names..self.names + self.provided, name)
    }

    /// The names of all packages, sorted, one for each paragraph.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        (0..self.names).filter_map(|entry| str::from_utf8(self.entry(entry).ok()?.0).ok())
    }

    fn paragraphs(&self, table: Range<usize>, name: &str) -> io::Result<Vec<String>> {
        let (mut low, mut high) = (table.start, table.end);
        while low < high {
            let middle = low.midpoint(high);
            if self.entry(middle)?.0 < name.as_bytes() { low = middle + 1 } else { high = middle }
        }
        let mut found = Vec::new();
        while low < table.end {
            let (entry, offset, length) = self.entry(low)?;
            if entry != name.as_bytes() {
                break;
            }
            let mut paragraph = vec![0; length as usize];
            self.file.read_exact_at(&mut paragraph, u64::from(offset))?;
            found.push(String::from_utf8(paragraph).map_err(|_| corrupt())?);
            low += 1;
        }
        Ok(found)
    }

    fn entry(&self, position: usize) -> io::Result<(&[u8], u32, u32)> {
        let start = position * ENTRY;
        let bytes = self.tables.get(start..start + ENTRY).ok_or_else(corrupt)?;
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let heap = &self.tables[(self.names + self.provided) * ENTRY..];
        let from = number(0) as usize;
        let name = heap.get(from..from.saturating_add(number(4) as usize)).ok_or_else(corrupt)?;
        // A damaged length must not make us ask for gigabytes.
        let length = number(12);
        if length as usize > LONGEST_PARAGRAPH { Err(corrupt()) } else { Ok((name, number(8), length)) }
    }
}

#[cfg(test)]
pub(super) fn index_of(text: &str) -> Index {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    build(text.as_bytes(), &mut file).unwrap();
    Index::open(File::open(file.path()).unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Package: mawk
Version: 1.3
Description: awk
 that is long
Provides: awk, nawk (= 1.3),
 other-awk
Filename: pool/mawk.deb

Package: bash
Version: 5
Tag: a,
 b

Package: bash
Version: 6
";

    #[test]
    fn paragraphs_are_found_by_name_and_by_what_they_provide() {
        let index = index_of(TEXT);
        assert_eq!(
            index.named("bash").unwrap(),
            ["Package: bash\nVersion: 5\n", "Package: bash\nVersion: 6\n"]
        );
        let mawk = "Package: mawk\nVersion: 1.3\nProvides: awk, nawk (= 1.3),\n other-awk\nFilename: pool/mawk.deb\n";
        assert_eq!(index.named("mawk").unwrap(), [mawk]);
        assert_eq!(index.providing("awk").unwrap(), [mawk]);
        assert_eq!(index.providing("nawk").unwrap(), [mawk]);
        assert!(index.named("awk").unwrap().is_empty());
        assert!(index.providing("bash").unwrap().is_empty());
        assert_eq!(index.names().collect::<Vec<_>>(), ["bash", "bash", "mawk"]);
    }

    #[test]
    fn paragraphs_longer_than_a_read_survive() {
        let long =
            format!("Package: long\nDepends: {}\n\nPackage: next\nVersion: 1\n", "a, ".repeat(400_000));
        let index = index_of(&long);
        assert_eq!(index.named("next").unwrap(), ["Package: next\nVersion: 1\n"]);
        assert!(index.named("long").unwrap()[0].len() > 1_200_000);
    }

    #[test]
    fn a_paragraph_without_end_is_refused() {
        let error = build(io::repeat(b'a'), &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("no end"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let mut bytes = Vec::new();
        build(TEXT.as_bytes(), &mut bytes).unwrap();
        let open = |bytes: &[u8]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs_err::write(file.path(), bytes).unwrap();
            Index::open(File::open(file.path()).unwrap())
        };
        assert!(open(&bytes).is_ok());
        assert!(open(&bytes[..bytes.len() - 1]).is_err());
        assert!(open(&[]).is_err());
        let mut counts = bytes.clone();
        let at = bytes.len() - 32;
        counts[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(open(&counts).is_err());
        // Offsets that point nowhere are found out when they are followed.
        let mut offsets = bytes.clone();
        let heap = "bashbashmawkawknawkother-awk".len();
        let tables = bytes.len() - 32 - heap - 6 * 16;
        offsets[tables..tables + 16].fill(0xff);
        assert!(open(&offsets).unwrap().named("bash").is_err());
    }
}
