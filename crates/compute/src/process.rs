//! A plain process in the merged layers, for machines that allow no namespaces.
//!
//! Nothing is hidden: the image's programs are found through *starters*, small shell scripts that hand a program to
//! the image's own loader with the image's own libraries, and the paths of mounts are rewritten in the command. A mount
//! in another mount's folder is a link there while the command runs; a file that is to have another name has it by a
//! link in a folder of its own, as programs go by endings. The
//! starters are laid out as a virtualenv of their own, so that Python finds its packages and `sys.executable` starts
//! the same Python again.
//!
//! What this cannot do: absolute paths inside programs (`/usr/share/…`) are the host's; writes to the image's files
//! reach the store; mounts are not read-only; the network cannot be cut. Images whose libc is older than 2.33
//! (its loader lacks `--argv0`) run programs, but no virtualenv.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use crate::Mount;
use crate::protocol::{Failure, FailureKind, Spec};

/// The virtualenv of starters in a merged image.
const OWN: &str = ".provenv";
/// The virtualenv of the image.
const PREFIX: &str = "opt/provenv";
/// Where programs are looked for; earlier ones win.
const FOLDERS: [&str; 7] =
    ["opt/provenv/bin", "usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"];
const LOADERS: [&str; 2] = ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"];
const LIBRARIES: [&str; 7] = [
    "usr/local/lib",
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "lib",
    "usr/lib",
];
/// Links in an image that lead on are followed this often, as by the kernel.
const MOST_LINKS: usize = 40;

/// Adds the starters to a merged image in the making, which will stand at `home`.
pub(crate) fn add_starters(tree: &Path, home: &Path) -> io::Result<()> {
    let own = tree.join(OWN);
    let bin = own.join("bin");
    fs::create_dir_all(&bin)?;
    let loader = Loader::find(tree, home);
    let mut programs = BTreeMap::new();
    for folder in FOLDERS.iter().filter_map(|folder| resolve(tree, Path::new(folder))) {
        let Ok(entries) = fs::read_dir(tree.join(folder)) else { continue };
        for entry in entries {
            let entry = entry?;
            let path = entry.path().strip_prefix(tree).expect("it is below").to_owned();
            programs.entry(entry.file_name()).or_insert(path);
        }
    }
    for (name, path) in programs {
        let Some(real) = resolve(tree, &path) else { continue };
        let Some(line) = starter(tree, home, &loader, &path, &real)? else { continue };
        let target = bin.join(name);
        fs::write(&target, format!("#!/bin/sh\nexec {line} \"$@\"\n"))?;
        fs::set_permissions(&target, std::fs::Permissions::from_mode(0o755))?;
    }
    if let Ok(config) = fs::read_to_string(tree.join(PREFIX).join("pyvenv.cfg")) {
        let bin = home.join("usr/bin");
        let home = format!("home = {}", bin.display());
        let others = config.lines().filter(|line| !line.starts_with("home"));
        let lines: Vec<&str> = std::iter::once(home.as_str()).chain(others).collect();
        fs::write(own.join("pyvenv.cfg"), lines.join("\n"))?;
        symlink(format!("../{PREFIX}/lib"), own.join("lib"))?;
    } else {
        symlink("../usr/lib", own.join("lib"))?;
    }
    Ok(())
}

/// The image's dynamic loader.
struct Loader {
    /// The words before a program's path, but for `--argv0`; `None` where the image has no loader.
    words: Option<String>,
    names_program: bool,
}

impl Loader {
    fn find(tree: &Path, home: &Path) -> Self {
        let found = LOADERS.iter().find_map(|path| resolve(tree, Path::new(path)));
        let Some(path) = found else { return Self { words: None, names_program: false } };
        let libraries: Vec<String> = LIBRARIES
            .iter()
            .filter(|folder| tree.join(folder).is_dir())
            .map(|folder| home.join(folder).display().to_string())
            .collect();
        let words = format!(
            "{} --library-path {}",
            quoted(&home.join(&path)),
            quoted(Path::new(&libraries.join(":")))
        );
        let bytes = fs::read(tree.join(&path)).unwrap_or_default();
        let names_program = bytes.windows(7).any(|window| window == b"--argv0");
        Self { words: Some(words), names_program }
    }
}

