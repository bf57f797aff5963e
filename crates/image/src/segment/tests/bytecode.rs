//! Bytecode by real Pythons: the same whoever makes it and whenever, and the same code as Python's own.

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use provenv_definition::Digest;

use super::support::{Fixture, SITE, WHEEL, wheel_members, zip};
use crate::python::PythonHost;
use crate::segment::{Compiler, Error};

/// Runs a Python of this machine, without any layers.
pub struct HostPython;

impl PythonHost for HostPython {
    fn spawn(&self, _: &[PathBuf], command: &[String], env: &[(&str, &str)]) -> io::Result<Child> {
        Command::new(&command[0])
            .args(&command[1..])
            .env_clear()
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
    }
}

/// The Pythons of this machine that Provenv knows: path and minor version.
pub fn pythons() -> Vec<(String, u32)> {
    let found: Vec<_> = (9..=14)
        .filter_map(|minor| {
            let output = Command::new(format!("python3.{minor}"))
                .args(["-c", "import sys; print(sys.executable)"])
                .output()
                .ok()
                .filter(|output| output.status.success())?;
            Some((String::from_utf8(output.stdout).ok()?.trim().to_owned(), minor))
        })
        .collect();
    assert!(!found.is_empty(), "these tests need a python3.N on the PATH");
    found
}

fn compiler(python: &str, minor: u32, workers: usize) -> Arc<Compiler> {
    Arc::new(Compiler::new(Arc::new(HostPython), Vec::new(), python.to_owned(), minor, workers))
}

