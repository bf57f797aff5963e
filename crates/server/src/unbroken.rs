//! Changes go on to their end where the client goes away: what was changed is written down, and whoever asks again finds all
//! of it or nothing.

use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::problem::Problem;

/// Answers in a task of its own, which nobody drops.
pub(crate) async fn to_the_end(request: Request<Body>, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    finish(next.run(request)).await
}

/// The same for one answer.
pub(crate) async fn finish(answer: impl Future<Output = Response> + Send + 'static) -> Response {
    match tokio::spawn(answer).await {
        Ok(response) => response,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Problem::fault(&error).into_response(),
    }
}
