//! The `aside` program: a server, and a client for people and scripts.

mod chat;
mod completions;
mod config;
mod demo;
mod devices;
mod doctor;
mod failure;
mod health;
mod logging;
mod named;
mod output;
mod passphrase;
mod presence;
mod recovery;
mod retention;
mod rooms;
mod search;
mod send;
mod serve;
mod session;
mod since;
mod tail;
mod tokens;
mod tui;
mod users;
mod verify;
mod version;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Secure chat: a server, and a client for people and scripts
#[derive(Debug, Parser)]
#[command(
    name = "aside",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Exit codes:\n  \
        0  done\n  \
        1  failed otherwise\n  \
        2  wrong usage\n  \
        3  the server can't be reached, or does not answer\n  \
        4  the server refused: the log-in, or the request\n  \
        5  not to be trusted: certificate, log key, or history\n\n\
        Try it without any set-up:\n  aside demo"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::ServeArgs),
    Chat(chat::Args),
    Tui(tui::Args),
    Send(send::Args),
    Dm(send::DmArgs),
    Tail(tail::Args),
    Rooms(rooms::Args),
    Users(users::Args),
    Search(search::Args),
    Tokens(tokens::Args),
    Recovery(recovery::Args),
    Passphrase(passphrase::Args),
    Health(health::Args),
    Devices(devices::Args),
    Verify(verify::Args),
    Config(config::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Version(version::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Demo(args) => demo::run(&args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Chat(args) => chat::run(args).await,
        Command::Tui(args) => tui::run(args).await,
        Command::Send(args) => send::run(args).await,
        Command::Dm(args) => send::dm(args).await,
        Command::Tail(args) => tail::run(args).await,
        Command::Rooms(args) => rooms::run(&args).await,
        Command::Users(args) => users::run(&args).await,
        Command::Search(args) => search::run(&args).await,
        Command::Tokens(args) => tokens::run(args).await,
        Command::Recovery(args) => recovery::run(&args).await,
        Command::Passphrase(args) => passphrase::run(&args).await,
        Command::Health(args) => health::run(&args).await,
        Command::Devices(args) => devices::run(&args).await,
        Command::Verify(args) => verify::run(&args).await,
        Command::Config(args) => config::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Version(args) => version::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_secret_can_be_given_on_the_command_line() {
        for command in Cli::command().get_subcommands() {
            let arguments = command.get_arguments();
            for argument in arguments.filter_map(clap::Arg::get_long) {
                assert!(!["password", "token", "phrase"].contains(&argument));
            }
        }
    }
    #[test]
    fn rooms_are_listed_updated_and_invited_to() {
        let parses = |words: &str| Cli::try_parse_from(words.split(' ')).is_ok();
        for right in [
            "aside rooms aside://alice@chat.example --joined",
            "aside rooms aside://alice@chat.example --invited --json",
            "aside rooms update aside://alice@chat.example ops --topic tea --invite-only on",
            "aside rooms invite aside://alice@chat.example ops bob",
        ] {
            assert!(parses(right), "{right}");
        }
        for right in [
            "aside recovery new aside://alice@chat.example --long",
            "aside recovery use aside://alice@chat.example --phrase-file phrase.txt",
            "aside passphrase status aside://alice@chat.example --json",
            "aside passphrase set aside://alice@chat.example --new-passphrase-file new.txt",
            "aside passphrase change aside://alice@chat.example --passphrase-file old.txt",
            "aside passphrase remove aside://alice@chat.example",
            "aside devices aside://alice@chat.example --json",
            "aside devices revoke aside://alice@chat.example 0190",
            "aside devices revoke aside://alice@chat.example laptop --since 4",
            "aside devices ask aside://alice@chat.example --json",
            "aside devices approve aside://alice@chat.example laptop",
            "aside devices log aside://alice@chat.example",
            "aside recovery override aside://alice@chat.example --keep phone --keep tablet",
            "aside verify aside://alice@chat.example bob --mark",
        ] {
            assert!(parses(right), "{right}");
        }
        for wrong in [
            "aside recovery aside://alice@chat.example",
            "aside passphrase aside://alice@chat.example",
            "aside devices",
            "aside devices revoke aside://alice@chat.example",
            "aside devices revoke aside://alice@chat.example laptop --since 0",
            "aside verify aside://alice@chat.example",
            "aside verify aside://alice@chat.example bob --mark --accept-change",
            "aside rooms",
            "aside rooms aside://alice@chat.example --joined --invited",
            "aside rooms update aside://alice@chat.example ops",
            "aside rooms update aside://alice@chat.example ops --invite-only maybe",
            "aside rooms invite aside://alice@chat.example ops",
        ] {
            assert!(!parses(wrong), "{wrong}");
        }
    }
}
