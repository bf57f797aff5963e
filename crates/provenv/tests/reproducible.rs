//! The same definition and indexes give the same lock, and the same lock gives the same image, bit for bit, with
//! everything else varied that can be.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::server::Server;

use crate::support::{Done, Workspace, command, definition, fill, fill_cold, have, is_root, serve, skip};

/// A module with what makes a compiler's output depend on chance: sets among the constants, strings that are interned or
/// not, equal constants in several places, names in many scopes.
fn module(number: usize) -> String {
    let letter = char::from(b'a' + u8::try_from(number % 26).unwrap());
    format!(
        r#""""Module {number}: Größe, 漢字, {letter}."""
from __future__ import annotations
import os, sys as system
KINDS = frozenset({{None, "{letter}", "ä", {number}, (1, "{letter}"), b"{letter}"}})
NUMBERS = (1, 1.0, True, -0.0, 1e300, 1j, 2**100, ..., "{letter}", "", b"")
class Thing_{number}:
    """A thing."""
    __slots__ = ("{letter}", "name_{number}")
    def method(self, *args, key="{letter}", größe=None, **rest):
        """Does {number} things."""
        def inner(x, /, y=("{letter}", None), *, z={{"{letter}": None, 1: ()}}):
            nonlocal key
            key = x in {{None, "{letter}", "word", {number}, (1, 2), ""}}
            return [item for item in args if item not in {{"{letter}", "b", None}}] + [lambda q=key, *r: (q, r, y)]
        return inner(self, *args), {{**rest}}, f"{{key!r:>{number}}} {letter} {{größe}}"
    @property
    def name_{number}(self): return "{letter}" "name_{number}" if system else ...
    async def later(self):
        async with self as (a, *b): yield {{i: j for i, j in b if i in {{"x", "y", None}}}}
def longest(a, b=1, *args, c, d=frozenset(), **kwargs) -> "Thing_{number}":
    try:
        while a: a -= 1
        else: raise ValueError("a sentence that nobody interns, {number}")
    except (ValueError, OSError) as error:
        return error, os.sep, a in {{0, 1, 2.5, None}}
    finally:
        del b
"#
    )
}

/// Wheels of several hundred modules in all.
fn index() -> Index {
    let mut rich = Wheel::new("rich-content", "1.0").requires("leaf-one").requires("leaf-two>=1");
    for number in 0..240 {
        rich = rich.file(&format!("rich_content/part{}/module_{number}.py", number % 7), module(number));
    }
    rich = rich
        .file("rich_content/größe.py", module(1))
        .file("rich_content/broken.py", "def (:\n")
        .file("rich_content/data.bin", vec![0x5a; 100_000])
        .data("scripts", "rich-script", "#!python\nprint('rich')\n")
        .data("data", "share/rich/readme.txt", "text\n")
        .entry_point("console_scripts", "rich", "rich_content:main");
    let mut index = Index::new().add(rich);
    for name in ["leaf-one", "leaf-two", "other"] {
        let mut wheel = Wheel::new(name, "2.0");
        for number in 0..40 {
            let path = format!("{}/m{number}.py", wheel.module());
            wheel = wheel.file(&path, module(number + name.len()));
        }
        index = index.add(wheel);
    }
    index
}

/// What locking and building gave: the lock's bytes and the image's digest.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    lock: String,
    image: String,
}

/// How a build differs from the first one.
#[derive(Default)]
struct Variation {
    /// What runs provenv, e.g. `taskset -c 0`.
    wrapper: Vec<String>,
    environment: Vec<(&'static str, &'static str)>,
    /// Built before, so that segments are there already, made in another order.
    before: Option<&'static [&'static str]>,
}

impl Variation {
    fn wrapper(words: &[&str]) -> Self {
        Self { wrapper: words.iter().map(|&word| word.to_owned()).collect(), ..Self::default() }
    }

