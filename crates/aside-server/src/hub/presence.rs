//! Who is there, as others may know it, and who writes.
//!
//! A user has come when its first connection is attached, and has gone when the last one has been away for the grace
//! (PRES-012): until then others are told nothing, so that a client that comes back at once is not seen to have left. What is
//! told is what others see before and after a change, if these differ: so hiding is going, and showing is coming (PRES-008).

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use aside_proto::{
    id::{ConversationId, UserId},
    v1::{self, server_frame::Body},
};
use aside_store::{PresenceSettings, Reader};
use bytes::Bytes;

use super::{Attached, Hub, State, frames::event_frame};

/// Those who have come and not gone.
#[derive(Debug)]
pub(super) struct People {
    grace: Duration,
    max_live_members: u64,
    present: HashMap<UserId, Person>,
    /// Whose grace ends when.
    leaving: BTreeSet<(Instant, UserId)>,
}

#[derive(Debug)]
struct Person {
    settings: PresenceSettings,
    leaving: Option<Leaving>,
}

/// When somebody's going is to be told next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Now,
    At(Instant),
    /// Not before somebody leaves.
    Never,
}

/// Without a connection, and not gone yet.
#[derive(Debug)]
struct Leaving {
    until: Instant,
    conversations: HashSet<ConversationId>,
}

impl People {
    pub(super) fn new(limits: &v1::Limits) -> Self {
        Self {
            grace: Duration::from_millis(limits.presence_grace_ms.into()),
            max_live_members: limits.max_live_members.into(),
            present: HashMap::new(),
            leaving: BTreeSet::new(),
        }
    }

    /// A connection of the user was attached.
    pub(super) fn arrive(&mut self, user: UserId, settings: PresenceSettings) {
        if let Some(Person { leaving: Some(leaving), .. }) = self.present.get(&user) {
            self.leaving.remove(&(leaving.until, user));
        }
        self.present.insert(user, Person { settings, leaving: None });
    }

    /// The user's last connection ended.
    pub(super) fn depart(
        &mut self,
        user: UserId,
        conversations: HashSet<ConversationId>,
        now: Instant,
    ) {
        if let Some(person) = self.present.get_mut(&user) {
            let until = now + self.grace;
            person.leaving = Some(Leaving { until, conversations });
            self.leaving.insert((until, user));
        }
    }

    /// What a user is a member of while it is away and not gone.
    pub(super) fn conversations_of(
        &mut self,
        user: UserId,
    ) -> Option<&mut HashSet<ConversationId>> {
        Some(&mut self.present.get_mut(&user)?.leaving.as_mut()?.conversations)
    }

    /// What others see of a user: the status of one who is online to them.
    pub(super) fn seen(&self, user: UserId) -> Option<&str> {
        let settings = &self.present.get(&user)?.settings;
        (!settings.hidden).then_some(&*settings.status_text)
    }
}

impl Hub {
    /// Whether the asker sees in a list of members that the user has a connection (ROOM-020, PRES-009).
    pub(crate) fn appears_online(&self, asker: UserId, user: UserId) -> bool {
        self.lock().appears_online(asker, user)
    }

    /// A user who is online as far as the asker may know (PRES-005, PRES-007, PRES-019).
    pub(crate) fn presence_of(
        &self,
        asker: impl Into<Reader>,
        user: UserId,
    ) -> Option<v1::Presence> {
        let (state, asker) = (self.lock(), asker.into());
        let person = state.people.present.get(&user)?;
        let is_visible = || !person.settings.hidden && state.share(asker, user);
        (asker.user == user || is_visible()).then(|| v1::Presence {
            user_id: user.to_bytes(),
            status_text: person.settings.status_text.clone(),
        })
    }

    /// What a user who is connected lets others see.
    pub(crate) fn settings_of(&self, user: UserId) -> v1::PresenceSettings {
        let state = self.lock();
        state.people.present.get(&user).map(|person| encoded(&person.settings)).unwrap_or_default()
    }

