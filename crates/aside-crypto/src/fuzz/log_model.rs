//! A device log beside a model of it: the model asks the whole history each time, the log keeps a state.

use aside_proto::id::{DeviceId, UserId};

use super::Reader;
use crate::{
    Certificate, Change, DeviceLog, EntryError, Judgement, MlsKey, Pin, SUITE_P256, Signer,
    SigningKey, Standing,
};

/// That of the vectors, from which seeds are made.
pub(super) const USER: [u8; 16] = [
    0x01, 0x9b, 0x76, 0xda, 0xa8, 0x01, 0x71, 0xa1, 0xa1, 0xa1, 0xa1, 0xa1, 0xa1, 0xa1, 0xa1, 0xa1,
];
const DEVICES: u8 = 6;
const MAX_OPERATIONS: usize = 24;

/// Operations on the log of one user with up to six devices: additions, revocations and overrides by any of them or the account
/// key, as they may be or not; and what strangers and servers try.
///
/// # Panics
/// If the log accepts or refuses what the model does not, judges a device otherwise, is changed by what it refuses, or comes to
/// something else when it is replayed.
pub fn device_log(data: &[u8]) {
    let mut reader = Reader(data);
    let mut pair = Pair::new();
    for _ in 0..MAX_OPERATIONS {
        if reader.is_empty() {
            break;
        }
        pair.step(&mut reader);
    }
    pair.check_judgements();
    pair.check_replay();
}

/// What an accepted entry did; devices by number.
#[derive(Debug, Clone)]
enum Did {
    Add(Vec<u8>),
    Revoke {
        device: u8,
        from: u32,
    },
    /// With how many bytes of a key of another suite.
    Renew {
        device: u8,
        with: u8,
    },
    Override(Vec<u8>),
}

/// An accepted entry: by a device, or the account key if none.
#[derive(Debug)]
struct Accepted {
    by: Option<u8>,
    did: Did,
}

/// What a device is; of one that has ended, the position of the entry that ended it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    Unknown,
    Active,
    Ended { by: u32 },
}

struct Pair {
    log: DeviceLog,
    pin: Pin,
    entries: Vec<Vec<u8>>,
    model: Vec<Accepted>,
}

impl Pair {
    fn new() -> Self {
        let genesis = DeviceLog::sign_genesis(&key(None), &certificate(0, 0));
        let log = DeviceLog::begin(UserId::new(USER), &genesis).expect("it is a good genesis");
        Self {
            pin: Pin::first("chat.example", &log),
            log,
            entries: vec![genesis],
            model: vec![Accepted { by: None, did: Did::Add(vec![0]) }],
        }
    }

    fn step(&mut self, reader: &mut Reader<'_>) {
        let [kind, who] = [reader.byte(), reader.byte()];
        let by = Some(who % (DEVICES + 1)).filter(|by| *by < DEVICES);
        let did = match kind % 8 {
            0 | 1 => Did::Add(vec![reader.byte() % DEVICES]),
            4 | 5 => Did::Renew { device: reader.byte() % DEVICES, with: reader.byte() % 3 },
            2 | 6 => Did::Revoke {
                device: reader.byte() % DEVICES,
                from: u32::from(reader.byte()) % (self.head() + 3),
            },
            _ => Did::Override(devices(reader.byte())),
        };
        let signed = |key: &SigningKey| self.log.sign_next(signer(by), key, &change(&did));
        match kind >> 5 {
            0 => self.refused(&signed(&stranger())),
            1 => {
                let at = usize::from(reader.byte()) << 8 | usize::from(reader.byte());
                let mut entry = signed(&key(by));
                let bit = at % (8 * entry.len());
                entry[bit / 8] ^= 1 << (bit % 8);
                self.refused(&entry);
            }
            2 => {
                let earlier = usize::from(reader.byte()) % self.entries.len();
                self.refused(&self.entries[earlier].clone());
            }
            3 => {
                let length = reader.byte();
                self.refused(reader.bytes(length.into()));
            }
            _ => {
                let entry = signed(&key(by));
                self.apply(by, did, entry);
            }
        }
    }

