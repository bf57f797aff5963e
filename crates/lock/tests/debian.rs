//! Resolving against an archive of our own, served over HTTP and signed with a key of our own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::{Timestamp, ToSpan as _};
use provenv_definition::{Base, Definition, Platform, Suite as SuiteName};
use provenv_fetch::{Fetcher, Options, Phase, Reporter};
use provenv_lock::debian::{
    Archive, BASE, DebianConfig, DebianResolution, Error, ReleaseError, SignatureError,
};
use provenv_store::Store;
use provenv_testing::debian::{Deb, DebianArchive, Hash, Key, Lifetime, Suite};
use provenv_testing::server::{Fault, Server};

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Reporter for Notes {
    fn expect(&self, _: Phase, _: u64, _: u64) {}
    fn begin(&self, _: Phase, _: &str) {}
    fn advance(&self, _: Phase, _: u64) {}
    fn end(&self, _: Phase, _: &str) {}
    fn note(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

/// An archive that is served, and a store to resolve into.
struct World {
    server: Server,
    archive: Archive,
    notes: Arc<Notes>,
    folder: tempfile::TempDir,
}

impl World {
    fn new(debian: &DebianArchive) -> Self {
        Self::with_keyring(debian, &debian.key().public())
    }

    fn with_keyring(debian: &DebianArchive, keyring: &[u8]) -> Self {
        let server = Server::start(debian.tree());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.gpg");
        fs_err::write(&path, keyring).unwrap();
        let config = DebianConfig {
            mirror: Some(server.at("/").parse().unwrap()),
            keyring: Some(path),
            root: folder.path().join("no-root"),
            ..DebianConfig::default()
        };
        Self::with_config(server, folder, config)
    }

    fn with_config(server: Server, folder: tempfile::TempDir, config: DebianConfig) -> Self {
        let store = Store::open(folder.path().join("store")).unwrap();
        let notes = Arc::new(Notes::default());
        let fetcher =
            Fetcher::new(store, notes.clone(), Options { retries: 0, ..Options::default() }).unwrap();
        Self { server, archive: Archive::new(fetcher, config), notes, folder }
    }

    async fn resolve(&self, definition: &Definition) -> Result<DebianResolution, Error> {
        self.archive.resolve(definition, Platform::LinuxAmd64).await
    }

    async fn error(&self, definition: &Definition) -> Error {
        self.resolve(definition).await.unwrap_err()
    }
}

fn archive(suites: impl IntoIterator<Item = Suite>) -> DebianArchive {
    archive_of(Key::generate(), suites)
}

fn archive_of(key: Key, suites: impl IntoIterator<Item = Suite>) -> DebianArchive {
    let mut archive = DebianArchive::new(key);
    for suite in suites {
        archive.add(suite);
    }
    archive
}

fn suite(name: &str, python: &str) -> Suite {
    Suite::new(name).with_base(&BASE, python)
}

fn bookworm() -> Suite {
    suite("bookworm", "3.11.2")
}

fn definition(suite: Option<&str>, python: Option<&str>, packages: &[&str]) -> Definition {
    Definition {
        base: Base::Debian { suite: suite.map(|suite| SuiteName(suite.to_owned())) },
        python: python.map(|python| python.parse().unwrap()),
        system_packages: packages.iter().map(|package| package.parse().unwrap()).collect(),
        ..Definition::default()
    }
}

fn plain() -> Definition {
    definition(Some("bookworm"), None, &[])
}

fn version<'a>(resolution: &'a DebianResolution, name: &str) -> Option<&'a str> {
    resolution.packages.iter().find(|package| package.name == name).map(|package| package.version.as_str())
}

