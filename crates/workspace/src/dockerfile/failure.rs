//! Why a Dockerfile could not be run: which step, what it said, and what that comes from.

use provenv_definition::{Digest, Recipe, RecipeStep};

use super::engine::{Builder, Failed};

/// An error of running a Dockerfile.
#[derive(Debug, thiserror::Error)]
pub enum DockerfileError {
    /// Nothing is here that can run it.
    #[error("a Dockerfile is to be run, and there is {} on this machine", listed(missing))]
    NoEngine {
        /// What is asked for.
        asked: Builder,
        /// What is not there, of each that would do.
        missing: Vec<Missing>,
    },
    /// A step failed.
    #[error("the Dockerfile failed{}{}: {reason}{}", at(*line), of(step.as_deref()), last(lines))]
    Failed {
        /// The line of the instruction, where it is known.
        line: Option<usize>,
        /// The instruction.
        step: Option<String>,
        /// What it comes from.
        reason: String,
        /// What to do about that.
        hint: String,
        /// The last lines that were printed.
        lines: Vec<String>,
        /// The build whose log has all of it.
        build: String,
    },
    /// It cannot be read.
    #[error("the Dockerfile cannot be run: {0}")]
    Unreadable(String),
    /// It names an image that cannot be known beforehand.
    #[error("line {line} of the Dockerfile names the image `{name}`, in which a variable has no value")]
    UnknownImage {
        /// As it is written.
        name: String,
        /// The line.
        line: usize,
    },
    /// The engine is too old for it.
    #[error("line {line} of the Dockerfile has a here-document, which {engine} does not know")]
    HereDocument {
        /// The line.
        line: usize,
        /// The engine with its version.
        engine: String,
    },
    /// The engine follows links and `..` in mounts out of where they are taken from.
    #[error(
        "line {line} of the Dockerfile mounts something by its path, in which {engine} follows links to files of this machine"
    )]
    MountByPath {
        /// The line.
        line: usize,
        /// The engine with its version.
        engine: String,
    },
    /// It fetches something by itself, which is not to be.
    #[error(
        "line {line} of the Dockerfile may fetch something, and BuildKit's ADD cannot be kept from the network"
    )]
    Fetches {
        /// The line.
        line: usize,
    },
    /// The engine has taken an image that nothing pins.
    #[error("BuildKit looked up the image {image} by itself, so what the Dockerfile made is not taken")]
    Unpinned {
        /// The image.
        image: String,
    },
    /// Something else than an engine is to read it.
    #[error("the Dockerfile is for the frontend `{0}`, an image that nothing pins and that is not run")]
    Frontend(String),
    /// A secret that a step must have is not given.
    #[error("line {line} of the Dockerfile asks for the secret `{id}`, which is not given")]
    NoSecret {
        /// Its name.
        id: String,
        /// The line.
        line: usize,
    },
    /// A secret that is given cannot be read.
    #[error("the secret `{id}` cannot be read: {reason}")]
    Secret {
        /// Its name.
        id: String,
        /// Why.
        reason: String,
    },
    /// A step asks for an agent with keys.
    #[error("line {line} of the Dockerfile asks for an ssh agent, and steps are given none")]
    Ssh {
        /// The line.
        line: usize,
    },
    /// It is for a machine of another kind.
    #[error("a Dockerfile for {wanted} cannot be run on {host}")]
    OtherPlatform {
        /// What it is for.
        wanted: provenv_definition::Platform,
        /// What this is.
        host: provenv_definition::Platform,
    },
    /// The folder is no longer what was hashed.
    #[error("the build context {folder} has changed since its definition was read")]
    ContextChanged {
        /// The folder.
        folder: String,
    },
    /// The build context cannot be had.
    #[error("the build context {what}")]
    Context {
        /// What is wrong with it.
        what: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The result is gone, and cannot be had again here.
    #[error("what the Dockerfile made, {0}, is not in the store")]
    Gone(Digest),
    /// It was run again, and made something else.
    #[error(
        "the Dockerfile was run again, because what it made is gone, and makes something else now: {expected} in the lock, {actual} now"
    )]
    Moved {
        /// What the lock says.
        expected: Digest,
        /// What it made now.
        actual: Digest,
    },
    /// What the engine made is no image.
    #[error(transparent)]
    Made(#[from] provenv_image::base_image::MadeError),
}

