//! What an actor does as a client of MLS: the verbs of `mls:`.
//!
//! Those that end in a request make what is MLS in it, and leave the rest to `expect` and `save`, as `send` does. The others read what
//! the server gives: what they say of it is checked.

use aside_mls::Reason;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::proto;

use super::expr::Expr;

/// One verb.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mls {
    /// Makes KeyPackages and publishes them.
    KeyPackages(KeyPackages),
    /// Makes a group with these actors, and asks for it to be the conversation's.
    Establish(Establish),
    /// Makes a commit and submits it.
    Commit(Commit),
    /// Encrypts a text and sends it.
    Send(Send),
    /// Joins by the Welcome in the inbox.
    Join(Join),
    /// Takes the log in up to its head: commits and messages.
    Follow(Follow),
    /// What came of an entry: what it says and by whom, or why it is refused.
    Read(Read),
    /// Several actors are in the same state of the group.
    Agree(Agree),
}

impl Mls {
    /// The actors that it speaks of.
    pub(crate) fn actors(&self) -> Vec<&String> {
        match self {
            Self::Establish(verb) => verb.with.iter().collect(),
            Self::Commit(verb) => verb.add.iter().chain(&verb.remove).collect(),
            Self::Read(verb) => verb.from.iter().collect(),
            Self::Agree(verb) => verb.with.iter().collect(),
            Self::KeyPackages(_) | Self::Send(_) | Self::Join(_) | Self::Follow(_) => Vec::new(),
        }
    }

    /// What can be said of it without running it: the fields of headers, and what stands together.
    pub(crate) fn check(&self) -> Result<(), String> {
        let (header, message) = match self {
            Self::Establish(verb) => (&verb.header, "EstablishHeader"),
            Self::Commit(verb) => (&verb.header, "CommitHeader"),
            Self::Send(verb) => (&verb.header, "PrivateHeader"),
            Self::Read(verb) if verb.seq.is_some() == verb.entry.is_some() => {
                return Err("mls read takes either seq or entry".into());
            }
            _ => return Ok(()),
        };
        let Some(Expr::Map(fields)) = header else { return Ok(()) };
        let known = proto::message(message);
        match fields.iter().find(|(name, _)| known.get_field_by_name(name).is_none()) {
            Some((name, _)) => Err(format!("{message} has no field {name:?}")),
            None => Ok(()),
        }
    }

    /// Whether a request is sent, to which a reply comes.
    pub(crate) fn asks(&self) -> bool {
        match self {
            Self::KeyPackages(_) => true,
            Self::Establish(verb) => verb.submit,
            Self::Commit(verb) => verb.submit,
            Self::Send(verb) => verb.submit,
            Self::Join(_) | Self::Follow(_) | Self::Read(_) | Self::Agree(_) => false,
        }
    }
}

/// Makes KeyPackages and publishes them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyPackages {
    /// How many; default 1.
    pub(crate) count: Option<Expr>,
    /// Whether a last resort is among what is published.
    #[serde(default)]
    pub(crate) last_resort: bool,
    /// 2 (default) or 7.
    pub(crate) suite: Option<Expr>,
    /// Keeps the request.
    #[serde(rename = "as")]
    pub(crate) name: Option<String>,
}

/// Makes a group and asks for it to be the conversation's.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Establish {
    /// The conversation's id.
    pub(crate) conversation: Expr,
    /// The other leaves. A KeyPackage of each is claimed.
    #[serde(default)]
    pub(crate) with: Vec<String>,
    /// KeyPackages that were claimed: their devices are leaves too.
    pub(crate) claimed: Option<Expr>,
    /// 2 (default) or 7.
    pub(crate) suite: Option<Expr>,
    /// Fields of the EstablishHeader in place of those that are true.
    pub(crate) header: Option<Expr>,
    /// Whether it is sent; else it is only kept.
    #[serde(default = "yes")]
    pub(crate) submit: bool,
    /// Keeps the request.
    #[serde(rename = "as")]
    pub(crate) name: Option<String>,
}

/// Makes a commit and submits it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Commit {
    /// The conversation's id.
    pub(crate) conversation: Expr,
    /// Who comes in. A KeyPackage of each is claimed.
    #[serde(default)]
    pub(crate) add: Vec<String>,
    /// Whether the KeyPackages are taken from those actors' hands instead, whatever their device logs say of them.
    #[serde(default)]
    pub(crate) by_hand: bool,
    /// KeyPackages that were claimed: their devices come in too.
    pub(crate) claimed: Option<Expr>,
    /// Who goes.
    #[serde(default)]
    pub(crate) remove: Vec<String>,
    /// Whether it is an external commit: the actor comes in by itself, or anew.
    #[serde(default)]
    pub(crate) external: bool,
    /// Fields of the CommitHeader in place of those that are true.
    pub(crate) header: Option<Expr>,
    /// The idempotency key; default a fresh one.
    pub(crate) message_id: Option<Expr>,
    /// Whether it is sent; else it is only kept.
    #[serde(default = "yes")]
    pub(crate) submit: bool,
    /// Keeps the request.
    #[serde(rename = "as")]
    pub(crate) name: Option<String>,
}

