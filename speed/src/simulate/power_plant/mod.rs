//! Gas, wind, solar and hydro plants: a driver that follows day, season and weather, and the output that it gives.
//!
//! `driver` makes wind, sun, water and demand, `plant` turns them into megawatts with the wear that makes the same driver
//! give less from month to month (the concept drift of this system) until an overhaul.

mod driver;
mod plant;

pub(super) use plant::{EFFECTS, Plant};
