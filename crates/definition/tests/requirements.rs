//! requirements.txt through the front door: what is carried, and what is said about the rest.

use std::path::Path;

use provenv_definition::{Diagnostic, Format, ReadEnvironment, ReadError, read, read_str};

fn read_text(text: &str) -> Result<ReadEnvironment, ReadError> {
    read_str(text, Path::new("/project/requirements.txt"))
}

fn requirements(text: &str) -> Vec<String> {
    let found = read_text(text).unwrap_or_else(|error| panic!("{text}: {:?}", error.0));
    assert_eq!(found.format, Format::Requirements);
    found.environment.definition.pip.requirements.into_iter().map(|entry| entry.requirement).collect()
}

/// `PV010 2:7 "text" message (hint)`; the quoted text is what the span covers.
fn remarks(text: &str) -> Vec<String> {
    let diagnostics = match read_text(text) {
        Ok(found) => found.warnings,
        Err(error) => error.0,
    };
    diagnostics.iter().map(render).collect()
}

fn render(diagnostic: &Diagnostic) -> String {
    let place = diagnostic.span.map_or(String::new(), |span| {
        let line: Vec<char> = diagnostic.line_text.as_deref().unwrap_or_default().chars().collect();
        let from = (span.column - 1).min(line.len());
        let to = (from + span.length).min(line.len());
        format!(" {}:{} {:?}", span.line, span.column, line[from..to].iter().collect::<String>())
    });
    let hint = diagnostic.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
    format!("{}{place} {}{hint}", diagnostic.code, diagnostic.message)
}

#[test]
fn requirements_come_out_in_normal_form() {
    for (given, normal) in [
        ("Scikit_Learn [b,a] >= 1.4 , <2 # why", "scikit-learn[a,b]>=1.4,<2"),
        ("numpy (==1.2)", "numpy==1.2"),
        ("a==1.0.ALPHA1", "a==1.0a1"),
        ("a ; 'nt' == os.name", "a ; os_name == 'nt'"),
        ("a @ https://host.test/a.zip ; os_name=='nt'", "a @ https://host.test/a.zip ; os_name == 'nt'"),
        ("./dist/a_b-1.0-py3-none-any.whl", "a-b @ file:///project/dist/a_b-1.0-py3-none-any.whl"),
        ("a @ ../a", "a @ file:///a"),
        ("file:x", "file:///project/x"),
        (
            "git+https://${TOKEN}@host.test/a/b@v1#egg=B&subdirectory=c",
            "b @ git+https://${TOKEN}@host.test/a/b@v1#subdirectory=c",
        ),
        ("-e ./a[x, y] ; os_name == 'nt'", "file:///project/a[x,y] ; os_name == 'nt'"),
        ("-e git+ssh://git@host.test/a#egg=a", "a @ git+ssh://git@host.test/a"),
        ("--editable=folder", "file:///project/folder"),
        ("a \\\n  == \\\n  1.0", "a==1.0"),
        ("\u{feff}a\r\n", "a"),
    ] {
        assert_eq!(requirements(given), [normal], "{given}");
    }
    assert!(requirements("").is_empty());
    assert!(requirements("# nothing\n\n").is_empty());
}

#[test]
fn options_are_carried() {
    let text = "-i https://${USER}:${PASS}@host.test/simple\n--extra-index-url https://b.test/simple\n\
                --extra-index-url https://a.test/simple\n-f links\n--pre\n--no-binary A_b,c\n--only-binary :all:\n\
                --no-binary d --only-binary e,:none:,c\n";
    let pip = read_text(text).unwrap().environment.definition.pip;
    assert_eq!(pip.index_url.unwrap().to_string(), "https://${USER}:${PASS}@host.test/simple");
    let extra: Vec<_> = pip.extra_index_urls.iter().map(ToString::to_string).collect();
    assert_eq!(extra, ["https://b.test/simple", "https://a.test/simple"]);
    assert_eq!(pip.find_links[0].to_string(), "file:///project/links");
    assert!(pip.pre && !pip.no_index);
    // pip's own FormatControl gives the same for this sequence.
    assert_eq!((pip.no_binary, pip.only_binary), (vec!["d".to_owned()], vec!["c".to_owned()]));
}

