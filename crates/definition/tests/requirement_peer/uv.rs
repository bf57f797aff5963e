//! `uv` from PyPI on every line of the corpus' requirements files, and on lines made at random: both accept or both refuse,
//! and what both accept is the same requirement.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use provenv_definition::{Marker, MarkerEnvironment, Platform, Requirement, read_str};

use super::corpus;
use crate::peers;

/// What one of the two makes of a line.
#[derive(Clone, Debug)]
enum Answer {
    Refused(#[allow(dead_code, reason = "it is shown where the two differ")] String),
    /// A requirement in the tool's own normal form; empty where the tool does not show it.
    Accepted(String),
}

/// Lines that the two judge differently, by a part of the line, and why that is right.
type Known = [(&'static str, &'static str)];

const IN_CORPUS: &Known = &[
    ("--find-links /", "a folder is named by its path, as pip's documentation has it; uv wants a URL here"),
    ("git+git://", "git can fetch it, and a mirror may still speak it; uv has dropped the protocol"),
    ("::", "a channel of conda's, which uv takes for the path of a folder that is called so"),
    ("-e ./editable;", "pip ends the path at the `;`; uv wants a space before it"),
    ("-r requirements.txt", "the file includes itself, which uv stops at in silence and we say"),
];

const AT_RANDOM: &Known = &[
    (
        " @ ftp://",
        "no index serves packages so any more; uv takes it for a path of folders that are called so",
    ),
    (" @ ;", "the URL is missing; uv takes the marker for a path"),
];

/// What uv says of a line that it has read, when it then looks for what the line names.
const READ: &[&str] = &[
    "Distribution not found at",
    "Git operation failed",
    "Network connectivity is disabled",
    "matches project name",
];

struct Uv {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl Uv {
    /// Asks for each line of one file whether it is read, and as what. No two of them may be of one package, as uv then
    /// makes one of them; a line that does not tell its package comes alone.
    fn answers(&self, lines: &[&str]) -> Vec<Answer> {
        let mut answers: Vec<Option<Answer>> = vec![None; lines.len()];
        loop {
            let left: Vec<usize> = (0..lines.len()).filter(|at| answers[*at].is_none()).collect();
            if left.is_empty() {
                break;
            }
            let text = left.iter().map(|at| lines[*at]).collect::<Vec<_>>().join("\n") + "\n";
            match self.add(&text) {
                Ok(known) => {
                    for at in left {
                        let form = known.get(&key(lines[at])).cloned().unwrap_or_default();
                        answers[at] = Some(Answer::Accepted(form));
                    }
                }
                Err(message) => match place(&message, &text) {
                    Some(line) => answers[left[line]] = Some(Answer::Refused(message)),
                    None if left.len() == 1 && READ.iter().any(|known| message.contains(known)) => {
                        answers[left[0]] = Some(Answer::Accepted(String::new()));
                    }
                    None if left.len() == 1 => answers[left[0]] = Some(Answer::Refused(message)),
                    None => panic!("uv refuses no line of {}, and yet: {message}", left.len()),
                },
            }
        }
        answers.into_iter().flatten().collect()
    }

