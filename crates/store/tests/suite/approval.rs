use anyhow::Result;
use chrono::Duration;
use claviger_core::{approval::Approval, id::Seq, random::SeededRandom, saga::PlanHash, signing::PrivateKey};
use claviger_store::{Approvals as _, AuditLog as _, Proposal};
use claviger_testkit::database::Kind;
use sea_orm::ConnectionTrait as _;

use super::{Bench, audit::draft};

fn proposal(bench: &Bench, hash: &str, actor: &str) -> Proposal {
    Proposal {
        plan: PlanHash(hash.to_owned()),
        verb: "revoke".to_owned(),
        document: serde_json::json!({ "subjects": [{ "é": 1 }], "refused": [] }),
        needed: 2,
        reasons: vec!["guard `max_targets`".to_owned()],
        actor: actor.to_owned(),
        at: bench.now(),
        audit_seq: None,
    }
}

fn approval(bench: &Bench, hash: &str) -> Approval {
    let key = PrivateKey::generate(&SeededRandom::new(3));
    let end = bench.now() + Duration::hours(1);
    Approval::sign(PlanHash(hash.to_owned()), "dana".to_owned(), bench.now(), end, &key)
}

pub(crate) async fn a_plan_stays_whose_it_was_first(bench: Bench) -> Result<()> {
    let first = proposal(&bench, "aabb01", "dana@desk");
    assert!(bench.store.propose(&first, draft("plan")).await?);
    assert!(!bench.store.propose(&proposal(&bench, "aabb01", "eve@desk"), draft("plan")).await?);
    assert_eq!(bench.store.head().await?.0.0, 1, "the second one left no entry");
    assert!(bench.store.propose(&proposal(&bench, "aacc02", "eve@desk"), draft("plan")).await?);
    // What is read back says which entry of the log tells of it.
    let first = Proposal { audit_seq: Some(Seq(1)), ..first };
    assert_eq!(bench.store.proposals("aabb").await?, std::slice::from_ref(&first));
    assert_eq!(bench.store.proposals("AABB01").await?, [first]);
    assert_eq!(bench.store.proposals("aa").await?.len(), 2);
    for nothing in ["", "ff", "%", "aa%", "_abb01", "aabb01'--"] {
        assert!(bench.store.proposals(nothing).await?.is_empty(), "{nothing}");
    }
    Ok(())
}

pub(crate) async fn an_approval_needs_its_plan_and_is_read_back_as_it_was_signed(bench: Bench) -> Result<()> {
    assert!(bench.store.approve(&approval(&bench, "aabb01"), draft("plan")).await.is_err(), "no such plan");
    assert_eq!(bench.store.head().await?.0.0, 0, "and no entry of it");
    bench.store.propose(&proposal(&bench, "aabb01", "eve@desk"), draft("plan")).await?;
    let given = approval(&bench, "aabb01");
    assert_eq!(bench.store.approve(&given, draft("plan")).await?.0, 2);
    bench.store.approve(&given, draft("plan")).await?;
    let read = bench.store.approvals(&given.plan).await?;
    assert_eq!(read, [given.clone(), given]);
    assert!(
        bench.store.approvals(&PlanHash("aabb".to_owned())).await?.is_empty(),
        "of this plan, not of its beginning"
    );
    Ok(())
}

pub(crate) async fn the_database_refuses_to_change_or_delete_either(bench: Bench) -> Result<()> {
    bench.store.propose(&proposal(&bench, "aabb01", "eve@desk"), draft("plan")).await?;
    bench.store.approve(&approval(&bench, "aabb01"), draft("plan")).await?;
    let raw = bench.raw().await?;
    let mut attempts = vec![
        "update plan_proposal set actor = 'mallory'",
        "delete from plan_proposal",
        "update approval set approval = '{}'",
        "delete from approval",
    ];
    if bench.kind == Kind::Postgres {
        attempts.extend(["truncate approval", "truncate plan_proposal cascade"]);
    }
    for attempt in attempts {
        let refused = raw.execute_unprepared(attempt).await.expect_err(attempt).to_string();
        assert!(refused.contains("append-only"), "{attempt}: {refused}");
    }
    Ok(())
}
