//! One value in two clusters: losing one cluster loses the other.
//!
//! Source: OWASP NHI8:2025. A cluster is a backend whose refs name objects by kind (`<cluster>/<namespace>/Secret/<name>`).

use std::collections::BTreeSet;

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::Place,
    view::{CopyView, CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "copy-cross-cluster",
    severity: Severity::High,
    suggested: "Issue a credential per cluster, then rotate the shared one.",
    frameworks: &[nhi("NHI8:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let (copies, clusters) = facts::by_fingerprint(detail)
        .into_values()
        .map(|copies| {
            let copies: Vec<&CopyView> = copies.into_iter().filter(|copy| in_cluster(copy)).collect();
            let clusters: BTreeSet<&str> = copies.iter().map(|copy| copy.store.as_str()).collect();
            (copies, clusters)
        })
        .max_by_key(|(_, clusters)| clusters.len())
        .filter(|(_, clusters)| clusters.len() >= 2)?;
    Some(
        Draft::of(&detail.credential.at, format!("The same value lies in {} clusters", clusters.len()))
            .with("clusters", clusters.iter().copied().collect::<Vec<_>>())
            .with("places", facts::refs(copies.iter().map(|copy| &copy.at))),
    )
}

/// What a manifest says is not in a cluster yet.
fn in_cluster(copy: &CopyView) -> bool {
    copy.place != Place::Literal && matches!(facts::object_kind(&copy.at), Some("Secret" | "ConfigMap"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    #[test]
    fn holds_across_clusters_only() {
        let key = || sample::credential("a/web/Secret/tls#tls.key", CredentialKind::PrivateKey);
        let first = || sample::copy("a/web/Secret/tls#tls.key");
        let found =
            sample::holds(&RULE, key().copied(first()).copied(sample::copy("b/web/Secret/tls#tls.key")));
        assert_eq!(found.evidence["clusters"], serde_json::json!(["a", "b"]));
        sample::spares(&RULE, &key().copied(first()).copied(sample::copy("a/other/Secret/tls#tls.key")));
        sample::spares(&RULE, &key().copied(first()).copied(sample::copy("vault/secret/tls#key")));
        sample::spares(
            &RULE,
            &key().copied(first()).copied(sample::copy("b/web/Secret/tls#tls.key").valued("b2")),
        );
    }
}
