//! What all views promise. Each case runs on every implementation, on fresh views.

mod aging;
mod applying;
mod claiming;
mod dead_letters;
mod embedded;
mod erasures;
mod exactness;
mod listing;
mod merging;
mod models;
mod outbox;
mod positions;
#[cfg(feature = "service-tests")]
mod postgres;
mod publishing;
mod schedule;
mod subject;

/// Makes one test of every case, on the given subject.
macro_rules! keeps_the_contract {
    ($test:ident on $implementation:ident: $($file:ident::$case:ident),+ $(,)?) => {
        mod $test {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$file::$case(&super::subject::Subject::$implementation().await).await;
                }
            )+
        }
    };
}

macro_rules! contract_of {
    ($($(#[$condition:meta])* $test:ident on $implementation:ident),+ $(,)?) => {
        $($(#[$condition])* keeps_the_contract! {
            $test on $implementation:
            claiming::a_partition_that_nobody_claimed_is_unknown,
            claiming::a_new_partition_begins_at_its_first_cut,
            claiming::a_known_partition_keeps_its_place_whoever_claims_it,
            claiming::an_empty_batch_keeps_the_last_message,
            claiming::a_release_by_a_former_owner_changes_nothing,
            claiming::known_partitions_are_those_of_the_stream,
            claiming::of_members_that_claim_at_once_one_owns,
            applying::effects_and_offset_are_seen_together,
            applying::an_episode_ends_once_and_with_every_bit,
            applying::a_fenced_owner_changes_nothing,
            applying::nobody_applies_to_an_unknown_or_released_partition,
            applying::a_repeated_batch_is_already_applied_and_counts_once,
            applying::a_batch_out_of_step_is_told_where_the_partition_is,
            applying::an_empty_span_records_a_cut_alone,
            applying::an_empty_span_asks_for_owner_and_offset,
            applying::a_recorded_cut_keeps_its_first_pins,
            applying::cuts_of_equal_pins_share_them,
            applying::what_no_member_may_ask_for_is_refused_whole,
            applying::what_is_there_already_is_a_replay_and_stays,
            applying::counts_add_up_over_partitions,
            applying::thousands_of_effects_go_in_at_once,
            applying::a_key_that_comes_twice_in_a_batch_counts_both,
            applying::a_device_keeps_its_newest_event_time,
            merging::speed_answers_alone_before_the_first_publication,
            merging::below_the_boundary_batch_answers_and_from_it_on_speed,
            merging::a_partition_without_an_end_is_speeds_alone,
            merging::a_gap_stays_a_gap,
            merging::a_query_takes_its_device_measure_length_and_range,
            merging::groups_of_a_device_add_up,
            merging::a_group_is_answered_alone_by_both_layers,
            merging::partials_survive_bit_by_bit,
            merging::the_years_1_and_9999_are_times_as_others,
            exactness::any_order_of_steps_keeps_the_seam_exact,
            exactness::a_reader_never_sees_half_a_publication,
            publishing::a_publication_moves_boundary_and_windows_at_once,
            publishing::what_is_only_staged_is_read_by_nobody,
            publishing::a_stale_expectation_is_refused,
            publishing::a_partition_neither_goes_back_nor_is_forgotten,
            publishing::an_end_that_is_no_recorded_cut_is_refused,
            publishing::an_end_may_stay_where_it_is,
            publishing::files_alone_have_a_boundary_without_partitions,
            publishing::touched_windows_are_replaced_and_others_stay,
            publishing::a_touched_window_disappears_in_every_measure_and_group,
            publishing::a_full_recomputation_leaves_nothing_behind,
            publishing::pages_of_published_rows_hold_each_row_once_and_no_staged_one,
            publishing::another_stream_stays_as_it_is,
            publishing::a_stage_is_gone_after_its_publication_however_it_ended,
            publishing::a_publication_that_dies_anywhere_is_in_whole_or_not_at_all,
            publishing::rows_staged_twice_count_once,
            publishing::of_publishers_that_read_the_same_boundary_one_wins,
            publishing::housekeeping_takes_only_what_batch_has_seen,
            publishing::housekeeping_takes_stages_of_yesterday,
            publishing::seven_years_of_hours_are_staged_and_published,
            publishing::devices_are_listed_page_by_page_with_what_either_layer_saw,
            listing::pages_hold_every_anomaly_once_where_event_times_are_equal,
            listing::a_last_full_page_says_that_it_is_the_last,
            listing::a_filter_holds_on_every_side,
            listing::every_part_of_an_anomaly_comes_back,
            listing::dead_letters_come_newest_first_and_whole,
            listing::a_text_with_a_nul_does_not_stop_a_partition,
            listing::job_runs_come_newest_first,
            listing::the_history_keeps_the_newest_runs_of_each_job,
            listing::the_last_verification_of_each_stream_is_kept,
            listing::benchmarks_come_newest_first_page_by_page_and_whole,
            listing::the_newest_benchmarks_are_kept,
            listing::views_that_are_there_answer,
            models::a_model_comes_back_as_it_was_added,
            models::nothing_serves_before_a_promotion,
            models::a_promotion_ends_the_period_before_and_a_rollback_is_one_more,
            models::a_period_does_not_end_before_it_began,
            models::an_unknown_model_is_not_promoted,
            models::of_promotions_at_once_one_model_serves,
            models::a_swap_is_found_at_the_first_cut_of_its_pins_in_each_partition,
            models::a_vintage_is_never_overwritten,
            models::the_newest_vintage_is_that_of_the_last_issue,
            models::two_models_of_one_instant_are_two_vintages,
            dead_letters::pages_hold_every_dead_letter_once_newest_first,
            dead_letters::a_dead_letter_is_found_by_partition_time_and_reason,
            dead_letters::a_dead_letter_is_found_at_its_position_whole,
            dead_letters::a_replay_is_noted_once,
            outbox::an_entry_comes_with_its_effects_or_not_at_all,
            outbox::a_message_without_key_and_body_comes_back_so,
            outbox::entries_leave_by_position_and_only_when_acknowledged,
            outbox::an_entry_that_is_there_stays_as_it_is,
            outbox::a_page_of_entries_keeps_to_its_bytes_but_always_brings_one,
            outbox::one_holder_delivers_until_its_lease_ends_or_is_given_back,
            outbox::a_lease_of_a_clock_that_ran_ahead_does_not_keep_the_others_waiting_for_it,
            outbox::of_holders_that_lease_at_once_one_delivers,
            outbox::below_the_floor_nothing_is_told_again,
            schedule::one_process_runs_a_schedule_until_its_lease_ends_or_is_given_back,
            schedule::a_schedule_is_not_kept_by_a_clock_that_ran_ahead,
            schedule::of_processes_that_ask_at_once_one_runs_the_schedule,
            schedule::the_last_start_of_a_job_is_that_of_its_newest_run_that_did_not_fail,
            positions::a_move_back_leaves_what_a_member_at_the_cut_would_have_left,
            positions::a_move_on_begins_a_segment_behind_the_gap_and_keeps_dead_letters_below,
            positions::a_partition_that_somebody_works_on_is_not_moved,
            positions::moves_are_done_all_or_none,
            positions::what_was_published_is_forgotten_with_the_boundary_and_published_anew,
            positions::after_a_move_back_the_outside_hears_what_it_was_not_told,
            positions::what_waits_below_a_move_says_that_nothing_above_was_told,
            positions::after_a_move_back_the_outside_hears_all_again_if_that_was_asked_for,
            positions::an_adopted_topic_keeps_its_highest_generation,
            positions::changes_are_listed_newest_first,
            erasures::an_erased_device_leaves_every_table_and_others_stay,
            erasures::what_was_staged_of_a_device_before_it_was_to_go_goes_as_well,
            erasures::an_erasure_is_on_record_without_the_devices_name,
            erasures::nothing_is_erased_while_somebody_may_remember_the_device,
            aging::a_floor_never_falls_and_is_its_streams_own,
            aging::what_was_published_below_the_floor_of_readings_is_all_that_is_served_of_it,
            aging::windows_below_their_floor_are_gone_at_once_and_stay_away,
            aging::alarms_and_dead_letters_go_by_their_time_once_the_outside_has_heard_of_them,
            aging::forecasts_go_by_their_issue_with_all_their_points,
            aging::a_lake_that_went_back_does_not_take_windows_along_whose_readings_are_gone,
            aging::an_erased_device_loses_the_windows_that_no_roll_up_computes,
        })+
    };
}

contract_of!(
    in_memory on memory,
    in_a_file on sqlite,
    #[cfg(feature = "service-tests")]
    in_postgres on postgres,
);
