//! An example a code: a file that gives it, and the same file mended. The pages of codes show them, and a test reads
//! them all.

mod checks;
mod reading;

/// A file that gives a code, and what to make of it.
#[derive(Debug)]
pub struct Example {
    /// The code.
    pub code: &'static str,
    /// The file's name.
    pub file: &'static str,
    /// Its text; `None` where it is not there.
    pub text: Option<&'static str>,
    /// The name of the mended file.
    pub mended_file: &'static str,
    /// The mended text.
    pub mended: &'static str,
    /// Other files in the same folder: names and texts.
    pub beside: &'static [(&'static str, &'static str)],
    /// Read by another part of Provenv than `env check`, such as a job.
    pub elsewhere: bool,
}

impl Example {
    /// Whether it is a folder, which files in it make.
    pub fn is_folder(&self) -> bool {
        let inside = |name: &str| name.strip_prefix(self.file).is_some_and(|rest| rest.starts_with('/'));
        self.text.is_none() && self.beside.iter().any(|(name, _)| inside(name))
    }
}

/// A file of one name, wrong and mended.
const fn example(
    code: &'static str,
    file: &'static str,
    text: &'static str,
    mended: &'static str,
) -> Example {
    Example { code, file, text: Some(text), mended_file: file, mended, beside: &[], elsewhere: false }
}

const REQUIREMENTS: &str = "requirements.txt";
const NATIVE: &str = "environment.yaml";
const CONDA: &str = "environment.yml";
const DOCKERFILE: &str = "Dockerfile";

/// The example of a code.
pub fn example_of(code: &str) -> Option<&'static Example> {
    all().find(|example| example.code == code)
}

/// All examples.
pub fn all() -> impl Iterator<Item = &'static Example> {
    reading::EXAMPLES.iter().chain(checks::EXAMPLES)
}
