//! The body of the fuzz target `mls_message`.

use std::collections::BTreeSet;

use aside_proto::id::ConversationId;

use super::{Cast, owner};
use crate::{
    Change, ClaimedChange, DefaultCrypto, Device, Error, Group, GroupId, Owner, Reason, Secret,
    Suite,
};

const NOW: u64 = 1_800_000_000;
const ID: GroupId = GroupId { conversation: ConversationId::new([5; 16]), generation: 1 };
/// Messages that Alice writes before her commit, and as many after it.
const MESSAGES: u8 = 6;

/// What becomes of a group while Alice's messages and two rival commits come changed, again, out of order and out of place.
///
/// The input is a list of operations: the kind, which of the items it is about, and what else the kind needs.
///
/// # Panics
/// If anything changed is accepted, anything is accepted twice, or a refusal changes what is accepted later.
pub fn mls_message(data: &[u8]) {
    // Of each thread, as a device loads and saves a group in one place at a time.
    thread_local! {
        static STAGE: Stage = Stage::set().expect("devices that are honest agree");
    }
    STAGE.with(|stage| play(stage, data));
}

fn play(stage: &Stage, data: &[u8]) {
    let group = stage.bob.load(&stage.state).expect("what was saved is loaded");
    let mut play = Play { stage, group, followed: None, read: BTreeSet::new() };
    let mut input = data.iter().copied();
    for _ in 0..64 {
        let (Some(kind), Some(which)) = (input.next(), input.next()) else { return };
        let item = &stage.items[usize::from(which) % stage.items.len()];
        match kind % 6 {
            0 | 1 => play.deliver(item),
            2 => play.changed(item, &mut input),
            3 => play.out_of_place(item),
            4 => play.reload(),
            _ => play.any_bytes(&data[data.len() - input.len()..]),
        }
    }
}

/// What was sent, before it is known who gets it when.
struct Stage {
    bob: Device,
    /// Bob's group when he joined.
    state: Secret,
    items: Vec<Item>,
}

struct Item {
    bytes: Vec<u8>,
    header: Vec<u8>,
    kind: Kind,
}

impl Item {
    fn sender(&self) -> Owner {
        match self.kind {
            Kind::Commit { rival: true, .. } => owner(1, 11),
            _ => owner(1, 1),
        }
    }
}

enum Kind {
    /// A message, and whether Alice wrote it after her commit.
    Message { after_commit: bool },
    /// A commit: Alice's, or one by which another device of hers joins.
    Commit { rival: bool, claim: ClaimedChange },
}

impl Stage {
    fn set() -> Result<Self, Error> {
        let cast = Cast::default();
        let suite = Suite::P256Aes128;
        let (alice, bob): (Device, Device) =
            (cast.device::<DefaultCrypto>(1, 1)?, cast.device::<DefaultCrypto>(2, 2)?);
        let mut hers = alice.create(suite, ID, NOW)?;
        let add = vec![hers.key_package(&bob.key_package(suite, true, NOW)?)?];
        let change = Change { add, ..Change::default() };
        let welcome = hers.commit(&change, b"", NOW)?.welcome.ok_or(Reason::Invalid)?;
        let added = hers.apply_pending()?.change;
        let mut his = bob.join(&welcome, ID, (owner(1, 1), &added), None)?;
        his.save()?;
        let state = bob.take_changes().groups.remove(&ID).flatten().ok_or(Error::State)?;

        let other: Device = cast.device::<DefaultCrypto>(1, 11)?;
        let rejoin = other.rejoin(&hers.group_info()?, ID, hers.epoch(), None)?;
        let claim = rejoin.claim().clone();
        let bytes = rejoin.commit(b"join")?.1.commit;
        let kind = Kind::Commit { rival: true, claim };
        let mut items = vec![Item { bytes, header: b"join".to_vec(), kind }];
        write(&mut hers, &mut items, false)?;
        let claim = hers.claim(&Change::default());
        let bytes = hers.commit(&Change::default(), b"update", NOW)?.commit;
        hers.apply_pending()?;
        let kind = Kind::Commit { rival: false, claim };
        items.push(Item { bytes, header: b"update".to_vec(), kind });
        write(&mut hers, &mut items, true)?;
        Ok(Self { bob, state, items })
    }
}

