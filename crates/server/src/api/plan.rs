use axum::{Json as Out, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use claviger_core::{
    approval::{Approval, Unfit},
    saga::PlanHash,
    signing::{self, PublicKey},
};
use claviger_engine::approval::Proposed;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Context, Problem,
    caller::Caller,
    change::{Revoke, Rotate, Swap},
    gate::Gate,
    input::{Id, Json},
    problem::{Answer, Body},
};
use crate::{
    access::Verb,
    document::{self, plan as documents, swap as swaps},
};

/// What is planned.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Wanted {
    /// A rotation.
    Rotate(Rotate),
    /// A revocation.
    Revoke(Revoke),
    /// A swap to short-lived workload identity.
    Swap(Swap),
}

/// A person's signature over a plan, as `claviger approve` makes it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Signed {
    /// What was signed, and the signature.
    approval: Signature,
}

/// What was signed, and the signature.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Signature {
    /// The plan's hash.
    plan: String,
    /// Who, as the configuration names them.
    approver: String,
    /// `ed25519:` and the key.
    key: String,
    /// When it was made.
    at: DateTime<Utc>,
    /// When it ends.
    expires: DateTime<Utc>,
    /// The signature.
    signature: String,
}

impl Signature {
    /// What is no key or no signature has signed nothing.
    fn read(self) -> Answer<Approval> {
        let parsed = PublicKey::parse(&self.key).ok().zip(signing::Signature::parse(&self.signature));
        let Some((key, signature)) = parsed else {
            return Err(claviger_engine::Error::Approval {
                plan: self.plan,
                code: "forged",
                reason: Unfit::Forged.to_string(),
            }
            .into());
        };
        let Self { plan, approver, at, expires, .. } = self;
        Ok(Approval { plan: PlanHash(plan), approver, key, at, expires, signature })
    }
}

/// Plans a rotation, a revocation or a swap, and changes nothing. One that wants approvals is kept for whoever approves it.
#[utoipa::path(
    post,
    path = "/api/v1/plans",
    request_body = Wanted,
    responses(
        (status = 200, description = "As `--dry-run -o json` prints it; its hash is given back to carry it out", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "plans"
)]
pub(super) async fn make(
    State(context): State<Context>,
    caller: Caller,
    Json(wanted): Json<Wanted>,
) -> Answer<Out<Value>> {
    let engine = caller.engine(&context);
    let (verb, plan, incident) = match &wanted {
        Wanted::Rotate(rotate) => {
            ("rotate", rotate.plan(&context, &caller, &engine, Verb::PlanRotation).await?, None)
        }
        Wanted::Revoke(revoke) => {
            let plan = revoke.plan(&context, &caller, &engine, Verb::PlanRevocation).await?;
            ("revoke", plan, revoke.incident(&context, &caller, &engine).await?)
        }
        Wanted::Swap(swap) => {
            let planned = swap.plan(&context, &caller, &engine, Verb::PlanRotation).await?;
            let gate = Gate::of(&engine, &planned.plan, "swap", None).await?;
            return Ok(Out(caller.told(&context, swaps::judged(&planned, &gate.admission)?)));
        }
    };
    let gate = Gate::of(&engine, &plan, verb, incident).await?;
    Ok(Out(caller.told(&context, documents::judged(&plan, &gate.admission, verb)?)))
}

/// A plan that waits for approval, and who has approved it.
#[utoipa::path(
    get,
    path = "/api/v1/plans/{hash}",
    params(("hash" = String, Path, description = "Its hash or the beginning of it, 8 digits or more")),
    responses(
        (status = 200, description = "As `approve --show -o json` prints it; `now` is the service's time, for whoever signs", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "plans"
)]
pub(super) async fn show(State(context): State<Context>, caller: Caller, Id(hash): Id) -> Answer<Out<Value>> {
    let proposed = find(&context, &caller, &hash, Verb::ReadPlan).await?;
    Ok(Out(caller.told(&context, told(&context, &proposed, Value::Null).await?)))
}

/// Approves another person's plan. The signature is made with that person's own key, which never comes here; whoever brings it must not be who planned.
#[utoipa::path(
    post,
    path = "/api/v1/plans/{hash}/approvals",
    params(("hash" = String, Path, description = "Its hash or the beginning of it, 8 digits or more")),
    request_body = Signed,
    responses(
        (status = 201, description = "As `approve -o json` prints it", body = Value),
        (status = "4XX", description = "A problem", body = Body, content_type = "application/problem+json"),
        (status = "5XX", description = "A problem", body = Body, content_type = "application/problem+json"),
    ),
    tag = "plans"
)]
pub(super) async fn approve(
    State(context): State<Context>,
    caller: Caller,
    Id(hash): Id,
    Json(signed): Json<Signed>,
) -> Answer<(StatusCode, Out<Value>)> {
    let engine = caller.engine(&context);
    let proposed = find(&context, &caller, &hash, Verb::Approve).await?;
    caller.must_all(&engine, Verb::Approve, &proposed.plan).await?;
    let approval = signed.approval.read()?;
    let seq = engine.take_approval(&proposed, &approval).await?;
    let made = json!({
        "approver": approval.approver, "key": approval.key, "at": approval.at, "expires": approval.expires, "audit_seq": seq,
    });
    Ok((StatusCode::CREATED, Out(caller.told(&context, told(&context, &proposed, made).await?))))
}

/// The plan of this hash, if all of its subjects may be seen.
async fn find(context: &Context, caller: &Caller, hash: &str, verb: Verb) -> Answer<Proposed> {
    use claviger_engine::Error::Approval as Refused;
    let engine = &context.scheduler().engine;
    let absent = || Problem::absent("plan that waits for approval, or more than one,", hash);
    let proposed = match engine.proposed(hash).await {
        Err(Refused { code: "no-plan" | "ambiguous", .. }) => return Err(absent()),
        other => other?,
    };
    for subject in &proposed.plan.subjects {
        if !caller.covers(engine, verb, subject.credential, &subject.subject).await? {
            return Err(absent());
        }
    }
    Ok(proposed)
}

async fn told(context: &Context, proposed: &Proposed, approval: Value) -> Answer<Value> {
    let engine = &context.scheduler().engine;
    let count = engine.approvals_of(proposed).await?;
    let mut document = documents::proposed(proposed);
    document["approval"] = approval;
    document["given"] = document::value(&count.given)?;
    document["unfit"] = document::value(&count.unfit)?;
    document["now"] = json!(engine.clock.now());
    document::stamp(&mut document, "approve");
    Ok(document)
}