#[tokio::test]
async fn a_base_has_python_and_says_where_everything_is() {
    let world = World::new(&archive([bookworm()]));
    let resolution = world.resolve(&definition(None, None, &[])).await.unwrap();
    assert_eq!(resolution.suite.0, "bookworm");
    let python = resolution.python.as_ref().unwrap();
    assert_eq!(
        (python.version.as_str(), python.executable.as_str(), python.glibc.as_str()),
        ("3.11.2", "/usr/bin/python3.11", "2.36")
    );
    for name in
        ["bash", "ca-certificates", "debconf", "libc6", "libgcc-s1", "libpython3.11-stdlib", "libstdc++6"]
    {
        assert!(version(&resolution, name).is_some(), "{name}");
    }
    assert_eq!(version(&resolution, "python3-distutils"), None);
    assert!(resolution.packages.is_sorted_by(|a, b| a.name < b.name));
    let bash = resolution.packages.iter().find(|package| package.name == "bash").unwrap();
    assert_eq!(bash.artifact.url.to_string(), world.server.at("/pool/main/bash/bash_1.0-1_amd64.deb"));
    let deb = Deb::new("bash", "1.0-1").field("Priority", "required");
    let deb = deb.field("Pre-Depends", "libc6 (>= 2.36)").depends("base-files (>= 0.5)").build();
    assert_eq!(bash.artifact.size, deb.len() as u64);
    assert_eq!(bash.artifact.sha256, provenv_definition::Digest::of(&deb));
    assert_eq!(resolution.indexes.len(), 1);
    assert_eq!(resolution.indexes[0].url.to_string(), world.server.at("/dists/bookworm/InRelease"));
    assert!(resolution.indexes[0].date.as_deref().unwrap().ends_with("UTC"));
    let notes = world.notes.0.lock().unwrap();
    assert!(notes.iter().any(|note| note.contains("bookworm-security")), "{notes:?}");
}

#[tokio::test]
async fn the_second_time_only_asks_whether_the_release_changed() {
    let world = World::new(&archive([bookworm()]));
    let first = world.resolve(&plain()).await.unwrap();
    let before = world.server.total_hits();
    let second = world.resolve(&plain()).await.unwrap();
    assert_eq!(first, second);
    let requests = world.server.requests();
    let asked: Vec<(&str, u16)> =
        requests[before..].iter().map(|request| (request.path.as_str(), request.status)).collect();
    assert!(asked.contains(&("/dists/bookworm/InRelease", 304)), "{asked:?}");
    assert!(asked.iter().all(|(_, status)| [304, 404].contains(status)), "{asked:?}");
}

#[tokio::test]
async fn updates_and_security_are_looked_at_and_the_latest_version_wins() {
    let git = |version: &str| Deb::new("git", version).depends(&format!("git-man (= {version}), libc6"));
    let manual = |version: &str| Deb::new("git-man", version).architecture("all");
    let main = archive([
        bookworm().with(git("1:2.39-1")).with(manual("1:2.39-1")).with(Deb::new("curl", "7-1")),
        Suite::new("bookworm-updates").with(Deb::new("curl", "7-2")),
    ]);
    let security = archive_of(
        main.key().clone(),
        [Suite::new("bookworm-security").with(git("1:2.39-1+deb12u1")).with(manual("1:2.39-1+deb12u1"))],
    );
    let security = Server::start(security.tree());
    let mut world = World::new(&main);
    let config = DebianConfig {
        mirror: Some(world.server.at("/").parse().unwrap()),
        security_mirror: Some(security.at("/").parse().unwrap()),
        keyring: Some(world.folder.path().join("keyring.gpg")),
        ..DebianConfig::default()
    };
    world = World::with_config(world.server, world.folder, config);
    let resolution = world.resolve(&definition(Some("bookworm"), None, &["git", "curl"])).await.unwrap();
    assert_eq!(version(&resolution, "git"), Some("1:2.39-1+deb12u1"));
    assert_eq!(version(&resolution, "git-man"), Some("1:2.39-1+deb12u1"));
    assert_eq!(version(&resolution, "curl"), Some("7-2"));
    assert_eq!(resolution.indexes.len(), 3);
    let git = resolution.packages.iter().find(|package| package.name == "git").unwrap();
    assert!(git.artifact.url.to_string().starts_with(&security.url), "{}", git.artifact.url);
    // An older version is still there for who insists, and brings what belongs to it.
    let older = world.resolve(&definition(Some("bookworm"), None, &["git=1:2.39-1"])).await.unwrap();
    assert_eq!(version(&older, "git-man"), Some("1:2.39-1"));
}

