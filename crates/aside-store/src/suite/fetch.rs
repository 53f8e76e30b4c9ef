//! Reading ranges of a log.

use aside_proto::v1;
use prost::Message as _;

use super::{Actor, ConversationId, Lab, Must as _, Read, assert_refused, list};
use crate::Refused;

list![
    any_range_is_what_the_log_has_there,
    a_range_past_the_end_is_refused,
    a_page_keeps_to_its_bytes,
    a_read_sees_every_acknowledged_write,
];

/// The greatest payload of a server with default limits, all of it.
const LARGE: usize = 64 * 1024;

// cites: FETCH-001, FETCH-003, FETCH-006, LOG-010
async fn any_range_is_what_the_log_has_there(lab: Lab) {
    let (alice, room, log) = talk(&lab, 20).await;
    for from in 1..=log.len() + 1 {
        for max in [1, 2, 5, 100] {
            let fetched =
                lab.store.fetch(alice.user, room, from as u64, max, usize::MAX).await.must();
            let there: Vec<_> = log[from - 1..].iter().take(max as usize).collect();
            assert_eq!(fetched.entries.len(), there.len());
            assert!(fetched.entries.iter().zip(there).all(|(entry, read)| *entry == read.entry));
            let before = match from {
                1 => aside_crypto::chain_start(room),
                _ => log[from - 2].chain,
            };
            assert_eq!(fetched.prev_chain[..], before);
            assert_eq!((fetched.first_seq, fetched.head_seq), (1, log.len() as u64));
            assert_eq!(fetched.signed_head, None);
        }
    }
}

// cites: FETCH-004
async fn a_range_past_the_end_is_refused(lab: Lab) {
    let (alice, room, log) = talk(&lab, 3).await;
    let end = log.len() as u64;
    for from in [0, end + 2, end + 100, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        let fetched = lab.store.fetch(alice.user, room, from, 10, usize::MAX).await;
        assert_refused!(fetched, Refused::SeqOutOfRange { head_seq: 5 });
    }
    assert_eq!(end, 5);
}

// cites: FETCH-001, FETCH-002
async fn a_page_keeps_to_its_bytes(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    for size in [10, LARGE, 10, 5000, LARGE, LARGE, 1] {
        lab.send(alice, room, &"x".repeat(size)).await;
    }
    for max_bytes in [0, 200, 1000, LARGE, LARGE + 1000, 3 * LARGE, 10 * LARGE] {
        let mut from = 1;
        let mut pages = Vec::new();
        while from <= 9 {
            let page = lab.store.fetch(alice.user, room, from, 512, max_bytes).await.must();
            assert!(page.encoded_len() <= max_bytes || page.entries.len() == 1);
            assert!(!page.entries.is_empty(), "{from} in pages of {max_bytes} bytes");
            from += page.entries.len() as u64;
            pages.push(page.entries.len());
        }
        match max_bytes {
            0 => assert_eq!(pages, [1; 9]),
            max_bytes if max_bytes == 10 * LARGE => assert_eq!(pages, [9]),
            _ => {}
        }
    }
}

// cites: REQ-009, FETCH-006
async fn a_read_sees_every_acknowledged_write(lab: Lab) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    for number in 0..50 {
        let sent = lab.send(alice, room, &number.to_string()).await;
        let fetched = lab.store.fetch(alice.user, room, sent.seq, 1, usize::MAX).await.must();
        let header = v1::EntryHeader::decode(&fetched.entries[0].header[..]).must();
        assert_eq!((header.seq, fetched.head_seq), (sent.seq, sent.seq));
    }
}

/// A room in which a user has said so much.
async fn talk(lab: &Lab, messages: usize) -> (Actor, ConversationId, Vec<Read>) {
    let alice = lab.register("alice").await;
    let room = lab.create(alice, "den").await;
    for number in 0..messages {
        lab.send(alice, room, &number.to_string()).await;
    }
    (alice, room, lab.log(alice.user, room).await)
}
