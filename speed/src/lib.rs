//! speed

pub mod simulate;
