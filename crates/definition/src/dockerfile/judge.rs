//! What the instructions of a Dockerfile amount to: the images it begins from, and whether it takes files from a build
//! context. What BuildKit refuses is refused.

use std::collections::{HashMap, HashSet};

use super::lines::{Instruction, Instructions, Problem};
use super::words::{expand, here_document, unquoted, words};
use crate::secrets::shown;
use crate::suggest::nearest;

/// Instructions, each with the flags it takes.
const INSTRUCTIONS: &[(&str, &[&str])] = &[
    ("add", &["checksum", "chmod", "chown", "exclude", "keep-git-dir", "link", "unpack"]),
    ("arg", &[]),
    ("cmd", &[]),
    ("copy", &["chmod", "chown", "exclude", "from", "link", "parents"]),
    ("entrypoint", &[]),
    ("env", &[]),
    ("expose", &[]),
    ("from", &["platform"]),
    ("healthcheck", &["interval", "retries", "start-interval", "start-period", "timeout"]),
    ("label", &[]),
    ("maintainer", &[]),
    ("onbuild", &[]),
    ("run", &["device", "mount", "network", "security"]),
    ("shell", &[]),
    ("stopsignal", &[]),
    ("user", &[]),
    ("volume", &[]),
    ("workdir", &[]),
];

/// More problems than these tell nobody more.
const MAX_PROBLEMS: usize = 20;

/// A place in the Dockerfile: line, column and length in characters.
pub(super) type At = (usize, usize, usize);

/// What a Dockerfile amounts to.
#[derive(Default)]
pub(super) struct Judged {
    /// The images that stages begin from, variables put in where their values are known.
    pub images: Vec<(String, At)>,
    /// Every instruction.
    pub steps: Vec<At>,
    /// The images that files are copied from or mounted of, stages apart.
    pub copied: Vec<(String, At)>,
    /// Names of images in which there are variables without a value.
    pub unknown: Vec<(String, At)>,
    /// What is to read it instead of BuildKit's own frontend.
    pub frontend: Option<String>,
    /// The secrets that steps ask for, whether they must be there, and where.
    pub secrets: Vec<(String, bool, At)>,
    /// The first step that asks for an agent with keys.
    pub ssh: Option<At>,
    /// The first instruction that takes files from the build context.
    pub takes: Option<(String, At)>,
    pub problems: Vec<Problem>,
    /// URLs with literal credentials, which would stand in the definition and in the image's history.
    pub credentials: Vec<At>,
}

/// Judges the instructions of a whole Dockerfile.
pub(super) fn judge(found: &Instructions) -> Judged {
    // What another frontend understands is its own affair.
    let ours = found.syntax.as_deref().is_none_or(|syntax| {
        let syntax = syntax.strip_prefix("docker.io/").unwrap_or(syntax);
        syntax.starts_with("docker/dockerfile") && !syntax.starts_with("docker/dockerfile-upstream")
    });
    let mut judge = Judge { escape: found.escape, strict: ours, ..Judge::default() };
    judge.judged.frontend = found.syntax.clone().filter(|_| !ours);
    for instruction in &found.list {
        judge.judged.steps.push(instruction.place());
        judge.instruction(instruction);
        if judge.judged.problems.len() >= MAX_PROBLEMS {
            return judge.judged;
        }
    }
    if judge.stages == 0 && judge.judged.problems.is_empty() {
        let problem = match found.list.first() {
            Some(first) => Problem {
                hint: Some("begin with `FROM` and an image".to_owned()),
                ..first.problem("no build stage: there is no `FROM`")
            },
            None => Problem {
                line: 1,
                column: 1,
                length: 1,
                message: "file with no instructions".to_owned(),
                hint: Some("begin with `FROM` and an image".to_owned()),
            },
        };
        judge.judged.problems.push(problem);
    }
    judge.judged
}

#[derive(Default)]
struct Judge {
    escape: char,
    strict: bool,
    stages: usize,
    names: HashSet<String>,
    /// `ARG` before the first `FROM`.
    global: HashMap<String, String>,
    /// `ARG` and `ENV` of the stage.
    values: HashMap<String, String>,
    judged: Judged,
}

impl Judge {
    fn refuse(&mut self, instruction: &Instruction, message: impl Into<String>, hint: Option<&str>) {
        let problem = instruction.problem(message);
        self.judged.problems.push(Problem { hint: hint.map(str::to_owned), ..problem });
    }

