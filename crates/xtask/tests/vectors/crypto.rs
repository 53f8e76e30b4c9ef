//! aside-crypto.

use aside_crypto::{
    KeyError, MessageContext, PublicKey, Rotation, RotationError, Signature, SigningKey, direct_id,
    follow_rotations, label, payload_hash, verify_head,
};
use aside_proto::{
    id::{ConversationId, DeviceId, IdempotencyKey, UserId},
    v1,
};
use aside_session::client::{DeviceKey, SignatureStatus};
use serde_json::Value;

use super::{array, bytes, check, ensure, number, text};

fn key(value: &Value) -> PublicKey {
    PublicKey::from_bytes(&bytes(value)).unwrap()
}

fn signature(value: &Value) -> Signature {
    Signature::try_from(&bytes(value)[..]).unwrap()
}

/// The key whose public half the vector has, if it has one.
fn signing_key(vector: &Value) -> Option<SigningKey> {
    let private = vector.get("private_key")?;
    Some(SigningKey::from_bytes(&array(private)).unwrap())
}

// cites: PRIV-003
#[test]
fn directs() {
    check("directs", None, |vector| {
        let user = |name: &str| UserId::new(array(&vector[name]));
        let id = direct_id(user("user_id"), user("other_user_id"));
        ensure(id.as_bytes()[..] == bytes(&vector["conversation_id"]), "conversation_id")
    });
}

// cites: CONV-003
#[test]
fn labels() {
    check("labels", None, |vector| {
        let fields: Vec<_> = vector["fields"].as_array().unwrap().iter().map(bytes).collect();
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let name = text(&vector["label"]);
        ensure(label::labeled(name, &fields) == bytes(&vector["labeled"]), "encoding")?;
        ensure(label::hash(name, &fields)[..] == bytes(&vector["sha256"]), "sha256")
    });
}

// cites: CONV-001, CONV-002
#[test]
fn keys() {
    check("keys", None, |vector| {
        let public = PublicKey::from_bytes(&bytes(&vector["public_key"]));
        let public = public.map_err(|_: KeyError| "INVALID_ARGUMENT".to_owned())?;
        ensure(signing_key(vector).is_none_or(|key| key.public_key() == public), "private_key")
    });
}

// cites: MSG-008, MSG-012, MSG-014
#[test]
fn messages() {
    check("messages", None, |vector| {
        let hash = payload_hash(&array(&vector["salt"]), &bytes(&vector["payload"]));
        ensure(hash == array(&vector["payload_hash"]), "payload_hash")?;
        let named = &vector["device_key"];
        let device = v1::DeviceKey {
            device_id: bytes(&named["device_id"]).into(),
            user_id: bytes(&named["user_id"]).into(),
            public_key: bytes(&named["public_key"]).into(),
            revoked_ms: number(&named["revoked_ms"]),
        };
        let device = DeviceKey::try_from(&device).unwrap();
        let context = MessageContext {
            conversation: ConversationId::new(array(&vector["conversation_id"])),
            message_id: IdempotencyKey::new(array(&vector["message_id"])),
            user: UserId::new(array(&vector["user_id"])),
            device: DeviceId::new(array(&vector["device_id"])),
            payload_hash: hash,
        };
        let header = v1::EntryHeader {
            kind: v1::EntryKind::Message.into(),
            sender_user_id: context.user.to_bytes(),
            sender_device_id: context.device.to_bytes(),
            message_id: context.message_id.to_bytes(),
            time_ms: vector.get("time_ms").map_or(0, number),
            signature: bytes(&vector["signature"]).into(),
            ..Default::default()
        };
        let signature = signature(&vector["signature"]);
        let made = signing_key(vector).map(|key| context.sign(&key));
        ensure(made.is_none_or(|made| made == signature), "RFC 6979")?;
        let status = SignatureStatus::check(context.conversation, &header, hash, Some(&device));
        let verified = context.verify(&device.public_key, &signature).is_ok();
        match (status, verified) {
            (SignatureStatus::Verified, _) => Ok(()),
            (_, false) => Err("signature".into()),
            (_, true) if device.user != context.user => Err("user".into()),
            (_, true) => Err("revoked".into()),
        }
    });
}

// cites: HEAD-001, CONV-004
#[test]
fn heads() {
    check("heads", Some("head"), |vector| {
        let statement = bytes(&vector["statement"]);
        let signature = signature(&vector["signature"]);
        let made = signing_key(vector).map(|key| aside_crypto::sign_head(&key, &statement));
        ensure(made.is_none_or(|made| made == signature), "RFC 6979")?;
        let verified = verify_head(&key(&vector["log_key"]), &statement, &signature);
        verified.map_err(|_| "signature".into())
    });
}

// cites: HEAD-004, HEAD-007
#[test]
fn rotations() {
    check("heads", Some("rotations"), |vector| {
        let rotation = |r: &Value| Rotation {
            old: key(&r["old_key"]),
            new: key(&r["new_key"]),
            signature: signature(&r["signature"]),
        };
        let rotations: Vec<_> =
            vector["rotations"].as_array().unwrap().iter().map(rotation).collect();
        let followed =
            follow_rotations(&key(&vector["pinned"]), &key(&vector["current"]), &rotations);
        followed.map_err(|error| match error {
            RotationError::SignatureInvalid(_) => "signature".into(),
            RotationError::Broken(_) => "broken".into(),
            RotationError::WrongEnd => "end".into(),
            RotationError::Unrelated => "unrelated".into(),
        })
    });
}
