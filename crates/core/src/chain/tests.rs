//! Chains of a small made-up estate.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeZone, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    finding::sample,
    id::IdentityId,
    model::{Attributes, CopyStage, IdentityKind, Labels, Place as PlaceKind, ScopeStatus},
    view::{
        BackendScanView, ConsumerView, CopyView, Counts, CredentialDetail, GrantView, IdentityView, ScopeView,
    },
};

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 1, 12, 0, 0).single().expect("a date")
}

fn at(text: &str) -> Ref {
    Ref::from_text(text)
}

fn credential(number: u128, text: &str, kind: CredentialKind) -> CredentialDetail {
    let mut detail = sample::credential(text, kind);
    detail.credential.id = CredentialId(Uuid::from_u128(number));
    detail.credential.owner = None;
    detail
}

impl CredentialDetail {
    fn lies(mut self, text: &str, evidence: &str) -> Self {
        self.copies.push(CopyView {
            credential: self.credential.id,
            store: at(text).backend().to_owned(),
            path: at(text).path().to_owned(),
            field: at(text).field_name().map(str::to_owned),
            at: at(text),
            version: None,
            fingerprint: None,
            first_seen: now(),
            last_seen: now(),
            stage: CopyStage::Current,
            place: PlaceKind::SecretStore,
            evidence: evidence.to_owned(),
            labels: Labels::new(),
            attributes: Attributes::new(),
        });
        self
    }

    fn read(mut self, by: &str, reads: &str, facts: Value) -> Self {
        let facts = facts.as_object().cloned().unwrap_or_default();
        self.consumers.push(ConsumerView {
            credential: Some(self.credential.id),
            copy: at(reads),
            at: at(by),
            how: ConsumerHow::Env,
            container: None,
            attributes: facts.into_iter().collect(),
        });
        self
    }

    fn may(mut self, who: &str, kind: IdentityKind, grants: &[(&str, Option<Value>)]) -> Self {
        let grants = grants.iter().map(|(source, opens)| GrantView {
            identity: at(who),
            source: at(source),
            privilege: "Role/x".to_owned(),
            reach: "payments".to_owned(),
            level: PrivilegeLevel::Sensitive,
            attributes: opens.iter().map(|opens| (OPENS.to_owned(), opens.clone())).collect(),
        });
        self.credential.identity = Some(at(who));
        self.identity = Some(IdentityView {
            id: IdentityId(Uuid::from_u128(9)),
            at: at(who),
            kind,
            owner: None,
            privilege: PrivilegeLevel::Sensitive,
            credentials: 1,
            grants: grants.collect(),
            labels: Labels::new(),
            attributes: Attributes::new(),
            created_at: None,
            last_used_at: None,
        });
        self
    }
}

fn backend(name: &str, kind: &str, gaps: &[(&str, ScopeStatus)]) -> BackendScanView {
    let scopes = gaps.iter().map(|(scope, status)| ScopeView {
        scope: (*scope).to_owned(),
        status: *status,
        reason: Some("403".to_owned()),
    });
    BackendScanView {
        name: name.to_owned(),
        kind: kind.to_owned(),
        status: if gaps.is_empty() { "complete" } else { "partial" }.to_owned(),
        error: None,
        scopes: scopes.collect(),
        counts: Counts::default(),
        duration_ms: 1,
    }
}

const JOB: &str = "forge/acme/shop/workflows/.gitea/workflows/deploy.yml#jobs/deploy";
const CI: &str = "forge/acme/shop/actions/secrets/KUBE_TOKEN";
const TOKEN: &str = "prod/ci/Secret/deployer";
const DEPLOYER: &str = "prod/ci/ServiceAccount/deployer";
const DB: &str = "db/role/app";
const COPY: &str = "prod/payments/Secret/db#password";
const API: &str = "prod/payments/Deployment/api";

fn token() -> CredentialDetail {
    credential(1, TOKEN, CredentialKind::ServiceAccountToken)
        .lies("prod/ci/Secret/deployer#token", "issuer")
        .lies(CI, "declared")
        .read(
            JOB,
            CI,
            json!({"ci_secret": "KUBE_TOKEN", "triggers": ["push"], "takes_all": false, "permissions": {"contents": "read"},
                   "third_party": ["acme/kubectl@v1"], "third_party_unpinned": ["acme/kubectl@v1"]}),
        )
        .may(
            DEPLOYER,
            IdentityKind::KubernetesServiceAccount,
            &[("prod/payments/RoleBinding/deployer", Some(json!(["prod/payments/Secret/*"])))],
        )
}

