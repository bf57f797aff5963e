//! Virtual environments and other Pythons, made on paper.

use std::path::Path;

use provenv_definition::capture::{Extent, PythonInstallation, capture, capture_python};
use provenv_definition::{Format, definition_digest, read_str, write_native};

use super::{Paper, asked, codes, remarks, taken, write};

#[test]
fn what_pip_was_asked_for_is_told_from_what_came_along() {
    let paper = Paper::venv("home = /usr/bin\nversion = 3.11.2\n");
    paper.package("Left_Pad", "1.0", &[("REQUESTED", ""), ("INSTALLER", "pip\n")]);
    paper.package("right-pad", "2.0", &[("INSTALLER", "pip\n")]);
    paper.package("pip", "23.0", &[("REQUESTED", "")]);
    paper.package("setuptools", "65.0", &[("REQUESTED", "")]);
    let history = taken(paper.path(), Extent::History);
    assert_eq!(history.format, Format::PythonPrefix);
    assert_eq!(asked(&history).1, ["left-pad==1.0"]);
    assert_eq!(history.environment.definition.python.as_ref().unwrap().to_string(), "3.11");
    assert_eq!(codes(&history.warnings), [""; 0], "{}", remarks(&history));
    let exact = taken(paper.path(), Extent::Exact);
    assert_eq!(asked(&exact).1, ["left-pad==1.0", "right-pad==2.0"]);
    assert_eq!(exact.environment.definition.python.as_ref().unwrap().to_string(), "3.11.2");
    let place = &exact.origins.requirements[0];
    assert!(place.file.ends_with("Left_Pad-1.0.dist-info/METADATA"), "{place:?}");
    assert_eq!((place.span.line, place.line_text.as_deref()), (2, Some("Name: Left_Pad")));
}

#[test]
fn tools_that_somebody_asked_for_are_kept() {
    for (settings, marked, kept) in [
        ("version = 3.11.2", true, &["wheel==0.4"][..]),
        ("version = 3.12.2", true, &["setuptools==65.0", "wheel==0.4"]),
        (
            "version_info = 3.11.2.final.0\nvirtualenv = 20.1",
            true,
            &["pip==23.0", "setuptools==65.0", "wheel==0.4"],
        ),
        ("version_info = 3.11.2\nuv = 0.5", true, &["pip==23.0", "setuptools==65.0", "wheel==0.4"]),
        ("version_info = 3.11.2\nuv = 0.5", false, &[]),
    ] {
        let paper = Paper::venv(&format!("home = /usr/bin\n{settings}\n"));
        let files: &[(&str, &str)] = if marked { &[("REQUESTED", "")] } else { &[] };
        for (name, version) in [("pip", "23.0"), ("setuptools", "65.0"), ("wheel", "0.4")] {
            paper.package(name, version, files);
        }
        for extent in [Extent::History, Extent::Exact] {
            assert_eq!(asked(&taken(paper.path(), extent)).1, kept, "{settings}");
        }
    }
}

#[test]
fn without_marks_those_are_taken_that_no_other_needs() {
    let paper = Paper::venv("version = 3.11.2\n");
    let needs = |name: &str, needs: &[&str]| {
        let needs = needs.iter().fold(String::new(), |text, one| text + &format!("Requires-Dist: {one}\n"));
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{needs}\n");
        paper.package(name, "1", &[("METADATA", &metadata)]);
    };
    needs("top", &["middle>=1", "unused ; extra == 'more'"]);
    needs("middle", &["bottom"]);
    needs("bottom", &[]);
    needs("circle-a", &["circle-b"]);
    needs("circle-b", &["circle-a"]);
    needs("unused", &["setuptools"]);
    needs("setuptools", &[]);
    let history = taken(paper.path(), Extent::History);
    assert_eq!(asked(&history).1, ["circle-a==1", "top==1", "unused==1"]);
    assert_eq!(codes(&history.warnings), ["PV042"]);
    // What another package needs is no mere tool.
    assert!(asked(&taken(paper.path(), Extent::Exact)).1.contains(&"setuptools==1".to_owned()));
}

