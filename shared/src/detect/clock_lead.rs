//! Devices whose clocks are ahead of the log.

use chrono::{DateTime, TimeDelta, Utc};

/// How far an event time may lie ahead of its message's time in the log: clocks drift by seconds, and what is off by more is set
/// wrong. A device that is in another time zone than it says merely gets the log's time plus an hour for its own.
pub const MAX_CLOCK_LEAD: TimeDelta = TimeDelta::hours(1);

/// The event time in microseconds, but no later than the log vouches for: what waits for a time to pass must not wait until the
/// year that one broken clock names. A topic in the oldest message format has no times, which the log shows as 1970; then
/// nothing can be held against a device's clock.
pub(super) fn vouched_micros(event_time: DateTime<Utc>, log_time: DateTime<Utc>) -> i64 {
    // In microseconds, which is what the lake keeps of a log's time: a replay has to come to the same.
    let (event, log) = (event_time.timestamp_micros(), log_time.timestamp_micros());
    match log {
        0 => event,
        _ => event.min(log.saturating_add(MAX_CLOCK_LEAD.num_microseconds().unwrap_or(i64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_may_be_an_hour_ahead_and_behind_as_much_as_it_likes() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let log = at("2026-03-01T10:00:00.000000999Z");
        for (event, vouched) in [
            ("1999-01-01T00:00:00Z", "1999-01-01T00:00:00Z"),
            ("2026-03-01T10:59:59Z", "2026-03-01T10:59:59Z"),
            ("2026-03-01T11:00:01Z", "2026-03-01T11:00:00Z"),
            ("9999-01-01T00:00:00Z", "2026-03-01T11:00:00Z"),
        ] {
            assert_eq!(vouched_micros(at(event), log), at(vouched).timestamp_micros(), "{event}");
        }
        let ahead = at("2050-01-01T00:00:00Z");
        assert_eq!(vouched_micros(ahead, DateTime::UNIX_EPOCH), ahead.timestamp_micros());
    }
}