    /// What uv adds to a project, by package, or what it says. It takes requirements over without resolving them.
    fn add(&self, text: &str) -> Result<HashMap<String, String>, String> {
        let manifest = self.folder.path().join("pyproject.toml");
        fs_err::write(
            &manifest,
            "[project]\nname = \"provenv-oracle\"\nversion = \"0\"\nrequires-python = \">=3\"\n",
        )
        .unwrap();
        fs_err::write(self.folder.path().join("requirements.txt"), text).unwrap();
        let output = Command::new(&self.program)
            .args(["add", "--quiet", "--frozen", "--raw", "--no-index", "--offline", "--no-config"])
            .args(["--no-python-downloads", "-r", "requirements.txt"])
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
        let manifest: toml::Table = fs_err::read_to_string(&manifest).unwrap().parse().unwrap();
        let added = manifest["project"].get("dependencies").and_then(toml::Value::as_array);
        let added = added.into_iter().flatten().filter_map(toml::Value::as_str);
        Ok(added.map(|requirement| (key(requirement), requirement.to_owned())).collect())
    }
}

/// The line, from 0, that uv's message is about, if it is about how it is written.
fn place(message: &str, text: &str) -> Option<usize> {
    let number = |marker: &str| -> Option<usize> {
        let (_, rest) = message.split_once(marker)?;
        rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
    };
    if let Some(offset) = number("`requirements.txt` at position ") {
        return Some(text[..offset.min(text.len() - 1)].matches('\n').count());
    }
    number("requirements.txt:").map(|line| line - 1)
}

/// The package that a line is about, as far as its beginning tells.
fn key(line: &str) -> String {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    provenv_definition::normalise_name(&line[..end.unwrap_or(line.len())])
}

fn ours(line: &str, folder: &Path) -> Answer {
    match read_str(line, &folder.join("requirements.txt")) {
        Ok(read) => match &read.environment.definition.pip.requirements[..] {
            [] => Answer::Accepted(String::new()),
            [one] => Answer::Accepted(one.requirement.clone()),
            more => panic!("{line}: {more:?}"),
        },
        Err(error) => Answer::Refused(error.to_string()),
    }
}

/// Whether two markers hold on the same machines.
fn agree(ours: Option<&Marker>, theirs: Option<&Marker>) -> bool {
    let holds = |marker: Option<&Marker>, environment: &MarkerEnvironment| {
        marker.is_none_or(|marker| marker.holds(environment))
    };
    let versions =
        ["2.7.18", "3.0.0", "3.6.1", "3.7.0", "3.8.10", "3.9.0", "3.10.4", "3.11.2", "3.12.0", "3.13.1"];
    versions.iter().all(|version| {
        [Platform::LinuxAmd64, Platform::LinuxArm64].into_iter().all(|platform| {
            [vec![], vec!["a-b".to_owned()], vec!["x".to_owned()]].into_iter().all(|extras| {
                let environment = MarkerEnvironment::new(version, platform).with_sets(extras, vec![]);
                holds(ours, &environment) == holds(theirs, &environment)
            })
        })
    })
}

/// In what the two readings of a line differ; nothing if they do not.
fn difference(ours: &Answer, theirs: &Answer) -> Option<String> {
    let (ours, theirs) = match (ours, theirs) {
        (Answer::Refused(_), Answer::Refused(_)) => return None,
        (Answer::Accepted(ours), Answer::Accepted(theirs)) => (ours, theirs),
        _ => return Some(format!("ours   {ours:?}\n    theirs {theirs:?}")),
    };
    if ours.is_empty() || theirs.is_empty() {
        return None;
    }
    let read =
        |text: &str| Requirement::parse(text, Path::new("/")).unwrap_or_else(|e| panic!("{text}: {e}"));
    let (one, other) = (read(ours), read(theirs));
    let same = one.name == other.name
        && one.extras == other.extras
        && one.specifiers == other.specifiers
        && one.url == other.url
        && agree(one.marker.as_ref(), other.marker.as_ref());
    (!same).then(|| format!("ours   {ours}\n    theirs {theirs}"))
}

/// Compares the two line by line. Whatever is in `known` has to occur.
fn compare(lines: &[String], known: &Known) {
    let Some(venv) = peers::venv("uv", &["python3"], &["uv==0.13.9"]) else { return };
    let uv = Uv { program: venv.join("bin/uv"), folder: tempfile::tempdir().unwrap() };
    // One line of each package makes a batch, and what names none or is refused stands alone.
    let mut batches: BTreeMap<(usize, String), Vec<&str>> = BTreeMap::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for line in lines {
        let key = key(line);
        let bare = !line.starts_with(|c: char| c.is_ascii_alphanumeric())
            || line.split('@').next().is_some_and(|head| head.contains(['/', '\\', '$', ':']));
        let alone = bare || matches!(ours(line, uv.folder.path()), Answer::Refused(_));
        let round = seen.entry(key).or_default();
        batches.entry((*round, if alone { line.clone() } else { String::new() })).or_default().push(line);
        *round += 1;
    }
    let (mut disagreements, mut occurred, mut refused) = (Vec::new(), vec![false; known.len()], 0);
    for batch in batches.values() {
        for (line, theirs) in batch.iter().zip(uv.answers(batch)) {
            let ours = ours(line, uv.folder.path());
            refused += usize::from(matches!(ours, Answer::Refused(_)));
            let Some(difference) = difference(&ours, &theirs) else { continue };
            match known.iter().position(|(part, _)| line.contains(part)) {
                Some(at) => occurred[at] = true,
                None => disagreements.push(format!("{line}\n    {difference}")),
            }
        }
    }
    println!("{} lines, {refused} refused, {} read otherwise", lines.len(), disagreements.len());
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
    for ((part, _), occurred) in known.iter().zip(occurred) {
        assert!(occurred, "`{part}` is no disagreement any more");
    }
}

#[test]
fn lines_of_the_corpus_are_read_as_uv_reads_them() {
    let lines = corpus();
    if !lines.is_empty() {
        compare(&lines, IN_CORPUS);
    }
}

/// A line in any spelling, and now and then with a slip. The name is put in later.
fn line() -> impl Strategy<Value = String> {
    let extras = prop_oneof![
        6 => Just(String::new()),
        3 => "\\[ ?[a-z]{1,2}( ?, ?[A-Z][-_.]+b){0,2} ?\\]",
        1 => select(vec!["[]", "[,]", "[a,]", "[a b]", "[-a]", "[a"]).prop_map(str::to_owned),
    ];
    let version = "(1!)?[0-9]{1,2}\\.[0-9]{1,2}(\\.0){0,2}(a1|\\.?rc\\.?2|-1|\\.post1|_dev0)?";
    let bound = prop_oneof![
        8 => ("==|!=|<=|>=|<|>|~=", " ?", version).prop_map(|(operator, space, version)| operator + &space + &version),
        2 => "(==|!=)1\\.[0-9](\\.0)?\\.\\*|==1\\.0\\+local[-_.]1|===1\\.0",
        1 => select(vec!["=1", "=>1", "==", ">1.*", "~=1", "==1.*.0", "1.0", "==a", "<1+l"]).prop_map(str::to_owned),
    ];
    let bounds =
        (prop::collection::vec(bound, 0..3), " ?, ?", any::<bool>()).prop_map(|(bounds, comma, group)| {
            let bounds = bounds.join(&comma);
            if group && !bounds.is_empty() { format!(" ({bounds})") } else { bounds }
        });
    let place = select(vec![
        " @ https://H.test/a.zip",
        "@ https://h.test/a%20b.tar.gz#sha256=aa",
        " @ git+https://h.test/a@v1#subdirectory=x",
        " @ git+ssh://git@h.test/a.git",
        " @ file:///a%20b.zip",
        " @ ftp://h.test/a.zip",
        " @ svn+https://h.test/a",
        " @",
    ]);
    let comparison = select(vec![
        "python_version<'3.10'",
        "python_version >= \"3.8.1\"",
        "python_full_version == '3.11.*'",
        "python_version in '3.9 3.10'",
        "'3.8' <= python_version",
        "python_version ~= '3.9'",
        "os_name == \"posix\"",
        "os.name!='nt'",
        "sys.platform=='linux'",
        "'linux' in sys_platform",
        "'win' not in sys_platform",
        "platform_machine == 'aarch64'",
        "implementation_name=='cpython'",
        "python_implementation == 'PyPy'",
        "extra == 'A_b'",
        "extra != 'x'",
        "colour == 'red'",
        "python_version = '3'",
        "python_version > ",
    ]);
    // Slips are seldom.
    let comparison = (comparison, 0..6).prop_map(|(comparison, keep): (&str, i32)| {
        let slip =
            comparison.starts_with("colour") || comparison.contains(" = ") || comparison.ends_with("> ");
        if slip && keep > 0 { "python_version>='3'" } else { comparison }
    });
    let marker = prop::collection::vec((comparison, select(vec![" and ", " or "])), 0..4).prop_map(|parts| {
        let mut text = String::new();
        for (comparison, join) in parts {
            text =
                if text.is_empty() { comparison.to_owned() } else { format!("({text}){join}{comparison}") };
        }
        text
    });
    let rest = prop_oneof![6 => bounds, 1 => place.prop_map(str::to_owned)];
    (extras, rest, " ?; ?", marker).prop_map(|(extras, rest, semicolon, marker)| {
        // Behind a URL the space is needed.
        let semicolon = if rest.contains('@') { " ; " } else { &semicolon };
        let marker = if marker.is_empty() { marker } else { format!("{semicolon}{marker}") };
        format!("{extras}{rest}{marker}")
    })
}

#[test]
fn lines_made_at_random_are_read_as_uv_reads_them() {
    let mut runner = TestRunner::deterministic();
    let strategy = ("[a-zA-Z]([-_.]{0,2}[a-z0-9]){0,4}", " ?", line());
    let lines: Vec<String> = (0..500)
        .map(|number| {
            let (name, space, rest) = strategy.new_tree(&mut runner).unwrap().current();
            // Each line is of a package of its own, so that many are asked for at once.
            format!("{name}{number}{space}{rest}")
        })
        .collect();
    compare(&lines, AT_RANDOM);
}
