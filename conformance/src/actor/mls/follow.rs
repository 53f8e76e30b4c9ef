//! What comes: the log's entries, and Welcomes.

use std::collections::BTreeSet;

use aside_crypto::Envelope;
use aside_mls::{ClaimedChange, Error, GroupId, Owner, Reason};
use aside_proto::id::ConversationId;

use crate::{
    actor::{Actor, Stop, World, failed, literal, request},
    proto,
    value::Val,
    view,
};

use super::{Conversation, Mls, Outcome, owner_of};

impl Actor {
    /// Takes the log of a conversation in, up to its head.
    pub(crate) async fn follow(&mut self, world: &World, id: ConversationId) -> Result<(), Stop> {
        self.refresh_logs(world).await?;
        loop {
            let cursor = self.mls()?.conversation(id).cursor;
            let fetched = self.fetch_from(world, id, cursor.max(1)).await?;
            let entries = fetched.field("entries").and_then(Val::as_list).unwrap_or_default();
            for entry in entries.iter().filter(|entry| int(entry, "seq") > cursor) {
                let seq = int(entry, "seq");
                let outcome = self.take_in(world, id, entry).await?;
                let conversation = self.mls()?.conversation(id);
                conversation.cursor = seq;
                conversation.outcomes.extend(outcome.map(|outcome| (seq, outcome)));
            }
            let reached = self.mls()?.conversation(id).cursor;
            if reached >= int(&fetched, "head_seq") {
                return Ok(());
            }
            if reached == cursor {
                return failed("entries up to the head", fetched.to_string());
            }
        }
    }

    /// What came of an entry of the log that was followed.
    pub(crate) fn outcome(
        &mut self,
        id: ConversationId,
        seq: i128,
    ) -> Result<Option<Outcome>, Stop> {
        Ok(self.mls()?.conversation(id).outcomes.get(&seq).cloned())
    }

    /// Reads or follows one entry. None if nothing of it is MLS.
    pub(crate) async fn take_in(
        &mut self,
        world: &World,
        id: ConversationId,
        entry: &Val,
    ) -> Result<Option<Outcome>, Stop> {
        let taken = self.judged(world, |mls| mls.take_in(id, entry)).await?;
        Ok(match taken {
            Ok(outcome) => outcome,
            Err(reason) => Some(Outcome::Refused(reason)),
        })
    }

    /// Joins by the Welcome that waits in the inbox, if there is one. The epoch that it leads into, or why it leads nowhere.
    pub(crate) async fn join(
        &mut self,
        world: &World,
        id: ConversationId,
    ) -> Result<Option<Result<u64, Reason>>, Stop> {
        self.refresh_logs(world).await?;
        let inbox = self.call(world, &request("fetch_inbox", [])).await?;
        let items = inbox.field("items").and_then(Val::as_list).unwrap_or_default();
        let conversation = Val::from(&id.as_bytes()[..]);
        let is_it = |item: &Val| item.field("conversation_id") == Some(&conversation);
        let Some(place) = items.iter().position(is_it) else { return Ok(None) };
        let item = &items[place];
        let fetched = self.fetch_from(world, id, int(item, "seq")).await?;
        let entry = fetched.field("entries").and_then(|entries| entries.item(0)).cloned();
        let change = entry.as_ref().and_then(|it| Some((sender_of(it).ok()?, claim_of(it)?)));
        let Some((by, claim)) = change else {
            return failed("the entry that the Welcome came with", fetched.to_string());
        };
        match self.judged(world, |mls| mls.join(id, item, (by, &claim))).await? {
            Ok(epoch) if i128::from(epoch) == int(item, "epoch") => {
                if place == 0 {
                    let up_to = literal(Val::Int(int(item, "position")));
                    self.call(world, &request("ack_inbox", [("up_to", up_to)])).await?;
                }
                Ok(Some(Ok(epoch)))
            }
            Ok(epoch) => failed(format!("a Welcome into epoch {epoch}"), item.to_string()),
            Err(Error::Refused(reason)) => Ok(Some(Err(reason))),
            Err(error) => Err(super::fault(error)),
        }
    }

    async fn fetch_from(
        &mut self,
        world: &World,
        id: ConversationId,
        from: i128,
    ) -> Result<Val, Stop> {
        let id = literal(&id.as_bytes()[..]);
        let from = literal(Val::Int(from));
        self.call(world, &request("fetch", [("conversation_id", id), ("from_seq", from)])).await
    }
}

impl Mls {
    fn join(
        &mut self,
        conversation: ConversationId,
        item: &Val,
        change: (Owner, &ClaimedChange),
    ) -> Result<u64, Error> {
        let generation = u32::try_from(int(item, "generation")).map_err(|_| Reason::WrongGroup)?;
        let id = GroupId { conversation, generation };
        let group = self.conversation(conversation).group.as_ref();
        let held = group.filter(|group| group.id() == id).map(aside_mls::Group::epoch);
        let joined = self.device.join(bytes(item, "welcome"), id, change, held)?;
        let epoch = joined.epoch();
        let conversation = self.conversation(conversation);
        conversation.group = Some(joined);
        conversation.cursor = int(item, "seq");
        Ok(epoch)
    }

