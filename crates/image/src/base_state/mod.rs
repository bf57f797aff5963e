//! What a base needs beyond the files of its packages.

/// Whether the base state is made from the contents of the file at `path` (from the image's root, no leading slash).
pub fn wants(path: &str) -> bool {
    const FOLDERS: [&str; 6] = [
        "usr/share/ca-certificates/",
        "usr/share/base-passwd/",
        "usr/share/base-files/",
        "usr/share/libc-bin/",
        "usr/share/debianutils/",
        "etc/ld.so.conf.d/",
    ];
    const FILES: [&str; 3] = ["etc/ca-certificates.conf", "etc/ld.so.conf", "usr/share/readline/inputrc"];
    FILES.contains(&path) || FOLDERS.iter().any(|folder| path.starts_with(folder))
}
