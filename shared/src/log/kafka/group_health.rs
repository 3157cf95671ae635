//! Whether the group answers its member, by what librdkafka reports of itself.
//!
//! A coordinator that nobody names or that cannot be reached is no error to librdkafka: it goes on asking, for ever and
//! without a word. Only its reports tell, and its complaints about connections say why.

use std::time::{Duration, Instant};

use serde::Deserialize;

/// How often librdkafka reports, in its own words.
pub(super) const REPORTED_EVERY_MS: &str = "1000";

/// A coordinator that moves to another broker is found again by then.
const COORDINATOR_WITHIN: Duration = Duration::from_secs(3);

/// A rebalance waits for members to let go (20 s) and for those that died (their session, 10 s by default); twice that is
/// not usual any more.
const REBALANCE_WITHIN: Duration = Duration::from_secs(60);

/// A lost connection is complained of some heartbeats before the coordinator is given up, and not again soon.
const COMPLAINT_HOLDS: Duration = Duration::from_secs(60);

/// What changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The group does not answer, for this reason.
    Waits(String),
    /// It answers again.
    Answers,
}

/// What was reported so far.
#[derive(Debug, Default)]
pub(super) struct GroupHealth {
    waiting: Option<Waiting>,
    /// The last one, and when it was made.
    complaint: Option<(String, Instant)>,
    /// What was told last, if it was that the group does not answer.
    told: Option<Told>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    since: Instant,
    /// Whether there is a coordinator, so that it is for the members.
    coordinator: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    coordinator: bool,
    complaint: bool,
}

/// The part of librdkafka's report that is about the group.
#[derive(Debug, Deserialize)]
struct Report {
    cgrp: Option<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    state: String,
    join_state: String,
}

impl GroupHealth {
    /// Keeps a complaint until a report says whether it matters.
    pub(super) fn complaint(&mut self, words: String, now: Instant) {
        self.complaint = Some((words, now));
    }

    /// The group decided what is this member's, and the member says so itself.
    pub(super) fn answered(&mut self) {
        (self.waiting, self.told) = (None, None);
    }

    /// Judges a report; `None` if it says nothing new.
    pub(super) fn report(&mut self, report: &[u8], now: Instant) -> Option<Verdict> {
        let group = serde_json::from_slice::<Report>(report).ok()?.cgrp?;
        let coordinator = group.state == "up";
        if coordinator && group.join_state == "steady" {
            self.waiting = None;
            return self.told.take().map(|_| Verdict::Answers);
        }
        if coordinator && self.waiting.is_some_and(|waiting| !waiting.coordinator) {
            // The members still have to agree, which takes its own time.
            self.waiting = None;
        }
        let waiting = self.waiting.get_or_insert(Waiting { since: now, coordinator });
        waiting.coordinator = coordinator;
        let (since, waited) = (waiting.since, now.saturating_duration_since(waiting.since));
        let complaint =
            self.complaint.as_ref().filter(|(_, at)| since.saturating_duration_since(*at) < COMPLAINT_HOLDS);
        // Connections that nobody uses are closed as well, so what was said before the rebalance means nothing for it.
        let is_usual = coordinator && complaint.is_none_or(|(_, at)| *at < since);
        if waited < if is_usual { REBALANCE_WITHIN } else { COORDINATOR_WITHIN } {
            return None;
        }
        let telling = Told { coordinator, complaint: complaint.is_some() };
        let verdict = Verdict::Waits(reason(coordinator, complaint.map(|(words, _)| words.as_str())));
        (self.told.replace(telling) != Some(telling)).then_some(verdict)
    }
}

