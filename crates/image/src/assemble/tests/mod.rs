//! Whole images of small packages, made as real ones are; only Python runs without a sandbox.

mod conda;
mod distributions;
mod forms;
mod prefix;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex};

use provenv_definition::{Digest, Platform, Suite};
use provenv_fetch::{Fetcher, Options, Phase, Reporter};
use provenv_lock::{Artifact, BaseLock, DebPackage, PlatformLock, PypiPackage, PypiSource, PythonLock};
use provenv_store::{Roots, Store};
use tar::EntryType;

use super::{Assembler, Error, reach};
use crate::about::Known;
use crate::form::Form;
use crate::oci::Image;
use crate::python::PythonHost;
use crate::segment::tests::bytecode::{HostPython, pythons};
use crate::segment::tests::support::{Fixture, Seen, TarMember, ZipMember, deb_of, noise, row, zip};

const PLATFORM: Platform = Platform::LinuxAmd64;

/// A Python that has to be given its real path.
struct Python(String);

impl PythonHost for Python {
    fn spawn(&self, layers: &[PathBuf], command: &[String], env: &[(&str, &str)]) -> std::io::Result<Child> {
        assert!(layers.iter().all(|layer| layer.is_dir()), "the base is unpacked");
        let mut command = command.to_vec();
        command[0].clone_from(&self.0);
        HostPython.spawn(layers, &command, env)
    }
}

/// Remembers what it is told.
#[derive(Default)]
struct Heard {
    begun: Mutex<Vec<(Phase, String)>>,
    notes: Mutex<Vec<String>>,
}

impl Reporter for Heard {
    fn expect(&self, _: Phase, _: u64, _: u64) {}
    fn begin(&self, phase: Phase, item: &str) {
        self.begun.lock().unwrap().push((phase, item.to_owned()));
    }
    fn advance(&self, _: Phase, _: u64) {}
    fn end(&self, _: Phase, _: &str) {}
    fn note(&self, message: &str) {
        self.notes.lock().unwrap().push(message.to_owned());
    }
}

/// Artifacts in a folder, a store, and what the assembler said.
struct World {
    folder: tempfile::TempDir,
    heard: Arc<Heard>,
    minor: u32,
    python: String,
}

impl World {
    fn new() -> Self {
        let (python, minor) = pythons().pop().unwrap();
        Self { folder: tempfile::tempdir().unwrap(), heard: Arc::default(), minor, python }
    }

    fn store(&self, name: &str) -> Store {
        Store::open(self.folder.path().join(name)).unwrap()
    }

    fn assembler(&self, store: &str) -> Assembler {
        let reporter = Arc::clone(&self.heard) as Arc<dyn Reporter>;
        let fetcher = Fetcher::new(self.store(store), reporter, Options::default()).unwrap();
        Assembler::new(fetcher, Arc::new(Python(self.python.clone())))
    }

    fn artifact(&self, name: &str, bytes: &[u8]) -> Artifact {
        let path = self.folder.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        let url = url::Url::from_file_path(&path).unwrap();
        Artifact {
            url: provenv_definition::SafeUrl::new(url),
            size: bytes.len() as u64,
            sha256: Digest::of(bytes),
        }
    }

    fn deb(&self, name: &str, members: &[TarMember]) -> DebPackage {
        let artifact = self.artifact(&format!("{name}_1_amd64.deb"), &deb_of(name, members, &[]));
        DebPackage {
            name: name.to_owned(),
            version: "1".to_owned(),
            architecture: "amd64".to_owned(),
            artifact,
        }
    }

    fn wheel(&self, name: &str, version: &str, files: &[(&str, &[u8])]) -> PypiPackage {
        let info = format!("{name}-{version}.dist-info");
        let own = [
            (format!("{info}/METADATA"), format!("Name: {name}\n").into_bytes()),
            (format!("{info}/WHEEL"), b"Wheel-Version: 1.0\n".to_vec()),
        ];
        let all: Vec<(&str, &[u8])> =
            files.iter().copied().chain(own.iter().map(|(name, bytes)| (&**name, &**bytes))).collect();
        let record: String = all.iter().map(|(name, bytes)| row(name, bytes)).collect();
        let mut members: Vec<ZipMember> =
            all.iter().map(|(name, bytes)| ZipMember::new(name, bytes)).collect();
        members.push(ZipMember::new(&format!("{info}/RECORD"), record.as_bytes()));
        let wheel = format!("{name}-{version}-py3-none-any.whl");
        let artifact = self.artifact(&wheel, &zip(&members));
        PypiPackage {
            name: name.to_owned(),
            version: version.to_owned(),
            wheel,
            source: PypiSource::Wheel(artifact),
            requested: true,
        }
    }

