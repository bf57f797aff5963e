//! How what two environments ask for differs, part by part.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::{
    Base, BuildContext, CondaRequirements, CondaSpec, ContextLocation, CranPackage, Definition, Digest,
    Environment, PipRequirement, PipRequirements, RPackages, Requirement, SparkPackages, is_secret_name,
    mask_secrets,
};

/// One thing that two environments ask for differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The part it belongs to, e.g. `pip`, `channels`, `environment_variables`.
    pub part: &'static str,
    /// Which of the part's entries; `None` where the part is one value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the old one asks for, as people write it; `None` where it asks for nothing.
    pub old: Option<String>,
    /// What the new one asks for.
    pub new: Option<String>,
    /// Whether it counts for the definition digest: the two may then be other images.
    pub counts: bool,
}

/// What has to change in what `old` asks for to make it what `new` asks for. Names and versions are left out: they say
/// which environment it is, and not what it holds. Values of variables that are likely to be secret are masked.
pub fn differences(old: &Environment, new: &Environment) -> Vec<Difference> {
    // Every field is named, so that a new one cannot be forgotten here.
    let Environment {
        name: _,
        version: _,
        description,
        tags,
        environment_variables,
        inference_config,
        interpreter_path,
        definition,
    } = new;
    let Definition { base, system_packages, python, conda, pip, spark, r, user_managed, platforms } =
        definition;
    let was = &old.definition;
    // What the base is said to have is kept for the record alone.
    let installed = !(was.user_managed && *user_managed);
    let mut found = Differences { list: Vec::new(), counts: true };
    found.value("base", Some(base_text(&was.base)), Some(base_text(base)));
    found.value("user_managed", flag(was.user_managed), flag(*user_managed));
    found.entries(
        "system_packages",
        was.system_packages.iter().map(|package| (package.name.clone(), package.to_string())),
        system_packages.iter().map(|package| (package.name.clone(), package.to_string())),
    );
    found.counts = installed;
    found.value("python", text(was.python.as_ref()), text(python.as_ref()));
    found.conda(&was.conda, conda);
    found.pip(&was.pip, pip);
    found.counts = true;
    found.spark(&was.spark, spark);
    found.r(&was.r, r);
    found.value("platforms", joined(&was.platforms), joined(platforms));
    found.counts = false;
    found.value("interpreter_path", text(old.interpreter_path.as_ref()), text(interpreter_path.as_ref()));
    let variable = |(name, value): (&String, &String)| {
        let shown = if is_secret_name(name) { "***".to_owned() } else { mask_secrets(value) };
        // Values that look alike when masked are still told apart.
        Entry { name: name.clone(), key: value.clone(), shown }
    };
    found.keyed(
        "environment_variables",
        old.environment_variables.iter().map(variable),
        environment_variables.iter().map(variable),
    );
    found.value("description", text(old.description.as_ref()), text(description.as_ref()));
    let tag = |(name, value): (&String, &String)| (name.clone(), value.clone());
    found.entries("tags", old.tags.iter().map(tag), tags.iter().map(tag));
    let routes = |config: &Option<crate::InferenceConfig>| {
        config.as_ref().map(|config| {
            [&config.liveness_route, &config.readiness_route, &config.scoring_route]
                .map(|route| format!("{}{}", route.port, route.path))
                .join(", ")
        })
    };
    found.value("inference_config", routes(&old.inference_config), routes(inference_config));
    found.list
}

/// An entry of a part: what it is called, what it is compared by, how it is shown.
struct Entry {
    name: String,
    key: String,
    shown: String,
}

struct Differences {
    list: Vec<Difference>,
    /// Whether what is found now counts for the definition digest.
    counts: bool,
}

impl Differences {
    /// A part that is one value.
    fn value(&mut self, part: &'static str, old: Option<String>, new: Option<String>) {
        if old != new {
            self.list.push(Difference { part, name: None, old, new, counts: self.counts });
        }
    }

    /// A part whose entries have names, in any order.
    fn entries(
        &mut self,
        part: &'static str,
        old: impl Iterator<Item = (String, String)>,
        new: impl Iterator<Item = (String, String)>,
    ) {
        let entry = |(name, shown): (String, String)| Entry { name, key: shown.clone(), shown };
        self.keyed(part, old.map(entry), new.map(entry));
    }

    fn keyed(
        &mut self,
        part: &'static str,
        old: impl Iterator<Item = Entry>,
        new: impl Iterator<Item = Entry>,
    ) {
        // A name may have several entries, for one platform or Python each.
        let mut by_name: BTreeMap<String, [Vec<Entry>; 2]> = BTreeMap::new();
        for (side, entry) in old.map(|entry| (0, entry)).chain(new.map(|entry| (1, entry))) {
            by_name.entry(entry.name.clone()).or_default()[side].push(entry);
        }
        for (name, [mut old, mut new]) in by_name {
            old.retain(|entry| match new.iter().position(|other| other.key == entry.key) {
                Some(same) => {
                    new.remove(same);
                    false
                }
                None => true,
            });
            let (mut old, mut new) = (old.into_iter(), new.into_iter());
            loop {
                let (old, new) = (old.next(), new.next());
                if old.is_none() && new.is_none() {
                    break;
                }
                let shown = |entry: Option<Entry>| entry.map(|entry| entry.shown);
                self.list.push(Difference {
                    part,
                    name: Some(name.clone()),
                    old: shown(old),
                    new: shown(new),
                    counts: self.counts,
                });
            }
        }
    }

