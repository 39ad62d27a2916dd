//! The saga executor: one loop over the transition function, and one file per step.
//!
//! Guarantees. An effect is begun only after its `Started` event and audit intent are durable in one fenced append, and only while the lease
//! outlasts the call's deadline. After a crash the step that was begun is reconciled: the world is asked whether it happened. A call with
//! unknown effect is treated like a crash. Before the pivot a failure unwinds; after it the saga goes forward or pauses for an operator.

mod batch;
mod comeback;
mod context;
mod crowd;
mod executor;
mod outcome;
mod resolve;
mod rollback;
mod step;

pub(crate) use self::step::{PUBLIC_HALF, issue::added, leaf_at};

pub use self::{
    executor::RunOptions,
    outcome::{Left, SagaOutcome, StepView},
};
