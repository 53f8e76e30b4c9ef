//! Clients and a server under everything that can go wrong, decided by a seed.
//!
//! ```text
//!  Device: client::Session, Follower, Timeline,          Server: server::Session, handlers, hub,
//!  outbox and cursors, and a disk ◄───── bytes ─────► and the store on a SQLite file
//!                                                              │ every entry, as it becomes durable
//!                                                              ▼
//!                                                            Truth
//! ```
//!
//! A [`run`] is a loop: list the events that are possible now, let the seed choose one, and let it happen, all of it, before the
//! next. An event is a piece of a stream that arrives, a batch that the store makes durable, an outcome that reaches its session, an
//! operation of a user, time that passes, or trouble: a link is cut at any byte, a client stops reading, or is cut off, or loses its
//! memory, the server stops or crashes and is opened again on the same database. There is no clock but the simulated one, no thread
//! whose turn matters, and no order that the seed has not decided: the same seed gives the same [hash](Report::hash) of all events
//! and all bytes.
//!
//! What is checked while it runs: the server's replies against the truth (`truth/judge.rs`), what it pushes against the entry before
//! (`server.rs`), chain, signed heads and signatures by the followers of all devices, that what is acknowledged is durable, and that
//! watermarks never fall (`device/`). The truth has all there ever was, and knows where each log begins now: what was removed must be
//! answered with TRIMMED, and what was redacted must be a tombstone. What is checked when the network has healed and everything is at
//! rest, and once more after everyone has started anew (`checks.rs`): each message that was kept is in its log exactly once, where it
//! was acknowledged, in its sender's order; nothing else is; and every device shows what a fold over the whole log shows.
//!
//! Members of private conversations have a world of their own, [`run_private`], with the client's real engine on each device; what is
//! there and what must hold is said in `private/mod.rs`. [`race`] counts commits that many make at once.
//!
//! # To add an operation
//! 1. Write a function in `operations.rs`, a few lines, and its row in the table there. A message is given to `Device::say`, another
//!    effect with an idempotency key to `Device::intend`; both survive crashes and lost connections by themselves. A question is
//!    given to `Device::ask`.
//! 2. If its command is one write to the journal, name it in `is_batched` of `server.rs`.
//! 3. If the truth decides its reply, add an arm to `Truth::judge`, and what it has to remember to `Truth`.
//! 4. If it may be refused in the ordinary course of things, name the code in `is_ordinary`.
//! 5. If a client keeps something because of it, handle the reply in `device/replies.rs` or the event in `device/turn.rs`, and hold
//!    it against the truth in `checks.rs`.
//! 6. Break it on purpose: a variant of [`Sabotage`], of which the tests ask that it be caught.

mod checks;
mod clock;
mod device;
mod flow;
mod link;
mod operations;
mod private;
mod rng;
mod sabotage;
mod server;
mod talk;
mod trace;
mod truth;
mod world;

pub use private::{PrivateSabotage, Race, race, run_private};
pub use sabotage::Sabotage;

use world::World;

/// Events with trouble in a run.
const EVENTS: u32 = 700;

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    /// A hash of every event and of every byte that travelled.
    pub hash: u64,
    /// How many events there were.
    pub count: u64,
    /// The events: all of them if that was asked for, else the last ones.
    pub events: Vec<String>,
    /// The invariant that does not hold.
    pub broken: Option<String>,
}

/// Runs a seed.
///
/// # Errors
/// If there is no directory for the database. What goes wrong in the run is in the report.
pub fn run(seed: u64, sabotage: Option<Sabotage>, whole_trace: bool) -> anyhow::Result<Report> {
    let mut world = World::new(seed, sabotage, whole_trace)?;
    let result = world.run(EVENTS);
    let broken = result.err().map(|error| format!("{error:#}"));
    let trace = world.into_trace();
    Ok(Report { hash: trace.hash(), count: trace.count(), events: trace.into_events(), broken })
}
