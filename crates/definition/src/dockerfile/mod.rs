//! Dockerfiles: read far enough to know what they begin from and whether they need a build context. Building them is an
//! engine's work.
//!
//! A parser of our own: `docs/design/dockerfiles.md` says why.

mod context;
mod ignore;
mod judge;
mod lines;
mod words;

#[cfg(fuzzing)]
pub use ignore::fuzz as fuzz_ignore;

use std::path::{Path, PathBuf};

use url::Url;

use crate::canonical::ContextEntryKind;
use crate::read::{Format, ReadEnvironment, Reading};
use crate::secrets::{in_line, shell_credentials};
use crate::{
    Base, BuildContext, ContextLocation, Diagnostic, Digest, Place, Remarks, SafeUrl, Source, Span, codes,
};
use judge::{At, Judged};
use lines::Problem;

/// What an image stands on by a Dockerfile.
#[derive(Default)]
pub(crate) struct DockerfileBase {
    /// `None` where it cannot be used.
    pub base: Option<Base>,
    /// The images that its stages begin from.
    pub images: Vec<(String, Place)>,
    /// The lines of its instructions, and where they stand in the user's file.
    pub steps: Vec<(usize, Place)>,
    /// The Dockerfile, where it is a file.
    pub file: Option<PathBuf>,
    /// All there is to say.
    pub diagnostics: Remarks,
}

/// Reads a Dockerfile.
pub(crate) fn read(source: &Source) -> Reading {
    let found = of_file(source);
    let mut read = ReadEnvironment::new(Format::Dockerfile, source);
    read.environment.definition.base = found.base.unwrap_or_default();
    read.origins.base = found.images.first().map(|(_, place)| place.clone());
    read.origins.base_images = found.images;
    read.origins.base_steps = found.steps;
    (read, found.diagnostics)
}

/// The images that the stages of a Dockerfile begin from.
pub(crate) fn images_of(text: &str) -> Vec<String> {
    let judged = lines::instructions(text.lines()).map(|found| judge::judge(&found)).unwrap_or_default();
    judged.images.into_iter().map(|(image, _)| image).collect()
}

/// A Dockerfile as far as whoever runs it has to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    /// Its instructions, in their order.
    pub steps: Vec<RecipeStep>,
    /// The images that its stages begin from and that it copies from, in their order.
    pub images: Vec<NamedImage>,
    /// Names of images that depend on variables without a value.
    pub unknown: Vec<NamedImage>,
    /// The line of the first instruction with a here-document, which not every engine knows.
    pub here_document: Option<usize>,
    /// The line of the first step with a mount that names a place in the context, in an image or in a cache by a path. Engines
    /// have followed links in it, and `..`, to files of the machine that they run on.
    pub mount_by_path: Option<usize>,
    /// The frontend that is to read it instead of docker's own (`# syntax=`).
    pub frontend: Option<String>,
    /// The secrets that steps ask for.
    pub secrets: Vec<SecretMount>,
    /// The line of the first step that asks for an agent with keys (`--mount=type=ssh`).
    pub ssh: Option<usize>,
}

/// A secret that a step asks for: `RUN --mount=type=secret,id=…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretMount {
    /// Its name.
    pub id: String,
    /// Whether the step fails without it.
    pub required: bool,
    /// The line, from 1.
    pub line: usize,
}

/// An instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeStep {
    /// The stage that it is of, from 0; `None` before the first.
    pub stage: Option<usize>,
    /// In upper case.
    pub keyword: String,
    /// What follows, lines joined.
    pub arguments: String,
    /// Its first line, from 1.
    pub line: usize,
}

/// An image that a Dockerfile names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedImage {
    /// The name, variables put in.
    pub name: String,
    /// The line, from 1.
    pub line: usize,
}

impl Recipe {
    /// Reads the text of a Dockerfile; the error names the line that is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let said = |problem: &Problem| format!("line {}: {}", problem.line, problem.message);
        let found = lines::instructions(text.lines()).map_err(|problem| said(&problem))?;
        let judged = judge::judge(&found);
        if let Some(problem) = judged.problems.first() {
            return Err(said(problem));
        }
        let secret = |(id, required, at): (String, bool, At)| SecretMount { id, required, line: at.0 };
        let mut recipe = Self {
            frontend: judged.frontend,
            secrets: judged.secrets.into_iter().map(secret).collect(),
            ssh: judged.ssh.map(|at| at.0),
            ..Self::default()
        };
        let mut stage = None;
        for instruction in found.list {
            let keyword = instruction.name.to_uppercase();
            if keyword == "FROM" {
                stage = Some(stage.map_or(0, |stage: usize| stage + 1));
            }
            let (arguments, line) = (instruction.arguments, instruction.line);
            let takes = matches!(keyword.as_str(), "RUN" | "COPY" | "ADD") && instruction.json.is_none();
            if takes && !words::here_documents(&arguments).is_empty() {
                recipe.here_document.get_or_insert(line);
            }
            // What stands behind ONBUILD runs where a later stage begins from this one.
            let inner = arguments.split_once(char::is_whitespace).map_or("", |(_, inner)| inner.trim_start());
            let behind = if keyword == "ONBUILD" { words::flags(inner).0 } else { Vec::new() };
            let mut flags = instruction.flags.iter().chain(&behind);
            if flags.any(|flag| flag.strip_prefix("--mount=").is_some_and(is_by_path)) {
                recipe.mount_by_path.get_or_insert(line);
            }
            recipe.steps.push(RecipeStep { stage, keyword, arguments, line });
        }
        let mut named: Vec<_> = judged.images.into_iter().chain(judged.copied).collect();
        named.sort_by_key(|(_, at)| at.0);
        let one = |(name, at): (String, At)| NamedImage { name, line: at.0 };
        recipe.images = named.into_iter().map(one).collect();
        recipe.unknown = judged.unknown.into_iter().map(one).collect();
        Ok(recipe)
    }
}

