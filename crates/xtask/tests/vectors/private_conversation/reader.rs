//! The device that a conversation was recorded for, on aside-mls.

use std::{collections::BTreeSet, sync::Arc};

use aside_crypto::{
    DeviceLog, Envelope, EnvelopeError, Hash, Judgement, StatedHeadError, chain_next, chain_start,
    payload_hash,
};
use aside_mls::{
    AwsLc, ClaimedChange, Device, Group, GroupId, Owner, Reason, SigningKey, Suite,
    testing::{KeyPackageKeys, pad},
};
use aside_proto::{
    id::{ConversationId, UserId},
    v1,
};
use prost::Message as _;
use serde_json::{Value, json};

use super::{Logs, array, bytes, ensure, number, owner, owners};

pub(super) struct Reader {
    conversation: ConversationId,
    logs: Logs,
    own: Owner,
    device: Device<AwsLc>,
    group: Option<Group<AwsLc>>,
    /// Who removed this device, until others have taken that commit (MLS-036).
    removed_by: Option<Owner>,
    /// chain(0), chain(1), …
    chains: Vec<Hash>,
}

impl Reader {
    /// The device before the first entry.
    pub(super) fn new(vector: &Value) -> Self {
        let logs = vector["users"].as_array().unwrap().iter().map(|user| {
            let id = UserId::new(array(&user["user_id"]));
            let entries: Vec<_> =
                user["device_log"].as_array().unwrap().iter().map(bytes).collect();
            let log = DeviceLog::replay(id, entries.iter().map(Vec::as_slice));
            (id, log.unwrap())
        });
        let logs = Logs(logs.collect());
        let reader = &vector["reader"];
        let own = owner(&bytes(&reader["user_id"]), &bytes(&reader["device_id"]));
        let log = &logs.0[&own.user];
        let certificate = log.active().find(|it| it.device() == own.device).unwrap();
        let suite = Suite::from_number(number(&vector["suite"]).try_into().unwrap()).unwrap();
        let key = bytes(&reader["signature_private_key"]);
        let key = SigningKey::from_bytes::<AwsLc>(suite, &key).unwrap();
        let keys = KeyPackageKeys {
            init: bytes(&reader["init_private_key"]).into(),
            encryption: bytes(&reader["encryption_private_key"]).into(),
        };
        let key_package = keys.to_stored::<AwsLc>(&bytes(&reader["key_package"])).unwrap();
        let judge = Arc::new(logs.clone());
        let certificate = certificate.as_bytes().to_vec();
        let device = Device::new(certificate, vec![key], judge, [key_package]).unwrap();
        let conversation = ConversationId::new(array(&vector["conversation_id"]));
        let chains = vec![chain_start(conversation)];
        Self { conversation, logs, own, device, group: None, removed_by: None, chains }
    }

    /// The chain value after an entry that was taken in.
    pub(super) fn append(&mut self, entry: &Value) -> Hash {
        let hash = payload_hash(&array(&entry["salt"]), &bytes(&entry["payload"]));
        let last = self.chains.last().unwrap();
        self.chains.push(chain_next(last, &bytes(&entry["header"]), &hash));
        *self.chains.last().unwrap()
    }

    /// What comes of an entry, or why it is refused.
    pub(super) fn take(&mut self, entry: &Value) -> Result<Value, String> {
        let header = v1::EntryHeader::decode(&bytes(&entry["header"])[..]).unwrap();
        assert_eq!(header.conversation_id, self.conversation.to_bytes());
        assert_eq!(header.seq, self.chains.len() as u64);
        let payload = bytes(&entry["payload"]);
        let sender = || owner(&header.sender_user_id, &header.sender_device_id);
        match header.kind() {
            v1::EntryKind::Commit => {
                let payload = v1::CommitPayload::decode(&payload[..]).unwrap();
                let clear = v1::CommitHeader::decode(payload.header.clone()).unwrap();
                assert_eq!(clear.conversation_id, header.conversation_id);
                assert_eq!(clear.message_id, header.message_id);
                self.commit(&header, sender(), &clear, &payload, entry.get("welcome").map(bytes))
            }
            v1::EntryKind::PrivateMessage => {
                let payload = v1::PrivatePayload::decode(&payload[..]).unwrap();
                let clear = v1::PrivateHeader::decode(payload.header.clone()).unwrap();
                assert_eq!(clear.conversation_id, header.conversation_id);
                assert_eq!(clear.message_id, header.message_id);
                self.message(&header, sender(), &clear, &payload)
            }
            _ => Ok(json!({ "is": "before" })),
        }
    }

