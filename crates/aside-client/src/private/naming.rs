//! What a GROUP is called, and who says it again to those who come.

use std::collections::BTreeSet;

use aside_crypto::FRANKING_KEY_BYTES;
use aside_mls::Owner;
use aside_proto::v1::{self, ConversationKind};
use aside_session::client::timeline::{Body, may_name};
use prost::Message as _;

use super::{
    conversation::{Context, Conversation, Outgoing},
    reading::Said,
    record,
    roster::Roster,
};
use crate::{GroupProfile, content};

/// The profile that counts (PRIV-017), and whether this device has to say it again (PRIV-018).
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Naming {
    fold: aside_session::client::timeline::Naming,
    by: Option<Owner>,
    is_due: bool,
}

/// As it is kept.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Record {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(message, optional, tag = "2")]
    profile: Option<v1::GroupProfile>,
    #[prost(message, optional, tag = "3")]
    by: Option<v1::Leaf>,
    #[prost(bool, tag = "4")]
    is_due: bool,
}

impl Naming {
    pub(super) fn profile(&self) -> Option<&GroupProfile> {
        self.fold.current().map(|(_, profile)| profile)
    }

    /// Takes in what was said at an entry; gives what the GROUP is called since, if that is another.
    pub(super) fn said(
        &mut self,
        kind: ConversationKind,
        (seq, by): (u64, Owner),
        said: &Said,
    ) -> Option<GroupProfile> {
        // CONT-019
        if kind != ConversationKind::Group {
            return None;
        }
        let before = self.profile().cloned();
        if !self.fold.insert(seq, said.role, &Body::read(&said.content)?) {
            return None;
        }
        (self.by, self.is_due) = (Some(by), false);
        self.profile().filter(|now| before.as_ref() != Some(*now)).cloned()
    }

    /// A commit was followed: who made it, unless it was external, and which leaves were there before and after it.
    pub(super) fn came(
        &mut self,
        roster: &Roster,
        maker: Option<Owner>,
        stayed: &BTreeSet<Owner>,
        (me, any): (Owner, bool),
    ) {
        if any && roster.kind == ConversationKind::Group {
            let mut candidates =
                [maker, self.by].into_iter().flatten().chain(stayed.iter().copied());
            let may = |it: &Owner| stayed.contains(it) && may_name(roster.role(it.user));
            self.is_due = self.profile().is_some() && candidates.find(may) == Some(me);
        }
    }

    /// What this device has to say again, once.
    pub(super) fn due(&mut self, roster: &Roster, me: Owner) -> Option<GroupProfile> {
        let is_due = std::mem::take(&mut self.is_due) && may_name(roster.role(me.user));
        self.profile().filter(|_| is_due).cloned()
    }

    pub(super) fn record(&self) -> Option<Record> {
        let (seq, profile) = self.fold.current()?;
        let (profile, by) = (Some(profile.clone().into()), self.by.map(record::leaf));
        Some(Record { seq, profile, by, is_due: self.is_due })
    }

    /// What was kept.
    pub(super) fn read(record: Record) -> Option<Self> {
        let Record { seq, profile: Some(profile), by, is_due } = record else { return None };
        let body = Some(v1::content::Body::Profile(profile));
        let content = v1::Content { body, reply_to: None }.encode_to_vec();
        let mut fold = aside_session::client::timeline::Naming::default();
        fold.insert(seq, v1::Role::Owner, &Body::read(&content)?);
        Some(Self { fold, by: by.as_ref().and_then(record::owner), is_due })
    }
}

impl Conversation {
    /// PRIV-018: those who came are told what the GROUP is called, as any message is sent.
    pub(super) fn name_again(&mut self, cx: &mut Context<'_>) {
        let Some(profile) = self.naming.due(&self.roster, cx.me) else { return };
        let outgoing = Outgoing {
            message_id: cx.idempotency_key(),
            content: content::profile(profile),
            salt: cx.bytes(),
            payload: None,
            franking_key: [0; FRANKING_KEY_BYTES],
            sent: None,
            failed: None,
            order: self.next_order,
        };
        self.next_order += 1;
        let record = outgoing.record();
        cx.conversation(self.id).outgoing.insert(outgoing.message_id, Some(record));
        self.outgoing.push_back(outgoing);
        self.is_dirty = true;
    }
}

#[cfg(test)]
mod tests {
    use aside_proto::{
        id::{DeviceId, UserId},
        v1::Role,
    };

