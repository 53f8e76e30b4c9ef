//! From what is kept to what is shown.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use aside_proto::{
    id::{ConversationId, UserId},
    v1,
};
use aside_session::client::{
    Watermarks,
    log::{Membership, Sender, redacted_by},
    room::{PinChange, Settings},
    timeline::{self, Said, Shown, Timeline},
};
use prost::Message as _;

use crate::{
    Content, Entry, GroupProfile, Kind, Mention, Person, Reaction, Role, State, What,
    private::Reading,
    store::{Kept, StateError, Store, StoredSignature},
};

/// Entries before a commit that are looked at for why it removes somebody.
const LOOK_BACK: u32 = 64;

/// One entry, with the handles that are known now.
pub(crate) async fn entry(store: &Store, room: &str, kept: Kept) -> Result<Entry, StateError> {
    Viewer::new(store, room).view(kept).await
}

/// Several entries of one conversation.
pub(crate) async fn entries(
    store: &Store,
    room: &str,
    kept: Vec<Kept>,
) -> Result<Vec<Entry>, StateError> {
    let mut viewer = Viewer::new(store, room);
    let mut entries = Vec::with_capacity(kept.len());
    for kept in kept {
        entries.push(viewer.view(kept).await?);
    }
    Ok(entries)
}

struct Viewer<'a> {
    store: &'a Store,
    room: &'a str,
    handles: HashMap<UserId, Option<String>>,
    /// Messages that were reacted to or edited, as they are now: shared by all who did.
    messages: HashMap<u64, Arc<Entry>>,
    /// How far any other member of the conversation has got.
    furthest: Option<Watermarks>,
    kind: Option<Kind>,
}

impl<'a> Viewer<'a> {
    fn new(store: &'a Store, room: &'a str) -> Self {
        let (handles, messages) = Default::default();
        Self { store, room, handles, messages, furthest: None, kind: None }
    }

    async fn view(&mut self, kept: Kept) -> Result<Entry, StateError> {
        let header = header(&kept)?;
        let sender = Sender::of(&header).flatten();
        let by = match sender {
            Some(sender) => Some(self.person(sender.user).await?),
            None => None,
        };
        let (conversation, seq) = (kept.conversation, kept.seq);
        let what = match (header.kind(), sender) {
            (v1::EntryKind::Message, Some(sender)) => self.message(kept, sender).await?,
            (v1::EntryKind::PrivateMessage, Some(sender)) => {
                self.private_message(kept, sender).await?
            }
            (v1::EntryKind::RoomCreated, _) => What::RoomCreated,
            (v1::EntryKind::RoomUpdated, _) => self.updated(&kept, &header).await?,
            (v1::EntryKind::MessagePinned, _) => self.pinned(&kept, &header).await?,
            (v1::EntryKind::MemberInvited, _) => invited(&kept.payload),
            (v1::EntryKind::Redacted, _) => {
                What::Redacted { seqs: redacted_by(&header, &kept.payload) }
            }
            _ => match Membership::of(&header, &kept.payload) {
                // The handle of that time: it is what the entry records.
                Some(Membership::Joined { user, handle }) => {
                    What::Joined { who: Person { user, handle: Some(handle) } }
                }
                Some(Membership::Left { user }) => What::Left { who: self.person(user).await? },
                Some(Membership::Renamed { old, new, .. }) => What::Renamed { from: old, to: new },
                None => self.private_change(&header, &kept).await?,
            },
        };
        let (room, time_ms) = (self.room.to_owned(), header.time_ms);
        let state = self.state(conversation, seq, by.as_ref(), &what).await?;
        let kind = self.kind(conversation).await?;
        Ok(Entry { conversation, kind, room, seq, time_ms, by, what, state })
    }

    /// What became of a message of the user's.
    async fn state(
        &mut self,
        conversation: ConversationId,
        seq: u64,
        by: Option<&Person>,
        what: &What,
    ) -> Result<Option<State>, StateError> {
        let (Some(by), What::Message { verified: true, .. }) = (by, what) else { return Ok(None) };
        if self.store.me().await? != Some(by.user) {
            return Ok(None);
        }
        let furthest = match self.furthest {
            Some(furthest) => furthest,
            None => *self.furthest.insert(self.store.furthest(conversation).await?),
        };
        Ok(Some(State::at(seq, furthest.delivered_seq, furthest.read_seq)))
    }

