//! From what is kept to what is shown.

use std::collections::HashMap;

use aside_proto::{id::UserId, v1};
use aside_session::client::log::{Membership, Sender};
use prost::Message as _;

use crate::{
    Entry, Person, What, content,
    store::{Kept, StateError, Store, StoredSignature},
};

/// One entry, with the handles that are known now.
pub(crate) async fn entry(store: &Store, room: &str, kept: Kept) -> Result<Entry, StateError> {
    Viewer::new(store).view(room, kept).await
}

/// Several entries of one conversation.
pub(crate) async fn entries(
    store: &Store,
    room: &str,
    kept: Vec<Kept>,
) -> Result<Vec<Entry>, StateError> {
    let mut viewer = Viewer::new(store);
    let mut entries = Vec::with_capacity(kept.len());
    for kept in kept {
        entries.push(viewer.view(room, kept).await?);
    }
    Ok(entries)
}

struct Viewer<'a> {
    store: &'a Store,
    handles: HashMap<UserId, Option<String>>,
}

impl<'a> Viewer<'a> {
    fn new(store: &'a Store) -> Self {
        Self { store, handles: HashMap::new() }
    }

    async fn view(&mut self, room: &str, kept: Kept) -> Result<Entry, StateError> {
        let header = v1::EntryHeader::decode(&kept.header[..])
            .map_err(|_| StateError::Damaged("the header of an entry"))?;
        let sender = Sender::of(&header).flatten();
        let by = match sender {
            Some(sender) => Some(self.person(sender.user).await?),
            None => None,
        };
        let what = match (header.kind(), sender) {
            (v1::EntryKind::Message, Some(Sender { device, message_id, .. })) => {
                let id = (device, message_id);
                let repeats = self.store.repeated_by(kept.conversation, kept.seq, id).await?;
                What::Message {
                    message_id,
                    text: content::decode_text(&kept.payload),
                    verified: kept.signature == StoredSignature::Verified && repeats.is_none(),
                    repeats,
                }
            }
            (v1::EntryKind::RoomCreated, _) => What::RoomCreated,
            _ => match Membership::of(&header, &kept.payload) {
                // The handle of that time: it is what the entry records.
                Some(Membership::Joined { user, handle }) => {
                    What::Joined { who: Person { user, handle: Some(handle) } }
                }
                Some(Membership::Left { user }) => What::Left { who: self.person(user).await? },
                Some(Membership::Renamed { old, new, .. }) => What::Renamed { from: old, to: new },
                None => What::Unknown,
            },
        };
        Ok(Entry {
            conversation: kept.conversation,
            room: room.to_owned(),
            seq: kept.seq,
            time_ms: header.time_ms,
            by,
            what,
        })
    }

    async fn person(&mut self, user: UserId) -> Result<Person, StateError> {
        if !self.handles.contains_key(&user) {
            self.handles.insert(user, self.store.handle_of(user).await?);
        }
        Ok(Person { user, handle: self.handles.get(&user).cloned().flatten() })
    }
}
