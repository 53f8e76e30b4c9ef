//! The events that are pushed, encoded once for all who get them.

use aside_proto::{
    frame,
    v1::{self, server_frame::Body},
};
use aside_store::Effect;
use bytes::Bytes;

pub(super) fn event_frame(event: Body) -> Bytes {
    frame::encode(&v1::ServerFrame { reply_to: 0, body: Some(event) })
}

/// An entry's seq, and the event that tells of it.
pub(super) fn entry_frame(effect: &Effect) -> Option<(u64, Bytes)> {
    let Effect::Appended { seq, entry, .. } = effect else { return None };
    let event = v1::EntryAppended { entry: Some(entry.clone()) };
    Some((*seq, event_frame(Body::EntryAppended(event))))
}

/// The event that says how far a user has got.
pub(super) fn watermark_frame(effect: &Effect) -> Option<Bytes> {
    let Effect::WatermarkMoved { conversation, user, delivered_seq, read_seq, .. } = effect else {
        return None;
    };
    let watermark = v1::Watermark {
        user_id: user.to_bytes(),
        delivered_seq: *delivered_seq,
        read_seq: *read_seq,
    };
    let event =
        v1::WatermarkMoved { conversation_id: conversation.to_bytes(), watermark: Some(watermark) };
    Some(event_frame(Body::WatermarkMoved(event)))
}

/// The event by which the operator says something.
pub(super) fn notice_frame(notice: v1::Notice) -> Bytes {
    event_frame(Body::Notice(notice))
}
