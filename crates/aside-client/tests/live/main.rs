//! The client against a real server, on loopback.

mod accounts;
mod approval;
mod between;
mod connections;
mod identity;
mod kills;
mod private;
mod private_search;
mod redaction;
mod retention;
mod room_settings;
mod rooms;
mod sealed;
mod search;
mod sync;
mod tokens;
mod world;
