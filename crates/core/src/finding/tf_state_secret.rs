//! A secret in a Terraform, OpenTofu or Pulumi state: state files hold every attribute in the clear, also those marked sensitive.
//!
//! Source: OWASP NHI2:2025. Known by the name of the file, and by the Secret `tfstate-<workspace>-<suffix>` of Terraform's `kubernetes` backend.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    reference::Ref,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "tf-state-secret",
    severity: Severity::High,
    suggested: "Rotate it, let the resource take it from a store at run time (ephemeral or write-only arguments), and encrypt the state.",
    frameworks: &[nhi("NHI2:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    if !facts::live(&detail.credential) {
        return None;
    }
    let in_state = || facts::current(detail).filter(|copy| is_state(&copy.at));
    let count = in_state().count();
    (count > 0).then(|| {
        Draft::of(&detail.credential.at, "A secret lies in an infrastructure state file")
            .with("count", count)
            .with("places", facts::refs(in_state().map(|copy| &copy.at)))
    })
}

fn is_state(at: &Ref) -> bool {
    let name = facts::object_name(at);
    let is_file = name.ends_with(".tfstate") || name.ends_with(".tfstate.backup");
    let is_secret = facts::object_kind(at) == Some("Secret") && name.starts_with("tfstate-");
    let is_pulumi = at.path().contains(".pulumi/stacks/") && name.ends_with(".json");
    is_file || is_secret || is_pulumi
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::sample, model::CredentialKind};

    #[test]
    fn knows_states_by_name() {
        let at =
            |at: &str| sample::credential("db/role/app", CredentialKind::Password).copied(sample::copy(at));
        sample::holds(&RULE, at("repo/infra/terraform.tfstate#resources/0/password"));
        sample::holds(&RULE, at("prod/ci/Secret/tfstate-default-state#tfstate"));
        sample::holds(&RULE, at("repo/.pulumi/stacks/prod.json#x"));
        sample::spares(&RULE, &at("repo/infra/main.tf#password"));
        sample::spares(&RULE, &at("prod/ci/Secret/db#password"));
    }
}
