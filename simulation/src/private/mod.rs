//! Members of private conversations: the client's real engine on each device, the real session, handlers, hub and store below.
//!
//! ```text
//!  Device: client::Session, Follower, private::Engine,        Server, as for rooms, and between it and the links
//!  pinned device logs, and a disk ◄─────── frames ───────►    a Liar, who now and then says something else
//!                  │ what was said, read, and at which epoch
//!                  ▼
//!              Witness
//! ```
//!
//! A device does what the client's driver does: it keeps entries and tells the engine, writes what the engine has to keep, in steps
//! of its own, asks what the engine asks, and holds device logs against what it pinned. It may be stopped between any two of these
//! steps, and its disk may be put back to what it was earlier. One user may be evil: its device is a member like any other that now
//! and then makes, from its own state, a commit or a message that nobody should take.
//!
//! In half of the seeds trouble begins at once, and meets groups as they begin; in the others it begins when there are groups in which
//! something was said.
//!
//! A seed decides all of it but the bytes that MLS draws from the operating system, and nothing is decided by those: streams are cut
//! into frames, and the [hash](crate::Report::hash) is over the events alone.
//!
//! What must hold is in `witness.rs` (while it runs), and in `checks.rs` and `readings.rs` (when all is at rest): these go by what the
//! log says in clear (`log.rs`), and not by what a device takes to be so. What a device
//! complains of has to have a cause (`causes.rs`).

mod asking;
mod causes;
mod checks;
mod device;
mod evil;
mod following;
mod liar;
mod log;
mod operations;
mod people;
mod race;
mod readings;
mod sabotage;
mod turn;
mod vault;
mod witness;
mod world;

use anyhow::Result;

pub(crate) use liar::Liar;
pub use race::{Race, race};
pub use sabotage::PrivateSabotage;

use self::world::World;
use crate::Report;

/// Events with trouble in a run.
const EVENTS: u32 = 600;

/// Runs a seed of a world of private conversations.
///
/// # Errors
/// If there is no directory for the database. What goes wrong in the run is in the report.
pub fn run_private(
    seed: u64,
    sabotage: Option<PrivateSabotage>,
    whole_trace: bool,
) -> Result<Report> {
    let mut world = World::new(seed, sabotage, whole_trace)?;
    let result = world.run(EVENTS);
    let broken = result.err().map(|error| format!("{error:#}"));
    let trace = world.into_trace();
    Ok(Report { hash: trace.hash(), count: trace.count(), events: trace.into_events(), broken })
}
