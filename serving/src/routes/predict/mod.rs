//! Estimates: what the meter should show, from the other measures of the same instant.
//!
//! Fields, as text -[`validate`]-> inputs and an instant -model-> [`Estimate`]. The route and the form share it all.

mod estimate;
mod validate;

pub(crate) use estimate::{Estimate, estimate, estimate_by_body, estimate_by_query, require_estimate};
pub(crate) use validate::FieldProblems;
