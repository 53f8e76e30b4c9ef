//! What the driver brings: the connection, what is listed, entries, and device logs.

use std::collections::BTreeSet;

use aside_crypto::DeviceLog;
use aside_proto::{
    id::{ConversationId, UserId},
    v1,
};

use super::{
    Engine, READ_AHEAD,
    conversation::{Conversation, Entry},
    event::Event,
};

impl Engine {
    /// A connection stands.
    pub fn online(&mut self, limits: v1::Limits, now_ms: u64) {
        (self.limits, self.now_ms, self.is_online) = (limits, now_ms, true);
        self.wanted.insert(self.me.user);
        // Who was revoked meanwhile is to be known before anything is encrypted.
        for conversation in self.conversations.values().filter(|it| !it.is_unlisted) {
            self.wanted.extend(conversation.roster.members.keys());
        }
    }

    /// The connection is lost: what was asked is asked again on the next.
    pub fn disconnected(&mut self) {
        self.is_online = false;
        self.not_before_ms = 0;
        self.inbox.disconnected();
        self.packages.disconnected();
        self.wanted.append(&mut self.fetching);
        for conversation in self.conversations.values_mut() {
            conversation.disconnected();
        }
    }

    /// The server's time.
    pub fn tick(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        for conversation in self.conversations.values_mut() {
            conversation.retry(self.now_ms);
        }
    }

