//! `Name: value` with continuation lines: the form of Debian's control paragraphs and of Python's core metadata.

/// One paragraph. Names are compared without case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads up to the first empty line. What is no field is passed over.
    pub fn parse(text: &str) -> Self {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            // A line of spaces goes on.
            if line.trim_end_matches('\r').is_empty() {
                break;
            }
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push('\n');
                    value.push_str(line.trim());
                }
            } else if let Some((name, value)) = line.split_once(':') {
                fields.push((name.trim().to_owned(), value.trim().to_owned()));
            }
        }
        Self(fields)
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let named = self.0.iter().find(|(own, value)| own.eq_ignore_ascii_case(name) && !value.is_empty());
        named.map(|(_, value)| value.as_str())
    }

    /// Every value of that name.
    pub fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(own, _)| own.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn continued_and_repeated_fields_are_read_up_to_the_body() {
        let fields = Fields::parse(
            "Name: tea\nLicense: Some\n        \n        words\nClassifier: A\nclassifier: B\n: odd\nno field\n\nName: body\n",
        );
        assert_eq!(fields.get("name"), Some("tea"));
        assert_eq!(fields.get("License"), Some("Some\n\nwords"));
        assert_eq!(fields.all("Classifier").collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(fields.get("Summary"), None);
    }
}
