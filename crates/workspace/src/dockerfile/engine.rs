//! The program that runs Dockerfiles: which ones there are, which is taken, and how it is listened to.

use std::collections::VecDeque;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use provenv_compute::{HostProcess, Stream, Streams};
use provenv_definition::mask_secrets;
use provenv_lock::ToolVersion;
use serde::Deserialize;

use super::buildah;
use super::failure::DockerfileError;
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
}

impl FromStr for Builder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "buildah" => Ok(Self::Buildah),
            _ => Err(format!("`{text}` is neither auto nor buildah")),
        }
    }
}

impl fmt::Display for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Buildah => "buildah",
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
    /// Cut the network off.
    pub offline: bool,
}

/// An image that a Dockerfile names.
pub(super) struct Named {
    /// Its name, variables put in, and what else the Dockerfile writes for it.
    pub names: Vec<String>,
    /// The OCI layout in [`Work::folder`] that has it as `base`.
    pub layout: String,
}

/// An engine that is here.
#[derive(Clone, Debug)]
pub(super) enum Engine {
    Buildah(PathBuf),
}

impl Engine {
    /// The one that is asked for, or the first that is found.
    pub fn find(asked: Builder) -> Result<Self> {
        let buildah = || program("buildah").map(Self::Buildah);
        let found = match asked {
            Builder::Auto | Builder::Buildah => buildah(),
        };
        found.ok_or_else(|| DockerfileError::NoEngine(asked).into())
    }

    /// Its name and version, for the receipt.
    pub fn tool(&self) -> ToolVersion {
        let (name, program) = match self {
            Self::Buildah(program) => ("buildah", program),
        };
        let output = std::process::Command::new(program).arg("--version").output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        // `buildah version 1.28.2 (image-spec …)`, `buildctl github.com/moby/buildkit v0.12.5 …`
        let number = |word: &&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
        let version = text.split_whitespace().find(number).unwrap_or("unknown");
        ToolVersion { name: name.to_owned(), version: version.trim_start_matches('v').to_owned() }
    }

    /// Whether it knows here-documents.
    pub fn knows_here_documents(&self, tool: &ToolVersion) -> bool {
        let mut numbers = tool.version.split('.').map_while(|part| part.parse::<u32>().ok());
        match self {
            Self::Buildah(_) => (numbers.next(), numbers.next()) >= (Some(1), Some(33)),
        }
    }

    /// Runs the Dockerfile. `heard` gets each line that it prints. The folder with the OCI layout of what it made, or what it said
    /// last.
    pub fn run(&self, work: &Work<'_>, heard: &mut dyn FnMut(&str)) -> Result<Result<PathBuf, Said>> {
        match self {
            Self::Buildah(program) => buildah::run(program, work, heard),
        }
    }
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
        let text = String::from_utf8_lossy(&line[..line.len().min(LONGEST)]);
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
