//! A Dockerfile that makes an image of a definition.
//!
//! A Dockerfile that is the whole definition is written as it stands. Of everything else a Dockerfile can only say the steps,
//! which read back as a Dockerfile and no longer as packages.

use std::fmt::Write as _;

use super::conda::{self, Style};
use super::parts::{Part, Rest};
use super::requirements::{constraints_file, write_requirements};
use super::{WriteError, Written, WrittenFile};
use crate::check::PYTHONS;
use crate::{Base, BuildContext, ContextLocation, Definition, Environment, PythonRequest, definition_digest};

/// Where packages go, as in the images that Provenv makes itself.
const PREFIX: &str = "/opt/provenv";

/// The suite where nothing asks for another.
const SUITE: &str = "bookworm";

/// Where the program is that installs conda packages without conda.
const MICROMAMBA: &str = "mambaorg/micromamba:2";

pub(super) fn write(environment: &Environment) -> Result<Written, WriteError> {
    let definition = &environment.definition;
    let mut rest = Rest::new(environment, "a Dockerfile");
    rest.all_but(&[
        Part::Variables,
        Part::Platforms,
        Part::SystemPackages,
        Part::Python,
        Part::Conda,
        Part::Pip,
        Part::Constraints,
    ]);
    rest.part(Part::Variables, "they are set when a command is run: `docker run --env NAME=VALUE`");
    rest.part(Part::Platforms, "`docker build --platform` says it");
    let (mut text, whole) = beginning(definition, &mut rest)?;
    let steps = steps(definition, escape_of(&text), &mut rest);
    if !steps.is_empty() {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        if !matches!(definition.base, Base::Debian { .. }) {
            // What is installed belongs to root, whoever the image is for.
            text.push_str("USER root\n");
        }
        text.push_str(&steps);
    }
    // Constraints, channels and indexes that no package asks for are in no step.
    let base_alone = Definition { base: definition.base.clone(), ..Definition::default() };
    let unused =
        steps.is_empty() && !rest.counts() && definition_digest(definition) != definition_digest(&base_alone);
    if !whole || !steps.is_empty() || unused {
        rest.loss("the definition", "a Dockerfile says steps, and reads back as these and not as packages");
    }
    rest.local_paths("the build does not see them");
    if steps.contains("${") {
        rest.remark(
            "the variables in URLs",
            "the build has to be given them: mount them as secrets in that step",
        );
    }
    Ok(Written { files: vec![WrittenFile::new("Dockerfile", text)], not_carried: rest.list() })
}

/// What the image stands on, and whether that alone is all there is to say of it.
fn beginning(definition: &Definition, rest: &mut Rest<'_>) -> Result<(String, bool), WriteError> {
    Ok(match &definition.base {
        Base::Debian { suite } => {
            let suite = match (suite, &definition.python) {
                (Some(suite), _) => &*suite.0,
                (None, Some(python)) => suite_with(python),
                (None, None) => SUITE,
            };
            (format!("FROM debian:{suite}-slim\n"), false)
        }
        Base::Image { reference } => (format!("FROM {reference}\n"), false),
        Base::Dockerfile { text } => (text.clone(), true),
        Base::Context(BuildContext { location, dockerfile }) => {
            let ContextLocation::Folder { path, .. } = location else {
                return Err(WriteError::NoDockerfile { context: location_text(location) });
            };
            let folder = path.as_url().to_file_path().unwrap_or_default();
            let text = fs_err::read_to_string(folder.join(dockerfile))?;
            rest.base("only its Dockerfile is written, and the build needs the other files beside it");
            (text, false)
        }
    })
}

fn location_text(location: &ContextLocation) -> String {
    match location {
        ContextLocation::Folder { path: url, .. } | ContextLocation::Url(url) => url.to_string(),
    }
}

fn suite_with(python: &PythonRequest) -> &'static str {
    PYTHONS.iter().find(|(_, minor)| *minor == python.minor).map_or(SUITE, |(suite, _)| suite)
}

/// How a line goes on in the next one: a Dockerfile may have another escape character, and then a step is one line.
fn escape_of(text: &str) -> &'static str {
    let directives = text.lines().take_while(|line| line.trim_start().starts_with('#'));
    let other = directives.map(|line| line.trim_start_matches(['#', ' ', '\t']).to_ascii_lowercase());
    if other.filter(|line| line.starts_with("escape")).any(|line| line.contains('`')) {
        " "
    } else {
        " \\\n    "
    }
}