    fn lock(&self, pypi: Vec<PypiPackage>) -> PlatformLock {
        let minor = self.minor;
        let folder = |name: &str, mode| {
            TarMember::of(name, EntryType::Directory, "").with(|member| member.mode = mode)
        };
        let debian = vec![
            self.deb("base-files", &[folder("./tmp/", 0o1777), TarMember::file("./etc/motd", b"hello\n")]),
            self.deb(
                &format!("libpython3.{minor}-minimal"),
                &[TarMember::file(&format!("./usr/lib/python3.{minor}/os.py"), b"x = 1\n")],
            ),
            self.deb(
                &format!("python3.{minor}-minimal"),
                &[TarMember::file(&format!("./usr/bin/python3.{minor}"), &noise(1000))],
            ),
        ];
        PlatformLock {
            base: BaseLock::Debian { suite: Suite("test".to_owned()) },
            debian,
            python: Some(PythonLock {
                version: format!("3.{minor}.1"),
                executable: format!("/usr/bin/python3.{minor}"),
                glibc: "2.36".to_owned(),
                as_is: false,
            }),
            conda: Vec::new(),
            pypi,
            post_link: None,
        }
    }

    fn site(&self) -> String {
        format!("opt/provenv/lib/python3.{}/site-packages", self.minor)
    }

    /// What a container of the image sees.
    fn contents(&self, store: &str, image: &Image) -> BTreeMap<String, Seen> {
        let fixture = Fixture { store: self.store(store), ..Fixture::new() };
        let mut all = BTreeMap::new();
        for layer in &image.layers {
            all.extend(fixture.contents(layer));
        }
        all
    }
}

#[tokio::test]
async fn an_image_holds_base_environment_packages_and_bytecode() {
    let world = World::new();
    let lock = world.lock(vec![world.wheel("demo", "1.0", &[("demo/__init__.py", b"x = 1\n")])]);
    let image = world.assembler("store").image(&lock, PLATFORM).await.unwrap();
    let seen = world.contents("store", &image);
    let (site, minor) = (world.site(), world.minor);
    assert_eq!(seen[&format!("{site}/demo/__init__.py")].bytes, b"x = 1\n");
    assert!(seen.contains_key(&format!("{site}/demo/__pycache__/__init__.cpython-3{minor}.pyc")));
    assert!(seen.contains_key(&format!("usr/lib/python3.{minor}/__pycache__/os.cpython-3{minor}.pyc")));
    assert_eq!(
        seen["opt/provenv/bin/python"].link.as_deref(),
        Some(format!("/usr/bin/python3.{minor}").as_str())
    );
    let configuration = String::from_utf8(seen["opt/provenv/pyvenv.cfg"].bytes.clone()).unwrap();
    assert!(configuration.starts_with("home = /usr/bin\ninclude-system-site-packages = false\n"));
    assert_eq!(seen["tmp"].mode, 0o1777);
    assert_eq!(seen["bin"].link.as_deref(), Some("usr/bin"));
    // The base for tools is the lower part of it.
    let base = world.assembler("store").base(&lock, PLATFORM).await.unwrap();
    assert_eq!(image.layers[..base.layers.len()], base.layers);
}

