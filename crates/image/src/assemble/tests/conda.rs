//! Images with conda packages: laid out, decided and noted as conda does, and the same whoever makes them.

use std::collections::BTreeMap;

use provenv_definition::Suite;
use provenv_fetch::Phase;
use provenv_lock::{Artifact, BaseLock, CondaPackage, PinnedLayer, PlatformLock, PostLink, PythonLock};
use provenv_store::Roots;
use rattler_conda_types::PrefixRecord;
use sha2::{Digest as _, Sha256};

use super::{PLATFORM, World};
use crate::about::Known;
use crate::assemble::{Error, reach};
use crate::entry::Entry;
use crate::form::{Form, Packing};
use crate::layer;
use crate::oci::Image;
use crate::segment;
use crate::segment::tests::conda_package::{Conda, OLD};
use crate::segment::tests::support::{TarMember, noise};
use crate::unpack;

impl World {
    pub(super) fn conda(&self, package: &Conda, depends: &[&str]) -> CondaPackage {
        self.conda_at("channel", package, depends)
    }

    fn conda_at(&self, channel: &str, package: &Conda, depends: &[&str]) -> CondaPackage {
        let text = |field: &str| package.index[field].as_str().unwrap().to_owned();
        let subdir = if package.index["noarch"].is_null() { "linux-64" } else { "noarch" };
        let (name, version, build) = (text("name"), text("version"), text("build"));
        let folder = format!("{channel}/{subdir}");
        fs_err::create_dir_all(self.folder.path().join(&folder)).unwrap();
        let artifact = self.artifact(&format!("{folder}/{name}-{version}-{build}.conda"), &package.conda());
        CondaPackage {
            name,
            version,
            build,
            build_number: 0,
            subdir: subdir.to_owned(),
            artifact,
            md5: None,
            depends: depends.iter().map(|&spec| spec.to_owned()).collect(),
            constrains: Vec::new(),
            requested: false,
        }
    }

    /// A Python in the prefix, with one library.
    fn conda_python(&self) -> Vec<CondaPackage> {
        let minor = self.minor;
        let zlib = Conda::named("libzlib", "1.3").file("lib/libz.so.1", &noise(300), None);
        let python = Conda::named("python", &format!("3.{minor}.1"))
            .file(&format!("bin/python3.{minor}"), &noise(1000), None)
            .file(&format!("lib/python3.{minor}/os.py"), b"x = 1\n", None)
            .file(
                &format!("lib/python3.{minor}/_prefix.py"),
                format!("P = '{OLD}'\n").as_bytes(),
                Some("text"),
            );
        vec![self.conda(&zlib, &[]), self.conda(&python, &["libzlib >=1.3,<2.0a0", "__glibc >=2.17"])]
    }

    /// A lock whose Python is conda's.
    pub(super) fn conda_lock(&self, more: Vec<CondaPackage>) -> PlatformLock {
        let mut conda = self.conda_python();
        conda.extend(more);
        conda.sort_by(|one, other| one.name.cmp(&other.name));
        let mut lock = self.lock(Vec::new());
        lock.debian.retain(|package| package.name == "base-files");
        lock.python = Some(PythonLock {
            version: format!("3.{}.1", self.minor),
            executable: format!("/opt/provenv/bin/python3.{}", self.minor),
            glibc: "2.36".to_owned(),
            as_is: false,
        });
        PlatformLock { conda, ..lock }
    }

    async fn image(&self, store: &str, lock: &PlatformLock) -> Image {
        self.assembler(store).image(lock, PLATFORM).await.unwrap()
    }
}

