//! Python's marshal format, 3.9 to 3.14, brought to one form.
//!
//! The same source can give other bytes in a process that did other things before:
//!
//! - An object is marked as one that may be referred to again (`FLAG_REF`) when more than one reference to it is held at that
//!   moment, whoever holds it. Here it is marked if and only if it is referred to again, and references are numbered anew.
//! - Sets come in the order of a hash that, before 3.12, depends on addresses. Here they are ordered by their items' bytes, as
//!   3.11 and later do themselves.
//! - Whether a string such as `*` is interned depends on what was interned before. Here texts that could be names are, as the
//!   compiler does it, and no others. (Names proper are interned when a code object is made, whatever the mark.)
//! - Equal constants are one object or two, as it happens. Here they are one; constants cannot be changed.
//!
//! Loading gives equal objects. The source is `Python/marshal.c`.

use std::cmp::Ordering;
use std::collections::HashMap;

/// Marks an object that may be referred to again.
const FLAG_REF: u8 = 0x80;
/// CPython refuses deeper nesting than 2000; so does this.
const DEPTH: usize = 2000;

/// Bytes that are not marshalled as CPython 3.9 to 3.14 does it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MarshalError {
    /// The end comes too early.
    #[error("marshalled data ends too early")]
    Truncated,
    /// There is more behind the object.
    #[error("marshalled data has bytes behind its end")]
    Trailing,
    /// An object of an unknown type.
    #[error("marshalled data has an object of unknown type {0:#04x}")]
    Type(u8),
    /// A reference to an object that is not there.
    #[error("marshalled data refers to an object that is not there")]
    Reference,
    /// Nested too deeply.
    #[error("marshalled data is nested too deeply")]
    Depth,
    /// An object that refers to itself.
    #[error("marshalled data has an object that holds itself")]
    Cycle,
}

/// An object: its type without the flag, its own bytes, the objects in it.
struct Object<'b> {
    kind: u8,
    /// Between type and first child.
    head: &'b [u8],
    children: Vec<usize>,
    /// Fields of a code object that stand behind so many of its children.
    between: Option<(usize, &'b [u8])>,
}

/// `bytes`, one marshalled object of a Python of this minor version, in the one form.
pub fn canonical(bytes: &[u8], minor: u32) -> Result<Vec<u8>, MarshalError> {
    let mut parser = Parser {
        bytes,
        at: 0,
        minor,
        objects: Vec::new(),
        references: Vec::new(),
        constants: HashMap::new(),
    };
    let root = parser.object(0)?;
    if parser.at != bytes.len() {
        return Err(MarshalError::Trailing);
    }
    let objects = parser.objects;
    let uses = count_uses(&objects, root);
    let mut writer = Writer {
        objects: &objects,
        uses: &uses,
        numbers: vec![None; objects.len()],
        next: 0,
        out: Vec::new(),
    };
    writer.object(root);
    Ok(writer.out)
}

struct Parser<'b> {
    bytes: &'b [u8],
    at: usize,
    minor: u32,
    objects: Vec<Object<'b>>,
    /// Objects by the number that references call them by.
    references: Vec<usize>,
    /// Constants by what they are: type, bytes, items.
    constants: HashMap<(u8, &'b [u8], Vec<usize>), usize>,
}

