//! messages.json.

use aside_crypto::{MessageContext, PublicKey, payload_hash};
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    v1,
};
use prost::Message as _;
use serde_json::{Value, json};

use super::{
    file::{File, Vector, hex},
    material::{TIME_MS, alice_key, bob_key, counting, id, other_s},
};

const DESCRIPTION: &str = "Payload hashes, and signatures of messages as a client judges them. user_id and device_id are those of the \
    header, time_ms too, where it is given; device_key is what the client remembers of the device (DEV-011). Reasons: signature, \
    user (MSG-012), revoked (MSG-014). Where private_key is given, signature is the one of RFC 6979. payload_hash is what Sent has \
    to carry.";

/// A message as it stands in a log.
#[derive(Clone)]
struct Message {
    conversation: [u8; 16],
    message_id: [u8; 16],
    user: [u8; 16],
    device: [u8; 16],
    salt: [u8; 32],
    payload: Vec<u8>,
}

impl Message {
    fn context(&self) -> MessageContext {
        MessageContext {
            conversation: ConversationId::new(self.conversation),
            message_id: IdempotencyKey::new(self.message_id),
            user: UserId::new(self.user),
            device: DeviceId::new(self.device),
            payload_hash: payload_hash(&self.salt, &self.payload),
        }
    }

    fn vector(&self, name: &str, key: &PublicKey) -> Vector {
        Vector::new(name, &["MSG-008", "MSG-003", "CONV-003"])
            .with("device_key", device_key(self.device, usual().user, key, 0))
            .bytes("conversation_id", self.conversation)
            .bytes("message_id", self.message_id)
            .bytes("user_id", self.user)
            .bytes("device_id", self.device)
            .bytes("salt", self.salt)
            .bytes("payload", &self.payload)
            .bytes("payload_hash", self.context().payload_hash)
    }
}

/// A DeviceKey.
fn device_key(device: [u8; 16], user: [u8; 16], key: &PublicKey, revoked_ms: u64) -> Value {
    json!({
        "device_id": hex(device),
        "user_id": hex(user),
        "public_key": hex(key.as_bytes()),
        "revoked_ms": revoked_ms,
    })
}

pub(super) fn file() -> File {
    File::new("messages", DESCRIPTION, valid().into_iter().chain(invalid()).collect())
}

fn text(body: &str) -> Vec<u8> {
    let text = v1::Text { body: body.into(), mentions: Vec::new() };
    v1::Content { body: Some(v1::content::Body::Text(text)), reply_to: None }.encode_to_vec()
}

fn usual() -> Message {
    Message {
        conversation: id(0, 0xc1),
        message_id: id(5000, 0xe1),
        user: id(1, 0xa1),
        device: id(1, 0xd1),
        salt: counting(0xa0),
        payload: text("Hello, Bob!"),
    }
}

fn valid() -> Vec<Value> {
    let key = alice_key();
    let payloads = [
        ("text", text("Hello, Bob!")),
        ("text-beyond-ascii", text("na\u{ef}ve \u{2615} \u{1f44b}")),
        ("one-byte", vec![0]),
        ("not-a-content", vec![0xff; 40]),
        ("long", counting::<256>(0).repeat(4)),
    ];
    let mut vectors: Vec<_> = payloads
        .into_iter()
        .map(|(id, payload)| {
            let message = Message { payload, ..usual() };
            message
                .vector(id, &key.public_key())
                .bytes("private_key", *key.to_bytes())
                .bytes("signature", message.context().sign(&key).as_bytes())
                .valid()
        })
        .collect();
    let other = other_s(&usual().context().sign(&key));
    vectors.push(usual().vector("other-s", &key.public_key()).bytes("signature", other).valid());
    vectors.push(revoked("said-before-it-was-revoked", 1).valid());
    vectors.push(revoked("said-when-it-was-revoked", 0).valid());
    vectors
}

/// The usual message, of a device that was revoked so long after.
fn revoked(name: &str, after_ms: i64) -> Vector {
    let (message, key) = (usual(), alice_key().public_key());
    let revoked_ms = (TIME_MS + 5000).saturating_add_signed(after_ms);
    message
        .vector(name, &key)
        .with("requirements", ["MSG-014"].as_slice())
        .with("device_key", device_key(message.device, message.user, &key, revoked_ms))
        .with("time_ms", TIME_MS + 5000)
        .bytes("signature", message.context().sign(&alice_key()).as_bytes())
}

/// What Bob's device signs as Alice: it verifies, and is none of hers (MSG-012).
fn in_anothers_name() -> Value {
    let message = Message { device: id(2, 0xd2), ..usual() };
    let key = bob_key().public_key();
    message
        .vector("of-another-users-device", &key)
        .with("requirements", ["MSG-012", "DEV-011"].as_slice())
        .with("device_key", device_key(message.device, id(2, 0xa2), &key, 0))
        .bytes("signature", message.context().sign(&bob_key()).as_bytes())
        .invalid("user")
}

/// Alice's signature of the usual message, under something else.
fn invalid() -> Vec<Value> {
    let signature = usual().context().sign(&alice_key());
    let changed = [
        ("another-conversation", Message { conversation: id(0, 0xc2), ..usual() }),
        ("another-message-id", Message { message_id: id(5001, 0xe1), ..usual() }),
        ("another-user", Message { user: id(1, 0xa2), ..usual() }),
        ("another-device", Message { device: id(1, 0xd2), ..usual() }),
        ("another-salt", Message { salt: counting(0xa1), ..usual() }),
        ("another-payload", Message { payload: text("Hello, Eve!"), ..usual() }),
        ("payload-longer", Message { payload: [text("Hello, Bob!"), vec![0]].concat(), ..usual() }),
    ];
    let refuse =
        |vector: Vector| vector.bytes("signature", signature.as_bytes()).invalid("signature");
    let mut vectors: Vec<_> =
        changed.iter().map(|(id, m)| refuse(m.vector(id, &alice_key().public_key()))).collect();
    vectors.push(refuse(usual().vector("another-key", &bob_key().public_key())));
    let zeros = usual().vector("zero-signature", &alice_key().public_key());
    vectors.push(zeros.bytes("signature", [0; 64]).invalid("signature"));
    vectors.push(in_anothers_name());
    vectors.push(revoked("said-after-it-was-revoked", -1).invalid("revoked"));
    vectors
}
