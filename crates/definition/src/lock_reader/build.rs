//! From what a lock says to the definition that its pins make, and the artifacts it chose.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use indexmap::IndexMap;
use rattler_conda_types::package::CondaArchiveIdentifier;

use super::{GivenConda, LockReader, listed};
use crate::locked::{LockedConda, LockedPypi, LockedSource};
use crate::read::{Format, ReadEnvironment, Reading};
use crate::requirement::{Requirement, RequirementError};
use crate::secrets::shown;
use crate::{CondaRequirement, Diagnostic, Digest, Marker, PipRequirement, Platform, Span, codes, conda};

impl LockReader<'_> {
    /// The package `package`, with its pin as a requirement of the definition.
    pub fn add(&mut self, package: LockedPypi, span: Span) {
        let requirement = match requirement_of(&package) {
            Ok(requirement) => requirement,
            Err(error) => return self.refuse(span, error),
        };
        let text = requirement.to_string();
        let archive = match &package.source {
            Some(LockedSource::Archive { file, .. }) => Some(file),
            _ => None,
        };
        let mut hashes: Vec<Digest> = package
            .wheels
            .iter()
            .chain(&package.sdist)
            .chain(archive)
            .filter_map(|file| file.sha256)
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        let is_file = package.source.is_none() || archive.is_some();
        if is_file && hashes.is_empty() {
            let (count, ..) = self.unhashed.get_or_insert_with(|| (0, package.name.clone(), span));
            *count += 1;
        }
        if package.source.is_none() && !self.indexes.contains(&package.index) {
            self.indexes.push(package.index.clone());
        }
        let editable = matches!(&package.source, Some(LockedSource::Folder { editable: true, .. }));
        if let Some(at) = self.known.get(&text) {
            // The same pin for two platforms, each with its own files.
            let known = &mut self.requirements[*at].0;
            known.hashes.extend(hashes);
            known.hashes.sort_unstable();
            known.hashes.dedup();
        } else {
            self.known.insert(text.clone(), self.requirements.len());
            let entry = PipRequirement { requirement: text, hashes, editable };
            self.requirements.push((entry, self.source.place(span)));
        }
        self.locked.pypi.push(package);
    }

    /// Says which platforms of the lock images cannot be made for; it is an error where that is all of them.
    pub fn settle_platforms(&mut self, span: Span, others: &[String]) {
        self.platforms.sort_unstable();
        self.platforms.dedup();
        for platform in &self.platforms {
            self.locked.conda.entry(*platform).or_default();
        }
        if self.platforms.is_empty() {
            let message = match others {
                [] => "the lock names no platform".to_owned(),
                others => format!("the lock is for {} only, and images are for Linux", listed(others)),
            };
            let hint = "add `linux-64` to its platforms and lock again";
            let problem = Diagnostic::new(codes::NOT_SUPPORTED, message).with_hint(hint);
            self.diagnostics.push(problem.at(self.source.place(span)));
        } else if !others.is_empty() {
            self.report(codes::LEFT_OUT, span, format!("platforms left out: {}", listed(others)));
        }
    }

    /// The channel in `text`.
    pub fn channel(&mut self, text: &str, span: Span) {
        // Locks write URLs where people write names.
        match conda::channel_of(text, &self.folder).map(|channel| channel.map(conda::by_name)) {
            Ok(Some(channel)) if self.channels.iter().all(|(known, _)| *known != channel) => {
                self.channels.push((channel, self.source.place(span)));
            }
            Ok(_) => {}
            Err(error) => self.refuse(span, error),
        }
    }

    /// The package of `platform` at `text`, a URL or path; what `locked` does not say is taken from the file name.
    pub fn add_conda(&mut self, text: &str, span: Span, platform: Platform, given: GivenConda) {
        let mut spec = match conda::spec_of_package(text, &self.folder) {
            Ok(spec) => spec,
            Err(error) => return self.refuse(span, error),
        };
        // A spec of a URL has been read from a file name that fits.
        let Some(url) = spec.url.clone() else { return };
        let Some(known) = CondaArchiveIdentifier::try_from_url(url.as_url()) else { return };
        let known = known.identifier;
        if given.name.as_ref().is_some_and(|name| name.to_lowercase() != spec.name) {
            let message = format!("this is a file of `{}`, another package", shown(&spec.name));
            return self.invalid(span, message);
        }
        if given.sha256.is_none() {
            let (count, ..) = self.unhashed.get_or_insert_with(|| (0, spec.name.clone(), span));
            *count += 1;
        }
        spec.sha256 = given.sha256;
        // One hash is enough, and the better one.
        spec.md5 = given.md5.clone().filter(|_| given.sha256.is_none());
        let version = given.version.unwrap_or_else(|| known.version.replace("%21", "!"));
        let build = given.build.unwrap_or(known.build_string);
        self.locked.conda.entry(platform).or_default().push(LockedConda {
            name: spec.name.clone(),
            version,
            build,
            url,
            size: given.size,
            sha256: given.sha256,
            md5: given.md5,
            depends: given.depends,
            constrains: given.constrains,
        });
        let text = spec.to_string();
        if let Some((platforms, _)) = self.conda.get_mut(&text) {
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        } else {
            self.conda.insert(text, (vec![platform], self.source.place(span)));
        }
    }

    /// Python packages that were read for one platform each: those that are the same are one.
    pub fn add_of_platforms(&mut self, packages: Vec<(LockedPypi, Span)>) {
        let mut merged: IndexMap<_, (LockedPypi, Span)> = IndexMap::new();
        let mut named: HashMap<String, Vec<Platform>> = HashMap::new();
        for (package, span) in packages {
            named.entry(package.name.clone()).or_default().extend(&package.platforms);
            let key = (package.name.clone(), package.version.clone(), format!("{:?}", package.source));
            match merged.get_mut(&key) {
                None => {
                    merged.insert(key, (package, span));
                }
                Some((known, _)) => {
                    known.platforms.extend(package.platforms);
                    known.wheels.extend(package.wheels);
                    known.sdist = known.sdist.take().or(package.sdist);
                }
            }
        }
        for (mut package, span) in merged.into_values() {
            package.platforms.sort_unstable();
            package.platforms.dedup();
            let mut seen = HashSet::new();
            package.wheels.retain(|wheel| seen.insert(wheel.name.clone()));
            if package.platforms == self.platforms {
                package.platforms.clear();
            } else {
                let machine = |platform: &Platform| {
                    Marker::Compare(format!("platform_machine == '{}'", platform.machine()))
                };
                package.marker = Marker::any(package.platforms.iter().map(machine));
            }
            self.add(package, span);
        }
    }

    /// The environment that the lock stands for.
    pub fn finish(mut self, format: Format) -> Reading {
        if let Some((count, name, span)) = self.unhashed.take() {
            let others = if count > 1 { format!(" and {} more have", count - 1) } else { " has".to_owned() };
            let message = format!("`{}`{others} no sha256 hash in this lock", shown(&name));
            self.report(codes::UNHASHED, span, message);
        }
        let mut read = ReadEnvironment::new(format, self.source);
        let definition = &mut read.environment.definition;
        let (requirements, places) = self.requirements.into_iter().unzip();
        definition.pip.requirements = requirements;
        read.origins.requirements = places;
        let pypi = self.indexes.contains(&None);
        let others = self.indexes.into_iter().flatten();
        let (folders, others): (Vec<_>, Vec<_>) = others.partition(|url| url.as_url().scheme() == "file");
        definition.pip.find_links = folders;
        let mut others = others.into_iter();
        if !pypi {
            definition.pip.index_url = others.next();
        }
        definition.pip.extra_index_urls = others.collect();
        (definition.conda.channels, read.origins.channels) = self.channels.into_iter().unzip();
        for (spec, (platforms, place)) in self.conda {
            let platforms = if platforms.len() == self.platforms.len() { Vec::new() } else { platforms };
            definition.conda.packages.push(CondaRequirement { spec, platforms });
            read.origins.conda.push(place);
        }
        definition.platforms = self.platforms;
        definition.python = self.python;
        read.origins.python = self.python_place;
        read.locked = Some(self.locked);
        (read, self.diagnostics)
    }
}

/// `name==version ; marker`, or `name @ url ; marker` for what comes from no index.
fn requirement_of(package: &LockedPypi) -> Result<Requirement, RequirementError> {
    let marker = package.marker.as_ref().map_or(String::new(), |marker| format!(" ; {marker}"));
    let fragment = |subdirectory: &Option<String>| {
        subdirectory.as_ref().map_or(String::new(), |folder| format!("#subdirectory={folder}"))
    };
    let target = match &package.source {
        None => match &package.version {
            Some(version) => format!("=={version}"),
            None => String::new(),
        },
        Some(LockedSource::Git { url, commit, subdirectory }) => {
            format!(" @ git+{url}@{commit}{}", fragment(subdirectory))
        }
        Some(LockedSource::Archive { file, subdirectory }) => {
            let url = file.url.as_ref().map_or(String::new(), ToString::to_string);
            format!(" @ {url}{}", fragment(subdirectory))
        }
        Some(LockedSource::Folder { url, subdirectory, .. }) => {
            format!(" @ {url}{}", fragment(subdirectory))
        }
    };
    Requirement::parse(&format!("{}{target}{marker}", package.name), Path::new("/"))
}
