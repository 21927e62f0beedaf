//! What every store must do, as a suite of cases that each store runs on itself.
//!
//! A store's `tests/conformance.rs` says how to make and to reopen its database, and names the
//! suite; every case becomes a `#[test]` of its own there, in a module named for its subject
//! (`append::a_crash_…`). The using crate needs this crate, `async-trait` and `tidings-store` for
//! its tests, and no test runtime: a case brings its own.
//!
//! ```ignore
//! use std::sync::Arc;
//! use tidings_store::Store;
//! use tidings_store_conformance::Harness;
//!
//! #[derive(Default)]
//! struct SqliteHarness { directory: TemporaryDirectory }
//!
//! #[async_trait::async_trait]
//! impl Harness for SqliteHarness {
//!     async fn fresh(&self) -> Arc<dyn Store> {
//!         Arc::new(open(self.directory.path()))
//!     }
//!
//!     async fn reopen(&self, store: Arc<dyn Store>, cleanly: bool) -> Arc<dyn Store> {
//!         if cleanly {
//!             store.close().await.expect("closes");
//!         }
//!         drop(store);
//!         Arc::new(open(self.directory.path()))
//!     }
//!
//!     async fn at_rest(&self) -> Vec<u8> {
//!         self.directory.bytes_of_all_files()
//!     }
//! }
//!
//! tidings_store_conformance::suite!(SqliteHarness);
//! ```
//!
//! The cases hold a store to the docs of the traits in `tidings-store`, and to nothing more: what
//! those leave open (how far a claim under a limit goes beyond one delivery, whether a lost
//! process's rows are free at once or when its lease runs out) no case decides. Each time is
//! passed in from a clock that stands still, and no case sleeps. [`plan`] is the one with dice: a
//! seeded plan of operations against a store and a model of it, which also serves to compare two
//! databases with each other.

mod append;
mod attempts;
mod audit;
mod catalog;
mod claim;
mod dashboards;
mod figures;
mod harness;
mod health;
mod hindsight;
mod idempotency;
mod keys;
mod leases;
mod log_history;
mod node;
mod outcome;
mod people;
pub mod plan;
mod polling;
mod recovery;
mod replay;
mod replay_count;
mod retention;
mod scenario;
mod search;
mod secrets;
mod settle;
mod subscriptions;
mod trace;

pub use harness::Harness;

/// Makes a runner of each case, and the [`suite`] macro that makes a test of each runner. A case
/// that is missing from the list is dead code, and so noticed.
macro_rules! cases {
    ($dollar:tt $($subject:ident { $($case:ident,)* })*) => {
        /// A runner for every case, by subject. For [`suite`](crate::suite), not for hands.
        pub mod run {
            $(
                #[doc = concat!("The cases about ", stringify!($subject), ".")]
                pub mod $subject {
                    $(
                        #[doc = concat!("Runs `", stringify!($case), "`.")]
                        pub fn $case<H: $crate::Harness + Default>() {
                            $crate::harness::run(async {
                                $crate::$subject::$case(&H::default()).await;
                            });
                        }
                    )*
                }
            )*
        }

        /// Every case as a test against the harness named, which must be a type of the module in
        /// which this stands.
        #[macro_export]
        macro_rules! suite {
            ($dollar harness:ident) => {
                $(
                    mod $subject {
                        $(
                            #[test]
                            fn $case() {
                                $crate::run::$subject::$case::<super::$dollar harness>();
                            }
                        )*
                    }
                )*
            };
        }
    };
}