#[tokio::test]
async fn the_same_lock_gives_the_same_image_whoever_makes_it() {
    let world = World::new();
    let wheels = |world: &World| {
        vec![
            world.wheel("alpha", "1.0", &[("alpha.py", b"a = {'x', 'y'}\n"), ("large", &noise(3 << 20))]),
            world.wheel("beta", "1.0", &[("beta.py", b"b = 1\n")]),
        ]
    };
    let lock = world.lock(wheels(&world));
    let first = world.assembler("one").image(&lock, PLATFORM).await.unwrap();
    let mut second = world.assembler("two");
    second.cores = 7;
    assert_eq!(second.image(&lock, PLATFORM).await.unwrap(), first);
    assert_eq!(second.image_again(&lock, PLATFORM, &Known::new()).await.unwrap().0.manifest, first.manifest);
    // Artifacts elsewhere.
    let elsewhere = World::new();
    let moved = elsewhere.lock(wheels(&elsewhere));
    let third = elsewhere.assembler("three").image(&moved, PLATFORM).await.unwrap();
    assert_eq!(third.manifest, first.manifest);
}

#[tokio::test]
async fn an_image_made_before_costs_a_look_up() {
    let world = World::new();
    let lock = world.lock(vec![world.wheel("demo", "1.0", &[("demo.py", b"x = 1\n")])]);
    let first = world.assembler("store").image(&lock, PLATFORM).await.unwrap();
    world.heard.begun.lock().unwrap().clear();
    assert_eq!(world.assembler("store").image(&lock, PLATFORM).await.unwrap(), first);
    assert_eq!(*world.heard.begun.lock().unwrap(), []);
}

#[tokio::test]
async fn one_changed_package_moves_one_layer() {
    let world = World::new();
    let package = |n: usize, version: &str| {
        world.wheel(
            &format!("p{n}"),
            version,
            &[(&format!("p{n}.py"), format!("{n} + {version}\n").as_bytes())],
        )
    };
    let packages: Vec<_> = (0..40).map(|n| package(n, "1.0")).collect();
    let mut changed = packages.clone();
    changed[7] = package(7, "2.0");
    let before = world.assembler("store").image(&world.lock(packages), PLATFORM).await.unwrap();
    let after = world.assembler("store").image(&world.lock(changed), PLATFORM).await.unwrap();
    assert_eq!(before.layers.len(), after.layers.len());
    let moved = before.layers.iter().zip(&after.layers).filter(|(one, other)| one.digest != other.digest);
    assert_eq!(moved.count(), 1);
}

#[tokio::test]
async fn of_two_packages_with_one_path_the_later_name_wins_and_it_is_said() {
    let world = World::new();
    let lock = world.lock(vec![
        world.wheel(
            "alpha",
            "1.0",
            &[("shared.py", b"who = 'alpha'\n"), ("same.py", b"s = 1\n"), ("a.py", b"a = 1\n")],
        ),
        world.wheel("beta", "1.0", &[("shared.py", b"who = 'beta'\n"), ("same.py", b"s = 1\n")]),
    ]);
    let image = world.assembler("store").image(&lock, PLATFORM).await.unwrap();
    let (seen, site) = (world.contents("store", &image), world.site());
    assert_eq!(seen[&format!("{site}/shared.py")].bytes, b"who = 'beta'\n");
    let pyc = &seen[&format!("{site}/__pycache__/shared.cpython-3{}.pyc", world.minor)].bytes;
    assert!(pyc.windows(4).any(|window| window == b"beta"), "bytecode follows its source");
    assert_eq!(seen[&format!("{site}/a.py")].bytes, b"a = 1\n");
    let notes = world.heard.notes.lock().unwrap().clone();
    let expected =
        format!("alpha 1.0 and beta 1.0 both have /{site}/shared.py; the image has that of beta 1.0");
    assert_eq!(notes, [expected]);
    assert_eq!(super::notes(&world.store("store"), &lock, PLATFORM, Form::default()).unwrap(), notes);
}