fn environment(world: &World, store: &str, image: &Image) -> Vec<String> {
    let config: serde_json::Value =
        serde_json::from_slice(&world.store(store).read(&image.config).unwrap()).unwrap();
    let env = config["config"]["Env"].as_array().unwrap();
    env.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn conda_packages_wheels_and_their_bytecode_become_an_image() {
    let world = World::new();
    let tool = Conda::noarch_python(&["tool = tool:main"]).file(
        "site-packages/tool.py",
        b"def main(): pass\n",
        None,
    );
    let mut lock = world.conda_lock(vec![world.conda(&tool, &["python >=3"])]);
    lock.pypi = vec![world.wheel("wheel", "1.0", &[("wheel.py", b"w = 1\n")])];
    let image = world.image("store", &lock).await;
    let (seen, site, minor) = (world.contents("store", &image), world.site(), world.minor);
    for path in ["tool.py", "wheel.py"] {
        assert!(seen.contains_key(&format!("{site}/{path}")), "{path}");
        let stem = path.strip_suffix(".py").unwrap();
        assert!(seen.contains_key(&format!("{site}/__pycache__/{stem}.cpython-3{minor}.pyc")), "{path}");
    }
    assert!(
        seen.contains_key(&format!("opt/provenv/lib/python3.{minor}/__pycache__/os.cpython-3{minor}.pyc"))
    );
    assert_eq!(seen[&format!("opt/provenv/lib/python3.{minor}/_prefix.py")].bytes, b"P = '/opt/provenv'\n");
    assert_eq!(seen["opt/provenv/bin/tool"].mode, 0o755);
    for absent in ["opt/provenv/pyvenv.cfg", "opt/provenv/bin/python", "usr/bin/python3"] {
        assert!(!seen.contains_key(absent), "{absent}");
    }
    assert_eq!(
        environment(&world, "store", &image),
        [
            "PATH=/opt/provenv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "CONDA_PREFIX=/opt/provenv",
            "CONDA_DEFAULT_ENV=/opt/provenv",
            "CONDA_SHLVL=1",
            "AZUREML_CONDA_ENVIRONMENT_PATH=/opt/provenv",
            "AZUREML_ENVIRONMENT_IMAGE=True",
            "LANG=C.UTF-8",
            "LC_ALL=C.UTF-8",
        ]
    );
    // The base for tools is the lower part of it.
    let base = world.assembler("store").base(&lock, PLATFORM).await.unwrap();
    assert_eq!(image.layers[..base.layers.len()], base.layers);
}

#[tokio::test]
async fn a_package_for_any_python_may_lie_in_the_folder_of_a_platform() {
    let world = World::new();
    let native = Conda::noarch_python(&["demo = demo:main"])
        .file("site-packages/demo.py", b"def main(): pass\n", None)
        .file("site-packages/demo-1.0.dist-info/METADATA", b"Name: demo\nVersion: 1.0\n", None);
    let native = CondaPackage { subdir: "linux-64".to_owned(), ..world.conda(&native, &["python >=3"]) };
    let lock = world.conda_lock(vec![native]);
    let image = world.image("store", &lock).await;
    let (seen, site, minor) = (world.contents("store", &image), world.site(), world.minor);
    for path in ["demo.py", &format!("__pycache__/demo.cpython-3{minor}.pyc")] {
        assert!(seen.contains_key(&format!("{site}/{path}")), "{path}");
    }
    assert_eq!(seen["opt/provenv/bin/demo"].mode, 0o755);
    let said = world.assembler("store").distributions(&lock, PLATFORM).await.unwrap();
    assert_eq!(said.len(), 1);
    // Garbage collection leaves what it is made of, and what is known of it is found.
    let mut roots = Roots::default();
    reach(&world.store("store"), &lock, PLATFORM, &[Form::default()], &mut roots).unwrap();
    let kept =
        segment::kept_conda(&world.store("store"), &lock.conda[0].artifact.sha256, &[Some((3, minor))]);
    let kept = kept.unwrap().unwrap();
    assert!(roots.blobs.contains(&kept.segment.blob));
    let known = crate::about::read(&world.store("store"), &lock, PLATFORM, &BTreeMap::default()).unwrap();
    assert_eq!(known[&lock.conda[0].artifact.sha256].parts.len(), 1);
    // Where Python is not conda's there is no place for it.
    let without = PlatformLock { python: None, ..lock };
    let error = world.assembler("other").image(&without, PLATFORM).await.unwrap_err();
    assert!(error.to_string().contains("is made for any Python, and the environment has none"), "{error}");
}

#[tokio::test]
async fn the_records_are_what_condas_tools_read() {
    let world = World::new();
    let demo = Conda::noarch_python(&["demo = demo:main"])
        .file("site-packages/demo.py", format!("P = '{OLD}'\n").as_bytes(), Some("text"))
        .file("share/plain", b"plain", None);
    let demo = CondaPackage {
        requested: true,
        build_number: 7,
        md5: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()),
        constrains: vec!["other >=2".to_owned()],
        ..world.conda(&demo, &["python >=3"])
    };
    let lock = world.conda_lock(vec![demo.clone()]);
    let image = world.image("store", &lock).await;
    let seen = world.contents("store", &image);
    let records: Vec<PrefixRecord> = seen
        .iter()
        .filter(|(path, _)| {
            path.strip_prefix("opt/provenv/conda-meta/").is_some_and(|name| name != "history")
        })
        .map(|(path, seen)| {
            let record: PrefixRecord = String::from_utf8(seen.bytes.clone()).unwrap().parse().unwrap();
            assert_eq!(*path, format!("opt/provenv/conda-meta/{}", record.file_name()));
            record
        })
        .collect();
    assert_eq!(records.len(), 3);
    for record in &records {
        // Every path is there, and is what the record says.
        for row in &record.paths_data.paths {
            let file = &seen[&format!("opt/provenv/{}", row.relative_path.display())];
            let actual = hex::encode(Sha256::digest(&file.bytes));
            assert_eq!(hex::encode(row.sha256_in_prefix.unwrap()), actual, "{}", row.relative_path.display());
        }
        let listed: Vec<_> = record.paths_data.paths.iter().map(|row| &row.relative_path).collect();
        assert_eq!(listed, record.files.iter().collect::<Vec<_>>());
    }
    let record = records.iter().find(|record| record.name().as_normalized() == "demo").unwrap();
    let package = &record.repodata_record.package_record;
    assert_eq!((package.build.as_ref(), package.build_number, &*package.subdir), ("h0_0", 0, "noarch"));
    assert!(package.noarch.is_python());
    assert_eq!((&package.depends, &package.constrains), (&demo.depends, &demo.constrains));
    assert_eq!(hex::encode(package.sha256.unwrap()), demo.artifact.sha256.hex());
    assert_eq!(hex::encode(package.md5.unwrap()), demo.md5.unwrap());
    assert_eq!(package.size, Some(demo.artifact.size));
    let url = demo.artifact.url.to_string();
    assert_eq!(record.repodata_record.url.as_str(), url);
    assert_eq!(record.repodata_record.channel.as_deref(), Some(url.rsplit_once('/').unwrap().0));
    assert_eq!(record.requested_specs, ["demo"]);
    let row = record.paths_data.paths.iter().find(|row| row.relative_path.ends_with("demo.py")).unwrap();
    assert_eq!(row.prefix_placeholder.as_deref(), Some(OLD));
    assert_ne!(row.sha256, row.sha256_in_prefix);

    let history = String::from_utf8(seen["opt/provenv/conda-meta/history"].bytes.clone()).unwrap();
    assert!(history.contains(&format!("+{}::demo-1.0-h0_0\n", url.rsplit_once('/').unwrap().0)), "{history}");
    assert!(history.ends_with("# update specs: [\"demo\"]\n"), "{history}");
}