/// The instructions that install packages.
fn steps(definition: &Definition, joint: &str, rest: &mut Rest<'_>) -> String {
    let Definition { base, system_packages, python, conda, pip, user_managed, .. } = definition;
    let user_managed = *user_managed;
    let with_conda = !user_managed && !conda.is_empty();
    let with_pip = !user_managed && !pip.requirements.is_empty();
    let on_debian = matches!(base, Base::Debian { .. });
    let own_python = !user_managed && on_debian && !with_conda && (with_pip || python.is_some());

    let mut debian: Vec<String> = system_packages.iter().map(ToString::to_string).collect();
    let mut executable = "python3".to_owned();
    if let Some(python) = python.as_ref().filter(|_| own_python) {
        executable = format!("python{}.{}", python.major, python.minor);
        if python.patch.is_some() {
            rest.remark(
                format!("the last number of Python {python}"),
                "a Debian suite has one build of each",
            );
        }
    }
    if own_python {
        debian.push(format!("{executable}-venv"));
    }
    let mut text = String::new();
    if !debian.is_empty() {
        text.push_str("RUN apt-get update && apt-get install --yes --no-install-recommends");
        for package in &debian {
            text.extend([joint, &quoted(package)]);
        }
        text.extend([joint, "&& rm -rf /var/lib/apt/lists/*\n"]);
    }
    if user_managed {
        return text;
    }
    let constraints = constraints_file(definition).map(|file| file.text);
    if with_conda {
        let style =
            Style { installed_only: true, constraints: Some("/tmp/constraints.txt"), ..Style::default() };
        let environment = conda::document(definition, style, rest);
        for file in ["/bin/micromamba", "/etc/ssl/certs/ca-certificates.crt"] {
            let _ = writeln!(text, "COPY --from={MICROMAMBA} {file} {file}");
        }
        let mut step = Step::new(joint);
        step.file("/tmp/environment.yml", &environment);
        step.constraints(constraints.as_deref());
        step.then(&format!(
            "micromamba create --yes --root-prefix /tmp/micromamba --prefix {PREFIX} --file /tmp/environment.yml"
        ));
        step.then("rm -rf /tmp/*");
        text.push_str(&step.text());
        let _ = writeln!(text, "ENV PATH={PREFIX}/bin:$PATH");
        return text;
    }
    if !on_debian {
        rest.part(Part::Python, "the image has its own Python");
    }
    if own_python || with_pip {
        let mut step = Step::new(joint);
        let mut installer = format!("{executable} -m pip");
        if own_python {
            step.then(&format!("{executable} -m venv {PREFIX}"));
            installer = format!("{PREFIX}/bin/pip");
        }
        if with_pip {
            step.file("/tmp/requirements.txt", &write_requirements(definition).requirements);
            step.constraints(constraints.as_deref());
            step.then(&format!("{installer} install --no-cache-dir --requirement /tmp/requirements.txt"));
            step.then("rm /tmp/*.txt");
        }
        text.push_str(&step.text());
        if own_python {
            let _ = writeln!(text, "ENV VIRTUAL_ENV={PREFIX} PATH={PREFIX}/bin:$PATH");
        }
    }
    text
}

/// One `RUN` of several commands.
struct Step<'j> {
    joint: &'j str,
    commands: Vec<String>,
}

impl<'j> Step<'j> {
    fn new(joint: &'j str) -> Self {
        Self { joint, commands: Vec::new() }
    }

    fn then(&mut self, command: &str) {
        self.commands.push(command.to_owned());
    }

    /// Writes `text` to `path`, as older builders know no here-documents.
    fn file(&mut self, path: &str, text: &str) {
        let mut command = "printf '%s\\n'".to_owned();
        for line in text.lines() {
            command.extend([self.joint, &quoted(line)]);
        }
        command.extend([self.joint, "> ", path]);
        self.commands.push(command);
    }

    fn constraints(&mut self, text: Option<&str>) {
        if let Some(text) = text {
            self.file("/tmp/constraints.txt", text);
        }
    }

    fn text(self) -> String {
        format!("RUN {}\n", self.commands.join(&format!("{}&& ", self.joint)))
    }
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+=:/".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
