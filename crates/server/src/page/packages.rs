//! The packages of a version: sizes from the lock, licences and who needs whom from the image's bill of materials.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use maud::{Markup, html};
use provenv_definition::{Digest, Platform};
use provenv_workspace::{Chosen, SbomFormat, Workspace};
use serde::Deserialize;

use super::layout::badge;
use super::refused::Result;
use super::words::{bytes, count};
use crate::problem::Problem;

/// What packages say of themselves.
#[derive(Default)]
pub(super) struct About {
    /// Licences, by name and version.
    licences: HashMap<(String, String), String>,
    /// Which needs which, by names; those of Debian left out.
    pub needs: Vec<(String, String)>,
}

/// What the images that were looked at last say of their packages: making a bill of materials costs as much as its packages are
/// many, and an image's never changes once every package in it was read.
#[derive(Default)]
pub(super) struct Abouts(Mutex<Vec<(Key, Arc<About>)>>);

/// A workspace and an image in it.
type Key = (String, Digest);

/// So many are kept.
const KEPT: usize = 64;

impl Abouts {
    /// What the bill of materials of an image says of its packages.
    pub async fn of(&self, place: &str, workspace: &Workspace, image: &Digest) -> Result<Arc<About>> {
        let key = (place.to_owned(), *image);
        if let Some(about) = self.known(&key) {
            return Ok(about);
        }
        let (about, is_whole) = read(workspace, image).await?;
        let about = Arc::new(about);
        if is_whole {
            self.keep(key, Arc::clone(&about));
        }
        Ok(about)
    }

    /// One that is kept; it becomes the last to be forgotten.
    fn known(&self, key: &Key) -> Option<Arc<About>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(other, _)| other == key)?;
        let found = kept.remove(place);
        let about = Arc::clone(&found.1);
        kept.push(found);
        Some(about)
    }

    fn keep(&self, key: Key, about: Arc<About>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(other, _)| *other != key);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((key, about));
    }
}

/// The part of an SPDX document that is read here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    packages: Vec<Package>,
    #[serde(default)]
    relationships: Vec<Relationship>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    version_info: Option<String>,
    license_declared: Option<String>,
    #[serde(default)]
    external_refs: Vec<ExternalRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_locator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: String,
    related_spdx_element: String,
}

/// What the bill of materials of an image says of its packages, and whether it will never say more.
async fn read(workspace: &Workspace, image: &Digest) -> Result<(About, bool)> {
    let sbom = workspace.sbom(&image.to_string(), workspace.root(), SbomFormat::Spdx).await?;
    let document: Document =
        serde_json::from_slice(&sbom.document).map_err(|error| Problem::fault(&error))?;
    let is_debian = |package: &Package| {
        package.external_refs.iter().any(|reference| reference.reference_locator.starts_with("pkg:deb/"))
    };
    let names: HashMap<&str, &str> = document
        .packages
        .iter()
        .filter(|package| !is_debian(package))
        .map(|package| (&*package.id, &*package.name))
        .collect();
    let needs = document
        .relationships
        .iter()
        .filter(|relationship| relationship.relationship_type == "DEPENDS_ON")
        .filter_map(|relationship| {
            let from = names.get(&*relationship.spdx_element_id)?;
            let to = names.get(&*relationship.related_spdx_element)?;
            Some(((*from).to_owned(), (*to).to_owned()))
        });
    let needs = needs.collect();
    let said = |licence: &String| !licence.starts_with("NO");
    let licences = document
        .packages
        .into_iter()
        .filter_map(|package| {
            let licence = package.license_declared.filter(said)?;
            Some(((package.name, package.version_info.unwrap_or_default()), licence))
        })
        .collect();
    Ok((About { licences, needs }, sbom.unread == 0))
}

impl About {
    fn licence(&self, name: &str, version: &str) -> Option<&str> {
        // Conda's version has the build behind it.
        let plain = version.split(' ').next().unwrap_or_default();
        let found = [version, plain]
            .into_iter()
            .find_map(|version| self.licences.get(&(name.to_owned(), version.to_owned())));
        found.map(String::as_str)
    }
}

/// The packages of every platform. Debian's, which are many and seldom what is looked for, are folded.
pub(super) fn section(path: &str, chosen: &[(Platform, Chosen)], about: &About) -> Markup {
    html! {
        section #packages {
            h2 { "Packages" }
            @if chosen.is_empty() { p { "It has no lock here: it is shipped, and was not used in this workspace yet." } }
            @for (platform, one) in chosen {
                @if chosen.len() > 1 { h3 { (platform) } }
                @let (debian, others): (Vec<_>, Vec<_>) = one.packages.iter().partition(|package| package.ecosystem == "deb");
                @if others.is_empty() { p { "Nothing on top of the base." } }
                @else { (table(&format!("Packages for {platform}"), &others, about)) }
                @if !debian.is_empty() {
                    details {
                        @let size = debian.iter().map(|package| package.size).sum();
                        summary { "Debian: " (count(debian.len(), "package")) ", " (bytes(size)) }
                        (table(&format!("Debian packages for {platform}"), &debian, about))
                    }
                }
            }
            @if !chosen.is_empty() { p.links { a href={ (path) "/lock" } { "The lock, with every URL and sha256" } } }
        }
    }
}

fn table(label: &str, packages: &[&provenv_workspace::PackageSummary], about: &About) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table.packages {
                thead { tr { th scope="col" { "Package" } th scope="col" { "Version" } th scope="col" { "From" } th.number scope="col" { "Size" } th scope="col" { "Licence" } } }
                tbody {
                    @for package in packages {
                        tr {
                            th scope="row" { (package.name) }
                            td { (package.version) }
                            td { (badge(&package.ecosystem, &package.ecosystem)) }
                            td.number { @if package.size > 0 { (bytes(package.size)) } @else { "–" } }
                            td.licence { (about.licence(&package.name, &package.version).unwrap_or("–")) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_at_for_long_is_forgotten() {
        let abouts = Abouts::default();
        let key = |number: usize| ("default".to_owned(), Digest::of(number.to_string().as_bytes()));
        for number in 0..KEPT {
            abouts.keep(key(number), Arc::default());
        }
        assert!(abouts.known(&key(0)).is_some());
        abouts.keep(key(KEPT), Arc::default());
        assert!(abouts.known(&key(1)).is_none(), "the one that was looked at first");
        assert!(abouts.known(&key(0)).is_some() && abouts.known(&key(KEPT)).is_some());
        let elsewhere = ("vision".to_owned(), key(0).1);
        assert!(abouts.known(&elsewhere).is_none(), "of another workspace");
    }
}
