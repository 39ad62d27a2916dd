//! Did the database go back in time? A file beside the keys keeps the last head of the audit log that was seen. A restored backup, or a replica that lost
//! commits, does not go through it: what was done since is not in it, and to act on it would be to act on a world that is gone. Nothing has an effect then
//! until `db reconcile` has looked at the targets.
//!
//! One line for each chain, which its first entry names: `HASH-OF-ENTRY-1 SEQ:HASH`. The file is written at the end of each saga and at least every 200 ms
//! while sagas write; where it cannot be written, a database that goes back is noticed by the running process alone.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use claviger_core::{
    audit::AuditHash,
    id::{CredentialId, SagaId, Seq},
    saga::SagaKind,
    view::{ReceiptView, SagaView},
};
use claviger_store::{Append, Appended, AuditLog, Claim, Error, Journal, NewSaga, Result, SagaRecord};

/// The file's name.
const FILE: &str = "witness";
/// While sagas write, it is this old at most.
const FRESH: Duration = Duration::from_millis(200);

type Head = (Seq, AuditHash);

#[derive(Default)]
struct Seen {
    /// The hash of the chain's first entry.
    chain: Option<AuditHash>,
    head: Option<Head>,
    noted: Option<Instant>,
    /// The log could not be asked yet whether it goes through what was seen.
    unasked: bool,
    back: Option<String>,
}

/// Keeps the witness.
pub(crate) struct Keeper {
    path: PathBuf,
    audit: Arc<dyn AuditLog>,
    seen: Mutex<Seen>,
}

impl Keeper {
    /// Compares the database with what was seen last. A log that is silent now is asked again before the first effect: a service that starts
    /// meanwhile waits for it.
    pub(crate) async fn open(dir: &Path, audit: Arc<dyn AuditLog>) -> Result<Self> {
        let keeper = Self { path: dir.join(FILE), audit, seen: Mutex::default() };
        match keeper.compare().await {
            Err(Error::Unavailable(why)) => {
                tracing::warn!(%why, "whether the database went back in time cannot be asked: nothing has an effect until it can");
                keeper.with(|seen| seen.unasked = true);
            }
            compared => compared?,
        }
        Ok(keeper)
    }

    async fn compare(&self) -> Result<()> {
        let Some(chain) = self.chain().await? else { return Ok(()) };
        // In this order: other processes append and note while we look.
        let noted = self.read().get(&chain.to_string()).copied();
        let head = self.audit.head().await?;
        let back = match noted {
            Some((seq, _)) if head.0 < seq => Some(format!(
                "it ends at entry {} of the audit log, and was seen at entry {}",
                head.0.0, seq.0
            )),
            Some((seq, hash)) if self.hash_at(seq).await? != Some(hash) => {
                Some(format!("its entry {} of the audit log is another one than was seen", seq.0))
            }
            _ => None,
        };
        let is_well = back.is_none();
        self.with(|seen| {
            seen.unasked = false;
            seen.chain = Some(chain);
            seen.head = noted.filter(|_| back.is_some()).or(Some(head));
            seen.back = back;
        });
        if is_well {
            self.write(chain, head);
        }
        Ok(())
    }

    /// Why nothing may have an effect.
    pub(crate) fn went_back(&self) -> Option<String> {
        self.with(|seen| seen.back.clone())
    }

    /// What was seen last.
    pub(crate) fn last(&self) -> Option<Head> {
        self.with(|seen| seen.head)
    }

    /// May there be an effect?
    async fn admit(&self) -> Result<()> {
        if self.with(|seen| seen.unasked) {
            self.compare().await?;
            // A log without an entry has nothing to go back to.
            self.with(|seen| seen.unasked = false);
        }
        match self.went_back() {
            None => Ok(()),
            Some(why) => Err(Error::WentBack(why)),
        }
    }

    /// Looks at the head, and notes it. `now`: also if it was noted a moment ago. A database that cannot be asked says nothing.
    pub(crate) async fn note(&self, now: bool) {
        let is_fresh = self.with(|seen| {
            let fresh = seen.noted.is_some_and(|at| at.elapsed() < FRESH);
            if !fresh {
                seen.noted = Some(Instant::now());
            }
            fresh
        });
        // What is not compared is not written over.
        if is_fresh && !now || self.with(|seen| seen.unasked) {
            return;
        }
        // What was known before it is asked: other sagas of this process look at the same time.
        let known = self.last();
        let (Ok(Some(chain)), Ok(head)) = (self.chain().await, self.audit.head().await) else { return };
        let write = self.with(|seen| {
            if seen.back.is_some() {
                return false;
            }
            if let Some((seq, _)) = known.filter(|(seq, _)| head.0 < *seq) {
                seen.back = Some(format!(
                    "it ends at entry {} of the audit log, and this process saw entry {}",
                    head.0.0, seq.0
                ));
                return false;
            }
            seen.chain = Some(chain);
            let is_further = seen.head.is_none_or(|(seq, _)| seq < head.0);
            if is_further {
                seen.head = Some(head);
            }
            is_further
        });
        if write {
            self.write(chain, head);
        }
    }

