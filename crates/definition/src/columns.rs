//! Characters counted in a text without reading it from its beginning: a place in a line of a megabyte costs no more
//! than one in a short line.

/// Bytes between two counts.
const STEP: usize = 1 << 10;

/// How many characters stand before every so many bytes of a text.
#[derive(Clone, Debug)]
pub(crate) struct Columns(Vec<usize>);

impl Columns {
    pub fn new(text: &str) -> Self {
        let mut counts = Vec::with_capacity(text.len() / STEP + 1);
        let (mut count, mut from) = (0, 0);
        for at in (0..=text.len()).step_by(STEP) {
            let at = text.floor_char_boundary(at);
            count += text[from..at].chars().count();
            from = at;
            counts.push(count);
        }
        Self(counts)
    }

    /// The characters before the byte `offset`, where one begins, of the `text` that this was made of.
    pub fn before(&self, text: &str, offset: usize) -> usize {
        let step = offset / STEP;
        self.0[step] + text[text.floor_char_boundary(step * STEP)..offset].chars().count()
    }

    /// The byte where character `number` begins, from 0; `None` beyond the end, where one more could begin.
    pub fn offset(&self, text: &str, number: usize) -> Option<usize> {
        let step = self.0.partition_point(|count| *count <= number).saturating_sub(1);
        let from = text.floor_char_boundary(step * STEP);
        let rest = &text[from..];
        let mut offsets = rest.char_indices().map(|(offset, _)| offset).chain([rest.len()]);
        offsets.nth(number - self.0[step]).map(|offset| from + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_from_the_middle_is_counting_from_the_beginning() {
        for text in [String::new(), "aé\u{1F600}".repeat(1000), "a".repeat(STEP * 2), "é".repeat(STEP)] {
            let columns = Columns::new(&text);
            let offsets: Vec<usize> =
                text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
            for (number, offset) in offsets.iter().enumerate() {
                assert_eq!(columns.before(&text, *offset), number);
                assert_eq!(columns.offset(&text, number), Some(*offset));
            }
            assert_eq!(columns.offset(&text, offsets.len()), None);
        }
    }
}
