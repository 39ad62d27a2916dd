//! Drills: a decoy is planted at an issuer, found by its value as if that had leaked, revoked by the same saga as anything else, and taken away. What is
//! measured is what an incident would take.
//!
//! No copy of a decoy's value is planted in any store, so the receipt of its revocation is `attested`; that the value was accepted before and is
//! refused after it is tried here, at the same place.

use std::time::Duration;

use chrono::{DateTime, Utc};
use claviger_backend::{Decoys, Issuer, Operation, Verdict};
use claviger_core::{
    audit::AuditKind,
    id::{OperationKey, SagaId, new_id},
    password::Rules,
    reference::Ref,
    saga::Cause,
    secret::SecretValue,
    view::DrillView,
};

use crate::{
    Engine, Error, Result, plan::RevokeOptions, progress::Progress, saga::RunOptions, scan::ScanOptions,
};

/// How long a call that plants or takes away may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// Trials of a value after its revocation before it is said to be accepted still.
const QUESTIONS: u32 = 10;

impl Engine {
    /// The backends in which a drill can be held, by name.
    pub fn drillable(&self) -> Vec<String> {
        let members = self.estate.members().filter(|member| member.backend.decoys().is_some());
        members.map(|member| member.backend.info().name.clone()).collect()
    }

    /// Holds one in this backend. Decoys that an earlier one left are taken away first. The answer is kept, whatever it is: a drill that fails has
    /// told something.
    ///
    /// # Errors
    /// The backend is not known or can make no decoys, or the database fails.
    pub async fn drill(
        &self,
        backend: &str,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<DrillView> {
        let member = self.estate.member(backend)?;
        let (Some(decoys), Some(issuer)) = (member.backend.decoys(), member.backend.issuer()) else {
            return Err(Error::Refused {
                subject: Ref::from_text(backend),
                code: "no-decoy",
                reason: "no credential that opens nothing can be made there".to_owned(),
            });
        };
        let id = new_id(self.clock.as_ref(), self.random.as_ref());
        let op = Operation { key: OperationKey::derive(SagaId(id), "drill", backend, 0), deadline: DEADLINE };
        let mut drill = begun(id, backend, self);
        let intent = serde_json::json!({ "drill": id, "state": "begun" });
        self.ports.audit.append(vec![self.said(AuditKind::Drill, backend, intent)]).await?;
        let held = self.walk(&mut drill, (decoys, issuer), &op, options, progress).await;
        let cleared = cleared(decoys, &op, &mut drill, self).await;
        drill.reason = match (held, cleared) {
            (Ok(()), Ok(())) => None,
            (Err(Trouble::Store(error)), _) => return Err(error),
            (Err(Trouble::Failed(why)), Ok(())) => Some(why),
            (Ok(()), Err(left)) => Some(left),
            (Err(Trouble::Failed(why)), Err(left)) => Some(format!("{why}; {left}")),
        };
        drill.passed = drill.reason.is_none();
        // Nobody should find the decoy among what is there.
        self.scan(&ScanOptions { backends: vec![backend.to_owned()] }, progress).await?;
        let detail = serde_json::to_value(&drill).unwrap_or_default();
        self.ports.incidents.record_drill(&drill, self.said(AuditKind::Drill, backend, detail)).await?;
        Ok(drill)
    }

    async fn walk(
        &self,
        drill: &mut DrillView,
        (decoys, issuer): (&dyn Decoys, &dyn Issuer),
        op: &Operation,
        options: &RunOptions,
        progress: &dyn Progress,
    ) -> Result<(), Trouble> {
        for left in decoys.decoys().await? {
            decoys.clear(op, &left).await?;
            drill.leftovers += 1;
        }
        let value = Rules::default().generate(self.random.as_ref());
        let at = decoys.plant(op, &value).await?;
        drill.at = Some(at.clone());
        let before = issuer.verify(&at, &value).await?;
        if before.verdict != Verdict::Accepted {
            return Err(Trouble::Failed(format!("the decoy is not accepted at first: {:?}", before.verdict)));
        }
        drill.planted_at = Some(self.clock.now());
        self.scan(&ScanOptions { backends: vec![drill.backend.clone()] }, progress).await?;

        let begun = self.clock.now();
        let trace = self.trace(&value).await?;
        let found = trace.matches.iter().find(|found| found.at == at);
        let found = found.ok_or_else(|| Trouble::Failed("its value was traced to nothing".to_owned()))?;
        drill.known_at = Some(begun);
        let plan =
            self.plan_revocation_of(vec![found.credential], Vec::new(), &RevokeOptions::default()).await?;
        if let Some(refusal) = plan.refused.first() {
            let text = format!("its revocation is refused [{}]: {}", refusal.code, refusal.reason);
            return Err(Trouble::Failed(text));
        }
        let answers =
            self.revoke_all(&plan.subjects, Cause::Manual, Some("a drill"), options, progress).await;
        let outcome = answers.into_iter().next();
        let outcome = outcome.ok_or_else(|| Trouble::Failed("nothing was planned".to_owned()))??;
        let Some(receipt) = outcome.receipts.last() else {
            let why = outcome.reason.unwrap_or_default();
            return Err(Trouble::Failed(format!("its revocation is {}: {why}", outcome.state)));
        };
        drill.verdict = Some(receipt.verdict.clone());
        drill.revoked_at = Some(receipt.observed_at);
        drill.time_to_revoke_ms = since(drill.known_at, receipt.observed_at);
        self.refused(drill, issuer, (&at, &value), &before.path).await
    }

    /// Tries the value until it is refused, at the place that accepted it before.
    async fn refused(
        &self,
        drill: &mut DrillView,
        issuer: &dyn Issuer,
        (at, value): (&Ref, &SecretValue),
        path: &str,
    ) -> Result<(), Trouble> {
        let mut last = String::new();
        for question in 0..QUESTIONS {
            if question > 0 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let probe = issuer.verify(at, value).await?;
            match probe.verdict {
                Verdict::Refused(_) if probe.path == path => {
                    let now = self.clock.now();
                    drill.refused_at = Some(now);
                    drill.time_to_proof_ms = since(drill.known_at, now);
                    return Ok(());
                }
                Verdict::Refused(why) => last = format!("refused, but on another path: {why}"),
                Verdict::Accepted => last = "still accepted".to_owned(),
                Verdict::Inconclusive(why) => last = format!("inconclusive: {why}"),
            }
        }
        Err(Trouble::Failed(format!("after its revocation a login with its value is {last}")))
    }
}

enum Trouble {
    /// The drill has told something.
    Failed(String),
    /// Nothing can be kept.
    Store(Error),
}

impl From<claviger_backend::Error> for Trouble {
    fn from(error: claviger_backend::Error) -> Self {
        Self::Failed(error.message().to_owned())
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(_) => Self::Store(error),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Takes everything away that is a decoy, and looks.
async fn cleared(
    decoys: &dyn Decoys,
    op: &Operation,
    drill: &mut DrillView,
    engine: &Engine,
) -> Result<(), String> {
    let failed = |what: &str, error: &claviger_backend::Error| format!("{what}: {}", error.message());
    let looked = decoys.decoys().await;
    for at in looked.map_err(|error| failed("which decoys are left could not be asked", &error))? {
        decoys
            .clear(op, &at)
            .await
            .map_err(|error| failed(&format!("{at} could not be taken away"), &error))?;
    }
    let left = decoys.decoys().await;
    let left = left.map_err(|error| failed("which decoys are left could not be asked", &error))?;
    if !left.is_empty() {
        return Err(format!("{} decoys are left: {}", left.len(), left[0]));
    }
    drill.cleared_at = Some(engine.clock.now());
    Ok(())
}

fn begun(id: uuid::Uuid, backend: &str, engine: &Engine) -> DrillView {
    DrillView {
        drill_id: id,
        backend: backend.to_owned(),
        at: None,
        actor: engine.actor.clone(),
        passed: false,
        reason: None,
        begun_at: engine.clock.now(),
        planted_at: None,
        known_at: None,
        revoked_at: None,
        refused_at: None,
        cleared_at: None,
        time_to_revoke_ms: None,
        time_to_proof_ms: None,
        verdict: None,
        leftovers: 0,
    }
}

fn since(from: Option<DateTime<Utc>>, to: DateTime<Utc>) -> Option<i64> {
    from.map(|from| (to - from).num_milliseconds())
}