    /// The database was compared with the targets: from now on this is its head.
    pub(crate) async fn reconciled(&self) -> Result<()> {
        let head = self.audit.head().await?;
        if let Some(chain) = self.chain().await? {
            self.with(|seen| *seen = Seen { chain: Some(chain), head: Some(head), ..Seen::default() });
            self.replace(chain, head, true);
        }
        Ok(())
    }

    /// Which chain it is: known once it has an entry.
    async fn chain(&self) -> Result<Option<AuditHash>> {
        if let Some(chain) = self.with(|seen| seen.chain) {
            return Ok(Some(chain));
        }
        self.hash_at(Seq(1)).await
    }

    async fn hash_at(&self, seq: Seq) -> Result<Option<AuditHash>> {
        let page = self.audit.read(Seq(seq.0 - 1), 1).await?;
        Ok(page.first().filter(|entry| entry.seq == seq).map(|entry| entry.hash))
    }

    fn read(&self) -> BTreeMap<String, Head> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return BTreeMap::new(),
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "what was seen of the database last cannot be read");
                return BTreeMap::new();
            }
        };
        let line = |line: &str| {
            let (chain, head) = line.split_once(' ')?;
            let (seq, hash) = head.split_once(':')?;
            Some((chain.to_owned(), (Seq(seq.parse().ok()?), AuditHash::parse(hash)?)))
        };
        let lines: Vec<Option<_>> = text.lines().map(line).collect();
        if lines.iter().any(Option::is_none) {
            tracing::warn!(file = %self.path.display(), "what was seen of the database last is damaged");
        }
        lines.into_iter().flatten().collect()
    }

    fn write(&self, chain: AuditHash, head: Head) {
        self.replace(chain, head, false);
    }

    /// Replaces the file as a whole, under a lock: several processes keep it. What another one has seen further on stays, unless `back`.
    fn replace(&self, chain: AuditHash, head: Head, back: bool) {
        let beside = |extension: &str| self.path.with_extension(extension);
        let replace = || -> std::io::Result<()> {
            let lock = fs::OpenOptions::new().create(true).append(true).open(beside("lock"))?;
            lock.lock()?;
            let mut lines = self.read();
            if !back && lines.get(&chain.to_string()).is_some_and(|(seq, _)| *seq >= head.0) {
                return Ok(());
            }
            lines.insert(chain.to_string(), head);
            let lines = lines.iter().map(|(chain, (seq, hash))| format!("{chain} {}:{hash}\n", seq.0));
            fs::write(beside("new"), lines.collect::<String>())?;
            fs::rename(beside("new"), &self.path)
        };
        if let Err(error) = replace() {
            tracing::debug!(file = %self.path.display(), %error, "what was seen of the database is not kept");
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Seen) -> T) -> T {
        act(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A journal whose every write is witnessed, and which is read-only once the database has gone back in time.
pub(crate) struct Witnessed {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) keeper: Arc<Keeper>,
}

#[async_trait]
impl Journal for Witnessed {
    async fn create(&self, saga: NewSaga) -> Result<Option<SagaId>> {
        self.keeper.admit().await?;
        let made = self.journal.create(saga).await?;
        self.keeper.note(false).await;
        Ok(made)
    }

    async fn claim(&self, saga: SagaId, owner: &str, lease: Duration) -> Result<Option<Claim>> {
        self.keeper.admit().await?;
        self.journal.claim(saga, owner, lease).await
    }

    async fn renew(&self, claim: &mut Claim, lease: Duration) -> Result<()> {
        self.keeper.admit().await?;
        self.journal.renew(claim, lease).await
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        self.journal.release(claim).await
    }

    async fn append(&self, claim: &mut Claim, append: Append) -> Result<Appended> {
        self.keeper.admit().await?;
        let is_last = append.shred || append.receipt.is_some();
        let appended = self.journal.append(claim, append).await?;
        self.keeper.note(is_last).await;
        // What the note has seen holds for this append too.
        self.keeper.admit().await?;
        Ok(appended)
    }

    async fn hand_over(&self, claim: &mut Claim, last: Append, successor: NewSaga) -> Result<SagaId> {
        self.keeper.admit().await?;
        let id = self.journal.hand_over(claim, last, successor).await?;
        self.keeper.note(true).await;
        Ok(id)
    }

    async fn load(&self, saga: SagaId) -> Result<Option<SagaRecord>> {
        self.journal.load(saga).await
    }

    async fn sealed(&self, saga: SagaId, slot: &str) -> Result<Option<Vec<u8>>> {
        self.journal.sealed(saga, slot).await
    }

    async fn unfinished(&self) -> Result<Vec<SagaId>> {
        self.journal.unfinished().await
    }

    async fn list(&self, kind: SagaKind, credential: Option<CredentialId>) -> Result<Vec<SagaView>> {
        self.journal.list(kind, credential).await
    }

    async fn receipts(&self, saga: Option<SagaId>) -> Result<Vec<ReceiptView>> {
        self.journal.receipts(saga).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Weak,
        atomic::{AtomicBool, Ordering},
    };

    use claviger_core::audit::{AuditDraft, AuditEntry, AuditKind};

    use super::*;

    /// A log of one chain whose head is where a test puts it.
    #[derive(Default)]
    struct Log {
        head: Mutex<i64>,
        silent: AtomicBool,
        /// Whoever looks at the head once more while somebody asks for it.
        other: Mutex<Option<(Weak<Keeper>, i64)>>,
    }

    fn hash(seq: i64) -> AuditHash {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seq.to_be_bytes());
        AuditHash(bytes)
    }

    fn entry(seq: i64) -> AuditEntry {
        let draft = AuditDraft {
            kind: AuditKind::Traced,
            actor: String::new(),
            subject: String::new(),
            saga: None,
            step: None,
            detail: serde_json::Value::Null,
        };
        let at = chrono::DateTime::UNIX_EPOCH;
        AuditEntry { seq: Seq(seq), at, draft, prev_hash: hash(seq - 1), hash: hash(seq) }
    }

    impl Log {
        fn put(&self, seq: i64) {
            *self.head.lock().expect("not poisoned") = seq;
        }
    }

    #[async_trait]
    impl AuditLog for Log {
        async fn append(&self, _: Vec<AuditDraft>) -> Result<Vec<Seq>> {
            Ok(Vec::new())
        }

        async fn head(&self) -> Result<Head> {
            if self.silent.load(Ordering::SeqCst) {
                return Err(Error::Unavailable("it hangs".to_owned()));
            }
            let seq = *self.head.lock().expect("not poisoned");
            if let Some((keeper, later)) = self.other.lock().expect("not poisoned").take()
                && let Some(keeper) = keeper.upgrade()
            {
                keeper.with(|seen| seen.head = Some((Seq(later), hash(later))));
            }
            Ok((Seq(seq), hash(seq)))
        }

        async fn read(&self, after: Seq, limit: u64) -> Result<Vec<AuditEntry>> {
            let head = *self.head.lock().expect("not poisoned");
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            Ok((after.0 + 1..=head).take(limit).map(entry).collect())
        }
    }

    async fn open(dir: &Path, log: &Arc<Log>) -> Arc<Keeper> {
        let audit: Arc<dyn AuditLog> = log.clone();
        Arc::new(Keeper::open(dir, audit).await.expect("it is asked"))
    }

    #[tokio::test]
    async fn a_log_that_goes_back_is_noticed_and_one_that_goes_on_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = Arc::new(Log::default());
        assert!(open(dir.path(), &log).await.went_back().is_none(), "there is no entry yet");
        log.put(10);
        let keeper = open(dir.path(), &log).await;
        log.put(20);
        keeper.note(true).await;
        // Another saga of this process has seen a later head while the answer was on its way.
        *log.other.lock().expect("not poisoned") = Some((Arc::downgrade(&keeper), 25));
        keeper.note(true).await;
        assert!(keeper.went_back().is_none() && keeper.last().is_some_and(|(seq, _)| seq == Seq(25)));
        log.put(30);
        keeper.note(true).await;
        assert!(keeper.went_back().is_none());
        // The running process notices, and so does the next one.
        log.put(15);
        keeper.note(true).await;
        assert!(keeper.went_back().is_some());
        let next = open(dir.path(), &log).await;
        assert!(next.went_back().is_some() && next.admit().await.is_err());
        next.note(true).await;
        assert!(open(dir.path(), &log).await.went_back().is_some(), "looking does not mend it");
        next.reconciled().await.expect("it is noted");
        assert!(next.went_back().is_none() && open(dir.path(), &log).await.went_back().is_none());
    }

    #[tokio::test]
    async fn a_log_that_is_silent_at_the_start_is_compared_before_the_first_effect() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = Arc::new(Log::default());
        log.put(20);
        open(dir.path(), &log).await;
        log.silent.store(true, Ordering::SeqCst);
        let keeper = open(dir.path(), &log).await;
        assert!(matches!(keeper.admit().await, Err(Error::Unavailable(_))), "it has not been asked");
        log.put(15);
        log.silent.store(false, Ordering::SeqCst);
        keeper.note(true).await;
        assert!(matches!(keeper.admit().await, Err(Error::WentBack(_))), "it was asked, and had gone back");
        log.put(25);
        log.silent.store(true, Ordering::SeqCst);
        let other = open(&dir.path().join("elsewhere"), &log).await;
        log.silent.store(false, Ordering::SeqCst);
        assert!(other.admit().await.is_ok(), "it goes on without a restart");
    }
}
