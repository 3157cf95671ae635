//! From which position on each model judges.

mod list;

pub(crate) use list::list_model_swaps;
