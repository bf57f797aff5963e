//! A Dockerfile that makes about the same image, for people who know Dockerfiles and for places that take nothing else.

use std::fmt::Write as _;

use provenv_lock::{BaseLock, CondaPackage, PlatformLock, PostLink, PypiPackage, PypiSource, PythonLock};

use super::ImageConfig;
use crate::form::Form;
use crate::segment::PREFIX;

/// Where the program is that installs conda packages without conda.
const MICROMAMBA: &str = "mambaorg/micromamba:2";

/// How a step goes on in the next line.
const JOINT: &str = " \\\n    ";

/// A Dockerfile that asks for the same packages in the same versions, and of conda's and Python's for the same files. It says
/// in itself what it cannot express.
pub fn equivalent_dockerfile(lock: &PlatformLock) -> String {
    let from = match &lock.base {
        BaseLock::Debian { suite } => format!("debian:{suite}-slim"),
        BaseLock::Image(image) => image.pinned(),
        // By its digest no registry need have it: whoever builds this names the image that their Dockerfile made.
        BaseLock::Dockerfile(_) => "base".to_owned(),
    };
    let is_own = lock.base.manifest().is_none();
    let config = ImageConfig::of(lock, Form::default());
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
    if let BaseLock::Dockerfile(made) = &lock.base {
        let _ = writeln!(
            text,
            "# - what the definition's Dockerfile made, {}: build that first, and call it `base`",
            made.manifest
        );
    }
    if !listed.is_empty() {
        text.push_str(
            "# - where Python packages come from: give pip an --index-url if that is not its default\n",
        );
    }
    for package in other {
        let _ = writeln!(text, "# - a package that was built here: {package}");
    }
    conda_remarks(lock, &mut text);
    let python = lock.python.as_ref().filter(|python| !python.as_is);
    let is_built = python.is_some() || !lock.conda.is_empty();
    if is_built {
        let _ = writeln!(text, "FROM {from} AS build");
        if !is_own {
            // The base may be for another user.
            text.push_str("USER root\n");
        }
        if !lock.conda.is_empty() {
            text.push_str(&conda(&lock.conda));
        }
        match python {
            Some(python) if python.is_condas() => text.push_str(&pip_on_conda(python, &listed)),
            Some(python) => text.push_str(&virtualenv(python, lock, &listed)),
            None => {}
        }
    }
    let _ = writeln!(text, "FROM {from}");
    if !lock.debian.is_empty() {
        text.push_str(
            "RUN apt-get update && apt-get install --yes --no-install-recommends --allow-downgrades",
        );
        for package in &lock.debian {
            let _ = write!(text, "{JOINT}{}={}", package.name, package.version);
        }
        text.push_str(" \\\n && rm -rf /var/lib/apt/lists/*\n");
    }
    if is_built {
        let _ = writeln!(text, "COPY --from=build /{PREFIX} /{PREFIX}");
    }
    if !is_own && !is_built {
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
            "LANG" | "LC_ALL" if !is_own => {}
            _ => {
                let _ = writeln!(text, "ENV {name}=\"{value}\"");
            }
        }
    }
    let command = serde_json::to_string(&config.command).expect("a list of texts is plain data");
    let _ = writeln!(text, "CMD {command}");
    text
}

/// What the steps for conda packages do otherwise than the image, or cannot do.
fn conda_remarks(lock: &PlatformLock, text: &mut String) {
    for package in lock.conda.iter().filter(|package| !is_on_the_web(package)) {
        let CondaPackage { name, version, artifact, .. } = package;
        let _ = writeln!(
            text,
            "# - a package that the build may not reach: {name} {version} from {}",
            artifact.url
        );
    }
    if lock.post_link == Some(PostLink::Skip) {
        text.push_str("# - that scripts of conda packages are left out: micromamba runs them\n");
    }
}

fn is_on_the_web(package: &CondaPackage) -> bool {
    matches!(package.artifact.url.as_url().scheme(), "http" | "https")
}

/// The step that installs conda packages by URL and digest. It solves nothing.
fn conda(packages: &[CondaPackage]) -> String {
    let mut text = String::new();
    for file in ["/bin/micromamba", "/etc/ssl/certs/ca-certificates.crt"] {
        let _ = writeln!(text, "COPY --from={MICROMAMBA} {file} {file}");
    }
    let urls = packages.iter().map(|package| {
        let CondaPackage { artifact, .. } = package;
        format!("{}#sha256:{}", artifact.url, artifact.sha256.hex())
    });
    let lines = ["@EXPLICIT".to_owned()].into_iter().chain(urls);
    let _ = writeln!(
        text,
        "RUN {} \\\n && micromamba create --yes --root-prefix /tmp/micromamba --prefix /{PREFIX} --file /tmp/explicit.txt \
         \\\n && rm -rf /tmp/micromamba",
        file("/tmp/explicit.txt", lines)
    );
    text
}

/// The step that installs Python packages beside conda's. The pip is one of its own: the environment may have none.
fn pip_on_conda(python: &PythonLock, requirements: &[String]) -> String {
    if requirements.is_empty() {
        return String::new();
    }
    let python = &python.executable;
    format!(
        "RUN {} \\\n && {python} -m venv /tmp/pip \\\n && /tmp/pip/bin/pip install --no-cache-dir --upgrade pip \\\n \
         && /tmp/pip/bin/pip --python {python} install --no-cache-dir --no-deps --require-hashes --requirement \
         /tmp/requirements.txt\n",
        file("/tmp/requirements.txt", requirements.iter().cloned())
    )
}

/// The steps that make the virtual environment, in a stage of their own: the image has no pip.
fn virtualenv(python: &PythonLock, lock: &PlatformLock, requirements: &[String]) -> String {
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
        let _ = write!(
            text,
            " \\\n && {} \\\n && /{PREFIX}/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement \
             /tmp/requirements.txt",
            file("/tmp/requirements.txt", requirements.iter().cloned())
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

/// The command that writes a file, as older builders know no here-documents.
fn file(path: &str, lines: impl Iterator<Item = String>) -> String {
    let mut command = String::from("printf '%s\\n'");
    for line in lines {
        let _ = write!(command, "{JOINT}'{}'", line.replace('\'', r"'\''"));
    }
    command + JOINT + "> " + path
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
