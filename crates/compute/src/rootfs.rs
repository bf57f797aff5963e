//! What a container sees as `/`.
//!
//! Everything of the host that is needed is opened first; descriptors then stand for paths (`N` below
//! `/proc/self/fd`). As sources of binds after the root has changed, so that guest paths and the image's links are
//! resolved inside and never on the host. And as names of layers: the kernel takes one page of mount
//! options, which a hundred real paths overrun, and commas or colons in them would need escapes.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fs_err as fs;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::unistd::{fchdir, geteuid, pivot_root, ttyname};

use crate::protocol::{Failure, FailureKind, Method, Spec};
use crate::{Container, merged, syscalls};

/// Nodes of `/dev` that every program may expect.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Files of the kernel that the host's root may write or read whatever namespace it is in.
const KERNEL_READ_ONLY: [&str; 5] =
    ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"];
const KERNEL_HIDDEN: [&str; 3] = ["/proc/kcore", "/proc/keys", "/proc/timer_list"];

const SAFE: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

/// Changes the root to the container's. The caller is alone in its mount namespace.
pub(crate) fn enter(spec: &Spec, notes: &mut Vec<String>) -> Result<(), Failure> {
    let Method::Namespaces { user, overlay } = spec.method else {
        unreachable!("a plain process keeps the host's root")
    };
    let forbidden = if user { FailureKind::NoUserNamespace } else { FailureKind::NoNamespaces };
    // Nothing that is mounted here gets out.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
        .map_err(|error| Failure::new(forbidden, "keep mounts to the container", &error.desc()))?;

    let old_root = open_path(Path::new("/"))?;
    let mut system = system_binds(spec.terminal);
    system.push(Bind::open(Path::new("/sys"), "/sys", SAFE | libc::MOUNT_ATTR_RDONLY)?);
    let old_proc = open_path(Path::new("/proc"))?;
    let mounts = spec.container.mounts.iter().map(Bind::of_mount).collect::<Result<Vec<_>, _>>()?;
    let network_files = network_files(&spec.container);
    let descriptors = open("/proc/self/fd", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(Failure::setup("open `/proc/self/fd`"))?;
    fchdir(&descriptors).map_err(Failure::setup("enter `/proc/self/fd`"))?;

    let new_root = if overlay { mount_overlay(spec, notes)? } else { mount_merged(spec)? };
    std::env::set_current_dir(&new_root).map_err(Failure::setup("enter the new root"))?;
    pivot_root(".", ".").map_err(Failure::setup("change the root"))?;
    fchdir(&descriptors).map_err(Failure::setup("enter `/proc/self/fd`"))?;

    mount_proc(&old_proc, notes)?;
    mount_dev()?;
    for bind in &system {
        bind.apply()?;
    }
    protect_kernel()?;
    make_tmp().map_err(Failure::setup("make `/tmp`"))?;
    // Before the mounts: a mounted `/etc` is the host's and not ours to write.
    for (path, content) in network_files {
        // Layers of another user's making may not be ours to change even here; images can do without.
        if let Err(error) = write_over(Path::new(path), &content) {
            notes.push(format!("`{path}` is the image's own: {error}"));
        }
    }
    for bind in &mounts {
        bind.apply()?;
    }

    fchdir(&old_root).map_err(Failure::setup("enter the old root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(Failure::setup("let go of the old root"))?;
    std::env::set_current_dir("/").map_err(Failure::setup("enter the root"))
}

/// A host file or folder, opened for use after the root has changed.
struct Bind {
    source: OwnedFd,
    folder: bool,
    guest: PathBuf,
    attributes: u64,
}

impl Bind {
    fn open(host: &Path, guest: impl Into<PathBuf>, attributes: u64) -> Result<Self, Failure> {
        let source = open_path(host)?;
        // Through the descriptor: the file must be the one that was opened.
        let folder = fs::metadata(format!("/proc/self/fd/{}", source.as_raw_fd()))
            .map_err(Failure::setup(format!("look at `{}`", host.display())))?
            .is_dir();
        Ok(Self { source, folder, guest: guest.into(), attributes })
    }

    fn of_mount(mount: &crate::Mount) -> Result<Self, Failure> {
        let read_only = if mount.read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
        Self::open(&mount.host, &mount.guest, SAFE | read_only)
    }

    /// Mounts it. The current folder is `/proc/self/fd`, of which only the host's `/proc` knows.
    fn apply(&self) -> Result<(), Failure> {
        let show = self.guest.display();
        make_mount_point(&self.guest, self.folder)
            .map_err(Failure::setup(format!("make the mount point `{show}`")))?;
        let source = self.source.as_raw_fd().to_string();
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(source.as_str()), &self.guest, None::<&str>, flags, None::<&str>)
            .and_then(|()| set_attributes(&self.guest, self.attributes))
            .map_err(|error| Failure::new(FailureKind::Setup, format!("mount `{show}`"), &error.desc()))
    }
}

fn open_path(path: &Path) -> Result<OwnedFd, Failure> {
    open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map_err(|error| {
        Failure::new(FailureKind::Setup, format!("open `{}`", path.display()), &error.desc())
    })
}

fn make_mount_point(path: &Path, folder: bool) -> io::Result<()> {
    if folder {
        return fs::create_dir_all(path);
    }
    if path.symlink_metadata().is_err() {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::File::create_new(path)?;
    }
    Ok(())
}

/// Sets attributes on a mount and all below it.
fn set_attributes(path: &Path, attributes: u64) -> nix::Result<()> {
    match syscalls::set_mount_attributes(path, attributes) {
        _ if attributes == 0 => Ok(()),
        Err(Errno::ENOSYS) => remount(path, attributes),
        result => result,
    }
}

/// [`set_attributes`] for Linux before 5.12: mount by mount.
fn remount(path: &Path, attributes: u64) -> nix::Result<()> {
    let pairs = [
        (libc::MOUNT_ATTR_RDONLY, MsFlags::MS_RDONLY),
        (libc::MOUNT_ATTR_NOSUID, MsFlags::MS_NOSUID),
        (libc::MOUNT_ATTR_NODEV, MsFlags::MS_NODEV),
    ];
    let wanted = pairs.iter().filter(|(attribute, _)| attributes & attribute != 0);
    let wanted = wanted.fold(MsFlags::MS_BIND | MsFlags::MS_REMOUNT, |flags, (_, flag)| flags | *flag);
    let table = fs::read_to_string("/proc/self/mountinfo").map_err(|_| Errno::ENOENT)?;
    for line in table.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, _, _, _, point, options, ..] = fields[..] else { continue };
        if !Path::new(point).starts_with(path) {
            continue;
        }
        // What a mount of the host forbids, its copy here must forbid too.
        let kept = options.split(',').fold(MsFlags::empty(), |flags, option| match option {
            "ro" => flags | MsFlags::MS_RDONLY,
            "nosuid" => flags | MsFlags::MS_NOSUID,
            "nodev" => flags | MsFlags::MS_NODEV,
            "noexec" => flags | MsFlags::MS_NOEXEC,
            "noatime" => flags | MsFlags::MS_NOATIME,
            "nodiratime" => flags | MsFlags::MS_NODIRATIME,
            "relatime" => flags | MsFlags::MS_RELATIME,
            _ => flags,
        });
        mount(None::<&str>, point, None::<&str>, wanted | kept, None::<&str>)?;
    }
    Ok(())
}

