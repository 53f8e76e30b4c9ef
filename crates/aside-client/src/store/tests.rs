use aside_crypto::{
    Certificate, DeviceLog, MlsKey, RecoveryPhrase, SUITE_P256, SigningKey, Strength,
};
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    v1,
};
use aside_session::client::{
    DeviceKey, Draft,
    log::{Accepted, Follower, Remembered, Start},
};
use prost::Message as _;

use super::*;
use crate::trust::KnownLog;

const ROOM: ConversationId = ConversationId::new([9; 16]);

fn identity() -> Identity {
    Identity { user: UserId::new([1; 16]), device: DeviceId::new([2; 16]), handle: "alice".into() }
}

async fn store(dir: &Path) -> Store {
    Store::open(dir, &Unlock::default()).await.unwrap()
}

#[cfg(unix)]
#[tokio::test]
async fn the_state_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().join("server/alice");
    let store = store(&dir).await;
    store.account().await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join(DATABASE)), 0o600);
    assert_eq!(mode(&dir.join("state.db-wal")), 0o600);
}

#[tokio::test]
async fn the_device_key_is_made_once_and_stays() {
    let data = tempfile::tempdir().unwrap();
    let first = store(data.path()).await;
    let account = first.account().await.unwrap();
    assert_eq!(account.identity, None);
    first.set_register_key(IdempotencyKey::new([7; 16])).await.unwrap();
    let key = first.account().await.unwrap().register_key;
    assert_eq!(key, Some(IdempotencyKey::new([7; 16])), "kept for a retry");
    first.set_identity(&identity()).await.unwrap();
    first.set_log_key(&account.device_key.public_key()).await.unwrap();
    first.set_certificate(Some(crate::Fingerprint([3; 32]))).await.unwrap();
    first.close().await;

    let again = store(data.path()).await.account().await.unwrap();
    assert_eq!(again.device_key.to_bytes(), account.device_key.to_bytes());
    assert_eq!(again.identity, Some(identity()));
    assert_eq!(again.log_key, Some(account.device_key.public_key()));
    assert_eq!(again.certificate, Some(crate::Fingerprint([3; 32])));
    assert_eq!(again.register_key, None);
}

fn posting(id: u8) -> Posting {
    let draft = Draft::sign(
        (UserId::new([1; 16]), DeviceId::new([2; 16])),
        &SigningKey::from_bytes(&[1; 32]).unwrap(),
        (ROOM, IdempotencyKey::new([id; 16])),
        [id; 32],
        "hi".into(),
    );
    Posting { draft, after: Some(id.into()), carried: false }
}

fn id(byte: u8) -> IdempotencyKey {
    IdempotencyKey::new([byte; 16])
}

// cites: IDEM-001
#[tokio::test]
async fn the_outbox_keeps_messages_to_the_bit_and_in_order() {
    let data = tempfile::tempdir().unwrap();
    let first = store(data.path()).await;
    for byte in [3, 1, 2] {
        assert!(first.add_to_outbox(&posting(byte)).await.unwrap());
    }
    first.remove_from_outbox(id(1)).await.unwrap();
    drop(first);
    let second = store(data.path()).await;
    assert_eq!(second.outbox().await.unwrap(), [posting(3), posting(2)]);

    // Whoever wrote them is to be told that they were not sent, whatever became of the device that signed them.
    second.account().await.unwrap();
    second.new_device_key().await.unwrap();
    assert_eq!(second.outbox().await.unwrap(), [posting(3), posting(2)]);

    // A connection may carry all of them, and a conversation that is taken up anew has no past.
    second.note_carried().await.unwrap();
    second.forget(ROOM).await.unwrap();
    let all = second.outbox().await.unwrap();
    assert!(all.iter().all(|it| it.carried && it.after.is_none()), "{all:?}");
}

