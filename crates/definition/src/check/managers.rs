//! One package asked of several package managers.

use std::collections::HashMap;

use super::conda_asked::Asked;
use super::placed;
use crate::read::Origins;
use crate::requirement::normalise_name;
use crate::{Diagnostic, Environment, Remarks, Requirement, codes};

/// Names in conda of packages that have another one on PyPI.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("pytorch", "torch"),
    ("pytorch-cpu", "torch"),
    ("pytorch-gpu", "torch"),
    ("matplotlib-base", "matplotlib"),
    ("msgpack-python", "msgpack"),
    ("python-graphviz", "graphviz"),
    ("faiss", "faiss-cpu"),
    ("tensorflow-base", "tensorflow"),
    ("py-xgboost", "xgboost"),
    ("seaborn-base", "seaborn"),
];

/// In conda another thing than on PyPI.
const OTHER_THINGS: &[&str] = &["pip", "graphviz", "opencv", "ffmpeg", "docker", "cmake", "ninja", "nodejs"];

pub(super) fn managers(environment: &Environment, origins: &Origins, conda: &[Asked], remarks: &mut Remarks) {
    let definition = &environment.definition;
    let mut by_name: HashMap<String, &Asked> = HashMap::new();
    for package in conda {
        let name = normalise_name(&package.name);
        let other = OTHER_NAMES.iter().find(|(conda, _)| *conda == name).map(|(_, pip)| (*pip).to_owned());
        if let Some(name) = other.or_else(|| (!OTHER_THINGS.contains(&name.as_str())).then_some(name)) {
            by_name.entry(name).or_insert(package);
        }
    }
    let debian: HashMap<&str, String> = definition
        .system_packages
        .iter()
        .filter_map(|package| Some((package.name.strip_prefix("python3-")?, package.to_string())))
        .collect();
    for (i, entry) in definition.pip.requirements.iter().enumerate() {
        let Some(name) = entry.requirement.parse().ok().and_then(|requirement: Requirement| requirement.name)
        else {
            continue;
        };
        if let Some(package) = by_name.get(&name) {
            let line = match package.place.map(|place| place.span.line) {
                Some(line) => format!(" in line {line}"),
                None => String::new(),
            };
            let message = format!("`{name}` is asked of pip here and of conda{line}: `{}`", package.shown());
            let remark = Diagnostic::new(codes::SEVERAL_MANAGERS, message).with_hint(
                "ask one of them; pip installs nothing that conda has, and is refused what contradicts it",
            );
            remarks.push(placed(remark, origins.requirements.get(i)));
        } else if let Some(package) = debian.get(name.as_str()) {
            let message = format!("`{name}` is asked of pip here and of apt: `{package}`");
            let remark = Diagnostic::new(codes::SEVERAL_MANAGERS, message)
                .with_hint("ask one of them; packages of pip hide those of apt");
            remarks.push(placed(remark, origins.requirements.get(i)));
        }
    }
}
