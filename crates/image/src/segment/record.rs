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
    /// Reads the rows of those paths that are `wanted`: a megabyte could hold millions of others.
    pub fn parse(text: &str, wanted: impl Fn(&str) -> bool) -> Result<Self, Fault> {
        let mut rows = HashMap::new();
        csv(text, |fields| {
            let [path, hash, size] = <[String; 3]>::try_from(fields)
                .map_err(|_| Fault::malformed("RECORD has a row that is not of three fields"))?;
            // A row that occurs twice and says the same is harmless; one that says otherwise is caught by its hash.
            if wanted(&path) {
                rows.insert(path, Row { hash, size });
            }
            Ok(())
        })?;
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

/// Gives `each` the rows of comma-separated text as Python's `csv` writes it; empty lines are none. Of a row with more than three
/// fields it gives four.
fn csv(text: &str, mut each: impl FnMut(Vec<String>) -> Result<(), Fault>) -> Result<(), Fault> {
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
            ',' if !quoted => {
                let field = std::mem::take(&mut field);
                if row.len() < 3 {
                    row.push(field);
                }
            }
            '\r' if !quoted => {}
            '\n' if !quoted => {
                if !row.is_empty() || !field.is_empty() {
                    row.push(std::mem::take(&mut field));
                    each(std::mem::take(&mut row))?;
                }
            }
            other => field.push(other),
        }
    }
    if !row.is_empty() || !field.is_empty() {
        row.push(field);
        each(row)?;
    }
    Ok(())
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
        let mut rows = Vec::new();
        csv(&text, |row| {
            rows.push(row);
            Ok(())
        })
        .unwrap();
        assert_eq!(
            rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(),
            ["a,\"b\".py", "a.py", "x.dist-info/RECORD"]
        );
        assert_eq!(rows[2][1..], ["", ""]);
    }

    #[test]
    fn a_member_is_held_to_its_row() {
        let digest = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(Sha256::digest(bytes));
        let text = format!(
            "good,sha256={},1\nbad,sha256={},1\nshort,sha256={},2\nstrong,sha512={},1\nweak,md5=x,1\nother,,\n",
            digest(b"a"),
            digest(b"b"),
            digest(b"a"),
            URL_SAFE_NO_PAD.encode(Sha512::digest(b"b")),
        );
        let record = Record::parse(&text, |name| name != "other").unwrap();
        assert_eq!(record.0.len(), 5, "only what is wanted is kept");
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
