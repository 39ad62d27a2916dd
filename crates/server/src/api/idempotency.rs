//! A request that is sent twice with one key is carried out once.
//!
//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a text of the sender's choice. Kept for a day, for each sender by itself.

use std::sync::Arc;

use axum::{
    body::{self, Body},
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use chrono::TimeDelta;
use claviger_engine::fault::{Fault, Kind};
use claviger_store::{Answer as Kept, Known};
use sha2::{Digest as _, Sha256};

use super::{BODY, Context, Problem, input, problem::Answer};
use crate::access::Principal;

const KEY: &str = "idempotency-key";
const TRACES: &str = "/api/v1/traces";
/// Longest key.
const LONGEST: usize = 255;
/// How long an answer is kept.
const DAY: TimeDelta = TimeDelta::hours(24);
/// Headers that belong to an answer.
const KEPT: [HeaderName; 2] = [header::CONTENT_TYPE, header::LOCATION];

/// Lets a request through once per key, and answers repeats with what was answered.
pub(super) async fn once(State(context): State<Context>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    // Nothing is changed by a trace, and a hash of what leaked would be kept.
    let is_kept = request.method() == Method::POST && path != TRACES;
    if !is_kept || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    carried_out(&context, request, next).await.unwrap_or_else(Problem::into_response)
}

async fn carried_out(context: &Context, request: Request, next: Next) -> Answer<Response> {
    let key = key(&request)?;
    let actor = match request.extensions().get::<Arc<Principal>>() {
        Some(principal) => principal.actor.clone(),
        None => return Err(Problem::forbidden("nobody is let in here")),
    };
    let (parts, sent) = request.into_parts();
    let sent = body::to_bytes(sent, BODY).await.map_err(|_| input::too_long())?;
    let mut sha = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), parts.uri.to_string().as_bytes(), &sent] {
        sha.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        sha.update(part);
    }
    let hash = sha.finalize();
    let (requests, now) = (&context.api.requests, context.scheduler().engine.clock.now());
    requests.purge_requests(now - DAY).await?;
    match requests.begin_request(&actor, &key, &hash, now).await? {
        Known::New => {}
        Known::Answered(kept) => return Ok(replayed(kept)),
        Known::Other => {
            let fault = Fault::new(626, Kind::Usage, "this key was given to another request")
                .hint("each request has a key of its own; a repeat of one is the same, byte for byte");
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, fault));
        }
        Known::UnderWay => {
            let fault = Fault::new(627, Kind::Conflict, "the request with this key is under way, or its process ended before it was over")
                .hint("wait, and repeat it; if that goes on, look at what was begun before it is asked for with another key");
            return Err(Problem::new(StatusCode::CONFLICT, fault));
        }
    }
    // From here on it runs to its end whether its sender waits or not: what was begun is kept as begun.
    let (requests, actor, key) = (Arc::clone(requests), actor, key);
    let running = tokio::spawn(async move {
        let response = next.run(Request::from_parts(parts, Body::from(sent))).await;
        let (parts, answered) = response.into_parts();
        let Ok(answered) = body::to_bytes(answered, usize::MAX).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        // Nothing was begun where something is not available, and a repeat may find that it is.
        let kept = if parts.status == StatusCode::SERVICE_UNAVAILABLE {
            requests.forget_request(&actor, &key).await
        } else {
            let headers = KEPT.iter().filter_map(|name| {
                Some((name.to_string(), parts.headers.get(name)?.to_str().ok()?.to_owned()))
            });
            let answer = Kept {
                status: parts.status.as_u16(),
                headers: headers.collect(),
                body: String::from_utf8_lossy(&answered).into_owned(),
            };
            requests.answer_request(&actor, &key, &answer).await
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "what was answered could not be kept");
        }
        Response::from_parts(parts, Body::from(answered))
    });
    Ok(running.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()))
}

fn key(request: &Request) -> Answer<String> {
    let mut given = request.headers().get_all(KEY).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(Problem::input("`Idempotency-Key` is given more than once"));
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > LONGEST {
        return Err(Problem::input(format!("`Idempotency-Key` is 1 to {LONGEST} visible characters")));
    }
    Ok(text.to_owned())
}

pub(super) fn replayed(kept: Kept) -> Response {
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, kept.body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}
