//! The lake on Delta tables.
//!
//! A table is its log: `log` follows it commit by commit (`state` is their sum) and appends to it by
//! put-if-absent. Each commit is checked against the state that it is put on, so a decision ("L is still where the
//! caller saw it") can never be overtaken. `segments` is speed's side (`append` writes, `readback` reads for replays),
//! `ingest` and `rewrite` are batch's, [`TableFiles`] is what readers get, now or of the past (`time_travel`, `history`), `vacuum` deletes
//! what nobody needs any more, `expire` takes out rows that are too old, `expansion` adds columns; states and models stand
//! beside the tables as plain objects.
//!
//! The commit loop is our own and not deltalake's, because that one may lower a `txn` when its snapshot is fresh, lists
//! the whole log on every commit, and cannot tell its own commit from a stranger's after a lost answer. Checkpoints are
//! deltalake's work.

mod actions;
mod append;
mod changes;
mod checkpoint;
mod commit;
mod door;
mod drafts;
mod erase;
mod expansion;
mod expire;
mod extent;
mod history;
mod ingest;
mod log;
mod objects;
mod readback;
mod replays;
mod rewrite;
mod segments;
mod state;
mod stored;
mod tables;
mod time_travel;
mod vacuum;

pub use changes::FileChanges;
pub use door::DeltaLake;
pub use expansion::ColumnChanges;
pub use expire::ExpiredFiles;
pub use history::{CommitAuthor, CommittedSegment, TableVersion};
pub use ingest::{FileIngest, Replaced, WrittenFile};
pub use replays::replayed_position;
pub use rewrite::Rewrite;
pub use state::LakeFile;
pub use tables::TableFiles;
pub use vacuum::{StoredObject, VacuumLimits, VacuumPlan};
