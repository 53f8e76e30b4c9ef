//! private_conversation.json: conversations as recorded, read by a device whose secrets are there.

mod reader;
mod record;

use std::collections::{BTreeSet, HashMap};

use aside_crypto::{Certificate, DeviceLog, Standing};
use aside_mls::{CredentialRefused, Judge, Leaf, Owner};
use aside_proto::{
    id::{DeviceId, UserId},
    v1,
};
use serde_json::Value;

use super::{array, bytes, check, check_all, ensure, number, path, read};
use reader::Reader;

const FILE: &str = "private_conversation";

/// Device logs by user, and what their certificates are at the heads of these: a [`Judge`] by DLOG-017.
#[derive(Clone, Default)]
struct Logs(HashMap<UserId, DeviceLog>);

impl Logs {
    fn standing(&self, leaf: Leaf<'_>) -> Option<(Owner, Standing)> {
        let read = Certificate::decode(leaf.certificate).ok()?;
        let log = self.0.get(&read.user())?;
        let names_key = read.mls_key(leaf.suite.number()) == Some(leaf.signature_key);
        let head = log.head().position;
        let standing = log.judge_certificate(read.device(), leaf.certificate, head);
        names_key.then_some((Owner { user: read.user(), device: read.device() }, standing))
    }
}

impl Judge for Logs {
    fn owner(&self, leaf: Leaf<'_>) -> Result<Owner, CredentialRefused> {
        match self.standing(leaf).ok_or(CredentialRefused)? {
            (owner, Standing::Active | Standing::Renewed { .. } | Standing::Ended { .. }) => {
                Ok(owner)
            }
            _ => Err(CredentialRefused),
        }
    }

    fn admit(&self, leaf: Leaf<'_>, _: Owner) -> Result<(), CredentialRefused> {
        match self.standing(leaf).ok_or(CredentialRefused)?.1 {
            Standing::Active | Standing::Renewed { .. } => Ok(()),
            _ => Err(CredentialRefused),
        }
    }
}

fn owner(user: &[u8], device: &[u8]) -> Owner {
    let id = |bytes: &[u8]| bytes.try_into().unwrap();
    Owner { user: UserId::new(id(user)), device: DeviceId::new(id(device)) }
}

fn owners(leaves: &[v1::Leaf]) -> BTreeSet<Owner> {
    leaves.iter().map(|leaf| owner(&leaf.user_id, &leaf.device_id)).collect()
}

/// Takes in all entries, each of which comes to what it states, and `other` before the one at its place: says why that is refused, which
/// changes nothing for those after it (MLS-023).
fn replay(conversation: &Value, other: Option<(u64, &Value)>) -> Result<(), String> {
    let mut reader = Reader::new(conversation);
    let mut refused = Ok(());
    for (seq, entry) in (1..).zip(conversation["entries"].as_array().unwrap()) {
        if let Some((_, other)) = other.filter(|(place, _)| *place == seq) {
            refused = reader.take(other).map(|_| ());
        }
        let found = reader.take(entry)?;
        ensure(found == entry["then"], &format!("seq {seq}: {found}"))?;
        ensure(reader.append(entry) == array(&entry["chain"]), "chain")?;
    }
    refused
}

/// Replays a vector of this file.
fn judge(file: &Value, vector: &Value) -> Result<(), String> {
    if vector["kind"] == "conversation" {
        return replay(vector, None);
    }
    let mut vectors = file["vectors"].as_array().unwrap().iter();
    let conversation = vectors.find(|it| it["id"] == vector["of"]).unwrap();
    replay(conversation, Some((number(&vector["in_place_of"]), &vector["entry"])))
}

// cites: FRANK-004, HEAD-011, LOG-011, MLS-002, MLS-005, MLS-006, MLS-007, MLS-008, MLS-011, MLS-012, MLS-014, MLS-015, MLS-016, MLS-018
// cites: MLS-020, MLS-022, MLS-023, MLS-025, MLS-028, MLS-030, MLS-031, MLS-032, MLS-033, MLS-047, TRUST-006
#[test]
fn private_conversations() {
    let file = read(FILE);
    check(FILE, None, |vector| judge(&file, vector));
}

/// `ASIDE_WRITE_RECORDING=1 cargo test -p xtask --test vectors new_recording && cargo xtask vectors` puts it in the committed one's place.
#[test]
fn a_new_recording_is_as_good() {
    let file = record::file();
    check_all(FILE, &file, None, |vector| judge(&file, vector));
    if std::env::var_os("ASIDE_WRITE_RECORDING").is_some() {
        std::fs::write(path(FILE), file.to_string()).unwrap();
    }
}
