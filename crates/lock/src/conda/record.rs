//! Records of an index and packages of a lock.

use std::io::Read;
use std::path::{Path, PathBuf};

use provenv_definition::{CondaSpec, Digest, SafeUrl};
use provenv_fetch::Fetcher;
use rattler_conda_types::package::{
    BuildString, CondaArchiveType, DistArchiveIdentifier, IndexJson, PackageFile as _,
};
use rattler_conda_types::{PackageName, PackageRecord, RepoDataRecord, VersionWithSource};
use url::Url;

use super::client::is_plainly_under;
use super::taken::fetched;
use super::{Error, Result};
use crate::validate::has_variables;
use crate::{Artifact, CondaPackage};

/// The most bytes of an archive's `index.json`.
const LARGEST_INDEX: u64 = 16 << 20;

/// The package of a lock that `record` is. An archive that no index has the sha256 of is fetched to learn it. The user names
/// `channels`, and archives by `named`.
pub(super) async fn locked(
    fetcher: &Fetcher,
    record: &RepoDataRecord,
    channels: &[Url],
    named: &[Url],
    requested: bool,
) -> Result<CondaPackage> {
    let package = &record.package_record;
    // A host that a server names gets no credentials but those that name it.
    if !channels.iter().chain(named).any(|own| own.origin() == record.url.origin()) {
        fetcher.distrust(&record.url);
    }
    let url = SafeUrl::new(record.url.clone());
    // Only the user may name variables, in a channel's URL: in what an index says they would hand it any secret.
    let is_users = channels.iter().any(|channel| is_plainly_under(&record.url, channel));
    if !is_users && has_variables(record.url.as_str()) {
        return Err(Error::StrangeUrl {
            name: package.name.as_normalized().to_owned(),
            url: url.to_string(),
        });
    }
    let md5 = package.md5.map(hex::encode);
    let (sha256, size) = match package.sha256 {
        Some(sha256) => (digest(&sha256)?, package.size.unwrap_or(0)),
        None => fetched(fetcher, &url, md5.as_deref()).await?,
    };
    Ok(CondaPackage {
        name: package.name.as_normalized().to_owned(),
        version: package.version.as_str().into_owned(),
        build: package.build.as_str().to_owned(),
        build_number: package.build_number,
        subdir: package.subdir.clone(),
        artifact: Artifact { url, size, sha256 },
        md5,
        depends: package.depends.clone(),
        constrains: package.constrains.clone(),
        requested,
    })
}

fn digest(bytes: &[u8]) -> Result<Digest> {
    // Of 32 bytes, so it always is one.
    Digest::from_hex(&hex::encode(bytes)).map_err(|_| Error::Hash)
}

/// The record that `locked` once was, as far as a lock keeps it; `None` where this version of the solver cannot read it.
pub(super) fn remembered(locked: &CondaPackage, channels: &[Url]) -> Option<RepoDataRecord> {
    let name = PackageName::new_unchecked(&locked.name);
    let version: VersionWithSource = locked.version.parse().ok()?;
    let build = BuildString::new_unchecked(&locked.build);
    let url = locked.artifact.url.as_url().clone();
    let channel = channels.iter().find(|channel| url.as_str().starts_with(channel.as_str()));
    let mut record = PackageRecord::new(name, version, build);
    record.build_number = locked.build_number;
    record.subdir.clone_from(&locked.subdir);
    record.depends.clone_from(&locked.depends);
    record.constrains.clone_from(&locked.constrains);
    record.size = Some(locked.artifact.size);
    record.sha256 = hash(&locked.artifact.sha256.hex());
    record.md5 = locked.md5.as_deref().and_then(hash);
    Some(RepoDataRecord {
        identifier: DistArchiveIdentifier::try_from_url(&url)?,
        package_record: record,
        channel: channel.map(|url| rattler_conda_types::Channel::from_url(url.clone()).canonical_name()),
        url,
    })
}

/// A hash of rattler's of its digits.
fn hash<T: Default + AsMut<[u8]>>(digits: &str) -> Option<T> {
    let mut hash = T::default();
    hex::decode_to_slice(digits, hash.as_mut()).ok()?;
    Some(hash)
}

/// The record of an archive that is named by its URL: what it says of itself.
pub(super) async fn of_archive(fetcher: &Fetcher, spec: &CondaSpec) -> Result<RepoDataRecord> {
    let Some(url) = &spec.url else { return Err(Error::Spec { spec: spec.to_string() }) };
    fetcher.trust(url.as_url());
    let (sha256, size) = match &spec.sha256 {
        Some(sha256) => {
            let path = fetcher.artifact(url, sha256, None).await?;
            let size = fs_err::metadata(&path).map(|metadata| metadata.len());
            (*sha256, size.map_err(|source| Error::Read { url: url.to_string(), source })?)
        }
        None => fetched(fetcher, url, spec.md5.as_deref()).await?,
    };
    let broken = |reason: String| Error::Archive { url: url.to_string(), reason };
    let archive_type = CondaArchiveType::try_from(Path::new(url.as_url().path()));
    let archive_type = archive_type.ok_or_else(|| broken("neither `.conda` nor `.tar.bz2`".to_owned()))?;
    let path = fetcher.store().path(&sha256);
    let read = tokio::task::spawn_blocking(move || index_json(path, archive_type)).await;
    let index = read.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())).map_err(broken)?;
    let (sha256, md5) = (hash(&sha256.hex()), spec.md5.as_deref().and_then(hash));
    let record = PackageRecord::from_index_json(index, Some(size), sha256, md5);
    let record = record.map_err(|error| broken(error.to_string()))?;
    if record.name.as_normalized() != spec.name {
        return Err(broken(format!("it holds `{}`", record.name.as_normalized())));
    }
    Ok(RepoDataRecord {
        identifier: DistArchiveIdentifier::try_from_url(url.as_url())
            .ok_or_else(|| broken("its file name is not `name-version-build`".to_owned()))?,
        package_record: record,
        url: url.as_url().clone(),
        channel: None,
    })
}

/// `info/index.json` of an archive.
fn index_json(path: PathBuf, archive_type: CondaArchiveType) -> Result<IndexJson, String> {
    let file = fs_err::File::open(path).map_err(|error| error.to_string())?;
    let bytes = match archive_type {
        CondaArchiveType::Conda => {
            let archive = rattler_package_streaming::seek::stream_conda_info(file);
            member(archive.map_err(|error| error.to_string())?)
        }
        CondaArchiveType::TarBz2 => member(rattler_package_streaming::read::stream_tar_bz2(file)),
    };
    let bytes = bytes.map_err(|error| error.to_string())?;
    IndexJson::from_slice(&bytes).map_err(|error| error.to_string())
}

fn member(mut archive: tar::Archive<impl Read>) -> std::io::Result<Vec<u8>> {
    for entry in archive.entries()? {
        let entry = entry?;
        if *entry.path()? == *IndexJson::package_path() {
            let mut bytes = Vec::new();
            // Not as much as its header says: that may lie.
            entry.take(LARGEST_INDEX).read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
    }
    Err(std::io::Error::other("it has no info/index.json"))
}
