//! A private group: its members alone read it, whoever comes and goes, and whatever one of them tries.

use anyhow::{Context as _, Result};
use aside_client::{
    Content, ConversationId, Entry, Event, GroupProfile, Strength, What, new_recovery_phrase,
    private,
};

use super::{Demo, PHONE, People, cast::Person, ghost, mole, password};
use crate::output::private::{told, unreadable};

/// What the group is called.
const NAME: &str = "Midnight gardeners";
const COLOR: u32 = 0x2e_8b_57;
const FIRST: &str = "The greenhouse at midnight, bring a lantern.";
const WITHOUT_CAROL: &str = "Carol must not know yet: it is her birthday.";
const AGAIN: &str = "Carol, come to the greenhouse at midnight!";
const TO_PHONE: &str = "The lantern is behind the water butt.";
const WITHOUT_PHONE: &str = "Bob has lost his telephone in the compost.";

/// What nobody but the members may find anywhere.
pub(super) const PRIVATE: [&str; 12] = [
    NAME,
    FIRST,
    WITHOUT_CAROL,
    AGAIN,
    TO_PHONE,
    WITHOUT_PHONE,
    mole::LIE,
    mole::TRUTH,
    mole::AFTER_RUBBISH,
    mole::AFTER_LIE,
    ghost::SAID[0],
    ghost::SAID[1],
];

impl Demo<'_> {
    pub(super) async fn private_group(&mut self, people: &mut People) -> Result<()> {
        self.stage.scene("A private group")?;
        self.keep_copy().await?;
        let phrase = new_recovery_phrase(Strength::Bits128);
        people.bob.client.begin_identity(&phrase).await?;
        for person in [&people.alice, &people.carol] {
            let phrase = new_recovery_phrase(Strength::Bits128);
            person.client.begin_identity(&phrase).await?;
        }
        self.stage.note("all", "write a recovery phrase on paper: it approves their devices")?;
        for person in people.each() {
            // Its keys are with the server once what was asked after was answered.
            person.client.rooms(true).await?;
        }
        let group = people.alice.client.create_group().await?.conversation;
        let profile = GroupProfile::new(NAME, COLOR)?;
        people.alice.client.set_group_profile(group, &profile).await?.receipt().await?;
        self.stage.note("alice", format!("makes a private group: {NAME}"))?;
        self.adds(people, group, "bob").await?;
        self.adds(people, group, "carol").await?;
        self.says(&people.alice, group, FIRST).await?;
        people.all_hear(FIRST).await?;
        let called = async |person: &Person| -> Result<bool> {
            let rooms = person.client.rooms(true).await?;
            Ok(rooms.iter().any(|room| room.conversation == group && room.name == NAME))
        };
        let called = called(&people.bob).await? && called(&people.carol).await?;
        self.stage.check(called, "all three read it, and what the group is called")?;
        self.stage.check(same_state(people, group).await?, SAME)?;

        self.without_carol(people, group).await?;
        self.bobs_phone(people, group, &phrase).await?;
        self.mole(people, group).await?;
        self.ghost(people).await
    }

    /// Carol is removed, and added again.
    async fn without_carol(&mut self, people: &mut People, group: ConversationId) -> Result<()> {
        let carol = people.carol.client.identity().user;
        people.alice.client.remove_member(group, carol).await?;
        self.stage.note("alice", "removes carol")?;
        self.says(&people.alice, group, WITHOUT_CAROL).await?;
        people.bob.hears(WITHOUT_CAROL).await?;
        self.adds(people, group, "carol").await?;
        self.says(&people.bob, group, AGAIN).await?;
        people.all_hear(AGAIN).await?;
        let kept = people.carol.remembers(group).await?;
        self.stage.check(
            people.carol.times_heard(WITHOUT_CAROL) == 0
                && !kept.iter().any(|text| text == WITHOUT_CAROL)
                && kept.iter().any(|text| text == FIRST),
            "carol reads what was said before and after, and not what was said meanwhile",
        )?;
        Ok(())
    }

    /// Another device of bob's comes in, and is revoked.
    async fn bobs_phone(
        &mut self,
        people: &mut People,
        group: ConversationId,
        phrase: &aside_client::RecoveryPhrase,
    ) -> Result<()> {
        self.stage.scene("A device that is approved, and one that is lost")?;
        let mut phone = self.way(PHONE)?.log_in(&password("bob")).await?;
        let rooms = phone.client.rooms(true).await?;
        self.stage.note(PHONE, "is bob's: he logs in by his password")?;
        let none = rooms.iter().all(|room| room.server_readable);
        self.stage.check(none, "the password alone shows it nothing that is private")?;
        phone.client.approve_by_phrase(phrase).await?;
        self.stage.note("bob", "types his recovery phrase: the phone is approved")?;
        let joined = |event: &Event| {
            let Event::Private { conversation, what, .. } = event else { return false };
            *conversation == group && matches!(what, private::Event::Joined { .. })
        };
        phone.notices("its coming in", joined).await?;
        self.says(&people.carol, group, TO_PHONE).await?;
        people.all_hear(TO_PHONE).await?;
        phone.hears(TO_PHONE).await?;
        let before = phone.client.history(group, None, 100).await?;
        let before = before
            .iter()
            .find_map(|entry| why_unreadable(entry, "its sender"))
            .context("it was not there before")?;
        self.stage.note(PHONE, format!("of what was said before: {before}"))?;
        self.stage.check(
            phone.noticed.iter().any(|event| is(event, is_by_itself)),
            "it has come in by itself, and reads what is said from then on",
        )?;
        let device = phone.client.identity().device;
        people.bob.client.revoke_device(device).await?;
        self.stage.note("bob", "loses the phone, and revokes it")?;
        self.says(&people.alice, group, WITHOUT_PHONE).await?;
        people.all_hear(WITHOUT_PHONE).await?;
        phone.is_shut_out().await?;
        let leaves = people.alice.client.health(group).await?.leaves;
        self.stage.check(
            leaves.iter().all(|leaf| leaf.device != device)
                && phone.times_heard(TO_PHONE) == 1
                && phone.times_heard(WITHOUT_PHONE) == 0,
            "the next message was encrypted without it, by itself",
        )?;
        self.stage.check(same_state(people, group).await?, SAME)?;
        phone.client.close().await;
        Ok(())
    }

    /// What somebody's screen says.
    pub(super) fn warned(&self, person: &Person, wanted: impl Fn(&Event) -> bool) -> Result<()> {
        let found = person.noticed.iter().find(|event| wanted(event));
        if let Some(Event::Private { room, kind, what, people, left_behind, .. }) = found
            && let Some(told) = told((*kind, room), what, people, left_behind.as_ref())
        {
            self.stage.note(person.name, "is told:")?;
            self.stage.note("", format!("  {}", told.text))?;
        }
        Ok(())
    }

    async fn adds(
        &mut self,
        people: &mut People,
        group: ConversationId,
        name: &'static str,
    ) -> Result<()> {
        let [alice, bob, carol] = people.each();
        let person = if name == "bob" { bob } else { carol };
        let user = person.client.identity().user;
        person.noticed.clear();
        alice.client.add_member(group, user).await?;
        self.stage.note("alice", format!("adds {name}"))?;
        // PRIV-018
        person.notices("what the group is called", is_profile).await?;
        Ok(())
    }
}

