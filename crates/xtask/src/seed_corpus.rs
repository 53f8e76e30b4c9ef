//! `cargo xtask seed-corpus`: the first inputs of the fuzz targets, from what the vectors and the conformance scripts send.
//!
//! The bodies in `aside_session::fuzz` and `aside_crypto::fuzz` say how a target reads its input.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::workspace::{files_below, read, root, shown};

/// What the name of a file that is written here begins with; others were found by fuzzing and are left alone.
const PREFIX: &str = "seed-";
/// Longer inputs are slow to mutate and teach a fuzzer no more.
const MAX_BYTES: usize = 1024;

/// Seeds by path below `fuzz/corpus`: the target, and the file's name.
type Seeds = BTreeMap<PathBuf, Vec<u8>>;

/// Writes the seeds, or with `check` compares them.
///
/// # Errors
/// If a vector or script can't be read, or with `check` a seed is missing, different, or left over.
pub fn run(check: bool) -> Result<()> {
    let root = root();
    let corpus = root.join("fuzz/corpus");
    let seeds = seeds(&root)?;
    let written: Vec<_> = files_below(&corpus, "")?;
    let left_over = written.iter().filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let seed = path.strip_prefix(&corpus).unwrap_or(path);
        name.starts_with(PREFIX) && !seeds.contains_key(seed)
    });
    if check {
        let differs = |(path, bytes): &(&PathBuf, &Vec<u8>)| {
            !fs::read(corpus.join(path)).is_ok_and(|present| present == **bytes)
        };
        let stale: Vec<_> =
            seeds.iter().filter(differs).map(|(path, _)| corpus.join(path)).collect();
        let names: Vec<_> = stale.iter().chain(left_over).map(|path| shown(&root, path)).collect();
        ensure!(
            names.is_empty(),
            "not up to date, run `cargo xtask seed-corpus`: {}",
            names.join(", ")
        );
        return Ok(());
    }
    for path in left_over {
        fs::remove_file(path)?;
    }
    for (path, bytes) in &seeds {
        let path = corpus.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&corpus))?;
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// All seeds, each content once for a target.
fn seeds(root: &Path) -> Result<Seeds> {
    let mut all = Seeds::new();
    let mut streams = Vec::new();
    for file in ["frames", "session"] {
        let vectors = read(&root.join(format!("spec/vectors/{file}.json")))?;
        streams.extend(streams_of_vectors(file, &serde_json::from_str(&vectors)?));
    }
    for path in files_below(&root.join("conformance/scripts"), "yaml")? {
        streams.extend(streams_of_script(&path, &read(&path)?));
    }
    for stream in &streams {
        add(&mut all, "frame_decoder", &stream.name, frame_decoder(stream));
        for (n, body) in bodies(&stream.bytes).into_iter().enumerate() {
            let name = if n == 0 { stream.name.clone() } else { format!("{}-{n}", stream.name) };
            add(&mut all, "request_decoding", &name, [&[stream.phase][..], body].concat());
        }
        add(&mut all, "session_operations", &stream.name, session_operations(stream));
    }
    for (name, log) in timelines() {
        add(&mut all, "timeline", name, log);
    }
    for (name, operations) in device_logs() {
        add(&mut all, "device_log", name, operations);
    }
    for (name, input) in identities(root)? {
        add(&mut all, "identity_decoding", &name, input);
    }
    for (name, steps) in hostile_servers() {
        add(&mut all, "client_session", name, steps);
    }
    for (name, operations) in mls_operations() {
        add(&mut all, "mls_message", name, operations);
    }
    for (name, operations) in operations() {
        add(&mut all, "session_operations", &name, operations);
    }
    Ok(all)
}

