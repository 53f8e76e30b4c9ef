//! Private conversations: an engine without sockets, clock or database, which the driver, and the simulation, move.

mod writes;

pub use writes::{ConversationWrites, Stored, StoredConversation, Writes};
