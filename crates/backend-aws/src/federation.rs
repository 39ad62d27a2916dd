//! Workloads of a cluster become a role instead of holding a user's access key: IAM roles for service accounts.
//!
//! The role lets in one ServiceAccount of one cluster for one audience, by name, and gets exactly the policies of the user; what cannot be carried over
//! refuses the plan. Sources: the IAM User Guide, "Create a role for OpenID Connect federation"; the EKS User Guide, "IAM roles for service accounts".
//! The cluster's issuer has to be known to IAM already: who trusts whom in an account is not a swap's business.

mod rights;
mod session;
mod terms;

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_iam::types::{Role, Tag};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend::{
    Candidate, Effect, Entry, Error, ErrorKind, Federation, Offered, Operation, Probe, Proposal, Result,
    Verdict,
};
use claviger_core::{
    reference::Ref,
    saga::{Arrangement, Mounting},
    secret::SecretValue,
    trust::{AwsTrust, WebIdentity},
};
use sha2::{Digest as _, Sha256};

use self::{rights::Rights, terms::Terms};
use crate::{
    backend::AwsBackend,
    failure::{of, of_change, patiently},
    iam::decode,
    labels::instant,
    names::{self, Named},
};

/// For whom a token is made that becomes a role.
const AUDIENCE: &str = "sts.amazonaws.com";
/// How long a token of the workload holds, in seconds: as EKS has it.
const TOKEN_SECONDS: u32 = 86_400;
/// How long our own trial of the role lasts, in seconds: the shortest that STS gives.
const TRIAL_SECONDS: i32 = 900;
/// Where the SDKs are used to find the token.
const FOLDER: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
/// The annotation of a ServiceAccount by which EKS knows its role.
const ANNOTATION: &str = "eks.amazonaws.com/role-arn";
/// The tag that says which operation made a role.
const MARK: &str = "claviger-operation";
/// Characters of a role's name.
const NAME: usize = 64;

/// A name that says whose rights these are and for whom; hashed where it would be too long.
fn role_name(user: &str, namespace: &str, account: &str) -> String {
    let whole = format!("claviger-{user}-{namespace}-{account}");
    if whole.len() <= NAME {
        return whole;
    }
    let hash = Sha256::digest(whole.as_bytes());
    let end: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let fits = whole.char_indices().map(|(at, _)| at).take_while(|at| *at < NAME - 9).last().unwrap_or(0);
    format!("{}-{end}", &whole[..fits])
}

/// Namespace and name of a ServiceAccount.
fn account_of(account: &Ref) -> Option<(&str, &str)> {
    let (namespace, name) = account.path().split_once("/ServiceAccount/")?;
    (!namespace.contains('/') && !name.contains('/')).then_some((namespace, name))
}

impl AwsBackend {
    /// The provider in IAM of this issuer, if it may make tokens for STS. `Err`: why there is none.
    async fn provider(&self, issuer: &str) -> Result<std::result::Result<String, String>> {
        let (iam, endpoint) = (&self.account.clients().await?.iam, self.account.endpoint());
        let ask = || iam.list_open_id_connect_providers().send();
        let listed = patiently(endpoint, "iam:ListOpenIDConnectProviders", ask).await?;
        let known = listed.open_id_connect_provider_list.unwrap_or_default();
        let wanted = format!(":oidc-provider/{}", session::bare(issuer));
        let Some(arn) = known.into_iter().filter_map(|it| it.arn).find(|arn| arn.ends_with(&wanted)) else {
            return Ok(Err(format!(
                "IAM does not know the issuer {issuer}: create an OpenID Connect provider for it with the audience {AUDIENCE}"
            )));
        };
        let ask = || iam.get_open_id_connect_provider().open_id_connect_provider_arn(&arn).send();
        let provider = patiently(endpoint, "iam:GetOpenIDConnectProvider", ask).await?;
        if provider.client_id_list.unwrap_or_default().iter().any(|audience| audience == AUDIENCE) {
            return Ok(Ok(arn));
        }
        Ok(Err(format!("{arn} does not take the audience {AUDIENCE}: add it to its client ids")))
    }

    async fn role(&self, operation: &'static str, name: &str) -> Result<Option<Role>> {
        let answer = self.account.clients().await?.iam.get_role().role_name(name).send().await;
        match answer {
            Ok(answer) => Ok(answer.role),
            Err(error) => match of(operation, self.account.endpoint(), "iam:GetRole", &error) {
                error if error.kind() == ErrorKind::NotFound => Ok(None),
                error => Err(error),
            },
        }
    }

