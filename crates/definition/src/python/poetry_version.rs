//! Poetry's version constraints as PEP 440 writes them ("Dependency specification" in poetry's documentation).

use pep440_rs::Version;

/// Bounds that hold together, e.g. `>=1.2`, `<2.0`; empty where every version will do.
type Bounds = Vec<String>;

/// Reads `^1.2`, `~1.2`, `1.*`, `>=1,<2`, `1.2.3`, and alternatives of these between `||`.
pub(super) fn alternatives(text: &str) -> Result<Vec<Bounds>, String> {
    text.split("||").flat_map(|part| part.split('|')).filter(|part| !part.is_empty()).map(bounds).collect()
}

/// One alternative: bounds between commas or spaces.
fn bounds(text: &str) -> Result<Bounds, String> {
    let mut found = Vec::new();
    let mut operator = "";
    for word in text.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        // `>= 1.2` has a space in it.
        if word.chars().all(|c| "<>=!~^".contains(c)) {
            if !operator.is_empty() {
                return Err(format!("`{operator}` has no version"));
            }
            operator = word;
            continue;
        }
        found.extend(bound(&format!("{operator}{word}"))?);
        operator = "";
    }
    match operator {
        "" => Ok(found),
        operator => Err(format!("`{operator}` has no version")),
    }
}

fn bound(word: &str) -> Result<Bounds, String> {
    let at = word.find(|c: char| !"<>=!~^".contains(c)).unwrap_or(word.len());
    let (operator, version) = word.split_at(at);
    let version = version.strip_prefix('v').unwrap_or(version);
    if version == "*" && matches!(operator, "" | "==" | "=") {
        return Ok(Vec::new());
    }
    let starred = version.strip_suffix(".*").or_else(|| version.strip_suffix(".x"));
    let parsed: Version =
        starred.unwrap_or(version).parse().map_err(|_| format!("`{version}` is not a version"))?;
    match (operator, starred) {
        ("" | "=" | "==" | "===", Some(prefix)) => Ok(vec![format!("=={prefix}.*")]),
        ("!=", Some(prefix)) => Ok(vec![format!("!={prefix}.*")]),
        ("" | "=", None) => Ok(vec![format!("=={parsed}")]),
        ("^", None) => Ok(between(&parsed, &caret(parsed.release()))),
        ("~", None) => {
            let keep = parsed.release().len().min(2);
            Ok(between(&parsed, &next(parsed.release(), keep - 1)))
        }
        ("==" | "===" | "!=" | ">=" | "<=" | ">" | "<", None) => Ok(vec![format!("{operator}{parsed}")]),
        ("~=", None) if parsed.release().len() > 1 => Ok(vec![format!("~={parsed}")]),
        _ => Err(format!("`{word}` is not a version constraint")),
    }
}

fn between(from: &Version, below: &str) -> Bounds {
    vec![format!(">={from}"), format!("<{below}")]
}

/// The first number that is not zero may not change.
fn caret(release: &[u64]) -> String {
    let fixed = release.iter().position(|number| *number != 0).unwrap_or(release.len() - 1);
    next(release, fixed)
}

/// The release after all that begin with the first `fixed + 1` numbers, in as many numbers as `release` has.
fn next(release: &[u64], fixed: usize) -> String {
    let numbers = release.iter().enumerate().map(|(at, number)| match at.cmp(&fixed) {
        std::cmp::Ordering::Less => *number,
        std::cmp::Ordering::Equal => number.saturating_add(1),
        std::cmp::Ordering::Greater => 0,
    });
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_become_bounds() {
        for (given, bounds) in [
            ("^1.2.3", ">=1.2.3,<2.0.0"),
            ("^1.2", ">=1.2,<2.0"),
            ("^1", ">=1,<2"),
            ("^0.2.3", ">=0.2.3,<0.3.0"),
            ("^0.0.3", ">=0.0.3,<0.0.4"),
            ("^0.0", ">=0.0,<0.1"),
            ("^0", ">=0,<1"),
            ("~1.2.3", ">=1.2.3,<1.3.0"),
            ("~1.2", ">=1.2,<1.3"),
            ("~1", ">=1,<2"),
            ("*", ""),
            ("1.*", "==1.*"),
            ("1.2.*", "==1.2.*"),
            (">= 1.2", ">=1.2"),
            (">= 1.2, < 1.5", ">=1.2,<1.5"),
            (">=1.2 <1.5", ">=1.2,<1.5"),
            ("1.2.3", "==1.2.3"),
            ("==1.2.3", "==1.2.3"),
            ("!=1.5", "!=1.5"),
            ("~=1.2", "~=1.2"),
            ("^1.0a1", ">=1.0a1,<2.0"),
            ("^1 || ^3", ">=1,<2|>=3,<4"),
            ("", ""),
            ("one", "!"),
            (">=", "!"),
            ("~=1", "!"),
            ("^1.*", "!"),
            ("<>1", "!"),
            ("1 - 2", "!"),
        ] {
            let found = alternatives(given).map_or("!".to_owned(), |all| {
                all.iter().map(|bounds| bounds.join(",")).collect::<Vec<_>>().join("|")
            });
            assert_eq!(found, bounds, "{given}");
        }
    }
}
