//! A base made of real Debian packages: the tools in it find what maintainer scripts would have left, and see nothing to
//! change in it when they do it themselves.
//!
//! The packages come through apt as this machine has it configured, or from the folder that `PROVENV_TEST_DEBS` names.
//! Without them, without root or without umoci the test says so and is skipped, unless `PROVENV_TEST_PEERS=required`.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use provenv_definition::{Digest, Platform, SafeUrl, Suite};
use provenv_fetch::{Fetcher, Options, Silent};
use provenv_image::Assembler;
use provenv_image::export::{self, Destination};
use provenv_image::form::Form;
use provenv_image::oci::{self, ImageConfig};
use provenv_image::python::PythonHost;
use provenv_lock::{Artifact, BaseLock, DebPackage, PlatformLock};
use provenv_store::Store;

/// A minimal base with Python, and packages that exercise one thing each.
const PACKAGES: [&str; 21] = [
    "base-files",
    "base-passwd",
    "bash",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "findutils",
    "grep",
    "sed",
    "libc-bin",
    "ncurses-base",
    "ca-certificates",
    "tzdata",
    "netbase",
    "python3",
    "dpkg",
    "apt",
    "mawk",
    "libblas3",
    "perl-base",
];

struct NoPython;

impl PythonHost for NoPython {
    fn spawn(&self, _: &[PathBuf], _: &[String], _: &[(&str, &str)]) -> io::Result<Child> {
        Err(io::Error::other("no Python in this test"))
    }
}

fn skip(why: &str) {
    assert!(
        std::env::var("PROVENV_TEST_PEERS").as_deref() != Ok("required"),
        "PROVENV_TEST_PEERS=required, and {why}"
    );
    eprintln!("skipped: {why}");
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Downloads [`PACKAGES`] and what they need to `folder`, as if nothing were installed.
fn download(folder: &Path) -> Option<()> {
    let nothing = ["-o", "Dir::State::status=/dev/null", "-o", "APT::Install-Recommends=false"];
    let plan = output(Command::new("apt-get").args(nothing).args(["--simulate", "install"]).args(PACKAGES))?;
    let names = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    output(Command::new("apt-get").arg("download").args(names).current_dir(folder))?;
    Some(())
}

/// The lock of the packages in `folder`.
fn lock(folder: &Path) -> PlatformLock {
    let mut debian = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "deb") {
            continue;
        }
        let field = |name: &str| {
            output(Command::new("dpkg-deb").arg("--field").arg(&path).arg(name)).unwrap().trim().to_owned()
        };
        let bytes = fs_err::read(&path).unwrap();
        let url = url::Url::from_file_path(&path).unwrap();
        debian.push(DebPackage {
            name: field("Package"),
            version: field("Version"),
            architecture: field("Architecture"),
            artifact: Artifact {
                url: SafeUrl::new(url),
                size: bytes.len() as u64,
                sha256: Digest::of(&bytes),
            },
        });
    }
    debian.sort_by(|one, other| one.name.cmp(&other.name));
    PlatformLock {
        base: BaseLock::Debian { suite: Suite("test".into()) },
        debian,
        python: None,
        conda: vec![],
        pypi: vec![],
        post_link: None,
    }
}

/// A shell script's output inside `root`.
fn inside(root: &Path, script: &str) -> String {
    let output = Command::new("chroot")
        .arg(root)
        .args(["/bin/sh", "-ec", script])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}: {}\n{said}{complained}", output.status);
    said.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_in_a_real_base_find_all_in_order() {
    if fs_err::metadata("/proc/self").unwrap().uid() != 0 {
        return skip("this test needs root for chroot");
    }
    if Command::new("umoci").arg("--version").output().is_err() {
        return skip("umoci is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let debs = if let Some(given) = std::env::var_os("PROVENV_TEST_DEBS") {
        PathBuf::from(given)
    } else {
        let debs = folder.path().join("debs");
        fs_err::create_dir(&debs).unwrap();
        if download(&debs).is_none() {
            return skip("apt cannot bring the packages");
        }
        debs
    };
    let store = Store::open(folder.path().join("store")).unwrap();
    let lock = lock(&debs);
    let fetcher = Fetcher::new(store.clone(), Arc::new(Silent), Options::default()).unwrap();
    let base = Assembler::new(fetcher, Arc::new(NoPython)).base(&lock, Platform::LinuxAmd64).await.unwrap();
    let image =
        oci::write(&store, Platform::LinuxAmd64, &base.layers, &ImageConfig::of(&lock, Form::default()))
            .unwrap();
    let layout = folder.path().join("layout");
    let destination = Destination::OciLayout { path: layout.clone(), tag: Some("base".into()) };
    export::to(&store, &image, &destination, &Silent).unwrap();
    let bundle = folder.path().join("bundle");
    let done = Command::new("umoci")
        .args(["unpack", "--image", &format!("{}:base", layout.display())])
        .arg(&bundle)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let root = bundle.join("rootfs");

    libraries(&root);
    authorities(&root);
    python(&root);
    users_and_time(&root);
    packages(&root, &lock);
    modes(&root);
}

/// `ldconfig` would write the same.
fn libraries(root: &Path) {
    let list = || {
        let text = inside(root, "ldconfig -p");
        let lines = text.lines().filter(|line| line.contains("=>"));
        // Left open by us: the oldest kernel a library runs on.
        let cut = |line: &str| match line.split_once(", OS ABI:") {
            Some((head, tail)) => format!("{head}{}", &tail[tail.find(')').unwrap()..]),
            None => line.to_owned(),
        };
        lines.map(cut).collect::<Vec<_>>()
    };
    let ours = list();
    assert!(ours.len() > 30, "{ours:?}");
    assert!(ours.iter().any(|line| line.contains("libc.so.6")));
    inside(root, "ldconfig");
    assert_eq!(ours, list());
}

/// `update-ca-certificates` would leave the same.
fn authorities(root: &Path) {
    let list = || {
        let mut all = BTreeMap::new();
        for entry in fs_err::read_dir(root.join("etc/ssl/certs")).unwrap() {
            let path = entry.unwrap().path();
            let content = match fs_err::read_link(&path) {
                Ok(target) => target.display().to_string(),
                Err(_) => Digest::of(&fs_err::read(&path).unwrap()).to_string(),
            };
            all.insert(path.file_name().unwrap().to_string_lossy().into_owned(), content);
        }
        all
    };
    let ours = list();
    assert!(ours.len() > 200, "{}", ours.len());
    inside(root, "mkdir -p /tmp; rm -r /etc/ssl/certs/*; update-ca-certificates --fresh >/dev/null 2>&1");
    let theirs = list();
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, target) in &theirs {
        assert_eq!(&ours[name], target, "{name}");
    }
    // A certificate is found by its hash alone.
    inside(
        root,
        "for c in /etc/ssl/certs/*.0; do openssl verify -no_check_time -CApath /etc/ssl/certs -no-CAfile $c; done",
    );
}