#[tokio::test]
async fn bad_names_and_versions_are_answered_with_what_there_is() {
    let world = World::new(&archive([bookworm()
        .with(Deb::new("libgl1", "1.6-1"))
        .with(Deb::new("postfix", "3").field("Provides", "mail-transport-agent"))
        .with(Deb::new("exim4", "4").field("Provides", "mail-transport-agent"))]));
    let error = world.error(&definition(Some("bookworm"), None, &["libgl2"])).await;
    assert_eq!(error.to_string(), "there is no package `libgl2` in bookworm");
    assert_eq!(error.hint().unwrap(), "did you mean `libgl1`?");
    let error = world.error(&definition(Some("bookworm"), None, &["libgl1=9"])).await;
    assert_eq!(error.to_string(), "bookworm has no version 9 of `libgl1`, only 1.6-1");
    let error = world.error(&definition(Some("bookworm"), None, &["mail-transport-agent"])).await;
    assert!(
        matches!(&error, Error::Virtual { providers, .. } if providers == &["exim4", "postfix"]),
        "{error}"
    );
    let single = world.resolve(&definition(Some("bookworm"), None, &["debconf-2.0"])).await.unwrap();
    assert_eq!(version(&single, "debconf"), Some("1.5.82"));
}

#[tokio::test]
async fn what_cannot_be_met_or_be_together_is_explained() {
    let world = World::new(&archive([bookworm()
        .with(Deb::new("tool", "1").depends("helper (>= 2)"))
        .with(Deb::new("helper", "1.5"))
        .with(Deb::new("left", "1").field("Conflicts", "right"))
        .with(Deb::new("user", "1").depends("right"))
        .with(Deb::new("right", "2"))]));
    let error = world.error(&definition(Some("bookworm"), None, &["tool"])).await;
    assert_eq!(error.to_string(), "tool=1 needs helper (>= 2), and of helper there is 1.5");
    let error = world.error(&definition(Some("bookworm"), None, &["left", "user"])).await;
    assert_eq!(
        error.to_string(),
        "user=1 → right=2 and left=1 cannot be together: left=1 conflicts with right"
    );
    assert_eq!(error.hint().unwrap(), "leave one of them out");
}

#[tokio::test]
async fn a_python_is_found_in_the_suite_that_has_it() {
    let world = World::new(&archive([bookworm(), suite("trixie", "3.13.5"), suite("bullseye", "3.9.2")]));
    let of = async |python: &str| {
        let resolution = world.resolve(&definition(None, Some(python), &[])).await.unwrap();
        (resolution.suite.0, resolution.python.unwrap().version)
    };
    assert_eq!(of("3.13").await, ("trixie".to_owned(), "3.13.5".to_owned()));
    assert_eq!(of("3.11.2").await, ("bookworm".to_owned(), "3.11.2".to_owned()));
    assert_eq!(of("3.9").await, ("bullseye".to_owned(), "3.9.2".to_owned()));
    let old = world.resolve(&definition(Some("bullseye"), None, &[])).await.unwrap();
    assert!(version(&old, "python3-distutils").is_some());
    let error = world.error(&definition(None, Some("3.12"), &[])).await;
    assert_eq!(
        error.to_string(),
        "no suite of Debian has Python 3.12: trixie has 3.13.5, bookworm has 3.11.2, bullseye has 3.9.2"
    );
    let error = world.error(&definition(None, Some("3.11.9"), &[])).await;
    assert!(error.to_string().contains("bookworm has 3.11.2"), "{error}");
    let error = world.error(&definition(Some("trixie"), Some("3.11"), &[])).await;
    assert!(
        error.to_string().starts_with("the suite trixie does not have Python 3.11: trixie has 3.13.5"),
        "{error}"
    );
}

#[tokio::test]
async fn a_guess_that_is_wrong_does_no_harm() {
    // This archive's trixie has another Python than the world's, and forky has what trixie should.
    let world = World::new(&archive([suite("trixie", "3.12.1"), suite("forky", "3.13.9")]));
    let resolution = world.resolve(&definition(None, Some("3.13"), &[])).await.unwrap();
    assert_eq!(resolution.suite.0, "forky");
}

