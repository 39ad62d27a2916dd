use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Action, Decision, Event, Failure, FailureEffect, SagaPlan, Step, StepOutput, StepPhase};
use crate::id::SagaId;

/// Where a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "status")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Begun and no outcome known: after a crash it must be reconciled.
    Started {
        /// Counts from 1.
        attempt: u32,
    },
    /// Waits for a point in time.
    Waiting {
        /// Counts from 1.
        attempt: u32,
        /// Until when.
        until: DateTime<Utc>,
    },
    /// Done.
    Succeeded {
        /// What it left.
        output: StepOutput,
    },
    /// Failed, and may be tried again.
    Failed {
        /// How often it was tried.
        attempt: u32,
        /// Why.
        failure: Failure,
    },
    /// Its undo runs.
    Undoing,
    /// Undone, or never had an effect.
    Undone,
    /// Its undo failed.
    UndoFailed,
}

/// Where a saga is. Each variant carries what that stage needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum SagaState {
    /// Nothing was done yet.
    Planned,
    /// Steps are being done.
    Running,
    /// A step waits for a point in time.
    Waiting {
        /// Until when.
        until: DateTime<Utc>,
    },
    /// An operator must decide.
    Paused {
        /// Why.
        reason: String,
    },
    /// Steps are being undone.
    Unwinding {
        /// Why.
        reason: String,
    },
    /// Every step is done.
    Done,
    /// Every effect was taken back.
    Unwound {
        /// Why.
        reason: String,
    },
    /// An undo failed: an operator is needed.
    Stuck {
        /// Why.
        reason: String,
    },
    /// A rollback has taken it over.
    RolledBack {
        /// The rollback.
        by: SagaId,
    },
    /// An operator ended it as it was.
    Closed {
        /// Why.
        reason: String,
    },
}

impl SagaState {
    /// The word that is printed and stored.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Waiting { .. } => "waiting",
            Self::Paused { .. } => "paused",
            Self::Unwinding { .. } => "unwinding",
            Self::Done => "done",
            Self::Unwound { .. } => "unwound",
            Self::Stuck { .. } => "stuck",
            Self::RolledBack { .. } => "rolled-back",
            Self::Closed { .. } => "closed",
        }
    }

    /// Why it is where it is, where there is something to say.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Paused { reason }
            | Self::Unwinding { reason }
            | Self::Unwound { reason }
            | Self::Stuck { reason }
            | Self::Closed { reason } => Some(reason.clone()),
            Self::RolledBack { by } => Some(format!("by {by}")),
            Self::Waiting { until } => Some(format!("until {}", until.format("%Y-%m-%dT%H:%M:%SZ"))),
            Self::Planned | Self::Running | Self::Done => None,
        }
    }

    /// True if nothing will be done any more.
    pub fn is_rest(&self) -> bool {
        matches!(self, Self::Done | Self::Unwound { .. } | Self::RolledBack { .. } | Self::Closed { .. })
    }

    /// True if only an operator can move it.
    pub fn needs_operator(&self) -> bool {
        matches!(self, Self::Paused { .. } | Self::Stuck { .. })
    }
}

/// What the executor has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Run this step (by index), for the given attempt.
    Run(usize, u32),
    /// Find out whether this step happened: it was begun, and its outcome is not known.
    Reconcile(usize),
    /// Wait, then run the step again.
    Wait(usize, DateTime<Utc>),
    /// Undo this step.
    Undo(usize),
    /// Nothing: at rest, or an operator is needed.
    Nothing,
}

/// An event that must not follow. Recording it would be a bug, reading it is damage.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("event `{event}` must not follow in state `{state}`")]
pub struct IllegalEvent {
    event: String,
    state: String,
}

/// A saga's progress: the fold of its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The saga's state.
    pub state: SagaState,
    /// One state per step of the plan.
    pub steps: Vec<StepState>,
}

impl Progress {
    /// Before the first event.
    pub fn new(plan: &SagaPlan) -> Self {
        Self { state: SagaState::Planned, steps: vec![StepState::Pending; plan.steps.len()] }
    }

