//! Roll-ups: partials of every stored window, computed by DataFusion from lake rows.
//!
//! `windows` runs `windows.sql`, in which `partial_of` gathers count, sum, extremes and sum of squares of a measure
//! in one pass; `touched` says which windows a change of the lake can have changed, and `superseded` finds the live
//! rows that a file's row replaces; `shape` is what of a profile windows follow from. [`crate::jobs::rollup`] publishes what comes out.

mod partial_of;
mod shape;
mod superseded;
mod touched;
mod windows;

pub(crate) use shape::Shape;
pub(crate) use superseded::{Settled, has_unsettled, settle_superseded};
pub(crate) use touched::{Scope, TouchedWindows, scope_since, windows_of};
pub(crate) use windows::WindowQuery;
