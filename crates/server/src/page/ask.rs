//! Changes are asked of the API itself, within this process, in the name of whoever is there: the same admission, the same
//! checks, the same records.

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;

use super::Page;
use super::refused::{Refused, Result, Said};
use super::session::Visitor;
use crate::problem::Problem;

impl Page {
    /// What the API answers; what it refuses is refused here.
    pub async fn ask(
        &self,
        visitor: &Visitor,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response> {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = request.body(body).map_err(|error| Problem::fault(&error))?;
        request.headers_mut().insert(header::AUTHORIZATION, visitor.authorization()?);
        self.send(request).await
    }

    /// The same, for what is answered in JSON.
    pub async fn ask_for<T: DeserializeOwned>(
        &self,
        visitor: &Visitor,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T> {
        let answer = self.ask(visitor, method, path, body).await?;
        let bytes = answer.into_body().collect().await.map_err(|error| Problem::fault(&error))?.to_bytes();
        Ok(serde_json::from_slice(&bytes).map_err(|error| Problem::fault(&error))?)
    }

    /// Sends a request that is ready but for what every request of the page has.
    pub async fn send(&self, mut request: Request<Body>) -> Result<Response> {
        // What a browser would rather have is not the API's concern.
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let answer = match self.api.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let status = answer.status();
        if status.is_success() || status.is_redirection() {
            return Ok(answer);
        }
        let bytes = answer.into_body().collect().await.map_err(|error| Problem::fault(&error))?.to_bytes();
        let said: Said = serde_json::from_slice(&bytes).map_err(|error| Problem::fault(&error))?;
        Err(Refused::Said(Box::new(said)))
    }
}
