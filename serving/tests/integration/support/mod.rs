//! What the tests stand on: [`TestApp`] runs the server over a [`World`] of in-memory twins, which `seed` fills.

mod app;
mod probe;
mod seed;
mod world;

pub use app::{TestApp, deps_of};
pub use probe::SetProbe;
pub use seed::anomaly;
pub use world::{World, at};