fn password() -> CredentialDetail {
    credential(2, DB, CredentialKind::Password)
        .lies(COPY, "verifier")
        .lies("vault/kv/db#password", "verifier")
        .read(API, "prod/payments/Secret/db", json!({}))
        .may(DB, IdentityKind::DatabaseRole, &[("db/role/readers", None)])
}

fn systems() -> Vec<BackendScanView> {
    vec![
        backend("prod", "kubernetes", &[]),
        backend("db", "postgresql", &[]),
        backend("vault", "vault", &[]),
        backend("forge", "gitea", &[("acme/shop", ScopeStatus::Unreadable)]),
    ]
}

fn drawn(details: &[CredentialDetail], systems: &[BackendScanView], number: u128) -> Chain {
    let grants =
        details.iter().filter_map(|detail| detail.identity.as_ref()).flat_map(|identity| &identity.grants);
    let estate = Estate::new(details, grants, systems);
    estate.chain(CredentialId(Uuid::from_u128(number)), Limits::WHOLE).expect("it is there")
}

fn unknown(chain: &Chain, stage: Stage, words: &str) -> bool {
    chain.unknown.iter().any(|one| one.stage == stage && one.why.contains(words))
}

#[test]
fn a_token_in_ci_opens_the_password_in_the_namespace() {
    let chain = drawn(&[token(), password()], &systems(), 1);
    let [deploy] = chain.deploy.as_slice() else { panic!("{chain:#?}") };
    assert_eq!((deploy.at.as_str(), deploy.known.from), (CI, Source::Declared));
    let [job] = deploy.jobs.as_slice() else { panic!("{deploy:#?}") };
    assert_eq!((job.at.as_str(), job.job.as_deref(), job.forks), (JOB, Some("deploy"), Forks::No));
    assert_eq!(
        job.known,
        Known::new(Source::Workflow, &at("forge/acme/shop/workflows/.gitea/workflows/deploy.yml"))
    );
    assert_eq!(job.foreign, [Foreign { uses: "acme/kubectl@v1".to_owned(), pinned: false }]);
    assert_eq!(
        job.permissions.as_ref().and_then(|scopes| scopes.get("contents")).map(String::as_str),
        Some("read")
    );
    let [right] = chain.rights.as_slice() else { panic!("{chain:#?}") };
    assert_eq!(right.known, Known::new(Source::Grant, &at("prod/payments/RoleBinding/deployer")));
    let [opened] = right.opens.as_slice() else { panic!("{right:#?}") };
    assert_eq!((opened.place.as_str(), opened.certain), (COPY, true));
    let Next::Chain { chain: next } = &opened.next else { panic!("{opened:#?}") };
    assert_eq!(next.at.as_str(), DB);
    let place =
        next.places.iter().find(|place| place.at.as_str() == "prod/payments/Secret/db").expect("the Secret");
    assert_eq!(place.namespace.as_deref(), Some("payments"));
    assert_eq!(place.workloads[0].at.as_str(), API);
    // Its place is its own: nobody else reads it, and that is known.
    assert!(!unknown(&chain, Stage::Run, ""), "{:#?}", chain.unknown);
}

#[test]
fn the_password_tells_who_comes_to_it_and_what_is_not_known() {
    let chain = drawn(&[token(), password()], &systems(), 2);
    assert!(chain.deploy.is_empty());
    let [opener] = chain.opened_by.as_slice() else { panic!("{chain:#?}") };
    assert_eq!((opener.place.as_str(), opener.known.from), (COPY, Source::Grant));
    let Next::Chain { chain: by } = &opener.by else { panic!("{opener:#?}") };
    assert_eq!((by.at.as_str(), by.deploy[0].jobs[0].at.as_str()), (TOKEN, JOB));
    assert!(by.rights.is_empty(), "of it only what comes before is told");
    assert!(unknown(&chain, Stage::Rights, "within the databases"), "{:#?}", chain.unknown);
    assert!(unknown(&chain, Stage::Opens, "does not say which"), "{:#?}", chain.unknown);
    assert!(unknown(&chain, Stage::Run, "no backend of kind vault tells"), "{:#?}", chain.unknown);
}