#[tokio::test]
async fn what_an_index_says_that_a_package_needs_counts_even_where_it_is_nothing() {
    let world = World::new();
    let patched = |lock: &PlatformLock| lock.conda.iter().position(|one| one.name == "patched").unwrap();
    let mut archive = Conda::named("patched", "1.0").file("share/patched", b"p", None);
    archive.index["depends"] = serde_json::json!(["gone >=1"]);
    archive.index["constrains"] = serde_json::json!(["old <2"]);
    let mut lock = world.conda_lock(vec![world.conda(&archive, &[])]);
    let record = async |lock: &PlatformLock| {
        let image = world.image("store", lock).await;
        let text =
            world.contents("store", &image)["opt/provenv/conda-meta/patched-1.0-h0_0.json"].bytes.clone();
        let record: PrefixRecord = String::from_utf8(text).unwrap().parse().unwrap();
        let record = record.repodata_record.package_record;
        (record.depends, record.constrains)
    };
    assert_eq!(record(&lock).await, (vec![], vec![]));
    // A lock that says it of no package was made of archives.
    for package in &mut lock.conda {
        package.depends.clear();
    }
    assert_eq!(record(&lock).await, (vec!["gone >=1".to_owned()], vec!["old <2".to_owned()]));
    let at = patched(&lock);
    lock.conda[at].constrains = vec!["other <3".to_owned()];
    assert_eq!(record(&lock).await, (vec![], vec!["other <3".to_owned()]));
}

