//! Hello, its limits, and GREASE.

use prost::Message as _;
use serde_json::Value;

use aside_proto::{limits, v1};

use super::{
    HELLO, counting, messages, request, vector,
    wire::{frame, varint_field},
};
use crate::vectors::material::SERVER_NAME;

/// A request of the client-minimum.
pub(super) fn usual() -> Vec<u8> {
    encode(&hello())
}

/// The same with each of its versions in a field of its own.
pub(super) fn not_packed() -> Vec<u8> {
    let rest = v1::Hello { versions: Vec::new(), ..hello() }.encode_to_vec();
    request(HELLO, &[varint_field(1, 7), varint_field(1, 1), rest].concat())
}

fn hello() -> v1::Hello {
    v1::Hello {
        versions: vec![1],
        capabilities: vec!["talk".into()],
        client_nonce: counting::<32>(0xc0).to_vec().into(),
        server_name: SERVER_NAME.into(),
        user_agent: "example 1.0".into(),
    }
}

fn encode(hello: &v1::Hello) -> Vec<u8> {
    request(HELLO, &hello.encode_to_vec())
}

pub(super) fn vectors() -> Vec<Value> {
    accepted().into_iter().chain(refused()).collect()
}

fn accepted() -> Vec<Value> {
    let texts = |count, bytes| vec!["x".repeat(bytes); count];
    let cases = [
        (
            "grease",
            "HELLO-004",
            v1::Hello {
                versions: vec![0x0a0a, 1, 0xfafa],
                capabilities: vec!["grease-1a2b".into(), "talk".into(), "x-test".into()],
                ..hello()
            },
        ),
        (
            "version-of-the-future",
            "HELLO-003",
            v1::Hello { versions: vec![2, 1, u32::MAX], ..hello() },
        ),
        ("no-capabilities", "HELLO-005", v1::Hello { capabilities: Vec::new(), ..hello() }),
        ("no-user-agent", "HELLO-012", v1::Hello { user_agent: String::new(), ..hello() }),
        (
            "16-versions",
            "HELLO-012",
            v1::Hello { versions: (1..=limits::MAX_VERSIONS as u32).collect(), ..hello() },
        ),
        (
            "64-capabilities",
            "HELLO-012",
            v1::Hello { capabilities: texts(limits::MAX_CAPABILITIES, 1), ..hello() },
        ),
        (
            "capability-of-64-bytes",
            "HELLO-012",
            v1::Hello { capabilities: texts(1, limits::MAX_CAPABILITY_BYTES), ..hello() },
        ),
        (
            "user-agent-of-64-bytes",
            "HELLO-012",
            v1::Hello { user_agent: "x".repeat(limits::MAX_USER_AGENT_BYTES), ..hello() },
        ),
        (
            "server-name-in-upper-case",
            "HELLO-009",
            v1::Hello { server_name: "CHAT.Example".into(), ..hello() },
        ),
    ];
    let accept = |(id, requirement, hello): &(&str, &str, v1::Hello)| {
        let vector =
            vector(&format!("hello-{id}"), &[requirement], "connected", &frame(&encode(hello)));
        messages(vector, &[(1, Some("hello"))]).valid()
    };
    cases.iter().map(accept).collect()
}

fn refused() -> Vec<Value> {
    let nonce = |length| v1::Hello { client_nonce: vec![1; length].into(), ..hello() };
    let texts = |count, bytes| vec!["x".repeat(bytes); count];
    let invalid = "INVALID_ARGUMENT";
    let cases = [
        ("no-nonce", "HELLO-007", nonce(0), invalid, "client_nonce"),
        ("nonce-of-31-bytes", "HELLO-007", nonce(31), invalid, "client_nonce"),
        ("nonce-of-33-bytes", "HELLO-007", nonce(33), invalid, "client_nonce"),
        (
            "17-versions",
            "HELLO-012",
            v1::Hello { versions: (1..=17).collect(), ..hello() },
            invalid,
            "versions",
        ),
        (
            "65-capabilities",
            "HELLO-012",
            v1::Hello { capabilities: texts(65, 1), ..hello() },
            invalid,
            "capabilities",
        ),
        (
            "capability-of-65-bytes",
            "HELLO-012",
            v1::Hello { capabilities: texts(1, 65), ..hello() },
            invalid,
            "capabilities",
        ),
        (
            "no-server-name",
            "HELLO-012",
            v1::Hello { server_name: String::new(), ..hello() },
            invalid,
            "server_name",
        ),
        (
            "server-name-of-254-bytes",
            "HELLO-012",
            v1::Hello { server_name: "x".repeat(254), ..hello() },
            invalid,
            "server_name",
        ),
        (
            "user-agent-of-65-bytes",
            "HELLO-012",
            v1::Hello { user_agent: "x".repeat(65), ..hello() },
            invalid,
            "user_agent",
        ),
        (
            "no-versions",
            "HELLO-003",
            v1::Hello { versions: Vec::new(), ..hello() },
            "VERSION_UNSUPPORTED",
            "",
        ),
        (
            "grease-versions-alone",
            "HELLO-003",
            v1::Hello { versions: vec![0x0a0a, 0xfafa], ..hello() },
            "VERSION_UNSUPPORTED",
            "",
        ),
        (
            "version-0",
            "HELLO-003",
            v1::Hello { versions: vec![0], ..hello() },
            "VERSION_UNSUPPORTED",
            "",
        ),
        (
            "another-server-name",
            "HELLO-009",
            v1::Hello { server_name: "evil.example".into(), ..hello() },
            "SERVER_NAME_WRONG",
            "",
        ),
        (
            "server-name-with-dot",
            "HELLO-009",
            v1::Hello { server_name: "chat.example.".into(), ..hello() },
            "SERVER_NAME_WRONG",
            "",
        ),
    ];
    let refuse = |(id, requirement, hello, code, field): &(&str, &str, v1::Hello, &str, &str)| {
        let vector =
            vector(&format!("hello-{id}"), &[requirement], "connected", &frame(&encode(hello)));
        let vector = messages(vector, &[(1, Some("hello"))]);
        let vector = match *field {
            "" => vector,
            // Such a name is also none of the server's: either code will do (ERR-001).
            "server_name" => vector
                .with("field", "hello.server_name")
                .with("alternatives", vec!["SERVER_NAME_WRONG"]),
            field => vector.with("field", format!("hello.{field}")),
        };
        vector.invalid(code)
    };
    cases.iter().map(refuse).collect()
}
