//! What the logs say by what is clear in them, which no device can have otherwise: who is a leaf at each entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use anyhow::{Result, ensure};
use aside_mls::Owner;
use aside_proto::{
    id::ConversationId,
    v1::{self, EntryKind},
};
use aside_session::client::log::Accepted;
use prost::Message as _;

use super::device::Device;

/// All conversations, each in the order of its log.
pub(crate) struct Logs<'a> {
    conversations: BTreeMap<ConversationId, Vec<Step<'a>>>,
    /// How devices are called.
    names: BTreeMap<Owner, &'a str>,
}

/// An entry, and what it leads to.
pub(crate) struct Step<'a> {
    pub(crate) seq: u64,
    pub(crate) entry: &'a Accepted,
    pub(crate) by: Option<Owner>,
    /// The leaves from here on that were not cut off.
    pub(crate) leaves: Rc<BTreeSet<Owner>>,
    /// Those who came in by it, be it anew.
    pub(crate) came: BTreeSet<Owner>,
}

impl<'a> Logs<'a> {
    /// What these devices have, which is the same where two have it.
    pub(crate) fn of(devices: &'a [Device]) -> Result<Self> {
        let mut all = BTreeMap::new();
        for device in devices {
            for (id, room) in &device.disk.rooms {
                for (seq, entry) in &room.entries {
                    let known: &Accepted = all.entry((*id, *seq)).or_insert(entry);
                    ensure!(known.chain == entry.chain, "entry {seq} is two things");
                }
            }
        }
        let mut logs: BTreeMap<ConversationId, Vec<Step<'a>>> = BTreeMap::new();
        for ((id, seq), entry) in all {
            let steps = logs.entry(id).or_default();
            let before = steps.last().map(|step| Rc::clone(&step.leaves)).unwrap_or_default();
            steps.push(Step::after(before, seq, entry)?);
        }
        let name = |device: &'a Device| Some((device.disk.owner?, &device.name[..]));
        let names = devices.iter().filter_map(name).collect();
        Ok(Self { conversations: logs, names })
    }

    /// One of them.
    pub(crate) fn steps(&self, id: ConversationId) -> &[Step<'a>] {
        self.conversations.get(&id).map_or(&[], |steps| &steps[..])
    }

    /// An entry.
    pub(crate) fn entry(&self, id: ConversationId, seq: u64) -> Option<&'a Accepted> {
        let steps = self.steps(id);
        let at = steps.binary_search_by_key(&seq, |step| step.seq).ok()?;
        Some(steps[at].entry)
    }

    /// All of them.
    pub(crate) fn conversations(&self) -> impl Iterator<Item = ConversationId> {
        self.conversations.keys().copied()
    }

    /// All entries.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &'a Accepted> {
        self.conversations.values().flatten().map(|step| step.entry)
    }

    /// The last commit, or beginning of the group, and whose it is.
    pub(crate) fn last_change(&self, id: ConversationId) -> Option<(u64, Owner)> {
        let is_change = |step: &&Step<'_>| {
            matches!(step.entry.kind(), EntryKind::Commit | EntryKind::GroupEstablished)
        };
        let last = self.steps(id).iter().rfind(is_change)?;
        Some((last.seq, last.by?))
    }

    /// What led to where a conversation is, in a line for each change: for whoever looks for what went wrong.
    pub(crate) fn story(&self, id: ConversationId) -> String {
        let changes =
            self.steps(id).iter().filter(|step| step.entry.kind() != EntryKind::PrivateMessage);
        let name = |it: &Owner| self.names.get(it).copied().unwrap_or("somebody");
        let names = |all: &BTreeSet<Owner>| all.iter().map(name).collect::<Vec<_>>().join(", ");
        let line = |step: &Step<'_>| {
            let by = step.by.as_ref().map_or("the server", name);
            format!("\n  {} {:?} by {by}: {}", step.seq, step.entry.kind(), names(&step.leaves))
        };
        changes.map(line).collect()
    }

    /// The leaves that were not cut off, as all of the log has it.
    pub(crate) fn leaves(&self, id: ConversationId) -> Rc<BTreeSet<Owner>> {
        self.steps(id).last().map(|step| Rc::clone(&step.leaves)).unwrap_or_default()
    }
}

impl<'a> Step<'a> {
    fn after(mut leaves: Rc<BTreeSet<Owner>>, seq: u64, entry: &'a Accepted) -> Result<Self> {
        let by = entry.sender.map(|it| Owner { user: it.user, device: it.device });
        let payload = &entry.entry.payload[..];
        let mut came = BTreeSet::new();
        match entry.kind() {
            EntryKind::GroupEstablished => {
                let header = v1::EstablishHeader::decode(payload)?;
                came = owners(&header.leaves)?;
                leaves = Rc::new(came.clone());
            }
            EntryKind::Commit => {
                let payload = v1::CommitPayload::decode(payload)?;
                let header = v1::CommitHeader::decode(&payload.header[..])?;
                came = owners(&header.added)?;
                let gone = owners(&header.removed)?;
                let leaves = Rc::make_mut(&mut leaves);
                leaves.retain(|leaf| !gone.contains(leaf));
                leaves.extend(&came);
            }
            EntryKind::RemovalPending => {
                let pending = v1::RemovalPendingPayload::decode(payload)?;
                let user = pending.user_id[..].try_into()?;
                for device in &pending.device_ids {
                    let device = device[..].try_into()?;
                    Rc::make_mut(&mut leaves).remove(&Owner { user, device });
                }
            }
            _ => {}
        }
        Ok(Self { seq, entry, by, leaves, came })
    }
}

/// Who these are.
pub(crate) fn owners(leaves: &[v1::Leaf]) -> Result<BTreeSet<Owner>> {
    let owner = |leaf: &v1::Leaf| -> Result<Owner> {
        Ok(Owner { user: leaf.user_id[..].try_into()?, device: leaf.device_id[..].try_into()? })
    };
    leaves.iter().map(owner).collect()
}