#[tokio::test]
async fn a_module_of_pips_that_does_not_compile_is_not_hidden_by_condas_bytecode() {
    let world = World::new();
    let below = Conda::noarch_python(&[]).file("site-packages/shared.py", b"by = 'conda'\n", None).file(
        "site-packages/other.py",
        b"by = 'conda'\n",
        None,
    );
    let mut lock = world.conda_lock(vec![world.conda(&below, &["python"])]);
    lock.pypi = vec![world.wheel("wheel", "1.0", &[("shared.py", b"not Python (\n"), ("w.py", b"w = 1\n")])];
    let image = world.image("store", &lock).await;
    let (seen, site) = (world.contents("store", &image), world.site());
    let bytecode = |name: &str| format!("{site}/__pycache__/{name}.cpython-3{}.pyc", world.minor);
    assert_eq!(seen[&format!("{site}/shared.py")].bytes, b"not Python (\n");
    assert!(!seen.contains_key(&bytecode("shared")));
    assert!(seen.contains_key(&bytecode("other")) && seen.contains_key(&bytecode("w")));
}

#[tokio::test]
async fn a_layer_with_what_no_script_may_leave_is_refused() {
    let world = World::new();
    let store = world.store("store");
    let lock = world.conda_lock(Vec::new());
    let build = async |path: &str| {
        let left = segment::literal(&store, &[Entry::file(path, 0o644, "left")]).unwrap();
        let (layer, _) = layer::join_one(&store, String::new(), &left, Packing::Gzip).unwrap();
        let pinned = PinnedLayer {
            sha256: layer.digest,
            size: layer.size,
            diff_id: layer.diff_id,
            tar_size: layer.tar_size,
        };
        let lock = PlatformLock { post_link: Some(PostLink::Run { layer: Some(pinned) }), ..lock.clone() };
        world.assembler("store").image(&lock, PLATFORM).await
    };
    for path in ["opt/provenv/conda-meta/state", "opt/provenv/bin/python3.11-tool"] {
        assert!(build(path).await.is_ok(), "{path}");
    }
    for path in [
        "opt/provenv/bin/python3.11",
        "opt/provenv/lib/libpython3.11.so.1.0",
        "opt/provenv/conda-meta/evil-1-0.json",
        "opt/provenv/conda-meta/history",
        "opt/other",
        "etc/passwd",
    ] {
        let error = build(path).await.unwrap_err();
        assert!(
            matches!(&error, Error::PostLinkPath(at) if path.starts_with(at.trim_end_matches('/'))),
            "{path}: {error}"
        );
        assert!(error.hint().is_some());
    }
}

#[tokio::test]
async fn conda_packages_need_no_python_and_stand_beside_debians() {
    let world = World::new();
    let curl = Conda::named("curl", "8.0").file("bin/curl", &noise(500), None);
    let mut lock = world.lock(vec![world.wheel("wheel", "1.0", &[("wheel.py", b"w = 1\n")])]);
    lock.conda = vec![world.conda(&curl, &[])];
    let image = world.image("store", &lock).await;
    let seen = world.contents("store", &image);
    for path in ["opt/provenv/bin/curl", "opt/provenv/pyvenv.cfg", "opt/provenv/bin/python"] {
        assert!(seen.contains_key(path), "{path}");
    }
    assert!(environment(&world, "store", &image).contains(&"VIRTUAL_ENV=/opt/provenv".to_owned()));

    lock.python = None;
    lock.pypi.clear();
    lock.debian.retain(|package| package.name == "base-files");
    let image = world.image("store", &lock).await;
    let seen = world.contents("store", &image);
    assert!(seen.contains_key("opt/provenv/bin/curl") && seen.contains_key("opt/provenv/conda-meta/history"));
    assert!(!seen.contains_key("opt/provenv/pyvenv.cfg"));
    assert!(environment(&world, "store", &image).contains(&"CONDA_PREFIX=/opt/provenv".to_owned()));
}

