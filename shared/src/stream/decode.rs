//! Bytes become readings, by the profile alone.

/// Raised whenever the same bytes may decode to something else.
pub const DECODER_VERSION: u32 = 1;

/// Header in which a simulator sends the kind of an injected anomaly, out of band.
pub const INJECTED_HEADER: &str = "kilowatch-injected";