impl DockerfileError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoEngine { missing, .. } if missing.contains(&Missing::ImageStore) => {
                "set `\"features\": {\"containerd-snapshotter\": true}` in /etc/docker/daemon.json and restart docker, or make \
                 a builder of its own: `docker buildx create --use`"
                    .to_owned()
            }
            Self::NoEngine { asked: Builder::Auto, .. } => {
                "install one: `apt-get install buildah`, or docker with its buildx plugin".to_owned()
            }
            Self::NoEngine { asked: Builder::Buildah, .. } => "install it: `apt-get install buildah`".to_owned(),
            Self::NoEngine { asked: Builder::Buildkit, .. } => "install docker with its buildx plugin, and see that \
                `docker buildx inspect` finds a builder that runs"
                .to_owned(),
            Self::Failed { hint, build, .. } => format!("{hint}; `provenv builds logs {build}` shows all of it"),
            Self::Unreadable(_) => "`provenv env check FILE` says more".to_owned(),
            Self::UnknownImage { .. } => {
                "give the variable a default before the first FROM (`ARG NAME=value`), so that the image can be pinned".to_owned()
            }
            Self::HereDocument { .. } => {
                "write the commands with `&&`, or take a newer engine (buildah since 1.33, or BuildKit)".to_owned()
            }
            Self::MountByPath { .. } => "copy the files instead (COPY), mount the whole context or image (without `source`), give a \
                 cache a plain name, or take buildah 1.38 or BuildKit"
                .to_owned(),
            Self::Fetches { .. } => {
                "leave --offline out, put the file into the build context, or fetch it in a step (RUN)".to_owned()
            }
            Self::Unpinned { .. } => {
                "write its name in full, without variables, so that Provenv can look it up and pin it".to_owned()
            }
            Self::Frontend(_) => {
                "write it for docker's own (`# syntax=docker/dockerfile:1`), whose instructions the engines know".to_owned()
            }
            Self::NoSecret { id, .. } => {
                format!("give it: `--secret id={id},src=FILE` or `--secret id={id},env=VARIABLE`")
            }
            Self::Secret { id, .. } => {
                format!("write `--secret id={id},src=FILE` with a file that you may read, or `--secret id={id},env=VARIABLE`")
            }
            Self::Ssh { .. } => {
                "fetch over https with a token (`RUN --mount=type=secret,id=…` and `--secret id=…,src=FILE`), or copy what is \
                 needed into the build context"
                    .to_owned()
            }
            Self::OtherPlatform { wanted, .. } => {
                format!("lock it on a machine that is {wanted}, and build from that lock here")
            }
            Self::ContextChanged { .. } => "run the command again when nobody writes to it; of a registered environment, register it \
                                            anew from its file"
                .to_owned(),
            Self::Context { hint, .. } => return hint.clone(),
            Self::Gone(_) => {
                "`provenv build FILE --lock LOCK` runs the Dockerfile again and compares; without --offline".to_owned()
            }
            Self::Moved { .. } => "`provenv lock FILE --upgrade` or `provenv upgrade NAME` takes what it makes now; a bundle \
                                   (`provenv bundle export`) or the image from where it was made has what it made then"
                .to_owned(),
            Self::Made(error) => return error.hint(),
        })
    }

    /// The line of the Dockerfile that it is about.
    pub(crate) fn line(&self) -> Option<usize> {
        match self {
            Self::Failed { line, .. } => *line,
            Self::UnknownImage { line, .. }
            | Self::HereDocument { line, .. }
            | Self::MountByPath { line, .. }
            | Self::Fetches { line }
            | Self::NoSecret { line, .. }
            | Self::Ssh { line } => Some(*line),
            _ => None,
        }
    }

    /// The error for a run of `recipe` that failed.
    pub(super) fn failed(recipe: &Recipe, failed: &Failed, build: &str) -> Self {
        let step = failed.line.and_then(|line| recipe.steps.iter().find(|step| step.line == line));
        let output = &failed.lines;
        let (reason, hint) = classify(output, step, failed.code);
        let kept = output.len().saturating_sub(SHOWN);
        Self::Failed {
            line: step.map(|step| step.line),
            step: step.map(|step| shortened(&format!("{} {}", step.keyword, step.arguments))),
            reason,
            hint,
            lines: output[kept..].to_vec(),
            build: build.to_owned(),
        }
    }
}

