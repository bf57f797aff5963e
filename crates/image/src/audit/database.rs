//! A database in OSV's export format: archives with a JSON file a record (`PyPI/all.zip`), or such files in folders.
//!
//! Records are read one by one, and only those of packages that are asked for are kept: a whole export is hundreds of megabytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use fs_err::File;
use provenv_definition::normalise_name;

use super::osv::{Named, Record};
use super::{Ecosystem, Inventory};

/// No record is near this long.
const LONGEST: u64 = 64 << 20;

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("could not read the database of vulnerabilities {}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An archive that is none.
    #[error("{} is not an archive of vulnerabilities", .path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: zip::result::ZipError,
    },
    /// A file that is no record.
    #[error("{} in {} is not a record of a vulnerability", name.escape_debug(), .path.display())]
    Record {
        /// The file of the database.
        path: PathBuf,
        /// The file in it.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A record of a size that none has.
    #[error("{} in {} is longer than {LONGEST} bytes", name.escape_debug(), .path.display())]
    TooLong {
        /// The file of the database.
        path: PathBuf,
        /// The file in it.
        name: String,
    },
    /// It says nothing of an ecosystem that packages are of.
    #[error("the database of vulnerabilities has no record for {0}")]
    NoEcosystem(Ecosystem),
}

impl Error {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Read { .. } => None,
            Self::Archive { .. } | Self::Record { .. } | Self::TooLong { .. } => {
                Some("give OSV's own exports: `PyPI/all.zip` and the like, or their records as JSON files")
            }
            Self::NoEcosystem(Ecosystem::Pypi) => {
                Some("add OSV's `PyPI/all.zip`, or check the others alone with `--only debian`")
            }
            Self::NoEcosystem(Ecosystem::Debian(_)) => {
                Some("add OSV's export of it, or check Python packages alone with `--only pypi`")
            }
        }
    }
}

/// What a database knows of the packages that were asked for.
#[derive(Debug, Default)]
pub struct Database {
    pub(super) records: Vec<Record>,
    /// Records that were read.
    read: u64,
    newest: Option<String>,
}

impl Database {
    /// Reads `files` as far as they are of packages in `inventories`: archives, records, or folders of both.
    pub fn read(files: &[PathBuf], inventories: &[Inventory]) -> Result<Self, Error> {
        let mut reading = Reading { wanted: wanted(inventories), ..Reading::default() };
        for file in files {
            reading.path(file)?;
        }
        if let Some(missing) = reading.wanted.keys().find(|ecosystem| !reading.seen.contains(*ecosystem)) {
            return Err(Error::NoEcosystem(missing.clone()));
        }
        // Whatever the order of files was. Records by one name all stay: each ecosystem may have one of its own, about other packages,
        // and what they tell of the same package becomes one finding.
        reading.database.records.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(reading.database)
    }

    /// How many records were read.
    pub fn len(&self) -> u64 {
        self.read
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.read == 0
    }

    /// When its newest record was changed, as it says so: how old the database is.
    pub fn newest(&self) -> Option<&str> {
        self.newest.as_deref()
    }
}

/// The names that are asked for, by ecosystem.
fn wanted(inventories: &[Inventory]) -> BTreeMap<Ecosystem, BTreeSet<String>> {
    let mut wanted: BTreeMap<Ecosystem, BTreeSet<String>> = BTreeMap::new();
    for package in inventories.iter().flat_map(|inventory| inventory.packages.keys()) {
        wanted.entry(package.ecosystem.clone()).or_default().insert(package.name.clone());
    }
    wanted
}

#[derive(Default)]
struct Reading {
    wanted: BTreeMap<Ecosystem, BTreeSet<String>>,
    /// Those of which there was any record.
    seen: BTreeSet<Ecosystem>,
    database: Database,
}

impl Reading {
    fn path(&mut self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        if path.is_dir() {
            let walk = walkdir::WalkDir::new(path).follow_links(true).sort_by_file_name();
            for entry in walk {
                let entry = entry.map_err(|error| failed(error.into()))?;
                let ending = entry.path().extension().and_then(|ending| ending.to_str());
                if entry.file_type().is_file() && matches!(ending, Some("zip" | "json")) {
                    self.file(entry.path())?;
                }
            }
            return Ok(());
        }
        self.file(path)
    }

    fn file(&mut self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed)?;
        let mut magic = [0; 2];
        let is_archive = file.read(&mut magic).map_err(failed)? == 2 && &magic == b"PK";
        io::Seek::rewind(&mut file).map_err(failed)?;
        if is_archive {
            return self.archive(path, file);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.record(path, &name, file)
    }

    fn archive(&mut self, path: &Path, file: File) -> Result<(), Error> {
        let bad = |source| Error::Archive { path: path.to_owned(), source };
        let file = io::BufReader::with_capacity(256 << 10, file);
        let mut archive = zip::ZipArchive::new(file).map_err(bad)?;
        for place in 0..archive.len() {
            let member = archive.by_index(place).map_err(bad)?;
            let name = String::from_utf8_lossy(member.name_raw()).into_owned();
            let is_json = Path::new(&name).extension().is_some_and(|ending| ending == "json");
            if member.is_file() && is_json {
                self.record(path, &name, member)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, path: &Path, name: &str, reader: impl Read) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let failed = |source| Error::Read { path: path.to_owned(), source };
        reader.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LONGEST {
            return Err(Error::TooLong { path: path.to_owned(), name: name.to_owned() });
        }
        let bad = |source| Error::Record { path: path.to_owned(), name: name.to_owned(), source };
        let mut record: Record = serde_json::from_slice(&bytes).map_err(bad)?;
        if record.id.is_empty() {
            return Err(bad(serde::de::Error::missing_field("id")));
        }
        self.database.read += 1;
        if record.modified > self.database.newest {
            self.database.newest.clone_from(&record.modified);
        }
        for named in record.affected().iter().filter_map(|affected| affected.package()) {
            let seen = self.wanted.keys().filter(|ecosystem| ecosystem.is(&named.ecosystem));
            self.seen.extend(seen.cloned());
        }
        if record.withdrawn.is_none() {
            record.keep(|named| self.wants(named));
            if !record.affected().is_empty() {
                self.database.records.push(record);
            }
        }
        Ok(())
    }

    fn wants(&self, named: &Named) -> bool {
        let of = self.wanted.iter().filter(|(ecosystem, _)| ecosystem.is(&named.ecosystem));
        of.into_iter().any(|(ecosystem, names)| names.contains(&ecosystem.name(&named.name)))
    }
}

impl Ecosystem {
    /// Whether OSV's word stands for it. One without a release stands for all of them.
    pub(super) fn is(&self, word: &str) -> bool {
        match self {
            Self::Pypi => word == "PyPI",
            Self::Debian(release) => word
                .strip_prefix("Debian")
                .is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':') == Some(release)),
        }
    }

    /// A package's name in the form in which it is compared.
    pub(super) fn name(&self, name: &str) -> String {
        match self {
            Self::Pypi => normalise_name(name),
            Self::Debian(_) => name.to_owned(),
        }
    }
}