/// Joins the layers where the topmost one lies, which no other process sees.
fn mount_overlay(spec: &Spec, notes: &mut Vec<String>) -> Result<PathBuf, Failure> {
    let layers = &spec.container.layers;
    let opened = layers.iter().map(|layer| open_path(layer)).collect::<Result<Vec<_>, _>>()?;
    // The topmost comes first.
    let lower: Vec<String> = opened.iter().rev().map(|layer| layer.as_raw_fd().to_string()).collect();
    let lower = lower.join(":");
    let target = layers.last().expect("a container without layers is refused early").clone();
    let refused = |error: io::Error| Failure::new(FailureKind::NoOverlay, "mount an overlay", &error);
    if let Some(scratch) = &spec.scratch {
        match overlay_on(&lower, scratch, &target) {
            // Overlays, network file systems and some others cannot take an overlay's writes.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => notes.push(format!(
                "the file system of `{}` cannot hold a container's writes: they are kept in memory",
                scratch.display()
            )),
            result => return result.map(|()| target).map_err(refused),
        }
    }
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    mount(Some("tmpfs"), &target, Some("tmpfs"), flags, Some("mode=700"))
        .map_err(Failure::setup("mount a file system in memory"))?;
    overlay_on(&lower, &target, &target).map_err(refused)?;
    Ok(target)
}

