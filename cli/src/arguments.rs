//! Values of arguments; each refusal says which form is taken.

use chrono::{DateTime, FixedOffset, Utc};
use kilowatch_shared::{lake::LakeTable, model::ModelKind};

/// An instant.
pub fn instant(text: &str) -> Result<DateTime<Utc>, &'static str> {
    let parsed = DateTime::parse_from_rfc3339(text);
    parsed.map(|time| time.to_utc()).map_err(|_| "must be a time in RFC 3339, as in 2007-01-31T18:00:00Z")
}

/// An offset from UTC.
pub fn utc_offset(text: &str) -> Result<FixedOffset, &'static str> {
    text.parse().map_err(|_| "must be an offset as in +01:00 or -05:30")
}

/// A kind of model.
pub fn model_kind(name: &str) -> Result<ModelKind, String> {
    ModelKind::parse(name).ok_or_else(|| format!("use one of {}", ModelKind::ALL.map(ModelKind::as_str).join(", ")))
}

/// A table of a stream.
pub fn lake_table(name: &str) -> Result<LakeTable, &'static str> {
    LakeTable::ALL.into_iter().find(|table| table.folder_name() == name).ok_or("use readings or dead_letters")
}

/// Readings a second.
pub fn rate(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0).ok_or("must be a number above 0")
}

/// A share of readings that are anomalies.
pub fn anomaly_share(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|share| (0.0..=0.5).contains(share)).ok_or("must be a number from 0 to 0.5")
}

/// A factor on the size of injected anomalies.
pub fn anomaly_size(text: &str) -> Result<f64, &'static str> {
    text.parse().ok().filter(|size| (0.0..=100.0).contains(size)).ok_or("must be a number from 0 to 100")
}

/// Seconds between two readings of a device.
pub fn interval_secs(text: &str) -> Result<f64, &'static str> {
    let in_range = |seconds: &f64| (0.000_1..=31_536_000.0).contains(seconds);
    text.parse().ok().filter(in_range).ok_or("must be a number of seconds from 0.0001 to 31536000, a year")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_told_the_form() {
        assert!(instant("yesterday").unwrap_err().contains("2007-01-31T18:00:00Z"));
        assert!(utc_offset("99").unwrap_err().contains("+01:00"));
        assert!(model_kind("oracle").unwrap_err().contains("estimate"));
        assert_eq!(lake_table("dead_letters"), Ok(LakeTable::DeadLetters));
        assert!(lake_table("Readings").unwrap_err().contains("dead_letters"));
        for bad in ["0", "-1", "NaN", "inf", "fast"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        assert_eq!((rate("0.5"), anomaly_share("0.5")), (Ok(0.5), Ok(0.5)));
        assert!(anomaly_share("0.51").is_err());
        assert_eq!((anomaly_size("2"), interval_secs("0.1")), (Ok(2.0), Ok(0.1)));
        assert!(anomaly_size("-1").is_err() && interval_secs("0").is_err());
    }
}
