//! Linking: which copies are one credential, and whose.
//!
//! 1. A copy belongs to the issuer's credential that its own evidence names; a public name that both show is such evidence.
//! 2. Copies of one strong value belong together: to the issuer that any of them is proven for, else to the one that is claimed. Where two
//!    issuers are proven for one value, each copy goes where its own evidence points.
//! 3. Without an issuer a strong value is a credential of its own, and so is each place of a weak or unread one.
//! 4. A former version belongs to what its place belongs to now, unless its value is another credential's present one.
//! 5. Ids stay: with the issuer's ref; without one, with the group, also when its value changes in place everywhere.
//!
//! Only what changed since the last time is looked at: merging marks rows, except for what is plain ([`newcomer`]), and [`mark`] adds those
//! whose fate hangs on them. Groups are read in pages, so memory is flat; each page is a transaction of its own, and what a crash leaves undone is still marked.

mod assign;
mod group;
mod mark;
pub(super) mod newcomer;
mod settle;

pub(super) use self::assign::{insert, new_credential};

use chrono::{DateTime, Utc};
use claviger_core::id::ScanId;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};

use super::{
    super::{SeaStore, sql, text::micros},
    merge::add,
    scan,
};
use crate::{MergeSummary, Result};

/// PostgreSQL's name for "somebody links".
const LOCK: i64 = 7_308_324_465_751_295;

impl SeaStore {
    pub(super) async fn link_all(&self, scan: ScanId, at: DateTime<Utc>) -> Result<MergeSummary> {
        let at = micros(at);
        let mut sum = MergeSummary::default();
        let transaction = self.exclusive().await?;
        let epoch = scan::epoch(&transaction, scan).await?;
        sum.vanished += scan::mark_unseen(&transaction, epoch, at).await?;
        sum.appeared += newcomer::settle(&transaction).await?;
        mark::spread(&transaction).await?;
        transaction.commit().await?;
        let mut after = None;
        loop {
            let transaction = self.exclusive().await?;
            let (more, last) = assign::page(&transaction, self, at, after).await?;
            transaction.commit().await?;
            add(&mut sum, more);
            if last.is_none() {
                break;
            }
            after = last;
        }
        let transaction = self.exclusive().await?;
        assign::former(&transaction, at).await?;
        transaction.commit().await?;
        loop {
            let transaction = self.exclusive().await?;
            let made = assign::without_copies(&transaction, self, at).await?;
            transaction.commit().await?;
            if made == 0 {
                break;
            }
        }
        loop {
            let transaction = self.exclusive().await?;
            let (more, done) = settle::page(&transaction, at).await?;
            transaction.commit().await?;
            add(&mut sum, more);
            if done {
                break;
            }
        }
        Ok(sum)
    }

    /// A transaction beside which nobody else links: two scans that end at once take turns.
    async fn exclusive(&self) -> Result<DatabaseTransaction> {
        let transaction = self.database.begin().await?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            sql::run(&transaction, format!("select pg_advisory_xact_lock({LOCK})"), Vec::new()).await?;
        }
        Ok(transaction)
    }
}
