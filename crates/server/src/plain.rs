//! No name here has control characters, and no text U+0000, which PostgreSQL does not keep: paths and queries with them are
//! refused before anybody looks something up by them. Bodies are seen to where they are taken apart (`api::sent`).

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use percent_encoding::percent_decode_str;

use crate::problem::Problem;
use crate::registry::refused;

/// Lets a request through whose path and query are plain.
pub(crate) async fn only(request: Request<Body>, next: Next) -> Response {
    match wrong(request.uri().path(), request.uri().query().unwrap_or_default()) {
        None => next.run(request).await,
        Some(problem) if request.uri().path().starts_with("/v2") => refused(&problem),
        Some(problem) => problem.into_response(),
    }
}

fn wrong(path: &str, query: &str) -> Option<Box<Problem>> {
    // As they stand, they hold none.
    if path.contains('%') && decoded(path).contains(char::is_control) {
        return Some(Problem::bad("path-invalid", "the path has a control character in it"));
    }
    if query.contains('%') && decoded(query).contains('\0') {
        return Some(Problem::bad("parameter-invalid", "a parameter has the character U+0000 in it"));
    }
    None
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::wrong;

    #[test]
    fn control_characters_are_found_however_they_are_written() {
        for path in ["/a/%00", "/a%0a/b", "/%1F", "/%7f", "/%c2%80"] {
            assert_eq!(wrong(path, "").map(|problem| problem.code), Some("path-invalid"), "{path}");
        }
        assert_eq!(wrong("/a", "x=%00").map(|problem| problem.code), Some("parameter-invalid"));
        for (path, query) in [("/a%20b/%C3%A4/%2500", "x=%0A"), ("/%ff", "%2500=a+b")] {
            assert!(wrong(path, query).is_none(), "{path} {query}");
        }
    }
}
