//! The page on codes says what the table of codes says: what is in one and not in the other is a mistake.

use std::path::Path;

use provenv_definition::{Severity, codes};

/// `text` with every run of white space as one space, as the page breaks its lines where it likes.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_code_has_its_section_and_no_section_lacks_a_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/codes.md");
    let page = fs_err::read_to_string(path).unwrap();
    let sections: Vec<(&str, String)> = page
        .split("\n## ")
        .skip(1)
        .map(|section| section.split_once('\n').unwrap())
        .map(|(heading, text)| (heading.trim(), flat(text)))
        .collect();
    let expected: Vec<(String, String)> = codes::ALL
        .iter()
        .map(|code| {
            let severity = match code.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "info",
            };
            let text = format!("*{severity}: {}* {}", code.title, flat(code.explanation));
            (format!("{} {}", code.id, code.name), text)
        })
        .collect();
    for (heading, text) in &expected {
        let found = sections.iter().find(|(known, _)| known == heading);
        let (_, found) =
            found.unwrap_or_else(|| panic!("docs/reference/codes.md has no section `{heading}`"));
        assert!(found.starts_with(text.as_str()), "{heading}:\n  page: {found}\n  code: {text}");
    }
    let headings: Vec<&str> = sections.iter().map(|(heading, _)| *heading).collect();
    let expected: Vec<&str> = expected.iter().map(|(heading, _)| heading.as_str()).collect();
    assert_eq!(headings, expected, "the page has these sections, and the table these codes");
}
