//! `buildah`: no daemon, and unprivileged where users can be mapped. It keeps its images in a folder of its own, which goes with
//! the build.

use std::path::{Path, PathBuf};

use provenv_compute::HostProcess;
use provenv_definition::{Recipe, RecipeStep};
use provenv_lock::ToolVersion;

use super::engine::{Failed, Said, Work, environment, listen, write};
use crate::Result;
use crate::error::IoContext as _;

/// Digests were checked when the images came.
const POLICY: &str = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;

/// Name and version of the program.
pub(super) fn tool(program: &Path) -> ToolVersion {
    let output = std::process::Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    // `buildah version 1.28.2 (image-spec …)`
    let number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let version = text.split_whitespace().find(number).unwrap_or("unknown");
    ToolVersion { name: "buildah".to_owned(), version: version.to_owned() }
}

pub(super) fn run(
    program: &Path,
    work: &Work<'_>,
    heard: &mut dyn FnMut(&str),
) -> Result<Result<PathBuf, Failed>> {
    let buildah = Buildah::prepare(program, work)?;
    let result = buildah.build(work, heard);
    buildah.clean(heard);
    result
}

struct Buildah {
    /// The program, and where it keeps things.
    head: Vec<String>,
    env: Vec<(String, String)>,
    folder: PathBuf,
    offline: bool,
}

impl Buildah {
    fn prepare(program: &Path, work: &Work<'_>) -> Result<Self> {
        let folder = work.folder.to_owned();
        let path = |name: &str| folder.join(name).display().to_string();
        for name in ["root", "run", "tmp"] {
            fs_err::create_dir(folder.join(name))
                .doing(|| "could not prepare the run of the Dockerfile".to_owned())?;
        }
        write(&folder.join("policy.json"), POLICY)?;
        let mut env = environment(&folder.join("tmp"));
        // Where it would keep things of a user.
        env.push(("XDG_RUNTIME_DIR".to_owned(), path("run")));
        let head = vec![
            program.display().to_string(),
            "--root".to_owned(),
            path("root"),
            "--runroot".to_owned(),
            path("run"),
        ];
        let mut buildah = Self { head, env, folder, offline: work.offline };
        buildah.choose_driver()?;
        Ok(buildah)
    }

    /// An overlay, or copies where the file system allows none.
    fn choose_driver(&mut self) -> Result<()> {
        for driver in ["overlay", "vfs"] {
            let mut process = self.process(&["info"]);
            process.command.splice(1..1, ["--storage-driver".to_owned(), driver.to_owned()]);
            if listen(&process, &mut |_| ())?.code == 0 || driver == "vfs" {
                self.head.extend(["--storage-driver".to_owned(), driver.to_owned()]);
                break;
            }
        }
        Ok(())
    }

    fn process(&self, arguments: &[&str]) -> HostProcess {
        let mut command = self.head.clone();
        command.extend(arguments.iter().map(|&argument| argument.to_owned()));
        HostProcess { command, env: self.env.clone(), cwd: self.folder.clone(), network: !self.offline }
    }

    fn build(&self, work: &Work<'_>, heard: &mut dyn FnMut(&str)) -> Result<Result<PathBuf, Failed>> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let policy = path("policy.json");
        let (iid, ignore) = (path("iid"), path("ignore"));
        write(&self.folder.join("ignore"), "")?;
        // By relative paths: buildah makes names of them, in which capitals and dots are errors.
        let contexts: Vec<String> = work
            .bases
            .iter()
            .flat_map(|base| {
                base.names.iter().map(|name| format!("{name}=container-image://oci:{}:base", base.layout))
            })
            .collect();
        let (dockerfile, context) =
            (work.dockerfile.display().to_string(), work.context.display().to_string());
        let mut arguments = vec![
            "bud",
            "--isolation",
            "chroot",
            "--format",
            "oci",
            "--no-cache",
            "--pull=never",
            "--signature-policy",
            &policy,
            // What is to be left out is not there.
            "--ignorefile",
            &ignore,
            "--iidfile",
            &iid,
            "--file",
            &dockerfile,
        ];
        for context in &contexts {
            arguments.extend(["--build-context", context]);
        }
        let secrets = work.hand_secrets_over()?;
        arguments.extend(secrets.iter().map(String::as_str));
        arguments.push(&context);
        let mut names = |line: &str| heard(&named(line, work));
        let mut said = work.listen(&self.process(&arguments), &mut names)?;
        if said.code != 0 {
            for line in &mut said.lines {
                *line = named(line, work);
            }
            return Ok(Err(failed(&said, work.recipe)));
        }
        let image = fs_err::read_to_string(&iid).doing(|| "could not read what buildah made".to_owned())?;
        let image = image.trim().trim_start_matches("sha256:");
        let layout = self.folder.join("made");
        let target = format!("oci:{}:made", layout.display());
        let arguments = ["push", "--quiet", "--signature-policy", &policy, image, &target];
        let said = listen(&self.process(&arguments), &mut |_| ())?;
        Ok(if said.code == 0 { Ok(layout) } else { Err(failed(&said, work.recipe)) })
    }