    async fn create(&self, op: &Operation, terms: &Terms) -> Result<()> {
        let policy = terms.trust.policy().map_err(|error| {
            Error::new(ErrorKind::Invalid, "federate", error.to_string()).with_effect(Effect::NotApplied)
        })?;
        let tag = Tag::builder().key(MARK).value(op.key.to_string()).build().map_err(|_| {
            Error::new(ErrorKind::Invalid, "federate", "the operation's key is no tag")
                .with_effect(Effect::NotApplied)
        })?;
        let iam = &self.account.clients().await?.iam;
        let call = iam
            .create_role()
            .role_name(&terms.role)
            .assume_role_policy_document(policy.to_string())
            .description("In the place of an access key, made by claviger")
            .set_permissions_boundary(terms.boundary.clone())
            .tags(tag)
            .send();
        let answer = self.before(op, "federate", call).await?;
        let failed = |error| of_change("federate", self.account.endpoint(), "iam:CreateRole", &error);
        answer.map(drop).map_err(failed)
    }

    /// Gives the role its policies; each call may be repeated.
    async fn grant(&self, op: &Operation, terms: &Terms) -> Result<()> {
        let (iam, endpoint) = (&self.account.clients().await?.iam, self.account.endpoint());
        for arn in &terms.managed {
            let call = iam.attach_role_policy().role_name(&terms.role).policy_arn(arn).send();
            let answer = self.before(op, "federate", call).await?;
            answer.map_err(|error| of_change("federate", endpoint, "iam:AttachRolePolicy", &error))?;
        }
        for (name, document) in &terms.inline {
            let call = iam.put_role_policy().role_name(&terms.role).policy_name(name);
            let answer =
                self.before(op, "federate", call.policy_document(document.to_string()).send()).await?;
            answer.map_err(|error| of_change("federate", endpoint, "iam:PutRolePolicy", &error))?;
        }
        Ok(())
    }

    /// Takes a role's policies away, and then the role.
    async fn remove(&self, op: &Operation, role: &str) -> Result<()> {
        let (iam, endpoint) = (&self.account.clients().await?.iam, self.account.endpoint());
        let gone = |error: Error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) };
        let rights = self.before(op, "unfederate", Rights::of_role(self.scan().await?, role, None)).await??;
        for arn in rights.managed.keys() {
            let call = iam.detach_role_policy().role_name(role).policy_arn(arn).send();
            if let Err(error) = self.before(op, "unfederate", call).await? {
                gone(of_change("unfederate", endpoint, "iam:DetachRolePolicy", &error))?;
            }
        }
        for name in rights.inline.keys() {
            let call = iam.delete_role_policy().role_name(role).policy_name(name).send();
            if let Err(error) = self.before(op, "unfederate", call).await? {
                gone(of_change("unfederate", endpoint, "iam:DeleteRolePolicy", &error))?;
            }
        }
        match self.before(op, "unfederate", iam.delete_role().role_name(role).send()).await? {
            Ok(_) => Ok(()),
            Err(error) => gone(of_change("unfederate", endpoint, "iam:DeleteRole", &error)),
        }
    }

    /// The role is there, trusts this one, and may do what was arranged.
    async fn as_arranged(&self, role: &Role, terms: &Terms) -> Result<bool> {
        let trust = role.assume_role_policy_document.as_deref().map(decode);
        let trust = trust.and_then(|text| serde_json::from_str(&text).ok()).as_ref().and_then(AwsTrust::read);
        if !trust.is_some_and(|trust| trust.is_exactly(&terms.trust)) {
            return Ok(false);
        }
        let boundary = role.permissions_boundary.clone();
        let rights = Rights::of_role(self.scan().await?, &terms.role, boundary).await?;
        Ok(terms.same(&rights))
    }
}

/// Was it made under this operation's key?
fn made_by(role: &Role, op: &Operation) -> bool {
    let key = op.key.to_string();
    role.tags.iter().flatten().any(|tag| tag.key == MARK && tag.value == key)
}