/// Whether a `--mount` names a place by a path other than the root of where it is taken from.
fn is_by_path(mount: &str) -> bool {
    // Who unquotes and fills in, and how, is the engine's affair.
    if mount.contains(['"', '\'', '\\', '$']) {
        return true;
    }
    let fields: Vec<(String, &str)> = mount
        .split(',')
        .map(|field| field.split_once('=').unwrap_or((field, "")))
        .map(|(key, value)| (key.trim().to_lowercase(), value.trim()))
        .collect();
    let value = |name: &str| fields.iter().rfind(|(key, _)| key == name).map(|(_, value)| *value);
    let kind = value("type").unwrap_or("bind").to_lowercase();
    let is_root = |path: &str| matches!(path, "" | "." | "./" | "/");
    let is_name = |id: &str| {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        id.chars().all(plain) && !matches!(id, "." | "..")
    };
    let by_source = ["source", "src"].iter().filter_map(|name| value(name)).any(|path| !is_root(path));
    match kind.as_str() {
        "bind" => by_source,
        "cache" => by_source || value("id").is_some_and(|id| !is_name(id)),
        _ => false,
    }
}

/// Something in a build context, as Docker would send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextFile {
    /// Its path in the context, with `/`.
    pub path: String,
    /// What it is.
    pub kind: ContextFileKind,
}

/// What lies in a build context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextFileKind {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Digest of its bytes.
        content: Digest,
        /// Whether anybody may execute it.
        executable: bool,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: String,
    },
}

/// What Docker would send of the folder `folder`, whose Dockerfile is `dockerfile`, folders before what is in them; and the
/// digest of it all, as a definition has it. The error says what is wrong, and what to do.
pub fn context_files(
    folder: &Path,
    dockerfile: &str,
) -> Result<(Vec<ContextFile>, Digest), (String, Option<String>)> {
    let (entries, content) =
        context::read_folder(folder, dockerfile).map_err(|error| (error.message, error.hint))?;
    let mut files: Vec<ContextFile> = entries
        .into_iter()
        .map(|entry| ContextFile {
            path: entry.path,
            kind: match entry.kind {
                ContextEntryKind::Folder => ContextFileKind::Folder,
                ContextEntryKind::File { content, executable } => {
                    ContextFileKind::File { content, executable }
                }
                ContextEntryKind::Link { target } => ContextFileKind::Link { target },
            },
        })
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok((files, content))
}

/// A Dockerfile, with its folder as the build context where it takes files from one.
pub(crate) fn of_file(source: &Source) -> DockerfileBase {
    let folder = source.folder();
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let name = source.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let place = |(line, column, length): At| source.place(Span { line, column, length });
    let judged = judged(source.text().lines());
    let takes = judged.takes.as_ref().map(|(_, at)| place(*at));
    let mut found = settled(judged, place);
    found.file = Some(source.path().to_owned());
    if !found.diagnostics.is_empty() {
        return found;
    }
    match takes {
        Some(place) => found.context(folder, &name, place),
        None => found.base = Some(Base::Dockerfile { text: normal_text(source.text()) }),
    }
    found
}

/// A Dockerfile whose text stands at `span` of `source`, in a block or not: it has no build context.
pub(crate) fn of_text(source: &Source, text: &str, span: Span) -> DockerfileBase {
    // The lines of a block that keeps its line breaks can be shown; of other texts, only where they begin.
    let lines: Vec<&str> = text.lines().collect();
    let place = |(line, column, length): At| {
        let number = span.line + line - 1;
        let indented = source.line(number).zip(lines.get(line - 1)).and_then(|(shown, line)| {
            let indent = shown.strip_suffix(line)?;
            (!line.trim().is_empty() && indent.chars().all(|c| c == ' ')).then_some(indent.len())
        });
        source.place(match indented {
            Some(indent) => Span { line: number, column: indent + column, length },
            None => span,
        })
    };
    let judged = judged(lines.iter().copied());
    let takes = judged.takes.as_ref().map(|(what, at)| (what.clone(), place(*at)));
    let mut found = settled(judged, place);
    if found.diagnostics.is_empty() {
        found.base = Some(Base::Dockerfile { text: normal_text(text) });
        if let Some((what, place)) = takes {
            let message = format!("{what} takes files from a build context, and a text alone has none");
            let remark = Diagnostic::new(codes::NO_BUILD_CONTEXT, message).with_hint(
                "name the folder and its Dockerfile by `build`, or take the files from a URL or an image",
            );
            found.diagnostics.push(remark.at(place));
        }
    }
    found
}

