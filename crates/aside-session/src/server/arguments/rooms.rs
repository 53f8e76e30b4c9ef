//! What members do with a room.

use aside_proto::{
    id::IdempotencyKey,
    limits::{MAX_DESCRIPTION_BYTES, MAX_TOPIC_BYTES},
    retention, v1,
};

use super::{at_most, handle, id, page_token, room_name};
use crate::server::{Command, Refusal};

/// ROOM-023, ROOM-024, RET-002.
pub(super) fn update_room(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::UpdateRoom,
) -> Result<Command, Refusal> {
    let conversation = id(&request.conversation_id, "update_room.conversation_id")?;
    let name = request.name.as_deref().map(|text| room_name(limits, text)).transpose()?;
    let topic = request.topic.as_deref().map(topic).transpose()?;
    let description = request.description.as_deref().map(description).transpose()?;
    let invite_only = request.invite_only;
    let retention = request.retention.map(limits_to_what_is_kept).transpose()?;
    let is_text = name.is_some() || topic.is_some() || description.is_some();
    if !is_text && invite_only.is_none() && retention.is_none() {
        let message = "An UpdateRoom says what is to change.";
        return Err(Refusal::invalid_argument("update_room", message));
    }
    Ok(Command::UpdateRoom { key, conversation, name, topic, description, invite_only, retention })
}

pub(super) fn invite(
    limits: &v1::Limits,
    key: IdempotencyKey,
    request: &v1::Invite,
) -> Result<Command, Refusal> {
    let conversation = id(&request.conversation_id, "invite.conversation_id")?;
    let handle = handle(limits, &request.handle)?;
    Ok(Command::Invite { key, conversation, handle, withdraw: request.withdraw })
}

pub(super) fn set_pin(key: IdempotencyKey, request: &v1::SetPin) -> Result<Command, Refusal> {
    let conversation = id(&request.conversation_id, "set_pin.conversation_id")?;
    Ok(Command::SetPin { key, conversation, seq: request.seq, pinned: request.pinned })
}

pub(super) fn list_pins(limits: &v1::Limits, request: &v1::ListPins) -> Result<Command, Refusal> {
    Ok(Command::ListPins {
        conversation: id(&request.conversation_id, "list_pins.conversation_id")?,
        page_token: page_token(&request.page_token, "list_pins.page_token")?,
        page_size: at_most(request.page_size, limits.max_page_items),
    })
}

fn topic(text: &str) -> Result<String, Refusal> {
    if text.len() > MAX_TOPIC_BYTES || text.contains(char::is_control) {
        let message = "A topic is at most 256 bytes without control characters.";
        return Err(Refusal::invalid_argument("update_room.topic", message));
    }
    Ok(text.to_owned())
}

fn limits_to_what_is_kept(retention: v1::Retention) -> Result<v1::Retention, Refusal> {
    if !retention::is_valid(&retention) {
        let message = "The limits to what is kept are at most 4294967295.";
        return Err(Refusal::invalid_argument("update_room.retention", message));
    }
    Ok(retention)
}

fn description(text: &str) -> Result<String, Refusal> {
    let is_refused = |character: char| character.is_control() && character != '\n';
    if text.len() > MAX_DESCRIPTION_BYTES || text.contains(is_refused) {
        let message =
            "A description is at most 2048 bytes without control characters other than line feed.";
        return Err(Refusal::invalid_argument("update_room.description", message));
    }
    Ok(text.to_owned())
}
