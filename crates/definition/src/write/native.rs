//! The native environment YAML.

use std::fmt::Write as _;

use super::requirements::{options, requirement};
use crate::{Base, Environment, PipRequirements};

/// The native environment YAML of `environment`; keys stand in a fixed order.
pub fn write_native(environment: &Environment) -> String {
    let Environment {
        name,
        version,
        description,
        tags,
        environment_variables,
        inference_config,
        interpreter_path: _,
        definition,
    } = environment;
    let mut yaml = String::new();
    let mut field = |key: &str, value: &Option<String>| {
        if let Some(value) = value {
            line(&mut yaml, 0, &format!("{key}: {}", scalar(value)));
        }
    };
    field("name", name);
    // A version is a text that often looks like a number.
    field("version", version);
    field("description", description);
    match &definition.base {
        Base::Debian { suite: None } => {}
        Base::Debian { suite: Some(suite) } => field("base", &Some(format!("debian/{suite}"))),
        Base::Image { reference } => field("image", &Some(reference.clone())),
        Base::Dockerfile { .. } | Base::Context(_) => {}
    }
    field("python", &definition.python.as_ref().map(ToString::to_string));
    list(&mut yaml, 0, "system_packages", definition.system_packages.iter().map(ToString::to_string));
    write_pip(&mut yaml, &definition.pip);
    list(&mut yaml, 0, "platforms", definition.platforms.iter().map(ToString::to_string));
    map(&mut yaml, "environment_variables", environment_variables);
    map(&mut yaml, "tags", tags);
    if let Some(config) = inference_config {
        line(&mut yaml, 0, "inference_config:");
        for (key, route) in [
            ("liveness_route", &config.liveness_route),
            ("readiness_route", &config.readiness_route),
            ("scoring_route", &config.scoring_route),
        ] {
            line(&mut yaml, 1, &format!("{key}:"));
            line(&mut yaml, 2, &format!("port: {}", route.port));
            line(&mut yaml, 2, &format!("path: {}", scalar(&route.path)));
        }
    }
    if yaml.is_empty() {
        // An environment that asks for nothing still has to be a mapping.
        yaml.push_str("base: debian\n");
    }
    yaml
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

fn line(yaml: &mut String, depth: usize, text: &str) {
    for _ in 0..depth {
        yaml.push_str("  ");
    }
    yaml.push_str(text);
    yaml.push('\n');
}

fn list(yaml: &mut String, depth: usize, key: &str, items: impl IntoIterator<Item = String>) {
    let mut items = items.into_iter().peekable();
    if items.peek().is_some() {
        line(yaml, depth, &format!("{key}:"));
    }
    for item in items {
        line(yaml, depth + 1, &format!("- {}", scalar(&item)));
    }
}

fn map(yaml: &mut String, key: &str, entries: &indexmap::IndexMap<String, String>) {
    if !entries.is_empty() {
        line(yaml, 0, &format!("{key}:"));
    }
    for (name, value) in entries {
        line(yaml, 1, &format!("{}: {}", scalar(name), scalar(value)));
    }
}

/// A text as a YAML scalar that every YAML reader, also of version 1.1, takes for that text.
fn scalar(text: &str) -> String {
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
            // All that YAML calls a line break or not printable.
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
