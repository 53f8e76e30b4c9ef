//! The client against a real server, on loopback.

mod accounts;
mod connections;
mod rooms;
mod world;
