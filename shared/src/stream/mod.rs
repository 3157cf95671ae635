//! A stream as configuration: a profile says how messages look, and the decoder makes readings of them.
//!
//! TOML -[`profile`]-> [`StreamProfile`] -[`Decoder`]-> [`crate::reading::Reading`]; [`registry`] holds the built-in
//! profiles and the user's own. [`injection`] is the part of a profile that its simulator reads.

pub mod decode;
mod fields;
pub mod injection;
mod mention;
pub mod profile;
pub mod registry;

pub use crate::detect::{DetectorConfig, KernelConfig};
pub use decode::{DECODER_VERSION, DecodeError, Decoder};
pub use injection::{InjectedKind, InjectionConfig};
pub use mention::Mention;
pub use profile::{ForecastConfig, Measure, ProfileError, StreamProfile, TimeFormat, TimeStamps};
pub use registry::StreamRegistry;
