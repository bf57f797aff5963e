//! The skeleton of the file system and the small files of `/etc` that scripts copy into place.

use crate::entry::Entry;

use super::State;

/// Groups as `base-passwd` numbers them, for ever.
const MAIL: u32 = 8;
const UTMP: u32 = 43;

/// Whether `/name` is a link to `/usr/name` in every Debian since bullseye.
pub(super) fn is_merged(name: &str) -> bool {
    matches!(name, "bin" | "sbin" | "lib" | "lib32" | "lib64" | "libo32" | "libx32")
}

pub(super) fn fill(state: &mut State) {
    merge_usr(state);
    folders(state);
    defaults(state);
    time_zone(state);
    network(state);
    python(state);
}

/// Trixie's `base-files` ships these links; before that, `usrmerge` or debootstrap made them.
fn merge_usr(state: &mut State) {
    for name in ["bin", "sbin", "lib"] {
        state.link(name, &format!("usr/{name}"));
    }
    if state.shipped.iter().any(|path| path.starts_with("usr/lib64/")) {
        state.link("lib64", "usr/lib64");
    }
    if state.has("dash") && !state.shipped.contains("usr/bin/sh") {
        state.link("usr/bin/sh", "dash");
    }
}

fn folders(state: &mut State) {
    for path in ["dev", "proc", "sys", "run", "mnt", "srv", "opt", "media", "etc/opt", "var/opt", "home"] {
        state.directory(path, 0o755, 0);
    }
    for path in ["bin", "etc", "games", "include", "lib", "sbin", "share", "share/man", "src"] {
        state.directory(&format!("usr/local/{path}"), 0o755, 0);
    }
    // Said again although `base-files` ships them: this layer has entries below, and its word on the folder is the last.
    for (path, mode) in [("root", 0o700), ("tmp", 0o1777), ("var/tmp", 0o1777)] {
        state.force(Entry { mode, ..Entry::directory(path) });
    }
    state.link("usr/local/man", "share/man");
    state.directory("run/lock", 0o1777, 0);
    state.directory("var/mail", 0o2775, MAIL);
    state.link("var/spool/mail", "../mail");
    // Shipped as folders by some versions of `base-files`, whose script then turns them into links.
    state.force(Entry::symlink("var/run", "/run"));
    state.force(Entry::symlink("var/lock", "/run/lock"));
}

fn defaults(state: &mut State) {
    const COPIES: [(&str, &str); 6] = [
        ("usr/share/base-files/dot.profile", "root/.profile"),
        ("usr/share/base-files/dot.bashrc", "root/.bashrc"),
        ("usr/share/base-files/profile", "etc/profile"),
        ("usr/share/base-files/motd", "etc/motd"),
        ("usr/share/libc-bin/nsswitch.conf", "etc/nsswitch.conf"),
        ("usr/share/readline/inputrc", "etc/inputrc"),
    ];
    for (from, to) in COPIES {
        if let Some(bytes) = state.contents(from) {
            state.file(to, bytes);
        }
    }
    if state.shipped.contains("etc/dpkg/origins/debian") {
        state.link("etc/dpkg/origins/default", "debian");
    }
    if state.has("base-files") {
        for (name, mode) in [("wtmp", 0o664), ("btmp", 0o660), ("lastlog", 0o664)] {
            state.add(Entry { gid: UTMP, ..Entry::file(format!("var/log/{name}"), mode, "") });
        }
    }
}

fn time_zone(state: &mut State) {
    if state.has("tzdata") {
        state.link("etc/localtime", "/usr/share/zoneinfo/Etc/UTC");
        state.file("etc/timezone", "Etc/UTC\n");
    }
}

fn network(state: &mut State) {
    if state.has("netbase") {
        state.file(
            "etc/hosts",
            "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\nff02::1\t\tip6-allnodes\nff02::2\t\tip6-allrouters\n\n",
        );
        state.file("etc/networks", "default\t\t0.0.0.0\nloopback\t127.0.0.0\nlink-local\t169.254.0.0\n\n");
    }
}

fn python(state: &mut State) {
    if state.has("python3") {
        state.file(
            "etc/python3/debian_config",
            "[DEFAULT]\n# how to byte-compile (comma separated: standard, optimize)\nbyte-compile = standard\n",
        );
    }
    let minors: Vec<String> = state
        .debs
        .iter()
        .filter_map(|(package, _)| package.name.strip_suffix("-minimal"))
        .filter(|name| name.starts_with("python3."))
        .map(str::to_owned)
        .collect();
    for python in minors {
        state.directory(&format!("usr/local/lib/{python}/dist-packages"), 0o755, 0);
    }
}
