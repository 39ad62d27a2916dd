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
    access:
        a_token_is_kept_used_and_revoked_once,
        a_request_is_carried_out_once_for_its_key,
        of_many_that_come_at_once_one_is_carried_out;
    approval:
        a_plan_stays_whose_it_was_first,
        an_approval_needs_its_plan_and_is_read_back_as_it_was_signed,
        the_database_refuses_to_change_or_delete_either;
    returned:
        what_was_revoked_and_is_there_again_is_told;
    incident:
        an_incident_is_read_back_with_its_notes_in_order,
        nothing_is_noted_of_one_that_is_closed_or_not_there,
        the_database_refuses_to_change_or_delete_one;
    delivery:
        a_delivery_is_acted_on_once_and_answered_alike,
        a_delivery_whose_process_died_is_taken_over,
        of_many_that_bring_one_delivery_one_acts_on_it,
        what_a_window_keeps_out_is_forgotten_and_nothing_else;
    firing:
        a_pair_fires_once_and_not_before_its_time,
        workers_that_come_at_once_share_without_exceeding_a_budget,
        a_rate_holds_however_many_ask,
        the_exposed_go_first_within_a_budget,
        a_backend_that_throttles_is_left_alone_until_then,
        what_is_asked_for_starts_at_once,
        two_of_one_service_are_never_under_way_together,
        a_dead_worker_s_firing_is_taken_over_and_it_is_fenced,
        a_rotation_is_begun_for_a_firing_that_is_ours_or_not_at_all,
        what_came_to_nothing_is_put_off_and_stays_so,
        a_pause_holds_until_it_ends_and_both_are_told,
        a_duty_has_one_owner_at_a_time,
        a_probe_waits_for_what_an_append_waits_for;
    opening:
        what_lies_within_a_pattern_is_found_in_its_order,
        whoever_opens_a_place_is_found;
    notification:
        a_receiver_begins_at_the_end_of_the_log_and_misses_nothing_after_it,
        what_is_queued_is_claimed_once_until_its_lease_ends,
        what_failed_comes_again_and_what_is_given_up_is_shown,
        one_receiver_s_queue_is_nobody_else_s;
    reseal:
        what_a_former_key_has_sealed_is_put_anew_once;
    hint:
        what_leaves_work_is_told_to_others_with_its_commit,
        a_lost_connection_is_made_anew_and_nothing_is_missed;
    audit:
        entries_are_chained_and_survive_the_database,
        appends_at_the_same_time_leave_one_unbroken_chain,
        the_database_refuses_to_change_or_delete_an_entry,
        a_number_a_nul_and_a_nanosecond_do_not_break_the_chain;
    own_key:
        a_key_follows_another_by_one_commit,
        what_is_seen_again_takes_its_fingerprint_along,
        a_value_that_changed_meanwhile_is_a_change,
        of_a_lost_key_nothing_is_claimed,
        a_process_of_before_a_rotation_writes_no_fingerprint,
        a_sealing_key_is_kept_until_nothing_is_sealed_with_it;
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
    group:
        appends_that_wait_together_keep_each_its_own_fate,
        the_others_are_written_when_the_one_that_writes_goes_away;
    schema:
        an_older_schema_is_refused_with_a_hint,
        a_newer_schema_is_refused,
        migrating_at_the_same_time_is_fine,
        times_keep_their_order_as_the_database_sorts_them;
    link:
        copies_of_one_value_are_one_credential,
        an_issuer_takes_the_copies_that_evidence_ties_to_it,
        two_roles_with_one_password_keep_what_names_them,
        weak_and_unread_values_join_nobody,
        former_versions_follow_their_place_unless_their_value_lives_elsewhere,
        former_versions_follow_when_another_copy_decides_for_their_place,
        an_id_outlives_a_rotation_in_place,
        an_id_outlives_the_finding_and_the_loss_of_its_issuer,
        a_link_stands_while_its_issuer_cannot_be_asked,
        a_link_does_not_stand_once_its_own_issuer_was_asked,
        linking_twice_and_linking_in_another_order_give_the_same;
    newcomer:
        a_copy_that_is_alone_has_its_credential_with_its_page,
        company_on_a_later_page_is_as_if_all_had_come_at_once,
        a_value_that_moves_keeps_its_id_whichever_page_comes_first,
        a_place_that_returns_takes_its_former_versions,
        what_somebody_works_with_is_not_taken_back,
        a_page_beside_somebody_who_links_leaves_its_copies_to_linking;
    inventory:
        a_second_scan_of_an_unchanged_estate_moves_only_last_seen,
        a_use_is_no_change,
        only_a_completely_read_scope_loses_what_it_no_longer_shows,
        consumers_are_tied_to_what_they_read,
        a_detail_knows_owner_identity_age_and_history,
        lists_are_ordered_by_bytes_and_paged_without_loss,
        findings_keep_when_they_began_and_close,
        a_rotation_and_a_revocation_show_before_the_next_scan,
        what_follows_under_a_name_of_its_own_holds_the_copies,
        coverage_is_the_newest_scan_of_each_backend,
        comparisons_are_remembered,
        odd_names_are_kept_and_break_nothing,
        pages_of_several_backends_merge_at_the_same_time;
}
