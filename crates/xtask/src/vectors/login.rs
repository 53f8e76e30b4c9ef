//! login.json.

use aside_crypto::{Binding, PublicKey, Signature, SigningKey, Transcript, label};
use aside_proto::{id::DeviceId, v1::BindingType};
use serde_json::{Value, json};

use super::{
    file::{File, Vector, hex},
    material::{SERVER_NAME, alice_key, bob_key, counting, id, other_s},
};

const DESCRIPTION: &str = "Proofs of Register, PasswordLogin (device-bind) and DeviceLogin (device-login) as a server judges them. \
    connection is what the server knows of the connection: server_name as Hello has it, and the binding_types it named in Greeted. \
    The request carries binding_type, signature and public_key or device_id; a DeviceLogin is judged under public_key, which is \
    bound to device_id. Where private_key is given, signature is the one of RFC 6979, over signed.";

const EXPORTER: u8 = 0x10;
const CERT: u8 = 0x90;

/// What the server knows of the connection.
fn connection() -> Transcript<'static> {
    Transcript {
        binding: Binding::CertSha256(counting(CERT)),
        server_name: SERVER_NAME,
        server_nonce: const { &counting(0x50) },
        client_nonce: const { &counting(0xc0) },
    }
}

/// The two kinds of proof.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bind,
    Login,
}

impl Kind {
    const BOTH: [Self; 2] = [Self::Bind, Self::Login];

    fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Login => "login",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Bind => label::DEVICE_BIND,
            Self::Login => label::DEVICE_LOGIN,
        }
    }

    fn requirement(self) -> &'static str {
        match self {
            Self::Bind => "AUTH-001",
            Self::Login => "AUTH-002",
        }
    }

    fn error(self) -> &'static str {
        match self {
            Self::Bind => "PROOF_INVALID",
            Self::Login => "AUTHENTICATION_FAILED",
        }
    }

    fn sign(self, transcript: &Transcript<'_>, key: &SigningKey) -> Signature {
        match self {
            Self::Bind => transcript.sign_bind(key),
            Self::Login => transcript.sign_login(key, device()),
        }
    }
}

fn device() -> DeviceId {
    DeviceId::new(id(1, 0xd1))
}

pub(super) fn file() -> File {
    let vectors = Kind::BOTH.into_iter().flat_map(|kind| {
        let mut vectors = accepted(kind);
        vectors.extend(made_for_something_else(kind));
        vectors.extend(malformed(kind));
        vectors
    });
    File::new("login", DESCRIPTION, vectors.collect())
}

fn accepted(kind: Kind) -> Vec<Value> {
    let key = alice_key();
    let bindings = [
        ("exporter", Binding::Exporter(counting(EXPORTER))),
        ("cert-sha256", Binding::CertSha256(counting(CERT))),
        ("none", Binding::None),
    ];
    let mut vectors: Vec<_> = bindings
        .into_iter()
        .map(|(name, binding)| {
            let transcript = Transcript { binding, ..connection() };
            let allowed: &[_] = if binding == Binding::None { &[1, 2, 3] } else { &[1, 2] };
            deterministic(Case::new(kind, name, transcript, allowed)).valid()
        })
        .collect();
    let upper = Transcript { server_name: "CHAT.Example", ..connection() };
    vectors
        .push(deterministic(Case::new(kind, "server-name-in-upper-case", upper, &[1, 2])).valid());
    let other = other_s(&kind.sign(&connection(), &key));
    vectors.push(Case::usual(kind, "other-s").vector(&other, &key.public_key()).valid());
    vectors
}

/// A proof over the case's own transcript, with all that goes into it.
fn deterministic(case: Case<'_>) -> Vector {
    let key = alice_key();
    let signature = case.kind.sign(&case.transcript, &key);
    let signed = case.signed(&key.public_key());
    case.vector(signature.as_bytes(), &key.public_key())
        .bytes("private_key", *key.to_bytes())
        .bytes("signed", signed)
}

