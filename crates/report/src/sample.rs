//! A made-up estate for tests, with the findings that the real rules make of it.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use claviger_core::{
    chain::{Estate, Limits},
    finding::{Check, Context, RULES},
    id::{CredentialId, IdentityId},
    model::{
        Attributes, ConsumerHow, CopyStage, CredentialKind, CredentialState, IdentityKind, Labels, Place,
        PrivilegeLevel, ScopeStatus,
    },
    reference::Ref,
    view::{
        BackendScanView, ConsumerView, CopyView, Counts, CredentialDetail, CredentialView, GrantView,
        HistoryView, IdentityView, ScopeView,
    },
};
use uuid::Uuid;

use crate::{Chains, InventoryReport};

pub(crate) fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 1, 12, 0, 0).single().expect("a date")
}

fn ago(days: i64) -> DateTime<Utc> {
    now() - TimeDelta::days(days)
}

pub(crate) fn credential(number: u128, at: &str, kind: CredentialKind, age: Option<i64>) -> CredentialDetail {
    let at = Ref::from_text(at);
    let credential = CredentialView {
        id: CredentialId(Uuid::from_u128(number)),
        backend: at.backend().to_owned(),
        at,
        kind,
        identity: None,
        owner: None,
        state: CredentialState::Active,
        long_lived: true,
        created_at: age.map(ago),
        last_rotated_at: age.map(ago),
        expires_at: None,
        last_used_at: None,
        age_days: age,
        next_due_at: None,
        policy: None,
        copies: 0,
        consumers: 0,
        findings: Vec::new(),
        link: "none".to_owned(),
        labels: Labels::new(),
        attributes: Attributes::new(),
        first_seen: ago(40),
        last_seen: now(),
    };
    CredentialDetail {
        credential,
        identity: None,
        owners: Vec::new(),
        copies: Vec::new(),
        consumers: Vec::new(),
        history: Vec::new(),
    }
}

pub(crate) fn copy(detail: &mut CredentialDetail, at: &str, evidence: &str, place: Place, env: Option<&str>) {
    let at = Ref::from_text(at);
    let mut attributes = Attributes::new();
    if at.path().contains("/Secret/") {
        attributes.insert("secret_type".to_owned(), "Opaque".into());
    }
    detail.copies.push(CopyView {
        credential: detail.credential.id,
        store: at.backend().to_owned(),
        path: at.path().to_owned(),
        field: at.field_name().map(str::to_owned),
        at,
        version: Some("7".to_owned()),
        fingerprint: Some("5c".repeat(32)),
        first_seen: ago(40),
        last_seen: now(),
        stage: CopyStage::Current,
        place,
        evidence: evidence.to_owned(),
        labels: env.map(|env| ("env".to_owned(), env.to_owned())).into_iter().collect(),
        attributes,
    });
    detail.credential.copies += 1;
}

pub(crate) fn consumer(detail: &mut CredentialDetail, at: &str, reads: &str, how: ConsumerHow) {
    detail.consumers.push(ConsumerView {
        credential: Some(detail.credential.id),
        copy: Ref::from_text(reads),
        at: Ref::from_text(at),
        how,
        container: Some("app".to_owned()),
        attributes: Attributes::new(),
    });
    detail.credential.consumers += 1;
}

fn backend(
    name: &str,
    kind: &str,
    status: &str,
    scopes: &[(&str, ScopeStatus, Option<&str>)],
    credentials: u64,
) -> BackendScanView {
    let scopes = scopes.iter().map(|(scope, status, reason)| ScopeView {
        scope: (*scope).to_owned(),
        status: *status,
        reason: reason.map(str::to_owned),
    });
    BackendScanView {
        name: name.to_owned(),
        kind: kind.to_owned(),
        status: status.to_owned(),
        error: (status == "failed").then(|| "connection refused by 10.0.4.7:5432".to_owned()),
        scopes: scopes.collect(),
        counts: Counts {
            identities: credentials / 2,
            credentials,
            copies: credentials * 2,
            consumers: credentials,
            grants: credentials / 3,
        },
        duration_ms: 840 * credentials,
    }
}

