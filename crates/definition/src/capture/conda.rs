//! Conda prefixes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;

use super::history::{self, History};
use super::pip::Seeds;
use super::record::Record;
use super::virtualenv::{packages_of, site_packages};
use super::{Capture, Extent, entries_of, pip, small_file, whole};
use crate::secrets::shown;
use crate::{
    CondaChannel, CondaRequirement, CondaSpec, LockedArtifacts, LockedConda, Place, Platform, Source, codes,
};

/// Reads the conda environment at the capture's prefix.
pub(super) fn read(capture: &mut Capture<'_>) {
    let folder = capture.prefix.join("conda-meta");
    let mut records = Vec::new();
    for (name, file) in entries_of(&folder) {
        if Path::new(&name).extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        if let Some(record) = Record::read(&file) {
            records.push(record);
        } else {
            let message = "this record of a package cannot be read: the package is left out".to_owned();
            capture.remark_on(codes::NOT_REPRODUCIBLE, message, None, &file);
        }
    }
    let history = match Source::read(&folder.join("history")) {
        Ok(source) => History::parse(&source),
        Err(_) => History::default(),
    };
    name(capture);
    variables(capture, &folder.join("state"));
    channels(capture, &records, &history.channels);
    match capture.extent {
        Extent::History => asked_for(capture, &records, history),
        Extent::Exact => exact(capture, &records),
    }
    python_packages(capture, &records);
    if capture.extent == Extent::Exact && capture.pip.requirements.is_empty() {
        capture.read.locked = locked(&records);
    }
}

/// The artifacts themselves, where each of them can be fetched and checked. What pip installed is not on record as files.
fn locked(records: &[Record]) -> Option<LockedArtifacts> {
    let mut of: BTreeMap<Platform, Vec<LockedConda>> = BTreeMap::new();
    let mut of_any = Vec::new();
    for record in records {
        let package = record.locked()?;
        match record.platform() {
            Some(platform) => of.entry(platform.ok()?).or_default().push(package),
            None => of_any.push(package),
        }
    }
    // Nothing says for which system packages without one are.
    let mut platforms = of.into_iter();
    let (platform, mut packages) = platforms.next()?;
    if platforms.next().is_some() {
        return None;
    }
    packages.append(&mut of_any);
    packages.sort_by(|left, right| left.name.cmp(&right.name));
    Some(LockedArtifacts { conda: BTreeMap::from([(platform, packages)]), ..LockedArtifacts::default() })
}

/// `envs/NAME`.
fn name(capture: &mut Capture<'_>) {
    let prefix = fs_err::canonicalize(capture.prefix).unwrap_or_else(|_| capture.prefix.to_owned());
    let in_envs =
        prefix.parent().is_some_and(|parent| parent.ends_with("envs") && !parent.ends_with(".pixi/envs"));
    let name = prefix.file_name().and_then(|name| name.to_str());
    capture.read.environment.name = name.filter(|_| in_envs).map(str::to_owned);
}

/// What `conda env config vars set` keeps.
fn variables(capture: &mut Capture<'_>, file: &Path) {
    #[derive(Deserialize)]
    struct State {
        #[serde(default)]
        env_vars: indexmap::IndexMap<String, String>,
    }
    let Some(state) = small_file(file).and_then(|text| serde_json::from_str::<State>(&text).ok()) else {
        return;
    };
    for (name, value) in state.env_vars {
        let usable = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
        if usable && value != "***unset***" {
            capture.read.origins.variables.insert(name.clone(), whole(file));
            capture.read.environment.environment_variables.insert(name, value);
        }
    }
}

/// The channels that packages came from. Their order decides where a package is taken from, and only commands tell it.
fn channels(capture: &mut Capture<'_>, records: &[Record], named: &[String]) {
    let mut used: Vec<(CondaChannel, usize, Place)> = Vec::new();
    let mut numbers: HashMap<CondaChannel, usize> = HashMap::new();
    let mut told = HashSet::new();
    for record in records {
        let Some((channel, hidden)) = record.channel() else { continue };
        let number = *numbers.entry(channel.clone()).or_insert_with(|| {
            used.push((channel.clone(), 0, whole(&record.file)));
            used.len() - 1
        });
        used[number].1 += 1;
        if hidden && told.insert(number) {
            let message = format!(
                "the channel `{}` was used with credentials, which were left out",
                shown(&channel.to_string())
            );
            let hint = "write a variable, `https://host/t/${TOKEN}/…`, or keep them in netrc or the keyring";
            capture.remark_on(codes::NOT_REPRODUCIBLE, message, Some(hint), &record.file);
        }
    }
    let rank = |channel: &CondaChannel| {
        let text = channel.to_string();
        named.iter().position(|name| name.trim_end_matches('/') == text).unwrap_or(usize::MAX)
    };
    used.sort_by(|(left, many, _), (right, more, _)| {
        (rank(left), std::cmp::Reverse(*many), left.to_string()).cmp(&(
            rank(right),
            std::cmp::Reverse(*more),
            right.to_string(),
        ))
    });
    if used.iter().filter(|(channel, _, _)| rank(channel) == usize::MAX).count() > 1 {
        let message =
            "the order of the channels is not on record: those that more packages came from are first";
        let hint = "put them in the order that you mean";
        let file = capture.prefix.join("conda-meta/history");
        capture.remark_on(codes::NOT_ON_RECORD, message.to_owned(), Some(hint), &file);
    }
    for (channel, _, place) in used {
        capture.read.environment.definition.conda.channels.push(channel);
        capture.read.origins.channels.push(place);
    }
}