/// Proofs made over something other than what the server sees (AUTH-006).
fn made_for_something_else(kind: Kind) -> Vec<Value> {
    let key = alice_key();
    let c = connection();
    let zeros = [0; 32];
    let transcripts = [
        ("another-certificate", Transcript { binding: Binding::CertSha256(counting(0x91)), ..c }),
        (
            "exporter-for-certificate",
            Transcript { binding: Binding::Exporter(counting(EXPORTER)), ..c },
        ),
        ("binding-of-another-type", Transcript { binding: Binding::Exporter(counting(CERT)), ..c }),
        ("binding-left-out", Transcript { binding: Binding::None, ..c }),
        ("another-server-name", Transcript { server_name: "evil.example", ..c }),
        ("server-name-with-dot", Transcript { server_name: "chat.example.", ..c }),
        ("server-name-with-port", Transcript { server_name: "chat.example:7423", ..c }),
        ("another-server-nonce", Transcript { server_nonce: &zeros, ..c }),
        ("another-client-nonce", Transcript { client_nonce: &zeros, ..c }),
        (
            "nonces-swapped",
            Transcript { server_nonce: c.client_nonce, client_nonce: c.server_nonce, ..c },
        ),
    ];
    let refused = |name: &str, signature: &Signature| {
        Case::usual(kind, name)
            .vector(signature.as_bytes(), &key.public_key())
            .invalid(kind.error())
    };
    let mut vectors: Vec<_> = transcripts
        .iter()
        .map(|(name, transcript)| refused(name, &kind.sign(transcript, &key)))
        .collect();
    vectors.push(refused("another-key", &kind.sign(&c, &bob_key())));
    vectors.push(match kind {
        Kind::Bind => refused("proof-for-login", &c.sign_login(&key, device())),
        Kind::Login => refused("proof-for-bind", &c.sign_bind(&key)),
    });
    if kind == Kind::Login {
        let another = DeviceId::new(id(1, 0xd2));
        vectors.push(refused("another-device", &c.sign_login(&key, another)));
    }
    vectors
}

fn malformed(kind: Kind) -> Vec<Value> {
    let key = alice_key().public_key();
    let good = kind.sign(&connection(), &alice_key());
    let usual = |name: &str| Case::usual(kind, name);
    let unbound = Transcript { binding: Binding::None, ..connection() };
    let mut vectors = vec![
        usual("zero-signature").vector(&[0; 64], &key).invalid(kind.error()),
        usual("short-signature")
            .vector(&good.as_bytes()[..63], &key)
            .with("requirements", ["CONV-001", kind.requirement()].as_slice())
            .invalid("INVALID_ARGUMENT"),
        Case::new(kind, "none-where-it-is-not-offered", unbound, &[1, 2])
            .vector(kind.sign(&unbound, &alice_key()).as_bytes(), &key)
            .with("requirements", ["AUTH-003"].as_slice())
            .invalid("BINDING_NOT_ALLOWED"),
    ];
    vectors.extend([0, 99].map(|number| {
        usual(&format!("binding-type-{number}"))
            .vector(good.as_bytes(), &key)
            .with("binding_type", number)
            .with("requirements", ["AUTH-003"].as_slice())
            .invalid("BINDING_NOT_ALLOWED")
    }));
    vectors
}

/// A proof is judged on this connection.
struct Case<'a> {
    kind: Kind,
    name: String,
    transcript: Transcript<'a>,
    binding_types: &'a [i32],
}

impl<'a> Case<'a> {
    fn new(kind: Kind, name: &str, transcript: Transcript<'a>, binding_types: &'a [i32]) -> Self {
        Self { kind, name: format!("{}-{name}", kind.name()), transcript, binding_types }
    }

    fn usual(kind: Kind, name: &str) -> Self {
        Self::new(
            kind,
            name,
            connection(),
            &[BindingType::Exporter as i32, BindingType::CertSha256 as i32],
        )
    }

    fn vector(&self, signature: &[u8], public_key: &PublicKey) -> Vector {
        let connection = json!({
            "server_name": self.transcript.server_name,
            "server_nonce": hex(self.transcript.server_nonce),
            "client_nonce": hex(self.transcript.client_nonce),
            "exporter": hex(counting::<32>(EXPORTER)),
            "cert_sha256": hex(counting::<32>(CERT)),
            "binding_types": self.binding_types,
        });
        let vector = Vector::new(&self.name, &[self.kind.requirement(), "AUTH-006"])
            .with("label", self.kind.label())
            .with("connection", connection)
            .with("binding_type", self.transcript.binding.type_() as i32)
            .bytes("public_key", public_key.as_bytes());
        let vector = match self.kind {
            Kind::Bind => vector,
            Kind::Login => vector.bytes("device_id", device().as_bytes()),
        };
        vector.bytes("signature", signature)
    }

    /// The bytes that are signed.
    fn signed(&self, public_key: &PublicKey) -> Vec<u8> {
        let t = &self.transcript;
        let device = device();
        let last = match self.kind {
            Kind::Bind => &public_key.as_bytes()[..],
            Kind::Login => device.as_bytes(),
        };
        let server_name = t.server_name.to_ascii_lowercase();
        let type_ = [t.binding.type_() as u8];
        label::labeled(
            self.kind.label(),
            &[
                &type_,
                t.binding.bytes(),
                server_name.as_bytes(),
                t.server_nonce,
                t.client_nonce,
                last,
            ],
        )
    }
}
