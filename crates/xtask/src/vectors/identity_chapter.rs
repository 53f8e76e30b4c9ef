//! The chapter "A device log, byte by byte", from values that are also in the vectors.

use std::fmt::Write as _;

use aside_crypto::{DeviceLog, SafetyNumber, label};
use aside_proto::v1;
use prost::Message as _;

use super::{
    approval, certificates, devices, franking,
    material::counting,
    safety,
    session::{
        annotate::Schema,
        chapter::{label_lines, lines, write_row},
    },
};

const INTRODUCTION: &str = "\
<!-- Written by `cargo xtask vectors` from what is also in spec/vectors. Do not edit. -->

# A device log, byte by byte

Alice wrote down a recovery phrase and began a device log with her device A. A approved B, B approved C; then B turned out to have been
stolen before it approved C, and A revoked it. These are the bytes of that log, which is `what-it-approved-falls` of
`spec/vectors/devices.json`; then come a safety number, an approval and a franking tag of the other files. Signatures here are those of
RFC 6979; a signer may make others.

Lines are as in [A session, byte by byte](session.md): the offset, the bytes, and what they say.
";

/// A value that has a name.
type Named = (&'static str, Vec<u8>);

/// Writes the chapter.
pub(super) fn write() -> String {
    let mut page = String::from(INTRODUCTION);
    let setup = setup();
    page += "\n## What it starts from\n";
    block(&mut page, |page| setup.iter().for_each(|(name, bytes)| lines(page, name, bytes)));
    write_phrase(&mut page);
    write_log(&mut page, setup);
    write_safety_number(&mut page);
    write_approval(&mut page);
    write_franking(&mut page);
    page
}

fn setup() -> Vec<Named> {
    let mut setup = vec![
        ("entropy", counting::<16>(0).to_vec()),
        ("Alice's user_id", certificates::user().as_bytes().to_vec()),
    ];
    let names = [
        ["A's device_id", "A's private login key", "A's login key"],
        ["B's device_id", "B's private login key", "B's login key"],
        ["C's device_id", "C's private login key", "C's login key"],
    ];
    for (letter, [id, private, public]) in ['A', 'B', 'C'].into_iter().zip(names) {
        let key = devices::login(letter);
        setup.push((id, devices::device(letter).as_bytes().to_vec()));
        setup.push((private, key.to_bytes().to_vec()));
        setup.push((public, key.public_key().as_bytes().to_vec()));
    }
    setup
}

/// A fenced block.
fn block(page: &mut String, write: impl FnOnce(&mut String)) {
    page.push_str("\n```text\n");
    write(page);
    page.push_str("```\n");
}

fn write_phrase(page: &mut String) {
    let (phrase, entropy) = (devices::phrase(), counting::<16>(0).to_vec());
    let check = label::hash(label::RECOVERY_CHECK, &[&entropy]);
    let key = phrase.account_key();
    *page += "\n## The recovery phrase\n\nIts check is the first 4 bytes of SHA-256 of Label(\"recovery-check\", entropy) (`PHRASE-002`):\n";
    block(page, |page| {
        label_lines(page, label::RECOVERY_CHECK, &[("entropy", entropy)]);
        lines(page, "= SHA-256", &check);
        writeln!(page, "{:<28}{}", "phrase", *phrase.reveal()).expect("a String takes everything");
    });
    *page += "\nThe account key comes of HKDF with the entropy, no salt, and this info (`PHRASE-001`):\n";
    block(page, |page| {
        label_lines(page, label::ACCOUNT_KEY, &[]);
        lines(page, "private account key", &*key.to_bytes());
        lines(page, "account key", key.public_key().as_bytes());
    });
}

fn write_log(page: &mut String, mut names: Vec<Named>) {
    let account = devices::phrase().account_key();
    names.push(("account key", account.public_key().as_bytes().to_vec()));
    let entries = devices::example();
    let log = DeviceLog::replay(certificates::user(), entries.iter().map(Vec::as_slice))
        .expect("it is a good log");
    let hashes = ["hash(0), the genesis hash", "hash(1)", "hash(2)", "hash(3)"];
    let titles = [
        "0. Genesis: the account key begins the log with device A",
        "1. A adds B",
        "2. B adds C",
        "3. A revokes B, from position 2 on: C falls",
    ];
    let signed_by = ["the account key", "A's login key", "B's login key", "A's login key"];
    let schema = Schema::compiled();
    for (n, entry) in entries.iter().enumerate() {
        write!(page, "\n## {}\n\nA DeviceLogEntry, signed by {}:\n", titles[n], signed_by[n])
            .expect("a String takes everything");
        let name_of = |value: &[u8]| {
            let found = names.iter().find(|(_, bytes)| bytes == value);
            found.map(|(name, _)| (*name).to_owned())
        };
        let rows = schema.annotate("DeviceLogEntry", entry, &name_of);
        block(page, |page| rows.iter().for_each(|row| write_row(page, row)));
        let statement = statement(entry);
        if n == 3 {
            *page +=
                "\nThe signature is over Label(\"device-log-entry\", statement) (`DLOG-005`):\n";
            block(page, |page| {
                label_lines(page, label::DEVICE_LOG_ENTRY, &[("statement", statement.clone())]);
            });
            *page += "\nand the hash is over Label(\"device-log\", statement) (`DLOG-002`):\n";
            block(page, |page| {
                label_lines(page, label::DEVICE_LOG, &[("statement", statement.clone())]);
            });
        }
        let hash = label::hash(label::DEVICE_LOG, &[&statement]);
        assert_eq!(log.hash_at(n as u32), Some(&hash), "the hash is what the log says");
        *page += "\nIts hash:\n";
        block(page, |page| lines(page, hashes[n], &hash));
        names.push((hashes[n], hash.to_vec()));
    }
}

fn statement(entry: &[u8]) -> Vec<u8> {
    v1::DeviceLogEntry::decode(entry).expect("it was made here").statement.to_vec()
}

fn write_safety_number(page: &mut String) {
    let (alice, bob) = (safety::alice(), safety::bob());
    let number = SafetyNumber::of(&alice, &bob).expect("they are two");
    let fields = [
        ("version", vec![1]),
        ("Alice's user_id", alice.user.as_bytes().to_vec()),
        ("a genesis hash", alice.genesis.to_vec()),
        ("Bob's user_id", bob.user.as_bytes().to_vec()),
        ("a genesis hash", bob.genesis.to_vec()),
    ];
    let bytes: Vec<&[u8]> = fields.iter().map(|(_, bytes)| &bytes[..]).collect();
    let first = label::hash(label::SAFETY_NUMBER, &bytes);
    let round = label::hash(label::SAFETY_NUMBER_ROUND, &[&first]);
    *page +=
        "\n## A safety number\n\n`alice-and-bob` of `spec/vectors/safety.json` (`SAFETY-001`):\n";
    block(page, |page| {
        label_lines(page, label::SAFETY_NUMBER, &fields);
        lines(page, "= h(0)", &first);
        label_lines(page, label::SAFETY_NUMBER_ROUND, &[("h(0)", first.to_vec())]);
        lines(page, "= h(1)", &round);
        writeln!(page, "{:<28}{number}", "number, from h(8192)")
            .expect("a String takes everything");
    });
}

fn write_approval(page: &mut String) {
    let certificate = approval::certificate(certificates::user());
    let (answer, nonce) = (approval::answer(0x20), counting::<32>(0x50));
    let (new, commitment) = approval::new_device(&certificate);
    let code = new.handle_answer(&answer).1.code();
    let user = ("Alice's user_id", certificates::user().as_bytes().to_vec());
    let committed =
        [user.clone(), ("certificate", certificate.as_bytes().to_vec()), ("N", nonce.to_vec())];
    let compared = [
        &committed[..],
        &[
            ("M", answer.nonce.to_vec()),
            ("genesis hash", answer.genesis.to_vec()),
            ("position of the head", answer.head.position.to_be_bytes().to_vec()),
            ("hash of the head", answer.head.hash.to_vec()),
        ],
    ]
    .concat();
    let bytes: Vec<&[u8]> = compared.iter().map(|(_, bytes)| &bytes[..]).collect();
    let hash = label::hash(label::APPROVAL_CODE, &bytes);
    *page += "\n## An approval\n\n`usual` of `spec/vectors/approval.json`: what the new device commits to (`APPROVE-001`),\n";
    block(page, |page| {
        label_lines(page, label::APPROVAL_COMMITMENT, &committed);
        lines(page, "= commitment", &commitment);
    });
    *page += "\nand what both devices show (`APPROVE-004`):\n";
    block(page, |page| {
        label_lines(page, label::APPROVAL_CODE, &compared);
        lines(page, "= SHA-256", &hash);
        writeln!(page, "{:<28}{code}", "shown").expect("a String takes everything");
    });
}

fn write_franking(page: &mut String) {
    let key = franking::key();
    *page += "\n## A franking tag\n\n`text` of `spec/vectors/franking.json`: HMAC-SHA256 under k over this message (`FRANK-001`):\n";
    block(page, |page| {
        lines(page, "k", key.as_bytes());
        label_lines(page, label::FRANKING, &[("content", franking::CONTENT.to_vec())]);
        lines(page, "= tag", &key.tag(franking::CONTENT));
    });
}