    /// Replays a journal.
    ///
    /// # Errors
    /// The journal is damaged.
    pub fn replay<'a>(
        plan: &SagaPlan,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<Self, IllegalEvent> {
        events.into_iter().try_fold(Self::new(plan), |progress, event| progress.apply(plan, event))
    }

    /// The one transition function.
    ///
    /// # Errors
    /// The event must not follow here.
    pub fn apply(mut self, plan: &SagaPlan, event: &Event) -> Result<Self, IllegalEvent> {
        let illegal = |progress: &Self| IllegalEvent {
            event: serde_json::to_value(event)
                .ok()
                .and_then(|value| Some(value["event"].as_str()?.to_owned()))
                .unwrap_or_default(),
            state: progress.state.word().to_owned(),
        };
        match event {
            Event::Started { step, attempt } => {
                let index = self.runnable(plan, step).ok_or_else(|| illegal(&self))?;
                let expected = match &self.steps[index] {
                    StepState::Pending => 1,
                    // An unknown effect is never retried blindly: only `Reconciled` leads out of it.
                    StepState::Failed { failure, .. } if failure.effect == FailureEffect::Unknown => {
                        return Err(illegal(&self));
                    }
                    StepState::Failed { attempt, .. } | StepState::Waiting { attempt, .. } => attempt + 1,
                    _ => return Err(illegal(&self)),
                };
                if *attempt != expected {
                    return Err(illegal(&self));
                }
                self.steps[index] = StepState::Started { attempt: *attempt };
                self.state = SagaState::Running;
            }
            Event::Succeeded { step, output } => {
                let index = self.started(plan, step).ok_or_else(|| illegal(&self))?;
                self.succeed(plan, index, output);
            }
            Event::Failed { step, failure } => {
                let index = self.started(plan, step).ok_or_else(|| illegal(&self))?;
                let StepState::Started { attempt } = self.steps[index] else { return Err(illegal(&self)) };
                let certain = failure.temporary && failure.effect == FailureEffect::NotApplied;
                if failure.until.is_some() && !certain {
                    return Err(illegal(&self));
                }
                let tries = if failure.until.is_some() { attempt.saturating_sub(1) } else { attempt };
                self.steps[index] = StepState::Failed { attempt: tries, failure: failure.clone() };
                if let Some(until) = failure.until {
                    self.state = SagaState::Waiting { until };
                } else if failure.effect != FailureEffect::Unknown && !failure.temporary {
                    // An unknown effect or a passing fault decides nothing yet.
                    self.give_up(plan, index, &failure.message);
                }
            }
            Event::Reconciled { step, happened, .. } => {
                let index = self.unsettled(plan, step).ok_or_else(|| illegal(&self))?;
                match happened {
                    Some(output) => self.succeed(plan, index, output),
                    None => {
                        let attempt = match &self.steps[index] {
                            StepState::Started { attempt } | StepState::Failed { attempt, .. } => *attempt,
                            _ => 0,
                        };
                        let failure = Failure {
                            message: "interrupted before its effect".to_owned(),
                            effect: FailureEffect::NotApplied,
                            temporary: true,
                            until: None,
                        };
                        self.steps[index] = StepState::Failed { attempt, failure };
                    }
                }
            }
            Event::TimerSet { step, until, .. } => {
                let index = self.started(plan, step).ok_or_else(|| illegal(&self))?;
                let StepState::Started { attempt } = self.steps[index] else { return Err(illegal(&self)) };
                self.steps[index] = StepState::Waiting { attempt, until: *until };
                self.state = SagaState::Waiting { until: *until };
            }
            Event::UndoStarted { step } => {
                let (index, _) = plan.step(step).ok_or_else(|| illegal(&self))?;
                if self.next(plan) != Next::Undo(index) {
                    return Err(illegal(&self));
                }
                self.steps[index] = StepState::Undoing;
            }
            Event::UndoFinished { step } => {
                let index = self.undoing(plan, step).ok_or_else(|| illegal(&self))?;
                self.steps[index] = StepState::Undone;
                if let SagaState::Unwinding { reason } = &self.state
                    && self.next(plan) == Next::Nothing
                {
                    self.state = SagaState::Unwound { reason: reason.clone() };
                }
            }
            Event::UndoFailed { step, reason } => {
                let index = self.undoing(plan, step).ok_or_else(|| illegal(&self))?;
                self.steps[index] = StepState::UndoFailed;
                self.state = SagaState::Stuck { reason: reason.clone() };
            }
            Event::Paused { reason } => {
                if self.state.is_rest()
                    || self.state.needs_operator()
                    || matches!(self.state, SagaState::Unwinding { .. })
                {
                    return Err(illegal(&self));
                }
                self.state = SagaState::Paused { reason: reason.clone() };
            }
            Event::Continued { .. } => {
                if !matches!(self.state, SagaState::Paused { .. }) {
                    return Err(illegal(&self));
                }
                self.state = SagaState::Running;
            }
            Event::Abandoned { reason, .. } => {
                if !self.may_abandon(plan) {
                    return Err(illegal(&self));
                }
                self.unwind(plan, reason);
            }
            Event::RolledBack { by } => {
                if !self.may_roll_back(plan) {
                    return Err(illegal(&self));
                }
                self.state = SagaState::RolledBack { by: *by };
            }
            Event::Resolved { reason, decision, .. } => {
                if !self.state.needs_operator() {
                    return Err(illegal(&self));
                }
                match (decision, &self.state) {
                    (Decision::Close, _) => self.state = SagaState::Closed { reason: reason.clone() },
                    (Decision::Retry, SagaState::Stuck { reason }) => {
                        let reason = reason.clone();
                        self.unwind(plan, &reason);
                    }
                    (Decision::Retry, _) => self.state = SagaState::Running,
                }
            }
        }
        Ok(self)
    }

