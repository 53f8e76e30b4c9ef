//! A member of one room: it speaks by a script, and follows what all say.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use aside_proto::v1::server_frame::Body;
use tokio::time::{sleep_until, timeout};

use crate::{
    account::Account,
    check::{Stamp, Tally},
    follow::Follower,
    peer::{Peer, Room},
    report::Latencies,
    schedule::Schedule,
    target::Door,
};

/// How long nothing may come before a message is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// When a speaker sends the next message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// When it is due, whatever became of those before.
    OnTime(Schedule),
    /// When fewer than so many wait for their acknowledgement; at least 1.
    Window(usize),
}

/// What a speaker is to send.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// Which of the room's speakers it is.
    pub(crate) speaker: u32,
    /// When to send.
    pub(crate) pace: Pace,
    /// How many messages, at most; at least one is sent.
    pub(crate) count: u32,
    /// When to stop even so.
    pub(crate) until: Option<Instant>,
    /// Bytes of a payload.
    pub(crate) payload_bytes: usize,
    /// The clock, and where the time from due to arrival at each listener goes.
    pub(crate) arrivals: Arc<Latencies>,
    /// Where the time from due to acknowledgement goes.
    pub(crate) acks: Arc<Latencies>,
}

/// A logged-in member.
pub(crate) struct Member {
    account: Account,
    peer: Peer,
    follower: Follower,
}

/// A member that is not connected.
#[derive(Clone)]
pub(crate) struct Away {
    /// Who.
    pub(crate) account: Account,
    /// Where, and the last entry it has had.
    pub(crate) room: Room,
}

impl Away {
    /// Logs in.
    pub(crate) async fn log_in(self, door: &Door) -> Result<Member> {
        let peer = self.account.log_in(door).await?;
        Ok(Member::new(self.account, peer, self.room))
    }
}

impl Member {
    /// From a connection that is logged in, and has had all up to the room's head.
    pub(crate) fn new(account: Account, peer: Peer, room: Room) -> Self {
        Self { account, peer, follower: Follower::new(room.id, room.head) }
    }

    /// Cuts the connection off.
    pub(crate) fn leave(self) -> Away {
        let room = Room { id: self.follower.room(), head: self.follower.cursor() };
        Away { account: self.account, room }
    }

    /// What it has seen.
    pub(crate) fn tally(&self) -> Tally {
        self.follower.checker().tally()
    }

    /// How often the server left out entries for it.
    pub(crate) fn gaps(&self) -> u64 {
        self.follower.gaps()
    }

    /// The last entry it has had.
    pub(crate) fn cursor(&self) -> u64 {
        self.follower.cursor()
    }

    /// Fetches until it has all that the log has; calls `page` after each answer.
    pub(crate) async fn catch_up(&mut self, mut page: impl FnMut()) -> Result<()> {
        let request = self.follower.catch_up();
        self.peer.send(request).await?;
        while !self.follower.is_level() {
            let body = self.next_in_time().await?;
            let was_page = matches!(body, Body::Fetched(_));
            self.follow(body, &mut |_| {}).await?;
            if was_page {
                page();
            }
        }
        Ok(())
    }

    /// Follows the room until the last message of so many speakers; `seen` gets each.
    pub(crate) async fn listen(
        &mut self,
        speakers: usize,
        mut seen: impl FnMut(&Stamp),
    ) -> Result<()> {
        while self.follower.checker().ended() < speakers || !self.follower.is_level() {
            let body = self.next_in_time().await?;
            self.follow(body, &mut seen).await?;
        }
        Ok(())
    }

    /// Sends what the script says; returns when all is acknowledged.
    pub(crate) async fn speak(&mut self, script: &Script) -> Result<()> {
        let mut unanswered = VecDeque::new();
        for number in 0..script.count.max(1) {
            let due = self.await_turn(script, number, &mut unanswered).await?;
            let due_us = script.arrivals.on_clock(due);
            let last = number + 1 >= script.count || script.until.is_some_and(|end| due >= end);
            let stamp = Stamp { speaker: script.speaker, number, last, due_us };
            let payload = stamp.payload(script.payload_bytes);
            self.peer.send_message(self.follower.room(), payload).await?;
            unanswered.push_back(due);
            if last {
                break;
            }
        }
        while !unanswered.is_empty() {
            let body = self.next_in_time().await?;
            self.take(body, script, &mut unanswered).await?;
        }
        Ok(())
    }

    /// Takes what comes until the next message is due, and says when that is.
    async fn await_turn(
        &mut self,
        script: &Script,
        number: u32,
        unanswered: &mut VecDeque<Instant>,
    ) -> Result<Instant> {
        match script.pace {
            Pace::OnTime(schedule) => {
                let due = schedule.due(number);
                loop {
                    let body = tokio::select! {
                        biased;
                        () = sleep_until(due.into()) => return Ok(due),
                        body = self.peer.next() => body?,
                    };
                    self.take(body, script, unanswered).await?;
                }
            }
            Pace::Window(window) => {
                while unanswered.len() >= window {
                    let body = self.next_in_time().await?;
                    self.take(body, script, unanswered).await?;
                }
                Ok(Instant::now())
            }
        }
    }

    /// Takes an acknowledgement, or what a listener takes. Replies come in the order of requests.
    async fn take(
        &mut self,
        body: Body,
        script: &Script,
        unanswered: &mut VecDeque<Instant>,
    ) -> Result<()> {
        match body {
            Body::Sent(_) => {
                let due = unanswered.pop_front().context("Sent for no message")?;
                script.acks.took(due.elapsed());
                Ok(())
            }
            other => self.follow(other, &mut |_| {}).await,
        }
    }

    async fn follow(&mut self, body: Body, seen: &mut impl FnMut(&Stamp)) -> Result<()> {
        if let Body::Error(error) = body {
            bail!("the server refused: {}", error.message);
        }
        if let Some(request) = self.follower.take(body, seen)? {
            self.peer.send(request).await?;
        }
        Ok(())
    }

    async fn next_in_time(&mut self) -> Result<Body> {
        match timeout(PATIENCE, self.peer.next()).await {
            Ok(body) => body,
            Err(_) => bail!("nothing came for {PATIENCE:?} after {:?}", self.tally()),
        }
    }
}

/// One speaks, the other listens; both must have every message. Returns what the two saw.
pub(crate) async fn converse(
    mut speaker: Member,
    mut listener: Member,
    script: Script,
) -> Result<Tally> {
    let speaking = async {
        speaker.speak(&script).await?;
        speaker.listen(1, |_| {}).await
    };
    let listening = listener.listen(1, |stamp| script.arrivals.happened(stamp.due_us));
    tokio::try_join!(speaking, listening)?;
    let mut tally = listener.tally();
    ensure!(tally.received + tally.lost > 0, "nothing was said");
    tally.add(speaker.tally());
    Ok(tally)
}