#[tokio::test]
async fn the_same_conda_lock_gives_the_same_image_whoever_makes_it() {
    let world = World::new();
    let large = Conda::named("large", "1.0").file("lib/large.bin", &noise(6 << 20), None);
    let small = Conda::named("small", "1.0").file("share/small", b"s", None);
    let mut lock = world.conda_lock(vec![world.conda(&large, &[]), world.conda(&small, &["large"])]);
    lock.pypi = vec![world.wheel("wheel", "1.0", &[("wheel.py", b"w = {'x', 'y'}\n")])];
    let first = world.image("one", &lock).await;
    let mut second = world.assembler("two");
    second.cores = 7;
    assert_eq!(second.image(&lock, PLATFORM).await.unwrap(), first);
    assert_eq!(second.image_again(&lock, PLATFORM, &Known::new()).await.unwrap().0.manifest, first.manifest);
    // One changed package moves its layer and the history.
    let newer = Conda::named("small", "2.0").file("share/small", b"t", None);
    let mut changed = lock.clone();
    let at = changed.conda.iter().position(|package| package.name == "small").unwrap();
    changed.conda[at] = world.conda(&newer, &["large"]);
    let after = world.image("one", &changed).await;
    let moved: Vec<&str> = first
        .layers
        .iter()
        .zip(&after.layers)
        .filter(|(one, other)| one.digest != other.digest)
        .map(|(one, _)| one.what.as_str())
        .collect();
    assert_eq!(moved.len(), 2, "{moved:?}");
    assert!(moved.contains(&"conda environment"), "{moved:?}");
}

#[tokio::test]
async fn of_two_conda_packages_with_one_path_the_later_of_rattlers_order_wins() {
    let world = World::new();
    let package = |name: &str| {
        Conda::named(name, "1.0").file("share/shared", name.as_bytes(), None).file("share/same", b"s", None)
    };
    // What is needed comes first; of those that need nothing of each other the first name comes last.
    for (depends, winner) in [(&[][..], "alpha"), (&["alpha"][..], "beta")] {
        let (alpha, beta) = (world.conda(&package("alpha"), &[]), world.conda(&package("beta"), depends));
        let lock = world.conda_lock(vec![alpha, beta]);
        world.heard.notes.lock().unwrap().clear();
        let image = world.image("store", &lock).await;
        assert_eq!(
            world.contents("store", &image)["opt/provenv/share/shared"].bytes,
            winner.as_bytes(),
            "{depends:?}"
        );
        let loser = if winner == "alpha" { "beta" } else { "alpha" };
        let expected = format!(
            "{loser} 1.0 and {winner} 1.0 both have /opt/provenv/share/shared; the image has that of {winner} 1.0"
        );
        assert_eq!(*world.heard.notes.lock().unwrap(), [expected]);
    }
}

#[tokio::test]
async fn a_hard_link_keeps_its_bytes_whoever_has_what_it_leads_to() {
    let world = World::new();
    let own = noise(700 << 10);
    let link = |name: &str, to: &str| TarMember::of(name, tar::EntryType::Link, to);
    let zeta = Conda::named("zeta", "1.0")
        .file("bin/a", &own, None)
        .member("hardlink", link("bin/b", "bin/a"))
        .member("hardlink", link("bin/c", "bin/b"))
        .file("bin/d", b"d", None)
        .member("hardlink", link("bin/e", "bin/d"))
        .member("hardlink", link("bin/f", "bin/e"));
    let other = Conda::named("alpha", "1.0").file("bin/a", b"other", None).file("bin/e", b"other", None);
    let lock = world.conda_lock(vec![world.conda(&other, &["zeta"]), world.conda(&zeta, &[])]);
    let image = world.image("store", &lock).await;
    let folders = unpack::layers(&world.store("store"), &image.layers, &provenv_fetch::Silent).unwrap();
    let bytes = |name: &str| {
        let paths = folders.iter().rev().map(|folder| folder.join("opt/provenv/bin").join(name));
        fs_err::read(paths.into_iter().find(|path| path.is_file()).unwrap()).unwrap()
    };
    for (name, expected) in
        [("a", &b"other"[..]), ("b", &own), ("c", &own), ("d", b"d"), ("e", b"other"), ("f", b"d")]
    {
        assert!(bytes(name) == expected, "{name}");
    }
}

