//! The fold: what is to be shown of an entry, by what else is loaded.

use std::collections::BTreeMap;

use aside_proto::id::{IdempotencyKey, UserId};

use super::{Body, Profile, Reference, Said, Text, Timeline, What};

/// What is to be shown of an entry of kind MESSAGE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A message, as it is now.
    Message(Message),
    /// A reaction: shown at its message, or nowhere (CONT-009).
    Reaction {
        /// Its message; none if it leads nowhere.
        to: Option<u64>,
        /// An emoji. To be neutralised before it is displayed (MSG-010).
        emoji: String,
        /// Whether it is taken back.
        remove: bool,
    },
    /// An edit whose message is there: shown at that, not by itself (CONT-011).
    Edit {
        /// Its message.
        of: u64,
        /// The text it gives. To be neutralised before it is displayed (MSG-010).
        text: Text,
    },
    /// An edit of something that is not shown: a message marked as such (CONT-013).
    StrayEdit {
        /// What is said to be there.
        of: u64,
        /// The text it gives. To be neutralised before it is displayed (MSG-010).
        text: Text,
    },
    /// An edit of what was redacted: not shown (CONT-014, CONT-016).
    EditOfRedacted {
        /// Its message.
        of: u64,
    },
    /// The name and the color of a GROUP, if it is in one (CONT-019), and whoever says it may (PRIV-017).
    Profile(Profile),
    /// What this version can't show (MSG-011).
    Unknown,
    /// What was redacted (CONT-014).
    Redacted,
    /// Said before: shown as a repetition, and without effect (MSG-013).
    Repetition {
        /// The entry that it repeats.
        of: u64,
    },
}

/// A message, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who said it.
    pub user: UserId,
    /// Its id.
    pub message_id: IdempotencyKey,
    /// Its text by the last edit. To be neutralised before it is displayed (MSG-010).
    pub text: Text,
    /// The seq of the last edit; none if it is as it was sent.
    pub edited: Option<u64>,
    /// What it answers.
    pub reply: Option<Reply>,
    /// In the order in which the first of those that stand came.
    pub reactions: Vec<Reaction>,
}

/// What a message answers (CONT-006, CONT-007).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// The seq that the sender named.
    pub to: u64,
    /// Whether the message meant is there; to be shown if not.
    pub there: bool,
    /// Whether it is not there because it was redacted; to be shown if so (REDACT-017).
    pub redacted: bool,
}

/// Those who reacted with one emoji.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// An emoji. To be neutralised before it is displayed (MSG-010).
    pub emoji: String,
    /// Who, in the order of their reactions that stand.
    pub users: Vec<UserId>,
}

impl Timeline {
    /// What is to be shown of the entry at `seq`; `None` if it is not loaded, or does not verify.
    #[must_use]
    pub fn shown(&self, seq: u64) -> Option<Shown> {
        let said = self.entries.get(&seq)?;
        let first = self.first(said);
        if first != seq {
            return Some(Shown::Repetition { of: first });
        }
        Some(match &said.what {
            What::Unknown => Shown::Unknown,
            What::Redacted => Shown::Redacted,
            What::Body(Body::Text { text, reply_to }) => {
                Shown::Message(self.message(said, text, *reply_to))
            }
            What::Body(Body::Reaction { to, emoji, remove }) => Shown::Reaction {
                to: self.led_to(said, *to).map(|target| target.seq),
                emoji: emoji.clone(),
                remove: *remove,
            },
            What::Body(Body::Edit { to, text }) => self.edit(said, *to, text),
            What::Body(Body::Profile(profile)) => Shown::Profile(profile.clone()),
        })
    }

    /// The smallest seq of those that say the same message (MSG-013).
    fn first(&self, said: &Said) -> u64 {
        let seqs = self.repetitions.get(&said.id);
        seqs.and_then(|seqs| seqs.first()).copied().unwrap_or(said.seq)
    }

