//! Which format a file has: by its name where that is telling, else by its content.

use crate::document::{self, Kind, Node};
use crate::pip::comment_start;
use crate::read::Format;
use crate::{Diagnostic, ReadError, Source, Span, azure, codes, conda};

/// A file whose format is known.
pub(crate) enum Recognised {
    /// A format of lines.
    Lines(Format),
    /// A structured format, parsed.
    Document(Format, Node),
}

/// The format of `source`.
pub(crate) fn format_of(source: &Source) -> Result<Recognised, ReadError> {
    let name = source.path().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let extension = source.path().extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let toml = |format| Ok(Recognised::Document(format, document::parse_toml(source)?));
    let unsupported = || {
        let message = format!("a file like `{name}` is not read");
        let diagnostic = Diagnostic::new(codes::UNSUPPORTED_FORMAT, message)
            .with_hint("use a requirements file, an environment YAML, a lock or a Dockerfile");
        Err(diagnostic.in_file(source.path()).into())
    };
    match (&*name, &*extension) {
        ("uv.lock", _) => toml(Format::UvLock),
        ("poetry.lock", _) => toml(Format::PoetryLock),
        ("pixi.lock", _) => pixi_lock(source),
        ("pixi.toml", _) => toml(Format::PixiManifest),
        (name, "toml") if name == "pylock.toml" || name.starts_with("pylock.") => toml(Format::Pylock),
        (_, "toml") => {
            let node = document::parse_toml(source)?;
            Ok(Recognised::Document(toml_format(&node), node))
        }
        // conda-lock renders its lock as `conda-linux-64.lock`.
        (_, "lock") if is_explicit(source) => Ok(Recognised::Lines(Format::CondaExplicit)),
        (_, "lock") if is_pixi_lock(source) => pixi_lock(source),
        ("pipfile" | "pipfile.lock" | "setup.py" | "setup.cfg", _) | (_, "lock" | "py" | "ipynb" | "cfg") => {
            unsupported()
        }
        (name, _) if is_dockerfile_name(name) => Ok(Recognised::Lines(Format::Dockerfile)),
        (_, "yml" | "yaml" | "json") => yaml(source),
        _ if is_explicit(source) => Ok(Recognised::Lines(Format::CondaExplicit)),
        _ if is_conda_list(source) => Ok(Recognised::Lines(Format::CondaList)),
        (_, "txt") if is_pixi_lock(source) => pixi_lock(source),
        (_, "txt" | "in" | "pip") => Ok(Recognised::Lines(Format::Requirements)),
        _ if is_yaml(source) => yaml(source),
        _ if is_dockerfile(source) => Ok(Recognised::Lines(Format::Dockerfile)),
        _ => Ok(Recognised::Lines(Format::Requirements)),
    }
}

/// Whether a name in lower case is a Dockerfile's: `Dockerfile`, `gpu.dockerfile`, `Dockerfile.gpu`, `app__dockerfile.2`.
fn is_dockerfile_name(name: &str) -> bool {
    let known = ["dockerfile", "containerfile"];
    let other = [".json", ".md", ".sh", ".txt", ".yaml", ".yml"].iter().any(|ending| name.ends_with(ending));
    known.iter().any(|known| name.starts_with(known) || name.ends_with(known))
        || (!other && name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| known.contains(&word)))
}

/// Whether it begins as a Dockerfile does: by `FROM image`, with `ARG` alone before it.
fn is_dockerfile(source: &Source) -> bool {
    let mut lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let first = lines.find(|line| line.split(char::is_whitespace).next() != Some("ARG"));
    let words: Vec<&str> = first.into_iter().flat_map(str::split_whitespace).collect();
    match words.iter().filter(|word| !word.starts_with("--")).collect::<Vec<_>>()[..] {
        [from, _] => *from == "FROM",
        [from, _, word, _] => *from == "FROM" && word.eq_ignore_ascii_case("as"),
        _ => false,
    }
}

/// Whether it has the keys of MLflow's `python_env.yaml` and no others. Conda's file has no `python`, and ours no
/// `dependencies`.
fn is_python_env(node: &Node) -> bool {
    let Kind::Mapping(pairs) = &node.kind else { return false };
    let known = |key: &Node| matches!(key.text(), Some("python" | "build_dependencies" | "dependencies"));
    let is_text = value_of(node, "python").is_some_and(|python| python.text().is_some());
    is_text && value_of(node, "dependencies").is_some() && pairs.iter().all(|(key, _)| known(key))
}

