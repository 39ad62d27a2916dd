//! What of a saga is seen in a trace: refs, ids, words of ours. Never a value, and nothing that a target has said.

use claviger_core::{id::SagaId, saga::SagaKind};
use claviger_store::port::SagaRecord;
use tracing::{Span, field::Empty, info_span};

/// The span of one owner's time with a saga. What it is of is told once it was read.
pub(super) fn of_saga(id: SagaId) -> Span {
    info_span!("saga", saga.kind = Empty, saga.id = %id, saga.credential = Empty, saga.strategy = Empty, saga.state = Empty)
}

/// Tells the present span which saga this is.
pub(super) fn tell(record: &SagaRecord) {
    let span = Span::current();
    span.record("saga.kind", word(record.plan.kind));
    span.record("saga.credential", record.plan.subject.as_str());
    span.record("saga.strategy", record.plan.strategy.as_str());
}

fn word(kind: SagaKind) -> &'static str {
    match kind {
        SagaKind::Rotation => "rotation",
        SagaKind::Revocation => "revocation",
        SagaKind::Swap => "swap",
    }
}

/// The span of one step. `what`: `run`, `reconcile` or `undo`.
pub(super) fn of_step(record: &SagaRecord, index: usize, what: &'static str, attempt: u32) -> Span {
    let step = &record.plan.steps[index];
    info_span!(
        "step",
        step.id = %step.id,
        step.target = %step.target,
        step.does = what,
        step.attempt = attempt,
        step.outcome = Empty,
        otel.status_code = Empty,
    )
}

/// Tells the present span how a step ended.
pub(super) fn ended(outcome: &'static str, well: bool) {
    let span = Span::current();
    span.record("step.outcome", outcome);
    if !well {
        span.record("otel.status_code", "ERROR");
    }
}
