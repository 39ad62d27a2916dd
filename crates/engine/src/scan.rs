//! The scan: backends stream pages, values live until their fingerprint, the database merges one page per transaction.
//!
//! Issuers are read first: their verifiers stay in memory (one line per login role), so that a store's value can be matched while it is there
//! and need not be kept. Linking and findings are set operations on the database after the pages.

mod evaluate;
mod mounted;
mod outcome;
mod recognise;
mod stage;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use claviger_backend::{Message, Phase, channel};
use claviger_core::{
    audit::{AuditDraft, AuditKind},
    id::ScanId,
    model::ScopeStatus,
    view::{BackendScanView, ScanView},
};
use claviger_store::port::{MergedPage, ScanStart};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use self::{outcome::BackendOutcome, recognise::Recogniser, stage::Stage};
use crate::{Engine, Member, Result, job::Job, progress::Progress};

pub use self::evaluate::{contexts, evaluate};

/// Pages in flight between one backend and the database: with the one that is staged and the one that is merged, memory is three pages at most.
const PAGES_IN_FLIGHT: usize = 1;
/// Backends that are read at the same time.
const BACKENDS_AT_ONCE: usize = 4;
/// A backend that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(120);

/// What a backend sent next.
enum Next {
    Page(MergedPage),
    Nothing,
    End,
}

/// What to scan.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    /// Names of backends; none means all.
    pub backends: Vec<String>,
}

impl Engine {
    /// Scans, links and evaluates. A backend that fails does not stop the others; what could not be read is in the answer.
    ///
    /// # Errors
    /// An unknown backend name, or the lifecycle database fails. A backend's failure is part of the answer.
    pub async fn scan(&self, options: &ScanOptions, progress: &dyn Progress) -> Result<ScanView> {
        for name in &options.backends {
            let broken = self.estate.broken.iter().any(|(broken, ..)| broken == name);
            if !broken {
                self.estate.member(name)?;
            }
        }
        let wanted =
            |name: &str| options.backends.is_empty() || options.backends.iter().any(|given| given == name);
        let scan = ScanId::generate(self.clock.as_ref(), self.random.as_ref());
        let started_at = self.clock.now();
        let chosen: Vec<&Member> =
            self.estate.members().filter(|member| wanted(&member.backend.info().name)).collect();
        let broken: Vec<_> = self.estate.broken.iter().filter(|(name, ..)| wanted(name)).collect();
        let mut names: Vec<(String, String)> = chosen
            .iter()
            .map(|m| (m.backend.info().name.clone(), m.backend.info().kind.to_owned()))
            .collect();
        names.extend(broken.iter().map(|(name, kind, _)| (name.clone(), kind.clone())));
        self.audit(
            AuditKind::ScanStarted,
            scan,
            serde_json::json!({ "backends": names.iter().map(|(n, _)| n).collect::<Vec<_>>() }),
        )
        .await?;
        self.ports.inventory.begin_scan(&ScanStart { id: scan, at: started_at, backends: names }).await?;

        let begun = Instant::now();
        let recogniser = Recogniser::new(self);
        let outcomes: tokio::sync::Mutex<BTreeMap<String, BackendOutcome>> = tokio::sync::Mutex::default();
        for phase in [Phase::Issuers, Phase::Stores] {
            // Issuers outside of the chosen backends are asked for their verifiers, or a partial scan would forget proven links.
            let members: Vec<Member> = match phase {
                Phase::Issuers => self.estate.members().cloned().collect(),
                Phase::Stores => chosen.iter().copied().cloned().collect(),
            };
            // One body of work for each backend; errors of the database end the scan, errors of a backend end that backend.
            let results: Vec<Result<()>> = stream::iter(members)
                .map(|member| {
                    let (recogniser, outcomes) = (&recogniser, &outcomes);
                    let merged = wanted(&member.backend.info().name);
                    async move {
                        let name = member.backend.info().name.clone();
                        let mut outcome = outcomes.lock().await.remove(&name).unwrap_or_default();
                        let result =
                            self.read(scan, &member, phase, merged, recogniser, &mut outcome, progress).await;
                        outcomes.lock().await.insert(name, outcome);
                        result
                    }
                })
                .buffer_unordered(BACKENDS_AT_ONCE)
                .collect()
                .await;
            results.into_iter().collect::<Result<()>>()?;
            tracing::debug!(?phase, elapsed = ?begun.elapsed(), "read and merged");
            recogniser.settle(phase, &*outcomes.lock().await, !self.estate.broken.is_empty());
        }
        recogniser.save(self).await?;
        tracing::debug!(elapsed = ?begun.elapsed(), "comparisons saved");
        // Both phases may have pages of one scope, so that only now is known what a scope no longer shows.
        for member in &chosen {
            let name = &member.backend.info().name;
            let mut outcomes = outcomes.lock().await;
            let Some(outcome) = outcomes.get_mut(name) else { continue };
            outcome.settle();
            for (scope, status, reason) in outcome.ends() {
                self.ports.inventory.end_scope(scan, self.clock.now(), name, scope, status, reason).await?;
            }
        }
        tracing::debug!(elapsed = ?begun.elapsed(), "scopes ended");
        self.ports.inventory.link(scan, self.clock.now()).await?;
        tracing::debug!(elapsed = ?begun.elapsed(), "linked");

        let mut backends = Vec::new();
        let mut outcomes = outcomes.into_inner();
        for member in &chosen {
            let name = &member.backend.info().name;
            let outcome = outcomes.remove(name).unwrap_or_default();
            let counts = self.ports.inventory.counts(name).await?;
            let view = outcome.view(member.backend.info(), counts);
            let missing = self.ports.inventory.missing_scopes(scan, name).await?;
            let gone = outcome.gone(missing, member.backend.as_ref());
            self.ports.inventory.end_backend(scan, self.clock.now(), &view, &gone).await?;
            progress.backend_finished(name, &view.status);
            backends.push(view);
        }
        for (name, kind, error) in broken {
            let view = outcome::broken(name, kind, error, self.ports.inventory.counts(name).await?);
            self.ports.inventory.end_backend(scan, self.clock.now(), &view, &[]).await?;
            progress.backend_finished(name, &view.status);
            backends.push(view);
        }
        let complete = backends.iter().all(|backend: &BackendScanView| backend.status == "complete");
        self.ports.inventory.end_scan(scan, self.clock.now(), complete).await?;
        tracing::debug!(elapsed = ?begun.elapsed(), "ended");
        evaluate(self).await?;
        tracing::debug!(elapsed = ?begun.elapsed(), "evaluated");
        self.audit(AuditKind::ScanFinished, scan, serde_json::json!({ "complete": complete })).await?;
        Ok(ScanView { scan_id: scan, started_at, finished_at: Some(self.clock.now()), complete, backends })
    }

