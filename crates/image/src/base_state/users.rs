//! The user database, from the master lists of `base-passwd`, and the list of login shells.

use std::fmt::Write as _;

use crate::entry::Entry;

use super::State;

/// Group `shadow` as `base-passwd` numbers it, for ever.
const SHADOW: u32 = 42;
/// The day passwords were last changed: 1980-01-01 in days since 1970, as all times in an image.
const LAST_CHANGE: u32 = 3652;

/// For a base without `base-passwd`: who owns files, and nobody.
const PASSWD: &str =
    "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:*:0:\nnogroup:*:65534:\n";

pub(super) fn fill(state: &mut State) {
    let master = |state: &State, name: &str, fallback: &str| {
        let bytes = state.contents(&format!("usr/share/base-passwd/{name}.master"));
        bytes.map_or_else(|| fallback.to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
    };
    let passwd = master(state, "passwd", PASSWD);
    let group = master(state, "group", GROUP);

    // As `shadowconfig on` leaves them: no password in the readable files, none that works in the others.
    state.file("etc/passwd", with_password_elsewhere(&passwd));
    state.file("etc/group", with_password_elsewhere(&group));
    let mut shadow = String::new();
    for name in names(&passwd) {
        let _ = writeln!(shadow, "{name}:*:{LAST_CHANGE}:0:99999:7:::");
    }
    let mut gshadow = String::new();
    for name in names(&group) {
        let _ = writeln!(gshadow, "{name}:*::");
    }
    for (path, text) in [("etc/shadow", shadow), ("etc/gshadow", gshadow)] {
        state.add(Entry { gid: SHADOW, ..Entry::file(path, 0o640, text) });
    }
    shells(state);
}

/// The names in a file of colon-separated records.
fn names(records: &str) -> impl Iterator<Item = &str> {
    records.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name)
}

/// The records with `x` for a password.
fn with_password_elsewhere(records: &str) -> String {
    let mut text = String::new();
    for line in records.lines() {
        match line.splitn(3, ':').collect::<Vec<_>>()[..] {
            [name, _, rest] => text.extend([name, ":x:", rest, "\n"]),
            _ => text.extend([line, "\n"]),
        }
    }
    text
}

fn shells(state: &mut State) {
    let mut text = String::from("# /etc/shells: valid login shells\n/bin/sh\n/usr/bin/sh\n");
    for shell in ["bash", "rbash", "dash"] {
        if state.shipped.contains(format!("usr/bin/{shell}").as_str()) {
            let _ = writeln!(text, "/bin/{shell}\n/usr/bin/{shell}");
        }
    }
    state.file("etc/shells", text);
}