#[test]
fn hashes_are_carried_and_checked() {
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    let found =
        read_text(&format!("x==1 \\\n    --hash=sha256:{b} \\\n    --hash sha256:{a} # twice\n")).unwrap();
    let hashes: Vec<_> =
        found.environment.definition.pip.requirements[0].hashes.iter().map(ToString::to_string).collect();
    assert_eq!(hashes, [format!("sha256:{a}"), format!("sha256:{b}")]);
    assert_eq!(
        remarks("x==1 --hash=sha256:12"),
        ["PV016 1:13 \"sha256:12\" a sha256 hash has 64 hexadecimal digits (`pip hash FILE` prints it)"]
    );
    assert_eq!(
        remarks("x==1 --hash=sha512:12"),
        [
            "PV016 1:13 \"sha512:12\" only sha256 hashes can be checked (add the sha256 hash: `pip hash FILE` prints it)"
        ]
    );
    assert_eq!(remarks(&format!("x==1 --hash=sha512:12 --hash=sha256:{a}")), Vec::<String>::new());
    let text = format!("--require-hashes\nx==1 --hash=sha256:{a}\ny==1\nz>=1 --hash=sha256:{a}\n");
    assert_eq!(
        remarks(&text),
        [
            "PV017 3:1 \"y==1\" `--require-hashes` is given, and this requirement has no hash",
            "PV017 4:1 \"z>=1\" `--require-hashes` is given, and this requirement is not pinned with `==`",
        ]
    );
}

#[test]
fn every_mistake_is_named_with_its_place() {
    for (text, remark) in [
        (
            "numpy\nscipy =1.0",
            "PV010 2:7 \"=\" `=` is not an operator (a version is pinned with two equals signs: `==`)",
        ),
        ("a=>1", "PV010 1:2 \"=>\" `=>` is not an operator (did you mean `>=`?)"),
        ("a>=1.0.*", "PV010 1:4 \"1.0.*\" `.*` cannot follow `>=`, only `==` and `!=` (write `>=1.0`)"),
        ("a>=1 <2", "PV010 1:6 \"<2\" unexpected `<2` (separate version bounds with a comma)"),
        ("a~=1", "PV010 1:4 \"1\" `~=` needs a version of two numbers or more, found `1` (write `~=1.0`)"),
        ("a==1.x", "PV010 1:4 \"1.x\" `1.x` is not a version"),
        ("a==", "PV010 1:4 \"\" a version is missing after `==`"),
        ("a 1.0", "PV010 1:3 \"1.0\" unexpected `1.0` (write an operator such as `==` before the version)"),
        ("a[b", "PV010 1:2 \"[\" `]` is missing after the extras"),
        ("a[b c]", "PV010 1:3 \"b c\" `b c` is not the name of an extra"),
        ("a. >=1", "PV010 1:2 \".\" the name `a.` must end with a letter or digit"),
        (
            "'a'",
            "PV010 1:1 \"'a'\" expected the name of a package, found `'a'` (take the quotes off: a requirements file has none)",
        ),
        ("é", "PV010 1:1 \"é\" expected the name of a package, found `é`"),
        (
            "a ; python_verson < '3'",
            "PV010 1:5 \"python_verson\" `python_verson` is neither a marker's variable nor a quoted text (did you mean `python_version`?)",
        ),
        (
            "a ; python_version < 3",
            "PV010 1:22 \"3\" `3` is neither a marker's variable nor a quoted text (put the value in quotes)",
        ),
        ("a ; (os_name == 'b'", "PV010 1:5 \"(\" `)` is missing"),
        ("x\na \\\n  ; os_name", "PV010 3:12 \"\" the marker ends before its comparison"),
        (
            "conda-forge::a",
            "PV010 1:12 \"::a\" unexpected `::a` (`channel::package` is conda's; for pip write the package alone)",
        ),
        (
            "a=={{ version }}",
            "PV023 1:4 \"{{ version }}\" a template that was not filled in (fill the template in first)",
        ),
        (
            "--idnex-url x",
            "PV011 1:1 \"--idnex-url\" unknown option `--idnex-url` (did you mean `--index-url`?)",
        ),
        ("-r", "PV011 1:1 \"-r\" a value is missing after `-r`"),
        ("--hash=sha256:aa", "PV011 1:1 \"--hash=sha256:aa\" `--hash` belongs to a requirement"),
        (
            "a\n--index-url packages.test/simple",
            "PV014 2:13 \"packages.test/simple\" `packages.test/simple` is neither a URL nor a folder that exists (is `https://` missing? `https://packages.test/simple`; a folder is written `./packages.test/simple`)",
        ),
        (
            "--extra-index-url packages.test:80/simple",
            "PV014 1:19 \"packages.test:80/simple\" `packages.test:80/simple` is neither a URL nor a folder that exists (is `https://` missing? `https://packages.test:80/simple`; a folder is written `./packages.test:80/simple`)",
        ),
        ("-i ftp://h.test", "PV014 1:4 \"ftp://h.test\" `ftp` URLs cannot be fetched (use https or file)"),
        (
            "git+git@h.test:a/b",
            "PV014 1:1 \"git+git@h.test:a/b\" `git+git@h.test:a/b` is not a URL (write a repository as `git+ssh://git@host/path` or `git+https://host/path`)",
        ),
        (
            "hg+https://h.test/a",
            "PV007 1:1 \"hg+https://h.test/a\" `hg+https` repositories are not supported, only git",
        ),
        (
            "a @ https://h.test/b-1-py3-none-any.whl",
            "PV010 1:5 \"https://h.test/b-1-py3-none-any.whl\" the URL is of the package `b`",
        ),
        ("a b-1-py3-none-any.whl", "PV010 1:3 \"b-1-py3-none-any.whl\" unexpected `b-1-py3-none-any.whl`"),
    ] {
        let remarks = remarks(text);
        assert_eq!(remarks, [remark.replace("after `-r`", "after `--requirement`")], "{text}");
    }
}