    /// The command in the workspace at `root`, with `binary` as provenv.
    fn command(&self, binary: &Path, root: &Path) -> Command {
        let plain = command(root);
        let mut varied = match self.wrapper.split_first() {
            Some((program, rest)) => {
                let mut varied = Command::new(program);
                varied.args(rest).arg(binary);
                varied
            }
            None => Command::new(binary),
        };
        for (name, value) in plain.get_envs() {
            varied.env(name, value.unwrap_or_default());
        }
        varied.envs(self.environment.iter().copied());
        varied
    }
}

fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_provenv").into()
}

const PACKAGES: &[&str] = &["rich-content", "other>=1"];

/// Locks as the machine is, and builds under `variation`.
fn outcome(server: &Server, root: &Path, binary: &Path, variation: &Variation) -> Outcome {
    let folder = root.parent().unwrap();
    let done = |mut command: Command, arguments: &[&str]| {
        Done::from(command.current_dir(folder).args(["-o", "json"]).args(arguments).output().unwrap()).ok()
    };
    let varied = || variation.command(binary, root);
    if let Some(packages) = variation.before {
        fs_err::write(folder.join("before.yaml"), definition(server, "before", packages)).unwrap();
        done(varied(), &["build", "before.yaml"]);
    }
    fs_err::write(folder.join("environment.yaml"), definition(server, "rich", PACKAGES)).unwrap();
    // An archive's signatures have a time; the clock is varied for what comes after.
    let clock = variation.wrapper.iter().any(|word| word == "faketime");
    let first = if clock { command(root) } else { varied() };
    let lock = done(first, &["lock", "environment.yaml", "--file", "-"]).stdout;
    let built = done(varied(), &["build", "environment.yaml"]).json();
    assert_eq!(built["cached"], false, "{built}");
    Outcome { lock, image: built["image"].as_str().unwrap().to_owned() }
}

/// Another clock, another host, one processor: as far as the programs for it are there.
fn elsewhere() -> Variation {
    let hostname = "echo elsewhere > /proc/sys/kernel/hostname; exec \"$@\"";
    let ways: [(&str, &[&str], &str); 3] = [
        ("faketime", &["-f", "+4000d"], "date +%Y"),
        ("unshare", &["--uts", "sh", "-c", hostname, "sh"], "cat /proc/sys/kernel/hostname"),
        ("taskset", &["-c", "0"], "nproc"),
    ];
    let ask = |words: &[String], question: &str| {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["sh", "-c", question]).collect();
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let mut wrapper = Vec::new();
    for (program, arguments, question) in ways {
        if !have(program) || (program == "unshare" && !is_root()) {
            continue;
        }
        let more = [&[program], arguments].concat();
        wrapper.extend(more.into_iter().map(str::to_owned));
        let (here, there) = (ask(&[], question), ask(&wrapper, question));
        // One processor is all that some machines have.
        assert!(here != there || here == "1", "{program} changes nothing: {here}");
    }
    Variation { wrapper, ..Variation::default() }
}

/// Every variation in a store that has the base's segments: what differs is what is made here.
#[test]
fn nothing_of_the_caller_gets_into_lock_or_image() {
    let server = serve(&index());
    let Some(plain) = Workspace::new() else { return };
    let expected = outcome(&server, &plain.root(), &binary(), &Variation::default());

    let mut variations = vec![
        Variation {
            environment: vec![
                ("TZ", "Pacific/Kiritimati"),
                ("LANG", "tr_TR.UTF-8"),
                ("LC_ALL", "tr_TR.UTF-8"),
                ("PYTHONHASHSEED", "4242"),
                ("PYTHONDONTWRITEBYTECODE", "1"),
                ("PYTHONOPTIMIZE", "2"),
                ("PYTHONPYCACHEPREFIX", "/nonexistent"),
                ("PYTHONPATH", "/nonexistent"),
                ("SOURCE_DATE_EPOCH", "1234567890"),
                ("HOME", "/nonexistent"),
                ("USER", "somebody"),
                ("TMPDIR", "/var/tmp"),
            ],
            ..Variation::wrapper(&["sh", "-c", "umask 077; exec \"$@\"", "sh"])
        },
        // Other packages first, in another order: what is shared is there already.
        Variation { before: Some(&["leaf-two", "other"]), ..Variation::default() },
    ];
    variations.push(elsewhere());
    for variation in variations {
        let long = tempfile::Builder::new().prefix(&"long-name-".repeat(12)).tempdir().unwrap();
        let root = long.path().join("Ein Ordner mit Größe").join("w");
        fill(&root).unwrap();
        let found = outcome(&server, &root, &binary(), &variation);
        assert_eq!(found.lock, expected.lock, "{:?} {:?}", variation.wrapper, variation.environment);
        assert_eq!(found.image, expected.image, "{:?} {:?}", variation.wrapper, variation.environment);
    }
}