#[tokio::test]
async fn a_file_where_another_package_has_a_folder_is_refused() {
    let world = World::new();
    let lock = world.lock(vec![
        world.wheel("alpha", "1.0", &[("thing", b"a file")]),
        world.wheel("beta", "1.0", &[("thing/inner.py", b"x = 1\n")]),
    ]);
    let error = world.assembler("store").image(&lock, PLATFORM).await.unwrap_err();
    assert!(
        matches!(&error, Error::FileAndFolder { file, folder, .. } if file == "alpha 1.0" && folder == "beta 1.0")
    );
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_wheel_cannot_take_the_place_of_the_interpreter() {
    let world = World::new();
    for path in ["bin/python", "pyvenv.cfg"] {
        let member = format!("sly-1.0.data/data/{path}");
        let lock = world.lock(vec![world.wheel("sly", "1.0", &[(&member, b"#!/bin/sh\n")])]);
        let error = world.assembler("store").image(&lock, PLATFORM).await.unwrap_err();
        assert!(
            matches!(&error, Error::Interpreter { what, path: at } if what == "sly 1.0" && at.ends_with(path)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_built_wheel_that_is_gone_is_named() {
    let world = World::new();
    let mut package = world.wheel("demo", "1.0", &[("demo.py", b"x = 1\n")]);
    let PypiSource::Wheel(artifact) = package.source else { unreachable!() };
    package.source =
        PypiSource::Built { sha256: artifact.sha256, size: artifact.size, sdist: None, repository: None };
    let lock = world.lock(vec![package]);
    let error = world.assembler("store").image(&lock, PLATFORM).await.unwrap_err();
    assert!(error.to_string().contains("demo-1.0-py3-none-any.whl"), "{error}");
    // With the wheel in the store it is an image like any other.
    world.store("store").put(&fs_err::read(artifact.url.as_url().to_file_path().unwrap()).unwrap()).unwrap();
    world.assembler("store").image(&lock, PLATFORM).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_builds_at_once_make_everything_once() {
    let world = World::new();
    let lock =
        world.lock(vec![world.wheel("demo", "1.0", &[("demo.py", b"x = 1\n"), ("large", &noise(3 << 20))])]);
    let builds = (0..20).map(|_| {
        let (assembler, lock) = (world.assembler("store"), lock.clone());
        tokio::spawn(async move { assembler.image(&lock, PLATFORM).await.unwrap() })
    });
    let images = futures::future::try_join_all(builds).await.unwrap();
    assert!(images.windows(2).all(|pair| pair[0] == pair[1]));
    // As many blobs as one build leaves.

    world.assembler("alone").image(&lock, PLATFORM).await.unwrap();
    let count = |store: &str| world.store(store).stats().unwrap().blobs.count;
    assert_eq!(count("store"), count("alone"));
}

#[tokio::test]
async fn collection_leaves_what_a_lock_stands_on_and_nothing_else() {
    let world = World::new();
    let kept = world.lock(vec![
        world.wheel("keep", "1.0", &[("keep.py", b"x = 1\n"), ("large", &noise(3 << 20))]),
        world.wheel("tail", "1.0", &[("tail.py", b"x = 1\n")]),
    ]);
    let dropped = world.lock(vec![world.wheel("drop", "1.0", &[("drop.py", b"x = 2\n")])]);
    let assembler = world.assembler("store");
    let image = assembler.image(&kept, PLATFORM).await.unwrap();
    assembler.image(&dropped, PLATFORM).await.unwrap();
    let store = world.store("store");
    let mut roots = Roots::default();
    reach(&store, &kept, PLATFORM, &[Form::default()], &mut roots).unwrap();
    store.collector().unwrap().collect(&roots, false).unwrap();

    world.heard.begun.lock().unwrap().clear();
    assert_eq!(world.assembler("store").image(&kept, PLATFORM).await.unwrap(), image);
    assert_eq!(*world.heard.begun.lock().unwrap(), []);
    world.contents("store", &image);
    // Segments stay too: one more package makes no other anew.
    let mut more = kept.clone();
    more.pypi.push(world.wheel("zeta", "1.0", &[("zeta.py", b"x = 3\n")]));
    world.assembler("store").image(&more, PLATFORM).await.unwrap();
    let fetched: Vec<_> = world
        .heard
        .begun
        .lock()
        .unwrap()
        .iter()
        .filter(|(phase, _)| *phase == Phase::Fetching)
        .cloned()
        .collect();
    assert_eq!(fetched.len(), 1, "{fetched:?}");
    let PypiSource::Wheel(artifact) = &dropped.pypi[0].source else { unreachable!() };
    assert!(!store.contains(&artifact.sha256));
}
