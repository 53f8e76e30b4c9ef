//! Trouble that nobody meant, and trouble that somebody did: a cut connection, and a flood.

use std::time::{Duration, Instant};

use anyhow::Result;
use aside_client::{Connection, ConversationId, Event};

use super::{Demo, MESSAGES, People};

/// What carol says in the flood: so much more than she may say at once that the disk can't be what slows her down.
const FLOOD: usize = MESSAGES.burst as usize + 8;
/// What alice and bob say meanwhile.
const TALK: usize = 10;

impl Demo<'_> {
    pub(super) async fn lost_connection(
        &mut self,
        people: &mut People,
        room: ConversationId,
    ) -> Result<()> {
        self.stage.scene("A lost connection")?;
        let heard_before = people.bob.heard.len();
        self.wire("bob").cut();
        self.stage.note("network", "cuts bob's TCP connection without a word")?;
        let offline =
            |event: &Event| matches!(event, Event::Connection(Connection::Offline { .. }));
        people.bob.notices("the loss of the connection", offline).await?;
        for (person, text) in [
            (&people.alice, "Bob?"),
            (&people.carol, "He is gone."),
            (&people.alice, "He will be back."),
        ] {
            self.says(person, room, text).await?;
        }
        let queued = people.bob.client.queue(room, "I never left.").await?;
        self.stage.note("bob", "says: I never left.   (he is offline: it waits in his outbox)")?;
        let server = self.server.local_addr();
        self.wire("bob").mend(server);
        let receipt = queued.receipt().await?;
        people.all_hear("I never left.").await?;
        people.bob.hears("He will be back.").await?;
        self.stage.note("network", "is mended; bob's client comes back by itself, and he sees:")?;
        self.tell_heard(&people.bob, heard_before)?;
        for text in ["Bob?", "He is gone.", "He will be back.", "I never left."] {
            let once = people.all(|person| person.times_heard(text) == 1);
            self.stage.check(once, format!("\"{text}\" came to all three, once"))?;
        }
        let last = people.bob.heard.last().map(|(seq, ..)| *seq);
        self.stage.check(
            people.bob.heard_in_order()
                && last == Some(receipt.seq)
                && heard_before + 4 == people.bob.heard.len(),
            "bob has the whole log in order: nothing lost, nothing twice",
        )?;
        Ok(())
    }

    pub(super) async fn flood(&mut self, people: &mut People, room: ConversationId) -> Result<()> {
        self.stage.scene("A flood, while others chat on")?;
        let mut queued = Vec::new();
        for number in 1..=FLOOD {
            queued.push(people.carol.client.queue(room, &flood(number)).await?);
        }
        self.stage.note("carol", format!("says {FLOOD} things as fast as she can"))?;
        let mut slowest = Duration::ZERO;
        for number in 1..=TALK {
            let (from, to) = match number % 2 {
                0 => (&mut people.bob, &mut people.alice),
                _ => (&mut people.alice, &mut people.bob),
            };
            let text = format!("Can you still hear me? ({number})");
            let began = Instant::now();
            from.client.send(room, &text).await?;
            to.hears(&text).await?;
            slowest = slowest.max(began.elapsed());
        }
        self.stage.note(
            "alice",
            format!(
                "and bob say {TALK} things meanwhile; the slowest took {} ms",
                slowest.as_millis()
            ),
        )?;
        let last = people.carol.times_heard(&flood(FLOOD)) + people.bob.times_heard(&flood(FLOOD));
        self.stage.check(last == 0, "they were through before carol was")?;
        for queued in queued {
            queued.receipt().await?;
        }
        people.all_hear(&flood(FLOOD)).await?;
        let throttled = |event: &Event| matches!(event, Event::Throttled { .. });
        people.carol.notices("the server's wish that she waits", throttled).await?;
        self.check_flood(people)
    }

    fn check_flood(&mut self, people: &People) -> Result<()> {
        let throttled = |events: &[Event]| {
            events.iter().filter(|event| matches!(event, Event::Throttled { .. })).count()
        };
        let times = throttled(&people.carol.noticed);
        self.stage.check(
            times > 0,
            format!("the server made carol wait {times} times: RATE_LIMITED, with retry_after_ms"),
        )?;
        let free = throttled(&people.alice.noticed) + throttled(&people.bob.noticed) == 0;
        self.stage.check(free, "alice and bob were asked to wait for nothing")?;
        let expected: Vec<_> = (1..=FLOOD).map(flood).collect();
        let whole = people.all(|person| {
            let heard = person.heard.iter().filter(|(_, by, _)| by == "carol");
            let heard = heard.map(|(_, _, text)| text).filter(|text| text.starts_with("Flood"));
            heard.eq(&expected)
        });
        self.stage.check(
            whole,
            "what she said came in order, each once: her client waited and sent it again",
        )?;
        Ok(())
    }
}

fn flood(number: usize) -> String {
    format!("Flood {number}")
}
