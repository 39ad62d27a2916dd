//! One value in two environments: whoever reads the weaker one holds the key to the stronger.
//!
//! Sources: OWASP NHI8:2025; ISO/IEC 27001:2022 A.8.31. The environment is the value of the label that the configuration names (`env`); a
//! place without it is of unknown environment and proves nothing. Critical where one side is production, else high.

use std::collections::BTreeSet;

use super::{
    Check, Context, Draft, Rule, facts,
    framework::{iso_27001, nhi},
};
use crate::view::{CopyView, CredentialDetail, Severity};

pub(super) const RULE: Rule = Rule {
    slug: "copy-cross-env",
    severity: Severity::Critical,
    suggested: "Issue a credential per environment, put each in its own place, then revoke the shared one.",
    frameworks: &[nhi("NHI8:2025"), iso_27001("A.8.31")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, context: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let environment = |copy: &&CopyView| copy.labels.get(&context.environment_label).cloned();
    let (copies, environments) = facts::by_fingerprint(detail)
        .into_values()
        .map(|copies| {
            let environments: BTreeSet<String> = copies.iter().filter_map(environment).collect();
            (copies, environments)
        })
        .max_by_key(|(_, environments)| environments.len())
        .filter(|(_, environments)| environments.len() >= 2)?;
    let severity =
        if environments.iter().any(|name| is_production(name)) { None } else { Some(Severity::High) };
    let labelled = copies.iter().filter(|copy| environment(copy).is_some());
    let draft = Draft::of(&detail.credential.at, "The same value lies in more than one environment")
        .with("label", context.environment_label.as_str())
        .with("environments", environments.iter().cloned().collect::<Vec<_>>())
        .with("places", facts::refs(labelled.map(|copy| &copy.at)));
    Some(Draft { severity, ..draft })
}

/// The words people use.
fn is_production(environment: &str) -> bool {
    let word = environment.to_ascii_lowercase();
    ["prod", "prd", "live"].iter().any(|start| word.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    fn in_two(first: Option<&str>, second: Option<&str>) -> CredentialDetail {
        let place = |at: &str, environment: Option<&str>| {
            let copy = sample::copy(at);
            match environment {
                Some(environment) => copy.in_environment(environment),
                None => copy,
            }
        };
        sample::credential("db/role/app", CredentialKind::Password)
            .copied(place("prod/web/Secret/db#password", first))
            .copied(place("dev/web/Secret/db#password", second))
    }

    #[test]
    fn holds_where_labels_differ() {
        let found = sample::holds(&RULE, in_two(Some("prod"), Some("dev")));
        assert_eq!(found.severity, Severity::Critical);
        assert_eq!(found.evidence["environments"], serde_json::json!(["dev", "prod"]));
        assert_eq!(sample::holds(&RULE, in_two(Some("staging"), Some("dev"))).severity, Severity::High);
    }

    #[test]
    fn an_unknown_environment_proves_nothing() {
        sample::spares(&RULE, &in_two(Some("prod"), Some("prod")));
        sample::spares(&RULE, &in_two(Some("prod"), None));
        sample::spares(&RULE, &in_two(None, None));
    }

    #[test]
    fn unlike_values_are_not_shared() {
        let detail = sample::credential("db/role/app", CredentialKind::Password)
            .copied(sample::copy("prod/web/Secret/db#password").in_environment("prod"))
            .copied(sample::copy("dev/web/Secret/db#password").in_environment("dev").valued("b2"));
        sample::spares(&RULE, &detail);
    }
}
