//! What a page says where it cannot be shown, or where what was asked for was not done.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use form_urlencoded::byte_serialize;
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{Frame, Section};
use super::session::Visitor;
use crate::problem::{Problem, TextPlace};

pub(crate) type Result<T, E = Refused> = std::result::Result<T, E>;

/// Why a page is not shown.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Nobody is signed in; afterwards they go on to this path.
    SignIn(String),
    /// What a use case or the API said.
    Said(Box<Said>),
}

/// A problem, as the API says it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Said {
    pub title: String,
    pub status: u16,
    pub code: String,
    pub detail: String,
    #[serde(default)]
    pub causes: Vec<String>,
    pub hint: Option<String>,
    #[serde(default)]
    pub places: Vec<TextPlace>,
}

impl Said {
    /// What to do next, unless it is about requests of programs.
    fn hint(&self) -> Option<&str> {
        let is_for_programs =
            |hint: &str| ["GET ", "POST ", "send `Auth"].iter().any(|word| hint.starts_with(word));
        self.hint.as_deref().filter(|hint| !is_for_programs(hint))
    }

    /// A page of it; with the bar for whoever is there.
    pub fn page(&self, visitor: Option<&Visitor>) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content = html! {
            div.page-head { h1 { (self.title) } }
            (self.notice())
            p { a href="/" { "Go to the beginning" } }
        };
        (status, Frame::new(&self.title, visitor, Section::None).page(&content)).into_response()
    }

    /// It, as a part of a page.
    pub fn notice(&self) -> Markup {
        html! {
            div.notice.bad role="alert" {
                p { strong { (super::words::sentence(&self.detail)) } }
                @for place in &self.places {
                    p { span.code { (place.file) ":" (place.line) } @if let Some(text) = &place.text { " " code { (text) } } }
                }
                @for cause in &self.causes { p { (super::words::sentence(cause)) } }
                @if let Some(hint) = self.hint() { p.hint { (super::words::sentence(hint)) } }
                p.hint { span.code { (self.code) } }
            }
        }
    }
}

impl From<Box<Problem>> for Refused {
    fn from(problem: Box<Problem>) -> Self {
        problem.log();
        Self::Said(Box::new(Said {
            title: problem.title.to_owned(),
            status: problem.status,
            code: problem.code.to_owned(),
            detail: problem.detail.clone(),
            causes: problem.causes.clone(),
            hint: problem.hint.clone(),
            places: problem.places.clone(),
        }))
    }
}

impl From<provenv_workspace::Error> for Refused {
    fn from(error: provenv_workspace::Error) -> Self {
        Box::<Problem>::from(error).into()
    }
}

impl From<crate::DatabaseError> for Refused {
    fn from(error: crate::DatabaseError) -> Self {
        Box::<Problem>::from(error).into()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn(next) => {
                let next: String = byte_serialize(next.as_bytes()).collect();
                Redirect::to(&format!("/sign-in?next={next}")).into_response()
            }
            // Whose bar goes with it is found out later: what refuses has often not come to that.
            Self::Said(said) => {
                let mut response = said.page(None);
                response.extensions_mut().insert(said);
                response
            }
        }
    }
}
