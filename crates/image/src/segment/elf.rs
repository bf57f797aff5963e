//! As much of ELF as `ldconfig` and the dynamic linker want to know: class, machine, flags, `DT_SONAME` and `DT_NEEDED`,
//! read where they stand, without the rest of the file (System V ABI, chapters 4 and 5).

/// What an ELF object says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// `ET_DYN`: a shared object, or an executable that can be loaded anywhere; else an executable.
    pub shared: bool,
    pub class64: bool,
    /// `e_machine`.
    pub machine: u16,
    /// `e_flags`.
    pub flags: u32,
    pub soname: Option<String>,
    /// The libraries it is linked with, in their order.
    pub needed: Vec<String>,
}

/// Gives parts of a file, each by its offset and length, shorter where the file ends before. Parts are asked for in order and do
/// not overlap, so that they can be had in one pass.
pub(crate) type ReadParts<'a, E> = dyn FnMut(&[(u64, u64)]) -> Result<Vec<Vec<u8>>, E> + 'a;

/// What every ELF file begins with.
pub(crate) const MAGIC: &[u8] = b"\x7fELF";

const ET_EXEC: u64 = 2;
const ET_DYN: u64 = 3;
const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;
/// A dynamic section, or a table of program headers, larger than this is none.
const LIMIT: u64 = 1 << 20;
/// No library's name is longer: it is a file's.
const NAME: usize = 255;
/// No object is linked with more libraries. Names may overlap, so that a few bytes could be a great many.
const MOST_NAMES: usize = 1024;

/// A row of the table of program headers.
struct ProgramHeader {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

/// The head of a file, which says where the rest is.
struct Head {
    object: Object,
    /// Bytes of an address.
    word: usize,
    /// Where the table of program headers is, and how large a row of it.
    table: (u64, u64),
    row: usize,
}

impl Head {
    /// Reads the head of a little-endian object; `None` for anything else.
    fn read(header: &[u8]) -> Option<Self> {
        let little_endian = header.get(5) == Some(&1);
        if !header.starts_with(MAGIC) || header.len() < 52 || !little_endian {
            return None;
        }
        let class64 = header[4] == 2;
        let kind = number(header, 16, 2);
        if (class64 && header.len() < 64) || (kind != ET_DYN && kind != ET_EXEC) {
            return None;
        }
        // The same fields, at the places of each class.
        let word = if class64 { 8 } else { 4 };
        let [phoff, flags, phentsize, phnum] = if class64 { [32, 48, 54, 56] } else { [28, 36, 42, 44] };
        #[expect(clippy::cast_possible_truncation, reason = "two and four bytes")]
        let object = Object {
            shared: kind == ET_DYN,
            class64,
            machine: number(header, 18, 2) as u16,
            flags: number(header, flags, 4) as u32,
            soname: None,
            needed: Vec::new(),
        };
        let row = number(header, phentsize, 2);
        let length = row * number(header, phnum, 2);
        let table = (number(header, phoff, word), length.min(LIMIT));
        Some(Self { object, word, table, row: usize::try_from(row).unwrap_or(0) })
    }

