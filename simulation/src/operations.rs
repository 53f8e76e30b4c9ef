//! What users do: the table that a new operation is added to.
//!
//! An operation is a function and a row. It looks at what its device knows, and either changes what is kept with [`Device::say`] (a
//! message) or [`Device::intend`] (another effect with an idempotency key), which are carried through crashes and lost connections by
//! themselves, or asks for something with [`Device::ask`]. It gives what it did in a few words, or `None` if it can't be done now.

use anyhow::Result;
use aside_proto::{
    id::ConversationId,
    v1::{self, client_frame::Body, content},
};
use bytes::Bytes;
use prost::Message as _;

use crate::device::{Device, Scene};

/// Something that users do.
pub(crate) struct Operation {
    /// How often, against the others.
    pub(crate) weight: u32,
    /// Does it, on a device that runs. It may be offline.
    pub(crate) act: fn(&mut Device, &mut Scene<'_>) -> Result<Option<String>>,
}

/// All of them.
pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { weight: 40, act: text },
    Operation { weight: 8, act: reply },
    Operation { weight: 10, act: react },
    Operation { weight: 8, act: edit },
    Operation { weight: 14, act: mark },
    Operation { weight: 8, act: join },
    Operation { weight: 3, act: leave },
    Operation { weight: 2, act: create_room },
    Operation { weight: 3, act: rename },
    Operation { weight: 5, act: list_summaries },
    Operation { weight: 3, act: list_watermarks },
    Operation { weight: 3, act: list_members },
    Operation { weight: 6, act: redact },
    Operation { weight: 6, act: update_room },
    Operation { weight: 5, act: set_pin },
    Operation { weight: 3, act: list_pins },
];

const EMOJI: [&str; 3] = ["\u{1f44d}", "\u{2764}\u{fe0f}", "\u{1f600}"];

fn text(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(room) = a_room(device, scene) else { return Ok(None) };
    let payload = content(content::Body::Text(a_text(device, scene)), None);
    Ok(device.say(room, payload, scene).map(|key| format!("says {key} in {room}")))
}

fn reply(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some((room, to)) = a_message(device, scene) else { return Ok(None) };
    let seq = to.seq;
    let payload = content(content::Body::Text(a_text(device, scene)), Some(to));
    Ok(device.say(room, payload, scene).map(|key| format!("answers {seq} by {key} in {room}")))
}

fn react(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some((room, to)) = a_message(device, scene) else { return Ok(None) };
    let (seq, remove) = (to.seq, scene.rng.one_in(3));
    let emoji = EMOJI[scene.rng.below(EMOJI.len())].to_owned();
    let reaction = v1::Reaction { to: Some(to), emoji, remove };
    let payload = content(content::Body::Reaction(reaction), None);
    Ok(device.say(room, payload, scene).map(|key| format!("reacts to {seq} by {key} in {room}")))
}

/// Any message, so that strays are among them.
fn edit(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some((room, to)) = a_message(device, scene) else { return Ok(None) };
    let seq = to.seq;
    let edit = v1::Edit { to: Some(to), text: Some(a_text(device, scene)) };
    let payload = content(content::Body::Edit(edit), None);
    Ok(device.say(room, payload, scene).map(|key| format!("edits {seq} by {key} in {room}")))
}

fn mark(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(room) = a_room(device, scene) else { return Ok(None) };
    let seqs: Vec<u64> = device.kept.rooms[&room].entries.keys().copied().collect();
    let Some(read_seq) = scene.rng.pick(&seqs) else { return Ok(None) };
    let delivered_seq = seqs.last().copied().unwrap_or_default();
    let mark = v1::Mark { conversation_id: room.to_bytes(), delivered_seq, read_seq };
    let asked = device.ask(Body::Mark(mark), scene)?;
    Ok(asked.then(|| format!("marks {delivered_seq}, {read_seq} in {room}")))
}

fn join(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let rooms: Vec<ConversationId> = scene.truth.logs.keys().copied().collect();
    let Some(room) = scene.rng.pick(&rooms) else { return Ok(None) };
    let key = scene.new_key();
    device.intend(key, Body::Join(v1::Join { conversation_id: room.to_bytes() }));
    Ok(Some(format!("joins {room}")))
}

fn leave(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(room) = a_room(device, scene) else { return Ok(None) };
    let key = scene.new_key();
    device.intend(key, Body::Leave(v1::Leave { conversation_id: room.to_bytes() }));
    Ok(Some(format!("leaves {room}")))
}

fn create_room(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let name = format!("room-{}", scene.rng.below(6));
    let key = scene.new_key();
    device.intend(key, Body::CreateRoom(v1::CreateRoom { name: name.clone() }));
    Ok(Some(format!("makes {name}")))
}