#[async_trait]
impl Federation for AwsBackend {
    async fn offers(&self, candidate: &Candidate<'_>) -> Result<Offered> {
        let Ok(Named::AccessKey { user, id }) = names::read(&self.info.name, "offers", candidate.subject)
        else {
            return Ok(Offered::no(
                "not-federated",
                "only access keys of IAM users have a role in their place",
            ));
        };
        if self.account.caller("offers").await?.key_id.as_deref() == Some(id) {
            return Ok(Offered::no("own-key", "it is the key that claviger itself works with"));
        }
        let Some((namespace, account)) = account_of(&candidate.holder.account) else {
            return Ok(Offered::no("no-account", "the workload runs as no ServiceAccount of a cluster"));
        };
        let Some(issuer) = &candidate.holder.issuer else {
            return Ok(Offered::no("no-issuer", "the cluster does not say who signs its tokens"));
        };
        let provider = match self.provider(issuer).await? {
            Ok(provider) => provider,
            Err(why) => return Ok(Offered::no("issuer-unknown", why)),
        };
        let rights = Rights::of_user(self.scan().await?, user).await?;
        if let Some(why) = rights.obstacle() {
            return Ok(Offered::no("rights-not-portable", why));
        }
        let trust = WebIdentity {
            provider,
            subject: format!("system:serviceaccount:{namespace}:{account}"),
            audience: AUDIENCE.to_owned(),
        };
        if let Err(error) = trust.policy() {
            return Ok(Offered::no("trust-not-exact", error.to_string()));
        }
        let name = role_name(user, namespace, account);
        if self.role("offers", &name).await?.is_some() {
            return Ok(Offered::no(
                "name-taken",
                format!("there is a role {name} already, which is not ours to change"),
            ));
        }
        Ok(Offered::Yes(Box::new(self.proposal(candidate, Terms::new(name, trust, &rights), user))))
    }

    async fn federate(&self, op: &Operation, arrangement: &Arrangement) -> Result<()> {
        let terms = Terms::read("federate", arrangement)?;
        match self.role("federate", &terms.role).await? {
            None => self.create(op, &terms).await?,
            Some(role) if made_by(&role, op) => {}
            Some(_) => {
                let text = format!("{} is there, and this swap did not make it", arrangement.at);
                return Err(Error::new(ErrorKind::Conflict, "federate", text).with_effect(Effect::NotApplied));
            }
        }
        self.grant(op, &terms).await
    }

    async fn federated(&self, op: &Operation, arrangement: &Arrangement) -> Result<bool> {
        let terms = Terms::read("federated", arrangement)?;
        match self.role("federated", &terms.role).await? {
            Some(role) if made_by(&role, op) => self.as_arranged(&role, &terms).await,
            _ => Ok(false),
        }
    }

    async fn unfederate(&self, op: &Operation, arrangement: &Arrangement) -> Result<()> {
        let terms = Terms::read("unfederate", arrangement)?;
        match self.role("unfederate", &terms.role).await? {
            Some(role) if made_by(&role, op) => self.remove(op, &terms.role).await,
            _ => Ok(()),
        }
    }

    /// What the user's policies say, and what a few lists answer to the key.
    async fn reach(&self, subject: &Ref, value: &SecretValue) -> Result<Entry> {
        let Named::AccessKey { user, id } = names::read(&self.info.name, "reach", subject)? else {
            return Err(Error::new(ErrorKind::Invalid, "reach", format!("{subject} is no access key")));
        };
        let probe = claviger_backend::Issuer::verify(self, subject, value).await?;
        let nothing = |probe| Entry { probe, may: Default::default(), ends_at: None };
        if probe.verdict != Verdict::Accepted {
            return Ok(nothing(probe));
        }
        let mut may = Rights::of_user(self.scan().await?, user).await?.statements();
        match session::calls(&self.account.clients().await?.signed(id, value, None)).await {
            Ok(calls) => may.extend(calls),
            Err(why) => return Ok(nothing(Probe { verdict: Verdict::Inconclusive(why), ..probe })),
        }
        Ok(Entry { probe, may, ends_at: None })
    }

