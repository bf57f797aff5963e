//! The native environment YAML.

use std::fmt::Write as _;

use super::requirements::{options, requirement};
use crate::{
    Base, BuildContext, CondaRequirement, CondaRequirements, ContextLocation, CranPackage, Environment,
    InferenceConfig, PipRequirements, Platform, RPackages, SparkPackages,
};

/// The native environment YAML of `environment`; keys stand in a fixed order.
pub fn write_native(environment: &Environment) -> String {
    let Environment {
        name,
        version,
        description,
        tags,
        environment_variables,
        inference_config,
        interpreter_path,
        definition,
    } = environment;
    let mut yaml = String::new();
    field(&mut yaml, "name", name.as_deref());
    // A version is a text that often looks like a number.
    field(&mut yaml, "version", version.as_deref());
    field(&mut yaml, "description", description.as_deref());
    write_base(&mut yaml, &definition.base);
    if definition.user_managed {
        line(&mut yaml, 0, "user_managed: true");
    }
    field(&mut yaml, "interpreter_path", interpreter_path.as_deref());
    field(&mut yaml, "python", definition.python.as_ref().map(ToString::to_string).as_deref());
    list(&mut yaml, 0, "system_packages", definition.system_packages.iter().map(ToString::to_string));
    write_pip(&mut yaml, &definition.pip);
    write_conda(&mut yaml, &definition.conda);
    write_spark(&mut yaml, &definition.spark);
    write_r(&mut yaml, &definition.r);
    list(&mut yaml, 0, "virtual_packages", definition.conda.virtual_packages.iter().map(ToString::to_string));
    list(&mut yaml, 0, "platforms", definition.platforms.iter().map(ToString::to_string));
    map(&mut yaml, "environment_variables", environment_variables);
    map(&mut yaml, "tags", tags);
    if let Some(config) = inference_config {
        routes(&mut yaml, config);
    }
    if yaml.is_empty() {
        // An environment that asks for nothing still has to be a mapping.
        yaml.push_str("base: debian\n");
    }
    yaml
}

/// `inference_config`, as Azure ML has it.
pub(super) fn routes(yaml: &mut String, config: &InferenceConfig) {
    line(yaml, 0, "inference_config:");
    for (key, route) in [
        ("liveness_route", &config.liveness_route),
        ("readiness_route", &config.readiness_route),
        ("scoring_route", &config.scoring_route),
    ] {
        line(yaml, 1, &format!("{key}:"));
        line(yaml, 2, &format!("port: {}", route.port));
        line(yaml, 2, &format!("path: {}", scalar(&route.path)));
    }
}

fn write_base(yaml: &mut String, base: &Base) {
    match base {
        Base::Debian { suite: None } => {}
        Base::Debian { suite: Some(suite) } => field(yaml, "base", Some(&format!("debian/{suite}"))),
        Base::Image { reference } => field(yaml, "image", Some(reference)),
        Base::Dockerfile { text } => block(yaml, "dockerfile", text),
        Base::Context(BuildContext { location, dockerfile }) => {
            let path = match location {
                ContextLocation::Folder { path, content: _ } => path,
                ContextLocation::Url(url) => url,
            };
            line(yaml, 0, "build:");
            line(yaml, 1, &format!("path: {}", scalar(&path.to_string())));
            line(yaml, 1, &format!("dockerfile_path: {}", scalar(dockerfile)));
        }
    }
}

fn write_conda(yaml: &mut String, conda: &CondaRequirements) {
    if conda.channels.is_empty() && conda.packages.is_empty() {
        return;
    }
    line(yaml, 0, "conda_file:");
    list(yaml, 1, "channels", conda.channels.iter().map(ToString::to_string));
    if !conda.packages.is_empty() {
        line(yaml, 1, "dependencies:");
    }
    for CondaRequirement { spec, platforms } in &conda.packages {
        let selector = match platforms[..] {
            [] => String::new(),
            [Platform::LinuxAmd64] => "sel(linux64): ".to_owned(),
            [Platform::LinuxArm64] => "sel(aarch64): ".to_owned(),
            _ => "sel(linux): ".to_owned(),
        };
        line(yaml, 2, &format!("- {selector}{}", scalar(spec)));
    }
}

fn write_spark(yaml: &mut String, spark: &SparkPackages) {
    if spark.is_empty() {
        return;
    }
    line(yaml, 0, "spark:");
    list(yaml, 1, "repositories", spark.repositories.iter().map(ToString::to_string));
    list(yaml, 1, "packages", spark.packages.iter().map(ToString::to_string));
    if spark.no_precache {
        line(yaml, 1, "precache_packages: false");
    }
}

