//! Answers that say no, in the form and with the codes of the specification ("Error Codes").

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// The specification's codes, and one for what it has none for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    TagInvalid,
    TooManyRequests,
    Unauthorized,
    Unknown,
    Unsupported,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::Denied => "DENIED",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::TagInvalid => "TAG_INVALID",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unknown => "UNKNOWN",
            Self::Unsupported => "UNSUPPORTED",
        }
    }
}

/// An answer that says no. Boxed: it is rare, and the results that may be one are everywhere.
#[derive(Debug)]
pub(super) struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: Code,
    message: String,
    /// One for each error; most have one.
    details: Vec<serde_json::Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What whoever has the server is told, and clients are not: it may name files.
    fault: Option<String>,
}

impl Failure {
    pub fn new(status: u16, code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            code,
            message: message.into(),
            details: Vec::new(),
            headers: Vec::new(),
            fault: None,
        }))
    }

    /// Why, or what to do about it.
    pub fn because(self, reason: impl Into<String>) -> Self {
        self.detail(json!({ "reason": reason.into() }))
    }

    /// Another error of the same kind, with what it is about.
    pub fn detail(mut self, detail: serde_json::Value) -> Self {
        self.0.details.push(detail);
        self
    }

    pub fn header(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        if let Ok(value) = value.try_into() {
            self.0.headers.push((name, value));
        }
        self
    }

    /// One that is no client's doing.
    pub fn fault(error: &dyn std::error::Error) -> Self {
        let mut failure = Self::new(500, Code::Unknown, "the registry failed, and says why where it runs");
        failure.0.fault = Some(with_causes(error));
        failure
    }

    /// What whoever has the server must know.
    pub fn to_say(&self) -> Option<&str> {
        self.0.fault.as_deref()
    }

    #[cfg(test)]
    pub fn status(&self) -> u16 {
        self.0.status.as_u16()
    }

    #[cfg(test)]
    pub fn code(&self) -> Code {
        self.0.code
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Inner { status, code, message, details, headers, fault: _ } = *self.0;
        let error = |detail: Option<serde_json::Value>| {
            let mut error = json!({ "code": code.as_str(), "message": message });
            if let Some(detail) = detail {
                error["detail"] = detail;
            }
            error
        };
        let errors: Vec<_> = if details.is_empty() {
            vec![error(None)]
        } else {
            details.into_iter().map(|detail| error(Some(detail))).collect()
        };
        let mut response = Response::new(Body::from(json!({ "errors": errors }).to_string()));
        *response.status_mut() = status;
        let all = response.headers_mut();
        all.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            all.append(name, value);
        }
        response
    }
}

impl From<provenv_store::Error> for Failure {
    fn from(error: provenv_store::Error) -> Self {
        let mut failure = Self::fault(&error);
        if error.is_no_space() {
            failure.0.status = StatusCode::INSUFFICIENT_STORAGE;
            "the registry has no space left".clone_into(&mut failure.0.message);
        }
        failure
    }
}

impl From<tokio::task::JoinError> for Failure {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::fault(&error)
    }
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        // Many errors repeat their cause in their own message.
        if !text.contains(message.trim_end()) {
            text.push_str(": ");
            text.push_str(&message);
        }
        source = cause.source();
    }
    text
}
