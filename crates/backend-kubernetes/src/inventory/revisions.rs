//! Which of a Deployment's ReplicaSets hold a template that it no longer has.
//!
//! The Deployment controller numbers the templates: it writes a number into the annotation `deployment.kubernetes.io/revision` of the
//! ReplicaSet and of the Deployment, and gives a ReplicaSet that a rollback takes up again a new one. So a number below the
//! Deployment's own is a former template, whatever still runs of it; and a Deployment that is scaled to nothing keeps its present one.

use std::collections::BTreeMap;

use crate::wire::Meta;

const REVISION: &str = "deployment.kubernetes.io/revision";

/// The present revision of each Deployment, by namespace and name.
#[derive(Debug, Default)]
pub(super) struct Revisions(BTreeMap<(String, String), u64>);

impl Revisions {
    /// Takes in a Deployment. One that the controller has not numbered yet stays unknown.
    pub(super) fn learn(&mut self, deployment: &Meta<'_>) {
        if let Some(revision) = revision(deployment) {
            self.0.insert((deployment.namespace.plain(), deployment.name.plain()), revision);
        }
    }

    /// The Deployment whose former template this ReplicaSet holds, by its name. `None` for the present one, and for a ReplicaSet that
    /// belongs to no Deployment.
    ///
    /// Where one of the two has no number, a ReplicaSet that is to run nothing counts as former.
    pub(super) fn former_of(&self, replica_set: &Meta<'_>, replicas: Option<i64>) -> Option<String> {
        let owner = replica_set.owner_references.iter().find(|owner| owner.controller)?;
        if owner.kind.as_str() != "Deployment" {
            return None;
        }
        let deployment = owner.name.plain();
        let present = self.0.get(&(replica_set.namespace.plain(), deployment.clone()));
        let former = match (revision(replica_set), present) {
            (Some(own), Some(present)) => own < *present,
            _ => replicas == Some(0),
        };
        former.then_some(deployment)
    }
}

fn revision(meta: &Meta<'_>) -> Option<u64> {
    meta.annotations.get(REVISION)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire;

    fn annotations(revision: &str) -> Value {
        if revision.is_empty() { json!(null) } else { json!({REVISION: revision}) }
    }

    /// Is a ReplicaSet former, beside the Deployment `web` of the namespace `a`, whose revision is 10?
    fn former(namespace: &str, owner: Value, own: &str, replicas: Option<i64>) -> Option<String> {
        let mut revisions = Revisions::default();
        let deployment =
            json!({"name": "web", "namespace": "a", "annotations": annotations("10")}).to_string();
        revisions.learn(&wire::read(deployment.as_bytes()).expect("metadata"));
        let unnumbered = json!({"name": "new", "namespace": "a"}).to_string();
        revisions.learn(&wire::read(unnumbered.as_bytes()).expect("metadata"));
        let set = json!({"name": "x-1", "namespace": namespace, "annotations": annotations(own), "ownerReferences": [owner]})
            .to_string();
        revisions.former_of(&wire::read(set.as_bytes()).expect("metadata"), replicas)
    }

    fn owned(name: &str) -> Value {
        json!({"kind": "Deployment", "name": name, "controller": true})
    }

    #[test]
    fn a_lower_revision_is_former_and_the_present_one_is_not() {
        let web = Some("web".to_owned());
        assert_eq!(former("a", owned("web"), "9", Some(0)), web, "9 is less than 10: numbers, not text");
        assert_eq!(former("a", owned("web"), "9", Some(2)), web, "a rollout is under way");
        assert_eq!(former("a", owned("web"), "10", Some(2)), None);
        assert_eq!(former("a", owned("web"), "10", Some(0)), None, "the Deployment is scaled to nothing");
        assert_eq!(former("a", owned("web"), "11", Some(2)), None, "rolled out since we read the Deployment");
    }

    #[test]
    fn without_numbers_what_is_to_run_nothing_is_former() {
        for (namespace, deployment, own) in [
            ("a", "web", ""),
            ("a", "web", "ten"),
            ("a", "new", "1"),
            ("b", "web", "1"),
            ("a", "unread", "1"),
        ] {
            let found = |replicas| former(namespace, owned(deployment), own, replicas);
            assert_eq!(found(Some(0)), Some(deployment.to_owned()), "{namespace} {deployment} {own}");
            assert_eq!((found(Some(1)), found(None)), (None, None), "{namespace} {deployment} {own}");
        }
    }

    #[test]
    fn only_a_deployment_has_former_templates() {
        let rollout = json!({"kind": "Rollout", "name": "web", "controller": true});
        assert_eq!(former("a", rollout, "1", Some(0)), None);
        let no_controller = json!({"kind": "Deployment", "name": "web"});
        assert_eq!(former("a", no_controller, "1", Some(0)), None);
    }
}