#[tokio::test]
async fn a_wheel_over_a_conda_package_is_reported_with_both_names() {
    let world = World::new();
    let site = format!("lib/python3.{}/site-packages", world.minor);
    let conda = Conda::named("arrays", "1.0").file(&format!("{site}/arrays.py"), b"v = 1\n", None);
    let mut lock = world.conda_lock(vec![world.conda(&conda, &["python"])]);
    lock.pypi = vec![world.wheel("arrays", "2.0", &[("arrays.py", b"v = 2\n")])];
    let image = world.image("store", &lock).await;
    assert_eq!(world.contents("store", &image)[&format!("opt/provenv/{site}/arrays.py")].bytes, b"v = 2\n");
    let notes = world.heard.notes.lock().unwrap().clone();
    let expected = format!(
        "arrays 2.0 of pip lies over arrays 1.0 of conda: the image has its /opt/provenv/{site}/arrays.py"
    );
    assert_eq!(notes, [expected]);
}

#[tokio::test]
async fn packages_in_each_others_way_are_refused() {
    let world = World::new();
    let minor = world.minor;
    let python = format!("bin/python3.{minor}");
    let refused = async |lock: &PlatformLock| {
        world.assembler("store").image(lock, PLATFORM).await.expect_err("it is refused")
    };

    let file = Conda::named("file", "1.0").file("share/thing", b"a file", None);
    let folder = Conda::named("folder", "1.0").file("share/thing/inner", b"in a folder", None);
    let error = refused(&world.conda_lock(vec![world.conda(&file, &[]), world.conda(&folder, &[])])).await;
    assert!(matches!(&error, Error::FileAndFolder { file, folder, .. }
        if file == "file 1.0" && folder == "folder 1.0"));

    // A second Python, from conda or from a wheel.
    let sly = Conda::named("sly", "1.0").file(&python, b"#!/bin/sh\n", None);
    let error = refused(&world.conda_lock(vec![world.conda(&sly, &["python"])])).await;
    assert!(matches!(&error, Error::Interpreter { what, .. } if what == "sly 1.0"), "{error}");
    let mut lock = world.conda_lock(Vec::new());
    lock.pypi = vec![world.wheel("sly", "1.0", &[(&format!("sly-1.0.data/data/{python}"), b"#!/bin/sh\n")])];
    let error = refused(&lock).await;
    assert!(matches!(&error, Error::Interpreter { what, .. } if what == "sly 1.0"), "{error}");
    // A conda package in the place of a virtual environment's own files.
    let mut lock = world.lock(Vec::new());
    lock.conda = vec![world.conda(&Conda::named("sly", "1.0").file("pyvenv.cfg", b"home = /x\n", None), &[])];
    assert!(matches!(refused(&lock).await, Error::Interpreter { .. }));

    // What is installed is for the installer to say.
    for path in ["conda-meta/history", "conda-meta/other-1.0-0.json", "conda-meta"] {
        let sly = Conda::named("sly", "1.0").file(path, b"{}", None);
        let error = refused(&world.conda_lock(vec![world.conda(&sly, &[])])).await;
        assert!(matches!(&error, Error::CondaMeta { what, .. } if what == "sly 1.0"), "{path}: {error}");
        assert!(error.hint().is_some());
        let mut lock = world.conda_lock(Vec::new());
        lock.pypi = vec![world.wheel("sly", "1.0", &[(&format!("sly-1.0.data/data/{path}"), b"{}")])];
        assert!(matches!(refused(&lock).await, Error::CondaMeta { .. }), "{path}");
    }

    // A Python with its packages elsewhere, and one that is not there.
    for site in [Some("t/site-packages"), Some("/packages"), None] {
        let mut package = Conda::named("python", &format!("3.{minor}.1"));
        if let Some(site) = site {
            package.index["python_site_packages_path"] = format!("lib/python3.{minor}{site}").into();
            package = package.file(&python, b"", None);
        }
        let mut lock = world.conda_lock(Vec::new());
        lock.conda = vec![world.conda(&package, &[])];
        let error = refused(&lock).await;
        let is_free = matches!(&error, Error::FreeThreaded { what } if what.starts_with("python 3."));
        assert_eq!(is_free, site == Some("t/site-packages"), "{error}");
        assert!(is_free || matches!(error, Error::OtherPython { .. }), "{site:?}: {error}");
    }
}

