//! Package URLs (purl specification): how scanners and databases of vulnerabilities name a package.

use std::fmt::Write as _;

/// `pkg:type/namespace/name@version?key=value&…`; qualifiers are sorted by their keys, and empty ones left out.
pub(super) fn purl(
    kind: &str,
    namespace: Option<&str>,
    name: &str,
    version: &str,
    qualifiers: &[(&str, &str)],
) -> String {
    let mut text = format!("pkg:{kind}/");
    for segment in namespace.into_iter().flat_map(|namespace| namespace.split('/')) {
        encode(&mut text, segment);
        text.push('/');
    }
    encode(&mut text, name);
    if !version.is_empty() {
        text.push('@');
        encode(&mut text, version);
    }
    let mut qualifiers: Vec<_> = qualifiers.iter().filter(|(_, value)| !value.is_empty()).collect();
    qualifiers.sort_unstable();
    for (n, (key, value)) in qualifiers.into_iter().enumerate() {
        text.push(if n == 0 { '?' } else { '&' });
        text.extend([key, "="]);
        encode(&mut text, value);
    }
    text
}

/// All but letters, digits, `.-_~` and the colon is percent-encoded.
fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::purl;

    #[test]
    fn the_examples_of_the_specification_hold() {
        assert_eq!(
            purl("deb", Some("debian"), "curl", "7.50.3-1", &[("distro", "jessie"), ("arch", "i386")]),
            "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie"
        );
        let conda =
            [("build", "py36h06a4308_0"), ("channel", "main"), ("subdir", "linux-64"), ("type", "tar.bz2")];
        assert_eq!(
            purl("conda", None, "absl-py", "0.4.1", &conda),
            "pkg:conda/absl-py@0.4.1?build=py36h06a4308_0&channel=main&subdir=linux-64&type=tar.bz2"
        );
        assert_eq!(purl("pypi", None, "django", "1.11.1", &[("x", "")]), "pkg:pypi/django@1.11.1");
        assert_eq!(
            purl("npm", Some("@angular"), "animation", "12.3.1", &[]),
            "pkg:npm/%40angular/animation@12.3.1"
        );
        assert_eq!(
            purl("deb", Some("debian"), "libstdc++6", "1:12.2.0-14+deb12u1", &[]),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1"
        );
    }
}
