//! A login with a workload's token, and what it and a static key can do: read from their policies, and tried with harmless lists.

use std::collections::BTreeSet;

use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use claviger_backend::Verdict;
use claviger_core::{
    format::jwt::{self, Jwt},
    secret::SecretValue,
};

use super::terms::Terms;
use crate::{
    clients::Clients,
    failure::{Refusal, refusal_of},
};

/// Whether one call was allowed; `Err`: the answer says neither.
fn told<T, E: ProvideErrorMetadata>(
    call: &str,
    answer: Result<T, SdkError<E>>,
) -> Result<Option<String>, String> {
    match answer {
        Ok(_) => Ok(Some(format!("{call} is answered"))),
        Err(error) => match refusal_of(&error) {
            Some((Refusal::Denied, _)) => Ok(Some(format!("{call} is denied"))),
            // A server that lacks the call lacks it for everybody.
            Some((Refusal::Unknown, _)) => Ok(None),
            Some((_, code)) => Err(format!("{call}: {code}")),
            None => Err(format!("{call}: no answer")),
        },
    }
}

/// What lists answer to whoever signs. They change nothing, and show one item at most, which is thrown away.
///
/// # Errors
/// An answer that is neither yes nor no: then nothing can be compared.
pub(super) async fn calls(clients: &Clients) -> Result<BTreeSet<String>, String> {
    let users = clients.iam.list_users().max_items(1).send().await;
    let roles = clients.iam.list_roles().max_items(1).send().await;
    let secrets = clients.secrets.list_secrets().max_results(1).send().await;
    let parameters = clients.parameters.describe_parameters().max_results(1).send().await;
    let told = [
        told("iam:ListUsers", users)?,
        told("iam:ListRoles", roles)?,
        told("secretsmanager:ListSecrets", secrets)?,
        told("ssm:DescribeParameters", parameters)?,
    ];
    Ok(told.into_iter().flatten().collect())
}

/// What a refused or failed login comes to. Codes: API reference of `AssumeRoleWithWebIdentity`.
pub(super) fn verdict<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Verdict {
    match refusal_of(error) {
        Some((Refusal::Denied | Refusal::Key, code)) => {
            Verdict::Refused(format!("{code} from sts:AssumeRoleWithWebIdentity"))
        }
        Some((_, code)) if ["InvalidIdentityToken", "IDPRejectedClaim"].contains(&code.as_str()) => {
            Verdict::Refused(format!("{code} from sts:AssumeRoleWithWebIdentity"))
        }
        Some((_, code)) => Verdict::Inconclusive(format!("{code} from sts:AssumeRoleWithWebIdentity")),
        None => Verdict::Inconclusive("sts:AssumeRoleWithWebIdentity gave no answer".to_owned()),
    }
}

/// Why a token is not the one that the role asks for. It is AWS that checks the signature; a compatible server may not, so that what it accepts is
/// looked at here too.
pub(super) fn mismatch(token: &SecretValue, terms: &Terms) -> Option<String> {
    match token.expose_text().and_then(jwt::parse) {
        Some(token) => difference(&token, terms),
        None => Some("what the platform gave is no token".to_owned()),
    }
}

fn difference(token: &Jwt, terms: &Terms) -> Option<String> {
    let issuer = token.issuer.as_deref().unwrap_or_default();
    let named = terms.trust.provider.split_once(":oidc-provider/").map_or("", |(_, issuer)| issuer);
    if bare(issuer) != named {
        return Some(format!("the token's issuer is {issuer}, and the role trusts {named}"));
    }
    let subject = token.subject.as_deref().unwrap_or_default();
    if subject != terms.trust.subject {
        return Some(format!("the token is {subject}'s, and the role is for {}", terms.trust.subject));
    }
    (!token.audience.contains(&terms.trust.audience))
        .then(|| format!("the token is not meant for {}", terms.trust.audience))
}

/// An issuer as IAM names its provider: without the scheme.
pub(super) fn bare(issuer: &str) -> &str {
    issuer.strip_prefix("https://").unwrap_or(issuer).trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use claviger_core::trust::WebIdentity;

    use super::*;
    use crate::federation::rights::Rights;

    #[test]
    fn a_token_must_be_the_one_that_the_role_asks_for() {
        let trust = WebIdentity {
            provider: "arn:aws:iam::1:oidc-provider/i.example/x".into(),
            subject: "system:serviceaccount:a:b".into(),
            audience: "sts.amazonaws.com".into(),
        };
        let terms = Terms::new("r".into(), trust, &Rights::default());
        let good = Jwt {
            algorithm: Some("RS256".into()),
            key_id: None,
            issuer: Some("https://i.example/x".into()),
            subject: Some("system:serviceaccount:a:b".into()),
            audience: vec!["sts.amazonaws.com".into()],
            expires_at: None,
            issued_at: None,
            id: None,
            kubernetes: None,
        };
        assert_eq!(difference(&good, &terms), None);
        for (other, word) in [
            (Jwt { issuer: Some("https://other.example".into()), ..good.clone() }, "issuer"),
            (
                Jwt { subject: Some("system:serviceaccount:a:c".into()), ..good.clone() },
                "for system:serviceaccount:a:b",
            ),
            (Jwt { subject: None, ..good.clone() }, "for system:serviceaccount:a:b"),
            (Jwt { audience: vec!["else".into()], ..good.clone() }, "not meant"),
            (Jwt { audience: Vec::new(), ..good }, "not meant"),
        ] {
            let why = difference(&other, &terms).expect("another token");
            assert!(why.contains(word), "{why}");
        }
        assert!(mismatch(&SecretValue::from_text("x".to_owned()), &terms).is_some());
    }
}