/// What was asked for: by the history, else by what each record says, else what no other package needs.
fn asked_for(capture: &mut Capture<'_>, records: &[Record], history: History) {
    let there: HashSet<&str> = records.iter().map(|record| &*record.name).collect();
    let mut specs: Vec<(String, Place)> = Vec::new();
    for (name, (spec, place)) in history.specs {
        if there.contains(&*name) {
            specs.push((spec, place));
        }
    }
    if specs.is_empty() {
        let of_record = |record: &Record| {
            let place = whole(&record.file);
            record.requested().map(|spec| (spec.to_owned(), place.clone())).collect::<Vec<_>>()
        };
        specs = records.iter().flat_map(of_record).collect();
    }
    if specs.is_empty() && !records.is_empty() {
        let message =
            "no history says which packages were asked for: those that no other one needs were taken";
        let hint = "look through them, or capture all with `--exact`";
        let file = capture.prefix.join("conda-meta/history");
        capture.remark_on(codes::NOT_ON_RECORD, message.to_owned(), Some(hint), &file);
        let needed: HashSet<String> = records
            .iter()
            .flat_map(|record| {
                record
                    .depends
                    .iter()
                    .filter_map(|spec| history::name_of(spec))
                    .filter(|name| *name != record.name)
            })
            .collect();
        let roots = records.iter().filter(|record| !needed.contains(&record.name));
        specs = roots
            .map(|record| (format!("{}={}", record.name, record.version), whole(&record.file)))
            .collect();
    }
    for (spec, place) in specs {
        add(capture, &spec, place);
    }
}

/// All that is there, for the system that it was made on.
fn exact(capture: &mut Capture<'_>, records: &[Record]) {
    let mut platforms: Vec<Platform> = Vec::new();
    let mut foreign: Option<&str> = None;
    for record in records {
        match record.platform() {
            Some(Ok(platform)) if !platforms.contains(&platform) => platforms.push(platform),
            Some(Err(other)) => foreign = Some(other),
            _ => {}
        }
    }
    if let Some(other) = foreign {
        let message = format!("this environment was made for `{}`: its builds are left out", shown(other));
        let hint = "the versions were kept; packages that only that system has are to be taken out by hand";
        let folder = capture.prefix.join("conda-meta");
        capture.remark_on(codes::NOT_REPRODUCIBLE, message, Some(hint), &folder);
    }
    platforms.sort_unstable();
    capture.read.environment.definition.platforms = platforms;
    for record in records {
        let spec = match record.platform() {
            Some(Err(_)) => format!("{}=={}", record.name, record.version),
            _ => record.exact_spec(),
        };
        add(capture, &spec, whole(&record.file));
    }
}

/// Adds a spec as conda would read it; what cannot be read is left out, and said. Messages quote no more of it than the
/// parser does, because a spec may be a URL with credentials.
fn add(capture: &mut Capture<'_>, spec: &str, place: Place) {
    match spec.parse::<CondaSpec>() {
        Ok(spec) => {
            let package = CondaRequirement { spec: spec.to_string(), platforms: Vec::new() };
            capture.read.environment.definition.conda.packages.push(package);
            capture.read.origins.conda.push(place);
        }
        Err(error) => {
            let message = format!("`{}` is left out: {}", shown(spec), error.message);
            capture.remark(codes::NOT_REPRODUCIBLE, message, Some("add it by hand"), place);
        }
    }
}

/// What pip installed besides: metadata of Python packages that no record of conda's owns.
fn python_packages(capture: &mut Capture<'_>, records: &[Record]) {
    let owned: HashSet<&str> =
        records.iter().flat_map(|record| &record.metadata).map(String::as_str).collect();
    let mut installed = Vec::new();
    for site in site_packages(capture.prefix) {
        let mut found = packages_of(capture, &site, &|name| owned.contains(name));
        // What conda removed and left behind is nothing of pip's.
        found.retain(|one| one.installer.as_deref() != Some("conda"));
        installed.append(&mut found);
    }
    pip::take(capture, installed, Seeds::default());
    let definition = &capture.read.environment.definition;
    if capture.extent == Extent::History
        && !capture.pip.requirements.is_empty()
        && !capture.read.origins.conda.is_empty()
        && let Some(record) = records.iter().find(|record| record.name == "pip")
        && !definition
            .conda
            .packages
            .iter()
            .any(|package| history::name_of(&package.spec).as_deref() == Some("pip"))
    {
        // pip came with Python, and whoever installs the packages above by conda needs it.
        add(capture, "pip", whole(&record.file));
    }
}
