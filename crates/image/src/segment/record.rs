//! `RECORD`: what a wheel says it holds, and what is installed (PyPA specifications, "Recording installed projects" and
//! "Binary distribution format").

use std::collections::HashMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::error::{Fault, Problem};

/// What `RECORD` says of the wheel's members.
pub(crate) struct Record(HashMap<String, Row>);

struct Row {
    hash: String,
    size: String,
}

impl Record {
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut rows = HashMap::new();
        for fields in csv(text) {
            let [path, hash, size] = <[String; 3]>::try_from(fields)
                .map_err(|fields| Fault::malformed(format!("RECORD has a row of {} fields", fields.len())))?;
            // A row that occurs twice and says the same is harmless; one that says otherwise is caught by its hash.
            rows.insert(path, Row { hash, size });
        }
        Ok(Self(rows))
    }

    /// What must be computed to check the member `name`.
    pub fn check(&self, name: &str) -> Check {
        // The specification asks for sha256 or better. A member without a row or with a weaker hash passes, as with
        // pip and uv: the lock's digest of the whole wheel vouches for it.
        let row = self.0.get(name);
        let (algorithm, expected) = row.and_then(|row| row.hash.split_once('=')).unwrap_or_default();
        let strong = match algorithm {
            "sha384" => Some(Strong::Sha384(Sha384::new())),
            "sha512" => Some(Strong::Sha512(Sha512::new())),
            _ => None,
        };
        let known = strong.is_some() || algorithm == "sha256";
        Check {
            sha256: Sha256::new(),
            strong,
            expected: known.then(|| expected.trim_end_matches('=').to_owned()),
            size: row.and_then(|row| row.size.parse().ok()),
        }
    }
}

enum Strong {
    Sha384(Sha384),
    Sha512(Sha512),
}

/// A member's bytes on their way through the hashes.
pub(crate) struct Check {
    sha256: Sha256,
    strong: Option<Strong>,
    expected: Option<String>,
    size: Option<u64>,
}

impl Check {
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        match &mut self.strong {
            Some(Strong::Sha384(hasher)) => hasher.update(bytes),
            Some(Strong::Sha512(hasher)) => hasher.update(bytes),
            None => {}
        }
    }

    /// The bytes' sha256, if they are what `RECORD` says.
    pub fn finish(self, size: u64) -> Result<[u8; 32], Problem> {
        let sha256: [u8; 32] = self.sha256.finalize().into();
        let actual = match self.strong {
            Some(Strong::Sha384(hasher)) => URL_SAFE_NO_PAD.encode(hasher.finalize()),
            Some(Strong::Sha512(hasher)) => URL_SAFE_NO_PAD.encode(hasher.finalize()),
            None => URL_SAFE_NO_PAD.encode(sha256),
        };
        if self.size.is_some_and(|expected| expected != size) {
            return Err(Problem::Record("the size differs"));
        }
        if self.expected.is_some_and(|expected| expected != actual) {
            return Err(Problem::Record("the hash differs"));
        }
        Ok(sha256)
    }
}

/// The `RECORD` of an installed package in the making.
#[derive(Default)]
pub(crate) struct Installed(Vec<(String, String)>);

impl Installed {
    /// Adds a file by its path from site-packages.
    pub fn add(&mut self, path: &str, sha256: &[u8; 32], size: u64) {
        self.0.push((path.to_owned(), format!("sha256={},{size}", URL_SAFE_NO_PAD.encode(sha256))));
    }

    /// The file, sorted by path, with the bare row of itself.
    pub fn finish(mut self, own_path: &str) -> String {
        self.0.push((own_path.to_owned(), ",".to_owned()));
        self.0.sort();
        let mut text = String::new();
        for (path, rest) in self.0 {
            if path.contains([',', '"', '\n', '\r']) {
                let _ = writeln!(text, "\"{}\",{rest}", path.replace('"', "\"\""));
            } else {
                let _ = writeln!(text, "{path},{rest}");
            }
        }
        text
    }
}

/// The rows of comma-separated text as Python's `csv` writes it; empty lines are none.
fn csv(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                if !row.is_empty() || !field.is_empty() {
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
            }
            other => field.push(other),
        }
    }
    if !row.is_empty() || !field.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_paths_survive_a_round_trip() {
        let mut installed = Installed::default();
        installed.add("a,\"b\".py", &[0; 32], 3);
        installed.add("a.py", &[0; 32], 3);
        let text = installed.finish("x.dist-info/RECORD");
        let rows = csv(&text);
        assert_eq!(
            rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(),
            ["a,\"b\".py", "a.py", "x.dist-info/RECORD"]
        );
        assert_eq!(rows[2][1..], ["", ""]);
    }

    #[test]
    fn a_member_is_held_to_its_row() {
        let digest = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(Sha256::digest(bytes));
        let record = Record::parse(&format!(
            "good,sha256={},1\nbad,sha256={},1\nshort,sha256={},2\nstrong,sha512={},1\nweak,md5=x,1\n",
            digest(b"a"),
            digest(b"b"),
            digest(b"a"),
            URL_SAFE_NO_PAD.encode(Sha512::digest(b"b")),
        ))
        .unwrap();
        let run = |name: &str| {
            let mut check = record.check(name);
            check.update(b"a");
            check.finish(1)
        };
        for name in ["good", "weak", "unlisted"] {
            assert!(run(name).is_ok(), "{name}");
        }
        for name in ["bad", "short", "strong"] {
            assert!(matches!(run(name), Err(Problem::Record(_))), "{name}");
        }
    }
}
