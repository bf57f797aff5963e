//! The Python of a user-managed environment: its base brings it, and its user says where it is.
//!
//! Commands find it as `python` and `python3`. Scripts of two lines start it, and not links: a Python looks beside the
//! path that it was started by for the virtual environment that it belongs to.

use std::path::{Path, PathBuf};

use provenv_compute::{Container, Mount, Streams, Writable};
use provenv_definition::{Diagnostic, Digest, Environment, Origins, no_interpreter};
use provenv_image::oci::Image;
use serde::Serialize;

use crate::error::IoContext;
use crate::{Error, Result, Workspace, sandbox};

/// What commands call it.
const NAMES: [&str; 2] = ["python", "python3"];
/// Where the scripts are, inside.
const FOLDER: &str = "/mnt/provenv/interpreter";
/// What an interpreter is asked when it is tried.
const QUESTION: &str = "import sys; print('.'.join(map(str, sys.version_info[:3])))";

/// What trying the interpreter of a user-managed environment came to.
#[derive(Clone, Debug, Serialize)]
pub struct TriedInterpreter {
    /// As the environment names it.
    pub interpreter: String,
    /// Its version, if it can be started.
    pub version: Option<String>,
    /// What there is to say if not.
    #[serde(skip)]
    pub remark: Option<Diagnostic>,
}

/// The interpreter that the commands of an environment are to find; `None` where it is the image's own affair: as it
/// is with all environments whose packages we install, and where nothing else than `python` was named.
fn named(environment: &Environment) -> Option<&str> {
    let named = environment.interpreter_path.as_deref().filter(|path| !path.is_empty() && *path != "python");
    named.filter(|_| environment.definition.user_managed)
}

impl Workspace {
    /// Makes `python` and `python3` in `container` the interpreter of `environment`, if that names one.
    pub(crate) fn show_interpreter(
        &self,
        environment: &Environment,
        container: &mut Container,
    ) -> Result<()> {
        let Some(interpreter) = named(environment) else { return Ok(()) };
        let host = self.interpreter_scripts(interpreter)?;
        container.mounts.push(Mount { host, guest: FOLDER.into(), read_only: true });
        // Without namespaces, `PATH` is not ours to set: the command itself is all that can be led there.
        for command in [Some(&mut container.command), container.plain_command.as_mut()].into_iter().flatten()
        {
            if let Some(program) = command.first_mut().filter(|program| stands_for(program, interpreter)) {
                interpreter.clone_into(program);
            }
        }
        for (_, path) in container.env.iter_mut().filter(|(name, _)| name == "PATH") {
            *path = search_path(interpreter, path);
        }
        Ok(())
    }

    /// The folder with the scripts that start `interpreter`.
    fn interpreter_scripts(&self, interpreter: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let folders = self.root.join("interpreters");
        let folder = folders.join(Digest::of(interpreter.as_bytes()).hex());
        let making = || format!("could not make a script that starts the interpreter `{interpreter}`");
        if folder.is_dir() {
            return Ok(folder);
        }
        fs_err::create_dir_all(&folders).doing(making)?;
        let staged = tempfile::Builder::new().prefix(".staged-").tempdir_in(&folders).doing(making)?;
        let permissions = |mode| std::fs::Permissions::from_mode(mode);
        for name in NAMES.iter().filter(|name| stands_for(name, interpreter)) {
            let script = staged.path().join(name);
            let quoted = interpreter.replace('\'', r"'\''");
            fs_err::write(&script, format!("#!/bin/sh\nexec '{quoted}' \"$@\"\n")).doing(making)?;
            fs_err::set_permissions(&script, permissions(0o755)).doing(making)?;
        }
        fs_err::set_permissions(staged.path(), permissions(0o755)).doing(making)?;
        match fs_err::rename(staged.path(), &folder) {
            // Another process was quicker.
            Err(_) if folder.is_dir() => {}
            result => result.doing(making)?,
        }
        Ok(folder)
    }

    /// Tries the interpreter of a user-managed environment in its image, which is made if it is not there; `None` for other
    /// environments.
    pub async fn try_interpreter(&self, reference: &str, folder: &Path) -> Result<Option<TriedInterpreter>> {
        let given = self.given(reference, folder).await?;
        if !given.environment.definition.user_managed {
            return Ok(None);
        }
        let _pin = self.store.pin()?;
        let prepared = self.prepared(&given).await?;
        let tried = self.interpreter_in(&given.environment, &given.origins, &prepared.image);
        tried.await.map(Some)
    }

