//! An actor as a client of MLS: its keys, the device logs that it judges by, its groups.
//!
//! ```text
//!   exec::mls ── a plan ──▶ make ── a request ──▶ the server
//!                            │ keeps the group that waits for the server's word
//!                            ▼
//!             follow ── entries of the log, Welcomes ──▶ what came of each
//! ```
//!
//! Nothing is kept on a disk, and nothing is taken for granted of what the server says: the log alone moves a group on.

mod follow;
mod logs;
mod make;

use std::{collections::BTreeMap, sync::Arc};

use aside_mls::{DefaultCrypto, Device, Error, Group, Owner, Reason, SigningKey, Suite};
use aside_proto::id::{ConversationId, DeviceId, UserId};

use crate::{
    script::{
        functions::{ScriptError, now_ms},
        private,
    },
    value::Val,
};

use super::{Actor, Stop, World, failed, literal, request};
use logs::Logs;

pub(crate) use make::{CommitPlan, EstablishPlan, Made, MessagePlan};

/// What an actor has for MLS.
pub(crate) struct Mls {
    certificate: Vec<u8>,
    device: Device,
    own: Owner,
    logs: Arc<Logs>,
    conversations: BTreeMap<ConversationId, Conversation>,
}

/// What an actor has of a private conversation.
#[derive(Default)]
struct Conversation {
    group: Option<Group>,
    /// The group that it enters if the server takes the request with this idempotency key.
    entering: Option<(Vec<u8>, Group)>,
    /// The idempotency key of the commit that is pending in the group.
    pending: Option<Vec<u8>>,
    /// The last entry that was taken in.
    cursor: i128,
    /// What it said itself, by idempotency key: MLS does not read one's own messages.
    said: BTreeMap<Vec<u8>, String>,
    /// What came of each entry that holds MLS.
    outcomes: BTreeMap<i128, Outcome>,
}

/// What came of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was followed, or read.
    Taken {
        sender: Owner,
        epoch: u64,
        /// What a message says.
        text: Option<String>,
    },
    /// It was refused.
    Refused(Reason),
    /// What it holds is no message, though it was decrypted.
    Damaged(String),
}

/// What two members of a group compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) generation: u32,
    pub(crate) epoch: u64,
    pub(crate) authenticator: Vec<u8>,
    pub(crate) fork_check: [u8; 32],
}

/// Seconds since 1970.
fn now() -> u64 {
    u64::try_from(now_ms() / 1000).unwrap_or(0)
}

/// The ids of a device that a record names.
pub(crate) fn owner_of(value: &Val) -> Option<Owner> {
    let bytes = |name| value.field(name).and_then(Val::as_bytes);
    let user = UserId::try_from(bytes("user_id")?).ok()?;
    let device = DeviceId::try_from(bytes("device_id")?).ok()?;
    Some(Owner { user, device })
}

impl Actor {
    /// Its device certificate. Its keys for MLS are made with it, at the first call.
    pub(super) fn certificate(&mut self) -> Result<Val, Stop> {
        if let Some(mls) = &self.mls {
            return Ok(Val::from(&mls.certificate[..]));
        }
        let (user, device) = (self.user(), self.device());
        let keys: Result<Vec<_>, _> =
            Suite::ALL.into_iter().map(SigningKey::generate::<DefaultCrypto>).collect();
        let keys = keys.map_err(|error| ScriptError(error.to_string()))?;
        let certificate = private::certificate(&self.key, &user, &device, &keys)?;
        let ids = (UserId::try_from(&user[..]), DeviceId::try_from(&device[..]));
        let (Ok(user), Ok(device)) = ids else {
            return failed("ids of 16 bytes", format!("{ids:?}"));
        };
        let bytes = certificate.as_bytes().unwrap_or_default().to_vec();
        let logs = Arc::new(Logs::default());
        let judge: Arc<dyn aside_mls::Judge> = Arc::clone(&logs) as _;
        let made = Device::new(bytes.clone(), keys, judge, []).map_err(fault)?;
        let own = Owner { user, device };
        let conversations = BTreeMap::new();
        self.mls =
            Some(Box::new(Mls { certificate: bytes, device: made, own, logs, conversations }));
        Ok(certificate)
    }

    fn mls(&mut self) -> Result<&mut Mls, Stop> {
        let name = &self.name;
        let none = || ScriptError(format!("{name} has neither a device log nor KeyPackages"));
        Ok(self.mls.as_deref_mut().ok_or_else(none)?)
    }

    /// New KeyPackages.
    pub(crate) fn key_packages(&mut self, suite: Suite, count: usize) -> Result<Vec<Val>, Stop> {
        self.key_packages_of(suite, count, false)
    }

    /// A new KeyPackage that may be used again and again.
    pub(crate) fn last_resort(&mut self, suite: Suite) -> Result<Val, Stop> {
        Ok(self.key_packages_of(suite, 1, true)?.pop().unwrap_or(Val::Null))
    }

