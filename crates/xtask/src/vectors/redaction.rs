//! redaction.json.

use aside_proto::v1;
use prost::Message as _;
use serde_json::{Value, json};

use super::{
    chain::{Entry, chains, conversation},
    file::{File, Vector, hex},
};

const DESCRIPTION: &str = "Logs in pages, as a client fetches them one after another from the beginning, and how it judges entries without \
    payload. head_seq is that of each Fetched. missing lists, after each page, the entries without payload that no entry taken in \
    so far names as redacted; redacted lists what entries of kind REDACTED name in the end, before themselves, in order. Every chain \
    holds. Between pages the client starts again, with what it keeps but for signed heads. error is missing where the client is to find \
    tampering for want of the entry that redacts (LOG-013, REDACT-012), kind where an entry of this kind can't be redacted (REDACT-013), \
    and shorter where the log ends before an entry without payload has to be explained (REDACT-020).";

/// A page: how many entries it has, and where the log ends when it is read.
type Page = (usize, u64);

pub(super) fn file() -> File {
    File::new("redaction", DESCRIPTION, valid().into_iter().chain(tampered()).collect())
}

/// Entries 1 to `length`: texts, but for those that redact the seqs they come with; `gone` have lost their payloads.
fn log(length: u64, redactions: &[(u64, &[u64])], gone: &[u64]) -> Vec<Entry> {
    let entry = |seq| {
        let redacts = redactions.iter().find(|(at, _)| *at == seq);
        let entry = match redacts {
            Some((_, seqs)) => {
                let payload = v1::RedactedPayload { seqs: seqs.to_vec() };
                // An empty one would be no payload at all.
                let unknown = if seqs.is_empty() { &b"\x10\x01"[..] } else { b"" };
                let payload = [&payload.encode_to_vec(), unknown].concat();
                Entry::new(seq, v1::EntryKind::Redacted, &payload)
            }
            None if seq == 1 => {
                let created = v1::RoomCreatedPayload { name: "lobby".into(), ..Default::default() };
                Entry::new(seq, v1::EntryKind::RoomCreated, &created.encode_to_vec())
            }
            None => {
                let text = v1::Text { body: format!("text {seq}"), mentions: Vec::new() };
                let body = Some(v1::content::Body::Text(text));
                let content = v1::Content { body, reply_to: None };
                Entry::new(seq, v1::EntryKind::Message, &content.encode_to_vec())
            }
        };
        if gone.contains(&seq) { entry.redacted() } else { entry }
    };
    (1..=length).map(entry).collect()
}

fn in_pages(id: &str, requirements: &[&str], log: &[Entry], pages: &[Page]) -> Vector {
    let chains = chains(log);
    let mut from = 0;
    let pages: Vec<_> = pages
        .iter()
        .map(|(count, head_seq)| {
            let entries: Vec<_> = log[from..from + count].iter().map(Entry::json).collect();
            let (from_seq, prev_chain) = (from + 1, hex(chains[from]));
            from += count;
            json!({"from_seq": from_seq, "prev_chain": prev_chain, "entries": entries, "head_seq": head_seq})
        })
        .collect();
    Vector::new(id, requirements)
        .bytes("conversation_id", conversation().as_bytes())
        .with("pages", pages)
}

fn valid() -> Vec<Value> {
    let accept = |id: &str,
                  requirements: &[&str],
                  log: &[Entry],
                  pages: &[Page],
                  missing: &[&[u64]],
                  redacted: &[u64]| {
        in_pages(id, requirements, log, pages)
            .with("missing", json!(missing))
            .with("redacted", json!(redacted))
            .valid()
    };
    let both = log(6, &[(5, &[2, 4])], &[2, 4]);
    let twice = log(6, &[(4, &[2]), (6, &[3])], &[2, 3]);
    let mut later = log(4, &[(4, &[2])], &[2]);
    later[1].header.kind = 99;
    later[1].header.signature.clear();
    let whole = log(4, &[(4, &[2])], &[]);
    let ahead = log(4, &[(2, &[2, 3, 9])], &[]);
    let strange = log(4, &[(4, &[3, 2, 3, 0])], &[2, 3]);
    let nothing = log(3, &[(3, &[])], &[]);
    vec![
        accept("on-one-page", &["LOG-013", "REDACT-012"], &both, &[(6, 6)], &[&[]], &[2, 4]),
        accept(
            "on-a-later-page",
            &["LOG-013", "REDACT-012"],
            &both,
            &[(3, 6), (1, 6), (2, 6)],
            &[&[2], &[2, 4], &[]],
            &[2, 4],
        ),
        accept(
            "appended-while-reading",
            &["LOG-013", "REDACT-012"],
            &twice,
            &[(2, 5), (3, 6), (1, 6)],
            &[&[2], &[3], &[]],
            &[2, 3],
        ),
        accept(
            "of-a-later-kind",
            &["LOG-013", "REDACT-013"],
            &later,
            &[(2, 4), (2, 4)],
            &[&[2], &[]],
            &[2],
        ),
        accept(
            "read-before-it-was-redacted",
            &["REDACT-011"],
            &whole,
            &[(3, 3), (1, 4)],
            &[&[], &[]],
            &[2],
        ),
        accept("what-comes-later-is-not-redacted", &["REDACT-011"], &ahead, &[(4, 4)], &[&[]], &[]),
        accept("out-of-order-and-twice", &["REDACT-011"], &strange, &[(4, 4)], &[&[]], &[2, 3]),
        accept("naming-nothing", &["REDACT-011"], &nothing, &[(3, 3)], &[&[]], &[]),
    ]
}

fn tampered() -> Vec<Value> {
    let refuse = |id: &str, log: &[Entry], pages: &[Page]| {
        in_pages(id, &["LOG-013", "REDACT-012"], log, pages).invalid("missing")
    };
    let never = log(4, &[], &[2]);
    let other = log(4, &[(4, &[3])], &[2]);
    let late = log(5, &[(5, &[2])], &[2]);
    let before = log(4, &[(2, &[3])], &[3]);
    let created = log(3, &[(3, &[1])], &[1]);
    let redaction = log(4, &[(2, &[]), (4, &[2])], &[2]);
    let of_kind = |id: &str, log: &[Entry], pages: &[Page]| {
        in_pages(id, &["REDACT-013"], log, pages).invalid("kind")
    };
    vec![
        refuse("never-redacted", &never, &[(4, 4)]),
        refuse("never-redacted-in-pages", &never, &[(2, 4), (1, 4), (1, 4)]),
        refuse("another-is-redacted", &other, &[(4, 4)]),
        // Appended after the page was read that shows it gone.
        refuse("redacted-too-late", &late, &[(3, 4), (2, 5)]),
        refuse("redacted-too-late-at-the-head", &late, &[(2, 2), (3, 5)]),
        refuse("redacted-before-it-was-said", &before, &[(4, 4)]),
        in_pages("ends-before-the-redaction", &["REDACT-020"], &never, &[(2, 6), (2, 4)])
            .invalid("shorter"),
        of_kind("room-created-is-gone", &created, &[(3, 3)]),
        of_kind("redaction-is-gone", &redaction, &[(4, 4)]),
    ]
}
