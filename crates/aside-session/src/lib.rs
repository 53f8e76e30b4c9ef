//! Aside sessions without I/O: one connection's protocol, as a state machine.
//!
//! Bytes, time, nonces and the outcomes of commands go in; frames, commands and deadlines come out. Nothing here opens a
//! socket, reads a clock, draws randomness, waits or logs, so every path can be tested with simulated time, and the same
//! logic stands behind TLS streams, WebSockets and, one day, a browser.
//!
//! - [`server`]: the server's side of a connection.
//! - [`client`]: the client's side.

pub mod client;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod server;

/// The time, as the driver read it just before it called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Milliseconds on a clock that never goes back, from any origin; deadlines are in its terms.
    pub monotonic_ms: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z; only messages and idempotency keys are judged by it.
    pub unix_ms: u64,
}
