//! What conda installs, put for uv: a wheel without files for each distribution, and constraints that name them.
//!
//! uv takes a constraint with a URL for the only version there is, wherever a requirement comes from, and opens the file
//! only if somebody wants the package. What it chose of these is taken out of its answer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use provenv_definition::{MarkerEnvironment, Requirement};
use tempfile::TempDir;
use url::Url;

use super::pylock::{Package, Pylock};
use super::{Error, Installed, Result, Target};
use provenv_definition::normalise_name;

/// The stubs of one resolution.
pub(super) struct Stubs<'a> {
    /// Removed when dropped.
    folder: TempDir,
    environment: MarkerEnvironment,
    /// Each with the URL of its stub, by name. Versions that are none have no stub: uv could not read them.
    all: BTreeMap<&'a str, (&'a Installed, Url)>,
}

impl<'a> Stubs<'a> {
    /// Writes them into `folder`; `None` where conda installs nothing.
    pub(super) fn write(target: &Target<'a>, folder: TempDir) -> Result<Option<Self>> {
        let mut all = BTreeMap::new();
        for installed in target.installed {
            let (Some(metadata), Ok(version)) =
                (installed.stub(target.python, target.platform), &installed.version)
            else {
                continue;
            };
            let stem = format!("{}-{version}", installed.name.replace('-', "_"));
            let path = folder.path().join(format!("{stem}-py3-none-any.whl"));
            fs_err::write(&path, wheel(&stem, &metadata))?;
            let url = Url::from_file_path(&path).map_err(|()| Error::NoLocal { path })?;
            all.insert(&*installed.name, (installed, url));
        }
        let environment = MarkerEnvironment::new(&target.python.version, target.platform);
        Ok((!all.is_empty()).then_some(Self { folder, environment, all }))
    }

    /// Where they are, on this machine and inside.
    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The constraints for uv, without those for `shadowed`.
    pub(super) fn constraints(&self, shadowed: &BTreeSet<String>) -> String {
        let left = self.all.iter().filter(|(name, _)| !shadowed.contains(**name));
        left.flat_map(|(name, (_, url))| [name, " @ ", url.as_str(), "\n"].map(str::to_owned)).collect()
    }

    /// The distribution of this name, if conda installs it.
    pub(super) fn get(&self, name: &str) -> Option<&'a Installed> {
        self.all.get(name).map(|(installed, _)| *installed)
    }

    /// Those that a requirement with a place of its own stands in for.
    pub(super) fn shadowed(&self, requirements: &[Requirement]) -> BTreeSet<String> {
        let direct = self.counting(requirements).filter(|requirement| requirement.url.is_some());
        direct
            .filter_map(|requirement| requirement.name.clone())
            .filter(|name| self.get(name).is_some())
            .collect()
    }

    /// The requirements that conda's versions do not satisfy.
    pub(super) fn refused<'r>(
        &self,
        requirements: &'r [Requirement],
    ) -> impl Iterator<Item = (&'a Installed, &'r Requirement)> {
        let named = self.counting(requirements).filter(|requirement| requirement.url.is_none());
        let pairs =
            named.filter_map(|requirement| Some((self.get(requirement.name.as_ref()?)?, requirement)));
        pairs.filter(|(installed, requirement)| !installed.satisfies(requirement))
    }

    fn counting<'r>(&self, requirements: &'r [Requirement]) -> impl Iterator<Item = &'r Requirement> {
        requirements.iter().filter(|requirement| {
            requirement.marker.as_ref().is_none_or(|marker| marker.holds(&self.environment))
        })
    }

    /// The conda distributions among `lock`, which are taken out of it.
    pub(super) fn take_from(&self, lock: &mut Pylock) -> Vec<&'a Installed> {
        let is_stub = |package: &Package| {
            let (_, url) = self.all.get(&*normalise_name(&package.name))?;
            let file = package.archive.as_ref()?;
            (file.location(&package.name).ok()? == *url).then_some(())
        };
        let (stubs, rest) = std::mem::take(&mut lock.packages)
            .into_iter()
            .partition::<Vec<Package>, _>(|package| is_stub(package).is_some());
        lock.packages = rest;
        stubs.iter().filter_map(|package| self.get(&normalise_name(&package.name))).collect()
    }
}

/// A wheel that holds nothing but what it says of itself.
fn wheel(stem: &str, metadata: &str) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let wheel = "Wheel-Version: 1.0\nGenerator: provenv\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    for (name, text) in [("METADATA", metadata), ("WHEEL", wheel), ("RECORD", "")] {
        archive
            .start_file(format!("{stem}.dist-info/{name}"), options)
            .and_then(|()| Ok(archive.write_all(text.as_bytes())?))
            .expect("a vector takes all that is written");
    }
    archive.finish().expect("a vector takes all that is written").into_inner()
}