    /// STS has no end of a session but its time: ours lasts a quarter of an hour.
    async fn login(&self, arrangement: &Arrangement, assertion: &SecretValue) -> Result<Entry> {
        let terms = Terms::read("login", arrangement)?;
        let path = format!("sts:AssumeRoleWithWebIdentity at {}", self.account.endpoint());
        let told = |verdict| {
            Ok(Entry { probe: Probe { verdict, path: path.clone() }, may: Default::default(), ends_at: None })
        };
        if let Some(why) = session::mismatch(assertion, &terms) {
            return told(Verdict::Inconclusive(why));
        }
        let Some(role) = self.role("login", &terms.role).await? else {
            return told(Verdict::Refused(format!("there is no role {}", terms.role)));
        };
        let settled = instant(&role.create_date)
            .map(|made| made + TimeDelta::seconds(i64::from(self.settles_within())));
        if settled.is_some_and(|settled| settled > self.clock.now()) {
            return told(Verdict::Inconclusive(
                "the role was made just now: not all of IAM may know it".to_owned(),
            ));
        }
        if !self.as_arranged(&role, &terms).await? {
            return told(Verdict::Inconclusive(format!("the role {} is not as it was arranged", terms.role)));
        }
        let clients = self.account.clients().await?;
        let call = clients.sts.assume_role_with_web_identity().role_arn(&terms.arn);
        let call = call.role_session_name("claviger").duration_seconds(TRIAL_SECONDS);
        let answer = match call.web_identity_token(assertion.expose_text().unwrap_or_default()).send().await {
            Ok(answer) => answer,
            Err(error) => return told(session::verdict(&error)),
        };
        let Some(given) = answer.credentials else {
            return told(Verdict::Inconclusive("STS gave no session".to_owned()));
        };
        let ends_at: Option<DateTime<Utc>> = instant(&given.expiration);
        let secret = SecretValue::from_text(given.secret_access_key);
        let token = SecretValue::from_text(given.session_token);
        let session = clients.signed(&given.access_key_id, &secret, Some(&token));
        match session.sts.get_caller_identity().send().await {
            Ok(who)
                if who
                    .arn
                    .as_deref()
                    .is_some_and(|arn| arn.contains(&format!(":assumed-role/{}/", terms.role))) => {}
            Ok(who) => {
                let who = who.arn.unwrap_or_default();
                return told(Verdict::Inconclusive(format!("the session is {who}'s, not the role's")));
            }
            Err(error) => {
                let error = of("login", self.account.endpoint(), "sts:GetCallerIdentity", &error);
                return told(Verdict::Inconclusive(error.message().to_owned()));
            }
        }
        let rights = Rights::of_role(self.scan().await?, &terms.role, role.permissions_boundary).await?;
        let mut may = rights.statements();
        match session::calls(&session).await {
            Ok(calls) => may.extend(calls),
            Err(why) => return told(Verdict::Inconclusive(why)),
        }
        Ok(Entry { probe: Probe { verdict: Verdict::Accepted, path }, may, ends_at })
    }
}

impl AwsBackend {
    fn proposal(&self, candidate: &Candidate<'_>, terms: Terms, user: &str) -> Proposal {
        let variables = BTreeMap::from([
            ("AWS_ROLE_ARN".to_owned(), terms.arn.clone()),
            ("AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(), format!("{FOLDER}/token")),
        ]);
        let notes = vec![
            format!(
                "policies of resources (buckets, keys, queues) that name the user `{user}` are not seen from here: they have to name {} as well",
                terms.arn
            ),
            "the program has to use an SDK that knows web identities, and may not be told a key by itself"
                .to_owned(),
        ];
        Proposal {
            mounting: Mounting {
                from: Some(candidate.object.clone()),
                audience: Some(AUDIENCE.to_owned()),
                lifetime: TOKEN_SECONDS,
                folder: Some(FOLDER.to_owned()),
                variables,
                annotations: BTreeMap::new(),
                account_annotations: BTreeMap::from([(ANNOTATION.to_owned(), terms.arn.clone())]),
            },
            arrangement: Arrangement {
                at: names::role(&self.info.name, &terms.role),
                account: candidate.holder.account.clone(),
                audience: Some(AUDIENCE.to_owned()),
                lifetime: TOKEN_SECONDS,
                terms: terms.attributes(),
            },
            makes: true,
            by_hand: Some(
                "its program has to take the role: an SDK does by the variables, as soon as no key is found before them".to_owned(),
            ),
            notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_roles_fit_and_differ() {
        assert_eq!(role_name("ci", "payments", "web"), "claviger-ci-payments-web");
        let long = "x".repeat(63);
        let (one, other) = (role_name("ci", &long, "web"), role_name("ci", &long, "other"));
        assert!(one.len() <= NAME && other.len() <= NAME && one != other, "{one} {other}");
    }

    #[test]
    fn accounts_are_of_a_cluster() {
        assert_eq!(
            account_of(&Ref::from_text("prod/payments/ServiceAccount/web")),
            Some(("payments", "web"))
        );
        assert_eq!(account_of(&Ref::from_text("prod/payments/Deployment/web")), None);
    }
}
