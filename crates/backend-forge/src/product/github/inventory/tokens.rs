//! People's tokens, as organisations list them: fine-grained ones that were let in, classic ones and keys that were authorised for single sign-on.

use std::collections::{BTreeMap, BTreeSet};

use claviger_backend::Result;
use claviger_core::{
    model::{Attributes, CredentialKind, CredentialState, Handle, HandleScheme, PrivilegeLevel},
    observation::{Observation, ObservedGrant},
    reference::Ref,
};
use serde_json::json;

use super::{
    super::wire::{Authorisation, Grant, time},
    Survey,
    identity::{credential, identity},
};

/// How much rights allow, by GitHub's names for them. Who writes workflow files runs what is in them, with the secrets that they are given.
pub(super) fn level<'p>(rights: impl Iterator<Item = (&'p String, &'p String)>) -> PrivilegeLevel {
    let levels = rights.map(|(name, right)| match (name.as_str(), right.as_str()) {
        (_, "admin") => PrivilegeLevel::Admin,
        ("administration" | "organization_administration" | "members", "write") => PrivilegeLevel::Admin,
        ("workflows", "write") | ("secret_scanning_alerts", _) => PrivilegeLevel::Sensitive,
        (_, "write") => PrivilegeLevel::Write,
        _ => PrivilegeLevel::Read,
    });
    // From most to least.
    levels.min().unwrap_or(PrivilegeLevel::Unknown)
}

/// The same of a classic token's scopes (GitHub, "Scopes for OAuth apps").
fn scopes_level(scopes: &[String]) -> PrivilegeLevel {
    let levels = scopes.iter().map(|scope| match scope.as_str() {
        "admin:org" | "admin:enterprise" | "site_admin" => PrivilegeLevel::Admin,
        "workflow" | "security_events" | "admin:repo_hook" | "admin:org_hook" => PrivilegeLevel::Sensitive,
        scope if scope.starts_with("read:") => PrivilegeLevel::Read,
        _ => PrivilegeLevel::Write,
    });
    levels.min().unwrap_or(PrivilegeLevel::Unknown)
}

/// `contents:write, metadata:read`.
pub(super) fn words<'p>(rights: impl Iterator<Item = (&'p String, &'p String)>) -> String {
    rights.map(|(name, right)| format!("{name}:{right}")).collect::<Vec<_>>().join(", ")
}