/// What happens to a group, by the codes of `aside_mls::testing`: items 1 to 6 are messages, 7 a commit, 8 to 13 messages after
/// it, and 0 a rival commit.
fn mls_operations() -> Vec<(&'static str, Vec<u8>)> {
    let deliver = |items: &[u8]| items.iter().flat_map(|item| [0, *item]).collect::<Vec<_>>();
    let all: Vec<u8> = (1..=13).collect();
    let twice = [&all[..7], &all[..], &all[7..]].concat();
    let changed = |item: u8, at: u8, flip: u8| vec![2, item, 0, at, flip];
    vec![
        ("in-order", deliver(&all)),
        ("backwards", deliver(&[6, 5, 4, 3, 2, 1, 7, 13, 12, 11, 10, 9, 8])),
        ("twice", deliver(&twice)),
        ("the-rival-wins", deliver(&[1, 0, 7, 2, 8])),
        ("later-first", deliver(&[8, 7, 1, 8])),
        ("cut-off", [changed(1, 50, 0), deliver(&[1])].concat()),
        ("forged-then-true", [deliver(&[1, 2]), changed(3, 254, 1), deliver(&[3, 2])].concat()),
        (
            "other-header",
            [changed(2, 3, 1), deliver(&[2]), changed(7, 3, 1), deliver(&[7])].concat(),
        ),
        ("out-of-place", [vec![3, 1, 3, 7, 3, 0], deliver(&[1, 7])].concat()),
        (
            "reloaded",
            [deliver(&[2, 1]), vec![4, 0], deliver(&[3, 1, 7]), vec![4, 0], deliver(&[8, 2])]
                .concat(),
        ),
        ("any-bytes", [vec![5, 0, 0, 1, 0, 2], deliver(&[1])].concat()),
    ]
}

fn add(all: &mut Seeds, target: &str, name: &str, bytes: Vec<u8>) {
    let known = |(path, other): (&PathBuf, &Vec<u8>)| path.starts_with(target) && *other == bytes;
    if bytes.len() <= MAX_BYTES && !all.iter().any(known) {
        all.insert(Path::new(target).join(format!("{PREFIX}{name}")), bytes);
    }
}

/// Bytes that a client sends.
struct Stream {
    name: String,
    /// Of the connection: 0 Connected, 1 Greeted, 2 Authenticated.
    phase: u8,
    bytes: Vec<u8>,
}

/// What clients send in a file of vectors.
fn streams_of_vectors(file: &str, content: &Value) -> Vec<Stream> {
    let from_client = |vector: &&Value| vector["from"] == "client" && vector["repeat"].is_null();
    let stream = |vector: &Value| {
        Some(Stream {
            name: format!("{file}-{}", vector["id"].as_str()?),
            phase: match vector["phase"].as_str() {
                Some("greeted") => 1,
                Some("authenticated") => 2,
                _ => 0,
            },
            bytes: hex::decode(vector["bytes"].as_str()?).ok()?,
        })
    };
    let vectors = content["vectors"].as_array().into_iter().flatten();
    vectors.filter(from_client).filter_map(stream).collect()
}

/// What stands as `$hex("…")` in a script: raw frames, or parts of them.
fn streams_of_script(path: &Path, text: &str) -> Vec<Stream> {
    let script = path.file_stem().unwrap_or_default().to_string_lossy();
    text.split("$hex(\"")
        .skip(1)
        .filter_map(|rest| hex::decode(rest.split('"').next()?).ok())
        .filter(|bytes| !bytes.is_empty())
        .enumerate()
        .map(|(n, bytes)| Stream { name: format!("{script}-{n}"), phase: 2, bytes })
        .collect()
}

/// The bodies of a stream's whole frames, or all of it where it has none.
fn bodies(stream: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut found) = (stream, Vec::new());
    while let Some((header, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*header) as usize;
        if length == 0 || length > after.len() {
            break;
        }
        let (body, later) = after.split_at(length);
        found.push(body);
        rest = later;
    }
    if found.is_empty() { vec![stream] } else { found }
}

/// The limit, no cut but after one and five bytes, the stream.
fn frame_decoder(stream: &Stream) -> Vec<u8> {
    [&[0x40, 0x00, 2, 1, 5], stream.bytes.as_slice()].concat()
}

/// A session on TLS in the stream's phase, the stream in pieces, outcomes for what came of it, and what it sends.
fn session_operations(stream: &Stream) -> Vec<u8> {
    const FEED: u8 = 0;
    const ANSWER_WELL: [u8; 3] = [11, 0, 5];
    const DRAIN: u8 = 16;
    let mut input = vec![[0, 8, 8 | 16][usize::from(stream.phase)]];
    for piece in stream.bytes.chunks(255) {
        input.extend([FEED, piece.len() as u8]);
        input.extend(piece);
    }
    input.extend(ANSWER_WELL);
    input.push(DRAIN);
    input
}