/// An estate of a small company, with the troubles that such estates have.
pub(crate) fn estate() -> InventoryReport {
    use ScopeStatus::{Complete, Denied, Unreadable};
    let coverage = vec![
        backend(
            "prod",
            "kubernetes",
            "partial",
            &[
                ("payments", Complete, None),
                ("web", Complete, None),
                ("batch", Complete, None),
                ("ci", Complete, None),
                (
                    "vault-system",
                    Denied,
                    Some("secrets: the API server answered 403 for list in this namespace"),
                ),
                ("*", Complete, None),
            ],
            31,
        ),
        backend("dev", "kubernetes", "complete", &[("web", Complete, None), ("payments", Complete, None)], 9),
        backend(
            "vault",
            "vault",
            "partial",
            &[
                ("secret/payments", Complete, None),
                ("secret/board", Denied, Some("403 for LIST secret/metadata/board")),
                ("auth/approle", Complete, None),
            ],
            14,
        ),
        backend(
            "aws",
            "aws",
            "complete",
            &[("secretsmanager", Complete, None), ("iam", Complete, None), ("ssm", Complete, None)],
            6,
        ),
        backend(
            "forge",
            "github",
            "complete",
            &[("acme/shop", Unreadable, Some("the forge never shows the values of secrets"))],
            4,
        ),
        backend("db", "postgresql", "complete", &[("roles", Complete, None)], 5),
        backend("db-old", "postgresql", "failed", &[], 0),
    ];
    let mut credentials =
        vec![payments_password(), access_key(), legacy_token(), root_token(), certificate()];
    let kinds = [
        (CredentialKind::Password, 14),
        (CredentialKind::ApiKey, 9),
        (CredentialKind::Opaque, 11),
        (CredentialKind::Token, 5),
        (CredentialKind::SshKey, 3),
        (CredentialKind::Registry, 2),
        (CredentialKind::WebhookSecret, 2),
    ];
    let mut number = 100;
    for (kind, count) in kinds {
        for index in 0..count {
            let age = (index % 4 != 3).then_some((index * 137 + number % 90) % 900);
            let at = format!("prod/web/Secret/{kind}-{index:02}#value");
            let mut detail = credential(u128::try_from(number).expect("small"), &at, kind, age);
            detail.credential.owner = (index % 3 == 0).then(|| "web".to_owned());
            copy(&mut detail, &at, "alone", Place::SecretStore, Some("prod"));
            if index % 2 == 0 {
                consumer(
                    &mut detail,
                    "prod/web/Deployment/shop",
                    at.split('#').next().unwrap_or_default(),
                    ConsumerHow::Volume,
                );
            }
            credentials.push(detail);
            number += 1;
        }
    }
    let history = vec![
        change(0, "copy", "prod/web/ConfigMap/shop#database-url", "appeared", "known by verifier"),
        change(1, "credential", "db/role/reports", "rotated", "version 12"),
        change(3, "credential", "prod/ci/Secret/old-deployer", "vanished", ""),
    ];
    let report = InventoryReport {
        generated_at: now(),
        title: "Acme Shop".to_owned(),
        coverage,
        credentials,
        identities: identities(),
        chains: Chains::default(),
        findings: Vec::new(),
        history,
        audit_head: Some((4711, "9f".repeat(32))),
    };
    judged(report)
}

