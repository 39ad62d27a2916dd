//! A secret of a CI system is handed to a job that a pull request from outside can start.
//!
//! Sources: OWASP NHI6:2025; GitHub's security hardening guide for Actions: `pull_request_target` runs with the secrets of the base repository whoever
//! asks, and a job that checks out what was proposed runs it with them.

use std::collections::BTreeSet;

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    reference::Ref,
    view::{ConsumerView, CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "ci-var-unprotected",
    severity: Severity::High,
    suggested: "Start the job by `pull_request`, which gives no secrets to forks, or keep the secret in an environment that somebody has to approve.",
    frameworks: &[nhi("NHI6:2025")],
    check: Check::Credential(check),
};

/// Triggers by which somebody without a right in the repository starts a run that has its secrets.
const OPEN: &[&str] = &["pull_request_target", "issue_comment"];

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    // An environment may want an approval, which is not seen here.
    let open =
        detail.consumers.iter().filter(|job| is_open(job) && !job.attributes.contains_key("environment"));
    let jobs: BTreeSet<&Ref> = open.map(|job| &job.at).collect();
    (!jobs.is_empty()).then(|| {
        Draft::of(&detail.credential.at, "A job that strangers can start is given it")
            .with("jobs", facts::refs(jobs.into_iter()))
    })
}

fn is_open(job: &ConsumerView) -> bool {
    let triggers = job.attributes.get("triggers").and_then(|triggers| triggers.as_array());
    triggers
        .into_iter()
        .flatten()
        .filter_map(|trigger| trigger.as_str())
        .any(|trigger| OPEN.contains(&trigger))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        finding::sample,
        model::{ConsumerHow, CredentialKind},
    };

    const JOB: &str = "forge/acme/shop/workflows/.gitea/workflows/a.yml#jobs/a";

    fn read_by(facts: &[(&str, serde_json::Value)]) -> CredentialDetail {
        let secret = "forge/acme/shop/actions/secrets/X";
        let mut detail =
            sample::credential(secret, CredentialKind::Token).consumed(JOB, secret, ConsumerHow::Env);
        detail.consumers[0]
            .attributes
            .extend(facts.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        detail
    }

    #[test]
    fn holds_of_jobs_that_a_stranger_starts() {
        let found = sample::holds(&RULE, read_by(&[("triggers", json!(["push", "pull_request_target"]))]));
        assert_eq!(found.evidence["jobs"], json!([JOB]));
        sample::holds(&RULE, read_by(&[("triggers", json!(["issue_comment"]))]));
    }

    #[test]
    fn spares_jobs_of_ones_own_and_those_that_wait_for_an_approval() {
        sample::spares(&RULE, &read_by(&[("triggers", json!(["push", "pull_request"]))]));
        sample::spares(&RULE, &read_by(&[]));
        let guarded = [("triggers", json!(["pull_request_target"])), ("environment", json!("production"))];
        sample::spares(&RULE, &read_by(&guarded));
    }
}