    /// Tells other members that a user who is connected writes, or no longer, if that is news and theirs to know (TYPE-002 to
    /// TYPE-005); gives whether the connection is one that is pushed what is appended there (TYPE-001). All in one hold, so that
    /// nobody hides or sends in between.
    pub(crate) fn set_typing(
        &self,
        user: UserId,
        id: u64,
        conversation: ConversationId,
        typing: bool,
        now_ms: u64,
    ) -> bool {
        let mut state = self.lock();
        let room = state.subscribers.get(&conversation);
        if !room.is_some_and(|room| room.queues.contains_key(&id)) {
            return false;
        }
        let is_told = state.people.seen(user).is_some() && state.live(conversation).is_some();
        if is_told && state.typing.is_news(user, conversation, typing, now_ms) {
            state.tell_typing(user, conversation, typing);
        }
        true
    }

    /// A user sends a message: see [`Typing::end`](crate::typing::Typing::end).
    pub(crate) fn end_typing(&self, user: UserId, conversation: ConversationId) -> Option<u64> {
        self.lock().typing.end(user, conversation)
    }

    /// The message was refused: see [`Typing::go_on`](crate::typing::Typing::go_on).
    pub(crate) fn go_on_typing(&self, user: UserId, conversation: ConversationId, told_ms: u64) {
        self.lock().typing.go_on(user, conversation, told_ms);
    }

    /// Forgets who was said to write so long ago that others have forgotten, too.
    pub(crate) fn forget_typing(&self, now_ms: u64) {
        self.lock().typing.forget(now_ms);
    }

    /// Tells of each user's going when its grace has ended. Never returns.
    pub(crate) async fn tell_goings(&self) {
        loop {
            // One at a time, so that whoever else needs the hub gets in between.
            let next = self.lock().tell_gone(Instant::now());
            match next {
                Next::Now => tokio::task::yield_now().await,
                // Whoever leaves meanwhile goes later: the grace is the same for all.
                Next::At(next) => tokio::time::sleep_until(next.into()).await,
                Next::Never => self.departures.notified().await,
            }
        }
    }
}

impl State {
    /// What others see of a user, to be compared with what they see after a change.
    pub(super) fn seen(&self, user: UserId) -> Option<String> {
        self.people.seen(user).map(str::to_owned)
    }

    /// Tells others what has changed for them (PRES-010).
    pub(super) fn tell_others(&self, user: UserId, before: Option<&str>) {
        let after = self.people.seen(user);
        if after != before {
            self.tell_seen(&self.acquaintances(user), user, &changed(user, after, None));
        }
    }

    /// A user lets others see something else (PRES-011).
    pub(super) fn set_presence(
        &mut self,
        user: UserId,
        attachment: u64,
        settings: &PresenceSettings,
    ) {
        let before = self.seen(user);
        // Whoever has gone meanwhile is told to nobody.
        let Some(person) = self.people.present.get_mut(&user) else { return };
        person.settings.clone_from(settings);
        self.tell_others(user, before.as_deref());
        let own = self.attached_by_user.get(&user).into_iter().flatten().copied();
        let own: HashSet<u64> = own.filter(|id| *id != attachment).collect();
        self.tell_seen(
            &own,
            user,
            &changed(user, Some(&settings.status_text), Some(encoded(settings))),
        );
    }

    /// Tells of the first whose grace has ended by now, if there is one; gives when to look again.
    fn tell_gone(&mut self, now: Instant) -> Next {
        let Some((until, user)) = self.people.leaving.first().copied() else { return Next::Never };
        if until > now {
            return Next::At(until);
        }
        self.people.leaving.pop_first();
        if self.people.seen(user).is_some() {
            self.tell_seen(&self.acquaintances(user), user, &changed(user, None, None));
        }
        self.people.present.remove(&user);
        Next::Now
    }

