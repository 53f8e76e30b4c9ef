//! Search in public rooms, by the server.

use std::collections::{HashMap, HashSet};

use aside_proto::{
    id::{ConversationId, DeviceId},
    v1::{self, client_frame, content, server_frame::Body},
};
use aside_session::client::{DeviceKey, SignatureStatus, Violation, log::Sender};
use bytes::Bytes;
use prost::Message as _;

use super::Client;
use crate::{Error, Person};

/// A message that the server found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub conversation: ConversationId,
    /// Its seq.
    pub seq: u64,
    /// When it was sent, milliseconds since 1970.
    pub time_ms: u64,
    /// Who said it.
    pub by: Person,
    /// What it says now; as it was sent, if the edit that the server shows is none of the sender's.
    pub text: String,
    /// Whether it was edited.
    pub edited: bool,
    /// Whether its sender's device signed it, and the edit (MSG-008).
    pub verified: bool,
}

/// An entry taken apart, and its signature judged.
struct Said {
    header: v1::EntryHeader,
    sender: Sender,
    content: Option<content::Body>,
    verified: bool,
}

impl Client {
    /// The messages of a room, or of all rooms the user is a member of, that a query finds, newest first; at most `most`. All words
    /// of the query must occur in a message; `"several words"` as they stand, and `begin*` as the beginning of a word.
    ///
    /// The server chooses what it shows: a message may be missing, but none that is `verified` was made up.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a query without a word, NOT_A_MEMBER, RATE_LIMITED among others.
    pub async fn search(
        &self,
        room: Option<ConversationId>,
        query: &str,
        most: usize,
    ) -> Result<Vec<Found>, Error> {
        let mut found = Vec::new();
        let mut page_token = Bytes::new();
        while found.len() < most {
            let search = v1::Search {
                conversation_id: room.map_or_else(Bytes::new, |room| room.to_bytes()),
                query: query.to_owned(),
                page_token,
                page_size: u32::try_from(most - found.len()).unwrap_or(u32::MAX),
            };
            let Body::SearchResults(page) = self.call(client_frame::Body::Search(search)).await?
            else {
                return Err(Error::Gone);
            };
            found.extend(self.judge(&page.results).await?);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        found.truncate(most);
        Ok(found)
    }

    async fn judge(&self, results: &[v1::SearchResult]) -> Result<Vec<Found>, Error> {
        let keys = self.keys_of(results).await?;
        let mut found = Vec::with_capacity(results.len());
        for result in results {
            let said = result.message.as_ref().and_then(|entry| take_apart(entry, &keys));
            let edit = result.edit.as_ref().and_then(|entry| take_apart(entry, &keys));
            let Some(said) = said else { continue };
            let edit = edit.and_then(|edit| Some((edited_text(&said, &edit)?, edit.verified)));
            let own = match &said.content {
                Some(content::Body::Text(text)) => text.body.clone(),
                Some(content::Body::Edit(v1::Edit { text: Some(text), .. })) => text.body.clone(),
                _ => continue,
            };
            let handle = self.store.handle_of(said.sender.user).await?;
            found.push(Found {
                conversation: said.header.conversation_id[..].try_into()?,
                seq: said.header.seq,
                time_ms: said.header.time_ms,
                by: Person { user: said.sender.user, handle },
                edited: edit.is_some(),
                verified: said.verified && edit.as_ref().is_none_or(|(_, verified)| *verified),
                text: edit.map_or(own, |(text, _)| text),
            });
        }
        Ok(found)
    }

    /// The keys that these entries are verified by: as they are remembered, else as the server names them (DEV-010).
    async fn keys_of(
        &self,
        results: &[v1::SearchResult],
    ) -> Result<HashMap<DeviceId, DeviceKey>, Error> {
        let entries = results.iter().flat_map(|result| result.message.iter().chain(&result.edit));
        let devices: HashSet<_> = entries
            .filter_map(|entry| v1::EntryHeader::decode(entry.header.clone()).ok())
            .filter_map(|header| Some(Sender::of(&header)??.device))
            .collect();
        let mut keys = HashMap::new();
        let mut unknown = Vec::new();
        for device in devices {
            match self.store.device_key(device).await? {
                Some(key) => drop(keys.insert(device, key)),
                None => unknown.push(device.to_bytes()),
            }
        }
        for device_ids in unknown.chunks(self.limits().max_page_items.max(1) as usize) {
            let look_up = v1::LookUpDevices { device_ids: device_ids.to_vec() };
            let Body::DeviceKeys(named) =
                self.call(client_frame::Body::LookUpDevices(look_up)).await?
            else {
                return Err(Error::Gone);
            };
            for key in &named.keys {
                let key = DeviceKey::try_from(key).map_err(Violation::from)?;
                // No answer gives a key that was not asked for, or another than is remembered.
                if device_ids.iter().any(|id| id[..] == key.device.as_bytes()[..]) {
                    self.store.add_device_key(&key).await?;
                    let kept = self.store.device_key(key.device).await?;
                    keys.insert(key.device, kept.unwrap_or(key));
                }
            }
        }
        Ok(keys)
    }
}

fn take_apart(entry: &v1::Entry, keys: &HashMap<DeviceId, DeviceKey>) -> Option<Said> {
    let header = v1::EntryHeader::decode(entry.header.clone()).ok()?;
    let sender = Sender::of(&header)??;
    let conversation = header.conversation_id[..].try_into().ok()?;
    let salt = entry.salt[..].try_into().ok()?;
    let hash = aside_crypto::payload_hash(&salt, &entry.payload);
    let key = keys.get(&sender.device);
    let verified =
        SignatureStatus::check(conversation, &header, hash, key) == SignatureStatus::Verified;
    let content = v1::Content::decode(entry.payload.clone()).ok()?.body;
    Some(Said { header, sender, content, verified })
}

/// The text that an edit gives a message, if it does (CONT-002, CONT-011).
fn edited_text(message: &Said, edit: &Said) -> Option<String> {
    let Some(content::Body::Edit(v1::Edit { to: Some(to), text: Some(text) })) = &edit.content
    else {
        return None;
    };
    let names_it = to.seq == message.header.seq
        && to.message_id == message.header.message_id
        && edit.header.conversation_id == message.header.conversation_id
        && edit.sender.user == message.sender.user;
    names_it.then(|| text.body.clone())
}
