//! A Secret handed to a container as environment variables: child processes inherit them, crash dumps and debug pages print them, and a
//! rotated value reaches the process only by a restart.
//!
//! Source: CIS Kubernetes 1.10, 5.4.1 (prefer files over environment variables).

use super::{Check, Context, Draft, Rule, facts, framework::cis_kubernetes};
use crate::{
    model::ConsumerHow,
    view::{ConsumerView, CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "k8s-secret-as-env",
    severity: Severity::Low,
    suggested: "Mount the Secret as a volume and read the file, so that a rotation needs no restart.",
    frameworks: &[cis_kubernetes("5.4.1")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let by_environment = || detail.consumers.iter().filter(|consumer| reads_environment(consumer));
    let count = by_environment().count();
    (count > 0).then(|| {
        Draft::of(&detail.credential.at, "A Secret is handed to containers as environment variables")
            .with("count", count)
            .with("consumers", facts::refs(by_environment().map(|consumer| &consumer.at)))
    })
}

fn reads_environment(consumer: &ConsumerView) -> bool {
    matches!(consumer.how, ConsumerHow::Env | ConsumerHow::EnvFrom)
        && facts::object_kind(&consumer.copy).is_none_or(|kind| kind == "Secret")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    #[test]
    fn holds_of_env_and_env_from_and_not_of_volumes() {
        let read = |how| {
            sample::credential("db/role/app", CredentialKind::Password).consumed(
                "prod/web/Deployment/app",
                "prod/web/Secret/db#password",
                how,
            )
        };
        sample::holds(&RULE, read(ConsumerHow::Env));
        sample::holds(&RULE, read(ConsumerHow::EnvFrom));
        sample::spares(&RULE, &read(ConsumerHow::Volume));
        let config = sample::credential("db/role/app", CredentialKind::Password).consumed(
            "prod/web/Deployment/app",
            "prod/web/ConfigMap/app#url",
            ConsumerHow::Env,
        );
        sample::spares(&RULE, &config);
    }
}
