//! Episodes: one alarm for as long as a detector goes on alarming on a device.

use chrono::{DateTime, TimeDelta};
use serde::{Deserialize, Serialize};

use crate::{anomaly::EpisodeEnd, position::Offset};

/// An episode that is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Episode {
    /// Where the reading stood that opened it.
    opened_at: Offset,
    /// The newest time of an alarming reading, in microseconds.
    last_alarm_micros: i64,
    /// Alarming readings.
    readings: u64,
    peak_score: f64,
}

/// A judged reading, as an episode sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) offset: Offset,
    /// Its event time, or the latest one that the log vouches for.
    pub(super) at_micros: i64,
    /// Its score, if it alarms.
    pub(super) alarm: Option<f64>,
}

/// What a reading did.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Change {
    /// The episode that it ended, by the offset of the reading that had opened that one.
    pub(super) ended: Option<(Offset, EpisodeEnd)>,
    /// Whether it opened one, which is an anomaly.
    pub(super) opens: bool,
}

/// Takes a reading into the episodes of one detector and device. An episode ends with the first quiet reading that is
/// `cool_down_secs` of event time after the newest alarming one, or at it; a late reading ends nothing. An alarming
/// reading after a cool-down in which nothing was heard is another episode; without a cool-down only a quiet reading
/// tells two episodes apart.
pub(super) fn step(open: &mut Option<Box<Episode>>, cool_down_secs: u32, step: Step) -> Change {
    let micros = step.at_micros;
    let mut change = Change::default();
    if let Some(episode) = open {
        let over_from = episode
            .last_alarm_micros
            .saturating_add(TimeDelta::seconds(i64::from(cool_down_secs)).num_microseconds().unwrap_or(i64::MAX));
        let is_over = match step.alarm {
            None => micros >= over_from,
            Some(_) => cool_down_secs > 0 && micros > over_from,
        };
        if is_over {
            let Episode { opened_at, readings, peak_score, .. } = **episode;
            let ended_at = DateTime::from_timestamp_micros(micros).unwrap_or_default();
            let end = EpisodeEnd { ended_at, end_offset: step.offset, readings, peak_score };
            change.ended = Some((opened_at, end));
            *open = None;
        }
    }
    match (step.alarm, open) {
        (Some(score), Some(episode)) => {
            episode.last_alarm_micros = episode.last_alarm_micros.max(micros);
            episode.readings += 1;
            episode.peak_score = episode.peak_score.max(score);
        }
        (Some(score), open) => {
            let opened_at = step.offset;
            *open = Some(Box::new(Episode { opened_at, last_alarm_micros: micros, readings: 1, peak_score: score }));
            change.opens = true;
        }
        (None, _) => {}
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a run of (minute, score of an alarm) does: `o` opens, `e` ends, `b` both, `.` neither.
    fn run(cool_down_secs: u32, readings: &[(i64, Option<f64>)]) -> (String, Vec<EpisodeEnd>) {
        let (mut open, mut ends, mut told) = (None, Vec::new(), String::new());
        for (offset, (minute, alarm)) in readings.iter().enumerate() {
            let offset = Offset::new(offset as u64);
            let change =
                step(&mut open, cool_down_secs, Step { offset, at_micros: minute * 60_000_000, alarm: *alarm });
            told.push(match (change.opens, change.ended.is_some()) {
                (true, true) => 'b',
                (true, false) => 'o',
                (false, true) => 'e',
                (false, false) => '.',
            });
            ends.extend(change.ended.map(|(_, end)| end));
        }
        (told, ends)
    }

    #[test]
    fn one_excursion_is_one_alarm_and_its_end_tells_how_it_was() {
        let (told, ends) =
            run(0, &[(0, None), (1, Some(4.0)), (2, Some(9.0)), (3, Some(5.0)), (4, None), (5, None), (6, Some(4.0))]);
        assert_eq!(told, ".o..e.o");
        let ended_at = DateTime::from_timestamp(240, 0).unwrap();
        assert_eq!(ends, [EpisodeEnd { ended_at, end_offset: Offset::new(4), readings: 3, peak_score: 9.0 }]);
    }

    #[test]
    fn a_cool_down_joins_what_is_near_and_ends_with_the_first_quiet_reading_at_its_end() {
        let alarm = Some(4.0);
        assert_eq!(
            run(600, &[(0, alarm), (1, None), (9, None), (9, alarm), (18, None), (19, None), (20, None)]).0,
            "o....e."
        );
        assert_eq!(run(600, &[(0, alarm), (10, None)]).0, "oe", "the cool-down is over at its end");
    }

    #[test]
    fn an_alarm_after_a_silent_cool_down_ends_one_episode_and_opens_the_next() {
        let alarm = Some(4.0);
        assert_eq!(run(600, &[(0, alarm), (10, alarm), (21, alarm), (31, None)]).0, "o.be");
        assert_eq!(run(0, &[(0, alarm), (1000, alarm), (1001, None)]).0, "o.e", "nothing quiet was between them");
    }

    #[test]
    fn a_late_reading_ends_nothing_and_counts_where_it_alarms() {
        let alarm = Some(4.0);
        let (told, ends) = run(0, &[(10, alarm), (5, None), (6, alarm), (9, None), (10, None)]);
        assert_eq!((told.as_str(), ends[0].readings), ("o...e", 2));
    }
}
