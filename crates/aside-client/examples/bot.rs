//! A bot: follows the rooms that its account is in, and answers `!ping`, `!help`, `!echo` and `!roll`.
//!
//! ```console
//! $ aside tokens issue aside://alice@localhost pingbot --scopes read,send --out bot.token
//! $ ASIDE_TOKEN=$(cat bot.token) cargo run -p aside-client --example bot -- aside://localhost --fingerprint 0ff8d869…
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "whoever runs it reads that")]

use std::{env, error::Error as StdError, time::Duration};

use aside_client::{
    BotToken, Client, Content, Entry, Event, LogIn, Options, Trust, What, display::neutralise_line,
};

/// What was said so long ago is not answered: the bot was away.
const FRESH: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let (client, mut events) = Client::connect(options()?).await?;
    println!("{} is here", neutralise_line(&client.identity().handle));
    while let Some(event) = events.next().await {
        match event {
            Event::Entry(entry) => answer(&client, &entry).await,
            // The token was revoked, or has ended.
            Event::Ended(error) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// The server's address, perhaps its certificate's fingerprint, and the token in ASIDE_TOKEN.
fn options() -> Result<Options, Box<dyn StdError>> {
    let usage = "usage: ASIDE_TOKEN=aside-token:… bot aside://SERVER [--fingerprint SHA256]";
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (address, fingerprint) = match &arguments[..] {
        [address] => (address, None),
        [address, flag, fingerprint] if flag == "--fingerprint" => (address, Some(fingerprint)),
        _ => return Err(usage.into()),
    };
    let token: BotToken = env::var("ASIDE_TOKEN").map_err(|_| usage)?.parse()?;
    let mut options = Options::new(address.parse()?);
    if let Some(fingerprint) = fingerprint {
        options.trust = Some(Trust::Fingerprint(fingerprint.parse()?));
    }
    options.log_in = LogIn::Token(Box::new(token));
    Ok(options)
}

/// Answers a message, if it asks the bot for something. What can't be sent now is sent when the server is back.
async fn answer(client: &Client, entry: &Entry) {
    let What::Message { text: Some(text), content: Content::Text { .. }, .. } = &entry.what else {
        return;
    };
    let now_ms = std::time::UNIX_EPOCH.elapsed().map_or(u128::MAX, |since| since.as_millis());
    let is_fresh = u128::from(entry.time_ms) + FRESH.as_millis() > now_ms;
    if let (true, Some(reply), Some(to)) = (is_fresh, reply_to(text), entry.as_message())
        && let Err(error) = client.reply(entry.conversation, to, &reply).await
    {
        eprintln!("not answered: {error}");
    }
}

/// What the bot says to this; nothing to what is not for it, its own answers included.
fn reply_to(text: &str) -> Option<String> {
    let (command, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    Some(match command {
        "!ping" => "pong".to_owned(),
        "!echo" if !rest.is_empty() => rest.trim_start_matches('!').to_owned(),
        "!roll" => match rest.trim().parse().unwrap_or(6) {
            0 => "a die has a side at least".to_owned(),
            sides => format!("{} of {sides}", 1 + dice() % sides),
        },
        "!help" => "!ping, !echo WORDS, !roll [SIDES]".to_owned(),
        _ => return None,
    })
}

/// Fair enough for games.
fn dice() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}
