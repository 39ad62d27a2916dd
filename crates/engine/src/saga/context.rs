use std::time::Duration;

use chrono::{DateTime, Utc};
use claviger_backend::{Backend, Effect, Federation, Issuer, Operation, Retry, Runtime, Store, Workloads};
use claviger_core::{
    fingerprint::{Fingerprint, Form},
    id::OperationKey,
    reference::Ref,
    saga::{Failure, FailureEffect, Step, StepOutput},
    seal::{Frame, SagaSalt, Slot},
    secret::SecretValue,
};
use claviger_store::port::{SagaRecord, SealedRow};

use super::step::public_half;
use crate::{Engine, Error, Result, plan::FORCED};

/// How many values that the target refuses are replaced. A third refusal is the rules' fault, not the value's.
pub(super) const MOST_REFUSED: u32 = 2;

/// What a step may use.
pub(super) struct Context<'a> {
    pub(super) engine: &'a Engine,
    pub(super) record: &'a SagaRecord,
    pub(super) deadline: Duration,
    /// How often this step was begun, from 1.
    pub(super) attempt: u32,
}

/// What a step's run came to.
pub(super) enum Ran {
    /// Done.
    Done(Done),
    /// Ask again at this time.
    Wait(DateTime<Utc>),
    /// The same after a sample that showed this, which counts for the answer in the end.
    Sampled(DateTime<Utc>, &'static str),
    /// The target refused the value and certainly does not hold it: this one, sealed, takes its place, and the step is run again.
    Replaced(Failure, SealedRow),
}

/// A step's result with what has to be committed together with it.
#[derive(Default)]
pub(super) struct Done {
    pub(super) output: StepOutput,
    pub(super) seal: Vec<SealedRow>,
    pub(super) receipt: Option<claviger_core::view::ReceiptView>,
}

impl Done {
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Self { output: StepOutput { detail: detail.into(), ..StepOutput::default() }, ..Self::default() }
    }

    pub(super) fn fact(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
        self.output.facts.insert(key.to_owned(), value.into());
        self
    }
}

/// How a step fails: the saga's matter, or the database's, which ends the run.
pub(super) enum Trouble {
    Step(Failure),
    /// The target has no room, changed nothing, and wants to be left alone for so long.
    Throttled(Failure, Duration),
    Fatal(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            // Trying again would not find the key: the saga is undone as far as it can be, or waits for an operator.
            Error::SealedLost { .. } => permanent(error.to_string()),
            error => Self::Fatal(error),
        }
    }
}

impl From<claviger_store::Error> for Trouble {
    fn from(error: claviger_store::Error) -> Self {
        Self::Fatal(error.into())
    }
}

impl From<claviger_backend::Error> for Trouble {
    fn from(error: claviger_backend::Error) -> Self {
        let hint = error.hint().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        let rest = error.rest().filter(|_| error.effect() == Effect::NotApplied);
        let failure = Failure {
            message: format!("{}{hint}", error.message()),
            effect: match error.effect() {
                Effect::NotApplied => FailureEffect::NotApplied,
                Effect::Applied => FailureEffect::Applied,
                Effect::Unknown => FailureEffect::Unknown,
            },
            temporary: error.retry() != Retry::Permanent,
            until: None,
        };
        match rest.filter(|_| failure.temporary) {
            Some(rest) => Self::Throttled(failure, rest),
            None => Self::Step(failure),
        }
    }
}

/// A failure that changed nothing and will not pass by itself.
pub(super) fn permanent(message: impl Into<String>) -> Trouble {
    passing(message.into(), false)
}

/// A failure that changed nothing and may pass by itself.
pub(super) fn temporary(message: impl Into<String>) -> Trouble {
    passing(message.into(), true)
}

fn passing(message: String, temporary: bool) -> Trouble {
    Trouble::Step(Failure { message, effect: FailureEffect::NotApplied, temporary, until: None })
}

impl<'a> Context<'a> {
    /// The frame of this step's external call. The key is the same for every attempt and owner.
    pub(super) fn operation(&self, step: &Step) -> Operation {
        self.operation_with(step, 0)
    }

    /// The same for a call that carries a new value of this generation: another value is another operation.
    pub(super) fn operation_with(&self, step: &Step, generation: u32) -> Operation {
        Operation {
            key: OperationKey::derive(self.record.id, &step.id, step.target.as_str(), generation),
            deadline: self.deadline,
        }
    }

    /// The operation of another step of this saga, e.g. of the refresh whose adoption is awaited.
    pub(super) fn operation_of(&self, id: &str, target: &Ref) -> Operation {
        Operation {
            key: OperationKey::derive(self.record.id, id, target.as_str(), 0),
            deadline: self.deadline,
        }
    }

    /// May it go on without evidence?
    pub(super) fn forced(&self) -> bool {
        self.record.plan.strategy == FORCED
    }

