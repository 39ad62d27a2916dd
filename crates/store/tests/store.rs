//! The store's promises, each on SQLite and on PostgreSQL.

mod suite;

macro_rules! on_both {
    ($($area:ident: $($test:ident),+ $(,)?;)+) => {
        $(mod $area {
            $(mod $test {
                use claviger_testkit::database::Kind;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn sqlite() -> anyhow::Result<()> {
                    crate::suite::on(Kind::Sqlite, crate::suite::$area::$test).await
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn postgres() -> anyhow::Result<()> {
                    crate::suite::on(Kind::Postgres, crate::suite::$area::$test).await
                }
            })+
        })+
    };
}

on_both! {
    audit:
        entries_are_chained_and_survive_the_database,
        appends_at_the_same_time_leave_one_unbroken_chain,
        the_database_refuses_to_change_or_delete_an_entry,
        a_number_a_nul_and_a_nanosecond_do_not_break_the_chain;
    journal:
        a_saga_is_read_back_as_it_was_written,
        one_credential_has_one_unfinished_saga,
        a_claim_holds_until_its_lease_ends,
        a_stale_claim_appends_nothing,
        a_takeover_that_is_still_open_fences_the_stale_worker,
        an_illegal_event_leaves_nothing_behind,
        an_append_that_fails_halfway_leaves_nothing_behind,
        an_append_that_is_dropped_halfway_leaves_nothing_behind,
        a_slot_is_sealed_once_and_shredded_for_good,
        a_receipt_knows_its_audit_entry;
    schema:
        an_older_schema_is_refused_with_a_hint,
        a_newer_schema_is_refused,
        migrating_at_the_same_time_is_fine,
        times_keep_their_order_as_the_database_sorts_them;
}