cases! { $
    append {
        an_event_is_stored_with_what_is_owed_for_it,
        fresh_work_is_handed_over_where_there_is_room,
        without_a_handover_work_waits_for_a_claim,
        work_beyond_the_limits_waits_for_a_claim,
        a_batch_spills_in_part,
        the_newest_attachment_counts,
        a_batch_is_stored_in_its_order,
        payload_and_metadata_keep_their_bytes,
        an_event_is_owed_once_however_many_patterns_match,
        an_event_is_owed_within_its_company_alone,
        an_event_that_nobody_wants_is_stored_all_the_same,
        concurrent_appends_are_each_owed_once,
    }
    idempotency {
        the_same_request_gives_the_same_events,
        another_request_under_a_used_key_is_refused,
        keys_differ_in_every_character,
        an_expired_key_counts_as_unused,
        a_key_belongs_to_its_company,
        a_batch_is_replayed_whole_and_in_order,
        a_replayed_request_owes_nothing_more,
        concurrent_requests_under_one_key_store_once,
        expired_keys_are_swept_out_and_others_stay,
        what_a_key_was_used_for_is_told_without_using_it,
    }
    polling {
        an_empty_log_has_a_beginning,
        pages_follow_each_other_in_both_orders,
        a_full_page_says_whether_more_follow,
        what_does_not_match_does_not_follow,
        types_are_filtered_as_subscriptions_do,
        rare_events_are_found_among_many_others,
        the_head_is_where_the_present_begins,
        a_reader_that_caught_up_goes_on_where_it_was,
        newer_events_do_not_disturb_who_reads_backwards,
        an_event_is_found_by_its_own_company_alone,
        an_arrival_wakes_its_company,
        readers_see_every_event_once_while_many_publish,
    }
    leases {
        ids_are_never_given_out_twice,
        a_claimed_delivery_is_nobody_elses,
        a_lease_that_ran_out_is_taken_over,
        fresh_work_is_fenced_as_claimed_work_is,
        a_renewed_lease_is_kept,
        a_lease_that_ran_out_stands_until_it_is_taken,
        a_settlement_after_the_lease_ran_out_counts,
        an_ended_lease_frees_its_work_at_once,
        a_settlement_under_a_lease_just_ended_is_void,
        work_appended_under_a_lost_lease_is_not_lost,
        released_work_is_due_as_before,
        a_release_touches_its_own_leases_work_alone,
        two_nodes_share_the_work,
        an_unknown_lease_is_lost,
    }
    claim {
        the_longest_due_come_first,
        a_limit_leaves_the_rest_for_later,
        a_claim_holds_places_until_they_are_dropped,
        a_saturated_subscription_is_skipped,
        subscriptions_get_their_room_within_one_claim,
        a_large_company_leaves_room_for_a_small_one,
        a_retry_is_due_at_its_time_only,
        the_next_due_is_the_earliest,
        what_has_no_room_is_not_the_next_due,
        nothing_waits_on_an_empty_queue,
        fresh_and_redelivered_work_wakes_the_attached_node,
        a_claimed_event_carries_its_own_company,
    }
    settle {
        a_success_ends_the_delivery,
        giving_up_ends_the_delivery,
        a_retry_leaves_the_delivery_owed,
        gone_disables_the_subscription_and_says_so,
        gone_twice_in_one_settlement_is_told_once,
        a_late_gone_does_not_disable_what_a_person_enabled,
        answers_come_in_the_order_of_the_settlements,
        settling_twice_records_once,
        an_attempt_that_outlived_its_subscription_is_logged,
        a_success_counts_though_its_delivery_had_ended,
        enabling_does_not_revive_what_is_in_flight,
        attempts_count_on_through_settlements,
        a_thousand_settle_at_once,
        settling_nothing_is_no_harm,
    }
    subscriptions {
        a_new_one_reads_back,
        a_change_counts_from_the_next_append,
        a_change_keeps_what_it_does_not_name,
        a_stale_change_changes_nothing,
        others_cannot_see_or_touch_it,
        a_deleted_one_is_gone_for_good,
        a_page_is_in_the_order_of_making,
        disabling_ends_what_is_pending,
        a_delivery_in_memory_knows_that_it_ended,
        one_made_disabled_waits_to_be_enabled,
        enabling_clears_the_servers_reason,
        matching_is_the_same_after_a_reopen,
    }
    health {
        what_is_noted_reads_back_and_is_no_change,
        what_ended_is_not_noted,
        a_mended_subscription_starts_afresh,
        one_that_fails_too_long_is_disabled_and_says_so,
        a_rate_reads_back_and_can_be_changed,
    }
    secrets {
        a_secret_reads_back_as_it_was_given,
        no_secret_is_kept_in_the_clear,
        a_rotation_keeps_the_former_secret_for_a_while,
        a_rotation_without_overlap_ends_the_former_secret,
        a_rotation_touches_nothing_else,
        nobody_elses_secret_can_be_rotated,
    }
    keys {
        a_key_is_found_by_its_hash,
        keys_are_listed_by_company,
        a_revoked_key_is_gone_at_once,
        others_keys_cannot_be_revoked,
        the_last_use_is_written_with_the_upkeep,
    }
    attempts {
        every_field_reads_back,
        the_log_is_paged_in_both_orders,
        the_log_is_filtered,
        new_attempts_do_not_disturb_who_reads_backwards,
        what_does_not_match_does_not_follow,
        a_reader_that_caught_up_sees_what_comes_after,
        the_log_outlives_its_subscription,
        a_log_belongs_to_its_company,
    }
    trace {
        pending_is_owed_and_not_attempted,
        retrying_says_when_and_why,
        succeeded_and_failed_say_what_came_last,
        what_waits_for_an_open_breaker_says_so,
        not_matched_is_about_the_time_of_publishing,
        disabled_is_missed_or_ended,
        a_later_end_does_not_rewrite_what_was_delivered,
        the_oldest_subscription_comes_first,
        the_newest_delivery_is_the_one_that_is_told,
    }
    replay {
        a_finished_delivery_is_made_anew,
        a_waiting_delivery_starts_anew_instead_of_doubling,
        one_that_waits_for_a_claim_is_not_doubled,
        one_in_flight_gets_a_second_beside_it,
        what_was_not_wanted_can_be_delivered_on_request,
        redelivery_refuses_what_is_not_there,
        replaying_the_failed_brings_the_missed_too,
        replaying_all_brings_the_successes_too,
        a_window_includes_its_start_and_not_its_end,
        replay_goes_by_the_types_of_now,
        a_long_replay_is_complete,
        replay_refuses_what_is_not_there,
    }
    replay_count {
        a_count_of_the_failed_is_what_a_replay_then_asks_for,
        a_count_of_all_is_what_a_replay_then_asks_for,
        a_count_keeps_to_its_window,
        a_count_ends_where_it_is_told_to,
        counting_refuses_what_is_not_there,
        a_long_replay_says_how_far_it_is,
    }
    retention {
        old_events_are_dropped_and_young_ones_stay,
        a_step_is_bounded,
        events_that_are_still_owed_stay,
        what_has_ended_keeps_no_event_alive,
        attempts_are_kept_by_a_time_of_their_own,
        idle_housekeeping_has_nothing_to_do,
        positions_go_on_after_everything_was_dropped,
        the_backlog_tells_how_long_the_oldest_waits,
        a_check_proves_that_it_can_commit,
    }
    recovery {
        what_was_answered_is_there_after_a_crash,
        work_in_hand_is_taken_up_again,
        a_clean_end_leaves_nothing_leased,
        what_was_settled_stays_settled,
        gone_is_gone_after_a_crash,
        a_close_amid_appends_keeps_its_word,
        many_reopens_change_nothing,
    }
    people {
        a_user_reads_back,
        an_address_belongs_to_one_user,
        the_last_user_stays,
        a_new_password_ends_every_session,
        a_link_is_good_once,
        a_link_ends_in_time,
        of_many_who_use_a_link_one_gets_it,
        a_setup_link_is_good_as_long_as_there_is_no_user,
        a_session_reads_back_until_it_ends,
        all_of_somebodys_sessions_end_at_once,
        the_last_sign_in_is_noted,
        what_expired_is_swept_out,
    }
    catalog {
        a_fresh_catalog_has_what_is_shipped,
        a_type_is_made_replaced_and_removed,
        the_version_tells_of_every_change,
        a_full_catalog_takes_no_further_type,
        the_catalog_outlives_a_restart,
    }
    audit {
        each_change_of_a_subscription_leaves_its_line,
        keys_and_people_leave_theirs,
        what_changes_nothing_leaves_none,
        what_the_server_does_by_itself_is_told,
        delivering_again_is_told_by_who_asks_for_it,
        a_line_reads_back,
        the_log_is_paged_and_belongs_to_its_company,
    }
    figures {
        figures_add_up_however_they_are_kept,
        a_clean_end_keeps_what_was_counted,
        figures_begin_with_the_window_and_end_before_it_does,
        nothing_is_counted_twice_or_missing_while_figures_are_written,
        what_outlived_its_subscription_is_counted,
        a_notice_is_an_event_that_was_published,
        the_busiest_company_comes_first,
        old_stretches_are_dropped,
    }
    dashboards {
        a_company_is_told_what_waits_for_it,
        companies_are_found_by_how_they_begin,
        recent_types_are_a_companys_own,
        a_time_has_its_place_in_the_log,
        what_was_stored_behind_later_ones_is_not_skipped,
    }
    search {
        each_filter_finds_what_it_should_and_no_more,
        pages_follow_each_other_whatever_they_look_at,
        a_search_turns_back_where_it_was,
        new_attempts_do_not_disturb_a_search,
        another_companys_log_is_not_searched,
        an_attempt_is_found_at_its_place,
        the_attempts_of_a_delivery_are_those_of_every_round,
        the_log_outlives_the_event,
        the_newest_attempt_is_told_of_each,
    }
    plan {
        two_thousand_operations_agree_with_the_model,
        so_do_two_thousand_others,
    }
}
