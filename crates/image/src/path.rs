//! Names that archives give their members, and paths in an image.

/// No path has more parts: each may have to be kept, with all before it.
const DEEPEST: usize = 128;

/// Why a name cannot be a path inside an image.
pub fn problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.contains('\0') {
        Some("has a NUL in it")
    } else if name.starts_with('/') {
        Some("is absolute")
    } else if name.split('/').any(|part| part == "..") {
        Some("climbs out of its folder with `..`")
    } else if name.split('/').any(|part| part.is_empty() || part == ".") {
        Some("is not in normal form")
    } else if name.chars().any(char::is_control) {
        Some("has a control character in it")
    } else if name.len() > 4095 || name.split('/').any(|part| part.len() > 255) {
        Some("is too long for a file system")
    } else if name.split('/').count() > DEEPEST {
        Some("has more than 128 parts")
    } else {
        None
    }
}

/// The folders above `path`, outermost first.
pub fn parents(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// The last part of `path`.
pub fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::{parents, problem};

    #[test]
    fn only_plain_relative_names_pass() {
        for name in ["a", "a/b", "a b/ü", "..a/b..", ".hidden", "dev-disk\\x2dby.device"] {
            assert_eq!(problem(name), None, "{name}");
        }
        let (long, deep) = ("x".repeat(256), "x/".repeat(128) + "x");
        assert_eq!(problem(&deep[2..]), None);
        for name in ["", "/a", "a/../b", "..", "a/..", "a//b", "./a", "a/", "a\0b", "a\nb", &long, &deep] {
            assert!(problem(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn parents_come_outermost_first() {
        assert_eq!(parents("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(parents("a").count(), 0);
    }
}