    fn edit(&self, said: &Said, to: Reference, text: &Text) -> Shown {
        let (of, text) = (to.seq, text.clone());
        match self.led_to(said, to) {
            Some(target) if target.user == said.user => Shown::Edit { of, text },
            _ if self.is_redacted(said, to) || self.is_named(said, to) => {
                Shown::EditOfRedacted { of }
            }
            _ => Shown::StrayEdit { of, text },
        }
    }

    fn message(&self, said: &Said, text: &Text, reply_to: Option<Reference>) -> Message {
        let edit = self.edits(said).last();
        let (edited, text) = edit.map_or((None, text), |(seq, text)| (Some(seq), text));
        let reply = |to: Reference| Reply {
            to: to.seq,
            there: self.led_to(said, to).is_some(),
            redacted: self.is_redacted(said, to),
        };
        Message {
            user: said.user,
            message_id: said.id.1,
            text: text.clone(),
            edited,
            reply: reply_to.map(reply),
            reactions: self.reactions(said),
        }
    }

    /// The edits of a message, in order (CONT-011, CONT-012).
    fn edits(&self, original: &Said) -> impl Iterator<Item = (u64, &Text)> {
        self.referring_to(original).filter_map(|said| match said.body()? {
            Body::Edit { text, .. } if said.user == original.user => Some((said.seq, text)),
            _ => None,
        })
    }

    /// The reactions that stand: of each user and emoji the last one counts (CONT-010).
    fn reactions(&self, original: &Said) -> Vec<Reaction> {
        let mut last = BTreeMap::new();
        for said in self.referring_to(original) {
            if let Some(Body::Reaction { emoji, remove, .. }) = said.body() {
                last.insert((said.user, emoji.as_str()), (said.seq, *remove));
            }
        }
        let mut standing: Vec<_> = last
            .into_iter()
            .filter(|(_, (_, remove))| !remove)
            .map(|((user, emoji), (seq, _))| (seq, user, emoji))
            .collect();
        standing.sort_unstable();
        let mut reactions = Vec::<Reaction>::new();
        let mut places = BTreeMap::new();
        for (_, user, emoji) in standing {
            let place = *places.entry(emoji).or_insert_with(|| {
                reactions.push(Reaction { emoji: emoji.to_owned(), users: Vec::new() });
                reactions.len() - 1
            });
            reactions[place].users.push(user);
        }
        reactions
    }

    /// What refers to a message and means it, in order of seq.
    fn referring_to(&self, original: &Said) -> impl Iterator<Item = &Said> {
        let seqs = self.referring.get(&original.seq).into_iter().flatten();
        seqs.filter_map(|seq| self.entries.get(seq)).filter(|said| {
            let to = said.body().and_then(Body::target);
            self.first(said) == said.seq && to.is_some_and(|to| is_meant(to, original))
        })
    }

    /// The message with a text that a reference leads to (CONT-002, CONT-003).
    fn led_to(&self, from: &Said, to: Reference) -> Option<&Said> {
        let target = self.meant(from, to)?;
        matches!(target.body(), Some(Body::Text { .. })).then_some(target)
    }

    fn is_redacted(&self, from: &Said, to: Reference) -> bool {
        self.meant(from, to).is_some_and(|target| target.what == What::Redacted)
    }

    /// Whether the place that a reference names is known to be redacted, whatever is loaded of it (CONT-016).
    fn is_named(&self, from: &Said, to: Reference) -> bool {
        to.seq < from.seq && self.redacted.contains(&to.seq)
    }

    fn meant(&self, from: &Said, to: Reference) -> Option<&Said> {
        let target = self.entries.get(&to.seq).filter(|target| target.seq < from.seq)?;
        (is_meant(to, target) && self.first(target) == target.seq).then_some(target)
    }
}

/// Whether the entry at the place is the one that was meant.
fn is_meant(to: Reference, target: &Said) -> bool {
    to.message_id == Some(target.id.1)
}
