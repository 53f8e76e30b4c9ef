//! A member who means ill: what it sends is not what it says, or nothing at all.

use anyhow::{Context as _, Result, ensure};
use aside_client::{
    BindingKind, ConversationId, DeviceId, Error, Event, Strength, UserId, What,
    new_recovery_phrase, private,
    v1::{self, client_frame::Body},
};
use prost::Message as _;

use super::{
    Demo, People,
    bent::{Bent, Lie},
    cast::Person,
    password,
    private::{SAME, is, is_told, same_state, why_unreadable},
    server_data,
};

pub(super) const LIE: &str = "The mugs are carol's, she only lends them.";
pub(super) const TRUTH: &str = "They are nobody's, they grow here.";
pub(super) const AFTER_RUBBISH: &str = "On we go without the mole.";
pub(super) const AFTER_LIE: &str = "And now for good.";

impl Demo<'_> {
    /// A member who lies, and who sends what is no commit, to stop the others.
    pub(super) async fn mole(&mut self, people: &mut People, group: ConversationId) -> Result<()> {
        self.stage.scene("A member who means ill")?;
        let bent = Bent::start(self.server.local_addr(), &server_data(self.home)).await?;
        let mut way = self.way("mallory")?;
        (way.port, way.binding) = (bent.port(), BindingKind::CertSha256);
        let mut mallory = way.register(&password("mallory")).await?;
        let phrase = new_recovery_phrase(Strength::Bits128);
        mallory.client.begin_identity(&phrase).await?;
        mallory.client.rooms(true).await?;
        self.lets_in(people, &mut mallory, group).await?;
        self.stage.note(
            "alice",
            "adds mallory, who has asked so kindly; but mallory's client is bent to lie",
        )?;
        self.lying_message(people, (&mut mallory, &bent), group).await?;
        self.rubbish(people, &mut mallory, group).await?;
        self.lets_in(people, &mut mallory, group).await?;
        self.stage.note("alice", "adds mallory once more: it was the cat, she hears")?;
        self.lying_commit(people, (&mut mallory, &bent), group).await?;
        mallory.client.close().await;
        Ok(())
    }

    async fn lets_in(
        &self,
        people: &People,
        mallory: &mut Person,
        group: ConversationId,
    ) -> Result<()> {
        mallory.noticed.clear();
        let user = mallory.client.identity().user;
        people.alice.client.add_member(group, user).await?;
        mallory.notices("the invitation", |event| is_told(event, group)).await
    }

    /// The clear header says another franking tag than the one that was sealed: what was said could be denied later.
    async fn lying_message(
        &mut self,
        people: &mut People,
        (mallory, bent): (&mut Person, &Bent),
        group: ConversationId,
    ) -> Result<()> {
        bent.lie(Lie::Message);
        let sent = mallory.client.send(group, LIE).await;
        ensure!(bent.has_lied(), "nothing was changed");
        // What is bent is the wire: the client itself finds that the server has another message than it sent, and goes no further
        // (MSG-009) until it is told to take it all up anew.
        ensure!(matches!(sent, Err(Error::Tampered)), "a false message is acknowledged: {sent:?}");
        mallory.noticed.clear();
        mallory.client.forget(group).await?;
        mallory.notices("that it is in anew", |event| is_told(event, group)).await?;
        self.stage.note("mallory", "says something under a header with a false tag, so that nobody could prove it by a report")?;
        let mut caught = true;
        for person in people.each() {
            person.notices("the message that lies", is_unreadable).await?;
            let shown = person.client.history(group, None, 4).await?;
            let why = shown.iter().find_map(|entry| match &entry.what {
                What::Unreadable { why, .. } => Some(*why),
                _ => None,
            });
            caught &= why == Some(private::Unreadable::Refused(private::Reason::HeaderMismatch));
            if person.name == "bob" {
                let text = shown.iter().find_map(|entry| why_unreadable(entry, "mallory"));
                self.stage.note("bob", format!("sees:   mallory: {}", text.unwrap_or_default()))?;
            }
            caught &= person.times_heard(LIE) == 0;
        }
        self.says(&people.carol, group, TRUTH).await?;
        people.all_hear(TRUTH).await?;
        self.stage
            .check(
                caught,
                "nobody was shown what no header vouches for; the others' messages come as before",
            )
            .map_err(Into::into)
    }

    async fn rubbish(
        &mut self,
        people: &mut People,
        mallory: &mut Person,
        group: ConversationId,
    ) -> Result<()> {
        let health = mallory.client.health(group).await?;
        let (generation, epoch) = health.at.context("the group has begun")?;
        let key = mallory.client.idempotency_key();
        let header = v1::CommitHeader {
            conversation_id: group.to_bytes(),
            message_id: key.to_bytes(),
            generation: generation.into(),
            epoch,
            ..v1::CommitHeader::default()
        };
        let payload = v1::CommitPayload {
            header: header.encode_to_vec().into(),
            commit: b"a mole's hill".as_slice().into(),
        };
        let submit = v1::SubmitCommit {
            payload: payload.encode_to_vec().into(),
            salt: [7; 32].as_slice().into(),
            welcomes: Vec::new(),
            group_info: b"another".as_slice().into(),
        };
        mallory.client.call_keyed(key, Body::SubmitCommit(submit)).await?;
        self.stage.note(
            "mallory",
            "sends rubbish as the group's next change: the server, which reads none, takes it",
        )?;
        self.goes_on_without(people, (mallory, private::Reason::Malformed), group, AFTER_RUBBISH)
            .await
    }

    /// What the commit does, its header does not say: carol is to go, and the server is not to know.
    async fn lying_commit(
        &mut self,
        people: &mut People,
        (mallory, bent): (&mut Person, &Bent),
        group: ConversationId,
    ) -> Result<()> {
        let carol = people.carol.client.identity().user;
        bent.lie(Lie::Commit);
        let removed = mallory.client.remove_member(group, carol).await;
        ensure!(bent.has_lied(), "nothing was changed");
        // As before, its client finds another change in the log than it made.
        ensure!(matches!(removed, Err(Error::Tampered)), "a false change is taken: {removed:?}");
        self.stage.note("mallory", "removes carol, and says that it only renews its keys: the server, which reads none, takes it")?;
        self.goes_on_without(people, (mallory, private::Reason::HeaderMismatch), group, AFTER_LIE)
            .await
    }

    /// The change is refused by all, its maker named, and the group begun anew without it.
    async fn goes_on_without(
        &mut self,
        people: &mut People,
        (mallory, wrong): (&mut Person, private::Reason),
        group: ConversationId,
        text: &'static str,
    ) -> Result<()> {
        let identity = mallory.client.identity();
        let (user, device) = (identity.user, identity.device);
        let refused = |event: &Event| is(event, |what| refuses(what, user, wrong));
        let reset = |event: &Event| is(event, |what| leaves_out(what, user, device));
        people.bob.notices("the refusal", refused).await?;
        self.warned(&people.bob, refused)?;
        for person in people.each() {
            person.notices("the group's new beginning", reset).await?;
        }
        self.warned(&people.bob, reset)?;
        self.says(&people.carol, group, text).await?;
        people.all_hear(text).await?;
        let leaves = people.alice.client.health(group).await?.leaves;
        // What was pushed to it before it asks has come when it is answered.
        mallory.client.rooms(true).await?;
        self.stage.check(
            leaves.len() == 3
                && leaves.iter().all(|leaf| leaf.user != user)
                && mallory.never_heard(group, text).await?,
            "the culprit was named, and the group goes on without mallory; nobody had to do anything",
        )?;
        self.stage.check(same_state(people, group).await?, SAME)?;
        for person in people.each() {
            person.noticed.clear();
        }
        Ok(())
    }
}

fn leaves_out(what: &private::Event, user: UserId, device: DeviceId) -> bool {
    let private::Event::Reset { culprit: Some(culprit), .. } = what else { return false };
    (culprit.user, culprit.device) == (user, device)
}

fn refuses(what: &private::Event, user: UserId, wrong: private::Reason) -> bool {
    let private::Event::CommitRefused { by, reason, .. } = what else { return false };
    (by.user, *reason) == (user, wrong)
}

fn is_unreadable(event: &Event) -> bool {
    matches!(event, Event::Entry(entry) if matches!(entry.what, What::Unreadable { .. }))
}
