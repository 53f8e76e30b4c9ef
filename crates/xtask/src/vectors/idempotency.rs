//! idempotency.json.

use aside_proto::{id::uuid_v7, limits};
use serde_json::Value;

use super::{
    file::{File, Vector},
    material::TIME_MS,
};

const DESCRIPTION: &str = "Idempotency keys as a server judges them before anything else of a request, at server_time_ms and with \
    idempotency_window_s. The request is given by its name in ClientFrame.";

const WINDOW_S: u64 = limits::MIN_IDEMPOTENCY_WINDOW_S;
const INVALID: &str = "IDEMPOTENCY_KEY_INVALID";
const EXPIRED: &str = "REQUEST_ID_EXPIRED";

pub(super) fn file() -> File {
    File::new(
        "idempotency",
        DESCRIPTION,
        times().into_iter().chain(forms()).chain(not_mutating()).collect(),
    )
}

fn vector(id: &str, requirements: &[&str], request: &str, key: &[u8]) -> Vector {
    Vector::new(id, requirements)
        .with("request", request)
        .with("server_time_ms", TIME_MS)
        .with("idempotency_window_s", WINDOW_S)
        .bytes("idempotency_key", key)
}

fn made_at(time_ms: u64) -> [u8; 16] {
    uuid_v7(time_ms, [0x5a; 10])
}

fn times() -> Vec<Value> {
    let (skew, window) = (limits::MAX_CLOCK_SKEW_MS, WINDOW_S * 1000);
    let at = |id: &str, requirement: &str, time_ms| {
        vector(id, &[requirement], "join", &made_at(time_ms))
    };
    vec![
        at("now", "IDEM-002", TIME_MS).valid(),
        at("24-hours-ahead", "IDEM-003", TIME_MS + skew).valid(),
        at("1-ms-above-24-hours-ahead", "IDEM-003", TIME_MS + skew + 1).invalid(INVALID),
        at("greatest-time", "IDEM-003", (1 << 48) - 1).invalid(INVALID),
        at("window-behind", "IDEM-004", TIME_MS - window).valid(),
        at("1-ms-above-window-behind", "IDEM-004", TIME_MS - window - 1).invalid(EXPIRED),
        at("time-0", "IDEM-004", 0).invalid(EXPIRED),
    ]
}

fn forms() -> Vec<Value> {
    let good = made_at(TIME_MS);
    let changed = |at: usize, value: u8| {
        let mut bytes = good;
        bytes[at] = value;
        bytes.to_vec()
    };
    let mut vectors: Vec<_> = ["register", "rename", "create_room", "leave", "send_message"]
        .map(|request| vector(&format!("of-{request}"), &["IDEM-002"], request, &good).valid())
        .into();
    vectors.push(
        vector("random-part-of-ones", &["IDEM-002"], "join", &uuid_v7(TIME_MS, [0xff; 10])).valid(),
    );
    vectors.push(
        vector("random-part-of-zeros", &["IDEM-002"], "join", &uuid_v7(TIME_MS, [0; 10])).valid(),
    );
    let wrong: [(&str, Vec<u8>); 9] = [
        ("absent", vec![]),
        ("15-bytes", good[..15].to_vec()),
        ("17-bytes", [&good[..], &[0]].concat()),
        ("as-text", b"019b76da-a800-7a5a-9a5a-5a5a5a5a5a5a".to_vec()),
        ("version-4", changed(6, 0x4a)),
        ("version-8", changed(6, 0x8a)),
        ("variant-0", changed(8, 0x1a)),
        ("variant-6", changed(8, 0xda)),
        ("zeros", vec![0; 16]),
    ];
    vectors.extend(
        wrong.iter().map(|(id, key)| vector(id, &["IDEM-002"], "join", key).invalid(INVALID)),
    );
    vectors
}

fn not_mutating() -> Vec<Value> {
    let mut vectors = Vec::new();
    for request in
        ["hello", "password_login", "device_login", "ping", "list_rooms", "fetch", "get_head"]
    {
        let of = |suffix: &str, key: &[u8]| {
            vector(&format!("{request}-{suffix}"), &["IDEM-009"], request, key)
        };
        vectors.push(of("without-key", &[]).valid());
        vectors.push(of("with-key", &made_at(TIME_MS)).invalid(INVALID));
    }
    vectors.push(vector("ping-with-one-byte", &["IDEM-009"], "ping", &[0]).invalid(INVALID));
    vectors
}