#[test]
fn what_has_no_effect_is_said() {
    for (text, remark) in [
        (
            "--trusted-host h.test",
            "PV012 1:1 \"--trusted-host h.test\" `--trusted-host` has no effect: certificates are always checked; add the host's authority to the system's instead",
        ),
        (
            "a==1 -f https://h.test/links",
            "PV012 1:6 \"-f https://h.test/links\" `--find-links` has no effect: as in pip, it counts only on a line of its own",
        ),
        (
            "--no-index\n-i https://h.test/s",
            "PV012 `--no-index` is given: no index is asked, and the index URLs mean nothing",
        ),
        (
            "a --config-settings x=y",
            "PV012 1:3 \"--config-settings x=y\" `--config-settings` has no effect: builds run in the sandbox with their own defaults",
        ),
        ("./nowhere", "PV018 1:1 \"./nowhere\" nothing is at `/project/nowhere`"),
    ] {
        assert_eq!(remarks(text), [remark]);
    }
}

#[test]
fn credentials_are_refused_and_never_shown() {
    let secret = "hunter2hunter2";
    for text in [
        format!("--index-url https://user:{secret}@h.test/simple"),
        format!("-ihttps://user:{secret}@h.test/simple"),
        format!("--extra-index-url=https://{secret}@h.test/simple"),
        format!("-f 'https://user:{secret}@h.test/links'"),
        format!("a @ https://user:{secret}@h.test/a.zip"),
        format!("https://h.test/a.zip?token={secret}"),
        format!("git+https://user:{secret}@h.test/a.git@main#egg=a"),
        format!("-e git+https://oauth2:{secret}@h.test/a.git#egg=a"),
        format!("-r https://user:{secret}@h.test/r.txt"),
        format!("a == 1 --index-url https://user:{secret}@h.test/"),
        format!("a @ https:/user:{secret}@h.test/a.zip"),
        format!("https://user:{secret}@"),
        format!("--index-ulr https://user:{secret}@h.test/simple"),
        format!("--index-ulr=https://user:{secret}@h.test/simple"),
        format!("a b https://user:{secret}@h.test/simple"),
        format!("-x{secret}"),
        format!("a ; os_name == https://user:{secret}@h.test/"),
    ] {
        let diagnostics = match read_text(&text) {
            Ok(found) => found.warnings,
            Err(error) => error.0,
        };
        assert!(!diagnostics.is_empty(), "{text}");
        let everything = format!("{diagnostics:?}{}", serde_json::to_string(&diagnostics).unwrap());
        if text.starts_with("-x") {
            // Nothing tells that this is a secret, but the message names the option alone.
            assert!(!diagnostics[0].message.contains(secret));
        } else {
            assert!(!everything.contains(secret), "{text}: {everything}");
        }
    }
    let diagnostics = read_text(&format!("a\n-i https://user:{secret}@h.test/s")).unwrap_err().0;
    assert_eq!(diagnostics[0].code, "PV015");
    assert_eq!(diagnostics[0].line_text.as_deref(), Some("-i https://*******************@h.test/s"));
}

