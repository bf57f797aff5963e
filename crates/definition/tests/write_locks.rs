//! What a lock chose, written as the lock file of another tool, reads back as the same artifacts.

use std::path::Path;

use provenv_definition::{
    Environment, LockedArtifacts, LockedConda, LockedFile, LockedPypi, LockedSource, Platform,
    ReadEnvironment, WriteError, WriteFormat, Written, definition_digest, read_str, write_lock,
};

const SHA256: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn file(url: &str) -> LockedFile {
    LockedFile {
        name: url.rsplit('/').next().unwrap().to_owned(),
        url: Some(url.parse().unwrap()),
        size: Some(7),
        sha256: Some(SHA256.parse_digest()),
    }
}

trait ParseDigest {
    fn parse_digest(&self) -> provenv_definition::Digest;
}

impl ParseDigest for str {
    fn parse_digest(&self) -> provenv_definition::Digest {
        format!("sha256:{self}").parse().unwrap()
    }
}

fn package(name: &str, version: &str) -> LockedPypi {
    LockedPypi { name: name.to_owned(), version: Some(version.to_owned()), ..LockedPypi::default() }
}

fn conda(name: &str, subdir: &str, sha256: bool) -> LockedConda {
    LockedConda {
        name: name.to_owned(),
        version: "1.0".to_owned(),
        build: "0".to_owned(),
        url: format!("https://conda.anaconda.org/conda-forge/{subdir}/{name}-1.0-0.conda").parse().unwrap(),
        size: None,
        sha256: sha256.then(|| SHA256.parse_digest()),
        md5: Some("b".repeat(32)),
        depends: Some(vec!["python >=3.8".to_owned(), "yes".to_owned()]),
        constrains: Vec::new(),
    }
}

/// One package of each kind.
fn python_packages() -> LockedArtifacts {
    let wheel = |tag: &str| file(&format!("https://h.test/a/a-1.0-cp311-cp311-manylinux_2_17_{tag}.whl"));
    LockedArtifacts {
        requires_python: Some("==3.11.*".to_owned()),
        pypi: vec![
            LockedPypi { wheels: vec![wheel("aarch64"), wheel("x86_64")], ..package("a", "1.0") },
            LockedPypi {
                sdist: Some(file("https://h.test/b/b-2.tar.gz")),
                marker: Some("python_full_version < '3.12' or os_name == 'nt'".parse().unwrap()),
                ..package("b", "2")
            },
            LockedPypi {
                source: Some(LockedSource::Git {
                    url: "https://h.test/team/c.git".parse().unwrap(),
                    commit: "0123456789012345678901234567890123456789".to_owned(),
                    subdirectory: Some("python".to_owned()),
                }),
                version: None,
                ..package("c", "0")
            },
            LockedPypi {
                source: Some(LockedSource::Archive {
                    file: file("https://h.test/d.zip"),
                    subdirectory: None,
                }),
                ..package("d", "4")
            },
        ],
        ..LockedArtifacts::default()
    }
}

fn read_back(written: &Written) -> ReadEnvironment {
    let file = &written.files[0];
    let found = read_str(&file.text, &Path::new("/p").join(&file.name));
    found.unwrap_or_else(|error| panic!("{:#?}\n{}", error.0, file.text))
}

#[test]
fn pylock_reads_back() {
    let artifacts = python_packages();
    let written = write_lock(&Environment::default(), &artifacts, &[], WriteFormat::Pylock).unwrap();
    assert_eq!(written.not_carried, []);
    assert_eq!(read_back(&written).locked.unwrap(), artifacts, "{}", written.files[0].text);
}

#[test]
fn pylock_says_where_its_packages_count() {
    let mut artifacts = python_packages();
    artifacts.pypi[1].platforms = vec![Platform::LinuxArm64];
    let platforms = [Platform::LinuxAmd64, Platform::LinuxArm64];
    let written = write_lock(&Environment::default(), &artifacts, &platforms, WriteFormat::Pylock).unwrap();
    let text = &written.files[0].text;
    let value: toml::Value = toml::from_str(text).unwrap();
    let environments = value["environments"].as_array().unwrap();
    assert_eq!(environments[0].as_str().unwrap(), "sys_platform == 'linux' and platform_machine == 'x86_64'");
    assert_eq!(environments.len(), 2);
    let marker = value["packages"][1]["marker"].as_str().unwrap();
    assert!(marker.ends_with("and (sys_platform == 'linux' and platform_machine == 'aarch64')"), "{marker}");
    assert!(marker.starts_with('(') && marker.contains(" or "), "{marker}");
}

#[test]
fn what_cannot_be_found_or_checked_is_not_written_and_named() {
    let mut artifacts = python_packages();
    for file in &mut artifacts.pypi[0].wheels {
        file.sha256 = None;
    }
    let written = write_lock(&Environment::default(), &artifacts, &[], WriteFormat::Pylock).unwrap();
    assert_eq!(written.not_carried.len(), 1);
    assert_eq!(written.not_carried[0].what, "the package `a`");
    assert!(!written.files[0].text.contains("name = \"a\""));
}

