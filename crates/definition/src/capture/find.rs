//! Where conda environments are, by their names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{entries_of, small_file};
use crate::document::{self, Kind};
use crate::recognise::value_of;
use crate::secrets::shown;
use crate::{Diagnostic, ReadError, Source, codes, nearest};

/// What decides where conda, mamba and micromamba look for environments.
#[derive(Clone, Debug, Default)]
pub struct CondaPlaces {
    home: Option<PathBuf>,
    /// `CONDA_ENVS_PATH` and `CONDA_ENVS_DIRS`.
    folders: Vec<PathBuf>,
    /// `MAMBA_ROOT_PREFIX`, the one of `CONDA_EXE`, and that of the active environment.
    roots: Vec<PathBuf>,
}

impl CondaPlaces {
    /// Takes the environment variables that count.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let mut places = Self { home: path("HOME"), ..Self::default() };
        for name in ["CONDA_ENVS_PATH", "CONDA_ENVS_DIRS"] {
            let value = variable(name).unwrap_or_default();
            places.folders.extend(std::env::split_paths(&value).filter(|folder| folder.is_absolute()));
        }
        places.roots.extend(path("MAMBA_ROOT_PREFIX"));
        places.roots.extend(path("CONDA_ROOT"));
        // `ROOT/bin/conda`
        places.roots.extend(path("CONDA_EXE").and_then(|conda| Some(conda.parent()?.parent()?.to_owned())));
        places.roots.extend(path("CONDA_PREFIX").map(|prefix| match prefix.parent() {
            Some(parent) if parent.ends_with("envs") => parent.parent().unwrap_or(parent).to_owned(),
            _ => prefix,
        }));
        places
    }

    /// The prefix of the environment `name`; `base` is the root's own.
    pub fn prefix_of(&self, name: &str) -> Result<PathBuf, ReadError> {
        let is_prefix = |path: &Path| path.join("conda-meta").is_dir();
        let roots = self.all_roots();
        if matches!(name, "base" | "root")
            && let Some(root) = roots.iter().find(|root| is_prefix(root))
        {
            return Ok(root.clone());
        }
        let folders = self.folders(&roots);
        let plain = !name.is_empty() && !name.contains(['/', '\\']) && name != "." && name != "..";
        if plain
            && let Some(found) = folders.iter().map(|folder| folder.join(name)).find(|path| is_prefix(path))
        {
            return Ok(found);
        }
        // Environments elsewhere that conda made, by the last part of their path.
        let made = self.made();
        let mut found: Vec<&PathBuf> =
            made.iter().filter(|path| path.ends_with(name) && plain && is_prefix(path)).collect();
        found.dedup();
        match found[..] {
            [one] => Ok(one.clone()),
            [] => Err(unknown(name, &folders, &made)),
            _ => {
                let all: Vec<String> = found.iter().map(|path| format!("`{}`", path.display())).collect();
                let message = format!("several conda environments are called `{}`", shown(name));
                let hint = format!("give the path of one: {}", all.join(", "));
                Err(Diagnostic::new(codes::NOTHING_IN_FOLDER, message).with_hint(hint).into())
            }
        }
    }

    fn all_roots(&self) -> Vec<PathBuf> {
        let mut roots = self.roots.clone();
        for name in
            ["miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba", ".local/share/mamba"]
        {
            roots.extend(self.home.as_ref().map(|home| home.join(name)));
        }
        roots
    }

    /// Folders that hold environments by their names, the first that counts first.
    fn folders(&self, roots: &[PathBuf]) -> Vec<PathBuf> {
        let mut folders = self.folders.clone();
        let settings = self.home.iter().flat_map(|home| {
            [".condarc", ".mambarc", ".conda/.condarc", ".config/conda/.condarc"].map(|name| home.join(name))
        });
        let settings = settings.chain(roots.iter().map(|root| root.join(".condarc")));
        for file in settings.chain([PathBuf::from("/etc/conda/.condarc")]) {
            folders.extend(self.envs_dirs(&file));
        }
        folders.extend(roots.iter().map(|root| root.join("envs")));
        folders.extend(self.home.as_ref().map(|home| home.join(".conda/envs")));
        let mut seen = std::collections::HashSet::new();
        folders.retain(|folder| seen.insert(folder.clone()));
        folders
    }

    /// `envs_dirs` of a `.condarc`; one that cannot be read says nothing.
    fn envs_dirs(&self, file: &Path) -> Vec<PathBuf> {
        let Some(text) = small_file(file) else { return Vec::new() };
        let Ok(Some(node)) = document::parse_yaml(&Source::new(file, text)) else { return Vec::new() };
        let value = value_of(&node, "envs_dirs").or_else(|| value_of(&node, "envs_path"));
        let Some(Kind::Sequence(items)) = value.map(|value| &value.kind) else { return Vec::new() };
        let folder = |text: &str| match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(text),
        };
        items
            .iter()
            .filter_map(|item| item.text())
            .map(folder)
            .filter(|folder| folder.is_absolute())
            .collect()
    }

    /// `~/.conda/environments.txt`: every prefix that conda has made.
    fn made(&self) -> Vec<PathBuf> {
        let text = self.home.as_ref().and_then(|home| small_file(&home.join(".conda/environments.txt")));
        let text = text.unwrap_or_default();
        let mut made: Vec<PathBuf> =
            text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(PathBuf::from).collect();
        made.sort();
        made
    }
}

fn unknown(name: &str, folders: &[PathBuf], made: &[PathBuf]) -> ReadError {
    let in_folders = folders
        .iter()
        .flat_map(|folder| entries_of(folder))
        .filter(|(_, path)| path.join("conda-meta").is_dir());
    let last = |path: &PathBuf| Some(path.file_name()?.to_str()?.to_owned());
    let mut known: Vec<String> =
        in_folders.map(|(name, _)| name).chain(made.iter().filter_map(last)).collect();
    known.sort();
    known.dedup();
    let hint = match nearest(name, known.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => "give the path of the environment".to_owned(),
        None => {
            let names: Vec<String> = known.iter().take(20).map(|name| format!("`{}`", shown(name))).collect();
            format!("there are {}; an environment elsewhere is given by its path", names.join(", "))
        }
    };
    let message = format!("no conda environment is called `{}`", shown(name));
    Diagnostic::new(codes::NOTHING_IN_FOLDER, message).with_hint(hint).into()
}
