//! What every lake promises to speed. Each case runs on every implementation, on a fresh lake.

mod commits;
mod cuts;
mod objects;
mod races;
mod rows;
pub mod subject;

/// Makes one test of every case, on the given subject.
macro_rules! keeps_the_contract {
    ($implementation:ident: $($file:ident::$case:ident),+ $(,)?) => {
        mod $implementation {
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
    ($($implementation:ident),+ $(,)?) => {
        $(keeps_the_contract! {
            $implementation:
            commits::an_empty_lake_has_neither_version_nor_l,
            commits::a_closed_segment_moves_l_and_the_version,
            commits::a_partition_closed_by_another_member_is_a_conflict_and_changes_nothing,
            commits::one_stale_partition_keeps_back_the_whole_commit,
            commits::partitions_that_are_not_touched_do_not_conflict,
            commits::a_table_made_meanwhile_is_no_conflict_by_itself,
            commits::a_span_that_does_not_begin_at_l_is_refused,
            commits::a_span_that_does_not_advance_is_refused,
            commits::a_first_segment_may_begin_anywhere,
            commits::l_never_falls,
            commits::segments_of_one_partition_may_follow_each_other_in_one_commit,
            commits::a_segment_without_rows_moves_l,
            commits::a_segment_of_another_stream_is_refused,
            commits::dead_letters_have_an_l_of_their_own,
            commits::streams_do_not_mix,
            rows::rows_come_back_bit_for_bit,
            rows::rows_come_back_in_offset_order_whatever_their_devices_and_times,
            rows::only_rows_of_the_span_come_back,
            rows::sources_and_partitions_do_not_mix,
            cuts::cuts_come_back_with_their_pins,
            cuts::only_cuts_of_the_span_come_back,
            cuts::cuts_of_other_partitions_stay_away,
            cuts::cuts_of_dead_letters_that_are_ahead_of_the_readings_come_back,
            objects::states_come_back_newest_first,
            objects::a_state_at_the_same_cut_replaces_the_old_one,
            objects::states_of_other_partitions_stay_away,
            objects::a_model_comes_back_by_its_id,
            objects::bytes_that_are_not_the_model_are_refused,
            objects::a_model_saved_twice_stays_as_it_was,
            races::two_members_racing_lose_nothing_and_double_nothing,
        })+
    };
}

contract_of!(memory, delta_in_memory, delta_in_a_folder);
#[cfg(feature = "service-tests")]
contract_of!(delta_on_s3);