fn run(python: &str, script: &str, arguments: &[&str]) -> String {
    let output = Command::new(python).args(["-c", script]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{python}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Sources with everything that marshal knows, and what is known to have been unstable.
const TRICKY: &str = r#"
# -*- coding: latin-1 -*-
"""doc"""
x = 1.5, -0.0, 1e300, 3j, 10**40, -(2**70), b"bytes", "interned", "not interned !", "\u00e9\U0001f600", ..., None
y = (1, (2, (3, "interned"))), (), frozenset()
def f(a, /, b: "int" = 1, *, c=(1, 2), **kw):
    "doc"
    def inner():
        nonlocal a
        return a, b, "interned", "not interned !", 1.5
    if a in {"one", "two", "three", None, 7, b"x", 1.5, ("t", 1)}:
        return lambda: (yield)
    return [i for i in range(3) if i not in {1, 2, 3}], inner
class C:
    z: int = 3
    async def g(self):
        async for i in self: yield i
    def h(self): return __class__, super().h, x[1:2], x[1:"a"]
"#;

/// Compares `N.pyc` with what `py_compile` makes of `N.py`, for every N in a folder: the header byte for byte, and all that
/// a code object holds. Each module was called `/m.py`.
const COMPARE: &str = r"
import sys, os, glob, py_compile, marshal, types
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
def same(a, b, where):
    assert type(a) is type(b), where
    if isinstance(a, types.CodeType):
        for name in dir(a):
            value = getattr(a, name)
            if name.startswith('co_') and not callable(value):
                same(value, getattr(b, name), where + '.' + name)
        for name in ('co_lines', 'co_positions'):
            if hasattr(a, name):
                assert list(getattr(a, name)()) == list(getattr(b, name)()), where
    elif isinstance(a, tuple):
        assert len(a) == len(b), where
        for n, (x, y) in enumerate(zip(a, b)): same(x, y, f'{where}[{n}]')
    else:
        assert repr(a) == repr(b) or isinstance(a, frozenset) and a == b, where
for ours in glob.glob(os.path.join(sys.argv[1], '*.pyc')):
    source = ours[:-1]
    theirs = open(py_compile.compile(source, source + '.theirs', '/m.py', True, invalidation_mode=mode), 'rb').read()
    ours = open(ours, 'rb').read()
    assert ours[:16] == theirs[:16], source
    same(marshal.loads(ours[16:]), marshal.loads(theirs[16:]), source)
print('same')
";

#[test]
fn bytecode_is_what_py_compile_makes_but_for_marks() {
    for (python, minor) in pythons() {
        let compiler = compiler(&python, minor, 2);
        let library = run(
            &python,
            "import os, glob; r = os.path.dirname(os.__file__)\n\
             print('\\n'.join(sorted(glob.glob(os.path.join(r, '*.py')))))",
            &[],
        );
        let mut sources: Vec<Vec<u8>> = library.lines().map(|path| fs_err::read(path).unwrap()).collect();
        sources.push(TRICKY.into());
        let folder = tempfile::tempdir().unwrap();
        let waiting: Vec<_> =
            sources.iter().map(|source| compiler.compile("/m.py".to_owned(), source.clone())).collect();
        for (n, (source, answer)) in sources.iter().zip(waiting).enumerate() {
            let pyc = answer.wait().unwrap().expect("the standard library compiles");
            fs_err::write(folder.path().join(format!("{n}.py")), source).unwrap();
            fs_err::write(folder.path().join(format!("{n}.pyc")), pyc).unwrap();
        }
        assert_eq!(run(&python, COMPARE, &[folder.path().to_str().unwrap()]), "same\n", "3.{minor}");
    }
}

#[test]
fn bytecode_never_varies() {
    for (python, minor) in pythons() {
        // Every module of a large package or two, in other orders, by other workers, after other modules.
        let list = "import os, glob; r = os.path.dirname(os.__file__)\n\
                    print('\\n'.join(sorted(f for d in ('', 'email', 'asyncio', 'json', 'ctypes', 'test') \
                    for f in glob.glob(os.path.join(r, d, '*.py')))[:500]))";
        let modules: Vec<(String, Vec<u8>)> = run(&python, list, &[])
            .lines()
            .map(|path| (path.to_owned(), fs_err::read(path).unwrap()))
            .collect();
        let compile = |order: Vec<usize>, workers: usize| {
            let compiler = compiler(&python, minor, workers);
            let mut made = vec![None; modules.len()];
            let waiting: Vec<_> = order
                .into_iter()
                .map(|n| (n, compiler.compile(modules[n].0.clone(), modules[n].1.clone())))
                .collect();
            for (n, answer) in waiting {
                made[n] = answer.wait().unwrap();
            }
            made
        };
        let forward: Vec<usize> = (0..modules.len()).collect();
        let first = compile(forward.clone(), 1);
        assert!(first.iter().flatten().count() > modules.len() * 9 / 10);
        let backward: Vec<usize> = forward.iter().rev().copied().collect();
        let mut shuffled = forward;
        shuffled.sort_by_key(|n| Digest::of(&n.to_le_bytes()));
        for (order, workers) in [(backward, 1), (shuffled, 3)] {
            let again = compile(order, workers);
            for (n, pair) in first.iter().zip(&again).enumerate() {
                assert!(pair.0 == pair.1, "3.{minor}: {} came out different", modules[n].0);
            }
        }
    }
}

#[test]
fn modules_of_a_wheel_are_compiled_once_and_what_fails_is_named() {
    let fixture = Fixture::new();
    let (python, minor) = pythons().remove(0);
    let segment = fixture
        .wheel(
            WHEEL,
            &zip(&wheel_members(&[
                ("demo/__init__.py", b"x = 1\n"),
                ("demo/broken.py", b"def (\n"),
                ("demo/tests/test_x.py", b"y = 1\n"),
                ("demo/data.txt", b"z\n"),
            ])),
        )
        .unwrap();
    let interpreter = Digest::of(b"this one");
    let artifact = Digest::of(b"the wheel");
    let compile = || {
        crate::segment::bytecode(&fixture.store, &segment, &artifact, &interpreter, (3, 11), || {
            Ok::<_, Error>(compiler(&python, minor, 2))
        })
    };
    let made = compile().unwrap();
    assert_eq!(made.failed, [format!("{SITE}/demo/broken.py")]);
    let seen = fixture.contents(&fixture.layer(made.segment.as_ref().unwrap()));
    let files: Vec<_> = seen.iter().filter(|(_, entry)| entry.kind.is_file()).map(|(path, _)| path).collect();
    assert_eq!(files, [&format!("{SITE}/demo/__pycache__/__init__.cpython-311.pyc")]);
    let again = crate::segment::bytecode(&fixture.store, &segment, &artifact, &interpreter, (3, 11), || {
        Err::<Arc<Compiler>, _>(Error::Write(io::Error::other("nothing is left to compile")))
    });
    assert_eq!(again.unwrap(), made);
}

#[test]
fn a_python_that_does_not_start_is_an_error() {
    let compiler = compiler("/nonexistent/python3", 11, 1);
    let answer = compiler.compile("/m.py".to_owned(), b"x".to_vec()).wait();
    assert!(matches!(answer, Err(Error::Python { .. })), "{answer:?}");
}

#[test]
fn a_python_that_dies_is_an_error_that_names_the_module() {
    let compiler = compiler("/bin/false", 11, 1);
    let answer = compiler.compile("/m.py".to_owned(), b"x".to_vec()).wait();
    assert!(matches!(&answer, Err(Error::PythonDied { module, .. }) if module == "/m.py"), "{answer:?}");
}
