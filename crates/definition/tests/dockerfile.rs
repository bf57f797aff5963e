//! Dockerfiles and build contexts through the front door.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use provenv_definition::{
    Base, ContextLocation, Diagnostic, Digest, Format, ReadEnvironment, read, read_str,
};

fn render(diagnostic: &Diagnostic) -> String {
    let place = diagnostic
        .span
        .map_or(String::new(), |span| format!(" {}:{}+{}", span.line, span.column, span.length));
    let hint = diagnostic.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
    format!("{}{place} {}{hint}", diagnostic.code, diagnostic.message)
}

/// Reads `text` as the only file of a folder.
fn read_alone(text: &str) -> Result<ReadEnvironment, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Dockerfile");
    fs_err::write(&path, text).unwrap();
    read(&path).map_err(|error| error.0.iter().map(render).collect())
}

#[test]
fn a_dockerfile_needs_a_context_only_if_it_takes_files_from_one() {
    for (text, needs_context) in [
        ("FROM a:1\nRUN b\n", false),
        ("FROM a:1\nCOPY x /y\n", true),
        ("FROM a:1\ncopy [\"x\", \"/y\"]\n", true),
        ("FROM a:1\nCOPY --chown=1 x /y\n", true),
        ("FROM a:1 AS b\nFROM c:1\nCOPY --from=b /x /y\n", false),
        ("FROM a:1\nCOPY --from=img:1 /x /y\n", false),
        ("FROM a:1\nCOPY <<EOF /y\nx\nEOF\n", false),
        ("FROM a:1\nCOPY <<EOF z /y\nx\nEOF\n", true),
        ("FROM a:1\nADD https://h.test/x /y\n", false),
        ("FROM a:1\nADD git@h.test:a/b.git /y\n", false),
        ("FROM a:1\nARG U=https://h.test\nADD $U/x /y\n", false),
        ("FROM a:1\nARG U\nADD $U/x /y\n", true),
        ("FROM a:1\nADD x /y\n", true),
        ("FROM a:1\nRUN --mount=type=cache,target=/c b\n", false),
        ("FROM a:1\nRUN --mount=type=bind,source=x,target=/x b\n", true),
        ("FROM a:1\nRUN --mount=target=/x b\n", true),
        ("FROM a:1\nRUN --mount=type=bind,from=b,target=/x b\n", false),
        ("FROM a:1\nONBUILD COPY x /y\n", false),
        ("FROM a:1\nRUN cat <<EOF\nCOPY x /y\nEOF\n", false),
        ("FROM a:1\nRUN b \\\n # no\n COPY x /y\n", false),
        ("# escape=`\nFROM a:1\nRUN b `\n COPY x /y\n", false),
    ] {
        let found = read_alone(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        assert_eq!(found.format, Format::Dockerfile);
        let is_context = matches!(found.environment.definition.base, Base::Context(_));
        assert_eq!(is_context, needs_context, "{text}");
        if !is_context {
            assert_eq!(found.environment.definition.base, Base::Dockerfile { text: text.to_owned() });
        }
    }
}

#[test]
fn the_text_is_kept_without_byte_order_mark_and_carriage_returns_and_ends_its_last_line() {
    let found = read_alone("\u{feff}FROM a:1\r\nRUN b \\\r\n  c").unwrap();
    let text = "FROM a:1\nRUN b \\\n  c\n".to_owned();
    assert_eq!(found.environment.definition.base, Base::Dockerfile { text });
}

#[test]
fn what_buildkit_refuses_is_refused_with_its_place() {
    for (text, remark) in [
        ("", "PV035 1:1+1 file with no instructions (begin with `FROM` and an image)"),
        ("# only\n", "PV035 1:1+1 file with no instructions (begin with `FROM` and an image)"),
        ("ARG a\n", "PV035 1:1+3 no build stage: there is no `FROM` (begin with `FROM` and an image)"),
        (
            "ARG a\n  RUN b\nRUN c\nFROM d",
            "PV035 2:3+3 no build stage: there is no `FROM` before this (only `ARG` may come before `FROM`)",
        ),
        ("FROM a\nRUM b\n", "PV035 2:1+3 unknown instruction `RUM` (did you mean `RUN`?)"),
        ("FROM a\nRUN b\n&& c\n", "PV035 3:1+2 unknown instruction `&&`"),
        (
            "FROM a b\n",
            "PV035 1:1+4 FROM needs one argument or three (write `FROM image` or `FROM image AS name`)",
        ),
        (
            "FROM a AS 1\n",
            "PV035 1:1+4 `1` cannot be the name of a build stage (a name begins with a letter; letters, digits, `-`, `_` and `.` follow)",
        ),
        ("FROM a\nCOPY b\n", "PV035 2:1+4 COPY needs at least two arguments: what is copied, and where to"),
        (
            "FROM a\nADD [\"b\"]\n",
            "PV035 2:1+3 ADD needs at least two arguments: what is copied, and where to",
        ),
        (
            "FROM a\nRUN <<EOF\nx\n EOF\n",
            "PV035 2:1+3 unterminated heredoc: no line is `EOF` (end it by a line that holds `EOF` alone)",
        ),
        ("FROM a\nCOPY --form=b c d\n", "PV035 2:1+4 unknown flag `--form` of COPY"),
        ("FROM a\nENV b\n", "PV035 2:1+3 ENV must have two arguments (write `ENV name=value`)"),
        (
            "FROM a\nENV b=c d\n",
            "PV035 2:1+3 there is no `=` in `d` (write `ENV name=value`, values with spaces in quotes)",
        ),
        ("FROM a\nLABEL\n", "PV035 2:1+5 LABEL needs an argument"),
        ("FROM a\nUSER\n", "PV035 2:1+4 USER needs an argument"),
        ("FROM a\nCMD [\"a\", [\"b\"]]\n", "PV035 2:1+3 a list in JSON must hold texts only"),
        ("FROM a\nSHELL bash\n", "PV035 2:1+5 SHELL needs its arguments as a list in JSON"),
        (
            "FROM a\nHEALTHCHECK x\n",
            "PV035 2:1+11 HEALTHCHECK needs `CMD` or `NONE` (write `HEALTHCHECK CMD …` or `HEALTHCHECK NONE`)",
        ),
        ("FROM a\nONBUILD FROM b\n", "PV035 2:1+7 FROM cannot stand behind ONBUILD"),
        ("# escape=x\nFROM a", "PV035 1:1+10 the escape token must be a backslash or a backtick"),
        ("# escape=`\n# escape=`\nFROM a", "PV035 2:1+10 only one `escape` parser directive can be used"),
    ] {
        assert_eq!(read_alone(text).unwrap_err(), [remark], "{text}");
    }
    // What another frontend knows is not judged.
    assert!(read_alone("# syntax=frontend.test/x\nFROM a\nINCLUDE b\nCOPY --new --from=a c d").is_ok());
}

#[test]
fn tags_that_move_are_remarked_at_their_from() {
    let text = "ARG TAG=latest\nARG NONE\nFROM python:$TAG AS a\nFROM a\nFROM scratch\nFROM b:${NONE}\nFROM c\n\
                FROM d:1\nFROM e@sha256:aa\n";
    let found = read_alone(text).unwrap();
    let remarks: Vec<String> =
        found.check().iter().filter(|remark| remark.code == "PV106").map(render).collect();
    let hint = "(name a version, or a digest with `@sha256:…`)";
    assert_eq!(
        remarks,
        [
            format!("PV106 3:1+4 the tag `latest` moves {hint}"),
            format!("PV106 7:1+4 the image has no tag, which means `latest` {hint}"),
        ]
    );
    let again = provenv_definition::check(&found.environment);
    assert_eq!(again.iter().filter(|remark| remark.code == "PV106").count(), 2);
}

/// A folder with a Dockerfile that copies all of it.
fn context() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    write("Dockerfile", "FROM a:1\nCOPY . /a\n");
    write("b/c.py", "c");
    write("b/d.pyc", "d");
    write("e/f/g", "g");
    write("run.sh", "#!/bin/sh\n");
    folder
}

