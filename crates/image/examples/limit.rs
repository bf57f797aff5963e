//! How fast artifacts become segments on all cores, beside the least that any way of doing it must do with their bytes:
//! inflate what comes, compress what does not come ready, hash what goes out, packed and unpacked. Prints JSON.
//!
//! `cargo run -p provenv-image --release --example limit -- FILE.whl… FILE.deb… FILE.conda…`

use std::error::Error;
use std::hint::black_box;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libdeflater::{CompressionLvl, Compressor, Decompressor};
use provenv_definition::Digest;
use provenv_image::segment::{self, Segment};
use provenv_store::Store;
use rayon::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What segments are compressed in, and how hard; the figures of `segment/gzip.rs`.
const BLOCK: usize = 512 << 10;
const LEVEL: i32 = 6;

struct Artifact {
    path: PathBuf,
    bytes: Vec<u8>,
    sha256: Digest,
}

impl Artifact {
    fn read(path: PathBuf) -> Result<Self> {
        let bytes = fs_err::read(&path)?;
        Ok(Self { sha256: Digest::of(&bytes), path, bytes })
    }

    fn is(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|found| found == extension)
    }

    fn segment(&self, store: &Store) -> Result<Segment> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        Ok(if self.is("whl") {
            segment::wheel(store, &self.path, &self.sha256, &name, (3, 11))?.segment
        } else if self.is("conda") {
            segment::conda(store, &self.path, &self.sha256, &name, Some((3, 11)))?.segment
        } else {
            segment::deb(store, &self.path, &self.sha256, &name)?.segment
        })
    }

    /// The least work on this artifact, all of it in memory.
    fn least(&self, store: &Store, segment: &Segment) -> Result<()> {
        if self.is("whl") {
            return spliced(store, segment);
        }
        let (name, data) = if self.is("conda") { content(&self.bytes) } else { data(&self.bytes) }
            .ok_or("the package has no data")?;
        packed_anew(&name, data)
    }
}

/// A wheel's members go out as they came: they are inflated to be hashed.
fn spliced(store: &Store, segment: &Segment) -> Result<()> {
    let blob = store.read(&segment.blob)?;
    black_box(Digest::of(&blob));
    let mut tar = Vec::with_capacity(usize::try_from(segment.tar_size)? + (1 << 20));
    let mut inflater = Decompressor::new();
    let mut at = usize::try_from(segment.offset)?;
    for (compressed, plain) in &segment.index.members {
        let (compressed, plain) = (usize::try_from(*compressed)?, usize::try_from(*plain)?);
        let from = tar.len();
        tar.resize(from + plain, 0);
        inflater.gzip_decompress(&blob[at..at + compressed], &mut tar[from..])?;
        at += compressed;
    }
    black_box(Digest::of(&tar));
    Ok(())
}

/// A Debian or conda package is unpacked, and its files are compressed with what everybody can read.
fn packed_anew(name: &str, data: &[u8]) -> Result<()> {
    let mut tar = Vec::new();
    if name.strip_suffix(".xz").is_some() {
        liblzma::read::XzDecoder::new(data).read_to_end(&mut tar)?;
    } else if name.strip_suffix(".zst").is_some() {
        zstd::stream::read::Decoder::new(data)?.read_to_end(&mut tar)?;
    } else {
        return Err(format!("{name} is not expected").into());
    }
    black_box(Digest::of(&tar));
    let mut compressor = Compressor::new(CompressionLvl::new(LEVEL).map_err(|_| "a level of libdeflate")?);
    let mut blob = Vec::new();
    for block in tar.chunks(BLOCK) {
        let from = blob.len();
        blob.resize(from + compressor.gzip_compress_bound(block.len()), 0);
        let size = compressor.gzip_compress(block, &mut blob[from..])?;
        blob.truncate(from + size);
    }
    black_box(Digest::of(&blob));
    Ok(())
}

/// The member `data.tar.…` of an `ar` archive.
fn data(deb: &[u8]) -> Option<(String, &[u8])> {
    let mut rest = deb.strip_prefix(b"!<arch>\n")?;
    while rest.len() > 60 {
        let (head, tail) = rest.split_at(60);
        let name = String::from_utf8_lossy(&head[..16]).trim().trim_end_matches('/').to_owned();
        let size: usize = std::str::from_utf8(&head[48..58]).ok()?.trim().parse().ok()?;
        let content = tail.get(..size)?;
        if name.starts_with("data.tar") {
            return Some((name, content));
        }
        rest = tail.get(size + size % 2..).unwrap_or_default();
    }
    None
}

/// The member `pkg-….tar.zst` of a zip archive that compresses nothing itself.
fn content(conda: &[u8]) -> Option<(String, &[u8])> {
    let mut rest = conda;
    while rest.starts_with(b"PK\x03\x04") {
        let number = |at: usize| Some(u16::from_le_bytes(*rest.get(at..)?.first_chunk()?));
        let size = u32::from_le_bytes(*rest.get(18..)?.first_chunk()?) as usize;
        let (name, extra) = (usize::from(number(26)?), usize::from(number(28)?));
        let title = String::from_utf8_lossy(rest.get(30..30 + name)?).into_owned();
        let content = rest.get(30 + name + extra..)?.get(..size)?;
        if title.starts_with("pkg-") {
            return Some((title, content));
        }
        rest = rest.get(30 + name + extra + size..)?;
    }
    None
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let start = Instant::now();
    let result = work()?;
    Ok((result, start.elapsed()))
}

fn main() -> Result<()> {
    let mut artifacts = std::env::args_os()
        .skip(1)
        .map(|path| Artifact::read(Path::new(&path).to_owned()))
        .collect::<Result<Vec<_>>>()?;
    // The longest first, so that no core is left alone with it at the end.
    artifacts.sort_by_key(|artifact| std::cmp::Reverse(artifact.bytes.len()));
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path())?;
    let each = |work: &(dyn Fn(&Artifact) -> Result<Segment> + Sync)| {
        timed(|| artifacts.par_iter().with_max_len(1).map(work).collect::<Result<Vec<_>>>())
    };
    let (segments, made) = each(&|artifact| artifact.segment(&store))?;
    let ((), limit) = timed(|| {
        artifacts
            .par_iter()
            .zip(&segments)
            .with_max_len(1)
            .try_for_each(|(artifact, segment)| artifact.least(&store, segment))
    })?;
    let sum = |size: fn(&Segment) -> u64| segments.iter().map(size).sum::<u64>();
    let report = serde_json::json!({
        "artifacts": artifacts.len(),
        "artifact_bytes": artifacts.iter().map(|artifact| artifact.bytes.len()).sum::<usize>(),
        "segment_bytes": sum(|segment| segment.size),
        "tar_bytes": sum(|segment| segment.tar_size),
        "made_seconds": made.as_secs_f64(),
        "limit_seconds": limit.as_secs_f64(),
    });
    println!("{report}");
    Ok(())
}
