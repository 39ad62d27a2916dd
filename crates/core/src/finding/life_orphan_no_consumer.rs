//! It lies in a cluster and no workload reads it, nor has its issuer seen it lately.
//!
//! Sources: OWASP NHI1:2025; NIST SP 800-53 r5 AC-2(3)b. Consumers are known only in clusters, so a credential with a copy anywhere else has
//! unknown consumers and is left alone; so are Secrets that are read through the API by design (TLS for ingresses, Helm releases,
//! bootstrap tokens), and tokens whose last use is not known: they are used from outside.

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{nhi, sp800_53},
};
use crate::{
    model::CredentialKind,
    view::{CopyView, CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "life-orphan-no-consumer",
    severity: Severity::Medium,
    suggested: "Ask its owner; if nobody objects, quarantine it for a while, then revoke it and delete its copies.",
    frameworks: &[nhi("NHI1:2025"), sp800_53("AC-2(3)b")],
    check: Check::Credential(check),
};

/// Types of Secrets that pods mount or the kubelet reads.
const MOUNTED: &[&str] = &[
    "Opaque",
    "kubernetes.io/basic-auth",
    "kubernetes.io/ssh-auth",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/dockercfg",
    "kubernetes.io/service-account-token",
];

fn check(detail: &CredentialDetail, context: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let since = facts::value_since(credential)?;
    let old = |at| facts::older_than(at, context.unused_days, context.now);
    let in_clusters_only = facts::current(detail).count() > 0 && facts::current(detail).all(mountable);
    let use_is_old = match credential.last_used_at {
        Some(used) => old(used),
        None => credential.kind != CredentialKind::ServiceAccountToken,
    };
    let lost_lately = detail
        .history
        .iter()
        .any(|change| change.entity == "consumer" && change.change == "vanished" && !old(change.at));
    let holds = facts::usable(credential)
        && detail.consumers.is_empty()
        && in_clusters_only
        && old(since)
        && use_is_old
        && !lost_lately;
    holds.then(|| {
        let draft = Draft::of(&credential.at, "No workload of the cluster reads it")
            .with("since", facts::instant(since))
            .with("places", facts::refs(facts::current(detail).map(|copy| &copy.at)));
        match credential.last_used_at {
            Some(used) => draft.with("last_used_at", facts::instant(used)),
            None => draft,
        }
    })
}

fn mountable(copy: &CopyView) -> bool {
    facts::object_kind(&copy.at) == Some("Secret")
        && facts::text(&copy.attributes, "secret_type").is_some_and(|kind| MOUNTED.contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::ConsumerHow, reference::Ref, view::HistoryView};

    fn old(kind: CredentialKind) -> CredentialDetail {
        sample::credential("prod/web/Secret/db#password", kind)
            .made(sample::days_ago(200))
            .copied(sample::copy("prod/web/Secret/db#password").say("secret_type", "Opaque"))
    }

    #[test]
    fn holds_of_what_no_workload_reads() {
        sample::holds(&RULE, old(CredentialKind::Password));
        sample::spares(
            &RULE,
            &old(CredentialKind::Password).consumed(
                "prod/web/Deployment/a",
                "prod/web/Secret/db",
                ConsumerHow::Volume,
            ),
        );
    }

    #[test]
    fn a_copy_elsewhere_has_unknown_consumers() {
        sample::spares(
            &RULE,
            &old(CredentialKind::Password).copied(sample::copy("vault/secret/app#password")),
        );
        let tls = sample::credential("prod/web/Secret/tls#tls.crt", CredentialKind::Certificate)
            .made(sample::days_ago(200));
        sample::spares(
            &RULE,
            &tls.copied(sample::copy("prod/web/Secret/tls#tls.crt").say("secret_type", "kubernetes.io/tls")),
        );
    }

    #[test]
    fn a_recent_use_a_recent_loss_or_a_recent_making_spares_it() {
        let mut used = old(CredentialKind::Password);
        used.credential.last_used_at = Some(sample::days_ago(2));
        sample::spares(&RULE, &used);
        let mut lost = old(CredentialKind::Password);
        lost.history.push(HistoryView {
            at: sample::days_ago(5),
            entity: "consumer".to_owned(),
            subject: Ref::from_text("prod/web/Deployment/a"),
            change: "vanished".to_owned(),
            detail: String::new(),
        });
        sample::spares(&RULE, &lost);
        let young = sample::credential("prod/web/Secret/db#password", CredentialKind::Password)
            .made(sample::days_ago(5));
        sample::spares(
            &RULE,
            &young.copied(sample::copy("prod/web/Secret/db#password").say("secret_type", "Opaque")),
        );
    }

    #[test]
    fn a_token_whose_use_is_unknown_may_be_used_from_outside() {
        sample::spares(&RULE, &old(CredentialKind::ServiceAccountToken));
        let mut seen = old(CredentialKind::ServiceAccountToken);
        seen.credential.last_used_at = Some(sample::days_ago(150));
        sample::holds(&RULE, seen);
    }
}