/// What a starter executes for the program at `path`, which is the file `real`; `None` if that is no program.
fn starter(
    tree: &Path,
    home: &Path,
    loader: &Loader,
    path: &Path,
    real: &Path,
) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    match fs::File::open(tree.join(real)) {
        Ok(file) if file.metadata()?.is_file() => file.take(4096).read_to_end(&mut head)?,
        _ => return Ok(None),
    };
    let program = quoted(&home.join(real));
    if head.starts_with(b"\x7fELF") {
        return Ok(Some(match &loader.words {
            Some(words) if is_dynamic(&head) && loader.names_program => {
                format!("{words} --argv0 \"$0\" {program}")
            }
            Some(words) if is_dynamic(&head) => format!("{words} {program}"),
            // A static program needs no loader, and one that goes by several names looks at the one it is called by.
            _ => {
                let same = fs::canonicalize(tree.join(path)).ok() == fs::canonicalize(tree.join(real)).ok();
                if same { quoted(&home.join(path)) } else { program }
            }
        }));
    }
    // `#!/usr/bin/env python3 -u` and `#!/opt/provenv/bin/python` are both started by name.
    let text = String::from_utf8_lossy(&head);
    let Some(mut words) =
        text.strip_prefix("#!").and_then(|text| text.lines().next()).map(str::split_whitespace)
    else {
        return Ok(None);
    };
    let mut interpreter = words.next().unwrap_or_default();
    if interpreter.ends_with("/env") {
        interpreter = words.find(|word| !word.starts_with('-')).unwrap_or_default();
    }
    let Some(name) = Path::new(interpreter).file_name() else { return Ok(None) };
    let mut line = vec![quoted(&home.join(OWN).join("bin").join(name))];
    line.extend(words.map(|word| quoted(Path::new(word))));
    line.push(quoted(&home.join(path)));
    Ok(Some(line.join(" ")))
}

/// Whether an ELF program names a loader: it has a program header of type PT_INTERP (3).
fn is_dynamic(head: &[u8]) -> bool {
    let number = |at: usize, length: usize| -> Option<usize> {
        let bytes = head.get(at..at + length)?;
        Some(bytes.iter().rev().fold(0, |number, byte| (number << 8) | usize::from(*byte)))
    };
    let headers = || -> Option<bool> {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        Some((0..count).any(|index| number(start + index * size, 4) == Some(3)))
    };
    headers().unwrap_or(false)
}

