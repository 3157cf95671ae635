//! Why the serving layer does not start or stops.

use std::net::SocketAddr;

/// Meanings of a failed start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("the configuration is not valid:\n  serving.{}", problems.join("\n  serving."))]
    Config {
        /// One line a problem: key, value, fix.
        problems: Vec<String>,
    },
    /// Another process listens there.
    #[error(
        "{address} is taken by another process; stop it, or choose another address with --listen 127.0.0.1:PORT (port 0 takes a free one)"
    )]
    AddressTaken {
        /// Which address.
        address: SocketAddr,
    },
    /// The system refuses the address.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    AddressRefused {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The HTTP server broke while it ran.
    #[error("the HTTP server stopped: {source}")]
    Server {
        /// What the system said.
        source: std::io::Error,
    },
}
