//! The canary under crashes, and plans that somebody changed in the database.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use claviger_backend_simulated::{EstateFile, Fault};
use claviger_core::{
    approval::{Approval, Approver},
    audit::{AuditDraft, AuditKind},
    clock::SystemClock,
    id::Seq,
    random::SeededRandom,
    saga::{Cause, PlanHash, SagaKind},
    signing::PrivateKey,
};
use claviger_engine::{
    Error, guard::Needs, plan::Plan, progress::Silent, saga::SagaOutcome, scan::ScanOptions,
};
use claviger_store::{Approvals, AuditLog as _, Journal as _, Proposal};
use claviger_testkit::database::{Kind, TestDatabase};
use futures::{StreamExt as _, stream};
use tempfile::TempDir;

use crate::{
    journal::CommitFault,
    mass,
    world::{Process, RUN, Trial, copy, open},
};

/// One canary and two others.
const SUBJECTS: usize = 3;

async fn prepared() -> Result<(TempDir, TestDatabase)> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(11)));
    let database = TestDatabase::new(Kind::Sqlite, clock, random).await?.context("SQLite is built in")?;
    let dir = tempfile::tempdir()?;
    EstateFile::new(dir.path().join("estate.json")).create(&mass::plant(SUBJECTS))?;
    let process = open(dir.path(), &database, Trial::default()).await?;
    process.engine.scan(&ScanOptions::default(), &Silent).await?;
    process.store().close().await;
    Ok((dir, database))
}

async fn guarded(dir: &Path, database: &TestDatabase, trial: Trial) -> Result<Process> {
    let mut process = open(dir, database, trial).await?;
    process.engine.estate.guards.canary = 1;
    Ok(process)
}

/// `None` when the process died.
async fn revoke(process: &Process, plan: &Plan) -> Option<Vec<claviger_engine::Result<SagaOutcome>>> {
    let mut backend_died = process.backend.crash_signal();
    let mut journal_died = process.journal.died();
    tokio::select! {
        biased;
        () = backend_died.crashed() => None,
        _ = journal_died.wait_for(|dead| *dead) => None,
        answers = process.engine.revoke_guarded(&plan.subjects, Cause::Manual, None, &RUN, &Silent) => Some(answers),
    }
}

/// Until the first saga has come to its end with a proof, no second one is planned: the audit log tells in which order things came.
async fn canary_went_first(process: &Process) -> Result<()> {
    let mut planned = Vec::new();
    let (mut after, mut proven) = (Seq(0), false);
    loop {
        let entries = process.store().read(after, 500).await?;
        let Some(last) = entries.last() else { return Ok(()) };
        after = last.seq;
        for entry in entries {
            match entry.draft.kind {
                AuditKind::SagaPlanned => {
                    planned.push(entry.draft.saga);
                    ensure!(
                        planned.len() == 1 || proven,
                        "{} were planned before the canary was proven",
                        planned.len()
                    );
                }
                AuditKind::Receipt if entry.draft.saga == planned[0] => {
                    proven = entry.draft.detail["verdict"] == "proven";
                }
                _ => {}
            }
        }
    }
}

