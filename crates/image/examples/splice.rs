//! How fast artifacts become segments, beside the least that any way of doing it must do: inflate, hash.
//!
//! `cargo run -p provenv-image --release --example splice -- FILE.whl… FILE.deb…`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use provenv_definition::Digest;
use provenv_store::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path())?;
    let mut total = Totals::default();
    for path in std::env::args_os().skip(1).map(PathBuf::from) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = fs_err::read(&path)?;
        let sha256 = Digest::of(&bytes);
        let start = Instant::now();
        let segment = if path.extension().is_some_and(|extension| extension == "whl") {
            provenv_image::segment::wheel(&store, &path, &sha256, &name, (3, 11))?.segment
        } else {
            provenv_image::segment::deb(&store, &path, &sha256, &name)?.segment
        };
        let made = start.elapsed();

        // The limit: read the result, inflate it, hash both sides.
        let blob = store.read(&segment.blob)?;
        let start = Instant::now();
        std::hint::black_box(Digest::of(&blob));
        let mut tar = Vec::with_capacity(usize::try_from(segment.tar_size)? + (1 << 20));
        let mut inflater = libdeflater::Decompressor::new();
        let index = &segment.index;
        let mut at = usize::try_from(segment.offset)?;
        for (compressed, plain) in &index.members {
            let (compressed, plain) = (usize::try_from(*compressed)?, usize::try_from(*plain)?);
            let from = tar.len();
            tar.resize(from + plain, 0);
            inflater.gzip_decompress(&blob[at..at + compressed], &mut tar[from..])?;
            at += compressed;
        }
        std::hint::black_box(Digest::of(&tar));
        let limit = start.elapsed();
        println!(
            "{name}: {:.1} MB to {:.1} MB of {:.1} MB tar in {} files and {} members: {made:.0?}, limit {limit:.0?}",
            mb(bytes.len() as u64),
            mb(segment.size),
            mb(segment.tar_size),
            index.entries.len(),
            index.members.len(),
        );
        total.made += made;
        total.limit += limit;
        total.artifact += bytes.len() as u64;
        total.segment += segment.size;
        total.tar += segment.tar_size;
    }
    println!(
        "all: {:.1} MB to {:.1} MB of {:.1} MB tar: {:.0?}, limit {:.0?}",
        mb(total.artifact),
        mb(total.segment),
        mb(total.tar),
        total.made,
        total.limit
    );
    Ok(())
}

#[derive(Default)]
struct Totals {
    made: Duration,
    limit: Duration,
    artifact: u64,
    segment: u64,
    tar: u64,
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