fn content(path: &Path) -> Digest {
    let found = read(path).unwrap_or_else(|error| panic!("{:?}", error.0));
    match found.environment.definition.base {
        Base::Context(context) => match context.location {
            ContextLocation::Folder { content, .. } => content,
            ContextLocation::Url(url) => panic!("{url}"),
        },
        base => panic!("{base:?}"),
    }
}

#[test]
fn everything_that_docker_would_send_counts_and_nothing_else() {
    type Change = fn(&Path);
    let changes: &[(&str, bool, Change)] = &[
        ("nothing", false, |_| {}),
        ("times", false, |folder| {
            let file = fs_err::File::open(folder.join("b/c.py")).unwrap();
            file.file().set_modified(std::time::UNIX_EPOCH).unwrap();
        }),
        ("bytes", true, |folder| fs_err::write(folder.join("b/c.py"), "x").unwrap()),
        ("name", true, |folder| fs_err::rename(folder.join("b/c.py"), folder.join("b/x.py")).unwrap()),
        ("new file", true, |folder| fs_err::write(folder.join("new"), "").unwrap()),
        ("new folder", true, |folder| fs_err::create_dir(folder.join("new")).unwrap()),
        ("executable", true, |folder| {
            fs_err::set_permissions(folder.join("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
        }),
        ("other mode", false, |folder| {
            fs_err::set_permissions(folder.join("run.sh"), PermissionsExt::from_mode(0o600)).unwrap();
        }),
        ("link", true, |folder| symlink("/etc/passwd", folder.join("new")).unwrap()),
        ("Dockerfile", true, |folder| {
            fs_err::write(folder.join("Dockerfile"), "FROM a:2\nCOPY . /a\n").unwrap();
        }),
        ("ignore file", true, |folder| fs_err::write(folder.join(".dockerignore"), "nothing").unwrap()),
    ];
    let folder = context();
    let before = content(&folder.path().join("Dockerfile"));
    for (name, counts, change) in changes {
        let folder = context();
        change(folder.path());
        assert_eq!(content(&folder.path().join("Dockerfile")) != before, *counts, "{name}");
    }
}

#[test]
fn a_link_counts_by_its_target_and_is_not_followed() {
    let with_link = |target: &str| {
        let folder = context();
        symlink(target, folder.path().join("link")).unwrap();
        content(&folder.path().join("Dockerfile"))
    };
    assert_eq!(with_link("/nowhere"), with_link("/nowhere"));
    assert_ne!(with_link("/nowhere"), with_link("/elsewhere"));
    // A loop.
    assert_eq!(with_link("."), with_link("."));
}

#[test]
fn what_dockerignore_leaves_out_does_not_count() {
    // Left out alike by each, so that only what is in the folder besides can make a difference.
    let digest = |ignore: &str, extra: &[&str]| {
        let folder = context();
        fs_err::write(folder.path().join(".dockerignore"), ignore).unwrap();
        for name in extra {
            let path = folder.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "extra").unwrap();
        }
        content(&folder.path().join("Dockerfile"))
    };
    for (ignore, extra, counts) in [
        ("x", "x", false),
        ("x", "y", true),
        ("x", "x/y/z", false),
        ("*/x", "b/x", false),
        ("*/x", "x", true),
        ("**/x", "e/f/x", false),
        ("x\n!x/y", "x/z", false),
        ("x\n!x/y", "x/y", true),
        ("*\n!b", "z", false),
        ("*\n!b", "b/z", true),
        ("*.pyc", "z.pyc", false),
        ("*.pyc", "b/z.pyc", true),
        ("**/*.pyc", "b/z.pyc", false),
        ("x*\n!xy\nxy", "xy", false),
    ] {
        assert_eq!(digest(ignore, &[extra]) != digest(ignore, &[]), counts, "{ignore:?} {extra}");
    }
    // The Dockerfile counts although it is left out.
    let changed = |text: &str| {
        let folder = context();
        fs_err::write(folder.path().join(".dockerignore"), "*").unwrap();
        fs_err::write(folder.path().join("Dockerfile"), text).unwrap();
        content(&folder.path().join("Dockerfile"))
    };
    assert_ne!(changed("FROM a:1\nCOPY . /a\n"), changed("FROM a:2\nCOPY . /a\n"));
}

#[test]
fn a_named_dockerfile_has_an_ignore_file_of_its_own() {
    let folder = context();
    let path = folder.path();
    fs_err::write(path.join("gpu.Dockerfile"), "FROM a:1\nCOPY . /a\n").unwrap();
    fs_err::write(path.join(".dockerignore"), "nothing").unwrap();
    fs_err::write(path.join("gpu.Dockerfile.dockerignore"), "x").unwrap();
    let (plain, named) = (content(&path.join("Dockerfile")), content(&path.join("gpu.Dockerfile")));
    fs_err::write(path.join("x"), "").unwrap();
    assert_eq!(content(&path.join("gpu.Dockerfile")), named);
    assert_ne!(content(&path.join("Dockerfile")), plain);
}

/// Another language can compute it from the specification alone: this is what it gets for the folder above.
#[test]
fn the_content_of_a_folder_has_a_fixed_digest() {
    let folder = context();
    symlink("b/c.py", folder.path().join("link")).unwrap();
    fs_err::write(folder.path().join(".dockerignore"), "**/*.pyc\n").unwrap();
    fs_err::set_permissions(folder.path().join("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    for name in ["Dockerfile", "b/c.py", "e/f/g", ".dockerignore"] {
        fs_err::set_permissions(folder.path().join(name), PermissionsExt::from_mode(0o644)).unwrap();
    }
    let digest = content(&folder.path().join("Dockerfile"));
    assert_eq!(digest, by_specification());
}

/// The specification in `canonical.rs`, written anew.
fn by_specification() -> Digest {
    let number = |number: usize| (number as u64).to_be_bytes().to_vec();
    let text = |text: &str| [b"T".to_vec(), number(text.len()), text.as_bytes().to_vec()].concat();
    let record = |fields: &[(&str, Vec<u8>)]| {
        let fields: Vec<u8> = fields
            .iter()
            .flat_map(|(name, value)| [number(name.len()), name.as_bytes().to_vec(), value.clone()].concat())
            .collect();
        fields
    };
    let whole = |fields: &[(&str, Vec<u8>)]| [b"R".to_vec(), number(fields.len()), record(fields)].concat();
    let hash = |bytes: &str| text(&Digest::of(bytes.as_bytes()).to_string());
    let file = |path: &str, bytes: &str| {
        whole(&[("content", hash(bytes)), ("kind", text("file")), ("path", text(path))])
    };
    let folder = |path: &str| whole(&[("kind", text("folder")), ("path", text(path))]);
    let dockerfile = "FROM a:1\nCOPY . /a\n";
    let entries = [
        file(".dockerignore", "**/*.pyc\n"),
        file("Dockerfile", dockerfile),
        folder("b"),
        file("b/c.py", "c"),
        folder("e"),
        folder("e/f"),
        file("e/f/g", "g"),
        whole(&[("kind", text("link")), ("path", text("link")), ("target", text("b/c.py"))]),
        whole(&[
            ("content", hash("#!/bin/sh\n")),
            ("executable", text("true")),
            ("kind", text("file")),
            ("path", text("run.sh")),
        ]),
    ];
    let list = [b"L".to_vec(), number(entries.len()), entries.concat()].concat();
    let value = whole(&[("dockerfile", hash(dockerfile)), ("entries", list)]);
    Digest::of(&[b"provenv context\0".to_vec(), number(1), value].concat())
}

#[test]
fn a_folder_that_cannot_be_sent_is_refused() {
    let errors = |change: &dyn Fn(&Path)| {
        let folder = context();
        change(folder.path());
        read(&folder.path().join("Dockerfile")).unwrap_err().0.iter().map(render).collect::<Vec<_>>()
    };
    let pipe = |folder: &Path| {
        assert!(std::process::Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
    };
    assert_eq!(
        errors(&pipe),
        [
            "PV037 2:1+4 `pipe` of the build context is neither file, folder nor link (remove it, or leave it out by `.dockerignore`)"
        ]
    );
    let broken = |folder: &Path| fs_err::write(folder.join(".dockerignore"), "a\n[").unwrap();
    assert_eq!(errors(&broken), ["PV037 2:1+4 line 2 of `.dockerignore`: a malformed pattern"]);
    // Left out, it harms nobody.
    let folder = context();
    pipe(folder.path());
    fs_err::write(folder.path().join(".dockerignore"), "pipe").unwrap();
    content(&folder.path().join("Dockerfile"));
}

#[test]
fn names_of_dockerfiles_are_recognised() {
    for name in [
        "Dockerfile",
        "Containerfile",
        "Dockerfile.gpu",
        "gpu.Dockerfile",
        "gpu-dockerfile",
        "team__Dockerfile.2",
        "0a-Dockerfile.model",
        // By what they hold.
        "build",
        "image.gpu",
    ] {
        assert_eq!(read_str("FROM a:1\n", Path::new(name)).unwrap().format, Format::Dockerfile, "{name}");
    }
    let text = "# syntax=docker/dockerfile:1\n\nARG V=1\nFROM --platform=$BUILDPLATFORM a:$V AS b\n";
    assert_eq!(read_str(text, Path::new("build")).unwrap().format, Format::Dockerfile);
    for (name, text) in
        [("requirements.txt", "from a\n"), ("list", "from\n"), ("dockerfile.md", "FROM a:1\n")]
    {
        let format = read_str(text, Path::new(name)).map(|read| read.format).ok();
        assert_eq!(format == Some(Format::Dockerfile), name.starts_with("dockerfile"), "{name}");
    }
}

/// Each Dockerfile of the corpus is read, or refused where BuildKit refuses it.
#[test]
fn dockerfiles_of_the_corpus_are_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/dockerfile");
    let Ok(entries) = fs_err::read_dir(&corpus) else {
        eprintln!("skipped: the corpus is not at ../shared/corpus of the repository's root");
        return;
    };
    let (mut total, mut contexts, mut refused) = (0, 0, Vec::new());
    for entry in entries {
        let path = entry.unwrap().path();
        let bytes = fs_err::read(&path).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("Dockerfile"), bytes).unwrap();
        total += 1;
        match read(&folder.path().join("Dockerfile")) {
            Ok(found) => {
                contexts += usize::from(matches!(found.environment.definition.base, Base::Context(_)));
                found.check();
                let written = provenv_definition::write_native(&found.environment);
                let again = read_str(&written, Path::new("/written.yaml")).unwrap();
                assert_eq!(again.environment, found.environment, "{}\n{written}", path.display());
            }
            Err(error) => {
                assert!(
                    error.0.iter().all(|error| error.file.is_some() && error.code == "PV035"),
                    "{error:?}"
                );
                println!("{}: {}", path.file_name().unwrap().display(), render(&error.0[0]));
                refused.push(path);
            }
        }
    }
    println!("dockerfile: {} of {total} read, {contexts} with a build context", total - refused.len());
    assert!(refused.len() <= 10);
}

#[test]
fn credentials_in_a_dockerfile_are_refused_and_never_shown() {
    for (line, column) in [
        ("RUN pip install -i https://me:hunter2@h.test/simple a", 28),
        ("RUN pip install --extra-index-url https://hunter2hunter2@h.test/simple a", 43),
        ("RUN pip install git+https://me:hunter2@h.test/a", 29),
        ("# RUN pip install -i https://me:hunter2@h.test/simple a", 30),
        ("ENV PIP_INDEX_URL=https://$USER:hunter2@h.test/simple", 27),
    ] {
        let text = format!("FROM python:3.11\n{line}\n");
        let error = read_str(&text, Path::new("/nowhere/Dockerfile")).unwrap_err();
        let [only] = &error.0[..] else { panic!("{line}: {error:?}") };
        assert_eq!(
            (only.code, only.span.map(|span| (span.line, span.column))),
            ("PV015", Some((2, column))),
            "{line}"
        );
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        // A text inside another file is a Dockerfile, too.
        let inline = format!("dockerfile: |\n  FROM python:3.11\n  {line}\n");
        let error = read_str(&inline, Path::new("/nowhere/environment.yaml")).unwrap_err();
        assert_eq!(error.0[0].code, "PV015", "{line}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    for line in [
        "RUN pip install -i https://$USER:$TOKEN@h.test/simple a",
        "RUN pip install -i https://${TOKEN}@h.test/simple a",
        "RUN pip install -i https://me:${TOKEN}@h.test/simple a",
        "RUN --mount=type=secret,id=t pip install -i https://me:$(cat /run/secrets/t)@h.test/simple a",
        "RUN pip install git+ssh://git@h.test/a",
    ] {
        let text = format!("FROM python:3.11\n{line}\n");
        read_str(&text, Path::new("/nowhere/Dockerfile")).unwrap_or_else(|error| panic!("{line}: {error:?}"));
    }
}
