//! frames.json.

mod hello;
mod malformed;
mod wire;

use aside_proto::limits;
use serde_json::{Value, json};

use self::wire::{bytes_field, frame, tag, varint_field};
use super::{
    file::{File, Vector},
    material::{alice_key, counting, id},
};

const DESCRIPTION: &str = "Bytes of a stream, and what a receiver makes of them in a phase (that of the first byte), where bodies may have \
    max_frame_bytes. Where repeat is given, the stream is bytes followed by repeat.bytes repeat.count times. messages are the \
    messages taken off the stream, by request_id (from the client) or reply_to (from the server) and the name of the body (null: \
    none that is known). error is the code a server answers with (alternatives: others it may send), and field that of INVALID_ARGUMENT; incomplete: the stream \
    ends within a frame, the receiver waits; close: a client closes the connection. The server of these vectors speaks version 1 \
    and talk, and its only name is chat.example.";

const UNAUTHENTICATED: u32 = limits::MIN_FRAME_BYTES_UNAUTHENTICATED;
const AUTHENTICATED: u32 = limits::MIN_FRAME_BYTES;
/// Names of the phases, the limit in each, and a request that each allows.
const PHASES: [(&str, u32, Request); 3] = [
    ("connected", UNAUTHENTICATED, hello::usual),
    ("greeted", UNAUTHENTICATED, ping),
    ("authenticated", AUTHENTICATED, ping),
];

type Request = fn() -> Vec<u8>;

/// Numbers of requests in ClientFrame.
const HELLO: u32 = 10;
const REGISTER: u32 = 11;
const DEVICE_LOGIN: u32 = 13;
const PING: u32 = 14;
const LIST_ROOMS: u32 = 31;
const JOIN: u32 = 32;
const GET_HEAD: u32 = 42;
/// Numbers that nothing is assigned to: for experiments, and for a later version.
const EXPERIMENT: u32 = 50_000;
const UNASSIGNED: u32 = 999;

pub(super) fn file() -> File {
    let mut vectors = lengths();
    vectors.extend(cuts());
    vectors.extend(malformed::vectors());
    vectors.extend(unknown());
    vectors.extend(requests());
    vectors.extend(hello::vectors());
    vectors.extend(from_server());
    File::new("frames", DESCRIPTION, vectors)
}

/// A stream from the client, in a phase.
fn vector(id: &str, requirements: &[&str], phase: &str, stream: &[u8]) -> Vector {
    let limit = if phase == "authenticated" { AUTHENTICATED } else { UNAUTHENTICATED };
    Vector::new(id, requirements)
        .with("from", "client")
        .with("phase", phase)
        .with("max_frame_bytes", limit)
        .bytes("bytes", stream)
}

/// What is taken off the stream.
fn messages(vector: Vector, taken: &[(u64, Option<&str>)]) -> Vector {
    let id = if vector.is("from", "server") { "reply_to" } else { "request_id" };
    let taken = taken.iter().map(|(number, body)| json!({id: number, "body": body}));
    vector.with("messages", taken.collect::<Vec<_>>())
}

/// The name of the request in [`PHASES`].
fn name_of(phase: &str) -> &'static str {
    if phase == "connected" { "hello" } else { "ping" }
}

/// A ClientFrame: request_id 1, and a body.
fn request(number: u32, body: &[u8]) -> Vec<u8> {
    [varint_field(1, 1), bytes_field(number, body)].concat()
}

fn ping() -> Vec<u8> {
    request(PING, &bytes_field(1, b"hi"))
}

fn lengths() -> Vec<Value> {
    let mut vectors = Vec::new();
    for (phase, limit, usual) in PHASES {
        let requirement = if phase == "authenticated" { "FRAME-004" } else { "FRAME-003" };
        let of = |id: &str, requirement: &str, stream: &[u8]| {
            vector(&format!("{phase}-{id}"), &[requirement], phase, stream)
        };
        let refused = |id: &str, length: u32| {
            messages(of(id, requirement, &length.to_be_bytes()), &[]).invalid("FRAME_TOO_LARGE")
        };
        vectors.push(
            messages(of("usual", "FRAME-001", &frame(&usual())), &[(1, Some(name_of(phase)))])
                .valid(),
        );
        vectors.push(messages(of("length-0", "FRAME-002", &[0; 4]), &[]).invalid("FRAME_EMPTY"));
        vectors.push(at_limit(phase, limit, &usual()));
        vectors.push(refused("above-limit", limit + 1));
        vectors.push(refused("greatest-length", u32::MAX));
        vectors.push(refused("length-little-endian", 0x0800_0000));
    }
    vectors
}

