//! The program that runs Dockerfiles: which ones there are, which is taken, and how it is listened to.

use std::collections::VecDeque;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use provenv_compute::{HostProcess, Stream, Streams};
use provenv_definition::{Digest, Platform, Recipe, mask_secrets};
use provenv_lock::ToolVersion;
use serde::Deserialize;

use super::buildah;
use super::buildkit::BuildKit;
use super::failure::{DockerfileError, Missing};
use super::secrets::Secret;
use crate::error::IoContext as _;
use crate::sandbox::shown;
use crate::{Error, Result};

/// Which engine runs Dockerfiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Builder {
    /// The first that is found, in the order below.
    #[default]
    Auto,
    /// `buildah`, which needs no daemon.
    Buildah,
    /// BuildKit, by `docker buildx`.
    Buildkit,
}

impl FromStr for Builder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "buildah" => Ok(Self::Buildah),
            "buildkit" => Ok(Self::Buildkit),
            _ => Err(format!("`{text}` is none of auto, buildah and buildkit")),
        }
    }
}

impl fmt::Display for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Buildah => "buildah",
            Self::Buildkit => "buildkit",
        })
    }
}

/// All that an engine is given. Paths are absolute.
pub(super) struct Work<'a> {
    /// A folder for what the engine needs while it works, with nothing in it but the layouts of `bases`.
    pub folder: &'a Path,
    /// The Dockerfile.
    pub dockerfile: &'a Path,
    /// The build context, with nothing in it that is to be left out.
    pub context: &'a Path,
    /// The images that it begins from and copies from.
    pub bases: &'a [Named],
    /// What the Dockerfile says.
    pub recipe: &'a Recipe,
    /// What the image is for.
    pub platform: Platform,
    /// What steps ask for and nobody else is to see.
    pub secrets: &'a [Secret],
    /// Cut the network off.
    pub offline: bool,
}

impl Work<'_> {
    /// The arguments that hand the secrets to an engine whose working folder is ours.
    pub fn hand_secrets_over(&self) -> Result<Vec<String>> {
        let arguments =
            self.secrets.iter().enumerate().map(|(number, secret)| secret.hand_over(number, self.folder));
        let arguments = arguments.collect::<std::io::Result<Vec<_>>>();
        let arguments = arguments.doing(|| "could not prepare the run of the Dockerfile".to_owned())?;
        Ok(arguments.into_iter().flat_map(|argument| ["--secret".to_owned(), argument]).collect())
    }

    /// Runs a program of the engine's to its end, hiding the secrets in what it prints.
    pub fn listen(&self, process: &HostProcess, heard: &mut dyn FnMut(&str)) -> Result<Said> {
        let mut hidden: Vec<String> = self.secrets.iter().flat_map(Secret::lines).collect();
        // What is part of another one goes with it.
        hidden.sort_by_key(|line| std::cmp::Reverse(line.len()));
        listen_hiding(process, &hidden, heard)
    }
}

/// An image that a Dockerfile names.
pub(super) struct Named {
    /// Its name, variables put in, and what else the Dockerfile writes for it.
    pub names: Vec<String>,
    /// The OCI layout in [`Work::folder`] that has it as `base`.
    pub layout: String,
    /// Its manifest.
    pub manifest: Digest,
}

/// An engine that is here.
#[derive(Clone, Debug)]
pub(super) enum Engine {
    Buildah(PathBuf),
    BuildKit(BuildKit),
}

impl Engine {
    /// The one that is asked for. Of those that are found, `buildah`, which keeps nothing and asks nobody, unless only the other one
    /// can run `recipe`.
    pub fn find(asked: Builder, recipe: &Recipe, offline: bool) -> Result<Self> {
        let buildah =
            || program("buildah").map(Self::Buildah).ok_or_else(|| vec![Missing::Program("buildah")]);
        let buildkit = || BuildKit::find().map(Self::BuildKit).map_err(|missing| vec![missing]);
        let found = match asked {
            Builder::Buildah => buildah(),
            Builder::Buildkit => buildkit(),
            Builder::Auto => match buildah() {
                Ok(first) if first.can_run(recipe, offline) => Ok(first),
                first => buildkit().or_else(|second| first.map_err(|first| [first, second].concat())),
            },
        };
        found.map_err(|missing| DockerfileError::NoEngine { asked, missing }.into())
    }

    /// Its name and version, for the receipt.
    pub fn tool(&self) -> ToolVersion {
        match self {
            Self::Buildah(program) => buildah::tool(program),
            Self::BuildKit(buildkit) => buildkit.tool(),
        }
    }

    /// Whether it knows here-documents.
    pub fn knows_here_documents(&self, tool: &ToolVersion) -> bool {
        match self {
            Self::Buildah(_) => version(tool) >= (Some(1), Some(33)),
            Self::BuildKit(_) => true,
        }
    }

