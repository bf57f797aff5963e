//! What is in a base that is an image: the packages that its dpkg says are installed, and what lies in its files as parts lie in
//! packages.

use std::io::Read as _;
use std::path::Path;

use provenv_definition::{Digest, Platform};
use provenv_fetch::Silent;
use provenv_store::Store;

use super::{About, FORMAT, MOST, Part, PartKind, copyright, part};
use crate::base_image::{BaseImage, InstalledDeb, Look};
use crate::unpack;

/// Of a base whose files are unpacked, as they are where something was built on it. One that is gone says nothing.
pub(super) fn read(store: &Store, manifest: &Digest, platform: Platform) -> Option<About> {
    let base = BaseImage::open(store, manifest, platform).ok()?;
    let root = unpack::unpacked_base(store, &base.layers)?;
    let facts = base.facts(store, platform, &Silent).ok()?;
    let look = Look::new(&root);
    let mut parts: Vec<Part> = facts.debian.iter().map(|deb| installed(&look, deb)).collect();
    parts.extend(lying_in(&root));
    Some(About {
        format: FORMAT,
        system: Some((facts.os.id, facts.os.version_id.or(facts.os.codename).unwrap_or_default())),
        summary: facts.os.pretty_name,
        parts,
        ..About::default()
    })
}

fn installed(look: &Look<'_>, deb: &InstalledDeb) -> Part {
    let file = format!("usr/share/doc/{}/copyright", deb.name);
    let text = look.bytes(&file, MOST).ok().flatten().unwrap_or_default();
    let said = deb.source.as_deref().unwrap_or_default();
    Part {
        kind: PartKind::Deb,
        name: deb.name.clone(),
        version: deb.version.clone(),
        path: "/var/lib/dpkg/status".to_owned(),
        licenses: copyright::licences(&String::from_utf8_lossy(&text)),
        source: Some(super::source(said, &deb.name, &deb.version)),
        architecture: Some(deb.architecture.clone()),
        needs: Vec::new(),
        summary: None,
        homepage: None,
        maker: None,
    }
}

/// Python distributions and JavaScript packages among the files below `root`, by their paths.
fn lying_in(root: &Path) -> Vec<Part> {
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_file());
    let parts = files.filter_map(|entry| {
        let path = entry.path().strip_prefix(root).ok()?.to_str()?.to_owned();
        part::kind_of(&path)?;
        let mut bytes = Vec::new();
        fs_err::File::open(entry.path()).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
        part::of_file(&path, &bytes)
    });
    parts.collect()
}