fn payments_password() -> CredentialDetail {
    let mut detail = credential(1, "db/role/payments", CredentialKind::Password, Some(412));
    detail.credential.owner = Some("payments".to_owned());
    detail.credential.link = "proven".to_owned();
    detail.credential.identity = Some(Ref::from_text("db/role/payments"));
    detail.credential.attributes.insert("password_method".to_owned(), "md5".into());
    copy(&mut detail, "vault/secret/payments/db#password", "verifier", Place::SecretStore, Some("prod"));
    copy(&mut detail, "prod/payments/Secret/db#password", "verifier", Place::SecretStore, Some("prod"));
    copy(&mut detail, "prod/web/ConfigMap/shop#database-url", "verifier", Place::Configuration, Some("prod"));
    copy(
        &mut detail,
        "dev/payments/Secret/db-copy-of-production#password",
        "claimed",
        Place::SecretStore,
        Some("dev"),
    );
    copy(
        &mut detail,
        "aws/secretsmanager/payments/db#password",
        "verifier",
        Place::SecretStore,
        Some("prod"),
    );
    consumer(
        &mut detail,
        "prod/payments/Deployment/ledger",
        "prod/payments/Secret/db#password",
        ConsumerHow::Env,
    );
    consumer(
        &mut detail,
        "prod/payments/CronJob/nightly-settlement-export",
        "prod/payments/Secret/db",
        ConsumerHow::EnvFrom,
    );
    consumer(
        &mut detail,
        "prod/web/Deployment/shop",
        "prod/web/ConfigMap/shop#database-url",
        ConsumerHow::Env,
    );
    consumer(
        &mut detail,
        "dev/payments/Deployment/ledger",
        "dev/payments/Secret/db-copy-of-production",
        ConsumerHow::Volume,
    );
    detail
}

fn access_key() -> CredentialDetail {
    let mut detail =
        credential(2, "aws/iam/user/ci/access-key/AKIAEXAMPLE1", CredentialKind::AccessKey, Some(803));
    detail.credential.last_used_at = Some(ago(1));
    detail.credential.attributes.insert("active_keys_of_user".to_owned(), 2.into());
    copy(
        &mut detail,
        "prod/ci/Deployment/runner#containers/runner/env/AWS_SECRET_ACCESS_KEY",
        "handle",
        Place::Literal,
        Some("prod"),
    );
    consumer(
        &mut detail,
        "prod/ci/Deployment/runner",
        "prod/ci/Deployment/runner#containers/runner/env/AWS_SECRET_ACCESS_KEY",
        ConsumerHow::Literal,
    );
    detail
}

fn legacy_token() -> CredentialDetail {
    let mut detail =
        credential(3, "prod/ci/Secret/deployer-token", CredentialKind::ServiceAccountToken, Some(1290));
    detail.credential.attributes.insert("manual".to_owned(), true.into());
    detail.credential.identity = Some(Ref::from_text("prod/ci/ServiceAccount/deployer"));
    copy(&mut detail, "prod/ci/Secret/deployer-token#token", "issuer", Place::SecretStore, Some("prod"));
    copy(
        &mut detail,
        "vault/secret/ci/kubeconfig#config/users/0/user/token",
        "handle",
        Place::SecretStore,
        None,
    );
    detail
}

fn root_token() -> CredentialDetail {
    let mut detail = credential(4, "vault/auth/token/accessor/h7Kq2", CredentialKind::Token, Some(655));
    detail.credential.attributes.insert("root".to_owned(), true.into());
    detail
}

fn certificate() -> CredentialDetail {
    let mut detail =
        credential(5, "prod/web/Secret/shop-tls#tls.crt", CredentialKind::Certificate, Some(351));
    detail.credential.expires_at = Some(ago(-12));
    copy(&mut detail, "prod/web/Secret/shop-tls#tls.crt", "alone", Place::SecretStore, Some("prod"));
    detail
}

fn change(days: i64, entity: &str, subject: &str, change: &str, detail: &str) -> HistoryView {
    HistoryView {
        at: ago(days),
        entity: entity.to_owned(),
        subject: Ref::from_text(subject),
        change: change.to_owned(),
        detail: detail.to_owned(),
    }
}

