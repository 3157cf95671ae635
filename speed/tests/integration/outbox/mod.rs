//! What the world outside is told: what every sink promises, and that the running layer tells everything.

mod delivering;
mod sinks;
