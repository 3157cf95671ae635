//! How much there is, by layer.

mod find;

pub(crate) use find::{count_layers, find_counts};
