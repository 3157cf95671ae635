//! Names that every log can carry.

use crate::log::LogError;

/// Refuses a topic name that Kafka would refuse, so that an embedded stream can move to brokers as it is.
pub(crate) fn check_name(topic: &str) -> Result<(), LogError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !topic.is_empty() && topic.len() <= 249 && topic.bytes().all(legal) && topic != "." && topic != ".." {
        return Ok(());
    }
    let shown: String = topic.chars().take(80).collect();
    Err(LogError::Unusable {
        reason: format!("`{shown}` is no topic name: use 1 to 249 letters, digits, `.`, `_` or `-`"),
    })
}
