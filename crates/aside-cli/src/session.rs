//! What every command that talks to a server shares: its arguments, and the way to a logged-in client.

use std::{
    env, fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use aside_client::{
    Address, BindingKind, BotToken, Client, Error, Events, Fingerprint, Guard, Kept, LogIn,
    Options, PasswordReason, StateError, Trust, Unlock, client_data_dir, private::Suite, v1,
};
use clap::ValueEnum;
use zeroize::Zeroizing;

use crate::output;

/// What a device is that was revoked, and has logged in again.
const NEW_SINCE_REVOKED: &str = "this device was revoked, and is a new one of the account now: private conversations are for it once it is \
     approved, by another device (aside devices ask) or by the recovery phrase (aside recovery use)";

/// The account's server, and how to get in
#[derive(Debug, clap::Args)]
pub(crate) struct SessionArgs {
    /// Server and account: aside://alice@chat.example:7423, or wss://alice@chat.example
    #[arg(value_name = "ADDRESS", value_parser = parse_address)]
    pub(crate) address: Address,
    /// Trust the authorities, or the certificate, in this PEM file
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    ca: Option<PathBuf>,
    /// Trust the one certificate with this SHA-256 fingerprint, and remember it
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<Fingerprint>,
    /// Make the account if this device has none there yet
    #[arg(long)]
    register: bool,
    /// With --register: if the handle is taken, take it with a number appended
    #[arg(long, requires = "register")]
    suffix: bool,
    /// Read the password from the first line of this file; else from ASIDE_PASSWORD, else it is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Log in as a bot, by the token in the first line of this file; else by the one in ASIDE_TOKEN, if that is set
    #[arg(long, value_name = "FILE", conflicts_with_all = ["register", "password_file"])]
    token_file: Option<PathBuf>,
    /// Open what is kept here by the passphrase in the first line of this file, if one guards it; else it is asked for
    #[arg(long, value_name = "FILE", env = "ASIDE_PASSPHRASE_FILE")]
    passphrase_file: Option<PathBuf>,
    /// Keep keys and history below this directory [default: ASIDE_DATA_DIR, or the user's data directory]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What this device is called in the list of the account's devices
    #[arg(long, value_name = "NAME", default_value_t = default_device_name())]
    device_name: String,
    /// What ties log-ins to the TLS connection
    #[arg(long, value_enum, default_value_t = Binding::Exporter, hide_short_help = true)]
    binding: Binding,
    /// The MLS suite of private conversations that are begun here, where all devices that are to come have keys for it
    #[arg(long, value_enum, default_value_t = MlsSuite::P256, hide_short_help = true)]
    suite: MlsSuite,
}

/// An MLS suite.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum MlsSuite {
    /// 0x0002: P-256 and AES-128-GCM, which every client has
    P256,
    /// 0x0007: P-384 and AES-256-GCM, three to four times as slow
    P384,
}

/// What ties log-ins to the TLS connection.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Binding {
    /// The TLS exporter
    Exporter,
    /// The server's certificate
    Certificate,
    /// Nothing: only where a proxy ends TLS, with wss://
    None,
}

impl SessionArgs {
    /// Connects and logs in: with the device's key if it is enough, else with the password, which is asked for if need be.
    pub(crate) async fn connect(
        &self,
        adjust: impl FnOnce(&mut Options),
    ) -> Result<(Client, Events)> {
        let mut options = self.options()?;
        adjust(&mut options);
        self.unlock(&mut options).await?;
        match Client::connect(options.clone()).await {
            // What --register --suffix made at the first call is there at the next.
            Err(Error::HandleChanged { now, .. }) if self.suffix => {
                options.address.handle = Some(now);
                self.connect_as(options).await
            }
            // The old handle may be free again, and wanted.
            Err(Error::HandleChanged { .. }) if self.register => {
                options.log_in = self.log_in(PasswordReason::NewDevice)?;
                Ok(Client::connect(options).await?)
            }
            Err(Error::PasswordNeeded(reason)) => self.log_in_anew(options, reason).await,
            outcome => Ok(outcome?),
        }
    }

    /// Logs in with a password, and says what became of a device that was revoked.
    async fn log_in_anew(
        &self,
        mut options: Options,
        reason: PasswordReason,
    ) -> Result<(Client, Events)> {
        options.log_in = self.log_in(reason)?;
        let connected = Client::connect(options).await?;
        if reason == PasswordReason::Revoked {
            output::note(NEW_SINCE_REVOKED)?;
        }
        Ok(connected)
    }

    /// Logs in to an account that is kept here.
    async fn connect_as(&self, mut options: Options) -> Result<(Client, Events)> {
        self.unlock(&mut options).await?;
        match Client::connect(options.clone()).await {
            Err(Error::PasswordNeeded(reason)) => self.log_in_anew(options, reason).await,
            outcome => Ok(outcome?),
        }
    }

    /// As [`connect`](Self::connect), for what changes the account's identity, which has to be kept here: alone, or not at all.
    /// `instead` says what helps while another program has what is kept here.
    pub(crate) async fn connect_alone(&self, instead: &str) -> Result<Client> {
        let connected = self.connect(|_| {}).await;
        let (client, _) = connected.map_err(|error| match error.downcast_ref::<Error>() {
            Some(Error::State(StateError::InUse(_))) => error.context(format!(
                "nothing was done: a chat, or another command, is open on this device; {instead}"
            )),
            _ => error,
        })?;
        Ok(client)
    }