    fn commit(
        &mut self,
        header: &v1::EntryHeader,
        sender: Owner,
        clear: &v1::CommitHeader,
        payload: &v1::CommitPayload,
        welcome: Option<Vec<u8>>,
    ) -> Result<Value, String> {
        let claim = ClaimedChange {
            epoch: clear.epoch,
            added: owners(&clear.added),
            removed: owners(&clear.removed),
        };
        let Some(group) = &mut self.group else {
            let Some(welcome) = welcome else { return Ok(json!({ "is": "before" })) };
            let generation = clear.generation.try_into().unwrap();
            let id = GroupId { conversation: self.conversation, generation };
            let joined = self.device.join(&welcome, id, (sender, &claim), None);
            self.group = Some(joined.map_err(|error| match error {
                aside_mls::Error::Refused(reason) => word(reason),
                other => other.to_string(),
            })?);
            return self.come_to("joined");
        };
        assert_eq!(clear.epoch, group.epoch());
        let done = group.receive_commit(&payload.commit, &payload.header, sender, &claim);
        let done = done.map_err(word)?;
        assert_eq!(done.external, clear.is_external);
        self.history(header.seq, clear.head_seq, &clear.chain)?;
        if done.removed_us {
            self.removed_by = Some(sender);
            return Ok(json!({ "is": "removed" }));
        }
        self.come_to("followed")
    }

    fn message(
        &mut self,
        header: &v1::EntryHeader,
        sender: Owner,
        clear: &v1::PrivateHeader,
        payload: &v1::PrivatePayload,
    ) -> Result<Value, String> {
        let Some(group) = &mut self.group else { return Ok(json!({ "is": "before" })) };
        if let Some(committer) = self.removed_by {
            assert_eq!(clear.epoch, group.epoch() + 1);
            assert!(sender != committer && sender != self.own);
            group.confirm_removal().unwrap();
            return Ok(json!({ "is": "out" }));
        }
        assert_eq!(clear.epoch, group.epoch());
        let opened = group.decrypt(&payload.ciphertext, &payload.header, sender).map_err(word)?;
        let envelope =
            Envelope::open(&opened.content, &clear.franking_tag).map_err(|error| match error {
                EnvelopeError::Malformed => "envelope",
                EnvelopeError::Tag(_) => "tag",
            })?;
        let log = &self.logs.0[&sender.user];
        let judged = log.judge_new(sender.device, &envelope.head).map_err(|error| match error {
            StatedHeadError::Beyond(_) => "beyond",
            StatedHeadError::Diverged(_) => "diverged",
        })?;
        ensure(matches!(judged.judgement, Judgement::Active(_)), "sender")?;
        self.history(header.seq, clear.head_seq, &clear.chain)?;
        Ok(json!({
            "is": "read",
            "leaf": opened.leaf,
            "user_id": hex::encode(opened.sender.user.as_bytes()),
            "device_id": hex::encode(opened.sender.device.as_bytes()),
            "application_data": hex::encode(pad(&opened.content).unwrap()),
            "content": hex::encode(&envelope.content),
            "franking_key": hex::encode(envelope.key.as_bytes()),
            "log_position": envelope.head.position,
            "log_hash": hex::encode(envelope.head.hash),
        }))
    }

    /// HEAD-011.
    fn history(&self, seq: u64, head_seq: u64, chain: &[u8]) -> Result<(), String> {
        let known = self.chains.get(usize::try_from(head_seq).unwrap());
        ensure(head_seq < seq && known.is_some_and(|known| known == chain), "history")
    }

    fn come_to(&self, how: &str) -> Result<Value, String> {
        Ok(state(how, self.group.as_ref().unwrap()))
    }
}

/// What is the same for all who are in a group at an epoch.
pub(super) fn state(how: &str, group: &Group<AwsLc>) -> Value {
    let members = group.members().unwrap();
    let devices: BTreeSet<_> = members.iter().map(|member| member.owner).collect();
    assert_eq!(devices.len(), members.len());
    let leaf = |member: &aside_mls::Member| {
        json!({
            "leaf": member.leaf,
            "user_id": hex::encode(member.owner.user.as_bytes()),
            "device_id": hex::encode(member.owner.device.as_bytes()),
        })
    };
    json!({
        "is": how,
        "generation": group.id().generation,
        "epoch": group.epoch(),
        "leaves": members.iter().map(leaf).collect::<Vec<_>>(),
        "epoch_authenticator": hex::encode(group.epoch_authenticator().unwrap()),
        "fork_check": hex::encode(group.fork_check().unwrap()),
    })
}

/// A reason as the vectors have it.
fn word(reason: Reason) -> String {
    let word = match reason {
        Reason::Invalid => "invalid",
        Reason::WrongKind => "wrong-kind",
        Reason::WrongGroup => "wrong-group",
        Reason::WrongProfile => "wrong-profile",
        Reason::NoPath => "no-path",
        Reason::ForbiddenProposal => "forbidden-proposal",
        Reason::ExternalCommitRefused => "external-commit-refused",
        Reason::BadPadding => "bad-padding",
        Reason::TooFarAhead => "too-far-ahead",
        Reason::StaleEpoch => "stale-epoch",
        Reason::Replayed => "replayed",
        Reason::Tampered => "tampered",
        Reason::SenderMismatch => "sender-mismatch",
        Reason::HeaderMismatch => "header-mismatch",
        Reason::ClaimMismatch => "claim-mismatch",
        Reason::CredentialRefused => "credential-refused",
        other => return other.to_string(),
    };
    word.into()
}
