use chrono::{DateTime, Utc};
use claviger_core::{
    chain::OPENS,
    format::ssh,
    model::{
        Attributes, CredentialKind, CredentialState, Handle, HandleScheme, IdentityKind, Labels,
        PrivilegeLevel,
    },
    observation::{Observation, ObservedCredential, ObservedGrant, ObservedIdentity, Verifier},
    reference::Ref,
    saga::PartyKind,
};
use serde_json::json;

use super::owners;
use crate::{
    SimulatedBackend,
    estate::{Estate, Namespace, Password, SecretType},
};

fn identity(at: Ref, kind: IdentityKind, created_at: Option<DateTime<Utc>>) -> ObservedIdentity {
    ObservedIdentity {
        at,
        kind,
        created_at,
        last_used_at: None,
        disabled: false,
        labels: Labels::new(),
        owners: Vec::new(),
        attributes: Attributes::new(),
    }
}

fn credential(
    at: Ref,
    kind: CredentialKind,
    identity: &Ref,
    created_at: DateTime<Utc>,
) -> ObservedCredential {
    ObservedCredential {
        at,
        kind,
        identity: Some(identity.clone()),
        state: CredentialState::Active,
        created_at: Some(created_at),
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

fn grant(identity: &Ref, source: Ref, privilege: &str, reach: &str, level: PrivilegeLevel) -> Observation {
    Observation::Grant(ObservedGrant {
        identity: identity.clone(),
        source,
        privilege: privilege.to_owned(),
        reach: reach.to_owned(),
        level,
        attributes: Attributes::new(),
    })
}

fn facts<const N: usize>(facts: [(&str, serde_json::Value); N]) -> Attributes {
    facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

pub(super) fn database(backend: &SimulatedBackend, estate: &Estate) -> Vec<Observation> {
    let now = backend.clock.now();
    let mut items = Vec::new();
    for (name, role) in &estate.database.roles {
        let at = backend.at(["db", "role", name]);
        let attributes = facts([
            ("superuser", json!(role.superuser)),
            ("createrole", json!(role.createrole)),
            ("replication", json!(role.replication)),
            ("bootstrap", json!(name == "postgres")),
            ("password_method", json!(role.password.as_ref().map_or("none", Password::method))),
        ]);
        let mut who = identity(at.clone(), IdentityKind::DatabaseRole, Some(role.created_at));
        who.disabled = role.nologin;
        who.last_used_at = role.last_used_at;
        who.attributes = attributes.clone();
        items.push(Observation::Identity(who));
        if role.superuser {
            items.push(grant(&at, at.clone(), "superuser", "*", PrivilegeLevel::Admin));
        }
        let partner = backend.turning(estate, name).into_iter().nth(1);
        if role.password.is_none() && partner.is_none() {
            continue;
        }
        let mut what = credential(at.clone(), CredentialKind::Password, &at, role.created_at);
        what.state = match (role.nologin || role.password.is_none(), role.valid_until) {
            (true, _) => CredentialState::Suspended,
            (_, Some(until)) if until <= now => CredentialState::Expired,
            _ => CredentialState::Active,
        };
        what.rotated_at = Some(role.rotated_at);
        what.expires_at = role.valid_until;
        what.last_used_at = role.last_used_at;
        what.verifier = role.password.as_ref().map(|password| match password {
            Password::ScramSha256(text) => Verifier::ScramSha256(text.clone()),
            Password::Md5(text) => Verifier::PostgresMd5(text.clone(), name.clone()),
        });
        what.attributes = attributes;
        if let Some(partner) = partner {
            what.attributes.insert("takes_turns_with".to_owned(), json!(partner.public_half));
        }
        items.push(Observation::Credential(what));
    }
    items
}

/// A deploy key is nobody's: an identity of its own, which may do one thing at one repository.
pub(super) fn deploy_keys(backend: &SimulatedBackend, estate: &Estate) -> Vec<Observation> {
    let mut items = Vec::new();
    let keys = estate.forge.deploy_keys.iter();
    for (repository, id, key) in keys.flat_map(|(at, keys)| keys.iter().map(move |(id, key)| (at, id, key))) {
        let at = backend.at(["forge", repository, "deploy-keys", id]);
        items.push(Observation::Identity(identity(at.clone(), IdentityKind::ForgeUser, None)));
        let (privilege, level) = match key.read_only {
            true => ("read repository", PrivilegeLevel::Read),
            false => ("write repository", PrivilegeLevel::Write),
        };
        items.push(grant(&at, at.clone(), privilege, repository, level));
        let mut what = credential(at.clone(), CredentialKind::SshKey, &at, key.created_at);
        let parsed = ssh::parse_line(&key.public);
        what.handle =
            parsed.map(|line| Handle::new(HandleScheme::SshFingerprint, ssh::fingerprint(&line.public)));
        what.attributes = facts([("read_only", json!(key.read_only))]);
        items.push(Observation::Credential(what));
    }
    items
}

pub(super) fn cloud(backend: &SimulatedBackend, estate: &Estate) -> Vec<Observation> {
    let mut items = Vec::new();
    for (name, user) in &estate.cloud.users {
        let at = backend.at(["iam", "user", name]);
        let mut who = identity(at.clone(), IdentityKind::AwsUser, Some(user.created_at));
        who.labels = user.tags.clone();
        who.owners = owners("tag", &user.tags);
        who.last_used_at = user.keys.values().filter_map(|key| key.last_used_at).max();
        who.attributes = facts([("access_keys", json!(user.keys.len()))]);
        items.push(Observation::Identity(who));
        for policy in &user.policies {
            let level = match policy.as_str() {
                "AdministratorAccess" => PrivilegeLevel::Admin,
                text if text.ends_with("ReadOnly") => PrivilegeLevel::Read,
                _ => PrivilegeLevel::Write,
            };
            let source = backend.at(["iam", "policy", policy]);
            items.push(grant(&at, source, &format!("policy/{policy}"), "*", level));
        }
        for (id, key) in &user.keys {
            let at_key = backend.at(["iam", "user", name, "access-key", id]);
            let mut what = credential(at_key, CredentialKind::AccessKey, &at, key.created_at);
            what.handle = Some(Handle::new(HandleScheme::AwsAccessKeyId, id));
            what.last_used_at = key.last_used_at;
            what.labels = user.tags.clone();
            what.owners = owners("tag", &user.tags);
            if key.disabled {
                what.state = CredentialState::Suspended;
            }
            let active = user.keys.values().filter(|key| !key.disabled).count();
            what.attributes = facts([
                ("status", json!(if key.disabled { "Inactive" } else { "Active" })),
                ("never_used", json!(key.last_used_at.is_none())),
                ("active_keys_of_user", json!(active)),
            ]);
            items.push(Observation::Credential(what));
        }
    }
    items
}

pub(super) fn tokens(backend: &SimulatedBackend, estate: &Estate) -> Vec<Observation> {
    let now = backend.clock.now();
    let mut items = Vec::new();
    for (accessor, token) in &estate.secret_store.tokens {
        let at = backend.at(["auth", "token", "accessor", accessor]);
        let who = backend.at(["auth", "token", "display-name", &token.display_name]);
        items.push(Observation::Identity(identity(who.clone(), IdentityKind::VaultToken, None)));
        for policy in &token.policies {
            let level = if policy == "root" { PrivilegeLevel::Admin } else { PrivilegeLevel::Unknown };
            items.push(grant(
                &who,
                backend.at(["sys", "policy", policy]),
                &format!("policy/{policy}"),
                "*",
                level,
            ));
        }
        let mut what = credential(at, CredentialKind::Token, &who, token.created_at);
        what.expires_at = token.expires_at;
        if token.expires_at.is_some_and(|until| until <= now) {
            what.state = CredentialState::Expired;
        }
        what.handle = Some(Handle::new(HandleScheme::VaultAccessor, accessor));
        let ttl = token.expires_at.map_or(0, |until| (until - now).num_seconds());
        what.attributes = facts([
            ("policies", json!(token.policies)),
            ("root", json!(token.policies.iter().any(|policy| policy == "root"))),
            ("ttl_seconds", json!(ttl)),
            ("no_expiry", json!(token.expires_at.is_none())),
        ]);
        items.push(Observation::Credential(what));
    }
    items
}

pub(super) fn static_roles(backend: &SimulatedBackend, estate: &Estate) -> Vec<Observation> {
    let roles = estate.secret_store.static_roles.iter();
    let credentials = roles.map(|(name, role)| {
        let who = backend.at(["db", "role", &role.role]);
        let at = backend.at(["database", "static-roles", name]);
        let mut what = credential(at, CredentialKind::Password, &who, role.rotated_at);
        what.created_at = None;
        what.rotated_at = Some(role.rotated_at);
        what.attributes = facts([("username", json!(role.role)), ("rotated_by_server", json!(true))]);
        Observation::Credential(what)
    });
    credentials.collect()
}

pub(super) fn connections(backend: &SimulatedBackend, estate: &Estate) -> Vec<Observation> {
    let connections = estate.secret_store.connections.iter();
    let credentials = connections.map(|(name, held)| {
        let who = backend.at(["db", "role", &held.role]);
        let at = backend.at(["database", "config", name]);
        let mut what = credential(at, CredentialKind::Password, &who, backend.clock.now());
        what.created_at = None;
        what.attributes = facts([("username", json!(held.role)), ("root_of_mount", json!(true))]);
        Observation::Credential(what)
    });
    credentials.collect()
}

pub(super) fn service_accounts(
    backend: &SimulatedBackend,
    estate: &Estate,
    name: &str,
    namespace: &Namespace,
) -> Vec<Observation> {
    let mut items = Vec::new();
    let labels = super::cluster::environment(namespace);
    for (account, held) in &namespace.service_accounts {
        let at = backend.at(["k8s", name, "ServiceAccount", account]);
        let mut who = identity(at, IdentityKind::KubernetesServiceAccount, Some(held.created_at));
        who.labels = super::cluster::merged(&labels, &held.labels);
        who.attributes.insert("uid".into(), held.uid.as_str().into());
        who.owners = owners("label", &held.labels);
        who.owners.extend(owners("annotation", &held.annotations));
        items.push(Observation::Identity(who));
    }
    for (secret, held) in &namespace.secrets {
        let SecretType::ServiceAccountToken { account, auto_generated, last_used, invalid_since } =
            &held.kind
        else {
            continue;
        };
        let Some(uid) =
            estate.cluster.namespaces.get(name).and_then(|held| held.service_accounts.get(account))
        else {
            continue;
        };
        let who = backend.at(["k8s", name, "ServiceAccount", account]);
        let at = backend.at(["k8s", name, "Secret", secret]);
        let mut what = credential(at, CredentialKind::ServiceAccountToken, &who, held.created_at);
        what.last_used_at = *last_used;
        if invalid_since.is_some() {
            what.state = CredentialState::Suspended;
        }
        let handle = format!("{name}/{secret}/{}", uid.uid);
        what.handle = Some(Handle::new(HandleScheme::KubernetesLegacyToken, handle));
        what.labels = super::cluster::merged(&labels, &held.labels);
        what.owners = owners("label", &held.labels);
        what.attributes = facts([
            ("legacy", json!(true)),
            ("auto", json!(auto_generated)),
            ("manual", json!(!auto_generated)),
        ]);
        items.push(Observation::Credential(what));
    }
    items
}

pub(super) fn bindings(backend: &SimulatedBackend, estate: &Estate) -> Vec<Observation> {
    let mut items = Vec::new();
    for (name, binding) in &estate.cluster.bindings {
        let Some((namespace, account)) = binding.account.split_once('/') else { continue };
        let who = backend.at(["k8s", namespace, "ServiceAccount", account]);
        let source = backend.at(["k8s", "*", "RoleBinding", name]);
        items.push(bound(backend, &who, source, &binding.role, &binding.reach));
    }
    let mut people = std::collections::BTreeSet::new();
    for (name, binding) in &estate.cluster.user_bindings {
        for party in &binding.subjects {
            let kind = if party.kind == PartyKind::User { "User" } else { "Group" };
            let who = backend.at(["k8s", "*", kind, &party.name]);
            if people.insert(who.clone()) {
                items.push(Observation::Identity(identity(who.clone(), IdentityKind::KubernetesUser, None)));
            }
            let source = backend.at(["k8s", "*", "ClusterRoleBinding", name]);
            items.push(bound(backend, &who, source, &binding.role, &binding.reach));
        }
    }
    items
}

/// What a binding to a role grants. The roles that every cluster has are known, and which of them read Secrets.
fn bound(backend: &SimulatedBackend, who: &Ref, source: Ref, role: &str, reach: &str) -> Observation {
    let level = level(role);
    let opens = match level {
        PrivilegeLevel::Admin | PrivilegeLevel::Sensitive => {
            vec![backend.at(["k8s", reach, "Secret", "*"]).to_string()]
        }
        _ => Vec::new(),
    };
    let mut granted = ObservedGrant {
        identity: who.clone(),
        source,
        privilege: role.to_owned(),
        reach: reach.to_owned(),
        level,
        attributes: Attributes::new(),
    };
    if level != PrivilegeLevel::Unknown {
        granted.attributes.insert(OPENS.to_owned(), json!(opens));
    }
    Observation::Grant(granted)
}

fn level(role: &str) -> PrivilegeLevel {
    match role {
        "ClusterRole/cluster-admin" | "ClusterRole/admin" => PrivilegeLevel::Admin,
        "ClusterRole/edit" => PrivilegeLevel::Sensitive,
        "ClusterRole/view" => PrivilegeLevel::Read,
        _ => PrivilegeLevel::Unknown,
    }
}
