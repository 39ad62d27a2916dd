//! How far a rollout has come, judged from what the controllers write into the status.

use claviger_backend::Adoption;
use serde::Deserialize;

use crate::wire::{self, Meta};

/// Deployment, StatefulSet, DaemonSet, Job or CronJob, as far as rollouts go.
#[derive(Debug, Deserialize)]
pub(super) struct Rolling<'a> {
    #[serde(borrow, default)]
    pub(super) metadata: Meta<'a>,
    #[serde(default, deserialize_with = "wire::nullable")]
    spec: RollingSpec,
    #[serde(default, deserialize_with = "wire::nullable")]
    status: RollingStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RollingSpec {
    replicas: Option<i64>,
    #[serde(deserialize_with = "wire::nullable")]
    paused: bool,
    #[serde(deserialize_with = "wire::nullable")]
    update_strategy: UpdateStrategy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UpdateStrategy {
    #[serde(rename = "type", deserialize_with = "wire::nullable")]
    kind: String,
    #[serde(deserialize_with = "wire::nullable")]
    rolling_update: RollingUpdate,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RollingUpdate {
    #[serde(deserialize_with = "wire::nullable")]
    partition: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RollingStatus {
    observed_generation: Option<i64>,
    replicas: i64,
    updated_replicas: i64,
    available_replicas: i64,
    ready_replicas: i64,
    terminating_replicas: i64,
    #[serde(deserialize_with = "wire::nullable")]
    current_revision: String,
    #[serde(deserialize_with = "wire::nullable")]
    update_revision: String,
    desired_number_scheduled: i64,
    updated_number_scheduled: i64,
    number_available: i64,
    #[serde(deserialize_with = "wire::nullable")]
    conditions: Vec<Condition>,
    /// A number of a Job, a list of a CronJob.
    active: serde_json::Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type", deserialize_with = "wire::nullable")]
    kind: String,
    #[serde(deserialize_with = "wire::nullable")]
    status: String,
    #[serde(deserialize_with = "wire::nullable")]
    reason: String,
}

/// Has the controller seen the change at all?
fn unseen(workload: &Rolling<'_>) -> Option<Adoption> {
    let (wanted, seen) =
        (workload.metadata.generation.unwrap_or(0), workload.status.observed_generation.unwrap_or(0));
    (seen < wanted).then(|| Adoption::Pending("its controller has not seen the change yet".to_owned()))
}

fn condition<'w>(workload: &'w Rolling<'_>, kind: &str, status: &str) -> Option<&'w Condition> {
    workload.status.conditions.iter().find(|condition| condition.kind == kind && condition.status == status)
}

pub(super) fn deployment(workload: &Rolling<'_>) -> Adoption {
    if workload.spec.paused {
        return Adoption::Failing(
            "the Deployment is paused: no pod is replaced until it is resumed".to_owned(),
        );
    }
    if let Some(pending) = unseen(workload) {
        return pending;
    }
    let status = &workload.status;
    let wanted = workload.spec.replicas.unwrap_or(1);
    if condition(workload, "Progressing", "False")
        .is_some_and(|condition| condition.reason == "ProgressDeadlineExceeded")
    {
        return Adoption::Failing(
            "the new pods did not become available in time (ProgressDeadlineExceeded)".to_owned(),
        );
    }
    let done = status.updated_replicas == wanted
        && status.replicas == wanted
        && status.available_replicas == wanted
        && status.terminating_replicas == 0;
    if done {
        return Adoption::Adopted(format!("{wanted} of {wanted} pods are new and available"));
    }
    if condition(workload, "ReplicaFailure", "True").is_some() && status.updated_replicas < wanted {
        return Adoption::Failing("new pods cannot be created (ReplicaFailure)".to_owned());
    }
    Adoption::Pending(format!(
        "{} of {wanted} pods are new, {} available, {} in all, {} terminating",
        status.updated_replicas, status.available_replicas, status.replicas, status.terminating_replicas
    ))
}

pub(super) fn stateful_set(workload: &Rolling<'_>) -> Adoption {
    if let Some(failing) = on_delete(workload) {
        return failing;
    }
    if let Some(pending) = unseen(workload) {
        return pending;
    }
    let status = &workload.status;
    let wanted = workload.spec.replicas.unwrap_or(1);
    let partition = workload.spec.update_strategy.rolling_update.partition.min(wanted);
    if partition > 0 {
        return Adoption::Failing(format!(
            "its update stops at partition {partition}: {partition} pods keep what they have"
        ));
    }
    let all_new = status.current_revision == status.update_revision || status.updated_replicas == wanted;
    if all_new && status.replicas == wanted && status.ready_replicas == wanted {
        return Adoption::Adopted(format!("{wanted} of {wanted} pods are new and ready"));
    }
    Adoption::Pending(format!(
        "{} of {wanted} pods are new, {} ready",
        status.updated_replicas, status.ready_replicas
    ))
}

pub(super) fn daemon_set(workload: &Rolling<'_>) -> Adoption {
    if let Some(failing) = on_delete(workload) {
        return failing;
    }
    if let Some(pending) = unseen(workload) {
        return pending;
    }
    let status = &workload.status;
    let wanted = status.desired_number_scheduled;
    if status.updated_number_scheduled == wanted && status.number_available == wanted {
        return Adoption::Adopted(format!("{wanted} of {wanted} pods are new and available"));
    }
    Adoption::Pending(format!(
        "{} of {wanted} pods are new, {} available",
        status.updated_number_scheduled, status.number_available
    ))
}

fn on_delete(workload: &Rolling<'_>) -> Option<Adoption> {
    (workload.spec.update_strategy.kind == "OnDelete").then(|| {
        Adoption::Failing("its update strategy is OnDelete: the pods have to be deleted by hand".to_owned())
    })
}

pub(super) fn next_run(workload: &Rolling<'_>) -> Adoption {
    let finished =
        condition(workload, "Complete", "True").or_else(|| condition(workload, "Failed", "True")).is_some();
    let running = match &workload.status.active {
        serde_json::Value::Array(jobs) => jobs.len(),
        serde_json::Value::Number(pods) => usize::try_from(pods.as_u64().unwrap_or(0)).unwrap_or(usize::MAX),
        _ => 0,
    };
    match (finished, running) {
        (true, _) => Adoption::Adopted("it has finished".to_owned()),
        (false, 0) => Adoption::Adopted("nothing of it runs: the next run reads what is there".to_owned()),
        (false, running) => {
            Adoption::Pending(format!("{running} still running, perhaps with the former value"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rolling(json: serde_json::Value) -> String {
        json.to_string()
    }

    fn judged(json: serde_json::Value, judge: fn(&Rolling<'_>) -> Adoption) -> Adoption {
        let text = rolling(json);
        judge(&wire::read::<Rolling<'_>>(text.as_bytes()).expect("a workload"))
    }

    #[test]
    fn a_deployment_has_adopted_when_no_old_pod_is_left() {
        let status = |fields: serde_json::Value| json!({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": fields});
        let done =
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert!(matches!(judged(status(done.clone()), deployment), Adoption::Adopted(_)));
        for (field, value) in [
            ("observedGeneration", 1),
            ("replicas", 3),
            ("updatedReplicas", 1),
            ("availableReplicas", 1),
            ("terminatingReplicas", 1),
        ] {
            let mut not_yet = done.clone();
            not_yet[field] = value.into();
            assert!(matches!(judged(status(not_yet), deployment), Adoption::Pending(_)), "{field}");
        }
        let mut stuck = done;
        stuck["conditions"] =
            json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        assert!(matches!(judged(status(stuck), deployment), Adoption::Failing(_)));
        assert!(matches!(judged(json!({"spec": {"paused": true}}), deployment), Adoption::Failing(_)));
        assert!(matches!(
            judged(json!({"spec": {"replicas": 0}, "status": {"observedGeneration": 1}}), deployment),
            Adoption::Adopted(_)
        ));
    }

    #[test]
    fn a_stateful_set_that_stops_half_way_is_failing() {
        let set = |strategy: serde_json::Value, updated: i64| {
            json!({"metadata": {"generation": 1}, "spec": {"replicas": 2, "updateStrategy": strategy},
                   "status": {"observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "updatedReplicas": updated,
                              "currentRevision": "a", "updateRevision": "b"}})
        };
        assert!(matches!(judged(set(json!({}), 2), stateful_set), Adoption::Adopted(_)));
        assert!(matches!(judged(set(json!({}), 1), stateful_set), Adoption::Pending(_)));
        assert!(matches!(judged(set(json!({"type": "OnDelete"}), 2), stateful_set), Adoption::Failing(_)));
        assert!(matches!(
            judged(set(json!({"rollingUpdate": {"partition": 1}}), 2), stateful_set),
            Adoption::Failing(_)
        ));
    }

    #[test]
    fn a_daemon_set_counts_its_nodes() {
        let set = |updated: i64| json!({"status": {"desiredNumberScheduled": 3, "updatedNumberScheduled": updated, "numberAvailable": 3}});
        assert!(matches!(judged(set(3), daemon_set), Adoption::Adopted(_)));
        assert!(matches!(judged(set(2), daemon_set), Adoption::Pending(_)));
    }

    #[test]
    fn a_run_that_goes_on_has_the_former_value() {
        assert!(matches!(
            judged(json!({"status": {"active": [{"name": "j"}]}}), next_run),
            Adoption::Pending(_)
        ));
        assert!(matches!(judged(json!({"status": {"active": 1}}), next_run), Adoption::Pending(_)));
        assert!(matches!(judged(json!({"status": null}), next_run), Adoption::Adopted(_)));
        let finished =
            json!({"status": {"active": 1, "conditions": [{"type": "Complete", "status": "True"}]}});
        assert!(matches!(judged(finished, next_run), Adoption::Adopted(_)));
    }
}
