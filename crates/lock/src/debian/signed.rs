//! Texts that are signed, apart from who may sign: OpenPGP's cleartext messages and detached signatures.

use pgp::composed::{Deserializable as _, DetachedSignature};
use pgp::packet::Signature;

use super::openpgp::SignatureError;

/// A text and the signatures that came with it.
pub(super) struct Signed {
    /// Nothing but what was signed.
    pub text: String,
    pub signatures: Vec<Signature>,
}

const HEADER: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";

/// Takes a cleartext-signed message apart (RFC 9580, section 7). The whole input must be the one message: text before,
/// between or after would be read by some and signed by none.
///
/// Not by rPGP's own reader: that searches the whole text again for each of its lines, 10 to 13 ms for a suite's
/// `InRelease` of 150 kB where this takes 0.5, and there are three of them in every resolution.
pub(super) fn read_cleartext(message: &str) -> Result<Signed, SignatureError> {
    let malformed = |reason: &str| SignatureError::Malformed(reason.to_owned());
    let mut lines = message.split_inclusive('\n');
    let mut next = || lines.next().map(|line| line.trim_end_matches(['\n', '\r', ' ', '\t']));
    if next() != Some(HEADER) {
        return Err(malformed("it does not begin as a signed message does"));
    }
    loop {
        match next() {
            Some("") => break,
            Some(line) if line.starts_with("Hash: ") => {}
            _ => return Err(malformed("its headers are not those of a signed message")),
        }
    }
    let mut text = String::with_capacity(message.len());
    let mut length = None;
    let mut rest = lines;
    // The line end before the signature is no part of the text (section 7.1), so each is put before the next line.
    let mut first = true;
    for line in rest.by_ref() {
        let content = line.trim_end_matches(['\n', '\r', ' ', '\t']);
        if content == SIGNATURE {
            length = Some(line.as_ptr() as usize - message.as_ptr() as usize);
            break;
        }
        if !std::mem::take(&mut first) {
            text.push('\n');
        }
        match content.strip_prefix('-') {
            Some(escaped) => text.push_str(
                escaped.strip_prefix(' ').ok_or_else(|| malformed("a line begins with an unescaped dash"))?,
            ),
            None => text.push_str(content),
        }
    }
    let start = length.ok_or_else(|| malformed("it holds no signature"))?;
    Ok(Signed { text, signatures: read_detached(&message.as_bytes()[start..])? })
}

/// Reads a detached signature, binary or in armour: possibly several in one, possibly several armoured blocks.
pub(super) fn read_detached(bytes: &[u8]) -> Result<Vec<Signature>, SignatureError> {
    let malformed = |reason: &dyn ToString| SignatureError::Malformed(reason.to_string());
    let mut signatures = Vec::new();
    let mut keep = |parsed: pgp::errors::Result<DetachedSignature>| match parsed {
        Ok(parsed) => {
            signatures.push(parsed.signature);
            Ok(())
        }
        Err(error) => Err(malformed(&error)),
    };
    if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
        let text = str::from_utf8(bytes).map_err(|error| malformed(&error))?;
        let mut end = 0;
        for block in armoured_blocks(text) {
            end = block.as_ptr() as usize - text.as_ptr() as usize + block.len();
            let (parsed, _) =
                DetachedSignature::from_string_many(block).map_err(|error| malformed(&error))?;
            parsed.into_iter().try_for_each(&mut keep)?;
        }
        if !text[end..].trim().is_empty() {
            return Err(malformed(&"something stands after it"));
        }
    } else {
        let parsed = DetachedSignature::from_bytes_many(bytes).map_err(|error| malformed(&error))?;
        parsed.into_iter().try_for_each(&mut keep)?;
    }
    if signatures.is_empty() { Err(malformed(&"it holds no signature")) } else { Ok(signatures) }
}

/// The armoured blocks of `text`, each from its `BEGIN` line to its `END` line; what stands between is left out.
pub(super) fn armoured_blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find("-----BEGIN PGP ")?;
        let end = start + rest[start..].find("-----END PGP ")?;
        let end = rest[end..].find('\n').map_or(rest.len(), |line| end + line + 1);
        let block = &rest[start..end];
        rest = &rest[end..];
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use provenv_testing::debian::{Hash, Key};

    use super::super::openpgp::Keyring;
    use super::*;

    fn verify_with(keyring: &[u8], message: &str) -> Result<String, SignatureError> {
        let signed = read_cleartext(message)?;
        Keyring::parse(keyring).unwrap().verify(
            &signed.signatures,
            signed.text.as_bytes(),
            pgp::types::Timestamp::now(),
        )?;
        Ok(signed.text)
    }

    const TEXT: &str = "\n- dashed\n-----BEGIN\nblanks\n\nlast: line\n";

    #[test]
    fn a_good_message_gives_back_its_text_with_dashes_restored() {
        for key in [Key::generate(), Key::with_subkey()] {
            let message = key.sign_cleartext(TEXT, Hash::Sha256);
            let expected = Ok(TEXT.to_owned());
            assert_eq!(verify_with(&key.public(), &message), expected);
            assert_eq!(verify_with(key.armoured().as_bytes(), &message), expected);
            // The same that rPGP's own reader finds.
            let (theirs, _) = pgp::composed::CleartextSignedMessage::from_string(&message).unwrap();
            assert_eq!(theirs.signed_text().replace("\r\n", "\n"), TEXT);
            assert_eq!(verify_with(&key.public(), &message.replace('\n', "\r\n")), expected);
            // Blanks at the ends of lines are no part of what is signed (section 7.2).
            assert_eq!(verify_with(&key.public(), &message.replace("\nblanks\n", "\nblanks \t\n")), expected);
        }
    }

    #[test]
    fn what_stands_around_a_signed_message_is_refused() {
        let key = Key::generate();
        let message = key.sign_cleartext(TEXT, Hash::Sha256);
        let begin = "-----BEGIN PGP SIGNED MESSAGE-----";
        for changed in [
            format!("Origin: Evil\n{message}"),
            format!("{message}\nOrigin: Evil\n"),
            format!("\n{message}"),
            message.replace("Hash: ", "Comment: "),
            message.replace("Hash: SHA256\n", "Hash: SHA256\nOrigin: Evil\n"),
            message.replace("- - dashed", "-dashed"),
            message.replace("-----BEGIN PGP SIGNATURE-----", ""),
            message.replace(begin, &format!("{begin} ")).replace("\n\n", "\n"),
            String::new(),
        ] {
            assert!(verify_with(&key.public(), &changed).is_err(), "{changed}");
        }
    }
}