#[tokio::test]
async fn an_archive_under_another_name_is_refused_whatever_was_made_of_it_before() {
    let world = World::new();
    let good = world.conda(&Conda::named("file", "1.0").file("share/thing", b"a file", None), &[]);
    let renamed = CondaPackage { version: "2.0".to_owned(), ..good.clone() };
    let lock = world.conda_lock(vec![renamed]);
    world.assembler("fresh").image(&lock, PLATFORM).await.expect_err("it is refused");
    world.image("store", &world.conda_lock(vec![good])).await;
    let error = world.assembler("store").image(&lock, PLATFORM).await.expect_err("it is refused");
    assert!(
        matches!(&error, Error::OtherPackage { named, found, .. }
        if named == "file 2.0 h0_0" && found == "file 1.0 h0_0"),
        "{error}"
    );
}

#[tokio::test]
async fn what_scripts_left_is_what_the_lock_says() {
    let world = World::new();
    let store = world.store("store");
    let left = segment::literal(&store, &[Entry::file("opt/provenv/cache", 0o644, "index")]).unwrap();
    let (layer, _) = layer::join_one(&store, String::new(), &left, Packing::Gzip).unwrap();
    let pinned = PinnedLayer {
        sha256: layer.digest,
        size: layer.size,
        diff_id: layer.diff_id,
        tar_size: layer.tar_size,
    };
    let mut lock = world.conda_lock(Vec::new());
    let mut with = async |pinned| {
        lock.post_link = Some(PostLink::Run { layer: Some(pinned) });
        world.assembler("store").image(&lock, PLATFORM).await
    };
    let image = with(pinned.clone()).await.unwrap();
    assert_eq!(world.contents("store", &image)["opt/provenv/cache"].bytes, b"index");
    for other in [
        PinnedLayer { size: pinned.size + 1, ..pinned.clone() },
        PinnedLayer { tar_size: pinned.tar_size + 1, ..pinned.clone() },
        PinnedLayer { tar_size: pinned.tar_size - 1, ..pinned.clone() },
        PinnedLayer { diff_id: pinned.sha256, ..pinned.clone() },
    ] {
        assert!(matches!(with(other).await, Err(Error::PostLinkOther)));
    }
}

#[tokio::test]
async fn only_what_python_stands_on_has_a_say_in_bytecode() {
    let world = World::new();
    let module = Conda::noarch_python(&[]).file("site-packages/demo.py", b"x = 1\n", None);
    let module = world.conda(&module, &["python"]);
    // It would be loaded in the place of the library that Python is linked with.
    let sly = Conda::named("sly", "1.0").file("lib/libz.so.1", b"sly", None);
    let plain = world.conda_lock(vec![module.clone()]);
    let lock = world.conda_lock(vec![module, world.conda(&sly, &["libzlib"])]);
    let image = world.image("store", &lock).await;
    assert_eq!(world.contents("store", &image)["opt/provenv/lib/libz.so.1"].bytes, b"sly");
    let below = image.layers.iter().filter(|layer| layer.what.starts_with("packages that Python stands on"));
    let fixture = segment::tests::support::Fixture { store: world.store("store"), ..Default::default() };
    let seen: Vec<_> = below.flat_map(|layer| fixture.contents(layer)).collect();
    let library = seen.iter().find(|(path, _)| path == "opt/provenv/lib/libz.so.1").unwrap();
    assert_ne!(library.1.bytes, b"sly", "the compiler stands on Python's own");
    // So the bytecode is the same, and is not made again.
    world.heard.begun.lock().unwrap().clear();
    world.image("store", &plain).await;
    let begun = world.heard.begun.lock().unwrap().clone();
    assert!(!begun.iter().any(|(_, what)| what.starts_with("bytecode")), "{begun:?}");
}