impl Survey<'_> {
    pub(super) async fn fine_grained(&self, organisation: &str) -> Result<Vec<Observation>> {
        let mut users = BTreeSet::new();
        let mut seen = Vec::new();
        for grant in self.backend.grants("inventory", organisation).await? {
            self.user(&mut seen, &mut users, &grant.owner.login);
            seen.extend(self.grant(organisation, grant));
        }
        Ok(seen)
    }

    fn user(&self, seen: &mut Vec<Observation>, users: &mut BTreeSet<String>, login: &str) {
        if users.insert(login.to_owned()) {
            seen.push(Observation::Identity(identity(self.backend.names.user(login))));
        }
    }

    fn grant(&self, organisation: &str, grant: Grant) -> [Observation; 2] {
        let names = &self.backend.names;
        let at = names.object(&format!("orgs/{organisation}/personal-access-tokens/{}", grant.id));
        let user = names.user(&grant.owner.login);
        let rights: BTreeMap<String, String> =
            [grant.permissions.organization, grant.permissions.repository, grant.permissions.other]
                .into_iter()
                .flatten()
                .collect();
        let mut token = credential(at.clone(), CredentialKind::Token, Some(user.clone()), "");
        token.expires_at = grant.token_expires_at.as_deref().and_then(time);
        token.last_used_at = grant.token_last_used_at.as_deref().and_then(time);
        if grant.token_expired {
            token.state = CredentialState::Expired;
        }
        for (key, value) in [
            ("name", json!(grant.token_name)),
            ("fine_grained", json!(true)),
            ("no_expiry", json!(grant.token_expires_at.is_none())),
            ("never_used", json!(grant.token_last_used_at.is_none())),
            ("scopes", json!(rights)),
            ("repositories", json!(grant.repository_selection)),
            ("let_in_at", json!(grant.access_granted_at)),
        ] {
            token.attributes.insert(key.to_owned(), value);
        }
        let granted = self.granted(user, at, words(rights.iter()), organisation, level(rights.iter()));
        [Observation::Credential(token), granted]
    }

    fn granted(
        &self,
        identity: Ref,
        source: Ref,
        privilege: String,
        organisation: &str,
        level: PrivilegeLevel,
    ) -> Observation {
        let reach = organisation.to_owned();
        Observation::Grant(ObservedGrant {
            identity,
            source,
            privilege,
            reach,
            level,
            attributes: Attributes::new(),
        })
    }

    pub(super) async fn classic(&self, organisation: &str) -> Result<Vec<Observation>> {
        let mut users = BTreeSet::new();
        let mut seen = Vec::new();
        for one in self.backend.authorisations("inventory", organisation).await? {
            self.user(&mut seen, &mut users, &one.login);
            seen.extend(self.authorisation(organisation, one));
        }
        Ok(seen)
    }

    fn authorisation(&self, organisation: &str, one: Authorisation) -> Vec<Observation> {
        let names = &self.backend.names;
        let at =
            names.object(&format!("orgs/{organisation}/credential-authorizations/{}", one.credential_id));
        let user = names.user(&one.login);
        let is_key = one.credential_type == "SSH key";
        let kind = if is_key { CredentialKind::SshKey } else { CredentialKind::Token };
        let mut seen = credential(at.clone(), kind, Some(user.clone()), "");
        seen.expires_at = one.authorized_credential_expires_at.as_deref().and_then(time);
        seen.last_used_at = one.credential_accessed_at.as_deref().and_then(time);
        seen.handle = one
            .fingerprint
            .filter(|text| text.starts_with("SHA256:"))
            .map(|text| Handle::new(HandleScheme::SshFingerprint, text));
        for (key, value) in [
            ("credential_type", json!(one.credential_type)),
            ("classic", json!(one.credential_type == "personal access token")),
            ("let_in_at", json!(one.credential_authorized_at)),
            ("name", json!(one.authorized_credential_note)),
            ("no_expiry", json!(seen.expires_at.is_none())),
        ] {
            seen.attributes.insert(key.to_owned(), value);
        }
        if self.backend.is_own(one.token_last_eight.as_deref()) {
            seen.attributes.insert("own".to_owned(), json!(true));
        }
        let mut all = Vec::new();
        if !is_key {
            seen.attributes.insert("scopes".to_owned(), json!(one.scopes));
            all.push(self.granted(user, at, one.scopes.join(", "), organisation, scopes_level(&one.scopes)));
        }
        all.push(Observation::Credential(seen));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_that_one_of_the_rights_allows_counts() {
        let rights = |all: &[(&str, &str)]| {
            all.iter()
                .map(|(name, right)| ((*name).to_owned(), (*right).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        for (all, expected) in [
            (&[("metadata", "read")][..], PrivilegeLevel::Read),
            (&[("metadata", "read"), ("contents", "write")], PrivilegeLevel::Write),
            (&[("contents", "write"), ("workflows", "write")], PrivilegeLevel::Sensitive),
            (&[("secret_scanning_alerts", "read")], PrivilegeLevel::Sensitive),
            (&[("administration", "write"), ("metadata", "read")], PrivilegeLevel::Admin),
            (&[], PrivilegeLevel::Unknown),
        ] {
            assert_eq!(level(rights(all).iter()), expected, "{all:?}");
        }
        let scopes = |all: &[&str]| scopes_level(&all.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(scopes(&["read:org"]), PrivilegeLevel::Read);
        assert_eq!(scopes(&["read:org", "repo"]), PrivilegeLevel::Write);
        assert_eq!(scopes(&["repo", "admin:org"]), PrivilegeLevel::Admin);
        assert_eq!(scopes(&[]), PrivilegeLevel::Unknown);
    }
}
