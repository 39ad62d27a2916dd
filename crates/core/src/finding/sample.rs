//! Subjects for the rules' tests: nothing is known of them but what a test says.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{Check, Context, Rule};
use crate::{
    agreement::{Agreement, CheckedCopy, Login},
    id::{CredentialId, IdentityId},
    model::{
        Attributes, ConsumerHow, CopyStage, CredentialKind, CredentialState, IdentityKind, Labels, Place,
        PrivilegeLevel,
    },
    reference::Ref,
    view::{ConsumerView, CopyView, CredentialDetail, CredentialView, FindingView, GrantView, IdentityView},
};

pub(super) fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 1, 12, 0, 0).single().expect("a date")
}

pub(super) fn days_ago(days: i64) -> DateTime<Utc> {
    now() - TimeDelta::days(days)
}

/// What a verification saw of a credential's copies, one after the other.
pub(super) fn agreement(at: &str, logins: &[(Login, Option<u32>)]) -> Agreement {
    let copies = logins.iter().enumerate().map(|(index, (login, value))| CheckedCopy {
        at: Ref::from_text(format!("kv/{index}#password")),
        login: *login,
        value: *value,
        seen_at: now(),
        evidence: "SQLSTATE 28P01".to_owned(),
    });
    Agreement {
        credential: CredentialId(Uuid::nil()),
        at: Ref::from_text(at),
        checked_at: now(),
        copies: copies.collect(),
    }
}

