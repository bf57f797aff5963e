//! Jobs: Azure ML's command job YAML, as far as it says what to run in which environment.

use std::path::PathBuf;

use indexmap::IndexMap;
use provenv_definition::document::{self, Kind, Node};
use provenv_definition::{
    Diagnostic, ReadEnvironment, ReadError, Source, Span, codes, mask_secrets, nearest, read_node,
};
use serde::{Deserialize, Serialize};

use crate::config::parse_size;

/// A job as its file says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Ignored; editors use it.
    #[serde(rename = "$schema", default, skip_serializing)]
    pub schema: Option<String>,
    /// `command`, the only type today.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What the run is called; the file's folder if it gives none.
    #[serde(default)]
    pub name: Option<String>,
    /// Azure ML's word for a name that people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Azure ML's word for a group of runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment_name: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Free key and value pairs.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub tags: IndexMap<String, Scalar>,
    /// A file, a registered environment, or an environment written out in place.
    pub environment: serde_yaml_ng::Value,
    /// The folder with the script; it is copied, and is the working folder. None gives an empty folder.
    #[serde(default)]
    pub code: Option<PathBuf>,
    /// A shell command, or a program with its arguments.
    pub command: CommandLine,
    /// Added to the command, each as one word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<Scalar>,
    /// Put in place of `${{inputs.NAME}}`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub inputs: IndexMap<String, Scalar>,
    /// Folders kept with the run; `${{outputs.NAME}}` is the folder's path.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outputs: IndexMap<String, Option<Output>>,
    /// Set for this run, over the environment's own.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub environment_variables: IndexMap<String, Scalar>,
    /// Bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<JobLimits>,
}

/// A word that YAML may have read as a number or a truth value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true`, `false`
    Bool(bool),
    /// `3`
    Integer(i64),
    /// `0.1`
    Float(f64),
    /// Text.
    Text(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CommandLine {
    /// For `/bin/sh -c`.
    Shell(String),
    /// A program and its arguments.
    Words(Vec<String>),
}

/// An output folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Azure ML's type; only folders (`uri_folder`) are made.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Bounds of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobLimits {
    /// Most processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Most memory: bytes, or a text such as `2G`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "size")]
    pub memory: Option<u64>,
}

fn size<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let size = Option::<Scalar>::deserialize(deserializer)?;
    size.map(|size| parse_size(&size.to_string()).map_err(serde::de::Error::custom)).transpose()
}