    pub(super) fn issuer(&self) -> Result<&'a dyn Issuer> {
        self.backend(&self.record.plan.subject)?
            .issuer()
            .ok_or_else(|| self.lost_role("issuer", &self.record.plan.subject))
    }

    /// The issuer of this ref, which may be another backend's than the subject's.
    pub(super) fn issuer_of(&self, at: &Ref) -> Result<&'a dyn Issuer> {
        self.backend(at)?.issuer().ok_or_else(|| self.lost_role("issuer", at))
    }

    pub(super) fn store(&self, at: &Ref) -> Result<&'a dyn Store> {
        self.backend(at)?.store().ok_or_else(|| self.lost_role("store", at))
    }

    pub(super) fn runtime(&self, at: &Ref) -> Result<&'a dyn Runtime> {
        self.backend(at)?.runtime().ok_or_else(|| self.lost_role("runtime", at))
    }

    pub(super) fn federation(&self, at: &Ref) -> Result<&'a dyn Federation> {
        let role = "system of short-lived identities";
        self.backend(at)?.federation().ok_or_else(|| self.lost_role(role, at))
    }

    pub(super) fn workloads(&self, at: &Ref) -> Result<&'a dyn Workloads> {
        self.backend(at)?.workloads().ok_or_else(|| self.lost_role("platform of workloads", at))
    }

    fn backend(&self, at: &Ref) -> Result<&'a dyn Backend> {
        let engine: &'a Engine = self.engine;
        Ok(engine.estate.member(at.backend())?.backend.as_ref())
    }

    fn lost_role(&self, role: &str, at: &Ref) -> Error {
        Error::NeedsOperator {
            id: self.record.id.to_string(),
            reason: format!(
                "backend `{}` no longer is a {role}: was its kind changed in the configuration?",
                at.backend()
            ),
        }
    }

    fn salt(&self) -> Result<&'a SagaSalt> {
        self.record
            .salt
            .as_ref()
            .ok_or_else(|| Error::Sealed { saga: self.record.id.to_string(), slot: "salt".to_owned() })
    }

    /// Seals a value; the row commits with the step's outcome.
    pub(super) fn seal(&self, slot: Slot, value: &SecretValue) -> Result<SealedRow> {
        let frame =
            Frame { saga: self.record.id, credential: self.record.plan.credential, slot, salt: self.salt()? };
        let sealed = self
            .engine
            .keys
            .sealing
            .seal(&frame, value, self.engine.random.as_ref())
            .map_err(|_| Error::Sealed { saga: self.record.id.to_string(), slot: slot.word() })?;
        Ok(SealedRow { slot: slot.word(), sealed })
    }

    /// Opens a sealed value. `None` where that slot was never sealed.
    pub(super) async fn open(&self, slot: Slot) -> Result<Option<SecretValue>> {
        let Some(sealed) = self.engine.ports.journal.sealed(self.record.id, &slot.word()).await? else {
            return Ok(None);
        };
        let frame =
            Frame { saga: self.record.id, credential: self.record.plan.credential, slot, salt: self.salt()? };
        self.engine.keys.sealing.open(&frame, &sealed).map(Some).map_err(|_| self.unopened(slot, &sealed))
    }

    fn unopened(&self, slot: Slot, sealed: &[u8]) -> Error {
        let (saga, slot) = (self.record.id.to_string(), slot.word());
        match self.engine.keys.sealing.is_lost(sealed) {
            true => Error::SealedLost { saga, slot },
            false => Error::Sealed { saga, slot },
        }
    }

    /// Opens a value that an earlier step sealed.
    pub(super) async fn must_open(&self, slot: Slot) -> Result<SecretValue> {
        self.open(slot)
            .await?
            .ok_or_else(|| Error::Sealed { saga: self.record.id.to_string(), slot: slot.word() })
    }

    /// The new value: of the values that were made, the last one, as those before it were refused.
    pub(super) async fn new_value(&self) -> Result<SecretValue> {
        self.must_open(Slot::New(self.generation().await?)).await
    }

    /// Which new value is in force. Counts the refused ones.
    pub(super) async fn generation(&self) -> Result<u32> {
        let mut generation = 0;
        while generation < MOST_REFUSED
            && self
                .engine
                .ports
                .journal
                .sealed(self.record.id, &Slot::New(generation + 1).word())
                .await?
                .is_some()
        {
            generation += 1;
        }
        Ok(generation)
    }

    /// The fingerprint by which copies of a value are known: of a private key over its public half, whatever it is written as.
    pub(super) fn fingerprint(&self, value: &SecretValue) -> Fingerprint {
        let key = &self.engine.keys.fingerprint;
        match public_half(value) {
            Some(half) => key.fingerprint(Form::Spki, &half),
            None => key.fingerprint(Form::Text, value),
        }
    }
}