/// Whether `source` is read as requirements only because it looks like nothing else: neither its name nor its ending
/// says so.
pub(crate) fn is_guessed(source: &Source) -> bool {
    let name = source.path().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let extension = source.path().extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let named = matches!(&*extension, "txt" | "in" | "pip")
        || ["requirements", "constraints"].iter().any(|known| name.contains(known));
    !named && matches!(format_of(source), Ok(Recognised::Lines(Format::Requirements)))
}

fn yaml(source: &Source) -> Result<Recognised, ReadError> {
    match document::parse_yaml(source)? {
        Some(node) => Ok(Recognised::Document(yaml_format(source, &node)?, node)),
        None => Err(Diagnostic::new(codes::INVALID_YAML, "the file is empty")
            .with_hint("an environment needs at least one key, e.g. `pip`")
            .in_file(source.path())
            .into()),
    }
}

/// The value of a key of a mapping.
pub(crate) fn value_of<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Kind::Mapping(pairs) = &node.kind else { return None };
    pairs.iter().find(|(name, _)| name.text() == Some(key)).map(|(_, value)| value)
}

fn yaml_format(source: &Source, node: &Node) -> Result<Format, ReadError> {
    let value = |key| value_of(node, key);
    let is_mapping = |node: Option<&Node>| node.is_some_and(|node| matches!(node.kind, Kind::Mapping(_)));
    let name = source.path().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if value("version").is_some() && value("environments").is_some() && value("packages").is_some() {
        return Ok(Format::PixiLock);
    }
    if value("metadata").is_some() && value("package").is_some() {
        return Ok(Format::CondaLock);
    }
    if name.ends_with("python_env.yaml")
        || is_python_env(node)
        || (value("build_dependencies").is_some()
            && (value("python").is_some() || value("dependencies").is_some()))
    {
        return Ok(Format::MlflowPythonEnv);
    }
    if let Some(inside) = value("environment") {
        if azure::is_v1(inside) {
            return Ok(Format::AzureV1);
        }
    } else if name == "azureml_environment.json" || azure::is_v1(node) {
        return Ok(Format::AzureV1);
    }
    if value("dependencies").is_some() || value("channels").is_some() {
        return Ok(Format::CondaEnvironment);
    }
    let reference = value("environment").and_then(Node::text);
    let is_azure = reference.is_some_and(|text| text.starts_with("azureml:"));
    let parts = is_mapping(value("jobs")) || is_mapping(value("trial")) || is_mapping(value("task"));
    if is_mapping(value("environment"))
        || parts
        || is_azure
        || (reference.is_some() && value("command").is_none())
    {
        return Ok(Format::AzureV2Inline);
    }
    if value("format").is_some() && value("definition").is_some() && is_mapping(value("platforms")) {
        let reason = "this is a lock of Provenv: it says what was chosen, and not what was asked for";
        let problem = Diagnostic::new(codes::UNSUPPORTED_FORMAT, reason);
        let hint = format!(
            "`provenv build FILE --lock {}` builds it, FILE being its definition",
            source.path().display()
        );
        return Err(problem.with_hint(hint).in_file(source.path()).into());
    }
    if let Some(reason) = asset_file(node) {
        let hint = "fill the templates of the asset's `spec` file in, and name that file";
        let problem = Diagnostic::new(codes::UNSUPPORTED_FORMAT, reason);
        return Err(problem.with_hint(hint).in_file(source.path()).into());
    }
    if value("environment").is_some() && value("command").is_some() {
        let hint = format!("`provenv submit {}` runs it", source.path().display());
        let problem = Diagnostic::new(codes::UNSUPPORTED_FORMAT, "this is a job, not an environment");
        return Err(problem.with_hint(hint).in_file(source.path()).into());
    }
    Ok(Format::Native)
}

/// Why a file that says how an environment of azureml-assets is published is none itself.
fn asset_file(node: &Node) -> Option<&'static str> {
    let type_is = |text| value_of(node, "type").and_then(Node::text) == Some(text);
    if value_of(node, "spec").is_some() && type_is("environment") {
        return Some("this names the files of an asset, and is no environment itself");
    }
    let image = value_of(node, "image")?;
    let is_config = value_of(image, "name").is_some() && value_of(image, "os").is_some();
    is_config.then_some("this says how an image is built and published, and is no environment itself")
}

