//! The schema's history: one file per migration, never edited once landed.
//!
//! Each migration is plain SQL that SQLite and PostgreSQL both take, with the few words in which they differ written as `{uuid}`, `{time}`,
//! `{bytes}`, `{ref}` (see `sql.rs`); what exists in one of them only stands in that migration. Every migration runs in a transaction on both.
//!
//! To add one: a file `m<yyyymmdd>_<hhmmss>_<purpose>.rs`, and a line in [`Migrator::migrations`], at the end.

mod m20251122_080000_audit;
mod m20251122_080100_saga;
mod m20251122_080200_scan;
mod m20251122_080300_identity;
mod m20251122_080400_credential;
mod m20251122_080500_copy;
mod m20251122_080600_consumer;
mod m20251122_080700_history;
mod m20251122_080800_finding;
mod m20251122_080900_newcomer;
mod m20251127_181000_approval;
mod m20251127_181100_incident;
mod m20251127_181200_returned;
mod m20251127_200000_firing;
mod m20251127_220000_reprobe;
mod m20251127_220100_drill;
mod m20251128_000000_round;
mod m20251128_010000_access;
mod m20251128_030000_own_key;
mod m20251128_031000_agreement;
mod m20251128_034000_urgency;
mod m20261128_050000_webhook_delivery;
mod m20261128_050100_notification;
mod m20261128_060000_ranked;
mod m20261128_150000_firing_id;
mod m20261128_160000_unread;
mod sql;

pub use sea_orm_migration::{MigrationTrait, MigratorTrait};

/// All migrations, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20251122_080000_audit::Migration),
            Box::new(m20251122_080100_saga::Migration),
            Box::new(m20251122_080200_scan::Migration),
            Box::new(m20251122_080300_identity::Migration),
            Box::new(m20251122_080400_credential::Migration),
            Box::new(m20251122_080500_copy::Migration),
            Box::new(m20251122_080600_consumer::Migration),
            Box::new(m20251122_080700_history::Migration),
            Box::new(m20251122_080800_finding::Migration),
            Box::new(m20251122_080900_newcomer::Migration),
            Box::new(m20251127_181000_approval::Migration),
            Box::new(m20251127_181100_incident::Migration),
            Box::new(m20251127_181200_returned::Migration),
            Box::new(m20251127_200000_firing::Migration),
            Box::new(m20251127_220000_reprobe::Migration),
            Box::new(m20251127_220100_drill::Migration),
            Box::new(m20251128_000000_round::Migration),
            Box::new(m20251128_010000_access::Migration),
            Box::new(m20251128_030000_own_key::Migration),
            Box::new(m20251128_031000_agreement::Migration),
            Box::new(m20251128_034000_urgency::Migration),
            Box::new(m20261128_050000_webhook_delivery::Migration),
            Box::new(m20261128_050100_notification::Migration),
            Box::new(m20261128_060000_ranked::Migration),
            Box::new(m20261128_150000_firing_id::Migration),
            Box::new(m20261128_160000_unread::Migration),
        ]
    }
}
