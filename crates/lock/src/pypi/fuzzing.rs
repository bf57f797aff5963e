//! Ways in for `fuzz/`: what must hold of any text that a package or uv writes.

use super::metadata::Metadata;
use super::pylock::Pylock;
use super::tags::WheelName;

/// A package's `METADATA`.
pub fn metadata(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        let _ = Metadata::parse("package", text);
    }
}

/// uv's lock: what was read reads back as it is written.
pub fn pylock(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(lock) = Pylock::parse(text) else { return };
    let written = lock.to_text();
    let again = Pylock::parse(&written).unwrap_or_else(|error| panic!("{error}\n{written}"));
    assert_eq!(again.to_text(), written);
}

/// The file name of a wheel.
pub fn wheel_name(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        let _ = WheelName::parse(text);
    }
}