#[tokio::test]
async fn a_suite_that_nobody_asked_for_is_not_spoken_of() {
    let mut expired = suite("forky", "3.14.0");
    expired.valid_until = Some(Timestamp::now() - 1.hour());
    let world = World::new(&archive([bookworm(), expired.clone()]));
    let error = world.error(&definition(None, Some("3.14"), &[])).await;
    assert_eq!(error.to_string(), "no suite of Debian has Python 3.14: bookworm has 3.11.2");
    assert_eq!(*world.notes.0.lock().unwrap(), [""; 0]);
    // Unless there is nothing else to say.
    let world = World::new(&archive([expired]));
    let error = world.error(&definition(None, Some("3.14"), &[])).await;
    assert!(matches!(error, Error::Release { source: ReleaseError::Expired(_), .. }), "{error}");
}

#[tokio::test]
async fn a_suite_is_known_by_its_class_and_named_by_its_code_name() {
    let mut suite = bookworm();
    "oldstable".clone_into(&mut suite.class);
    let mut class = suite.clone();
    "oldstable".clone_into(&mut class.folder);
    let world = World::new(&archive([suite, class]));
    let resolution = world.resolve(&definition(Some("oldstable"), None, &[])).await.unwrap();
    assert_eq!(resolution.suite.0, "bookworm");
    let error = world.error(&definition(Some("bookwork"), None, &[])).await;
    assert!(matches!(&error, Error::UnknownSuite { suite, .. } if suite == "bookwork"), "{error}");
    let error = world.error(&definition(Some("../evil"), None, &[])).await;
    assert!(matches!(&error, Error::UnknownSuite { .. }), "{error}");
}

#[tokio::test]
async fn a_tampered_release_is_refused() {
    let debian = archive([bookworm()]);
    let world = World::new(&debian);
    let release = String::from_utf8(debian.files()["dists/bookworm/InRelease"].clone()).unwrap();
    world.server.put("/dists/bookworm/InRelease", release.replace("Label: Test", "Label: Evil"));
    let error = world.error(&plain()).await;
    assert!(matches!(&error, Error::Signature { source: SignatureError::Bad(_), .. }), "{error}");
    assert!(error.hint().unwrap().contains("another mirror"));
    world.server.put("/dists/bookworm/InRelease", format!("{release}\nOrigin: Evil\n"));
    let error = world.error(&plain()).await;
    assert!(matches!(&error, Error::Signature { source: SignatureError::Malformed(_), .. }), "{error}");
}

#[tokio::test]
async fn a_tampered_list_is_refused_and_not_kept() {
    let debian = archive([bookworm()]);
    let world = World::new(&debian);
    let files = debian.files();
    let list = files.keys().find(|path| path.contains("binary-amd64/by-hash")).unwrap();
    for path in files.keys().filter(|path| path.contains("binary-amd64")) {
        let mut bytes = files[path].clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        world.server.put(path, bytes);
    }
    let error = world.error(&plain()).await;
    assert!(
        matches!(&error, Error::Fetch { source: provenv_fetch::Error::Digest { .. }, .. }),
        "{list}: {error:?}"
    );
    for (path, bytes) in files {
        world.server.put(&path, bytes);
    }
    assert!(world.resolve(&plain()).await.is_ok());
}

#[tokio::test]
async fn keys_that_are_missing_expired_or_revoked_are_refused() {
    let stranger = Key::generate();
    let debian = archive_of(Key::with_subkey(), [bookworm()]);
    let error = World::with_keyring(&debian, &stranger.public()).error(&plain()).await;
    assert!(error.to_string().contains(&debian.key().fingerprint()), "{error}");
    assert!(error.hint().unwrap().contains("PROVENV_DEBIAN_KEYRING"));
    assert!(World::new(&debian).resolve(&plain()).await.is_ok());
    let expired = archive_of(Key::in_state(Lifetime::Expired), [bookworm()]);
    let error = World::new(&expired).error(&plain()).await;
    assert!(matches!(&error, Error::Signature { source: SignatureError::ExpiredKey(_), .. }), "{error}");
    let revoked = archive_of(Key::in_state(Lifetime::Revoked), [bookworm()]);
    let error = World::new(&revoked).error(&plain()).await;
    assert!(matches!(&error, Error::Signature { source: SignatureError::RevokedKey(_), .. }), "{error}");
    let mut suite = bookworm();
    suite.hash = Hash::Sha1;
    let error = World::new(&archive_of(Key::rsa(), [suite])).error(&plain()).await;
    assert!(matches!(&error, Error::Signature { source: SignatureError::WeakHash { .. }, .. }), "{error}");
}

