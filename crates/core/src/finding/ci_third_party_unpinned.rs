//! A secret of a CI system is handed to an action that others wrote and can change under the job: it is named by a tag or a branch.
//!
//! Sources: OWASP NHI3:2025; GitHub's security hardening guide for Actions: a full commit hash is the only way to use an action as an immutable
//! release.

use std::collections::BTreeSet;

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::view::{ConsumerView, CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "ci-third-party-unpinned",
    severity: Severity::Medium,
    suggested: "Name the action by a whole commit hash that somebody has read, or give it a credential that can do only what it is for.",
    frameworks: &[nhi("NHI3:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let seeing = |job: &ConsumerView| unpinned(job).next().is_some();
    let jobs: Vec<&ConsumerView> = detail.consumers.iter().filter(|job| seeing(job)).collect();
    let actions: BTreeSet<&str> = jobs.iter().flat_map(|job| unpinned(job)).collect();
    (!actions.is_empty()).then(|| {
        Draft::of(&detail.credential.at, "Code of others that can change without notice is given it")
            .with("actions", actions.into_iter().collect::<Vec<_>>())
            .with("jobs", facts::refs(jobs.iter().map(|job| &job.at)))
    })
}

fn unpinned(job: &ConsumerView) -> impl Iterator<Item = &str> {
    let actions = job.attributes.get("third_party_unpinned").and_then(|actions| actions.as_array());
    actions.into_iter().flatten().filter_map(|action| action.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        finding::sample,
        model::{ConsumerHow, CredentialKind},
    };

    fn given_to(actions: serde_json::Value) -> CredentialDetail {
        let secret = "forge/acme/shop/actions/secrets/X";
        let job = "forge/acme/shop/workflows/a.yml#jobs/a";
        let mut detail =
            sample::credential(secret, CredentialKind::Token).consumed(job, secret, ConsumerHow::Env);
        detail.consumers[0].attributes.insert("third_party_unpinned".to_owned(), actions);
        detail
    }

    #[test]
    fn holds_of_a_tag_and_names_the_action() {
        let found = sample::holds(&RULE, given_to(json!(["other/action@v1"])));
        assert_eq!(found.evidence["actions"], json!(["other/action@v1"]));
    }

    #[test]
    fn spares_what_nobody_else_wrote_or_can_change() {
        sample::spares(&RULE, &given_to(json!([])));
        sample::spares(&RULE, &sample::credential("db/role/app", CredentialKind::Password));
    }
}
