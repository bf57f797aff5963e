//! Hints that fit the file that they are given for.

use provenv_definition::Format;

/// Where `line` of Provenv's own YAML is written by whoever has a file of `format`, or a registered environment.
pub(crate) fn own_key(line: &str, format: Option<Format>) -> String {
    match format {
        None | Some(Format::Native) => format!("`{line}` in the environment"),
        Some(Format::CondaEnvironment) => {
            format!(
                "`{line}` beside `conda_file: FILE` in an environment.yaml, as a conda file cannot say it"
            )
        }
        Some(Format::Requirements) => {
            format!(
                "`{line}` beside `pip: FILE` in an environment.yaml, as a requirements file cannot say it"
            )
        }
        Some(_) => format!("`{line}` in an environment.yaml of its own, as this file cannot say it"),
    }
}

/// How another Python is asked for.
pub(crate) fn another_python(format: Option<Format>) -> String {
    match format {
        None | Some(Format::Native) => "with the key `python`".to_owned(),
        Some(Format::CondaEnvironment) => "with `python=VERSION` among the dependencies".to_owned(),
        Some(_) => format!("with {}", own_key("python: \"VERSION\"", format)),
    }
}