/// Where `path` leads in an image, relative to it, with links followed as if the image were the root.
fn resolve(tree: &Path, path: &Path) -> Option<PathBuf> {
    let mut rest: Vec<PathBuf> = path.components().rev().map(|part| part.as_os_str().into()).collect();
    let mut found = PathBuf::new();
    let mut links = 0;
    while let Some(part) = rest.pop() {
        match part.components().next()? {
            Component::RootDir => found = PathBuf::new(),
            Component::ParentDir => drop(found.pop()),
            Component::Normal(name) => {
                let next = found.join(name);
                let metadata = fs::symlink_metadata(tree.join(&next)).ok()?;
                if metadata.is_symlink() {
                    links += 1;
                    if links > MOST_LINKS {
                        return None;
                    }
                    let target = fs::read_link(tree.join(&next)).ok()?;
                    rest.extend(target.components().rev().map(|part| PathBuf::from(part.as_os_str())));
                } else {
                    found = next;
                }
            }
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Some(found)
}

/// A path as one word of a shell command.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// The order as it reads without namespaces: paths are the host's, programs are starters.
pub(crate) fn rewrite(spec: &Spec, notes: &mut Vec<String>) -> Result<Spec, Failure> {
    let home = spec.merged.as_deref().expect("the caller has made it for this method");
    let scratch = spec.scratch.as_deref();
    let mut spec = Spec { merged: None, scratch: None, container: spec.container.clone(), ..*spec };
    let container = &mut spec.container;
    if !container.network {
        let act = "cut the network off for a plain process";
        return Err(Failure::new(FailureKind::NotWithoutNamespaces, act, &"it has none of its own"));
    }
    if container.mounts.iter().any(|mount| mount.read_only) {
        notes.push("read-only mounts can be written to".to_owned());
    }
    let mut mounts = std::mem::take(&mut container.mounts);
    for (number, mount) in mounts.iter_mut().enumerate().filter(|(_, mount)| is_renamed(mount)) {
        let scratch = scratch.expect("the caller has made it for such mounts").join(number.to_string());
        let link = scratch.join(mount.guest.file_name().unwrap_or_default());
        fs::create_dir_all(&scratch)
            .and_then(|()| symlink(&mount.host, &link))
            .map_err(Failure::setup(format!("show `{}`", mount.guest.display())))?;
        mount.host = link;
    }
    let outside = |path: &str| on_host(&mounts, Path::new(path)).map(|path| path.display().to_string());
    let translate = |word: &mut String| {
        if let Some(path) = outside(word) {
            *word = path;
        } else if let Some((option, path)) = word.split_once('=').and_then(|(o, p)| Some((o, outside(p)?))) {
            *word = format!("{option}={path}");
        }
    };
    if let Some(command) = container.plain_command.take() {
        container.command = command;
    }
    container.command.iter_mut().for_each(translate);
    container.env.iter_mut().for_each(|(_, value)| translate(value));
    container.cwd = match outside(&container.cwd.display().to_string()) {
        Some(path) => path.into(),
        None => resolve(home, &container.cwd).map_or(container.cwd.clone(), |path| home.join(path)),
    };

    let bin = home.join(OWN).join("bin");
    let program = Path::new(&container.command[0]);
    if program.is_absolute() && resolve(home, program).is_some() {
        let starter = program.file_name().map(|name| bin.join(name)).filter(|starter| starter.exists());
        container.command[0] = starter.unwrap_or_else(|| program.to_owned()).display().to_string();
    }
    let host_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    container.env.retain(|(name, _)| name != "PATH");
    container.env.push(("PATH".to_owned(), format!("{}:{host_path}", bin.display())));
    let certificates = home.join("etc/ssl/certs/ca-certificates.crt");
    if certificates.exists() && !container.env.iter().any(|(name, _)| name == "SSL_CERT_FILE") {
        container.env.push(("SSL_CERT_FILE".to_owned(), certificates.display().to_string()));
    }
    Ok(spec)
}

/// Whether a mount gives a file another name.
fn is_renamed(mount: &Mount) -> bool {
    mount.host.file_name() != mount.guest.file_name() && mount.host.is_file()
}

/// Whether any mount does: they need a folder for it.
pub(crate) fn renames(mounts: &[Mount]) -> bool {
    mounts.iter().any(is_renamed)
}

/// Where a path inside is on the host, if a mount shows it.
fn on_host(mounts: &[Mount], path: &Path) -> Option<PathBuf> {
    let mount = mounts.iter().rev().find(|mount| path.starts_with(&mount.guest))?;
    let below = path.strip_prefix(&mount.guest).expect("it was just seen to start so");
    // Joining an empty path would add a slash.
    Some(if below == Path::new("") { mount.host.clone() } else { mount.host.join(below) })
}

/// Links in the place of mounts that lie in other mounts' folders, so that a path relative to the working folder leads where
/// it would lead inside. Taken away when dropped.
pub(crate) struct Links {
    /// Each link, and whether an empty folder was in its place.
    laid: Vec<(PathBuf, bool)>,
}

impl Links {
    /// Lays what can be laid: nothing of the host's is hidden or removed but an empty folder.
    pub fn lay(mounts: &[Mount], notes: &mut Vec<String>) -> Self {
        let mut laid = Vec::new();
        for (number, mount) in mounts.iter().enumerate() {
            let Some(place) = on_host(&mounts[..number], &mount.guest) else { continue };
            if fs::canonicalize(&place).is_ok_and(|there| fs::canonicalize(&mount.host).ok() == Some(there)) {
                continue;
            }
            let was_folder = fs::remove_dir(&place).is_ok();
            match symlink(&mount.host, &place) {
                Ok(()) => laid.push((place, was_folder)),
                Err(error) => notes.push(format!(
                    "`{}` is not where the command may look for it, `{}`: {error}",
                    mount.host.display(),
                    place.display()
                )),
            }
        }
        Self { laid }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for (place, was_folder) in self.laid.iter().rev() {
            if fs::remove_file(place).is_ok() && *was_folder {
                let _ = fs::create_dir(place);
            }
        }
    }
}

/// Kills what the command left behind. It all has become ours, because we adopt orphans.
pub(crate) fn kill_orphans() {
    let children = format!("/proc/self/task/{}/children", getpid());
    loop {
        let pids = fs::read_to_string(&children).unwrap_or_default();
        for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        // The orphans of the killed become ours in turn.
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(_) => return,
            Ok(WaitStatus::StillAlive) => std::thread::sleep(std::time::Duration::from_millis(1)),
            Ok(_) => {}
        }
    }
}
