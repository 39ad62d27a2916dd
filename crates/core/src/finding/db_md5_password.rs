//! A password that PostgreSQL keeps as md5: the stored text is as good as the password, because the server can be made to accept it as is.
//!
//! Sources: OWASP NHI4:2025; PostgreSQL documentation, "Password Authentication", which calls md5 deprecated.

use super::{Check, Context, Draft, Rule, facts, framework::nhi};
use crate::{
    model::CredentialKind,
    view::{CredentialDetail, Severity},
};

pub(super) const RULE: Rule = Rule {
    slug: "db-md5-password",
    severity: Severity::High,
    suggested: "Set `password_encryption = scram-sha-256` and rotate the password; every driver of the last years speaks SCRAM.",
    frameworks: &[nhi("NHI4:2025")],
    check: Check::Credential(check),
};

fn check(detail: &CredentialDetail, _: &Context) -> Option<Draft> {
    let credential = &detail.credential;
    let holds = facts::live(credential)
        && credential.kind == CredentialKind::Password
        && facts::text(&credential.attributes, "password_method") == Some("md5");
    holds.then(|| {
        Draft::of(&credential.at, "The database keeps this password as md5").with("password_method", "md5")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::sample;

    #[test]
    fn holds_of_md5_only() {
        let role = |method: &str| {
            sample::credential("db/role/app", CredentialKind::Password).say("password_method", method)
        };
        sample::holds(&RULE, role("md5"));
        sample::spares(&RULE, &role("scram-sha-256"));
        sample::spares(&RULE, &role("unknown"));
    }
}
