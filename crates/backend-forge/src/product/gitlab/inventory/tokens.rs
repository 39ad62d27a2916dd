//! Users, and the tokens of users, groups and projects. What belongs to no person is an identity of its own.

use chrono::{DateTime, Utc};
use claviger_backend::Result;
use claviger_core::{
    model::{
        Attributes, CopyStage, CredentialKind, CredentialState, IdentityKind, Labels, Place, PrivilegeLevel,
    },
    observation::{
        Bundle, Content, Observation, ObservedCopy, ObservedCredential, ObservedGrant, ObservedIdentity,
    },
    reference::Ref,
    secret::SecretValue,
};
use serde_json::{Value, json};

use super::{
    super::{
        backend::Home,
        names::Holder,
        wire::{DeployToken, Runner, Token, Trigger, User, time},
    },
    Survey,
};

/// A shortened token has this many characters, as GitLab's documents on triggers say.
const SHORTENED: usize = 4;

pub(super) fn identity(at: Ref, attribute: &str) -> ObservedIdentity {
    ObservedIdentity {
        at,
        kind: IdentityKind::ForgeUser,
        created_at: None,
        last_used_at: None,
        disabled: false,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::from([(attribute.to_owned(), json!(true))]),
    }
}

pub(super) fn credential(at: Ref, identity: Ref, created: Option<DateTime<Utc>>) -> ObservedCredential {
    ObservedCredential {
        at,
        kind: CredentialKind::Token,
        identity: Some(identity),
        state: CredentialState::Active,
        created_at: created,
        rotated_at: None,
        expires_at: None,
        last_used_at: None,
        handle: None,
        verifier: None,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::new(),
    }
}

pub(super) fn grant(identity: &Ref, privilege: String, reach: &str, level: PrivilegeLevel) -> Observation {
    Observation::Grant(ObservedGrant {
        identity: identity.clone(),
        source: identity.clone(),
        privilege,
        reach: reach.to_owned(),
        level,
        attributes: Attributes::new(),
    })
}

pub(super) fn with(seen: &mut ObservedCredential, facts: Vec<(&str, Value)>) {
    seen.attributes.extend(facts.into_iter().map(|(name, value)| (name.to_owned(), value)));
}

/// A role by its number (GitLab's documents on members), and what it comes to.
fn role(level: Option<u32>) -> (String, PrivilegeLevel) {
    let (name, level) = match level {
        Some(50) => ("owner", PrivilegeLevel::Admin),
        // Variables with their values are shown to maintainers.
        Some(40) => ("maintainer", PrivilegeLevel::Sensitive),
        Some(30) => ("developer", PrivilegeLevel::Write),
        Some(20) => ("reporter", PrivilegeLevel::Read),
        Some(15) => ("planner", PrivilegeLevel::Read),
        Some(10) => ("guest", PrivilegeLevel::Read),
        Some(other) => return (format!("role {other}"), PrivilegeLevel::Unknown),
        None => ("role not told", PrivilegeLevel::Unknown),
    };
    (name.to_owned(), level)
}