/// Sequences of operations that a connection's life is made of, on both transports.
fn operations() -> Vec<(String, Vec<u8>)> {
    const MANY_IN_FLIGHT: u8 = 0xe0;
    const LOGGED_IN: u8 = 8 | 16;
    let every_request: Vec<u8> = (0..20).flat_map(|n| [6, n]).collect();
    let lives: [(&str, u8, Vec<u8>); 9] = [
        ("registration", 0, vec![2, 3, 11, 0, 5, 11, 0, 5, 16]),
        ("password-login", 0, vec![2, 4, 11, 0, 5, 11, 0, 5, 16]),
        ("device-login-refused", 8, vec![5, 11, 0, 3, 16, 5, 11, 0, 4, 16]),
        ("pipelined-login", 0, [&[2, 5][..], &every_request, &[11, 0, 5, 11, 0, 5, 16]].concat()),
        (
            "every-request",
            LOGGED_IN | MANY_IN_FLIGHT,
            [&every_request[..], &[12, 3, 5, 12, 2, 0, 16]].concat(),
        ),
        (
            "one-in-flight",
            LOGGED_IN,
            [&every_request[..], &[11, 0, 5, 15, 1, 11, 0, 5, 16]].concat(),
        ),
        ("flood-of-pings", LOGGED_IN, vec![10, 255, 15, 3, 10, 40, 16]),
        ("shutdown", LOGGED_IN | MANY_IN_FLIGHT, vec![6, 1, 6, 2, 18, 0, 11, 0, 5, 16, 17]),
        ("timeouts", LOGGED_IN, vec![14, 50, 9, 65, 14, 255, 14, 255, 16]),
    ];
    let named = |(name, flags, steps): &(&str, u8, Vec<u8>)| {
        [("stream", 0), ("web-socket", 1)].map(|(transport, bit)| {
            (format!("{name}-{transport}"), [&[flags | bit], steps.as_slice()].concat())
        })
    };
    lives.iter().flat_map(named).collect()
}

/// Clients that have logged in, then what they do and what a hostile server says, by the codes of `fuzz::client`.
fn hostile_servers() -> Vec<(&'static str, Vec<u8>)> {
    const LOGGED_IN: u8 = 4;
    const FROM_THE_MIDDLE: u8 = 0x97;
    // A request is made; it is answered, by what is right or not; which history, how many entries, and where the head is.
    let fetch = |how: u8, page: &[u8]| [&[9, 2, 0, how], page].concat();
    let page = |history: u8| fetch(3, &[history, 11, 23]);
    let push = |history: u8, index: u8, how: u8| vec![5, history, index, how];
    let life = |steps: &[Vec<u8>]| [&[LOGGED_IN][..], &steps.concat()].concat();
    let reconnect = || vec![15, 1, 13, 2, 0, 3];
    let read_back = || vec![14, 0, 9, 14, 1];
    vec![
        ("pages", life(&[page(0), page(0), page(0)])),
        ("pushes", life(&[fetch(3, &[0, 5, 4]), push(0, 5, 0), push(0, 6, 0)])),
        ("hole", life(&[fetch(3, &[0, 5, 4]), push(0, 7, 0), page(0)])),
        ("gap", life(&[vec![8, 0, 20], page(0), page(0)])),
        ("fork-pushed", life(&[page(0), push(1, 11, 0), vec![14, 2], page(1)])),
        ("fork-after-reconnecting", life(&[page(0), reconnect(), page(1)])),
        ("forged-head", life(&[fetch(0x83, &[0, 11, 23])])),
        ("head-of-the-fork", life(&[fetch(0x93, &[2, 11, 23])])),
        ("no-head", life(&[fetch(0x13, &[0, 11, 23])])),
        ("other-text", life(&[fetch(0x23, &[0, 5, 4, 2, 0xd2, 3, 1])])),
        ("left-out", life(&[fetch(0x23, &[0, 5, 4, 2, 0])])),
        ("other-header-pushed", life(&[page(0), push(0, 11, 0xc0), vec![2, 1]])),
        ("without-text", life(&[page(0), push(0, 11, 0xe8)])),
        ("other-chain", life(&[fetch(0x43, &[0, 5, 4, 32])])),
        ("trimmed", life(&[vec![9, 2, 0, 0, 0, 7], page(0)])),
        ("shorter", life(&[page(0), vec![14, 2, 9, 2, 0, 0, 1, 7]])),
        ("message", life(&[vec![10, 1, 2, 0, 3, 5]])),
        ("message-of-another-text", life(&[vec![10, 1, 2, 0, 0x83, 32]])),
        ("next-run", life(&[page(0), vec![15, 5, 13, 2, 0, 3], page(0)])),
        ("read-back", life(&[page(0), read_back(), vec![2, 0, 3, 0, 11, 23]])),
        ("read-back-into-the-fork", life(&[page(0), read_back(), vec![2, 0, 3, 1, 11, 23]])),
        ("read-back-trimmed", life(&[page(0), read_back(), vec![2, 0, 0, 0, 7]])),
        ("keys", life(&[vec![11, 2, 0, 3]])),
        ("watermark", life(&[vec![8, 1, 4]])),
        ("time", life(&[vec![12, 255, 2, 0, 3, 12, 255]])),
        ("wrong-reply", life(&[vec![9, 2, 0, 2, 0]])),
        ("body", life(&[vec![1, 2, 8, 1]])),
        ("bytes", life(&[vec![0, 4, 0, 0, 0, 0]])),
        ("middle", [&[FROM_THE_MIDDLE][..], &page(0), &page(0)].concat()),
    ]
}

