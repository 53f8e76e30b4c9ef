//! Identifiers: 16 bytes each, of distinct types, so that one can't stand for another.

use std::fmt;

use bytes::Bytes;

/// The bytes given for an identifier are not 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identifier is 16 bytes, not {0}")]
pub struct IdLengthError(pub usize);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// An id of these bytes.
            #[must_use]
            pub const fn new(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The 16 bytes, as a message field takes them.
            #[must_use]
            pub fn to_bytes(self) -> Bytes {
                Bytes::copy_from_slice(&self.0)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = IdLengthError;

            /// CONV-001: exactly 16 bytes.
            fn try_from(bytes: &[u8]) -> Result<Self, IdLengthError> {
                bytes.try_into().map(Self).map_err(|_| IdLengthError(bytes.len()))
            }
        }

        impl fmt::Display for $name {
            /// As a UUID: `018f9c2e-7b1a-7c3d-8e4f-5a6b7c8d9e0f`.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt_uuid(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

id! {
    /// An account, for ever. UUIDv7, made by the server.
    UserId
}
id! {
    /// A device of an account, for ever. UUIDv7, made by the server.
    DeviceId
}
id! {
    /// A conversation, for ever. UUIDv7, made by the server; of a DIRECT a UUIDv8, made of its two users' ids (PRIV-003).
    ConversationId
}
id! {
    /// An intended effect: UUIDv7, made by the client, kept across retries (IDEM-001). A message's is its `message_id`.
    IdempotencyKey
}

impl IdempotencyKey {
    /// The time in a UUIDv7, milliseconds since 1970; none if the bytes are not a UUIDv7 (IDEM-002).
    #[must_use]
    pub fn time_ms(&self) -> Option<u64> {
        let b = &self.0;
        let is_v7 = b[6] >> 4 == 7 && b[8] >> 6 == 0b10;
        is_v7.then(|| b[..6].iter().fold(0, |ms, &byte| ms << 8 | u64::from(byte)))
    }
}

/// The bytes of a UUIDv7 (RFC 9562) for a time and 10 random bytes.
#[must_use]
pub fn uuid_v7(time_ms: u64, random: [u8; 10]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&time_ms.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    bytes[6] = bytes[6] & 0x0f | 0x70;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

/// The bytes of a UUIDv8 (RFC 9562) made of a hash.
#[must_use]
pub const fn uuid_v8(hash: &[u8; 32]) -> [u8; 16] {
    let mut bytes = [0; 16];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = hash[at];
        at += 1;
    }
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

fn fmt_uuid(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: CONV-001
    #[test]
    fn only_sixteen_bytes_are_an_id() {
        assert_eq!(UserId::try_from(&[1; 16][..]), Ok(UserId::new([1; 16])));
        assert_eq!(UserId::try_from(&[1; 15][..]), Err(IdLengthError(15)));
        assert_eq!(DeviceId::try_from(&[][..]), Err(IdLengthError(0)));
    }

    // cites: PRIV-003
    #[test]
    fn a_uuid_v8_is_a_hash_but_for_six_bits() {
        let bytes = uuid_v8(&[0xff; 32]);
        let text = ConversationId::new(bytes).to_string();
        assert_eq!(text, "ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(IdempotencyKey::new(bytes).time_ms(), None);
    }

    // cites: IDEM-002
    #[test]
    fn a_uuid_v7_carries_its_time_and_nothing_else_does() {
        let bytes = uuid_v7(0x0123_4567_89ab, [0xff; 10]);
        assert_eq!(IdempotencyKey::new(bytes).time_ms(), Some(0x0123_4567_89ab));
        assert_eq!(IdempotencyKey::new(bytes).to_string(), "01234567-89ab-7fff-bfff-ffffffffffff");
        let (mut version_4, mut variant_0) = (bytes, bytes);
        version_4[6] = 0x4f;
        variant_0[8] = 0x3f;
        assert_eq!(IdempotencyKey::new(version_4).time_ms(), None);
        assert_eq!(IdempotencyKey::new(variant_0).time_ms(), None);
    }
}
