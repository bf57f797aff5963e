//! What packages say of themselves, as one workspace tells another beside an image whose bytes need not come along.

use provenv_definition::Digest;

use super::{About, FORMAT, Known, LicenseName, Part};

/// Media type of what is told: a JSON object of descriptions by the digests of artifacts.
pub const ABOUTS_TYPE: &str = "application/vnd.provenv.abouts.v1+json";
/// No image's packages say more; that of a whole desktop is a tenth of it.
pub const MOST_TOLD: u64 = 16 << 20;
/// No field is longer: those that were read here are far shorter, but for paths.
const LONGEST_FIELD: usize = 4096;

/// What is told of the packages with these artifacts; nothing where it is more than anybody takes.
pub fn tell(known: &Known, artifacts: &[Digest]) -> Option<Vec<u8>> {
    let own = |digest: &Digest| Some((*digest, About { told: false, ..known.get(digest)?.clone() }));
    let told: Known = artifacts.iter().filter_map(own).collect();
    let bytes = serde_json::to_vec(&told).expect("it is plain data");
    (!told.is_empty() && bytes.len() as u64 <= MOST_TOLD).then_some(bytes)
}

/// Reads what somebody told of the packages with these artifacts; what is told of others is left out. The error says what is
/// wrong with it.
pub fn parse_told(bytes: &[u8], artifacts: &[Digest]) -> Result<Known, String> {
    if bytes.len() as u64 > MOST_TOLD {
        return Err(format!("it is larger than {} MiB", MOST_TOLD >> 20));
    }
    let mut known: Known = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    known.retain(|digest, about| about.format == FORMAT && artifacts.contains(digest));
    for (digest, about) in &mut known {
        about.told = true;
        if let Some(text) = texts(about).find(|text| !is_a_field(text)) {
            let beginning: String = text.chars().take(40).collect();
            return Err(format!(
                "`{}…` of {digest} is nothing that a package says",
                beginning.escape_debug()
            ));
        }
    }
    Ok(known)
}

/// Whether a text can be shown on a line, as all are that are read here.
fn is_a_field(text: &str) -> bool {
    text.len() <= LONGEST_FIELD && !text.chars().any(char::is_control)
}

fn texts(about: &About) -> impl Iterator<Item = &str> {
    let About {
        format: _,
        told: _,
        licenses,
        copyright_of,
        maker,
        homepage,
        summary,
        source,
        system,
        needs,
        provides,
        parts,
    } = about;
    let pairs = [source, system].into_iter().flatten().flat_map(|(one, other)| [one, other]);
    let lines = [copyright_of, maker, homepage, summary].into_iter().flatten();
    let all = pairs.chain(lines).chain(needs).chain(provides).map(String::as_str);
    all.chain(licenses.iter().map(license)).chain(parts.iter().flat_map(texts_of_part))
}

fn texts_of_part(part: &Part) -> impl Iterator<Item = &str> {
    let Part {
        kind: _,
        name,
        version,
        path,
        licenses,
        needs,
        summary,
        homepage,
        maker,
        source,
        architecture,
    } = part;
    let lines = [summary, homepage, maker, architecture].into_iter().flatten();
    let pair = source.iter().flat_map(|(one, other)| [one, other]);
    let all = [name, version, path].into_iter().chain(lines).chain(pair).chain(needs).map(String::as_str);
    all.chain(licenses.iter().map(license))
}

fn license(name: &LicenseName) -> &str {
    match name {
        LicenseName::Expression(text)
        | LicenseName::Text(text)
        | LicenseName::Classifier(text)
        | LicenseName::Debian(text)
        | LicenseName::Common(text) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_of_the_packages_at_hand_and_can_be_shown() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let about = About {
            format: FORMAT,
            source: Some(("glibc".to_owned(), "2.36-9".to_owned())),
            ..About::default()
        };
        let known: Known = [(one, about.clone()), (other, about.clone())].into();
        let bytes = tell(&known, &[one, other]).unwrap();
        let taken = parse_told(&bytes, &[one]).unwrap();
        assert_eq!(taken, [(one, About { told: true, ..about.clone() })].into());
        // Told on, it is the same: a bill of materials is, whoever writes it.
        assert_eq!(tell(&taken, &[one]), tell(&known, &[one]));
        assert_eq!(tell(&Known::new(), &[one]), None);
        for wrong in [
            About { maker: Some("\u{1b}[31mred".to_owned()), ..about.clone() },
            About { needs: vec!["x".repeat(LONGEST_FIELD + 1)], ..about.clone() },
            About { licenses: vec![LicenseName::Debian("a\nb".to_owned())], ..about.clone() },
        ] {
            let bytes = serde_json::to_vec(&Known::from([(one, wrong)])).unwrap();
            assert!(parse_told(&bytes, &[one]).is_err());
        }
        let newer = About { format: FORMAT + 1, ..about };
        let bytes = serde_json::to_vec(&Known::from([(one, newer)])).unwrap();
        assert_eq!(parse_told(&bytes, &[one]), Ok(Known::new()));
        assert!(parse_told(b"[]", &[one]).is_err());
    }
}