    fn take_in(&mut self, id: ConversationId, entry: &Val) -> Result<Option<Outcome>, Reason> {
        let is = |kind: &str| entry.field("kind") == Some(&Val::from(kind));
        let own = self.own;
        let conversation = self.conversation(id);
        if is("GROUP_ESTABLISHED") {
            conversation.begin(entry);
            Ok(None)
        } else if is("COMMIT") {
            conversation.follow(entry, own).map(Some)
        } else if is("PRIVATE_MESSAGE") {
            conversation.read(entry, own).map(Some)
        } else {
            Ok(None)
        }
    }
}

impl Conversation {
    /// Another group: its own, or one that a Welcome leads into.
    fn begin(&mut self, entry: &Val) {
        if self.enter(entry) {
            return;
        }
        let header = payload(entry, "EstablishHeader");
        let generation = int(&header, "generation");
        let is_other =
            |group: &mut aside_mls::Group| i128::from(group.id().generation) != generation;
        self.group.take_if(is_other);
    }

    /// Whether the entry is the request that it waits for.
    fn enter(&mut self, entry: &Val) -> bool {
        let id = bytes(entry, "message_id");
        let Some((_, group)) = self.entering.take_if(|(waits_for, _)| waits_for.as_slice() == id)
        else {
            return false;
        };
        self.group = Some(group);
        true
    }

    fn follow(&mut self, entry: &Val, own: Owner) -> Result<Outcome, Reason> {
        let payload = payload(entry, "CommitPayload");
        let claim = claim_of(entry).ok_or(Reason::Malformed)?;
        let sender = sender_of(entry)?;
        let taken = Outcome::Taken { sender, epoch: claim.epoch, text: None };
        if sender == own && self.enter(entry) {
            return Ok(taken);
        }
        let group = self.group.as_mut().ok_or(Reason::NotAMember)?;
        let is_own = |waits_for: &mut Vec<u8>| waits_for.as_slice() == bytes(entry, "message_id");
        if sender == own && self.pending.take_if(is_own).is_some() {
            // Whatever its header says: who lies believes itself.
            group.apply_pending().map_err(|_| Reason::Own)?;
            return Ok(taken);
        }
        let (commit, header) = (bytes(&payload, "commit"), bytes(&payload, "header"));
        group.receive_commit(commit, header, sender, &claim)?;
        Ok(taken)
    }

    fn read(&mut self, entry: &Val, own: Owner) -> Result<Outcome, Reason> {
        let payload = payload(entry, "PrivatePayload");
        let header = bytes(&payload, "header");
        let shown = view::decode(&proto::message("PrivateHeader"), header);
        let shown = shown.map_err(|_| Reason::Malformed)?;
        let epoch = u64::try_from(int(&shown, "epoch")).unwrap_or(0);
        let sender = sender_of(entry)?;
        let said = self.said.get(bytes(entry, "message_id"));
        if let Some(text) = said.filter(|_| sender == own) {
            return Ok(Outcome::Taken { sender, epoch, text: Some(text.clone()) });
        }
        let group = self.group.as_mut().ok_or(Reason::NotAMember)?;
        let message = group.decrypt(bytes(&payload, "ciphertext"), header, sender)?;
        Ok(match Envelope::open(&message.content, bytes(&shown, "franking_tag")) {
            Ok(envelope) => {
                let content = view::decode(&proto::message("Content"), &envelope.content);
                let text = content.ok().and_then(|content| {
                    Some(content.field("text")?.field("body")?.as_text()?.to_owned())
                });
                Outcome::Taken { sender: message.sender, epoch, text }
            }
            Err(error) => Outcome::Damaged(error.to_string()),
        })
    }
}

/// What the commit of an entry claims to do.
fn claim_of(entry: &Val) -> Option<ClaimedChange> {
    let owners = |header: &Val, name| -> Option<BTreeSet<Owner>> {
        header.field(name)?.as_list()?.iter().map(owner_of).collect()
    };
    if entry.field("kind") == Some(&Val::from("GROUP_ESTABLISHED")) {
        let header = payload(entry, "EstablishHeader");
        let mut added = owners(&header, "leaves")?;
        added.remove(&sender_of(entry).ok()?);
        return Some(ClaimedChange { epoch: 0, added, removed: BTreeSet::new() });
    }
    let payload = payload(entry, "CommitPayload");
    let header = view::decode(&proto::message("CommitHeader"), bytes(&payload, "header")).ok()?;
    Some(ClaimedChange {
        epoch: u64::try_from(int(&header, "epoch")).ok()?,
        added: owners(&header, "added")?,
        removed: owners(&header, "removed")?,
    })
}

fn payload(entry: &Val, message: &str) -> Val {
    view::decode(&proto::message(message), bytes(entry, "payload")).unwrap_or(Val::Null)
}

fn sender_of(entry: &Val) -> Result<Owner, Reason> {
    let id = |name| entry.field(name).cloned().unwrap_or(Val::Null);
    let ids = [("user_id", id("sender_user_id")), ("device_id", id("sender_device_id"))];
    owner_of(&crate::value::record(ids)).ok_or(Reason::Malformed)
}

fn bytes<'a>(value: &'a Val, name: &str) -> &'a [u8] {
    value.field(name).and_then(Val::as_bytes).unwrap_or_default()
}

fn int(value: &Val, name: &str) -> i128 {
    value.field(name).and_then(Val::as_int).unwrap_or(0)
}
