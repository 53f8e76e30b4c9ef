//! Page tokens: which list, and the id after which it goes on. They need no state, and hold nothing secret.

use aside_proto::id::IdempotencyKey;
use bytes::{BufMut as _, Bytes, BytesMut};

/// The lists that come in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// ListRooms: the id is a `conversation_id`.
    Rooms,
    /// ListMembers: the id is a `user_id`.
    Members,
    /// ListSummaries: the id is a `conversation_id`.
    Summaries,
    /// ListWatermarks: the id is a `user_id`.
    Watermarks,
    /// ListPins, which goes on before a `pin_seq`: see [`seq_token`].
    Pins,
    /// Search: its tokens are made by `search`, since no id is the place of a message.
    Search,
}

/// Not a token that this server can have made for this list (ROOM-019).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a page token of this list")]
pub struct TokenInvalid;

/// The token of the page after the one that ends with `last`.
#[must_use]
pub fn token(list: List, last: &[u8; 16]) -> Bytes {
    let mut token = BytesMut::with_capacity(17);
    token.put_u8(tag(list));
    token.put_slice(last);
    token.freeze()
}

/// The id after which the page that a token asks for begins; none for the first page, whose token is empty.
///
/// # Errors
/// If this server can't have made the token for this list.
pub fn after(list: List, token: &[u8]) -> Result<Option<[u8; 16]>, TokenInvalid> {
    let Some((&first, id)) = token.split_first() else { return Ok(None) };
    let id: [u8; 16] = id.try_into().map_err(|_| TokenInvalid)?;
    // Every id that this server makes is a UUIDv7, as an idempotency key is, or a UUIDv8 (PRIV-003).
    let is_hashed = id[6] >> 4 == 8 && id[8] >> 6 == 0b10;
    if first != tag(list) || !is_hashed && IdempotencyKey::new(id).time_ms().is_none() {
        return Err(TokenInvalid);
    }
    Ok(Some(id))
}

/// The token of the page after the one that ends with the entry of a seq.
#[must_use]
pub fn seq_token(list: List, last: u64) -> Bytes {
    let mut token = BytesMut::with_capacity(9);
    token.put_u8(tag(list));
    token.put_u64(last);
    token.freeze()
}

/// The seq after which the page that a token asks for goes on; none for the first page, whose token is empty.
///
/// # Errors
/// If this server can't have made the token for this list.
pub fn after_seq(list: List, token: &[u8]) -> Result<Option<u64>, TokenInvalid> {
    let Some((&first, seq)) = token.split_first() else { return Ok(None) };
    let seq = u64::from_be_bytes(seq.try_into().map_err(|_| TokenInvalid)?);
    if first == tag(list) && seq > 0 { Ok(Some(seq)) } else { Err(TokenInvalid) }
}

/// What a token of this list begins with.
pub(crate) fn tag(list: List) -> u8 {
    match list {
        List::Rooms => 1,
        List::Members => 2,
        List::Summaries => 3,
        List::Watermarks => 4,
        List::Pins => 5,
        List::Search => 9,
    }
}

#[cfg(test)]
mod tests {
    use aside_proto::{id::uuid_v7, limits::MAX_PAGE_TOKEN_BYTES};

    use super::*;

    // cites: ROOM-018, ROOM-019
    #[test]
    fn only_the_lists_own_tokens_are_taken() {
        let id = uuid_v7(1_700_000_000_000, [7; 10]);
        let made = token(List::Rooms, &id);
        assert!(made.len() <= MAX_PAGE_TOKEN_BYTES);
        assert_eq!(after(List::Rooms, &made), Ok(Some(id)));
        assert_eq!(after(List::Rooms, &[]), Ok(None));
        assert_eq!(after(List::Members, &made), Err(TokenInvalid));
        assert_eq!(after(List::Summaries, &made), Err(TokenInvalid));
        assert_eq!(after(List::Watermarks, &token(List::Members, &id)), Err(TokenInvalid));
        assert_eq!(after(List::Rooms, &made[..16]), Err(TokenInvalid));
        assert_eq!(after(List::Rooms, &[&made[..], &[0]].concat()), Err(TokenInvalid));
        assert_eq!(after(List::Rooms, &[0xff; 17]), Err(TokenInvalid));
        assert_eq!(after(List::Rooms, &[&[1][..], &[0xff; 16]].concat()), Err(TokenInvalid));
    }

    // cites: ROOM-018, ROOM-019
    #[test]
    fn tokens_of_seqs_are_the_lists_own_too() {
        let made = seq_token(List::Pins, 258);
        assert_eq!(after_seq(List::Pins, &made), Ok(Some(258)));
        assert_eq!(after_seq(List::Pins, &[]), Ok(None));
        let other = token(List::Rooms, &uuid_v7(1_700_000_000_000, [7; 10]));
        for wrong in
            [&other[..], &made[..8], &[&made[..], &[0]].concat(), &seq_token(List::Pins, 0)]
        {
            assert_eq!(after_seq(List::Pins, wrong), Err(TokenInvalid));
        }
        assert_eq!(after_seq(List::Members, &made), Err(TokenInvalid));
        assert_eq!(after(List::Rooms, &made), Err(TokenInvalid));
    }
}