/// Mounts an overlay of `lower` (names below the current folder, `/proc/self/fd`) on `target`, with its writes
/// below `scratch`.
fn overlay_on(lower: &str, scratch: &Path, target: &Path) -> io::Result<()> {
    let own = |name: &str| -> io::Result<OwnedFd> {
        let folder = scratch.join(name);
        fs::create_dir(&folder)?;
        Ok(open(&folder, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?)
    };
    let (upper, work) = (own("upper")?, own("work")?);
    let layers = format!("lowerdir={lower},upperdir={},workdir={}", upper.as_raw_fd(), work.as_raw_fd());
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    let attempt = |options: &str| {
        let options = format!("{layers}{options}");
        mount(Some("overlay"), target, Some("overlay"), flags, Some(options.as_str()))
    };
    // Without `volatile` the end of every container would wait for the whole disk's writes. Without
    // `userxattr` an unprivileged overlay cannot mark what it hides. Linux before 5.11 knows neither.
    match attempt(",volatile,userxattr") {
        Err(Errno::EINVAL) => attempt("")?,
        result => result?,
    }
    Ok(())
}

/// A root in memory, with the folders of the merged image shown in it, and a copy of those that are written to.
fn mount_merged(spec: &Spec) -> Result<PathBuf, Failure> {
    let merged = spec.merged.as_deref().expect("the caller has made it for this method");
    let tree = open_path(merged)?;
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    mount(Some("tmpfs"), merged, Some("tmpfs"), flags, Some("mode=755"))
        .map_err(Failure::setup("mount a file system in memory"))?;
    let fill = || -> io::Result<()> {
        for entry in fs::read_dir(tree.as_raw_fd().to_string())? {
            let entry = entry?;
            let target = merged.join(entry.file_name());
            let kind = entry.file_type()?;
            let written = ["etc", "home", "root", "run", "tmp"].iter().any(|name| entry.file_name() == *name);
            if !kind.is_dir() || written {
                merged::copy(&entry.path(), &target)?;
                continue;
            }
            fs::create_dir(&target)?;
            let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(&entry.path()), &target, None::<&str>, bind, None::<&str>)?;
            set_attributes(&target, SAFE | libc::MOUNT_ATTR_RDONLY)?;
        }
        Ok(())
    };
    fill().map_err(Failure::setup("show the merged image"))?;
    Ok(merged.to_owned())
}

/// `/proc` of the container's own processes. Hosts that hide parts of their own forbid it: then theirs is shown.
fn mount_proc(old: &OwnedFd, notes: &mut Vec<String>) -> Result<(), Failure> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    make_mount_point(Path::new("/proc"), true).map_err(Failure::setup("make `/proc`"))?;
    match mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>) {
        Err(Errno::EPERM) => {
            notes.push(
                "this machine forbids a `/proc` of one's own: the container sees the host's".to_owned(),
            );
            let source = old.as_raw_fd().to_string();
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(source.as_str()), "/proc", None::<&str>, flags, None::<&str>)
        }
        result => result,
    }
    .map_err(Failure::setup("mount `/proc`"))
}

