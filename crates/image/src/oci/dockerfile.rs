//! A Dockerfile that makes about the same image, for people who know Dockerfiles and for places that take nothing else.

use std::fmt::Write as _;

use provenv_lock::{BaseLock, PlatformLock, PypiPackage, PypiSource, PythonLock};

use super::ImageConfig;
use crate::segment::PREFIX;

/// A Dockerfile that asks for the same packages in the same versions, and of Python's for the same files. It says in itself
/// what it cannot express.
pub fn equivalent_dockerfile(lock: &PlatformLock) -> String {
    let from = match &lock.base {
        BaseLock::Debian { suite } => format!("debian:{suite}-slim"),
        BaseLock::Image(image) => image.pinned(),
    };
    let config = ImageConfig::of(lock);
    let mut text = String::from(
        "# The same packages in the same versions. What a Dockerfile cannot say:\n\
         # - the same image: times, folders and what packages' scripts write differ with each build\n\
         # - Debian packages by digest: a mirror keeps one version of each, and may have another by now\n",
    );
    let [mut listed, mut other] = [Vec::new(), Vec::new()];
    for package in &lock.pypi {
        match requirement(package) {
            Ok(line) => listed.push(line),
            Err(from) => other.push(format!("{} {} from {from}", package.name, package.version)),
        }
    }
    if !listed.is_empty() {
        text.push_str(
            "# - where Python packages come from: give pip an --index-url if that is not its default\n",
        );
    }
    for package in other {
        let _ = writeln!(text, "# - a package that was built here: {package}");
    }
    let python = lock.python.as_ref().filter(|python| !python.as_is);
    if let Some(python) = python {
        let _ = write!(text, "FROM {from} AS build\n{}", environment(python, lock, &listed));
    }
    let _ = writeln!(text, "FROM {from}");
    if !lock.debian.is_empty() {
        text.push_str(
            "RUN apt-get update && apt-get install --yes --no-install-recommends --allow-downgrades",
        );
        for package in &lock.debian {
            let _ = write!(text, " \\\n    {}={}", package.name, package.version);
        }
        text.push_str(" \\\n && rm -rf /var/lib/apt/lists/*\n");
    }
    if python.is_some() {
        let _ = writeln!(text, "COPY --from=build /{PREFIX} /{PREFIX}");
    }
    let is_own = lock.base.image().is_none();
    if !is_own && python.is_none() && lock.conda.is_empty() {
        // All else is the base's.
        return text;
    }
    if !is_own {
        text.push_str("USER root\nWORKDIR /\n");
    }
    for (name, value) in &config.env {
        match name.as_str() {
            "PATH" if !is_own => {
                let _ = writeln!(text, "ENV PATH=\"/{PREFIX}/bin:$PATH\"");
            }
            "LANG" if !is_own => {}
            _ => {
                let _ = writeln!(text, "ENV {name}=\"{value}\"");
            }
        }
    }
    let command = serde_json::to_string(&config.command).expect("a list of texts is plain data");
    let _ = writeln!(text, "CMD {command}");
    text
}

/// The steps that make the virtual environment, in a stage of their own: the image has no pip.
fn environment(python: &PythonLock, lock: &PlatformLock, requirements: &[String]) -> String {
    let (major, minor) = python.minor();
    let mut text = String::new();
    if python.executable.starts_with("/usr/bin/") {
        let _ = writeln!(
            text,
            "RUN apt-get update && apt-get install --yes --no-install-recommends python{major}.{minor}-venv"
        );
    }
    let _ = write!(text, "RUN {} -m venv /{PREFIX}", python.executable);
    if !requirements.is_empty() {
        text.push_str(" \\\n && printf '%s\\n'");
        for requirement in requirements {
            let _ = write!(text, " \\\n    '{requirement}'");
        }
        let _ = write!(
            text,
            " \\\n    > /tmp/requirements.txt \\\n && /{PREFIX}/bin/pip install --no-cache-dir --no-deps \
             --require-hashes --requirement /tmp/requirements.txt"
        );
    }
    let asked = |name: &&str| !lock.pypi.iter().any(|package| package.name == *name);
    let tools: Vec<&str> = ["setuptools", "pip"].into_iter().filter(asked).collect();
    if !tools.is_empty() {
        let _ = write!(text, " \\\n && /{PREFIX}/bin/python -m pip uninstall --yes {}", tools.join(" "));
    }
    text.push('\n');
    text
}

/// A line of a requirements file, or whence the package comes that no such line can name.
fn requirement(package: &PypiPackage) -> Result<String, String> {
    let sha256 = match &package.source {
        PypiSource::Wheel(artifact) => artifact.sha256,
        PypiSource::Built { sdist: Some(sdist), .. } => sdist.sha256,
        PypiSource::Built { repository: Some(repository), .. } => return Err(repository.clone()),
        PypiSource::Built { .. } => return Err("a folder".to_owned()),
    };
    Ok(format!("{}=={} --hash=sha256:{}", package.name, package.version, sha256.hex()))
}
