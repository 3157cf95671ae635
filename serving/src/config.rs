//! Configuration of the serving layer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use kilowatch_shared::position::StreamName;
use serde::{Deserialize, Serialize};

/// Section `[serving]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServingConfig {
    /// Address and port to listen on; a loopback address, port 0 takes a free one. Default `127.0.0.1:8080`. Variable
    /// `KILOWATCH_SERVING__LISTEN`, flag `--listen`.
    pub listen: String,
    /// Lets other machines reach the address although nobody has to say who they are: they can read everything, post
    /// readings and see every page. For a container whose port is published on loopback alone, or a network that lets
    /// nobody in. Default false. Variable `KILOWATCH_SERVING__ALLOW_UNAUTHENTICATED_BEYOND_LOOPBACK`.
    pub allow_unauthenticated_beyond_loopback: bool,
    /// Names besides `localhost` and the loopback addresses that a request may name as its host, for a reverse proxy
    /// on this machine. Default none. Variable `KILOWATCH_SERVING__ALLOWED_HOSTS`.
    pub allowed_hosts: Vec<String>,
    /// The stream that is meant where a request names none. Default `household`. Variable
    /// `KILOWATCH_SERVING__DEFAULT_STREAM`.
    pub default_stream: String,
    /// Worker threads, 1 to 64. Default 2. Variable `KILOWATCH_SERVING__WORKERS`.
    pub workers: usize,
    /// Largest body of a request in bytes, 1024 to 1073741824. Default 8388608 (8 MiB). Variable
    /// `KILOWATCH_SERVING__MAX_BODY_BYTES`.
    pub max_body_bytes: usize,
    /// Most readings in one request, 1 to 1000000. Default 50000. Variable `KILOWATCH_SERVING__MAX_READINGS`.
    pub max_readings: usize,
    /// Seconds between two refreshes of an open dashboard, 1 to 3600. Default 5. Variable
    /// `KILOWATCH_SERVING__REFRESH_SECS`.
    pub refresh_secs: u64,
    /// Seconds that open requests get to finish at shutdown, 0 to 600. Default 5. Variable
    /// `KILOWATCH_SERVING__SHUTDOWN_TIMEOUT_SECS`.
    pub shutdown_timeout_secs: u64,
}

impl Default for ServingConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            allow_unauthenticated_beyond_loopback: false,
            allowed_hosts: Vec::new(),
            default_stream: "household".to_owned(),
            workers: 2,
            max_body_bytes: 8 * 1024 * 1024,
            max_readings: 50_000,
            refresh_secs: 5,
            shutdown_timeout_secs: 5,
        }
    }
}

impl ServingConfig {
    /// What is wrong, each with key (inside the section), value and fix; empty if nothing is.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(problem) = self.listen_address() {
            problems.push(problem);
        }
        if let Err(error) = StreamName::parse(&self.default_stream) {
            problems.push(format!("default_stream = {:?}: must be {}", self.default_stream, error.rule));
        }
        for host in &self.allowed_hosts {
            if host.is_empty() || host.contains(['/', ' ']) || host.contains("://") {
                problems.push(format!("allowed_hosts = {host:?}: must be a bare host name, as in meter.lan"));
            }
        }
        let mut require = |key: &str, value: u64, low: u64, high: u64| {
            if !(low..=high).contains(&value) {
                problems.push(format!(
                    "{key} = {value}: must be {low} to {high}; set it in kilowatch.toml or in KILOWATCH_SERVING__{}",
                    key.to_ascii_uppercase()
                ));
            }
        };
        require("workers", self.workers as u64, 1, 64);
        require("max_body_bytes", self.max_body_bytes as u64, 1024, 1 << 30);
        require("max_readings", self.max_readings as u64, 1, 1_000_000);
        require("refresh_secs", self.refresh_secs, 1, 3600);
        require("shutdown_timeout_secs", self.shutdown_timeout_secs, 0, 600);
        problems
    }

    /// The address to listen on.
    ///
    /// # Errors
    /// The problem as a line with key, value and fix: not an address, or one that other machines can reach. There
    /// is no authentication yet, so nobody but this machine may call.
    pub fn listen_address(&self) -> Result<SocketAddr, String> {
        parse_listen(&self.listen, self.allow_unauthenticated_beyond_loopback, "SERVING")
    }
}

/// An address of section `section`, if nobody but this machine can reach it or it is allowed that others do.
pub(crate) fn parse_listen(listen: &str, allow_beyond_loopback: bool, section: &str) -> Result<SocketAddr, String> {
    let text = listen.trim();
    let parsed = match text.strip_prefix("localhost:") {
        Some(port) => port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        None => text.parse().ok(),
    };
    let Some(address) = parsed else {
        return Err(format!(
            "listen = {listen:?}: must be ADDRESS:PORT, as in 127.0.0.1:8080; set it in kilowatch.toml, in \
             KILOWATCH_{section}__LISTEN or with --listen",
        ));
    };
    if address.ip().is_loopback() || allow_beyond_loopback {
        return Ok(address);
    }
    Err(format!(
        "listen = {listen:?}: other machines could reach this address, and there is no authentication yet; \
         listen on 127.0.0.1:{} and put a proxy with authentication before it, or, where the network itself lets nobody \
         in, set allow_unauthenticated_beyond_loopback = true",
        address.port()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening_on(listen: &str) -> ServingConfig {
        ServingConfig { listen: listen.to_owned(), ..ServingConfig::default() }
    }

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(ServingConfig::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn an_address_beyond_loopback_is_refused_with_the_way_out() {
        for open in ["0.0.0.0:8080", "[::]:8080", "192.168.1.7:8080"] {
            let problem = listening_on(open).problems().remove(0);
            assert!(problem.contains(open) && problem.contains("127.0.0.1:8080"), "{problem}");
        }
        for closed in ["127.0.0.1:0", "[::1]:8080", "localhost:9"] {
            assert_eq!(listening_on(closed).problems(), Vec::<String>::new(), "{closed}");
        }
    }

    #[test]
    fn an_address_beyond_loopback_is_taken_where_that_is_asked_for() {
        let open = ServingConfig { allow_unauthenticated_beyond_loopback: true, ..listening_on("0.0.0.0:8080") };
        assert_eq!(open.problems(), Vec::<String>::new());
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let config = ServingConfig { workers: 0, refresh_secs: 0, ..listening_on("8080") };
        let problems = config.problems().join("\n");
        for key in ["listen = ", "workers = 0", "KILOWATCH_SERVING__REFRESH_SECS"] {
            assert!(problems.contains(key), "{key} is missing in:\n{problems}");
        }
    }
}