/// `/dev` with terminals and shared memory. The latter has the kernel's own limit, half of the memory: data
/// loaders of several processes use it for all they hand over.
fn mount_dev() -> Result<(), Failure> {
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let make = || -> io::Result<()> {
        make_mount_point(Path::new("/dev"), true)?;
        mount(Some("tmpfs"), "/dev", Some("tmpfs"), quiet, Some("mode=755,size=1m"))?;
        fs::create_dir("/dev/pts")?;
        let options = Some("newinstance,ptmxmode=0666,mode=620");
        mount(Some("devpts"), "/dev/pts", Some("devpts"), quiet, options)?;
        fs::create_dir("/dev/shm")?;
        mount(Some("tmpfs"), "/dev/shm", Some("tmpfs"), quiet | MsFlags::MS_NODEV, Some("mode=1777"))?;
        symlink("pts/ptmx", "/dev/ptmx")?;
        symlink("/proc/self/fd", "/dev/fd")?;
        symlink("/proc/self/fd/0", "/dev/stdin")?;
        symlink("/proc/self/fd/1", "/dev/stdout")?;
        symlink("/proc/self/fd/2", "/dev/stderr")
    };
    make().map_err(Failure::setup("make `/dev`"))
}

/// Device nodes that are there: the usual ones, NVIDIA's, and the terminal.
fn system_binds(terminal: bool) -> Vec<Bind> {
    let mut nodes: Vec<(PathBuf, PathBuf)> =
        DEVICES.iter().map(|name| Path::new("/dev").join(name)).map(|path| (path.clone(), path)).collect();
    let gpus = fs::read_dir("/dev").into_iter().flatten().flatten();
    let gpus = gpus.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"nvidia"));
    nodes.extend(gpus.map(|entry| (entry.path(), entry.path())));
    if terminal && let Ok(name) = ttyname(io::stdin()) {
        nodes.push((name, PathBuf::from("/dev/console")));
    }
    nodes
        .into_iter()
        .filter_map(|(host, guest)| Bind::open(&host, guest, libc::MOUNT_ATTR_NOSUID).ok())
        .collect()
}

/// Keeps the host's root, where it is root here too, from the kernel's switches: they ask who one is, not what one may.
fn protect_kernel() -> Result<(), Failure> {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let host_root = map.lines().any(|line| line.split_whitespace().take(2).eq(["0", "0"]));
    if !geteuid().is_root() || !host_root {
        return Ok(());
    }
    let bind = |source: &str, target: &str| {
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(source), target, None::<&str>, flags, None::<&str>)
    };
    for path in KERNEL_READ_ONLY.iter().filter(|path| Path::new(path).exists()) {
        bind(path, path)
            .and_then(|()| set_attributes(Path::new(path), libc::MOUNT_ATTR_RDONLY))
            .map_err(Failure::setup(format!("protect `{path}`")))?;
    }
    for path in KERNEL_HIDDEN.iter().filter(|path| Path::new(path).exists()) {
        bind("/dev/null", path).map_err(Failure::setup(format!("hide `{path}`")))?;
    }
    Ok(())
}

fn make_tmp() -> io::Result<()> {
    if !Path::new("/tmp").exists() {
        fs::create_dir("/tmp")?;
        fs::set_permissions("/tmp", std::fs::Permissions::from_mode(0o1777))?;
    }
    Ok(())
}

/// What the resolver needs to know of the network, as it is on the host at this moment.
fn network_files(container: &Container) -> Vec<(&'static str, Vec<u8>)> {
    let name = match &container.hostname {
        Some(name) => name.clone(),
        None => nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let mut files = vec![("/etc/hostname", format!("{name}\n").into_bytes())];
    let mut hosts = format!("127.0.0.1 localhost {name}\n::1 localhost ip6-localhost\n").into_bytes();
    if container.network {
        if let Ok(content) = fs::read("/etc/resolv.conf") {
            files.push(("/etc/resolv.conf", content));
        }
        if let Ok(content) = fs::read("/etc/hosts") {
            hosts = content;
        }
    }
    files.push(("/etc/hosts", hosts));
    files
}

/// Puts a file where a file or a link may be.
fn write_over(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::write(path, content)?,
    }
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}