    fn tell_typing(&self, user: UserId, conversation: ConversationId, typing: bool) {
        let Some(members) = self.live(conversation) else { return };
        let event = v1::TypingChanged {
            conversation_id: conversation.to_bytes(),
            user_id: user.to_bytes(),
            typing,
        };
        let frame = event_frame(Body::TypingChanged(event));
        for connection in members.filter_map(|id| self.connections.get(&id)) {
            if connection.hears_of(user) {
                connection.queue.hint(&frame);
            }
        }
    }

    pub(super) fn appears_online(&self, asker: UserId, user: UserId) -> bool {
        let is_visible = || self.people.seen(user).is_some();
        self.attached_by_user.contains_key(&user) && (asker == user || is_visible())
    }

    /// The connections of a conversation, unless it is too large for what is only good to know (PRES-013).
    fn live(&self, conversation: ConversationId) -> Option<impl Iterator<Item = u64>> {
        let room = self.subscribers.get(&conversation)?;
        let is_live = room.members <= self.people.max_live_members;
        is_live.then(|| room.queues.keys().copied())
    }

    /// The connections of all others with whom a user shares a conversation that is not too large, each once.
    fn acquaintances(&self, user: UserId) -> HashSet<u64> {
        let conversations = self.conversations_of(user).into_iter().flatten();
        let ids = conversations.filter_map(|conversation| self.live(*conversation)).flatten();
        ids.filter(|id| self.connections.get(id).is_some_and(|c| c.hears_of(user))).collect()
    }

    fn tell_seen(&self, connections: &HashSet<u64>, user: UserId, frame: &Bytes) {
        for connection in connections.iter().filter_map(|id| self.connections.get(id)) {
            if connection.sync {
                connection.queue.presence(user, frame);
            }
        }
    }

    /// Whether there is a conversation that both are members of, and of which the asker's device may know.
    fn share(&self, asker: Reader, other: UserId) -> bool {
        let (Some(one), Some(other)) =
            (self.conversations_of(asker.user), self.conversations_of(other))
        else {
            return false;
        };
        let private = self.private_of(asker.user);
        let is_known = |conversation: &&ConversationId| {
            asker.is_approved || private.is_some_and(|private| !private.contains(*conversation))
        };
        let (few, many) = if one.len() < other.len() { (one, other) } else { (other, one) };
        few.iter().filter(is_known).any(|conversation| many.contains(conversation))
    }

    /// What a user who has not gone is a member of.
    pub(super) fn conversations_of(&self, user: UserId) -> Option<&HashSet<ConversationId>> {
        let attached = || Some(&self.attached_of(user)?.conversations);
        let leaving = || Some(&self.people.present.get(&user)?.leaving.as_ref()?.conversations);
        attached().or_else(leaving)
    }

    /// Those of them that are private, of a user who is connected.
    fn private_of(&self, user: UserId) -> Option<&HashSet<ConversationId>> {
        Some(&self.attached_of(user)?.private.conversations)
    }

    /// What is known of a user by one of its connections; it is the same by all.
    fn attached_of(&self, user: UserId) -> Option<&Attached> {
        let id = self.attached_by_user.get(&user)?.iter().next()?;
        self.connections.get(id)?.attached.as_ref()
    }
}

fn encoded(settings: &PresenceSettings) -> v1::PresenceSettings {
    let visibility = if settings.hidden { v1::Visibility::Hidden } else { v1::Visibility::Shared };
    v1::PresenceSettings {
        visibility: visibility.into(),
        status_text: settings.status_text.clone(),
        private_receipts: settings.private_receipts,
    }
}

/// The event that says what is seen of a user.
fn changed(user: UserId, seen: Option<&str>, settings: Option<v1::PresenceSettings>) -> Bytes {
    event_frame(Body::PresenceChanged(v1::PresenceChanged {
        user_id: user.to_bytes(),
        online: seen.is_some(),
        status_text: seen.unwrap_or_default().to_owned(),
        settings,
    }))
}

#[cfg(test)]
mod tests;
