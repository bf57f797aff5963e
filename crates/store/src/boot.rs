//! Which boot of the machine this is: what the page cache still holds is whole until the next one.

/// The kernel's random id of this boot; `None` where it tells none.
pub(crate) fn id() -> Option<String> {
    let id = fs_err::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}
