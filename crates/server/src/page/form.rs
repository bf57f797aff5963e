//! Forms: what they carry, and that a page of ours sent them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use futures::stream;

use super::Page;
use super::refused::{Refused, Result};
use super::session::{Visitor, is_own};
use crate::problem::Problem;

/// The field that says that a page of ours sent it.
pub(super) const TOKEN: &str = "form_token";

/// What a form carries, by the names of its fields.
#[derive(Default)]
pub(super) struct Fields(HashMap<String, String>);

impl Fields {
    /// A field, without space around; `None` where it is empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// A field as it is.
    pub fn raw(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A field that has to be there.
    pub fn must(&self, name: &str) -> Result<&str> {
        let missing = || Problem::bad("field-missing", format!("the field `{name}` is empty"));
        Ok(self.text(name).ok_or_else(missing)?)
    }
}

/// A form of somebody who is signed in.
pub(super) struct Sent {
    pub visitor: Visitor,
    pub fields: Fields,
}

impl FromRequest<Arc<Page>> for Sent {
    type Rejection = Refused;

    async fn from_request(request: Request, page: &Arc<Page>) -> Result<Self> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, page).await?;
        let fields = read(Request::from_parts(parts, body), page).await?;
        // Neither is a secret of its own, and the comparison tells nothing that a guess could use.
        if fields.raw(TOKEN) != visitor.form_token() {
            return Err(foreign().into());
        }
        Ok(Self { visitor, fields })
    }
}

/// A form of whoever: that it comes from a page of ours is all that is known.
pub(super) async fn read(request: Request, page: &Arc<Page>) -> Result<Fields> {
    if !is_own(request.headers()) {
        return Err(foreign().into());
    }
    let headers = request.headers().clone();
    let bytes = Bytes::from_request(request, page).await.map_err(|rejection| {
        let status = rejection.into_response().status();
        let (code, what) = match status {
            StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "what was sent is too large"),
            _ => ("body-unreadable", "what was sent could not be read"),
        };
        Problem::new(status, code, what)
    })?;
    fields(&headers, bytes).await
}

async fn fields(headers: &HeaderMap, bytes: Bytes) -> Result<Fields> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let Ok(boundary) = multer::parse_boundary(kind) else {
        return Ok(Fields(form_urlencoded::parse(&bytes).into_owned().collect()));
    };
    let unreadable = |error: multer::Error| Problem::bad("body-unreadable", error.to_string());
    let mut parts =
        multer::Multipart::new(stream::iter([Ok::<_, std::convert::Infallible>(bytes)]), boundary);
    let mut fields = HashMap::new();
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        let name = part.name().unwrap_or_default().to_owned();
        if let Some(file) = part.file_name().filter(|file| !file.is_empty()) {
            fields.insert(format!("{name}_name"), file.to_owned());
        }
        let bytes = part.bytes().await.map_err(unreadable)?;
        let text = String::from_utf8(bytes.to_vec());
        let text = text.map_err(|_| Problem::bad("file-not-text", "the file is not text in UTF-8"))?;
        fields.insert(name, text);
    }
    Ok(Fields(fields))
}

fn foreign() -> Box<Problem> {
    Problem::new(
        StatusCode::FORBIDDEN,
        "form-not-ours",
        "the form was not sent by a page of this server, or by one of an earlier sign-in",
    )
    .hint("open the page again, and send it from there")
}
