//! What can go wrong at the lake.

use chrono::{DateTime, Utc};

use crate::{
    model::ModelId,
    position::{Offset, StreamName},
    retry::RetryHint,
};

/// Meanings of lake errors; the codes of Delta and object stores stay behind the door.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The address cannot be understood.
    #[error("lake url `{url}`: {reason}")]
    BadUrl {
        /// The address, without secrets.
        url: String,
        /// What is wrong and what to write.
        reason: String,
    },
    /// The table does not exist.
    #[error("the lake has no table `{table}`")]
    NoSuchTable {
        /// `<stream>/<table>`.
        table: String,
    },
    /// The version does not exist.
    #[error("table `{table}` has no version {version}, or no longer")]
    NoSuchVersion {
        /// `<stream>/<table>`.
        table: String,
        /// What was asked for.
        version: i64,
    },
    /// A name that none of the lake's tables has.
    #[error("the lake has no table `{table}`; it has {known}")]
    UnknownTable {
        /// What was asked for.
        table: String,
        /// The tables that there are.
        known: String,
    },
    /// The log of the table does not reach to the version.
    #[error("table `{table}` has no version {version}: its log reaches from {oldest} to {newest}")]
    OutOfReach {
        /// `<stream>/<table>`.
        table: String,
        /// What was asked for.
        version: i64,
        /// The oldest version that can be read.
        oldest: i64,
        /// The newest.
        newest: i64,
    },
    /// The table had no commit yet at that instant, or the log no longer tells.
    #[error(
        "table `{table}` has no version of {at} or before; the oldest one that its log tells of is {oldest}, of {oldest_at}"
    )]
    NoVersionAt {
        /// `<stream>/<table>`.
        table: String,
        /// What was asked for.
        at: DateTime<Utc>,
        /// The oldest version that can be read.
        oldest: i64,
        /// When it was committed.
        oldest_at: DateTime<Utc>,
    },
    /// Time travel to a version whose files a vacuum has deleted.
    #[error(
        "version {version} of table `{table}` is forgotten: {missing} of its data files are deleted; choose a newer one \
         of `kilowatch lake versions`"
    )]
    Vacuumed {
        /// `<stream>/<table>`.
        table: String,
        /// What was asked for.
        version: i64,
        /// How many files are missing.
        missing: u64,
    },
    /// Data files that were to be committed are no longer there.
    #[error(
        "table `{table}`: {missing} data files that waited for their commit are deleted, for their job stood still for so \
         long that a vacuum took it for dead; nothing of it is in, and it can be run again"
    )]
    DraftGone {
        /// `<stream>/<table>`.
        table: String,
        /// How many.
        missing: u64,
    },
    /// The model is not in the lake.
    #[error("the lake has no model {id}")]
    NoSuchModel {
        /// Which one.
        id: ModelId,
    },
    /// A segment that would not move L forward from where the base has it: a bug, or somebody else's commit.
    #[error("segment of {partition} goes from {from} to {to}, but the lake holds it up to {closed}")]
    NotAdvancing {
        /// Which partition.
        partition: String,
        /// Where the segment begins.
        from: Offset,
        /// Where it ends.
        to: Offset,
        /// L.
        closed: Offset,
    },
    /// A segment on its way to the tables of another stream: a bug.
    #[error("segment of {partition} does not belong to stream `{stream}`")]
    WrongStream {
        /// Which partition.
        partition: String,
        /// The stream whose table was addressed.
        stream: StreamName,
    },
    /// A replay of readings of which some reached their age limit.
    #[error(
        "readings of {partition} below {first} are gone from the lake by their age, and a replay was to begin at {from}: it \
         can begin at the detectors' state that is saved at {first}, or later"
    )]
    Expired {
        /// Which partition.
        partition: String,
        /// Where it was to begin.
        from: Offset,
        /// The first offset from which on the lake has all readings.
        first: Offset,
    },
    /// A program that is not kilowatch rolled the table back: L may name rows that are gone.
    #[error(
        "table `{table}` was restored by another program in version {version}; restore the version before it, or let \
         `kilowatch` roll back"
    )]
    ForeignRestore {
        /// `<stream>/<table>`.
        table: String,
        /// The version that did it.
        version: i64,
    },
    /// The table needs a newer program.
    #[error("table `{table}` needs Delta {needs}, this program has reader 1 and writer 2")]
    TooNew {
        /// `<stream>/<table>`.
        table: String,
        /// Which protocol version.
        needs: String,
    },
    /// The store cannot be reached or is busy; the same call may go through later.
    #[error("the lake is not available: {reason}")]
    Unavailable {
        /// What the store said, without secrets.
        reason: String,
    },
    /// The store refuses: permission, credentials, full disk.
    #[error("the lake refused: {reason}")]
    Refused {
        /// What the store said, without secrets, and what to do.
        reason: String,
    },
    /// What is there cannot be understood.
    #[error("the lake holds something unreadable: {reason}")]
    Corrupt {
        /// What was found.
        reason: String,
    },
    /// A query went wrong.
    #[error("query over the lake: {reason}")]
    Query {
        /// What the engine said.
        reason: String,
    },
    /// A statement that would do more than read.
    #[error("only queries are taken here (SELECT, EXPLAIN, DESCRIBE, SHOW), nothing that writes or sets: {reason}")]
    NotReadOnly {
        /// What the engine said.
        reason: String,
    },
    /// The engine would need more memory than the session has.
    #[error("the engine needs more memory than it may use: {reason}")]
    OutOfMemory {
        /// Which operator.
        reason: String,
    },
    /// A query needs more than it may have.
    #[error("the query {need}; ask for less, or raise `{setting}`")]
    LimitReached {
        /// What it needs: `took longer than 60 s`.
        need: String,
        /// The setting that limits it.
        setting: &'static str,
    },
}

impl LakeError {
    /// Whether to try again.
    #[must_use]
    pub const fn retry_hint(&self) -> RetryHint {
        match self {
            Self::Unavailable { .. } | Self::DraftGone { .. } => RetryHint::WithBackoff,
            _ => RetryHint::Never,
        }
    }
}

impl From<object_store::Error> for LakeError {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error;
        let reason = error.to_string();
        let refused = |advice: &str| Self::Refused { reason: format!("{reason}; {advice}") };
        match &error {
            _ if is_clock_skew(&error) => refused("set the clock of this machine"),
            // A folder says itself what it refuses.
            Error::PermissionDenied { .. } if is_refusal(&error) => Self::Refused { reason },
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                refused("credentials, endpoint and region come from AWS_...")
            }
            // A listing fails in another way than a read.
            _ if reason.contains("NoSuchBucket") => refused("make the bucket, or mend lake.url"),
            Error::NotFound { .. } => Self::Corrupt { reason },
            _ if is_refusal(&error) => Self::Refused { reason },
            _ => Self::Unavailable { reason },
        }
    }
}

/// Whether a store refused a request because of the time at which it was signed.
#[must_use]
pub fn is_clock_skew(error: &object_store::Error) -> bool {
    // What the S3 API calls it; the client hands the store's answer on as text.
    error.to_string().contains("RequestTimeTooSkewed")
}

/// Whether a local disk is full or may not be written, somewhere down the chain of causes.
fn is_refusal(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                ErrorKind::StorageFull
                    | ErrorKind::QuotaExceeded
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::PermissionDenied
            );
        }
        cause = error.source();
    }
    false
}
