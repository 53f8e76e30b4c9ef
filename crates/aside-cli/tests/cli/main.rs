//! The program as people and scripts run it, against a server on loopback.

mod approving;
mod commands;
mod private;
mod world;