fn write(hers: &mut Group, items: &mut Vec<Item>, after_commit: bool) -> Result<(), Error> {
    for n in 0..MESSAGES {
        let header = vec![n, u8::from(after_commit)];
        // Each says its header.
        let bytes = hers.encrypt(&header, &header)?;
        items.push(Item { bytes, header, kind: Kind::Message { after_commit } });
    }
    Ok(())
}

/// Bob's group, and what he knows that it has to know.
struct Play<'a> {
    stage: &'a Stage,
    group: Group,
    /// Which commit was followed: the rival's, or Alice's.
    followed: Option<bool>,
    read: BTreeSet<Vec<u8>>,
}

impl Play<'_> {
    fn deliver(&mut self, item: &Item) {
        match &item.kind {
            Kind::Message { after_commit } => {
                let expected = match (self.followed, after_commit) {
                    (None, true) => Err(Reason::FutureEpoch),
                    (Some(_), false) => Err(Reason::StaleEpoch),
                    (Some(true), true) => Err(Reason::Tampered),
                    _ if !self.read.insert(item.header.clone()) => Err(Reason::Replayed),
                    _ => Ok((owner(1, 1), item.header.clone())),
                };
                let read = self.group.decrypt(&item.bytes, &item.header, item.sender());
                assert_eq!(read.map(|message| (message.sender, message.content)), expected);
            }
            Kind::Commit { rival, claim } => {
                let sender = item.sender();
                let followed = self.group.receive_commit(&item.bytes, &item.header, sender, claim);
                match self.followed {
                    None => {
                        assert_eq!(followed.map(|effect| effect.change).as_ref(), Ok(claim));
                        self.followed = Some(*rival);
                    }
                    Some(_) => assert_eq!(followed, Err(Reason::StaleEpoch)),
                }
            }
        }
    }

    /// Cut off, or with one byte changed, or under another header.
    fn changed(&mut self, item: &Item, input: &mut impl Iterator<Item = u8>) {
        let mut next = || usize::from(input.next().unwrap_or(0));
        let (at, flip) = (next() << 8 | next(), next() as u8);
        let at = at % item.bytes.len();
        let mut bytes = item.bytes.clone();
        match flip {
            0 => bytes.truncate(at),
            _ => bytes[at] ^= flip,
        }
        let (message, other_header) = match at % 3 {
            0 => (&item.bytes, &b"another"[..]),
            _ => (&bytes, &item.header[..]),
        };
        let sender = item.sender();
        let refused = match &item.kind {
            Kind::Message { .. } => self.group.decrypt(message, other_header, sender).is_err(),
            Kind::Commit { claim, .. } => {
                self.group.receive_commit(message, other_header, sender, claim).is_err()
            }
        };
        assert!(refused);
    }

    fn out_of_place(&mut self, item: &Item) {
        let sender = item.sender();
        let refused = match item.kind {
            Kind::Message { .. } => {
                let claim = ClaimedChange::default();
                self.group.receive_commit(&item.bytes, &item.header, sender, &claim).err()
            }
            Kind::Commit { .. } => self.group.decrypt(&item.bytes, &item.header, sender).err(),
        };
        assert_eq!(refused, Some(Reason::WrongKind));
    }

    fn reload(&mut self) {
        self.group.save().expect("it encodes");
        let mut changes = self.stage.bob.take_changes();
        let state = changes.groups.remove(&ID).flatten().expect("it was saved");
        self.group = self.stage.bob.load(&state).expect("what was saved is loaded");
    }

    /// What no one wrote, wherever bytes of others come in.
    fn any_bytes(&mut self, bytes: &[u8]) {
        let (sender, none) = (owner(1, 1), ClaimedChange::default());
        assert!(self.group.decrypt(bytes, b"", sender).is_err());
        assert!(self.group.receive_commit(bytes, b"", sender, &none).is_err());
        assert!(self.group.key_package(bytes).is_err());
        assert!(self.stage.bob.join(bytes, ID, (owner(1, 1), &none), None).is_err());
        assert!(self.stage.bob.rejoin(bytes, ID, 0, None).is_err());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // cites: MLS-023
        #[test]
        fn whatever_comes_when_the_group_holds(data in prop::collection::vec(any::<u8>(), 0..200)) {
            mls_message(&data);
        }
    }

    #[test]
    fn in_order_all_is_read() {
        let deliver = |n: u8| [0, n];
        mls_message(&(1..=2 * MESSAGES + 1).flat_map(deliver).collect::<Vec<_>>());
    }
}
