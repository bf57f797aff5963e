//! OpenSSL's hash of a certificate's subject: the name under which it looks for an authority in `/etc/ssl/certs`.
//!
//! It is the first four bytes, little-endian, of the SHA-1 of the subject in canonical form (`x509_name_canon` in
//! OpenSSL's `crypto/x509/x_name.c`): text values as UTF8String in lower case, spaces trimmed and runs of them made one,
//! the relative names one behind the other without the outer SEQUENCE. SHA-1 is no protection here, only a file name.

use sha1::{Digest as _, Sha1};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTF8_STRING: u8 = 0x0c;
/// `[0] EXPLICIT Version`, the first field of a certificate that is not of version 1.
const VERSION: u8 = 0xa0;

/// The hash of the subject of a certificate in DER; `None` where the bytes are no certificate.
pub(super) fn subject_hash(certificate: &[u8]) -> Option<u32> {
    let digest = Sha1::digest(canonical(subject(certificate)?)?);
    Some(u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]))
}

/// The contents of `tbsCertificate.subject` (RFC 5280, section 4.1).
fn subject(certificate: &[u8]) -> Option<&[u8]> {
    let mut certificate = Der(Der(certificate).expect(SEQUENCE)?);
    let mut fields = Der(certificate.expect(SEQUENCE)?);
    let (tag, _) = fields.next()?;
    if tag == VERSION {
        fields.next()?; // serialNumber
    }
    fields.next()?; // signature
    fields.next()?; // issuer
    fields.next()?; // validity
    fields.expect(SEQUENCE)
}

/// The canonical form of a Name's contents.
fn canonical(name: &[u8]) -> Option<Vec<u8>> {
    let mut canonical = Vec::new();
    let mut sets = Der(name);
    while !sets.0.is_empty() {
        let mut members = Vec::new();
        let mut set = Der(sets.expect(SET)?);
        while !set.0.is_empty() {
            let mut attribute = Der(set.expect(SEQUENCE)?);
            let (kind_tag, kind) = attribute.next()?;
            let (value_tag, value) = attribute.next()?;
            let mut member = encode(kind_tag, kind);
            match text(value_tag, value) {
                Some(text) => member.extend(encode(UTF8_STRING, fold(&text).as_bytes())),
                None => member.extend(encode(value_tag, value)),
            }
            members.push(encode(SEQUENCE, &member));
        }
        // A SET OF in DER is sorted by its members' bytes.
        members.sort();
        canonical.extend(encode(SET, &members.concat()));
    }
    Some(canonical)
}

/// The text of a string type; `None` for types that OpenSSL leaves as they are.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8_STRING => String::from_utf8(value.to_vec()).ok(),
        // PrintableString, T61String (taken for Latin-1), IA5String, VisibleString
        0x13 | 0x14 | 0x16 | 0x1a => Some(value.iter().copied().map(char::from).collect()),
        // UniversalString
        0x1c => value.as_chunks().0.iter().map(|bytes| char::from_u32(u32::from_be_bytes(*bytes))).collect(),
        // BMPString
        0x1e => {
            let units: Vec<u16> =
                value.as_chunks().0.iter().map(|bytes| u16::from_be_bytes(*bytes)).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

/// ASCII letters in lower case, spaces trimmed and runs of them made one.
fn fold(text: &str) -> String {
    // C's isspace() takes the vertical tab too, Rust's is_ascii_whitespace() does not.
    let words = text.split(|c: char| c.is_ascii_whitespace() || c == '\x0b').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").to_ascii_lowercase()
}

/// `value` with its tag and length before it.
fn encode(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let mut bytes = vec![tag];
    if value.len() < 0x80 {
        bytes.push(length[length.len() - 1]);
    } else {
        let used = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
        let count = u8::try_from(length.len() - used).expect("at most eight bytes");
        bytes.push(0x80 | count);
        bytes.extend_from_slice(&length[used..]);
    }
    bytes.extend_from_slice(value);
    bytes
}

/// DER elements one behind the other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag and contents.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let (digits, after) =
                rest.split_at_checked(usize::from(first & 0x7f)).filter(|(d, _)| d.len() <= 4)?;
            length = digits.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            rest = after;
        }
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, contents))
    }

    /// The contents of the next element, which must have this tag.
    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
    }
}