impl<'b> Parser<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], MarshalError> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.bytes.len());
        let taken = &self.bytes[self.at..end.ok_or(MarshalError::Truncated)?];
        self.at += length;
        Ok(taken)
    }

    /// A length of one or four bytes.
    fn length(&mut self, width: usize) -> Result<usize, MarshalError> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte)))
    }

    /// Bytes from `from` to here.
    fn since(&self, from: usize) -> &'b [u8] {
        &self.bytes[from..self.at]
    }

    fn object(&mut self, depth: usize) -> Result<usize, MarshalError> {
        if depth > DEPTH {
            return Err(MarshalError::Depth);
        }
        let byte = self.take(1)?[0];
        let kind = byte & !FLAG_REF;
        if kind == b'r' {
            let number = self.length(4)?;
            return self.references.get(number).copied().ok_or(MarshalError::Reference);
        }
        let id = self.objects.len();
        self.objects.push(Object { kind, head: &[], children: Vec::new(), between: None });
        // Every type takes its number before its children take theirs.
        let number = (byte & FLAG_REF != 0).then(|| {
            self.references.push(id);
            self.references.len() - 1
        });
        let from = self.at;
        let mut children = 0;
        match kind {
            b'N' | b'T' | b'F' | b'.' | b'S' => {}
            b'i' => drop(self.take(4)?),
            b'I' | b'g' => drop(self.take(8)?),
            b'y' => drop(self.take(16)?),
            b'l' => {
                // A negative count stands for a negative number.
                let digits = self.take(4)?.try_into().map_or(0, i32::from_le_bytes);
                self.take(2 * digits.unsigned_abs() as usize)?;
            }
            b's' | b't' | b'u' | b'a' | b'A' => {
                let length = self.length(4)?;
                self.take(length)?;
            }
            b'z' | b'Z' | b'f' => {
                let length = self.length(1)?;
                self.take(length)?;
            }
            b'x' => {
                for _ in 0..2 {
                    let length = self.length(1)?;
                    self.take(length)?;
                }
            }
            b')' => children = self.length(1)?,
            b'(' | b'[' | b'<' | b'>' => children = self.length(4)?,
            b':' => children = 3,
            b'c' => return self.code(id, depth),
            other => return Err(MarshalError::Type(other)),
        }
        self.objects[id].head = self.since(from);
        for _ in 0..children {
            let child = self.object(depth + 1)?;
            self.objects[id].children.push(child);
        }
        if matches!(kind, b'<' | b'>') {
            self.order(id)?;
        }
        let one = self.constant(id);
        if let Some(number) = number {
            self.references[number] = one;
        }
        Ok(one)
    }

    /// The object that stands for all that are equal to `id`, once that is read whole.
    fn constant(&mut self, id: usize) -> usize {
        let object = &mut self.objects[id];
        object.kind = interned(object.kind, object.head);
        if matches!(object.kind, b'[' | b'<') {
            // These can be changed.
            return id;
        }
        *self.constants.entry((object.kind, object.head, object.children.clone())).or_insert(id)
    }

    /// Puts the items of a set in the order of their bytes, written without references.
    fn order(&mut self, id: usize) -> Result<(), MarshalError> {
        let mut children = self.objects[id].children.clone();
        let mut too_deep = false;
        children.sort_by(|&one, &other| {
            compare(&self.objects, one, other, 0).unwrap_or_else(|| {
                too_deep = true;
                Ordering::Equal
            })
        });
        if too_deep {
            return Err(MarshalError::Cycle);
        }
        self.objects[id].children = children;
        Ok(())
    }

    /// A code object: numbers, objects, the first line's number, objects.
    fn code(&mut self, id: usize, depth: usize) -> Result<usize, MarshalError> {
        // Until 3.10 `nlocals` is among the numbers, and the name of each variable stands in one of three tuples.
        let (numbers, before, behind) = if self.minor <= 10 { (6, 8, 1) } else { (5, 8, 2) };
        let from = self.at;
        self.take(4 * numbers)?;
        self.objects[id].head = self.since(from);
        for _ in 0..before {
            let child = self.object(depth + 1)?;
            self.objects[id].children.push(child);
        }
        let line = self.take(4)?;
        self.objects[id].between = Some((before, line));
        for _ in 0..behind {
            let child = self.object(depth + 1)?;
            self.objects[id].children.push(child);
        }
        Ok(id)
    }
}