#[test]
fn locks_of_conda_want_conda_packages() {
    for format in [WriteFormat::CondaLock, WriteFormat::PixiLock, WriteFormat::Explicit] {
        let error = write_lock(&Environment::default(), &python_packages(), &[], format).unwrap_err();
        assert!(matches!(error, WriteError::NoCondaPackages(_)), "{error}");
    }
    let error = write_lock(&Environment::default(), &python_packages(), &[], WriteFormat::Conda).unwrap_err();
    assert!(matches!(error, WriteError::NoLockFormat(_)), "{error}");
}

fn conda_packages() -> (Environment, LockedArtifacts) {
    let environment =
        read_str("channels: [conda-forge]\ndependencies: [x]\n", Path::new("/p/environment.yml"));
    let amd64 = vec![conda("yes", "noarch", true), conda("x", "linux-64", true)];
    let arm64 = vec![conda("yes", "noarch", true), conda("x", "linux-aarch64", false)];
    let artifacts = LockedArtifacts {
        conda: [(Platform::LinuxAmd64, amd64), (Platform::LinuxArm64, arm64)].into(),
        pypi: vec![LockedPypi {
            wheels: vec![file("https://h.test/a/a-1.0-py3-none-any.whl")],
            ..package("a", "1.0")
        }],
        requires_python: None,
    };
    (environment.unwrap().environment, artifacts)
}

#[test]
fn a_pylock_names_the_conda_packages_it_leaves_out() {
    let (environment, artifacts) = conda_packages();
    let written = write_lock(&environment, &artifacts, &[], WriteFormat::Pylock).unwrap();
    let left_out = written.not_carried.iter().filter(|left| left.what.contains("conda packages"));
    assert_eq!(left_out.count(), artifacts.conda.values().filter(|packages| !packages.is_empty()).count());
    assert!(written.not_carried.iter().all(|left| left.counts));
}

#[test]
fn an_explicit_file_is_for_one_platform_and_names_the_rest() {
    let (environment, artifacts) = conda_packages();
    let written = write_lock(&environment, &artifacts, &[], WriteFormat::Explicit).unwrap();
    let lost: Vec<&str> = written.not_carried.iter().map(|part| &*part.what).collect();
    assert_eq!(lost, ["the packages for linux/arm64", "the packages of PyPI (1)"]);
    let arm64 = [Platform::LinuxArm64];
    let written = write_lock(&environment, &artifacts, &arm64, WriteFormat::Explicit).unwrap();
    let text = &written.files[0].text;
    let urls: Vec<&str> = text.lines().filter(|line| line.starts_with("https")).collect();
    let sha256 = format!("#sha256:{SHA256}");
    assert!(urls[0].ends_with(&sha256) && urls[1].ends_with(&format!("#{}", "b".repeat(32))), "{text}");
    let found = read_back(&written);
    assert_eq!(found.environment.definition.conda.packages.len(), 2, "{:?}", found.environment);
}

#[test]
fn locks_of_conda_read_back() {
    let (environment, artifacts) = conda_packages();
    for (format, subdirs) in [
        (WriteFormat::CondaLock, [Platform::LinuxAmd64, Platform::LinuxArm64].as_slice()),
        (WriteFormat::PixiLock, &[Platform::LinuxAmd64, Platform::LinuxArm64]),
        (WriteFormat::CondaLock, &[Platform::LinuxArm64]),
        (WriteFormat::PixiLock, &[Platform::LinuxAmd64]),
    ] {
        let written = write_lock(&environment, &artifacts, subdirs, format).unwrap();
        assert_eq!(written.not_carried, [], "{format}");
        let found = read_back(&written);
        let text = &written.files[0].text;
        let locked = found.locked.unwrap();
        assert_eq!(locked.conda.keys().copied().collect::<Vec<_>>(), subdirs, "{format}\n{text}");
        for (platform, packages) in &locked.conda {
            assert_eq!(packages, &artifacts.conda[platform], "{format}\n{text}");
        }
        assert_eq!(locked.pypi.len(), 1, "{format}\n{text}");
        let (found, expected) = (&locked.pypi[0], &artifacts.pypi[0]);
        assert_eq!((&found.name, &found.version), (&expected.name, &expected.version), "{format}\n{text}");
        assert_eq!(found.wheels[0].sha256, expected.wheels[0].sha256, "{format}\n{text}");
        assert_eq!(found.wheels[0].url, expected.wheels[0].url, "{format}\n{text}");

        // Once more, from what was read: the same definition.
        let environment = read_back(&written).environment;
        let again = write_lock(&environment, &locked, &[], format).unwrap();
        let digest = |environment: &Environment| definition_digest(&environment.definition);
        assert_eq!(digest(&read_back(&again).environment), digest(&environment), "{format}\n{text}");
    }
}
