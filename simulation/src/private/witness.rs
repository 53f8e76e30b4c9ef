//! Who sees everything: what was said and what became of it, at which epochs devices were, and what they encrypted. What must hold at
//! every moment is checked as it is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Result, bail, ensure};
use aside_client::private::Engine;
use aside_mls::{Owner, Reason, Secret};
use aside_proto::{
    id::{ConversationId, IdempotencyKey, UserId},
    v1,
};
use bytes::Bytes;
use prost::Message as _;

use super::{causes::Causes, people::Everyone};

/// A conversation, and where its group is: generation and epoch.
pub(crate) type Place = (ConversationId, u32, u64);

/// A device, and an entry of a conversation.
pub(crate) type Told = (usize, ConversationId, u64);

/// What is seen.
pub(crate) struct Witness {
    pub(crate) everyone: Arc<Everyone>,
    /// Every message ever said by somebody who is not evil.
    pub(crate) messages: BTreeMap<IdempotencyKey, Message>,
    /// How often devices came in anew, from outside.
    pub(crate) rejoins: u32,
    /// A KeyPackage of each device that publishes them, the latest.
    pub(crate) packages: BTreeMap<Owner, Bytes>,
    /// What there is to complain of.
    pub(crate) causes: Causes,
    /// Entries that the server made up.
    pub(crate) forged: BTreeSet<(ConversationId, u64)>,
    /// Of each beginning of a group, whom its maker knew in the one that it was in before; none if it was in none.
    pub(crate) begun: BTreeMap<(ConversationId, u64), Option<BTreeSet<UserId>>>,
    /// Conversations, as they are called in the trace.
    names: Vec<ConversationId>,
    /// The epoch authenticator of each epoch.
    epochs: BTreeMap<Place, Secret>,
    /// What the disks of devices had taken in of each conversation when they were copied that were put back since.
    put_back: BTreeMap<usize, Vec<BTreeMap<ConversationId, u64>>>,
    /// How often a device's disk was put back before it made what it sent.
    made: BTreeMap<Bytes, usize>,
    /// Messages whose senders a device doubts, it says.
    pub(crate) doubted: BTreeSet<Told>,
    /// What was encrypted by each key of each sender.
    used: BTreeMap<(Place, Owner), BTreeMap<u32, Sealed>>,
    /// Two messages by one key, the later one by a device whose disk was put back: it can only know of what the log has.
    pub(crate) doubtful: Vec<[Bytes; 2]>,
    /// What nobody could look into yet.
    sealed: Vec<Sealed>,
}

/// A message.
pub(crate) struct Message {
    pub(crate) device: usize,
    pub(crate) conversation: ConversationId,
    pub(crate) content: Bytes,
    pub(crate) fate: Fate,
    /// Its device forgot it, or may: its disk was put back, or it was taken back, which is forgotten if that is not on disk.
    pub(crate) is_forgotten: bool,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is not on disk.
    Said,
    /// It is.
    Kept,
    /// The server has it, its device says.
    Sent(u64),
    /// It will not be sent, its device says.
    Failed,
}

/// A ciphertext.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) place: Place,
    pub(crate) by: Owner,
    pub(crate) payload: Bytes,
    /// How often its device's disk was put back before.
    life: usize,
}

impl Witness {
    pub(crate) fn new() -> Self {
        Self {
            everyone: Arc::default(),
            messages: BTreeMap::new(),
            rejoins: 0,
            packages: BTreeMap::new(),
            causes: Causes::default(),
            forged: BTreeSet::new(),
            begun: BTreeMap::new(),
            names: Vec::new(),
            epochs: BTreeMap::new(),
            put_back: BTreeMap::new(),
            made: BTreeMap::new(),
            doubted: BTreeSet::new(),
            used: BTreeMap::new(),
            doubtful: Vec::new(),
            sealed: Vec::new(),
        }
    }

    /// A short name.
    pub(crate) fn name(&mut self, id: ConversationId) -> String {
        if !self.names.contains(&id) {
            self.names.push(id);
        }
        self.known_name(id)
    }

    /// The name that it has.
    pub(crate) fn known_name(&self, id: ConversationId) -> String {
        let known = self.names.iter().position(|it| *it == id);
        known.map_or_else(|| id.to_string(), |at| format!("#{}", at + 1))
    }

    /// An engine has worked: members at one epoch are in one state.
    pub(crate) fn look_at(&mut self, engine: &Engine) -> Result<()> {
        for id in engine.conversations() {
            let Some((generation, epoch, secret)) = engine.epoch_authenticator(id) else {
                continue;
            };
            let place = (id, generation, epoch);
            let known = self.epochs.entry(place).or_insert_with(|| secret.clone());
            ensure!(
                *known == secret,
                "two members are in different states at ({generation}, {epoch}) of {}",
                self.name(id)
            );
        }
        Ok(())
    }

    /// A device's disk was put back to where it had taken in so much, and had these messages.
    pub(crate) fn forget(
        &mut self,
        device: usize,
        taken_in: BTreeMap<ConversationId, u64>,
        kept: &BTreeSet<IdempotencyKey>,
    ) {
        self.put_back.entry(device).or_default().push(taken_in);
        for (key, message) in &mut self.messages {
            message.is_forgotten |= message.device == device && !kept.contains(key);
        }
    }

