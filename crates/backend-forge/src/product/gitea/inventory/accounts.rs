//! Users, their access tokens, their SSH keys and their OAuth applications.

use claviger_backend::{Error, ErrorKind, Result};
use claviger_core::{
    model::{
        Attributes, CredentialKind, CredentialState, Handle, HandleScheme, IdentityKind, Labels,
        PrivilegeLevel,
    },
    observation::{Observation, ObservedCredential, ObservedGrant, ObservedIdentity},
    reference::Ref,
};
use serde_json::json;

use super::{
    super::wire::{Application, PublicKey, Token, User, last_use, time},
    Survey,
};

/// A credential of which nothing is known but what it is and whose.
pub(super) fn credential(
    at: Ref,
    kind: CredentialKind,
    identity: Option<Ref>,
    created: &str,
) -> ObservedCredential {
    ObservedCredential {
        at,
        kind,
        identity,
        state: CredentialState::Active,
        created_at: time(created),
        rotated_at: None,
        expires_at: None,
        last_used_at: None,
        handle: None,
        verifier: None,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::from([("no_expiry".to_owned(), json!(true))]),
    }
}

impl Survey<'_> {
    /// A user, and what being one allows.
    pub(super) fn account(&self, user: &User) -> Vec<Observation> {
        let at = self.backend.names.user(&user.login);
        let (privilege, level) = match (user.is_admin, user.restricted) {
            (true, _) => ("site administrator", PrivilegeLevel::Admin),
            (false, false) => ("user", PrivilegeLevel::Write),
            (false, true) => ("restricted user", PrivilegeLevel::Read),
        };
        let identity = ObservedIdentity {
            at: at.clone(),
            kind: IdentityKind::ForgeUser,
            created_at: time(&user.created),
            last_used_at: time(&user.last_login),
            disabled: !user.active || user.prohibit_login,
            labels: Labels::new(),
            owners: Vec::new(),
            attributes: Attributes::from([
                ("site_admin".to_owned(), json!(user.is_admin)),
                ("restricted".to_owned(), json!(user.restricted)),
            ]),
        };
        let grant = ObservedGrant {
            identity: at.clone(),
            source: at,
            privilege: privilege.to_owned(),
            reach: if user.is_admin { "*".to_owned() } else { user.login.clone() },
            level,
            attributes: Attributes::new(),
        };
        vec![Observation::Identity(identity), Observation::Grant(grant)]
    }

    pub(super) async fn tokens(&self, user: &User) -> Result<Vec<Observation>> {
        let tokens = self.backend.tokens_of("inventory", &user.login).await?;
        Ok(tokens.iter().map(|token| Observation::Credential(self.observed_token(user, token))).collect())
    }

    fn observed_token(&self, user: &User, token: &Token) -> ObservedCredential {
        let names = &self.backend.names;
        let (at, identity) = (names.token(&user.login, token.id), names.user(&user.login));
        let mut seen = credential(at, CredentialKind::Token, Some(identity), &token.created_at);
        seen.last_used_at = last_use(&token.last_used_at, &token.created_at);
        seen.attributes.insert("name".to_owned(), json!(token.name));
        seen.attributes.insert("scopes".to_owned(), json!(token.scopes));
        if self.backend.is_own(token) {
            seen.attributes.insert("own".to_owned(), json!(true));
        }
        seen
    }

    pub(super) async fn keys(&self, user: &User) -> Result<Vec<Observation>> {
        let keys: Vec<PublicKey> = self.backend.list(&["users", &user.login, "keys"]).await?;
        let names = &self.backend.names;
        let seen = keys.into_iter().map(|key| {
            let at = names.object(&format!("users/{}/keys/{}", user.login, key.id));
            let identity = names.user(&user.login);
            let mut seen = credential(at, CredentialKind::SshKey, Some(identity), &key.created_at);
            seen.handle = fingerprint(&key.fingerprint);
            seen.last_used_at = last_use(&key.last_used_at, &key.created_at);
            seen.attributes.insert("title".to_owned(), json!(key.title));
            Observation::Credential(seen)
        });
        Ok(seen.collect())
    }

    /// The forge lists applications of whoever asks, and of nobody else.
    pub(super) async fn applications(&self, user: &User, ourselves: &User) -> Result<Vec<Observation>> {
        if user.login != ourselves.login {
            let text = "the forge lists a user's OAuth applications to that user only";
            return Err(Error::new(ErrorKind::Denied, "inventory", text));
        }
        let applications: Vec<Application> = self.backend.list(&["user", "applications", "oauth2"]).await?;
        let names = &self.backend.names;
        let seen = applications.into_iter().map(|one| {
            let at = names.object(&format!("users/{}/oauth2/{}", user.login, one.id));
            let mut seen =
                credential(at, CredentialKind::ApiKey, Some(names.user(&user.login)), &one.created);
            for (name, value) in [
                ("name", json!(one.name)),
                ("client_id", json!(one.client_id)),
                ("confidential_client", json!(one.confidential_client)),
                ("redirect_uris", json!(one.redirect_uris)),
            ] {
                seen.attributes.insert(name.to_owned(), value);
            }
            Observation::Credential(seen)
        });
        Ok(seen.collect())
    }
}

/// The name of a public key that a private one shows too.
pub(super) fn fingerprint(text: &str) -> Option<Handle> {
    text.starts_with("SHA256:").then(|| Handle::new(HandleScheme::SshFingerprint, text))
}