/// Active, long-lived, owned; no date but those of the first scan, no copy, no consumer.
pub(crate) fn credential(at: &str, kind: CredentialKind) -> CredentialDetail {
    let at = Ref::from_text(at);
    let credential = CredentialView {
        id: CredentialId(Uuid::nil()),
        backend: at.backend().to_owned(),
        at,
        kind,
        identity: None,
        owner: Some("payments".to_owned()),
        state: CredentialState::Active,
        long_lived: true,
        created_at: None,
        last_rotated_at: None,
        expires_at: None,
        last_used_at: None,
        age_days: None,
        next_due_at: None,
        policy: None,
        copies: 0,
        consumers: 0,
        findings: Vec::new(),
        link: "none".to_owned(),
        labels: Labels::new(),
        attributes: Attributes::new(),
        first_seen: now(),
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

impl CredentialDetail {
    pub(super) fn made(mut self, at: DateTime<Utc>) -> Self {
        self.credential.created_at = Some(at);
        self.credential.age_days = Some((now() - at).num_days());
        self
    }

    pub(super) fn say(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.credential.attributes.insert(key.to_owned(), value.into());
        self
    }

    pub(super) fn copied(mut self, copy: CopyView) -> Self {
        self.credential.copies += u32::from(copy.stage == CopyStage::Current);
        self.copies.push(copy);
        self
    }

    pub(super) fn consumed(mut self, at: &str, reads: &str, how: ConsumerHow) -> Self {
        self.credential.consumers += 1;
        self.consumers.push(ConsumerView {
            credential: Some(self.credential.id),
            copy: Ref::from_text(reads),
            at: Ref::from_text(at),
            how,
            container: None,
            attributes: Attributes::new(),
        });
        self
    }
}

/// A readable current copy in a place for secrets.
pub(super) fn copy(at: &str) -> CopyView {
    let at = Ref::from_text(at);
    CopyView {
        credential: CredentialId(Uuid::nil()),
        store: at.backend().to_owned(),
        path: at.path().to_owned(),
        field: at.field_name().map(str::to_owned),
        at,
        version: Some("1".to_owned()),
        fingerprint: Some("a1".repeat(32)),
        first_seen: now(),
        last_seen: now(),
        stage: CopyStage::Current,
        place: Place::SecretStore,
        evidence: "fingerprint".to_owned(),
        labels: Labels::new(),
        attributes: Attributes::new(),
    }
}

impl CopyView {
    pub(super) fn say(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(key.to_owned(), value.into());
        self
    }

    pub(super) fn in_environment(mut self, value: &str) -> Self {
        self.labels.insert("env".to_owned(), value.to_owned());
        self
    }

    pub(super) fn valued(mut self, fingerprint: &str) -> Self {
        self.fingerprint = Some(fingerprint.to_owned());
        self
    }

    pub(super) fn placed(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    pub(super) fn staged(mut self, stage: CopyStage) -> Self {
        self.stage = stage;
        self
    }
}

/// An identity without grants.
pub(super) fn identity(at: &str, kind: IdentityKind) -> IdentityView {
    IdentityView {
        id: IdentityId(Uuid::nil()),
        at: Ref::from_text(at),
        kind,
        owner: None,
        privilege: PrivilegeLevel::Unknown,
        credentials: 0,
        grants: Vec::new(),
        labels: Labels::new(),
        attributes: Attributes::new(),
        created_at: None,
        last_used_at: None,
    }
}

impl IdentityView {
    pub(super) fn granted(
        mut self,
        source: &str,
        privilege: &str,
        reach: &str,
        level: PrivilegeLevel,
    ) -> Self {
        self.grants.push(GrantView {
            identity: self.at.clone(),
            source: Ref::from_text(source),
            privilege: privilege.to_owned(),
            reach: reach.to_owned(),
            level,
            attributes: Attributes::new(),
        });
        self.privilege = level;
        self
    }

    /// Says it of the grant that was added last.
    pub(super) fn say_of_grant(mut self, key: &str, value: impl Into<Value>) -> Self {
        let grant = self.grants.last_mut().expect("a grant was added");
        grant.attributes.insert(key.to_owned(), value.into());
        self
    }
}

fn ask(rule: &Rule, detail: &CredentialDetail) -> Option<FindingView> {
    let Check::Credential(check) = rule.check else { panic!("{} does not look at credentials", rule.slug) };
    check(detail, &Context::new(now())).map(|draft| rule.finding(draft, now(), now()))
}

/// Asserts that the rule holds of the first, and never of the same thing once it is revoked or gone.
pub(super) fn holds(rule: &Rule, mut detail: CredentialDetail) -> FindingView {
    let found = ask(rule, &detail).unwrap_or_else(|| panic!("{} does not hold", rule.slug));
    check_text(&found);
    for state in [
        CredentialState::Gone,
        CredentialState::RevokedProven,
        CredentialState::RevokedAttested,
        CredentialState::RevokedUnproven,
    ] {
        detail.credential.state = state;
        assert_eq!(ask(rule, &detail), None, "{} holds of what is {state}", rule.slug);
    }
    found
}

/// Asserts that the rule does not hold.
pub(super) fn spares(rule: &Rule, detail: &CredentialDetail) {
    assert_eq!(ask(rule, detail), None, "{} holds", rule.slug);
}

/// The same for identities.
pub(super) fn holds_of_identity(rule: &Rule, identity: &IdentityView) -> FindingView {
    let Check::Identity(check) = rule.check else { panic!("{} does not look at identities", rule.slug) };
    let draft =
        check(identity, &Context::new(now())).unwrap_or_else(|| panic!("{} does not hold", rule.slug));
    let found = rule.finding(draft, now(), now());
    check_text(&found);
    found
}

/// The same for identities.
pub(super) fn spares_identity(rule: &Rule, identity: &IdentityView) {
    let Check::Identity(check) = rule.check else { panic!("{} does not look at identities", rule.slug) };
    assert_eq!(check(identity, &Context::new(now())), None, "{} holds", rule.slug);
}

fn check_text(found: &FindingView) {
    assert!(
        !found.title.is_empty() && !found.title.ends_with('.'),
        "{}: a title is one sentence, no full stop",
        found.slug
    );
    assert!(!found.evidence.is_empty(), "{} rests on nothing", found.slug);
}
