//! A simulated reading as a message.

use bytes::Bytes;
use chrono::{DateTime, Timelike, Utc};
use kilowatch_shared::{log::NewRecord, stream::decode::INJECTED_HEADER};

/// A message that is keyed by its device, so that a device's readings keep their order, and that names what was
/// injected in a header, where no detector looks.
pub(super) fn record(device: &str, payload: Vec<u8>, injected: Option<&'static str>) -> NewRecord {
    let truth = injected.map(|kind| (INJECTED_HEADER.to_owned(), Bytes::from_static(kind.as_bytes())));
    NewRecord {
        key: Some(Bytes::copy_from_slice(device.as_bytes())),
        payload: Some(payload.into()),
        headers: truth.into_iter().collect(),
    }
}

/// The instant as Python's `datetime.isoformat` writes it, to the microsecond and without a fraction of zero; `zone` is
/// `+00:00`, or nothing where a producer leaves it out.
pub(super) fn python_iso(at: DateTime<Utc>, zone: &str) -> String {
    let format = if at.nanosecond() < 1000 { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%dT%H:%M:%S%.6f" };
    format!("{}{zone}", at.format(format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_python_writes_them() {
        let at = |text: &str| text.parse().unwrap();
        assert_eq!(python_iso(at("2024-05-01T12:00:00Z"), ""), "2024-05-01T12:00:00");
        assert_eq!(python_iso(at("2024-05-01T12:00:00.25Z"), "+00:00"), "2024-05-01T12:00:00.250000+00:00");
    }
}
