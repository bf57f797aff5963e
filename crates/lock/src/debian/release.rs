//! What an archive says of a suite: the `Release` file.

use jiff::{Timestamp, ToSpan as _};
use provenv_definition::Digest;

/// The fields of a `Release` file that count here.
#[derive(Clone, Debug)]
pub(super) struct Release {
    pub origin: String,
    pub suite: String,
    pub codename: String,
    /// As it is written.
    pub date: String,
    pub dated: Timestamp,
    pub valid_until: Option<(String, Timestamp)>,
    pub by_hash: bool,
    pub architectures: Vec<String>,
    pub components: Vec<String>,
    /// The forms of `main`'s list of packages, for every architecture.
    packages: Vec<ReleaseFile>,
}

/// One file a `Release` vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReleaseFile {
    /// Below the suite's folder.
    pub path: String,
    pub size: u64,
    pub sha256: Digest,
}

/// What is wrong with a `Release` whose signature is good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// A field is missing or cannot be read.
    #[error("its field `{0}` is missing or cannot be read")]
    Malformed(&'static str),
    /// It speaks of another suite.
    #[error("it is the release of `{found}`, not of `{wanted}`")]
    WrongSuite {
        /// Asked for.
        wanted: String,
        /// What it says.
        found: String,
    },
    /// Its time is over.
    #[error("it was valid until {0}")]
    Expired(String),
    /// Its time has not come.
    #[error("it is dated {0}, which is in the future")]
    Future(String),
    /// It has no packages for the platform.
    #[error("it has no packages for {wanted}, only for {}", .found.join(", "))]
    NoArchitecture {
        /// Asked for.
        wanted: String,
        /// What it has.
        found: Vec<String>,
    },
    /// Its list of packages is missing.
    #[error("it names no list of packages of `main` for {0}")]
    NoPackages(String),
}