    /// May everything be undone step by step? Before anything that cannot, and not while nobody knows whether a step happened.
    pub fn may_abandon(&self, plan: &SagaPlan) -> bool {
        self.is_movable() && self.is_settled() && !self.pivot_applied(plan) && !plan.is_forward_only()
    }

    /// May another saga take everything back? After the pivot, and not while nobody knows whether a step happened.
    pub fn may_roll_back(&self, plan: &SagaPlan) -> bool {
        self.is_movable() && self.is_settled() && self.pivot_applied(plan)
    }

    /// Neither at rest, nor being undone, nor stuck in that.
    fn is_movable(&self) -> bool {
        !self.state.is_rest() && !matches!(self.state, SagaState::Unwinding { .. } | SagaState::Stuck { .. })
    }

    /// True if of every step is known whether it happened.
    fn is_settled(&self) -> bool {
        !self.steps.iter().any(|step| match step {
            StepState::Started { .. } => true,
            StepState::Failed { failure, .. } => failure.effect == FailureEffect::Unknown,
            _ => false,
        })
    }

    /// True if the pivot has had its effect, whether or not it was finished.
    fn pivot_applied(&self, plan: &SagaPlan) -> bool {
        let half = |(step, state): (&super::Step, &StepState)| {
            step.phase != StepPhase::BeforePivot
                && matches!(state, StepState::Failed { failure, .. } if failure.effect == FailureEffect::Applied)
        };
        self.past_pivot(plan) || plan.steps.iter().zip(&self.steps).any(half)
    }

    fn unwind(&mut self, plan: &SagaPlan, reason: &str) {
        self.state = SagaState::Unwinding { reason: reason.to_owned() };
        if self.next(plan) == Next::Nothing {
            self.state = SagaState::Unwound { reason: reason.to_owned() };
        }
    }

    /// What has to be done next.
    pub fn next(&self, plan: &SagaPlan) -> Next {
        match &self.state {
            SagaState::Done
            | SagaState::Unwound { .. }
            | SagaState::RolledBack { .. }
            | SagaState::Closed { .. }
            | SagaState::Paused { .. }
            | SagaState::Stuck { .. } => Next::Nothing,
            SagaState::Unwinding { .. } => {
                // Last first; what never began has nothing to undo.
                let last = self.steps.iter().rposition(|step| {
                    matches!(
                        step,
                        StepState::Succeeded { .. }
                            | StepState::Failed { .. }
                            | StepState::Undoing
                            | StepState::UndoFailed
                    )
                });
                last.map_or(Next::Nothing, Next::Undo)
            }
            SagaState::Planned | SagaState::Running | SagaState::Waiting { .. } => {
                let Some(index) = self.first_open(plan) else { return Next::Nothing };
                match &self.steps[index] {
                    StepState::Started { .. } => Next::Reconcile(index),
                    StepState::Failed { failure, .. } if failure.effect == FailureEffect::Unknown => {
                        Next::Reconcile(index)
                    }
                    StepState::Failed { failure: Failure { until: Some(until), .. }, .. } => {
                        Next::Wait(index, *until)
                    }
                    StepState::Failed { attempt, .. } => Next::Run(index, attempt + 1),
                    StepState::Waiting { until, .. } => Next::Wait(index, *until),
                    _ => Next::Run(index, 1),
                }
            }
        }
    }