/// A request filled up to the limit by a field of an experiment.
fn at_limit(phase: &str, limit: u32, usual: &[u8]) -> Value {
    let tag = tag(EXPERIMENT, 2);
    let room = limit as usize - usual.len() - tag.len();
    let (filler, length) = (1..=3)
        .map(|bytes| (room - bytes, wire::varint((room - bytes) as u64)))
        .find(|(filler, length)| filler + length.len() == room)
        .expect("neither limit is where a length grows by a byte");
    let stream = [&limit.to_be_bytes(), usual, &tag, &length].concat();
    let vector = vector(&format!("{phase}-at-limit"), &["FRAME-009"], phase, &stream)
        .with("repeat", json!({"bytes": "a5", "count": filler}));
    messages(vector, &[(1, Some(name_of(phase)))]).valid()
}

fn cuts() -> Vec<Value> {
    let one = frame(&ping());
    let two = [&one[..], &frame(&[varint_field(1, 2), bytes_field(PING, b"")].concat())].concat();
    let of = |id: &str, stream: &[u8], taken: &[(u64, Option<&str>)]| {
        messages(vector(id, &["FRAME-001", "FRAME-007"], "greeted", stream), taken)
    };
    let ping = Some("ping");
    vec![
        of("two-frames", &two, &[(1, ping), (2, ping)]).valid(),
        of("cut-in-length", &one[..3], &[]).invalid("incomplete"),
        of("cut-behind-length", &one[..4], &[]).invalid("incomplete"),
        of("cut-before-last-byte", &one[..one.len() - 1], &[]).invalid("incomplete"),
        of("cut-in-second-frame", &two[..two.len() - 1], &[(1, ping)]).invalid("incomplete"),
        of("length-0-behind-a-frame", &[&one[..], &[0; 4]].concat(), &[(1, ping)])
            .invalid("FRAME_EMPTY"),
        of("garbage-behind-a-frame", &[&one[..], &[0xff; 4]].concat(), &[(1, ping)])
            .invalid("FRAME_TOO_LARGE"),
    ]
}

/// Fields that are not assigned, in every place and of every wire type.
fn unknown() -> Vec<Value> {
    let experiment = |wire_type: u8, value: &[u8]| [&tag(EXPERIMENT, wire_type), value].concat();
    let group = [experiment(3, &varint_field(7, 7)), tag(EXPERIMENT, 4)].concat();
    let cases: [(&str, Vec<u8>); 9] = [
        ("varint", experiment(0, &[1])),
        ("fixed64", experiment(1, &[0xff; 8])),
        ("bytes-not-utf8", experiment(2, &[2, 0xff, 0xfe])),
        ("group", group),
        ("fixed32", experiment(5, &[0xff; 4])),
        ("of-a-later-version", bytes_field(3, b"later")),
        ("with-the-greatest-number", bytes_field((1 << 29) - 1, b"")),
        ("many", experiment(0, &[1]).repeat(1000)),
        ("request-of-another-kind-unassigned", bytes_field(UNASSIGNED, b"")),
    ];
    let mut vectors: Vec<_> = cases
        .iter()
        .map(|(id, field)| {
            let stream = frame(&[&ping(), &field[..]].concat());
            let vector =
                vector(&format!("unknown-{id}"), &["FRAME-008", "EXT-002"], "greeted", &stream);
            messages(vector, &[(1, Some("ping"))]).valid()
        })
        .collect();
    let before = [experiment(0, &[1]), ping()].concat();
    let within = request(PING, &[bytes_field(1, b"hi"), experiment(0, &[1])].concat());
    for (id, body) in [("before-the-others", before), ("within-the-request", within)] {
        let vector = vector(
            &format!("unknown-{id}"),
            &["FRAME-008", "EXT-002"],
            "authenticated",
            &frame(&body),
        );
        vectors.push(messages(vector, &[(1, Some("ping"))]).valid());
    }
    vectors
}

