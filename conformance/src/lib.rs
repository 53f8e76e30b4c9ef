//! The conformance suite for servers of the Aside protocol: scripts in YAML, and the runner that plays their clients.
//!
//! ```text
//!  scripts/*.yaml ──▶ script (load, check) ──▶ exec ──▶ actor ──▶ conn ──▶ the server under test
//!                                               │         ▲                        │
//!  spec/src/*.md ──▶ spec (sentences)           │         └── watch ◀── view ◀─────┘
//!                         │                     ▼
//!                         └──────────▶ suite ──▶ outcome ──▶ harness (named tests), report
//! ```
//!
//! README.md in this folder describes the language for those who write scripts.
//!
//! What this crate never does: take framing, encoding, hashing or signing from the crates that the reference server is
//! made of. It knows the schema by its descriptors alone, so that it and its subject can't share a mistake. Where an actor
//! is a member of a private conversation, MLS is that of aside-mls, and device logs are judged by aside-crypto, as clients
//! do both: a server has nothing of the one, and what it says of the other is what is checked.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use conformance::{Options, Profile, Suite, config};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let suite = Suite::new(Options {
//!     target: config::running("chat.example:7423", None, None)?,
//!     profile: Profile::default(),
//!     scripts: None,
//!     deadline: Duration::from_secs(5),
//!     replay: "aside-conformance --target chat.example:7423 {}".to_owned(),
//! })?;
//! let record = suite.run("ping/ping-echo").await;
//! assert!(!record.outcome.is_bad(), "{}", suite.story(&record));
//! # Ok(())
//! # }
//! ```

mod actor;
mod bystander;
mod codec;
pub mod config;
mod conn;
mod exec;
pub mod harness;
mod outcome;
mod profile;
mod proto;
pub mod report;
mod script;
mod spec;
mod suite;
pub mod target;
mod truth;
mod value;
mod view;
mod watch;

mod embedded {
    //! Scripts and chapters, built in.
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

pub use outcome::{Outcome, Record};
pub use profile::Profile;
pub use script::load::{faults, schema};
pub use suite::{NoScripts, Options, Suite};
