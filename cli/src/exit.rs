//! How a command ends that did not simply succeed: 0 done, 1 failed, 2 wrong use.

use std::process::ExitCode;

/// Arguments or settings that can never work, whatever the state of the world.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUse(pub String);

/// Whoever read standard output has closed it, as `head` does when it has enough.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub struct ReaderGone;

/// Tells the operator what went wrong and gives the code of it.
pub fn explain(error: &anyhow::Error) -> ExitCode {
    if error.is::<ReaderGone>() {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error:#}");
    if error.is::<WrongUse>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// What a failed write to standard output means.
pub fn writing(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => ReaderGone.into(),
        _ => anyhow::Error::new(error).context("writing to standard output"),
    }
}