    /// Whether its mounts stay in what they are taken from, whatever links there are (CVE-2024-1753, CVE-2024-9675).
    pub fn keeps_mounts_inside(&self, tool: &ToolVersion) -> bool {
        match self {
            Self::Buildah(_) => version(tool) >= (Some(1), Some(38)),
            Self::BuildKit(_) => true,
        }
    }

    /// Whether nothing is known that would keep it from running `recipe`.
    fn can_run(&self, recipe: &Recipe, offline: bool) -> bool {
        let can_cut = !matches!(self, Self::Buildah(_)) || nix::unistd::geteuid().is_root();
        let tool = self.tool();
        (recipe.here_document.is_none() || self.knows_here_documents(&tool))
            && (recipe.mount_by_path.is_none() || self.keeps_mounts_inside(&tool))
            && (!offline || can_cut)
    }

    /// Runs the Dockerfile. `heard` gets each line that it prints. The folder with the OCI layout of what it made, or why it failed.
    pub fn run(&self, work: &Work<'_>, heard: &mut dyn FnMut(&str)) -> Result<Result<PathBuf, Failed>> {
        match self {
            Self::Buildah(program) => buildah::run(program, work, heard),
            Self::BuildKit(buildkit) => buildkit.run(work, heard),
        }
    }
}

/// The first two numbers of a version.
fn version(tool: &ToolVersion) -> (Option<u32>, Option<u32>) {
    let mut numbers = tool.version.split('.').map_while(|part| part.parse().ok());
    (numbers.next(), numbers.next())
}

/// Where a program is.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders
        .map(|folder| folder.join(name))
        .find(|file| nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok() && file.is_file())
}

/// The variables that engines and git need of ours, and no others.
pub(super) fn environment(folder: &Path) -> Vec<(String, String)> {
    const HANDED_ON: [&str; 12] = [
        "PATH",
        "HOME",
        "USER",
        "LANG",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSH_AUTH_SOCK",
    ];
    let mut variables: Vec<(String, String)> =
        HANDED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))).collect();
    variables.push(("TMPDIR".to_owned(), folder.display().to_string()));
    variables
}

/// A run that failed.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    /// The exit code of the engine.
    pub code: i32,
    /// The first line of the instruction that failed, where that can be told.
    pub line: Option<usize>,
    /// What was printed since it began, or as much as is known of that.
    pub lines: Vec<String>,
}

/// What a program said in the end.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// Its exit code.
    pub code: i32,
    /// Its last lines.
    pub lines: Vec<String>,
}

/// Lines that are kept of what a program prints.
const KEPT: usize = 400;
/// What is longer is no line for people.
const LONGEST: usize = 8 << 10;

/// Runs a program to its end; `heard` gets each line it prints, without secrets and without what moves a terminal's cursor.
pub(super) fn listen(process: &HostProcess, heard: &mut dyn FnMut(&str)) -> Result<Said> {
    listen_hiding(process, &[], heard)
}

fn listen_hiding(process: &HostProcess, hidden: &[String], heard: &mut dyn FnMut(&str)) -> Result<Said> {
    let (mut reader, writer) = std::io::pipe().doing(|| "could not listen to the engine".to_owned())?;
    let again = writer.try_clone().doing(|| "could not listen to the engine".to_owned())?;
    // One pipe for both, so that lines come in the order in which they are printed.
    let streams = Streams {
        stdin: Stream::Null,
        stdout: Stream::File(writer.into()),
        stderr: Stream::File(again.into()),
    };
    let mut running = process.spawn(streams)?;
    for note in running.notes() {
        heard(note);
    }
    let mut lines: VecDeque<String> = VecDeque::new();
    let mut take = |line: &[u8]| {
        let mut text = String::from_utf8_lossy(&line[..line.len().min(LONGEST)]).into_owned();
        for secret in hidden {
            text = text.replace(secret, "***");
        }
        let text = mask_secrets(&shown(&text).collect::<String>());
        if text.trim().is_empty() {
            return;
        }
        heard(&text);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(text);
    };
    let mut buffer = vec![0; 64 << 10];
    let mut line: Vec<u8> = Vec::new();
    loop {
        let read = reader.read(&mut buffer).map_err(provenv_compute::Error::Io)?;
        if read == 0 {
            break;
        }
        for &byte in &buffer[..read] {
            if matches!(byte, b'\n' | b'\r') {
                take(&line);
                line.clear();
            } else if line.len() < LONGEST {
                line.push(byte);
            }
        }
    }
    take(&line);
    let code = running.wait()?.code;
    Ok(Said { code, lines: lines.into() })
}

/// Writes a file of the engine's.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs_err::write(path, text).doing(|| "could not prepare the run of the Dockerfile".to_owned())
}