/// The type of a string with the mark of interned ones where its text could be a name, and without it elsewhere.
fn interned(kind: u8, head: &[u8]) -> u8 {
    let (plain, marked, text) = match kind {
        b'z' | b'Z' => (b'z', b'Z', head.get(1..)),
        b'a' | b'A' => (b'a', b'A', head.get(4..)),
        // Names beyond ASCII are interned when their code object is made.
        b't' => return b'u',
        other => return other,
    };
    let is_name = text.is_some_and(|text| {
        !text.is_empty() && text.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    if is_name { marked } else { plain }
}

/// How often each object is held by those that `root` holds.
fn count_uses(objects: &[Object<'_>], root: usize) -> Vec<u32> {
    let mut uses = vec![0_u32; objects.len()];
    let mut open = vec![root];
    uses[root] = 1;
    while let Some(id) = open.pop() {
        for &child in &objects[id].children {
            uses[child] += 1;
            if uses[child] == 1 {
                open.push(child);
            }
        }
    }
    uses
}

/// The order of two objects by their bytes, were they written without references. They are not: an object that stands in
/// many places could fill the memory. Equal constants are one object, so that only what differs is looked into. `None` where
/// they are nested too deeply, as what holds itself is.
fn compare(objects: &[Object<'_>], one: usize, other: usize, depth: usize) -> Option<Ordering> {
    if one == other {
        return Some(Ordering::Equal);
    }
    if depth > DEPTH {
        return None;
    }
    let (first, second) = (&objects[one], &objects[other]);
    // A head begins with how much follows, so that none is the beginning of another.
    let own = first.kind.cmp(&second.kind).then_with(|| first.head.cmp(second.head));
    if own != Ordering::Equal {
        return Some(own);
    }
    for (&one, &other) in first.children.iter().zip(&second.children) {
        match compare(objects, one, other, depth + 1)? {
            Ordering::Equal => {}
            order => return Some(order),
        }
    }
    Some(first.children.len().cmp(&second.children.len()))
}

struct Writer<'o> {
    objects: &'o [Object<'o>],
    uses: &'o [u32],
    numbers: Vec<Option<u32>>,
    next: u32,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn object(&mut self, id: usize) {
        if let Some(number) = self.numbers[id] {
            self.out.push(b'r');
            self.out.extend_from_slice(&number.to_le_bytes());
            return;
        }
        let object = &self.objects[id];
        // There is only one None: it is written out each time, and a mark on it would take no number.
        let single = matches!(object.kind, b'N' | b'T' | b'F' | b'.' | b'S');
        if self.uses[id] > 1 && !single {
            self.numbers[id] = Some(self.next);
            self.next += 1;
            self.out.push(object.kind | FLAG_REF);
        } else {
            self.out.push(object.kind);
        }
        self.out.extend_from_slice(object.head);
        for (n, &child) in object.children.iter().enumerate() {
            if let Some((place, bytes)) = object.between
                && place == n
            {
                self.out.extend_from_slice(bytes);
            }
            self.object(child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MarshalError, canonical};

    #[test]
    fn marks_follow_use() {
        // (1, 1) with the int marked and referred to, the tuple marked for nothing.
        let noisy = [b')' | 0x80, 2, b'i' | 0x80, 1, 0, 0, 0, b'r', 1, 0, 0, 0];
        let quiet = [b')', 2, b'i' | 0x80, 1, 0, 0, 0, b'r', 0, 0, 0, 0];
        assert_eq!(canonical(&noisy, 11).unwrap(), quiet);
        assert_eq!(canonical(&quiet, 11).unwrap(), quiet);
    }

    #[test]
    fn sets_are_ordered() {
        let item = |byte: u8| [b'Z', 1, byte];
        let set = |items: [[u8; 3]; 2]| [&[b'>', 2, 0, 0, 0][..], &items[0], &items[1]].concat();
        let sorted = set([item(b'a'), item(b'b')]);
        assert_eq!(canonical(&set([item(b'b'), item(b'a')]), 9).unwrap(), sorted);
        // A reference to an item that moved is numbered by its new place.
        let marked = |byte: u8| [b'Z' | 0x80, 1, byte];
        let pair = [&[b')', 2][..], &set([marked(b'b'), marked(b'a')]), &[b'r', 1, 0, 0, 0]].concat();
        let expected = [&[b')', 2][..], &set([marked(b'a'), item(b'b')]), &[b'r', 0, 0, 0, 0]].concat();
        assert_eq!(canonical(&pair, 9).unwrap(), expected);
    }

    #[test]
    fn equal_constants_are_one() {
        // ("*", "*"): interned or not, one object or two.
        let star = |kind: u8| [kind, 1, b'*'];
        let two = [&[b')', 2][..], &star(b'Z'), &star(b'z')].concat();
        let one = [&[b')', 2][..], &star(b'z' | 0x80), &[b'r', 0, 0, 0, 0]].concat();
        assert_eq!(canonical(&two, 11).unwrap(), one);
        assert_eq!(canonical(&one, 11).unwrap(), one);
        // What could be a name is interned.
        assert_eq!(canonical(&[b'z', 2, b'a', b'1'], 11).unwrap(), [b'Z', 2, b'a', b'1']);
    }

    #[test]
    fn there_is_one_none_and_it_has_no_number() {
        // (None, None, (1, 1))
        let bytes = [b')', 3, b'N', b'N', b')', 2, b'i' | 0x80, 1, 0, 0, 0, b'r', 0, 0, 0, 0];
        assert_eq!(canonical(&bytes, 11).unwrap(), bytes);
    }

    #[test]
    fn damage_is_an_error() {
        assert_eq!(canonical(&[], 11), Err(MarshalError::Truncated));
        assert_eq!(canonical(b"N!", 11), Err(MarshalError::Trailing));
        assert_eq!(canonical(b"?", 11), Err(MarshalError::Type(b'?')));
        assert_eq!(canonical(&[b'r', 0, 0, 0, 0], 11), Err(MarshalError::Reference));
        assert_eq!(canonical(&[b'(', 0xff, 0xff, 0xff, 0x7f], 11), Err(MarshalError::Truncated));
        assert_eq!(canonical(&[b')', 1].repeat(3000), 11), Err(MarshalError::Depth));
        // Two tuples that hold themselves, as items of a set: no end to comparing them.
        let tuple = |number: u8| [b')' | 0x80, 1, b'r', number, 0, 0, 0];
        let set = [&[b'>', 2, 0, 0, 0][..], &tuple(0), &tuple(1)].concat();
        assert_eq!(canonical(&set, 11), Err(MarshalError::Cycle));
    }
}