#[test]
fn what_nobody_read_is_unknown_and_never_nothing() {
    let mut all = systems();
    all.retain(|system| system.kind != "gitea");
    let chain = drawn(&[password()], &all, 2);
    assert!(unknown(&chain, Stage::Deploy, "no backend reads a CI system"), "{:#?}", chain.unknown);

    let mut all = systems();
    all[0] = backend("prod", "kubernetes", &[("payments", ScopeStatus::Denied)]);
    all[3] = backend("forge", "gitea", &[("acme/shop", ScopeStatus::Failed)]);
    let chain = drawn(&[token(), password()], &all, 2);
    assert!(
        unknown(&chain, Stage::Run, "not all was scanned: payments (denied: 403)"),
        "{:#?}",
        chain.unknown
    );
    assert!(unknown(&chain, Stage::Deploy, "not all of forge was scanned"), "{:#?}", chain.unknown);
    let chain = drawn(&[token(), password()], &all, 1);
    assert!(unknown(&chain, Stage::Rights, "not all of prod was scanned"), "{:#?}", chain.unknown);

    // Who sees a part of it is not told that there is no more.
    let details = [password()];
    let estate = Estate::new(&details, [], &[]).narrow(true);
    let chain = estate.chain(CredentialId(Uuid::from_u128(2)), Limits::WHOLE).expect("it is there");
    assert!(unknown(&chain, Stage::Deploy, "these rights see nothing"), "{:#?}", chain.unknown);
    assert!(unknown(&chain, Stage::Run, "cannot be seen with these rights"), "{:#?}", chain.unknown);
    assert!(!unknown(&chain, Stage::Run, "no scan"), "{:#?}", chain.unknown);

    // A CI secret that nothing else is known of.
    let alone = credential(3, CI, CredentialKind::Opaque).lies(CI, "alone");
    let chain = drawn(&[alone], &systems(), 3);
    assert!(unknown(&chain, Stage::Build, "no workflow that was read"), "{:#?}", chain.unknown);
    assert!(unknown(&chain, Stage::Rights, "whom it authenticates is not known"), "{:#?}", chain.unknown);

    let details = [password()];
    let systems = systems();
    let estate = Estate::new(&details, [], &systems).with_unread(3);
    let chain = estate.chain(CredentialId(Uuid::from_u128(2)), Limits::WHOLE).expect("it is there");
    assert!(unknown(&chain, Stage::Deploy, "3 places show their value to nobody"), "{:#?}", chain.unknown);
}

#[test]
fn a_link_that_cannot_say_where_it_is_known_from_is_none() {
    let chain = drawn(&[token().lies("prod/web/Secret/x#y", "hearsay"), password()], &systems(), 1);
    assert!(!chain.places.iter().any(|place| place.at.as_str().contains("web")), "{chain:#?}");
    assert!(unknown(&chain, Stage::Place, "is not recorded"), "{:#?}", chain.unknown);
    // And of every link that is drawn the source is in what programs read.
    let document = serde_json::to_value(&chain).expect("JSON");
    let (mut links, mut open) = (0, vec![&document]);
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                let is_link =
                    ["jobs", "workloads", "opens", "by", "next"].iter().any(|key| map.contains_key(*key))
                        || map.contains_key("forks")
                        || map.contains_key("namespace");
                if is_link {
                    links += 1;
                    assert!(map["known"]["from"].is_string() && map["known"]["at"].is_string(), "{map:#?}");
                }
                open.extend(map.values());
            }
            Value::Array(all) => open.extend(all),
            _ => {}
        }
    }
    assert!(links >= 5, "{links}");
}

/// Two tokens, each of which may read the namespace of the other.
fn circle() -> [CredentialDetail; 2] {
    let one = |number, here: &str, there: &str| {
        let secret = format!("prod/{here}/Secret/token");
        credential(number, &secret, CredentialKind::ServiceAccountToken)
            .lies(&format!("{secret}#token"), "issuer")
            .may(
                &format!("prod/{here}/ServiceAccount/robot"),
                IdentityKind::KubernetesServiceAccount,
                &[("prod/x/RoleBinding/x", Some(json!([format!("prod/{there}/Secret/*")])))],
            )
    };
    [one(1, "a", "b"), one(2, "b", "a")]
}

#[test]
fn a_circle_is_cut_and_said() {
    let chain = drawn(&circle(), &systems(), 1);
    let Next::Chain { chain: next } = &chain.rights[0].opens[0].next else { panic!("{chain:#?}") };
    assert_eq!(next.at.as_str(), "prod/b/Secret/token");
    let back = &next.rights[0].opens[0].next;
    assert_eq!(back, &Next::Circle { at: at("prod/a/Secret/token") });
    // The one that comes to it is the one that it opens.
    assert_eq!(chain.opened_by[0].by, Next::Elsewhere { at: at("prod/b/Secret/token") });
}