    fn conda(&mut self, old: &CondaRequirements, new: &CondaRequirements) {
        let CondaRequirements { channels, packages, virtual_packages } = new;
        // The order of channels counts.
        self.value("channels", joined(&old.channels), joined(channels));
        let entry = |requirement: &crate::CondaRequirement| {
            let platforms = joined(&requirement.platforms).map(|names| format!(" on {names}"));
            (conda_name(requirement), format!("{}{}", requirement.spec, platforms.unwrap_or_default()))
        };
        self.entries("conda", old.packages.iter().map(entry), packages.iter().map(entry));
        let declared = |package: &crate::VirtualPackage| (package.name.clone(), package.to_string());
        let was = old.virtual_packages.iter().map(declared);
        self.entries("virtual_packages", was, virtual_packages.iter().map(declared));
    }

    fn pip(&mut self, old: &PipRequirements, new: &PipRequirements) {
        let PipRequirements {
            requirements,
            constraints,
            index_url,
            extra_index_urls,
            find_links,
            no_index,
            pre,
            require_hashes,
            no_binary,
            only_binary,
        } = new;
        self.entries("pip", old.requirements.iter().map(requirement), requirements.iter().map(requirement));
        let bounds = constraints.iter().map(requirement);
        self.entries("constraints", old.constraints.iter().map(requirement), bounds);
        self.value("index_url", text(old.index_url.as_ref()), text(index_url.as_ref()));
        self.value("extra_index_urls", joined(&old.extra_index_urls), joined(extra_index_urls));
        self.value("find_links", joined(&old.find_links), joined(find_links));
        self.value("no_index", flag(old.no_index), flag(*no_index));
        self.value("pre", flag(old.pre), flag(*pre));
        self.value("require_hashes", flag(old.require_hashes), flag(*require_hashes));
        self.value("no_binary", joined(&old.no_binary), joined(no_binary));
        self.value("only_binary", joined(&old.only_binary), joined(only_binary));
    }

    fn spark(&mut self, old: &SparkPackages, new: &SparkPackages) {
        let SparkPackages { repositories, packages, no_precache } = new;
        self.value("spark_repositories", joined(&old.repositories), joined(repositories));
        let entry = |package: &crate::MavenPackage| {
            (format!("{}:{}", package.group, package.artifact), package.to_string())
        };
        self.entries("spark_packages", old.packages.iter().map(entry), packages.iter().map(entry));
        self.value("spark_no_precache", flag(old.no_precache), flag(*no_precache));
    }

    fn r(&mut self, old: &RPackages, new: &RPackages) {
        let RPackages {
            version,
            user_managed,
            rscript_path,
            snapshot_date,
            cran,
            github,
            urls,
            bioconductor,
        } = new;
        self.value("r_version", text(old.version.as_ref()), text(version.as_ref()));
        self.value("r_user_managed", flag(old.user_managed), flag(*user_managed));
        self.value("rscript_path", text(old.rscript_path.as_ref()), text(rscript_path.as_ref()));
        self.value("snapshot_date", text(old.snapshot_date.as_ref()), text(snapshot_date.as_ref()));
        let entry = |package: &CranPackage| {
            let version = package.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            let from = package.repository.as_ref().map(|url| format!(" from {url}")).unwrap_or_default();
            (package.name.clone(), format!("{}{version}{from}", package.name))
        };
        self.entries("cran", old.cran.iter().map(entry), cran.iter().map(entry));
        for (part, old, new) in
            [("r_github", &old.github, github), ("bioconductor", &old.bioconductor, bioconductor)]
        {
            let entry = |text: &String| (text.clone(), text.clone());
            self.entries(part, old.iter().map(entry), new.iter().map(entry));
        }
        let entry = |url: &crate::SafeUrl| (url.to_string(), url.to_string());
        self.entries("r_urls", old.urls.iter().map(entry), urls.iter().map(entry));
    }
}

/// The package's name, and the requirement with the digest of its hashes where it has some.
fn requirement(requirement: &PipRequirement) -> (String, String) {
    let name = pip_name(requirement);
    let PipRequirement { requirement, hashes, editable } = requirement;
    let shown = format!("{}{requirement}", if *editable { "-e " } else { "" });
    if hashes.is_empty() {
        return (name, shown);
    }
    let mut all: Vec<String> = hashes.iter().map(ToString::to_string).collect();
    all.sort();
    let hashes = Digest::of(all.join(",").as_bytes()).short();
    (name, format!("{shown} (hashes {hashes})"))
}

/// The package that a requirement asks for; the requirement itself where it names none.
pub(crate) fn pip_name(requirement: &PipRequirement) -> String {
    let parsed = Requirement::parse(&requirement.requirement, Path::new("/")).ok();
    parsed.and_then(|parsed| parsed.name).unwrap_or_else(|| requirement.requirement.clone())
}

/// The same of conda's.
pub(crate) fn conda_name(requirement: &crate::CondaRequirement) -> String {
    let spec = &requirement.spec;
    spec.parse::<CondaSpec>().map_or_else(|_| spec.clone(), |spec| spec.name)
}

fn base_text(base: &Base) -> String {
    match base {
        Base::Debian { suite: None } => "debian".to_owned(),
        Base::Debian { suite: Some(suite) } => format!("debian/{suite}"),
        Base::Image { reference } => reference.clone(),
        Base::Dockerfile { text } => {
            format!("Dockerfile of {} lines ({})", text.lines().count(), Digest::of(text.as_bytes()).short())
        }
        Base::Context(BuildContext { location, dockerfile }) => match location {
            ContextLocation::Folder { path, content } => {
                format!("{dockerfile} in {path} ({})", content.short())
            }
            ContextLocation::Url(url) => format!("{dockerfile} in {url}"),
        },
    }
}

fn text<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn flag(value: bool) -> Option<String> {
    value.then(|| "true".to_owned())
}

/// A list whose order counts, or has no names.
fn joined<T: ToString>(items: &[T]) -> Option<String> {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    (!items.is_empty()).then(|| items.join(", "))
}
