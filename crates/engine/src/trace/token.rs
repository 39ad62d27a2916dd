//! Leaked Kubernetes tokens. A bound token lies in no store, so no fingerprint finds it; but it says whose it is and what it ends with. Its
//! claims are read and not trusted: nobody has checked the signature, and whoever wrote the text may have made them up.

use chrono::{DateTime, Utc};
use claviger_core::{
    format::jwt::{self, Jwt, Kubernetes},
    model::IdentityKind,
    reference::Ref,
    view::IdentityView,
};
use serde::Serialize;

/// Longest claim that is told.
const MOST: usize = 253;

/// How an account of the inventory fits what a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountFit {
    /// The same uid, which no two objects share.
    Uid,
    /// The same names; one of the two uids is not known.
    Name,
    /// The same names and another uid: of another cluster, or made again since, and then the API server refuses the token.
    OtherUid,
}

/// A ServiceAccount that a token may belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenAccount {
    /// The account.
    #[serde(rename = "ref")]
    pub at: Ref,
    /// How it fits.
    pub fit: AccountFit,
}

/// What a token says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TracedToken {
    /// `bound` or `legacy`.
    pub kind: &'static str,
    /// Always false: claims are read, not checked.
    pub verified: bool,
    /// Who is said to have issued it.
    pub issuer: Option<String>,
    /// For whom.
    pub audience: Vec<String>,
    /// Whose it is said to be.
    pub subject: Option<String>,
    /// The id that the API server writes into its audit log.
    pub jti: Option<String>,
    /// Namespace of the account.
    pub namespace: String,
    /// Name of the account.
    pub service_account: Option<String>,
    /// Uid of the account.
    pub uid: Option<String>,
    /// The pod that it dies with.
    pub pod: Option<String>,
    /// The node that the pod runs on, or that it dies with.
    pub node: Option<String>,
    /// The Secret that it dies with.
    pub secret: Option<String>,
    /// When it was made.
    pub issued_at: Option<DateTime<Utc>>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// True if that is over.
    pub expired: bool,
    /// Accounts of the inventory that fit, best first.
    pub accounts: Vec<TokenAccount>,
    /// What ends it, quickest first.
    pub ends_with: Vec<String>,
    /// The commands for that, where its account is in the inventory.
    pub suggested: Vec<String>,
}

/// Reads a text as a Kubernetes token. `None` for anything else. `binds` says whether a backend can end an object with its tokens.
pub(super) fn read(
    text: &str,
    identities: &[IdentityView],
    now: DateTime<Utc>,
    binds: impl Fn(&Ref) -> bool,
) -> Option<TracedToken> {
    let jwt = jwt::parse(text)?;
    let mut token = claimed(&jwt)?;
    token.expired = token.expires_at.is_some_and(|end| end <= now);
    token.accounts = accounts(&token, identities);
    token.ends_with = ends(&token);
    token.suggested = suggested(&token, binds);
    Some(token)
}

/// True if a text is worth the reading of all identities.
pub(super) fn is_token(text: &str) -> bool {
    jwt::parse(text).is_some_and(|jwt| jwt.kubernetes.is_some())
}

fn claimed(jwt: &Jwt) -> Option<TracedToken> {
    let of = |kind, namespace: &str| TracedToken {
        kind,
        verified: false,
        issuer: jwt.issuer.as_deref().map(short),
        audience: jwt.audience.iter().take(8).map(|audience| short(audience)).collect(),
        subject: jwt.subject.as_deref().map(short),
        jti: jwt.id.as_deref().map(short),
        namespace: short(namespace),
        service_account: None,
        uid: None,
        pod: None,
        node: None,
        secret: None,
        issued_at: jwt.issued_at,
        expires_at: jwt.expires_at,
        expired: false,
        accounts: Vec::new(),
        ends_with: Vec::new(),
        suggested: Vec::new(),
    };
    match jwt.kubernetes.as_ref()? {
        Kubernetes::Legacy { namespace, secret, service_account, uid } => Some(TracedToken {
            service_account: Some(short(service_account)),
            uid: Some(short(uid)),
            secret: Some(short(secret)),
            ..of("legacy", namespace)
        }),
        Kubernetes::Bound { namespace, service_account, uid, pod, node, secret, .. } => Some(TracedToken {
            service_account: service_account.as_deref().map(short),
            uid: uid.as_deref().map(short),
            pod: pod.as_deref().map(short),
            node: node.as_deref().map(short),
            secret: secret.as_deref().map(short),
            ..of("bound", namespace)
        }),
    }
}