fn rename(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let handle = format!("{}{}", device.first_handle, scene.rng.below(1000));
    let on_conflict = v1::OnConflict::Reject.into();
    let key = scene.new_key();
    device.intend(key, Body::Rename(v1::Rename { handle: handle.clone(), on_conflict }));
    Ok(Some(format!("is {handle} from now on")))
}

fn list_summaries(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let list = v1::ListSummaries { page_token: Bytes::new(), page_size: 100 };
    let asked = device.ask(Body::ListSummaries(list), scene)?;
    Ok(asked.then(|| "lists summaries".to_owned()))
}

fn list_watermarks(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(room) = a_room(device, scene) else { return Ok(None) };
    let (conversation_id, page_token) = (room.to_bytes(), Bytes::new());
    let list = v1::ListWatermarks { conversation_id, page_token, page_size: 100 };
    let asked = device.ask(Body::ListWatermarks(list), scene)?;
    Ok(asked.then(|| format!("lists watermarks of {room}")))
}

fn list_members(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(room) = a_room(device, scene) else { return Ok(None) };
    let conversation_id = room.to_bytes();
    let list = v1::ListMembers { conversation_id, page_size: 100, ..Default::default() };
    let asked = device.ask(Body::ListMembers(list), scene)?;
    Ok(asked.then(|| format!("lists members of {room}")))
}

/// Whoever may; others are refused.
fn redact(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some((room, message)) = a_message(device, scene) else { return Ok(None) };
    let mut seqs = vec![message.seq];
    if scene.rng.one_in(3) {
        seqs.push(message.seq + 1);
    }
    let key = scene.new_key();
    let (conversation_id, named) = (room.to_bytes(), seqs.clone());
    device.intend(key, Body::Redact(v1::Redact { conversation_id, seqs }));
    Ok(Some(format!("redacts {named:?} in {room}")))
}

/// A topic, or other limits to what is kept.
fn update_room(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(room) = a_room(device, scene) else { return Ok(None) };
    let mut update = v1::UpdateRoom { conversation_id: room.to_bytes(), ..Default::default() };
    if scene.rng.one_in(3) {
        update.topic = Some(format!("topic {}", scene.rng.below(3)));
    } else {
        let max_age_s = scene.rng.pick(&[0, 0, 1, 60]).unwrap_or_default();
        let max_entries = scene.rng.pick(&[0, 3, 5, 12]).unwrap_or_default();
        update.retention = Some(v1::Retention { max_age_s, max_entries });
    }
    let what = format!("changes {room}: {:?}, {:?}", update.topic, update.retention);
    let key = scene.new_key();
    device.intend(key, Body::UpdateRoom(update));
    Ok(Some(what))
}

fn set_pin(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some((room, message)) = a_message(device, scene) else { return Ok(None) };
    let (seq, pinned) = (message.seq, !scene.rng.one_in(3));
    let key = scene.new_key();
    device.intend(key, Body::SetPin(v1::SetPin { conversation_id: room.to_bytes(), seq, pinned }));
    Ok(Some(format!("pins {seq} in {room}: {pinned}")))
}

fn list_pins(device: &mut Device, scene: &mut Scene<'_>) -> Result<Option<String>> {
    let Some(room) = a_room(device, scene) else { return Ok(None) };
    let (conversation_id, page_token) = (room.to_bytes(), Bytes::new());
    let list = v1::ListPins { conversation_id, page_token, page_size: 100 };
    let asked = device.ask(Body::ListPins(list), scene)?;
    Ok(asked.then(|| format!("lists pins of {room}")))
}

/// One of the device's rooms.
fn a_room(device: &Device, scene: &mut Scene<'_>) -> Option<ConversationId> {
    scene.rng.pick(&device.joined())
}

/// A message that the device has.
fn a_message(device: &Device, scene: &mut Scene<'_>) -> Option<(ConversationId, v1::MessageRef)> {
    let room = a_room(device, scene)?;
    let entries = device.kept.rooms.get(&room)?.entries.values();
    let messages = entries.filter(|entry| entry.kind() == v1::EntryKind::Message);
    let messages: Vec<_> = messages.filter_map(|it| Some((it.seq, it.sender?))).collect();
    let (seq, sender) = scene.rng.pick(&messages)?;
    Some((room, v1::MessageRef { seq, message_id: sender.message_id.to_bytes() }))
}

/// Some are so long that a few of them fill a queue.
fn a_text(device: &Device, scene: &mut Scene<'_>) -> v1::Text {
    let padding = if scene.rng.one_in(6) { 400 } else { scene.rng.below(40) };
    let body = format!("{} {} {}", device.name, device.kept.said.len(), ".".repeat(padding));
    v1::Text { body, mentions: Vec::new() }
}

fn content(body: content::Body, reply_to: Option<v1::MessageRef>) -> Bytes {
    v1::Content { body: Some(body), reply_to }.encode_to_vec().into()
}