fn python(root: &Path) {
    let script = "import ssl, ctypes, ctypes.util, sys
context = ssl.create_default_context()
context.load_verify_locations(capath='/etc/ssl/certs')
paths = ssl.get_default_verify_paths()
assert paths.cafile or paths.capath, paths
assert context.cert_store_stats()['x509_ca'] > 100 or paths.capath, paths
for name in ('c', 'm', 'z', 'blas'):
    found = ctypes.util.find_library(name)
    if name != 'blas': assert found, name
    if found: ctypes.CDLL(found)
print('fine')";
    fs_err::write(root.join("tmp/check.py"), script).unwrap();
    assert_eq!(inside(root, "python3 /tmp/check.py"), "fine\n");
}

fn users_and_time(root: &Path) {
    assert_eq!(
        inside(root, "id -un; id -gn; whoami; stat -c %U:%G:%a /etc/shadow"),
        "root\nroot\nroot\nroot:shadow:640\n"
    );
    assert_eq!(inside(root, "getent passwd nobody | cut -d: -f1,2,3"), "nobody:x:65534\n");
    assert_eq!(inside(root, "date -d @0 '+%F %T %Z'"), "1970-01-01 00:00:00 UTC\n");
    assert_eq!(inside(root, "readlink /bin; readlink -f /var/run /var/lock"), "usr/bin\n/run\n/run/lock\n");
    assert_eq!(inside(root, "awk 'BEGIN { print 6 * 7 }'; which sh"), "42\n/usr/bin/sh\n");
    inside(root, "grep -qx /bin/bash /etc/shells; getent hosts localhost");
}

/// dpkg and apt are at ease.
fn packages(root: &Path, lock: &PlatformLock) {
    let list = inside(root, "dpkg-query -W -f '${Package} ${Version} ${Status}\\n'");
    let line = |package: &DebPackage| format!("{} {} install ok installed", package.name, package.version);
    let expected: Vec<String> = lock.debian.iter().map(line).collect();
    for package in &lock.debian {
        assert!(root.join("var/lib/dpkg/status.d").join(&package.name).is_file(), "{}", package.name);
    }
    assert_eq!(list.lines().collect::<Vec<_>>(), expected);
    assert_eq!(inside(root, "dpkg --audit"), "");
    assert!(inside(root, "dpkg --search /usr/bin/mawk").starts_with("mawk: "));
    if root.join("usr/bin/apt-get").exists() {
        inside(root, "apt-get check -o Dir::State::Lists=/tmp");
    }
    let awk = inside(root, "update-alternatives --query awk");
    assert!(awk.contains("Status: auto") && awk.contains("Value: /usr/bin/mawk"), "{awk}");
    // What would be set anew is what is set.
    let links = || inside(root, "ls -l --time-style=+ /etc/alternatives");
    let ours = links();
    inside(root, "update-alternatives --auto awk; update-alternatives --auto which || true");
    assert_eq!(ours, links());
    if root.join("usr/lib/x86_64-linux-gnu/blas").is_dir() {
        inside(root, "dpkg --remove libblas3; test ! -e /usr/lib/x86_64-linux-gnu/blas/libblas.so.3");
    }
}

fn modes(root: &Path) {
    for (path, expected) in [
        ("", 0o755),
        ("root", 0o700),
        ("tmp", 0o1777),
        ("var/tmp", 0o1777),
        ("run/lock", 0o1777),
        ("var/mail", 0o2775),
        ("etc", 0o755),
        ("usr/bin/passwd", 0o4755),
        ("etc/gshadow", 0o640),
    ] {
        if let Ok(found) = fs_err::metadata(root.join(path)) {
            assert_eq!(found.mode() & 0o7777, expected, "{path}");
        }
    }
}
