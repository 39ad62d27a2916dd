//! What is asked for: query and body, read strictly. What is not known is refused, so that nobody believes that it was heeded.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
};
use claviger_engine::{
    fault::{Fault, Kind},
    selector::{self, Selector},
};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use super::{Context, Problem, page, problem::Answer};

/// The query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Context> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Context) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        query
            .map(|query| Self(query.0))
            .map_err(|error| Problem::input(format!("the query cannot be read: {}", error.body_text())))
    }
}

/// The one part of the path that varies.
pub(super) struct Id(pub(super) String);

impl FromRequestParts<Context> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, context).await;
        let path =
            path.map_err(|error| Problem::input(format!("the path cannot be read: {}", error.body_text())));
        Ok(Self(path?.0))
    }
}

/// A body that is said to be JSON, unread.
pub(super) struct Raw(pub(super) Bytes);

impl FromRequest<Context> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, context: &Context) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_json = kind.is_some_and(|kind| {
            kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
        });
        if !is_json {
            let fault = Fault::new(623, Kind::Usage, "the body is not said to be JSON")
                .hint("`Content-Type: application/json`");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, fault));
        }
        Bytes::from_request(request, context).await.map(Self).map_err(|_| too_long())
    }
}

/// A body of JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Context> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, context: &Context) -> Result<Self, Problem> {
        let Raw(bytes) = Raw::from_request(request, context).await?;
        // The parser's own words would repeat what was sent.
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Problem::input(format!("the body cannot be read: {error}")))
    }
}

pub(super) fn too_long() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        Fault::new(
            623,
            Kind::Usage,
            "the body is longer than what is taken (1 MiB; of leaked values 32 MiB), or was cut off",
        ),
    )
}

/// What a list is asked for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// A ref with globs, an id or its beginning, or terms such as `kind=password owner=payments`.
    #[param(format = "selector")]
    pub(super) selector: Option<String>,
    /// A condition in CEL over the fields of a credential.
    #[param(format = "condition")]
    pub(super) r#where: Option<String>,
    /// Also what is gone.
    #[serde(default)]
    pub(super) gone: bool,
    /// At most so many items.
    #[param(minimum = 1, maximum = 5000)]
    pub(super) limit: Option<u32>,
    /// `next` of the page before.
    #[param(format = "cursor")]
    pub(super) cursor: Option<String>,
}

/// Is the end waited for?
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Waiting {
    /// Answer when it is over, with what became of it.
    #[serde(default)]
    pub(super) wait: bool,
}

/// A page of what is chosen by nothing.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Paged {
    /// At most so many items.
    #[param(minimum = 1, maximum = 5000)]
    pub(super) limit: Option<u32>,
    /// `next` of the page before.
    #[param(format = "cursor")]
    pub(super) cursor: Option<String>,
}

/// What these words and this condition choose. Ages are counted from now.
pub(super) fn selector(words: &str, condition: Option<&str>, context: &Context) -> Answer<Selector> {
    let chosen = read(Some(words), condition, context)?;
    chosen.ok_or_else(|| Problem::input("`selector` says nothing: `*` is everything"))
}

impl Asked {
    pub(super) fn chosen(&self, context: &Context) -> Answer<Option<Selector>> {
        read(self.selector.as_deref(), self.r#where.as_deref(), context)
    }
}

fn read(words: Option<&str>, condition: Option<&str>, context: &Context) -> Answer<Option<Selector>> {
    let words = words.unwrap_or_default().trim();
    let condition = condition.map(str::trim).filter(|condition| !condition.is_empty());
    if words.is_empty() && condition.is_none() {
        return Ok(None);
    }
    let words = selector::absolute(words, context.scheduler().engine.clock.now())?;
    Ok(Some(Selector::parse_with(&words, condition)?))
}

/// A length that may be asked for.
pub(super) fn limit(limit: Option<u32>) -> Answer<Option<u32>> {
    match limit {
        Some(limit) if limit == 0 || limit > page::MOST => {
            Err(Problem::input(format!("`limit` is from 1 to {}", page::MOST)))
        }
        other => Ok(other),
    }
}
