//! Ctrl-C and SIGTERM become one token, or the end of a wait.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a command that was interrupted may take to remove its files and processes.
pub const CLEANING_UP: Duration = Duration::from_secs(10);

/// Exit code of a process that a second signal ended.
const SECOND_SIGNAL: i32 = 130;

/// A token that is cancelled by the first Ctrl-C or SIGTERM. A second one ends the process at once: what is not
/// committed then is found again at the next start.
///
/// # Errors
/// Signals cannot be handled here.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        for round in 0..2 {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            if round == 0 {
                tracing::info!("stopping: intake first, then open micro-batches, then the server");
                cancelled.cancel();
            }
        }
        std::process::exit(SECOND_SIGNAL);
    });
    Ok(token)
}

/// A token that is cancelled by the first Ctrl-C or SIGTERM, for a command that leaves nothing half done. It has this long to clean up;
/// then the process ends, for a write that nobody takes away keeps its thread for good. A second signal ends it at once.
///
/// # Errors
/// Signals cannot be handled here.
pub fn interrupted(grace: Duration) -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        cancelled.cancel();
        tokio::select! {
            () = tokio::time::sleep(grace) => std::process::exit(1),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(SECOND_SIGNAL);
    });
    Ok(token)
}
