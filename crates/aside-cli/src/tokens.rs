//! `aside tokens`: what the account's bots log in with.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use aside_client::{IssuedToken, Token, display::neutralise_line, v1::TokenScope};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    output::{self, Style},
    session::SessionArgs,
};

/// The name of a file that is none: standard output.
const STDOUT: &str = "-";

/// Issue, list and revoke tokens, with which bots log in to the account
///
/// A token has a few rights and an end. Give it to one program, in ASIDE_TOKEN or a file that nobody else can read.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aside tokens issue aside://alice@chat.example backup --scopes send,read --expires 30d --out backup.token\n  \
    aside send aside://chat.example ops 'backup done' --token-file backup.token\n  \
    aside tokens list aside://alice@chat.example\n  \
    aside tokens revoke aside://alice@chat.example backup")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Issue(Issue),
    List(List),
    Revoke(Revoke),
}

/// Make a token, and print it or write it into a file: this once, and never again
#[derive(Debug, clap::Args)]
struct Issue {
    #[command(flatten)]
    session: SessionArgs,
    /// What the token is called in lists
    name: String,
    /// What it may do
    #[arg(long, value_enum, value_delimiter = ',', required = true)]
    scopes: Vec<Scope>,
    /// When it ends, from now: 30d, 12h, 90m [default, and at most: the longest that the server allows]
    #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
    expires: Option<Duration>,
    /// Write it into this new file, which nobody else may read, instead of printing it; - prints it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "out")]
    json: bool,
}

/// List the account's tokens
#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    session: SessionArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Revoke a token: it can never log in again, and its connections are closed
#[derive(Debug, clap::Args)]
struct Revoke {
    #[command(flatten)]
    session: SessionArgs,
    /// The token's name or id, as `aside tokens list` shows them
    token: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scope {
    /// Read what the account can read, and search
    Read,
    /// Send messages
    Send,
    /// Join and leave rooms
    Join,
    /// Make rooms, and change them
    Manage,
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> Result<()> {
    match args.command {
        Command::Issue(args) => issue(&args).await,
        Command::List(args) => list(&args).await,
        Command::Revoke(args) => revoke(&args).await,
    }
}

async fn issue(args: &Issue) -> Result<()> {
    // Before there is a token that could get lost.
    let out = args.out.as_deref().filter(|path| path.as_os_str() != STDOUT);
    let file = out.map(|path| Ok::<_, anyhow::Error>((path, create(path)?)));
    let file = file.transpose()?;
    let issued = make(args).await;
    match (file, issued) {
        (Some((path, _)), Err(error)) => {
            // Empty, and of no use; if it stays, it does no harm.
            let _ = fs::remove_file(path);
            Err(error)
        }
        (Some((path, mut file)), Ok(issued)) => {
            note_end(&issued)?;
            write(&mut file, &issued)
                .with_context(|| format!("can't write {}; revoke the token", path.display()))
        }
        (None, issued) => print(&issued?, args.json),
    }
}

async fn make(args: &Issue) -> Result<IssuedToken> {
    let (client, _) = args.session.connect(|options| options.shared = true).await?;
    let scopes: Vec<_> = args.scopes.iter().map(|scope| scope.as_token_scope()).collect();
    let issued = client.issue_token(&args.name, &scopes, args.expires).await?;
    client.close().await;
    Ok(issued)
}

fn print(issued: &IssuedToken, json: bool) -> Result<()> {
    if issued.is_cut_short || !json {
        note_end(issued)?;
    }
    let token = issued.token.to_text();
    match json {
        true => output::line(json!({
            "token_id": issued.token.id().to_string(),
            "token": *token,
            "expires_ms": issued.expires_ms,
        }))?,
        false => output::line(&*token)?,
    }
    Ok(())
}

fn note_end(issued: &IssuedToken) -> io::Result<()> {
    let day = output::day_and_clock(issued.expires_ms);
    let ends = match issued.is_cut_short {
        true => format!("it ends {day} already, since the server lets no token live longer"),
        false => format!("it ends {day}"),
    };
    output::note(format!("{ends}; whoever has it is the bot, and it is not shown again"))
}

/// A file that was not there, for its owner alone.
fn create(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .with_context(|| format!("can't make {}; no token was issued", path.display()))
}

fn write(file: &mut File, issued: &IssuedToken) -> io::Result<()> {
    writeln!(file, "{}", *issued.token.to_text())?;
    file.sync_all()
}

async fn list(args: &List) -> Result<()> {
    let (client, _) = args.session.connect(|options| options.shared = true).await?;
    let tokens = client.tokens().await?;
    if args.json {
        output::line(Value::from_iter(tokens.iter().map(to_json)))?;
    } else {
        let style = Style::of_stdout();
        for token in &tokens {
            output::line(show(token, style))?;
        }
    }
    client.close().await;
    Ok(())
}

async fn revoke(args: &Revoke) -> Result<()> {
    let (client, _) = args.session.connect(|options| options.shared = true).await?;
    let tokens = client.tokens().await?;
    let named = |token: &&Token| token.name == args.token || token.id.to_string() == args.token;
    let named: Vec<_> = tokens.iter().filter(named).collect();
    match named[..] {
        [token] => client.revoke_token(token.id).await?,
        [] => bail!("there is no token {}; `aside tokens list` lists those there are", args.token),
        _ => bail!("several tokens are called {}; say which by its id", args.token),
    }
    client.close().await;
    Ok(())
}

/// One token in a line.
fn show(token: &Token, style: Style) -> String {
    let used = match (token.online, token.last_used_ms) {
        (true, _) => "online".to_owned(),
        (false, Some(ms)) => format!("last used {}", output::day_and_clock(ms)),
        (false, None) => "never used".to_owned(),
    };
    let details = format!(
        "{}, {used}, ends {}, {}",
        scopes(token).join("+"),
        output::day_and_clock(token.expires_ms),
        token.id
    );
    format!("{}  {}", style.bold(neutralise_line(&token.name)), style.dim(details))
}

fn to_json(token: &Token) -> Value {
    json!({
        "token_id": token.id.to_string(),
        "name": token.name,
        "scopes": scopes(token),
        "created_ms": token.created_ms,
        "expires_ms": token.expires_ms,
        "last_used_ms": token.last_used_ms,
        "online": token.online,
    })
}

fn scopes(token: &Token) -> Vec<&'static str> {
    let name = |scope: &TokenScope| match scope {
        TokenScope::Read => "read",
        TokenScope::Send => "send",
        TokenScope::Join => "join",
        TokenScope::Manage => "manage",
        TokenScope::Unspecified => "none",
    };
    token.scopes.iter().map(name).collect()
}

impl Scope {
    fn as_token_scope(self) -> TokenScope {
        match self {
            Self::Read => TokenScope::Read,
            Self::Send => TokenScope::Send,
            Self::Join => TokenScope::Join,
            Self::Manage => TokenScope::Manage,
        }
    }
}

/// A number with `d`, `h` or `m` behind it.
fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let wrong = || "a number of days, hours or minutes is needed: 30d, 12h, 90m".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        'd' => 24 * 3600,
        'h' => 3600,
        'm' => 60,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    match number.checked_mul(seconds) {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_numbers_with_a_unit() {
        assert_eq!(parse_lifetime("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(parse_lifetime("90m"), Ok(Duration::from_secs(5_400)));
        for wrong in ["", "d", "0d", "5", "5w", "-1d", "1.5h", "99999999999999999999d", "5\u{e9}"] {
            assert!(parse_lifetime(wrong).is_err(), "{wrong}");
        }
    }
}
