use provenv_definition::{Digest, Platform, Suite};
use provenv_lock::{Artifact, BaseLock, DebPackage, PlatformLock, PypiPackage, PypiSource, PythonLock};

use super::*;

fn artifact(host: &str, name: &str) -> Artifact {
    let url = format!("https://{host}.invalid/{name}").parse().unwrap();
    Artifact { url, size: 3, sha256: Digest::of(name.as_bytes()) }
}

/// The lock of a small environment, its artifacts from `host`.
fn lock(host: &str) -> PlatformLock {
    PlatformLock {
        base: BaseLock::Debian { suite: Suite("bookworm".into()) },
        debian: vec![DebPackage {
            name: "bash".into(),
            version: "5.2.15-2+b13".into(),
            architecture: "amd64".into(),
            artifact: artifact(host, "bash.deb"),
        }],
        python: Some(PythonLock {
            version: "3.11.2".into(),
            executable: "/usr/bin/python3.11".into(),
            glibc: "2.36".into(),
            as_is: false,
        }),
        conda: Vec::new(),
        post_link: None,
        pypi: vec![PypiPackage {
            name: "demo".into(),
            version: "1.0".into(),
            wheel: "demo-1.0-py3-none-any.whl".into(),
            source: PypiSource::Wheel(artifact(host, "demo.whl")),
            requested: true,
        }],
    }
}

fn layers() -> Vec<Layer> {
    let layer = |what: &str, packages: &[&str]| Layer {
        digest: Digest::of(what.as_bytes()),
        size: 11,
        diff_id: Digest::of(format!("{what} inflated").as_bytes()),
        tar_size: 10_240,
        compression: Compression::Gzip,
        foreign: false,
        what: what.into(),
        packages: packages.iter().map(|&name| name.to_owned()).collect(),
    };
    vec![layer("system packages", &["bash 5.2.15-2+b13", "libc6 2.36-9"]), layer("demo 1.0", &["demo 1.0"])]
}

/// These bytes are in every image's digest. A change of them is a new [`EPOCH`].
#[test]
fn configuration_and_manifest_keep_their_bytes() {
    let config = config_bytes(Platform::LinuxAmd64, &layers(), &ImageConfig::of(&lock("mirror")));
    let text = String::from_utf8(config.clone()).unwrap();
    assert_eq!(text, include_str!("golden/config.json").trim_end());
    let manifest = manifest_bytes(Digest::of(&config), config.len() as u64, &layers());
    assert_eq!(String::from_utf8(manifest).unwrap(), include_str!("golden/manifest.json").trim_end());
}

#[test]
fn the_specs_own_types_read_them() {
    let config = config_bytes(Platform::LinuxArm64, &layers(), &ImageConfig::of(&lock("mirror")));
    let read = oci_spec::image::ImageConfiguration::from_reader(&config[..]).unwrap();
    assert_eq!(read.architecture().to_string(), "arm64");
    assert_eq!(read.rootfs().diff_ids().len(), 2);
    assert_eq!(read.history().as_ref().unwrap().len(), 2);
    let manifest = manifest_bytes(Digest::of(&config), config.len() as u64, &layers());
    let read = oci_spec::image::ImageManifest::from_reader(&manifest[..]).unwrap();
    assert_eq!(read.layers()[1].digest().to_string(), layers()[1].digest.to_string());
}

#[test]
fn the_mirror_that_packages_came_from_does_not_count() {
    let bytes = |host| config_bytes(Platform::LinuxAmd64, &layers(), &ImageConfig::of(&lock(host)));
    assert_eq!(bytes("one"), bytes("another"));
}

#[test]
fn without_python_a_shell_starts() {
    let mut lock = lock("mirror");
    lock.python = None;
    lock.pypi.clear();
    let config = ImageConfig::of(&lock);
    assert_eq!(config.command, ["bash"]);
    assert!(!config.env.iter().any(|(name, _)| name == "VIRTUAL_ENV"));
}

#[test]
fn the_dockerfile_names_every_package() {
    let text = equivalent_dockerfile(&lock("mirror"));
    for part in [
        "FROM debian:bookworm-slim",
        "bash=5.2.15-2+b13",
        "'demo==1.0 --hash=sha256:",
        "COPY --from=build /opt/provenv /opt/provenv",
        "ENV LANG=\"C.UTF-8\"",
        "CMD [\"python3\"]",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}
