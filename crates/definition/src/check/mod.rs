//! Checks of an environment that was read: what works today and will hurt later.

mod buildable;
mod packages;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::dockerfile::images_of;
use crate::read::Origins;
use crate::secrets::{holds_secret, is_secret_name, shown};
use crate::{Base, Diagnostic, Environment, Place, PythonRequest, ReadEnvironment, codes};

/// Beginnings of names that belong to shipped environments.
const RESERVED: &[&str] = &["azureml", "microsoft", "curated/"];

/// Last days of support of Python's minor versions: (minor, seconds since 1970). Older ones ended before.
const END_OF_LIFE: &[(u32, u64)] = &[
    (8, 1_728_259_200),  // 2024-10-07
    (9, 1_761_868_800),  // 2025-10-31
    (10, 1_793_404_800), // 2026-10-31
    (11, 1_824_940_800), // 2027-10-31
    (12, 1_856_563_200), // 2028-10-31
    (13, 1_888_099_200), // 2029-10-31
];

/// All remarks on `environment`, without places.
pub fn check(environment: &Environment) -> Vec<Diagnostic> {
    check_at(environment, &Origins::default())
}

impl ReadEnvironment {
    /// All remarks on the environment, each with its place in the user's file. [`ReadEnvironment::warnings`] are
    /// not repeated.
    pub fn check(&self) -> Vec<Diagnostic> {
        check_at(&self.environment, &self.origins)
    }
}

fn check_at(environment: &Environment, origins: &Origins) -> Vec<Diagnostic> {
    let mut remarks = Vec::new();
    names(environment, origins, &mut remarks);
    variables(environment, origins, &mut remarks);
    moving_tags(&environment.definition.base, origins, &mut remarks);
    buildable::remarks(environment, origins, &mut remarks);
    if let Some(python) = &environment.definition.python {
        remarks.extend(
            unknown_python(&environment.definition.base, python)
                .map(|remark| placed(remark, origins.python.as_ref())),
        );
        remarks.extend(end_of_life(python).map(|remark| placed(remark, origins.python.as_ref())));
    }
    packages::system_packages(environment, origins, &mut remarks);
    packages::requirements(environment, origins, &mut remarks);
    remarks
}

pub(crate) use buildable::unbuildable;

fn placed(remark: Diagnostic, place: Option<&Place>) -> Diagnostic {
    match place {
        Some(place) => remark.at(place.clone()),
        None => remark,
    }
}

fn names(environment: &Environment, origins: &Origins, remarks: &mut Vec<Diagnostic>) {
    if let Some(name) = &environment.name {
        let lower = name.to_lowercase();
        let place = origins.name.as_ref();
        if let Some(prefix) = RESERVED.iter().find(|prefix| lower.starts_with(**prefix)) {
            let message = format!("names that begin with `{prefix}` are reserved");
            let remark = Diagnostic::new(codes::RESERVED_NAME, message).with_hint("choose another name");
            remarks.push(placed(remark, place));
        } else if let Some(reason) = invalid_name(name) {
            let remark = Diagnostic::new(codes::INVALID_NAME, format!("the name {reason}"));
            remarks.push(placed(remark.with_hint("use letters, digits, `-`, `_` and `.`"), place));
        }
    }
    if let Some(reason) = environment.version.as_deref().and_then(invalid_name) {
        let remark = Diagnostic::new(codes::INVALID_NAME, format!("the version {reason}"));
        let remark = remark.with_hint("use letters, digits, `-`, `_` and `.`");
        remarks.push(placed(remark, origins.version.as_ref()));
    }
}

fn invalid_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > 255 {
        Some("is longer than 255 characters")
    } else if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Some("must begin with a letter or digit")
    } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        Some("holds a character that cannot be used")
    } else {
        None
    }
}

fn variables(environment: &Environment, origins: &Origins, remarks: &mut Vec<Diagnostic>) {
    for (name, value) in &environment.environment_variables {
        let empty = value.is_empty() || value.starts_with("${");
        if empty || !(is_secret_name(name) || holds_secret(value)) {
            continue;
        }
        let message = format!("the variable `{}` looks like a secret", shown(name));
        let remark = Diagnostic::new(codes::SECRET, message)
            .with_hint("pass it when the command is run; definitions are stored and shown in clear");
        remarks.push(placed(remark, origins.variables.get(name)));
    }
}

fn moving_tags(base: &Base, origins: &Origins, remarks: &mut Vec<Diagnostic>) {
    match base {
        Base::Image { reference } => {
            remarks.extend(moving_tag(reference).map(|remark| placed(remark, origins.base.as_ref())));
        }
        Base::Dockerfile { text } if origins.base_images.is_empty() => {
            remarks.extend(images_of(text).iter().filter_map(|image| moving_tag(image)));
        }
        _ => {
            for (image, place) in &origins.base_images {
                remarks.extend(moving_tag(image).map(|remark| remark.at(place.clone())));
            }
        }
    }
}

fn moving_tag(reference: &str) -> Option<Diagnostic> {
    let name = reference.rsplit('/').next().unwrap_or_default();
    if name.contains('@') {
        return None;
    }
    let message = match name.split_once(':') {
        None => "the image has no tag, which means `latest`",
        Some((_, "latest")) => "the tag `latest` moves",
        Some(_) => return None,
    };
    Some(
        Diagnostic::new(codes::MOVING_TAG, message).with_hint("name a version, or a digest with `@sha256:…`"),
    )
}

/// The Python of each suite that is known.
const PYTHONS: [(&str, u32); 3] = [("bullseye", 9), ("bookworm", 11), ("trixie", 13)];

fn unknown_python(base: &Base, python: &PythonRequest) -> Option<Diagnostic> {
    let Base::Debian { suite } = base else { return None };
    let known: Vec<_> = match suite {
        Some(suite) => PYTHONS.iter().filter(|(name, _)| *name == suite.0).collect(),
        None => PYTHONS.iter().collect(),
    };
    // Of another suite nothing is known.
    if known.is_empty() || (python.major == 3 && known.iter().any(|(_, minor)| *minor == python.minor)) {
        return None;
    }
    let has: Vec<String> = PYTHONS.iter().map(|(name, minor)| format!("3.{minor} ({name})")).collect();
    let message = format!("Debian's suites are not known to have Python {}.{}", python.major, python.minor);
    let message = match suite {
        Some(suite) => format!("Debian {} does not have Python {}.{}", suite.0, python.major, python.minor),
        None => message,
    };
    let hint = format!("ask for one of {}", has.join(", "));
    Some(Diagnostic::new(codes::UNKNOWN_PYTHON, message).with_hint(hint))
}

fn end_of_life(python: &PythonRequest) -> Option<Diagnostic> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let ended = match END_OF_LIFE.iter().find(|(minor, _)| *minor == python.minor) {
        Some((_, end)) => now > *end,
        None => python.minor < END_OF_LIFE[0].0,
    };
    let message = format!("Python {}.{} is out of support", python.major, python.minor);
    (python.major == 3 && ended)
        .then(|| Diagnostic::new(codes::PYTHON_END_OF_LIFE, message).with_hint("choose a newer one"))
}