    /// Of nobody who may, or not what comes next.
    fn refused(&mut self, entry: &[u8]) {
        let before = self.log.head();
        assert!(self.log.apply(entry).is_err());
        assert_eq!(self.log.head(), before);
    }

    fn apply(&mut self, by: Option<u8>, did: Did, entry: Vec<u8>) {
        let expected = self.expected(by, &did);
        let before = self.log.head();
        assert_eq!(self.log.apply(&entry), expected, "{did:?} by {by:?} after {:?}", self.model);
        if expected.is_err() {
            assert_eq!(self.log.head(), before);
            return;
        }
        self.entries.push(entry);
        self.model.push(Accepted { by, did });
        assert_eq!(self.pin.follow(&self.log), Ok(()));
    }

    fn expected(&self, by: Option<u8>, did: &Did) -> Result<(), EntryError> {
        if by.is_some_and(|device| !self.is_active(device, self.head())) {
            return Err(EntryError::SignerNotActive);
        }
        let known = |device| self.added_at(device, self.head()).is_some();
        match did {
            Did::Add(devices) => match devices[0] {
                device if self.is_active(device, self.head()) => Err(EntryError::AlreadyActive),
                device if known(device) && by.is_some() => Err(EntryError::NeedsAccountKey),
                _ => Ok(()),
            },
            Did::Revoke { device, .. } if !known(*device) => Err(EntryError::UnknownDevice),
            Did::Revoke { from, .. } if *from == 0 || *from > self.head() + 1 => {
                Err(EntryError::FromPosition)
            }
            Did::Revoke { device, from } if !self.would_end(*device, *from) => {
                Err(EntryError::NothingChanges)
            }
            Did::Revoke { .. } => Ok(()),
            Did::Renew { device, .. } if by != Some(*device) => Err(EntryError::NotItsOwn),
            Did::Renew { device, with } if self.certificate_at(*device, self.head()) == *with => {
                Err(EntryError::NothingChanges)
            }
            Did::Renew { .. } => Ok(()),
            Did::Override(_) if by.is_some() => Err(EntryError::NeedsAccountKey),
            Did::Override(devices) if devices.is_empty() => Err(EntryError::Devices),
            Did::Override(_) => Ok(()),
        }
    }

    fn head(&self) -> u32 {
        (self.model.len() - 1) as u32
    }

    /// The last entry up to `position` that added a device.
    fn added_at(&self, device: u8, position: u32) -> Option<u32> {
        (0..=position).rev().find(|at| match &self.model[*at as usize].did {
            Did::Add(devices) | Did::Override(devices) => devices.contains(&device),
            Did::Revoke { .. } | Did::Renew { .. } => false,
        })
    }

    /// Which certificate a device has that is active at a position; 0 is the one it was added with.
    fn certificate_at(&self, device: u8, position: u32) -> u8 {
        let from = self.added_at(device, position).unwrap_or(0);
        let renewed = (from..=position).rev().find_map(|at| match self.model[at as usize].did {
            Did::Renew { device: renewed, with } if renewed == device => Some(with),
            _ => None,
        });
        renewed.unwrap_or(0)
    }

    fn would_end(&self, device: u8, from: u32) -> bool {
        let mut added = (0..=self.head()).filter(|at| self.added_at(device, *at) == Some(*at));
        added.any(|at| self.end_of(device, at).is_none_or(|(end, _)| end > from.max(at)))
    }

    fn is_active(&self, device: u8, position: u32) -> bool {
        self.judge(device, position) == Verdict::Active
    }

    /// What a device was at `position`, as all that is known now says.
    fn judge(&self, device: u8, position: u32) -> Verdict {
        let Some(added_at) = self.added_at(device, position) else { return Verdict::Unknown };
        match self.end_of(device, added_at) {
            Some((from, by)) if from <= position => Verdict::Ended { by },
            _ => Verdict::Active,
        }
    }

    /// From where on what began at `added_at` is over, and by which entry: the first that ended it so early.
    fn end_of(&self, device: u8, added_at: u32) -> Option<(u32, u32)> {
        self.ends_of(device, added_at).into_iter().min()
    }

