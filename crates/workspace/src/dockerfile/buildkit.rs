//! BuildKit, by the client that people have: `docker buildx`. It knows all that Dockerfiles know by now, and needs a daemon, whose
//! storage it works in.
//!
//! Images are handed to it as named contexts with their digests, so nothing is pulled; where it looks an image up all the same,
//! what it makes is refused. It writes an OCI layout, in which the blobs of those images lie already: only what is new is sent.

use std::path::{Path, PathBuf};
use std::process::Command;

use provenv_compute::HostProcess;
use provenv_definition::Recipe;
use provenv_lock::ToolVersion;

use super::engine::{Failed, Said, Work, environment, program, write};
use super::failure::{DockerfileError, Missing};
use crate::Result;
use crate::error::IoContext as _;

/// Where images end up; relative, as all paths that are handed to buildx within lists: it splits those at commas and colons.
const MADE: &str = "made";
/// How daemons are found and spoken to.
const HANDED_ON: [&str; 11] = [
    "BUILDX_BUILDER",
    "BUILDX_CONFIG",
    "DOCKER_API_VERSION",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "KUBECONFIG",
    "XDG_RUNTIME_DIR",
];
/// What BuildKit hands to steps and leaves out of the image.
const PROXIES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];

/// A `docker buildx` whose builder answers.
#[derive(Clone, Debug)]
pub(super) struct BuildKit {
    docker: PathBuf,
    version: String,
}

impl BuildKit {
    /// The one that is here, or why there is none.
    pub fn find() -> Result<Self, Missing> {
        let docker = program("docker").ok_or(Missing::Program("docker"))?;
        let version = ask(&docker, &["buildx", "version"]);
        // `github.com/docker/buildx v0.13.1 788433953…`; what podman calls buildx is no BuildKit.
        let version = version.ok().and_then(|text| {
            let mut words = text.split_whitespace();
            words.next().filter(|name| *name == "github.com/docker/buildx")?;
            Some(words.next()?.trim_start_matches('v').to_owned())
        });
        let version = version.ok_or(Missing::Buildx)?;
        let inspected = ask(&docker, &["buildx", "inspect"]).map_err(Missing::Answer)?;
        let of = |key: &str| inspected.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        if let Some(error) = of("Error:") {
            return Err(Missing::Answer(error.to_owned()));
        }
        // Only with containerd's image store can the daemon's own BuildKit take images from us, and give one back.
        if of("Driver:") == Some("docker") {
            let status = ask(&docker, &["info", "--format", "{{json .DriverStatus}}"]);
            if !status.map_err(Missing::Answer)?.contains("io.containerd.snapshotter") {
                return Err(Missing::ImageStore);
            }
        }
        Ok(Self { docker, version })
    }

    pub fn tool(&self) -> ToolVersion {
        ToolVersion { name: "docker-buildx".to_owned(), version: self.version.clone() }
    }

    pub fn run(&self, work: &Work<'_>, heard: &mut dyn FnMut(&str)) -> Result<Result<PathBuf, Failed>> {
        if let Some(line) = fetches(work.recipe).filter(|_| work.offline) {
            return Err(DockerfileError::Fetches { line }.into());
        }
        let process = self.prepare(work)?;
        let mut stray = None;
        let mut listener = |line: &str| {
            stray = stray.take().or_else(|| looked_up(line).map(str::to_owned));
            heard(line);
        };
        let said = work.listen(&process, &mut listener)?;
        if let Some(image) = stray {
            return Err(DockerfileError::Unpinned { image }.into());
        }
        Ok(if said.code == 0 { Ok(work.folder.join(MADE)) } else { Err(failed(&said, work.recipe)) })
    }

    fn prepare(&self, work: &Work<'_>) -> Result<HostProcess> {
        const ACT: &str = "could not prepare the run of the Dockerfile";
        for name in ["tmp", "file"] {
            fs_err::create_dir(work.folder.join(name)).doing(|| ACT.to_owned())?;
        }
        let text = fs_err::read_to_string(work.dockerfile).doing(|| ACT.to_owned())?;
        write(&work.folder.join("file/Dockerfile"), &without_syntax(&text))?;
        // It goes before an ignore file of the context's.
        write(&work.folder.join("file/Dockerfile.dockerignore"), "# what is to be left out is not there\n")?;
        lay_known(work).doing(|| ACT.to_owned())?;

        let mut env = environment(&work.folder.join("tmp"));
        env.extend(HANDED_ON.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?))));
        let mut command = vec![self.docker.display().to_string()];
        let mut add = |words: &[&str]| command.extend(words.iter().map(|&word| word.to_owned()));
        add(&["buildx", "build", "--progress", "plain", "--no-cache", "--provenance=false", "--sbom=false"]);
        add(&["--platform", work.platform.as_str()]);
        // Layers are compressed by us.
        add(&["--output", &format!("type=oci,tar=false,dest={MADE},compression=uncompressed")]);
        if work.offline {
            add(&["--network", "none"]);
        }
        for proxy in PROXIES.iter().filter(|name| env.iter().any(|(known, _)| known == *name)) {
            // By its name alone: a value may hold a password, and command lines can be read by all.
            add(&["--build-arg", proxy]);
        }
        for base in work.bases {
            let (name, layout, digest) = (&base.names[0], &base.layout, base.manifest);
            add(&["--build-context", &format!("{name}=oci-layout://{layout}@{digest}")]);
        }
        for argument in work.hand_secrets_over()? {
            add(&[&argument]);
        }
        add(&["--file", "file/Dockerfile", &work.context.display().to_string()]);
        // The network is for the client, which may speak to its daemon over it.
        Ok(HostProcess { command, env, cwd: work.folder.to_owned(), network: true })
    }
}

