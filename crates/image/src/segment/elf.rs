//! As much of ELF as `ldconfig` wants to know: class, machine, flags and `DT_SONAME`, read where they stand, without the
//! rest of the file (System V ABI, chapters 4 and 5).

use super::error::Error;

/// What an ELF shared object says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SharedObject {
    pub soname: Option<String>,
    pub class64: bool,
    pub machine: u16,
    pub flags: u32,
}

/// Gives up to so many bytes of a file from an offset.
pub(crate) type ReadAt<'a> = dyn FnMut(u64, u64) -> Result<Vec<u8>, Error> + 'a;

/// Shared objects, which executables may be too.
const ET_DYN: u64 = 3;
const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const DT_STRTAB: u64 = 5;
const DT_SONAME: u64 = 14;
/// A dynamic section larger than this is none.
const LIMIT: u64 = 1 << 20;

/// Reads a little-endian shared object; `None` for anything else.
pub(crate) fn read(read_at: &mut ReadAt<'_>) -> Result<Option<SharedObject>, Error> {
    let header = read_at(0, 64)?;
    let little_endian = header.get(5) == Some(&1);
    if !header.starts_with(b"\x7fELF") || header.len() < 52 || !little_endian {
        return Ok(None);
    }
    let class64 = header[4] == 2;
    if (class64 && header.len() < 64) || number(&header, 16, 2) != ET_DYN {
        return Ok(None);
    }
    // The same fields, at the places of each class.
    let word = if class64 { 8 } else { 4 };
    let [phoff, flags, phentsize, phnum] = if class64 { [32, 48, 54, 56] } else { [28, 36, 42, 44] };
    #[expect(clippy::cast_possible_truncation, reason = "two and four bytes")]
    let mut object = SharedObject {
        soname: None,
        class64,
        machine: number(&header, 18, 2) as u16,
        flags: number(&header, flags, 4) as u32,
    };
    let entry = number(&header, phentsize, 2);
    let table = read_at(number(&header, phoff, word), entry * number(&header, phnum, 2))?;
    let [offset, address, size] = if class64 { [8, 16, 32] } else { [4, 8, 16] };
    let least = size + word;
    if usize::try_from(entry).unwrap_or(0) < least {
        return Ok(Some(object));
    }
    let segments: Vec<_> = table
        .chunks_exact(usize::try_from(entry).unwrap_or(usize::MAX))
        .map(|row| {
            let field = |at| number(row, at, word);
            (number(row, 0, 4), field(offset), field(address), field(size))
        })
        .collect();
    let Some(dynamic) = segments.iter().find(|segment| segment.0 == PT_DYNAMIC) else {
        return Ok(Some(object));
    };
    let dynamic = read_at(dynamic.1, dynamic.3.min(LIMIT))?;
    let tag = |wanted| {
        dynamic
            .chunks_exact(2 * word)
            .map(|pair| (number(pair, 0, word), number(pair, word, word)))
            .take_while(|pair| pair.0 != 0)
            .find(|pair| pair.0 == wanted)
            .map(|pair| pair.1)
    };
    if let (Some(name), Some(strings)) = (tag(DT_SONAME), tag(DT_STRTAB))
        && let Some(load) =
            segments.iter().find(|load| load.0 == PT_LOAD && load.2 <= strings && strings - load.2 < load.3)
        && let Some(at) = (strings - load.2).checked_add(load.1).and_then(|at| at.checked_add(name))
    {
        let bytes = read_at(at, 4096)?;
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(0);
        object.soname = String::from_utf8(bytes[..end].to_vec()).ok().filter(|name| !name.is_empty());
    }
    Ok(Some(object))
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
