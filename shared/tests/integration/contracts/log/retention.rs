//! Watermarks, and what trimming may take. A log that cleans itself takes nothing when it is told to.

use chrono::{TimeDelta, Utc};
use kilowatch_shared::{
    clock::Clock,
    log::{LogError, Watermarks},
    position::Offset,
};

use super::subject::{Subject, message, numbered, offsets, plenty};

pub async fn watermarks_enclose_what_is_there(subject: &Subject) {
    let partition = subject.partition("energy").await;
    assert_eq!(ends(subject, &partition).await, (0, 0));
    subject.log.append("energy", &numbered(12)).await.unwrap();
    assert_eq!(ends(subject, &partition).await, (0, 12));
}

pub async fn trimming_drops_only_below_both_bounds(subject: &Subject) {
    let partition = subject.partition("energy").await;
    let log = &subject.log;
    log.append("energy", &numbered(10)).await.unwrap();
    subject.clock.forward(TimeDelta::hours(1));
    let younger = subject.clock.now();
    log.append("energy", &numbered(10)).await.unwrap();
    if !subject.trims {
        assert_eq!(log.trim(&partition, Offset::new(20), Utc::now()).await.unwrap(), 0);
        assert_eq!(ends(subject, &partition).await, (0, 20));
        return;
    }
    // Old enough, but only four of them are below the offset.
    assert_eq!(log.trim(&partition, Offset::new(4), younger).await.unwrap(), 4);
    assert_eq!(ends(subject, &partition).await, (4, 20));
    // All below the offset, but only ten are old enough: `before` itself is not older than itself.
    assert_eq!(log.trim(&partition, Offset::new(20), younger).await.unwrap(), 6);
    assert_eq!(ends(subject, &partition).await, (10, 20));
    assert_eq!(offsets(&subject.read_span(&partition, 10, 20).await), (10..20).collect::<Vec<_>>());
    assert_eq!(log.trim(&partition, Offset::new(20), younger).await.unwrap(), 0);
    assert_eq!(log.trim(&partition, Offset::new(3), far_ahead(subject)).await.unwrap(), 0);
    assert_eq!(ends(subject, &partition).await, (10, 20));
}

pub async fn the_high_watermark_survives_trimming_everything(subject: &Subject) {
    if !subject.trims {
        return;
    }
    let partition = subject.partition("energy").await;
    subject.log.append("energy", &numbered(10)).await.unwrap();
    // More than there is may be asked for.
    assert_eq!(subject.log.trim(&partition, Offset::new(1000), far_ahead(subject)).await.unwrap(), 10);
    assert_eq!(ends(subject, &partition).await, (10, 10));
    let position = subject.log.append("energy", &[message("m", "next")]).await.unwrap().remove(0);
    assert_eq!(position.offset, Offset::new(10));
    assert_eq!(offsets(&subject.read_span(&partition, 10, 11).await), [10]);
}

pub async fn a_read_below_the_low_watermark_is_out_of_range(subject: &Subject) {
    if !subject.trims {
        return;
    }
    let partition = subject.partition("energy").await;
    subject.log.append("energy", &numbered(10)).await.unwrap();
    subject.log.trim(&partition, Offset::new(6), far_ahead(subject)).await.unwrap();
    let error = subject.log.read(&partition, Offset::new(5), plenty(), super::subject::LONG).await.unwrap_err();
    let expected = Watermarks { low: Offset::new(6), high: Offset::new(10) };
    assert!(matches!(error, LogError::OutOfRange { watermarks, .. } if watermarks == expected), "{error:?}");
    assert_eq!(offsets(&subject.read_span(&partition, 6, 10).await), [6, 7, 8, 9]);
}

async fn ends(subject: &Subject, partition: &kilowatch_shared::checkpoint::SourcePartition) -> (u64, u64) {
    let Watermarks { low, high } = subject.log.watermarks(partition).await.unwrap();
    (low.get(), high.get())
}

fn far_ahead(subject: &Subject) -> chrono::DateTime<Utc> {
    subject.clock.now() + TimeDelta::days(1)
}