    fn instruction(&mut self, instruction: &Instruction) {
        let Some((name, flags)) = INSTRUCTIONS.iter().find(|(name, _)| *name == instruction.name) else {
            if self.strict {
                let known = nearest(&instruction.name, INSTRUCTIONS.iter().map(|(name, _)| *name));
                let hint = known.map(|known| format!("did you mean `{}`?", known.to_uppercase()));
                let message = format!("unknown instruction `{}`", shown(&instruction.keyword));
                self.refuse(instruction, message, hint.as_deref());
            }
            return;
        };
        let unknown = instruction.flags.iter().map(|flag| flag.split('=').next().unwrap_or_default());
        let unknown: Vec<&str> =
            unknown.filter(|flag| !flags.contains(&flag.trim_start_matches("--"))).collect();
        if let Some(flag) = unknown.first().filter(|_| self.strict && *name != "arg") {
            let message = format!("unknown flag `{}` of {}", shown(flag), name.to_uppercase());
            self.refuse(instruction, message, None);
        }
        if self.stages == 0 && !matches!(*name, "from" | "arg") {
            if self.judged.problems.is_empty() {
                let hint = "only `ARG` may come before `FROM`";
                self.refuse(instruction, "no build stage: there is no `FROM` before this", Some(hint));
            }
            return;
        }
        match *name {
            "from" => self.from(instruction),
            "arg" => self.argument(instruction),
            "env" | "label" => self.pairs(instruction),
            "copy" | "add" => self.copy(instruction),
            "run" => self.mounts(instruction),
            "onbuild" => self.trigger(instruction),
            "healthcheck" => self.health(instruction),
            "shell" if instruction.json.is_none() => {
                self.refuse(instruction, "SHELL needs its arguments as a list in JSON", None);
            }
            "expose" | "maintainer" | "stopsignal" | "user" | "volume" | "workdir"
                if instruction.arguments.is_empty() =>
            {
                let message = format!("{} needs an argument", name.to_uppercase());
                self.refuse(instruction, message, None);
            }
            _ => {}
        }
    }

    fn from(&mut self, instruction: &Instruction) {
        self.stages += 1;
        self.values = HashMap::new();
        let words: Vec<&str> = instruction.arguments.split_whitespace().collect();
        let (image, name) = match words[..] {
            [image] => (image, None),
            [image, word, name] if word.eq_ignore_ascii_case("as") => (image, Some(name)),
            _ => {
                let hint = "write `FROM image` or `FROM image AS name`";
                return self.refuse(instruction, "FROM needs one argument or three", Some(hint));
            }
        };
        let at = (instruction.line, instruction.column, instruction.keyword.len());
        match expand(image, &self.global) {
            Some(expanded) => {
                let known = expanded == "scratch" || self.names.contains(&expanded.to_lowercase());
                if !known && !expanded.is_empty() {
                    self.judged.images.push((expanded, at));
                }
            }
            None => self.judged.unknown.push((image.to_owned(), at)),
        }
        let Some(name) = name else { return };
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if valid {
            self.names.insert(name.to_lowercase());
        } else {
            let message = format!("`{}` cannot be the name of a build stage", shown(name));
            let hint = "a name begins with a letter; letters, digits, `-`, `_` and `.` follow";
            self.refuse(instruction, message, Some(hint));
        }
    }