    use super::*;

    const fn device(user: u8, device: u8) -> Owner {
        Owner { user: UserId::new([user; 16]), device: DeviceId::new([device; 16]) }
    }

    const ALICE: Owner = device(1, 1);
    const PHONE: Owner = device(1, 2);
    const BOB: Owner = device(2, 1);
    const CAROL: Owner = device(3, 1);
    const DAVE: Owner = device(4, 1);

    fn roster() -> Roster {
        let roles = [(ALICE, Role::Owner), (BOB, Role::Admin), (CAROL, Role::Member)];
        Roster {
            kind: ConversationKind::Group,
            members: roles.into_iter().map(|(it, role)| (it.user, role)).collect(),
            ..Roster::default()
        }
    }

    fn said(name: &str, role: Role) -> Said {
        let content = content::profile(GroupProfile::new(name, 7).unwrap());
        Said { content, franking_key: [0; 32], position: 0, approved: true, role }
    }

    fn named_by(by: Owner) -> Naming {
        let mut naming = Naming::default();
        naming.said(ConversationKind::Group, (5, by), &said("tea", Role::Owner)).unwrap();
        naming
    }

    // cites: PRIV-017, CONT-019
    #[test]
    fn only_who_may_and_only_in_a_group() {
        let mut naming = named_by(ALICE);
        let group = ConversationKind::Group;
        assert_eq!(naming.said(group, (6, CAROL), &said("mine", Role::Member)), None);
        assert_eq!(naming.said(group, (7, BOB), &said("tea", Role::Admin)), None, "not another");
        let coffee = GroupProfile::new("coffee", 7).unwrap();
        assert_eq!(naming.said(group, (8, BOB), &said("coffee", Role::Admin)), Some(coffee));
        let direct =
            Naming::default().said(ConversationKind::Direct, (5, BOB), &said("x", Role::Owner));
        assert_eq!(direct, None);
        assert_eq!(Naming::read(naming.record().unwrap()), Some(naming));
    }

    // cites: PRIV-018
    #[test]
    fn one_device_says_it_again_and_all_agree_which() {
        let stayed: BTreeSet<_> = [ALICE, PHONE, BOB, CAROL].into();
        let again = |named: Owner, maker: Option<Owner>, stayed: &BTreeSet<Owner>| {
            let due = |me: &Owner| {
                let mut naming = named_by(named);
                naming.came(&roster(), maker, stayed, (*me, true));
                let due = naming.due(&roster(), *me);
                assert_eq!(naming.due(&roster(), *me), None, "once");
                due.is_some()
            };
            stayed.iter().chain([&DAVE]).copied().filter(due).collect::<Vec<_>>()
        };
        assert_eq!(again(ALICE, Some(BOB), &stayed), [BOB], "who added them");
        assert_eq!(again(PHONE, Some(CAROL), &stayed), [PHONE], "who said it, as a member can't");
        assert_eq!(again(BOB, None, &stayed), [BOB], "who said it, as they came by themselves");
        assert_eq!(again(DAVE, None, &stayed), [ALICE], "the first, as who said it is gone");
        let came_back: BTreeSet<_> = [ALICE, CAROL].into();
        assert_eq!(again(BOB, None, &came_back), [ALICE], "as who said it is the one that came");
    }

    #[test]
    fn nothing_is_said_again_where_nothing_is_to_be() {
        let stayed: BTreeSet<_> = [ALICE, BOB].into();
        let mut naming = named_by(ALICE);
        naming.came(&roster(), Some(ALICE), &stayed, (ALICE, false));
        assert_eq!(naming.due(&roster(), ALICE), None, "nobody came");
        naming.came(&roster(), Some(ALICE), &stayed, (ALICE, true));
        naming.said(ConversationKind::Group, (9, BOB), &said("coffee", Role::Admin));
        assert_eq!(naming.due(&roster(), ALICE), None, "those who came have read another");
        naming.came(&roster(), Some(ALICE), &stayed, (ALICE, true));
        let mut demoted = roster();
        demoted.members.insert(ALICE.user, Role::Member);
        assert_eq!(naming.due(&demoted, ALICE), None, "who may not any more");
        let mut nameless = Naming::default();
        nameless.came(&roster(), Some(ALICE), &stayed, (ALICE, true));
        assert_eq!(nameless.due(&roster(), ALICE), None, "there is no name");
    }
}