    /// The output of the first succeeded step for which `pick` holds.
    pub fn output<'a>(
        &'a self,
        plan: &'a SagaPlan,
        pick: impl Fn(&super::Step) -> bool,
    ) -> Option<&'a StepOutput> {
        plan.steps.iter().zip(&self.steps).find_map(|(step, state)| match state {
            StepState::Succeeded { output } if pick(step) => Some(output),
            _ => None,
        })
    }

    /// True once the pivot was begun: from here on there is only forward.
    pub fn past_pivot(&self, plan: &SagaPlan) -> bool {
        plan.steps.iter().zip(&self.steps).any(|(step, state)| {
            step.phase != StepPhase::BeforePivot && matches!(state, StepState::Succeeded { .. })
        })
    }

    fn first_open(&self, plan: &SagaPlan) -> Option<usize> {
        debug_assert_eq!(plan.steps.len(), self.steps.len(), "a plan never changes");
        self.steps.iter().position(|step| !matches!(step, StepState::Succeeded { .. }))
    }

    fn runnable(&self, plan: &SagaPlan, step: &str) -> Option<usize> {
        if !matches!(self.state, SagaState::Planned | SagaState::Running | SagaState::Waiting { .. }) {
            return None;
        }
        let (index, _) = plan.step(step)?;
        (self.first_open(plan) == Some(index)).then_some(index)
    }

    fn started(&self, plan: &SagaPlan, step: &str) -> Option<usize> {
        let (index, _) = plan.step(step)?;
        let running = matches!(self.state, SagaState::Running);
        (running && matches!(self.steps[index], StepState::Started { .. })).then_some(index)
    }

    fn unsettled(&self, plan: &SagaPlan, step: &str) -> Option<usize> {
        let (index, _) = plan.step(step)?;
        (self.next(plan) == Next::Reconcile(index)).then_some(index)
    }

    fn undoing(&self, plan: &SagaPlan, step: &str) -> Option<usize> {
        let (index, _) = plan.step(step)?;
        matches!(self.steps[index], StepState::Undoing).then_some(index)
    }

    fn succeed(&mut self, plan: &SagaPlan, index: usize, output: &StepOutput) {
        self.steps[index] = StepState::Succeeded { output: output.clone() };
        self.state = if self.first_open(plan).is_none() { SagaState::Done } else { SagaState::Running };
    }

    /// A workload's owner has moved it to what was made for it, and we cannot move it back: that is not taken away from under it without a person.
    fn owner_moved(&self, plan: &SagaPlan) -> bool {
        let alone = plan.steps.iter().any(|step| matches!(step.action, Action::CompareRights(_)));
        let moved = |(step, state): (&Step, &StepState)| {
            matches!(step.action, Action::AwaitUnread(_)) && matches!(state, StepState::Succeeded { .. })
        };
        alone && plan.steps.iter().zip(&self.steps).any(moved)
    }

    fn give_up(&mut self, plan: &SagaPlan, index: usize, reason: &str) {
        let forward_only = plan.steps[index].phase == StepPhase::AfterPivot || self.pivot_applied(plan);
        // That somebody unknown still uses a value is for a person to judge: nothing is hurt as it is, whether it goes on or back.
        let asks = matches!(
            plan.steps[index].action,
            Action::AwaitQuiet(_) | Action::AwaitUnread(_) | Action::AwaitEntry(_)
        );
        self.state = if forward_only || asks || self.owner_moved(plan) {
            SagaState::Paused { reason: reason.to_owned() }
        } else {
            SagaState::Unwinding { reason: reason.to_owned() }
        };
    }
}
