//! What texts may hold. PostgreSQL keeps no U+0000, and what one catalogue has must fit into another.

/// Whether a text in this JSON holds U+0000, which is always written as an escape there.
pub fn has_nul(json: &[u8]) -> bool {
    let mut bytes = json.iter();
    while bytes.any(|byte| *byte == b'\\') {
        if bytes.next() == Some(&b'u') && bytes.as_slice().starts_with(b"0000") {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::has_nul;

    #[test]
    fn an_escape_is_told_from_what_looks_like_one() {
        for (text, found) in [
            ("a\0b", true),
            ("\0", true),
            ("\\\0", true),
            ("\\u0000", false),
            ("\u{1}\"u0000", false),
            ("plain", false),
        ] {
            let json = serde_json::json!({ "key": [text] }).to_string();
            assert_eq!(has_nul(json.as_bytes()), found, "{json}");
            let json = serde_json::json!({ (text): 1 }).to_string();
            assert_eq!(has_nul(json.as_bytes()), found, "{json}");
        }
    }
}
