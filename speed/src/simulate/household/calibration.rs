//! Historical statistics of the UCI household, 2007 to 2009.
//!
//! Source: Hebrail and Berard (2012), "Individual Household Electric Power Consumption", UCI Machine Learning
//! Repository. Means by hour are taken from its hourly means of 2007-2009, local time without DST; lengths and levels
//! of episodes and the autocorrelations from its minutes of January to June 2007. Energies are Wh per minute.

use chrono::{DateTime, Datelike, FixedOffset, Timelike, Weekday};

/// Means by local hour, for weekdays and for weekends.
pub(super) type Hours = [[f64; 24]; 2];

/// Factors by month around 1.
pub(super) type Months = [f64; 12];

/// What the statistics are looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LocalHour {
    hour: usize,
    weekend: usize,
    month: usize,
}

impl LocalHour {
    pub(super) fn of(at: DateTime<FixedOffset>) -> Self {
        let weekend = matches!(at.weekday(), Weekday::Sat | Weekday::Sun);
        Self { hour: at.hour() as usize, weekend: usize::from(weekend), month: at.month0() as usize }
    }
}

/// A mean that depends on hour, kind of day and month.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seasonal {
    pub(super) hours: &'static Hours,
    pub(super) months: &'static Months,
}

impl Seasonal {
    pub(super) fn mean(&self, at: LocalHour) -> f64 {
        self.hours[at.weekend][at.hour] * self.months[at.month]
    }
}

/// Oven, dishwasher and microwave: sub-metering 1.
pub(super) const KITCHEN: Seasonal = Seasonal {
    hours: &[
        [
            0.24, 0.08, 0.05, 0.03, 0.01, 0.00, 0.02, 0.31, 1.80, 1.66, 0.64, 0.80, 0.77, 0.61, 0.82, 0.75, 0.43, 0.25,
            0.77, 2.42, 2.67, 2.86, 2.33, 1.00,
        ],
        [
            0.68, 0.71, 0.46, 0.14, 0.14, 0.07, 0.11, 0.09, 0.60, 0.92, 2.33, 3.40, 3.64, 3.12, 3.34, 3.70, 2.42, 2.02,
            2.81, 4.00, 3.48, 2.82, 2.23, 1.11,
        ],
    ],
    months: &[1.24, 0.95, 1.21, 0.98, 1.11, 1.09, 0.70, 0.48, 1.04, 0.91, 1.13, 1.14],
};

/// Washing machine and tumble dryer: sub-metering 2 above its refrigerator.
pub(super) const LAUNDRY: Seasonal = Seasonal {
    hours: &[
        [
            0.29, 0.10, 0.10, 0.11, 0.09, 0.08, 0.10, 0.30, 0.74, 0.57, 0.90, 1.34, 1.68, 2.05, 1.73, 1.61, 1.39, 1.38,
            1.26, 1.56, 1.74, 1.74, 1.04, 0.73,
        ],
        [
            0.46, 0.27, 0.11, 0.13, 0.11, 0.10, 0.10, 0.24, 0.74, 1.52, 2.34, 2.97, 2.41, 2.85, 3.62, 2.59, 2.91, 2.51,
            2.16, 2.87, 2.04, 1.48, 0.98, 0.43,
        ],
    ],
    months: &[1.27, 1.10, 1.37, 0.95, 0.98, 0.92, 0.73, 0.54, 0.91, 1.16, 1.07, 1.01],
};

/// The refrigerator on sub-metering 2, which runs a third of the time at 1 to 2 Wh per minute.
pub(super) const REFRIGERATOR: Seasonal = Seasonal { hours: &[[0.42; 24]; 2], months: &[1.0; 12] };

/// Water heater and air conditioner: sub-metering 3.
pub(super) const WATER: Seasonal = Seasonal {
    hours: &[
        [
            2.51, 1.77, 1.52, 1.40, 1.78, 2.03, 4.79, 12.68, 14.53, 13.56, 11.89, 9.97, 8.42, 6.92, 5.74, 4.90, 4.32,
            4.11, 4.52, 5.55, 7.48, 6.92, 5.23, 3.37,
        ],
        [
            3.45, 2.88, 2.18, 1.96, 1.63, 2.06, 2.37, 4.83, 7.22, 9.33, 9.14, 8.91, 9.11, 10.35, 10.21, 7.82, 7.02,
            7.70, 8.51, 9.63, 10.24, 9.02, 6.71, 5.39,
        ],
    ],
    months: &[1.17, 1.08, 1.08, 1.01, 1.00, 0.94, 0.68, 0.60, 1.00, 1.03, 1.14, 1.27],
};

