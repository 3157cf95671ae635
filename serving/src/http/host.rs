//! Which host a request may name.
//!
//! Without authentication the loopback address is the only lock. A page of a foreign site can have its name resolved to
//! 127.0.0.1 (DNS rebinding) and then read and write as if it were ours, unless the name itself is checked.

use std::net::IpAddr;

use super::{ApiError, ErrorCode, shorten};

/// Refuses a host that is neither this machine's own name nor one of `allowed`.
pub(super) fn require_own(host: Option<&str>, allowed: &[String]) -> Result<(), ApiError> {
    // A browser always sends one.
    let Some(host) = host else { return Ok(()) };
    let name = without_port(host);
    if is_own_host(Some(host)) || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)) {
        Ok(())
    } else {
        Err(ApiError::new(ErrorCode::ForeignHost, format!("this server does not answer for host {:?}", shorten(name)))
            .hint("use localhost, or name the host in serving.allowed_hosts"))
    }
}

/// Whether the host is this machine's own name, or was not sent.
pub(crate) fn is_own_host(host: Option<&str>) -> bool {
    let Some(host) = host else { return true };
    let name = without_port(host);
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(address, _)| address);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_name_is_refused_even_if_it_leads_here() {
        let allowed = ["meter.lan".to_owned()];
        for own in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST", "meter.lan:80"] {
            assert!(require_own(Some(own), &allowed).is_ok(), "{own}");
        }
        for foreign in ["evil.example:8080", "localhost.evil.example", "10.0.0.1", ""] {
            assert!(require_own(Some(foreign), &allowed).is_err(), "{foreign}");
        }
    }
}