#[tokio::test]
async fn collection_leaves_what_a_conda_lock_stands_on() {
    let world = World::new();
    let tool = Conda::noarch_python(&[]).file("site-packages/tool.py", b"t = 1\n", None);
    let mut lock = world.conda_lock(vec![world.conda(&tool, &["python"])]);
    let image = world.image("store", &lock).await;
    let store = world.store("store");
    let mut roots = Roots::default();
    reach(&store, &lock, PLATFORM, &[Form::default()], &mut roots).unwrap();
    store.collector().unwrap().collect(&roots, false).unwrap();
    world.heard.begun.lock().unwrap().clear();
    assert_eq!(world.image("store", &lock).await, image);
    assert_eq!(*world.heard.begun.lock().unwrap(), []);
    // One more package makes no other anew.
    lock.conda.push(world.conda(&Conda::named("zeta", "1.0").file("share/zeta", b"z", None), &[]));
    world.image("store", &lock).await;
    let begun = world.heard.begun.lock().unwrap().clone();
    let fetched: Vec<_> = begun.iter().filter(|(phase, _)| *phase == Phase::Fetching).collect();
    assert_eq!(fetched.len(), 1, "{fetched:?}");
    assert!(!begun.iter().any(|(_, what)| what.starts_with("bytecode")), "{begun:?}");
}

/// A package with a text, a binary, a link and a path that the other has too. It was made once: compressors change.
fn golden(world: &World, name: &str, bytes: &[u8]) -> CondaPackage {
    // It is in the store, so that its URL is nothing but a name.
    world.store("golden").put(bytes).unwrap();
    let url = format!("https://conda.example.org/channel/linux-64/{name}-1.0-h0_0.conda");
    CondaPackage {
        name: name.to_owned(),
        version: "1.0".to_owned(),
        build: "h0_0".to_owned(),
        build_number: 0,
        subdir: "linux-64".to_owned(),
        artifact: Artifact {
            url: url.parse().unwrap(),
            size: bytes.len() as u64,
            sha256: provenv_definition::Digest::of(bytes),
        },
        md5: None,
        depends: Vec::new(),
        constrains: Vec::new(),
        requested: name == "alpha",
    }
}

/// The digests of images of an epoch never change, and nor do those of an older one.
#[tokio::test]
async fn golden_conda_images() {
    let world = World::new();
    let lock = PlatformLock {
        base: BaseLock::Debian { suite: Suite("test".to_owned()) },
        debian: Vec::new(),
        python: None,
        conda: vec![
            golden(&world, "alpha", include_bytes!("fixtures/alpha-1.0-h0_0.conda")),
            golden(&world, "beta", include_bytes!("fixtures/beta-1.0-h0_0.conda")),
        ],
        pypi: Vec::new(),
        post_link: None,
    };
    let packed = |packing| Form { packing, ..Form::of_epoch(2) };
    let golden = [
        (Form::of_epoch(1), "sha256:6ebe49554b1c524bf0c44d15233de3583f1f825b993a3f6b27d975b1ad9b4d90"),
        (Form::of_epoch(2), "sha256:2ee2027f283891d16e4cacdf34363096df17d8fb108594262f2ffc8d65fcc272"),
        (packed(Packing::Zstd), "sha256:27efe0c456c42a0caa83559d3f05d55d12626732cfedb018ec0352585c2341c6"),
        (packed(Packing::Estargz), "sha256:4ad96df712f29ff753c3609cf23b538926ad78fc7f9c5e949e27401ed03e4d32"),
        (
            Form { layers: Some(5), ..Form::of_epoch(2) },
            "sha256:a926f631f4d5ae7fa3c7bfb772df50556589a4fd1062031ca5659ecff1aa901a",
        ),
    ];
    let mut made = Vec::new();
    for (form, _) in golden {
        let image = world.assembler("golden").in_form(form).image(&lock, PLATFORM).await.unwrap();
        let seen = world.contents("golden", &image);
        assert_eq!(seen["opt/provenv/share/shared"].bytes, b"alpha");
        made.push((form, image.manifest.to_string()));
    }
    assert_eq!(made, golden.map(|(form, digest)| (form, digest.to_owned())));
}