    fn key_packages_of(
        &mut self,
        suite: Suite,
        count: usize,
        last_resort: bool,
    ) -> Result<Vec<Val>, Stop> {
        self.certificate()?;
        let mls = self.mls()?;
        let make = |_| mls.device.key_package(suite, last_resort, now()).map(Val::Bytes);
        (0..count).map(make).collect::<Result<_, _>>().map_err(fault)
    }

    /// A KeyPackage from hand to hand, with the certificate in it.
    pub(crate) fn key_package_by_hand(&mut self, suite: Suite) -> Result<(Vec<u8>, Vec<u8>), Stop> {
        self.certificate()?;
        let mls = self.mls()?;
        let key_package = mls.device.key_package(suite, false, now()).map_err(fault)?;
        Ok((key_package, mls.certificate.clone()))
    }

    /// From now on this certificate is one of its device's, whatever the device logs say.
    pub(crate) fn believe(&mut self, certificate: Vec<u8>) -> Result<(), Stop> {
        self.mls()?.logs.believe(certificate);
        Ok(())
    }

    /// The suite of a conversation's group; where it is in none, the one that every client has.
    pub(crate) fn suite(&mut self, id: ConversationId) -> Result<Suite, Stop> {
        let group = &self.mls()?.conversation(id).group;
        Ok(group.as_ref().map_or(Suite::P256Aes128, Group::suite))
    }

    /// Where it is in a conversation's group.
    pub(crate) fn state(&mut self, id: ConversationId) -> Result<State, Stop> {
        let name = self.name.clone();
        let Some(group) = &self.mls()?.conversation(id).group else {
            return Err(ScriptError(format!("{name} is not in the group")).into());
        };
        let authenticator = group.epoch_authenticator().map_err(|reason| fault(reason.into()))?;
        let fork_check = group.fork_check().map_err(|reason| fault(reason.into()))?;
        Ok(State {
            generation: group.id().generation,
            epoch: group.epoch(),
            authenticator: authenticator.to_vec(),
            fork_check,
        })
    }

    /// Fetches anew the device logs of its own user and of all others that were asked of.
    pub(crate) async fn refresh_logs(&mut self, world: &World) -> Result<(), Stop> {
        let mls = self.mls()?;
        let mut users = mls.logs.users();
        users.insert(mls.own.user);
        self.fetch_logs(world, users.into_iter().collect()).await
    }

    async fn fetch_logs(&mut self, world: &World, mut users: Vec<UserId>) -> Result<(), Stop> {
        while !users.is_empty() {
            let ids = users.iter().map(|user| Val::from(&user.as_bytes()[..])).collect();
            let fetch = request("fetch_device_logs", [("user_ids", literal(Val::List(ids)))]);
            let reply = self.call(world, &fetch).await?;
            let parts = reply.field("logs").and_then(Val::as_list).unwrap_or_default();
            let logs = Arc::clone(&self.mls()?.logs);
            let before = users.len();
            for part in parts {
                let user = part.field("user_id").and_then(Val::as_bytes).unwrap_or_default();
                let entries = part.field("entries").and_then(Val::as_list).unwrap_or_default();
                let length = part.field("length").and_then(Val::as_int).unwrap_or(0);
                if entries.len() as i128 != length {
                    continue;
                }
                users.retain(|other| other.as_bytes() != user);
                let entries =
                    entries.iter().filter_map(Val::as_bytes).map(<[u8]>::to_vec).collect();
                let taken = UserId::try_from(user)
                    .map_err(|error| error.to_string())
                    .and_then(|user| logs.take(user, entries));
                if let Err(why) = taken {
                    return failed("a device log that holds (DEVLOG-010)", why);
                }
            }
            if reply.field("more") != Some(&Val::Bool(true)) {
                // Who was asked for and is not there has no log.
                users
                    .drain(..)
                    .try_for_each(|user| logs.take(user, Vec::new()))
                    .map_err(ScriptError)?;
            } else if users.len() == before {
                return failed("at least one whole device log a frame", reply.to_string());
            }
        }
        Ok(())
    }

    /// Does something that MLS asks the judge about, with the device logs that it turns out to need.
    async fn judged<T, E>(
        &mut self,
        world: &World,
        mut what: impl FnMut(&mut Mls) -> Result<T, E>,
    ) -> Result<Result<T, E>, Stop> {
        loop {
            let mls = self.mls()?;
            let done = what(mls);
            let missing = mls.logs.take_missing();
            if done.is_ok() || missing.is_empty() {
                return Ok(done);
            }
            self.fetch_logs(world, missing.into_iter().collect()).await?;
        }
    }
}

impl Mls {
    fn conversation(&mut self, id: ConversationId) -> &mut Conversation {
        self.conversations.entry(id).or_default()
    }
}

/// What the script can't have meant to ask for.
fn fault(error: Error) -> Stop {
    Stop::Script(ScriptError(format!("MLS: {error}")))
}