    async fn updated(&mut self, kept: &Kept, header: &v1::EntryHeader) -> Result<What, StateError> {
        let Some(now) = Settings::of(header, &kept.payload) else { return Ok(What::Unknown) };
        let before = match self.store.settings_before(kept.conversation, kept.seq).await? {
            Some(before) => Settings::of(&self::header(&before)?, &before.payload),
            None => None,
        };
        Ok(What::RoomUpdated { now, before })
    }

    async fn pinned(&mut self, kept: &Kept, header: &v1::EntryHeader) -> Result<What, StateError> {
        let Some(change) = PinChange::of(header, &kept.payload) else { return Ok(What::Unknown) };
        let PinChange { message: seq, message_id, pinned, .. } = change;
        let message = self.changed(kept.conversation, seq).await?;
        let is_meant =
            |entry: &Arc<Entry>| entry.as_message().is_some_and(|m| m.message_id == message_id);
        Ok(What::Pinned { seq, pinned, message: message.filter(is_meant) })
    }

    async fn message(&mut self, kept: Kept, sender: Sender) -> Result<What, StateError> {
        let id = (sender.device, sender.message_id);
        let repeats = self.store.repeated_by(kept.conversation, kept.seq, id).await?;
        let verified = kept.signature == StoredSignature::Verified && repeats.is_none();
        let (conversation, seq) = (kept.conversation, kept.seq);
        let said = self.said(&kept, sender).await?;
        let mut timeline = Timeline::new();
        // What does not count is shown for itself (CONT-003).
        if verified {
            let target = said.target();
            for around in [Some(seq), target].into_iter().flatten() {
                self.load(&mut timeline, conversation, around).await?;
            }
        }
        // The message itself may not be here (CONT-016).
        if let Some(target) = said.target()
            && self.store.redaction_of(conversation, target).await?.is_some()
        {
            timeline.redact(target);
        }
        timeline.insert(said);
        let (text, content) = match timeline.shown(seq) {
            Some(Shown::Profile(profile)) => {
                (None, self.profile(conversation, seq, profile).await?)
            }
            Some(Shown::Redacted) => {
                let explained = self.store.redaction_of(conversation, seq).await?.is_some();
                (None, if explained { Content::Redacted } else { Content::Missing })
            }
            Some(shown) => self.content(conversation, shown).await?,
            None => (None, Content::Unknown),
        };
        Ok(What::Message { message_id: sender.message_id, text, verified, repeats, content })
    }

    async fn kind(&mut self, conversation: ConversationId) -> Result<Kind, StateError> {
        if let Some(kind) = self.kind {
            return Ok(kind);
        }
        let known = self.store.conversation(conversation).await?;
        Ok(*self.kind.insert(known.map_or(Kind::PublicRoom, |known| known.kind)))
    }

    /// What a GROUP is called, and whether its sender might say so (PRIV-017, CONT-019).
    async fn profile(
        &mut self,
        conversation: ConversationId,
        seq: u64,
        profile: GroupProfile,
    ) -> Result<Content, StateError> {
        if self.kind(conversation).await? != Kind::Group {
            return Ok(Content::Unknown);
        }
        let counts = match self.store.reading(conversation, seq).await? {
            Some(Reading::Said(said)) => timeline::may_name(said.role),
            _ => false,
        };
        Ok(Content::Profile { profile, counts })
    }