impl Job {
    /// Reads and checks a job file; says where it is wrong.
    pub fn parse(source: &Source) -> Result<Self, ReadError> {
        let refused = not_a_job(source);
        let node = match (document::parse_yaml(source), refused) {
            (_, Some(problem)) => return Err(problem.into()),
            (node, None) => node?,
        };
        let job: Self = serde_yaml_ng::from_str(source.text()).map_err(|error| {
            let message = error.to_string();
            // The place is said by the remark itself.
            let message = mask_secrets(message.split(" at line ").next().unwrap_or(&message));
            // A key may hold line breaks.
            let message = message.replace(char::is_control, " ");
            let keys = "a job needs `environment` and `command`; docs/reference/job.md lists all keys";
            let wrong = wrong_type(&message).or_else(|| wrong_scalar(node.as_ref()?));
            if let Some((key, message)) = wrong {
                let problem = Diagnostic::new(codes::INVALID_JOB, message).with_hint(keys);
                return ReadError::from(match node.as_ref().and_then(|node| find(node, &key)) {
                    Some(key) => problem.at(source.place(key.span)),
                    None => problem.in_file(source.path()),
                });
            }
            let (message, meant) = unknown_key(&message).unwrap_or((message, None));
            let hint = meant.map_or(keys.to_owned(), |key| format!("did you mean `{key}`?"));
            let problem = Diagnostic::new(codes::INVALID_JOB, message).with_hint(hint);
            ReadError::from(match error.location() {
                Some(at) => {
                    problem.at(source.place(Span { line: at.line(), column: at.column(), length: 1 }))
                }
                None => problem.in_file(source.path()),
            })
        })?;
        job.check().map_err(|message| invalid(source, message))?;
        Ok(job)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(kind) = self.kind.as_deref().filter(|&kind| kind != "command") {
            return Err(format!("jobs of type `{kind}` cannot be run; use `command`"));
        }
        for name in self.outputs.keys() {
            let plain = !name.is_empty()
                && name.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c))
                && name.chars().any(|c| c != '.');
            if !plain {
                return Err(format!(
                    "`{name}` cannot be the name of an output: use letters, digits, `_`, `-` and `.`"
                ));
            }
        }
        for (name, output) in &self.outputs {
            let kind = output.as_ref().and_then(|output| output.kind.as_deref());
            if let Some(kind) = kind.filter(|&kind| kind != "uri_folder") {
                return Err(format!(
                    "output `{name}` has the type `{kind}`; only folders (`uri_folder`) are kept"
                ));
            }
        }
        match &self.command {
            CommandLine::Shell(line) if line.trim().is_empty() => Err("`command` is empty".to_owned()),
            CommandLine::Words(words) if words.is_empty() => Err("`command` is empty".to_owned()),
            _ => self.words("", &[]).map(|_| ()),
        }
    }

    /// The words to execute: placeholders replaced, arguments added. `outputs` is the outputs' folder inside.
    pub fn words(&self, outputs: &str, more: &[String]) -> Result<Vec<String>, String> {
        let mut arguments = Vec::new();
        for argument in &self.arguments {
            arguments.push(self.replace(&argument.to_string(), outputs, as_it_is)?);
        }
        arguments.extend_from_slice(more);
        let mut words = match &self.command {
            CommandLine::Shell(line) => {
                let line = self.replace(line, outputs, shell_quote)?;
                let mut words = vec!["/bin/sh".to_owned(), "-c".to_owned(), line.trim_end().to_owned()];
                if !arguments.is_empty() {
                    // "$@" hands the arguments on as they are; the word before them is the shell's $0.
                    words[2].push_str(" \"$@\"");
                    words.push("sh".to_owned());
                }
                words
            }
            CommandLine::Words(words) => {
                words.iter().map(|word| self.replace(word, outputs, as_it_is)).collect::<Result<_, _>>()?
            }
        };
        words.extend(arguments);
        Ok(words)
    }

    /// `text` with its placeholders replaced; `quote` is told what stands before, for a shell's sake.
    fn replace(&self, text: &str, outputs: &str, quote: fn(&str, &str) -> String) -> Result<String, String> {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let (name, after) =
                after.split_once("}}").ok_or_else(|| format!("`${{{{` without `}}}}` in `{text}`"))?;
            let name = name.trim();
            let value = match name.split_once('.') {
                Some(("inputs", input)) => self.inputs.get(input).map(Scalar::to_string),
                Some(("outputs", output)) => {
                    self.outputs.contains_key(output).then(|| format!("{outputs}/{output}"))
                }
                _ => None,
            };
            let value = value.ok_or_else(|| {
                format!("`${{{{{name}}}}}` names nothing: list it under `inputs` or `outputs`")
            })?;
            result.push_str(before);
            let value = quote(&result, &value);
            result.push_str(&value);
            rest = after;
        }
        result.push_str(rest);
        Ok(result)
    }
}

/// What the parser says of a key that is none, in the words for definitions, and the key that was meant.
fn unknown_key(message: &str) -> Option<(String, Option<String>)> {
    let (what, expected) = message.split_once(", expected ")?;
    let (place, given) = what.split_once("unknown field `")?;
    let given = given.trim_end_matches('`');
    let known = expected.split('`').skip(1).step_by(2);
    Some((format!("{place}unknown key `{given}`"), nearest(given, known).map(str::to_owned)))
}

