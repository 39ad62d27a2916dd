//! Errors as RFC 9457 problems, with the codes and hints of the command line.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use claviger_engine::fault::{Fault, Kind};
use serde::Serialize;
use utoipa::ToSchema;

/// A problem as it is answered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Body {
    /// Tells kinds of problems apart: `about:blank#` and the code.
    r#type: String,
    /// What the status means.
    title: String,
    /// The status.
    status: u16,
    /// One sentence.
    detail: String,
    /// The command line's code.
    code: String,
    /// What to do.
    hint: Option<String>,
    /// What the command line would end with: 1 failed, 2 wrongly asked, 4 refused, 5 an operator is needed.
    exit: u8,
}

/// Something that went wrong, with the status that it is answered with.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) fault: Fault,
}

pub(crate) type Answer<T = Response> = Result<T, Problem>;

impl Problem {
    pub(crate) fn new(status: StatusCode, fault: Fault) -> Self {
        Self { status, fault }
    }

    /// What was asked cannot be read.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        let fault = Fault::new(623, Kind::Usage, message).hint("/openapi.json describes what is taken");
        Self::new(StatusCode::BAD_REQUEST, fault)
    }

    /// What is asked contradicts itself, or what is.
    pub(crate) fn contradiction(message: impl Into<String>) -> Self {
        let fault = Fault::new(623, Kind::Usage, message).hint("/openapi.json describes what is taken");
        Self::new(StatusCode::CONFLICT, fault)
    }

    /// It is not there, or not to be seen by whoever asks: the two are answered alike.
    pub(crate) fn absent(what: &str, id: &str) -> Self {
        let message = format!("there is no {what} `{id}`");
        Self::new(StatusCode::NOT_FOUND, Fault::new(622, Kind::Absent, message))
    }

    /// Who asks is known, and may not.
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        let fault = Fault::new(621, Kind::Refused, message)
            .hint("a role that allows it, where it is, has to be given: `claviger token create`, or [[access]] of the configuration");
        Self::new(StatusCode::FORBIDDEN, fault)
    }

    /// Nobody knows what came of it: whoever had it lost it.
    pub(crate) fn lost() -> Self {
        let fault = Fault::new(639, Kind::Unavailable, "another process has taken it over");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, fault.hint("look at what came of it, and ask again"))
    }

    /// Something else was planned than what would be done now.
    pub(crate) fn plan_changed(given: &str, now: &str) -> Self {
        let message = format!("the plan is another one by now: {now}, and not {given}");
        let fault = Fault::new(625, Kind::Conflict, message).hint("look at the new plan, and give its hash");
        Self::new(StatusCode::CONFLICT, fault)
    }
}

impl<E: Into<Fault>> From<E> for Problem {
    fn from(error: E) -> Self {
        let fault = error.into();
        let status = match fault.kind {
            Kind::Usage => StatusCode::BAD_REQUEST,
            Kind::Absent => StatusCode::NOT_FOUND,
            Kind::Conflict | Kind::Stuck => StatusCode::CONFLICT,
            Kind::Refused => StatusCode::FORBIDDEN,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Failed | Kind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, fault }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, fault } = self;
        if status.is_server_error() {
            tracing::warn!(code = fault.word(), message = fault.message, "a request failed");
        }
        let exit = match fault.kind {
            Kind::Usage => 2,
            Kind::Refused => 4,
            Kind::Stuck => 5,
            _ => 1,
        };
        let body = Body {
            r#type: format!("about:blank#{}", fault.word()),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: fault.message.clone(),
            code: fault.word(),
            hint: fault.hint.clone(),
            exit,
        };
        let text = serde_json::to_string(&body).unwrap_or_default();
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, kind, text).into_response();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 6750: without a token the scheme alone is told.
            let challenge = if fault.code == 629 {
                "Bearer realm=\"claviger\""
            } else {
                "Bearer realm=\"claviger\", error=\"invalid_token\""
            };
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// What is no id and no ref names nothing.
pub(super) fn of_one(fault: Fault, id: &str) -> Problem {
    match fault.code {
        21 => Problem::absent("credential", id),
        _ => fault.into(),
    }
}

pub(crate) fn no_route() -> Problem {
    let fault =
        Fault::new(622, Kind::Absent, "there is nothing here").hint("/openapi.json describes what there is");
    Problem::new(StatusCode::NOT_FOUND, fault)
}

pub(super) async fn no_method() -> Problem {
    let fault =
        Fault::new(624, Kind::Usage, "this is not done here").hint("/openapi.json describes what there is");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, fault)
}