/// Whole, well-formed frames that a server answers with an error.
fn requests() -> Vec<Value> {
    let of = |id: &str, requirement: &str, phase: &str, body: &[u8]| {
        vector(id, &[requirement], phase, &frame(body))
    };
    let mut vectors = Vec::new();
    for (phase, _, usual) in PHASES {
        // The usual request without its request_id of two bytes, and with 0.
        let absent = usual()[2..].to_vec();
        let zero = [varint_field(1, 0), absent.clone()].concat();
        for (id, body) in [("absent", absent), ("0", zero)] {
            let vector = of(&format!("{phase}-request-id-{id}"), "REQ-002", phase, &body);
            vectors.push(messages(vector, &[(0, Some(name_of(phase)))]).invalid("REQUEST_ID_ZERO"));
        }
    }
    for phase in ["greeted", "authenticated"] {
        let bodies = [
            ("no-request", varint_field(1, 1)),
            ("unassigned-request", request(UNASSIGNED, b"")),
            ("experimental-request", request(EXPERIMENT, b"")),
        ];
        for (id, body) in bodies {
            let vector = of(&format!("{phase}-{id}"), "REQ-008", phase, &body);
            vectors.push(messages(vector, &[(1, None)]).invalid("UNSUPPORTED"));
        }
    }
    vectors.extend(wrong_phase());
    let with_data = |length| request(PING, &bytes_field(1, &vec![b'x'; length]));
    vectors.push(
        messages(of("ping-64-bytes", "PING-003", "greeted", &with_data(64)), &[(1, Some("ping"))])
            .valid(),
    );
    let too_long =
        messages(of("ping-65-bytes", "PING-003", "greeted", &with_data(65)), &[(1, Some("ping"))]);
    vectors.push(too_long.with("field", "ping.data").invalid("INVALID_ARGUMENT"));
    vectors
}

fn wrong_phase() -> Vec<Value> {
    let conversation = bytes_field(1, &id(0, 0xc1));
    let key = bytes_field(2, &id(0, 0xe1));
    let proof = [varint_field(1, 2), bytes_field(2, &[1; 64])].concat();
    let device_login = [bytes_field(1, &id(1, 0xd1)), bytes_field(2, &proof)].concat();
    let device = [
        bytes_field(1, alice_key().public_key().as_bytes()),
        bytes_field(2, b"laptop"),
        bytes_field(3, &proof),
    ];
    let register = [
        bytes_field(1, b"alice"),
        bytes_field(2, b"correct horse"),
        bytes_field(4, &device.concat()),
    ];
    let register = [request(REGISTER, &register.concat()), key.clone()].concat();
    let join = [request(JOIN, &conversation), key].concat();
    let cases: [(&str, &str, Vec<u8>); 10] = [
        ("connected", "ping", ping()),
        ("connected", "list_rooms", request(LIST_ROOMS, b"")),
        ("connected", "register", register.clone()),
        ("greeted", "hello", hello::usual()),
        ("greeted", "list_rooms", request(LIST_ROOMS, b"")),
        ("greeted", "join", join),
        ("greeted", "get_head", request(GET_HEAD, &conversation)),
        ("authenticated", "hello", hello::usual()),
        ("authenticated", "register", register),
        ("authenticated", "device_login", request(DEVICE_LOGIN, &device_login)),
    ];
    let refuse = |(phase, name, body): &(&str, &str, Vec<u8>)| {
        let vector = vector(&format!("{phase}-{name}"), &["HELLO-002"], phase, &frame(body));
        messages(vector, &[(1, Some(name))]).invalid("WRONG_PHASE")
    };
    cases.iter().map(refuse).collect()
}

/// What a client takes and refuses.
fn from_server() -> Vec<Value> {
    let of = |id: &str, requirement: &str, stream: &[u8], taken: &[(u64, Option<&str>)]| {
        let vector = Vector::new(&format!("server-{id}"), &[requirement])
            .with("from", "server")
            .with("phase", "authenticated")
            .with("max_frame_bytes", limits::CLIENT_MAX_FRAME_BYTES)
            .bytes("bytes", stream);
        messages(vector, taken)
    };
    let pong = request(PING, &bytes_field(1, b"hi"));
    let more = [pong.clone(), bytes_field(EXPERIMENT, b"x")].concat();
    let unknown_code = request(2, &varint_field(1, 999));
    let most = limits::CLIENT_MAX_FRAME_BYTES as u32;
    vec![
        of("pong", "FRAME-001", &frame(&pong), &[(1, Some("pong"))]).valid(),
        of("unknown-field", "FRAME-008", &frame(&more), &[(1, Some("pong"))]).valid(),
        of("unknown-event", "REQ-010", &frame(&bytes_field(UNASSIGNED, b"new")), &[(0, None)])
            .valid(),
        of("unknown-code", "ERR-007", &frame(&unknown_code), &[(1, Some("error"))]).valid(),
        of("greatest-frame-begun", "FRAME-010", &most.to_be_bytes(), &[]).invalid("incomplete"),
        of("length-0", "FRAME-010", &[0; 4], &[]).invalid("close"),
        of("above-16-mib", "FRAME-010", &(most + 1).to_be_bytes(), &[]).invalid("close"),
        of("malformed", "FRAME-010", &frame(&[0xff]), &[]).invalid("close"),
        of("invalid-utf8", "FRAME-010", &frame(&request(2, &bytes_field(2, &[0xff]))), &[])
            .invalid("close"),
    ]
}
