//! What people and programs see of kilowatch: JSON routes, pages, metrics and health, over the views, the log and the
//! models of the lake.
//!
//! A request passes `http` (id, host check, strict parameters, one error envelope), is answered by a resource of
//! `routes` or by one of the `pages`, and leaves with the security headers. Every merged answer says where it comes
//! from (`provenance`). [`Application`] starts exactly what `main` and the tests run.
//!
//! The contract of every route is `docs/API.md`.

mod assets;
mod calendar;
mod config;
mod error;
mod http;
mod models;
mod ops;
mod pages;
mod provenance;
mod readiness;
mod routes;
mod startup;
mod state;
mod telemetry;

pub use config::ServingConfig;
pub use error::StartError;
pub use ops::{OpsConfig, OpsServer};
pub use readiness::{LiveState, NoSpeedHere, ReadinessProbe, ReadinessProblem, ReadinessReport, StreamLiveState};
pub use startup::{Application, ServingDeps};