    /// Of an ordinary user's, files belong to users that only buildah can map.
    fn clean(&self, heard: &mut dyn FnMut(&str)) {
        if !nix::unistd::geteuid().is_root() {
            let root = self.folder.join("root").display().to_string();
            let _ = listen(&self.process(&["unshare", "rm", "-rf", &root]), heard);
        }
    }
}

/// A line with the images called as the Dockerfile calls them.
fn named(line: &str, work: &Work<'_>) -> String {
    let mut line = line.to_owned();
    for base in work.bases {
        line = line.replace(&format!("oci:{}:base", base.layout), &base.names[0]);
    }
    line
}

/// The step that a line of buildah's begins: `STEP 2/3: RUN …`, `[1/2] STEP 2/3: RUN …`.
fn step_of<'r>(line: &str, recipe: &'r Recipe) -> Option<&'r RecipeStep> {
    let (place, text) = line.split_once(": ")?;
    let (stage, place) = match place.strip_prefix('[') {
        Some(rest) => {
            let (stage, place) = rest.split_once("] ")?;
            (stage.split('/').next()?.parse::<usize>().ok()?, place)
        }
        None => (1, place),
    };
    let number: usize = place.strip_prefix("STEP ")?.split('/').next()?.parse().ok()?;
    let keyword = text.split_whitespace().next()?.to_uppercase();
    let of_stage = recipe.steps.iter().filter(|step| step.stage == Some(stage - 1));
    // Stages that nothing needs may be passed over, and then the numbers are others.
    of_stage.clone().nth(number.checked_sub(1)?).filter(|step| step.keyword == keyword).or_else(|| {
        let arguments = text[keyword.len()..].trim();
        recipe.steps.iter().find(|step| step.keyword == keyword && step.arguments.trim() == arguments)
    })
}

/// What was printed since the last step began.
fn after_step(lines: &[String]) -> &[String] {
    let begun = lines.iter().rposition(|line| {
        let place = line.split(": ").next().unwrap_or_default();
        place.starts_with("STEP ") || (place.starts_with('[') && place.contains("] STEP "))
    });
    &lines[begun.map_or(0, |at| at + 1)..]
}

/// What of it is of the step that failed.
fn failed(said: &Said, recipe: &Recipe) -> Failed {
    let line = said.lines.iter().rev().find_map(|line| step_of(line, recipe)).map(|step| step.line);
    Failed { code: said.code, line, lines: after_step(&said.lines).to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_found_by_what_buildah_prints() {
        let text =
            "ARG A=1\nFROM x AS one\nRUN echo a\n\nFROM y\nCOPY --from=one /a /b\nRUN false \\\n && b\n";
        let recipe = Recipe::read(text).unwrap();
        for (line, expected) in [
            ("[1/2] STEP 1/2: FROM x AS one", Some(2)),
            ("[1/2] STEP 2/2: RUN echo a", Some(3)),
            ("[2/2] STEP 2/3: COPY --from=one /a /b", Some(6)),
            ("[2/2] STEP 3/3: RUN false  && b", Some(7)),
            ("[2/2] STEP 9/9: RUN echo a", Some(3)),
            ("STEP x: RUN", None),
            ("STEP 0/1: FROM x", None),
            ("Error: building at STEP \"RUN false\": exit status 1", None),
        ] {
            assert_eq!(step_of(line, &recipe).map(|step| step.line), expected, "{line}");
        }
    }
}