/// From the artifacts on, by root and by nobody, with all else varied at once.
#[test]
fn two_users_make_the_same_image_of_the_same_artifacts() {
    let server = serve(&index());
    let Some(plain) = Workspace::cold() else { return };
    let expected = outcome(&server, &plain.root(), &binary(), &Variation::default());

    if !is_root() {
        return skip("another user is not ours to be: this is not root");
    }
    if !have("setpriv") {
        return;
    }
    let folder = tempfile::Builder::new().prefix("nobody").tempdir().unwrap();
    fs_err::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let root = folder.path().join("w");
    fill_cold(&root).unwrap();
    for entry in walkdir::WalkDir::new(&root).into_iter().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().is_file() {
            // Everybody may read blobs. The rest is its owner's alone, and shared with other workspaces here.
            if path.starts_with(root.join("store/blobs")) {
                continue;
            }
            let (bytes, mode) = (fs_err::read(path).unwrap(), fs_err::metadata(path).unwrap().permissions());
            fs_err::remove_file(path).unwrap();
            fs_err::write(path, bytes).unwrap();
            fs_err::set_permissions(path, mode).unwrap();
        }
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let copy = folder.path().join("provenv");
    fs_err::copy(binary(), &copy).unwrap();
    let mut wrapper = format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups");
    if have("taskset") {
        let _ = write!(wrapper, " taskset -c 0");
    }
    let words: Vec<&str> = wrapper.split(' ').collect();
    let variation = Variation {
        environment: vec![("HOME", "/nonexistent"), ("TZ", "America/St_Johns"), ("LC_ALL", "C.UTF-8")],
        ..Variation::wrapper(&words)
    };
    let found = outcome(&server, &root, &copy, &variation);
    assert_eq!(found, expected);
    // And it runs there.
    let mut run = variation.command(&copy, &root);
    let arguments =
        ["run", "environment.yaml", "--", "python", "-c", "import os; print(os.getuid(), 'runs')"];
    let done = Done::from(run.current_dir(folder.path()).args(arguments).output().unwrap()).ok();
    assert!(done.stdout.ends_with(" runs\n"), "{}", done.stdout);
}

const NOBODY: u32 = 65_534;

/// What was made is thrown away, and made again.
#[test]
fn after_a_collection_and_by_force_the_image_is_the_same() {
    let server = serve(&index());
    let Some(workspace) = Workspace::new() else { return };
    workspace.write("environment.yaml", &definition(&server, "rich", PACKAGES));
    workspace.json(["env", "register", "environment.yaml"]);
    let first = workspace.json(["build", "rich"]);

    let forced = workspace.json(["build", "rich", "--force"]);
    assert_eq!((&forced["image"], &forced["reproduced"]), (&first["image"], &true.into()));

    workspace.json(["store", "gc", "--all"]);
    for made in ["segment", "image"] {
        let _ = fs_err::remove_dir_all(workspace.root().join("store/records").join(made));
    }
    let forced = workspace.json(["build", "rich", "--force"]);
    assert_eq!((&forced["image"], &forced["reproduced"]), (&first["image"], &true.into()));
    assert_eq!(workspace.json(["store", "scrub"])["corrupt"].as_array().unwrap().len(), 0);
}
