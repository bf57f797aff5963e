//! The last steps before the command: what it may do, where it is, and where it is found.

use std::ffi::{CStr, CString};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{AccessFlags, Pid, access, chdir, execve, getpid, setpgid, setsid, tcsetpgrp};

use crate::limits::Fallbacks;
use crate::protocol::{Failure, FailureKind, Method, Spec};
use crate::syscalls;

/// Where programs are looked for if `PATH` is not among the variables.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Linux capabilities the command keeps, by number: what installing files and changing users takes. All are confined to the
/// container's own users, where it has a namespace for them.
const KEPT_CAPABILITIES: [u64; 12] = [
    0,  // CAP_CHOWN
    1,  // CAP_DAC_OVERRIDE
    3,  // CAP_FOWNER
    4,  // CAP_FSETID
    5,  // CAP_KILL
    6,  // CAP_SETGID
    7,  // CAP_SETUID
    8,  // CAP_SETPCAP
    10, // CAP_NET_BIND_SERVICE
    18, // CAP_SYS_CHROOT
    29, // CAP_AUDIT_WRITE
    31, // CAP_SETFCAP
];

/// Takes away every capability the command has no use for. For namespaces only: a plain process keeps what the caller has.
pub(crate) fn drop_capabilities() -> Result<(), Failure> {
    for number in (0..64).filter(|number| !KEPT_CAPABILITIES.contains(number)) {
        match syscalls::drop_capability(number) {
            // The kernel knows no higher ones.
            Err(Errno::EINVAL) => break,
            // Only a user who is not root even here lacks the right, and has nothing to lose.
            Err(Errno::EPERM) | Ok(()) => {}
            Err(error) => return Err(Failure::setup("drop capabilities")(error)),
        }
    }
    Ok(())
}

/// Becomes the command. Returns only if it cannot.
pub(crate) fn exec(spec: &Spec, fallbacks: &Fallbacks) -> Failure {
    match prepare(spec, fallbacks) {
        Err(failure) => failure,
        Ok(()) if spec.probe => std::process::exit(0),
        Ok(()) => exec_command(&spec.container.command, &spec.container.env),
    }
}

fn prepare(spec: &Spec, fallbacks: &Fallbacks) -> Result<(), Failure> {
    let cwd = &spec.container.cwd;
    chdir(cwd).map_err(|error| {
        Failure::new(FailureKind::WorkingFolder, cwd.display().to_string(), &error.desc())
    })?;
    // What signals its group reaches nobody outside. At a terminal its group is the one that is typed to, as a shell
    // does it for what it starts; and shells here need a group that has a number inside.
    if spec.terminal {
        let this = Pid::from_raw(0);
        let _ = setpgid(this, this).and_then(|()| tcsetpgrp(std::io::stdin(), getpid()));
    } else {
        let _ = setsid();
    }
    fallbacks.apply().map_err(Failure::setup("set limits"))?;
    // An ordinary user's engine maps users by programs that have that right (newuidmap).
    if !matches!(spec.method, Method::Host { .. }) {
        prctl::set_no_new_privs().map_err(Failure::setup("forbid new privileges"))?;
    }
    let _ = syscalls::close_all_on_exec();
    // Rust programs ignore it, and ignoring is inherited.
    syscalls::default_action(Signal::SIGPIPE).map_err(Failure::setup("reset signals"))?;
    SigSet::empty().thread_set_mask().map_err(Failure::setup("reset signals"))
}

fn exec_command(command: &[String], env: &[(String, String)]) -> Failure {
    let text = |text: &str| CString::new(text).expect("texts with NUL are refused early");
    let arguments: Vec<CString> = command.iter().map(|argument| text(argument)).collect();
    let variables: Vec<CString> = env.iter().map(|(name, value)| text(&format!("{name}={value}"))).collect();
    let program = &command[0];
    if program.contains('/') {
        return failure(program, attempt(&text(program), &arguments, &variables));
    }
    let path = env.iter().rev().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path);
    let mut seen = None;
    for folder in path.split(':').filter(|folder| !folder.is_empty()) {
        let candidate = format!("{folder}/{program}");
        match attempt(&text(&candidate), &arguments, &variables) {
            Errno::ENOENT | Errno::ENOTDIR if !Path::new(&candidate).exists() => {}
            // A later folder may have a better one.
            Errno::EACCES => seen = seen.or(Some((candidate, Errno::EACCES))),
            error => return failure(&candidate, error),
        }
    }
    match seen {
        Some((candidate, error)) => failure(&candidate, error),
        None => Failure::new(FailureKind::CommandNotFound, "", &format!("it is in none of `{path}`")),
    }
}

fn attempt(program: &CStr, arguments: &[CString], variables: &[CString]) -> Errno {
    let Err(error) = execve(program, arguments, variables);
    error
}

fn failure(program: &str, error: Errno) -> Failure {
    let reason = match error {
        Errno::ENOENT if Path::new(program).exists() => {
            format!("the interpreter or loader that `{program}` names does not exist in the image")
        }
        Errno::ENOENT | Errno::ENOTDIR => {
            return Failure::new(FailureKind::CommandNotFound, "", &format!("no file `{program}`"));
        }
        Errno::ENOEXEC => format!("`{program}` is neither a program for this machine nor a script"),
        Errno::EACCES if access(program, AccessFlags::X_OK).is_err() => {
            format!("`{program}` is not marked executable")
        }
        error => format!("`{program}`: {}", error.desc()),
    };
    Failure::new(FailureKind::CommandNotExecutable, "", &reason)
}
