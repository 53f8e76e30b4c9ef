//! Messages that have one encoding alone, so that all readers read the same in them or nothing (CONV-008).

use prost::{Message, bytes::Bytes};

/// Reads a message; none if it is none, or not canonical. What is hashed or verified stays `bytes`: the message is encoded again
/// only to be compared (CONV-004).
pub(crate) fn decode<M: Message + Default>(bytes: &Bytes) -> Option<M> {
    let message = M::decode(bytes.clone()).ok()?;
    (message.encode_to_vec() == *bytes).then_some(message)
}
