//! "did you mean".

/// The nearest of `known` to `given`, if it is near enough to be a slip of the fingers.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given: Vec<char> = given.to_lowercase().chars().take(64).collect();
    let limit = 1 + given.len() / 4;
    known
        .into_iter()
        .map(|candidate| (distance(&given, &candidate.chars().collect::<Vec<_>>()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words, a swap of neighbours counting as one (optimal string alignment).
pub(crate) fn distance(left: &[char], right: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let substitution = last[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = substitution.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["name", "system_packages", "python", "pip"];
        assert_eq!(nearest("pyhton", known), Some("python"));
        assert_eq!(nearest("system-package", known), Some("system_packages"));
        assert_eq!(nearest("nmae", known), Some("name"));
        assert_eq!(nearest("channels", known), None);
    }
}
