//! Locks that cannot be used, that are cut, that mean harm.

use std::path::Path;
use std::time::{Duration, Instant};

use provenv_definition::{definition_digest, read, read_str};

use super::{locked, remarks, samples, uv_lock, uv_package};

#[test]
fn what_cannot_be_used_is_refused_with_its_place() {
    let deep = "[[packages]]\nname = \"a\"\nversion = \"1\"\n";
    let pylock = |rest: &str| format!("lock-version = \"1.0\"\ncreated-by = \"x\"\n{rest}");
    for (name, text, expected) in [
        ("pylock.toml", "lock-version = \"2.0\"\npackages = []".to_owned(), "PV027 1:16 pylock.toml version 2 is newer"),
        ("pylock.toml", pylock(""), "PV027 1:1 `packages` is missing"),
        ("pylock.toml", pylock(deep), "PV027 3:1 `a` has no file and no source"),
        ("pylock.toml", pylock("[[packages]]\nversion = \"1\""), "PV027 3:1 `name` is missing"),
        ("pylock.toml", pylock("[[packages]]\nname = \"a\"\nversion = 1"), "PV027 3:1 `a` has no file"),
        (
            "pylock.toml",
            pylock(&format!("{deep}sdist = {{ url = \"https://user:hunter2@h.test/a.tar.gz\" }}")),
            "PV015 6:17 credentials in a URL",
        ),
        (
            "pylock.toml",
            pylock(&format!("{deep}sdist = {{ url = \"https://h.test/a.tar.gz\", hashes = {{ sha256 = \"xy\" }} }}")),
            "PV016 6:64 a sha256 hash",
        ),
        (
            "pylock.toml",
            pylock("[[packages]]\nname = \"a\"\nvcs = { type = \"hg\", url = \"https://h.test/a\", commit-id = \"1\" }"),
            "PV007 5:16 `hg` repositories",
        ),
        ("uv.lock", "version = 2\n".to_owned(), "PV027 1:11 uv.lock version 2 is newer"),
        ("uv.lock", uv_lock("{ name = \"gone\" }", ""), "PV027 7:26 `gone` is needed, and is not in the lock"),
        (
            "uv.lock",
            format!("version = 1\n{}", uv_package("a", "")),
            "PV027 1:1 none of the packages is the project",
        ),
        (
            "poetry.lock",
            "[metadata]\nlock-version = \"3.0\"\ncontent-hash = \"a\"".to_owned(),
            "PV027 2:16 poetry.lock version 3 is newer",
        ),
        ("pixi.lock", "version: 8\nenvironments:\n  default: {}\npackages: []".to_owned(), "PV027 1:10 pixi.lock version 8"),
        (
            "pixi.lock",
            "version: 6\nenvironments:\ndefault:\nchannels: []\npackages: []".to_owned(),
            "PV027 2:1 nothing is indented under `environments`",
        ),
        (
            "pixi.lock",
            "version: 6\nenvironments:\n  default:\n    channels: []\n    packages:\n      win-64: []\npackages: []".to_owned(),
            "PV007 4:5 the lock is for `win-64` only",
        ),
        (
            "pixi.lock",
            "version: 6\nenvironments:\n  default:\n    channels: []\n    packages:\n      linux-64:\n      - conda: ./mine\npackages: []".to_owned(),
            "PV007 7:16 `./mine` is a conda package that pixi builds",
        ),
        (
            "pixi.lock",
            "version: 6\nenvironments:\n  other:\n    channels: []\n    packages: {}\npackages: []".to_owned(),
            "PV027 3:3 there is no environment `default`",
        ),
        (
            "conda-lock.yml",
            "version: 1000\nmetadata:\n  platforms: [linux-64]\npackage:".to_owned(),
            "PV027 1:10 the YAML of conda-lock version 1000 is newer",
        ),
        (
            "conda-lock.yml",
            "version: 1\nmetadata:\n  channels: []\n  platforms: [linux-64]\npackage:\n- {platform: linux-64, manager: conda, name: a, version: 1, url: 'https://h.test/b-1-0.conda'}".to_owned(),
            "PV027 6:66 this is a file of `b`, another package",
        ),
    ] {
        let found = remarks(&text, name);
        assert!(found.iter().any(|remark| remark.starts_with(expected)), "{name}\n{text}\n{found:?}");
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}

/// A lock of about 1 MB, made to take long.
#[test]
fn hostile_locks_take_no_time() {
    // Optimised builds are some ten times as fast as those of tests.
    let limit = Duration::from_secs(10);
    let mut graph = String::new();
    for i in 0..3000 {
        let next: Vec<String> = (1..4)
            .map(|step| {
                let marker = format!("os_name == '{i}' or sys_platform == '{step}'");
                format!("{{ name = \"p{}\", marker = \"{marker}\" }}", (i + step) % 3000)
            })
            .collect();
        graph += &uv_package(&format!("p{i}"), &format!("dependencies = [{}]", next.join(", ")));
    }
    let graph = uv_lock("{ name = \"p0\" }", &graph);
    let ors: Vec<String> =
        (0..8000).map(|i| format!("(os_name == '{i}' or sys_platform == 'a{i}')")).collect();
    let product =
        uv_lock(&format!("{{ name = \"a\", marker = \"{}\" }}", ors.join(" and ")), &uv_package("a", ""));
    let same = uv_package("a", "").repeat(4000);
    let same = uv_lock(&vec!["{ name = \"a\" }"; 4000].join(","), &same);
    let wide = (0..20_000).map(|i| format!("a{i} = []")).collect::<Vec<_>>().join("\n");
    let packages: Vec<String> = (0..5000)
        .map(|i| {
            format!(
                "[[package]]\nname = \"a{i}\"\nversion = \"1\"\noptional = false\npython-versions = \"*\"\n"
            )
        })
        .collect();
    let poetry = format!(
        "{}[metadata]\nlock-version = \"1.1\"\ncontent-hash = \"\"\n[metadata.files]\n{wide}",
        packages.concat()
    );
    let pixi = "      - conda: https://h.test/linux-64/a-1-0.conda\n".repeat(12_000);
    let pixi = format!(
        "version: 6\nenvironments:\n  default:\n    channels: []\n    packages:\n      linux-64:\n{pixi}packages:\n\
         {}",
        "- conda: https://h.test/linux-64/a-1-0.conda\n".repeat(9000)
    );
    for (name, text) in [
        ("uv.lock", &graph),
        ("uv.lock", &product),
        ("uv.lock", &same),
        ("poetry.lock", &poetry),
        ("pixi.lock", &pixi),
    ] {
        let start = Instant::now();
        let read = read_str(text, &Path::new("/project").join(name));
        println!("{name} {} KiB {:?} {}", text.len() >> 10, start.elapsed(), read.is_ok());
        assert!(start.elapsed() < limit, "{name}: {:?}", start.elapsed());
    }
}

/// Nothing of these is valid; nothing may panic.
#[test]
fn cut_locks_are_refused_or_read() {
    for name in [
        "uv/uv.lock",
        "uv/pylock.toml",
        "poetry/poetry.lock",
        "pixi/pixi-v6.lock",
        "pixi/pixi-v4.lock",
        "conda-lock/conda-lock.yml",
    ] {
        let text = fs_err::read_to_string(samples().join(name)).unwrap();
        let file = name.rsplit('/').next().unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for left_out in 0..lines.len() {
            let kept: Vec<&str> =
                lines.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, line)| *line).collect();
            let _ = read_str(&kept.join("\n"), &Path::new("/project").join(file));
            let _ = read_str(&lines[..left_out].join("\n"), &Path::new("/project").join(file));
        }
    }
}

#[test]
fn locks_of_the_corpus_are_read_or_refused_for_a_reason() {
    for (kind, reasons) in
        [("conda-lock-yaml", &["is newer than 3"][..]), ("rattler-lock", &["has lost its indentation"])]
    {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus").join(kind);
        let Ok(entries) = fs_err::read_dir(&folder) else {
            eprintln!("skipped: the corpus is not at ../shared/corpus of the repository's root");
            return;
        };
        let (mut good, mut refused) = (0, 0);
        for file in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            match read(&file) {
                Ok(found) => {
                    good += 1;
                    let locked = locked(&found);
                    assert!(locked.conda.values().all(|packages| !packages.is_empty()), "{}", file.display());
                    definition_digest(&found.environment.definition);
                }
                Err(error) => {
                    refused += 1;
                    let known = error.0.iter().any(|problem| {
                        problem.span.is_some()
                            && reasons.iter().any(|reason| problem.message.contains(reason))
                    });
                    assert!(known, "{}: {:?}", file.display(), error.0);
                }
            }
        }
        println!("{kind}: {good} read, {refused} refused");
    }
}
