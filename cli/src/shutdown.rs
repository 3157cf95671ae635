//! Ctrl-C and SIGTERM become one token, or the end of a wait.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

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
        std::process::exit(130);
    });
    Ok(token)
}

/// Waits for the first Ctrl-C or SIGTERM; from the call on neither of them ends the process by itself.
///
/// # Errors
/// Signals cannot be handled here.
pub fn interrupted() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    })
}