    /// When something is due by time alone.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        let times = |it: &Conversation| {
            let turn = it.turn.map(|(_, at_ms)| at_ms);
            [it.retry_at_ms, it.ask_at_ms, it.go_on_at_ms, turn, Some(it.not_before_ms)]
        };
        let retries = self.conversations.values().flat_map(times).flatten();
        let due = [self.not_before_ms].into_iter().chain(retries).filter(|at| *at > self.now_ms);
        due.min().filter(|_| self.is_online)
    }

    /// The user is a member of this conversation, the server says, which ends at `head`; `after`: the entries up to there are not
    /// looked at, if it is new here.
    pub fn follow(
        &mut self,
        id: ConversationId,
        kind: v1::ConversationKind,
        head: u64,
        after: u64,
    ) {
        self.lives += 1;
        let life = self.lives;
        let conversation = self.conversations.entry(id).or_insert_with(|| Conversation {
            life,
            cursor: after,
            head: after,
            known_before: self.former.remove(&id),
            is_dirty: true,
            ..Conversation::new(id)
        });
        if conversation.roster.kind == v1::ConversationKind::Unspecified {
            conversation.roster.kind = kind;
        }
        conversation.is_dirty |= std::mem::replace(&mut conversation.is_unlisted, false);
        let known = conversation.server_head.unwrap_or_default();
        conversation.server_head = Some(known.max(head));
    }

    /// All members of a conversation, as the server lists them.
    pub fn members(
        &mut self,
        id: ConversationId,
        members: impl IntoIterator<Item = (UserId, v1::Role)>,
    ) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.roster.members = members.into_iter().collect();
        conversation.is_dirty = true;
        let unknown = conversation.roster.members.keys().filter(|user| !self.logs.has(**user));
        self.wanted.extend(unknown);
    }

    /// The user left the conversation: nothing more comes of it, and its MLS state is deleted.
    pub fn left(&mut self, id: ConversationId) {
        // Who was put out, and leaves, is done with it, too.
        if self.former.remove(&id).is_some() {
            self.conversations.insert(id, Conversation::new(id));
        }
        self.end(id, None);
    }

    /// It is over, the server and the log say: as if its user had left, but who was known there counts if it goes on (MLS-049).
    pub(super) fn over(&mut self, id: ConversationId) {
        let known = self.conversations.get(&id).and_then(Conversation::known_users);
        self.former.extend(known.clone().map(|known| (id, known)));
        self.end(id, known);
    }

    fn end(&mut self, id: ConversationId, known: Option<BTreeSet<UserId>>) {
        let Some(mut conversation) = self.conversations.remove(&id) else { return };
        conversation.give_up(false, &mut self.told, &mut self.writes);
        conversation.known_before = known;
        (conversation.led_by, conversation.named) = (None, None);
        let writes = self.writes.conversations.entry(id).or_default();
        if let Some(group) = conversation.group.take() {
            writes.groups.insert(group.id().generation, None);
        }
        for sent in conversation.outgoing.drain(..) {
            writes.outgoing.insert(sent.message_id, None);
        }
        (conversation.submitted, conversation.opened) = (None, None);
        conversation.is_unlisted = true;
        writes.record = Some(conversation.record());
        // A later Welcome brings it back, if it is listed again.
        self.inbox.taken_in(id, conversation.cursor);
    }

    /// The server says that the user is not in the conversation, by its list or by refusing to read it. What is to be said and done
    /// there will not be; its MLS state stays, unless its log says the same, and so it goes on if it is listed once more.
    pub fn unlisted(&mut self, id: ConversationId) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.is_unlisted = true;
        if conversation.is_over() {
            return self.over(id);
        }
        conversation.give_up(true, &mut self.told, &mut self.writes);
        conversation.unlisted();
    }

    /// Whether it is one that is followed.
    #[must_use]
    pub fn follows(&self, id: ConversationId) -> bool {
        self.followed(id).is_some()
    }

    /// Whether the inbox was read on this connection, and all that was told of since: only then is it known where new
    /// conversations begin.
    #[must_use]
    pub const fn is_inbox_known(&self) -> bool {
        self.inbox.is_known && !self.inbox.is_due && !self.inbox.is_asked
    }

    /// Whether it is known where these conversations begin for this device, which were listed: a Welcome may have come after the inbox was
    /// read, and before that, so for one that is new and has none it is read once more (INBOX-009).
    pub fn knows_beginnings(&mut self, listed: impl IntoIterator<Item = ConversationId>) -> bool {
        if !self.is_inbox_known() {
            return false;
        }
        let may_come = |id| !self.follows(id) && self.welcomed_at(id).is_none();
        let is_due = !self.inbox.is_read_for_list && listed.into_iter().any(may_come);
        (self.inbox.is_due, self.inbox.is_read_for_list) = (is_due, is_due);
        !is_due
    }

    /// The entry by which this device comes into a conversation, if a Welcome waits.
    #[must_use]
    pub fn welcomed_at(&self, id: ConversationId) -> Option<u64> {
        self.inbox.first(id)
    }

    /// Something came into the inbox.
    pub fn inbox_item(&mut self) {
        self.inbox.is_due = true;
    }

    /// Few KeyPackages are left.
    pub fn key_packages_low(&mut self, suite: u32) {
        self.packages.low(suite);
    }

    /// The server heard of different states at one epoch.
    pub fn fork_found(&mut self, id: ConversationId, epoch: u64) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if conversation.forked_at != Some(epoch) {
            (conversation.forked_at, conversation.is_dirty) = (Some(epoch), true);
            self.told.push_back((id, Event::ForkFound { epoch }));
        }
    }

    /// A user's device log has changed: it is fetched.
    pub fn log_changed(&mut self, user: UserId) {
        self.wanted.insert(user);
    }

    /// Entries up to this one are kept.
    pub fn kept(&mut self, id: ConversationId, seq: u64) {
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.head = conversation.head.max(seq);
            let known = conversation.server_head;
            conversation.server_head = known.map(|head| head.max(seq));
        }
    }

    /// Conversations whose logs go further than what is kept, and how far at least: to be fetched, since to a device outside of a
    /// group nothing is pushed (PRIV-008).
    pub fn heads(&self) -> impl Iterator<Item = (ConversationId, u64)> {
        let ahead = |it: &Conversation| it.server_head.filter(|head| *head > it.head);
        self.conversations.values().filter_map(move |it| Some((it.id, ahead(it)?)))
    }

    /// From which entry on, of which conversation, entries are wanted: at most 64 at once.
    #[must_use]
    pub fn wants_entries(&self) -> Option<(ConversationId, u64)> {
        self.conversations.values().find_map(|it| Some((it.id, it.wants()?)))
    }

    /// Entries that were wanted, in order. What is missing among them was trimmed, and is passed over.
    pub fn entries(&mut self, id: ConversationId, entries: impl IntoIterator<Item = Entry>) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let mut last = conversation.queue.back().map_or(conversation.cursor, |entry| entry.seq);
        let mut any = false;
        for entry in entries {
            if entry.seq <= last {
                continue;
            }
            if conversation.queue.is_empty() {
                // What was fetched until now, for what was to be made, is of before what the entry tells.
                conversation.stall = None;
                conversation.refreshed.clear();
            }
            (last, any) = (entry.seq, true);
            conversation.queue.push_back(entry);
            if conversation.queue.len() >= READ_AHEAD {
                return;
            }
        }
        if !any && conversation.queue.is_empty() {
            conversation.skipped |= conversation.cursor < conversation.head;
            conversation.cursor = conversation.head;
        } else if !any {
            // There is nothing more before what waits is taken in.
            conversation.head = last;
        }
    }

    /// The user's conversations were listed, and those that are private are followed: Welcomes to others lead nowhere. But one that is
    /// kept may be listed once more, and what was said there be for this device (MLS-043); and one that came after the list was made is in
    /// the next, which is asked for.
    pub fn listed(&mut self) {
        if self.is_listing_due || !self.is_inbox_known() {
            return;
        }
        let is_known =
            |id: &ConversationId| self.conversations.get(id).is_some_and(|it| !it.is_over());
        self.inbox.keep(|id| is_known(id) || !self.strays.contains(id));
        self.strays = self.inbox.conversations().filter(|id| !is_known(id)).collect();
        self.is_listing_due = !self.strays.is_empty();
    }

    /// Whose device log is to be fetched, and held against what is pinned of it. Then [`learn`](Self::learn), or
    /// [`no_log`](Self::no_log).
    pub fn poll_log(&mut self) -> Option<UserId> {
        if !self.is_online || self.now_ms < self.not_before_ms {
            return None;
        }
        // One that has changed while it is fetched is fetched once more after that.
        let user = *self.wanted.difference(&self.fetching).next()?;
        self.wanted.remove(&user);
        self.fetching.insert(user);
        Some(user)
    }

    /// A user's device log, as it is pinned now.
    pub fn learn(&mut self, log: DeviceLog) {
        let user = log.user();
        let is_news = self.logs.with(user, |known| known.head()) != Some(log.head());
        self.logs.learn(log);
        self.is_approved = self.logs.approves(self.me);
        self.logs_settled(user, is_news);
    }

    /// Whether the user's conversations are to be listed anew: this device was approved since the last call, or the server says that
    /// its user is not in one of them.
    pub fn take_listing_due(&mut self) -> bool {
        let is_new = self.is_approved && !self.was_approved;
        self.was_approved = self.is_approved;
        if is_new {
            self.inbox.disconnected();
        }
        std::mem::take(&mut self.is_listing_due) || is_new
    }

    /// A user's device log was asked for, and there is none that may be used: what is known stays.
    pub fn no_log(&mut self, user: UserId) {
        self.logs_settled(user, false);
    }

    /// The server asks to wait before a user's device log is fetched.
    pub fn log_later(&mut self, user: UserId, wait_ms: u64) {
        self.fetching.remove(&user);
        self.wanted.insert(user);
        self.not_before_ms = self.not_before_ms.max(self.now_ms + wait_ms);
    }

    fn logs_settled(&mut self, user: UserId, is_news: bool) {
        self.fetching.remove(&user);
        if self.wanted.contains(&user) {
            return;
        }
        for conversation in self.conversations.values_mut() {
            conversation.log_settled(user, is_news);
        }
    }
}