/// What all who are in a group compare.
pub(super) const SAME: &str =
    "all three compute the same fork check: the server shows each the same group";

pub(super) async fn same_state(people: &People, group: ConversationId) -> Result<bool> {
    let mut checks = Vec::new();
    for person in [&people.alice, &people.bob, &people.carol] {
        person.client.catch_up(group).await?;
        checks.push(person.client.health(group).await?.fork_check);
    }
    Ok(checks.iter().all(|check| check.is_some() && *check == checks[0]))
}

pub(super) fn is(event: &Event, wanted: impl Fn(&private::Event) -> bool) -> bool {
    matches!(event, Event::Private { what, .. } if wanted(what))
}

pub(super) fn is_told(event: &Event, group: ConversationId) -> bool {
    let Event::Private { conversation, what, .. } = event else { return false };
    *conversation == group && matches!(what, private::Event::Joined { .. })
}

/// As a new device of a member, let in by nobody.
fn is_by_itself(what: &private::Event) -> bool {
    const BY_ITSELF: private::How = private::How::Came(private::Repair::NewDevice);
    matches!(what, private::Event::Joined { how } if *how == BY_ITSELF)
}

fn is_profile(event: &Event) -> bool {
    let Event::Entry(entry) = event else { return false };
    matches!(&entry.what, What::Message { content: Content::Profile { counts: true, .. }, .. })
}

pub(super) fn why_unreadable(entry: &Entry, by: &str) -> Option<String> {
    match &entry.what {
        What::Unreadable { why, .. } => Some(unreadable(*why, by)),
        _ => None,
    }
}
