//! What a lock of another tool chose becomes ours.

use std::collections::BTreeSet;
use std::io::Read as _;

use futures::{StreamExt as _, TryStreamExt as _};
use md5::{Digest as _, Md5};
use provenv_definition::{CondaRequirements, CondaSpec, Digest, LockedConda, Platform, SafeUrl};
use provenv_fetch::Fetcher;

use super::{Error, Result};
use crate::{Artifact, CondaPackage};

/// Archives that are fetched at a time, to learn what a lock does not say of them.
pub(super) const AT_ONCE: usize = 8;

/// The packages that `locked` chose, sorted by name. What the lock has no sha256 of is fetched, checked against its md5, and
/// named by what came.
pub async fn take_over(
    fetcher: &Fetcher,
    asked: &CondaRequirements,
    locked: &[LockedConda],
    platform: Platform,
) -> Result<Vec<CondaPackage>> {
    let asked: BTreeSet<String> = asked
        .packages
        .iter()
        .filter(|package| package.is_for(platform))
        .filter_map(|package| package.spec.parse::<CondaSpec>().ok())
        .map(|spec| spec.name)
        .collect();
    let mut packages: Vec<CondaPackage> = futures::stream::iter(locked)
        .map(|package| one(fetcher, package, asked.contains(&package.name)))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(packages)
}

async fn one(fetcher: &Fetcher, locked: &LockedConda, requested: bool) -> Result<CondaPackage> {
    let url = locked.url.clone();
    let subdir = url.as_url().path_segments().and_then(|parts| parts.rev().nth(1)).unwrap_or_default();
    if subdir.is_empty() {
        return Err(Error::NoSubdir { url: url.to_string() });
    }
    let subdir = subdir.to_owned();
    let (sha256, size) = match locked.sha256 {
        Some(sha256) => (sha256, locked.size.unwrap_or(0)),
        None => fetched(fetcher, &locked.url, locked.md5.as_deref()).await?,
    };
    // By convention it is the end of the build string; the archive itself has the last word.
    let number = locked.build.rsplit('_').next().and_then(|number| number.parse().ok());
    Ok(CondaPackage {
        name: locked.name.clone(),
        version: locked.version.clone(),
        build: locked.build.clone(),
        build_number: number.unwrap_or(0),
        subdir,
        artifact: Artifact { url, size, sha256 },
        md5: locked.md5.clone(),
        depends: locked.depends.clone().unwrap_or_default(),
        constrains: locked.constrains.clone(),
        requested,
    })
}

/// Digest and size of an archive of which nobody says them.
pub(super) async fn fetched(fetcher: &Fetcher, url: &SafeUrl, md5: Option<&str>) -> Result<(Digest, u64)> {
    let blob = fetcher.unverified(url.as_url()).await?;
    if let Some(expected) = md5 {
        let (path, url) = (fetcher.store().path(&blob.digest), url.to_string());
        let read = move || -> std::io::Result<String> {
            let mut hasher = Md5::new();
            let mut file = fs_err::File::open(path)?;
            let mut buffer = vec![0; 128 << 10];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    length => hasher.update(&buffer[..length]),
                }
            }
            Ok(hex::encode(hasher.finalize()))
        };
        let result = tokio::task::spawn_blocking(read).await;
        let actual = match result {
            Ok(actual) => actual.map_err(|source| Error::Read { url: url.clone(), source })?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        if !actual.eq_ignore_ascii_case(expected) {
            return Err(Error::Md5 { url, expected: expected.to_owned(), actual });
        }
    }
    Ok((blob.digest, blob.size))
}