#[test]
fn a_chain_ends_somewhere_and_says_so() {
    let all: Vec<CredentialDetail> = (1..=9_u32)
        .map(|number| {
            let secret = format!("prod/n{number}/Secret/token");
            credential(u128::from(number), &secret, CredentialKind::ServiceAccountToken)
                .lies(&format!("{secret}#token"), "issuer")
                .may(
                    &format!("prod/n{number}/ServiceAccount/robot"),
                    IdentityKind::KubernetesServiceAccount,
                    &[("prod/x/RoleBinding/x", Some(json!([format!("prod/n{}/Secret/*", number + 1)])))],
                )
        })
        .collect();
    let chain = drawn(&all, &systems(), 1);
    let mut last = &chain.rights[0].opens[0].next;
    let mut length = 0;
    while let Next::Chain { chain } = last {
        length += 1;
        last = &chain.rights[0].opens[0].next;
    }
    assert_eq!(length, Limits::WHOLE.fan.len());
    assert!(matches!(last, Next::Deeper { .. }), "{last:#?}");
}

#[test]
fn what_is_too_much_is_counted() {
    let mut all = vec![token()];
    all.extend((10..50_u128).map(|number| {
        let secret = format!("prod/payments/Secret/s{number}#x");
        credential(number, &secret, CredentialKind::Opaque).lies(&secret, "alone")
    }));
    let chain = drawn(&all, &systems(), 1);
    assert_eq!(chain.rights[0].opens.len(), Limits::WHOLE.fan[0]);
    let cut = chain.cut.iter().find(|cut| cut.stage == Stage::Opens).expect("it is said");
    assert_eq!(cut.more, 40 - Limits::WHOLE.fan[0]);

    let details = [token(), password()];
    let systems = systems();
    let crowded = BTreeSet::from(["prod/payments/Secret/*".to_owned()]);
    let estate = Estate::new(&details, [], &systems).crowded(crowded);
    let chain = estate.chain(CredentialId(Uuid::from_u128(1)), Limits::WHOLE).expect("it is there");
    assert!(chain.cut.iter().any(|cut| cut.stage == Stage::Opens && cut.more >= 1), "{:#?}", chain.cut);
}

#[test]
fn whoever_may_read_it_without_a_credential_is_named() {
    let mut pod = token();
    pod.credential.state = CredentialState::RevokedProven;
    let chain = drawn(&[pod, password()], &systems(), 2);
    assert!(chain.opened_by.is_empty(), "a revoked token opens nothing: {chain:#?}");
    assert!(
        chain.unknown.iter().any(|one| one.stage == Stage::OpenedBy && one.about.as_str() == DEPLOYER),
        "{:#?}",
        chain.unknown
    );
}

#[test]
fn what_is_refused_opens_nothing_and_what_may_be_accepted_does() {
    let mut one = token();
    one.credential.state = CredentialState::RevokedProven;
    let chain = drawn(&[one.clone(), password()], &systems(), 1);
    assert!(chain.rights.len() == 1 && chain.rights[0].opens.is_empty(), "{chain:#?}");
    one.credential.state = CredentialState::RevokedUnproven;
    let chain = drawn(&[one.clone(), password()], &systems(), 1);
    assert_eq!(chain.rights[0].opens.len(), 1);
    let chain = drawn(&[one, password()], &systems(), 2);
    assert_eq!(chain.opened_by.len(), 1, "nobody has seen it refused: {chain:#?}");
}

#[test]
fn a_grant_that_depends_on_more_is_uncertain() {
    let mut one = token();
    for grant in one.identity.iter_mut().flat_map(|identity| &mut identity.grants) {
        grant.attributes.insert(OPENS_MAYBE.to_owned(), json!(true));
    }
    let chain = drawn(&[one, password()], &systems(), 1);
    assert!(!chain.rights[0].opens[0].certain);
}

#[test]
fn the_ones_worth_drawing_are_those_in_ci_and_those_that_open_others() {
    let details = [token(), password(), credential(5, "prod/web/Secret/x", CredentialKind::Opaque)];
    let systems = systems();
    let estate = Estate::new(&details, [], &systems);
    let (drawn, more) = estate.chains(5, Limits::BRIEF);
    assert_eq!(drawn.iter().map(|chain| chain.at.as_str()).collect::<Vec<_>>(), [TOKEN]);
    assert_eq!(more, 0);
    assert_eq!(estate.chains(0, Limits::BRIEF).1, 1);
}

#[test]
fn a_chain_is_read_back_as_it_was_written() {
    for chain in [drawn(&[token(), password()], &systems(), 1), drawn(&circle(), &systems(), 2)] {
        let text = serde_json::to_string(&chain).expect("JSON");
        assert_eq!(serde_json::from_str::<Chain>(&text).expect("a chain"), chain);
    }
}