fn identities() -> Vec<IdentityView> {
    let identity = |number: u128, at: &str, kind, privilege| IdentityView {
        id: IdentityId(Uuid::from_u128(number)),
        at: Ref::from_text(at),
        kind,
        owner: None,
        privilege,
        credentials: 1,
        grants: Vec::new(),
        labels: Labels::new(),
        attributes: Attributes::new(),
        created_at: None,
        last_used_at: None,
    };
    let mut deployer = identity(
        1,
        "prod/ci/ServiceAccount/deployer",
        IdentityKind::KubernetesServiceAccount,
        PrivilegeLevel::Admin,
    );
    deployer.grants.push(GrantView {
        identity: deployer.at.clone(),
        source: Ref::from_text("prod/*/ClusterRoleBinding/deployer"),
        privilege: "ClusterRole/cluster-admin".to_owned(),
        reach: "*".to_owned(),
        level: PrivilegeLevel::Admin,
        attributes: Attributes::new(),
    });
    vec![
        deployer,
        identity(2, "db/role/payments", IdentityKind::DatabaseRole, PrivilegeLevel::Write),
        identity(3, "aws/iam/user/ci", IdentityKind::AwsUser, PrivilegeLevel::Unknown),
    ]
}

/// Gives a credential to a job, and an identity that may do something; every word of it is `name`.
pub(crate) fn given(detail: &mut CredentialDetail, name: &str, opens: &str) {
    let secret = format!("forge/{name}/actions/secrets/{name}");
    copy(detail, &secret, "declared", Place::SecretStore, None);
    consumer(detail, &format!("forge/{name}/workflows/{name}#jobs/{name}"), &secret, ConsumerHow::Env);
    let job = detail.consumers.last_mut().expect("it was just added");
    for key in ["triggers", "third_party", "third_party_unpinned"] {
        job.attributes.insert(key.to_owned(), vec![name].into());
    }
    job.attributes.insert("ci_secret".to_owned(), name.into());
    job.attributes.insert("environment".to_owned(), name.into());
    job.attributes.insert("permissions".to_owned(), serde_json::json!({ name: name }));
    let mut identity = identities().swap_remove(0);
    identity.at = Ref::from_text(format!("prod/{name}/ServiceAccount/{name}"));
    for grant in &mut identity.grants {
        grant.privilege = name.to_owned();
        grant.reach = name.to_owned();
        grant.source = Ref::from_text(format!("prod/{name}/RoleBinding/{name}"));
        grant.attributes.insert("rules".to_owned(), vec![name; 5].into());
        grant.attributes.insert("opens".to_owned(), vec![opens].into());
    }
    detail.credential.identity = Some(identity.at.clone());
    detail.identity = Some(identity);
}

/// With its chains.
pub(crate) fn chained(mut report: InventoryReport) -> InventoryReport {
    let grants = report.identities.iter().flat_map(|identity| &identity.grants);
    let (drawn, more) = Estate::new(&report.credentials, grants, &report.coverage).chains(20, Limits::BRIEF);
    report.chains = Chains { drawn, more };
    report
}

/// With what the rules say of it.
pub(crate) fn judged(mut report: InventoryReport) -> InventoryReport {
    let context = Context::new(report.generated_at);
    let mut findings = Vec::new();
    for rule in RULES {
        let drafts: Vec<_> = match rule.check {
            Check::Credential(check) => {
                report.credentials.iter().filter_map(|detail| check(detail, &context)).collect()
            }
            Check::Identity(check) => {
                report.identities.iter().filter_map(|identity| check(identity, &context)).collect()
            }
            Check::Coverage(check) => {
                report.coverage.iter().flat_map(|backend| check(backend, &context)).collect()
            }
            // Nothing of the sample was revoked, and no pod of it runs.
            Check::Mounted(_) | Check::Returned(_) | Check::Verified(_) => Vec::new(),
        };
        findings.extend(drafts.into_iter().map(|draft| rule.finding(draft, ago(40), now())));
    }
    let mut by_subject: HashMap<&Ref, Vec<String>> = HashMap::new();
    for finding in &findings {
        by_subject.entry(&finding.subject).or_default().push(finding.slug.clone());
    }
    for detail in &mut report.credentials {
        detail.credential.findings = by_subject.remove(&detail.credential.at).unwrap_or_default();
    }
    report.findings = findings;
    report
}
