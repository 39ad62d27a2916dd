//! Progress as server-sent events: `step` when a step is somewhere else, `state` when the whole is, `end` with the whole when nothing more comes by itself.
//! Whoever comes back is told everything from the beginning: there is nothing to be missed.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::response::sse::{Event, KeepAlive, Sse};
use claviger_core::{id::SagaId, saga::SagaKind};
use futures::{Stream, stream};
use serde_json::{Value, json};

use super::{Context, caller::Caller, saga};
use crate::Stage;

const LOOK: Duration = Duration::from_millis(300);

struct Watch {
    context: Context,
    caller: Caller,
    kind: SagaKind,
    id: SagaId,
    told: Value,
    steps: Vec<Value>,
    ready: VecDeque<Event>,
    looked: bool,
    over: bool,
}

/// Watches one until nothing more comes.
pub(super) fn watch(
    context: Context,
    caller: Caller,
    kind: SagaKind,
    id: SagaId,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let watch = Watch {
        context,
        caller,
        kind,
        id,
        told: Value::Null,
        steps: Vec::new(),
        ready: VecDeque::new(),
        looked: false,
        over: false,
    };
    let events = stream::unfold(watch, |mut watch| async move {
        loop {
            if let Some(event) = watch.ready.pop_front() {
                return Some((Ok(event), watch));
            }
            if watch.over || watch.context.stop.stage() >= Stage::Draining {
                return None;
            }
            if watch.looked {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = watch.context.stop.reached(Stage::Draining) => return None,
                }
            }
            watch.looked = true;
            watch.look().await;
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

impl Watch {
    async fn look(&mut self) {
        let (outcome, document) = match saga::whole(&self.context, &self.caller, self.kind, self.id).await {
            Ok(found) => found,
            Err(problem) => {
                self.tell("error", &json!({ "code": problem.fault.word(), "detail": problem.fault.message }));
                self.over = true;
                return;
            }
        };
        let steps: Vec<Value> = document["steps"].as_array().cloned().unwrap_or_default();
        for (index, step) in steps.iter().enumerate() {
            if self.steps.get(index) != Some(step) {
                self.tell("step", step);
            }
        }
        self.steps = steps;
        let state = json!({ "state": outcome.state, "reason": outcome.reason });
        if self.told != state {
            self.tell("state", &state);
            self.told = state;
        }
        if saga::rests(&outcome.state) {
            self.tell("end", &document);
            self.over = true;
        }
    }

    fn tell(&mut self, name: &str, data: &Value) {
        self.ready.push_back(Event::default().event(name).data(data.to_string()));
    }
}