    fn program_headers(&self, table: &[u8]) -> Vec<ProgramHeader> {
        let word = self.word;
        let [offset, address, size] = if self.object.class64 { [8, 16, 32] } else { [4, 8, 16] };
        if self.row < size + word {
            return Vec::new();
        }
        let field = |row: &[u8], at| number(row, at, word);
        table
            .chunks_exact(self.row)
            .map(|row| ProgramHeader {
                kind: number(row, 0, 4),
                offset: field(row, offset),
                address: field(row, address),
                size: field(row, size),
            })
            .collect()
    }
}

/// Where the dynamic section of a file lies that begins with `head`, and how long it is, if `head` reaches far enough to tell.
pub(crate) fn dynamic_section(head: &[u8]) -> Option<(u64, u64)> {
    let found = Head::read(head.get(..64)?)?;
    let at = usize::try_from(found.table.0).ok()?;
    let table = head.get(at..at.checked_add(usize::try_from(found.table.1).ok()?)?)?;
    let headers = found.program_headers(table);
    let dynamic = headers.iter().find(|header| header.kind == PT_DYNAMIC)?;
    Some((dynamic.offset, dynamic.size.min(LIMIT)))
}

/// Reads a little-endian shared object or executable; `None` for anything else. One with more names, or longer ones, than an
/// honest object has is given without any.
pub(crate) fn read<E>(read: &mut ReadParts<'_, E>) -> Result<Option<Object>, E> {
    let mut read_at = |from, length| read(&[(from, length)]).map(|parts| parts.concat());
    let Some(mut head) = Head::read(&read_at(0, 64)?) else { return Ok(None) };
    let headers = head.program_headers(&read_at(head.table.0, head.table.1)?);
    let Some(dynamic) = headers.iter().find(|header| header.kind == PT_DYNAMIC) else {
        return Ok(Some(head.object));
    };
    let section = read_at(dynamic.offset, dynamic.size.min(LIMIT))?;
    let word = head.word;
    let tags = || {
        let pairs = section.chunks_exact(2 * word);
        pairs.map(|pair| (number(pair, 0, word), number(pair, word, word))).take_while(|(tag, _)| *tag != 0)
    };
    let strings = tags().find(|(tag, _)| *tag == DT_STRTAB).and_then(|(_, address)| {
        let load = headers.iter().find(|load| {
            load.kind == PT_LOAD && load.address <= address && address - load.address < load.size
        })?;
        (address - load.address).checked_add(load.offset)
    });
    let Some(strings) = strings else { return Ok(Some(head.object)) };
    let names: Vec<(u64, u64)> = tags()
        .filter(|(tag, _)| *tag == DT_NEEDED || *tag == DT_SONAME)
        .filter_map(|(tag, at)| Some((tag, strings.checked_add(at)?)))
        .take(MOST_NAMES + 1)
        .collect();
    if names.len() > MOST_NAMES {
        return Ok(Some(head.object));
    }
    let parts = together(names.iter().map(|name| name.1).collect());
    let bytes = read(&parts)?;
    let (mut soname, mut needed) = (None, Vec::new());
    for (tag, at) in names {
        let n = parts.partition_point(|part| part.0 <= at).saturating_sub(1);
        let part = &bytes[n];
        let begin = usize::try_from(at - parts[n].0).unwrap_or(usize::MAX).min(part.len());
        let room = &part[begin..part.len().min(begin.saturating_add(NAME + 1))];
        let end = match room.iter().position(|&byte| byte == 0) {
            None if room.len() > NAME => return Ok(Some(head.object)),
            end => end.unwrap_or(0),
        };
        let Some(name) = std::str::from_utf8(&room[..end]).ok().filter(|name| !name.is_empty()) else {
            continue;
        };
        if tag == DT_SONAME {
            soname = Some(name.to_owned());
        } else {
            needed.push(name.to_owned());
        }
    }
    head.object.soname = soname;
    head.object.needed = needed;
    Ok(Some(head.object))
}

/// The parts of a file that hold the names at `places`: in order, and those that are near each other as one.
fn together(mut places: Vec<u64>) -> Vec<(u64, u64)> {
    const NEAR: u64 = 4096;
    places.sort_unstable();
    let mut parts: Vec<(u64, u64)> = Vec::new();
    for at in places {
        match parts.last_mut() {
            Some((begin, length)) if at - *begin <= *length + NEAR => *length = at - *begin + NAME as u64 + 1,
            _ => parts.push((at, NAME as u64 + 1)),
        }
    }
    parts
}

/// A little-endian number; 0 where it lies beyond the end.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes
        .get(at..at + length)
        .unwrap_or_default()
        .iter()
        .rev()
        .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}