async fn crashed((template, database): (&Path, &TestDatabase), trial: Trial) -> Result<bool> {
    let dir = tempfile::tempdir()?;
    copy(template, dir.path())?;
    let database = database.copy().await?;
    let process = guarded(dir.path(), &database, trial).await?;
    let plan = mass::planned(&process).await?;
    ensure!(plan.subjects.len() == SUBJECTS, "{:?}", plan.refused);
    let died = revoke(&process, &plan).await.is_none();
    process.store().close().await;
    drop(process);

    // A resume takes up what was recorded, and that was the canary alone unless it had ended well.
    let later = guarded(dir.path(), &database, Trial::default()).await?;
    canary_went_first(&later).await.context("right after the crash")?;
    let before = later.store().list(SagaKind::Revocation, None).await?.len();
    later.resume(None, &RUN).await?;
    ensure!(later.store().list(SagaKind::Revocation, None).await?.len() == before, "a resume began another");
    // The same command once more does the rest.
    let plan = mass::planned(&later).await?;
    for answer in revoke(&later, &plan).await.context("it died again")? {
        let outcome = answer?;
        ensure!(outcome.state == "done" && outcome.receipts[0].verdict == "proven", "{outcome:?}");
    }
    canary_went_first(&later).await.context("at the end")?;
    let plan = mass::planned(&later).await?;
    ensure!(plan.subjects.is_empty(), "something is left: {:?}", plan.subjects);
    later.store().close().await;
    database.remove().await?;
    Ok(died)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_crash_lets_the_rest_begin_before_the_canary_has_ended_well() {
    let (template, database) = prepared().await.expect("an estate");
    let dir = tempfile::tempdir().expect("a directory");
    copy(template.path(), dir.path()).expect("copied");
    let alone = database.copy().await.expect("a database");
    let process = guarded(dir.path(), &alone, Trial::default()).await.expect("a process");
    let plan = mass::planned(&process).await.expect("a plan");
    let canary = Plan { subjects: plan.subjects[..1].to_vec(), ..plan.clone() };
    revoke(&process, &canary).await.expect("it did not die").remove(0).expect("the canary ends well");
    // All of the canary's boundaries, and the first ones of the others.
    let commits = process.journal.commits() + 8;
    let boundaries = process.backend.boundaries() + 2;
    process.store().close().await;
    let mut trials = Vec::new();
    for index in 0..commits {
        let at = |fault| Trial { estate: None, commit: Some((index, fault)) };
        trials.extend([CommitFault::CrashBefore, CommitFault::CrashAfter].map(at));
    }
    for index in 0..boundaries {
        let at = |fault| Trial { estate: Some((index, fault)), commit: None };
        trials.extend([Fault::CrashBefore, Fault::CrashAfter].map(at));
    }
    let explored = trials.len();
    let world = (template.path(), &database);
    let outcomes: Vec<_> = stream::iter(trials)
        .map(|trial| async move { (trial, crashed(world, trial).await) })
        .buffer_unordered(12)
        .collect()
        .await;
    let broken: Vec<String> = outcomes
        .iter()
        .filter_map(|(trial, outcome)| Some(format!("{trial:?}: {:#}", outcome.as_ref().err()?)))
        .collect();
    assert!(broken.is_empty(), "{} of {explored} broken:\n{}", broken.len(), broken.join("\n"));
    let died = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Ok(true))).count();
    assert!(died == explored, "only {died} of {explored} crashes fired");
    println!(
        "canary before the rest: {commits} commits and {boundaries} mutations, {explored} crashes explored, 0 broken"
    );
}

/// A canary that waits for an operator keeps the others from being begun, also when it is taken up by itself later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_ends_badly_holds_the_others_back() -> Result<()> {
    let (template, database) = prepared().await?;
    // The first effects are refused for good: the suspension is passed over, the end is not.
    for index in 0..2 {
        let dir = tempfile::tempdir()?;
        copy(template.path(), dir.path())?;
        let database = database.copy().await?;
        let denied = Trial { estate: Some((index, Fault::Deny)), commit: None };
        let process = guarded(dir.path(), &database, denied).await?;
        let plan = mass::planned(&process).await?;
        let answers = revoke(&process, &plan).await.context("it did not die")?;
        let first = answers[0].as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        let held = answers[1..]
            .iter()
            .filter(|answer| matches!(answer, Err(Error::Refused { code: "canary", .. })))
            .count();
        let begun = process.store().list(SagaKind::Revocation, None).await?.len();
        if first.state == "done" {
            ensure!(held == 0 && begun == SUBJECTS, "{begun} begun, {held} held back");
            continue;
        }
        ensure!(held == SUBJECTS - 1 && begun == 1, "{}: {begun} begun, {held} held back", first.state);
        process.store().close().await;
        let later = guarded(dir.path(), &database, Trial::default()).await?;
        later.resume(Some(first.rotation_id), &RUN).await?;
        ensure!(later.store().list(SagaKind::Revocation, None).await?.len() == 1, "its end began the others");
        canary_went_first(&later).await?;
        return Ok(());
    }
    anyhow::bail!("no refusal made the canary end badly")
}

