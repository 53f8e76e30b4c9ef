//! What members do with a room: settings, invitations, pins.

use aside_proto::{
    id::{ConversationId, IdempotencyKey},
    v1::{self, client_frame, server_frame::Body},
};
use aside_session::client::room::Board;
use bytes::Bytes;
use prost::Message as _;

use super::{Client, MAX_HISTORY};
use crate::{Entry, Error, Pin, Room, RoomChange, store::Kept, view};

impl Client {
    /// Changes a room; for its owner. Gives the room as it is afterwards.
    ///
    /// # Errors
    /// NOT_PERMITTED, ROOM_NAME_TAKEN and ROOM_NAME_INVALID, INVALID_ARGUMENT for a topic or a description that is too long or has
    /// control characters (ROOM-024), among others.
    pub async fn update_room(
        &self,
        conversation: ConversationId,
        change: RoomChange,
    ) -> Result<Room, Error> {
        let RoomChange { name, topic, description, invite_only, retention } = change;
        let update = v1::UpdateRoom {
            conversation_id: conversation.to_bytes(),
            name,
            topic,
            description,
            invite_only,
            retention,
        };
        match self.call(client_frame::Body::UpdateRoom(update)).await? {
            Body::RoomUpdated(v1::RoomUpdated { room: Some(room) }) => Ok(room.try_into()?),
            _ => Err(Error::Gone),
        }
    }

    /// What a conversation that is followed is called, without asking the server.
    ///
    /// # Errors
    /// [`Error::NotFollowed`], [`Error::State`].
    pub async fn name(&self, conversation: ConversationId) -> Result<String, Error> {
        let known = self.store.conversation(conversation).await?;
        known.map(|known| known.name).ok_or(Error::NotFollowed)
    }

    /// What is talked about in a room that is followed, without asking the server; empty if nobody said.
    ///
    /// # Errors
    /// [`Error::NotFollowed`], [`Error::State`].
    pub async fn topic(&self, conversation: ConversationId) -> Result<String, Error> {
        let known = self.store.conversation(conversation).await?;
        known.map(|known| known.topic).ok_or(Error::NotFollowed)
    }

    /// Invites a user to a room. It succeeds for a member, and for who is invited already.
    ///
    /// # Errors
    /// NO_SUCH_USER, NOT_PERMITTED and TOO_MANY_INVITATIONS among others.
    pub async fn invite(&self, conversation: ConversationId, handle: &str) -> Result<(), Error> {
        let (conversation_id, handle) = (conversation.to_bytes(), handle.to_owned());
        let invite = v1::Invite { conversation_id, handle, withdraw: false };
        self.call(client_frame::Body::Invite(invite)).await.map(drop)
    }

    /// Withdraws the invitation that a user has to a room (INV-010). It succeeds if there is none.
    ///
    /// # Errors
    /// NO_SUCH_USER, and NOT_PERMITTED for one that somebody else made, unless one owns the room, among others.
    pub async fn uninvite(&self, conversation: ConversationId, handle: &str) -> Result<(), Error> {
        let (conversation_id, handle) = (conversation.to_bytes(), handle.to_owned());
        let invite = v1::Invite { conversation_id, handle, withdraw: true };
        self.call(client_frame::Body::Invite(invite)).await.map(drop)
    }

    /// The rooms that the user is invited to: to be joined, or left, which turns the invitation down (INV-006). Those that come while
    /// a connection stands are told by [`Event::Invited`](crate::Event::Invited) too; a program asks after each
    /// [`Connection::Online`](crate::Connection::Online).
    ///
    /// # Errors
    /// As every request: [`Error::Refused`], [`Error::Gone`].
    pub async fn invitations(&self) -> Result<Vec<Room>, Error> {
        let mut rooms = Vec::new();
        let mut page_token = Bytes::new();
        loop {
            let list = v1::ListRooms { invited_only: true, page_token, ..Default::default() };
            let Body::Rooms(page) = self.call(client_frame::Body::ListRooms(list)).await? else {
                return Err(Error::Gone);
            };
            // A server without `sync` knows no such filter, and invites nobody.
            for room in page.rooms.into_iter().filter(|room| room.invited) {
                rooms.push(room.try_into()?);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(rooms);
            }
        }
    }