/// Of a TOML file whose name says nothing.
fn toml_format(node: &Node) -> Format {
    let value = |key| value_of(node, key);
    let has = |node: Option<&Node>, key| node.and_then(|node| value_of(node, key)).is_some();
    if value("lock-version").is_some() {
        Format::Pylock
    } else if value("requires-python").is_some() && value("package").is_some() {
        Format::UvLock
    } else if value("package").is_some() && has(value("metadata"), "content-hash") {
        Format::PoetryLock
    } else if has(value("tool"), "pixi")
        || (value("channels").is_some()
            || has(value("workspace"), "channels")
            || has(value("project"), "channels"))
    {
        Format::PixiManifest
    } else {
        Format::Pyproject
    }
}

/// Whether it is what `conda list --export` writes: `name=version=build` lines after its comment.
fn is_conda_list(source: &Source) -> bool {
    let comment = source.lines().take(8).any(|line| {
        line.starts_with('#')
            && (line.contains("conda create --name")
                || line.contains("$ conda create")
                || line.contains("platform: "))
    });
    let exported = |line: &str| {
        let parts: Vec<&str> = line.split('=').collect();
        let is_word = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_.-+!*".contains(c))
        };
        parts.len() == 3 && parts.iter().all(is_word) && !parts[1].ends_with('!')
    };
    // `channel::package` means nothing to pip, which a file of pip's name is told.
    let name = source.path().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_pips = name.contains("requirements") || name.contains("constraints");
    let with_channel = |line: &str| {
        let is_word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c));
        line.split_once("::").is_some_and(|(channel, package)| {
            let begins = package.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
            !channel.is_empty() && is_word(channel) && begins
        })
    };
    let mut lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match lines.next() {
        Some(first) => {
            exported(first)
                || (with_channel(first) && !is_pips)
                || is_conda_url(first)
                || (comment && lines.all(|line| !line.starts_with('-')))
        }
        None => false,
    }
}

fn is_explicit(source: &Source) -> bool {
    source.lines().any(|line| line.trim() == "@EXPLICIT")
}

/// A `pixi.lock`, unless it was taken from a log that has lost its indentation.
fn pixi_lock(source: &Source) -> Result<Recognised, ReadError> {
    let mut lines = (1..).zip(source.lines());
    let environments = lines.find(|(_, line)| line.trim_end() == "environments:");
    let next = lines.map(|(_, line)| line).find(|line| !line.trim().is_empty());
    match (environments, next) {
        (Some((line, text)), Some(next)) if !next.starts_with([' ', '#', '\t']) => {
            let span = Span { line, column: 1, length: text.trim_end().len() };
            let message = "nothing is indented under `environments`: this lock has lost its indentation";
            let hint = "take the file as the tool wrote it, not from a log";
            let problem = Diagnostic::new(codes::INVALID_LOCK, message).with_hint(hint);
            Err(problem.at(source.place(span)).into())
        }
        _ => yaml(source),
    }
}

/// Whether it begins as `pixi.lock` does.
fn is_pixi_lock(source: &Source) -> bool {
    let mut lines =
        source.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next().is_some_and(|line| line.starts_with("version: "))
        && matches!(lines.next(), Some("environments:" | "platforms:"))
}

/// Whether it is the URL of a conda package: pip has archives that end in `.tar.bz2` too, but not in such folders.
fn is_conda_url(line: &str) -> bool {
    let url = line.split('#').next().unwrap_or_default().trim();
    let folder = url.rsplit('/').nth(1).unwrap_or_default();
    url.contains("://") && conda::is_package_file(url) && conda::is_subdir(folder)
}

/// Whether the first line that says something is a YAML key or document start.
fn is_yaml(source: &Source) -> bool {
    let first = source.lines().map(|line| line[..comment_start(line)].trim()).find(|line| !line.is_empty());
    first.is_some_and(|line| {
        let key = line.split_once(':').filter(|(_, value)| value.is_empty() || value.starts_with(' '));
        line == "---"
            || line.starts_with(['{', '%'])
            || key.is_some_and(|(key, _)| {
                key.chars().all(|c| c.is_ascii_alphanumeric() || "_-$\"'".contains(c))
                    && !key.starts_with('-')
            })
    })
}
