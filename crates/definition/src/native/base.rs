//! What the image stands on: `base`, `image`, `os_type`.

use super::Reader;
use crate::document::Fields;
use crate::secrets::shown;
use crate::suggest::nearest;
use crate::{Base, Diagnostic, Suite, codes};

impl<'s> Reader<'s> {
    pub(super) fn base(&mut self, fields: &mut Fields<'s>) -> Base {
        let (image, image_place) = self.text(fields, "image");
        let (base, base_place) = self.text(fields, "base");
        match (image, base, base_place) {
            (None, None, _) => Base::default(),
            (Some(reference), None, _) if is_reference(&reference) => {
                self.origins.base = image_place;
                Base::Image { reference }
            }
            (Some(_), None, _) => {
                let message = "`image` must be the reference of an image, such as `python:3.12-slim`";
                self.diagnostics
                    .extend(image_place.map(|at| Diagnostic::new(codes::INVALID_VALUE, message).at(at)));
                Base::default()
            }
            (None, Some(text), Some(place)) => parse_base(&text).unwrap_or_else(|message| {
                let hint = "write `debian`, or `debian/` and the code name of a suite, or name an `image`";
                self.diagnostics
                    .push(Diagnostic::new(codes::INVALID_VALUE, message).with_hint(hint).at(place));
                Base::default()
            }),
            (_, _, place) => {
                let message = "`base` and `image` exclude each other: an image stands on one thing";
                let diagnostic =
                    Diagnostic::new(codes::CONFLICTING_KEYS, message).with_hint("keep one of them");
                self.diagnostics.extend(place.map(|place| diagnostic.at(place)));
                Base::default()
            }
        }
    }

    pub(super) fn os_type(&mut self, fields: &mut Fields<'s>) {
        let Some(node) = fields.node("os_type") else { return };
        match node.text().map(str::to_ascii_lowercase).as_deref() {
            Some("linux") => {}
            Some("windows") => {
                self.report(codes::NOT_SUPPORTED, node, "only Linux images can be made".to_owned(), None);
            }
            _ => self.report(codes::INVALID_VALUE, node, "`os_type` must be `linux`".to_owned(), None),
        }
    }
}

/// Whether a text can be the reference of an image: what exactly it may hold is the registry client's to say.
fn is_reference(text: &str) -> bool {
    !text.is_empty()
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:@+".contains(c))
}

/// `debian`, `debian/bookworm` or `debian:bookworm`.
fn parse_base(text: &str) -> Result<Base, String> {
    let (name, suite) = match text.split_once(['/', ':']) {
        Some((name, suite)) => (name, Some(suite)),
        None => (text, None),
    };
    if name != "debian" {
        let suggestion =
            nearest(name, ["debian"]).map_or(String::new(), |known| format!(", did you mean `{known}`?"));
        return Err(format!("`{}` is not a base{suggestion}", shown(text)));
    }
    match suite {
        None => Ok(Base::Debian { suite: None }),
        Some(suite)
            if suite.starts_with(|c: char| c.is_ascii_lowercase())
                && suite
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c)) =>
        {
            Ok(Base::Debian { suite: Some(Suite(suite.to_owned())) })
        }
        Some(suite) => Err(format!("`{}` is not the code name of a Debian suite", shown(suite))),
    }
}
