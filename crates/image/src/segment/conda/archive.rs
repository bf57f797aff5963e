//! The two kinds of archives: `.conda`, a zip of two compressed tars, and `.tar.bz2`.

use std::collections::HashMap;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};

use fs_err::File;
use provenv_store::Store;
use tar::Archive;
use tempfile::TempDir;

use super::super::error::{Fault, Problem};
use super::super::zip::{Member, Zip, to_usize};
use super::super::{BOMB_FLOOR, BOMB_RATIO, MOST_MEMBERS};

/// All that a package says of itself is kept in memory.
const INFO_LIMIT: u64 = 128 << 20;
/// Files of `info` that are read.
const WANTED: [&str; 4] = ["index.json", "paths.json", "link.json", "has_prefix"];

/// A package that can be read twice: what it says of itself, then what it holds.
pub(super) enum Package {
    Conda {
        zip: Zip,
        info: Member,
        data: Member,
        limit: u64,
    },
    /// Decompressed, since there is no other way to the end, where `info` may be.
    Tar {
        file: File,
        _folder: TempDir,
    },
}

impl Package {
    pub fn open(store: &Store, file: File, name: &str) -> Result<Self, Fault> {
        let length = file.metadata().map_err(Fault::Read)?.len();
        let limit = BOMB_FLOOR + length.saturating_mul(BOMB_RATIO);
        if name.strip_suffix(".conda").is_none() {
            return Self::unpacked(store, file, limit);
        }
        let zip = Zip::open(file)?;
        let find = |kind: &str| {
            let mut found = zip.members.iter().filter(|member| {
                member.name.starts_with(kind)
                    && member.name.ends_with(".tar.zst")
                    && !member.name.contains('/')
            });
            match (found.next(), found.next()) {
                (Some(member), None) if !member.deflated => Ok(member.clone()),
                _ => Err(Fault::malformed(format!("does not have one stored member `{kind}*.tar.zst`"))),
            }
        };
        let (info, data) = (find("info-")?, find("pkg-")?);
        Ok(Self::Conda { zip, info, data, limit })
    }

    fn unpacked(store: &Store, file: File, limit: u64) -> Result<Self, Fault> {
        let folder = store.scratch()?;
        let write = |source| Fault::Other(super::super::Error::Write(source));
        let mut out = BufWriter::new(File::create(folder.path().join("package.tar")).map_err(write)?);
        let mut decoder = bzip2::read::MultiBzDecoder::new(BufReader::new(file)).take(limit);
        let mut buffer = vec![0; 128 << 10];
        let mut total = 0;
        loop {
            let length = decoder.read(&mut buffer).map_err(|error| damaged(&error))?;
            if length == 0 {
                break;
            }
            total += length as u64;
            out.write_all(&buffer[..length]).map_err(write)?;
        }
        if total >= limit {
            return Err(Fault::Refused(None, Problem::Bomb(limit)));
        }
        out.flush().map_err(write)?;
        let file = File::open(folder.path().join("package.tar")).map_err(write)?;
        Ok(Self::Tar { file, _folder: folder })
    }

    /// What it says of itself: the files of `info` by name.
    pub fn info(&mut self) -> Result<HashMap<String, Vec<u8>>, Fault> {
        let mut files = HashMap::new();
        let mut left = INFO_LIMIT;
        let limit = INFO_LIMIT;
        let mut each = |mut entry: tar::Entry<'_, Box<dyn Read + '_>>| {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
            let Some(own) = name.strip_prefix("info/") else { return Ok(()) };
            if WANTED.contains(&own) && entry.header().entry_type().is_file() {
                let mut bytes = Vec::new();
                (&mut entry).take(left).read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
                left = left.saturating_sub(bytes.len() as u64);
                if left == 0 {
                    return Err(Fault::Refused(None, Problem::Bomb(INFO_LIMIT)));
                }
                if files.insert(own.to_owned(), bytes).is_some() {
                    return Err(Fault::member(&name, Problem::Duplicate));
                }
            }
            Ok(())
        };
        match self {
            Self::Conda { zip, info, .. } => entries(zstd(zip, info)?, limit, &mut each)?,
            Self::Tar { file, .. } => {
                file.seek(SeekFrom::Start(0)).map_err(Fault::Read)?;
                entries(Box::new(BufReader::new(file)), u64::MAX, &mut each)?;
            }
        }
        Ok(files)
    }

    /// Hands on its members.
    pub fn members(
        &mut self,
        mut each: impl FnMut(tar::Entry<'_, Box<dyn Read + '_>>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match self {
            Self::Conda { zip, data, limit, .. } => entries(zstd(zip, data)?, *limit, &mut each),
            Self::Tar { file, .. } => {
                file.seek(SeekFrom::Start(0)).map_err(Fault::Read)?;
                entries(Box::new(BufReader::new(file)), u64::MAX, &mut each)
            }
        }
    }
}

/// What is done with an entry.
type Each<'e> = dyn FnMut(tar::Entry<'_, Box<dyn Read + '_>>) -> Result<(), Fault> + 'e;

/// The entries of the tar that `reader` gives, which may have so many bytes.
fn entries<'r>(reader: Box<dyn Read + 'r>, limit: u64, each: &mut Each<'_>) -> Result<(), Fault> {
    let limited: Box<dyn Read + '_> = Box::new(Limited { inner: reader, left: limit });
    let mut archive = Archive::new(limited);
    let mut count = 0;
    let result = (|| {
        for entry in archive.entries().map_err(|error| damaged(&error))? {
            count += 1;
            if count > MOST_MEMBERS {
                return Err(Fault::Refused(None, Problem::TooMany(MOST_MEMBERS)));
            }
            each(entry.map_err(|error| damaged(&error))?)?;
        }
        Ok(())
    })();
    match result {
        Err(Fault::Refused(_, Problem::Damaged)) if OVER.with(|over| over.replace(false)) => {
            Err(Fault::Refused(None, Problem::Bomb(limit)))
        }
        other => other,
    }
}

thread_local! {
    /// Whether a limit ended the reading.
    static OVER: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            OVER.with(|over| over.set(true));
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too much"));
        }
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..length])?;
        self.left -= read as u64;
        Ok(read)
    }
}

fn zstd<'z>(zip: &'z Zip, member: &'z Member) -> Result<Box<dyn Read + 'z>, Fault> {
    let reader = BufReader::with_capacity(128 << 10, Stored { zip, member, at: 0 });
    let decoder = zstd::stream::read::Decoder::with_buffer(reader).map_err(|error| damaged(&error))?;
    Ok(Box::new(decoder))
}

/// A member of a zip as it stands.
struct Stored<'z> {
    zip: &'z Zip,
    member: &'z Member,
    at: u64,
}

impl Read for Stored<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = to_usize(self.member.compressed - self.at).min(buffer.len());
        if length > 0 {
            self.zip
                .raw(self.member, self.at, &mut buffer[..length])
                .map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends too early"))?;
            self.at += length as u64;
        }
        Ok(length)
    }
}

/// What a failure to read a compressed stream means.
pub(super) fn damaged(error: &io::Error) -> Fault {
    let problem = match error.kind() {
        io::ErrorKind::UnexpectedEof => Problem::Truncated,
        _ => Problem::Damaged,
    };
    Fault::Refused(None, problem)
}
