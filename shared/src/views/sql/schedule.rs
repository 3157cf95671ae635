//! Who runs the schedule of a stream.

use super::Statement;
use crate::{checkpoint::OwnerToken, position::StreamName, views::Lease};

/// The statement that takes or renews the lease; it changes no row while another holder's lasts.
pub fn take(stream: &StreamName, lease: &Lease) -> Statement {
    Statement::new(
        "INSERT INTO schedule_leases (stream, holder, leased_until) VALUES ($1, $2, $3)
         ON CONFLICT (stream) DO UPDATE SET holder = excluded.holder, leased_until = excluded.leased_until
         WHERE schedule_leases.holder = excluded.holder OR schedule_leases.leased_until <= $4
             OR schedule_leases.leased_until > $5",
    )
    .bind(stream.as_str())
    .bind(lease.holder.to_string())
    .bind(lease.until)
    .bind(lease.now)
    .bind(lease.until + lease.length())
}

/// The statement that gives it back, if it is `holder`'s.
pub fn release(stream: &StreamName, holder: OwnerToken) -> Statement {
    Statement::new("DELETE FROM schedule_leases WHERE stream = $1 AND holder = $2")
        .bind(stream.as_str())
        .bind(holder.to_string())
}
