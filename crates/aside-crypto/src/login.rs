//! Log-in proofs: a device shows that it holds its key, on this connection and no other (AUTH-001, AUTH-002, AUTH-006).

use aside_proto::{id::DeviceId, v1::BindingType};

use crate::{
    Hash,
    key::{PublicKey, Signature, SignatureInvalid, SigningKey},
    label,
};

/// What ties a proof to the TLS connection it is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// RFC 9266: 32 bytes of the TLS exporter with label `EXPORTER-Channel-Binding` and an empty context.
    Exporter([u8; 32]),
    /// SHA-256 of the server's leaf certificate, DER.
    CertSha256(Hash),
    /// Nothing: on WebSocket, and only by policy (AUTH-003, AUTH-004).
    None,
}

impl Binding {
    /// Its type: the number is the byte that is signed.
    #[must_use]
    pub const fn type_(&self) -> BindingType {
        match self {
            Self::Exporter(_) => BindingType::Exporter,
            Self::CertSha256(_) => BindingType::CertSha256,
            Self::None => BindingType::None,
        }
    }

    /// Its 32 bytes, or none.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        match self {
            Self::Exporter(bytes) | Self::CertSha256(bytes) => bytes,
            Self::None => &[],
        }
    }
}

/// What a proof on one connection is made over, but for what it proves.
#[derive(Debug, Clone, Copy)]
pub struct Transcript<'a> {
    /// The binding both sides see.
    pub binding: Binding,
    /// `server_name` of this connection's Hello; signed in lower case.
    pub server_name: &'a str,
    /// The nonce of Greeted.
    pub server_nonce: &'a [u8; 32],
    /// The nonce of Hello.
    pub client_nonce: &'a [u8; 32],
}

impl Transcript<'_> {
    /// The proof of Register and PasswordLogin: this key is to be bound.
    #[must_use]
    pub fn sign_bind(&self, key: &SigningKey) -> Signature {
        self.with_fields(key.public_key().as_bytes(), |f| key.sign(label::DEVICE_BIND, f))
    }

    /// Verifies the proof of Register or PasswordLogin under the key that is to be bound (AUTH-001).
    ///
    /// # Errors
    /// If it was not made by this key over this transcript.
    pub fn verify_bind(&self, key: &PublicKey, proof: &Signature) -> Result<(), SignatureInvalid> {
        self.with_fields(key.as_bytes(), |f| key.verify(label::DEVICE_BIND, f, proof))
    }

    /// The proof of DeviceLogin.
    #[must_use]
    pub fn sign_login(&self, key: &SigningKey, device_id: DeviceId) -> Signature {
        self.with_fields(device_id.as_bytes(), |f| key.sign(label::DEVICE_LOGIN, f))
    }

    /// Verifies the proof of DeviceLogin under the key that is bound to the device (AUTH-002).
    ///
    /// # Errors
    /// If it was not made by this key over this transcript and device.
    pub fn verify_login(
        &self,
        key: &PublicKey,
        device_id: DeviceId,
        proof: &Signature,
    ) -> Result<(), SignatureInvalid> {
        self.with_fields(device_id.as_bytes(), |f| key.verify(label::DEVICE_LOGIN, f, proof))
    }

    /// Hands the fields, in the order of the specification, to `use_fields`. `last` is the key or the device id.
    fn with_fields<T>(&self, last: &[u8], use_fields: impl FnOnce(&[&[u8]]) -> T) -> T {
        let server_name = self.server_name.to_ascii_lowercase();
        use_fields(&[
            &[self.binding.type_() as u8],
            self.binding.bytes(),
            server_name.as_bytes(),
            self.server_nonce,
            self.client_nonce,
            last,
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId::new([4; 16]);

    fn transcript() -> Transcript<'static> {
        Transcript {
            binding: Binding::Exporter([1; 32]),
            server_name: "chat.example",
            server_nonce: &[2; 32],
            client_nonce: &[3; 32],
        }
    }

    fn others() -> Vec<Transcript<'static>> {
        let t = transcript();
        vec![
            Transcript { binding: Binding::Exporter([9; 32]), ..t },
            Transcript { binding: Binding::CertSha256([1; 32]), ..t },
            Transcript { binding: Binding::None, ..t },
            Transcript { server_name: "chat.example.", ..t },
            Transcript { server_nonce: &[9; 32], ..t },
            Transcript { client_nonce: &[9; 32], ..t },
            Transcript { server_nonce: &[3; 32], client_nonce: &[2; 32], ..t },
        ]
    }

    // cites: AUTH-001, AUTH-002, AUTH-006
    #[test]
    fn a_proof_holds_for_its_connection_key_and_device_alone() {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let public = key.public_key();
        let (bind, login) = (transcript().sign_bind(&key), transcript().sign_login(&key, DEVICE));
        assert_eq!(transcript().verify_bind(&public, &bind), Ok(()));
        assert_eq!(transcript().verify_login(&public, DEVICE, &login), Ok(()));

        for other in others() {
            assert_eq!(other.verify_bind(&public, &bind), Err(SignatureInvalid), "{other:?}");
            assert_eq!(other.verify_login(&public, DEVICE, &login), Err(SignatureInvalid));
        }
        let stranger = SigningKey::from_bytes(&[8; 32]).unwrap().public_key();
        let wrong = [
            transcript().verify_bind(&stranger, &bind),
            transcript().verify_bind(&public, &login),
            transcript().verify_login(&stranger, DEVICE, &login),
            transcript().verify_login(&public, DeviceId::new([5; 16]), &login),
            transcript().verify_login(&public, DEVICE, &bind),
        ];
        assert_eq!(wrong, [Err(SignatureInvalid); 5]);
    }

    #[test]
    fn the_server_name_is_signed_in_lower_case() {
        let key = SigningKey::from_bytes(&[7; 32]).unwrap();
        let upper = Transcript { server_name: "Chat.EXAMPLE", ..transcript() };
        assert_eq!(transcript().verify_bind(&key.public_key(), &upper.sign_bind(&key)), Ok(()));
    }
}