/// Why an engine cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// The program is not installed.
    #[error("no `{0}`")]
    Program(&'static str),
    /// There is a docker without it, or with another one of this name.
    #[error("no `docker buildx`")]
    Buildx,
    /// There is one, and its daemon is not.
    #[error("a `docker buildx` whose builder does not answer ({0})")]
    Answer(String),
    /// Its daemon can neither take images from us nor give one back.
    #[error("a docker without containerd's image store")]
    ImageStore,
}

/// Lines of output in a message.
const SHOWN: usize = 12;

fn listed(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", and ")
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(" at line {line}")).unwrap_or_default()
}

fn of(step: Option<&str>) -> String {
    step.map(|step| format!(", `{step}`")).unwrap_or_default()
}

fn last(lines: &[String]) -> String {
    if lines.is_empty() { String::new() } else { format!("\n  {}", lines.join("\n  ")) }
}

fn shortened(text: &str) -> String {
    let one_line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if one_line.chars().count() <= 100 {
        return one_line;
    }
    one_line.chars().take(99).chain(['…']).collect()
}

/// What is looked for in what was printed, in this order: the first that is there says what it comes from. The list is that of
/// Azure ML's own classification of image builds, with what Dockerfiles add to it.
const REASONS: &[(&[&str], &str, &str)] = &[
    (
        &["no space left on device", "disk quota exceeded"],
        "there is no space left on the disk",
        "free some, e.g. with `provenv store gc`",
    ),
    (
        &["error setting supplemental groups list", "newuidmap: ", "newgidmap: "],
        "the engine cannot map users for this user",
        "install `uidmap`, and give the user ranges of ids: `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`",
    ),
    (
        &["unknown instruction"],
        "the engine does not know the instruction",
        "check its spelling, or choose another engine with --builder",
    ),
    (
        &["/bin/sh: no such file", "\"/bin/sh\": stat", "exec: \"/bin/sh\"", "exec /bin/sh: no such file"],
        "the image has no shell to run it with",
        "begin from an image with a system in it, or write RUN as a list: RUN [\"/program\", \"argument\"]",
    ),
    (
        &["copier: stat", "checking on sources", "failed to calculate checksum", "no items matching glob"],
        "what is to be copied is not in the build context",
        "check its path, which is relative to the context's folder, and `.dockerignore`",
    ),
    (
        &["unable to locate package", "has no installation candidate"],
        "apt knows no such package",
        "check its name, and run `apt-get update` in the same step",
    ),
    (
        &["no matching distribution found", "could not find a version that satisfies"],
        "pip finds no package that fits",
        "check name and version, and which Python the image has",
    ),
    (
        &[
            "packagesnotfounderror",
            "nothing provides",
            "the following packages are not available from current channels",
        ],
        "conda finds no package that fits",
        "check name, version and channels",
    ),
    (
        &[
            "resolvepackagenotfound",
            "unsatisfiableerror",
            "libmambaunsatisfiableerror",
            "conflicting dependencies",
        ],
        "the packages that are asked for do not fit together",
        "loosen their versions",
    ),
    (
        &["condahttperror", "connection failed for url"],
        "a conda channel cannot be reached",
        "try again, or name a mirror",
    ),
    (
        &[
            "invalid requirement",
            "invalid yaml",
            "condavalueerror",
            "environmentfilenotfound",
            "yaml.scanner",
        ],
        "a list of packages cannot be read",
        "check what the step gives to pip or conda",
    ),
    (
        &["cannot uninstall", "distutils installed project"],
        "pip cannot replace a package that the system installed",
        "install into a virtual environment, or give pip --ignore-installed for that package",
    ),
    (
        &["requires-python", "requires a different python", "python_requires", "requires python"],
        "a package does not fit the image's Python",
        "take an image with another Python, or another version of the package",
    ),
    (
        &[
            "error: command 'gcc' failed",
            "gcc: fatal error",
            "fatal error: ",
            "failed building wheel",
            "compilation terminated",
            "unable to execute 'gcc'",
            "error: command 'x86_64-linux-gnu-gcc'",
        ],
        "something could not be compiled",
        "install a compiler and the headers that it misses before this step, or ask for a version that has a wheel",
    ),
    (
        &[
            "unauthorized",
            "authentication required",
            "401 client error",
            "403 forbidden",
            "could not read username",
            "eoferror: eof when reading a line",
            "user for ",
        ],
        "a login was asked for",
        "steps have no terminal and none of your logins: fetch from where none is asked for, or copy what is needed into the context",
    ),
    (
        &[
            "temporary failure resolving",
            "could not resolve",
            "name or service not known",
            "temporary failure in name resolution",
            "network is unreachable",
            "connection refused",
            "connection timed out",
            "failed to fetch",
        ],
        "something could not be fetched over the network",
        "check that this machine reaches it; with --offline a Dockerfile has no network",
    ),
    (
        &["out of memory", "memoryerror", "oom-kill", "exit status 137", "exit code: 137", "signal: killed"],
        "it ran out of memory, or was killed",
        "run it where there is more memory, or do less in one step",
    ),
    (
        &[
            ": not found",
            "command not found",
            "executable file not found",
            "exit status 127",
            "exit code: 127",
        ],
        "a command is not in the image",
        "install it in an earlier step, or begin from an image that has it",
    ),
    (
        &["permission denied", "operation not permitted"],
        "it was not permitted",
        "`USER root` before the step may help; engines without root cannot do all",
    ),
];