/// Heating and other large loads that no sub-meter sees.
pub(super) const HEATING: Seasonal = Seasonal {
    hours: &[
        [
            0.81, 0.64, 0.52, 0.42, 0.37, 0.39, 4.77, 8.85, 3.46, 0.82, 0.66, 0.74, 0.79, 0.41, 0.31, 0.32, 0.81, 2.73,
            5.93, 10.80, 11.78, 12.62, 6.79, 2.08,
        ],
        [
            5.21, 3.46, 2.22, 1.85, 1.66, 1.53, 1.80, 3.62, 5.53, 3.24, 2.82, 2.81, 3.26, 2.74, 2.20, 2.50, 3.68, 6.67,
            10.56, 12.29, 12.36, 11.96, 7.98, 5.76,
        ],
    ],
    months: &[1.89, 1.45, 1.17, 0.57, 0.54, 0.54, 0.32, 0.49, 0.91, 0.92, 1.49, 1.72],
};

/// Standby, lighting and electronics: what remains where nothing large runs.
pub(super) const BASE: Seasonal = Seasonal {
    hours: &[
        [
            5.02, 4.54, 4.47, 4.45, 4.41, 4.39, 5.01, 6.42, 5.53, 5.60, 5.59, 5.76, 5.88, 5.92, 5.81, 5.81, 5.91, 5.89,
            6.23, 6.70, 7.20, 7.30, 7.48, 6.03,
        ],
        [
            5.02, 4.54, 4.47, 4.45, 4.41, 4.39, 5.01, 6.42, 5.53, 5.60, 5.59, 5.76, 5.88, 5.92, 5.81, 5.81, 5.91, 5.89,
            6.23, 6.70, 7.20, 7.30, 7.48, 6.03,
        ],
    ],
    months: &[1.26, 1.16, 1.20, 1.17, 1.04, 0.77, 0.74, 0.44, 0.75, 1.11, 1.16, 1.19],
};

/// Reactive power in kvar.
pub(super) const REACTIVE: Seasonal = Seasonal {
    hours: &[
        [
            0.11, 0.10, 0.10, 0.10, 0.09, 0.09, 0.10, 0.11, 0.11, 0.10, 0.11, 0.11, 0.12, 0.12, 0.12, 0.12, 0.12, 0.12,
            0.13, 0.18, 0.16, 0.13, 0.13, 0.12,
        ],
        [
            0.12, 0.11, 0.11, 0.10, 0.10, 0.10, 0.10, 0.10, 0.11, 0.11, 0.13, 0.16, 0.18, 0.17, 0.16, 0.17, 0.16, 0.17,
            0.18, 0.20, 0.17, 0.15, 0.13, 0.12,
        ],
    ],
    months: &[0.87, 0.81, 0.88, 1.00, 1.06, 1.19, 1.21, 1.17, 1.11, 0.90, 0.89, 0.91],
};

/// Voltage in V by local hour, for weekdays and weekends: the grid's own load shows in it.
const VOLTAGE: Hours = [
    [
        242.4, 241.7, 242.5, 242.5, 242.1, 241.6, 241.4, 239.2, 238.9, 239.0, 239.0, 239.2, 240.1, 240.4, 241.4, 242.1,
        241.9, 240.5, 239.4, 238.7, 238.9, 239.0, 241.0, 243.2,
    ],
    [
        242.0, 241.4, 242.4, 242.6, 242.5, 242.4, 242.4, 241.0, 240.3, 239.7, 239.1, 239.0, 239.4, 240.6, 241.0, 241.4,
        241.0, 239.1, 238.1, 237.6, 238.5, 238.9, 240.2, 242.3,
    ],
];

/// Volts that a month's mean lies above the year's.
const VOLTAGE_MONTHS: Months = [1.1, 0.5, 0.7, 0.2, -2.1, -1.0, -0.8, -0.8, -0.4, -0.3, 0.5, 2.3];

/// Mean voltage in V.
pub(super) fn mean_voltage(at: LocalHour) -> f64 {
    VOLTAGE[at.weekend][at.hour] + VOLTAGE_MONTHS[at.month]
}

/// Mean energy in Wh per minute of all loads together.
pub(super) fn mean_load(at: LocalHour) -> f64 {
    [KITCHEN, LAUNDRY, REFRIGERATOR, WATER, HEATING, BASE].iter().map(|load| load.mean(at)).sum()
}