/// What docker prints, or what it says is wrong.
fn ask(docker: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(docker).args(arguments).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("it says nothing").trim().to_owned())
}

/// Lays the blobs of the images where the result is to be, which then need not be sent back.
fn lay_known(work: &Work<'_>) -> std::io::Result<()> {
    let made = work.folder.join(MADE).join("blobs/sha256");
    fs_err::create_dir_all(&made)?;
    for base in work.bases {
        for blob in fs_err::read_dir(work.folder.join(&base.layout).join("blobs/sha256"))? {
            let blob = blob?;
            let link = made.join(blob.file_name());
            if fs_err::symlink_metadata(&link).is_err() {
                fs_err::os::unix::fs::symlink(fs_err::read_link(blob.path())?, link)?;
            }
        }
    }
    Ok(())
}

/// The text without the directive that names another frontend: an image that BuildKit would pull and run, pinned by nobody. Lines
/// keep their numbers, and what else is said at the top stays at the top.
fn without_syntax(text: &str) -> String {
    let directive = |line: &&str| {
        let known = line.trim_start().strip_prefix('#').and_then(|comment| comment.split_once('='));
        known.is_some_and(|(name, _)| {
            matches!(name.trim().to_ascii_lowercase().as_str(), "escape" | "syntax" | "check")
        })
    };
    let names_syntax = |line: &&str| {
        let name = line.trim_start().trim_start_matches('#').trim_start();
        name.get(..6).is_some_and(|name| name.eq_ignore_ascii_case("syntax"))
    };
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let (top, rest) = lines.split_at(lines.iter().take_while(|line| directive(line)).count());
    let (removed, kept): (Vec<&str>, Vec<&str>) = top.iter().copied().partition(names_syntax);
    kept.concat() + &"#\n".repeat(removed.len()) + &rest.concat()
}

/// The line of the first instruction that may fetch something by itself, from where no cut network keeps it: `ADD` of a URL.
fn fetches(recipe: &Recipe) -> Option<usize> {
    const REMOTE: [&str; 4] = ["://", "git@", "github.com/", "$"];
    let may = |arguments: &str| REMOTE.iter().any(|word| arguments.contains(word));
    recipe.steps.iter().find(|step| step.keyword == "ADD" && may(&step.arguments)).map(|step| step.line)
}

/// The image that a line says is looked up elsewhere than with us.
fn looked_up(line: &str) -> Option<&str> {
    let (_, text) = numbered(line)?;
    text.strip_prefix("[internal] load metadata for ")
        .or_else(|| text.strip_prefix("resolve image config for docker-image://"))
}

/// The number of what a line is about, and what it says: `#5 [1/2] RUN true`.
fn numbered(line: &str) -> Option<(&str, &str)> {
    let (number, text) = line.strip_prefix('#')?.split_once(' ')?;
    number.bytes().all(|byte| byte.is_ascii_digit()).then_some((number, text))
}

/// What a step has printed, without the seconds before it: `0.318 text`.
fn printed(text: &str) -> Option<&str> {
    let (seconds, text) = text.split_once(' ').unwrap_or((text, ""));
    let (whole, part) = seconds.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(part)).then_some(text)
}

