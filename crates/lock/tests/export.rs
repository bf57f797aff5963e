//! A lock in the words of other tools: every kind of package has its place, or is named as left out.

use provenv_definition::{Environment, WriteFormat, Written, read_str};
use provenv_lock::{ExportError, Lock, export};
use serde_json::json;

fn artifact(url: &str) -> serde_json::Value {
    json!({ "url": url, "size": 3, "sha256": format!("sha256:{}", "a".repeat(64)) })
}

/// A lock with a package of every kind.
fn lock(with_conda: bool) -> Lock {
    let built = |name: &str, more: serde_json::Value| {
        let mut source = json!({ "sha256": format!("sha256:{}", "b".repeat(64)), "size": 4 });
        source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let wheel = format!("{name}-1.0-py3-none-any.whl");
        json!({ "name": name, "version": "1.0", "wheel": wheel, "source": { "built": source } })
    };
    let wheel = |name: &str, url: &str| {
        let wheel = format!("{name}-1.0-py3-none-any.whl");
        json!({ "name": name, "version": "1.0", "wheel": wheel, "source": { "wheel": artifact(url) } })
    };
    let pypi = json!([
        wheel("at", "https://h.test/at-1.0-py3-none-any.whl"),
        built("folder", json!({})),
        built(
            "repository",
            json!({ "repository": format!("git+https://h.test/r@{}#revision=main&subdirectory=py", "c".repeat(40)) })
        ),
        built("source", json!({ "sdist": artifact("https://h.test/source-1.0.tar.gz") })),
        wheel("wheel", "https://h.test/wheel-1.0-py3-none-any.whl"),
    ]);
    let conda = json!([{
        "name": "x", "version": "1.0", "build": "0", "build_number": 0, "subdir": "linux-64",
        "artifact": artifact("https://conda.test/c/linux-64/x-1.0-0.conda"), "depends": ["y >=1"],
    }]);
    let debian = |name: &str, version: &str| json!({ "name": name, "version": version, "architecture": "amd64", "artifact": artifact("https://deb.test/a.deb") });
    let platform = json!({
        "base": { "debian": { "suite": "bookworm" } },
        "debian": [debian("git", "1:2.39"), debian("libc6", "2.36")],
        "python": { "version": "3.11.2", "executable": "/usr/bin/python3.11", "glibc": "2.36" },
        "conda": if with_conda { conda } else { json!([]) },
        "pypi": pypi,
    });
    let text = json!({
        "format": Lock::FORMAT, "definition": format!("sha256:{}", "d".repeat(64)), "platforms": { "linux/amd64": platform },
    });
    Lock::from_bytes(text.to_string().as_bytes()).unwrap()
}

fn environment() -> Environment {
    let text =
        "system_packages: [git]\npip:\n- wheel>0\n- at @ https://h.test/at-1.0-py3-none-any.whl\n- /folder\n";
    read_str(text, std::path::Path::new("/p/environment.yaml")).unwrap().environment
}

fn losses(written: &Written) -> Vec<&str> {
    written.not_carried.iter().filter(|part| part.counts).map(|part| &*part.what).collect()
}

#[test]
fn lists_of_packages_have_every_version_pinned() {
    let written = export(&environment(), &lock(false), None, WriteFormat::Native).unwrap();
    let repository = format!("repository @ git+https://h.test/r@{}#subdirectory=py", "c".repeat(40));
    let expected = format!(
        "base: debian/bookworm\npython: \"3.11.2\"\nsystem_packages:\n  - \"git=1:2.39\"\npip:\n  \
         - \"at @ https://h.test/at-1.0-py3-none-any.whl\"\n  - \"{repository}\"\n  - source==1.0\n  - wheel==1.0\n"
    );
    assert_eq!(written.files[0].text, expected);
    assert_eq!(losses(&written), ["1 Debian packages that came along", "the package `folder`", "the hashes"]);

    let mut hashed = lock(false);
    let packages = &mut hashed.platforms.values_mut().next().unwrap().pypi;
    packages.retain(|package| !["folder", "repository"].contains(&&*package.name));
    let written = export(&environment(), &hashed, None, WriteFormat::Requirements).unwrap();
    let text = &written.files[0].text;
    assert!(text.contains("\n--require-hashes\n"), "{text}");
    assert_eq!(text.matches(&format!(" --hash=sha256:{}\n", "a".repeat(64))).count(), 3, "{text}");
}

#[test]
fn pylock_has_each_source_in_its_own_words() {
    let written = export(&environment(), &lock(false), None, WriteFormat::Pylock).unwrap();
    let value: toml::Value = toml::from_str(&written.files[0].text).unwrap();
    let packages = value["packages"].as_array().unwrap();
    let names: Vec<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["at", "repository", "source", "wheel"]);
    assert_eq!(packages[1]["vcs"]["commit-id"].as_str().unwrap(), "c".repeat(40));
    assert_eq!(packages[1]["vcs"]["subdirectory"].as_str().unwrap(), "py");
    assert!(packages[1].get("version").is_none());
    assert_eq!(packages[2]["sdist"]["name"].as_str().unwrap(), "source-1.0.tar.gz");
    assert_eq!(value["requires-python"].as_str().unwrap(), "==3.11.*");
    assert_eq!(value["environments"].as_array().unwrap().len(), 1);
    assert_eq!(losses(&written), ["the package `folder`", "the Debian packages (2)"]);
}

#[test]
fn conda_packages_are_in_the_locks_of_conda_and_pinned_in_its_files() {
    let lock = lock(true);
    for (format, url) in [
        (
            WriteFormat::Explicit,
            format!("https://conda.test/c/linux-64/x-1.0-0.conda#sha256:{}", "a".repeat(64)),
        ),
        (WriteFormat::CondaLock, "url: \"https://conda.test/c/linux-64/x-1.0-0.conda\"".to_owned()),
        (WriteFormat::PixiLock, "conda: \"https://conda.test/c/linux-64/x-1.0-0.conda\"".to_owned()),
    ] {
        let written = export(&environment(), &lock, None, format).unwrap();
        assert!(written.files[0].text.contains(&url), "{format}: {}", written.files[0].text);
    }
    let written = export(&environment(), &lock, None, WriteFormat::Conda).unwrap();
    let text = &written.files[0].text;
    assert!(text.contains("  - x==1.0=0\n") && !text.contains("python="), "{text}");
}

#[test]
fn a_platform_that_was_not_locked_is_refused() {
    let error =
        export(&environment(), &lock(false), Some("linux/arm64".parse().unwrap()), WriteFormat::Pylock);
    assert!(matches!(error, Err(ExportError::NoPlatform(_))), "{error:?}");
}