    /// The same in an image that is there. Hold a pin on the store.
    pub(crate) async fn interpreter_in(
        &self,
        environment: &Environment,
        origins: &Origins,
        image: &Image,
    ) -> Result<TriedInterpreter> {
        let layers = self.unpack(&image.layers).await?;
        let interpreter = environment.interpreter_path.as_deref().unwrap_or("python").to_owned();
        let variables = provenv_image::oci::variables(&self.store, image)?;
        let ask = async |interpreter: &str| self.ask(interpreter, layers.clone(), variables.clone()).await;
        let problem = match ask(&interpreter).await? {
            Ok(version) => {
                return Ok(TriedInterpreter { interpreter, version: Some(version), remark: None });
            }
            Err(problem) => problem,
        };
        let other = if interpreter == "python" { ask("python3").await? } else { Err(String::new()) };
        let hint = match other {
            Ok(version) => format!("there is a python3 ({version}): write `interpreter_path: python3`"),
            Err(_) => "add what has it to the base, such as python3 to `system_packages`, or correct `interpreter_path`"
                .to_owned(),
        };
        let remark = no_interpreter(problem, &hint, origins);
        Ok(TriedInterpreter { interpreter, version: None, remark: Some(remark) })
    }

    /// The version of an interpreter in an image, or why it has none.
    async fn ask(
        &self,
        interpreter: &str,
        layers: Vec<PathBuf>,
        env: Vec<(String, String)>,
    ) -> Result<Result<String, String>> {
        let container = Container {
            layers,
            command: [interpreter, "-c", QUESTION].map(str::to_owned).into(),
            env,
            cwd: "/".into(),
            // It is asked for its version; where there are no namespaces, the network cannot be cut.
            network: true,
            writable: Writable::Memory,
            ..Container::default()
        };
        let (store, interpreter) = (self.store.clone(), interpreter.to_owned());
        tokio::task::spawn_blocking(move || {
            use provenv_compute::Error as Refusal;
            let running = match container.spawn(&store, Streams::captured()) {
                Ok(running) => running,
                Err(error @ (Refusal::CommandNotFound { .. } | Refusal::CommandNotExecutable { .. })) => {
                    return Ok(Err(format!("the interpreter `{interpreter}` cannot be started: {error}")));
                }
                Err(error) => return Err(Error::from(error)),
            };
            let output = sandbox::captured(running)?;
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let is_version = version.starts_with(|c: char| c.is_ascii_digit()) && version.len() < 32;
            if output.code == 0 && is_version {
                return Ok(Ok(version));
            }
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            let said: String = sandbox::shown(said).take(200).collect();
            Ok(Err(format!("`{interpreter}` is no Python that works: it ended with {}: {said}", output.code)))
        })
        .await?
    }
}

/// Whether `program` is a name that is to lead to `interpreter`, and is not that itself.
fn stands_for(program: &str, interpreter: &str) -> bool {
    NAMES.contains(&program) && program != interpreter
}

/// The scripts first; then what lies beside the interpreter, as in an environment that is active.
fn search_path(interpreter: &str, path: &str) -> String {
    let beside = Path::new(interpreter).parent().and_then(Path::to_str).filter(|folder| !folder.is_empty());
    let beside = beside.filter(|folder| !path.split(':').any(|entry| entry == *folder));
    let beside = beside.map(|folder| format!("{folder}:")).unwrap_or_default();
    format!("{FOLDER}:{beside}{path}")
}

#[cfg(test)]
mod tests {
    use super::{search_path, stands_for};

    #[test]
    fn a_name_leads_to_the_interpreter_and_never_to_itself() {
        assert!(stands_for("python", "/opt/py/bin/python") && stands_for("python3", "python3.11"));
        assert!(stands_for("python", "python3") && !stands_for("python3", "python3"));
        assert!(!stands_for("pip", "/opt/py/bin/python"));
    }

    #[test]
    fn what_lies_beside_the_interpreter_comes_next_unless_it_has_its_place() {
        let path = "/usr/local/bin:/usr/bin";
        assert_eq!(
            search_path("/opt/py/bin/python", path),
            format!("/mnt/provenv/interpreter:/opt/py/bin:{path}")
        );
        for interpreter in ["/usr/bin/python3", "python3"] {
            assert_eq!(search_path(interpreter, path), format!("/mnt/provenv/interpreter:{path}"));
        }
    }
}