    /// Pins the message at `seq`, or takes the pin off; for the room's owner. It succeeds for what is so already.
    ///
    /// # Errors
    /// NOT_PERMITTED, NO_SUCH_ENTRY and TOO_MANY_PINS among others.
    pub async fn set_pin(
        &self,
        conversation: ConversationId,
        seq: u64,
        pinned: bool,
    ) -> Result<(), Error> {
        let set = v1::SetPin { conversation_id: conversation.to_bytes(), seq, pinned };
        self.call(client_frame::Body::SetPin(set)).await.map(drop)
    }

    /// What is pinned, the last first: as the server says, or, without a connection, as the entries that are kept do (PIN-008). The
    /// messages come by the log, as [`message`](Self::message) gives them, not on the server's word.
    ///
    /// # Errors
    /// [`Error::NotFollowed`], [`Error::Tampered`], [`Error::Refused`].
    pub async fn pins(&self, conversation: ConversationId) -> Result<Vec<Pin>, Error> {
        if !self.is_online() {
            return self.pins_kept(conversation).await;
        }
        let mut pins = Vec::new();
        for (pin_seq, seq, message_id) in self.pins_listed(conversation).await? {
            let entry = match self.is_near(conversation, seq).await? {
                true => self.message(conversation, seq).await,
                false => Err(Error::NoSuchMessage(seq)),
            };
            match entry {
                Ok(entry) => pins.push(pin(pin_seq, seq, message_id, Some(entry))),
                Err(Error::NoSuchMessage(_)) => pins.push(pin(pin_seq, seq, message_id, None)),
                Err(error) => return Err(error),
            }
        }
        Ok(pins)
    }

    /// What the server lists: the seq of the pin, and the seq and id of the message.
    async fn pins_listed(
        &self,
        conversation: ConversationId,
    ) -> Result<Vec<(u64, u64, IdempotencyKey)>, Error> {
        let mut pins = Vec::new();
        let mut page_token = Bytes::new();
        loop {
            let conversation_id = conversation.to_bytes();
            let list = v1::ListPins { conversation_id, page_token, page_size: 0 };
            let Body::Pins(page) = self.call(client_frame::Body::ListPins(list)).await? else {
                return Err(Error::Gone);
            };
            for v1::Pin { entry, pin_seq } in page.pins {
                let entry = entry.unwrap_or_default();
                let header = v1::EntryHeader::decode(entry.header).unwrap_or_default();
                pins.push((pin_seq, header.seq, header.message_id[..].try_into()?));
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(pins);
            }
        }
    }

    /// What is pinned by the entries that are kept.
    async fn pins_kept(&self, conversation: ConversationId) -> Result<Vec<Pin>, Error> {
        let known = self.store.conversation(conversation).await?.ok_or(Error::NotFollowed)?;
        let mut board = Board::default();
        for kept in self.store.pin_changes(conversation).await? {
            let header = v1::EntryHeader::decode(&kept.header[..]).unwrap_or_default();
            board.insert(&header, &kept.payload);
        }
        let mut pins = Vec::new();
        for change in board.pins(|_| false) {
            let kept = self.store.entries_from(conversation, change.message, 1).await?;
            let kept = kept.into_iter().find(|kept: &Kept| kept.seq == change.message);
            let entry = match kept {
                Some(kept) => Some(view::entry(&self.store, &known.name, kept).await?),
                None => None,
            };
            // Another entry than the one that was pinned: nothing is.
            if entry.as_ref().is_none_or(|entry| is_message(entry, change.message_id)) {
                pins.push(pin(change.seq, change.message, change.message_id, entry));
            }
        }
        Ok(pins)
    }

    /// Whether an entry is kept, or not so far back that it is too much to read.
    async fn is_near(&self, conversation: ConversationId, seq: u64) -> Result<bool, Error> {
        let oldest = self.store.entries_from(conversation, 0, 1).await?.into_iter().next();
        Ok(oldest.is_none_or(|oldest| oldest.seq.saturating_sub(seq) <= MAX_HISTORY.into()))
    }
}

/// A pin, with its message if it is the one that was pinned.
fn pin(pin_seq: u64, seq: u64, message_id: IdempotencyKey, entry: Option<Entry>) -> Pin {
    Pin { seq, pin_seq, message: entry.filter(|entry| is_message(entry, message_id)) }
}

fn is_message(entry: &Entry, message_id: IdempotencyKey) -> bool {
    entry.as_message().is_some_and(|message| message.message_id == message_id)
}