/// What the parser says of a value of the wrong kind, in the words of people who write YAML, and the path of its key.
fn wrong_type(message: &str) -> Option<(Vec<String>, String)> {
    if message.contains("untagged enum CommandLine") {
        return Some((vec!["command".to_owned()], "`command` must be a text or a list of texts".to_owned()));
    }
    let (place, what) = message.split_once("invalid type: ")?;
    let (given, expected) = what.split_once(", expected ")?;
    let wanted = match expected {
        "a sequence" => "a list",
        "a string" | "a path string" | "path string" => "a text",
        _ if expected.starts_with("struct ") || expected == "a map" => "a mapping (`key: value`)",
        _ => expected,
    };
    let given = match given.split([' ', '`']).next() {
        Some("sequence") => "a list",
        Some("map") => "a mapping",
        Some("string") => "a text",
        Some("integer" | "floating") => "a number",
        Some("boolean") => "a truth value",
        _ => "nothing",
    };
    let path = place.trim_end_matches(": ");
    Some((path.split('.').map(str::to_owned).collect(), format!("`{path}` must be {wanted}, not {given}")))
}

/// The first list or mapping where a plain value must stand, which the parser does not name.
fn wrong_scalar(node: &Node) -> Option<(Vec<String>, String)> {
    let Kind::Mapping(pairs) = &node.kind else { return None };
    pairs.iter().find_map(|(key, value)| {
        let key = key.text()?;
        let wrong = |name: &str, node: &Node| {
            let must =
                format!("`{name}` must be a text, a number or a truth value, not {}", node.kind_name());
            (node.scalar().is_none()).then_some(must)
        };
        match (key, &value.kind) {
            ("inputs" | "tags" | "environment_variables", Kind::Mapping(pairs)) => {
                pairs.iter().find_map(|(name, value)| {
                    let name = name.text()?;
                    Some((vec![key.to_owned(), name.to_owned()], wrong(&format!("{key}.{name}"), value)?))
                })
            }
            ("arguments", Kind::Sequence(items)) => items
                .iter()
                .find_map(|item| Some((vec![key.to_owned()], wrong("an item of arguments", item)?))),
            _ => None,
        }
    })
}

/// The key at the end of a path of keys.
fn find<'n>(node: &'n Node, path: &[String]) -> Option<&'n Node> {
    let (first, rest) = path.split_first()?;
    let Kind::Mapping(pairs) = &node.kind else { return None };
    let (key, value) = pairs.iter().find(|(key, _)| key.text() == Some(first))?;
    if rest.is_empty() { Some(key) } else { find(value, rest) }
}

/// What to say of a file that is no job at all: nothing where it has a key that only jobs need.
fn not_a_job(source: &Source) -> Option<Diagnostic> {
    let node = document::parse_yaml(source).ok().flatten();
    let is_mapping = match node.as_ref().map(|node| &node.kind) {
        Some(Kind::Mapping(pairs)) => {
            let job = |key: &Node| matches!(key.text(), Some("command" | "environment" | "code" | "inputs"));
            if pairs.iter().any(|(key, _)| job(key)) {
                return None;
            }
            true
        }
        _ => false,
    };
    let file = source.path().display();
    if provenv_definition::read(source.path()).is_ok() {
        let problem = Diagnostic::new(codes::INVALID_JOB, "this is an environment, not a job").with_hint(format!(
            "`provenv run {file} -- COMMAND` runs a command in it; a job is a YAML file with `environment: {file}` and `command`"
        ));
        return Some(problem.in_file(source.path()));
    }
    // What is a mapping with other keys is told which are missing; what is no YAML, where.
    (!is_mapping && node.is_some()).then(|| {
        Diagnostic::new(codes::INVALID_JOB, "this is not a job")
            .with_hint("a job is a YAML file with `environment` and `command`; see docs/reference/job.md")
            .in_file(source.path())
    })
}

/// A job in which something does not fit together.
pub(crate) fn invalid(source: &Source, message: impl Into<String>) -> Diagnostic {
    let message = message.into();
    // Every remark names the key or the value that it is about, and these stand in the file as they are.
    let quoted = message.split('`').nth(1).filter(|quoted| !quoted.is_empty());
    let line = quoted.and_then(|quoted| {
        let mut lines = source.lines().enumerate();
        lines.find_map(|(number, line)| {
            let column = line.find(quoted)?;
            Some(Span {
                line: number + 1,
                column: line[..column].chars().count() + 1,
                length: quoted.chars().count(),
            })
        })
    });
    let problem = Diagnostic::new(codes::INVALID_JOB, message);
    match line {
        Some(span) => problem.at(source.place(span)),
        None => problem.in_file(source.path()),
    }
}

