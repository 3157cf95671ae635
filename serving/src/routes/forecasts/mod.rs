//! Forecasts: the newest vintage as it was issued.

mod find;

pub(crate) use find::find_forecast;
