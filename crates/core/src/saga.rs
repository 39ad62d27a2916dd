//! Sagas: journaled lists of steps with one transition function.
//!
//! [`Progress::apply`] is used to record, to replay and to test: there is no second place that knows what may follow what. Before the pivot a
//! failure unwinds; from the pivot on a saga goes forward or pauses. A failed undo is `Stuck`.
//!
//! To add a saga: a builder that returns a [`SagaPlan`], its actions' `run`, `undo` and `reconcile` in the engine, and the generic tests on it.

mod event;
mod plan;
mod progress;
mod quiet;
mod rights;
mod swap;
#[cfg(test)]
mod tests;

pub use self::{
    event::{Decision, Event, Failure, FailureEffect, StepOutput},
    plan::{
        Action, Cause, Half, Halves, Holder, Login, Pair, PlanHash, Redirect, SagaKind, SagaPlan, Step,
        StepPhase,
    },
    progress::{IllegalEvent, Next, Progress, SagaState, StepState},
    quiet::{Evidence, Quiet},
    rights::{Party, PartyKind, Person, Question},
    swap::{Arrangement, Binding, Mounting, Side},
};
