use chrono::{DateTime, TimeZone, Utc};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    finding::sample,
    model::{Attributes, ConsumerHow, CredentialKind, Labels, Place},
    view::ConsumerView,
};

fn day(number: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, number, 12, 0, 0).single().expect("a date")
}

fn detail(number: u128, at: &str, kind: CredentialKind, copies: &[(&str, &str)]) -> CredentialDetail {
    let id = CredentialId(Uuid::from_u128(number));
    let CredentialDetail { mut credential, .. } = sample::credential(at, kind);
    (credential.id, credential.owner) = (id, None);
    let copies = copies.iter().map(|(at, evidence)| {
        let at = Ref::from_text(*at);
        CopyView {
            credential: id,
            store: at.backend().to_owned(),
            path: at.path().to_owned(),
            field: at.field_name().map(str::to_owned),
            at,
            version: None,
            fingerprint: (*evidence != "alone").then(|| "5c".repeat(32)),
            first_seen: day(1),
            last_seen: day(1),
            stage: CopyStage::Current,
            place: Place::SecretStore,
            evidence: (*evidence).to_owned(),
            labels: Labels::new(),
            attributes: Attributes::new(),
        }
    });
    CredentialDetail {
        credential,
        identity: None,
        owners: Vec::new(),
        copies: copies.collect(),
        consumers: Vec::new(),
        history: Vec::new(),
    }
}

const PLACE: &str = "forge/acme/shop/actions/secrets/COURIER_PASSWORD";
const JOB: &str = "forge/acme/shop/workflows/deploy.yml#jobs/deploy";

fn question() -> CredentialDetail {
    let mut asked = detail(1, PLACE, CredentialKind::Opaque, &[(PLACE, "alone")]);
    asked.consumers.push(ConsumerView {
        credential: Some(asked.credential.id),
        copy: Ref::from_text(PLACE),
        at: Ref::from_text(JOB),
        how: ConsumerHow::Env,
        container: None,
        attributes: Attributes::from([("ci_secret".to_owned(), json!("COURIER_PASSWORD"))]),
    });
    asked
}

fn role(number: u128, name: &str) -> CredentialDetail {
    let at = format!("db/role/{name}");
    let copy = format!("prod/payments/Secret/{name}#password");
    let mut role = detail(number, &at, CredentialKind::Password, &[(&copy, "verifier")]);
    role.credential.identity = Some(Ref::from_text(at));
    role.credential.last_rotated_at = Some(day(10));
    role
}

#[test]
fn a_name_that_a_workflow_asks_for_is_proposed_with_what_speaks_for_it() {
    let found = resemblances(&[question(), role(2, "courier"), role(3, "web")]);
    let [one] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((one.copy.as_str(), one.at.as_str(), one.rivals), (PLACE, "db/role/courier", 1));
    assert_eq!(one.jobs, [Ref::from_text(JOB)]);
    assert!(one.because[0].starts_with("COURIER_PASSWORD is the name of"), "{one:#?}");
    assert!(one.unknown[0].contains("last written"), "{one:#?}");
    assert_eq!(one.confirm, format!("[[credentials]]\nref = \"db/role/courier\"\ncopies = [\"{PLACE}\"]\n"));
}

#[test]
fn what_is_older_or_of_another_environment_is_none() {
    let (mut older, mut other) = (question(), question());
    older.credential.last_rotated_at = Some(day(9));
    assert_eq!(resemblances(&[older.clone(), role(2, "courier")]), []);
    older.credential.last_rotated_at = Some(day(11));
    let found = resemblances(&[older, role(2, "courier")]);
    assert!(found[0].because[1].contains("written after") && found[0].unknown.is_empty(), "{found:#?}");

    other.copies[0].labels.insert("env".to_owned(), "dev".to_owned());
    let mut prod = role(2, "courier");
    prod.credential.labels.insert("env".to_owned(), "prod".to_owned());
    assert_eq!(resemblances(&[other, prod]), []);
}

#[test]
fn nothing_is_proposed_of_what_is_known_or_asked_for_by_nobody() {
    let mut known = question();
    known.copies[0].evidence = "declared".to_owned();
    let mut unasked = question();
    unasked.consumers.clear();
    let mut read = question();
    read.copies[0].fingerprint = Some("a1".repeat(32));
    for question in [known, unasked, read] {
        assert!(!is_question(&question));
        assert_eq!(resemblances(&[question, role(2, "courier")]), []);
    }
    let mut revoked = role(2, "courier");
    revoked.credential.state = CredentialState::RevokedProven;
    assert_eq!(resemblances(&[question(), revoked]), []);
    // What has no issuer is no answer.
    let copy = "prod/payments/Secret/courier#password";
    let alone = detail(2, copy, CredentialKind::Password, &[(copy, "fingerprint")]);
    assert_eq!(resemblances(&[question(), alone]), []);
}

#[test]
fn of_several_the_one_for_which_more_speaks_is_proposed_and_of_many_none() {
    let namesake = |number: u128| {
        let mut one = role(number, "courier");
        one.credential.at = Ref::from_text(format!("db{number}/role/courier"));
        one
    };
    let (mut asked, mut owned) = (question(), namesake(2));
    let found = resemblances(&[asked.clone(), owned.clone(), namesake(3)]);
    assert!(found.len() == 2 && found.iter().all(|one| one.rivals == 2), "{found:#?}");
    asked.credential.owner = Some("payments".to_owned());
    owned.credential.owner = Some("payments".to_owned());
    let found = resemblances(&[asked.clone(), owned, namesake(3)]);
    let [one] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(one.at.as_str(), "db2/role/courier");
    let many: Vec<_> = std::iter::once(question()).chain((2..8).map(namesake)).collect();
    assert_eq!(resemblances(&many), []);
}
