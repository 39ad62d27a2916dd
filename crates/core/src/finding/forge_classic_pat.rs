//! A classic personal access token: its scopes reach every repository and organisation of its owner, whatever it was made for.
//!
//! Sources: OWASP NHI5:2025; GitHub, "Managing your personal access tokens": fine-grained tokens are recommended in place of classic ones.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "forge-classic-pat",
    severity: Severity::Medium,
    suggested: "Replace it by an app's installation, or by a fine-grained token for the repositories that it is used on, and end it.",
    frameworks: &[nhi("NHI5:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let is_classic =
        credential.kind == CredentialKind::Token && facts::flag(&credential.attributes, "classic");
    (is_classic && facts::usable(credential)).then(|| {
        let scopes = credential.attributes.get("scopes").cloned().unwrap_or_default();
        Draft::of(&credential.at, "It is a classic token, which reaches everything that its owner reaches")
            .with("scopes", scopes)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{finding::sample, model::CredentialState};

    #[test]
    fn holds_of_classic_tokens_that_work_and_of_no_others() {
        let token =
            || sample::credential("forge/orgs/acme/credential-authorizations/3", CredentialKind::Token);
        let found = sample::holds(&RULE, token().say("classic", true).say("scopes", json!(["repo"])));
        assert_eq!(found.evidence["scopes"], json!(["repo"]));
        sample::spares(&RULE, &token().say("classic", false));
        sample::spares(&RULE, &token());
        let mut expired = token().say("classic", true);
        expired.credential.state = CredentialState::Expired;
        sample::spares(&RULE, &expired);
    }
}
