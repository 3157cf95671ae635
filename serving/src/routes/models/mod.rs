//! Models in the hands of an operator.

mod reload;

pub(crate) use reload::reload_model;