    /// Opens what is kept here, without connecting.
    pub(crate) async fn kept(&self) -> Result<Kept> {
        let mut options = self.options()?;
        self.unlock(&mut options).await?;
        Ok(Kept::open(&options).await?)
    }

    /// Asks for the passphrase of what is kept here, if one guards it and none was given. Without a terminal nobody is asked, and
    /// opening it says what is missing.
    pub(crate) async fn unlock(&self, options: &mut Options) -> Result<()> {
        let shut = matches!(options.unlock, Unlock::Unattended)
            && matches!(Guard::of(options).await, Ok(Some(Guard::Passphrase)));
        if shut && io::stdin().is_terminal() {
            let passphrase = ask_password("Passphrase of what is kept on this device: ")?;
            options.unlock = Unlock::Passphrase(passphrase);
        }
        Ok(())
    }

    /// How to connect, as far as the arguments say it.
    pub(crate) fn options(&self) -> Result<Options> {
        let mut options = Options::new(self.address.clone());
        options.trust = match (&self.ca, self.fingerprint) {
            (Some(file), _) => Some(Trust::CaFile(file.clone())),
            (None, Some(fingerprint)) => Some(Trust::Fingerprint(fingerprint)),
            (None, None) => None,
        };
        options.data_dir = self.data_dir.as_deref().map(client_data_dir);
        if let Some(file) = &self.passphrase_file {
            options.unlock = Unlock::Passphrase(first_line(file, "passphrase")?);
        }
        options.device_name.clone_from(&self.device_name);
        options.user_agent = concat!("aside/", env!("CARGO_PKG_VERSION")).to_owned();
        options.binding = match self.binding {
            Binding::Exporter => BindingKind::Exporter,
            Binding::Certificate => BindingKind::CertSha256,
            Binding::None => BindingKind::None,
        };
        options.suite = match self.suite {
            MlsSuite::P256 => Suite::P256Aes128,
            MlsSuite::P384 => Suite::P384Aes256,
        };
        if let Some(token) = self.given_token()? {
            options.log_in = LogIn::Token(Box::new(token));
        } else if options.address.handle.is_none() {
            return Err(Error::HandleMissing.into());
        }
        Ok(options)
    }

    fn log_in(&self, reason: PasswordReason) -> Result<LogIn> {
        let handle = self.address.handle.as_deref().unwrap_or_default();
        let registering = self.register && reason == PasswordReason::NewDevice;
        let password = match self.given_password()? {
            Some(password) => password,
            None if registering => ask_new_password(&format!("New password for {handle}: "))?,
            None => ask_password(&format!("Password of {handle} ({reason}): "))?,
        };
        let on_conflict = if self.suffix { v1::OnConflict::Suffix } else { v1::OnConflict::Reject };
        Ok(match registering {
            true => LogIn::Register { password, on_conflict },
            false => LogIn::Password(password),
        })
    }

    fn given_password(&self) -> Result<Option<Zeroizing<String>>> {
        secret(self.password_file.as_deref(), "password", "ASIDE_PASSWORD")
    }

    /// The token in the file, or in ASIDE_TOKEN.
    fn given_token(&self) -> Result<Option<BotToken>> {
        let token = secret(self.token_file.as_deref(), "token", "ASIDE_TOKEN")?;
        token.map(|token| Ok(token.parse::<BotToken>()?)).transpose()
    }
}

/// The first line of a file, or else a variable.
fn secret(file: Option<&Path>, what: &str, variable: &str) -> Result<Option<Zeroizing<String>>> {
    let Some(path) = file else {
        return Ok(env::var(variable).ok().filter(|text| !text.is_empty()).map(Zeroizing::new));
    };
    first_line(path, what).map(Some)
}

/// The first line of a file.
pub(crate) fn first_line(path: &Path, what: &str) -> Result<Zeroizing<String>> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("can't read the {what} in {}", path.display()))?;
    let text = Zeroizing::new(text);
    let line = text.lines().next().unwrap_or_default();
    Ok(Zeroizing::new(line.to_owned()))
}

/// Asks on the terminal, without showing what is typed.
pub(crate) fn ask_password(prompt: &str) -> Result<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        bail!("no password: give one with --password-file or ASIDE_PASSWORD");
    }
    Ok(Zeroizing::new(rpassword::prompt_password(prompt)?))
}

/// Asks twice.
pub(crate) fn ask_new_password(prompt: &str) -> Result<Zeroizing<String>> {
    let password = ask_password(prompt)?;
    if *password != *ask_password("The same again: ")? {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(password)
}

fn parse_address(text: &str) -> Result<Address, aside_client::AddressError> {
    text.parse()
}

/// The machine's name, as far as a device's name may have it (DEV-002).
fn default_device_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| env::var("HOSTNAME").ok())
        .or_else(|| env::var("COMPUTERNAME").ok())
        .unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(15).collect();
    if name.is_empty() { "aside".to_owned() } else { format!("aside on {name}") }
}