    fn argument(&mut self, instruction: &Instruction) {
        // Of the flags, BuildKit knows none here: a name that begins with dashes is a name.
        let words = words(&instruction.arguments, self.escape).unwrap_or_default();
        if words.is_empty() && instruction.flags.is_empty() {
            return self.refuse(instruction, "ARG needs an argument", None);
        }
        for word in words {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name.to_owned(), Some(unquoted(default, self.escape))),
                None => (word, None),
            };
            let outer = if self.stages == 0 { &self.global } else { &self.values };
            let value = default
                .and_then(|default| expand(&default, outer))
                .or_else(|| if self.stages > 0 { self.global.get(&name).cloned() } else { None });
            if let Some(value) = value {
                let values = if self.stages == 0 { &mut self.global } else { &mut self.values };
                values.insert(name, value);
            }
        }
    }

    /// `name=value …`, or `name value` of old.
    fn pairs(&mut self, instruction: &Instruction) {
        let keyword = instruction.name.to_uppercase();
        let Some(words) = words(&instruction.arguments, self.escape) else { return };
        let Some(first) = words.first() else {
            return self.refuse(instruction, format!("{keyword} needs an argument"), None);
        };
        if !first.contains('=') {
            if words.len() < 2 {
                let message = format!("{keyword} must have two arguments");
                let hint = format!("write `{keyword} name=value`");
                self.refuse(instruction, message, Some(&hint));
            }
            return;
        }
        let mut values = Vec::new();
        for word in &words {
            match word.split_once('=') {
                Some(("", _)) => {
                    return self.refuse(instruction, format!("names of {keyword} cannot be empty"), None);
                }
                Some((name, value)) => values.push((name.to_owned(), unquoted(value, self.escape))),
                None => {
                    let message = format!("there is no `=` in `{}`", shown(word));
                    let hint = format!("write `{keyword} name=value`, values with spaces in quotes");
                    return self.refuse(instruction, message, Some(&hint));
                }
            }
        }
        if instruction.name == "env" {
            for (name, value) in values {
                match expand(&value, &self.values) {
                    Some(value) => self.values.insert(name, value),
                    None => self.values.remove(&name),
                };
            }
        }
    }

    fn copy(&mut self, instruction: &Instruction) {
        let words: Vec<String> = match &instruction.json {
            Some(list) => list.clone(),
            None => instruction.arguments.split_whitespace().map(str::to_owned).collect(),
        };
        let [sources @ .., _] = &words[..] else { return self.too_few(instruction) };
        if sources.is_empty() {
            return self.too_few(instruction);
        }
        let from = instruction.flags.iter().filter(|flag| flag.starts_with("--from")).collect::<Vec<_>>();
        if let Some(flag) = from.first() {
            if let Some(image) = flag.strip_prefix("--from=") {
                self.copied(instruction, image);
            }
            return;
        }
        let elsewhere = |source: &String| {
            let is_here = instruction.json.is_none() && here_document(source).is_some();
            is_here || (instruction.name == "add" && self.is_remote(source))
        };
        if !sources.iter().all(elsewhere) {
            self.takes(instruction, &instruction.name.to_uppercase());
        }
    }

    /// Files come from a stage, by its name or number, or from an image.
    fn copied(&mut self, instruction: &Instruction, image: &str) {
        let at = (instruction.line, instruction.column, instruction.keyword.chars().count());
        let Some(expanded) = expand(image, &self.values) else {
            return self.judged.unknown.push((image.to_owned(), at));
        };
        let is_stage = self.names.contains(&expanded.to_lowercase())
            || expanded.bytes().all(|byte| byte.is_ascii_digit())
            || expanded == "scratch";
        if !is_stage {
            self.judged.copied.push((expanded, at));
        }
    }

    fn too_few(&mut self, instruction: &Instruction) {
        let keyword = instruction.name.to_uppercase();
        let message = format!("{keyword} needs at least two arguments: what is copied, and where to");
        self.refuse(instruction, message, None);
    }

    fn is_remote(&self, source: &str) -> bool {
        let expanded = if source.starts_with('$') { expand(source, &self.values) } else { None };
        let source = expanded.as_deref().unwrap_or(source);
        let schemes = ["http://", "https://", "git://", "ssh://", "git@"];
        schemes.iter().any(|scheme| source.starts_with(scheme))
    }

    fn takes(&mut self, instruction: &Instruction, what: &str) {
        self.judged.takes.get_or_insert_with(|| (what.to_owned(), instruction.place()));
    }

    /// `RUN --mount` of files from the context: the type is `bind` unless another is given.
    fn mounts(&mut self, instruction: &Instruction) {
        let mounts = instruction.flags.iter().filter_map(|flag| flag.strip_prefix("--mount="));
        for mount in mounts {
            let field = |name: &str| {
                let fields = mount.split(',').filter_map(|field| field.split_once('='));
                fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next_back()
            };
            match field("from") {
                Some(image) => self.copied(instruction, image),
                None if field("type") == Some("ssh") => {
                    self.judged.ssh.get_or_insert(instruction.place());
                }
                None if field("type") == Some("secret") => {
                    let target = ["target", "dst", "destination"].iter().find_map(|name| field(name));
                    let last = target.and_then(|path| path.rsplit('/').next());
                    let required = mount.split(',').any(|field| field == "required")
                        || field("required").is_some_and(|value| value != "false");
                    if let Some(id) = field("id").or(last) {
                        self.judged.secrets.push((id.to_owned(), required, instruction.place()));
                    }
                }
                None if field("type").is_none_or(|kind| kind == "bind") => {
                    self.takes(instruction, "RUN --mount");
                }
                None => {}
            }
        }
    }

    /// What it holds runs when another Dockerfile begins from the image, in that one's context.
    fn trigger(&mut self, instruction: &Instruction) {
        let inner = instruction.arguments.split_whitespace().next().unwrap_or_default().to_lowercase();
        match inner.as_str() {
            "" => self.refuse(instruction, "ONBUILD needs an instruction", None),
            "onbuild" | "from" | "maintainer" => {
                let message = format!("{} cannot stand behind ONBUILD", inner.to_uppercase());
                self.refuse(instruction, message, None);
            }
            name if self.strict && !INSTRUCTIONS.iter().any(|(known, _)| *known == name) => {
                self.refuse(instruction, format!("unknown instruction `{}`", shown(name)), None);
            }
            _ => {}
        }
    }

    fn health(&mut self, instruction: &Instruction) {
        let kind = instruction.arguments.split_whitespace().next().unwrap_or_default().to_uppercase();
        if !matches!(kind.as_str(), "CMD" | "NONE") {
            let hint = "write `HEALTHCHECK CMD …` or `HEALTHCHECK NONE`";
            self.refuse(instruction, "HEALTHCHECK needs `CMD` or `NONE`", Some(hint));
        }
    }
}