/// The environment that a job file holds in place of a name, every remark with its place in that file.
pub(crate) fn inline_environment(source: &Source) -> Result<ReadEnvironment, ReadError> {
    let node = document::parse_yaml(source)?;
    let Some(Node { kind: Kind::Mapping(pairs), .. }) = node else {
        return Err(invalid(source, "the file is not a job").into());
    };
    match pairs.iter().find(|(key, _)| key.text() == Some("environment")) {
        Some((_, environment)) => read_node(source, environment),
        None => Err(invalid(source, "the job has no environment").into()),
    }
}

fn as_it_is(_: &str, value: &str) -> String {
    value.to_owned()
}

/// A value that is one word to the shell, whether or not its author put the placeholder between quotes.
fn shell_quote(before: &str, value: &str) -> String {
    match open_quote(before) {
        Some('\'') => value.replace('\'', r"'\''"),
        Some(_) => value.chars().fold(String::new(), |mut text, c| {
            if matches!(c, '"' | '\\' | '$' | '`') {
                text.push('\\');
            }
            text.push(c);
            text
        }),
        None if !value.is_empty()
            && value.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c)) =>
        {
            value.to_owned()
        }
        None => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

/// The quote that is open at the end of a shell line.
fn open_quote(line: &str) -> Option<char> {
    let mut open = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (open, c) {
            (Some('\''), '\'') | (Some('"'), '"') => open = None,
            (None, '\'' | '"') => open = Some(c),
            (None | Some('"'), '\\') => {
                characters.next();
            }
            _ => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use provenv_definition::{ReadError, Source};

    use super::Job;

    fn read(text: &str) -> Result<Job, ReadError> {
        Job::parse(&Source::new("job.yaml", text))
    }

    #[test]
    fn placeholders_become_words_that_the_shell_reads_back() {
        let job = read(
            "environment: e\ncommand: python t.py ${{inputs.text}} --to ${{ outputs.model }}\n\
             inputs: {text: \"it's two\"}\noutputs: {model: }\narguments: [--n, 3]\n",
        )
        .unwrap();
        assert_eq!(
            job.words("/out", &["x y".into()]).unwrap(),
            ["/bin/sh", "-c", r#"python t.py 'it'\''s two' --to /out/model "$@""#, "sh", "--n", "3", "x y"]
        );
    }

    #[test]
    fn a_placeholder_may_stand_between_quotes() {
        let job = read(
            "environment: e\ncommand: \"t \\\"${{inputs.a}}\\\" '${{inputs.a}}' ${{inputs.a}}\"\ninputs: {a: \"it's $1\"}\n",
        )
        .unwrap();
        assert_eq!(job.words("/out", &[]).unwrap()[2], r#"t "it's \$1" 'it'\''s $1' 'it'\''s $1'"#);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let message = read("environment: e\ncommand: c\nenviroment_variables: {}\n").unwrap_err().to_string();
        assert!(message.contains("enviroment_variables") && message.contains("job.yaml:3:1:"), "{message}");
    }

    #[test]
    fn an_unknown_key_of_several_lines_is_named_on_one() {
        let error = read("? |\n  one\n  two\u{85}\n: c\nenvironment: e\ncommand: c\n").unwrap_err();
        let [problem] = &error.0[..] else { panic!("{error}") };
        assert!(problem.message.starts_with("unknown key `one two"), "{problem:?}");
        assert!(!problem.message.contains(char::is_control), "{problem:?}");
    }

    #[test]
    fn a_placeholder_that_names_nothing_is_refused() {
        let message = read("environment: e\ncommand: python ${{inputs.lr}}\n").unwrap_err().to_string();
        assert!(message.contains("inputs.lr"), "{message}");
    }

    #[test]
    fn an_output_cannot_leave_its_folder() {
        assert!(read("environment: e\ncommand: c\noutputs: {..: }\n").is_err());
        assert!(read("environment: e\ncommand: c\noutputs: {a/b: }\n").is_err());
    }
}