/// Encrypts a text and sends it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Send {
    /// The conversation's id.
    pub(crate) conversation: Expr,
    /// What is said.
    pub(crate) text: Expr,
    /// Fields of the PrivateHeader in place of those that are true.
    pub(crate) header: Option<Expr>,
    /// The idempotency key; default a fresh one.
    pub(crate) message_id: Option<Expr>,
    /// Whether it is sent; else it is only kept.
    #[serde(default = "yes")]
    pub(crate) submit: bool,
    /// Keeps the request.
    #[serde(rename = "as")]
    pub(crate) name: Option<String>,
}

/// Joins by the Welcome in the inbox, and acknowledges it if nothing waits before it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Join {
    /// The conversation's id.
    pub(crate) conversation: Expr,
    /// The epoch that it leads into.
    pub(crate) epoch: Option<Expr>,
    /// Why the Welcome leads nowhere.
    pub(crate) refused: Option<Why>,
    /// Whether there may be no Welcome, as for one of several who were in a race.
    #[serde(default)]
    pub(crate) if_any: bool,
}

/// Takes the log in up to its head.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Follow {
    /// The conversation's id.
    pub(crate) conversation: Expr,
}

/// What came of an entry.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Read {
    /// The conversation's id.
    pub(crate) conversation: Expr,
    /// The entry's seq. The log is followed first.
    pub(crate) seq: Option<Expr>,
    /// The entry itself, if the actor has it from elsewhere.
    pub(crate) entry: Option<Expr>,
    /// What it says.
    pub(crate) text: Option<Expr>,
    /// The actor whose leaf it is of, as MLS says.
    pub(crate) from: Option<String>,
    /// The epoch that it was made in.
    pub(crate) epoch: Option<Expr>,
    /// Why it can't be read or followed.
    pub(crate) refused: Option<Why>,
}

/// Several actors are in the same state of the group, after each has followed the log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Agree {
    /// The conversation's id.
    pub(crate) conversation: Expr,
    /// The other actors.
    pub(crate) with: Vec<String>,
    /// The generation that they are at.
    pub(crate) generation: Option<Expr>,
    /// The epoch that they are at.
    pub(crate) epoch: Option<Expr>,
}

const fn yes() -> bool {
    true
}

/// Why what came from others is refused: the reasons of the specification's chapter on MLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Why {
    Malformed,
    WrongKind,
    WrongGroup,
    WrongSuite,
    StaleEpoch,
    FutureEpoch,
    NotAMember,
    Replayed,
    TooFarAhead,
    Own,
    Tampered,
    Unauthentic,
    SenderMismatch,
    HeaderMismatch,
    ClaimMismatch,
    CredentialRefused,
    ExternalCommitRefused,
    ForbiddenProposal,
    NoPath,
    TooLarge,
    Invalid,
    Expired,
    UnknownKeyPackage,
    WrongProfile,
    BadPadding,
    Stranger,
}

impl From<Reason> for Why {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Malformed => Self::Malformed,
            Reason::WrongKind => Self::WrongKind,
            Reason::WrongGroup => Self::WrongGroup,
            Reason::WrongSuite => Self::WrongSuite,
            Reason::StaleEpoch => Self::StaleEpoch,
            Reason::FutureEpoch => Self::FutureEpoch,
            Reason::NotAMember => Self::NotAMember,
            Reason::Replayed => Self::Replayed,
            Reason::TooFarAhead => Self::TooFarAhead,
            Reason::Own => Self::Own,
            Reason::Tampered => Self::Tampered,
            Reason::Unauthentic => Self::Unauthentic,
            Reason::SenderMismatch => Self::SenderMismatch,
            Reason::HeaderMismatch => Self::HeaderMismatch,
            Reason::ClaimMismatch => Self::ClaimMismatch,
            Reason::CredentialRefused => Self::CredentialRefused,
            Reason::ExternalCommitRefused => Self::ExternalCommitRefused,
            Reason::ForbiddenProposal => Self::ForbiddenProposal,
            Reason::NoPath => Self::NoPath,
            Reason::TooLarge => Self::TooLarge,
            Reason::Invalid => Self::Invalid,
            Reason::Expired => Self::Expired,
            Reason::UnknownKeyPackage => Self::UnknownKeyPackage,
            Reason::WrongProfile => Self::WrongProfile,
            Reason::BadPadding => Self::BadPadding,
            Reason::Stranger => Self::Stranger,
        }
    }
}
