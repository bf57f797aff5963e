//! The place where a package was built, which stands in its files, replaced by the place where it is.

/// How a placeholder stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// As text: what follows moves.
    Text,
    /// In strings that end with a zero byte: they keep their length.
    Binary,
}

/// `bytes` with every `placeholder` replaced by `prefix`.
pub(super) fn text(bytes: &[u8], placeholder: &str, prefix: &str) -> Vec<u8> {
    text_bytes(bytes, placeholder.as_bytes(), prefix.as_bytes())
}

/// The replacement in a binary, as its bytes come.
pub(super) struct Replacement {
    placeholder: Vec<u8>,
    prefix: Vec<u8>,
    finder: memchr::memmem::Finder<'static>,
    /// What may be the beginning of a placeholder.
    kept: Vec<u8>,
    /// In a string with a placeholder: how much shorter it is by now, which is made up for where it ends.
    shorter: Option<usize>,
}

impl Replacement {
    /// `None` where the placeholder is shorter than the prefix, so that a string would grow, or is no string.
    pub fn new(placeholder: &str, prefix: &str) -> Option<Self> {
        let placeholder = placeholder.as_bytes().to_vec();
        (placeholder.len() >= prefix.len() && !placeholder.contains(&0)).then(|| Self {
            finder: memchr::memmem::Finder::new(&placeholder).into_owned(),
            placeholder,
            prefix: prefix.as_bytes().to_vec(),
            kept: Vec::new(),
            shorter: None,
        })
    }

    /// Takes the next bytes, the last ones if `end`, and puts what is settled into `out`. In the end as many bytes have come out
    /// as went in.
    pub fn feed(&mut self, bytes: &[u8], end: bool, out: &mut Vec<u8>) {
        self.kept.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let rest = &self.kept[at..];
            let found = self.finder.find(rest);
            let before = &rest[..found.unwrap_or(rest.len())];
            if let Some(shorter) = self.shorter
                && let Some(close) = memchr::memchr(0, before)
            {
                out.extend_from_slice(&before[..close]);
                out.resize(out.len() + shorter, 0);
                self.shorter = None;
                at += close;
            } else if let Some(found) = found {
                out.extend_from_slice(before);
                out.extend_from_slice(&self.prefix);
                let shorter = self.placeholder.len() - self.prefix.len();
                self.shorter = Some(self.shorter.unwrap_or(0) + shorter);
                at += found + self.placeholder.len();
            } else {
                // The last bytes may be the beginning of one.
                let settled =
                    if end { rest.len() } else { rest.len().saturating_sub(self.placeholder.len() - 1) };
                out.extend_from_slice(&rest[..settled]);
                at += settled;
                break;
            }
        }
        self.kept.drain(..at);
        if end {
            out.resize(out.len() + self.shorter.take().unwrap_or(0), 0);
        }
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

    #[test]
    fn a_string_may_be_as_long_as_a_file() {
        let long = "x".repeat(3 << 20);
        let given = format!("{OLD}/{long}{OLD}/y\0{OLD}/z\0").into_bytes();
        let padding = vec![0; OLD.len() - NEW.len()];
        let first = format!("{NEW}/{long}{NEW}/y").into_bytes();
        let expected = [&first[..], &padding, &padding, b"\0/opt/provenv/z", &padding, b"\0"].concat();
        for piece in [1000, 64 << 10, given.len()] {
            let (mut replacement, mut out) = (Replacement::new(OLD, NEW).unwrap(), Vec::new());
            given.chunks(piece).for_each(|bytes| replacement.feed(bytes, false, &mut out));
            replacement.feed(&[], true, &mut out);
            assert!(out == expected, "{piece}");
        }
    }
}
