//! Checks of the Python asked for.

use std::time::{SystemTime, UNIX_EPOCH};

use super::placed;
use crate::read::Origins;
use crate::{Base, Definition, Diagnostic, Environment, Place, PythonRequest, Remarks, codes};

/// Last days of support of Python's minor versions: (minor, seconds since 1970). Older ones ended before.
const END_OF_LIFE: &[(u32, u64)] = &[
    (8, 1_728_259_200),  // 2024-10-07
    (9, 1_761_868_800),  // 2025-10-31
    (10, 1_793_404_800), // 2026-10-31
    (11, 1_824_940_800), // 2027-10-31
    (12, 1_856_563_200), // 2028-10-31
    (13, 1_888_099_200), // 2029-10-31
];

/// The Python of each suite that is known.
pub(crate) const PYTHONS: [(&str, u32); 3] = [("bullseye", 9), ("bookworm", 11), ("trixie", 13)];

/// A remark that an interpreter is not there, at the line of the user's file that asks for it.
pub fn no_interpreter(message: String, hint: &str, origins: &Origins) -> Diagnostic {
    let place = origins.interpreter_path.as_ref().or(origins.user_managed.as_ref());
    placed(Diagnostic::new(codes::NO_INTERPRETER, message).with_hint(hint), place)
}

/// A remark where a user-managed base of Debian packages is sure to have no Python.
pub(super) fn user_managed(environment: &Environment, origins: &Origins, remarks: &mut Remarks) {
    let Definition { user_managed, base, system_packages, .. } = &environment.definition;
    // Many packages bring one along, and which they are only the archive knows.
    if *user_managed && matches!(base, Base::Debian { .. }) && system_packages.is_empty() {
        let message = "nothing in this user-managed environment brings a Python".to_owned();
        let hint = "name it in `system_packages`, such as python3, and say in `interpreter_path` where it is";
        remarks.push(no_interpreter(message, hint, origins));
    }
}

pub(super) fn python(environment: &Environment, origins: &Origins, remarks: &mut Remarks) {
    let Some(python) = &environment.definition.python else { return };
    let place = origins.python.as_ref();
    // Conda brings its own, and so does a base that has everything.
    if environment.definition.conda.is_empty() && !environment.definition.user_managed {
        remarks
            .extend(unknown_python(&environment.definition.base, python).map(|remark| placed(remark, place)));
    }
    remarks.extend(end_of_life(python.major, python.minor, place));
}

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

/// A remark where a version of Python gets no fixes any more.
pub(super) fn end_of_life(major: u32, minor: u32, place: Option<&Place>) -> Option<Diagnostic> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let ended = match END_OF_LIFE.iter().find(|(known, _)| *known == minor) {
        Some((_, end)) => now > *end,
        None => minor < END_OF_LIFE[0].0,
    };
    let message = format!("Python {major}.{minor} is out of support");
    (major == 2 || (major == 3 && ended)).then(|| {
        placed(Diagnostic::new(codes::PYTHON_END_OF_LIFE, message).with_hint("choose a newer one"), place)
    })
}
