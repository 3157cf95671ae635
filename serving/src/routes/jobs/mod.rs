//! Runs of batch jobs.

mod list;

pub(crate) use list::list_jobs;