impl Release {
    /// Reads the text of a `Release` file, signatures taken off.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let mut release = Self {
            origin: String::new(),
            suite: String::new(),
            codename: String::new(),
            date: String::new(),
            dated: Timestamp::UNIX_EPOCH,
            valid_until: None,
            by_hash: false,
            architectures: Vec::new(),
            components: Vec::new(),
            packages: Vec::new(),
        };
        let words = |value: &str| value.split_whitespace().map(str::to_owned).collect();
        // Thousands of lines, a handful of which matter: not worth a general parser's allocations.
        let mut section = "";
        for line in text.lines() {
            if let Some(entry) = line.strip_prefix(' ') {
                if section == "SHA256" && entry.contains("/binary-") {
                    release.packages.extend(ReleaseFile::parse(entry));
                }
                continue;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            section = name;
            match name {
                "Origin" => value.clone_into(&mut release.origin),
                "Suite" => value.clone_into(&mut release.suite),
                "Codename" => value.clone_into(&mut release.codename),
                "Date" => {
                    release.dated = parse_date(value).ok_or(ReleaseError::Malformed("Date"))?;
                    value.clone_into(&mut release.date);
                }
                "Valid-Until" => {
                    let until = parse_date(value).ok_or(ReleaseError::Malformed("Valid-Until"))?;
                    release.valid_until = Some((value.to_owned(), until));
                }
                "Acquire-By-Hash" => release.by_hash = value == "yes",
                "Architectures" => release.architectures = words(value),
                "Components" => release.components = words(value),
                _ => {}
            }
        }
        if release.date.is_empty() {
            return Err(ReleaseError::Malformed("Date"));
        }
        if release.codename.is_empty() && release.suite.is_empty() {
            return Err(ReleaseError::Malformed("Codename"));
        }
        Ok(release)
    }

    /// Checks that this is the release of `suite`, by its code name or its class (`stable`), and that its time is now.
    pub fn check(&self, suite: &str, now: Timestamp, ignore_valid_until: bool) -> Result<(), ReleaseError> {
        if suite != self.codename && suite != self.suite {
            let found = if self.codename.is_empty() { &self.suite } else { &self.codename };
            return Err(ReleaseError::WrongSuite { wanted: suite.to_owned(), found: found.clone() });
        }
        // A clock may be wrong by minutes.
        if self.dated > now + 10.minutes() {
            return Err(ReleaseError::Future(self.date.clone()));
        }
        match &self.valid_until {
            Some((text, until)) if !ignore_valid_until && *until < now => {
                Err(ReleaseError::Expired(text.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The smallest form that can be read of a component's list of packages for `architecture`.
    pub fn packages(&self, component: &str, architecture: &str) -> Result<&ReleaseFile, ReleaseError> {
        if !self.architectures.iter().any(|known| known == architecture) {
            return Err(ReleaseError::NoArchitecture {
                wanted: architecture.to_owned(),
                found: self.architectures.clone(),
            });
        }
        ["Packages.xz", "Packages.gz", "Packages"]
            .iter()
            .find_map(|name| {
                let path = format!("{component}/binary-{architecture}/{name}");
                self.packages.iter().find(|file| file.path == path)
            })
            .ok_or_else(|| ReleaseError::NoPackages(architecture.to_owned()))
    }
}

impl ReleaseFile {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (digest, size, path) = (words.next()?, words.next()?, words.next()?);
        let name = path.rsplit('/').next()?;
        if !matches!(name, "Packages" | "Packages.gz" | "Packages.xz") {
            return None;
        }
        Some(Self { path: path.to_owned(), size: size.parse().ok()?, sha256: Digest::from_hex(digest).ok()? })
    }

    /// Where the file is found under its digest, so that a mirror that is being updated cannot mix two states.
    pub fn by_hash(&self) -> String {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/by-hash/SHA256/{}", self.sha256.hex())
    }
}

/// `Sat, 11 Jul 2026 10:16:37 UTC`: RFC 2822's form with a zone name it does not know.
fn parse_date(text: &str) -> Option<Timestamp> {
    let text =
        text.strip_suffix("UTC").or_else(|| text.strip_suffix('Z')).map(|text| format!("{text}+0000"))?;
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Origin: Debian
Suite: oldstable
Codename: bookworm
Date: Sat, 11 Jul 2026 10:16:37 UTC
Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC
Acquire-By-Hash: yes
Architectures: all amd64
Components: main contrib
MD5Sum:
 7fdf4db15250af5368cc52a91e8edbce 10 main/binary-amd64/Packages.xz
SHA256:
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  10 main/binary-amd64/Packages.gz
 f61f27bd17de546264aa58f40f3aafaac7021e0ef69c17f6b1b4cd7664a037ec  20 main/binary-amd64/Packages.xz
 f61f27bd17de546264aa58f40f3aafaac7021e0ef69c17f6b1b4cd7664a037ec  20 main/debian-installer/binary-amd64/Packages.xz
";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_best_form_of_the_list_is_taken_from_sha256_only() {
        let release = Release::parse(TEXT).unwrap();
        let file = release.packages("main", "amd64").unwrap();
        assert_eq!((file.path.as_str(), file.size), ("main/binary-amd64/Packages.xz", 20));
        assert_eq!(file.by_hash(), format!("main/binary-amd64/by-hash/SHA256/{}", file.sha256.hex()));
        assert!(matches!(release.packages("main", "arm64"), Err(ReleaseError::NoArchitecture { .. })));
        assert_eq!(release.packages("main", "all"), Err(ReleaseError::NoPackages("all".to_owned())));
    }

    #[test]
    fn suite_and_time_are_checked() {
        let release = Release::parse(TEXT).unwrap();
        let within = at("2026-07-12T00:00:00Z");
        assert_eq!(release.check("bookworm", within, false), Ok(()));
        assert_eq!(release.check("oldstable", within, false), Ok(()));
        assert!(matches!(release.check("trixie", within, false), Err(ReleaseError::WrongSuite { .. })));
        let late = at("2026-07-19T00:00:00Z");
        assert!(matches!(release.check("bookworm", late, false), Err(ReleaseError::Expired(_))));
        assert_eq!(release.check("bookworm", late, true), Ok(()));
        let early = at("2026-07-11T10:00:00Z");
        assert!(matches!(release.check("bookworm", early, true), Err(ReleaseError::Future(_))));
        assert_eq!(release.check("bookworm", at("2026-07-11T10:10:00Z"), false), Ok(()));
    }

    #[test]
    fn a_release_without_a_date_is_refused() {
        assert_eq!(Release::parse("Codename: bookworm\n").unwrap_err(), ReleaseError::Malformed("Date"));
        let odd = "Codename: bookworm\nDate: yesterday\n";
        assert_eq!(Release::parse(odd).unwrap_err(), ReleaseError::Malformed("Date"));
    }
}
