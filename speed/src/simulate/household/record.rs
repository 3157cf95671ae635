//! Simulated readings as messages of the topic `energy-stream`.

use chrono::SecondsFormat;
use kilowatch_shared::log::NewRecord;
use serde::Serialize;

use super::{anomaly::InjectedAnomaly, meter::HouseholdMeasures, simulator::SimulatedReading};
use crate::simulate::record::record;

/// The payload, in the order that its users know.
#[derive(Serialize)]
struct Payload<'a> {
    device_id: &'a str,
    timestamp: String,
    active_power: Option<f64>,
    reactive_power: Option<f64>,
    voltage: Option<f64>,
    current: Option<f64>,
    sub_metering_1: Option<u32>,
    sub_metering_2: Option<u32>,
    sub_metering_3: Option<u32>,
}

/// The reading as a JSON object; missing values are null.
///
/// # Errors
/// None of these values can fail; the error is serde's.
pub fn to_json(reading: &SimulatedReading) -> Result<Vec<u8>, serde_json::Error> {
    let number = |value: fn(&HouseholdMeasures) -> f64| reading.measures.as_ref().map(value);
    // Sub-meters count whole watt-hours.
    let whole = |value: fn(&HouseholdMeasures) -> f64| number(value).map(|wh| wh.round() as u32);
    serde_json::to_vec(&Payload {
        device_id: reading.device.as_str(),
        timestamp: reading.event_time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        active_power: number(|m| m.active_power),
        reactive_power: number(|m| m.reactive_power),
        voltage: number(|m| m.voltage),
        current: number(|m| m.current),
        sub_metering_1: whole(|m| m.sub_metering_1),
        sub_metering_2: whole(|m| m.sub_metering_2),
        sub_metering_3: whole(|m| m.sub_metering_3),
    })
}

/// The reading as a message: keyed by its device, so that a device's readings keep their order, and with the injected
/// anomaly in a header, where no detector looks.
///
/// # Errors
/// As [`to_json`].
pub fn to_record(reading: &SimulatedReading) -> Result<NewRecord, serde_json::Error> {
    Ok(record(reading.device.as_str(), to_json(reading)?, reading.injected.map(InjectedAnomaly::as_str)))
}
