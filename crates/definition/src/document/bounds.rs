//! Version bounds that YAML takes for something else.

/// Of a line such as `python: >=3.8` or `- >1.2` that YAML cannot read, where the bound begins and ends (bytes): `>` begins
/// a folded text and `!` a tag, so a bound has to be quoted.
pub(crate) fn unquoted_bound(line: &str) -> Option<std::ops::Range<usize>> {
    let start = [": ", "- "].iter().filter_map(|mark| line.find(mark).map(|at| at + mark.len())).max()?;
    let start = start + (line[start..].len() - line[start..].trim_start().len());
    let value = &line[start..];
    let end = value.find(" #").unwrap_or(value.len());
    let value = value[..end].trim_end();
    let version = value.trim_start_matches(['>', '!', '=']);
    let is_bound = value.starts_with(['>', '!'])
        && version.trim_start().starts_with(|c: char| c.is_ascii_digit())
        && !value.contains(['"', '\\'])
        && (value.starts_with(">=") || value.starts_with("!=") || value.contains('.'));
    is_bound.then(|| start..start + value.len())
}

#[cfg(test)]
mod tests {
    use super::unquoted_bound;

    #[test]
    fn bounds_are_told_from_folded_texts() {
        for (line, expected) in [
            ("python: >=3.8", Some(">=3.8")),
            ("  - >1.2,<2  # why", Some(">1.2,<2")),
            ("x: !=1", Some("!=1")),
            ("text: >", None),
            ("text: >-", None),
            ("text: >2", None),
            ("- numpy >1.2", None),
            ("x: \">=1\"", None),
        ] {
            assert_eq!(unquoted_bound(line).map(|range| &line[range]), expected, "{line}");
        }
    }
}
