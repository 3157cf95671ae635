//! Opens the views that a URL names.

use std::{path::Path, sync::Arc};

use super::{SharedViews, ViewsError, postgres::PostgresViews, sqlite::SqliteViews};

/// Opens `postgres://...`, `sqlite:PATH`, `sqlite::memory:` or a plain path, and brings the schema to what this build
/// knows.
///
/// # Errors
/// [`ViewsError::BadUrl`] for another scheme, else as [`SqliteViews::open`] and [`PostgresViews::connect`].
pub async fn open(url: &str) -> Result<SharedViews, ViewsError> {
    match Address::parse(url)? {
        Address::Postgres(url) => Ok(Arc::new(PostgresViews::connect(url).await?)),
        Address::Memory => Ok(Arc::new(SqliteViews::in_memory().await?)),
        Address::File(path) => Ok(Arc::new(SqliteViews::open(Path::new(path)).await?)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Address<'a> {
    Postgres(&'a str),
    Memory,
    File(&'a str),
}

impl<'a> Address<'a> {
    fn parse(url: &'a str) -> Result<Self, ViewsError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url));
        }
        let path = match url.strip_prefix("sqlite:") {
            Some(":memory:") => return Ok(Self::Memory),
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None => url,
        };
        // Only the scheme is repeated: the rest may hold a password.
        if let Some((scheme, _)) = path.split_once("://") {
            return Err(ViewsError::BadUrl {
                reason: format!("scheme `{scheme}` is not known; write postgres://..., sqlite:PATH or a path"),
            });
        }
        if path.is_empty() {
            return Err(ViewsError::BadUrl { reason: "it names no file; write sqlite:PATH".to_owned() });
        }
        Ok(Self::File(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_database() {
        assert_eq!(Address::parse("sqlite:data/views.db").unwrap(), Address::File("data/views.db"));
        assert_eq!(Address::parse("sqlite:///var/views.db").unwrap(), Address::File("/var/views.db"));
        assert_eq!(Address::parse("/var/views.db").unwrap(), Address::File("/var/views.db"));
        assert_eq!(Address::parse("sqlite::memory:").unwrap(), Address::Memory);
        assert!(matches!(Address::parse("postgresql://h/db").unwrap(), Address::Postgres(_)));
    }

    #[test]
    fn an_error_does_not_repeat_the_password() {
        let error = Address::parse("mysql://user:hunter2@host/db").unwrap_err().to_string();
        assert!(error.contains("mysql") && !error.contains("hunter2"), "{error}");
    }
}
