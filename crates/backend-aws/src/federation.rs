//! Workloads of a cluster, and jobs of a forge, become a role instead of holding a user's access key.
//!
//! The role lets in one ServiceAccount of one cluster, or the jobs of one `sub`, for one audience, by name, and gets exactly the policies of the user; what cannot be carried over
//! refuses the plan. Sources: the IAM User Guide, "Create a role for OpenID Connect federation"; the EKS User Guide, "IAM roles for service accounts".
//! The cluster's issuer has to be known to IAM already: who trusts whom in an account is not a swap's business. A forge's is made known, as there is one
//! for all repositories of it (GitHub Docs, "Configuring OpenID Connect in Amazon Web Services"), and the trust policy names one `sub`.

mod offer;
mod provider;
mod rights;
mod session;
mod terms;

use async_trait::async_trait;
use aws_sdk_iam::types::{Role, Tag};
use chrono::{DateTime, TimeDelta, Utc};
use claviger_backend::{
    Candidate, Effect, Entry, Error, ErrorKind, Federation, Granted, Offered, Operation, Probe, Result, Uses,
    Verdict,
};
use claviger_core::{reference::Ref, saga::Arrangement, secret::SecretValue, trust::AwsTrust};

use self::{rights::Rights, terms::Terms};
use crate::{
    backend::AwsBackend,
    failure::{of, of_change},
    iam::decode,
    labels::instant,
    names::{self, Named},
};

/// How long our own trial of the role lasts, in seconds: the shortest that STS gives.
const TRIAL_SECONDS: i32 = 900;
/// The tag that says which operation made a role.
const MARK: &str = "claviger-operation";

impl AwsBackend {
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
        self.offer(candidate).await
    }

    async fn federate(&self, op: &Operation, arrangement: &Arrangement) -> Result<()> {
        let terms = Terms::read("federate", arrangement)?;
        let role = self.role("federate", &terms.role).await?;
        if role.as_ref().is_some_and(|role| !made_by(role, op)) {
            let text = format!("{} is there, and this swap did not make it", arrangement.at);
            return Err(Error::new(ErrorKind::Conflict, "federate", text).with_effect(Effect::NotApplied));
        }
        self.make_known(op, &terms).await?;
        if role.is_none() {
            self.create(op, &terms).await?;
        }
        self.grant(op, &terms).await
    }

    async fn federated(&self, op: &Operation, arrangement: &Arrangement) -> Result<bool> {
        let terms = Terms::read("federated", arrangement)?;
        match self.role("federated", &terms.role).await? {
            Some(role) if made_by(&role, op) => {
                Ok(self.is_known(&terms).await? && self.as_arranged(&role, &terms).await?)
            }
            _ => Ok(false),
        }
    }

    async fn unfederate(&self, op: &Operation, arrangement: &Arrangement) -> Result<()> {
        let terms = Terms::read("unfederate", arrangement)?;
        match self.role("unfederate", &terms.role).await? {
            Some(role) if made_by(&role, op) => self.remove(op, &terms.role).await?,
            _ => {}
        }
        self.forget(op, &terms).await
    }

    async fn granted(&self, subject: &Ref, arrangement: &Arrangement) -> Result<Granted> {
        let Named::AccessKey { user, .. } = names::read(&self.info.name, "granted", subject)? else {
            return Err(Error::new(ErrorKind::Invalid, "granted", format!("{subject} is no access key")));
        };
        let terms = Terms::read("granted", arrangement)?;
        let role = self.role("granted", &terms.role).await?;
        let role = role.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "granted", format!("there is no role {}", terms.role))
        })?;
        if !(self.is_known(&terms).await? && self.as_arranged(&role, &terms).await?) {
            let text = format!("the role {} is not as it was arranged", terms.role);
            return Err(Error::new(ErrorKind::Conflict, "granted", text));
        }
        let former = Rights::of_user(self.scan().await?, user).await?.statements();
        let rights = Rights::of_role(self.scan().await?, &terms.role, role.permissions_boundary).await?;
        Ok(Granted { former, given: rights.statements() })
    }

    /// `RoleLastUsed` ("IAM API Reference", `GetRole`): empty as long as nobody became the role. It may be told hours late.
    async fn entered(&self, arrangement: &Arrangement) -> Result<Uses> {
        let terms = Terms::read("entered", arrangement)?;
        let role = self.role("entered", &terms.role).await?;
        let role = role.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "entered", format!("there is no role {}", terms.role))
        })?;
        Ok(match role.role_last_used {
            None => Uses::Untold(format!("{} tells of no role when it was used", self.account.endpoint())),
            Some(used) => match used.last_used_date.as_ref().and_then(instant) {
                Some(at) => Uses::At(at),
                None => Uses::Never,
            },
        })
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