#[tokio::test]
async fn a_signature_found_good_is_remembered_for_the_same_keys_only() {
    let debian = archive([bookworm()]);
    let world = World::new(&debian);
    assert!(world.resolve(&plain()).await.is_ok());
    fs_err::write(world.folder.path().join("keyring.gpg"), Key::generate().public()).unwrap();
    let error = world.error(&plain()).await;
    assert!(matches!(&error, Error::Signature { source: SignatureError::UnknownKey(_), .. }), "{error}");
}

#[tokio::test]
async fn releases_out_of_their_time_or_place_are_refused() {
    let now = Timestamp::now();
    let mut old = bookworm();
    (old.date, old.valid_until) = (now - 800.hours(), Some(now - 1.hour()));
    let debian = archive([old]);
    let world = World::new(&debian);
    let error = world.error(&plain()).await;
    assert!(matches!(&error, Error::Release { source: ReleaseError::Expired(_), .. }), "{error}");
    let config = DebianConfig {
        mirror: Some(world.server.at("/").parse().unwrap()),
        keyring: Some(world.folder.path().join("keyring.gpg")),
        ignore_valid_until: true,
        ..DebianConfig::default()
    };
    let world = World::with_config(world.server, world.folder, config);
    assert!(world.resolve(&plain()).await.is_ok());
    let mut future = bookworm();
    future.date = now + 5.hours();
    let error = World::new(&archive([future])).error(&plain()).await;
    assert!(matches!(&error, Error::Release { source: ReleaseError::Future(_), .. }), "{error}");
    assert!(error.hint().unwrap().contains("clock"));
    // A good release of another suite in this one's place.
    let mut other = suite("buster", "3.7.3");
    "bookworm".clone_into(&mut other.folder);
    let error = World::new(&archive([other])).error(&plain()).await;
    assert!(matches!(&error, Error::Release { source: ReleaseError::WrongSuite { .. }, .. }), "{error}");
    // Of the security updates too.
    let mut other = Suite::new("buster-security");
    "bookworm-security".clone_into(&mut other.folder);
    let error = World::new(&archive([bookworm(), other])).error(&plain()).await;
    assert!(matches!(&error, Error::Release { source: ReleaseError::WrongSuite { .. }, .. }), "{error}");
}

#[tokio::test]
async fn security_updates_that_cannot_be_read_are_not_passed_over() {
    let world = World::new(&archive([bookworm(), Suite::new("bookworm-security")]));
    world.server.fault_always("/dists/bookworm-security/InRelease", Fault::Status(500));
    let error = world.error(&plain()).await;
    assert!(error.to_string().contains("bookworm-security"), "{error}");
    world.server.clear_faults();
    assert!(world.resolve(&plain()).await.is_ok());
}

#[tokio::test]
async fn a_detached_signature_and_plain_names_will_do() {
    let mut suite = bookworm();
    (suite.inline, suite.by_hash) = (false, false);
    let debian = archive([suite]);
    let world = World::new(&debian);
    let resolution = world.resolve(&plain()).await.unwrap();
    assert_eq!(resolution.indexes[0].url.to_string(), world.server.at("/dists/bookworm/Release"));
    let world = World::new(&debian);
    let release = String::from_utf8(debian.files()["dists/bookworm/Release"].clone()).unwrap();
    world.server.put("/dists/bookworm/Release", release.replace("Label: Test", "Label: Evil"));
    assert!(matches!(world.error(&plain()).await, Error::Signature { .. }));
    world.server.remove("/dists/bookworm/Release.gpg");
    assert!(matches!(world.error(&plain()).await, Error::Signature { .. }));
}