    /// Reads one phase of one backend. With `merged` unset only verifiers are taken.
    #[expect(clippy::too_many_arguments, reason = "one private call that joins what the two phases share")]
    async fn read(
        &self,
        scan: ScanId,
        member: &Member,
        phase: Phase,
        merged: bool,
        recogniser: &Recogniser,
        outcome: &mut BackendOutcome,
        progress: &dyn Progress,
    ) -> Result<()> {
        let name = member.backend.info().name.clone();
        if outcome.is_broken() {
            return Ok(());
        }
        if merged && phase == Phase::Issuers {
            progress.backend_started(&name);
        }
        let begun = Instant::now();
        let (mut sink, mut receiver) = channel(PAGES_IN_FLIGHT);
        let backend = Arc::clone(&member.backend);
        // A task of its own: a backend that parses a large page must not hold up the merge, and a panic in it is that backend's failure.
        let producer = tokio::spawn(async move { backend.inventory(phase, &mut sink).await });
        let stage = Stage::new(self, member, recogniser);
        let abort = producer.abort_handle();
        // While the database merges one page, on a thread of its own, the next is received and fingerprinted.
        let mut staged: Option<MergedPage> = None;
        loop {
            let next = async {
                match tokio::time::timeout(SILENCE, receiver.recv()).await {
                    Ok(Some(Message::Page(page))) => {
                        outcome.begin(&page.scope);
                        let (items, former) = stage.page(page.items).await;
                        Next::Page(MergedPage { backend: name.clone(), scope: page.scope, items, former })
                    }
                    Ok(Some(Message::ScopeEnd { scope, status, reason })) => {
                        outcome.end(scope, status, reason);
                        Next::Nothing
                    }
                    Ok(None) => Next::End,
                    Err(_) => {
                        abort.abort();
                        outcome.fail(format!("nothing came for {} seconds", SILENCE.as_secs()));
                        Next::End
                    }
                }
            };
            let merge = staged.take().filter(|_| merged).map(|page| {
                progress.items(&name, page.items.len());
                let (inventory, at) = (Arc::clone(&self.ports.inventory), self.clock.now());
                Job::start(async move { inventory.merge(scan, at, page).await })
            });
            let next = next.await;
            if let Some(merge) = merge {
                merge.end().await?;
            }
            match next {
                Next::Page(page) => staged = Some(page),
                Next::Nothing => {}
                Next::End => break,
            }
        }
        let finished = match producer.await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                outcome.fail_with(&error);
                false
            }
            // It was given up above.
            Err(error) if error.is_cancelled() => false,
            Err(_) => {
                outcome.fail("it panicked: please report this as a bug".to_owned());
                false
            }
        };
        // A scope that was begun and never ended broke off.
        for scope in outcome.unended() {
            outcome.end(scope, ScopeStatus::Failed, Some("it broke off".to_owned()));
        }
        outcome.end_phase(!finished);
        outcome.took(begun.elapsed());
        Ok(())
    }

    async fn audit(&self, kind: AuditKind, scan: ScanId, detail: serde_json::Value) -> Result<()> {
        let draft = AuditDraft {
            kind,
            actor: self.actor.clone(),
            subject: format!("scan/{scan}"),
            saga: None,
            step: None,
            detail,
        };
        self.ports.audit.append(vec![draft]).await?;
        Ok(())
    }
}