/// Logs in pages: limits, the number of entries less one, the entries, then pages of them.
/// Logs in pages: limits, the number of entries less one, the entries, where there is room what is redacted, then pages of them.
fn timelines() -> Vec<(&'static str, Vec<u8>)> {
    const ROOMY: [u8; 2] = [255, 255];
    const TIGHT: [u8; 2] = [3, 2];
    const NEW_ID: u8 = 0xff;
    const BACKWARDS: u8 = 0x80;
    let own_id = |seq: u8| 64 + seq;
    let text = |who: u8| vec![2, who, NEW_ID, 1, 0];
    let reply = |who: u8, to: u8| vec![3, who, NEW_ID, 2, 1, 1, 2, to, own_id(to)];
    let edit = |who: u8, to: u8| vec![4, who, NEW_ID, to, own_id(to), 3, 1, 2, 4];
    let reaction = |who: u8, to: u8| vec![6, who, NEW_ID, 0, to, own_id(to)];
    let back = |who: u8, to: u8| vec![6 | 0x80, who, NEW_ID, 0, to, own_id(to)];
    let redacted = || vec![0, 0, NEW_ID];
    let raw = |payload: &[u8]| [&[1, 0, NEW_ID, payload.len() as u8], payload].concat();
    let again = |who: u8| vec![2, who, 5, 1, 0];
    let log = |limits: [u8; 2], entries: &[Vec<u8>], pages: &[u8]| {
        let redacted: &[u8] = if limits == ROOMY { &[0] } else { &[] };
        [&limits[..], &[entries.len() as u8 - 1], &entries.concat(), redacted, pages].concat()
    };
    let redacting = |entries: &[Vec<u8>], seqs: &[u8], pages: &[u8]| {
        let (count, redacted) = (entries.len() as u8 - 1, seqs.len() as u8);
        [&ROOMY[..], &[count], &entries.concat(), &[redacted], seqs, pages].concat()
    };
    let life = [text(0), reply(1, 1), reaction(1, 1), edit(0, 1), back(1, 1), reaction(2, 2)];
    vec![
        ("forwards", log(ROOMY, &life, &[0, 6])),
        ("last-page-first", log(ROOMY, &life, &[4, 3, 2, 2, 0, 2])),
        ("backwards", log(ROOMY, &life, &[0, BACKWARDS | 6])),
        ("tight", log(TIGHT, &life, &[3, 3, 0, 6])),
        ("tight-backwards", log(TIGHT, &life, &[0, BACKWARDS | 6])),
        ("edit-of-an-edit", log(ROOMY, &[text(0), edit(0, 1), edit(0, 2)], &[2, 1])),
        ("edit-by-another", log(ROOMY, &[text(0), edit(1, 1)], &[1, 1])),
        ("redacted", log(ROOMY, &[redacted(), edit(0, 1), reaction(1, 1)], &[1, 2])),
        ("repetition", log(ROOMY, &[again(0), edit(0, 1), again(0), reaction(1, 3)], &[2, 2])),
        ("to-itself", log(ROOMY, &[reaction(0, 1), edit(0, 2), reply(0, 3)], &[0, 3])),
        ("raw", log(ROOMY, &[raw(&[0xff]), raw(&[0x0a, 2, 0x0a, 0]), reaction(0, 2)], &[2, 1])),
        ("nothing-fits", log([0, 0], &life, &[0, 6])),
        ("redacted-later", redacting(&life, &[1, 4], &[0, 6])),
        ("redacted-backwards", redacting(&life, &[2, 9, 0], &[0, BACKWARDS | 6])),
    ]
}