    /// Each entry that ends what began at `added_at`, with from where on.
    fn ends_of(&self, device: u8, added_at: u32) -> Vec<(u32, u32)> {
        let later = (added_at + 1..).zip(&self.model[added_at as usize + 1..]);
        let ends = later.filter_map(|(by, entry)| match entry.did {
            Did::Revoke { device: revoked, from } if revoked == device => {
                Some((from.max(added_at), by))
            }
            Did::Override(_) => Some((by, by)),
            _ => None,
        });
        // What the approver signed at its last position counts unless it is revoked from there or earlier.
        let falls = self.model[added_at as usize].by.and_then(|approver| {
            let ends = self.ends_of(approver, self.added_at(approver, added_at)?);
            let ends = ends.into_iter().filter(|(from, _)| *from <= added_at);
            ends.map(|(_, by)| (added_at, by)).min()
        });
        ends.chain(falls).collect()
    }

    fn check_judgements(&self) {
        for position in 0..=self.head() {
            for number in 0..DEVICES {
                let judged = match self.log.judge(device(number), position) {
                    Judgement::Active(found) => {
                        let expected = certificate(number, self.certificate_at(number, position));
                        assert_eq!(*found, expected);
                        let standing =
                            self.log.judge_certificate(device(number), found.as_bytes(), position);
                        assert_eq!(standing, Standing::Active);
                        Verdict::Active
                    }
                    Judgement::Unknown | Judgement::BeyondHead => Verdict::Unknown,
                    Judgement::Revoked { by }
                    | Judgement::Fallen { by }
                    | Judgement::Replaced { by } => Verdict::Ended { by },
                };
                let expected = self.judge(number, position);
                assert_eq!(judged, expected, "{number} at {position} after {:?}", self.model);
            }
        }
        assert_eq!(self.log.judge(device(0), self.head() + 1), Judgement::BeyondHead);
        let active = (0..DEVICES).filter(|number| self.is_active(*number, self.head()));
        assert!(self.log.active().map(Certificate::device).eq(active.map(device)));
    }

    /// Whoever reads the same entries comes to the same.
    fn check_replay(&self) {
        let replayed = DeviceLog::replay(UserId::new(USER), self.entries.iter().map(Vec::as_slice))
            .expect("each entry was accepted");
        assert_eq!(replayed.head(), self.log.head());
        for position in 0..=self.head() {
            for number in 0..DEVICES {
                let [one, other] =
                    [&replayed, &self.log].map(|log| log.judge(device(number), position));
                assert_eq!(one, other);
            }
        }
    }
}

fn device(number: u8) -> DeviceId {
    DeviceId::new([0x10 + number; 16])
}

/// A device's login key, or the account key.
fn key(number: Option<u8>) -> SigningKey {
    SigningKey::from_bytes(&[number.map_or(0x70, |number| 0x20 + number); 32])
        .expect("the number is below the order")
}

fn stranger() -> SigningKey {
    SigningKey::from_bytes(&[0x60; 32]).expect("the number is below the order")
}

fn certificate(number: u8, with: u8) -> Certificate {
    let login = key(Some(number));
    let mls = MlsKey { suite: SUITE_P256, public_key: login.public_key().as_bytes().to_vec() };
    let other = MlsKey { suite: 0x00f0, public_key: vec![4; with.into()] };
    let keys = [mls, other];
    let keys = if with == 0 { &keys[..1] } else { &keys };
    Certificate::issue(UserId::new(USER), device(number), &login, keys)
        .expect("it has all that a certificate needs")
}

fn signer(by: Option<u8>) -> Signer {
    by.map_or(Signer::Account, |number| Signer::Device(device(number)))
}

fn change(did: &Did) -> Change {
    match did {
        Did::Add(devices) => Change::Add(certificate(devices[0], 0)),
        Did::Revoke { device: number, from } => {
            Change::Revoke { device: device(*number), from: *from }
        }
        Did::Renew { device, with } => Change::Renew(certificate(*device, *with)),
        Did::Override(devices) => {
            Change::Override(devices.iter().map(|n| certificate(*n, 0)).collect())
        }
    }
}

/// The devices whose bits are set.
fn devices(bits: u8) -> Vec<u8> {
    (0..DEVICES).filter(|number| bits & 1 << number != 0).collect()
}
