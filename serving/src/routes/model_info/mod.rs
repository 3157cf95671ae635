//! The models that serve: what they are worth, beside the naive methods that they have to beat.

mod body;
mod find;

pub(crate) use body::{ModelBody, best_baseline};
pub(crate) use find::{find_model_info, served_models};
