//! What every log promises. Each case runs on every implementation, on a fresh log.

mod appending;
mod brokers;
mod embedded;
mod members;
mod reading;
mod retention;
#[cfg(feature = "service-tests")]
mod secured;
#[cfg(feature = "service-tests")]
mod service;
mod subject;
mod waiting;

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
            appending::a_topic_made_twice_keeps_its_partitions,
            appending::a_topic_that_nobody_made_is_unknown,
            appending::a_partition_that_is_not_there_is_unknown,
            appending::offsets_follow_each_other_in_append_order,
            appending::one_key_stays_in_the_partition_that_kafka_would_choose,
            appending::nothing_appended_is_nothing_there,
            appending::concurrent_appends_go_in_whole_and_none_is_lost,
            appending::two_topics_have_two_sources,
            reading::every_part_of_a_message_comes_back,
            reading::a_read_ends_at_its_number_of_messages,
            reading::a_read_ends_at_its_number_of_bytes,
            reading::a_message_larger_than_the_bound_still_comes,
            reading::a_read_stops_below_its_upper_end,
            reading::any_position_can_be_read_at_any_time,
            reading::two_readers_do_not_take_from_each_other,
            reading::many_messages_come_in_order_and_once,
            waiting::an_empty_read_stays_where_it_is,
            waiting::a_waiting_read_is_woken_by_a_message,
            waiting::a_read_above_the_end_is_out_of_range,
            waiting::a_cancelled_read_loses_nothing,
            retention::watermarks_enclose_what_is_there,
            retention::trimming_drops_only_below_both_bounds,
            retention::the_high_watermark_survives_trimming_everything,
            retention::a_read_below_the_low_watermark_is_out_of_range,
            members::a_lone_member_gets_every_partition,
            members::a_member_that_nothing_is_left_for_is_told_so,
            members::a_partition_goes_to_the_next_member_only_after_its_release,
            members::the_partitions_of_a_member_that_leaves_go_to_the_others,
            members::a_member_that_is_dropped_has_left,
            members::two_groups_do_not_take_from_each_other,
            members::a_cancelled_wait_loses_no_change,
        })+
    };
}

contract_of!(memory, sqlite, kafka);
#[cfg(feature = "service-tests")]
contract_of!(real_kafka);