/// What it is called, and what it does to a plan that is kept.
type Change = (&'static str, fn(&mut Proposal));

/// Somebody who can write to the database.
struct Tampered {
    inner: Arc<dyn Approvals>,
    change: fn(&mut Proposal),
}

#[async_trait]
impl Approvals for Tampered {
    async fn propose(&self, proposal: &Proposal, audit: AuditDraft) -> claviger_store::Result<bool> {
        self.inner.propose(proposal, audit).await
    }

    async fn proposals(&self, beginning: &str) -> claviger_store::Result<Vec<Proposal>> {
        let mut all = self.inner.proposals(beginning).await?;
        all.iter_mut().for_each(self.change);
        Ok(all)
    }

    async fn approve(&self, approval: &Approval, audit: AuditDraft) -> claviger_store::Result<Seq> {
        self.inner.approve(approval, audit).await
    }

    async fn approvals(&self, plan: &PlanHash) -> claviger_store::Result<Vec<Approval>> {
        self.inner.approvals(plan).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_was_changed_in_the_database_is_neither_approved_nor_carried_out() -> Result<()> {
    let (template, database) = prepared().await?;
    let mut process = guarded(template.path(), &database, Trial::default()).await?;
    let key = PrivateKey::generate(&SeededRandom::new(3));
    let dana = Approver {
        name: "dana".to_owned(),
        key: key.public(),
        actors: Vec::new(),
        until: None,
        revoked: false,
    };
    process.engine.estate.approvers = vec![dana];
    process.engine.estate.guards.max_targets = Some(1);
    let plan = mass::planned(&process).await?;
    let needs: Needs = process.engine.needs(&plan).await?;
    ensure!(needs.approvals == 1, "{needs:?}");
    process.engine.propose(&plan, "revoke", &needs).await?;
    let proposed = process.engine.proposed(&plan.hash.0).await?;
    let day = chrono::TimeDelta::days(1);
    process.engine.approve(&proposed, &key, day).await?;
    ensure!(process.engine.admission(&plan, None).await?.is_approved(), "it is approved as it is");

    let inner = Arc::clone(&process.engine.ports.approvals);
    let changes: [Change; 7] = [
        ("another subject", |it| it.document["subjects"][0]["subject"] = "sim/db/role/other".into()),
        ("a step less", |it| {
            if let Some(steps) = it.document["subjects"][0]["steps"].as_array_mut() {
                steps.pop();
            }
        }),
        ("a subject less", |it| {
            if let Some(subjects) = it.document["subjects"].as_array_mut() {
                subjects.pop();
            }
        }),
        ("no document", |it| it.document = serde_json::json!({})),
        ("another planner", |it| it.actor = "somebody@else".to_owned()),
        ("another verb", |it| it.verb = "rotate".to_owned()),
        ("another audit entry", |it| it.audit_seq = it.audit_seq.map(|seq| Seq(seq.0 - 1))),
    ];
    for (what, change) in changes {
        process.engine.ports.approvals = Arc::new(Tampered { inner: Arc::clone(&inner), change });
        let shown = process.engine.proposed(&plan.hash.0).await;
        ensure!(matches!(shown, Err(Error::Approval { code: "changed", .. })), "{what}: approve: {shown:?}");
        let run = process.engine.admission(&plan, None).await;
        ensure!(matches!(run, Err(Error::Approval { code: "changed", .. })), "{what}: the run: {run:?}");
    }
    process.engine.ports.approvals = inner;
    ensure!(process.engine.admission(&plan, None).await?.is_approved());
    Ok(())
}
