//! What it takes to erase a device from the lake, a step a file.
//!
//! `tables` looks for what is left of the device until nothing is, and puts tombstones in its place: of `readings` its
//! rows, of `letters` the dead letters that are its own or name it. `states` makes the detectors forget it at L, as if they
//! had never seen it. Each step finds nothing to do where it was done before. [`crate::jobs::erase`] does them in order, and
//! then the views. docs/adr/0006 says why.

mod letters;
mod readings;
mod states;
mod tables;

pub(crate) use letters::{LettersOf, letters_in_views};
pub(crate) use readings::ReadingsOf;
pub(crate) use states::forget_at;
pub(crate) use tables::{count_in, erase_from};