    /// Loads a message, if it counts, and what refers to it.
    async fn load(
        &self,
        timeline: &mut Timeline,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<(), StateError> {
        for kept in self.store.entries_about(conversation, seq).await? {
            let header = header(&kept)?;
            let Some(sender) = Sender::of(&header).flatten() else { continue };
            let id = (sender.device, sender.message_id);
            let counts = is_message(header.kind())
                && kept.signature == StoredSignature::Verified
                && self.store.repeated_by(conversation, kept.seq, id).await?.is_none();
            if counts {
                timeline.insert(self.said(&kept, sender).await?);
            }
        }
        Ok(())
    }

    /// The text to be shown, and what else there is to it.
    async fn content(
        &mut self,
        conversation: ConversationId,
        shown: Shown,
    ) -> Result<(Option<String>, Content), StateError> {
        Ok(match shown {
            Shown::Message(message) => {
                let mentions = self.mentions(&message.text).await?;
                let reactions = self.reactions(message.reactions).await?;
                let (edited, reply) = (message.edited, message.reply);
                let content = Content::Text { mentions, edited, reply, reactions };
                (Some(message.text.body), content)
            }
            Shown::Reaction { to, emoji, remove } => {
                let to = match to {
                    Some(seq) => self.changed(conversation, seq).await?,
                    None => None,
                };
                (None, Content::Reaction { to, emoji, remove })
            }
            Shown::Edit { of, text } => {
                let message = self.changed(conversation, of).await?;
                (Some(text.body), Content::Edit { of, message })
            }
            Shown::StrayEdit { of, text } => (Some(text.body), Content::Edit { of, message: None }),
            Shown::Redacted => (None, Content::Redacted),
            Shown::EditOfRedacted { .. } => (None, Content::Hidden),
            Shown::Profile(_) | Shown::Unknown | Shown::Repetition { .. } => {
                (None, Content::Unknown)
            }
        })
    }

    /// A message that a reaction or an edit changed, or that was pinned.
    async fn changed(
        &mut self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<Arc<Entry>>, StateError> {
        if let Some(message) = self.messages.get(&seq) {
            return Ok(Some(Arc::clone(message)));
        }
        let kept = self.store.entries_from(conversation, seq, 1).await?.into_iter().next();
        let Some(kept) = kept.filter(|kept| kept.seq == seq) else { return Ok(None) };
        if !is_message(header(&kept)?.kind()) {
            return Ok(None);
        }
        // No deeper than this: what is changed has a text, and changes nothing.
        let message = Arc::new(Box::pin(self.view(kept)).await?);
        self.messages.insert(seq, Arc::clone(&message));
        Ok(Some(message))
    }

    async fn mentions(&mut self, text: &timeline::Text) -> Result<Vec<Mention>, StateError> {
        let mut mentions = Vec::with_capacity(text.mentions.len());
        for mention in &text.mentions {
            let who = self.person(mention.user).await?;
            mentions.push(Mention { who, range: mention.range.clone() });
        }
        Ok(mentions)
    }

    async fn reactions(
        &mut self,
        reactions: Vec<timeline::Reaction>,
    ) -> Result<Vec<Reaction>, StateError> {
        let mut shown = Vec::with_capacity(reactions.len());
        for timeline::Reaction { emoji, users } in reactions {
            let mut by = Vec::with_capacity(users.len());
            for user in users {
                by.push(self.person(user).await?);
            }
            shown.push(Reaction { emoji, by });
        }
        Ok(shown)
    }

    async fn private_message(&mut self, kept: Kept, sender: Sender) -> Result<What, StateError> {
        match self.store.reading(kept.conversation, kept.seq).await? {
            Some(Reading::Unreadable(why)) => {
                Ok(What::Unreadable { message_id: sender.message_id, why })
            }
            // Without one it was redacted.
            _ => self.message(kept, sender).await,
        }
    }

    /// What an entry of a private conversation says of its members and its group.
    async fn private_change(
        &mut self,
        header: &v1::EntryHeader,
        kept: &Kept,
    ) -> Result<What, StateError> {
        let payload = &kept.payload[..];
        Ok(match header.kind() {
            v1::EntryKind::GroupEstablished => {
                let begun = v1::EstablishHeader::decode(payload).unwrap_or_default();
                let culprit = match begun.culprit.as_ref() {
                    Some(leaf) => self.people(std::slice::from_ref(leaf)).await?.pop(),
                    None => None,
                };
                What::GroupBegun { leaves: self.people(&begun.leaves).await?, culprit }
            }
            v1::EntryKind::Commit => {
                let commit = v1::CommitPayload::decode(payload).unwrap_or_default();
                let header = v1::CommitHeader::decode(commit.header).unwrap_or_default();
                let cut_off = self.cut_off(kept, &header.removed).await?;
                What::MembersChanged {
                    added: self.people(&header.added).await?,
                    removed: self.people(&header.removed).await?,
                    cut_off: self.people(&cut_off).await?,
                    external: header.is_external,
                }
            }
            v1::EntryKind::RemovalPending => {
                let pending = v1::RemovalPendingPayload::decode(payload).unwrap_or_default();
                match UserId::try_from(&pending.user_id[..]) {
                    Ok(user) => {
                        What::RemovalPending { who: self.person(user).await?, left: pending.left }
                    }
                    Err(_) => What::Unknown,
                }
            }
            v1::EntryKind::RoleChanged => {
                let changed = v1::RoleChangedPayload::decode(payload).unwrap_or_default();
                match UserId::try_from(&changed.user_id[..]) {
                    Ok(user) => What::RoleChanged {
                        who: self.person(user).await?,
                        role: Role::of(changed.role()),
                    },
                    Err(_) => What::Unknown,
                }
            }
            v1::EntryKind::CommitRejected => {
                let rejected = v1::CommitRejectedPayload::decode(payload).unwrap_or_default();
                What::CommitRejected { seq: rejected.seq }
            }
            v1::EntryKind::ConversationCreated => What::RoomCreated,
            _ => What::Unknown,
        })
    }

    /// Those of these leaves, which a commit removes, that got nothing more before it. The next commit removes them, so that the entry
    /// which says so is not far before.
    async fn cut_off(
        &self,
        commit: &Kept,
        removed: &[v1::Leaf],
    ) -> Result<Vec<v1::Leaf>, StateError> {
        if removed.is_empty() {
            return Ok(Vec::new());
        }
        let (conversation, seq) = (commit.conversation, commit.seq);
        let mut pending = HashSet::new();
        for before in self.store.entries_before(conversation, seq, LOOK_BACK).await? {
            match header(&before)?.kind() {
                v1::EntryKind::RemovalPending => {
                    let payload = v1::RemovalPendingPayload::decode(&before.payload[..]);
                    pending.extend(payload.unwrap_or_default().device_ids);
                }
                v1::EntryKind::Commit => {
                    let commit = v1::CommitPayload::decode(&before.payload[..]).unwrap_or_default();
                    let header = v1::CommitHeader::decode(commit.header).unwrap_or_default();
                    header.removed.iter().for_each(|leaf| drop(pending.take(&leaf.device_id)));
                }
                _ => {}
            }
        }
        Ok(removed.iter().filter(|leaf| pending.contains(&leaf.device_id)).cloned().collect())
    }

    /// Whose these devices are: each user once.
    async fn people(&mut self, leaves: &[v1::Leaf]) -> Result<Vec<Person>, StateError> {
        let mut people: Vec<Person> = Vec::new();
        for leaf in leaves {
            let Ok(user) = UserId::try_from(&leaf.user_id[..]) else { continue };
            if people.iter().all(|person| person.user != user) {
                people.push(self.person(user).await?);
            }
        }
        Ok(people)
    }

    async fn said(
        &self,
        kept: &Kept,
        Sender { user, device, message_id }: Sender,
    ) -> Result<Said, StateError> {
        let content = self.store.content_of(kept).await?;
        Ok(Said::new(kept.seq, (user, device, message_id), content.as_deref()))
    }

    async fn person(&mut self, user: UserId) -> Result<Person, StateError> {
        if !self.handles.contains_key(&user) {
            self.handles.insert(user, self.store.handle_of(user).await?);
        }
        Ok(Person { user, handle: self.handles.get(&user).cloned().flatten() })
    }
}

/// Who was invited, under the handle of that time.
fn invited(payload: &[u8]) -> What {
    let invited = v1::MemberInvitedPayload::decode(payload).unwrap_or_default();
    match UserId::try_from(&invited.user_id[..]) {
        Ok(user) => What::Invited { who: Person { user, handle: Some(invited.handle) } },
        Err(_) => What::Unknown,
    }
}

fn header(kept: &Kept) -> Result<v1::EntryHeader, StateError> {
    v1::EntryHeader::decode(&kept.header[..])
        .map_err(|_| StateError::Damaged("the header of an entry"))
}

const fn is_message(kind: v1::EntryKind) -> bool {
    matches!(kind, v1::EntryKind::Message | v1::EntryKind::PrivateMessage)
}