fn write_r(yaml: &mut String, r: &RPackages) {
    if r.is_empty() {
        return;
    }
    let RPackages { version, user_managed, rscript_path, snapshot_date, cran, github, urls, bioconductor } =
        r;
    line(yaml, 0, "r:");
    for (key, value) in
        [("version", version), ("rscript_path", rscript_path), ("snapshot_date", snapshot_date)]
    {
        if let Some(value) = value {
            line(yaml, 1, &format!("{key}: {}", scalar(value)));
        }
    }
    if *user_managed {
        line(yaml, 1, "user_managed: true");
    }
    if !cran.is_empty() {
        line(yaml, 1, "cran:");
    }
    for CranPackage { name, version, repository } in cran {
        if version.is_none() && repository.is_none() {
            line(yaml, 2, &format!("- {}", scalar(name)));
            continue;
        }
        line(yaml, 2, &format!("- name: {}", scalar(name)));
        if let Some(version) = version {
            line(yaml, 3, &format!("version: {}", scalar(version)));
        }
        if let Some(repository) = repository {
            line(yaml, 3, &format!("repository: {}", scalar(&repository.to_string())));
        }
    }
    list(yaml, 1, "github", github.iter().cloned());
    list(yaml, 1, "urls", urls.iter().map(ToString::to_string));
    list(yaml, 1, "bioconductor", bioconductor.iter().cloned());
}

fn write_pip(yaml: &mut String, pip: &PipRequirements) {
    let lines: Vec<String> = options(pip).chain(pip.requirements.iter().map(requirement)).collect();
    if pip.constraints.is_empty() {
        list(yaml, 0, "pip", lines);
    } else {
        line(yaml, 0, "pip:");
        list(yaml, 1, "requirements", lines);
        list(yaml, 1, "constraints", pip.constraints.iter().map(requirement));
    }
}

fn field(yaml: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        line(yaml, 0, &format!("{key}: {}", scalar(value)));
    }
}

/// A text of several lines as people write it, where YAML keeps all of it so.
fn block(yaml: &mut String, key: &str, text: &str) {
    let is_kept = |c: char| c == '\n' || c == '\t' || (!c.is_control() && !is_break(c));
    let body = text.trim_end_matches('\n');
    let plain =
        text.contains('\n') && text.chars().all(is_kept) && body.starts_with(|c: char| !c.is_whitespace());
    if !plain || body.ends_with([' ', '\t']) {
        return field(yaml, key, Some(text));
    }
    let ending = match text.len() - body.len() {
        0 => "-",
        1 => "",
        _ => return field(yaml, key, Some(text)),
    };
    line(yaml, 0, &format!("{key}: |{ending}"));
    for text in body.split('\n') {
        line(yaml, usize::from(!text.is_empty()), text);
    }
}

/// What YAML calls a line break or not printable, beside control characters.
fn is_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

pub(super) fn line(yaml: &mut String, depth: usize, text: &str) {
    for _ in 0..depth {
        yaml.push_str("  ");
    }
    yaml.push_str(text);
    yaml.push('\n');
}

pub(super) fn list(yaml: &mut String, depth: usize, key: &str, items: impl IntoIterator<Item = String>) {
    let mut items = items.into_iter().peekable();
    if items.peek().is_some() {
        line(yaml, depth, &format!("{key}:"));
    }
    for item in items {
        line(yaml, depth + 1, &format!("- {}", scalar(&item)));
    }
}

pub(super) fn map(yaml: &mut String, key: &str, entries: &indexmap::IndexMap<String, String>) {
    if !entries.is_empty() {
        line(yaml, 0, &format!("{key}:"));
    }
    for (name, value) in entries {
        pair(yaml, 1, name, value);
    }
}

/// No longer key may stand before its colon on one line; YAML says so in characters.
const LONGEST_KEY: usize = 1000;

/// A key with its value.
pub(super) fn pair(yaml: &mut String, depth: usize, key: &str, value: &str) {
    let (key, value) = (scalar(key), scalar(value));
    if key.chars().count() > LONGEST_KEY {
        line(yaml, depth, &format!("? {key}"));
        line(yaml, depth, &format!(": {value}"));
    } else {
        line(yaml, depth, &format!("{key}: {value}"));
    }
}

/// A text as a YAML scalar that every YAML reader, also of version 1.1, takes for that text.
pub(super) fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./+=~<>[]@,; ".contains(c))
        && !text.ends_with(' ')
        && !matches!(
            &*text.to_ascii_lowercase(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null" | "nan" | "inf"
        );
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || is_break(c) => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
