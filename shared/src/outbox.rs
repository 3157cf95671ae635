//! A message to the world outside, on its way through the outbox.

use bytes::Bytes;

use crate::position::SourcePosition;

/// One message. It is a function of the log record that it tells of, so whoever writes it twice writes the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The record that it tells of; messages of a partition leave in the order of their positions.
    pub position: SourcePosition,
    /// The same for the same record and meaning, at every try and replay: receivers recognise a repeat by it.
    pub id: String,
    /// The topic, index or collection that it is for.
    pub topic: String,
    /// Messages of one key keep their order.
    pub key: Option<Bytes>,
    /// The body; `None` where there is nothing to say but the headers.
    pub payload: Option<Bytes>,
    /// Names and values beside the body.
    pub headers: Vec<(String, String)>,
}
