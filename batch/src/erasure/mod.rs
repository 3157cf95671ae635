//! What it takes to erase a device from the lake, a step a file.
//!
//! `readings` puts tombstones in the place of its rows, `letters` in that of dead letters that name it, and `states` makes
//! the detectors forget it at L, as if they had never seen it. Each step finds nothing to do where it was done before.
//! [`crate::jobs::erase`] does them in order, and then the views. docs/adr/0006 says why.

mod letters;
mod readings;
mod rewrite;
mod states;

pub(crate) use letters::{erase_letters, letters_in_views, letters_naming};
pub(crate) use readings::{erase_readings, rows_of_device};
pub(crate) use states::{forget_at, newest_state, restored};
