//! Why a file cannot be ingested. A bad line is no error: it is reported and the rest goes in.

use std::{io, path::PathBuf};

use kilowatch_shared::retry::RetryHint;

/// Meanings of input errors. Nothing of the file is in the lake after any of them.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// There is no such file.
    #[error("{}: no such file", path.display())]
    NotFound {
        /// What was asked for.
        path: PathBuf,
    },
    /// A folder, a pattern or an address that leads to no file.
    #[error("{name}: {what}")]
    NothingThere {
        /// What was asked for.
        name: String,
        /// What is not there.
        what: &'static str,
    },
    /// It is a folder.
    #[error("{}: a folder; name a file", path.display())]
    Directory {
        /// What was asked for.
        path: PathBuf,
    },
    /// This user may not read it.
    #[error("{}: permission denied; this user needs to read it", path.display())]
    PermissionDenied {
        /// What was asked for.
        path: PathBuf,
    },
    /// It has no bytes, or none after decompression.
    #[error("{}: the file is empty", path.display())]
    Empty {
        /// What was asked for.
        path: PathBuf,
    },
    /// It has a header or a schema, and nothing after it.
    #[error("{}: a header and no rows", path.display())]
    HeaderOnly {
        /// What was asked for.
        path: PathBuf,
    },
    /// Columns that are needed are not there.
    #[error(
        "{}: no column {}; found {}. Name those that the file has with --columns measure=Header,... and --time-column \
         Header: those that it does not name stay missing{}",
        path.display(), quoted(missing), quoted(found), separator_hint(found)
    )]
    MissingColumns {
        /// The file.
        path: PathBuf,
        /// What is needed and not there.
        missing: Vec<String>,
        /// What the header says.
        found: Vec<String>,
    },
    /// The request contradicts itself or the stream's profile.
    #[error("{reason}")]
    BadRequest {
        /// What is wrong and what to write.
        reason: String,
    },
    /// A line so long that the file is hardly a table.
    #[error(
        "{}: line {line} is longer than {limit_bytes} bytes; remove or repair it, if this is a table of text at all",
        path.display()
    )]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: u64,
        /// The longest line that is read.
        limit_bytes: usize,
    },
    /// A packing or an encoding that is not read.
    #[error("{}: {found}; {fix}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What its first bytes say that it is.
        found: &'static str,
        /// What to do first.
        fix: &'static str,
    },
    /// A file that the lake knows, and that was read in another way when it came.
    #[error(
        "{}: the lake has line {line} of this very file with another device, time or values, or as a bad line where it \
         is none now, or the reverse, so the file was ingested with other options (--columns, --utc-offset, ..) or another \
         profile; to replace those rows, pack it with gzip first, which makes it another file",
        path.display()
    )]
    ReadOtherwise {
        /// The file.
        path: PathBuf,
        /// The first such line, from 1.
        line: u64,
    },
    /// A file of which an ingest broke off once its bad lines were in, and that is read in another way now.
    #[error(
        "{}: an ingest of this very file broke off after its bad lines were dead letters, and line {line} is one of them where \
         it is none now, or the reverse; run it again with the options (--columns, --utc-offset, ..) and the profile of then, \
         or change its bytes, packing it anew for instance, which makes it another file",
        path.display()
    )]
    BrokenOffOtherwise {
        /// The file.
        path: PathBuf,
        /// The first such line, from 1.
        line: u64,
    },
    /// None of its lines can be read, so it is hardly the file or the layout that was meant.
    #[error(
        "{}: none of its {bad_lines} lines can be read; the first is line {line}: {reason}. \
         Is this the right file and format?",
        path.display()
    )]
    NothingReadable {
        /// The file.
        path: PathBuf,
        /// How many lines there are.
        bad_lines: u64,
        /// The first of them.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// More rows than can be told apart in memory.
    #[error(
        "{}: it has more than {limit_rows} rows; split the file, and ingest the parts",
        path.display()
    )]
    TooManyRows {
        /// The file.
        path: PathBuf,
        /// How many may be told apart.
        limit_rows: usize,
    },
    /// So much of it is unreadable that it is hardly the file that was meant.
    #[error(
        "{}: gave up after {bad_lines} bad lines; the first is line {line}: {reason}. Is this the right file and format?",
        path.display()
    )]
    TooManyBadLines {
        /// The file.
        path: PathBuf,
        /// How many there were until then.
        bad_lines: u64,
        /// The first of them.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// It is not what its first bytes promise: cut off, or damaged.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// More bytes than the spool may hold.
    #[error(
        "{}: it does not fit into the spool {}, which may hold {limit_mib} MiB (ingest.spool_mib); raise that, or bring the \
         bytes to this machine, unpack them, and name the files",
        path.display(), folder.display()
    )]
    SpoolFull {
        /// What was to be spooled.
        path: PathBuf,
        /// Where.
        folder: PathBuf,
        /// How much may be there.
        limit_mib: u64,
    },
    /// A store does not give it.
    #[error("{url}: {reason}; {fix}")]
    Remote {
        /// Its address.
        url: String,
        /// What the store said.
        reason: String,
        /// Where to look.
        fix: &'static str,
        /// Whether the store may give it later.
        retry: RetryHint,
    },
    /// Somebody wrote to it meanwhile.
    #[error("{}: the file changed while it was read; run it again when it is complete", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Reading it, or writing the statistics, failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl IngestError {
    /// Whether the same file may go in later, with nothing changed by anybody but whoever writes it.
    #[must_use]
    pub const fn retry_hint(&self) -> RetryHint {
        match self {
            Self::Remote { retry, .. } => *retry,
            Self::Changed { .. } => RetryHint::WithBackoff,
            _ => RetryHint::Never,
        }
    }

    /// Translates what the system says about a path.
    pub(crate) fn from_io(path: &std::path::Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { path },
            io::ErrorKind::IsADirectory => Self::Directory { path },
            io::ErrorKind::UnexpectedEof => {
                Self::Damaged { path, reason: "the compressed data ends too early; the file is cut off".to_owned() }
            }
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Damaged { path, reason: format!("damaged compressed data: {source}") }
            }
            _ => Self::Io { path, source },
        }
    }
}

/// What a header of one column mostly means.
fn separator_hint(found: &[String]) -> &'static str {
    if found.len() == 1 { ". Or say what separates the fields with --separator" } else { "" }
}

/// Names for a message, at most so many that it stays readable.
fn quoted(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text: Vec<String> =
        names.iter().take(SHOWN).map(|name| format!("`{}`", name.chars().take(60).collect::<String>())).collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    if text.is_empty() { "nothing".to_owned() } else { text.join(", ") }
}
