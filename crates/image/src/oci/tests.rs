use provenv_definition::{Digest, Platform, Suite};
use provenv_lock::{
    Artifact, BaseLock, CondaPackage, DebPackage, PlatformLock, PostLink, PypiPackage, PypiSource, PythonLock,
};

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
        toc: None,
        foreign: false,
        what: what.into(),
        packages: packages.iter().map(|&name| name.to_owned()).collect(),
    };
    vec![layer("system packages", &["bash 5.2.15-2+b13", "libc6 2.36-9"]), layer("demo 1.0", &["demo 1.0"])]
}

/// These bytes are in every image's digest. A change of them is a new [`crate::form::EPOCH`]; those of the old ones stay.
#[test]
fn configuration_and_manifest_keep_their_bytes() {
    for (epoch, golden) in
        [(1, include_str!("golden/config.json")), (2, include_str!("golden/config-2.json"))]
    {
        let config = ImageConfig::of(&lock("mirror"), Form::of_epoch(epoch));
        let config = config_bytes(Platform::LinuxAmd64, &layers(), &config);
        assert_eq!(String::from_utf8(config).unwrap(), golden.trim_end(), "epoch {epoch}");
    }
    let config =
        config_bytes(Platform::LinuxAmd64, &layers(), &ImageConfig::of(&lock("mirror"), Form::of_epoch(1)));
    let manifest = manifest_bytes(Digest::of(&config), config.len() as u64, &layers(), Packing::Gzip);
    assert_eq!(String::from_utf8(manifest).unwrap(), include_str!("golden/manifest.json").trim_end());
}

#[test]
fn the_specs_own_types_read_them() {
    let config =
        config_bytes(Platform::LinuxArm64, &layers(), &ImageConfig::of(&lock("mirror"), Form::default()));
    let read = oci_spec::image::ImageConfiguration::from_reader(&config[..]).unwrap();
    assert_eq!(read.architecture().to_string(), "arm64");
    assert_eq!(read.rootfs().diff_ids().len(), 2);
    assert_eq!(read.history().as_ref().unwrap().len(), 2);
    let manifest = manifest_bytes(Digest::of(&config), config.len() as u64, &layers(), Packing::Gzip);
    let read = oci_spec::image::ImageManifest::from_reader(&manifest[..]).unwrap();
    assert_eq!(read.layers()[1].digest().to_string(), layers()[1].digest.to_string());
}

#[test]
fn the_mirror_that_packages_came_from_does_not_count() {
    let bytes =
        |host| config_bytes(Platform::LinuxAmd64, &layers(), &ImageConfig::of(&lock(host), Form::default()));
    assert_eq!(bytes("one"), bytes("another"));
}

#[test]
fn without_python_a_shell_starts() {
    let mut lock = lock("mirror");
    lock.python = None;
    lock.pypi.clear();
    let config = ImageConfig::of(&lock, Form::default());
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

#[test]
fn a_dockerfile_with_conda_packages_installs_them_before_pips() {
    let mut lock = lock("mirror");
    let package = |name: &str, url: &str| CondaPackage {
        name: name.into(),
        version: "1.0".into(),
        build: "h0_0".into(),
        build_number: 0,
        subdir: "linux-64".into(),
        artifact: Artifact { url: url.parse().unwrap(), ..artifact("mirror", name) },
        md5: None,
        depends: Vec::new(),
        constrains: Vec::new(),
        requested: true,
    };
    let web = "https://mirror.invalid/c/linux-64/it's-1.0-h0_0.conda";
    lock.conda = vec![package("it's", web), package("near", "file:///c/linux-64/near-1.0-h0_0.conda")];
    lock.post_link = Some(PostLink::Skip);
    if let Some(python) = &mut lock.python {
        python.executable = "/opt/provenv/bin/python3.11".into();
    }
    let text = equivalent_dockerfile(&lock);
    let sha256 = Digest::of(b"it's").hex();
    let parts = [
        "# - a package that the build may not reach: near 1.0 from file:///c/",
        "# - that scripts of conda packages are left out",
        "FROM debian:bookworm-slim AS build\n",
        "COPY --from=mambaorg/micromamba:2 /bin/micromamba /bin/micromamba\n",
        &format!("'https://mirror.invalid/c/linux-64/it'\\''s-1.0-h0_0.conda#sha256:{sha256}'"),
        "--prefix /opt/provenv --file /tmp/explicit.txt",
        "'demo==1.0 --hash=sha256:",
        "/opt/provenv/bin/python3.11 -m venv /tmp/pip",
        "/tmp/pip/bin/pip --python /opt/provenv/bin/python3.11 install",
        "COPY --from=build /opt/provenv /opt/provenv",
    ];
    let places = parts.map(|part| text.find(part).unwrap_or_else(|| panic!("no `{part}` in:\n{text}")));
    assert!(places.is_sorted(), "{text}");
    assert!(!text.contains("python3.11-venv"), "{text}");

    // Over a Python of Debian's there is a virtual environment in the same folder.
    lock.python = Some(PythonLock { executable: "/usr/bin/python3.11".into(), ..lock.python.unwrap() });
    let text = equivalent_dockerfile(&lock);
    let places = ["micromamba create", "-m venv /opt/provenv"].map(|part| text.find(part).unwrap());
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn the_manifest_says_how_layers_are_compressed() {
    let mut layers = layers();
    layers[0].compression = Compression::Zstd;
    layers[1].toc = Some(Digest::of(b"toc"));
    let manifest = manifest_bytes(Digest::of(b"config"), 6, &layers, Packing::Zstd);
    let read = oci_spec::image::ImageManifest::from_reader(&manifest[..]).unwrap();
    assert_eq!(read.layers()[0].media_type().to_string(), ZSTD_LAYER_TYPE);
    assert_eq!(read.layers()[0].annotations(), &None);
    let annotations = read.layers()[1].annotations().as_ref().unwrap();
    assert_eq!(annotations[TOC_ANNOTATION], Digest::of(b"toc").to_string());
    assert_eq!(annotations[TAR_SIZE_ANNOTATION], "10240");
    assert_eq!(read.annotations().as_ref().unwrap()[COMPRESSION_ANNOTATION], "zstd");
}

#[test]
fn what_a_base_of_ours_says_of_itself_is_not_said_of_the_image() {
    let mut base = BaseImage {
        manifest: Digest::of(b"base"),
        layers: Vec::new(),
        config: RuntimeConfig::default(),
        history: Vec::new(),
    };
    let label = |key: &str| (key.to_owned(), "9".to_owned());
    base.config.labels = Some(BTreeMap::from([label(LAYERS_LABEL), label("org.example")]));
    let libraries = ("LD_LIBRARY_PATH".to_owned(), "/usr/local/cuda/lib64".to_owned());
    base.config.env = Some(vec![format!("{}={}", libraries.0, libraries.1)]);
    let lock = lock("mirror");
    let config = ImageConfig::over(&lock, &base, Form::default());
    assert!(config.env.contains(&libraries));
    assert!(!config.labels.contains_key(LAYERS_LABEL) && config.labels.contains_key("org.example"));
    // As it always was in the first epoch.
    let first = ImageConfig::over(&lock, &base, Form::of_epoch(1));
    assert!(first.labels.contains_key(LAYERS_LABEL));
}