/// What it comes from, and what to do.
fn classify(lines: &[String], step: Option<&RecipeStep>, code: i32) -> (String, String) {
    let output = lines.join("\n").to_lowercase();
    let found = REASONS.iter().find(|(words, ..)| words.iter().any(|word| output.contains(word)));
    if let Some((_, reason, hint)) = found {
        return ((*reason).to_owned(), (*hint).to_owned());
    }
    if step.is_some_and(|step| step.keyword == "FROM") {
        return ("the image cannot be used".to_owned(), "check its name and tag".to_owned());
    }
    let status = lines.iter().rev().find_map(|line| {
        // Of buildah, and of BuildKit.
        let rest = ["exit status ", "exit code: "].iter().find_map(|word| line.split(word).nth(1))?;
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<i32>().ok()
    });
    let reason = format!("it ended with exit code {}", status.unwrap_or(code));
    (reason, "mend the step, or try it by hand in a container of the image".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_classified_by_what_was_printed() {
        let recipe = Recipe::read("FROM x\n\nRUN false \\\n && b\n").unwrap();
        for (lines, expected) in [
            (&["E: Unable to locate package nosuch", "exit status 100"][..], "apt knows no such package"),
            (&["ERROR: No matching distribution found for nosuch==9"], "pip finds no package that fits"),
            (&["/bin/sh: 1: nosuch: not found", "exit status 127"], "a command is not in the image"),
            (&["did not complete successfully: exit code: 127"], "a command is not in the image"),
            (&["cp: error writing: No space left on device"], "no space left"),
            (&["Temporary failure resolving 'deb.debian.org'"], "over the network"),
            (&["out", "exit status 3"], "it ended with exit code 3"),
            (&["out", "did not complete successfully: exit code: 4"], "it ended with exit code 4"),
            (&["x.c:1:10: fatal error: Python.h: No such file or directory"], "could not be compiled"),
        ] {
            let lines: Vec<String> = lines.iter().map(|&line| line.to_owned()).collect();
            let failed = Failed { code: 1, line: Some(3), lines: lines.clone() };
            let error = DockerfileError::failed(&recipe, &failed, "build-1");
            let text = error.to_string();
            assert!(text.starts_with("the Dockerfile failed at line 3, `RUN false && b`: "), "{text}");
            assert!(text.contains(expected) && text.ends_with(&lines[lines.len() - 1]), "{text}");
            assert!(error.hint().unwrap().contains("provenv builds logs build-1"));
        }
    }
}