/// Operations on a device log: what is tried and which, who signs (6 is the account key), and what of.
fn device_logs() -> Vec<(&'static str, Vec<u8>)> {
    const ACCOUNT: u8 = 6;
    // What is tried is in the upper three bits: the true entry, or one of those that are refused.
    const TRUE: u8 = 0x80;
    const BY_A_STRANGER: u8 = 0;
    const FLIPPED: u8 = 0x20;
    const REPEATED: u8 = 0x40;
    const RAW: u8 = 0x60;
    let add = |by: u8, device: u8| vec![TRUE, by, device];
    let revoke = |by: u8, device: u8, from: u8| vec![TRUE | 2, by, device, from];
    let whole = |by: u8, devices: u8| vec![TRUE | 3, by, devices];
    let renew = |by: u8, device: u8, with: u8| vec![TRUE | 4, by, device, with];
    let three = || [add(0, 1), add(1, 2)].concat();
    let log = |steps: &[Vec<u8>]| steps.concat();
    vec![
        ("added", log(&[three(), add(2, 3), add(ACCOUNT, 4)])),
        ("falls", log(&[three(), add(2, 3), revoke(0, 1, 2)])),
        ("falls-later", log(&[three(), revoke(0, 1, 3), add(2, 3), revoke(0, 1, 1)])),
        ("revokes-itself", log(&[three(), revoke(1, 1, 3), add(1, 4), add(0, 1)])),
        ("undoes-its-own-approval", log(&[three(), revoke(2, 0, 1), add(ACCOUNT, 0)])),
        ("override", log(&[three(), revoke(2, 0, 1), whole(ACCOUNT, 0b1001), revoke(3, 0, 1)])),
        (
            "renewed",
            log(&[three(), renew(1, 1, 2), renew(1, 1, 0), renew(0, 1, 1), revoke(0, 1, 3)]),
        ),
        ("override-by-a-device", log(&[three(), whole(1, 0b11), whole(ACCOUNT, 0)])),
        ("brought-back", log(&[three(), revoke(0, 1, 2), add(0, 1), add(ACCOUNT, 1), add(1, 2)])),
        (
            "brought-back-and-revoked",
            log(&[three(), revoke(0, 1, 3), add(ACCOUNT, 1), add(1, 3), revoke(0, 1, 4)]),
        ),
        ("strangers", log(&[three(), vec![BY_A_STRANGER, 0, 3], vec![BY_A_STRANGER | 3, 6, 63]])),
        ("bits-flipped", log(&[three(), vec![FLIPPED, 0, 3, 0, 9], vec![FLIPPED, 0, 3, 7, 200]])),
        ("repeated", log(&[three(), vec![REPEATED, 0, 3, 0], vec![REPEATED, 0, 3, 2]])),
        ("raw", log(&[three(), vec![RAW, 0, 3, 4, 10, 2, 8, 1]])),
    ]
}

/// Certificates, first entries, phrases and codes of the vectors, good and bad, after the byte that says which of these it is.
fn identities(root: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    for (kind, file) in ["certificates", "devices", "recovery", "safety"].into_iter().enumerate() {
        let vectors = read(&root.join(format!("spec/vectors/{file}.json")))?;
        let vectors: Value = serde_json::from_str(&vectors)?;
        for vector in vectors["vectors"].as_array().into_iter().flatten() {
            let unhex = |value: &Value| value.as_str().and_then(|text| hex::decode(text).ok());
            let bytes = match kind {
                0 => unhex(&vector["certificate"]),
                1 => unhex(&vector["entries"][0]),
                2 => vector["typed"].as_str().map(|text| text.as_bytes().to_vec()),
                _ => unhex(&vector["payload"]),
            };
            let name = format!("{file}-{}", vector["id"].as_str().unwrap_or_default());
            inputs.extend(bytes.map(|bytes| (name, [&[kind as u8][..], &bytes].concat())));
        }
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_into_bodies() {
        assert_eq!(bodies(&[0, 0, 0, 1, 7, 0, 0, 0, 2, 8, 9]), [&[7][..], &[8, 9]]);
        assert_eq!(bodies(&[0, 0, 0, 9, 7]), [&[0, 0, 0, 9, 7]]);
    }

    #[test]
    fn what_scripts_send_raw_is_found() {
        let text =
            "steps: [{a: {send_raw: $hex(\"0801\")}}, {a: {send_raw: [$u32(1), $hex(\"ff\")]}}]";
        let streams = streams_of_script(Path::new("x/raw.yaml"), text);
        let found: Vec<_> = streams.iter().map(|s| (s.name.as_str(), s.bytes.as_slice())).collect();
        assert_eq!(found, [("raw-0", &[8, 1][..]), ("raw-1", &[0xff])]);
    }
}
