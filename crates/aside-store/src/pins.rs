//! Pinned messages as they are read.

use aside_proto::{id::UserId, v1};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use prost::Message as _;

use crate::{
    db::{Columns as _, Pool, signed},
    error::{Refused, Stop},
    logs,
    page::{self, List},
    request::ListPins,
    rooms,
};

/// Bytes of Pins besides its items: a page token, its key and length.
const PINS_OVERHEAD_BYTES: usize = 16;
/// Bytes of a pin in Pins besides those of the pin: a key and a length.
const PIN_OVERHEAD_BYTES: usize = 1 + 5;

/// A page of a conversation's pins, the last first.
pub(crate) const PINS: &str =
    "SELECT p.pin_seq, e.header, e.salt, e.payload, e.payload_hash FROM pins p
     JOIN entries e ON e.conversation = p.conversation AND e.seq = p.seq
     WHERE p.conversation = ? AND p.pin_seq < ? ORDER BY p.pin_seq DESC LIMIT ?";

/// PIN-006.
pub(crate) async fn list(pool: &Pool, user: UserId, list: &ListPins) -> Result<v1::Pins, Stop> {
    let before = page::after_seq(List::Pins, &list.page_token)
        .map_err(|_| Refused::PageTokenInvalid)?
        .unwrap_or(u64::MAX);
    let key = rooms::room_membership(pool, list.conversation, user).await?;
    let mut rows = sqlx::query(PINS)
        .bind(key)
        .bind(signed(before))
        .bind(signed(list.page_size.into()) + 1)
        .fetch(pool);

    let mut pins: Vec<v1::Pin> = Vec::new();
    let mut bytes = PINS_OVERHEAD_BYTES;
    let mut next_page_token = Bytes::new();
    while let Some(row) = rows.try_next().await? {
        let pin = v1::Pin { pin_seq: row.number(0)?, entry: Some(logs::entry(&row, 1)?) };
        bytes += PIN_OVERHEAD_BYTES + pin.encoded_len();
        let is_full = pins.len() == list.page_size as usize || bytes > list.max_bytes;
        if let Some(last) = pins.last().filter(|_| is_full) {
            next_page_token = page::seq_token(List::Pins, last.pin_seq);
            break;
        }
        pins.push(pin);
    }
    Ok(v1::Pins { pins, next_page_token })
}