#[test]
fn packages_from_elsewhere_say_where_they_came_from() {
    const COMMIT: &str = "0123456789012345678901234567890123456789";
    let hash = "ab".repeat(32);
    let git = |rest: &str| {
        format!(
            r#"{{"url": "https://host.test/a", "vcs_info": {{"vcs": "git", "commit_id": "{COMMIT}"{rest}}}}}"#
        )
    };
    let archive =
        |url: &str| format!(r#"{{"url": "{url}", "archive_info": {{"hashes": {{"sha256": "{hash}"}}}}}}"#);
    for (json, history, exact, code) in [
        (
            git(""),
            "a @ git+https://host.test/a".to_owned(),
            format!("a @ git+https://host.test/a@{COMMIT}"),
            None,
        ),
        (
            git(r#", "requested_revision": "v1""#),
            "a @ git+https://host.test/a@v1".to_owned(),
            format!("a @ git+https://host.test/a@{COMMIT}"),
            None,
        ),
        (
            archive("https://host.test/a-1-py3-none-any.whl"),
            format!("a @ https://host.test/a-1-py3-none-any.whl#sha256={hash}"),
            String::new(),
            None,
        ),
        (
            archive("https://user:hunter2@host.test/a.zip?token=hunter2"),
            format!("a @ https://host.test/a.zip#sha256={hash}"),
            String::new(),
            Some("PV041"),
        ),
        (
            archive("file:///nowhere/a-1-py3-none-any.whl"),
            format!("a @ file:///nowhere/a-1-py3-none-any.whl#sha256={hash}"),
            String::new(),
            Some("PV041"),
        ),
        (
            r#"{"url": "file:///nowhere/a", "dir_info": {"editable": true}}"#.to_owned(),
            "-e file:///nowhere/a".to_owned(),
            String::new(),
            Some("PV041"),
        ),
        (
            r#"{"url": "file:///nowhere/a", "dir_info": {}}"#.to_owned(),
            "a @ file:///nowhere/a".to_owned(),
            String::new(),
            Some("PV041"),
        ),
        (
            r#"{"url": "https://host.test/a", "vcs_info": {"vcs": "hg", "commit_id": "1"}}"#.to_owned(),
            "none".to_owned(),
            String::new(),
            Some("PV041"),
        ),
        (
            r#"{"url": "no url", "archive_info": {}}"#.to_owned(),
            "none".to_owned(),
            String::new(),
            Some("PV041"),
        ),
    ] {
        let paper = Paper::venv("version = 3.11.2\n");
        paper.package("a", "1", &[("REQUESTED", ""), ("direct_url.json", &json)]);
        for (extent, expected) in
            [(Extent::History, &history), (Extent::Exact, if exact.is_empty() { &history } else { &exact })]
        {
            let found = taken(paper.path(), extent);
            let lines = asked(&found).1;
            assert_eq!(lines.first().map_or("none", String::as_str), expected, "{json}\n{}", remarks(&found));
            assert_eq!(codes(&found.warnings), code.into_iter().collect::<Vec<_>>(), "{json}");
            assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
            let written = write_native(&found.environment);
            let again = read_str(&written, Path::new("/e.yaml")).unwrap();
            assert_eq!(
                definition_digest(&again.environment.definition),
                definition_digest(&found.environment.definition)
            );
        }
    }
}

#[test]
fn an_editable_install_of_a_repository_is_its_commit() {
    const COMMIT: &str = "0123456789012345678901234567890123456789";
    let project = tempfile::tempdir().unwrap();
    let folder = project.path().join("packages/a");
    fs_err::create_dir_all(&folder).unwrap();
    let git = project.path().join(".git");
    write(git.join("config"), "[remote \"origin\"]\n\turl = git@host.test:team/a.git\n");
    write(git.join("HEAD"), "ref: refs/heads/main\n");
    let paper = Paper::venv("version = 3.11.2\n");
    let json = format!(r#"{{"url": "file://{}", "dir_info": {{"editable": true}}}}"#, folder.display());
    paper.package("a", "1", &[("REQUESTED", ""), ("direct_url.json", &json)]);
    let expected = format!("a @ git+ssh://git@host.test/team/a.git@{COMMIT}#subdirectory=packages/a");
    for (loose, packed) in [(Some(COMMIT), "# pack-refs\n"), (None, "# pack-refs\n")] {
        fs_err::remove_dir_all(git.join("refs")).ok();
        if let Some(commit) = loose {
            write(git.join("refs/heads/main"), commit);
            write(git.join("packed-refs"), packed);
        } else {
            write(git.join("packed-refs"), &format!("{packed}{COMMIT} refs/heads/main\n"));
        }
        let found = taken(paper.path(), Extent::History);
        assert_eq!(asked(&found).1, std::slice::from_ref(&expected));
        assert_eq!(codes(&found.warnings), ["PV041"]);
    }
    // A repository that only this machine has is no better than the folder.
    write(git.join("config"), "[remote \"origin\"]\n\turl = /srv/a.git\n");
    assert_eq!(asked(&taken(paper.path(), Extent::History)).1, [format!("-e file://{}", folder.display())]);
}

#[test]
fn what_is_half_there_is_said() {
    let paper = Paper::venv("home = /usr/bin\ninclude-system-site-packages = true\nversion = 3.11.2\n");
    let requested: &[(&str, &str)] = &[("REQUESTED", "")];
    paper.package("torch", "2.1.0+cu118", requested);
    paper.package(
        "odd",
        "not-a-version!",
        &[("REQUESTED", ""), ("METADATA", "Name: odd\nVersion: not a version\n\n")],
    );
    paper.package("apt-thing", "1", &[("REQUESTED", ""), ("INSTALLER", "debian\n")]);
    paper.write(
        "lib/python3.11/site-packages/old-1.5-py3.11.egg-info",
        "Metadata-Version: 1.0\nName: old\nVersion: 1.5\n",
    );
    paper.write("lib/python3.11/site-packages/nothing.dist-info/METADATA", "Name: ../../x\n\n");
    let exact = taken(paper.path(), Extent::Exact);
    assert_eq!(asked(&exact).1, ["odd", "old==1.5", "torch==2.1.0+cu118"]);
    let said = remarks(&exact);
    for part in [
        "sees the packages of the Python in `/usr/bin` too",
        "`torch` 2.1.0+cu118 is a build of its own",
        "`odd` has no version that can be asked for",
        "`apt-thing` 1 was installed by `debian`",
        "no list of files of `old` 1.5 was kept",
        "has no name that can be read",
    ] {
        assert!(said.contains(part), "{part}:\n{said}");
    }
    assert!(exact.warnings.iter().all(|remark| remark.code == "PV041"));
}

#[test]
fn links_to_sources_are_editable_installs() {
    let paper = Paper::venv("version = 3.11.2\n");
    let source = tempfile::tempdir().unwrap();
    write(
        source.path().join("my_pad.egg-info/PKG-INFO"),
        "Metadata-Version: 1.0\nName: My-Pad\nVersion: 1\n",
    );
    write(source.path().join("pyproject.toml"), "");
    paper.write("lib/python3.11/site-packages/my-pad.egg-link", &format!("{}\n.", source.path().display()));
    // Of an installer that leaves no `direct_url.json`.
    paper.package("other-pad", "1.0", &[("REQUESTED", "")]);
    let path = format!("{}/src\n", source.path().display());
    paper.write("lib/python3.11/site-packages/__editable__.other_pad-1.0.pth", &path);
    let found = taken(paper.path(), Extent::History);
    let line = format!("-e file://{}", source.path().display());
    let mut lines = asked(&found).1;
    lines.dedup();
    assert_eq!(lines, [line]);
    assert_eq!(codes(&found.warnings), ["PV041", "PV041"]);
}

#[test]
fn a_python_of_its_own_says_where_its_packages_are() {
    let paper = Paper { folder: tempfile::tempdir().unwrap() };
    paper.package("left-pad", "1.0", &[("REQUESTED", "")]);
    let dist = paper.path().join("lib/python3/dist-packages");
    write(dist.join("apt.dist-info/METADATA"), "Name: apt\nVersion: 1\n\n");
    let python = PythonInstallation {
        prefix: paper.path().to_owned(),
        version: "3.14.0rc1".to_owned(),
        site_packages: vec![paper.site(), paper.site(), dist],
    };
    for extent in [Extent::History, Extent::Exact] {
        let found = capture_python(&python, extent).unwrap();
        assert_eq!(asked(&found).1, ["left-pad==1.0"]);
        assert_eq!(found.environment.definition.python.as_ref().unwrap().to_string(), "3.14");
        assert_eq!(codes(&found.warnings), ["PV041"], "{}", remarks(&found));
    }
    // One that stands in an environment is that environment.
    paper.write("pyvenv.cfg", "version = 3.9.1\n");
    let found = capture_python(&python, Extent::History).unwrap();
    assert_eq!(found.environment.definition.python.unwrap().to_string(), "3.9");
}

#[test]
fn what_is_no_environment_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("absent")] {
        let error = capture(&path, Extent::History).unwrap_err();
        assert_eq!(codes(&error.0), ["PV040"]);
    }
}
