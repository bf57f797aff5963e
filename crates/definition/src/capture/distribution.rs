//! A Python package that is installed, as its `dist-info` or `egg-info` says it.

use std::path::{Path, PathBuf};

use super::direct_url::DirectUrl;
use super::{beginning_of, entries_of, small_file};
use crate::requirement::is_name;
use crate::{Place, Requirement, Source, Span, normalise_name};

/// Of a metadata file; its header is never longer.
const MAX_HEADER: u64 = 1 << 20;

/// One installed package.
#[derive(Debug)]
pub(super) struct Distribution {
    /// In normal form.
    pub name: String,
    /// As it is written.
    pub version: String,
    /// Where its metadata says its name.
    pub place: Place,
    /// Whether somebody asked for it, rather than another package.
    pub requested: bool,
    /// What installed it, e.g. `pip`.
    pub installer: Option<String>,
    /// Whether a list of its files was kept: not by `setup.py install` and not by some distributors.
    pub recorded: bool,
    /// Packages it needs, without those of its extras.
    pub requires: Vec<String>,
    /// Where it came from, if not from an index (PEP 610).
    pub direct_url: Option<DirectUrl>,
    /// The folder that it is installed from in place.
    pub editable: Option<PathBuf>,
}

/// All that is installed in the folder `site`, in the order of names of files; `owned` names metadata of others.
pub(super) fn installed_in(site: &Path, owned: &dyn Fn(&str) -> bool) -> (Vec<Distribution>, Vec<PathBuf>) {
    let entries = entries_of(site);
    let mut found = Vec::new();
    let mut unreadable = Vec::new();
    for (name, path) in &entries {
        if owned(name) {
            continue;
        }
        let distribution = if let Some(stem) = name.strip_suffix(".dist-info") {
            Distribution::of_dist_info(stem, path)
        } else if let Some(stem) = name.strip_suffix(".egg-info") {
            let file = if path.is_dir() { path.join("PKG-INFO") } else { path.clone() };
            Distribution::of_metadata(&file, stem)
        } else if let Some(stem) = name.strip_suffix(".egg").filter(|_| path.is_dir()) {
            Distribution::of_metadata(&path.join("EGG-INFO/PKG-INFO"), stem)
        } else if let Some(stem) = name.strip_suffix(".egg-link") {
            Distribution::of_egg_link(stem, path)
        } else {
            continue;
        };
        match distribution {
            Some(mut distribution) => {
                if distribution.direct_url.is_none() && distribution.editable.is_none() {
                    distribution.editable = editable_by_path_file(&distribution, &entries);
                }
                found.push(distribution);
            }
            None => unreadable.push(path.clone()),
        }
    }
    (found, unreadable)
}

impl Distribution {
    fn of_dist_info(stem: &str, folder: &Path) -> Option<Self> {
        let mut distribution = Self::of_metadata(&folder.join("METADATA"), stem)?;
        distribution.requested = folder.join("REQUESTED").is_file();
        distribution.recorded = folder.join("RECORD").is_file();
        distribution.installer = small_file(&folder.join("INSTALLER"))
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty());
        distribution.direct_url = small_file(&folder.join("direct_url.json"))
            .and_then(|text| serde_json::from_str::<DirectUrl>(&text).ok());
        Some(distribution)
    }

    /// `setup.py develop`: a file that holds the path of the source.
    fn of_egg_link(stem: &str, link: &Path) -> Option<Self> {
        let text = small_file(link)?;
        let folder = PathBuf::from(text.lines().next()?.trim());
        let metadata = folder.join(format!("{}.egg-info", stem.replace('-', "_"))).join("PKG-INFO");
        let metadata =
            if metadata.is_file() { metadata } else { folder.join(format!("{stem}.egg-info/PKG-INFO")) };
        let distribution = Self::of_metadata(&metadata, stem).or_else(|| {
            let place = super::whole(link);
            is_name(stem).then(|| Self::new(normalise_name(stem), String::new(), place))
        })?;
        Some(Self { editable: Some(folder), requested: true, recorded: true, ..distribution })
    }

    /// The header of a metadata file; `stem` is `name-version` of its folder, for what the header leaves out.
    fn of_metadata(file: &Path, stem: &str) -> Option<Self> {
        let text = beginning_of(file, MAX_HEADER).unwrap_or_default();
        let header = &text[..header_end(&text)];
        let mut stem = stem.split('-');
        let mut name = stem.next().map(str::to_owned);
        let mut version = stem.next().map(str::to_owned);
        let mut line_of_name = 1;
        let mut requires = Vec::new();
        let mut named = false;
        for (number, line) in header.lines().enumerate() {
            let Some((key, value)) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t'])) else {
                continue;
            };
            let value = value.trim();
            match &*key.to_ascii_lowercase() {
                "name" if !named => {
                    (name, line_of_name, named) = (Some(value.to_owned()), number + 1, true);
                }
                "version" => version = Some(value.to_owned()),
                "requires-dist" if !value.contains("extra") => {
                    requires.extend(value.parse::<Requirement>().ok().and_then(|needed| needed.name));
                }
                _ => {}
            }
        }
        let name = name.filter(|name| is_name(name))?;
        let line = header.lines().nth(line_of_name - 1).unwrap_or_default();
        let place = Source::new(file, format!("{}{line}", "\n".repeat(line_of_name - 1))).place(Span {
            line: line_of_name,
            column: 1,
            length: line.chars().count().max(1),
        });
        Some(Self { requires, ..Self::new(normalise_name(&name), version.unwrap_or_default(), place) })
    }

    fn new(name: String, version: String, place: Place) -> Self {
        Self {
            name,
            version,
            place,
            requested: false,
            installer: None,
            recorded: false,
            requires: Vec::new(),
            direct_url: None,
            editable: None,
        }
    }
}

/// Where the header of a metadata file ends: at its first empty line.
fn header_end(text: &str) -> usize {
    let unix = text.find("\n\n");
    let windows = text.find("\r\n\r\n");
    unix.into_iter().chain(windows).min().unwrap_or(text.len())
}

/// Setuptools' `__editable__.name-version.pth` says where an editable install is, also where no `direct_url.json` does.
fn editable_by_path_file(distribution: &Distribution, entries: &[(String, PathBuf)]) -> Option<PathBuf> {
    let start = format!("__editable__.{}-", distribution.name.replace('-', "_"));
    let at = entries.partition_point(|(name, _)| *name < start);
    let (_, path) = entries[at..]
        .iter()
        .take_while(|(name, _)| name.starts_with(&start))
        .find(|(name, _)| name.strip_suffix(".pth").is_some())?;
    let text = small_file(path)?;
    let folder = text.lines().map(str::trim).find(|line| line.starts_with('/'))?;
    // The package of a project in the `src` layout.
    let folder = Path::new(folder);
    let is_project =
        |folder: &&Path| folder.join("pyproject.toml").is_file() || folder.join("setup.py").is_file();
    Some(folder.ancestors().take(3).find(is_project).unwrap_or(folder).to_owned())
}