impl Survey<'_> {
    /// A user, and what being one allows.
    pub(super) fn account(&self, user: &User) -> Vec<Observation> {
        let at = self.backend.names.user(&user.username);
        let (privilege, level, reach) = match user.is_admin {
            Some(true) => ("administrator", PrivilegeLevel::Admin, "*"),
            _ => ("user", PrivilegeLevel::Write, user.username.as_str()),
        };
        let granted = grant(&at, privilege.to_owned(), reach, level);
        let mut seen = identity(at, "user");
        seen.created_at = time(user.created_at.as_deref());
        seen.disabled = user.state.as_deref().is_some_and(|state| state != "active");
        seen.attributes = user
            .is_admin
            .map(|admin| Attributes::from([("site_admin".to_owned(), json!(admin))]))
            .unwrap_or_default();
        vec![Observation::Identity(seen), granted]
    }

    pub(super) async fn personal(&self, user: &User) -> Result<Vec<Observation>> {
        let own = self.own().await;
        let tokens = self.backend.tokens_of_user("inventory", user.id).await?;
        let holder = Holder::Personal(user.username.clone());
        Ok(self.of_user(user, &holder, &tokens, own))
    }

    pub(super) async fn impersonations(&self, user: &User) -> Result<Vec<Observation>> {
        let tokens = self.backend.impersonations_of("inventory", user.id).await?;
        let holder = Holder::Impersonation(user.username.clone());
        Ok(self.of_user(user, &holder, &tokens, None))
    }

    /// The number of the token that we work with, if that can be told.
    async fn own(&self) -> Option<u64> {
        use crate::client::Request;
        let request = Request::get(&["personal_access_tokens", "self"]);
        self.backend.api.one::<Token>("inventory", request).await.ok().map(|own| own.id)
    }

    fn of_user(&self, user: &User, holder: &Holder, tokens: &[Token], own: Option<u64>) -> Vec<Observation> {
        let identity = self.backend.names.user(&user.username);
        let seen = tokens.iter().filter(|token| token.revoked != Some(true)).map(|token| {
            let mut seen = self.observed(holder, token, identity.clone());
            if own == Some(token.id) {
                with(&mut seen, vec![("own", json!(true))]);
            }
            Observation::Credential(seen)
        });
        seen.collect()
    }

    /// GitLab goes on listing what it has revoked; that is gone.
    fn observed(&self, holder: &Holder, token: &Token, identity: Ref) -> ObservedCredential {
        let at = self.backend.names.token(holder, token.id);
        let mut seen = credential(at, identity, token.made());
        seen.expires_at = token.ends();
        seen.last_used_at = time(token.last_used_at.as_deref());
        if token.active == Some(false) {
            seen.state = CredentialState::Expired;
        }
        let facts = vec![
            ("name", json!(token.name)),
            ("scopes", json!(token.scopes)),
            ("no_expiry", json!(token.expires_at.is_none())),
        ];
        with(&mut seen, facts);
        seen
    }

    /// Tokens of a group or project. Each has a bot user of its own, with its role.
    pub(super) async fn access_tokens(&self, home: &Home) -> Result<Vec<Observation>> {
        let tokens: Vec<Token> = self.backend.list("inventory", &home.of("access_tokens"), &[]).await?;
        let holder = Holder::Path(home.path().to_owned());
        let mut all = Vec::new();
        for token in tokens.iter().filter(|token| token.revoked != Some(true)) {
            let at = self.backend.names.token(&holder, token.id);
            let (name, level) = role(token.access_level);
            all.push(Observation::Identity(identity(at.clone(), "access_token")));
            all.push(grant(&at, name, home.path(), level));
            all.push(Observation::Credential(self.observed(&holder, token, at)));
        }
        Ok(all)
    }

    pub(super) async fn deploy_tokens(&self, home: &Home) -> Result<Vec<Observation>> {
        let tokens: Vec<DeployToken> = self.backend.list("inventory", &home.of("deploy_tokens"), &[]).await?;
        let mut all = Vec::new();
        for token in tokens.into_iter().filter(|token| !token.revoked) {
            let at = self.backend.names.object(&format!("{}/deploy-tokens/{}", home.path(), token.id));
            let writes = token.scopes.iter().any(|scope| scope.starts_with("write"));
            let level = if writes { PrivilegeLevel::Write } else { PrivilegeLevel::Read };
            all.push(Observation::Identity(identity(at.clone(), "deploy_token")));
            all.push(grant(&at, token.scopes.join(", "), home.path(), level));
            // GitLab tells neither when it was made nor when it was used.
            let mut seen = credential(at.clone(), at, None);
            seen.expires_at = time(token.expires_at.as_deref());
            if token.expired {
                seen.state = CredentialState::Expired;
            }
            let facts = vec![
                ("name", json!(token.name)),
                ("username", json!(token.username)),
                ("scopes", json!(token.scopes)),
                ("no_expiry", json!(token.expires_at.is_none())),
            ];
            with(&mut seen, facts);
            all.push(Observation::Credential(seen));
        }
        Ok(all)
    }

    fn trigger_at(&self, path: &str, trigger: &Trigger) -> Ref {
        self.backend.names.object(&format!("{path}/triggers/{}", trigger.id))
    }

    async fn triggers_of(&self, path: &str) -> Result<Vec<Trigger>> {
        self.backend.list("inventory", &["projects", path, "triggers"], &[]).await
    }

    pub(super) async fn triggers(&self, path: &str) -> Result<Vec<Observation>> {
        let mut all = Vec::new();
        for trigger in self.triggers_of(path).await? {
            let at = self.trigger_at(path, &trigger);
            all.push(Observation::Identity(identity(at.clone(), "trigger")));
            all.push(grant(&at, "start pipelines".to_owned(), path, PrivilegeLevel::Write));
            let mut seen = credential(at.clone(), at, time(trigger.created_at.as_deref()));
            seen.expires_at = time(trigger.expires_at.as_deref());
            seen.last_used_at = time(trigger.last_used.as_deref());
            let facts = vec![
                ("description", json!(trigger.description)),
                ("no_expiry", json!(trigger.expires_at.is_none())),
            ];
            with(&mut seen, facts);
            all.push(Observation::Credential(seen));
        }
        Ok(all)
    }

    /// GitLab shows whoever made a trigger its token, so that a leaked one is known again. Others are shown its beginning.
    pub(super) async fn trigger_values(&self, path: &str) -> Result<Vec<Observation>> {
        let seen = self.triggers_of(path).await?.into_iter().map(|trigger| {
            let at = self.trigger_at(path, &trigger);
            let content = if trigger.token.chars().count() > SHORTENED {
                Content::Value(SecretValue::from_text(trigger.token))
            } else {
                Content::Unreadable("GitLab shows it to whoever made it only".to_owned())
            };
            Observation::Copy(ObservedCopy {
                at: at.field("token"),
                key: "token".to_owned(),
                version: None,
                stage: CopyStage::Current,
                place: Place::SecretStore,
                content,
                bundle: Bundle::default(),
                kind: Some(CredentialKind::Token),
                issuer: Some(at),
                created_at: time(trigger.created_at.as_deref()),
                updated_at: None,
                last_used_at: None,
                labels: Labels::new(),
                owners: Vec::new(),
                attributes: Attributes::new(),
            })
        });
        Ok(seen.collect())
    }

    /// Runners are listed without their authentication tokens. One that is shared is listed once.
    pub(super) async fn runners(&self, all: bool) -> Result<Vec<Observation>> {
        let path: &[&str] = if all { &["runners", "all"] } else { &["runners"] };
        let runners: Vec<Runner> = self.backend.list("inventory", path, &[]).await?;
        let mut seen = Vec::new();
        for runner in runners {
            let at = self.backend.names.runner(runner.id);
            let kind = runner.runner_type.clone().unwrap_or_default();
            let mut itself = identity(at.clone(), "runner");
            itself.disabled = runner.paused == Some(true);
            seen.push(Observation::Identity(itself));
            // It is given the variables of each job that it runs.
            seen.push(grant(&at, "run jobs".to_owned(), &kind, PrivilegeLevel::Sensitive));
            let mut token = credential(at.clone(), at, time(runner.created_at.as_deref()));
            let facts = vec![
                ("description", json!(runner.description)),
                ("runner_type", json!(kind)),
                ("status", json!(runner.status)),
            ];
            with(&mut token, facts);
            seen.push(Observation::Credential(token));
        }
        Ok(seen)
    }
}
