//! The place where a package was built, which stands in its files, replaced by the place where it is.

/// How a placeholder stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// As text: what follows moves.
    Text,
    /// In strings that end with a zero byte: they keep their length.
    Binary,
}

/// A string of a binary is never as long; what follows the prefix for longer is taken to have no end.
const LONGEST: usize = 1 << 20;

/// `bytes` with every `placeholder` replaced by `prefix`.
pub(super) fn text(bytes: &[u8], placeholder: &str, prefix: &str) -> Vec<u8> {
    text_bytes(bytes, placeholder.as_bytes(), prefix.as_bytes())
}

/// The replacement in a binary, as its bytes come.
pub(super) struct Replacement {
    placeholder: Vec<u8>,
    prefix: Vec<u8>,
    finder: memchr::memmem::Finder<'static>,
    /// What may be the beginning of a placeholder, or of a string with one.
    kept: Vec<u8>,
}

impl Replacement {
    /// `None` where the placeholder is shorter than the prefix, so that a string would grow.
    pub fn new(placeholder: &str, prefix: &str) -> Option<Self> {
        let placeholder = placeholder.as_bytes().to_vec();
        (placeholder.len() >= prefix.len()).then(|| Self {
            finder: memchr::memmem::Finder::new(&placeholder).into_owned(),
            placeholder,
            prefix: prefix.as_bytes().to_vec(),
            kept: Vec::new(),
        })
    }

    /// Takes the next bytes, the last ones if `end`, and puts what is settled into `out`. As many bytes come out as went in.
    pub fn feed(&mut self, bytes: &[u8], end: bool, out: &mut Vec<u8>) {
        self.kept.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let rest = &self.kept[at..];
            let Some(found) = self.finder.find(rest) else {
                // The last bytes may be the beginning of one.
                let settled =
                    if end { rest.len() } else { rest.len().saturating_sub(self.placeholder.len() - 1) };
                out.extend_from_slice(&rest[..settled]);
                at += settled;
                break;
            };
            let string = &rest[found..];
            let close = match memchr::memchr(0, string) {
                Some(close) => close,
                None if end || string.len() > LONGEST => string.len(),
                None => {
                    out.extend_from_slice(&rest[..found]);
                    at += found;
                    break;
                }
            };
            out.extend_from_slice(&rest[..found]);
            let replaced = text_bytes(&string[..close], &self.placeholder, &self.prefix);
            out.extend_from_slice(&replaced);
            out.resize(out.len() + close - replaced.len(), 0);
            at += found + close;
        }
        self.kept.drain(..at);
    }
}

fn text_bytes(bytes: &[u8], placeholder: &[u8], prefix: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for found in memchr::memmem::find_iter(bytes, placeholder) {
        out.extend_from_slice(&bytes[at..found]);
        out.extend_from_slice(prefix);
        at = found + placeholder.len();
    }
    out.extend_from_slice(&bytes[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "/opt/provenv";
    const OLD: &str = "/home/builder/placeholder_placeholder";

    #[test]
    fn texts_move_and_strings_keep_their_length() {
        let given = format!("#!{OLD}/bin/python\nX={OLD}:{OLD}/lib\n");
        let expected = "#!/opt/provenv/bin/python\nX=/opt/provenv:/opt/provenv/lib\n";
        assert_eq!(text(given.as_bytes(), OLD, NEW), expected.as_bytes());

        let given = format!("ab\0{OLD}/lib:{OLD}/x\0tail {OLD} no end").into_bytes();
        let padding = 2 * (OLD.len() - "/opt/provenv".len());
        let mut expected = b"ab\0/opt/provenv/lib:/opt/provenv/x".to_vec();
        expected.resize(expected.len() + padding, 0);
        expected.extend(b"\0tail /opt/provenv no end");
        expected.resize(given.len(), 0);
        // However the bytes come.
        for piece in [1, 2, 3, 7, 64, 1000] {
            let (mut replacement, mut out) = (Replacement::new(OLD, NEW).unwrap(), Vec::new());
            given.chunks(piece).for_each(|bytes| replacement.feed(bytes, false, &mut out));
            replacement.feed(&[], true, &mut out);
            assert_eq!(out, expected, "{piece}");
        }
        assert!(Replacement::new("/short", NEW).is_none());
    }
}
