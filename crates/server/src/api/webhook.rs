//! What others report. There is no token here: a request is its sender's by its signature, and is acted on once.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest as _, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chrono::TimeDelta;
use claviger_core::webhook::{Delivery, DeliveryId, Refused, Request as Signed};
use claviger_engine::fault::{Fault, Kind};
use claviger_store::{Answer as Kept, Taken};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Context, Problem,
    idempotency::replayed,
    input::{Id, too_long},
    problem::{Answer, Body},
};
use crate::webhook::{Receiver, Untaken};

/// How long a delivery is its taker's. A trace that takes longer goes on: the incident has the delivery's own name, and is opened once all the same.
const LEASE: Duration = Duration::from_secs(120);
/// How long after nobody would let it in any more a delivery is forgotten: clocks of two processes differ.
const BEYOND: TimeDelta = TimeDelta::hours(1);

/// What was taken. Nothing is told of what is known here: whoever may report a leak may not ask whose it is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Received {
    /// `claviger.received/v1`
    schema: String,
    /// The name of this request in the audit log: the same for the same request.
    delivery: String,
    /// Values that it brought.
    values: usize,
    /// Lines of it that told no value.
    skipped: usize,
}

/// Takes a report of leaked values from a receiver of the configuration: `[webhooks.NAME]`. It is signed as that says: with `X-Claviger-Timestamp` and
/// `X-Claviger-Signature`, or as GitHub's secret scanning signs. The values are traced, and an incident is opened of what still opens something. The same
/// request again is answered alike, and acted on once.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/{name}",
    params(("name" = String, Path, description = "Name of a receiver")),
    request_body(content = Object, description = "A scanner's report, byte for byte as it was signed"),
    responses(
        (status = 202, description = "It was taken, now or before", body = Received),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    security(()),
    tag = "webhooks"
)]
pub(super) async fn receive(
    State(context): State<Context>,
    Id(name): Id,
    request: Request,
) -> Answer<Response> {
    let receivers = context.api.receivers.now();
    let receiver =
        receivers.iter().find(|one| one.name == name).ok_or_else(|| Problem::absent("webhook", &name))?;
    context.work.must_run()?;
    let headers = headers(request.headers());
    let body = Bytes::from_request(request, &context).await.map_err(|_| too_long())?;
    let now = context.scheduler().engine.clock.now();
    let signed = Signed { headers: &headers, body: &body };
    let delivery = receiver.receive(signed, now).await.map_err(|untaken| refused(receiver, &untaken))?;
    let deliveries = &context.api.deliveries;
    if let Err(error) = deliveries.purge_deliveries(now - BEYOND).await {
        tracing::debug!(%error, "old deliveries are not forgotten");
    }
    match deliveries.take_delivery(&receiver.name, &delivery.id, delivery.remember_until, LEASE).await? {
        Taken::Ours => {}
        Taken::Answered(kept) => return Ok(replayed(kept)),
        Taken::UnderWay => {
            let fault = Fault::new(772, Kind::Conflict, "this request is being acted on")
                .hint("send it again in a while: it is answered then");
            return Err(Problem::new(StatusCode::CONFLICT, fault));
        }
    }
    let (id, context, name) = (delivery.id, context.clone(), receiver.name.clone());
    // From here on it runs to its end whether its sender waits or not.
    let running = tokio::spawn(async move { acted_on(&context, &name, delivery).await });
    match running.await {
        Ok(answer) => answer,
        // Somebody who sends it again finds it free.
        Err(_) => {
            deliveries.leave_delivery(&receiver.name, &id).await?;
            Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
    }
}

async fn acted_on(context: &Context, name: &str, delivery: Delivery) -> Answer<Response> {
    let engine = context.scheduler().engine.acting_as(&format!("webhook:{name}"), None);
    let (deliveries, id) = (&context.api.deliveries, delivery.id);
    let reported = match engine.take_report(name, &id.to_string(), delivery.leaks).await {
        Ok(reported) => reported,
        Err(error) => {
            // Nobody knows of it yet: whoever sends it again is heard.
            left(context, name, &id).await;
            return Err(error.into());
        }
    };
    tracing::info!(
        receiver = name,
        values = reported.values,
        incident = reported.incident.map(|id| id.to_string()),
        "a report was taken"
    );
    let body = json!({
        "schema": "claviger.received/v1", "delivery": id.to_string(), "values": reported.values, "skipped": reported.skipped,
    });
    let kept = Kept {
        status: StatusCode::ACCEPTED.as_u16(),
        headers: vec![(header::CONTENT_TYPE.to_string(), "application/json".to_owned())],
        body: body.to_string(),
    };
    deliveries.answer_delivery(name, &id, &kept).await?;
    let kind = [(header::CONTENT_TYPE, "application/json")];
    Ok((StatusCode::ACCEPTED, kind, kept.body).into_response())
}

async fn left(context: &Context, name: &str, id: &DeliveryId) {
    if let Err(error) = context.api.deliveries.leave_delivery(name, id).await {
        tracing::warn!(%error, receiver = name, "a delivery could not be left: it is free when its lease has ended");
    }
}

/// Names and values. One that is no text is none that we look at.
fn headers(all: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    all.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

fn refused(receiver: &Receiver, untaken: &Untaken) -> Problem {
    let (status, code, kind, why) = match untaken {
        Untaken::Unavailable(why) => (StatusCode::SERVICE_UNAVAILABLE, 773, Kind::Unavailable, why.clone()),
        Untaken::Refused(refused @ Refused::Body(_)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, 771, Kind::Usage, refused.to_string())
        }
        Untaken::Refused(refused) => (StatusCode::UNAUTHORIZED, 770, Kind::Refused, refused.to_string()),
    };
    tracing::warn!(receiver = receiver.name, why, "a report was refused");
    let fault = Fault::new(code, kind, format!("the request is not taken: {why}"));
    Problem::new(status, match untaken {
        Untaken::Unavailable(_) => fault.hint("send it again in a while"),
        Untaken::Refused(Refused::Body(_)) => fault.hint("the reports of scanners that `claviger trace` reads are taken"),
        Untaken::Refused(_) => fault.hint("`[webhooks]` of the configuration says how a receiver's requests are signed, and within which time they have to come"),
    })
}
