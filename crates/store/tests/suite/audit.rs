use anyhow::Result;
use claviger_core::{
    audit::{AuditDraft, AuditHash, AuditKind, Verifier},
    id::{SagaId, Seq},
};
use claviger_store::AuditLog as _;
use claviger_testkit::database::Kind;
use sea_orm::ConnectionTrait as _;

use super::Bench;

pub(crate) fn draft(subject: &str) -> AuditDraft {
    AuditDraft {
        kind: AuditKind::Intent,
        actor: "dana@desk".to_owned(),
        subject: subject.to_owned(),
        saga: Some(SagaId(uuid::Uuid::from_u128(9))),
        step: Some("write-copy:a/b#c".to_owned()),
        detail: serde_json::json!({ "zeta": [1, 2], "alpha": { "y": null, "b": "é\u{1f511}" } }),
    }
}

/// Reads the whole log in small pages and gives the verdict.
pub(crate) async fn verify(bench: &Bench) -> Result<(u64, bool)> {
    let mut verifier = Verifier::default();
    let mut after = Seq(0);
    loop {
        let page = bench.store.read(after, 7).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        page.iter().for_each(|entry| verifier.push(Some(entry)));
    }
    let verdict = verifier.finish(Some(bench.store.head().await?));
    Ok((verdict.entries, verdict.valid))
}

pub(crate) async fn entries_are_chained_and_survive_the_database(bench: Bench) -> Result<()> {
    assert_eq!(bench.store.head().await?, (Seq(0), AuditHash::GENESIS));
    assert!(bench.store.append(Vec::new()).await?.is_empty());
    let drafts: Vec<_> = (0..20).map(|i| draft(&format!("db/role/{i}"))).collect();
    let numbers = bench.store.append(drafts.clone()).await?;
    assert_eq!(numbers, (1..=20).map(Seq).collect::<Vec<_>>());
    assert_eq!(bench.store.append(vec![draft("next")]).await?, [Seq(21)]);
    let page = bench.store.read(Seq(3), 2).await?;
    assert_eq!(page.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [Seq(4), Seq(5)]);
    assert_eq!(page[0].draft, drafts[3]);
    assert_eq!(page[0].at, bench.now());
    assert!(bench.store.read(Seq(21), 10).await?.is_empty());
    assert_eq!(verify(&bench).await?, (21, true));
    Ok(())
}

pub(crate) async fn appends_at_the_same_time_leave_one_unbroken_chain(bench: Bench) -> Result<()> {
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..6 {
        let store = bench.another().await?;
        workers.spawn(async move {
            for round in 0..10 {
                store.append(vec![draft(&format!("{worker}/{round}")), draft("second")]).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    assert_eq!(verify(&bench).await?, (120, true));
    Ok(())
}

pub(crate) async fn the_database_refuses_to_change_or_delete_an_entry(bench: Bench) -> Result<()> {
    bench.store.append(vec![draft("a"), draft("b")]).await?;
    let raw = bench.raw().await?;
    let mut attempts = vec![
        "update audit_entry set actor = 'mallory' where seq = 1",
        "delete from audit_entry where seq = 2",
        "delete from audit_head",
        "update audit_head set seq = 1",
    ];
    if bench.kind == Kind::Postgres {
        attempts.extend(["truncate audit_entry cascade", "truncate audit_head"]);
    }
    for attempt in attempts {
        let refused = raw.execute_unprepared(attempt).await.expect_err(attempt).to_string();
        assert!(refused.contains("append-only"), "{attempt}: {refused}");
    }
    assert_eq!(verify(&bench).await?, (2, true));
    Ok(())
}

pub(crate) async fn a_number_a_nul_and_a_nanosecond_do_not_break_the_chain(bench: Bench) -> Result<()> {
    bench.clock.advance(chrono::Duration::nanoseconds(789));
    let detail = serde_json::json!({
        "float": 0.1 + 0.2, "tiny": 5e-324, "huge": 1.797_693_134_862_315_7e308, "whole": 1.0,
        "big": u64::MAX, "low": i64::MIN, "nul": "a\0b",
    });
    let odd = AuditDraft { subject: "a\0b".to_owned(), step: Some("\0".to_owned()), detail, ..draft("") };
    bench.store.append(vec![odd.clone()]).await?;
    let entry = bench.store.read(Seq(0), 1).await?.remove(0);
    assert_eq!(entry.draft.detail, odd.detail);
    assert_eq!(entry.draft.subject, "a\u{fffd}b");
    assert_eq!(entry.at, super::start(), "cut to microseconds");
    assert_eq!(verify(&bench).await?, (1, true));
    Ok(())
}
