//! Tar headers, the same bytes for the same entry always: ustar, with a PAX header (POSIX.1-2001 `pax`, "pax
//! Interchange Format") where ustar cannot say it. PAX rather than GNU's long names: it is the standard, it names its
//! encoding, and skopeo, umoci, podman, docker and containerd all read it.

use std::fmt::Write as _;

/// Seconds of every modification time: 1980-01-01T00:00:00Z, the earliest a zip can carry.
pub const MTIME: u64 = 315_532_800;

/// Bytes of a tar block.
const BLOCK: usize = 512;

/// Zero bytes that end an archive.
pub const END: [u8; 1024] = [0; 1024];

/// What a header is about.
#[derive(Clone, Copy, Debug)]
pub enum HeaderKind<'a> {
    /// A folder.
    Directory,
    /// A file of so many bytes.
    File(u64),
    /// A symbolic link to a target.
    Symlink(&'a str),
    /// A hard link to a path from the root.
    Hardlink(&'a str),
}

/// Bytes to add behind `size` bytes of data.
pub fn padding(size: u64) -> usize {
    let rest = usize::try_from(size % BLOCK as u64).expect("less than a block");
    (BLOCK - rest) % BLOCK
}

/// Appends the header of an entry: one block, or three and more with a PAX header before it.
pub fn header(out: &mut Vec<u8>, path: &str, kind: HeaderKind<'_>, mode: u32, uid: u32, gid: u32) {
    let (flag, size, link) = match kind {
        HeaderKind::Directory => (b'5', 0, ""),
        HeaderKind::File(size) => (b'0', size, ""),
        HeaderKind::Symlink(target) => (b'2', 0, target),
        HeaderKind::Hardlink(target) => (b'1', 0, target),
    };
    let path = if flag == b'5' { format!("{path}/") } else { path.to_owned() };
    let split = split(&path);

    let mut records = String::new();
    if gid > MAX_ID {
        record(&mut records, "gid", &gid.to_string());
    }
    if link.len() > 100 || !link.is_ascii() {
        record(&mut records, "linkpath", link);
    }
    if split.is_none() {
        record(&mut records, "path", &path);
    }
    if size > MAX_SIZE {
        record(&mut records, "size", &size.to_string());
    }
    if uid > MAX_ID {
        record(&mut records, "uid", &uid.to_string());
    }
    if !records.is_empty() {
        let length = records.len() as u64;
        block(out, b'x', "", "PaxHeader", "", 0o644, 0, 0, length);
        out.extend_from_slice(records.as_bytes());
        out.resize(out.len() + padding(length), 0);
    }
    // What does not fit is said by the PAX header; readers ignore the field.
    let (prefix, name) = split.unwrap_or(("", "PaxEntry"));
    let link = if link.len() > 100 || !link.is_ascii() { "" } else { link };
    let fit = |id: u32| if id > MAX_ID { 0 } else { id };
    block(out, flag, prefix, name, link, mode, fit(uid), fit(gid), if size > MAX_SIZE { 0 } else { size });
}

/// The largest owner and size that the octal fields hold.
const MAX_ID: u32 = 0o7_777_777;
const MAX_SIZE: u64 = 0o77_777_777_777;

/// `path` as ustar's prefix and name, if it fits.
fn split(path: &str) -> Option<(&str, &str)> {
    if !path.is_ascii() {
        return None;
    }
    if path.len() <= 100 {
        return Some(("", path));
    }
    // The first slash that leaves a name short enough keeps the prefix as short as can be.
    let from = path.len().checked_sub(101)?;
    let slash = from + path[from..].find('/')?;
    (slash > 0 && slash <= 155 && slash + 1 < path.len()).then(|| (&path[..slash], &path[slash + 1..]))
}

/// One PAX record: its length counts its own digits.
fn record(out: &mut String, key: &str, value: &str) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let _ = writeln!(out, "{length} {key}={value}");
}

#[expect(clippy::too_many_arguments, reason = "the fields of a header")]
fn block(
    out: &mut Vec<u8>,
    flag: u8,
    prefix: &str,
    name: &str,
    link: &str,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
) {
    let mut bytes = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| bytes[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}").as_bytes());
    put(108, format!("{uid:07o}").as_bytes());
    put(116, format!("{gid:07o}").as_bytes());
    put(124, format!("{size:011o}").as_bytes());
    put(136, format!("{MTIME:011o}").as_bytes());
    put(148, b"        ");
    put(156, &[flag]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    put(329, b"0000000");
    put(337, b"0000000");
    put(345, prefix.as_bytes());
    let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(&bytes);
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    /// Reads back what was written with another implementation.
    fn back(path: &str, kind: HeaderKind<'_>, uid: u32) -> (String, u64, u64, Option<String>) {
        let mut bytes = Vec::new();
        header(&mut bytes, path, kind, 0o755, uid, 0);
        assert_eq!(bytes.len() % 512, 0);
        bytes.extend_from_slice(&END);
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        let found = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let link = entry.link_name_bytes().map(|link| String::from_utf8(link.into_owned()).unwrap());
        let owner = entry.header().uid().unwrap();
        let mut rest = Vec::new();
        let _ = entry.read_to_end(&mut rest);
        (found, entry.size(), owner, link)
    }

    #[test]
    fn every_length_of_path_reads_back() {
        for length in 1..400 {
            let path: String = "abcdefghi/".chars().cycle().take(length).collect();
            let path = path.trim_end_matches('/');
            assert_eq!(back(path, HeaderKind::File(0), 0).0, path);
            assert_eq!(back(path, HeaderKind::Directory, 0).0, format!("{path}/"));
            assert_eq!(back("x", HeaderKind::Symlink(path), 0).3.as_deref(), Some(path));
        }
        let flat = "x".repeat(300);
        assert_eq!(back(&flat, HeaderKind::File(0), 0).0, flat);
    }

    #[test]
    fn what_ustar_cannot_say_reads_back() {
        assert_eq!(back("a/é/漢字.py", HeaderKind::File(0), 0).0, "a/é/漢字.py");
        assert_eq!(back("a", HeaderKind::Hardlink("ü"), 0).3.as_deref(), Some("ü"));
        assert_eq!(back("a", HeaderKind::File(9 << 30), 0).1, 9 << 30);
        let mut bytes = Vec::new();
        header(&mut bytes, "a", HeaderKind::File(0), 0o644, 3_000_000, 0);
        assert!(bytes.windows(12).any(|window| window == b" uid=3000000"));
    }
}