fn accounts(token: &TracedToken, identities: &[IdentityView]) -> Vec<TokenAccount> {
    let Some(name) = &token.service_account else { return Vec::new() };
    let path = format!("/{}/ServiceAccount/{name}", token.namespace);
    let fit = |identity: &&IdentityView| {
        let known = identity.attributes.get("uid").and_then(serde_json::Value::as_str);
        match (known, token.uid.as_deref()) {
            (Some(known), Some(uid)) if known == uid => AccountFit::Uid,
            (Some(_), Some(_)) => AccountFit::OtherUid,
            _ => AccountFit::Name,
        }
    };
    let mut found: Vec<TokenAccount> = identities
        .iter()
        .filter(|identity| identity.kind == IdentityKind::KubernetesServiceAccount)
        .filter(|identity| identity.at.as_str().ends_with(&path))
        .map(|identity| TokenAccount { at: identity.at.clone(), fit: fit(&identity) })
        .collect();
    found.sort_by(|left, right| (left.fit, &left.at).cmp(&(right.fit, &right.at)));
    // The one with the uid is it; namesakes are not.
    if found.first().is_some_and(|first| first.fit == AccountFit::Uid) {
        found.truncate(1);
    }
    found
}

fn ends(token: &TracedToken) -> Vec<String> {
    if token.expired {
        return vec!["nothing is left to be ended: it is over by itself".to_owned()];
    }
    let mut ends = Vec::new();
    let namespace = &token.namespace;
    let command = |kind: &str, name: &str, scoped: bool| {
        let scope = if scoped { format!("--namespace {namespace} ") } else { String::new() };
        // The names come from the token: only what can be an object's name stands in a command that somebody may paste.
        let plain = is_name(name) && (!scoped || is_name(namespace));
        if plain {
            format!("kubectl {scope}delete {kind} {name}")
        } else {
            format!("(its name is no {kind}'s)")
        }
    };
    if let Some(pod) = &token.pod {
        ends.push(format!(
            "deleting its pod, after 10 s at the latest: {}; the pod that follows gets another token",
            command("pod", pod, true)
        ));
    }
    if let Some(secret) = &token.secret {
        let again = if token.kind == "legacy" {
            "; one that is made again under the same name for the same ServiceAccount has the same token"
        } else {
            ""
        };
        ends.push(format!(
            "deleting its Secret, after 10 s at the latest: {}{again}",
            command("secret", secret, true)
        ));
    }
    if let (None, None, Some(node)) = (&token.pod, &token.secret, &token.node) {
        ends.push(format!("deleting its node: {}", command("node", node, false)));
    }
    if let Some(account) = &token.service_account {
        ends.push(format!(
            "deleting its ServiceAccount, which ends every token of it and breaks whoever uses one: {}",
            command("serviceaccount", account, true)
        ));
    }
    if let Some(end) = token.expires_at {
        ends.push(format!("waiting until {}", end.format("%Y-%m-%dT%H:%M:%SZ")));
    }
    ends
}

/// What claviger would do, least first. An account with another uid is not its own: nothing follows for that.
fn suggested(token: &TracedToken, binds: impl Fn(&Ref) -> bool) -> Vec<String> {
    let mut commands = Vec::new();
    if token.expired || !is_name(&token.namespace) {
        return commands;
    }
    for account in token.accounts.iter().filter(|account| account.fit != AccountFit::OtherUid) {
        let Some(name) = token.service_account.as_deref().filter(|name| is_name(name)) else { continue };
        let Some(area) = account.at.as_str().strip_suffix(&format!("ServiceAccount/{name}")) else {
            continue;
        };
        let mut end = |kind: &str, name: &str, bound: bool, more: &str| {
            let at = Ref::from_text(format!("{area}{kind}/{name}"));
            if is_name(name) && (!bound || binds(&at)) {
                commands.push(format!("claviger revoke '{at}' {more}--reason leaked --dry-run"));
            }
        };
        if let Some(pod) = &token.pod {
            end("Pod", pod, true, "");
        }
        if let Some(secret) = token.secret.as_ref().filter(|_| token.kind == "legacy") {
            end("Secret", secret, false, "");
        }
        end("ServiceAccount", name, true, "--recreate-service-account ");
    }
    commands
}

/// RFC 1123 subdomain, as objects of Kubernetes are called.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !text.is_empty()
        && text.len() <= MOST
        && text.bytes().all(|byte| inner(byte) || byte == b'-' || byte == b'.')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

