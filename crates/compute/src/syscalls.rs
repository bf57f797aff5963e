//! The few system calls that `nix` has no safe function for, each in the smallest wrapper.
#![allow(unsafe_code)] // Raw system calls; each function says why it is sound.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, Pid};

/// Forks. Only for the helper, which has a single thread.
pub(crate) fn fork() -> nix::Result<ForkResult> {
    // SAFETY: no other thread can hold a lock that the child would wait for, because there is none.
    unsafe { nix::unistd::fork() }
}

/// Takes the file descriptor that a message brought.
pub(crate) fn received(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made it for this process, and nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A descriptor that becomes readable when the process has ended; needs Linux 5.3.
pub(crate) fn pidfd_open(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = Errno::result(fd)?;
    Ok(received(RawFd::try_from(fd).expect("a descriptor is a small number")))
}

/// Makes every descriptor from 3 on close at exec; needs Linux 5.11.
pub(crate) fn close_all_on_exec() -> nix::Result<()> {
    // SAFETY: closes nothing now, so no owner loses a descriptor.
    let result = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// Sets attributes (`MOUNT_ATTR_*`) on a mount and all mounts below it; needs Linux 5.12.
pub(crate) fn set_mount_attributes(path: &Path, attributes: u64) -> nix::Result<()> {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Errno::EINVAL)?;
    let attr = libc::mount_attr { attr_set: attributes, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: the path ends in NUL and the structure is as long as is said; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(result).map(drop)
}

/// Takes a capability from the bounding set, for this process and all it starts.
pub(crate) fn drop_capability(number: u64) -> nix::Result<()> {
    // SAFETY: takes numbers only.
    let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
    Errno::result(result).map(drop)
}

/// Gives a signal its default action.
pub(crate) fn default_action(number: Signal) -> nix::Result<()> {
    // SAFETY: no handler is installed, only taken away.
    unsafe { signal(number, SigHandler::SigDfl) }.map(drop)
}

/// Brings a network device up.
pub(crate) fn device_up(socket: BorrowedFd, name: &str) -> nix::Result<()> {
    // SAFETY: an all-zero request is valid; the name is shorter than its field, which stays NUL-terminated.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    assert!(name.len() < request.ifr_name.len(), "device names are short");
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).expect("a small constant");
    // SAFETY: the request is of the type this call reads, and outlives it.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    Errno::result(result).map(drop)
}

/// Reads an extended attribute of a file itself (links are not followed); `None` where there is none.
pub(crate) fn extended_attribute(path: &Path, name: &std::ffi::CStr) -> Option<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).ok()?;
    let mut value = vec![0_u8; 64];
    // SAFETY: both strings end in NUL, and no more than the vector's length is written.
    let length =
        unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(length).ok()?);
    Some(value)
}