#[tokio::test]
async fn what_failed_stays_until_it_is_said_once_more_or_discarded() {
    let data = tempfile::tempdir().unwrap();
    let store = store(data.path()).await;
    for byte in [1, 2] {
        store.add_to_outbox(&posting(byte)).await.unwrap();
    }
    store.fail_in_outbox(id(1), "refused", None).await.unwrap();
    assert!(!store.replace_failed(id(2), &posting(3)).await.unwrap(), "that is on its way");
    assert!(!store.discard_failed(id(2)).await.unwrap());
    assert!(store.replace_failed(id(1), &posting(3)).await.unwrap());
    assert!(!store.replace_failed(id(1), &posting(4)).await.unwrap(), "once");
    assert_eq!(store.outbox().await.unwrap(), [posting(2), posting(3)]);

    // None goes beyond: there is no room for another instead.
    let mut text = posting(9);
    for number in 0_u16..1024 {
        let mut bytes = [9; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        text.draft.message_id = IdempotencyKey::new(bytes);
        assert!(store.add_to_outbox(&text).await.unwrap());
        store.fail_in_outbox(text.draft.message_id, "refused", None).await.unwrap();
    }
    assert!(!store.add_to_outbox(&posting(5)).await.unwrap());
    assert_eq!(store.outgoing().await.unwrap().len(), 1026);
    assert!(store.replace_failed(text.draft.message_id, &posting(5)).await.unwrap());
    assert!(!store.replace_failed(id(2), &posting(6)).await.unwrap());
}

#[tokio::test]
async fn one_process_writes_and_another_works_on_a_copy() {
    let data = tempfile::tempdir().unwrap();
    let writer = store(data.path()).await;
    let account = writer.account().await.unwrap();
    writer.add_to_outbox(&posting(1)).await.unwrap();
    assert!(matches!(
        Store::open(data.path(), &Unlock::default()).await,
        Err(StateError::InUse(_))
    ));

    let copy = Store::open_shared(data.path(), &Unlock::default()).await.unwrap();
    let copied = copy.account().await.unwrap();
    assert_eq!(copied.device_key.to_bytes(), account.device_key.to_bytes());
    assert_eq!(copy.outbox().await.unwrap(), [], "the writer sends it");
    copy.set_identity(&identity()).await.unwrap();
    assert_eq!(writer.account().await.unwrap().identity, None);

    writer.close().await;
    assert!(matches!(writer.account().await, Err(StateError::Closed)));
    let next = Store::open_shared(data.path(), &Unlock::default()).await.unwrap();
    assert!(next.dir().is_some(), "nobody writes any more");
}

// cites: DEV-010, DEV-011
#[tokio::test]
async fn the_first_key_of_a_device_stays() {
    let data = tempfile::tempdir().unwrap();
    let store = store(data.path()).await;
    let key = |byte| DeviceKey {
        device: DeviceId::new([5; 16]),
        user: UserId::new([1; 16]),
        public_key: SigningKey::from_bytes(&[byte; 32]).unwrap().public_key(),
        revoked_ms: 0,
    };
    store.add_device_key(&key(1)).await.unwrap();
    store.add_device_key(&key(2)).await.unwrap();
    assert_eq!(store.device_key(key(1).device).await.unwrap(), Some(key(1)));
    assert_eq!(store.device_key(DeviceId::new([6; 16])).await.unwrap(), None);
    store.set_revoked(key(1).device, 7).await.unwrap();
    store.set_revoked(key(1).device, 9).await.unwrap();
    let revoked = DeviceKey { revoked_ms: 7, ..key(1) };
    assert_eq!(store.device_key(key(1).device).await.unwrap(), Some(revoked));
}

/// Entries as a follower lets them through.
fn accepted(count: u64) -> (Vec<Accepted>, Remembered) {
    let mut follower = Follower::new(ROOM, Start::Beginning);
    let entries = (1..=count).map(|seq| {
        let header = v1::EntryHeader {
            conversation_id: ROOM.to_bytes(),
            seq,
            kind: v1::EntryKind::Message.into(),
            sender_user_id: vec![1; 16].into(),
            sender_device_id: vec![2; 16].into(),
            message_id: vec![seq as u8; 16].into(),
            signature: vec![3; 64].into(),
            time_ms: 0,
        };
        let entry = v1::Entry {
            header: header.encode_to_vec().into(),
            salt: vec![7; 32].into(),
            payload: format!("text {seq}").into(),
            ..Default::default()
        };
        follower.handle_pushed(&entry).unwrap().unwrap()
    });
    let entries = entries.collect();
    (entries, follower.remembered().unwrap())
}

#[tokio::test]
async fn entries_and_the_cursor_past_them_are_kept_together() {
    let data = tempfile::tempdir().unwrap();
    let store = store(data.path()).await;
    let (accepted, cursor) = accepted(5);
    let head = v1::SignedHead { statement: "statement".into(), signature: "signature".into() };
    let cursor = Remembered { time_ms: 5, head: Some(head), ..cursor };
    store.set_conversation(ROOM, "lobby", true).await.unwrap();
    let entries: Vec<_> = accepted
        .into_iter()
        .map(|accepted| NewEntry { accepted, signature: StoredSignature::Pending })
        .collect();
    let alice = (UserId::new([1; 16]), "alice".to_owned());
    store.keep(ROOM, &entries, Some(&cursor), std::slice::from_ref(&alice)).await.unwrap();

    let known = store.conversation(ROOM).await.unwrap().unwrap();
    assert_eq!((known.cursor, known.joined), (Some(cursor), true));
    assert_eq!(store.handle_of(alice.0).await.unwrap().as_deref(), Some("alice"));
    let seqs = |kept: Vec<Kept>| kept.iter().map(|kept| kept.seq).collect::<Vec<_>>();
    assert_eq!(seqs(store.entries_from(ROOM, 3, 2).await.unwrap()), [3, 4]);
    assert_eq!(seqs(store.entries_before(ROOM, 5, 2).await.unwrap()), [3, 4]);
    assert_eq!(seqs(store.entries_pending().await.unwrap()), [1, 2, 3, 4, 5]);
    assert_eq!(seqs(store.settled_before(ROOM, 9, 9).await.unwrap()), [0_u64; 0]);
    store.settle(&[(ROOM, 2, StoredSignature::Verified)]).await.unwrap();
    assert_eq!(seqs(store.settled_before(ROOM, 9, 9).await.unwrap()), [1, 2]);
    assert_eq!(seqs(store.settled_before(ROOM, 9, 1).await.unwrap()), [2], "as many as are wanted");
    assert_eq!(seqs(store.entries_pending().await.unwrap()), [1, 3, 4, 5]);

    // Two calls that read back the same past keep it once, and what is known of its signatures stays.
    store.keep(ROOM, &entries[1..2], None, &[]).await.unwrap();
    assert_eq!(seqs(store.entries_from(ROOM, 0, 9).await.unwrap()), [1, 2, 3, 4, 5]);
    assert_eq!(seqs(store.entries_pending().await.unwrap()), [1, 3, 4, 5]);
    store.set_tampering(ROOM, "changed").await.unwrap();
    let known = store.conversation(ROOM).await.unwrap().unwrap();
    assert_eq!(known.tampering.as_deref(), Some("changed"));
    store.forget(ROOM).await.unwrap();
    assert!(store.conversation(ROOM).await.unwrap().is_none());
    assert_eq!(seqs(store.entries_from(ROOM, 0, 9).await.unwrap()), [0_u64; 0]);
}

// cites: CERT-004
#[tokio::test]
async fn a_certificate_and_its_keys_go_with_the_device() {
    let data = tempfile::tempdir().unwrap();
    let store = store(data.path()).await;
    let login_key = store.account().await.unwrap().device_key;
    let issue = |keys: &[aside_mls::SigningKey]| {
        let public = keys
            .iter()
            .map(|key| MlsKey { suite: key.suite().number(), public_key: key.public().to_vec() });
        let Identity { user, device, .. } = identity();
        let public: Vec<_> = public.collect();
        Certificate::issue(user, device, &login_key, &public).unwrap()
    };
    let keys = [crate::random::mls_keys(), crate::random::mls_keys()];
    let [first, second] = keys.each_ref().map(|keys| issue(keys));
    assert_eq!(store.device_certificate().await.unwrap(), None);
    assert!(store.keep_device_certificate(None, &first, &keys[0]).await.unwrap());
    assert!(!store.keep_device_certificate(None, &second, &keys[1]).await.unwrap(), "too late");
    assert_eq!(store.device_certificate().await.unwrap(), Some(first.clone()));
    let bytes = |key: &aside_mls::SigningKey| (key.suite(), key.to_bytes());
    let kept: Vec<_> = store.mls_keys().await.unwrap().iter().map(bytes).collect();
    assert_eq!(kept, keys[0].each_ref().map(bytes));
    assert!(store.keep_device_certificate(Some(&first), &second, &keys[1]).await.unwrap());

    store.new_device_key().await.unwrap();
    assert_eq!(store.device_certificate().await.unwrap(), None);
    assert!(store.mls_keys().await.unwrap().is_empty());
}

// cites: TRUST-001
#[tokio::test]
async fn a_device_log_is_kept_by_whoever_has_seen_what_is_kept() {
    let data = tempfile::tempdir().unwrap();
    let first = store(data.path()).await;
    let (user, entries) = (UserId::new([5; 16]), vec![vec![1].into(), vec![2].into()]);
    let log = KnownLog { entries, verified: false };
    let verified = KnownLog { verified: true, ..log.clone() };
    assert_eq!(first.device_log(user).await.unwrap(), None);
    assert!(first.keep_device_log(user, None, &log).await.unwrap());
    assert!(!first.keep_device_log(user, None, &verified).await.unwrap());
    assert!(!first.keep_device_log(user, Some(&verified), &log).await.unwrap());
    assert!(first.keep_device_log(user, Some(&log), &verified).await.unwrap());
    first.close().await;
    let again = store(data.path()).await.device_log(user).await.unwrap();
    assert_eq!(again, Some(verified));
}

// cites: MLS-025
#[tokio::test]
async fn the_last_logs_that_others_replaced_are_kept() {
    let data = tempfile::tempdir().unwrap();
    let store = store(data.path()).await;
    let (user, device) = (UserId::new([5; 16]), DeviceId::new([6; 16]));
    let login_key = SigningKey::from_bytes(&[7; 32]).unwrap();
    let public_key = login_key.public_key().as_bytes().to_vec();
    let mls_key = MlsKey { suite: SUITE_P256, public_key };
    let certificate = Certificate::issue(user, device, &login_key, &[mls_key]).unwrap();
    let logs: Vec<_> = (0..12)
        .map(|number| {
            let phrase =
                RecoveryPhrase::generate(Strength::Bits128, &mut |bytes| bytes.fill(number));
            let genesis = DeviceLog::sign_genesis(&phrase.account_key(), &certificate);
            KnownLog { entries: vec![genesis.into()], verified: false }
        })
        .collect();
    assert!(store.keep_device_log(user, None, &logs[0]).await.unwrap());
    let verified = KnownLog { verified: true, ..logs[0].clone() };
    assert!(store.keep_device_log(user, Some(&logs[0]), &verified).await.unwrap());
    assert_eq!(store.device_logs().await.unwrap().len(), 1, "it is the same identity's");
    assert!(store.keep_device_log(user, Some(&verified), &logs[1]).await.unwrap());
    for (was, now) in logs[1..].iter().zip(&logs[2..]) {
        assert!(store.keep_device_log(user, Some(was), now).await.unwrap());
        assert!(!store.keep_device_log(user, Some(was), now).await.unwrap(), "too late");
    }
    let heads = |logs: Vec<DeviceLog>| logs.iter().map(DeviceLog::head).collect::<Vec<_>>();
    let expected = logs[3..].iter().map(|log| log.replay(user).unwrap()).collect();
    assert_eq!(heads(store.device_logs().await.unwrap()), heads(expected), "eight, and the last");
}