#[test]
fn included_files_are_read_relative_to_the_includer() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    write("requirements.txt", "-r sub/more.txt\n-c sub/limits.txt\na\n");
    write("sub/more.txt", "b\n--requirement=../other.txt\n./local\n--extra-index-url https://h.test/s\n");
    write("sub/limits.txt", "c<2\n-r ../from-constraints.txt\n");
    write("other.txt", "d");
    write("from-constraints.txt", "e");
    fs_err::create_dir(folder.path().join("sub/local")).unwrap();
    let found = read(&folder.path().join("requirements.txt")).unwrap();
    let pip = &found.environment.definition.pip;
    let local = format!("file://{}/sub/local", folder.path().display());
    let names: Vec<_> = pip.requirements.iter().map(|entry| entry.requirement.as_str()).collect();
    assert_eq!(names, ["b", "d", &local, "e", "a"]);
    assert_eq!(pip.constraints[0].requirement, "c<2");
    assert_eq!(pip.extra_index_urls.len(), 1);
    assert_eq!((found.files.len(), found.warnings.len()), (5, 0));

    // A mistake is reported in the file that holds it.
    write("other.txt", "d\n\nd =1\n");
    let errors = read(&folder.path().join("requirements.txt")).unwrap_err().0;
    assert!(errors[0].file.as_ref().unwrap().ends_with("other.txt"));
    assert_eq!(render(&errors[0]).split(" `").next().unwrap(), "PV010 3:3 \"=\"");

    write("other.txt", "-r requirements.txt\n-r nowhere.txt\n-c ${LIMITS}");
    let errors = read(&folder.path().join("requirements.txt")).unwrap_err().0;
    let messages: Vec<_> = errors.iter().map(|error| (error.code, error.message.as_str())).collect();
    assert_eq!(messages[0], ("PV013", "`requirements.txt` includes itself"));
    assert!(
        messages[1].1.starts_with("cannot include `nowhere.txt`: cannot read the file: No such file"),
        "{messages:?}"
    );
    assert_eq!(messages[2], ("PV013", "an included file cannot be named by a variable"));
}

#[test]
fn a_device_ends_neither_memory_nor_patience() {
    let errors = read_text("-r /dev/zero\n-c /dev/tty").unwrap_err().0;
    let messages: Vec<_> = errors.iter().map(|error| (error.code, &*error.message)).collect();
    assert_eq!(messages[0], ("PV013", "cannot include `/dev/zero`: it is no plain file"));
    // What the user names is read from a device too, as far as a file may go.
    assert_eq!(read(Path::new("/dev/zero")).unwrap_err().0[0].code, "PV009");
}

#[test]
fn constraints_only_bound_versions() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("c.txt"), "a[b]<2\n-e .\nhttps://h.test/x.zip\nok==1\n").unwrap();
    fs_err::write(folder.path().join("r.txt"), "-c c.txt").unwrap();
    let errors = read(&folder.path().join("r.txt")).unwrap_err().0;
    let rendered: Vec<_> = errors.iter().map(render).collect();
    assert_eq!(
        rendered,
        [
            "PV022 1:1 \"a[b]<2\" a constraint cannot have extras",
            "PV022 2:1 \"-e .\" a constraint cannot be editable",
            "PV022 3:1 \"https://h.test/x.zip\" a constraint needs the name of a package",
        ]
    );
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| {
        let error = read(path).unwrap_err();
        assert_eq!(error.0[0].code, "PV001");
        assert_eq!(error.0[0].file.as_deref(), Some(path));
        error.0[0].message.clone()
    };
    assert!(message(&folder.path().join("none.txt")).contains("No such file"));
    let path = folder.path().join("bad.txt");
    fs_err::write(&path, b"ok\n\xff\xfe\xff").unwrap();
    assert!(message(&path).contains("line 2 is not UTF-8"));
    for name in ["setup.py", "conda-lock.lock"] {
        let error = read_str("x", Path::new(name)).unwrap_err();
        assert_eq!(error.0[0].code, "PV002", "{name}");
    }
}

#[test]
fn a_requirement_is_one_line() {
    for text in ["a ; sys_platform == 'x\nb'", "a @ https://h.test/a\r.whl", "a>=1\u{0}"] {
        let error = text.parse::<provenv_definition::Requirement>().unwrap_err();
        assert!(error.to_string().contains("control character"), "{text:?}: {error}");
    }
    assert!("a\t>=1\n".parse::<provenv_definition::Requirement>().is_ok());
}