fn reason(coordinator: bool, complaint: Option<&str>) -> String {
    let what = if coordinator { "a rebalance does not come to its end" } else { "its coordinator cannot be reached" };
    let complaint = complaint.map(|words| format!(": {words}")).unwrap_or_default();
    format!("the consumer group does not answer, {what}{complaint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(health: &mut GroupHealth, state: &str, join_state: &str, at: Instant) -> Option<Verdict> {
        let report =
            serde_json::json!({"name": "x", "cgrp": {"state": state, "stateage": 7, "join_state": join_state}});
        health.report(report.to_string().as_bytes(), at)
    }

    #[test]
    fn a_coordinator_that_stays_away_is_told_once_and_once_more_when_the_reason_is_known() {
        let (mut health, start) = (GroupHealth::default(), Instant::now());
        assert_eq!(report(&mut health, "query-coord", "init", start), None);
        let later = start + COORDINATOR_WITHIN;
        let told = report(&mut health, "wait-coord", "init", later);
        assert!(matches!(&told, Some(Verdict::Waits(reason)) if reason.ends_with("cannot be reached")), "{told:?}");
        assert_eq!(report(&mut health, "query-coord", "init", later), None);
        health.complaint("connection refused".to_owned(), later);
        let told = report(&mut health, "wait-broker", "init", later);
        assert!(matches!(&told, Some(Verdict::Waits(reason)) if reason.ends_with(": connection refused")), "{told:?}");
        assert_eq!(report(&mut health, "wait-broker", "init", later), None);
        assert_eq!(report(&mut health, "up", "steady", later), Some(Verdict::Answers));
        assert_eq!(report(&mut health, "up", "steady", later), None);
    }

    #[test]
    fn a_rebalance_may_take_its_time_unless_something_is_complained_of() {
        let (mut health, start) = (GroupHealth::default(), Instant::now());
        assert_eq!(report(&mut health, "up", "wait-join", start), None);
        assert_eq!(report(&mut health, "up", "wait-sync", start + REBALANCE_WITHIN / 2), None);
        assert!(report(&mut health, "up", "wait-join", start + REBALANCE_WITHIN).is_some());
        assert_eq!(report(&mut health, "up", "steady", start + REBALANCE_WITHIN), Some(Verdict::Answers));
        health.complaint("disconnected".to_owned(), start);
        let start = start + COMPLAINT_HOLDS / 2;
        assert_eq!(report(&mut health, "up", "wait-join", start), None);
        assert_eq!(report(&mut health, "up", "wait-join", start + COORDINATOR_WITHIN), None);
        health.complaint("JoinGroup failed: the group is full".to_owned(), start);
        assert!(report(&mut health, "up", "wait-join", start + COORDINATOR_WITHIN).is_some());
    }

    #[test]
    fn a_coordinator_that_is_lost_again_before_the_next_report_is_told_again() {
        let (mut health, start) = (GroupHealth::default(), Instant::now());
        for start in [start, start + 2 * COORDINATOR_WITHIN] {
            report(&mut health, "wait-broker", "init", start);
            assert!(report(&mut health, "wait-broker", "init", start + COORDINATOR_WITHIN).is_some());
            health.answered();
        }
    }

    #[test]
    fn a_coordinator_that_is_back_gives_the_members_their_time() {
        let (mut health, start) = (GroupHealth::default(), Instant::now());
        report(&mut health, "wait-broker", "init", start);
        health.complaint("connection refused".to_owned(), start);
        let later = start + COORDINATOR_WITHIN;
        assert!(report(&mut health, "wait-broker", "init", later).is_some());
        assert_eq!(report(&mut health, "up", "wait-join", later), None);
        assert_eq!(report(&mut health, "up", "wait-join", later + COORDINATOR_WITHIN), None);
        assert_eq!(report(&mut health, "up", "steady", later + COORDINATOR_WITHIN), Some(Verdict::Answers));
    }

    #[test]
    fn a_complaint_from_long_before_is_forgotten_and_one_from_just_before_is_the_reason() {
        let (mut health, start) = (GroupHealth::default(), Instant::now());
        health.complaint("disconnected".to_owned(), start);
        assert_eq!(report(&mut health, "up", "steady", start), None);
        report(&mut health, "query-coord", "steady", start);
        let told = report(&mut health, "query-coord", "steady", start + COORDINATOR_WITHIN);
        assert!(matches!(&told, Some(Verdict::Waits(reason)) if reason.ends_with("disconnected")), "{told:?}");
        let start = start + COMPLAINT_HOLDS;
        assert_eq!(report(&mut health, "up", "steady", start), Some(Verdict::Answers));
        report(&mut health, "query-coord", "init", start);
        let told = report(&mut health, "query-coord", "init", start + COORDINATOR_WITHIN);
        assert!(matches!(&told, Some(Verdict::Waits(reason)) if reason.ends_with("reached")), "{told:?}");
    }
}