/// What of it is of the step that failed.
fn failed(said: &Said, recipe: &Recipe) -> Failed {
    let of = |line| numbered(line).filter(|(_, text)| text.starts_with("ERROR: ")).map(|(number, _)| number);
    let number = said.lines.iter().rev().find_map(|line| of(line));
    let of_step =
        || said.lines.iter().filter_map(|line| numbered(line).filter(|(of, _)| Some(*of) == number));
    let mut lines: Vec<String> = of_step().filter_map(|(_, text)| printed(text)).map(str::to_owned).collect();
    lines.extend(said.lines.iter().rfind(|line| line.starts_with("ERROR: ")).cloned());
    if lines.is_empty() {
        lines.clone_from(&said.lines);
    }
    // It quotes the place: `Dockerfile:3`. Not for all that can go wrong; a title is there for every step.
    let quoted = said.lines.iter().rev().find_map(|line| line.strip_prefix("Dockerfile:")?.parse().ok());
    let titled = || of_step().find_map(|(_, text)| titled(text, recipe));
    Failed { code: said.code, line: quoted.or_else(titled), lines }
}

/// The line of the step with a title: `[one 2/3] COPY a /b`.
fn titled(title: &str, recipe: &Recipe) -> Option<usize> {
    let (_, text) = title.strip_prefix('[')?.split_once("] ")?;
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (keyword, arguments) = text.split_once(' ')?;
    let is_it = |arguments: &str, step: &str| squeezed(arguments).ends_with(&squeezed(step));
    let found = recipe.steps.iter().find(|step| step.keyword == keyword && is_it(arguments, &step.arguments));
    found.map(|step| step.line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        Said { code: 1, lines: text.lines().map(str::to_owned).collect() }
    }

    #[test]
    fn of_steps_at_once_the_one_that_failed_is_told() {
        let text = "FROM x AS one\n\nRUN echo a; \\\n  nosuch --now\nFROM y\nRUN sleep 3; echo late\n";
        let failed = failed(
            &said(
                "#5 [stage-1 1/3] RUN sleep 3; echo late\n#5 0.1 Dockerfile:1\n#5 ...\n#6 [one 1/2] RUN echo a;   nosuch --now\n\
                 #6 0.318 /bin/sh: 1: nosuch: not found\n#6 0.318 a\n\
                 #6 ERROR: process \"/bin/sh -c echo a\" did not complete successfully: exit code: 127\n#5 CANCELED\n------\n \
                 > [one 1/2] RUN echo a;   nosuch --now:\n0.318 /bin/sh: 1: nosuch: not found\n------\nDockerfile:3\n\
                 --------------------\n   3 | >>> RUN echo a; \\\n--------------------\n\
                 ERROR: failed to solve: process \"/bin/sh -c echo a\" did not complete successfully: exit code: 127",
            ),
            &Recipe::read(text).unwrap(),
        );
        let expected = [
            "/bin/sh: 1: nosuch: not found",
            "a",
            "ERROR: failed to solve: process \"/bin/sh -c echo a\" did not complete successfully: exit code: 127",
        ];
        assert_eq!((failed.line, failed.lines), (Some(3), expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn without_a_place_the_title_of_the_step_tells_it() {
        let recipe = Recipe::read("FROM x\nADD --chmod=644 http://host/a  /b\nRUN true\n").unwrap();
        let said = said(
            "#4 [1/2] ADD --chmod=644 http://host/a /b\n#4 ERROR: Get \"http://host/a\": connection refused\nERROR: failed to solve: x",
        );
        assert_eq!(failed(&said, &recipe).line, Some(2));
    }

    #[test]
    fn no_other_frontend_is_asked_for_and_lines_keep_their_numbers() {
        for (text, expected) in [
            ("# syntax=docker/dockerfile:1\nFROM x\n", "#\nFROM x\n"),
            (
                "#Syntax = a\n# escape=`\n#check=skip=all\nFROM x\n",
                "# escape=`\n#check=skip=all\n#\nFROM x\n",
            ),
            (
                "# a comment\n# syntax=no directive any more\nFROM x\n",
                "# a comment\n# syntax=no directive any more\nFROM x\n",
            ),
            ("FROM x", "FROM x"),
        ] {
            assert_eq!(without_syntax(text), expected);
        }
    }

    #[test]
    fn an_image_that_is_looked_up_elsewhere_is_seen() {
        assert_eq!(
            looked_up("#2 [internal] load metadata for docker.io/library/x:1"),
            Some("docker.io/library/x:1")
        );
        assert_eq!(looked_up("#2 [context x:1] load metadata for x:1@sha256:0"), None);
        assert_eq!(looked_up("#7 0.2 [internal] load metadata for what a step prints"), None);
    }

    #[test]
    fn what_adds_from_elsewhere_is_told_from_what_is_in_the_context() {
        for (add, expected) in [
            ("a.txt /a", None),
            ("https://host/a /a", Some(2)),
            ("git@github.com:team/repo.git /a", Some(2)),
            ("github.com/team/repo /a", Some(2)),
            ("$WHAT /a", Some(2)),
        ] {
            assert_eq!(fetches(&Recipe::read(&format!("FROM x\nADD {add}\n")).unwrap()), expected, "{add}");
        }
    }
}