/// The Dockerfile `name` of the build context `folder`, which is named at `place`.
pub(crate) fn of_folder(folder: &Path, name: &str, place: Place) -> DockerfileBase {
    let mut found = DockerfileBase::default();
    let path = match context::file_inside(folder, name) {
        Ok(_) => folder.join(name),
        Err(error) => {
            found.refuse(error, place);
            return found;
        }
    };
    let source = match Source::read(&path) {
        Ok(source) => source,
        Err(error) => {
            found.diagnostics.extend(error.0);
            return found;
        }
    };
    let in_file = |(line, column, length): At| source.place(Span { line, column, length });
    found = settled(judged(source.text().lines()), in_file);
    found.file = Some(path);
    if found.diagnostics.is_empty() {
        found.context(folder, name, place);
    }
    found
}

impl DockerfileBase {
    /// Takes `folder` as the build context.
    fn context(&mut self, folder: &Path, name: &str, place: Place) {
        let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let url = Url::from_directory_path(clean(&path)).ok();
        match (context::digest_folder(folder, name), url) {
            (Ok(content), Some(url)) => {
                let location = ContextLocation::Folder { path: SafeUrl::new(url), content };
                self.base = Some(Base::Context(BuildContext { location, dockerfile: name.to_owned() }));
            }
            (Err(error), _) => self.refuse(error, place),
            (Ok(_), None) => {}
        }
    }

    fn refuse(&mut self, error: context::ContextError, place: Place) {
        let diagnostic = Diagnostic::new(codes::INVALID_CONTEXT, error.message).at(place);
        self.diagnostics.push(Diagnostic { hint: error.hint, ..diagnostic });
    }
}

/// `path` without `.` and, where nothing is lost by it, `..`.
fn clean(path: &Path) -> PathBuf {
    fs_err::canonicalize(path).unwrap_or_else(|_| path.components().collect())
}

/// The text as it counts: without byte order mark, line breaks as one line feed, and one behind the last line.
fn normal_text(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}');
    let mut normal = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        normal.push_str(line.strip_suffix('\n').map_or(line, |line| line.trim_end_matches('\r')));
        normal.push('\n');
    }
    normal
}

/// A line end of old machines. Docker takes it as part of its line, where everybody who looks at the file sees two.
fn lone_return<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Problem> {
    let (line, column) = (1..).zip(lines).find_map(|(number, line)| {
        let at = line.trim_end_matches('\r').find('\r')?;
        Some((number, line[..at].chars().count() + 1))
    })?;
    Some(Problem {
        line,
        column,
        length: 1,
        message: "a carriage return without a line feed: it ends no line for Docker".to_owned(),
        hint: Some("write the line ends of Linux or of Windows".to_owned()),
    })
}

fn judged<'a>(lines: impl Iterator<Item = &'a str> + Clone) -> Judged {
    if let Some(problem) = lone_return(lines.clone()) {
        return Judged { problems: vec![problem], ..Judged::default() };
    }
    let mut judged = match lines::instructions(lines.clone()) {
        Ok(instructions) => judge::judge(&instructions),
        Err(problem) => Judged { problems: vec![problem], ..Judged::default() },
    };
    // Comments too: they are kept as they stand.
    judged.credentials = (1..)
        .zip(lines)
        .filter_map(|(number, line)| {
            let range = in_line(line, shell_credentials)?;
            Some((number, line[..range.start].chars().count() + 1, line[range].chars().count()))
        })
        .collect();
    judged
}

fn settled(judged: Judged, place: impl Fn(At) -> Place) -> DockerfileBase {
    let diagnostic = |problem: Problem| {
        let at = place((problem.line, problem.column, problem.length));
        let diagnostic = Diagnostic::new(codes::INVALID_DOCKERFILE, problem.message).at(at);
        Diagnostic { hint: problem.hint, ..diagnostic }
    };
    let credentials = judged.credentials.iter().map(|at| {
        let hint = "give them as a build secret (`RUN --mount=type=secret,id=…` and `--secret`), or write a variable";
        Diagnostic::new(codes::CREDENTIALS, "credentials in a URL").with_hint(hint).at(place(*at))
    });
    let mut diagnostics: Remarks = credentials.collect();
    diagnostics.extend(judged.problems.into_iter().map(diagnostic));
    DockerfileBase {
        base: None,
        file: None,
        images: judged.images.into_iter().map(|(image, at)| (image, place(at))).collect(),
        steps: judged.steps.into_iter().map(|at| (at.0, place(at))).collect(),
        diagnostics,
    }
}
