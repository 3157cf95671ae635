//! Data files are written anew and put in the place of others, whatever else is committed meanwhile.
//!
//! data files -[`FileCopy`]-> a file that nobody sees yet -[`Rewriting::replace`]-> the table
//!
//! Whoever rewrites says which files become one, and what becomes of their rows: [`crate::jobs::compact`] merges and changes
//! none, [`crate::marking`] sets flags, [`crate::erasure`] leaves tombstones. All of them conflict with each other over a
//! file and with nobody else; docs/adr/0005 says why.

mod copy;
mod replace;

pub(crate) use copy::FileCopy;
pub(crate) use replace::{MAX_LOOKS, Rewriting};