#[tokio::test]
async fn a_list_that_is_gone_under_its_digest_is_found_under_its_name() {
    let debian = archive([bookworm()]);
    let world = World::new(&debian);
    for path in debian.files().keys().filter(|path| path.contains("by-hash")) {
        world.server.remove(path);
    }
    assert!(world.resolve(&plain()).await.is_ok());
    assert_eq!(world.server.hits("/dists/bookworm/main/binary-amd64/Packages.xz"), 1);
}

#[tokio::test]
async fn the_mirror_and_its_key_are_found_in_apts_sources() {
    let debian = archive([bookworm(), Suite::new("bookworm-updates")]);
    let mut stranger = Suite::new("bookworm");
    "Vendor".clone_into(&mut stranger.origin);
    let stranger = archive([stranger]);
    let vendor = Server::start(stranger.tree());
    let server = Server::start(debian.tree());
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let lists = root.join("etc/apt/sources.list.d");
    fs_err::create_dir_all(&lists).unwrap();
    fs_err::write(root.join("etc/os-release"), "ID=debian\nVERSION_CODENAME=bookworm\n").unwrap();
    let keyring = |name: &str, key: &Key| -> PathBuf {
        let path = folder.path().join(name);
        fs_err::write(&path, key.armoured()).unwrap();
        path
    };
    fs_err::write(
        lists.join("a-vendor.list"),
        format!(
            "deb [signed-by={}] {} bookworm main\n",
            keyring("v.asc", stranger.key()).display(),
            vendor.url
        ),
    )
    .unwrap();
    fs_err::write(
        lists.join("debian.sources"),
        format!(
            "Types: deb\nURIs: {}\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: {}\n",
            server.url,
            keyring("d.asc", debian.key()).display()
        ),
    )
    .unwrap();
    let url = server.url.clone();
    let config = DebianConfig { root, ..DebianConfig::default() };
    let world = World::with_config(server, folder, config);
    let resolution = world.resolve(&plain()).await.unwrap();
    assert!(resolution.packages.iter().all(|package| package.artifact.url.to_string().starts_with(&url)));
    assert_eq!(resolution.indexes.len(), 2);
}

#[tokio::test]
async fn an_archive_may_be_a_folder() {
    let debian = archive([bookworm()]);
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in debian.files() {
        let path = folder.path().join("mirror").join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }
    let keyring = folder.path().join("keyring.gpg");
    fs_err::write(&keyring, debian.key().public()).unwrap();
    let config = DebianConfig {
        mirror: Some(url::Url::from_directory_path(folder.path().join("mirror")).unwrap()),
        keyring: Some(keyring),
        ..DebianConfig::default()
    };
    let world = World::with_config(Server::start(archive([]).tree()), folder, config);
    let resolution = world.resolve(&plain()).await.unwrap();
    assert!(resolution.packages[0].artifact.url.to_string().starts_with("file:///"));
}

#[tokio::test]
async fn tools_are_added_to_what_a_lock_holds() {
    let debian = archive([bookworm()
        .with(Deb::new("git", "2").depends("libc6 (>= 2.30), git-man, bash"))
        .with(Deb::new("git-man", "2").architecture("all"))]);
    let world = World::new(&debian);
    let mut base = world.resolve(&plain()).await.unwrap().packages;
    // The lock is older than the archive.
    let libc = base.iter_mut().find(|package| package.name == "libc6").unwrap();
    "2.35-1".clone_into(&mut libc.version);
    let suite = SuiteName("bookworm".to_owned());
    let names = ["git".to_owned()];
    let added = world.archive.closure(&suite, Platform::LinuxAmd64, &base, &names).await.unwrap();
    let added: Vec<&str> = added.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(added, ["git", "git-man"]);
}

#[tokio::test]
async fn a_base_that_is_an_image_is_not_ours() {
    let world = World::new(&archive([]));
    let base = Base::Image { reference: "python:3.12".to_owned() };
    let error = world.error(&Definition { base, ..Definition::default() }).await;
    assert!(matches!(error, Error::ForeignBase(_)));
}