    /// How often a device's disk was put back.
    fn life(&self, device: usize) -> usize {
        self.put_back.get(&device).map_or(0, Vec::len)
    }

    /// A device sends what will be the payload of an entry.
    pub(crate) fn makes(&mut self, device: usize, payload: &Bytes) {
        let life = self.life(device);
        self.made.entry(payload.clone()).or_insert(life);
    }

    /// Whether a device's disk was ever put back to where it had not taken in an entry.
    pub(crate) fn was_put_back(&self, entry: Told) -> bool {
        self.was_put_back_since(0, entry)
    }

    /// Whether that was so after it had made the entry itself.
    pub(crate) fn is_forgotten(&self, entry: Told, payload: &Bytes) -> bool {
        self.made.get(payload).is_some_and(|life| self.was_put_back_since(*life, entry))
    }

    fn was_put_back_since(&self, life: usize, (device, id, seq): Told) -> bool {
        let put_back = self.put_back.get(&device).into_iter().flatten().skip(life);
        put_back.into_iter().any(|taken_in| taken_in.get(&id).is_none_or(|last| *last < seq))
    }

    /// A device stopped: what was not on its disk is gone.
    pub(crate) fn crashed(&mut self, device: usize) {
        self.messages.retain(|_, it| it.device != device || it.fate != Fate::Said);
        // That a message failed may not be on disk.
        let failed = self.messages.values_mut().filter(|it| it.fate == Fate::Failed);
        failed.filter(|it| it.device == device).for_each(|it| it.is_forgotten = true);
    }

    /// A message is taken back.
    pub(crate) fn withdrawn(&mut self, key: IdempotencyKey) {
        self.messages.get_mut(&key).into_iter().for_each(|message| message.is_forgotten = true);
    }

    /// A device says what became of a message of its own.
    pub(crate) fn told(&mut self, key: IdempotencyKey, fate: Fate) -> Result<()> {
        let Some(message) = self.messages.get(&key) else { return Ok(()) };
        let (device, id) = (message.device, message.conversation);
        // Once its disk was put back to before its entry, its device knows no more that it was sent.
        let forgot = |seq| self.was_put_back((device, id, seq));
        let may_fail = !matches!(message.fate, Fate::Sent(seq) if !forgot(seq));
        let Some(message) = self.messages.get_mut(&key) else { return Ok(()) };
        match (message.fate, fate) {
            (Fate::Sent(before), Fate::Sent(now)) => {
                ensure!(before == now, "a message is entry {before}, and {now}");
            }
            (Fate::Sent(_) | Fate::Failed, Fate::Kept) => return Ok(()),
            (Fate::Failed, Fate::Sent(_)) if !message.is_forgotten => {
                bail!("a message that failed was sent")
            }
            (_, Fate::Failed) if !may_fail => bail!("a message that was sent failed"),
            _ => {}
        }
        message.fate = fate;
        Ok(())
    }

    /// A device sends a message.
    pub(crate) fn encrypted(
        &mut self,
        (device, by): (usize, Owner),
        send: &v1::SendPrivate,
    ) -> Result<()> {
        let payload = v1::PrivatePayload::decode(&send.payload[..])?;
        let header = v1::PrivateHeader::decode(&payload.header[..])?;
        let place = place_of(&header)?;
        let (payload, known) = (send.payload.clone(), &self.used);
        let same = |it: &Bytes| *it == payload;
        let is_known = self.sealed.iter().any(|it| same(&it.payload))
            || known
                .get(&(place, by))
                .is_some_and(|used| used.values().any(|it| same(&it.payload)));
        if !is_known {
            let life = self.life(device);
            self.sealed.push(Sealed { place, by, payload, life });
        }
        Ok(())
    }

    /// What a device could look into that was sent at an epoch.
    pub(crate) fn sealed_at(&self, device: Owner, place: Place) -> Vec<Sealed> {
        let theirs = |it: &&Sealed| it.place == place && it.by != device;
        self.sealed.iter().filter(theirs).cloned().collect()
    }

    /// A copy of a device's group at this epoch has opened what was sent: each key is used once.
    pub(crate) fn opened(&mut self, sealed: &Sealed, outcome: Result<u32, Reason>) -> Result<()> {
        let generation = match outcome {
            Ok(generation) => generation,
            // This device has read it, or another by the same key; a later one may look.
            Err(Reason::Replayed) => return Ok(()),
            Err(reason) => bail!("what a member sent can't be opened: {reason}"),
        };
        self.sealed.retain(|it| it.payload != sealed.payload);
        let used = self.used.entry((sealed.place, sealed.by)).or_default();
        let Some(before) = used.insert(generation, sealed.clone()) else { return Ok(()) };
        if before.payload != sealed.payload {
            ensure!(
                before.life != sealed.life,
                "two messages were encrypted by key {generation} of one sender at one epoch"
            );
            self.doubtful.push([before.payload, sealed.payload.clone()]);
        }
        Ok(())
    }
}

/// Where a message was encrypted.
pub(crate) fn place_of(header: &v1::PrivateHeader) -> Result<Place> {
    let id = header.conversation_id[..].try_into()?;
    Ok((id, u32::try_from(header.generation)?, header.epoch))
}
