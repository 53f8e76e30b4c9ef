//! What the program wants said and done.

use aside_proto::id::{ConversationId, IdempotencyKey, UserId};
use bytes::Bytes;

use super::{
    Engine, MAX_WAITING, SendError,
    conversation::{Conversation, Outgoing},
    event::{Event, Goal, GoalError, Repair},
};

impl Engine {
    /// Says something: it is encrypted once the conversation is caught up with, and sent until the server has it.
    ///
    /// # Errors
    /// [`SendError`]: it is not kept.
    pub fn send(
        &mut self,
        id: ConversationId,
        message_id: IdempotencyKey,
        content: Bytes,
    ) -> Result<(), SendError> {
        let salt = {
            let mut salt = [0; 32];
            (self.random)(&mut salt);
            salt
        };
        let conversation = self
            .conversations
            .get_mut(&id)
            .filter(|it| !it.is_unlisted)
            .ok_or(SendError::Unknown)?;
        if conversation.contradicted {
            return Err(SendError::Contradicted);
        }
        if conversation.outgoing.len() >= MAX_WAITING {
            return Err(SendError::Full);
        }
        let order = conversation.next_order;
        conversation.next_order += 1;
        let outgoing = Outgoing {
            message_id,
            content,
            salt,
            payload: None,
            franking_key: [0; 32],
            sent: None,
            order,
            failed: None,
        };
        let writes = self.writes.conversations.entry(id).or_default();
        writes.outgoing.insert(message_id, Some(outgoing.record()));
        conversation.outgoing.push_back(outgoing);
        Ok(())
    }

    /// Takes back a message that was not encrypted yet; whether it was there.
    pub fn withdraw(&mut self, id: ConversationId, message_id: IdempotencyKey) -> bool {
        let Some(conversation) = self.conversations.get_mut(&id) else { return false };
        let waits = |it: &Outgoing| it.message_id == message_id && it.payload.is_none();
        let Some(at) = conversation.outgoing.iter().position(waits) else { return false };
        conversation.outgoing.remove(at);
        let writes = self.writes.conversations.entry(id).or_default();
        writes.outgoing.insert(message_id, None);
        true
    }

    /// Forgets a message that will not be sent: the user has seen to it.
    pub fn forget_failed(&mut self, id: ConversationId, message_id: IdempotencyKey) {
        let conversation = self.conversations.get(&id);
        let is_to_be_sent = |it: &Conversation| {
            it.outgoing.iter().any(|outgoing| outgoing.message_id == message_id)
        };
        if !conversation.is_some_and(is_to_be_sent) {
            let writes = self.writes.conversations.entry(id).or_default();
            writes.outgoing.insert(message_id, None);
        }
    }

    /// Wants something done; [`Event::Done`] says when it is, or why it can't be. False if the conversation is not followed.
    pub fn want(&mut self, id: ConversationId, goal: Goal) -> bool {
        let Some(conversation) = self.conversations.get_mut(&id).filter(|it| !it.is_unlisted)
        else {
            return false;
        };
        if goal == Goal::Remove(self.me.user) {
            let outcome = Err(GoalError::Oneself);
            self.told.push_back((id, Event::Done { goal, outcome }));
            return true;
        }
        let is_for_groups = matches!(goal, Goal::Add(_) | Goal::Remove(_));
        let refused = match conversation.led_by {
            _ if is_for_groups && conversation.is_direct() => Some(GoalError::Direct),
            Some(_) => Some(GoalError::Stranger),
            None => None,
        };
        if let Some(error) = refused {
            let outcome = Err(error);
            self.told.push_back((id, Event::Done { goal, outcome }));
            return true;
        }
        if let Goal::Add(user) = goal {
            conversation.ask_again_for(user);
            self.wanted.insert(user);
        }
        conversation.held_at = None;
        conversation.is_dirty |= conversation.goals.insert(goal);
        true
    }

    /// Comes into the conversation anew, as a lost device does. False if it is not followed.
    pub fn rejoin(&mut self, id: ConversationId) -> bool {
        let Some(conversation) = self.conversations.get_mut(&id).filter(|it| !it.is_unlisted)
        else {
            return false;
        };
        // Who leads is named once more, if that is not whom this device knows.
        conversation.told_broken = None;
        conversation.repair = Some(Repair::Asked);
        conversation.try_anew();
        true
    }

    /// The group goes on by a device of a user whom this device did not know there, of whom its user was told last, and lets that one
    /// lead (MLS-049). False if it is not followed, or that user was not named.
    pub fn let_lead(&mut self, id: ConversationId, user: UserId) -> bool {
        let conversation = self.conversations.get_mut(&id).filter(|it| !it.is_unlisted);
        conversation.is_some_and(|it| it.let_lead(user))
    }

    /// What is known of a conversation is forgotten, for its log is read anew; what was read of it stays.
    pub fn forget(&mut self, id: ConversationId) {
        self.lives += 1;
        if let Some(conversation) = self.conversations.get_mut(&id) {
            let writes = self.writes.conversations.entry(id).or_default();
            conversation.note_known();
            let known_before = conversation.known_before.take();
            if let Some(group) = conversation.group.take() {
                writes.groups.insert(group.id().generation, None);
            }
            let outgoing = std::mem::take(&mut conversation.outgoing);
            let doubted = std::mem::take(&mut conversation.doubted);
            let next_order = conversation.next_order;
            *conversation = Conversation {
                life: self.lives,
                outgoing,
                doubted,
                known_before,
                next_order,
                ..Conversation::new(id)
            };
            conversation.is_dirty = true;
        }
    }
}