fn short(text: &str) -> String {
    text.chars().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use claviger_core::{
        id::IdentityId,
        model::{Attributes, Labels, PrivilegeLevel},
    };

    use super::*;

    fn account(at: &str, uid: Option<&str>) -> IdentityView {
        let attributes: Attributes = uid.map(|uid| ("uid".to_owned(), uid.into())).into_iter().collect();
        IdentityView {
            id: IdentityId(uuid::Uuid::nil()),
            at: Ref::from_text(at),
            kind: IdentityKind::KubernetesServiceAccount,
            owner: None,
            privilege: PrivilegeLevel::Unknown,
            credentials: 0,
            grants: Vec::new(),
            labels: Labels::new(),
            attributes,
            created_at: None,
            last_used_at: None,
        }
    }

    /// `{"alg":"RS256"}` and these claims, without any library: base64url by hand would hide what is tested.
    fn token(claims: &serde_json::Value) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let encode = |bytes: &[u8]| -> String {
            let mut text = String::new();
            for chunk in bytes.chunks(3) {
                let number = chunk.iter().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte))
                    << (8 * (3 - chunk.len()));
                for digit in 0..=chunk.len() {
                    let at = usize::try_from((number >> (18 - 6 * digit)) & 63).expect("six bits");
                    text.push(char::from(DIGITS[at]));
                }
            }
            text
        };
        let claims = claims.to_string();
        format!("{}.{}.{}", encode(br#"{"alg":"RS256"}"#), encode(claims.as_bytes()), encode(b"signature"))
    }

    fn bound(pod: &str) -> serde_json::Value {
        serde_json::json!({
            "iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:pay:web", "aud": ["api"], "exp": 2_000_000_000, "jti": "j-1",
            "kubernetes.io": { "namespace": "pay", "serviceaccount": { "name": "web", "uid": "u-1" }, "pod": { "name": pod }, "node": { "name": "n1" } },
        })
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    #[test]
    fn a_bound_token_names_its_account_and_what_ends_it() {
        let all = [
            account("prod/pay/ServiceAccount/web", Some("u-1")),
            account("stage/pay/ServiceAccount/web", Some("u-2")),
            account("prod/pay/ServiceAccount/web2", Some("u-3")),
        ];
        let text = token(&bound("web-7d4"));
        assert!(is_token(&text));
        let read = |all: &[IdentityView], now| super::read(&text, all, at(now), |_| true).expect("a token");
        let found = read(&all, 1_900_000_000);
        assert_eq!(found.accounts, [TokenAccount { at: all[0].at.clone(), fit: AccountFit::Uid }]);
        assert_eq!((found.jti.as_deref(), found.verified, found.expired), (Some("j-1"), false, false));
        assert!(
            found.ends_with[0].contains("kubectl --namespace pay delete pod web-7d4"),
            "{:?}",
            found.ends_with
        );
        assert!(found.ends_with.iter().any(|text| text.contains("delete serviceaccount web")));
        assert_eq!(
            found.suggested,
            [
                "claviger revoke 'prod/pay/Pod/web-7d4' --reason leaked --dry-run",
                "claviger revoke 'prod/pay/ServiceAccount/web' --recreate-service-account --reason leaked --dry-run",
            ]
        );
        let over = read(&all, 2_000_000_000);
        assert!(over.expired && over.suggested.is_empty());
        assert!(read(&all[1..], 0).suggested.is_empty(), "another account's");
        let nothing = super::read(&text, &all, at(0), |_| false).expect("a token");
        assert!(nothing.suggested.is_empty(), "{:?}", nothing.suggested);
        // Without the uid every namesake may be it; with another one none is.
        let fits = |all: &[IdentityView]| {
            read(all, 0).accounts.into_iter().map(|account| account.fit).collect::<Vec<_>>()
        };
        assert_eq!(fits(&all[1..]), [AccountFit::OtherUid]);
        assert_eq!(fits(&[account("prod/pay/ServiceAccount/web", None)]), [AccountFit::Name]);
    }

    #[test]
    fn a_made_up_name_makes_no_command() {
        let text = token(&bound("x; rm -rf /"));
        let all = [account("prod/pay/ServiceAccount/web", Some("u-1"))];
        let found = read(&text, &all, at(0), |_| true).expect("a token");
        assert!(found.suggested.len() == 1, "{:?}", found.suggested);
        assert!(found.ends_with.iter().all(|text| !text.contains("rm -rf")), "{:?}", found.ends_with);
        for bad in ["", "-a", "a-", "A", "a b", "a$b", "a;b", "a\nb", "ä"] {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(is_name("web-7d4.x"));
    }

    #[test]
    fn another_token_is_none() {
        assert!(
            read(&token(&serde_json::json!({ "iss": "https://accounts.example" })), &[], at(0), |_| true)
                .is_none()
        );
        assert!(read("hunter2", &[], at(0), |_| true).is_none());
    }
}
